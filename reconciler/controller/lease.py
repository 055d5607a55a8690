"""Who leads: one replica a stack, by a lease in the store. All others watch.

A lease is renewed at a third of its length, and given up by our own clock before it ends by anybody's: the time counts
from before the store was asked, a last part of it is not used, and the clock is one that goes on while the process, or
the machine, does not. So whoever wakes after a long stop finds out by itself, without a question to the store.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from reconciler.errors import Locked, LockLost, ReconcilerError, StoreError
from reconciler.ledger import Entry, Evidence, Ledger
from reconciler.model.desired import Key
from reconciler.ports import Clock, Holding, Lock, StateStore
from reconciler.receipt import Receipt

SECONDS: Final = 30.0
MARGIN: Final = 1 / 6
"""The last part of a lease in which nothing is sent: what is sent takes a while to arrive, and clocks differ."""
PURPOSE: Final = "controller"
T = TypeVar("T")


class Leadership:
    """The lease of one stack, as one replica has it or not.

    *changed* is called whenever it begins or ceases to lead, with a sentence, and whether it gave the lease back.
    *trouble* says why the store could not be
    asked, empty when it was.
    """

    def __init__(
        self,
        lock: Lock,
        name: str,
        owner: str,
        clock: Clock,
        changed: Callable[[bool, str, bool], None],
        seconds: float,
    ) -> None:
        self._lock = lock
        self._name = name
        self._owner = owner
        self._clock = clock
        self._changed = changed
        self._seconds = seconds
        self._holding: Holding | None = None
        self._ends = 0.0
        self._led = False
        self._turn = asyncio.Lock()
        self.wanted = True
        self.holder = ""
        self.trouble = ""

    @property
    def leads(self) -> bool:
        """Whether the lease is ours for certain."""
        return self._holding is not None and self._clock.now() < self._ends

    def check(self) -> None:
        """Raises LockLost unless the lease is ours for certain."""
        if not self.leads:
            raise LockLost(f"'{self._name}': this replica does not lead any more; nothing was sent")

    def of_this_term(self) -> Callable[[], None]:
        """A check that also fails once the lease was lost and taken anew: what was decided before somebody else may
        have acted is not begun after it."""
        token = self._holding.token if self._holding is not None else ""

        def check() -> None:
            self.check()
            if self._holding is None or self._holding.token != token:
                raise LockLost(f"'{self._name}': the lease was lost and taken anew since the last look")

        return check

    async def attend(self) -> None:
        """Take the lease when it is free, and renew it when it is ours. Called again and again."""
        async with self._turn:  # an answer to a renewal must not come after the lease was given back
            await self._attend()

    async def _attend(self) -> None:
        asked = self._clock.now()
        try:
            if self._holding is not None:
                self._holding = await self._answered(self._lock.renew(self._holding))
            else:
                taken = self._lock.acquire(self._name, self._owner, PURPOSE, self._seconds)
                self._holding = await self._answered(taken)
            self._ends = asked + self._seconds * (1 - MARGIN)
            self.holder, self.trouble = self._owner, ""
            self._tell("")
        except LockLost as lost:
            self._holding = None
            self._tell(str(lost))
        except Locked as locked:
            self.holder, self.trouble = str(locked), ""
            self._tell(str(locked))
        except (StoreError, TimeoutError) as error:
            self.trouble = str(error) or "the store does not answer"
            self._tell(self.trouble)

    async def keep(self) -> None:
        """Attend to it for ever. While it is not *wanted*, the lease is somebody else's to take."""
        while True:
            await (self.attend() if self.wanted else self.give_up())
            await self._clock.sleep(self._seconds / 3)

    async def give_up(self) -> None:
        """Give the lease back, so that others need not wait for its end. What cannot be given back ends by itself."""
        async with self._turn:
            holding, self._holding = self._holding, None
            if holding is None:
                return
            self._tell("the lease was given back", given=True)
            try:
                await self._answered(self._lock.release(holding))
            except (ReconcilerError, TimeoutError) as error:
                self.trouble = f"the lease could not be given back, and ends by itself: {error}"

    async def _answered(self, work: Awaitable[T]) -> T:
        async with asyncio.timeout(self._seconds / 3):
            return await work

    def _tell(self, why: str, *, given: bool = False) -> None:
        if self.leads is not self._led:
            self._led = self.leads
            self._changed(self._led, why, given)


class Fenced:
    """A StateStore that is written by the leader alone: each writing method raises LockLost otherwise."""

    def __init__(self, store: StateStore, lease: Leadership) -> None:
        self._store = store
        self._lease = lease

    async def prepare(self) -> None:
        """Give the store its name."""
        self._lease.check()
        await self._store.prepare()

    async def ledger(self) -> Ledger:
        """What is remembered of the stack."""
        return await self._store.ledger()

    async def record(self, entry: Entry) -> None:
        """Remember a run."""
        self._lease.check()
        await self._store.record(entry)

    async def forget(self, key: Key) -> None:
        """Remember a run no longer."""
        self._lease.check()
        await self._store.forget(key)

    async def keep_log(self, key: Key, born: str, path: str, content: bytes) -> None:
        """Keep a log of an incarnation of a job."""
        self._lease.check()
        await self._store.keep_log(key, born, path, content)

    async def keep_receipt(self, receipt: Receipt) -> Evidence:
        """Keep the receipt of an incarnation of a job."""
        self._lease.check()
        return await self._store.keep_receipt(receipt)
