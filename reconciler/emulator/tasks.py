"""Tasks: added, placed on a node, run, retried, ended, put back, deleted.

States and what refuses what follow section "Task" of the REST reference and E:BatchTaskState; recordings are named.
"""

from __future__ import annotations

from reconciler.emulator import failures, runs
from reconciler.emulator.errors import bad_property, refuse
from reconciler.emulator.job_bodies import TASK_CREATE, TASK_UPDATE
from reconciler.emulator.ports import Ended
from reconciler.emulator.records import Execution, Job, Json, Node, Task, fold
from reconciler.emulator.schema import read_body
from reconciler.emulator.times import parse_span
from reconciler.emulator.world import World, slots_of

ENDING = {
    "terminating": "JobBeingTerminated",
    "completed": "JobCompleted",
    "deleting": "JobBeingDeleted",
}


def find(w: World, job: Job, task_id: str) -> Task:
    task = w.tasks.get(f"{job.key}/{fold(task_id)}")
    if task is None:
        raise refuse("TaskNotFound")
    return task


# --- requests


def add(w: World, job: Job, body: object, *, legacy: bool = False) -> Task:
    """A new active task. Refused while the job ends or has ended (O)."""
    if job.state in ENDING:
        raise refuse(ENDING[job.state])
    return _add(w, job, read_body(TASK_CREATE, body, legacy=legacy))


def add_manager(w: World, job: Job) -> None:
    """The job manager is a task of its job that the service adds itself (M:BatchJobManagerTask)."""
    given = job.spec["jobManagerTask"]
    own = ("killJobOnCompletion", "runExclusive", "allowLowPriorityNode")
    task = _add(w, job, {key: value for key, value in given.items() if key not in own})
    task.manager = True
    task.exclusive = given["runExclusive"]


def _add(w: World, job: Job, spec: Json) -> Task:
    task_id = spec.pop("id")
    for name, code in (
        ("jobPreparationTask", "TaskIdSameAsJobPreparationTask"),
        ("jobReleaseTask", "TaskIdSameAsJobReleaseTask"),
    ):
        if fold(job.spec.get(name, {}).get("id", "")) == fold(task_id):
            raise refuse(code)
    if f"{job.key}/{fold(task_id)}" in w.tasks:
        raise refuse("TaskExists")
    if job.spec["onTaskFailure"] == "noaction" and _names_job_action(spec.get("exitConditions", {})):
        raise bad_property("exitConditions", "jobAction", "The job's onTaskFailure must be performexitoptionsjobaction")
    check_packages(spec)
    spec["constraints"].setdefault("maxTaskRetryCount", job.spec["constraints"]["maxTaskRetryCount"])
    job.tasks_made += 1
    task = Task(task_id, job.key, job.tasks_made, spec, w.now, w.now, w.now)
    w.stamp(task)
    task.created = task.state_time = task.modified
    w.add(task)
    w.save(job)
    w.touch("schedule", fold(job.spec["poolInfo"]["poolId"]))
    return task


def _names_job_action(conditions: Json) -> bool:
    entries = [*conditions.get("exitCodes", []), *conditions.get("exitCodeRanges", [])]
    options = [entry["exitOptions"] for entry in entries]
    options += [conditions[key] for key in ("preProcessingError", "fileUploadError", "default") if key in conditions]
    return any("jobAction" in option for option in options)


def check_packages(spec: Json) -> None:
    """There are no application packages here, so every reference is a wrong one (R24c:pools_and_nodes)."""
    missing = "The specified application package does not exist."
    references = [(entry["applicationId"], missing) for entry in spec.get("applicationPackageReferences", [])]
    if references:
        raise refuse("InvalidApplicationPackageReferences", *references)


def replace(w: World, task: Task, body: object) -> None:
    """PUT: new constraints; what is left out takes its default again (S24, R17:tasks)."""
    if task.state == "completed":
        raise refuse(w.switches.replace_completed_task_code)
    constraints = read_body(TASK_UPDATE, body)["constraints"]
    constraints.setdefault("maxTaskRetryCount", w.jobs[task.job].spec["constraints"]["maxTaskRetryCount"])
    task.spec["constraints"] = constraints
    w.stamp(task)
    if task.execution is not None and task.execution.run is not None:
        run = w.runs[task.execution.run]
        run.deadline = runs.deadline(task.execution.start, constraints["maxWallClockTime"])
        w.save(run)
        w.touch(run.table, run.key)


def terminate_by_request(w: World, task: Task) -> None:
    if task.state == "completed":
        raise refuse("TaskCompleted")
    _refuse_if_deleting(w.jobs[task.job])
    w.stamp(task)
    end(w, task, failures.ended_by_user())


def reactivate(w: World, task: Task) -> None:
    """Back to active with retry count and exit data reset (O, R17:tasks)."""
    job = w.jobs[task.job]
    if job.state in ENDING:
        raise refuse(ENDING[job.state])
    if task.state != "completed":
        raise refuse("TaskNotCompleted")
    if task.execution is not None and task.execution.succeeded:
        raise refuse("TaskSucceeded")
    w.stamp(task)
    task.retry_count, task.last_retry, task.placed, task.cleaned = 0, None, False, False
    _forget_node(w, task)
    move(w, task, "active")


def delete(w: World, task: Task) -> None:
    """At once, with its directories (O)."""
    _refuse_if_deleting(w.jobs[task.job])
    if task.execution is not None:
        w.kill(task.execution.run)
    remove_directories(w, task)
    w.remove(task)
    _tell(w, task)


def _refuse_if_deleting(job: Job) -> None:
    if job.state == "deleting":
        raise refuse("JobBeingDeleted")


# --- transitions


def move(w: World, task: Task, state: str) -> None:
    """Enter *state*; the one left becomes the previous one. The ETag stays (R26:files)."""
    w.unplace(task)
    task.previous_state, task.previous_time = task.state, task.state_time
    task.state, task.state_time = state, w.now
    w.place(task)
    w.save(task)
    _tell(w, task)


def _tell(w: World, task: Task) -> None:
    job = w.jobs[task.job]
    w.touch("jobs", job.key)
    w.touch("schedule", fold(job.spec["poolInfo"]["poolId"]))
    if task.node is not None:
        w.touch("nodes", task.node)


def assign(w: World, task: Task, node: Node) -> None:
    """Give an active task to a node. It still has to be moved to preparing or running."""
    w.unplace(task)
    task.pool, task.node, task.node_id, task.placed = w.pools[node.pool].id, node.key, node.id, True


def run(w: World, task: Task) -> None:
    """Start the command of a task that a node was found for."""
    job, node = w.jobs[task.job], w.nodes[task.node or ""]
    if node.key not in task.ran_on:
        task.ran_on.append(node.key)
    attendance = w.attendances_of_job[job.key].get(f"{job.key}/{node.key}")
    if attendance is not None and not attendance.tasks_ran:
        attendance.tasks_ran = True
        w.save(attendance)
    move(w, task, "running")
    task.execution = Execution(w.now, run=runs.begin_task(w, job, node, task))


def run_ended(w: World, task: Task, ended: Ended) -> None:
    """A retry stays on its node, in the same directory (G:Azure/Batch#14)."""
    execution = task.execution
    if execution is None:
        return
    if ended.exit_code is None and ended.problem is None:
        requeue(w, task, counted=False)  # the process was lost with the machine: an internal retry, not counted (M)
        return
    failures.close(execution, ended)
    if failures.may_retry(ended, task.retry_count, task.spec["constraints"]["maxTaskRetryCount"]):
        _retry(w, task)
    else:
        _complete(w, task)


def _retry(w: World, task: Task) -> None:
    node = w.nodes[task.node or ""]
    task.retry_count += 1
    task.last_retry = w.now
    move(w, task, "active")
    assign(w, task, node)
    run(w, task)


def deadline_reached(w: World, task: Task) -> None:
    end(w, task, failures.time_limit_reached())


def end(w: World, task: Task, failure: Json) -> None:
    """Complete a task that is not allowed to go on, whatever it was doing."""
    if task.execution is not None:
        w.kill(task.execution.run)
    else:
        task.execution = Execution(start=0)
    failures.cut_short(task.execution, w.now, failure)
    task.placed = True
    _complete(w, task)


def _complete(w: World, task: Task) -> None:
    move(w, task, "completed")
    _count(w, task)
    retention = parse_span(task.spec["constraints"]["retentionTime"])
    if retention < runs.FAR:
        w.wake(w.now + retention, "tasks", task.key)
    w.touch("completed", task.key)


def _count(w: World, task: Task) -> None:
    node = w.nodes.get(task.node or "")
    if node is None or task.execution is None:
        return
    node.tasks_run += 1
    node.tasks_succeeded += task.execution.succeeded
    node.recent = [[task.job, task.key], *(entry for entry in node.recent if entry[1] != task.key)]
    del node.recent[w.limits.recent_tasks :]
    w.save(node)


def requeue(w: World, task: Task, *, counted: bool = True) -> None:
    """Back to active, off its node. *counted*: a user caused it (M:BatchTaskExecutionInfo.requeueCount)."""
    if task.execution is not None:
        w.kill(task.execution.run)
    if counted:
        task.requeue_count += 1
        task.last_requeue = w.now
    task.placed = False
    _forget_node(w, task)
    move(w, task, "active")


def _forget_node(w: World, task: Task) -> None:
    if task.node is not None:
        w.unplace(task)
        w.touch("nodes", task.node)
    task.execution = task.pool = task.node = task.node_id = None


def settle(w: World, task: Task) -> None:
    """Remove the directories once the retention time is over (M:BatchTaskConstraints.retentionTime)."""
    if task.state != "completed" or task.cleaned:
        return
    due = task.state_time + parse_span(task.spec["constraints"]["retentionTime"])
    if w.now >= due:
        task.cleaned = True
        remove_directories(w, task)
        w.save(task)
    elif due < w.now + runs.FAR:
        w.wake(due, "tasks", task.key)


def remove_directories(w: World, task: Task) -> None:
    job = w.jobs[task.job]
    directory = runs.task_directory(job, task.id)
    for key in task.ran_on:
        node = w.nodes.get(key)
        if node is not None:
            remove_directory(w, node, directory)
    task.ran_on = []


def remove_directory(w: World, node: Node, directory: str) -> None:
    pool_id, node_id = w.pools[node.pool].id, node.id
    w.outbox.append(lambda driver: driver.remove(pool_id, node_id, directory))


def exit_action(job: Job, task: Task) -> str:
    """What a completed task asks of its job: none, disable or terminate.

    Only with onTaskFailure=performexitoptionsjobaction. Without a matching condition: none for exit 0, else terminate
    (M:ExitOptions.jobAction).
    """
    execution = task.execution
    if job.spec["onTaskFailure"] == "noaction" or execution is None:
        return "none"
    fallback = "none" if execution.exit_code == 0 else "terminate"
    option = _matching_option(task.spec.get("exitConditions", {}), execution)
    return str(option.get("jobAction", fallback))


def _matching_option(conditions: Json, execution: Execution) -> Json:
    code = execution.exit_code
    options: list[Json] = [entry["exitOptions"] for entry in conditions.get("exitCodes", []) if entry["code"] == code]
    if code is None:
        options += [conditions[key] for key in ("preProcessingError",) if key in conditions]
    else:
        ranges = conditions.get("exitCodeRanges", [])
        options += [entry["exitOptions"] for entry in ranges if entry["start"] <= code <= entry["end"]]
    if code != 0:
        options += [conditions[key] for key in ("default",) if key in conditions]
    return options[0] if options else {}


def counts(w: World, job: Job) -> Json:
    """Numbers of tasks and of slots by state; running includes preparing (M:BatchTaskCounts)."""
    names = ("active", "running", "completed", "succeeded", "failed")
    tasks, slots = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for task in w.tasks_of_job[job.key].values():
        state = "running" if task.state == "preparing" else task.state
        states = [state]
        if state == "completed":
            states.append("succeeded" if task.execution is not None and task.execution.succeeded else "failed")
        for name in states:
            tasks[name] += 1
            slots[name] += slots_of(task)
    return {"taskCounts": tasks, "taskSlotCounts": slots}
