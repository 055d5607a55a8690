"""Which contract tests called which operation, what was answered, which states were seen: the table in VERIFIED.md.

Loaded by `conftest`. `RECONCILER_WRITE_VERIFIED=1 python -m pytest tests/contract -n 0` writes the table anew.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from azure.batch import models

from reconciler.emulator.routes import ROUTES

TABLE = Path(__file__).with_name("VERIFIED.md")
EVIDENCE = ("recorded", "documented", "openapi", "emulator_only")
# What stands in the table for a state that no contract test can see over HTTP.
ELSEWHERE = {
    ("BatchNodeState", "unknown"): "not here: the emulator never loses sight of a node",
    ("BatchNodeState", "upgradingos"): "not here: nodes have no operating system of their own",
}
_INTRODUCTION = """\
# Every operation and every state, and how each was verified

Written by the contract suite itself (`RECONCILER_WRITE_VERIFIED=1 python -m pytest tests/contract -n 0`), from the
requests it sends and the answers it receives over HTTP. No row was checked against a live account. What a test rests on
is its mark:

- **recorded**: a recorded answer of the real service; replays compare status, error code, headers and set of fields;
- **documented**: a documentation page, a docstring of the SDK, or what released clients were seen to send;
- **openapi**: the published OpenAPI document;
- **emulator_only**: no source decides; the emulator's own choice.

The figures are numbers of tests in which the operation was called and answered. Besides, every JSON body of api-version
2025-06-01 that any of them receives is checked against the models of the SDK, and against the OpenAPI document of
2024-07-01 with the changes of 2025-06-01 where it is at hand.
"""


class Ledger:
    """What one run of the suite has seen."""

    def __init__(self) -> None:
        self.test, self.mark = "", ""
        self._tests: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._answers: dict[str, set[tuple[int, str]]] = defaultdict(set)
        self._states: dict[tuple[str, str], set[str]] = defaultdict(set)

    def begin(self, test: str, mark: str) -> None:
        """What is noted from now on belongs to that test; an empty mark: to none."""
        self.test, self.mark = test, mark

    def answer(self, operation: str, status: int, code: str) -> None:
        if self.mark:
            self._tests[operation, self.mark].add(self.test)
            self._answers[operation].add((status, code))

    def states(self, seen: Iterable[tuple[str, str]]) -> None:
        if self.mark:
            for state in seen:
                self._states[state].add(self.mark)

    def table(self) -> str:
        lines = [
            _INTRODUCTION,
            "## Operations",
            "",
            "| operation | request | " + " | ".join(EVIDENCE) + " | answers seen |",
        ]
        lines.append("|---" * (len(EVIDENCE) + 3) + "|")
        lines += [self._operation(route) for route in ROUTES]
        lines += ["", "## States", "", "| state | value | seen by tests that rest on |", "|---|---|---|"]
        lines += [self._state(name, value) for name, value in all_states()]
        return "\n".join(lines) + "\n"

    def _operation(self, route: Any) -> str:
        counts = [str(len(self._tests[route.name, mark]) or "-") for mark in EVIDENCE]
        answers = sorted(self._answers[route.name])
        shown = ", ".join(f"{status} {code}".strip() for status, code in answers)
        return f"| `{route.name}` | {route.method} `{route.pattern}` | {' | '.join(counts)} | {shown} |"

    def _state(self, name: str, value: str) -> str:
        marks = [mark for mark in EVIDENCE if mark in self._states[name, value]]
        return f"| {name} | `{value}` | {', '.join(marks) or ELSEWHERE.get((name, value), '')} |"


def all_states() -> list[tuple[str, str]]:
    """Every value of every enumeration of states in the SDK."""
    kinds = [kind for name, kind in sorted(vars(models).items()) if name.endswith("State") and isinstance(kind, type)]
    return [(kind.__name__, str(one.value).lower()) for kind in kinds if issubclass(kind, enum.Enum) for one in kind]


def rows(table: str, heading: str) -> list[list[str]]:
    """The cells of every row of the table below that heading."""
    part = table.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[1:]]
