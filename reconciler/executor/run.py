"""Look, plan, act, and again, until the account equals the manifests: the loop behind `apply`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from reconciler.errors import BatchError, Denied, LockLost, Missing, Moved, Transient
from reconciler.executor.approval import Approvals
from reconciler.executor.execution import Execution
from reconciler.executor.patience import FIRST_POLL, LONGEST_POLL, TRIES, Patience, back_off
from reconciler.executor.result import End, Events, Pass, Result, Settings
from reconciler.executor.snapshot import look
from reconciler.lifecycle.steps import Action, Context, Verb, Wait
from reconciler.lifecycle.wording import few
from reconciler.model.desired import Desired, Key, Kind
from reconciler.observed import Observed
from reconciler.planning import Entry, Plan, make_plan
from reconciler.ports import BatchReader, BatchWriter, Clock, Journal, StateStore
from reconciler.status import Outcome, Progress, cannot_go_on, progress

ROOM_POLL: Final = 1.0
LATE: Final = 10.0
"""Seconds after which a look is too old to take nodes by: it is as old as the slowest of its answers."""
QUOTAS: Final = {
    "ActiveJobAndScheduleQuotaReached": frozenset({Kind.JOB, Kind.JOB_SCHEDULE}),
    "PoolQuotaReached": frozenset({Kind.POOL}),
}
"""Refusals for want of room in the account, and what counts there (REST reference, error codes)."""

T = TypeVar("T")


@dataclass
class Run:
    """One run of apply: the approved roads and what became of them. *permit* raises LockLost when nothing more may be
    done: a lock was lost. *stale* are objects that are left alone from the beginning, and why."""

    reader: BatchReader
    writer: BatchWriter
    clock: Clock
    journal: Journal
    store: StateStore
    events: Events
    desired: Desired
    context: Context
    settings: Settings
    approved: Approvals
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    permit: Callable[[], None] = lambda: None
    stale: Mapping[Key, str] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    patience: Patience | None = None
    """Of a controller, which keeps it from slice to slice; a run has its own."""
    begins: Callable[[Sequence[Entry]], Awaitable[None]] | None = None
    """Told of the objects for which requests are sent next. What it raises ends the slice before any is."""
    _worked: set[Key] = field(default_factory=set)
    _deadline: float = float("inf")
    _last: Pass | None = None
    _left: dict[Key, str] = field(default_factory=dict)
    _sent: dict[Key, Action] = field(default_factory=dict)
    _acted: int = 0
    _spent: bool = False

    def __post_init__(self) -> None:
        self._patience = self.patience or Patience(self.clock, self.events)
        self._sliced = self.patience is not None
        self._lost: LockLost | None = None
        self._execution = Execution(
            self.reader,
            self.writer,
            self.clock,
            self.journal,
            self.store,
            self.events,
            self.context.stack,
            self.permit,
        )

    async def converge(self) -> Result:
        """Run until settled, blocked, failed, stopped or out of time."""
        limit = self.settings.max_duration
        self._deadline = float("inf") if limit is None else self.clock.now() + limit
        for key, why in self.stale.items():
            self._patience.give_up(key, str(key), why)
        poll = FIRST_POLL
        seen = ""
        while True:
            try:
                this = self._last = await self._pass()
            except BatchError:
                if self._last is None or not self._stopped():
                    raise
                return self._result(self._last, self._waiting(self._last))  # cut short while the account was away
            self._patience.look_at(this.plan)
            self.events.passed(this)
            ready = [] if self._stopped() else list(self._ready(this.plan))
            self._spent = bool(ready) and self._room() == 0
            if ready and not self._spent:
                poll = FIRST_POLL
                await self._execute(ready[: self._room()])
                continue
            waiting = self._waiting(this)
            if not waiting or self._stopped() or self._stuck(this, waiting):
                return self._result(this, waiting)
            look = str((waiting, [str(entry.step) for entry in this.plan.entries.values()]))
            poll = FIRST_POLL if look != seen else min(poll * 1.5, LONGEST_POLL)
            seen = look
            await self._rest(poll)

    async def begin(self) -> Pass:
        """The first look of a slice, to decide on what is approved of its plan."""
        self._last = await self._pass()
        self._patience.look_at(self._last.plan)
        self.events.passed(self._last)
        return self._last

    async def slice(self, first: Pass, seconds: float) -> Result:
        """Carry out what is approved and ready, look again, and so on until nothing is, or for so many seconds. It does
        not wait for the service: whoever calls comes back. What is not approved is left as it is.

        Raises BatchError when the account cannot be read, LockLost as soon as the lock is.
        """
        self._deadline = self.clock.now() + seconds
        this = first
        while True:
            ready = [] if self._stopped() else list(self._ready(this.plan))
            if not ready:
                return self._result(this, self._waiting(this))
            if self.begins is not None:
                await self.begins([entry for entry, _ in ready])
            await self._execute(ready)
            this = await self.begin()

    def _stopped(self) -> str:
        """Why no further request may be sent; empty while one may."""
        if self.stop.is_set():
            return "interrupted"
        if self._spent:
            return "out of actions"
        return "out of time" if self.clock.now() >= self._deadline else ""

    def _room(self) -> int | None:
        """How many actions may still be sent; None: any number."""
        most = self.settings.max_actions
        return None if most is None else max(0, most - self._acted)

    async def _pass(self) -> Pass:
        began = self.clock.now()
        this = await self._look()
        if self.clock.now() - began > LATE and any(_takes_nodes(entry) for entry, _ in this.plan.ready()):
            # Jobs that began on these nodes while a list was late would lose their release: one more look at them.
            this = await self._look()
        for key, born in self.approved.taken_over(this.observed, self.context).items():
            self.events.taken_over(key, born)
        jobs = (key for key in self._jobs_about() if key in this.observed.jobs and key in this.plan.entries)
        self._worked |= {key for key in jobs if this.observed.jobs[key].state != "completed"}
        return this

    async def _look(self) -> Pass:
        observed = await self._patiently(
            lambda: look(self.reader, self.desired, self.context, watch=self.settings.work)
        )
        # After the account: a run is written down before its job is removed, so one that was seen to be gone is known.
        self.context = replace(self.context, ledger=await self.store.ledger())
        plan = make_plan(self.desired, observed, self.context)
        return Pass(plan, observed, self._progress(plan, observed))

    def _progress(self, plan: Plan, observed: Observed) -> tuple[Progress, ...]:
        """Work to wait for: of jobs that are ours, and that nothing keeps from getting what they need."""
        if not self.settings.work:
            return ()
        hopeless = {key for key, entry in plan.entries.items() if entry.blocked is not None}
        hopeless |= self._patience.failures.keys()
        jobs = (key for key in self._jobs_about() if key in plan.entries and key not in hopeless)
        return progress(self.desired, observed, jobs)

    def _jobs_about(self) -> Iterator[Key]:
        """The declared objects whose tasks are this run's business."""
        about = self.settings.about
        return (key for key in self.desired.objects if about is None or key in about)

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Reading is tried again for a while: a service that is away for a minute ends no run."""
        for attempt in range(1, TRIES):
            try:
                return await read()
            except (Transient, Missing, Moved) as error:
                if self._sliced and isinstance(error, Transient):
                    raise  # the next pass comes later; other stacks have theirs
                # Missing and Moved: an object went away between the list and the look at its details.
                seconds = back_off(attempt, error)
                self.events.retried("the account", error, seconds)
                await self._rest(seconds)
                if self._stopped():
                    raise
        return await read()

    def _ready(self, plan: Plan) -> Iterable[tuple[Entry, Action]]:
        self._left = {}
        # What ends makes room in the account's quotas: it is asked for before what needs some.
        for entry, action in sorted(plan.ready(), key=lambda step: step[1].verb is Verb.CREATE):
            if not self._patience.allows(entry.key):
                continue
            if self.approved.covers(entry, plan.entries.get(entry.parent) if entry.parent else None):
                yield entry, action
            elif self._sliced:
                if why := self._without_effect(entry):
                    self._patience.give_up(entry.key, entry.address, why)
            elif not self._leave(entry):
                self._off_road(entry)

    def _leave(self, entry: Entry) -> bool:
        """Whether what came up meanwhile is for the next plan."""
        if not self.approved.is_for_later(entry):
            return False
        if self.approved.of(entry) is not None:
            road = " -> ".join(entry.verbs)
            self._left[entry.key] = f"{entry.address} was blocked when the plan was approved, and now needs: {road}"
        return True

    def _off_road(self, entry: Entry) -> None:
        """A fresh look asks for more than was approved: somebody changed the object since. It may be a stale answer,
        so it is looked at for a while before the object is stopped."""
        why = self._without_effect(entry) or self.approved.stale(entry)
        self._patience.lose(entry.key, entry.address, why)

    def _without_effect(self, entry: Entry) -> str:
        """That the service accepted a change of this run which a fresh read does not show; empty when it is not so."""
        step, sent = entry.step, self._sent.get(entry.key)
        if sent is None or not isinstance(step, Action) or step.verb is not sent.verb:
            return ""
        still = [row.name for row in step.changes if row in sent.changes]
        if not still or len(still) < len(step.changes):
            return ""
        return f"the service accepted: {sent}; a fresh read still differs in {few(still)}: the change did not take"

    async def _execute(self, ready: list[tuple[Entry, Action]]) -> None:
        gate = asyncio.Semaphore(self.settings.parallelism)

        async def one(entry: Entry, action: Action) -> None:
            async with gate:
                if self._stopped() or self._lost is not None:
                    return
                self._acted += action.verb not in (Verb.FORGET, Verb.WRITE_RECEIPT)  # these send nothing
                outcome = await self._execution.carry_out(entry, action)
                if outcome.error is not None and self._sliced:
                    try:
                        self.permit()
                    except LockLost as lost:
                        self._lost = lost
                        return
                self._note(outcome)

        await asyncio.gather(*(one(entry, action) for entry, action in ready))
        if self._lost is not None:  # after the others: what they had sent may still be answered
            raise self._lost

    def _note(self, outcome: Outcome) -> None:
        """What an outcome means for the object: go on, look again, back off, or leave it."""
        key, address = outcome.key, outcome.address
        match outcome.error:
            case None:
                self._patience.accepted(key)
                self.approved.done(key, outcome.action.verb)
                self.outcomes.append(outcome)
                self._sent[key] = outcome.action
                self.events.acted(outcome)
            case Moved() | Missing() as error:
                self._patience.lose(key, address, _said(outcome.action, error))
            case Denied(code=code) if code in QUOTAS and self._makes_room(key, code):
                self._patience.rest(key, ROOM_POLL)
            case Transient() as error if self._patience.back_off(key, address, error):
                pass
            case error:
                self._patience.give_up(key, address, _said(outcome.action, error))

    def _makes_room(self, key: Key, code: str) -> bool:
        """Whether something of ours is on its way to its end that counts in the quota which was reached."""
        assert self._last is not None
        return any(
            entry.key != key and entry.key.kind in QUOTAS[code] and self._is_ending(entry)
            for entry in self._last.plan.entries.values()
        )

    def _is_ending(self, entry: Entry) -> bool:
        if entry.blocked or self._patience.has_ended(entry.key):
            return False
        if isinstance(entry.step, Wait) and entry.live is not None and entry.live.state in ("terminating", "deleting"):
            return True
        ends = not {Verb.TERMINATE, Verb.DELETE}.isdisjoint(entry.verbs)
        return ends and self.approved.of(entry) is not None and entry.key not in self._left

    def _waiting(self, this: Pass) -> tuple[str, ...]:
        """What the run is waiting for, in words; empty when nothing will change by itself."""
        lines = []
        for entry in this.plan.entries.values():
            if self._patience.has_ended(entry.key) or self._is_behind_an_end(this.plan, entry):
                continue
            if entry.key in self._left:  # for the next plan, even where a request failed before
                continue
            if isinstance(entry.step, Wait):
                lines.append(f"{entry.address}: {entry.step}")
            elif (
                isinstance(entry.step, Action)
                and self._patience.is_tried_again(entry.key)
                and not this.plan.waits_for(entry.key)
            ):
                lines.append(f"{entry.address}: try again to {entry.step.verb}")
        lines += (f"{job.address}: tasks {job.done} of {job.total} done" for job in this.progress if not job.is_over)
        return tuple(lines)

    def _is_behind_an_end(self, plan: Plan, entry: Entry) -> bool:
        """Whether its turn does not come in this run: something that it waits for was given up, or is for the next
        plan."""
        found: set[Key] = set()
        ahead = {entry.key}
        while ahead:
            found |= ahead
            ahead = {before for key in ahead for before in _before(plan, plan.entries[key])} - found
        return any(self._patience.has_ended(key) or key in self._left for key in found - {entry.key})

    def _stuck(self, this: Pass, waiting: tuple[str, ...]) -> dict[str, str]:
        """Why the tasks that are waited for cannot run, by job; empty unless they are all that is waited for and none
        of them can."""
        going_on = [job for job in this.progress if not job.is_over]
        if len(going_on) < len(waiting):
            return {}
        reasons = {job.address: cannot_go_on(self.desired, this.observed, job) for job in going_on}
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
        failures = self._patience.failures
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


def _takes_nodes(entry: Entry) -> bool:
    return entry.key.kind is Kind.POOL and (entry.shrinks or entry.removes)


def _said(action: Action, error: BatchError) -> str:
    return f"{error}; {action.hint}" if action.hint else str(error)


def _before(plan: Plan, entry: Entry) -> frozenset[Key]:
    """The objects of the plan on which the next step of *entry* depends."""
    waited = entry.step.on if isinstance(entry.step, Wait) else frozenset[Key]()
    return frozenset(other.key for other in plan.waits_for(entry.key)) | (waited & plan.entries.keys())
