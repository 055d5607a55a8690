"""What has to be read, beyond the lists, before a decision can be taken. Pure: the shell does the reading.

Everything here costs a request for each object, so each entry has a reason: it is read only where a step or a line
on the screen depends on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.lifecycle import consents, ignoring, job_change, runs
from reconciler.lifecycle import pool as pool_life
from reconciler.lifecycle import tasks as task_life
from reconciler.lifecycle.steps import Context, Verb
from reconciler.model.desired import Desired, Key, Kind, Wanted
from reconciler.model.document import ScheduleLifecycle
from reconciler.observed import UNFINISHED, LiveJob, LiveSchedule, Observed
from reconciler.planning import Plan, leaving_children


@dataclass(frozen=True, slots=True)
class Reading:
    """Keys of objects whose details are needed: tasks, only their ids, and counts of jobs, preparation and release per
    node of jobs, the nodes of pools, of *hosts* only for a line on the screen; and autoscale formulas that the service
    is to evaluate on pools, by pool."""

    tasks: frozenset[Key] = frozenset()
    ids: frozenset[Key] = frozenset()
    counts: frozenset[Key] = frozenset()
    runs: frozenset[Key] = frozenset()
    nodes: frozenset[Key] = frozenset()
    hosts: frozenset[Key] = frozenset()
    formulas: Mapping[Key, str] = field(default_factory=dict)


def for_decisions(desired: Desired, observed: Observed, context: Context) -> Reading:
    """What `make_plan` needs to know."""
    context = consents.in_force(desired, observed, context)
    wanted_pools = [(ignoring.beside(desired.objects.get(key), pool), pool) for key, pool in observed.pools.items()]
    handled = {pool.key for wanted, pool in wanted_pools if pool_life.needs_nodes(wanted, pool, context)}
    tried = ((pool.key, pool_life.formula_to_try(wanted, pool, context)) for wanted, pool in wanted_pools)
    formulas = {key: formula for key, formula in tried if formula is not None}
    tasks: set[Key] = set()
    ids: set[Key] = set()
    nodes: set[Key] = set()
    counts: set[Key] = set()
    for key, schedule in observed.schedules.items():
        if not context.owns(schedule):
            continue
        # To know which ended jobs the history keeps, whether they failed; of those that go, what their nodes did.
        wanted = desired.objects.get(key)
        _, leaving = leaving_children(wanted, schedule, context)
        nodes |= {job.key for job in leaving if job.prepares and job.state in ("terminating", "completed")}
        counts |= _history(wanted, schedule)
    for key, job in observed.jobs.items():
        wanted = ignoring.beside(desired.objects.get(key), job)
        if (job.prepares or job.releases) and job.state != "completed" and job.pool in handled:
            nodes.add(key)
        ours = context.owns(job) or (key in context.adopting and job.mark is None)
        if job.state == "deleting" or job.schedule is not None or not ours:
            continue
        if wanted is not None and _compares_tasks(wanted, job, context):
            (ids if task_life.are_listed_by_id(wanted, job) else tasks).add(key)
        # The receipt of a job that may go, and the nodes that a terminating one is waiting for.
        if job.prepares and (
            job.state == "terminating" or (job.state == "completed" and _may_go(wanted, job, context))
        ):
            nodes.add(key)
        if wanted is None:
            continue
        if job_change.makes_way(wanted, job, context) or runs.may_expire(wanted, job, context):
            counts.add(key)  # tasks that would be killed; how it ended
        if job.prepares and (job_change.leaves_its_pool(wanted, job) or runs.may_expire(wanted, job, context)):
            nodes.add(key)
    return Reading(
        tasks=frozenset(tasks),
        ids=frozenset(ids),
        counts=frozenset(counts),
        runs=frozenset(nodes),
        nodes=frozenset(handled),
        hosts=frozenset(pool for key in nodes for pool in hosts_of(observed.jobs[key])),
        formulas=formulas,
    )


def hosts_of(job: LiveJob) -> set[Key]:
    """The pools whose nodes tell why a job that is ending has not ended yet."""
    return {Key.of(Kind.POOL, run.pool) for run in job.owing()} if job.state == "terminating" else set()


def _compares_tasks(wanted: Wanted, job: LiveJob, context: Context) -> bool:
    """Whether the tasks of a job have to be listed: the mark does not say that they are as declared."""
    if job.state == "completed":
        return bool(wanted.tasks) and not task_life.are_in(wanted, job)
    if task_life.are_settled(wanted, job, context):
        return False
    return bool(wanted.tasks) or job.mark is None or task_life.looks_for_others(wanted)


def _history(wanted: Wanted | None, schedule: LiveSchedule) -> set[Key]:
    """Ended jobs of a schedule whose counts decide which of them are kept."""
    if wanted is None or not isinstance(wanted.lifecycle, ScheduleLifecycle):
        return set()
    ended = [job.key for job in schedule.children if job.state == "completed" and not job.scheduling_error]
    keep = wanted.lifecycle.history
    return set(ended) if len(ended) > min(keep.success, keep.failure) else set()


def _may_go(wanted: Wanted | None, job: LiveJob, context: Context) -> bool:
    if wanted is None:
        return context.removes(job.key)
    return isinstance(job_change.replacement(wanted, job, job_change.job_diff(wanted, job), context), str)


MOST_FORECAST: Final = 250
"""Jobs that are read for a forecast alone, two requests each: a plan is looked at by somebody who waits."""


def ending_jobs(plan: Plan) -> tuple[Key, ...]:
    """Unfinished jobs that the plan ends, and those that it deletes: what a forecast speaks of, in the plan's order."""
    found: dict[Key, None] = {}
    for entry in plan.entries.values():
        ends = Verb.TERMINATE in entry.verbs
        if isinstance(entry.live, LiveJob) and (ends or entry.removes) and entry.live.state != "deleting":
            found[entry.key] = None
        elif isinstance(entry.live, LiveSchedule) and ends:
            found |= dict.fromkeys(job.key for job in entry.live.unfinished)
    return tuple(found)


def for_forecasts(plan: Plan, observed: Observed) -> Reading:
    """What a forecast says beyond what decisions need: of the first jobs that end, how many tasks they cut off, on
    which nodes their release runs, and whether these are there. Pools that lose nodes are read for the decision."""
    jobs = frozenset(key for key in ending_jobs(plan)[:MOST_FORECAST] if key in observed.jobs)
    there = [observed.jobs[key] for key in jobs]
    pools = {job.pool for job in there if job.releases and job.pool is not None and job.state != "completed"}
    pools |= {Key.of(Kind.POOL, run.pool) for job in there for run in job.nodes or ()}
    return Reading(
        counts=jobs,
        runs=frozenset(job.key for job in there if job.prepares),
        hosts=frozenset(pools & observed.pools.keys()),
    )


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
            continue
        if job.counts.failed and not job.counts.running and job.spec.get("usesTaskDependencies"):
            tasks.add(key)  # do the others wait for those that failed?
        if job.prepares:
            runs.add(key)
            if job.pool is not None and job.pool in observed.pools:
                nodes.add(job.pool)
    return Reading(tasks=frozenset(tasks), counts=frozenset(counts), runs=frozenset(runs), nodes=frozenset(nodes))


def for_results(observed: Observed, jobs: frozenset[Key]) -> Reading:
    """What a last account of these jobs needs: counts, every node's preparation and release, and the tasks of those
    that have failed ones."""
    there = {key: observed.jobs[key] for key in jobs if key in observed.jobs}
    failed = frozenset(key for key, job in there.items() if job.counts is not None and job.counts.failed)
    prepared = frozenset(key for key, job in there.items() if job.prepares)
    return Reading(tasks=failed, counts=frozenset(there), runs=prepared)
