"""A controller's board, made from real plans on a simulated account, for pages to show.

Not a controller: each look is asked for by the test. What people ask for is written down.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from reconciler.api.applying import apply
from reconciler.api.loading import load
from reconciler.api.options import DEFAULTS, Options
from reconciler.api.planned import plan
from reconciler.api.target import Target, account
from reconciler.controller.details import look_closely
from reconciler.controller.state import Event, Mode, PassEnd, PassRecord, StackStatus, Suspension
from reconciler.emulator import Simulation
from reconciler.errors import UsageError
from reconciler.executor import read_results
from reconciler.model.desired import Key
from reconciler.observed import Observed
from reconciler.ports import Revision
from reconciler.render.text import summary
from reconciler.web import application

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: %s}\n"
POOL = """\
apiVersion: reconciler/v1
kind: Pool
metadata: {name: %s}
spec:
  vmSize: Standard_D2s_v3
  virtualMachineConfiguration:
    imageReference: {publisher: canonical, offer: 0001-com-ubuntu-server-jammy, sku: 22_04-lts}
    nodeAgentSKUId: batch.node.ubuntu 22.04
  targetDedicatedNodes: %d
  startTask: {commandLine: install-driver, waitForSuccess: true}
"""
JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: %s}
spec:
  poolInfo: {poolId: %s}
  jobPreparationTask: {commandLine: fetch-data}
  jobReleaseTask: {commandLine: clean-up}
taskGroups:
- name: frame
  parameters: {n: {range: {last: %d}}}
  template: {id: 'frame-${item.n}', commandLine: 'render ${item.n}'}
"""
REVISION = Revision("4f2c9a1e0b7d", "Render at 4K", "Ada", "2026-01-01T00:00:00Z")


@dataclass
class Bulletin:
    """A Board that a test writes on."""

    statuses: dict[str, StackStatus] = field(default_factory=dict)
    happened: list[Event] = field(default_factory=list)
    number: int = 1
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(self.happened)

    async def changed(self, after: int) -> int:
        while self.number <= after:
            await self._news.wait()
        return self.number

    def publish(self, status: StackStatus) -> None:
        self.statuses[status.stack] = status
        self.tell()

    def event(self, stack: str, code: str, address: str, message: str, **more: Any) -> None:
        at = more.pop("at", "2026-01-01T00:00:00Z")
        self.happened.append(Event(len(self.happened) + 1, at, stack, code, address, message, **more))
        self.tell()

    def tell(self) -> None:
        self.number += 1
        news, self._news = self._news, asyncio.Event()
        news.set()


@dataclass
class Desk:
    """Writes down what people ask for. *refusal* is raised instead, where there is one."""

    board: Bulletin
    asked: list[tuple[str, ...]] = field(default_factory=list)
    refusal: Exception | None = None
    logs: Mapping[tuple[str, str], bytes] = field(default_factory=dict)

    async def approve(self, stack: str, digest: str, who: str) -> None:
        self._note("approve", stack, digest, who)
        if digest != self.board.statuses[stack].awaiting:
            raise UsageError(f"another plan waits by now: {self.board.statuses[stack].awaiting}")
        self.board.publish(replace(self.board.statuses[stack], awaiting=""))

    async def suspend(self, stack: str, address: str, reason: str, until: str, who: str) -> None:
        self._note("suspend", stack, address, reason, until, who)
        status = self.board.statuses[stack]
        one = Suspension(address, reason, who, "2026-01-01T00:00:00Z", until)
        self.board.publish(replace(status, suspensions=(*status.suspensions, one)))

    async def resume(self, stack: str, address: str, who: str) -> None:
        self._note("resume", stack, address, who)
        status = self.board.statuses[stack]
        left = tuple(one for one in status.suspensions if one.address != address)
        self.board.publish(replace(status, suspensions=left))

    async def reconcile_now(self, stack: str, who: str) -> None:
        self._note("reconcile", stack, who)

    async def log(self, stack: str, address: str, node: str, task: str, file: str) -> bytes:
        self._note("log", stack, address, node, task, file)
        return self.logs.get((task, file), b"")

    def _note(self, *what: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(what)


class Stage:
    """Folders of manifests, one for each stack, a simulated account, and the board over it."""

    def __init__(self, folder: Path, simulation: Simulation, environment: Mapping[str, str]) -> None:
        self.folder, self.simulation = folder, simulation
        self.target = Target(simulation.endpoint, simulation.account, simulation.key, local=True)
        self.environment = environment
        self.board = Bulletin()
        self.desk = Desk(self.board)
        self._passes: Iterator[int] = itertools.count(1)

    def write(self, stack: str = "demo", **files: str | None) -> None:
        """Manifests of a stack by name; None removes one."""
        folder = self.folder / stack
        folder.mkdir(exist_ok=True)
        (folder / "stack.yaml").write_text(STACK % stack, "utf-8")
        for name, text in files.items():
            path = folder / f"{name}.yaml"
            if text is None:
                path.unlink()
            else:
                path.write_text(text, "utf-8")

    async def apply(self, stack: str = "demo", options: Options = DEFAULTS) -> None:
        """Make the account as the manifests say; tasks go on by themselves."""
        (desired,) = load([str(self.folder / stack)], environment=self.environment, lint=False)
        await apply(await plan(desired, self.target, options), None)

    async def look(self, stack: str = "demo", *, end: PassEnd | None = None, **facts: Any) -> StackStatus:
        """What a pass would leave on the board."""
        (desired,) = load([str(self.folder / stack)], environment=self.environment, lint=False)
        planned = await plan(desired, self.target)
        async with account(self.target) as there:
            observed = await read_results(there, planned.observed, frozenset(planned.observed.jobs))
            observed = replace(observed, at=self.simulation.now.isoformat(timespec="milliseconds"))
        made = planned.plan
        if end is None:
            end = PassEnd.BLOCKED if made.blocked else PassEnd.OUT_OF_SYNC if made.has_changes else PassEnd.SYNCED
        at = self.simulation.now.isoformat(timespec="milliseconds")
        earlier = self.board.statuses[stack].passes if stack in self.board.statuses else ()
        number = next(self._passes)
        last = PassRecord(
            number,
            at,
            0.4 + number % 5,
            end,
            REVISION,
            made.digest,
            summary(made),
            facts.pop("acted", ()),
            facts.pop("failed", ()),
            facts.pop("error", ""),
        )
        status = StackStatus(
            stack,
            str(self.target),
            facts.pop("mode", Mode.AUTO),
            REVISION,
            facts.pop("offered", REVISION),
            plan=made,
            observed=observed,
            observed_at=observed.at,
            passes=(*earlier, last),
            next_pass_at=at,
            **facts,
        )
        self.board.publish(status)
        return status

    async def details(self, status: StackStatus, key: Key) -> Observed:
        """One object, read closely."""
        assert status.observed is not None
        async with account(self.target) as there:
            return await look_closely(there, status.observed, key)

    def application(self, **options: Any) -> web.Application:
        """The page over this board."""
        return application(self.board, self.desk, details=self.details, **options)
