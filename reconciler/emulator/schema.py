"""How a request body is read: kinds of values, and records of named fields. Used by the tables of bodies.

Reading a value checks it, fills in the service's defaults and returns the form in which the service gives it back, so
that what is stored is what a later GET shows. Write-only values (passwords, keys) are dropped here and kept nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

from reconciler.emulator.errors import bad_property, not_here, refuse
from reconciler.emulator.times import MAX_SPAN, parse_span, render_span

ABSENT = object()
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Kind(Protocol):
    """One sort of value. `read` answers its canonical form; `drops` says that nothing is to be stored."""

    def read(self, name: str, value: object) -> Any: ...


@dataclass(frozen=True, slots=True)
class Text:
    """A string; *longest* characters at most, optionally lower-cased or matching a pattern."""

    longest: int = 65_536
    shortest: int = 0
    lower: bool = False
    pattern: re.Pattern[str] | None = None
    reason: str = "The value has the wrong form"
    check: Callable[[str, str], None] | None = None

    def read(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise bad_property(name, value, "A string is expected")
        if not self.shortest <= len(value) <= self.longest:
            raise bad_property(name, value, f"The length must be between {self.shortest} and {self.longest}")
        if "\0" in value or not (value.isascii() or all(not "\ud800" <= letter <= "\udfff" for letter in value)):
            raise bad_property(name, ascii(value), "The value contains characters that are not allowed")
        if self.pattern is not None and not self.pattern.fullmatch(value):
            raise bad_property(name, value, self.reason)
        if self.check is not None:
            self.check(name, value)
        return value.lower() if self.lower else value


@dataclass(frozen=True, slots=True)
class Number:
    """An integer; digits in a string are accepted and given back as a number (X: the CLI sends them so)."""

    least: int = -(2**31)
    most: int = 2**31 - 1
    but: frozenset[int] = frozenset()

    def read(self, name: str, value: object) -> int:
        number = self._number(name, value)
        if not self.least <= number <= self.most or number in self.but:
            raise bad_property(name, value, f"The value must be between {self.least} and {self.most}")
        return number

    def _number(self, name: str, value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        raise bad_property(name, value, "An integer is expected")


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false. *refused* names why true cannot be honoured here."""

    refused: str | None = None

    def read(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise bad_property(name, value, "true or false is expected")
        if value and self.refused:
            raise not_here(name, self.refused)
        return value


@dataclass(frozen=True, slots=True)
class Span:
    """An ISO 8601 duration, given back in the service's rendering (section on durations: R24c, R26)."""

    least: int = 0
    most: int = MAX_SPAN

    def read(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise bad_property(name, value, "An ISO 8601 duration is expected")
        try:
            ticks = parse_span(value)
        except ValueError as error:
            raise bad_property(name, value, f"The value is {error}") from error
        if not self.least <= ticks <= self.most:
            limits = f"{render_span(self.least)} and {render_span(self.most)}"
            raise bad_property(name, value, f"The duration must be between {limits}")
        return render_span(ticks)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed set, read without regard to case; *shown* maps it to the spelling GET uses."""

    options: tuple[str, ...]
    shown: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def read(self, name: str, value: object) -> str:
        if isinstance(value, str):
            for option in self.options:
                if option.lower() == value.lower():
                    if option in self.refused:
                        raise not_here(name, self.refused[option])
                    return self.shown.get(option, option)
        raise bad_property(name, value, "The value must be one of " + ", ".join(self.options))


@dataclass(frozen=True, slots=True)
class Secret:
    """A write-only value: checked, then forgotten, since GET never returns it (R26, R20)."""

    of: Kind = Text()

    def read(self, name: str, value: object) -> object:
        self.of.read(name, value)
        return ABSENT


@dataclass(frozen=True, slots=True)
class Missing:
    """A feature that nodes of this machine do not have: any value but an empty one is refused by name, never ignored.

    *simulated* is how the value is read where nodes run nothing, so that there is nothing to ignore.
    """

    why: str
    simulated: Kind | None = None

    def read(self, name: str, value: object) -> object:
        if value not in ([], {}, ""):
            raise not_here(name, self.why)
        return ABSENT


@dataclass(frozen=True, slots=True)
class Anything:
    """A JSON object without local meaning, kept as sent."""

    def read(self, name: str, value: object) -> object:
        if not isinstance(value, dict):
            raise bad_property(name, value, "An object is expected")
        return value


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of one kind. An empty list is given back as nothing (R24c:pool_cmd)."""

    item: Kind
    most: int = 100_000
    check: Callable[[str, list[Any]], None] | None = None

    def read(self, name: str, value: object) -> Any:
        if not isinstance(value, list):
            raise bad_property(name, value, "A list is expected")
        if len(value) > self.most:
            raise bad_property(name, f"{len(value)} entries", f"At most {self.most} entries are allowed")
        items = [self.item.read(name, entry) for entry in value]
        if self.check is not None:
            self.check(name, items)
        return items or ABSENT


@dataclass(frozen=True, slots=True)
class Field:
    """A property of a record: its kind, whether it must be given, what stands in for it, where it is accepted.

    *default* is in wire form and is read like a given value. *legacy* fields exist before api-version 2025 only.
    """

    kind: Kind
    required: bool = False
    default: object = ABSENT
    legacy: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """An object with known properties. Unknown ones are refused; null counts as absent; annotations are skipped."""

    fields: Mapping[str, Field]
    check: Callable[[str, dict[str, Any]], None] | None = None

    def read(self, name: str, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise bad_property(name, value, "An object is expected")
        given = {key: item for key, item in value.items() if item is not None and "odata." not in key}
        for key in given:
            if key not in self.fields:
                raise refuse("UnsupportedProperty", ("PropertyName", key[:200]))
        result: dict[str, Any] = {}
        for key, spec in self.fields.items():
            item = given.get(key, spec.default)
            if item is ABSENT:
                if spec.required:
                    raise refuse("MissingRequiredProperty", ("PropertyName", key))
                continue
            read = spec.kind.read(key, item)
            if read is not ABSENT:
                result[key] = read
        if self.check is not None:
            self.check(name, result)
        return result


@cache
def simulated(record: Record) -> Record:
    """The same record for nodes that run nothing: all that is refused only because this machine cannot do it is read
    like any other property."""
    return replace(record, fields={name: _simulated_field(entry) for name, entry in record.fields.items()})


def _simulated_field(entry: Field) -> Field:
    return replace(entry, kind=_simulated_kind(entry.kind))


def _simulated_kind(kind: Kind) -> Kind:
    match kind:
        case Missing(simulated=other) if other is not None:
            return _simulated_kind(other)
        case Record():
            return simulated(kind)
        case Listing():
            return replace(kind, item=_simulated_kind(kind.item))
    return kind


def read_body(record: Record, body: object, *, legacy: bool = False, runs: bool = True) -> dict[str, Any]:
    """The canonical form of a request *body*. *legacy* allows the properties that 2025-06-01 removed; *runs* refuses
    those that nodes which run commands would have to ignore."""
    record = record if runs else simulated(record)
    if not isinstance(body, dict):
        raise refuse("InvalidRequestBody", ("Reason", "A JSON object is expected"))
    if not legacy:
        for key in body:
            if key in record.fields and record.fields[key].legacy:
                raise refuse("UnsupportedProperty", ("PropertyName", key))
    return record.read("body", body)


def given(body: object) -> set[str]:
    """The names of the properties a body names and does not set to null."""
    return {key for key, item in body.items() if item is not None} if isinstance(body, dict) else set()
