"""Job schedules: jobs made one after the other at planned times, until the schedule ends.

Recurrence: M:BatchJobScheduleConfiguration; states: E:BatchJobScheduleState, R20:job_schedules, R24p. A planned time is
an occasion: open from then on until its start window is over or the next one comes, and lost if no job could begin.
"""

from __future__ import annotations

import copy

from reconciler.emulator import auto_pools, jobs, quotas
from reconciler.emulator.auto_pool_bodies import check_version
from reconciler.emulator.errors import refuse
from reconciler.emulator.records import Job, Json, Schedule, fold
from reconciler.emulator.schedule_bodies import SCHEDULE_CREATE, SCHEDULE_REPLACE, SCHEDULE_UPDATE
from reconciler.emulator.schema import given, read_body
from reconciler.emulator.times import parse_iso, parse_span
from reconciler.emulator.world import World

ENDING = {
    "terminating": "JobScheduleBeingTerminated",
    "completed": "JobScheduleCompleted",
    "deleting": "JobScheduleBeingDeleted",
}
RESTING = ("active", "disabled", "completed")
_LAST_TIME = parse_iso("9999-12-31T23:59:59Z")


def find(w: World, schedule_id: str) -> Schedule:
    schedule = w.schedules.get(fold(schedule_id))
    if schedule is None:
        raise refuse("JobScheduleNotFound")
    return schedule


def jobs_of(w: World, schedule: Schedule) -> list[Job]:
    """The jobs it has made, as far as they are still there, oldest first."""
    keys = (f"{schedule.key}:job-{number}" for number in range(1, schedule.jobs_made + 1))
    return [w.jobs[key] for key in keys if key in w.jobs]


# --- requests


def create(w: World, body: object, *, legacy: bool = False) -> Schedule:
    """Active; its first job follows at once unless it is not to run yet (R20, R26)."""
    spec = read_body(SCHEDULE_CREATE, body, legacy=legacy, runs=w.runs_commands)
    schedule_id = spec.pop("id")
    existing = w.schedules.get(fold(schedule_id))
    if existing is not None:
        by_state = ENDING if w.switches.create_over_schedule_tells_its_state else {"deleting": ENDING["deleting"]}
        raise refuse(by_state.get(existing.state, "JobScheduleExists"))
    if fold(schedule_id) in w.jobs:
        raise refuse("JobWithSameIdExists")
    _check_specification(w, body, spec["jobSpecification"], legacy=legacy)
    quotas.check_active(w)
    schedule = Schedule(schedule_id, spec, w.now, w.now, w.now)  # one time for all three (R20:job_schedules)
    w.add(schedule)
    _plan(w, schedule)
    return schedule


def _check_specification(w: World, body: object, spec: Json, *, legacy: bool) -> None:
    jobs.check_specification(w, spec, scheduled=True)
    if not legacy and isinstance(body, dict):
        check_version(body.get("jobSpecification"))


def _changeable(schedule: Schedule) -> None:
    if schedule.state in ENDING:
        raise refuse(ENDING[schedule.state])


def update(w: World, schedule: Schedule, body: object, *, legacy: bool = False) -> None:
    """PATCH: each part that is named is replaced whole, the rest kept (R26:job_schedules)."""
    _changeable(schedule)
    new = read_body(SCHEDULE_UPDATE, body, legacy=legacy, runs=w.runs_commands)
    if "jobSpecification" in new:
        _check_specification(w, body, new["jobSpecification"], legacy=legacy)
    _apply(w, schedule, given(body) & set(SCHEDULE_UPDATE.fields), new)


def replace(w: World, schedule: Schedule, body: object, *, legacy: bool = False) -> None:
    """PUT: a schedule left out means a single job, metadata left out are deleted (S24)."""
    _changeable(schedule)
    new = read_body(SCHEDULE_REPLACE, body, legacy=legacy, runs=w.runs_commands)
    _check_specification(w, body, new["jobSpecification"], legacy=legacy)
    _apply(w, schedule, set(SCHEDULE_REPLACE.fields), new)


def _apply(w: World, schedule: Schedule, names: set[str], new: Json) -> None:
    """Only jobs made later follow a new specification (M)."""
    for name in names:
        if name in new:
            schedule.spec[name] = new[name]
        else:
            schedule.spec.pop(name, None)
    w.stamp(schedule)
    if "schedule" in names:
        _plan(w, schedule)
    _touch(w, schedule)


def disable(w: World, schedule: Schedule) -> None:
    """No new jobs; one that is active goes on (E)."""
    _switch(w, schedule, "active", "disabled")


def enable(w: World, schedule: Schedule) -> None:
    _switch(w, schedule, "disabled", "active")


def _switch(w: World, schedule: Schedule, old: str, new: str) -> None:
    """Asking for the state it has anyway is accepted (INFERRED from disable on a disabled job, O)."""
    _changeable(schedule)
    w.stamp(schedule)
    if schedule.state == old:
        _enter(w, schedule, new)


def terminate(w: World, schedule: Schedule, *, force: bool = False) -> None:
    """Its active job is terminated with it (R24p)."""
    _changeable(schedule)
    _end(w, schedule)
    job = _unfinished_job(w, schedule)
    if job is not None and job.state not in ENDING:
        job.forced = force
        jobs.terminate(w, job, w.switches.terminated_schedule_reason)


def delete(w: World, schedule: Schedule, *, force: bool = False) -> None:
    """All its jobs go with it; an active one runs its release tasks first, as if it were deleted itself (O)."""
    if schedule.state == "deleting":
        raise refuse(ENDING["deleting"])
    schedule.next_run = None
    _enter(w, schedule, "deleting")  # the ETag stays (R26:job_schedules)
    for job in jobs_of(w, schedule):
        if job.state != "deleting":
            jobs.delete(w, job, force=force)


# --- transitions


def _enter(w: World, schedule: Schedule, state: str) -> None:
    if schedule.state in RESTING:
        schedule.previous_state, schedule.previous_time = schedule.state, schedule.state_time
    schedule.state, schedule.state_time = state, w.now
    w.save(schedule)
    _touch(w, schedule)


def _touch(w: World, schedule: Schedule) -> None:
    w.touch("schedules", schedule.key)


def _end(w: World, schedule: Schedule) -> None:
    schedule.next_run = None
    w.stamp(schedule)
    _enter(w, schedule, "terminating")


def _unfinished_job(w: World, schedule: Schedule) -> Job | None:
    """The one job that is not over: only the latest can be. A job being deleted is over when its release is (O)."""
    job = w.jobs.get(fold(schedule.recent)) if schedule.recent is not None else None
    if job is None or job.state == "completed" or job.ended is not None:
        return None
    return job


def settle(w: World, schedule: Schedule) -> None:
    """The next thing this schedule has to do by itself, if its time has come."""
    match schedule.state:
        case "terminating":
            if _unfinished_job(w, schedule) is None and _waited(w, schedule, w.timings.terminate_schedule):
                schedule.ended = w.now
                _enter(w, schedule, "completed")
                auto_pools.schedule_ended(w, schedule)
        case "deleting":
            if not jobs_of(w, schedule) and _waited(w, schedule, w.timings.delete_schedule):
                auto_pools.schedule_ended(w, schedule)
                w.remove(schedule)
        case "active" | "disabled":
            _go_on(w, schedule)


def _waited(w: World, schedule: Schedule, least: int) -> bool:
    if w.now < schedule.state_time + least:
        w.wake(schedule.state_time + least, "schedules", schedule.key)
        return False
    return True


def _go_on(w: World, schedule: Schedule) -> None:
    _drop_lost(w, schedule)
    busy = _unfinished_job(w, schedule) is not None
    due = schedule.next_run is not None and w.now >= schedule.next_run
    if due and not busy and schedule.state == "active":
        _begin_job(w, schedule)
    elif not busy and _is_over(w, schedule):
        _end(w, schedule)
    else:
        _wake(w, schedule)


# --- occasions


def _span(schedule: Schedule, name: str) -> int | None:
    text = schedule.spec["schedule"].get(name)
    return None if text is None else parse_span(text)


def _time(schedule: Schedule, name: str) -> int | None:
    text = schedule.spec["schedule"].get(name)
    return None if text is None else parse_iso(text)


def _plan(w: World, schedule: Schedule) -> None:
    """The next occasion: at once or not before doNotRunUntil; after a job, one interval later (R26:job_schedules)."""
    until = _time(schedule, "doNotRunUntil") or 0
    every = _span(schedule, "recurrenceInterval")
    if schedule.planned is None:
        _set_next(schedule, max(w.now, until))
    else:
        _set_next(schedule, None if every is None else max(schedule.planned + every, until))


def _set_next(schedule: Schedule, at: int | None) -> None:
    last = _time(schedule, "doNotRunAfter")
    too_late = at is not None and at > (_LAST_TIME if last is None else min(last, _LAST_TIME))
    schedule.next_run = None if too_late else at


def _open_for(schedule: Schedule) -> int | None:
    """How long an occasion stays open; none is carried into the next interval, whatever the window (M)."""
    spans = [span for name in ("startWindow", "recurrenceInterval") if (span := _span(schedule, name)) is not None]
    return min(spans, default=None)


def _drop_lost(w: World, schedule: Schedule) -> None:
    """Go on to the occasion that is open now, or else to the next one; those passed over are lost (M)."""
    at, last = schedule.next_run, _time(schedule, "doNotRunAfter")
    if at is None or w.now < at:
        return
    every, open_for = _span(schedule, "recurrenceInterval"), _open_for(schedule)
    if every is not None:
        at += (w.now - at) // every * every
    if (open_for is not None and w.now > at + open_for) or (last is not None and w.now > last):
        _set_next(schedule, None if every is None else at + every)
    else:
        _set_next(schedule, at)
    w.save(schedule)


def _is_over(w: World, schedule: Schedule) -> bool:
    """Past doNotRunAfter, or the only job has been (M)."""
    last = _time(schedule, "doNotRunAfter")
    if last is not None and w.now > last:
        return True
    return _span(schedule, "recurrenceInterval") is None and schedule.next_run is None


def _wake(w: World, schedule: Schedule) -> None:
    at, open_for, last = schedule.next_run, _open_for(schedule), _time(schedule, "doNotRunAfter")
    times = [] if at is None else [at] if open_for is None else [at, at + open_for + 1]
    times += [] if last is None else [last + 1]
    later = [time for time in times if time > w.now]
    if later:
        w.wake(min(later), "schedules", schedule.key)


def _begin_job(w: World, schedule: Schedule) -> None:
    """The specification as it is now is copied into the job (M). Without room in the quota it is tried again."""
    if not quotas.has_room_for_active(w):
        w.wake(w.now + w.timings.retry_schedule, "schedules", schedule.key)
        return
    schedule.planned = schedule.next_run
    schedule.jobs_made += 1
    spec = copy.deepcopy(schedule.spec["jobSpecification"])
    job = jobs.begin(w, f"{schedule.id}:job-{schedule.jobs_made}", spec, schedule)
    schedule.recent = job.id
    _plan(w, schedule)
    if w.switches.schedule_etag_follows_jobs:
        w.stamp(schedule)
    w.save(schedule)
    _touch(w, schedule)
