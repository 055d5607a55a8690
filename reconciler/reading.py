"""What has to be read, beyond the lists, before a decision can be taken. Pure: the shell does the reading.

Everything here costs a request for each object, so each entry has a reason: it is read only where a step or a line
on the screen depends on it.
"""

from dataclasses import dataclass

from reconciler.lifecycle import pool as pool_life
from reconciler.lifecycle.job import UNFINISHED
from reconciler.lifecycle.steps import Context
from reconciler.model.desired import Desired, Key, Kind
from reconciler.observed import LiveJob, Observed


@dataclass(frozen=True, slots=True)
class Reading:
    """Keys of objects whose details are needed: tasks and counts of jobs, preparation and release per node of jobs,
    node ids of pools."""

    tasks: frozenset[Key] = frozenset()
    counts: frozenset[Key] = frozenset()
    runs: frozenset[Key] = frozenset()
    nodes: frozenset[Key] = frozenset()


def for_decisions(desired: Desired, observed: Observed, context: Context) -> Reading:
    """What `make_plan` needs to know."""
    shrinking = {
        key
        for key, pool in observed.pools.items()
        if pool_life.takes_nodes_away(desired.objects.get(key), pool, context)
    }
    tasks, runs = set(), set()
    for key, job in observed.jobs.items():
        wanted = desired.objects.get(key)
        if job.state == "deleting":
            continue
        if job.releases and job.state != "completed" and job.pool in shrinking:
            runs.add(key)
        if not context.owns(job):
            continue
        if wanted is not None and wanted.tasks and job.mark is not None and job.mark.tasks != wanted.tasks_digest:
            tasks.add(key)
        # The receipt of a job that may go, and the nodes that a terminating one is waiting for.
        if job.prepares and (
            job.state == "terminating" or (job.state == "completed" and _may_go(desired, job, context))
        ):
            runs.add(key)
    return Reading(tasks=frozenset(tasks), runs=frozenset(runs), nodes=frozenset(shrinking))


def _may_go(desired: Desired, job: LiveJob, context: Context) -> bool:
    wanted = desired.objects.get(job.key)
    if wanted is None:
        return context.removes(job.key)
    return wanted.spec != job.spec or (job.key, job.guard.born) in context.consents.replace


def for_watching(desired: Desired, observed: Observed) -> Reading:
    """What the live view and the wait for declared tasks need: counts while tasks run, the tasks themselves once all
    may have ended, preparation per node, and which nodes are there."""
    counts, tasks, runs, nodes = set(), set(), set(), set()
    for key, wanted in desired.objects.items():
        job = observed.jobs.get(key)
        if job is None or job.state == "deleting":
            continue
        if wanted.tasks and job.state in UNFINISHED:
            counts.add(key)
            if job.counts is not None and job.counts.completed >= len(wanted.tasks):
                tasks.add(key)
        if job.prepares:
            runs.add(key)
            if job.pool is not None and job.pool in observed.pools:
                nodes.add(job.pool)
    return Reading(frozenset(tasks), frozenset(counts), frozenset(runs), frozenset(nodes))


def for_results(desired: Desired, observed: Observed) -> Reading:
    """What a last account of the declared work needs: every task, every node."""
    jobs = frozenset(key for key in desired.objects if key.kind is Kind.JOB and key in observed.jobs)
    with_tasks = frozenset(key for key in jobs if desired.objects[key].tasks)
    pools = frozenset(key for key in desired.objects if key.kind is Kind.POOL and key in observed.pools)
    return Reading(tasks=with_tasks, counts=with_tasks, runs=jobs, nodes=pools)
