"""One command as the command line runs it: plan, approve, carry out. The real code, on a network of its own."""

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.azure import Account as BatchAccount
from reconciler.azure import connect
from reconciler.errors import BatchError, ReconcilerError
from reconciler.executor import Approvals, Result, Run, Settings, approve, look
from reconciler.ledger import Evidence
from reconciler.lifecycle.steps import Consents, Context, Verb
from reconciler.model.desired import Desired, Key
from reconciler.model.document import JobLifecycle
from reconciler.planning import Plan, make_plan, policy_of
from reconciler.receipt import Receipt
from reconciler.saved import FORMAT_VERSION, KIND, Saved, Sources
from reconciler.status import Outcome
from reconciler.verify.account import ENDPOINT
from reconciler.verify.clock import VirtualClock
from reconciler.verify.memory import Disk, DiskJournal, DiskStore
from reconciler.verify.network import Network
from reconciler.verify.story import Story
from reconciler.verify.wire import Answer, Request, Wire

KEY: Final = "c2ltdWxhdGVk"
PATIENCE: Final = 1800.0
"""Seconds after which a command stops cleanly, so that one that waits for others comes to an end."""
FUNERAL: Final = 1.0


@dataclass(frozen=True)
class Order:
    """What a process is to do: apply a desired state, or destroy what it names and what is ours.

    *replace*: objects to be created anew, as by `--replace`. *work*: wait for the declared tasks to end. *saved*: a
    plan that was approved before, of which nothing else is done than is left.
    """

    desired: Desired
    destroys: bool = False
    replace: frozenset[Key] = frozenset()
    work: bool = False
    saved: Saved | None = None

    def __str__(self) -> str:
        if self.saved is not None:
            return "apply of a saved plan"
        return "destroy" if self.destroys else "apply"


@dataclass
class Process:
    """One process, from its start to its end or its death."""

    name: str
    order: Order
    network: Network
    disk: Disk
    story: Story
    wrap: Callable[[BatchAccount], BatchAccount] = lambda account: account
    alive: bool = True
    sent: int = 0
    result: Result | None = None
    error: ReconcilerError | None = None
    _task: "asyncio.Task[None] | None" = None
    _nonces: "itertools.count[int]" = field(default_factory=itertools.count)

    def start(self) -> "asyncio.Task[None]":
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    def kill(self) -> None:
        """SIGKILL: nothing more is sent, received or written."""
        if self.alive:
            self.alive = False
            self._tell("is dead")
            # What it has begun comes to a halt at its next request first, then its memory is let go.
            asyncio.get_running_loop().call_later(FUNERAL, self._bury)

    def _bury(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            self.result = await self._work()
            self._tell(_said(self.result))
        except ReconcilerError as error:
            self.error = error
            self._tell(f"ends: {error}")
        except asyncio.CancelledError:
            if self.alive:
                raise

    async def _work(self) -> Result:
        alive = self._is_alive
        journal, store, clock = DiskJournal(self.disk, alive), DiskStore(self.disk, alive), VirtualClock()
        settings = Settings(max_duration=PATIENCE, work=self.order.work)
        wire = Wire(self._exchange)
        async with connect(
            ENDPOINT, "simulated", KEY, use_proxies=False, transport=wire, nonce=self._nonce
        ) as connected:
            there = self.wrap(connected)
            desired, context, approved, stale = await self._plan(there, store)
            if any(_has_ttl(wanted.lifecycle) for wanted in desired.objects.values()):
                await store.prepare()
            told = _Told(self)
            run = Run(there, there, clock, journal, store, told, desired, context, settings, approved, stale=stale)
            return await run.converge()

    async def _plan(
        self, there: BatchAccount, store: DiskStore
    ) -> tuple[Desired, Context, Approvals, Mapping[Key, str]]:
        """As `reconciler apply` and `reconciler destroy` make it, with what was approved."""
        if (saved := self.order.saved) is not None:
            desired, context = self.order.desired, replace(saved.context, ledger=await store.ledger())
            plan = make_plan(desired, await look(there, desired, context, watch=False), context)
            approved = Approvals(saved.approved, saved.key_for(desired))
            return desired, context, approved, approved.strays(plan)
        desired, context, plan, _ = await self._decide(there, store)
        return desired, context, approve(plan), {}

    async def _decide(self, there: BatchAccount, store: DiskStore) -> tuple[Desired, Context, Plan, str]:
        """What is desired, under what, the plan, and when the account was looked at."""
        declared = self.order.desired
        context = Context(declared.stack.name, declared.stack.prunes)
        if self.order.destroys:
            policies = {key: policy_of(wanted) for key, wanted in declared.objects.items()}
            removing = frozenset(declared.objects)
            context = replace(context, removing=removing, removal="destroy", policies=policies)
        desired = replace(declared, objects={}) if self.order.destroys else declared
        observed = await look(there, desired, context, watch=False)
        context = replace(context, ledger=await store.ledger())
        if self.order.replace:
            found = ((key, observed.get(key)) for key in sorted(self.order.replace))
            born = frozenset((key, live.guard.born) for key, live in found if live is not None)
            context = replace(context, consents=Consents(replace=born))
            observed = await look(there, desired, context, watch=False)
        due = "" if self.order.destroys else observed.at
        return desired, replace(context, due=due), make_plan(desired, observed, context), observed.at

    async def save(self) -> Saved:
        """What `reconciler plan --out` writes, and `apply` reads."""
        async with connect(ENDPOINT, "simulated", KEY, use_proxies=False, transport=Wire(self._exchange)) as there:
            desired, context, plan, at = await self._decide(there, DiskStore(self.disk, self._is_alive))
        where = Sources("/", ("manifests",))
        made = Saved.of(
            plan, desired, context, endpoint=ENDPOINT, account="simulated", sources=where, at=at, nonce=f"{self.name}:"
        )
        text = json.dumps({"kind": KIND, "format_version": FORMAT_VERSION, "apply": made.content()})
        return Saved.parse(json.loads(text), "the saved plan")

    async def _exchange(self, request: Request, patience: float) -> Answer:
        return await self.network.exchange(self, request, patience)

    def _is_alive(self) -> bool:
        return self.alive

    def _nonce(self) -> str:
        beginning = self.order.saved.nonce if self.order.saved is not None else ""
        return f"{beginning}{self.name}-{next(self._nonces)}"

    def _tell(self, text: str) -> None:
        self.story.tell(asyncio.get_running_loop().time(), self.name, text)


def _said(result: Result) -> str:
    """How it ended, with what failed and what is blocked."""
    blocked = [f"{entry.address} is blocked: {entry.blocked}" for entry in result.last.plan.blocked]
    waiting = [f"waits: {text}" for text in result.waiting]
    return "; ".join([f"ends: {result.end}", *result.failures.values(), *waiting, *blocked])


def _has_ttl(lifecycle: object) -> bool:
    return isinstance(lifecycle, JobLifecycle) and lifecycle.ttlAfterCompletion is not None


class _Told:
    """The Events of a process, for its story."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def passed(self, this: object) -> None:
        """Its requests say it."""

    def receipt(self, address: str, verb: Verb, receipt: Receipt, evidence: Evidence | None) -> None:
        """A job is about to be deleted, or is held."""
        self._process._tell(f"writes the receipt of {address}: {len(receipt.nodes)} nodes")

    def taken_over(self, key: Key, born: str) -> None:
        """The id of an object that is gone is somebody else's."""
        self._process._tell(f"leaves {key} to whom it belongs now")

    def acted(self, outcome: Outcome) -> None:
        """Its requests say it."""

    def retried(self, address: str, error: BatchError, seconds: float) -> None:
        """A request will be tried again."""
        self._process._tell(f"tries {address} again in {seconds:g} s")

    def gave_up(self, address: str, why: str) -> None:
        """Nothing more is done for an object."""
        self._process._tell(f"gives {address} up: {why}")
