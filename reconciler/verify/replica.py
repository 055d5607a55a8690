"""One replica of the controller: the real loop, on the network, the disk and the clock of the simulation.

Beside being killed it can be stopped, as by SIGSTOP: from then on nothing of it goes on, wherever it is, while time
does; what it has handed to the network before that arrives.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from reconciler.azure import Account as BatchAccount
from reconciler.azure import connect
from reconciler.controller.board import EVENTS, Bulletin
from reconciler.controller.events import Observer
from reconciler.controller.feed import Feed, Manifests
from reconciler.controller.fleet import Controller
from reconciler.controller.loop import Conduct, Kept, Site
from reconciler.controller.traffic import Gate, Traffic
from reconciler.errors import ReconcilerError
from reconciler.model.desired import Desired
from reconciler.ports import Checkout, Revision
from reconciler.verify.account import ENDPOINT
from reconciler.verify.clock import VirtualClock
from reconciler.verify.memory import Disk, DiskJournal, DiskLock, DiskNotes, DiskStore
from reconciler.verify.network import Network
from reconciler.verify.process import FUNERAL, KEY
from reconciler.verify.story import Story
from reconciler.verify.wire import Answer, Request, Wire


@dataclass
class Repository:
    """Where desired states are committed. *broken*, where it is set, is what the newest revision raises instead."""

    stacks: dict[str, Desired] = field(default_factory=dict)
    approvals: dict[str, str] = field(default_factory=dict)
    broken: ReconcilerError | None = None
    away: ReconcilerError | None = None
    seconds: float = 0.0
    """How long it takes to answer."""
    number: int = 0

    def commit(self, *states: Desired, approvals: tuple[str, ...] = ()) -> None:
        """A new revision."""
        self.number += 1
        self.broken = None
        self.stacks = {desired.stack.name: desired for desired in states}
        self.approvals |= dict.fromkeys(approvals, f"revision {self.number}")

    async def fetch(self) -> Checkout:
        """The newest revision."""
        if self.away is not None:
            raise self.away
        answer = Checkout(".", Revision(f"r{self.number}"))
        await asyncio.sleep(self.seconds)
        return answer

    async def keep(self, revision: Revision) -> None:
        """Nothing is ever lost."""

    async def kept(self) -> Checkout | None:
        """None."""
        return None

    async def close(self) -> None:
        """Nothing is held."""

    async def version(self, checkout: Checkout) -> Hashable:
        """Revisions differ by their ids."""
        return checkout.revision.id

    async def load(self, checkout: Checkout) -> Manifests:
        """What the newest revision asks for."""
        if self.broken is not None:
            raise self.broken
        return Manifests(dict(self.stacks), dict(self.approvals))


class _Clock(VirtualClock):
    """Time, for who may be stopped."""

    def __init__(self, replica: "Replica") -> None:
        self._replica = replica

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
        await self._replica.turn()


@dataclass
class Replica:
    """One process of the controller, from its start to its end or its death."""

    name: str
    repository: Repository
    network: Network
    disk: Disk
    story: Story
    conduct: Conduct = field(default_factory=Conduct)
    alive: bool = True
    sent: int = 0
    controller: Controller = field(init=False)
    bulletin: Bulletin = field(init=False)
    error: BaseException | None = None
    observers: tuple[Observer, ...] = ()
    events: int = EVENTS
    """How many events it remembers."""
    on_send: Callable[["Replica", Request], None] = lambda _replica, _request: None
    """Called when a request has passed every check, and before the network has it."""
    _task: "asyncio.Task[None] | None" = None
    _going: asyncio.Event = field(default_factory=asyncio.Event)
    _nonces: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._going.set()
        clock = _Clock(self)
        self._clock = clock
        self._traffic = Traffic(clock)
        self.bulletin = Bulletin(clock, self.observers, self.events)
        feed = Feed(self.repository, self.repository, clock)
        self.controller = Controller(
            feed,
            self._site,
            self.bulletin,
            clock,
            self.conduct,
            owner=self.name,
            chance=random.Random(self.name),
        )

    def start(self) -> "asyncio.Task[None]":
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    def kill(self) -> None:
        """SIGKILL: nothing more is sent, received or written."""
        if self.alive:
            self.alive = False
            self._tell("is dead")
            asyncio.get_running_loop().call_later(FUNERAL, self._bury)

    def halt(self) -> None:
        """SIGSTOP."""
        self._tell("is stopped")
        self._going.clear()

    def go_on(self) -> None:
        """SIGCONT."""
        self._tell("goes on")
        self._going.set()

    async def end(self) -> None:
        """SIGTERM, and wait for its end."""
        self.controller.stop()
        if self._task is not None:
            await self._task

    async def turn(self) -> None:
        """Wait while it is stopped."""
        if not self.alive:
            raise asyncio.CancelledError
        await self._going.wait()

    def _bury(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        self._tell("begins: run")
        try:
            await self.controller.run()
            self._tell("ends")
        except asyncio.CancelledError:
            if self.alive:
                raise
        except Exception as error:  # noqa: BLE001 - whatever escapes is what this is looking for
            self.error = error
            self._tell(f"broke: {type(error).__name__}: {error}")

    def _site(self, desired: Desired) -> Site:
        return Site(ENDPOINT, ENDPOINT, self._connect, self._keep, self._traffic)

    @asynccontextmanager
    async def _keep(self) -> AsyncIterator[Kept]:
        alive, lock = self._is_alive, DiskLock(self.disk, self._clock, self.turn)
        yield Kept(DiskStore(self.disk, alive), DiskNotes(self.disk, alive), lock, DiskJournal(self.disk, alive))

    @asynccontextmanager
    async def _connect(self, gate: Gate) -> AsyncIterator[BatchAccount]:
        wire = Wire(self._exchange)
        async with connect(
            ENDPOINT,
            "simulated",
            KEY,
            use_proxies=False,
            transport=wire,
            nonce=self._nonce,
            gate=gate,
            remembers=True,
        ) as there:
            yield there

    async def _exchange(self, request: Request, patience: float) -> Answer:
        self.on_send(self, request)
        await self.turn()
        answer = await self.network.exchange(self, request, patience)
        await self.turn()
        return answer

    def _is_alive(self) -> bool:
        return self.alive

    def _nonce(self) -> str:
        return f"{self.name}-{next(self._nonces)}"

    def _tell(self, text: str) -> None:
        self.story.tell(asyncio.get_running_loop().time(), self.name, text)
