"""The life of a job schedule, and its end: disable, let its jobs go their road, delete.

Deleting a schedule deletes its jobs with it, and what their release tasks did could no longer be read (REST reference,
"Delete Job Schedule"). So a schedule that goes is disabled first, which makes no job end; then each of its jobs is
terminated, waited for and deleted like any other; the schedule itself goes last.

| died...                              | next pass sees                    | and answers                        |
|--------------------------------------|-----------------------------------|------------------------------------|
| before disable was sent              | active                            | disable                            |
| after it was sent, answer lost       | disabled, its job unfinished      | wait; the job goes its own road    |
| while its jobs go                    | disabled, fewer jobs              | wait                               |
| after delete was sent, answer lost   | deleting, then nothing            | wait, then done (or create)        |
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from reconciler.diff import Change, FieldChange, diff
from reconciler.lifecycle import forecast
from reconciler.lifecycle.ownership import given, marked, stays
from reconciler.lifecycle.policies import of_schedule
from reconciler.lifecycle.release import RELEASE_BOUND, RELEASE_SECONDS
from reconciler.lifecycle.replacement import for_change, on_request
from reconciler.lifecycle.secrets import remembered, unseen, why
from reconciler.lifecycle.steps import Action, Blocked, Context, Done, Step, Verb, Wait
from reconciler.lifecycle.wording import few
from reconciler.model.desired import Wanted
from reconciler.model.field import ChangeKind
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import whole
from reconciler.observed import Guard, LiveJob, LiveSchedule

NOT_YET: Final = "2999-01-01T00:00:00Z"
"""When the first job of a schedule that is created only to be disabled may start. Without it the service makes a job
within milliseconds (recorded); the manifest's own times are written once it is disabled."""
STATE_AFTER: Final = {
    Verb.TERMINATE: "terminating",
    Verb.DELETE: "deleting",
    Verb.ENABLE: "active",
    Verb.DISABLE: "disabled",
}


def next_step(wanted: Wanted | None, live: LiveSchedule | None, context: Context) -> Step:
    """The one thing to do now for a job schedule, or what to wait for, or nothing."""
    if answer := given(wanted, live, context):
        return answer
    match wanted, live:
        case None, None:
            return Done("absent, as desired")
        case None, LiveSchedule(state="terminating") as schedule if context.is_stuck(schedule):
            return stays(schedule, context) or _end(schedule, context.removal, context)
        case _, LiveSchedule(state="terminating"):
            return Wait("its job to end")
        case _, LiveSchedule(state="deleting"):
            return Wait("the service to forget it")
        case None, LiveSchedule() as schedule:
            return stays(schedule, context) or _end(schedule, context.removal, context)
        case Wanted() as spec, None:
            return _create(spec, context)
        case Wanted() as spec, LiveSchedule(state="active" | "disabled") as schedule:
            return _tend(spec, schedule, context)
        case Wanted() as spec, LiveSchedule(state="completed") as schedule:
            return _look_back(spec, schedule, context)
        case _:  # never destroy by default
            return Blocked(f"in a state this version does not know: {live.state if live else 'none'}")


def schedule_diff(wanted: Wanted, schedule: LiveSchedule) -> Change:
    """What differs between a manifest and its live schedule."""
    seen = diff(JobScheduleSpec, wanted.spec, schedule.spec, written=wanted.written)
    return Change((*seen.fields, *unseen(wanted, schedule)))


def _end(schedule: LiveSchedule, reason: str, context: Context) -> Step:
    """The road of every schedule that goes."""
    if schedule.state == "active":
        return Action(Verb.DISABLE, reason, schedule.guard)
    if schedule.state not in ("disabled", "completed", "terminating"):  # never destroy by default
        return Blocked(f"in a state this version does not know: {schedule.state}")
    if schedule.children:
        names = few([job.name for job in schedule.children])
        unfinished = any(job.releases for job in schedule.unfinished)
        jobs = frozenset(job.key for job in schedule.children)
        until = f"its jobs to be removed ({names})"
        return Wait(until, RELEASE_BOUND, jobs, RELEASE_SECONDS) if unfinished else Wait(until, on=jobs)
    return Action(Verb.DELETE, reason, schedule.guard, force=context.forces(schedule))


def departure(wanted: Wanted | None, schedule: LiveSchedule, context: Context) -> str | None:
    """Why the schedule goes now, for good or to be made anew, so that its jobs go first; None when it stays."""
    forced = wanted is None and context.is_stuck(schedule)
    if (
        not context.owns(schedule)
        or schedule.key in context.orphaning
        or schedule.state not in ("active", "disabled", "completed", *(("terminating",) if forced else ()))
    ):
        return None
    if wanted is None:
        policy = context.policy(schedule)
        leaves = context.removes(schedule.key) and not policy.keep and not policy.orphan
        return context.removal if leaves else None
    reason = _replacement(wanted, schedule, context)
    return reason if isinstance(reason, str) else None


def _create(wanted: Wanted, context: Context) -> Step:
    lifecycle = of_schedule(wanted)
    if lifecycle.state == "Completed":
        return Done("not there, and its manifest asks for no run (lifecycle.state: Completed)")
    body: dict[str, Any] = {"id": wanted.name, **wanted.body}
    if lifecycle.state == "Disabled":
        body["schedule"] = {**body["schedule"], "doNotRunUntil": NOT_YET}
        body["schedule"].pop("doNotRunAfter", None)
    return Action(Verb.CREATE, "not there yet", body=body, mark=marked(wanted, context))


def _tend(wanted: Wanted, schedule: LiveSchedule, context: Context) -> Step:
    lifecycle = of_schedule(wanted)
    if reason := _replacement(wanted, schedule, context):
        return _end(schedule, reason, context) if isinstance(reason, str) else reason
    if lifecycle.state == "Completed":
        why_now = "its manifest says lifecycle.state: Completed"
        return Action(Verb.TERMINATE, why_now, schedule.guard, force=context.forces(schedule))
    if lifecycle.state == "Disabled" and schedule.state == "active":
        return Action(Verb.DISABLE, "its manifest says lifecycle.state: Disabled", schedule.guard)
    if update := _update(wanted, schedule, context):
        return update
    if lifecycle.state == "Active" and schedule.state == "disabled":
        return Action(Verb.ENABLE, "its manifest says lifecycle.state: Active", schedule.guard)
    return Done("as its manifest says")


def _replacement(wanted: Wanted, schedule: LiveSchedule, context: Context) -> str | Blocked | None:
    """Why the schedule must go and be made anew: a reason, a refusal that says what is in the way, or None."""
    if asked := on_request(wanted, schedule, context):
        return asked
    if schedule.state != "completed" or of_schedule(wanted).state == "Completed":
        return None
    changed = schedule_diff(wanted, schedule).of(ChangeKind.LIVE, ChangeKind.NEXT_RUN)
    names = sorted({field.top for field in changed} & {"schedule", "jobSpecification"})
    if not names or all(field.implicit for field in changed) or not _has_a_future(wanted, context.now):
        return None
    return for_change(wanted, f"{' and '.join(names)} changed, and a completed schedule takes no changes")


def _update(wanted: Wanted, schedule: LiveSchedule, context: Context) -> Step | None:
    """A PATCH: whole top-level values, since a nested object replaces the stored one whole (recorded)."""
    assert schedule.mark is not None
    fields = schedule_diff(wanted, schedule).of(ChangeKind.LIVE, ChangeKind.NEXT_RUN)
    mark = marked(wanted, context, schedule.mark)
    if not fields and not mark.replaces(schedule.mark):
        return None
    body = _body(wanted, fields)
    mark = remembered(mark, wanted, body)
    return Action(Verb.UPDATE, why(wanted, schedule.mark, fields, mark), schedule.guard, body, mark, changes=fields)


def _body(wanted: Wanted, fields: tuple[FieldChange, ...]) -> dict[str, Any]:
    return whole(JobScheduleSpec, wanted.body, wanted.spec, {field.top for field in fields} | {"metadata"})


def _look_back(wanted: Wanted, schedule: LiveSchedule, context: Context) -> Step:
    """A completed schedule that its manifest names takes no changes; it is made anew for runs still to come."""
    if reason := _replacement(wanted, schedule, context):
        return _end(schedule, reason, context) if isinstance(reason, str) else reason
    completed = of_schedule(wanted).state == "Completed"
    return Done("completed, as its manifest says" if completed else "ran to its end")


def _has_a_future(wanted: Wanted, now: str) -> bool:
    """Whether the schedule of the manifest could still make a job."""
    until = (wanted.spec.get("schedule") or {}).get("doNotRunAfter")
    return until is None or not now or datetime.fromisoformat(until) > datetime.fromisoformat(now)


def predict(wanted: Wanted | None, live: LiveSchedule | None, action: Action) -> LiveSchedule | None:
    """The schedule after *action*, as the service documents it."""
    if action.verb is Verb.CREATE:
        assert wanted is not None
        spec: dict[str, Any] = dict(wanted.spec)
        if of_schedule(wanted).state == "Disabled":
            spec["schedule"] = {**spec["schedule"], "doNotRunUntil": NOT_YET}
        return LiveSchedule(wanted.key, wanted.name, "active", Guard("", ""), action.mark, spec)
    assert live is not None
    return forecast.after(wanted, live, action, STATE_AFTER)


def outwait(live: LiveSchedule | None) -> LiveSchedule | None:
    """The schedule once the service is done with what `next_step` waits for."""
    assert live is not None
    match live.state:
        case "terminating":
            return replace(live, state="completed")
        case "deleting":
            return None
    return replace(live, children=())


def expendable(wanted: Wanted | None, schedule: LiveSchedule) -> tuple[LiveJob, ...]:
    """Ended jobs of a schedule beyond the number its manifest keeps; of those whose tasks were counted."""
    if wanted is None:
        return ()
    keep = of_schedule(wanted).history
    known = (job for job in schedule.children if job.counts is not None or job.scheduling_error)
    ended = [job for job in known if job.state == "completed"]
    failed = [job for job in ended if has_failed(job)]
    well = [job for job in ended if not has_failed(job)]
    return (*failed[: max(0, len(failed) - keep.failure)], *well[: max(0, len(well) - keep.success)])


def has_failed(job: LiveJob) -> bool:
    """Whether an ended job counts as a failure: a failed task, or the service could not run it."""
    return bool(job.scheduling_error) or (job.counts is not None and job.counts.failed > 0)
