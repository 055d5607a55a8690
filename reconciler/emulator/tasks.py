"""Tasks: added, placed on a node, run, retried, ended, put back, deleted.

States and what refuses what follow section "Task" of the REST reference and E:BatchTaskState; recordings are named.
"""

from __future__ import annotations

from reconciler.emulator import dependencies, exits, failures, multi_instance, runs
from reconciler.emulator.errors import bad_property, refuse
from reconciler.emulator.job_bodies import TASK_CREATE, TASK_UPDATE
from reconciler.emulator.ports import Ended
from reconciler.emulator.records import Execution, Job, Json, Node, Task, fold
from reconciler.emulator.schema import read_body
from reconciler.emulator.times import parse_span
from reconciler.emulator.world import World, nodes_of, slots_of

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
    return _add(w, job, read_body(TASK_CREATE, body, legacy=legacy, runs=w.runs_commands))


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
    _check_exits(job, spec)
    _check_dependencies(w, job, spec)
    w.packages.check(spec)
    spec["constraints"].setdefault("maxTaskRetryCount", job.spec["constraints"]["maxTaskRetryCount"])
    job.tasks_made += 1
    w.forget_satisfied(job, task_id)
    task = Task(task_id, job.key, job.tasks_made, spec, w.now, w.now, w.now)
    w.stamp(task)
    task.created = task.state_time = task.modified
    w.add(task)
    w.save(job)
    w.touch("schedule", fold(job.pool_id))
    return task


def _check_exits(job: Job, spec: Json) -> None:
    """jobAction needs onTaskFailure (M:ExitOptions); dependencyAction needs usesTaskDependencies (DR)."""
    for option in exits.all_options(spec.get("exitConditions", {})):
        if job.spec["onTaskFailure"] == "noaction" and "jobAction" in option:
            reason = "The job's onTaskFailure must be performexitoptionsjobaction"
            raise bad_property("exitConditions", "jobAction", reason)
        if not job.spec["usesTaskDependencies"] and "dependencyAction" in option:
            raise bad_property("exitConditions", "dependencyAction", "The job's usesTaskDependencies must be true")


def _check_dependencies(w: World, job: Job, spec: Json) -> None:
    if "dependsOn" not in spec:
        return
    if not job.spec["usesTaskDependencies"]:
        raise refuse(w.switches.dependencies_not_enabled_code, ("PropertyName", "dependsOn"))
    code = dependencies.check(spec["dependsOn"], w.limits.dependency_characters)
    if code is not None:
        raise refuse(code, ("PropertyName", "taskIds"))


def replace(w: World, task: Task, body: object) -> None:
    """PUT: new constraints; what is left out takes its default again (S24, R17:tasks)."""
    if task.state == "completed":
        raise refuse(w.switches.replace_completed_task_code)
    _refuse_if_deleting(w.jobs[task.job])
    constraints = read_body(TASK_UPDATE, body)["constraints"]
    constraints.setdefault("maxTaskRetryCount", w.jobs[task.job].spec["constraints"]["maxTaskRetryCount"])
    task.spec["constraints"] = constraints
    w.stamp(task)
    for execution in (task.execution, *(one.execution for one in task.subtasks)):
        if execution is None or execution.run is None:
            continue
        run = w.runs[execution.run]
        run.deadline = runs.deadline(execution.start, constraints["maxWallClockTime"])
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
    _stop_subtasks(w, task)
    remove_directories(w, task)
    if w.switches.deleted_task_still_satisfies:
        w.keep_satisfied(w.jobs[task.job], task)
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
    w.touch("schedule", fold(job.pool_id))
    for key in nodes_of(task):
        w.touch("nodes", key)


def assign(w: World, task: Task, node: Node) -> None:
    """Give an active task to a node. It still has to be moved to preparing or running."""
    w.unplace(task)
    task.pool, task.node, task.node_id, task.placed = w.pools[node.pool].id, node.key, node.id, True


def run(w: World, task: Task) -> None:
    """Start the command of a task that a node was found for, with several nodes the coordination commands."""
    job = w.jobs[task.job]
    for key in nodes_of(task):
        if key not in task.ran_on:
            task.ran_on.append(key)
        attendance = w.attendances_of_job[job.key].get(f"{job.key}/{key}")
        if attendance is not None and not attendance.tasks_ran:
            attendance.tasks_ran = True
            w.save(attendance)
    move(w, task, "running")
    task.execution = Execution(w.now)
    if task.subtasks:
        multi_instance.begin(w, job, task)
    else:
        task.execution.run = runs.begin_task(w, job, w.nodes[task.node or ""], task)


def coordination_ended(w: World, task: Task, number: int, ended: Ended) -> None:
    """One of a multi-instance task's coordination commands is done: go on, wait for the others, or fail as a whole."""
    execution = task.execution
    if execution is None:
        return
    if ended.exit_code is None and ended.problem is None:
        requeue(w, task, counted=False)
    elif multi_instance.coordination_ended(w, task, number, ended):
        execution.run = runs.begin_task(w, w.jobs[task.job], w.nodes[task.node or ""], task)
    elif ended.exit_code != 0:
        failures.close(execution, ended if number == 0 else Ended(ended.run, ended.at, problem=ended.problem))
        execution.failure = multi_instance.failure(number, ended)
        _end_try(w, task, ended)


def run_ended(w: World, task: Task, ended: Ended) -> None:
    """A retry stays on its node, in the same directory (G:Azure/Batch#14)."""
    execution = task.execution
    if execution is None:
        return
    if ended.exit_code is None and ended.problem is None:
        requeue(w, task, counted=False)  # the process was lost with the machine: an internal retry, not counted (M)
        return
    failures.close(execution, ended, upload_first=w.switches.upload_error_hides_exit_code)
    _end_try(w, task, ended)


def _end_try(w: World, task: Task, ended: Ended) -> None:
    if failures.may_retry(ended, task.retry_count, task.spec["constraints"]["maxTaskRetryCount"]):
        _retry(w, task)
    else:
        _complete(w, task)


def _stop_subtasks(w: World, task: Task) -> None:
    if task.subtasks:
        multi_instance.stop(w, task, runs.task_directory(w.jobs[task.job], task.id))


def _retry(w: World, task: Task) -> None:
    node = w.nodes[task.node or ""]
    spent = 0 if task.execution is None else task.execution.earlier + w.now - task.execution.start
    _stop_subtasks(w, task)
    task.retry_count += 1
    task.last_retry = w.now
    move(w, task, "active")
    assign(w, task, node)
    run(w, task)
    if task.execution is not None:
        task.execution.earlier = spent


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
    _stop_subtasks(w, task)
    move(w, task, "completed")
    for number, key in enumerate(nodes_of(task)):
        _count(w, task, key, number)
    retention = parse_span(task.spec["constraints"]["retentionTime"])
    if retention < runs.FAR:
        w.wake(w.now + retention, "tasks", task.key)
    w.touch_first("completed", task.key)  # its exit decides before the job looks whether all tasks are complete


def _count(w: World, task: Task, key: str, number: int) -> None:
    """In the node's list of recent tasks a subtask has its own number, the primary none (D:batch-mpi)."""
    node = w.nodes.get(key)
    if node is None or task.execution is None:
        return
    node.tasks_run += 1
    node.tasks_succeeded += task.execution.succeeded
    subtask = [str(number)] if number else []
    node.recent = [[task.job, task.key, *subtask], *(entry for entry in node.recent if entry[1] != task.key)]
    del node.recent[w.limits.recent_tasks :]
    w.save(node)


def requeue(w: World, task: Task, *, counted: bool = True) -> None:
    """Back to active, off its node. *counted*: a user caused it (M:BatchTaskExecutionInfo.requeueCount)."""
    if task.execution is not None:
        w.kill(task.execution.run)
    _stop_subtasks(w, task)
    if counted:
        task.requeue_count += 1
        task.last_requeue = w.now
    task.placed = False
    _forget_node(w, task)
    move(w, task, "active")


def _forget_node(w: World, task: Task) -> None:
    w.unplace(task)
    for key in nodes_of(task):
        w.touch("nodes", key)
    task.execution = task.pool = task.node = task.node_id = None
    task.subtasks = []


def settle(w: World, task: Task) -> None:
    """Remove the directories once the retention time is over (M:BatchTaskConstraints.retentionTime)."""
    due = kept_until(task)
    if due is None or task.cleaned:
        return
    if w.now >= due:
        task.cleaned = True
        remove_directories(w, task)
        w.save(task)
    elif due < w.now + runs.FAR:
        w.wake(due, "tasks", task.key)


def kept_until(task: Task) -> int | None:
    """When the retention time of a completed task is over."""
    if task.state != "completed":
        return None
    return task.state_time + parse_span(task.spec["constraints"]["retentionTime"])


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
