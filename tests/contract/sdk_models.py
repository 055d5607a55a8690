"""Answers against the models of the released SDK: names, types, required properties, values of enumerations.

Loaded by `conftest`, which hands it every JSON body a contract test receives in the SDK's own api-version. The SDK
itself takes whatever comes, so its models are walked here. Which model an operation answers with is what its method in
the SDK says it returns.
"""

from __future__ import annotations

import datetime
import enum
import re
import types
import typing
from collections import Counter
from functools import cache
from typing import Any

from azure.batch import models as public
from azure.batch._operations._operations import _BatchClientOperationsMixin
from azure.batch.models import _models

_NAMES = {**vars(public), "_models": types.SimpleNamespace(**(vars(_models) | vars(public)))}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z")
_SPAN = re.compile(r"-?P(\d+D)?(T(\d+H)?(\d+M)?([\d.]+S)?)?")
_LISTED = re.compile(r"ItemPaged\[['\"]?_models\.(\w+)")
_PLAIN = re.compile(r"_models\.(\w+)")
# Secrets are required by the models and never given back (R20:create_pools); an application may have no display name
# (R20:applications); a node that has not booted has no time of it (R18:compute_nodes). Nodes have an IPv6 address only
# where their pool asks for one (M:BatchPublicIpAddressConfiguration.ipFamilies: IPv4 by default).
OFTEN_ABSENT = {"password", "displayName", "lastBootTime", "ipv6Address"}


@cache
def _model(name: str) -> Any:
    return getattr(public, name, None) or getattr(_models, name)


@cache
def answered_with(operation: str) -> tuple[Any, bool] | None:
    """The model of an operation's answer and whether there are many; None if it answers without a body."""
    method = getattr(_BatchClientOperationsMixin, operation, None)
    method = method or getattr(_BatchClientOperationsMixin, f"_{operation}_internal")
    text = str(method.__annotations__["return"])
    if listed := _LISTED.search(text):
        return _model(listed[1]), True
    return (_model(plain[1]), False) if (plain := _PLAIN.search(text)) else None


@cache
def _fields(model: Any) -> dict[str, tuple[Any, bool]]:
    """Wire names of a model's properties, their types, and whether they must be there."""
    hints = typing.get_type_hints(model, localns=_NAMES)
    found = {}
    for base in model.__mro__:
        for name, field in vars(base).items():
            if type(field).__name__ == "_RestField" and name in hints:
                optional = type(None) in typing.get_args(hints[name])
                found.setdefault(field._rest_name_input or name, (hints[name], not optional))
    return found


class Models:
    """How often each operation was checked, and what is wrong with an answer."""

    def __init__(self) -> None:
        self.checked: Counter[str] = Counter()
        self.states: set[tuple[str, str]] = set()
        """The values of enumerations of states seen in the last answer."""

    def violations(self, operation: str, status: int, body: Any, *, selected: bool = False) -> list[str]:
        """What is wrong with the body; what was *selected* by $select need not be whole."""
        self.checked[operation] += 1
        self.states.clear()
        if status >= 400:
            return [f"{operation} {status}: {text}" for text in self._check(public.BatchError, body, "body")]
        known = answered_with(operation)
        if known is None:
            return [f"{operation}: a body where the SDK expects none"]
        model, many = known
        where, items = ("value[]", body["value"]) if many else ("body", [body])
        texts = [text for item in items for text in self._check(model, item, where)]
        return [f"{operation}: {text}" for text in texts if not (selected and text.startswith(f"{where} lacks "))]

    def _check(self, kind: Any, value: Any, where: str) -> typing.Iterator[str]:
        if value is None:
            yield f"{where} is null"
        elif typing.get_origin(kind) in (typing.Union, types.UnionType):
            yield from self._check_union([one for one in typing.get_args(kind) if one is not type(None)], value, where)
        elif typing.get_origin(kind) is list:
            if isinstance(value, list):
                for item in value:
                    yield from self._check(typing.get_args(kind)[0], item, f"{where}[]")
            else:
                yield f"{where} is not a list"
        elif isinstance(kind, type) and hasattr(kind, "as_dict"):
            yield from self._check_model(kind, value, where)
        elif not self._fits(kind, value):
            yield f"{where} is not {getattr(kind, '__name__', kind)}: {value!r}"

    def _check_union(self, kinds: list[Any], value: Any, where: str) -> typing.Iterator[str]:
        """A choice, or one kind that may be absent. Enumerations are open to strings in the models, and closed here."""
        closed = [one for one in kinds if isinstance(one, type) and issubclass(one, enum.Enum)]
        yield from self._check((closed or kinds)[0], value, where)

    def _check_model(self, model: Any, value: Any, where: str) -> typing.Iterator[str]:
        if not isinstance(value, dict):
            yield f"{where} is not an object"
            return
        fields = _fields(model)
        for name, (_, required) in fields.items():
            if required and name not in value and name not in OFTEN_ABSENT:
                yield f"{where} lacks {name}"
        for name, item in value.items():
            if name in ("odata.metadata", "odata.nextLink"):
                continue
            if name in fields:
                yield from self._check(fields[name][0], item, f"{where}.{name}")
            else:
                yield f"{where} has {name}, which {model.__name__} does not have"

    def _fits(self, kind: Any, value: Any) -> bool:
        if isinstance(kind, type) and issubclass(kind, enum.Enum) and isinstance(value, str):
            if kind.__name__.endswith("State"):
                self.states.add((kind.__name__, value.lower()))
            # The service does not keep to the letter case of its enumerations (R24c:task_create_cmd).
            return value.lower() in {str(member.value).lower() for member in kind}
        return _is_a(kind, value)


def _is_a(kind: Any, value: Any) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:  # 64-bit numbers come as text (R26:files)
        return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value.isdigit())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is datetime.datetime:
        return isinstance(value, str) and _TIME.fullmatch(value) is not None
    if kind is datetime.timedelta:
        return isinstance(value, str) and _SPAN.fullmatch(value) is not None
    return isinstance(value, str) if kind is str else kind is Any or isinstance(value, dict)
