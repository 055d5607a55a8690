"""Where stacks are: the accounts and stores that their manifests, the command line and the environment name."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from reconciler.api.keeping import store_of
from reconciler.api.target import Target, account, choose_target, signed_by
from reconciler.controller.loop import Connected, Kept, Site
from reconciler.controller.traffic import RATE, Gate, Traffic
from reconciler.model.desired import Desired, Kind
from reconciler.observed import Observed
from reconciler.ports import Clock
from reconciler.store.notes import ShelfNotes


@dataclass
class Sites:
    """The site of each stack. Stacks in one account share its bucket of *rate* requests a second."""

    clock: Clock
    endpoint: str | None = None
    account: str | None = None
    store: str | None = None
    rate: float = RATE
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _traffic: dict[str, Traffic] = field(default_factory=dict)

    def __call__(self, desired: Desired) -> Site:
        """Where the manifests say a stack is. Raises TargetError."""
        stack = desired.stack
        target = choose_target(stack, endpoint=self.endpoint, account=self.account, environment=self.environment)
        name = target.endpoint.lower()
        traffic = self._traffic.setdefault(name, Traffic(self.clock, self.rate, 2 * self.rate))

        @asynccontextmanager
        async def connect(gate: Gate) -> AsyncIterator[Connected]:
            async with account(target, gate=gate, remembers=True) as there:
                yield there

        @asynccontextmanager
        async def keep() -> AsyncIterator[Kept]:
            async with store_of(target, self.store, stack, self.environment) as store:
                records = store.records(stack.name, stack.retention)

                async def prune(observed: Observed) -> None:
                    if Kind.JOB not in observed.unread:
                        await records.prune({(job.key, job.guard.born) for job in observed.jobs.values()})

                notes = ShelfNotes(store.shelf.below(stack.name))
                yield Kept(records, notes, store.lock, store.journal(stack.name, stack.retention), prune)

        key = (target, self.store or stack.store, stack.retention)
        return Site(str(target), key, connect, keep, traffic, lambda found: _signed(target, found))


def _signed(target: Target, desired: Desired) -> Desired:
    return signed_by(target, desired)
