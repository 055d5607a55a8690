"""The switches as people meet them: their names, defaults, readings and meaning, and their values given as text.

Used by the command lines (`--switch NAME=VALUE`, `reconciler emulator switches`) and by `control`. The meaning is the
text that stands under each field of `switches.Switches`.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import textwrap
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from reconciler.emulator import switches
from reconciler.emulator.errors import CATALOGUE
from reconciler.emulator.switches import Switches
from reconciler.emulator.times import SECOND

ANY_CODE = "any error code of the service"
ANY_SECONDS = "any number of seconds"


class BadSwitch(Exception):  # noqa: N818 - reads as what it is
    """No such switch, or no such reading; the message names those there are."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One behaviour no source settles: the reading in force by default, and all there are."""

    name: str
    default: str
    readings: tuple[str, ...]
    meaning: str


@functools.cache
def describe() -> tuple[Switch, ...]:
    """All switches, in the order in which they are defined."""
    meanings, kinds, defaults = _meanings(), typing.get_type_hints(Switches), Switches()
    return tuple(
        Switch(f.name, _text(getattr(defaults, f.name)), _readings(f.name, kinds[f.name]), meanings[f.name])
        for f in fields(Switches)
    )


def _meanings() -> dict[str, str]:
    """The text under each field, on one line."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(switches.Switches))).body
    found = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in itertools.pairwise(statements):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def _readings(name: str, kind: Any) -> tuple[str, ...]:
    if kind is bool:
        return "true", "false"
    if kind is int:
        return (ANY_SECONDS,)
    if typing.get_origin(kind) is Literal:
        return tuple(typing.get_args(kind))
    return (ANY_CODE,)


def _text(value: object) -> str:
    """As it would be given: true and false, seconds, words."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value // SECOND) if isinstance(value, int) else str(value)


def parse(given: Mapping[str, str] | Iterable[str]) -> Switches:
    """The switches with some set, by name or as texts `name=value`. Raises BadSwitch."""
    pairs = given.items() if isinstance(given, Mapping) else [_split(text) for text in given]
    known = {switch.name: switch for switch in describe()}
    values = {}
    for name, value in pairs:
        if name not in known:
            raise BadSwitch(f"there is no switch {name!r}; there are {', '.join(known)}")
        values[name] = _value(known[name], value)
    return Switches(**values)


def split(texts: Iterable[str]) -> dict[str, str]:
    """Names and values of texts `name=value`, each of them a reading there is. Raises BadSwitch."""
    given = dict(_split(text) for text in texts)
    parse(given)
    return given


def _split(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise BadSwitch(f"NAME=VALUE is expected, found {text!r}")
    return name.strip(), value.strip()


def _value(switch: Switch, text: str) -> Any:
    if switch.readings == (ANY_SECONDS,):
        if re.fullmatch(r"\d{1,9}", text, re.ASCII):
            return int(text) * SECOND
    elif switch.readings == (ANY_CODE,):
        if text in CATALOGUE or text == switch.default:
            return text
    elif text in switch.readings:
        return text == "true" if switch.readings == ("true", "false") else text
    raise BadSwitch(f"{switch.name} takes {' or '.join(switch.readings)}, not {text!r}")


def readings(given: Mapping[str, str]) -> dict[str, str]:
    """All switches as text, with the given ones set. Raises BadSwitch."""
    chosen = parse(given)
    return {f.name: _text(getattr(chosen, f.name)) for f in fields(Switches)}


def changed(chosen: Switches) -> dict[str, str]:
    """Those not at their default, as text."""
    defaults = Switches()
    names = [f.name for f in fields(Switches)]
    return {name: _text(getattr(chosen, name)) for name in names if getattr(chosen, name) != getattr(defaults, name)}
