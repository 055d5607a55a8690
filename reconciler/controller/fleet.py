"""All stacks of a source, each in a loop of its own, and the desk at which people ask for something."""

import asyncio
import random
import zlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.controller.board import Bulletin
from reconciler.controller.events import Code
from reconciler.controller.feed import Feed
from reconciler.controller.loop import Conduct, Site, StackLoop
from reconciler.controller.notebook import ApprovalNote
from reconciler.controller.state import Suspension
from reconciler.errors import NotThere, UsageError
from reconciler.model.desired import Desired, Key, Kind
from reconciler.observed import NodeFile, TaskFile
from reconciler.ports import Clock

TAIL: Final = 64 * 1024
NODE_TASKS: Final = frozenset({"preparation", "release"})


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of the stacks that this replica has to do with: *number* (from 1) of *of*."""

    number: int = 1
    of: int = 1

    def has(self, stack: str) -> bool:
        """Whether a stack is in it. The same in every process: by the name alone."""
        return zlib.crc32(stack.lower().encode()) % self.of == self.number - 1


class Controller:
    """The loops of all stacks. It is the Desk, too."""

    def __init__(
        self,
        feed: Feed,
        site_of: Callable[[Desired], Site],
        bulletin: Bulletin,
        clock: Clock,
        conduct: Conduct,
        *,
        owner: str,
        shard: Shard = Shard(),
        chance: random.Random | None = None,
    ) -> None:
        self._feed = feed
        self._site_of = site_of
        self._bulletin = bulletin
        self._clock = clock
        self._conduct = conduct
        self._owner = owner
        self._shard = shard
        self._chance = chance or random.Random()
        self._loops: dict[str, StackLoop] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._told = ""
        self._found = False

    @property
    def loops(self) -> Mapping[str, StackLoop]:
        """By stack name."""
        return self._loops

    @property
    def ready(self) -> bool:
        """Whether every stack of its part was looked at once, also by a replica that only watches."""
        return self._found and all(loop.passed for loop in self._loops.values())

    async def run(self) -> None:
        """Until `stop`: find the stacks of the source, and keep a loop running for each."""
        self._bulletin.tell("", Code.STARTED, self._owner)
        try:
            while not self._stop.is_set():
                if await self._unless_stopped(self._feed.refresh()):
                    self._find_stacks(start=True)
                    await self._unless_stopped(self._clock.sleep(self._conduct.interval))
        finally:
            if not self._stop.is_set():  # cut short: nothing is waited for
                for running in self._running.values():
                    running.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            await self._feed.close()
            self._bulletin.tell("", Code.STOPPED, self._owner)

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Wait for something, but not when it is time to stop; whether it was done."""
        working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        try:
            done, _ = await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if working in done:
                working.result()
            return working in done
        finally:
            for task in (working, stopped):
                task.cancel()
            await asyncio.gather(working, stopped, return_exceptions=True)

    async def once(self) -> None:
        """One pass over each stack, then let go of everything."""
        self._bulletin.tell("", Code.STARTED, self._owner)
        await self._feed.refresh()
        self._find_stacks(start=False)
        try:
            await asyncio.gather(*(loop.once() for loop in self._loops.values()))
        finally:
            await asyncio.gather(*(loop.close() for loop in self._loops.values()))
            self._bulletin.tell("", Code.STOPPED, self._owner)

    def _find_stacks(self, *, start: bool) -> None:
        feed = self._feed
        if feed.manifests is None:
            if feed.problem != self._told:
                code = Code.SOURCE_UNAVAILABLE if feed.trouble == "SourceUnavailable" else Code.MANIFESTS_INVALID
                self._bulletin.tell("", code, feed.problem, warning=True)
            self._told = feed.problem
            return
        self._found = True
        for name in sorted(feed.manifests.stacks):
            if name in self._loops or not self._shard.has(name):
                continue
            chance = random.Random(self._chance.random())
            loop = StackLoop(name, feed, self._site_of, self._bulletin, self._clock, self._conduct, self._owner, chance)
            self._loops[name] = loop
            if start:
                self._running[name] = asyncio.ensure_future(loop.run())

    def stop(self) -> None:
        """End: requests in flight are finished, and leases given back."""
        self._stop.set()
        for loop in self._loops.values():
            loop.stop()

    async def reload(self) -> None:
        """Read everything anew: manifests, variables, secrets, credentials."""
        self._bulletin.tell("", Code.RELOADED, "manifests and credentials are read anew")
        self._feed.reload()
        await self._feed.refresh()
        self._find_stacks(start=True)
        for loop in self._loops.values():
            loop.reload()

    def fetch_now(self) -> None:
        """There is something new in the source."""
        self._feed.expire()
        for loop in self._loops.values():
            loop.nudge()

    # The desk

    async def approve(self, stack: str, digest: str, who: str) -> None:
        """Let the plan with this digest run; refused when another one waits by now."""
        loop = self._loop(stack)
        if digest not in loop.awaiting:
            waits = sorted(loop.awaiting)
            now = f"the one that waits is {waits[0]}" if waits else "none waits"
            raise UsageError(f"stack '{stack}': no plan with digest {digest} waits for approval; {now}")
        await loop.notebook.approve(ApprovalNote(digest, who, self._clock.utc()))
        loop.nudge()

    async def suspend(self, stack: str, address: str, reason: str, until: str, who: str) -> None:
        """Leave a stack (*address* empty) or an object alone."""
        loop = self._loop(stack)
        if address:
            self._object(stack, address)
        until = moment(until, self._clock.utc()) if until else ""
        await loop.notebook.suspend(Suspension(address, reason, who, self._clock.utc(), until))
        ends = f", until {until}" if until else ""
        self._bulletin.tell(stack, Code.SUSPENDED, f"by {who}{ends}: {reason}", address=address)
        loop.nudge()

    async def resume(self, stack: str, address: str, who: str) -> None:
        """Take a suspension back."""
        loop = self._loop(stack)
        said = await loop.notebook.read()
        if not any(one.address.lower() == address.lower() for one in said.suspensions):
            raise UsageError(f"stack '{stack}': {address or 'it'} is not suspended")
        await loop.notebook.resume(address)
        self._bulletin.tell(stack, Code.RESUMED, f"by {who}", address=address)
        loop.nudge()

    async def reconcile_now(self, stack: str, who: str) -> None:
        """Begin the next pass at once."""
        loop = self._loop(stack)
        self._feed.expire()
        self._bulletin.tell(stack, Code.RECONCILE_ASKED, f"by {who}")
        loop.nudge()

    async def log(self, stack: str, address: str, node: str, task: str, file: str) -> bytes:
        """The end of a file of a task of a job, or of its preparation or release on a node."""
        loop = self._loop(stack)
        key = self._object(stack, address)
        observed = self._bulletin.statuses[stack].observed
        job = observed.jobs.get(key) if observed is not None else None
        if job is None:
            raise NotThere(f"there is no {address} in the account")
        place: NodeFile | TaskFile = TaskFile(job.name, task, file)
        if task in NODE_TASKS:
            runs = await loop.account.node_runs(job)
            run = next((run for run in runs if run.node == node), None)
            part = None if run is None else run.release if task == "release" else run.preparation
            if run is None or part is None or not part.directory:
                raise NotThere(f"{task} of {address} did not run on node {node}")
            folder = part.directory.replace("\\", "/").rstrip("/")
            place = NodeFile(run.pool, run.node, f"{folder}/{file}")
        excerpt = await loop.account.excerpt(place, 0, TAIL)
        return excerpt.head + excerpt.tail

    def _loop(self, stack: str) -> StackLoop:
        if stack not in self._loops:
            known = ", ".join(sorted(self._loops)) or "none"
            raise UsageError(f"there is no stack '{stack}' here: {known}")
        return self._loops[stack]

    def _object(self, stack: str, address: str) -> Key:
        """The key at an address of a stack that was looked at."""
        kind, _, name = address.partition("/")
        status = self._bulletin.statuses.get(stack)
        if kind in set(Kind) and name:
            key = Key.of(Kind(kind), name)
            known = status is not None and (
                (status.plan is not None and key in status.plan.entries)
                or (status.observed is not None and status.observed.get(key) is not None)
            )
            if known:
                return key
        raise UsageError(f"stack '{stack}' has no {address}")


def moment(text: str, now: str) -> str:
    """A time in UTC. Raises UsageError for what is none, or is over."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"expected a time such as 2026-01-31T18:00Z, found {text!r}") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if at <= datetime.fromisoformat(now):
        raise UsageError(f"the end of a suspension has to come: {text} is over")
    return at.isoformat(timespec="seconds")
