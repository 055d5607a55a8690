"""The store of a stack, and the lock under which one process at a time changes what is the stack's."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from reconciler.api.target import Snapshot, Target
from reconciler.model.desired import Stack
from reconciler.store import SECONDS, Held, MachineClock, Store, held, location_of, locked, open_store, this_owner


@asynccontextmanager
async def store_of(
    target: Target | Snapshot,
    given: str | None = None,
    stack: Stack | None = None,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[Store]:
    """What is kept of an account's stacks: where *given* says, else where the Stack does, else in the user's folder.

    Raises UsageError for a place that cannot be meant; what cannot be reached raises StoreError when it is used.
    """
    what = "--store" if given is not None else "spec.store.location"
    location = location_of(given if given is not None else stack.store if stack else None, environment, what)
    endpoint = str(target.content["endpoint"]) if isinstance(target, Snapshot) else target.endpoint
    async with open_store(location, endpoint, environment) as store:
        yield store


async def check_free(target: Target, given: str | None, stack: Stack) -> None:
    """Raise Locked where another process changes the stack at this moment: asked before the work of a plan."""
    async with store_of(target, given, stack) as store:
        found = await store.lock.holding(stack.name)
    if found is not None and not found.expired:
        raise locked(found)


@asynccontextmanager
async def holding(
    store: Store, stack: str, purpose: str, on_lost: Callable[[str], None], on_left: Callable[[str], None]
) -> AsyncIterator[Held]:
    """Hold the lock of a stack. Raises Locked at once where somebody else does."""
    async with held(store.lock, stack, this_owner(), purpose, SECONDS, MachineClock(), on_lost, on_left) as ours:
        yield ours
