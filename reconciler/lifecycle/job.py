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

What an unfinished job that goes on takes is in `job_upkeep`, what its successor takes in `replacement`.
"""

from dataclasses import replace
from typing import Any, Final

from reconciler.lifecycle import forecast, job_upkeep, release, runs
from reconciler.lifecycle import tasks as task_life
from reconciler.lifecycle.job_change import job_diff, replacement
from reconciler.lifecycle.ownership import given, marked, stays
from reconciler.lifecycle.policies import of_job, policy_of
from reconciler.lifecycle.replacement import is_asked, refused
from reconciler.lifecycle.steps import Action, Blocked, Context, Done, Rule, Step, Verb, Wait
from reconciler.lifecycle.wording import counted, verb_for
from reconciler.model.desired import Wanted
from reconciler.observed import UNFINISHED, Guard, LiveJob, TaskCounts, short

TERMINATE_REASON: Final = "reconciler"
FORCED: Final = "; --dangerous-force: releases that have not run may be lost"
STATE_AFTER: Final = {
    Verb.TERMINATE: "terminating",
    Verb.DELETE: "deleting",
    Verb.ENABLE: "active",
    Verb.DISABLE: "disabling",
}


def next_step(wanted: Wanted | None, live: LiveJob | None, context: Context) -> Step:
    """The one thing to do now for a job, or what to wait for, or nothing."""
    if answer := given(wanted, live, context):
        return answer
    match wanted, live:
        case None, None:
            return runs.unwanted(context)
        case None, LiveJob(state="terminating") as job if context.is_stuck(job):
            return stays(job, context) or _end(None, job, context.removal, context)
        case Wanted() as spec, LiveJob(state="terminating") as job if context.is_stuck(job) and is_asked(job, context):
            return _end(spec, job, "asked for by --replace", context)
        case _, LiveJob(state="terminating"):
            return release.wait(live)
        case _, LiveJob(state="deleting"):
            return Wait("the service to forget it")
        case None, LiveJob() as job:
            return stays(job, context) or _end(None, job, context.removal, context)
        case Wanted() as spec, None:
            return _create(spec, context)
        case Wanted() as spec, LiveJob() as job if job.state in UNFINISHED:
            return _tend(spec, job, context)
        case Wanted() as spec, LiveJob(state="completed") as job:
            return _look_back(spec, job, context)
        case _:  # never destroy by default
            return Blocked(f"in a state this version does not know: {live.state if live else 'none'}")


def _end(wanted: Wanted | None, job: LiveJob, reason: str, context: Context) -> Step:
    """The road of every job that goes: terminate, then (once it is completed) delete.

    With force (--dangerous-force, and nothing else) the service does not wait for nodes to end the job, and a job whose
    end they hold up is deleted as it is: releases that have not run by then may never run.
    """
    force = context.forces(job)
    if job.state in UNFINISHED:
        reason += FORCED if force else ""
        return Action(Verb.TERMINATE, reason, job.guard, {"terminateReason": TERMINATE_REASON}, force=force)
    policy = context.policy(job) if wanted is None else policy_of(wanted)
    kept = context.ledger.receipts.get((job.key, job.guard.born))
    capture = "" if kept else policy.capture
    gone = Action(Verb.DELETE, reason, job.guard, receipt=job.nodes or (), capture=capture)
    if job.state == "terminating" and context.is_stuck(job):
        return replace(gone, reason=reason + FORCED, force=True)
    if job.state != "completed":
        return Blocked(f"in a state this version does not know: {job.state}")
    if job.prepares and job.nodes is None:
        return Wait("its preparation and release results to be read")
    failed = [run for run in job.nodes or () if run.release is not None and run.release.failed]
    if not failed or not policy.hold or job.key in context.consents.release_failure:
        return gone
    nodes = ", ".join(f"{short(run.node)} ({run.release.ending})" for run in failed if run.release)
    if not kept:
        # What release said is on the nodes, and goes with them: it is fetched now, not when somebody consents.
        return replace(gone, verb=Verb.WRITE_RECEIPT, reason=f"release failed on {nodes}")
    return Blocked(
        f"kept, because release failed on {nodes}: {kept}; what it left behind is on the nodes "
        f"(reconciler logs {job.address} --task release)",
        f"--allow-release-failure {job.address}",
        Rule.RELEASE_FAILURE,
    )


def _create(wanted: Wanted, context: Context) -> Step:
    lifecycle = of_job(wanted)
    if lifecycle.state == "Completed":
        return Done("not there, and its manifest asks for no run (lifecycle.state: Completed)")
    if lifecycle.state == "Disabled" and wanted.spec.get("jobManagerTask"):
        return Blocked(
            "its job manager task would start before it can be disabled: create it with lifecycle.state: Active"
        )
    if (past := runs.before_a_new_one(wanted, context)) is not None:
        return past
    body = dict(wanted.body)
    # Set after all tasks are in, and once it is enabled: a job created with it may end while tasks are still being
    # added (reference, 15), and it ends disabled jobs, too (reference, 7).
    later = bool(wanted.tasks or lifecycle.state == "Disabled") and wanted.spec["onAllTasksComplete"] != "noaction"
    if later:
        del body["onAllTasksComplete"]
    # A new job has no failed task of an earlier manifest.
    facts: dict[str, Any] = {"tasks": "" if wanted.tasks else wanted.tasks_digest, "retried": "", "later": later}
    facts["passwords"] = wanted.tasks_signature
    if lifecycle.tasks == "ReactivateFailed":
        facts["retried"] = task_life.retry_digest(wanted)
    return Action(
        Verb.CREATE, "not there yet", body={"id": wanted.name, **body}, mark=replace(marked(wanted, context), **facts)
    )


def _tend(wanted: Wanted, job: LiveJob, context: Context) -> Step:
    """An unfinished job that its manifest names."""
    if of_job(wanted).state == "Completed":
        reason = "its manifest says lifecycle.state: Completed"
        return refused(wanted, job, context) or _end(wanted, job, reason, context)
    change = job_diff(wanted, job)
    match replacement(wanted, job, change, context):
        case Blocked() as forbidden:
            return forbidden
        case str() as reason:
            return _make_way(wanted, job, reason, context)
        case None:
            return job_upkeep.next_step(wanted, job, change, context)


def _make_way(wanted: Wanted, job: LiveJob, reason: str, context: Context) -> Step:
    """End a job for its successor; tasks that run are not killed for a changed line alone."""
    if not is_asked(job, context):
        if job.counts is None:
            return Wait("its tasks to be counted")
        running = job.counts.running
        what = counted(running, "running task")
        if running and of_job(wanted).replace == "WhenIdle":
            return Wait(f"its {what} to end (lifecycle.replace: WhenIdle)")
        if running and job.key not in context.consents.task_loss:
            return Blocked(f"{reason}; it would kill {what}", f"--allow-task-loss {job.address}", Rule.TASK_LOSS)
    return _end(wanted, job, reason, context)


def _look_back(wanted: Wanted, job: LiveJob, context: Context) -> Step:
    """A completed job that its manifest names: finished work satisfies it, unless a fixed field asks for a new run."""
    if of_job(wanted).state == "Completed":
        done = Done("completed, as its manifest says")
        return refused(wanted, job, context) or _expire(wanted, job, context) or done
    reason = replacement(wanted, job, job_diff(wanted, job), context)
    if reason is not None:
        return _end(wanted, job, reason, context) if isinstance(reason, str) else reason
    absent = () if task_life.are_in(wanted, job) else task_life.missing(wanted, job)
    if absent:
        return Blocked(
            f"it is completed, and {len(absent)} of its declared tasks {verb_for(len(absent), 'was')} never added "
            f"({absent[0].name}{', ...' if len(absent) > 1 else ''}); a completed job takes no tasks",
            f"--replace {wanted.address}",
        )
    return _expire(wanted, job, context) or Done("ran to its end")


def _expire(wanted: Wanted, job: LiveJob, context: Context) -> Step | None:
    """The removal of a job whose time to live is over; None before that."""
    reason = runs.expiry(wanted, job, context)
    if reason is None or not isinstance(reason, str):
        return reason
    step = _end(wanted, job, reason, context)
    if not isinstance(step, Action) or step.verb is not Verb.DELETE:
        return step
    return replace(step, run=runs.entry_of(wanted, job, context))


def predict(wanted: Wanted | None, live: LiveJob | None, action: Action) -> LiveJob | None:
    """The job after *action*, as the service documents it."""
    match action.verb:
        case Verb.CREATE:
            assert wanted is not None
            created = action.body.get("onAllTasksComplete", "noaction")
            spec = {**wanted.spec, "onAllTasksComplete": created}
            fresh = LiveJob(wanted.key, wanted.name, "active", Guard("", ""), action.mark, spec)
            return replace(fresh, tasks={}, ids=frozenset(), nodes=(), counts=TaskCounts())
        case Verb.FORGET | Verb.WRITE_RECEIPT:
            return live
    assert live is not None
    if action.verb in (Verb.ADD_TASKS, Verb.UPDATE_TASKS, Verb.DELETE_TASKS, Verb.REACTIVATE_TASKS):
        return task_life.predict(live, action)
    return forecast.after(wanted, live, action, STATE_AFTER)


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
