"""Scripted faults, so that a client's handling of trouble can be tested: installed and cleared over a control route.

A rule names requests by method and by a regular expression on the path, how many of them it hits, and what happens:
an error answer before or after the effect of the request, a reset connection before or after it, a delay, a body that
comes slowly, an answer that was true some time ago, or a seeded mixture (`chaos`). Rules of the kind `run` do not name
requests but commands on nodes, and change how they end; those of the kind `quota` change how much the account holds.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from reconciler.emulator.chaos import MESSAGE, Chaos, Latency, Trouble
from reconciler.emulator.ports import Ended
from reconciler.emulator.records import Run
from reconciler.emulator.switches import Limits

KINDS = ("status", "status-after", "reset", "reset-after", "delay", "slow-body", "stale", "quota", "chaos", "run")
_WITHOUT_REQUEST = ("run", "quota")
RUNS = ("start", "preparation", "release", "task")


class BadRule(Exception):  # noqa: N818 - reads as what it is
    """The text of a rule is wrong."""


@dataclass(slots=True)
class Rule:
    """One rule, and how many requests or runs it will still hit (None: all)."""

    trouble: Trouble
    method: str
    path: re.Pattern[str]
    left: int | None
    skip: int
    latency: Latency | None
    chaos: Chaos
    run: str
    exit_code: int | None
    problem: str | None
    quotas: dict[str, int]
    """Of the account, by the names of `Limits`."""
    seen: int = 0

    @property
    def kind(self) -> str:
        return self.trouble.kind

    def next(self, method: str, path: str) -> Trouble | None:
        """What this rule does to the request; None: nothing."""
        if self.kind in _WITHOUT_REQUEST or self.method not in ("*", method) or not self.path.search(path):
            return None
        if self.kind == "stale" and method != "GET":
            return None
        if not self._hits():
            return None
        if self.kind == "chaos":
            return self.chaos.decide(self.seen)
        if self.latency is not None:
            return replace(self.trouble, delay=self.latency.draw(random.Random(f"{self.chaos.seed}/{self.seen}")))
        return self.trouble

    def alter(self, run: Run, ended: Ended) -> Ended:
        """How the run ends by this rule."""
        if self.kind != "run" or self.run != run.kind or not self.path.search(f"{run.node}:{run.subject}"):
            return ended
        if not self._hits():
            return ended
        return Ended(ended.run, ended.at, self.exit_code, self.problem, MESSAGE * bool(self.problem))

    def _hits(self) -> bool:
        if self.left == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.seen += 1
        if self.left is not None:
            self.left -= 1
        return True


_DEFAULT_CODES = {429: "TooManyRequests", 500: "InternalError", 503: "ServerBusy"}
_COMMON = {"kind", "method", "path", "times", "skip"}
_ANSWER = {"status", "code", "message", "retryAfter"}
_QUOTAS = {"pools": "pools_per_account", "activeJobsAndSchedules": "active_jobs_and_schedules"}
_KNOWN: dict[str, set[str]] = {
    "status": _COMMON | _ANSWER,
    "status-after": _COMMON | _ANSWER,
    "reset": _COMMON,
    "reset-after": _COMMON,
    "delay": _COMMON | {"seconds", "latency", "seed"},
    "slow-body": _COMMON | {"seconds"},
    "stale": _COMMON | {"seconds", "changes"},
    "quota": {"kind", *_QUOTAS},
    "chaos": _COMMON | {"seed", "rate", "late", "retryAfter", "latency"},
    "run": {"kind", "run", "subject", "times", "skip", "exitCode", "problem"},
}


def parse(rules: object) -> list[Rule]:
    """Rules from JSON: a list of objects; defaults in parentheses.

    `kind`, `times` (1; null: always; a chaos always), `skip` (0: how many hits to let pass first). Rules for requests:
    `method` (*) and `path` (any). For answers `status` (503), `code`, `message`, `retryAfter` in seconds. For `delay`
    `seconds`, or `latency` with `low` and `high` or with `median` and `p99`, drawn by `seed` (0). For `slow-body`
    `seconds`. For `stale` `seconds` or `changes`: how long ago the answer was true, counted from the installation of
    the rule at most; only reads are stale. For `quota` `pools` and `activeJobsAndSchedules`: how many the account has
    room for while the rule is in force. For `chaos` `seed`, `rate` (0.1), `late` (0.2), `retryAfter` (1), `latency`.
    For `run` which `run` (start; preparation, release, task), its `subject` (any; a regular expression on
    `pool/node:subject` in lower case, the subject being pool/node, job/pool/node or job/task), and `exitCode` (1) or
    `problem`, a failure code such as CommandProgramNotFound.
    """
    if not isinstance(rules, list):
        raise BadRule("a list of rules is expected")
    return [_parse_one(rule) for rule in rules]


def _parse_one(rule: object) -> Rule:
    if not isinstance(rule, dict) or rule.get("kind") not in KINDS:
        raise BadRule(f"a rule is an object whose kind is one of {', '.join(KINDS)}")
    known = _KNOWN[rule["kind"]]
    if not set(rule) <= known:
        raise BadRule(f"a rule of kind {rule['kind']} has some of {', '.join(sorted(known))}")
    try:
        return _read(rule)
    except (TypeError, ValueError, OverflowError, re.error) as error:
        raise BadRule(str(error)) from error


def _read(rule: dict[str, Any]) -> Rule:
    kind = rule["kind"]
    times = rule.get("times", None if kind == "chaos" else 1)
    latency = None if rule.get("latency") is None else _latency(rule["latency"])
    problem = None if rule.get("problem") is None else str(rule["problem"])
    if rule.get("run", "start") not in RUNS:
        raise ValueError(f"run is one of {', '.join(RUNS)}")
    return Rule(
        trouble=_trouble(kind, rule),
        method=str(rule.get("method", "*")).upper(),
        path=re.compile(str(rule.get("subject" if kind == "run" else "path", ""))),
        left=None if times is None else _count(times),
        skip=_count(rule.get("skip", 0)),
        latency=latency,
        chaos=_chaos(rule, latency),
        run=str(rule.get("run", "start")),
        exit_code=None if problem is not None else int(rule.get("exitCode", 1)),
        problem=problem,
        quotas={_QUOTAS[name]: _count(value) for name, value in rule.items() if name in _QUOTAS},
    )


def _trouble(kind: str, rule: dict[str, Any]) -> Trouble:
    status, seconds = int(rule.get("status", 503)), _not_negative(rule.get("seconds", 0.0))
    if not 200 <= status <= 599:
        raise ValueError("status is between 200 and 599")
    return Trouble(
        kind=kind,
        delay=seconds if kind == "delay" else 0.0,
        status=status,
        code=str(rule.get("code", _DEFAULT_CODES.get(status, "InternalError"))),
        message=str(rule.get("message", MESSAGE)),
        retry_after=None if rule.get("retryAfter") is None else _not_negative(rule["retryAfter"]),
        seconds=seconds,
        changes=None if rule.get("changes") is None else _count(rule["changes"]),
    )


def _chaos(rule: dict[str, Any], latency: Latency | None) -> Chaos:
    plain = Chaos(int(rule.get("seed", 0)))
    rate, late = float(rule.get("rate", plain.rate)), float(rule.get("late", plain.late))
    if not (0.0 <= rate <= 1.0 and 0.0 <= late <= 1.0):
        raise ValueError("rate and late are between 0 and 1")
    retry_after = _not_negative(rule.get("retryAfter", plain.retry_after) or 0.0)
    return replace(plain, rate=rate, late=late, retry_after=retry_after, latency=latency or plain.latency)


def _latency(values: object) -> Latency:
    names = {one.name for one in fields(Latency)}
    if not isinstance(values, dict) or set(values) not in ({"low", "high"}, {"median", "p99"}):
        raise ValueError(f"latency is an object with low and high, or with median and p99, of {', '.join(names)}")
    made = Latency(**{name: float(value) for name, value in values.items()})
    if not (0.0 <= made.low <= made.high and (0.0 < made.median <= made.p99 or "low" in values)):
        raise ValueError("latency: 0 <= low <= high, 0 < median <= p99")
    return made


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"a number of 0 or more is expected, not {value!r:.60}")
    return value


def _not_negative(value: Any) -> float:
    number = float(value)
    if not 0.0 <= number <= 1e9:
        raise ValueError("seconds are not negative")
    return number


class Faults:
    """The rules in force, in order; the first that does something to a request, or that hits a run, is applied."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def install(self, rules: Iterable[Rule]) -> None:
        self._rules = list(rules)

    @property
    def need_history(self) -> bool:
        """Whether an answer may have to be given from the past."""
        return any(rule.kind == "stale" for rule in self._rules)

    def limits(self, usual: Limits) -> Limits:
        """How much the account may hold: what is usual, but for the quotas asked for."""
        return replace(usual, **{name: most for rule in self._rules for name, most in rule.quotas.items()})

    def next(self, method: str, path: str) -> Trouble | None:
        for rule in self._rules:
            trouble = rule.next(method, path)
            if trouble is not None:
                return trouble
        return None

    def alter(self, run: Run, ended: Ended) -> Ended:
        """How a run that has ended is to be seen as having ended."""
        for rule in self._rules:
            altered = rule.alter(run, ended)
            if altered is not ended:
                return altered
        return ended


class RequestLog:
    """The last requests handled, numbered from 1, so that a test can assert what was and was not sent."""

    def __init__(self, most: int) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=most)
        self._count = 0

    def add(self, method: str, path: str, query: str, status: int, fault: str | None = None) -> None:
        self._count += 1
        entry = {"n": self._count, "method": method, "path": path, "query": query, "status": status, "fault": fault}
        self._entries.append(entry)

    def since(self, number: int) -> list[dict[str, Any]]:
        return [entry for entry in self._entries if entry["n"] > number]
