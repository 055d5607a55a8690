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
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.diff import Change, FieldChange, diff
from reconciler.lifecycle.steps import KEPT, Action, Blocked, Context, Done, Policy, Step, Verb, Wait, foreign
from reconciler.model.desired import Task, Wanted
from reconciler.model.document import JobLifecycle
from reconciler.model.field import ChangeKind
from reconciler.model.job import JobSpec
from reconciler.model.table import whole
from reconciler.model.task import TaskSpec
from reconciler.observed import Guard, LiveJob, LiveTask, Mark, short

UNFINISHED: Final = frozenset({"active", "enabling", "disabling", "disabled"})
RELEASE_BOUND: Final = "up to 15 min"
"""The service ends an attempt of a release task after 15 minutes (REST reference, maxWallClockTime)."""
TERMINATE_REASON: Final = "reconciler"


def next_step(wanted: Wanted | None, live: LiveJob | None, context: Context) -> Step:
    """The one thing to do now for a job, or what to wait for, or nothing."""
    if live is not None and not context.owns(live):
        return foreign(live, declared=wanted is not None)
    match wanted, live:
        case None, None:
            return Done("absent, as desired")
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
    body = dict(wanted.body)
    if wanted.tasks:
        # Set after all tasks are in: a job created with it may end while tasks are still being added (reference, 15).
        body.pop("onAllTasksComplete", None)
    mark = _mark(wanted, context, tasks="" if wanted.tasks else wanted.tasks_digest)
    return Action(Verb.CREATE, "not there yet", body={"id": wanted.name, **body}, mark=mark)


def _lifecycle(wanted: Wanted) -> JobLifecycle:
    assert isinstance(wanted.lifecycle, JobLifecycle)
    return wanted.lifecycle


def _mark(wanted: Wanted, context: Context, *, tasks: str, nonce: str = "") -> Mark:
    policy = policy_of(wanted)
    return Mark(context.stack, wanted.digest, tasks, nonce, policy.keep, policy.hold)


def policy_of(wanted: Wanted) -> Policy:
    """What a manifest says for the time when its job goes."""
    lifecycle = _lifecycle(wanted)
    return Policy(lifecycle.preventDestroy, lifecycle.onReleaseFailure == "Hold")


def _tend(wanted: Wanted, job: LiveJob, context: Context) -> Step:
    """An unfinished job that its manifest names."""
    if _lifecycle(wanted).state == "Completed":
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
        return _end(job, replacement, context) if isinstance(replacement, str) else replacement
    if job.state in ("disabling", "enabling"):
        return Wait(f"the service to finish {job.state}")
    if job.state == "disabled":
        return Action(Verb.ENABLE, "disabled behind our back", job.guard)
    return _update(wanted, job, change, context) or _add_tasks(wanted, job, change, context)


def _look_back(wanted: Wanted, job: LiveJob, context: Context) -> Step:
    """A completed job that its manifest names: finished work satisfies it, unless a fixed field asks for a new run."""
    if _lifecycle(wanted).state == "Completed":
        return _nothing_to_replace(job, context) or Done("completed, as its manifest says")
    if replacement := _replacement(wanted, job, job_diff(wanted, job), context):
        return _end(job, replacement, context) if isinstance(replacement, str) else replacement
    missing = missing_tasks(wanted, job)
    if missing:
        return Blocked(
            f"it is completed, and {len(missing)} of its declared tasks were never added ({missing[0].name}"
            f"{', ...' if len(missing) > 1 else ''}); a completed job takes no tasks",
            f"--replace {wanted.address}",
        )
    return Done("ran to its end")


def _nothing_to_replace(job: LiveJob, context: Context) -> Blocked | None:
    asked = (job.key, job.guard.born) in context.consents.replace
    return (
        Blocked("--replace asks for a new run, and its manifest for none (lifecycle.state: Completed)")
        if asked
        else None
    )


def job_diff(wanted: Wanted, job: LiveJob) -> Change:
    """What differs between a manifest and its live job."""
    return diff(JobSpec, wanted.spec, job.spec, written=wanted.written)


def _replacement(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> str | Blocked | None:
    """Why the job must be ended and created anew: a reason, a refusal that says what is in the way, or None."""
    lifecycle = _lifecycle(wanted)
    if (job.key, job.guard.born) in context.consents.replace:
        if lifecycle.preventDestroy:
            return Blocked("lifecycle.preventDestroy forbids to replace it")
        return "asked for by --replace"
    if moved := change.of(ChangeKind.WHEN_DISABLED):
        return Blocked(
            f"{moved[0].name} of a job can change only while it is disabled, which this version does not do",
            f"--replace {wanted.address}",
        )
    fixed = change.of(ChangeKind.FIXED) + tuple(f for f in change.of(ChangeKind.ONE_WAY) if f.new == "noaction")
    if not fixed:
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
    whole (recorded). `onAllTasksComplete` waits until the tasks are in."""
    assert job.mark is not None
    fields = change.of(ChangeKind.LIVE)
    if _tasks_are_in(wanted, job):
        fields += change.of(ChangeKind.ONE_WAY)
    mark = _mark(wanted, context, tasks=job.mark.tasks, nonce=job.mark.nonce)
    if not fields and mark.same_policy(job.mark):
        return None
    reason = drift_or_change(wanted, job.mark) if fields else "policy changed"
    return Action(Verb.UPDATE, reason, job.guard, update_body(wanted, fields), mark, changes=fields)


def drift_or_change(wanted: Wanted, mark: Mark) -> str:
    """Whether the manifest changed since we last wrote the object, or the object was changed behind our back."""
    return "drift" if mark.spec == wanted.digest else "changed in the manifest"


def update_body(wanted: Wanted, fields: tuple[FieldChange, ...]) -> dict[str, Any]:
    """The named properties, whole; and the metadata, because the mark travels with it."""
    return whole(JobSpec, wanted.body, wanted.spec, {field.top for field in fields} | {"metadata"})


def _tasks_are_in(wanted: Wanted, job: LiveJob) -> bool:
    return job.mark is not None and job.mark.tasks == wanted.tasks_digest


def _add_tasks(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> Step:
    if _tasks_are_in(wanted, job):
        return Done("as its manifest says")
    if job.tasks is None and wanted.tasks:
        return Wait("its tasks to be listed")
    missing = missing_tasks(wanted, job)
    if missing:
        return Action(Verb.ADD_TASKS, f"{len(missing)} of {len(wanted.tasks)} tasks are not there", tasks=missing)
    differing = differing_tasks(wanted, job)
    # The constraints of a completed task no longer matter, and the service refuses to change them (UNKNOWN 17).
    there = job.tasks or {}
    stale = [task for task, diffs in differing if diffs.of(ChangeKind.LIVE) and not there[task.id].is_over]
    if stale:
        guards = tuple(there[task.id].guard for task in stale)
        return Action(Verb.UPDATE_TASKS, "constraints differ", tasks=tuple(stale), guards=guards)
    conflicts = [(task, diffs.of(ChangeKind.FIXED)) for task, diffs in differing if diffs.of(ChangeKind.FIXED)]
    if conflicts:
        shown = "; ".join(f"{task.name}: {', '.join(f.name for f in fields)}" for task, fields in conflicts[:3])
        more = f" and {len(conflicts) - 3} more" if len(conflicts) > 3 else ""
        return Blocked(
            f"{len(conflicts)} tasks exist with other fixed fields ({shown}{more}); a task cannot be changed after "
            f"it was added: give it another id",
            f"--replace {wanted.address}",
        )
    assert job.mark is not None
    one_way = change.of(ChangeKind.ONE_WAY)
    mark = _mark(wanted, context, tasks=wanted.tasks_digest, nonce=job.mark.nonce)
    body = update_body(wanted, one_way)
    return Action(Verb.CONFIRM_TASKS, "all tasks are in", job.guard, body, mark, changes=one_way)


def missing_tasks(wanted: Wanted, job: LiveJob) -> tuple[Task, ...]:
    """Declared tasks that the job does not have; none when the mark says that all were confirmed."""
    if _tasks_are_in(wanted, job) or job.tasks is None:
        return ()
    return tuple(task for task in wanted.tasks.values() if task.id not in job.tasks)


def differing_tasks(wanted: Wanted, job: LiveJob) -> tuple[tuple[Task, Change], ...]:
    """Declared tasks that exist with other content."""
    live = job.tasks or {}
    pairs = ((task, live[task.id]) for task in wanted.tasks.values() if task.id in live)
    changes = ((task, diff(TaskSpec, task.spec, there.spec)) for task, there in pairs)
    return tuple((task, change) for task, change in changes if change)


def predict(wanted: Wanted | None, live: LiveJob | None, action: Action) -> LiveJob | None:
    """The job after *action*, as the service documents it."""
    match action.verb:
        case Verb.CREATE:
            assert wanted is not None
            created = action.body.get("onAllTasksComplete", "noaction")
            spec = {**wanted.spec, "onAllTasksComplete": created}
            return LiveJob(wanted.key, wanted.name, "active", Guard("", ""), action.mark, spec, tasks={}, nodes=())
        case Verb.TERMINATE:
            assert live is not None
            return replace(live, state="terminating")
        case Verb.DELETE:
            assert live is not None
            return replace(live, state="deleting")
        case Verb.ENABLE:
            assert live is not None
            return replace(live, state="active")
        case Verb.ADD_TASKS | Verb.UPDATE_TASKS:
            assert live is not None
            added = {task.id: LiveTask(task.name, "active", Guard("", ""), task.spec) for task in action.tasks}
            return replace(live, tasks={**(live.tasks or {}), **added})
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
            return replace(live, state="completed", nodes=live.nodes or ())
        case "deleting":
            return None
        case "disabling":
            return replace(live, state="disabled")
        case "enabling":
            return replace(live, state="active")
    return replace(live, tasks=live.tasks or {}, nodes=live.nodes or ())
