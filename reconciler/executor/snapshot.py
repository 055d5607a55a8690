"""A snapshot with the details that decisions, the wait for tasks, or a last account of them need."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from reconciler.errors import BatchError, Denied, Missing, Moved, Rejected
from reconciler.lifecycle.steps import Context
from reconciler.model.desired import Desired, Key
from reconciler.observed import LiveJob, LiveNode, LivePool, Observed
from reconciler.planning import Plan
from reconciler.ports import BatchReader
from reconciler.reading import (
    MOST_FORECAST,
    Reading,
    ending_jobs,
    for_decisions,
    for_forecasts,
    for_results,
    for_watching,
)

T = TypeVar("T")


async def look(reader: BatchReader, desired: Desired, context: Context, *, watch: bool) -> Observed:
    """A snapshot with all that decisions need; with *watch* also what the wait for tasks needs."""
    observed = await reader.observe()
    for _ in ("what the lists ask for", "what the counts ask for"):
        observed = await read_details(reader, observed, for_decisions(desired, observed, context))
    if watch:
        for _ in ("counts", "what the counts ask for"):
            observed = await read_details(reader, observed, for_watching(desired, observed))
    return observed


async def look_ahead(reader: BatchReader, plan: Plan, observed: Observed) -> tuple[Observed, dict[Key, str]]:
    """The snapshot with what a forecast of *plan* says more; and why something is not known, by object. What cannot be
    read for a forecast is no reason to have no plan."""
    unread = dict.fromkeys(
        ending_jobs(plan)[MOST_FORECAST:], f"not read: the first {MOST_FORECAST} jobs that end are looked at"
    )
    for _ in ("counts and nodes", "the pools of nodes that were found"):
        observed = await read_details(reader, observed, for_forecasts(plan, observed), unread)
    return observed, unread


async def read_results(reader: BatchReader, observed: Observed, jobs: frozenset[Key]) -> Observed:
    """The snapshot with everything that a last account of these jobs shows."""
    for _ in ("counts", "what the counts ask for"):
        observed = await read_details(reader, observed, for_results(observed, jobs))
    return observed


async def read_details(
    reader: BatchReader, observed: Observed, reading: Reading, unread: dict[Key, str] | None = None
) -> Observed:
    """The snapshot with what *reading* names, as far as it was not read yet; an object that is gone by now is left as
    the list had it. With *unread*, so is one that cannot be read, and the reason is put there."""

    async def job(key: Key) -> LiveJob:
        there = observed.jobs[key]
        try:
            if key in reading.counts and there.counts is None:
                there = replace(there, counts=await reader.task_counts(there))
            if key in reading.ids and there.ids is None:
                there = replace(there, ids=await reader.task_ids(there))
            if key in reading.tasks and there.tasks is None:
                there = replace(there, tasks=await reader.tasks(there))
            if key in reading.runs and there.nodes is None:
                there = replace(there, nodes=await reader.node_runs(there))
        except Missing:
            # Gone by now: nothing is owed any more. What a completed one did is not known, so no receipt says it.
            paid = key in reading.runs and there.state != "completed"
            return replace(there, nodes=()) if paid else there
        except BatchError as error:
            if unread is None:
                raise
            unread[key] = str(error)
        return there

    async def pool(key: Key) -> LivePool:
        there = observed.pools[key]
        try:
            if key in reading.nodes | reading.hosts and there.members is None:
                there = replace(there, members=await nodes(there))
            if key in reading.formulas and not there.evaluated:
                there = replace(there, evaluated=await evaluated(there, reading.formulas[key]))
        except Missing:
            return there
        except BatchError as error:
            if unread is None:
                raise
            unread[key] = str(error)
        return there

    async def nodes(there: LivePool) -> tuple[LiveNode, ...] | None:
        try:
            return await reader.nodes(there)
        except (Denied, Rejected):
            if there.key in reading.nodes:
                raise
            return None

    async def evaluated(there: LivePool, formula: str) -> str:
        try:
            return await reader.evaluate(there, formula)
        except (Denied, Moved, Rejected) as refused:  # a note in the plan, not what the plan depends on
            return f"the service did not evaluate it ({refused})"

    gate = asyncio.Semaphore(32)

    async def bounded(work: Awaitable[T]) -> T:
        async with gate:
            return await work

    # Nodes before what they did: a node that is seen off scheduling runs no task any more, so what is read of it after
    # that is the last word on what it owes.
    looked_at = (reading.nodes | reading.hosts | reading.formulas.keys()) & observed.pools.keys()
    pools = await asyncio.gather(*(bounded(pool(key)) for key in sorted(looked_at)))
    keys = sorted((reading.counts | reading.tasks | reading.ids | reading.runs) & observed.jobs.keys())
    jobs = await asyncio.gather(*(bounded(job(key)) for key in keys))
    return (
        replace(
            observed,
            jobs={**observed.jobs, **{there.key: there for there in jobs}},
            pools={**observed.pools, **{there.key: there for there in pools}},
        )
        .with_children()
        .with_hosts()
    )
