"""What a pass saw and did, and whether the declared work is done: pure reading of a plan and a snapshot."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reconciler.errors import BatchError
from reconciler.lifecycle import pool as pool_life
from reconciler.lifecycle import release
from reconciler.lifecycle.dependencies import held_back
from reconciler.lifecycle.steps import Action, Done
from reconciler.lifecycle.wording import counted, few
from reconciler.model.desired import Desired, Key, Kind, Wanted
from reconciler.model.document import JobLifecycle
from reconciler.observed import (
    CAN_RUN,
    ON_THE_WAY,
    Live,
    LiveJob,
    LivePool,
    LiveSchedule,
    LiveTask,
    NodeRun,
    Observed,
    short,
)
from reconciler.planning import Entry

IN_PROGRESS = frozenset({"active", "enabling"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one action. *error* None: the service accepted it."""

    key: Key
    address: str
    action: Action
    error: BatchError | None
    at: str


class Sync(StrEnum):
    """Whether an object is as its manifest says."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    BLOCKED = "Blocked"


class Health(StrEnum):
    """How an object is doing, whatever its manifest says."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    MISSING = "Missing"


def sync(entry: Entry) -> Sync:
    """Blocked needs a person; a wait is on its way and counts as out of sync until it is over."""
    if entry.blocked is not None:
        return Sync.BLOCKED
    return Sync.SYNCED if isinstance(entry.step, Done) else Sync.OUT_OF_SYNC


def health(live: Live | None) -> tuple[Health, tuple[str, ...]]:
    """Health of one object and what a person should look at."""
    match live:
        case LivePool() as pool:
            found = pool_life.problems(pool)
            moving = pool.state != "active" or pool.allocation != "steady"
            states = (pool.nodes or {}).keys()
            moving = moving or bool(states & {*ON_THE_WAY, "waitingforstarttask"})
        case LiveJob() as job:
            found = (
                *((job.scheduling_error,) if job.scheduling_error else ()),
                *node_problems(job),
                *task_problems(job),
                *release.stuck(job),
            )
            moving = job.state not in ("active", "completed", "disabled") or _has_work(job)
        case LiveSchedule() as schedule:
            last = schedule.children[-1:]
            found = tuple(f"{job.address}: {text}" for job in last for text in health(job)[1])
            moving = schedule.state in ("terminating", "deleting") or bool(schedule.unfinished)
        case _:
            return Health.MISSING, ()
    if found:
        return Health.DEGRADED, found
    return (Health.PROGRESSING if moving else Health.HEALTHY), ()


def _has_work(job: LiveJob) -> bool:
    return job.state == "active" and job.counts is not None and bool(job.counts.active or job.counts.running)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the declared tasks of a job are. *done* counts declared tasks that ended, *total* all declared."""

    key: Key
    address: str
    done: int
    failed: int
    running: int
    total: int

    @property
    def is_over(self) -> bool:
        return self.done >= self.total


def progress(desired: Desired, observed: Observed, jobs: Iterable[Key]) -> tuple[Progress, ...]:
    """How far the declared tasks of these jobs are, in the order of their keys: of those that are unfinished and have
    tasks. A job whose counts were not read yet has done none.
    """
    found = []
    for key in sorted(jobs):
        wanted = desired.objects[key]
        job = observed.jobs.get(key)
        if job is None or not wanted.tasks or job.state not in IN_PROGRESS:
            continue
        total = len(wanted.tasks)
        if job.tasks is not None and all(task in job.tasks for task in wanted.tasks):
            states = [job.tasks[task] for task in wanted.tasks]
            done = sum(task.is_over for task in states)
            running = sum(task.state in ("running", "preparing") for task in states)
            failed = sum(task.failed for task in states)
            found.append(Progress(key, wanted.address, done, failed, running, total))
        else:
            counts = job.counts
            done = min(counts.completed, total) if counts else 0
            if counts and (counts.active or counts.running):
                done = min(done, total - 1)  # only a listing tells whether the declared ones are among those that ended
            running, failed = (counts.running, counts.failed) if counts else (0, 0)
            found.append(Progress(key, wanted.address, done, failed, running, total))
    return tuple(found)


def cannot_go_on(desired: Desired, observed: Observed, job: Progress) -> str:
    """Why no declared task of the job can run any more by itself; empty when one can, or when it is not known."""
    live = observed.jobs.get(job.key)
    if live is None or job.running:
        return ""
    return _waits_for_failed_ones(desired.objects[job.key], live) or _has_no_node(observed, live)


def _waits_for_failed_ones(wanted: Wanted, job: LiveJob) -> str:
    if job.tasks is None or not all(task in job.tasks for task in wanted.tasks):
        return ""
    causes, held = held_back(job.tasks)
    left = [task for task in wanted.tasks if not job.tasks[task].is_over]
    if not left or not held.issuperset(left):
        return ""
    wait = counted(len(left), "task", "waits")
    if len(causes) == 1:
        return f"task {causes[0].name} failed ({_how_it_failed(causes[0])}), and {wait} for it"
    return f"tasks {few([task.name for task in causes])} failed, and {wait} for them"


def _has_no_node(observed: Observed, live: LiveJob) -> str:
    if live.pool is None:
        return ""
    pool = observed.pools.get(live.pool)
    if pool is None:
        return "" if Kind.POOL in observed.unread else f"{live.pool} does not exist"
    if pool.allocation != "steady":
        return ""
    if not pool.current:
        return f"{pool.address} has no nodes"
    if pool.nodes and not pool.nodes.keys() & CAN_RUN:
        return f"{pool.address} has no usable node"
    # The service leaves the tasks active, and no node tries the preparation again until it is reimaged (REST
    # reference, BatchJobPreparationTask).
    waits = (live.spec.get("jobPreparationTask") or {}).get("waitForSuccess", True)
    failed = {run.node for run in live.nodes or () if run.preparation is not None and run.preparation.failed}
    return "its preparation failed on every node" if waits and pool.able_ids and pool.able_ids <= failed else ""


def problems(desired: Desired, observed: Observed) -> tuple[str, ...]:
    """What went wrong with declared objects, one line each: nodes that take no tasks, failed preparation, release
    and tasks, tasks that a job left behind when it ended. They are the service's results, not differences from the
    manifests."""
    lines: list[str] = []
    for key, wanted in sorted(desired.objects.items()):
        live = observed.get(key)
        if live is None or live.mark is None or live.mark.stack != desired.stack.name:
            continue
        found = health(live)[1]
        asked_to_end = isinstance(wanted.lifecycle, JobLifecycle) and wanted.lifecycle.state == "Completed"
        if isinstance(live, LiveJob) and not asked_to_end:
            found += left_behind(live)
        lines += (f"{wanted.address}: {text}" for text in found)
    return tuple(lines)


def left_behind(job: LiveJob) -> tuple[str, ...]:
    """Tasks that a job which has ended will never run, as far as they were counted."""
    left = job.counts.active + job.counts.running if job.counts is not None and job.state == "completed" else 0
    return (
        (f"{left} of its tasks never ran: the job ended ({job.terminate_reason or 'no reason given'})",) if left else ()
    )


def node_problems(job: LiveJob) -> tuple[str, ...]:
    """Failed preparation and release tasks, with node, exit code and where the log is."""
    lines = []
    for run in job.nodes or ():
        for kind, part in (("preparation", run.preparation), ("release", run.release)):
            if part is not None and part.failed:
                lines.append(
                    f"{kind} failed on node {short(run.node)} ({part.ending}); "
                    f"see reconciler logs {job.address} --node {short(run.node)} --task {kind}"
                )
    return tuple(lines)


def task_problems(job: LiveJob) -> tuple[str, ...]:
    """Failed tasks, with exit code or the service's reason, and where the log is."""
    lines = []
    for task in (job.tasks or {}).values():
        if task.failed:
            why = _how_it_failed(task)
            lines.append(f"task {task.name} failed ({why}); see reconciler logs {job.address} --task {task.name}")
    return tuple(lines)


def _how_it_failed(task: LiveTask) -> str:
    return f"exit code {task.exit_code}" if task.exit_code is not None else task.failure or "no exit code"


def receipt_lines(nodes: tuple[NodeRun, ...]) -> tuple[str, ...]:
    """Preparation and release of each node in words: what is left of a job before it is deleted."""
    if not nodes:
        return ("no node ran a preparation task",)
    return tuple(
        f"{run.node}  preparation {outcome(run, 'preparation')}  release {outcome(run, 'release')}" for run in nodes
    )


def outcome(run: NodeRun, kind: str) -> str:
    """`exit code 0`, `running`, `not run`, or the service's reason."""
    part = run.preparation if kind == "preparation" else run.release
    if part is None:
        return "not run"
    if not part.is_over:
        return part.state
    return part.ending
