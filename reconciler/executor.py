"""Look, plan, act, and again, until the account equals the manifests: the loop behind `apply`.

Each pass looks at what is there and asks the plan what comes next. A worker returns an `Outcome`; no exception of one
object tears another's work down. Waiting is not failing, and a pass may be killed anywhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from reconciler.errors import BatchError, Missing, Moved, Transient
from reconciler.lifecycle.steps import Action, Context, Verb, Wait
from reconciler.model.desired import Desired, Key
from reconciler.observed import LiveJob, LivePool, NodeRun, Observed
from reconciler.plan import Entry, Plan, make_plan
from reconciler.ports import BatchReader, BatchWriter, Clock, Journal
from reconciler.reading import Reading, for_decisions, for_results, for_watching
from reconciler.status import Outcome, Progress, cannot_go_on, progress

FIRST_POLL: Final = 0.3
LONGEST_POLL: Final = 5.0
LOOKS_BEFORE_STOPPING: Final = 5
"""How often an object may meet a world that moved, or stray from the approved road, before it is given up."""
TRIES: Final = 6
LONGEST_BACK_OFF: Final = 60.0

T = TypeVar("T")


class End(StrEnum):
    """How a run ended."""

    SETTLED = "settled"  # as declared, work done
    IN_PROGRESS = "in progress"  # stopped while waiting; run again to go on
    BLOCKED = "blocked"  # a person must consent to something
    FAILED = "failed"  # a request was refused, or given up


@dataclass(frozen=True)
class Pass:
    """One look and the plan it led to."""

    plan: Plan
    observed: Observed
    progress: tuple[Progress, ...]


@dataclass(frozen=True)
class Result:
    """The end of a run. *failures* are by object; *waiting* says what it was waiting for; *worked* names the declared
    jobs that were not over when the run first saw them."""

    end: End
    last: Pass
    outcomes: tuple[Outcome, ...]
    failures: Mapping[Key, str]
    waiting: tuple[str, ...]
    worked: frozenset[Key]


class Events(Protocol):
    """Who wants to see what happens."""

    def passed(self, this: Pass) -> None:
        """A pass was planned; its actions come next."""

    def receipt(self, address: str, nodes: tuple[NodeRun, ...]) -> None:
        """A job is about to be deleted; this is what its nodes did."""

    def acted(self, outcome: Outcome) -> None:
        """An action was accepted or refused."""

    def retried(self, address: str, error: BatchError, seconds: float) -> None:
        """A request will be tried again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run behaves. *max_duration* is in seconds; *work*: wait for declared tasks to end."""

    parallelism: int = 10
    max_duration: float | None = None
    work: bool = True


@dataclass
class _Trouble:
    """What one object has met so far in this run."""

    tries: int = 0
    looks: int = 0
    not_before: float = 0.0
    failure: str | None = None


@dataclass
class Run:
    """One run of apply: the approved roads and what became of them."""

    reader: BatchReader
    writer: BatchWriter
    clock: Clock
    journal: Journal
    events: Events
    desired: Desired
    context: Context
    settings: Settings
    approved: dict[Key, tuple[Verb, ...]]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: list[Outcome] = field(default_factory=list)
    _worked: set[Key] = field(default_factory=set)
    _trouble: dict[Key, _Trouble] = field(default_factory=dict)

    async def converge(self) -> Result:
        """Run until settled, blocked, failed, stopped or out of time."""
        began = self.clock.now()
        poll = FIRST_POLL
        seen = ""
        while True:
            this = await self._pass()
            self.events.passed(this)
            ready = [] if self.stop.is_set() else list(self._ready(this.plan))
            if ready:
                poll = FIRST_POLL
                await self._execute(ready)
                continue
            waiting = self._waiting(this)
            left = self._time_left(began)
            if not waiting or self.stop.is_set() or left <= 0 or self._is_stuck(this, waiting):
                return self._result(this, waiting)
            look = str((waiting, [str(entry.step) for entry in this.plan.entries.values()]))
            poll = FIRST_POLL if look != seen else min(poll * 1.5, LONGEST_POLL)
            seen = look
            await self._rest(min(poll, left))

    async def _pass(self) -> Pass:
        observed = await self._patiently(
            lambda: look(self.reader, self.desired, self.context, watch=self.settings.work)
        )
        plan = make_plan(self.desired, observed, self.context)
        jobs = (key for key in self.desired.objects if key in observed.jobs)
        self._worked |= {key for key in jobs if observed.jobs[key].state != "completed"}
        return Pass(plan, observed, progress(self.desired, observed) if self.settings.work else ())

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Reading is tried again for a while: a service that is away for a minute ends no run."""
        for attempt in range(1, TRIES):
            try:
                return await read()
            except (Transient, Missing, Moved) as error:
                # Missing and Moved: an object went away between the list and the look at its details.
                seconds = _back_off(attempt, error)
                self.events.retried("the account", error, seconds)
                await self._rest(seconds)
                if self.stop.is_set():
                    raise
        return await read()

    def _ready(self, plan: Plan) -> Iterable[tuple[Entry, Action]]:
        now = self.clock.now()
        for entry, action in plan.ready():
            trouble = self._trouble.setdefault(entry.key, _Trouble())
            if trouble.failure is not None or trouble.not_before > now:
                continue
            if not _is_subsequence(entry.verbs, self.approved.get(entry.key, ())):
                self._off_road(entry, trouble)
                continue
            yield entry, action

    def _off_road(self, entry: Entry, trouble: _Trouble) -> None:
        """A fresh look asks for more than was approved: somebody changed the object since. It may be a stale answer,
        so it is looked at a few times before the object is stopped."""
        trouble.looks += 1
        trouble.not_before = self.clock.now() + FIRST_POLL
        if trouble.looks >= LOOKS_BEFORE_STOPPING:
            road = " -> ".join(entry.verbs)
            trouble.failure = f"it changed since the plan was approved and now needs: {road}; plan and apply again"

    async def _execute(self, ready: list[tuple[Entry, Action]]) -> None:
        gate = asyncio.Semaphore(self.settings.parallelism)

        async def one(entry: Entry, action: Action) -> None:
            async with gate:
                if not self.stop.is_set():
                    self._note(await self._act(entry, action))

        await asyncio.gather(*(one(entry, action) for entry, action in ready))

    async def _act(self, entry: Entry, action: Action) -> Outcome:
        if action.verb is Verb.DELETE and action.receipt is not None:
            self.journal.write("release-receipt", object=entry.address, nodes=[asdict(run) for run in action.receipt])
            self.events.receipt(entry.address, action.receipt)
        error: BatchError | None = None
        try:
            await self.writer.send(entry.key, entry.live.name if entry.live else _name(entry), action)
        except Missing as missing:
            error = None if action.verb is Verb.DELETE else missing
        except BatchError as refused:
            error = refused
        outcome = Outcome(entry.key, entry.address, action, error, self.clock.utc())
        self.journal.write(
            "action", object=entry.address, verb=action.verb, reason=action.reason, error=str(error) if error else None
        )
        return outcome

    def _note(self, outcome: Outcome) -> None:
        """What an outcome means for the object: go on, look again, back off, or leave it."""
        trouble = self._trouble[outcome.key]
        match outcome.error:
            case None:
                trouble.tries = trouble.looks = 0
                self.approved[outcome.key] = _after(self.approved[outcome.key], outcome.action.verb)
            case Moved() | Missing() as error:
                trouble.looks += 1
                trouble.not_before = self.clock.now() + FIRST_POLL * trouble.looks
                if trouble.looks >= LOOKS_BEFORE_STOPPING:
                    trouble.failure = str(error)
            case Transient() as error:
                trouble.tries += 1
                seconds = _back_off(trouble.tries, error)
                trouble.not_before = self.clock.now() + seconds
                if trouble.tries >= TRIES:
                    trouble.failure = str(error)
                else:
                    self.events.retried(outcome.address, error, seconds)
                    return
            case error:
                trouble.failure = str(error)
        self.outcomes.append(outcome)
        self.events.acted(outcome)

    def _waiting(self, this: Pass) -> tuple[str, ...]:
        """What the run is waiting for, in words; empty when nothing will change by itself."""
        lines = []
        for entry in this.plan.entries.values():
            trouble = self._trouble.get(entry.key, _Trouble())
            if trouble.failure is not None:
                continue
            if isinstance(entry.step, Wait):
                lines.append(f"{entry.address}: {entry.step}")
            elif isinstance(entry.step, Action) and trouble.not_before > 0 and not this.plan.waits_for(entry.key):
                lines.append(f"{entry.address}: try again to {entry.step.verb}")
        lines += (f"{job.address}: tasks {job.done} of {job.total} done" for job in this.progress if not job.is_over)
        return tuple(lines)

    def _is_stuck(self, this: Pass, waiting: tuple[str, ...]) -> bool:
        """Only the tasks of jobs are waited for, and none of them can run any more."""
        going_on = [job for job in this.progress if not job.is_over]
        only_tasks = 0 < len(going_on) == len(waiting)
        return only_tasks and all(cannot_go_on(self.desired, this.observed, job) for job in going_on)

    def _time_left(self, began: float) -> float:
        limit = self.settings.max_duration
        return float("inf") if limit is None else began + limit - self.clock.now()

    async def _rest(self, seconds: float) -> None:
        """Sleep, but wake at once when the run is asked to stop."""
        sleeper = asyncio.ensure_future(self.clock.sleep(seconds))
        stopper = asyncio.ensure_future(self.stop.wait())
        done, pending = await asyncio.wait({sleeper, stopper}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    def _result(self, this: Pass, waiting: tuple[str, ...]) -> Result:
        failures = {key: trouble.failure for key, trouble in self._trouble.items() if trouble.failure is not None}
        stuck = self._is_stuck(this, waiting)
        if failures:
            end = End.FAILED
        elif waiting and not stuck:
            end = End.IN_PROGRESS
        elif this.plan.blocked or stuck:
            end = End.BLOCKED
        else:
            end = End.IN_PROGRESS if this.plan.has_changes else End.SETTLED
        return Result(end, this, tuple(self.outcomes), failures, waiting, frozenset(self._worked))


def _name(entry: Entry) -> str:
    assert entry.wanted is not None
    return entry.wanted.name


def _back_off(tries: int, error: BatchError) -> float:
    """Seconds until the next try: what the service asked for, else doubling from one second."""
    asked = error.retry_after if isinstance(error, Transient) else None
    return asked if asked is not None else min(2.0 ** (tries - 1), LONGEST_BACK_OFF)


def _is_subsequence(fresh: tuple[Verb, ...], approved: tuple[Verb, ...]) -> bool:
    """Fewer effects than approved are fine, others are not."""
    rest = iter(approved)
    return all(any(verb == other for other in rest) for verb in fresh)


def _after(approved: tuple[Verb, ...], verb: Verb) -> tuple[Verb, ...]:
    """What is left of an approved road once *verb* was carried out."""
    return approved[approved.index(verb) + 1 :] if verb in approved else approved


async def look(reader: BatchReader, desired: Desired, context: Context, *, watch: bool) -> Observed:
    """A snapshot with all that decisions need; with *watch* also what the wait for tasks needs."""
    observed = await reader.observe()
    observed = await read_details(reader, observed, for_decisions(desired, observed, context))
    if watch:
        for _ in ("counts", "what the counts ask for"):
            observed = await read_details(reader, observed, for_watching(desired, observed))
    return observed


async def read_results(reader: BatchReader, observed: Observed, jobs: frozenset[Key]) -> Observed:
    """The snapshot with everything that a last account of these jobs shows."""
    for _ in ("counts", "what the counts ask for"):
        observed = await read_details(reader, observed, for_results(observed, jobs))
    return observed


async def read_details(reader: BatchReader, observed: Observed, reading: Reading) -> Observed:
    """The snapshot with what *reading* names, as far as it was not read yet; an object that is gone by now is left as
    the list had it."""

    async def job(key: Key) -> LiveJob:
        there = observed.jobs[key]
        try:
            if key in reading.counts and there.counts is None:
                there = replace(there, counts=await reader.task_counts(there))
            if key in reading.tasks and there.tasks is None:
                there = replace(there, tasks=await reader.tasks(there))
            if key in reading.runs and there.nodes is None:
                there = replace(there, nodes=await reader.node_runs(there))
        except Missing:
            return there
        return there

    async def pool(key: Key) -> LivePool:
        there = observed.pools[key]
        try:
            if there.node_ids is None:
                nodes = await reader.nodes(there)
                there = replace(there, node_ids=frozenset(node.id for node in nodes))
        except Missing:
            return there
        return there

    gate = asyncio.Semaphore(32)

    async def bounded(work: Awaitable[T]) -> T:
        async with gate:
            return await work

    keys = sorted((reading.counts | reading.tasks | reading.runs) & observed.jobs.keys())
    jobs = await asyncio.gather(*(bounded(job(key)) for key in keys))
    pools = await asyncio.gather(*(bounded(pool(key)) for key in sorted(reading.nodes & observed.pools.keys())))
    return replace(
        observed,
        jobs={**observed.jobs, **{there.key: there for there in jobs}},
        pools={**observed.pools, **{there.key: there for there in pools}},
    )
