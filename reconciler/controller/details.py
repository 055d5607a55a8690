"""One object looked at closely, because a person asked: what a pass does not read for want of a reason."""

from dataclasses import replace
from typing import Final

from reconciler.executor.snapshot import read_details
from reconciler.model.desired import Key, Kind
from reconciler.observed import LiveJob, LivePool, Observed
from reconciler.ports import BatchReader
from reconciler.reading import Reading

MOST_TASKS: Final = 2_000
"""Tasks of a job that are listed for one look; of more, only the counts are read."""
LAST_CHILDREN: Final = 3


async def look_closely(reader: BatchReader, observed: Observed, key: Key) -> Observed:
    """The snapshot with all that can be read of one object now: of a job its counts, preparation and release per node,
    its tasks where they are few, and the nodes it ran on; of a pool its nodes; of a schedule the counts of its last
    jobs. What is gone by now stays as the list had it. Raises BatchError."""
    match key.kind:
        case Kind.JOB if key in observed.jobs:
            return await _job(reader, observed, key)
        case Kind.POOL if key in observed.pools:
            fresh = replace(observed.pools[key], members=None)
            return await read_details(reader, _with_pools(observed, {key: fresh}), Reading(nodes=frozenset({key})))
        case Kind.JOB_SCHEDULE if key in observed.schedules:
            last = frozenset(job.key for job in observed.schedules[key].children[-LAST_CHILDREN:])
            fresh_jobs = {child: _unread(observed.jobs[child]) for child in last}
            return await read_details(reader, _with_jobs(observed, fresh_jobs), Reading(counts=last, runs=last))
    return observed


async def _job(reader: BatchReader, observed: Observed, key: Key) -> Observed:
    one = frozenset({key})
    observed = _with_jobs(observed, {key: _unread(observed.jobs[key])})
    observed = await read_details(reader, observed, Reading(counts=one, runs=one))
    job = observed.jobs[key]
    total = job.counts.active + job.counts.running + job.counts.completed if job.counts is not None else 0
    hosts = {Key.of(Kind.POOL, run.pool) for run in job.nodes or ()} & observed.pools.keys()
    observed = _with_pools(observed, {pool: replace(observed.pools[pool], members=None) for pool in hosts})
    tasks = one if total <= MOST_TASKS else frozenset[Key]()
    return await read_details(reader, observed, Reading(tasks=tasks, hosts=frozenset(hosts)))


def _unread(job: LiveJob) -> LiveJob:
    return replace(job, counts=None, nodes=None, tasks=None, hosts=None)


def _with_jobs(observed: Observed, jobs: dict[Key, LiveJob]) -> Observed:
    return replace(observed, jobs={**observed.jobs, **jobs})


def _with_pools(observed: Observed, pools: dict[Key, LivePool]) -> Observed:
    return replace(observed, pools={**observed.pools, **pools})
