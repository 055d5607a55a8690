"""Holding a lock for as long as something runs, and noticing in time that it is held no longer."""

import asyncio
import getpass
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.errors import Locked, LockLost, ReconcilerError, StoreError
from reconciler.ports import Clock, Holding, Lock

SECONDS: Final = 60.0
"""How long a lock of a command lasts from its last renewal on: the longest lease that a blob can have."""
RENEWALS: Final = 4
"""How often a lock is renewed within its time: three attempts may fail before it runs out."""
MARGIN: Final = 1 / 6
"""The last part of its time in which nothing is sent any more: what is sent takes a while to arrive."""


def machine_seconds() -> float:
    """Seconds of a clock that all processes of the machine share, that nobody sets, and that goes on while the machine
    sleeps where it has such a one: a lease runs out meanwhile."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class MachineClock:
    """The Clock by which leases are kept."""

    def now(self) -> float:
        """Seconds of the machine."""
        return machine_seconds()

    def utc(self) -> str:
        """ISO 8601 UTC."""
        return datetime.now(UTC).isoformat(timespec="milliseconds")

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


def this_owner() -> str:
    """Who we are, for people: `user@host pid 123`."""
    return f"{this_person()} pid {os.getpid()}"


def this_person() -> str:
    """The user and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user needs no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def until(holding: Holding) -> str:
    """When a holding ends unless it is renewed, ISO 8601 UTC; empty where that is not known."""
    if not holding.renewed:
        return ""
    return (datetime.fromisoformat(holding.renewed) + timedelta(seconds=holding.seconds)).isoformat(timespec="seconds")


def locked(holding: Holding) -> Locked:
    """The error for a lock that somebody else holds."""
    who = f"{holding.owner or 'somebody'} runs {holding.purpose or 'something'}"
    since = f" since {holding.acquired}" if holding.acquired else ""
    ends = f"; unless renewed it ends at {until(holding)}" if holding.renewed else ""
    way = f"wait for it, or, when that process is gone for good: reconciler lock break {holding.name}"
    return Locked(
        f"'{holding.name}' is locked: {who}{since}{ends}. Nothing was sent; {way}",
        name=holding.name,
        owner=holding.owner,
        purpose=holding.purpose,
        acquired=holding.acquired,
        until=until(holding),
    )


class Held:
    """A lock that is ours, kept up in the background. Whoever acts under it asks `check` before each request."""

    def __init__(
        self, lock: Lock, holding: Holding, asked: float, clock: Clock, on_lost: Callable[[str], None]
    ) -> None:
        self._lock = lock
        self._clock = clock
        self._on_lost = on_lost
        self._problem = ""
        self.holding = holding
        self.lost = ""
        self.ends = asked + self._usable
        """When nothing may be sent any more, by our clock. It counts from before the store was asked, so it is earlier
        than the end that the store counts."""

    @property
    def _usable(self) -> float:
        return self.holding.seconds * (1 - MARGIN)

    def check(self) -> None:
        """Raises LockLost when nothing more may be sent under it: it is somebody else's by now, or could be."""
        if not self.lost and self._clock.now() >= self.ends:
            why = self._problem or "this process did not run for so long"
            self._lose(f"the lock {self.holding.name} could not be renewed in {self.holding.seconds:g} s: {why}")
        if self.lost:
            raise LockLost(self.lost)

    async def keep(self) -> None:
        """Renew it again and again; returns when it is lost."""
        pause = self.holding.seconds / RENEWALS
        while True:
            await self._clock.sleep(pause)
            asked = self._clock.now()
            try:
                async with asyncio.timeout(self.holding.seconds / RENEWALS):
                    self.holding = await self._lock.renew(self.holding)
            except LockLost as error:
                return self._lose(str(error))
            except (StoreError, TimeoutError) as error:
                self._problem = str(error) or "the store does not answer"
                pause = self.holding.seconds / RENEWALS / 4
            else:
                pause = self.holding.seconds / RENEWALS
                self.ends, self._problem = asked + self._usable, ""
            try:
                self.check()
            except LockLost:
                return None  # who is told knows it by now

    def _lose(self, why: str) -> None:
        self.lost = why
        self._on_lost(why)


@asynccontextmanager
async def held(
    lock: Lock,
    name: str,
    owner: str,
    purpose: str,
    seconds: float,
    clock: Clock,
    on_lost: Callable[[str], None],
    on_left: Callable[[str], None],
) -> AsyncIterator[Held]:
    """Hold a lock for as long as the body runs. Raises Locked, and StoreError where it cannot be taken.

    *on_lost* is called once, with the reason, when it can no longer be said that the lock is ours; the body is to end
    then. *on_left* is called when the lock cannot be given back at the end: it ends by itself.
    """
    asked = clock.now()
    ours = Held(lock, await lock.acquire(name, owner, purpose, seconds), asked, clock, on_lost)
    keeper = asyncio.ensure_future(ours.keep())
    try:
        yield ours
    finally:
        keeper.cancel()
        (ended,) = await asyncio.gather(keeper, return_exceptions=True)
        if isinstance(ended, Exception):  # a mistake of ours: nothing renewed the lock
            raise ended
        try:
            await lock.release(ours.holding)
        except ReconcilerError as error:
            on_left(f"the lock {name} could not be given back and ends at {until(ours.holding)}: {error}")
