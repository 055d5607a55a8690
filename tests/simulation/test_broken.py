"""Reconcilers that are wrong on purpose, to show that the simulation can fail."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from reconciler.errors import Transient
from reconciler.lifecycle.steps import Action, Verb
from reconciler.model.desired import Desired, Key
from reconciler.observed import Observed
from reconciler.verify.crashes import undisturbed
from reconciler.verify.process import Order
from reconciler.verify.seeds import play

Stacks = Mapping[str, tuple[Desired, Desired]]


@dataclass
class Wrapped:
    """An account, with one thing done otherwise."""

    account: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.account, name)


class TooHasty(Wrapped):
    """Takes a terminating job for a completed one."""

    async def observe(self) -> Observed:
        seen = await self.account.observe()
        jobs = {
            key: replace(job, state="completed") if job.state == "terminating" else job
            for key, job in seen.jobs.items()
        }
        return replace(seen, jobs=jobs).with_children()


class Unguarded(Wrapped):
    """Sends without saying which incarnation it means."""

    async def send(self, key: Key, name: str, action: Action) -> None:
        await self.account.send(key, name, replace(action, guard=None))


class Obstinate(Wrapped):
    """Asks again for what it got no answer to, without another look."""

    async def send(self, key: Key, name: str, action: Action) -> None:
        try:
            await self.account.send(key, name, action)
        except Transient:
            if action.verb not in (Verb.TERMINATE, Verb.DELETE):
                raise
            await asyncio.sleep(1.0)
            await self.account.send(key, name, replace(action, guard=None))


class Grasping(Wrapped):
    """Believes that no node owes anything."""

    async def node_runs(self, job: Any) -> tuple[Any, ...]:
        return ()


class Selfish(Wrapped):
    """Sees no job but its own."""

    async def observe(self) -> Observed:
        seen = await self.account.observe()
        return replace(seen, jobs={key: job for key, job in seen.jobs.items() if job.name != "guest"})


class Careless(Wrapped):
    """Takes every release that ended for one that succeeded."""

    async def node_runs(self, job: Any) -> tuple[Any, ...]:
        return tuple(
            replace(run, release=run.release and replace(run.release, exit_code=0, result="success", failure=None))
            for run in await self.account.node_runs(job)
        )


class Restless(Wrapped):
    """Restarts nodes on which a release of somebody else is under way: does not see that their job ends."""

    async def observe(self) -> Observed:
        seen = await self.account.observe()
        guest = {key: replace(job, state="active") for key, job in seen.jobs.items() if job.name == "guest"}
        return replace(seen, jobs={**seen.jobs, **guest})


class Presuming(Wrapped):
    """Takes what may not be listed for absent."""

    async def observe(self) -> Observed:
        return replace(await self.account.observe(), unread={})


@pytest.mark.parametrize(
    "broken, stack, fault, caught_by",
    [
        (TooHasty, "small", "while it was terminating", 0),
        (Unguarded, "small", "ended a job/main that it never saw", 19),
        (Obstinate, "small", "ended a job/main that it never saw", 111),
        (Grasping, "small", "its receipt is not what its nodes did", 0),
        (Careless, "small", "whose release failed on node", 1),
        (Presuming, "large", "which owed the release of job/main", 92),
        (Restless, "nodes", "which owed the release of job/guest", 193),
        (Selfish, "nodes", "which owed the release of job/guest", 19),
    ],
)
def test_a_broken_reconciler_is_caught(
    stacks: Stacks, broken: type[Wrapped], stack: str, fault: str, caught_by: int
) -> None:
    """By some seed; the one that is known to is tried first."""
    for seed in (caught_by, *range(300)):
        sentences = play(seed, stacks[stack], wrap=broken).broken
        if any(fault in sentence for sentence in sentences):
            return
    raise AssertionError(f"no seed of 300 catches {broken.__name__}")


def test_a_run_without_faults_keeps_every_promise(quickstart: Desired) -> None:
    assert undisturbed([Order(quickstart, work=True), Order(quickstart, destroys=True)]).verdict.broken == ()
