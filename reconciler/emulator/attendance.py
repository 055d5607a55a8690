"""A job at a node: its preparation before the first task there, and its release when the job ends.

The rules are those of the SEED documents on both tasks, M:BatchJobPreparationTask, M:BatchJobReleaseTask and DR.
"""

from __future__ import annotations

from reconciler.emulator import failures, multi_instance, runs, tasks
from reconciler.emulator.ports import Ended
from reconciler.emulator.records import Attendance, Execution, Job, Json, Node, Task
from reconciler.emulator.times import parse_span
from reconciler.emulator.world import World, nodes_of

UP = ("idle", "running", "offline")
COMING = ("creating", "starting", "waitingforstarttask", "rebooting", "reimaging", "preempted", "upgradingos")


def of(w: World, job: Job, node: Node) -> Attendance:
    """The job's record at the node, made on first use."""
    found = w.attendances_of_job[job.key].get(f"{job.key}/{node.key}")
    if found is None:
        found = Attendance(job.key, node.key, w.pools[node.pool].id, node.id)
        w.add(found)
    return found


def admits(w: World, job: Job, node: Node) -> bool:
    """Whether tasks of the job may go to the node at all."""
    found = w.attendances_of_job[job.key].get(f"{job.key}/{node.key}")
    return found is None or not found.barred


def receive(w: World, task: Task, nodes: list[Node]) -> None:
    """A task was scheduled to one node, or to several: run it, behind the preparation where that is needed first."""
    job = w.jobs[task.job]
    tasks.assign(w, task, nodes[0])
    if multi_instance.NAME in task.spec:
        multi_instance.spread(w, task, nodes)
    ready = [_prepare(w, job, node) for node in nodes if "jobPreparationTask" in job.spec]
    if all(ready):
        tasks.run(w, task)
    else:
        tasks.move(w, task, "preparing")


def _prepare(w: World, job: Job, node: Node) -> bool:
    """Begin the job's preparation on the node if it is due; True if tasks may run."""
    here = of(w, job, node)
    if not here.prepared and (here.preparation is None or here.preparation.run is None):
        here.preparation = Execution(w.now, run=runs.begin_preparation(w, job, node, here.key))
        here.interrupted = False
        w.save(here)
    return here.prepared or not job.spec["jobPreparationTask"]["waitForSuccess"]


def preparation_ended(w: World, here: Attendance, ended: Ended) -> None:
    job, execution = w.jobs[here.job], here.preparation
    if execution is None:
        return
    spec = job.spec["jobPreparationTask"]
    lost = ended.exit_code is None and ended.problem is None
    if lost or failures.may_retry(ended, execution.retry_count, spec["constraints"]["maxTaskRetryCount"]):
        node = w.nodes[here.node]
        failures.again(execution, w.now, runs.begin_preparation(w, job, node, here.key))
        w.save(here)
        return
    failures.close(execution, ended)
    _prepared(w, job, here, execution)


def preparation_timed_out(w: World, here: Attendance) -> None:
    if here.preparation is not None:
        w.kill(here.preparation.run)
        failures.cut_short(here.preparation, w.now, failures.time_limit_reached())
        _prepared(w, w.jobs[here.job], here, here.preparation)


def _prepared(w: World, job: Job, here: Attendance, execution: Execution) -> None:
    """Let the waiting tasks go: on to run here, or back to the queue if this node is no good for the job."""
    waits = job.spec["jobPreparationTask"]["waitForSuccess"]
    here.prepared = execution.succeeded or not waits
    here.barred = not here.prepared
    w.save(here)
    w.touch("jobs", job.key)
    for task in list(w.busy[job.key].values()):
        if task.state == "preparing" and here.node in nodes_of(task):
            if all(w.attendances[f"{job.key}/{key}"].prepared for key in nodes_of(task)):
                tasks.run(w, task)
            elif not here.prepared:
                tasks.requeue(w, task, counted=False)


def node_rebooted(w: World, node: Node, jobs: list[Job]) -> None:
    """What was running here starts over once the node is back; a preparation that had completed as its job says (M)."""
    for job in jobs:
        here = w.attendances_of_job[job.key].get(f"{job.key}/{node.key}")
        if here is None:
            continue
        done = here.preparation is not None and here.preparation.state == "completed"
        if not done or job.spec["jobPreparationTask"]["rerunOnNodeRebootAfterSuccess"]:
            here.prepared = False
        for execution in (here.preparation, here.release):
            if execution is not None and execution.run is not None:
                w.kill(execution.run)
                execution.run = None
        w.save(here)
        w.touch("jobs", job.key)


def node_reimaged(w: World, node: Node, jobs: list[Job]) -> None:
    """Nothing of any job is left here: preparation runs again before the next task, no release until then (SEED)."""
    for job in jobs:
        here = w.attendances_of_job[job.key].get(f"{job.key}/{node.key}")
        if here is None:
            continue
        for execution in (here.preparation, here.release):
            _cut(w, execution)
        here.prepared = here.barred = here.interrupted = here.tasks_ran = False
        here.cleaned = []
        w.save(here)
        w.touch("jobs", job.key)


def node_left(w: World, node: Node, jobs: list[Job]) -> None:
    """The record stays in the status list, ended as far as it had come (O)."""
    for job in jobs:
        here = w.attendances_of_job[job.key].get(f"{job.key}/{node.key}")
        if here is None:
            continue
        for execution in (here.preparation, here.release):
            _cut(w, execution)
        w.save(here)
        w.touch("jobs", job.key)


def _cut(w: World, execution: Execution | None) -> None:
    if execution is not None and execution.state == "running":
        w.kill(execution.run)
        failures.cut_short(execution, w.now, failures.ended_by_user())


# --- the end of the job


def stop_preparations(w: World, job: Job) -> None:
    """The job ends: a preparation still running is ended, and no release follows it (a switch decides)."""
    for here in w.attendances_of_job[job.key].values():
        if here.preparation is not None and here.preparation.state == "running":
            _cut(w, here.preparation)
            here.prepared, here.interrupted = False, True
            w.save(here)


def stop_releases(w: World, job: Job, *, again: bool) -> None:
    """The job ends now, or is deleted while it ends: release is cut short, or forgotten, so that it runs once more."""
    for here in w.attendances_of_job[job.key].values():
        if here.release is not None:
            _cut(w, here.release)
            here.release = None if again else here.release
            _released(w, here)


def holds(w: World, node: Node, jobs: list[Job]) -> bool:
    """Whether release has to end before *node* leaves its pool; where it is to be run, it is begun (a switch)."""
    reading = w.switches.release_on_leaving_nodes
    here = [w.attendances_of_job[job.key][f"{job.key}/{node.key}"] for job in jobs]
    if reading == "run" and node.state in UP:
        for one in here:
            job = w.jobs[one.job]
            if "jobReleaseTask" in job.spec and job.ended is None:
                _release(w, job, one)
    return reading != "none" and any(one.release is not None and one.release.run is not None for one in here)


def release_all(w: World, job: Job) -> bool:
    """Start release wherever it is due and possible now; True when nothing of it is outstanding any more."""
    if "jobReleaseTask" not in job.spec:
        return True
    done = [_release(w, job, here) for here in list(w.attendances_of_job[job.key].values())]
    return all(done)


def _release(w: World, job: Job, here: Attendance) -> bool:
    if not _is_owed(w, here):
        return True
    node = w.nodes.get(here.node)
    if node is None or node.state == "leavingpool":
        return True
    if here.release is not None and here.release.run is not None:
        return False
    if node.state in UP:
        run = runs.begin_release(w, job, node, here.key)
        here.release = Execution(w.now, run=run)
        w.save(here)
        return False
    return node.state not in COMING and not w.switches.terminating_waits_for_lost_nodes


def _is_owed(w: World, here: Attendance) -> bool:
    """Once, where tasks of the job ran and the preparation ran and completed, in failure too (M, DR; E: completed)."""
    if here.preparation is None or here.preparation.state != "completed":
        return False
    if here.release is not None and here.release.state == "completed":
        return False
    return w.switches.release_after_unfinished_preparation if here.interrupted else here.tasks_ran


def release_ended(w: World, here: Attendance, ended: Ended) -> None:
    """A failed release is not retried (M); one that the machine lost runs again."""
    if here.release is None:
        return
    if ended.exit_code is None and ended.problem is None:
        here.release.run = None
    else:
        failures.close(here.release, ended)
    _released(w, here)


def release_timed_out(w: World, here: Attendance) -> None:
    if here.release is not None:
        w.kill(here.release.run)
        failures.cut_short(here.release, w.now, failures.time_limit_reached())
        _released(w, here)


def _released(w: World, here: Attendance) -> None:
    """Tell those who may have waited for this release, and look when its directory has to go."""
    w.save(here)
    w.touch("attendances", here.key)
    w.touch("jobs", here.job)
    w.touch("nodes", here.node)


# --- directories


def settle(w: World, here: Attendance) -> None:
    """Remove directories after their retention: preparation's counts from the job's end, release's from its own (M)."""
    job = w.jobs[here.job]
    if here.preparation is not None and job.ended is not None:
        _expire(w, job, here, "jobPreparationTask", job.ended)
    if here.release is not None and here.release.end is not None:
        _expire(w, job, here, "jobReleaseTask", here.release.end)


def _expire(w: World, job: Job, here: Attendance, name: str, since: int) -> None:
    spec: Json = job.spec[name]
    directory = runs.task_directory(job, spec["id"])
    if directory in here.cleaned:
        return
    due = since + parse_span(spec["constraints"]["retentionTime"] if "constraints" in spec else spec["retentionTime"])
    if w.now < due:
        if due < w.now + runs.FAR:
            w.wake(due, "attendances", here.key)
        return
    here.cleaned.append(directory)
    w.save(here)
    node = w.nodes.get(here.node)
    if node is not None:
        tasks.remove_directory(w, node, directory)
