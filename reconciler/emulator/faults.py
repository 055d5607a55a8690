"""Scripted faults, so that a client's handling of trouble can be tested: installed and cleared over a control route.

A rule names requests by method and by a regular expression on the path, how many of them it hits, and what happens:
an error answer before or after the effect of the request, a reset connection before or after it, a delay.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KINDS = ("status", "status-after", "reset", "reset-after", "delay")


class BadRule(Exception):  # noqa: N818 - reads as what it is
    """The text of a rule is wrong."""


@dataclass(slots=True)
class Rule:
    """One rule, and how many requests it will still hit (None: all)."""

    kind: str
    method: str
    path: re.Pattern[str]
    left: int | None
    skip: int
    status: int
    code: str
    message: str
    retry_after: float | None
    seconds: float

    def hits(self, method: str, path: str) -> bool:
        if self.left == 0 or self.method not in ("*", method) or not self.path.search(path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True


_DEFAULT_CODES = {429: "TooManyRequests", 500: "InternalError", 503: "ServerBusy"}
_KNOWN = {"kind", "method", "path", "times", "skip", "status", "code", "message", "retryAfter", "seconds"}


def parse(rules: object) -> list[Rule]:
    """Rules from JSON: a list of objects; defaults in parentheses.

    `kind`, `method` (*), `path` (any), `times` (1; null: always), `skip` (0: how many hits to let pass first); for
    answers `status` (503), `code`, `message`, `retryAfter` in seconds; for delays `seconds`.
    """
    if not isinstance(rules, list):
        raise BadRule("a list of rules is expected")
    return [_parse_one(rule) for rule in rules]


def _parse_one(rule: object) -> Rule:
    if not isinstance(rule, dict) or not set(rule) <= _KNOWN:
        raise BadRule(f"a rule is an object with some of {', '.join(sorted(_KNOWN))}")
    if rule.get("kind") not in KINDS:
        raise BadRule(f"kind is one of {', '.join(KINDS)}")
    try:
        status = int(rule.get("status", 503))
        times = rule.get("times", 1)
        return Rule(
            kind=rule["kind"],
            method=str(rule.get("method", "*")).upper(),
            path=re.compile(str(rule.get("path", ""))),
            left=None if times is None else int(times),
            skip=int(rule.get("skip", 0)),
            status=status,
            code=str(rule.get("code", _DEFAULT_CODES.get(status, "InternalError"))),
            message=str(rule.get("message", "A fault was asked for.")),
            retry_after=None if rule.get("retryAfter") is None else float(rule["retryAfter"]),
            seconds=float(rule.get("seconds", 0.0)),
        )
    except (TypeError, ValueError, re.error) as error:
        raise BadRule(str(error)) from error


class Faults:
    """The rules in force, in order; the first that hits is applied."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def install(self, rules: Iterable[Rule]) -> None:
        self._rules = list(rules)

    def next(self, method: str, path: str) -> Rule | None:
        return next((rule for rule in self._rules if rule.hits(method, path)), None)


class RequestLog:
    """The last requests handled, numbered from 1, so that a test can assert what was and was not sent."""

    def __init__(self, most: int) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=most)
        self._count = 0

    def add(self, method: str, path: str, query: str, status: int) -> None:
        self._count += 1
        entry = {"n": self._count, "method": method, "path": path, "query": query, "status": status}
        self._entries.append(entry)

    def since(self, number: int) -> list[dict[str, Any]]:
        return [entry for entry in self._entries if entry["n"] > number]
