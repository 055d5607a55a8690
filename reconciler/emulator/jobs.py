"""Jobs: created, changed, disabled, terminated with their release tasks, deleted.

States and refusals follow E:BatchJobState, O and R26:jobs; the codes of refusals that no source names are INFERRED from
the list of error codes. `settle` looks at what is and does the next thing, so it also goes on after a restart.
"""

from __future__ import annotations

from reconciler.emulator import attendance, auto_pools, exits, failures, quotas, runs, tasks
from reconciler.emulator.auto_pool_bodies import check_version
from reconciler.emulator.errors import ServiceError, bad_property, refuse
from reconciler.emulator.job_bodies import JOB_CREATE, JOB_DISABLE, JOB_REPLACE, JOB_TERMINATE, JOB_UPDATE
from reconciler.emulator.records import Job, Json, Schedule, Task, fold
from reconciler.emulator.schema import given, read_body
from reconciler.emulator.tasks import ENDING
from reconciler.emulator.world import World

RESTING = ("active", "disabled", "completed")


def find(w: World, job_id: str) -> Job:
    job = w.jobs.get(fold(job_id))
    if job is None:
        raise refuse("JobNotFound")
    return job


# --- requests


def create(w: World, body: object, *, legacy: bool = False) -> Job:
    """An active job, also when its pool does not exist (M:BatchPoolInfo.poolId)."""
    spec = read_body(JOB_CREATE, body, legacy=legacy, runs=w.runs_commands)
    job_id = spec.pop("id")
    existing = w.jobs.get(fold(job_id))
    if existing is not None:
        if existing.state == "terminating":
            raise refuse(w.switches.create_over_terminating_job_code)
        raise refuse(ENDING.get(existing.state, "JobExists"))  # completed: JobCompleted (G:batch-shipyard)
    if fold(job_id) in w.schedules:
        raise refuse("JobScheduleWithSameIdExists")
    check_specification(w, spec, scheduled=False)
    if not legacy:
        check_version(body)
    quotas.check_active(w)
    return begin(w, job_id, spec)


def check_specification(w: World, spec: Json, *, scheduled: bool) -> None:
    """Refuse what no single property shows to be wrong. *scheduled*: a schedule is to make jobs of it."""
    auto_pools.check_new(spec["poolInfo"], scheduled=scheduled)
    if "jobReleaseTask" in spec and "jobPreparationTask" not in spec:
        raise refuse(w.switches.release_without_preparation_code, ("PropertyName", "jobPreparationTask"))
    if "jobManagerTask" in spec:
        w.packages.check(spec["jobManagerTask"])


def begin(w: World, job_id: str, spec: Json, schedule: Schedule | None = None) -> Job:
    """A new job from the canonical form of its specification; completed at once if it gets no pool (R24c)."""
    w.now += 1  # creationTime and startTime differ a little (R26:jobs)
    job = Job(job_id, spec, w.now - 1, w.now - 1, w.now, w.now, schedule=schedule.key if schedule else None)
    auto_pools.provide(w, job, schedule)
    w.add(job)
    w.stamp(job)
    if job.scheduling_error is not None:
        _complete(w, job)
    elif "jobManagerTask" in spec:
        tasks.add_manager(w, job)
    return job


def _changeable(job: Job) -> None:
    if job.state in ENDING:
        raise refuse(ENDING[job.state])


def _updatable(job: Job) -> None:
    """No change while it is being enabled either: O says so of disable, of updates it is INFERRED."""
    _changeable(job)
    if job.state == "enabling":
        raise refuse("OperationInvalidForCurrentState")


def update(w: World, job: Job, body: object) -> None:
    """PATCH: what is named is replaced whole, nested defaults included (R24c:jobs_and_tasks); the rest is kept."""
    _updatable(job)
    new = read_body(JOB_UPDATE, body, runs=w.runs_commands)
    if "poolInfo" in new and job.state != "disabled" and not w.switches.own_pool_in_patch_is_accepted:
        raise _pool_is_fixed()
    _check_change(job, new)
    _apply(w, job, given(body), new)


def replace(w: World, job: Job, body: object) -> None:
    """PUT: what is left out takes its default; the tasks of the job and its environment are kept (R26:jobs)."""
    _updatable(job)
    new = read_body(JOB_REPLACE, body, runs=w.runs_commands)
    _check_change(job, new)
    _apply(w, job, {*new, "metadata"}, new)


def _check_change(job: Job, new: Json) -> None:
    if job.spec["onAllTasksComplete"] == "terminatejob" and new.get("onAllTasksComplete") == "noaction":
        reason = "The value cannot be changed back from terminatejob"
        raise bad_property("onAllTasksComplete", "noaction", reason)
    if "poolInfo" in new:
        new["poolInfo"] = auto_pools.updated(job, new["poolInfo"])
        moves = fold(new["poolInfo"].get("poolId", job.pool_id)) != fold(job.pool_id)
        if moves and job.state != "disabled":
            raise _pool_is_fixed()


def _pool_is_fixed() -> ServiceError:
    return refuse("OperationInvalidForCurrentState", ("Reason", "poolInfo can be changed only on a disabled job"))


def _apply(w: World, job: Job, names: set[str], new: Json) -> None:
    for name in names & set(JOB_UPDATE.fields):
        if name in new:
            job.spec[name] = new[name]
        else:
            job.spec.pop(name, None)
    w.stamp(job)
    _touch(w, job)


def disable(w: World, job: Job, body: object) -> None:
    option = read_body(JOB_DISABLE, body)["disableTasks"]
    _updatable(job)
    w.stamp(job)
    _disable(w, job, option)


def _disable(w: World, job: Job, option: str) -> None:
    """Disabling until the option is carried out, with `wait` as long as tasks run (DR); release does not run."""
    if job.state == "active":
        _enter(w, job, "disabling")
    if not w.switches.preparation_survives_disable and option != "wait":
        attendance.stop_preparations(w, job)
    for task in list(w.busy[job.key].values()):
        if option == "requeue":
            tasks.requeue(w, task)
        elif option == "terminate":
            tasks.end(w, task, failures.ended_by_user())
    _touch(w, job)


def enable(w: World, job: Job) -> None:
    """Active at once (R26:jobs), unless `timings` make the state in between last."""
    _changeable(job)
    if job.state not in ("disabled", "disabling"):
        raise refuse(w.switches.enable_active_job_code)
    w.stamp(job)
    _enter(w, job, "enabling" if w.timings.enable_job else "active")


def terminate_by_request(w: World, job: Job, body: object, *, force: bool = False) -> None:
    """The body may be missing (R24p)."""
    reason = read_body(JOB_TERMINATE, {} if body is None else body)["terminateReason"]
    _changeable(job)
    job.forced = force
    terminate(w, job, reason)


def terminate(w: World, job: Job, reason: str) -> None:
    """First running tasks end, then release runs, then the job completes; active tasks stay active (O)."""
    w.stamp(job)
    job.terminate_reason = reason
    _enter(w, job, "terminating")
    _stop_work(w, job)


def delete(w: World, job: Job, *, force: bool = False) -> None:
    """An active job runs its release tasks first (SEED, M); a terminating one goes on with them; later none run."""
    if job.state == "deleting":
        raise refuse("JobBeingDeleted")
    job.forced = job.forced or force
    ended = job.state in ("terminating", "completed")
    if job.state == "terminating" and w.switches.delete_while_terminating != "wait":
        attendance.stop_releases(w, job, again=w.switches.delete_while_terminating == "again")
        job.ended = w.now if w.switches.delete_while_terminating == "cut" else None
    _enter(w, job, "deleting")  # the ETag stays (R26:jobs)
    if not ended:
        _stop_work(w, job)


def _stop_work(w: World, job: Job) -> None:
    for task in list(w.busy[job.key].values()):
        tasks.end(w, task, failures.ended_by_user())
    attendance.stop_preparations(w, job)


# --- transitions


def _enter(w: World, job: Job, state: str) -> None:
    """previousState names the last state of rest, not one on the way (R26:jobs, R24p)."""
    if job.state in RESTING:
        job.previous_state, job.previous_time = job.state, job.state_time
    job.state, job.state_time = state, w.now
    w.save(job)
    _touch(w, job)


def _touch(w: World, job: Job) -> None:
    w.touch("jobs", job.key)
    w.touch("schedule", fold(job.pool_id))


def settle(w: World, job: Job) -> None:
    """The next thing this job has to do by itself, if its time has come."""
    match job.state:
        case "terminating":
            if _released(w, job) and _waited(w, job, w.timings.terminate_job):
                _complete(w, job)
        case "deleting":
            if _released(w, job) and _waited(w, job, w.timings.delete_job):
                _forget(w, job)
        case "disabling" if not w.busy[job.key]:
            _enter(w, job, "disabled")
        case "enabling" if _waited(w, job, w.timings.enable_job):
            _enter(w, job, "active")
        case "completed":
            pass
        case _:
            _check_end(w, job)


def _complete(w: World, job: Job) -> None:
    """The ETag stays (R26:jobs). Of a job that is forced to end, a release may still run on a node that leaves."""
    attendance.stop_releases(w, job, again=False)
    job.ended = w.now
    _enter(w, job, "completed")
    for here in w.attendances_of_job[job.key].values():
        w.touch("attendances", here.key)
    _leave(w, job)


def _leave(w: World, job: Job) -> None:
    """Nothing of the job is left to run: tell those who waited for that."""
    auto_pools.job_ended(w, job)
    if job.schedule is not None:
        w.touch("schedules", job.schedule)


def _released(w: World, job: Job) -> bool:
    if job.ended is not None or (job.forced and w.switches.force_skips_release):
        return True
    return attendance.release_all(w, job)


def _waited(w: World, job: Job, least: int) -> bool:
    if w.now < job.state_time + least:
        w.wake(job.state_time + least, "jobs", job.key)
        return False
    return True


def _check_end(w: World, job: Job) -> None:
    limit = runs.deadline(job.created, job.spec["constraints"]["maxWallClockTime"])
    if limit is not None and w.now >= limit:
        terminate(w, job, "MaxWallClockTimeExpiry")
    elif job.spec["onAllTasksComplete"] == "terminatejob" and _all_complete(w, job):
        terminate(w, job, "AllTasksComplete")
    elif limit is not None:
        w.wake(limit, "jobs", job.key)


def _all_complete(w: World, job: Job) -> bool:
    if not job.tasks_made:
        return w.switches.empty_job_completes
    return not w.waiting[job.key] and not w.busy[job.key] and not w.blocked[job.key]


def task_completed(w: World, task: Task) -> None:
    """A task has just completed: its exit may decide on the job (M:ExitOptions.jobAction, M:BatchJobManagerTask)."""
    job = w.jobs[task.job]
    if job.state in ENDING:
        return
    action = exits.job_action(job, task)
    if task.manager and job.spec["jobManagerTask"]["killJobOnCompletion"]:
        terminate(w, job, "JMComplete")
    elif action == "terminate":
        terminate(w, job, "TaskFailed")
    elif action == "disable" and job.state == "active":
        w.stamp(job)
        _disable(w, job, "requeue")


def _forget(w: World, job: Job) -> None:
    """Tasks, status entries and directories go with the job, whatever their retention (O)."""
    nodes = {here.node for here in w.attendances_of_job[job.key].values()}
    for task in list(w.tasks_of_job[job.key].values()):
        nodes.update(task.ran_on)
        w.remove(task)
    for here in list(w.attendances_of_job[job.key].values()):
        for execution in (here.preparation, here.release):
            w.kill(execution.run if execution is not None else None)
        w.remove(here)
    for key in sorted(nodes & w.nodes.keys()):
        tasks.remove_directory(w, w.nodes[key], runs.job_directory(job))
    _leave(w, job)
    w.remove(job)
