"""One stack in a loop: look, plan, decide what may be done, a bounded slice of execution, status; and again."""

import asyncio
import random
import sys
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from reconciler.approval import Approval
from reconciler.controller import windows
from reconciler.controller.board import Bulletin
from reconciler.controller.events import Code
from reconciler.controller.feed import Feed
from reconciler.controller.grants import Grants
from reconciler.controller.lease import SECONDS as LEASE
from reconciler.controller.lease import Fenced, Leadership
from reconciler.controller.notebook import ApprovalNote, Notebook, Said, is_over
from reconciler.controller.permits import Permits, Situation, ahead, may_move, permits
from reconciler.controller.state import Mode, PassEnd, PassRecord, StackStatus
from reconciler.controller.telling import Teller
from reconciler.controller.traffic import Gate, Traffic
from reconciler.errors import BatchError, Denied, LockLost, StoreError, TargetError, Transient, UsageError
from reconciler.executor import Approvals, Pass, Patience, Result, Run, Settings
from reconciler.executor.snapshot import read_details
from reconciler.guards import guards_of, refusal
from reconciler.lifecycle.steps import Context, Wait
from reconciler.model.desired import Desired, Key, Wanted
from reconciler.model.document import JobLifecycle
from reconciler.observed import Observed
from reconciler.planning import Entry, Plan
from reconciler.ports import BatchReader, BatchWriter, Clock, Journal, Lock, Notes, StateStore
from reconciler.reading import for_watching
from reconciler.render.text import summary
from reconciler.status import problems

PASSES: Final = 100
"""Passes that are remembered."""
FIRST_LOOK: Final = 1.0
LONGEST_LOOK: Final = 15.0
"""Seconds between passes while something is under way: at first, and at most."""
SHORTEST: Final = 0.1
LONGEST_TROUBLE: Final = 300.0
JITTER: Final = 0.1
WATCHED: Final = 20
"""Jobs whose task counts are read for whoever looks; with more of them unfinished, none are."""
SHOWN_RECEIPTS: Final = 500


async def _nothing(_: Observed) -> None:
    return None


class Connected(BatchReader, BatchWriter, Protocol):
    """An account that is read and written."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a stack, while its store is open."""

    store: StateStore
    notes: Notes
    lock: Lock
    journal: Journal
    prune: Callable[[Observed], Awaitable[None]] = _nothing
    """Keep what has been kept within its bounds."""


@dataclass(frozen=True)
class JournalOfPass:
    """A Journal that says of each event in which pass it was: replicas write into one."""

    journal: Journal
    run: str

    async def write(self, event: str, /, **facts: Any) -> None:
        """Append one event. Raises StoreError."""
        await self.journal.write(event, run=self.run, **facts)


@dataclass(frozen=True)
class Site:
    """Where a stack is: its account, and what is kept of it. *target* says it for people. *key* tells sites apart,
    also by their credentials; it is shown to nobody. *sign* puts the digests of secrets into the desired state."""

    target: str
    key: object = field(repr=False)
    connect: Callable[[Gate], AbstractAsyncContextManager[Connected]] = field(repr=False)
    keep: Callable[[], AbstractAsyncContextManager[Kept]] = field(repr=False)
    traffic: Traffic
    sign: Callable[[Desired], Desired] = field(repr=False, default=lambda desired: desired)


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a controller behaves. Times are in seconds. *slice_*: how long one pass may act before it tells; *reverts*:
    drift is reverted without approval."""

    mode: Mode = Mode.AUTO
    reverts: bool = False
    interval: float = 60.0
    slice_: float = 60.0
    lease: float = LEASE
    parallelism: int = 10


@dataclass
class _Sight:
    """What a pass has found out, as far as it came."""

    end: PassEnd = PassEnd.SYNCED
    plan: Plan | None = None
    observed: Observed | None = None
    permits: Permits = field(default_factory=lambda: Permits(frozenset(), {}))
    awaiting: str = ""
    guard: str = ""
    problems: list[str] = field(default_factory=list)
    error: str = ""
    failed: tuple[str, ...] = ()
    soon: bool = False
    after: float | None = None


class StackLoop:
    """The controller of one stack."""

    def __init__(
        self,
        name: str,
        feed: Feed,
        site_of: Callable[[Desired], Site],
        bulletin: Bulletin,
        clock: Clock,
        conduct: Conduct,
        owner: str,
        chance: random.Random,
    ) -> None:
        self.name = name
        self._feed = feed
        self._site_of = site_of
        self._bulletin = bulletin
        self._clock = clock
        self._conduct = conduct
        self._owner = owner
        self._chance = chance
        self._teller = Teller(name, bulletin)
        self._patience = Patience(clock, self._teller, lasting=True)
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._exits = AsyncExitStack()
        self._site: Site | None = None
        self._kept: Kept | None = None
        self._doors = AsyncExitStack()
        self._account: Connected | None = None
        self._lease: Leadership | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._last_desired: Desired | None = None
        self._passes: deque[PassRecord] = deque(maxlen=PASSES)
        self._number = 0
        self._said = Said()
        self._journaled = False
        self._ledger_receipts: Mapping[str, tuple[str, ...]] = {}
        self._poll = FIRST_LOOK
        self._seen = ""
        self._opened: bool | None = None
        self._troubles = 0
        self._shown: Plan | None = None
        self._stale = False

    @property
    def _acts(self) -> bool:
        return self._conduct.mode is not Mode.DETECT_ONLY

    # From outside

    @property
    def passed(self) -> bool:
        """Whether it has looked at its account once."""
        return bool(self._passes)

    @property
    def last(self) -> PassRecord | None:
        """The last pass."""
        return self._passes[-1] if self._passes else None

    @property
    def awaiting(self) -> frozenset[str]:
        """The digests that approve the plan which waits now; empty when none does."""
        status = self._bulletin.statuses.get(self.name)
        if status is None or not status.awaiting:
            return frozenset()
        whole = status.plan.digest if status.plan is not None else status.awaiting
        return frozenset({status.awaiting, whole})

    @property
    def notebook(self) -> Notebook:
        """The notes of the stack. Raises StoreError before it is known where they are."""
        if self._kept is None:
            raise StoreError(f"stack '{self.name}' has not been looked at yet: try again")
        return Notebook(self._kept.notes)

    @property
    def account(self) -> BatchReader:
        """The account of the stack. Raises TargetError before there is one."""
        if self._account is None:
            raise TargetError(f"the account of stack '{self.name}' is not connected")
        return self._account

    def nudge(self) -> None:
        """Begin the next pass at once."""
        self._wake.set()

    def stop(self) -> None:
        """End after the requests that are in flight."""
        self._stop.set()
        self._wake.set()

    def reload(self) -> None:
        """Connect anew at the next pass: credentials may have changed."""
        self._stale = True
        self.nudge()

    # The loop

    async def run(self) -> None:
        """Pass after pass until it is stopped; then the lease is given back."""
        try:
            while not self._stop.is_set():
                try:
                    seconds = await self.once()
                except Exception as error:  # noqa: BLE001 - as in `once`: what it tells of a pass may be the mistake
                    traceback.print_exc(file=sys.stderr)
                    self._teller.say(Code.PASS_BROKE, f"{type(error).__name__}: {error}", warning=True)
                    seconds = self._conduct.interval
                await self._rest(seconds)
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of the account and the lease."""
        await self._leave_site()

    async def once(self) -> float:
        """One pass; the seconds until the next one. Raises nothing: what went wrong is in the status."""
        self._wake.clear()
        self._number += 1
        began, at = self._clock.now(), self._clock.utc()
        self._teller.acted_lines.clear()
        sight = _Sight()
        try:
            await self._pass(sight)
        except LockLost as lost:
            sight.end, sight.error, sight.soon = PassEnd.IN_PROGRESS, str(lost), True
        except (StoreError, OSError, UsageError) as error:  # a store that cannot be meant is told by a UsageError
            sight.end, sight.error = PassEnd.STORE_ERROR, str(error)
        except (BatchError, TargetError) as error:
            sight.end, sight.error = PassEnd.ACCOUNT_ERROR, str(error)
            sight.after = error.retry_after if isinstance(error, Transient) else None
            if isinstance(error, Denied):  # credentials are read anew: they may have been replaced
                self._feed.reload()
                self._stale = True
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one stack must not stop the others
            traceback.print_exc(file=sys.stderr)
            sight.end, sight.error = PassEnd.BROKEN, f"{type(error).__name__}: {error}"
        self._tell(sight)
        seconds = self._pause(sight)
        record = PassRecord(
            self._number,
            at,
            self._clock.now() - began,
            sight.end,
            self._feed.revision,
            sight.plan.digest if sight.plan is not None else "",
            summary(sight.plan) if sight.plan is not None else "",
            tuple(self._teller.acted_lines),
            sight.failed,
            sight.error,
        )
        self._passes.append(record)
        self._publish(sight, seconds)
        return seconds

    async def _pass(self, sight: _Sight) -> None:
        await self._feed.refresh()
        desired = self._desired(sight)
        if desired is None:
            return
        site = await self._settle(self._site_of(desired))
        desired = site.sign(desired)
        kept, lease = self._kept, self._lease
        assert kept is not None
        assert lease is not None
        self._said = await self._read_notes()
        lease.wanted = not any(one.address == "" for one in self._said.suspensions)
        if not lease.wanted:
            await lease.give_up()
        account = await self._connected(site)
        if lease.leads and self._acts and any(map(_has_ttl, desired.objects.values())):
            lease.check()
            await kept.store.prepare()  # marks name it from the first create on
        self._journaled = False
        journal = JournalOfPass(kept.journal, f"{self._chance.getrandbits(32):08x}")
        run = Run(
            account,
            account,
            self._clock,
            journal,
            Fenced(kept.store, lease),
            self._teller,
            desired,
            Context(desired.stack.name, desired.stack.prunes, revision=self._feed.revision.id),
            Settings(self._conduct.parallelism, None, work=False),
            Approvals({}),
            self._stop,
            lease.of_this_term(),
            patience=self._patience,
            begins=lambda entries: self._begin(journal, run, entries),
        )
        first = await run.begin()
        sight.plan, sight.observed = first.plan, first.observed
        await self._decide(sight, lease, desired, first, run)
        self._shown = first.plan
        result = await run.slice(first, self._conduct.slice_)
        await self._conclude(sight, lease, desired, result, run)

    async def _decide(self, sight: _Sight, lease: Leadership, desired: Desired, first: Pass, run: Run) -> None:
        """What of the first plan of a pass may be done."""
        sight.guard = refusal(guards_of(first.plan, desired), in_source=True) or ""
        if sight.guard:
            sight.problems.append(sight.guard)
        if lease.leads:
            await self._keep_grants(self._said.grants.left(first.plan))
            if self._conduct.mode is Mode.APPROVE and not sight.guard:
                await self._take_approval(first.plan)
        sight.permits = permits(first.plan, self._situation(desired, lease, sight.guard, first.plan))
        run.approved = Approvals({key: Approval.of(first.plan.entries[key]) for key in sight.permits.allowed})

    def _situation(self, desired: Desired, lease: Leadership, guard: str, plan: Plan) -> Situation:
        opened = windows.is_open(desired.stack.windows, self._utc())
        said = windows.words(desired.stack.windows, self._utc())
        if desired.stack.windows and opened != self._opened:
            self._teller.say(Code.WINDOW_OPENED if opened else Code.WINDOW_CLOSED, said)
        self._opened = opened
        return Situation(
            self._conduct.mode,
            lease.leads,
            self._said.grants,
            self._said.suspensions,
            "" if opened else said,
            self._conduct.reverts,
            guard,
            self._moved(plan),
        )

    def _moved(self, plan: Plan) -> dict[Key, str]:
        """Objects that are to go because their manifests are those of another stack by now, with its name. Ending what
        the other one is to have would cost the nodes of a pool, or the work of a job, for a file in another folder."""
        going = {key for key, entry in plan.entries.items() if may_move(entry)}
        if not going or self._feed.manifests is None:
            return {}
        found: dict[Key, str] = {}
        for name, desired in self._feed.manifests.stacks.items():
            shared = going & desired.objects.keys() if name != self.name else set()
            if shared and self._is_here(desired):
                found |= dict.fromkeys(shared, name)
        return found

    def _is_here(self, desired: Desired) -> bool:
        """Whether a stack is on the account of this one; also where it is not known on which."""
        try:
            return self._site is None or self._site_of(desired).target == self._site.target
        except TargetError:
            return True

    async def _take_approval(self, plan: Plan) -> None:
        """Grant what waits in this plan, when its digest was named and not used yet."""
        said, moved = self._said, self._moved(plan)
        waiting = permits(plan, Situation(Mode.APPROVE, True, said.grants, said.suspensions, moved=moved)).waiting
        if not waiting:
            return
        part = replace(plan, entries={entry.key: entry for entry in waiting})
        note = self._approved(plan.digest) or self._approved(part.digest)
        if note is None:
            return
        entries = plan.entries.values() if note.digest == plan.digest else waiting
        grants = Grants.of(entries, note.digest, note.who)
        grants = replace(grants, roads={**self._said.grants.roads, **grants.roads})
        self._check()
        # In this order: an approval that is remembered as used and never was granted would have to be given again.
        await self.notebook.grant(grants)
        await self.notebook.approve(replace(note, used=self._clock.utc()))
        await self.notebook.forget_approvals(self._said, self._in_source)
        self._said = replace(self._said, grants=grants)
        self._teller.say(Code.PLAN_APPROVED, f"{note.digest} by {note.who}")

    def _approved(self, digest: str) -> ApprovalNote | None:
        """The approval with this digest that was not used yet."""
        note = self._said.approvals.get(digest)
        if note is not None:
            return None if note.used else note
        who = self._in_source.get(digest)
        return ApprovalNote(digest, who, self._clock.utc()) if who is not None else None

    @property
    def _in_source(self) -> Mapping[str, str]:
        return self._feed.manifests.approvals if self._feed.manifests is not None else {}

    async def _keep_grants(self, left: Grants) -> None:
        """Remember what is left of what was allowed."""
        if left is self._said.grants or not self._acts:
            return
        self._check()
        await self.notebook.grant(left)
        if not left.roads and self._said.grants.digest:
            self._teller.say(Code.APPROVAL_USED_UP, self._said.grants.digest)
        self._said = replace(self._said, grants=left)

    async def _begin(self, journal: Journal, run: Run, entries: Sequence[Entry]) -> None:
        """Write down what is about to be done: in the journal once a pass, and where an approval or a window allowed
        it, so that it is brought to its end by whoever leads then."""
        self._check()
        if not self._journaled:
            digest = self._shown.digest if self._shown is not None else ""
            await journal.write("run", who=self._owner, command="run", digest=digest, revision=self._feed.revision.id)
            for consent in run.desired.consents:
                if consent.counts_at(self._clock.utc()):
                    about = {"object": consent.address} if consent.address else {}
                    place = {"source": str(consent.source), "until": consent.until}
                    await journal.write("consent", flag=str(consent), **about, **place, who=self._owner, command="run")
            self._journaled = True
        if self._conduct.mode is not Mode.APPROVE and not run.desired.stack.windows:
            return
        begun = self._said.grants.begin(entries, self.name)
        if begun is not self._said.grants:
            await self.notebook.grant(begun)
            self._said = replace(self._said, grants=begun)

    async def _conclude(self, sight: _Sight, lease: Leadership, desired: Desired, result: Result, run: Run) -> None:
        """What a slice has come to."""
        plan, observed = result.last.plan, result.last.observed
        sight.plan, sight.observed = plan, await self._watched(desired, observed)
        sight.permits = permits(plan, self._situation(desired, lease, sight.guard, plan))
        sight.awaiting = sight.permits.awaiting(plan) if self._conduct.mode is Mode.APPROVE else ""
        if lease.leads:
            await self._keep_grants(self._said.grants.left(plan))
        sight.failed = tuple(
            f"{plan.entries[key].address if key in plan.entries else key}: {why}"
            for key, why in result.failures.items()
        )
        sight.problems += problems(desired, sight.observed)
        self._ledger_receipts = _receipts(run.context)
        if any(outcome.action.capture for outcome in run.outcomes) and self._kept is not None:
            await self._kept.prune(observed)
        going_on = _goes_on(plan, sight.permits, result)
        sight.end = self._end(sight, plan, result, going_on=going_on)
        sight.soon = lease.leads and going_on and not sight.guard

    def _end(self, sight: _Sight, plan: Plan, result: Result, *, going_on: bool) -> PassEnd:
        held = sight.permits.held
        if sight.guard:
            return PassEnd.GUARDED
        if result.failures:
            return PassEnd.FAILED
        if going_on:
            return PassEnd.IN_PROGRESS
        if sight.awaiting:
            return PassEnd.AWAITING_APPROVAL
        if held:
            return PassEnd.OUT_OF_SYNC
        if plan.blocked or plan.unread:
            return PassEnd.BLOCKED
        return self._feed.trouble or PassEnd.SYNCED

    async def _watched(self, desired: Desired, observed: Observed) -> Observed:
        """The snapshot with task counts for whoever looks, where they cost few requests."""
        reading = for_watching(desired, observed)
        if not 0 < len(reading.counts) <= WATCHED:
            return observed
        try:
            for _ in ("counts", "what the counts ask for"):
                observed = await read_details(self.account, observed, for_watching(desired, observed))
        except BatchError:
            pass  # what could not be read is shown as the lists have it; no decision is taken on it
        return observed

    def _desired(self, sight: _Sight) -> Desired | None:
        """What the manifests ask for: of the last good revision where the newest is none."""
        feed = self._feed
        if feed.problem:
            sight.problems.append(feed.problem)
        if feed.manifests is None:
            sight.end, sight.error = feed.trouble or PassEnd.SOURCE_ERROR, feed.problem
            return None
        desired = feed.manifests.stacks.get(self.name)
        newer = feed.revision.id not in ("", self._teller.revision.id)
        self._teller.revision = feed.revision
        if newer:
            self._teller.say(Code.REVISION_TAKEN, feed.revision.subject or feed.revision.id)
        if desired is not None:
            self._last_desired = desired
            if self._teller.over("gone"):
                self._teller.say(Code.RECOVERED, "the stack is back in the source")
            return desired
        assert self._last_desired is not None, "a loop begins with a stack of the source"
        said = "the source has no such stack any more; its objects are left as they are"
        self._teller.once("gone", Code.STACK_GONE, said)
        # An empty source never prunes: what is asked for now is nothing, and the guard stops that, whatever was
        # consented to when the stack was there.
        last = self._last_desired
        guards = replace(last.stack.guards, asks_when_empty=True)
        return replace(last, objects={}, consents=(), stack=replace(last.stack, guards=guards))

    async def _read_notes(self) -> Said:
        said = await self.notebook.read()
        now = self._clock.utc()
        over = [one for one in said.suspensions if is_over(one, now)]
        for one in over:
            if self._lease is not None and self._lease.leads:
                await self.notebook.resume(one.address)
                self._teller.say(Code.SUSPENSION_ENDED, one.reason, one.address)
        return replace(said, suspensions=tuple(one for one in said.suspensions if one not in over))

    # Where the stack is

    async def _settle(self, site: Site) -> Site:
        """Be where the manifests say the stack is; the lease is tried for before anything is decided."""
        if self._site is not None and self._site.key == site.key:
            return self._site
        await self._leave_site()
        self._kept = await self._doors.enter_async_context(site.keep())
        self._site = site
        # Who only looks locks out nobody who acts.
        lock = self.name if self._acts else f"{self.name}.{Mode.DETECT_ONLY}"
        self._lease = Leadership(self._kept.lock, lock, self._owner, self._clock, self._led, self._conduct.lease)
        await self._lease.attend()
        if not self._lease.leads:
            self._teller.say(Code.FOLLOWING, self._lease.holder or self._lease.trouble)
        self._keeper = asyncio.ensure_future(self._lease.keep())
        return site

    async def _connected(self, site: Site) -> Connected:
        if self._stale:
            await self._leave_account()
        if self._account is None:
            assert self._lease is not None
            gate = Gate(site.traffic, self._lease.check, self._counted)
            self._account = await self._exits.enter_async_context(site.connect(gate))
        return self._account

    async def _leave_account(self) -> None:
        self._account, self._stale = None, False
        await self._exits.aclose()
        self._exits = AsyncExitStack()

    async def _leave_site(self) -> None:
        await self._leave_account()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._lease is not None:
            await self._lease.give_up()
            self._lease = None
        self._site = self._kept = None
        await self._doors.aclose()
        self._doors = AsyncExitStack()

    def _led(self, leads: bool, why: str, given_back: bool) -> None:
        """The lease was taken, given back or lost."""
        code = Code.LEADING if leads else Code.FOLLOWING if given_back else Code.LEASE_LOST
        self._teller.say(code, why or self._owner, warning=code is Code.LEASE_LOST)
        self.nudge()

    def _check(self) -> None:
        if self._lease is None:
            raise LockLost(f"'{self.name}': this replica does not lead any more")
        self._lease.check()

    def _counted(self, method: str, status: int, seconds: float) -> None:
        self._bulletin.request(self.name, method, status, seconds)

    # What is told

    def _tell(self, sight: _Sight) -> None:
        tell = self._teller
        feed, plan = self._feed, sight.plan
        if feed.trouble is not None:
            tell.trouble(feed.trouble, feed.problem)
        tell.recovered(*({PassEnd.INVALID, PassEnd.SOURCE_ERROR} - {feed.trouble}))
        if sight.end in (PassEnd.ACCOUNT_ERROR, PassEnd.STORE_ERROR, PassEnd.BROKEN):
            tell.trouble(sight.end, sight.error)
        elif plan is not None:
            tell.recovered(PassEnd.ACCOUNT_ERROR, PassEnd.STORE_ERROR, PassEnd.BROKEN)
        if plan is None or self._lease is None or not self._lease.leads:
            return
        entries = plan.entries.values()
        tell.each(Code.BLOCKED, {entry.address: str(entry.blocked) for entry in entries if entry.blocked})
        drifted = {entry.address: _fields(entry) for entry in entries if entry.drift and entry.key in _held(sight)}
        tell.each(Code.DRIFT_DETECTED, drifted)
        tell.each(Code.GUARD_STOPPED, {"": sight.guard} if sight.guard else {})
        waits = {"": f"{sight.awaiting}: {summary(plan)}"} if sight.awaiting else {}
        tell.each(Code.PLAN_AWAITS_APPROVAL, waits, warning=False)
        tell.each(Code.OUT_OF_SYNC, {"": summary(plan)} if sight.end is PassEnd.OUT_OF_SYNC else {})
        tell.each(Code.SYNCED, {"": summary(plan)} if sight.end is PassEnd.SYNCED else {}, warning=False)

    def _pause(self, sight: _Sight) -> float:
        """Seconds until the next pass: soon while something is under way, else the interval, which no two replicas
        share to the second; after trouble longer and longer."""
        if sight.end in (PassEnd.ACCOUNT_ERROR, PassEnd.STORE_ERROR, PassEnd.BROKEN):
            self._troubles += 1
            seconds = min(2.0 ** min(self._troubles, 16), max(self._conduct.interval, LONGEST_LOOK), LONGEST_TROUBLE)
            return max(seconds * self._jitter(), sight.after or 0.0)
        self._troubles = 0
        if sight.soon:
            look = str([str(entry.step) for entry in sight.plan.entries.values()]) if sight.plan is not None else ""
            acted = bool(self._teller.acted_lines) or look != self._seen
            self._poll = FIRST_LOOK if acted else min(self._poll * 1.5, LONGEST_LOOK)
            self._seen = look
            return min(self._poll, self._conduct.interval)
        self._seen, self._poll = "", FIRST_LOOK
        seconds = self._conduct.interval * self._jitter()
        rests = [left for left, _ in self._patience.pauses().values()]
        return max(SHORTEST, min([seconds, *rests]))

    def _jitter(self) -> float:
        return 1.0 + JITTER * (2.0 * self._chance.random() - 1.0)

    def _publish(self, sight: _Sight, seconds: float) -> None:
        previous = self._bulletin.statuses.get(self.name)
        plan = sight.plan or (previous.plan if previous is not None else None)
        observed = sight.observed or (previous.observed if previous is not None else None)
        lease = self._lease
        entries = plan.entries if plan is not None else {}
        stack = self._last_desired.stack if self._last_desired is not None else None
        status = StackStatus(
            stack=self.name,
            target=self._site.target if self._site is not None else "",
            mode=self._conduct.mode,
            revision=self._feed.revision,
            offered=self._feed.offered,
            leader=lease is not None and lease.leads,
            holder=lease.holder if lease is not None else "",
            plan=plan,
            observed=observed,
            observed_at=observed.at if observed is not None else "",
            awaiting=sight.awaiting,
            suspensions=self._said.suspensions,
            window=windows.words(stack.windows, self._utc()) if stack is not None else "",
            passes=tuple(self._passes),
            problems=tuple(self._problems(sight)),
            not_before={
                str(entries[key].address if key in entries else key): (self._in(left), why)
                for key, (left, why) in self._patience.pauses().items()
            },
            receipts=self._ledger_receipts,
            quotas=stack.quotas if stack is not None else {},
            next_pass_at=self._in(seconds),
            held={entries[key].address: why for key, why in sight.permits.held.items() if key in entries},
        )
        self._bulletin.publish(status)

    def _problems(self, sight: _Sight) -> list[str]:
        lease = [self._lease.trouble] if self._lease is not None and self._lease.trouble else []
        return [*([sight.error] if sight.error else []), *lease, *sight.problems, *sight.failed]

    def _utc(self) -> datetime:
        return datetime.fromisoformat(self._clock.utc()).astimezone(UTC)

    def _in(self, seconds: float) -> str:
        return (self._utc() + timedelta(seconds=seconds)).isoformat(timespec="seconds")

    async def _rest(self, seconds: float) -> None:
        """Sleep, and wake at once when somebody asks for it."""
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        waker = asyncio.ensure_future(self._wake.wait())
        try:
            done, _ = await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
            if sleeper in done:
                sleeper.result()
        finally:
            for task in (sleeper, waker):
                task.cancel()
            await asyncio.gather(sleeper, waker, return_exceptions=True)


def _goes_on(plan: Plan, now: Permits, result: Result) -> bool:
    """Whether something of the stack is under way, or can be done soon."""
    for key, entry in plan.entries.items():
        if isinstance(entry.step, Wait) and key not in now.held and now.held.keys().isdisjoint(entry.step.on):
            return True
        can = key in now.allowed and key not in result.failures and not entry.blocked
        if can and now.held.keys().isdisjoint(ahead(plan, key)) and result.failures.keys().isdisjoint(ahead(plan, key)):
            return True
    return False


def _has_ttl(wanted: Wanted) -> bool:
    return isinstance(wanted.lifecycle, JobLifecycle) and wanted.lifecycle.ttlAfterCompletion is not None


def _held(sight: _Sight) -> Mapping[Key, str]:
    return sight.permits.held


def _fields(entry: Entry) -> str:
    return ", ".join(row.name for row in entry.difference.fields) or "its secrets"


def _receipts(context: Context) -> dict[str, tuple[str, ...]]:
    newest = sorted(context.ledger.receipts.items(), key=lambda one: one[0][1], reverse=True)[:SHOWN_RECEIPTS]
    found: dict[str, list[str]] = {}
    for (key, _), evidence in newest:
        found.setdefault(str(key), []).append(str(evidence))
    return {address: tuple(lines) for address, lines in found.items()}
