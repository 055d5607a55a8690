"""Look, plan, act, and again, until the account equals the manifests: the loop behind `apply`.

Each pass looks at what is there and asks the plan what comes next. A worker returns an `Outcome`; no exception of one
object tears another's work down. Waiting is not failing, and a pass may be killed anywhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from reconciler.errors import BatchError, Denied, Missing, Moved, Rejected, StoreError, Transient
from reconciler.lifecycle.steps import HARMLESS, NODE_VERBS, Action, Context, Verb, Wait
from reconciler.model.desired import Desired, Key, Kind
from reconciler.observed import LiveJob, LivePool, NodeRun, Observed
from reconciler.plan import Entry, Plan, make_plan
from reconciler.ports import BatchReader, BatchWriter, Clock, Journal, StateStore
from reconciler.reading import Reading, for_decisions, for_results, for_watching
from reconciler.status import Outcome, Progress, cannot_go_on, progress

FIRST_POLL: Final = 0.3
LONGEST_POLL: Final = 5.0
PATIENCE: Final = 15.0
"""Seconds for which an object may meet a world that moved, or stray from the approved road (lists may be stale)."""
TRIES: Final = 6
LONGEST_BACK_OFF: Final = 60.0
LONGEST_RETRY_AFTER: Final = 300.0
ROOM_POLL: Final = 1.0
QUOTAS: Final = {
    "ActiveJobAndScheduleQuotaReached": frozenset({Kind.JOB, Kind.JOB_SCHEDULE}),
    "PoolQuotaReached": frozenset({Kind.POOL}),
}
"""Refusals for want of room in the account, and what counts there (REST reference, error codes)."""

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
    """The end of a run. *stopped* says what cut it short ("interrupted", "out of time"), empty when nothing did;
    *failures* are by object; *waiting* says what it was waiting for; *stuck* which jobs cannot go on, and why; *worked*
    names the declared jobs that were not over when the run first saw them."""

    end: End
    last: Pass
    outcomes: tuple[Outcome, ...]
    failures: Mapping[Key, str]
    waiting: tuple[str, ...]
    worked: frozenset[Key]
    stopped: str
    stuck: Mapping[str, str]


class Events(Protocol):
    """Who wants to see what happens."""

    def passed(self, this: Pass) -> None:
        """A pass was planned; its actions come next."""

    def receipt(self, address: str, nodes: tuple[NodeRun, ...]) -> None:
        """A job is about to be deleted; this is what its nodes did."""

    def acted(self, outcome: Outcome) -> None:
        """An action was accepted."""

    def retried(self, address: str, error: BatchError, seconds: float) -> None:
        """A request will be tried again."""

    def gave_up(self, address: str, why: str) -> None:
        """Nothing more is done for an object in this run."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person agreed to for one object: what is left of its road, for which incarnation, with which changes.

    *born* None: it was not there, or we created it since; the incarnation seen next is ours. *blocked*: a person was to
    act first.
    """

    verbs: tuple[Verb, ...]
    born: str | None
    changes: frozenset[tuple[str, str]]
    shrinks: bool
    on_nodes: frozenset[Verb] = frozenset()
    blocked: bool = False

    @classmethod
    def of(cls, entry: Entry) -> "Approval":
        born = entry.live.guard.born if entry.live else None
        blocked = entry.blocked is not None
        return cls(_approved_order(entry), born, _effects(entry), entry.shrinks, _on_nodes(entry), blocked)

    def covers(self, entry: Entry) -> bool:
        """Whether a fresh road of the object asks for nothing else: fewer effects are fine, others are not."""
        same = self.born is None or entry.live is None or entry.live.guard.born == self.born
        rest = iter(self.verbs)
        if entry.shrinks and not self.shrinks:  # the same target can be more nodes than there were, or fewer
            return False
        if not frozenset(entry.verbs) & NODE_VERBS - HARMLESS <= self.on_nodes:
            return False
        return same and all(verb in rest for verb in _in_order(entry)) and _effects(entry) <= self.changes

    def after(self, verb: Verb) -> "Approval":
        """What is left once *verb* was carried out."""
        left = self.verbs[self.verbs.index(verb) + 1 :] if verb in self.verbs else self.verbs
        return replace(self, verbs=left, born=None if verb is Verb.CREATE else self.born)


def _in_order(entry: Entry) -> tuple[Verb, ...]:
    """The verbs whose order and number were approved."""
    return tuple(verb for verb in entry.verbs if verb not in NODE_VERBS)


def _approved_order(entry: Entry) -> tuple[Verb, ...]:
    """Nodes that were to be taken by name may be left to the service: no job can lose a release any more by then."""
    first = entry.verbs.index(Verb.REMOVE_NODES) if Verb.REMOVE_NODES in entry.verbs else None
    verbs = (Verb.RESIZE if at == first else verb for at, verb in enumerate(entry.verbs))
    return tuple(verb for verb in verbs if verb not in NODE_VERBS)


def _on_nodes(entry: Entry) -> frozenset[Verb]:
    """What is done to single nodes; in how many turns depends on them. Nodes that were to be left to the service may
    be taken by name: a job has come that could lose a release."""
    by_name = {Verb.REMOVE_NODES} if entry.shrinks and Verb.RESIZE in entry.verbs else set()
    return frozenset(entry.verbs) & NODE_VERBS | by_name


def _effects(entry: Entry) -> frozenset[tuple[str, str]]:
    return frozenset((change.name, str(change.new)) for change in entry.changes)


def approve(plan: Plan) -> dict[Key, Approval]:
    """The approval of everything that a plan shows."""
    return {key: Approval.of(entry) for key, entry in plan.entries.items()}


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run behaves. *max_duration* is in seconds; *work*: wait for declared tasks to end."""

    parallelism: int = 10
    max_duration: float | None = None
    work: bool = True


@dataclass
class _Trouble:
    """What one object has met so far in this run. *since* is when its present trouble began, None without one."""

    tries: int = 0
    since: float | None = None
    verb: Verb | None = None
    not_before: float = 0.0
    failure: str | None = None


@dataclass
class Run:
    """One run of apply: the approved roads and what became of them."""

    reader: BatchReader
    writer: BatchWriter
    clock: Clock
    journal: Journal
    store: StateStore
    events: Events
    desired: Desired
    context: Context
    settings: Settings
    approved: dict[Key, Approval]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: list[Outcome] = field(default_factory=list)
    _worked: set[Key] = field(default_factory=set)
    _deadline: float = float("inf")
    _last: Pass | None = None
    _trouble: dict[Key, _Trouble] = field(default_factory=dict)
    _left: dict[Key, str] = field(default_factory=dict)

    async def converge(self) -> Result:
        """Run until settled, blocked, failed, stopped or out of time."""
        limit = self.settings.max_duration
        self._deadline = float("inf") if limit is None else self.clock.now() + limit
        poll = FIRST_POLL
        seen = ""
        while True:
            try:
                this = self._last = await self._pass()
            except BatchError:
                if self._last is None or not self._stopped():
                    raise
                return self._result(self._last, self._waiting(self._last))  # cut short while the account was away
            self._forget_old_troubles(this.plan)
            self.events.passed(this)
            ready = [] if self._stopped() else list(self._ready(this.plan))
            if ready:
                poll = FIRST_POLL
                await self._execute(ready)
                continue
            waiting = self._waiting(this)
            if not waiting or self._stopped() or self._stuck(this, waiting):
                return self._result(this, waiting)
            look = str((waiting, [str(entry.step) for entry in this.plan.entries.values()]))
            poll = FIRST_POLL if look != seen else min(poll * 1.5, LONGEST_POLL)
            seen = look
            await self._rest(poll)

    def _forget_old_troubles(self, plan: Plan) -> None:
        """Patience is with one request: an object that has come further, or waits, starts anew."""
        for key, trouble in self._trouble.items():
            step = plan.entries[key].step if key in plan.entries else None
            verb = step.verb if isinstance(step, Action) else None
            if verb is not trouble.verb:
                trouble.since, trouble.verb = None, verb

    def _stopped(self) -> str:
        """Why no further request may be sent; empty while one may."""
        if self.stop.is_set():
            return "interrupted"
        return "out of time" if self.clock.now() >= self._deadline else ""

    async def _pass(self) -> Pass:
        observed = await self._patiently(
            lambda: look(self.reader, self.desired, self.context, watch=self.settings.work)
        )
        # After the account: a run is written down before its job is removed, so one that was seen to be gone is known.
        self.context = replace(self.context, ledger=await self.store.ledger())
        plan = make_plan(self.desired, observed, self.context)
        jobs = (key for key in self.desired.objects if key in observed.jobs)
        self._worked |= {key for key in jobs if observed.jobs[key].state != "completed"}
        return Pass(plan, observed, self._progress(plan, observed))

    def _progress(self, plan: Plan, observed: Observed) -> tuple[Progress, ...]:
        """Work to wait for: of jobs that are ours, and that nothing keeps from getting what they need."""
        if not self.settings.work:
            return ()
        hopeless = {key for key, trouble in self._trouble.items() if trouble.failure is not None}
        hopeless |= {key for key, entry in plan.entries.items() if entry.blocked is not None}
        jobs = (key for key in self.desired.objects if key not in hopeless)
        return progress(self.desired, observed, jobs)

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
                if self._stopped():
                    raise
        return await read()

    def _ready(self, plan: Plan) -> Iterable[tuple[Entry, Action]]:
        now = self.clock.now()
        self._left = {}
        # What ends makes room in the account's quotas: it is asked for before what needs some.
        for entry, action in sorted(plan.ready(), key=lambda step: step[1].verb is Verb.CREATE):
            trouble = self._trouble.setdefault(entry.key, _Trouble())
            if trouble.failure is not None or trouble.not_before > now:
                continue
            approval = self._approval(entry)
            if approval is not None and entry.live is None:
                # Gone: the incarnation that was shown has ended, and what a lost create may leave is ours.
                approval = self.approved[entry.key] = replace(approval, born=None)
            if approval is None or not approval.covers(entry):
                if not self._leave(entry, approval):
                    self._off_road(entry)
                continue
            if approval.born is None and entry.live is not None:
                self.approved[entry.key] = replace(approval, born=entry.live.guard.born)
            yield entry, action

    def _approval(self, entry: Entry) -> Approval | None:
        """Jobs that a schedule made since the plan was approved go with it: its removal names all of them."""
        if entry.key not in self.approved and entry.parent is not None and entry.live is not None:
            schedule = self.approved.get(entry.parent)
            if schedule is not None and Verb.DELETE in schedule.verbs:
                self.approved[entry.key] = Approval.of(entry)
        return self.approved.get(entry.key)

    def _leave(self, entry: Entry, approval: Approval | None) -> bool:
        """Whether what came up meanwhile is for the next plan, and nobody's mistake: a job of a schedule has ended, and
        the history has one too many; what kept an object is over."""
        if approval is None and entry.parent is not None:
            return True
        if approval is None or not approval.blocked:
            return False
        road = " -> ".join(entry.verbs)
        self._left[entry.key] = f"{entry.address} was blocked when the plan was approved, and now needs: {road}"
        return True

    def _off_road(self, entry: Entry) -> None:
        """A fresh look asks for more than was approved: somebody changed the object since. It may be a stale answer,
        so it is looked at for a while before the object is stopped."""
        road = " -> ".join(entry.verbs)
        self._lose_patience(
            entry.key,
            entry.address,
            f"it changed since the plan was approved and now needs: {road}; plan and apply again",
        )

    def _lose_patience(self, key: Key, address: str, why: str) -> None:
        """Look again soon; give the object up when it has been like this for too long."""
        trouble = self._trouble[key]
        now = self.clock.now()
        trouble.since = now if trouble.since is None else trouble.since
        trouble.not_before = now + min(max(FIRST_POLL, (now - trouble.since) / 2), LONGEST_POLL)
        if now - trouble.since >= PATIENCE:
            self._give_up(key, address, why)

    def _give_up(self, key: Key, address: str, why: str) -> None:
        self._trouble[key].failure = why
        self.events.gave_up(address, why)

    async def _execute(self, ready: list[tuple[Entry, Action]]) -> None:
        gate = asyncio.Semaphore(self.settings.parallelism)

        async def one(entry: Entry, action: Action) -> None:
            async with gate:
                if not self._stopped():
                    self._note(await self._act(entry, action))

        await asyncio.gather(*(one(entry, action) for entry, action in ready))

    async def _act(self, entry: Entry, action: Action) -> Outcome:
        error: BatchError | None = None
        try:
            await self._write_down(entry, action)
            if action.verb is Verb.FORGET:
                await self.store.forget(entry.key)
            else:
                await self.writer.send(entry.key, entry.live.name if entry.live else _name(entry), action)
        except Missing as missing:
            error = None if action.verb is Verb.DELETE else missing
        except BatchError as refused:
            error = refused
        except (OSError, StoreError) as broken:
            error = Rejected(f"write down what becomes of {entry.address}", str(broken))
        said = str(error) if error else None
        try:
            self.journal.write("action", object=entry.address, verb=action.verb, reason=action.reason, error=said)
        except OSError as broken:
            error = error or Rejected(
                f"{action.verb} {entry.address} was done, but not written to the journal", str(broken)
            )
        return Outcome(entry.key, entry.address, action, error, self.clock.utc())

    async def _write_down(self, entry: Entry, action: Action) -> None:
        """What the request would erase is on the disk before it is sent."""
        if action.run is not None:
            await self.store.record(action.run)
        if action.verb is Verb.DELETE and action.receipt is not None:
            nodes = [asdict(run) for run in action.receipt]
            self.journal.write("release-receipt", object=entry.address, nodes=nodes)
            self.events.receipt(entry.address, action.receipt)

    def _note(self, outcome: Outcome) -> None:
        """What an outcome means for the object: go on, look again, back off, or leave it."""
        key, trouble = outcome.key, self._trouble[outcome.key]
        match outcome.error:
            case None:
                trouble.tries, trouble.since = 0, None
                self.approved[key] = self.approved[key].after(outcome.action.verb)
                self.outcomes.append(outcome)
                self.events.acted(outcome)
            case Moved() | Missing() as error:
                self._lose_patience(key, outcome.address, _said(outcome.action, error))
            case Denied(code=code) if code in QUOTAS and self._makes_room(key, code):
                trouble.not_before = self.clock.now() + ROOM_POLL
            case Transient() as error if trouble.tries + 1 < TRIES:
                trouble.tries += 1
                seconds = _back_off(trouble.tries, error)
                trouble.not_before = self.clock.now() + seconds
                self.events.retried(outcome.address, error, seconds)
            case error:
                self._give_up(key, outcome.address, _said(outcome.action, error))

    def _makes_room(self, key: Key, code: str) -> bool:
        """Whether something of ours is on its way to its end that counts in the quota which was reached."""
        assert self._last is not None
        return any(
            entry.key != key and entry.key.kind in QUOTAS[code] and self._is_ending(entry)
            for entry in self._last.plan.entries.values()
        )

    def _is_ending(self, entry: Entry) -> bool:
        trouble, approval = self._trouble.get(entry.key), self._approval(entry)
        if entry.blocked or (trouble is not None and trouble.failure is not None):
            return False
        if isinstance(entry.step, Wait) and entry.live is not None and entry.live.state in ("terminating", "deleting"):
            return True
        ends = not {Verb.TERMINATE, Verb.DELETE}.isdisjoint(entry.verbs)
        return ends and approval is not None and entry.key not in self._left

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

    def _stuck(self, this: Pass, waiting: tuple[str, ...]) -> dict[str, str]:
        """Why the tasks that are waited for cannot run, by job; empty unless they are all that is waited for and none
        of them can."""
        going_on = [job for job in this.progress if not job.is_over]
        if len(going_on) < len(waiting):
            return {}
        reasons = {job.address: cannot_go_on(this.observed, job) for job in going_on}
        return reasons if all(reasons.values()) else {}

    async def _rest(self, seconds: float) -> None:
        """Sleep, but not beyond the time limit, and wake at once when the run is asked to stop."""
        seconds = max(0.0, min(seconds, self._deadline - self.clock.now()))
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
        stuck = self._stuck(this, waiting)
        stopped = self._stopped() if waiting or this.plan.has_changes else ""
        if failures:
            end = End.FAILED
        elif stopped or (waiting and not stuck):
            end = End.IN_PROGRESS
        elif this.plan.blocked or this.plan.unread or stuck:
            end = End.BLOCKED
        elif self._left:
            end, stopped, waiting = End.IN_PROGRESS, "the rest is for the next plan", tuple(self._left.values())
        else:
            end = End.SETTLED
        outcomes, worked = tuple(self.outcomes), frozenset(self._worked)
        return Result(end, this, outcomes, failures, waiting, worked, stopped, stuck)


def _said(action: Action, error: BatchError) -> str:
    return f"{error}; {action.hint}" if action.hint else str(error)


def _name(entry: Entry) -> str:
    assert entry.wanted is not None
    return entry.wanted.name


def _back_off(tries: int, error: BatchError) -> float:
    """Seconds until the next try: what the service asked for, else doubling from one second."""
    asked = error.retry_after if isinstance(error, Transient) else None
    return min(asked, LONGEST_RETRY_AFTER) if asked is not None else min(2.0 ** (tries - 1), LONGEST_BACK_OFF)


async def look(reader: BatchReader, desired: Desired, context: Context, *, watch: bool) -> Observed:
    """A snapshot with all that decisions need; with *watch* also what the wait for tasks needs."""
    observed = await reader.observe()
    for _ in ("what the lists ask for", "what the counts ask for"):
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
            if key in reading.ids and there.ids is None:
                there = replace(there, ids=await reader.task_ids(there))
            if key in reading.tasks and there.tasks is None:
                there = replace(there, tasks=await reader.tasks(there))
            if key in reading.runs and there.nodes is None:
                there = replace(there, nodes=await reader.node_runs(there))
        except Missing:
            return replace(there, nodes=()) if key in reading.runs else there  # gone by now: nothing is owed any more
        return there

    async def pool(key: Key) -> LivePool:
        there = observed.pools[key]
        try:
            if key in reading.nodes and there.members is None:
                there = replace(there, members=await reader.nodes(there))
            if key in reading.formulas and not there.evaluated:
                there = replace(there, evaluated=await evaluated(there, reading.formulas[key]))
        except Missing:
            return there
        return there

    async def evaluated(there: LivePool, formula: str) -> str:
        try:
            return await reader.evaluate(there, formula)
        except (Denied, Moved, Rejected) as refused:  # a note in the plan, not what the plan depends on
            return f"the service did not evaluate it ({refused})"

    gate = asyncio.Semaphore(32)

    async def bounded(work: Awaitable[T]) -> T:
        async with gate:
            return await work

    keys = sorted((reading.counts | reading.tasks | reading.ids | reading.runs) & observed.jobs.keys())
    jobs = await asyncio.gather(*(bounded(job(key)) for key in keys))
    pools = await asyncio.gather(
        *(bounded(pool(key)) for key in sorted((reading.nodes | reading.formulas.keys()) & observed.pools.keys()))
    )
    return replace(
        observed,
        jobs={**observed.jobs, **{there.key: there for there in jobs}},
        pools={**observed.pools, **{there.key: there for there in pools}},
    ).with_children()
