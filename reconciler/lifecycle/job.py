"""The life of a job, and its end: terminate, wait for the release tasks, delete. Release is asked for once.

A job becomes `completed` only after all its release tasks have ended (REST reference, "Job Release Task"), so the
live state alone says where we are. Terminate is sent only before the end and delete only after it; deleting a
completed job does not release again.

| died...                                | next pass sees              | and answers                              |
|----------------------------------------|-----------------------------|------------------------------------------|
| before terminate was sent              | active                      | terminate, for the first time            |
| after it was sent, answer lost         | terminating                 | wait                                     |
| while waiting, for minutes or days     | terminating, then completed | wait, then delete                        |
| after delete was sent, answer lost     | deleting, then nothing      | wait, then done (or create the successor)|
| with a stale view of any of these      | 412, or 409                 | look again; nothing was done             |

A job that moves to another pool is disabled first; here, too, the live state alone says what comes next.

| died...                                | next pass sees              | and answers                              |
|----------------------------------------|-----------------------------|------------------------------------------|
| before disable was sent                | active, another pool        | disable                                  |
| while its running tasks finish         | disabling                   | wait                                     |
| before the pool was changed            | disabled, another pool      | update                                   |
| after that                             | disabled, as declared       | enable                                   |
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.diff import Change, FieldChange, diff
from reconciler.lifecycle import runs
from reconciler.lifecycle import tasks as task_life
from reconciler.lifecycle.secrets import remembered, unseen, why
from reconciler.lifecycle.steps import (
    KEPT,
    NOTHING_TO_REPLACE,
    Action,
    Blocked,
    Context,
    Done,
    Step,
    Verb,
    Wait,
    foreign,
    marked,
    orphan,
)
from reconciler.model.desired import Wanted
from reconciler.model.document import JobLifecycle
from reconciler.model.field import ChangeKind
from reconciler.model.job import JobSpec
from reconciler.model.table import table, whole
from reconciler.observed import Guard, LiveJob, TaskCounts, short

UNFINISHED: Final = frozenset({"active", "enabling", "disabling", "disabled"})
RELEASE_BOUND: Final = "up to 15 min"
"""The service ends an attempt of a release task after 15 minutes (REST reference, maxWallClockTime)."""
TERMINATE_REASON: Final = "reconciler"


def next_step(wanted: Wanted | None, live: LiveJob | None, context: Context) -> Step:
    """The one thing to do now for a job, or what to wait for, or nothing."""
    if live is not None and not context.owns(live):
        return foreign(live, wanted, context)
    if live is not None and live.key in context.orphaning:
        return orphan(live, "to be left to others")
    match wanted, live:
        case None, None:
            return runs.unwanted(context)
        case _, LiveJob(state="terminating"):
            return Wait(release_wait(live), RELEASE_BOUND if live.releases else "")
        case _, LiveJob(state="deleting"):
            return Wait("the service to forget it")
        case None, LiveJob() as job:
            return _prune(job, context)
        case Wanted() as spec, None:
            return _create(spec, context)
        case Wanted() as spec, LiveJob() as job if job.state in UNFINISHED:
            return _tend(spec, job, context)
        case Wanted() as spec, LiveJob(state="completed") as job:
            return _look_back(spec, job, context)
        case _:  # never destroy by default
            return Blocked(f"in a state this version does not know: {live.state if live else 'none'}")


def release_wait(job: LiveJob) -> str:
    """Whose release a terminating job is waiting for, as far as it is known."""
    if not job.releases:
        return "its tasks to end"
    if job.nodes is None:
        return "release"
    waiting = [short(run.node) for run in job.owing()]
    if not waiting:
        return "release"
    named = ", ".join(waiting[:3]) + (f" and {len(waiting) - 3} more" if len(waiting) > 3 else "")
    return f"release on {len(waiting)} node{'s' if len(waiting) > 1 else ''} ({named})"


def _prune(job: LiveJob, context: Context) -> Step:
    if not context.removes(job.key):
        return Done("not in the manifests; this source does not prune")
    if context.policy(job).keep:
        return Done(KEPT)
    if context.policy(job).orphan:
        return orphan(job, context.removal)
    return _end(job, context.removal, context)


def _end(job: LiveJob, reason: str, context: Context) -> Step:
    """The road of every job that goes: terminate, then (once it is completed) delete."""
    if job.state in UNFINISHED:
        return Action(Verb.TERMINATE, reason, job.guard, {"terminateReason": TERMINATE_REASON})
    if job.state != "completed":
        return Blocked(f"in a state this version does not know: {job.state}")
    if job.prepares and job.nodes is None:
        return Wait("its preparation and release results to be read")
    failed = [run for run in job.nodes or () if run.release is not None and run.release.failed]
    if failed and context.policy(job).hold and job.key not in context.consents.release_failure:
        nodes = ", ".join(f"{short(run.node)} (exit code {run.release.exit_code})" for run in failed if run.release)
        return Blocked(
            f"kept, because release failed on {nodes}: what it left behind is on the nodes "
            f"(reconciler logs {job.address} --task release)",
            f"--allow-release-failure {job.address}",
        )
    return Action(Verb.DELETE, reason, job.guard, receipt=job.nodes or ())


def _create(wanted: Wanted, context: Context) -> Step:
    lifecycle = _lifecycle(wanted)
    if lifecycle.state == "Completed":
        return Done("not there, and its manifest asks for no run (lifecycle.state: Completed)")
    if lifecycle.state == "Disabled" and wanted.spec.get("jobManagerTask"):
        return Blocked(
            "its job manager task would start before it can be disabled: create it with lifecycle.state: Active"
        )
    if (past := runs.before_a_new_one(wanted, context)) is not None:
        return past
    body = dict(wanted.body)
    if wanted.tasks or lifecycle.state == "Disabled":
        # Set after all tasks are in, and once it is enabled: a job created with it may end while tasks are still being
        # added (reference, 15), and it ends disabled jobs, too (reference, 7).
        body.pop("onAllTasksComplete", None)
    # A new job has no failed task of an earlier manifest.
    facts: dict[str, Any] = {"tasks": "" if wanted.tasks else wanted.tasks_digest, "retried": ""}
    if lifecycle.tasks == "ReactivateFailed":
        facts["retried"] = task_life.retry_digest(wanted)
    return Action(
        Verb.CREATE, "not there yet", body={"id": wanted.name, **body}, mark=replace(marked(wanted, context), **facts)
    )


def _lifecycle(wanted: Wanted) -> JobLifecycle:
    assert isinstance(wanted.lifecycle, JobLifecycle)
    return wanted.lifecycle


def _tend(wanted: Wanted, job: LiveJob, context: Context) -> Step:
    """An unfinished job that its manifest names."""
    lifecycle = _lifecycle(wanted)
    if lifecycle.state == "Completed":
        if nothing := _nothing_to_replace(job, context):
            return nothing
        return Action(
            Verb.TERMINATE,
            "its manifest says lifecycle.state: Completed",
            job.guard,
            {"terminateReason": TERMINATE_REASON},
        )
    change = job_diff(wanted, job)
    if replacement := _replacement(wanted, job, change, context):
        return _make_way(wanted, job, replacement, context) if isinstance(replacement, str) else replacement
    moving = moved(change)
    if moving and (stay := _release_lost(job, moving, context)):
        return stay
    if job.state == "enabling":
        return Wait("the service to finish enabling")
    if job.state == "disabling" and (moving or lifecycle.state == "Disabled"):
        return Wait("its running tasks to end")
    if job.state == "active" and (moving or lifecycle.state == "Disabled"):
        # Running tasks finish: a change of the manifest does not undo their work (reference, 5.4).
        body = {"disableTasks": "wait"}
        why = f"{moving[0].name} can change only while it is disabled" if moving else "lifecycle.state: Disabled"
        return Action(Verb.DISABLE, why, job.guard, body)
    if job.state in ("disabling", "disabled") and lifecycle.state == "Active" and not moving:
        return Action(Verb.ENABLE, "its manifest says that it runs", job.guard)
    return _update(wanted, job, change, context) or _tend_tasks(wanted, job, change, context)


def _make_way(wanted: Wanted, job: LiveJob, reason: str, context: Context) -> Step:
    """End a job for its successor; tasks that run are not killed for a changed line alone."""
    if job.state in UNFINISHED and (job.key, job.guard.born) not in context.consents.replace:
        if job.counts is None:
            return Wait("its tasks to be counted")
        running = job.counts.running
        what = f"{running} running task{'s' if running > 1 else ''}"
        if running and _lifecycle(wanted).replace == "WhenIdle":
            return Wait(f"its {what} to end (lifecycle.replace: WhenIdle)")
        if running and job.key not in context.consents.task_loss:
            return Blocked(f"{reason}; it would kill {what}", f"--allow-task-loss {job.address}")
    return _end(job, reason, context)


def moved(change: Change) -> tuple[FieldChange, ...]:
    """What differs in where the job runs and can be changed while it is disabled."""
    rows = [row for row in change.fields if row.top == "poolInfo"]
    return tuple(rows) if not any(_is_another_auto_pool(row) for row in rows) else ()


def _is_another_auto_pool(row: FieldChange) -> bool:
    """An auto pool that is there takes no change but keepAlive (reference, 7 and 8.4)."""
    return row.path[:2] == ("poolInfo", "autoPoolSpecification") and row.path[2:] != ("keepAlive",)


def leaves_its_pool(wanted: Wanted, job: LiveJob) -> bool:
    """Whether the manifest moves an unfinished job to another pool."""
    return job.state in UNFINISHED and any(row.name == "poolInfo.poolId" for row in moved(job_diff(wanted, job)))


def _release_lost(job: LiveJob, moving: tuple[FieldChange, ...], context: Context) -> Wait | Blocked | None:
    """Whether release still reaches the nodes of the old pool once the job has another is UNKNOWN, so a person has to
    agree while any of them is owed one."""
    leaves = any(row.name == "poolInfo.poolId" for row in moving)
    if not leaves or not job.releases or job.key in context.consents.release_loss:
        return None
    if job.nodes is None:
        return Wait("its preparation and release results to be read")
    owing = [short(run.node) for run in job.owing() if job.pool is not None and run.pool.lower() == job.pool.id]
    if not owing:
        return None
    shown = ", ".join(owing[:3]) + (f" and {len(owing) - 3} more" if len(owing) > 3 else "")
    return Blocked(
        f"it would leave its pool, whose nodes still owe its release ({shown}), and nobody knows whether release "
        "reaches them then",
        f"--allow-release-loss {job.address}",
    )


def _look_back(wanted: Wanted, job: LiveJob, context: Context) -> Step:
    """A completed job that its manifest names: finished work satisfies it, unless a fixed field asks for a new run."""
    if _lifecycle(wanted).state == "Completed":
        done = Done("completed, as its manifest says")
        return _nothing_to_replace(job, context) or _expire(wanted, job, context) or done
    if replacement := _replacement(wanted, job, job_diff(wanted, job), context):
        return _end(job, replacement, context) if isinstance(replacement, str) else replacement
    absent = () if task_life.are_in(wanted, job) else task_life.missing(wanted, job)
    if absent:
        return Blocked(
            f"it is completed, and {len(absent)} of its declared tasks were never added ({absent[0].name}"
            f"{', ...' if len(absent) > 1 else ''}); a completed job takes no tasks",
            f"--replace {wanted.address}",
        )
    return _expire(wanted, job, context) or Done("ran to its end")


def _expire(wanted: Wanted, job: LiveJob, context: Context) -> Step | None:
    """The removal of a job whose time to live is over; None before that."""
    reason = runs.expiry(wanted, job, context)
    if reason is None or not isinstance(reason, str):
        return reason
    step = _end(job, reason, context)
    return replace(step, run=runs.entry_of(wanted, job, context)) if isinstance(step, Action) else step


def _nothing_to_replace(job: LiveJob, context: Context) -> Blocked | None:
    asked = (job.key, job.guard.born) in context.consents.replace
    return Blocked(NOTHING_TO_REPLACE) if asked else None


def job_diff(wanted: Wanted, job: LiveJob) -> Change:
    """What differs between a manifest and its live job."""
    return Change((*diff(JobSpec, wanted.spec, job.spec, written=wanted.written).fields, *unseen(wanted, job)))


def makes_way(wanted: Wanted, job: LiveJob, context: Context) -> bool:
    """Whether an unfinished job is to be replaced for a change of its manifest: its tasks have to be counted."""
    if job.state not in UNFINISHED or _lifecycle(wanted).state == "Completed":
        return False
    return isinstance(_replacement(wanted, job, job_diff(wanted, job), context), str)


def _replacement(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> str | Blocked | None:
    """Why the job must be ended and created anew: a reason, a refusal that says what is in the way, or None."""
    lifecycle = _lifecycle(wanted)
    if (job.key, job.guard.born) in context.consents.replace:
        if lifecycle.preventDestroy:
            return Blocked("lifecycle.preventDestroy forbids to replace it")
        return "asked for by --replace"
    fixed = change.of(ChangeKind.FIXED) + tuple(f for f in change.of(ChangeKind.ONE_WAY) if f.new == "noaction")
    auto = tuple(row for row in change.fields if _is_another_auto_pool(row) and row not in fixed)
    fixed += auto
    if not fixed or (job.state == "completed" and lifecycle.runPolicy == "Once"):
        return None
    names = ", ".join(sorted({field.top for field in fixed}))
    verb = "is" if len({field.top for field in fixed}) == 1 else "are"
    if all(field.implicit for field in fixed):
        return Blocked(
            f"{names} differs and no line of the manifest speaks of it; {names} {verb} fixed after creation",
            f"--replace {wanted.address}",
        )
    if lifecycle.replace == "Never" or lifecycle.preventDestroy:
        rule = "lifecycle.replace: Never" if lifecycle.replace == "Never" else "lifecycle.preventDestroy"
        return Blocked(f"{names} {verb} fixed after creation, and {rule} forbids to replace it")
    return f"replace: {names} {verb} fixed after creation"


def _update(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> Step | None:
    """A PATCH for what may change at any time: whole top-level values, since a nested object replaces the stored one
    whole (recorded). `onAllTasksComplete` waits until the tasks are in, poolInfo until the job is disabled."""
    assert job.mark is not None
    fields = change.of(ChangeKind.LIVE)
    fields += tuple(row for row in moved(change) if row not in fields)
    if task_life.are_in(wanted, job):
        fields += _one_way(wanted, change)
    cleared = sorted({row.top for row in fields if row.top not in wanted.spec and not table(JobSpec)[row.top].is_list})
    if cleared:
        return Blocked(f"{', '.join(cleared)} cannot be cleared on a live job: write the value that it is to have")
    mark = marked(wanted, context, job.mark)
    if not fields and mark.same_policy(job.mark):
        return None
    body = update_body(wanted, fields)
    mark = remembered(mark, wanted, body)
    return Action(Verb.UPDATE, why(wanted, job.mark, fields), job.guard, body, mark, changes=fields)


def _one_way(wanted: Wanted, change: Change) -> tuple[FieldChange, ...]:
    """`onAllTasksComplete` ends a disabled job as well (reference, 7), so it is set once the job may run."""
    return change.of(ChangeKind.ONE_WAY) if _lifecycle(wanted).state == "Active" else ()


def update_body(wanted: Wanted, fields: tuple[FieldChange, ...]) -> dict[str, Any]:
    """The named properties, whole; and the metadata, because the mark travels with it."""
    return whole(JobSpec, wanted.body, wanted.spec, {field.top for field in fields} | {"metadata"})


def _tend_tasks(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> Step:
    assert job.mark is not None
    done = Done("disabled, as its manifest says" if job.state == "disabled" else "as its manifest says")
    if task_life.are_settled(wanted, job, context):
        return done
    if step := task_life.next_step(wanted, job, context):
        return _unconfirmed(wanted, job, context, step)
    retried = job.mark.retried
    if task_life.retries(wanted, job):
        if job.tasks is None:
            return Wait("its tasks to be listed")
        if step := _retry(wanted, job, context):
            return step
        retried = task_life.retry_digest(wanted)
    one_way = _one_way(wanted, change)
    mark = replace(marked(wanted, context, job.mark), tasks=wanted.tasks_digest, retried=retried)
    if mark == job.mark and not one_way:
        return done
    return Action(
        Verb.CONFIRM_TASKS, "all tasks are in", job.guard, update_body(wanted, one_way), mark, changes=one_way
    )


def _unconfirmed(wanted: Wanted, job: LiveJob, context: Context, step: Step) -> Step:
    """Before declared tasks are deleted, the mark no longer says that all are in: they are missed if we die then."""
    assert job.mark is not None
    takes = isinstance(step, Action) and any(name.lower() in wanted.tasks for name in step.names)
    if not takes or not task_life.are_in(wanted, job):
        return step
    mark = replace(marked(wanted, context, job.mark), tasks="")
    return Action(Verb.UPDATE, "tasks are to be added anew", job.guard, update_body(wanted, ()), mark)


def _retry(wanted: Wanted, job: LiveJob, context: Context) -> Action | None:
    """Failed tasks run again once for each manifest.

    Before the first of them does, the mark says for which manifest, and when the last of them had ended by the
    service's clock: one that fails again ended later and is left, whatever dies in between. None once none is left.
    """
    assert job.mark is not None
    goal = task_life.retry_digest(wanted)
    known, _, until = job.mark.retried.partition("@")
    failed = task_life.failed(wanted, job, until if known == goal else "")
    if not failed:
        return None
    if known == goal:
        return task_life.reactivate(failed)
    retried = f"{goal}@{max(task.ended for task in failed)}"
    mark = replace(marked(wanted, context, job.mark), retried=retried)
    reason = f"{len(failed)} failed task{'s are' if len(failed) > 1 else ' is'} to run again"
    return Action(Verb.UPDATE, reason, job.guard, update_body(wanted, ()), mark)


def predict(wanted: Wanted | None, live: LiveJob | None, action: Action) -> LiveJob | None:
    """The job after *action*, as the service documents it."""
    match action.verb:
        case Verb.CREATE:
            assert wanted is not None
            created = action.body.get("onAllTasksComplete", "noaction")
            spec = {**wanted.spec, "onAllTasksComplete": created}
            fresh = LiveJob(wanted.key, wanted.name, "active", Guard("", ""), action.mark, spec)
            return replace(fresh, tasks={}, ids=frozenset(), nodes=(), counts=TaskCounts())
        case Verb.TERMINATE:
            assert live is not None
            return replace(live, state="terminating")
        case Verb.DELETE:
            assert live is not None
            return replace(live, state="deleting")
        case Verb.ENABLE:
            assert live is not None
            return replace(live, state="active")
        case Verb.DISABLE:
            assert live is not None
            return replace(live, state="disabling")
        case Verb.ADOPT | Verb.ORPHAN:
            assert live is not None
            return replace(live, mark=action.mark)
        case Verb.FORGET:
            return live
        case Verb.ADD_TASKS | Verb.UPDATE_TASKS | Verb.DELETE_TASKS | Verb.REACTIVATE_TASKS:
            assert live is not None
            return task_life.predict(live, action)
        case Verb.UPDATE | Verb.CONFIRM_TASKS:
            assert wanted is not None
            assert live is not None
            changed: Mapping[str, Any] = {field.top: wanted.spec.get(field.top) for field in action.changes}
            return replace(live, spec={**live.spec, **changed}, mark=action.mark)
    raise AssertionError(f"jobs know no {action.verb}")


def outwait(live: LiveJob | None) -> LiveJob | None:
    """The job once the service is done with what `next_step` waits for."""
    assert live is not None
    match live.state:
        case "terminating":
            counts = live.counts or TaskCounts()
            return replace(live, state="completed", nodes=live.nodes or (), counts=counts)
        case "deleting":
            return None
        case "disabling":
            return replace(live, state="disabled")
        case "enabling":
            return replace(live, state="active")
    idle = replace(live.counts or TaskCounts(), running=0)
    return task_life.outwait(replace(live, nodes=live.nodes or (), counts=idle))
