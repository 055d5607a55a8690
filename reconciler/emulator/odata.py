"""$filter, $select, paging: how lists are cut down. Used by the list operations.

Which properties can be filtered on, and how literals look, is the service's page on filters (DF).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.emulator.errors import bad_query
from reconciler.emulator.times import parse_http_date, parse_iso

Json = dict[str, Any]
Test = Callable[[Json], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<date>DateTime\s*'(?:[^']|'')*')|(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_][\w/.]*)|(?P<mark>[(),]))",
    re.I,
)
_ORDERINGS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda have, want: bool(have == want),
    "ne": lambda have, want: bool(have != want),
    "lt": lambda have, want: bool(have < want),
    "le": lambda have, want: bool(have <= want),
    "gt": lambda have, want: bool(have > want),
    "ge": lambda have, want: bool(have >= want),
}
_OPERATORS = {"s": ("eq", "ne"), "b": ("eq", "ne"), "e": ("eq",), "p": ()}
_DEEPEST = 100

# Sorts of property: i identifier (all operators and startswith), s state or other word (eq, ne), e word (eq), d date,
# n number, b true or false, p a prefix only.
_TIMES = {"stateTransitionTime": "d", "creationTime": "d", "lastModified": "d"}
FIELDS: dict[str, dict[str, str]] = {
    "pools": {
        "id": "i",
        "state": "s",
        "allocationState": "e",
        "allocationStateTransitionTime": "d",
        "enableAutoScale": "b",
        "vmSize": "s",
        "enableInterNodeCommunication": "b",
        **_TIMES,
    },
    "jobs": {
        "id": "i",
        "state": "s",
        "executionInfo/startTime": "d",
        "executionInfo/endTime": "d",
        "executionInfo/poolId": "i",
        **_TIMES,
    },
    "scheduledjobs": {  # those of one schedule: as jobs, without the id
        "state": "s",
        "executionInfo/startTime": "d",
        "executionInfo/endTime": "d",
        "executionInfo/poolId": "i",
        **_TIMES,
    },
    "jobschedules": {
        "id": "i",
        "state": "s",
        "executionInfo/endTime": "d",
        "schedule/doNotRunUntil": "d",
        "schedule/doNotRunAfter": "d",
        **_TIMES,
    },
    "tasks": {
        "id": "i",
        "state": "s",
        "lastModifiedTime": "d",
        "executionInfo/startTime": "d",
        "executionInfo/endTime": "d",
        "executionInfo/exitCode": "n",
        "executionInfo/result": "s",
        **_TIMES,
    },
    "attendances": {
        "poolId": "s",
        "nodeId": "s",
        **{
            f"{part}/{name}": sort
            for part in ("jobPreparationTaskExecutionInfo", "jobReleaseTaskExecutionInfo")
            for name, sort in (
                ("state", "e"),
                ("startTime", "d"),
                ("endTime", "d"),
                ("exitCode", "n"),
                ("result", "s"),
            )
        },
    },
    "nodes": {
        "state": "s",
        "stateTransitionTime": "d",
        "lastBootTime": "d",
        "allocationTime": "d",
        "startTaskInfo/state": "e",
        "startTaskInfo/result": "s",
        "startTaskInfo/exitCode": "n",
        "startTaskInfo/startTime": "d",
        "startTaskInfo/endTime": "d",
    },
    "files": {"name": "p"},
    "extensions": {},
    "nodecounts": {"poolId": "e"},
    "poolusagemetrics": {"poolId": "s", "startTime": "d", "endTime": "d"},
    "applications": {},
    "supportedimages": {"osType": "s", "verificationType": "s", "nodeAgentSKUId": "s"},
}
_ALIASES = {"lastModifiedTime": "lastModified"}  # so spelled for tasks only (DF)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


class _Parser:
    """Recursive descent over `or`, `and`, parentheses, comparisons and startswith."""

    def __init__(self, text: str, fields: Mapping[str, str]) -> None:
        self._text = text
        self._fields = fields
        self._tokens = self._split(text)
        self._at = 0
        self._depth = 0

    def parse(self) -> Test:
        test = self._or()
        if self._at < len(self._tokens):
            raise self._bad(f"'{self._tokens[self._at].text}' was not expected")
        return test

    def _bad(self, reason: str) -> Exception:
        return bad_query("$filter", self._text, f"The filter is not valid: {reason}")

    def _split(self, text: str) -> list[_Token]:
        tokens, at = [], 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._bad(f"'{text[at : at + 20]}' cannot be read")
            tokens.append(_Token(match.lastgroup or "", match.group(match.lastgroup or 0)))
            at = match.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._at].text.lower() if self._at < len(self._tokens) else ""

    def _next(self) -> _Token:
        if self._at >= len(self._tokens):
            raise self._bad("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, mark: str) -> None:
        if self._next().text != mark:
            raise self._bad(f"'{mark}' was expected")

    def _or(self) -> Test:
        tests = [self._and()]
        while self._peek() == "or":
            self._next()
            tests.append(self._and())
        return tests[0] if len(tests) == 1 else lambda item: any(test(item) for test in tests)

    def _and(self) -> Test:
        tests = [self._term()]
        while self._peek() == "and":
            self._next()
            tests.append(self._term())
        return tests[0] if len(tests) == 1 else lambda item: all(test(item) for test in tests)

    def _term(self) -> Test:
        if self._peek() == "(":
            self._depth += 1
            if self._depth > _DEEPEST:
                raise self._bad("it is nested too deeply")
            self._next()
            test = self._or()
            self._expect(")")
            self._depth -= 1
            return test
        word = self._next()
        if word.text.lower() == "startswith" and self._peek() == "(":
            return self._startswith()
        return self._comparison(word)

    def _startswith(self) -> Test:
        self._expect("(")
        path = self._next().text
        if self._sort(path) not in ("i", "p"):
            raise self._bad(f"startswith cannot be used on {path}")
        self._expect(",")
        prefix = self._literal(self._next(), "i")
        self._expect(")")
        return lambda item: str(_value(item, path) or "").lower().startswith(prefix)

    def _comparison(self, word: _Token) -> Test:
        path, sort = word.text, self._sort(word.text)
        name = self._next().text.lower()
        if name not in _OPERATORS.get(sort, _ORDERINGS):
            raise self._bad(f"the operator {name} cannot be used on {path}")
        want, order = self._literal(self._next(), sort), _ORDERINGS[name]

        def test(item: Json) -> bool:
            have = _comparable(_value(item, path), sort)
            return name == "ne" if have is None else order(have, want)

        return test

    def _sort(self, path: str) -> str:
        if path not in self._fields:
            raise self._bad(f"{path} is not a property that can be filtered on")
        return self._fields[path]

    def _literal(self, token: _Token, sort: str) -> Any:
        text = token.text
        try:
            if sort == "d" and token.kind == "date":
                return _time(_unquote(text[text.index("'") :]))
            if sort == "n" and token.kind == "number":
                return float(text)
            if sort == "b" and text.lower() in ("true", "false"):
                return text.lower() == "true"
            if sort in "iesp" and token.kind == "text":
                return _unquote(text).lower()
        except ValueError as error:
            raise self._bad(f"{text} is not a valid literal") from error
        raise self._bad(f"{text} is not a literal of the right type")


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _time(text: str) -> int:
    """W3C or RFC 1123 (DF)."""
    try:
        return parse_iso(text)
    except ValueError:
        return parse_http_date(text)


def _value(item: Json, path: str) -> Any:
    found: Any = item
    for name in _ALIASES.get(path, path).split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _comparable(value: Any, sort: str) -> Any:
    if value is None:
        return None
    if sort == "d":
        return parse_iso(value)
    return value.lower() if isinstance(value, str) else value


def compile_filter(text: str | None, fields: Mapping[str, str]) -> Test | None:
    """A test for one item in its GET form; 400 InvalidQueryParameterValue for what the service cannot filter on."""
    return _Parser(text, fields).parse() if text and text.strip() else None


def select(item: Json, names: Sequence[str] | None) -> Json:
    """Only the named properties, in the item's order; annotations stay (R24c)."""
    if names is None:
        return item
    return {key: value for key, value in item.items() if key in names or key.startswith("odata.")}


def parse_select(text: str | None, known: Iterable[str]) -> list[str] | None:
    """Names of a $select list; blanks around them are allowed (R24c). An unknown name is refused."""
    if text is None or not text.strip():
        return None
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise bad_query("$select", text, f"{name or 'An empty name'} is not a property of the resource")
    return names


def make_token(key: str) -> str:
    """A skip token in the service's look that survives being decoded and encoded again (X)."""
    return "WATV2:" + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_token(text: str) -> str:
    """The key of the last item of the page before."""
    body = text.removeprefix("WATV2:")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise bad_query("$skiptoken", text, "The token was not given out by this account") from error
