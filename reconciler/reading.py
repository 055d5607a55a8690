"""What has to be read, beyond the lists, before a decision can be taken. Pure: the shell does the reading.

Everything here costs a request for each object, so each entry has a reason: it is read only where a step or a line
on the screen depends on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler.lifecycle import pool as pool_life
from reconciler.lifecycle.job import UNFINISHED
from reconciler.lifecycle.steps import Context
from reconciler.model.desired import Desired, Key, Wanted
from reconciler.model.document import ScheduleLifecycle
from reconciler.observed import LiveJob, LiveSchedule, Observed
from reconciler.plan import leaving_children


@dataclass(frozen=True, slots=True)
class Reading:
    """Keys of objects whose details are needed: tasks and counts of jobs, preparation and release per node of jobs,
    the nodes of pools; and autoscale formulas that the service is to evaluate on pools, by pool."""

    tasks: frozenset[Key] = frozenset()
    counts: frozenset[Key] = frozenset()
    runs: frozenset[Key] = frozenset()
    nodes: frozenset[Key] = frozenset()
    formulas: Mapping[Key, str] = field(default_factory=dict)


def for_decisions(desired: Desired, observed: Observed, context: Context) -> Reading:
    """What `make_plan` needs to know."""
    context = replace(context, now=observed.at)
    wanted_pools = [(desired.objects.get(key), pool) for key, pool in observed.pools.items()]
    handled = {pool.key for wanted, pool in wanted_pools if pool_life.needs_nodes(wanted, pool, context)}
    tried = ((pool.key, pool_life.formula_to_try(wanted, pool, context)) for wanted, pool in wanted_pools)
    formulas = {key: formula for key, formula in tried if formula is not None}
    tasks, runs, counts = set(), set(), set()
    for key, schedule in observed.schedules.items():
        if not context.owns(schedule):
            continue
        # To know which ended jobs the history keeps, whether they failed; of those that go, what their nodes did.
        wanted = desired.objects.get(key)
        _, leaving = leaving_children(wanted, schedule, context)
        runs |= {job.key for job in leaving if job.prepares and job.state in ("terminating", "completed")}
        counts |= _history(wanted, schedule)
    for key, job in observed.jobs.items():
        wanted = desired.objects.get(key)
        if (job.prepares or job.releases) and job.state != "completed" and job.pool in handled:
            runs.add(key)
        if job.state == "deleting" or job.schedule is not None or not context.owns(job):
            continue
        if wanted is not None and wanted.tasks and job.mark is not None and job.mark.tasks != wanted.tasks_digest:
            tasks.add(key)
        # The receipt of a job that may go, and the nodes that a terminating one is waiting for.
        if job.prepares and (
            job.state == "terminating" or (job.state == "completed" and _may_go(desired, job, context))
        ):
            runs.add(key)
    return Reading(frozenset(tasks), frozenset(counts), frozenset(runs), frozenset(handled), formulas)


def _history(wanted: Wanted | None, schedule: LiveSchedule) -> set[Key]:
    """Ended jobs of a schedule whose counts decide which of them are kept."""
    if wanted is None or not isinstance(wanted.lifecycle, ScheduleLifecycle):
        return set()
    ended = [job.key for job in schedule.children if job.state == "completed" and not job.scheduling_error]
    keep = wanted.lifecycle.history
    return set(ended) if len(ended) > min(keep.success, keep.failure) else set()


def _may_go(desired: Desired, job: LiveJob, context: Context) -> bool:
    wanted = desired.objects.get(job.key)
    if wanted is None:
        return context.removes(job.key)
    return wanted.spec != job.spec or (job.key, job.guard.born) in context.consents.replace


def for_watching(desired: Desired, observed: Observed) -> Reading:
    """What the live view and the wait for declared tasks need of jobs that have not ended: counts while tasks run,
    the tasks themselves once all may have ended, preparation per node and which nodes are there while work goes on.

    A job is asked about once more when its counts are known; the account's quota of active jobs bounds the requests.
    """
    counts, tasks, runs, nodes = set(), set(), set(), set()
    for key, wanted in desired.objects.items():
        job = observed.jobs.get(key)
        if job is None or not wanted.tasks or job.state not in UNFINISHED:
            continue
        counts.add(key)
        if job.counts is None:
            continue
        if job.counts.completed >= len(wanted.tasks):
            if job.counts.active or job.counts.running:  # tasks of others still run: are the declared ones among them?
                tasks.add(key)
        elif job.prepares:
            runs.add(key)
            if job.pool is not None and job.pool in observed.pools:
                nodes.add(job.pool)
    return Reading(frozenset(tasks), frozenset(counts), frozenset(runs), frozenset(nodes))


def for_results(observed: Observed, jobs: frozenset[Key]) -> Reading:
    """What a last account of these jobs needs: counts, every node's preparation and release, and the tasks of those
    that have failed ones."""
    there = {key: observed.jobs[key] for key in jobs if key in observed.jobs}
    failed = frozenset(key for key, job in there.items() if job.counts is not None and job.counts.failed)
    prepared = frozenset(key for key, job in there.items() if job.prepares)
    return Reading(tasks=failed, counts=frozenset(there), runs=prepared)
