"""One status, arranged once for every page that shows it: rows in order, counts, and what hangs below what."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Final

import orjson

from reconciler.controller.state import StackStatus
from reconciler.lifecycle.steps import Action, Blocked, Done, Wait
from reconciler.lifecycle.wording import counted
from reconciler.model.desired import Key, Kind
from reconciler.model.secrecy import without_keys
from reconciler.observed import Live, LiveJob, LivePool, LiveSchedule, TaskCounts
from reconciler.planning import Entry
from reconciler.render.text import kind_of_change, step_text, summary
from reconciler.status import Health, Sync, health, sync

_URGENT: Final = (Sync.BLOCKED, Health.DEGRADED, Sync.OUT_OF_SYNC, Health.MISSING, Health.PROGRESSING)
"""What a person wants to see first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One object as lists show it. *sync* is None for a job that its schedule made, which no manifest names; *health*
    None for a run that ended and was removed. *words*: what happens to it, or why nothing does."""

    key: Key
    address: str
    name: str
    sync: Sync | None
    health: Health | None
    words: str
    state: str
    problems: tuple[str, ...] = ()
    counts: TaskCounts | None = None
    pool: Key | None = None
    parent: Key | None = None
    drift: bool = False
    suspended: bool = False
    later: str = ""
    held: str = ""

    @property
    def urgency(self) -> int:
        ranks = [rank for rank, what in enumerate(_URGENT) if what in (self.sync, self.health)]
        return min(ranks, default=len(_URGENT))


class Index:
    """What the pages need of a status. Built when its plan or snapshot is new; requests only look things up."""

    def __init__(self, status: StackStatus) -> None:
        self.plan, self.observed = status.plan, status.observed
        self._suspensions, self._not_before, self._held = status.suspensions, status.not_before, status.held
        self._suspended = {one.address for one in status.suspensions}
        entries = self.plan.entries.values() if self.plan is not None else ()
        rows = [self._row(entry) for entry in entries]
        rows += self._children({row.key for row in rows})
        rows.sort(key=lambda row: (row.urgency, row.key))
        self.rows: tuple[Row, ...] = tuple(rows)
        self.by_key: Mapping[Key, Row] = {row.key: row for row in rows}
        self.syncs = Counter(row.sync for row in rows if row.sync is not None)
        self.healths = Counter(row.health for row in rows if row.health is not None)
        self.kinds = Counter(row.key.kind for row in rows)
        self.on_pool: dict[Key | None, list[Row]] = {}
        self.of_schedule: dict[Key, list[Row]] = {}
        for row in rows:
            if row.parent is not None:
                self.of_schedule.setdefault(row.parent, []).append(row)
            elif row.key.kind is not Kind.POOL:
                self.on_pool.setdefault(row.pool, []).append(row)
        self._texts = [f"{row.address} {row.state} {row.words} {' '.join(row.problems)}".lower() for row in rows]

    def is_of(self, status: StackStatus) -> bool:
        """Whether it still stands for *status*."""
        return (
            self.plan is status.plan
            and self.observed is status.observed
            and self._suspensions == status.suspensions
            and self._not_before == status.not_before
            and self._held == status.held
        )

    def find(
        self, text: str, *, kind: Kind | None, in_sync: Sync | None, doing: Health | None, pool: Key | None
    ) -> list[Row]:
        """Rows that hold every word of *text*, and are as asked; the urgent ones first."""
        words = text.lower().split()
        return [
            row
            for row, haystack in zip(self.rows, self._texts, strict=True)
            if (kind is None or row.key.kind is kind)
            and (in_sync is None or row.sync is in_sync)
            and (doing is None or row.health is doing)
            and (pool is None or row.pool == pool)
            and all(word in haystack for word in words)
        ]

    @cached_property
    def summary(self) -> str:
        """The plan's line."""
        return summary(self.plan) if self.plan is not None else ""

    @cached_property
    def digest(self) -> str:
        return self.plan.digest if self.plan is not None else ""

    @cached_property
    def changed(self) -> tuple[Entry, ...]:
        """Entries with actions: drift first, and a pool that goes after its jobs, as `plan` prints them."""
        entries = [entry for entry in self._entries if entry.actions]
        return tuple(
            sorted(entries, key=lambda entry: (not entry.drift, entry.removes and entry.key.kind is Kind.POOL))
        )

    @cached_property
    def changes(self) -> Counter[str]:
        """How many are added, changed, ended, replaced."""
        return Counter(kind_of_change(entry) for entry in self.changed)

    @cached_property
    def blocked(self) -> tuple[tuple[Entry, Blocked], ...]:
        """Entries that need a person, with the consent that they need."""
        return tuple((entry, entry.blocked) for entry in self._entries if entry.blocked is not None)

    @cached_property
    def waiting(self) -> tuple[tuple[Entry, Wait], ...]:
        """Entries that only wait."""
        return tuple(
            (entry, entry.step) for entry in self._entries if isinstance(entry.step, Wait) and not entry.actions
        )

    @cached_property
    def notes(self) -> tuple[tuple[Entry, str], ...]:
        return tuple((entry, note) for entry in self._entries for note in entry.notes)

    @cached_property
    def degraded(self) -> tuple[Row, ...]:
        """Rows with something that a person should look at."""
        return tuple(row for row in self.rows if row.problems)

    @cached_property
    def tasks(self) -> TaskCounts | None:
        """Tasks of all jobs that were counted; None when none was."""
        counted = [row.counts for row in self.rows if row.counts is not None]
        if not counted:
            return None
        return TaskCounts(
            sum(one.active for one in counted),
            sum(one.running for one in counted),
            sum(one.succeeded for one in counted),
            sum(one.failed for one in counted),
        )

    @cached_property
    def document(self) -> bytes:
        """The rows as a JSON list, by address."""
        return orjson.dumps([_document_of(row) for row in sorted(self.rows, key=lambda row: row.key)])

    @property
    def _entries(self) -> tuple[Entry, ...]:
        return tuple(self.plan.entries.values()) if self.plan is not None else ()

    def _row(self, entry: Entry) -> Row:
        live = self.observed.get(entry.key) if self.observed is not None else entry.live
        doing, problems = health(live)
        is_past = live is None and isinstance(entry.step, Done)
        wanted_pool = _wanted_pool(entry)
        later = self._not_before.get(entry.address)
        return Row(
            entry.key,
            entry.address,
            entry.address.partition("/")[2],
            sync(entry),
            None if is_past else doing,
            _words(entry),
            state_of(live),
            problems,
            counts_of(live),
            (live.pool if isinstance(live, LiveJob | LiveSchedule) else None) or wanted_pool,
            entry.parent,
            entry.drift,
            entry.address in self._suspended,
            f"tried again at {later[0]}: {later[1]}" if later else "",
            self._held.get(entry.address, ""),
        )

    def _children(self, known: set[Key]) -> Iterator[Row]:
        """Jobs that schedules of ours made and that nothing happens to."""
        for schedule in self.observed.schedules.values() if self.observed is not None else ():
            if schedule.key not in known:
                continue
            for job in schedule.children:
                if job.key not in known:
                    doing, problems = health(job)
                    words = f"made by {schedule.address}"
                    row = Row(job.key, job.address, job.name, None, doing, words, state_of(job), problems)
                    yield replace(row, counts=counts_of(job), pool=job.pool, parent=schedule.key)


def _wanted_pool(entry: Entry) -> Key | None:
    if entry.wanted is None or entry.key.kind is Kind.POOL:
        return None
    spec = entry.wanted.spec.get("jobSpecification", entry.wanted.spec)
    named = (spec.get("poolInfo") or {}).get("poolId")
    return Key.of(Kind.POOL, named) if named else None


def _words(entry: Entry) -> str:
    match entry.blocked or entry.step:
        case Blocked() as blocked:
            return f"blocked: {blocked}"
        case Wait() as wait:
            return str(wait)
        case Action() as action:
            return f"{step_text(action)}: {action.reason}" if action.reason else step_text(action)
        case done:
            return done.reason


def _document_of(row: Row) -> dict[str, Any]:
    return {
        "address": row.address,
        "sync": row.sync,
        "health": row.health,
        "state": row.state,
        "step": without_keys(row.words),
        "held": without_keys(row.held),
        "drift": row.drift,
        "suspended": row.suspended,
        "problems": [without_keys(text) for text in row.problems],
        "tasks": asdict(row.counts) if row.counts is not None else None,
    }


def counts_of(live: Live | None) -> TaskCounts | None:
    """Tasks by state as far as they were read."""
    if not isinstance(live, LiveJob):
        return None
    if live.counts is not None or live.tasks is None:
        return live.counts
    over = [task for task in live.tasks.values() if task.is_over]
    failed = sum(task.failed for task in over)
    running = sum(task.runs for task in live.tasks.values())
    return TaskCounts(len(live.tasks) - len(over) - running, running, len(over) - failed, failed)


def state_of(live: Live | None) -> str:
    """What the service says of an object, in a few words."""
    match live:
        case None:
            return "absent"
        case LivePool() as pool:
            nodes = ", ".join(f"{count} {state}" for state, count in sorted((pool.nodes or {}).items()))
            return f"{pool.state}, {pool.allocation}, {nodes or ('no nodes' if pool.nodes is not None else 'unread')}"
        case LiveSchedule() as schedule:
            unfinished = f", {len(schedule.unfinished)} unfinished" if schedule.unfinished else ""
            return f"{schedule.state}, {counted(len(schedule.children), 'job')}{unfinished}"
    return live.state
