"""Which tasks wait for which others: an index that `world` keeps as tasks come, change and go.

A task is blocked while one of the ids or ranges it names is not satisfied (M:BatchTaskDependencies); tasks that do not
exist yet count as not satisfied, because tasks may be added in any order. A range is cut into aligned blocks whose
sizes are powers of two, and every satisfied number is counted in each block around it: a range of a million ids costs
forty entries, a completed task costs as many counts as a number has bits, and nothing is ever scanned.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reconciler.emulator import exits
from reconciler.emulator.records import Job, Json, Task, fold

_BITS = 32
_PLAIN = re.compile(r"0|-?[1-9]\d{0,9}", re.ASCII)
_PADDED = re.compile(r"-?\d{1,10}", re.ASCII)


class Block(NamedTuple):
    """The numbers whose bits above *level* are *prefix*: 2**level of them."""

    level: int
    prefix: int


def cover(start: int, end: int) -> Iterator[Block]:
    """The fewest blocks that make up the numbers from *start* to *end*, both included."""
    while start <= end:
        aligned = (start & -start).bit_length() - 1 if start else _BITS
        level = min(aligned, (end - start + 1).bit_length() - 1)
        yield Block(level, start >> level)
        start += 1 << level


def check(depends_on: Json, most_characters: int) -> str | None:
    """The code of the refusal if the list of ids is too long (M:BatchTaskDependencies.taskIds)."""
    length = sum(len(one) for one in depends_on.get("taskIds", []))
    return "TaskDependencyListTooLong" if length > most_characters else None


class _OfJob:
    """The dependencies between the tasks of one job. Wants are folded ids and blocks of numbers."""

    def __init__(self, padded: bool) -> None:
        self._number = _PADDED if padded else _PLAIN
        self.satisfied: Counter[str | int] = Counter()
        """Ids, and numbers, by how many tasks satisfy them: `4` and `004` may be the same number."""
        self._counts: Counter[Block] = Counter()
        self._dependants: dict[str | Block, dict[str, None]] = {}
        self._wants: dict[str, list[str | Block]] = {}
        self._unmet: dict[str, int] = {}

    def add_dependant(self, key: str, depends_on: Json) -> None:
        ids = dict.fromkeys(fold(one) for one in depends_on.get("taskIds", []))
        ranges = [block for one in depends_on.get("taskIdRanges", []) for block in cover(one["start"], one["end"])]
        self._wants[key] = [*ids, *dict.fromkeys(ranges)]
        for want in self._wants[key]:
            self._dependants.setdefault(want, {})[key] = None
        self._unmet[key] = sum(not self._is_met(want) for want in self._wants[key])

    def remove_dependant(self, key: str) -> None:
        self._unmet.pop(key, None)
        for want in self._wants.pop(key, []):
            self._dependants[want].pop(key, None)
            if not self._dependants[want]:
                del self._dependants[want]

    def is_blocked(self, key: str) -> bool:
        return self._unmet.get(key, 0) > 0

    def is_wanted(self, task_id: str) -> bool:
        """Whether a task that depends on that id is in the job."""
        return any(want in self._dependants for want in self._around(task_id))

    def _is_met(self, want: str | Block) -> bool:
        if isinstance(want, Block):
            return self._counts[want] == 1 << want.level
        return self.satisfied[want] > 0

    def _around(self, task_id: str) -> Iterable[str | Block]:
        yield fold(task_id)
        number = self._as_number(task_id)
        if number is not None:
            yield from (Block(level, number >> level) for level in range(_BITS))

    def _as_number(self, task_id: str) -> int | None:
        return int(task_id) if self._number.fullmatch(task_id) else None

    def change(self, task_id: str, by: int) -> list[str]:
        """A task begins (*by* 1) or ceases (-1) to satisfy: the keys of dependants that may be blocked no more, or are
        blocked again."""
        changed = self._turn(fold(task_id), fold(task_id), by)
        number = self._as_number(task_id)
        if number is None:
            return changed
        before = self.satisfied[number]
        self.satisfied[number] += by
        if before and self.satisfied[number]:
            return changed
        for level in range(_BITS):
            block = Block(level, number >> level)
            was_met = self._is_met(block)
            self._counts[block] += by
            changed += self._tell(block, was_met)
        return changed

    def _turn(self, name: str, want: str, by: int) -> list[str]:
        was_met = self._is_met(want)
        self.satisfied[name] += by
        return self._tell(want, was_met)

    def _tell(self, want: str | Block, was_met: bool) -> list[str]:
        is_met = self._is_met(want)
        if was_met == is_met:
            return []
        changed = []
        for key in self._dependants.get(want, ()):
            self._unmet[key] += -1 if is_met else 1
            if self._unmet[key] == (0 if is_met else 1):
                changed.append(key)
        return changed


class Dependencies:
    """The dependencies of all jobs that use them."""

    def __init__(self, *, padded: bool) -> None:
        self._padded = padded
        self._jobs: dict[str, _OfJob] = {}
        self._satisfying: set[str] = set()

    def open(self, job: Job) -> None:
        """Watch the tasks of this job if it uses dependencies. Deleted tasks that had satisfied others still do."""
        if job.spec.get("usesTaskDependencies"):
            self._jobs[job.key] = _OfJob(self._padded)
            for task_id in job.satisfied:
                self._jobs[job.key].change(task_id, 1)

    def close(self, job: Job) -> None:
        self._jobs.pop(job.key, None)

    def enter(self, task: Task) -> None:
        """A task is new: what it waits for is looked up once."""
        of_job = self._jobs.get(task.job)
        if of_job is not None and "dependsOn" in task.spec:
            of_job.add_dependant(task.key, task.spec["dependsOn"])

    def look(self, task: Task) -> list[str]:
        """The state of a task may have changed: keys of the tasks for which that decides whether they are blocked."""
        return self._set(task, exits.satisfies(task)) if task.job in self._jobs else []

    def leave(self, task: Task) -> list[str]:
        """A task is gone."""
        of_job = self._jobs.get(task.job)
        if of_job is None:
            return []
        of_job.remove_dependant(task.key)
        return self._set(task, False)

    def _set(self, task: Task, satisfies: bool) -> list[str]:
        if satisfies == (task.key in self._satisfying):
            return []
        (self._satisfying.add if satisfies else self._satisfying.discard)(task.key)
        return self._jobs[task.job].change(task.id, 1 if satisfies else -1)

    def keep(self, job: Job, task_id: str) -> list[str]:
        """A task that satisfied others is about to be deleted: go on as if it were there."""
        job.satisfied.append(task_id)
        return self._jobs[job.key].change(task_id, 1)

    def unkeep(self, job: Job, task_id: str) -> list[str]:
        """A task of that id is added anew: from now on it counts, not the deleted one."""
        kept = [one for one in job.satisfied if fold(one) == fold(task_id)]
        job.satisfied = [one for one in job.satisfied if one not in kept]
        return [key for one in kept for key in self._jobs[job.key].change(one, -1)]

    def is_blocked(self, task: Task) -> bool:
        of_job = self._jobs.get(task.job)
        return of_job is not None and of_job.is_blocked(task.key)

    def is_wanted(self, task: Task) -> bool:
        """Whether others depend on this task and it satisfies them."""
        of_job = self._jobs.get(task.job)
        return of_job is not None and task.key in self._satisfying and of_job.is_wanted(task.id)
