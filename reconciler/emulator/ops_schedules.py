"""Operations on job schedules: request in, answer out."""

from __future__ import annotations

from reconciler.emulator import schedules
from reconciler.emulator.expansion import show
from reconciler.emulator.records import Schedule
from reconciler.emulator.wire import (
    Answer,
    Api,
    Request,
    check_conditions,
    listing,
    single,
    version_headers,
    written,
)


def _schedule(api: Api, request: Request) -> Schedule:
    schedule = schedules.find(api.w, request.values["jobScheduleId"])
    check_conditions(request, schedule.modified)
    return schedule


def create(api: Api, request: Request) -> Answer:
    schedule = schedules.create(api.w, request.json(), legacy=request.legacy)
    url = f"{request.base}/jobschedules/{schedule.id}"
    return Answer(201, headers={"DataServiceId": url, "Location": url, **version_headers(schedule.modified)})


def list_all(api: Api, request: Request) -> Answer:
    own = api.w.schedules.values()
    items = [(item.key, lambda item=item: show(api, request, item)) for item in own]
    return listing(request, "jobschedules", "jobschedules", items)


def get(api: Api, request: Request) -> Answer:
    schedule = _schedule(api, request)
    return single(request, "jobschedules", show(api, request, schedule), schedule.modified)


def exists(api: Api, request: Request) -> Answer:
    return Answer(200, headers=version_headers(_schedule(api, request).modified))


def patch(api: Api, request: Request) -> Answer:
    schedule = _schedule(api, request)
    schedules.update(api.w, schedule, request.json(), legacy=request.legacy)
    return written(request, 200, schedule.modified)


def put(api: Api, request: Request) -> Answer:
    schedule = _schedule(api, request)
    schedules.replace(api.w, schedule, request.json(), legacy=request.legacy)
    return written(request, 200, schedule.modified)


def disable(api: Api, request: Request) -> Answer:
    schedule = _schedule(api, request)
    schedules.disable(api.w, schedule)
    return written(request, 204, schedule.modified)


def enable(api: Api, request: Request) -> Answer:
    schedule = _schedule(api, request)
    schedules.enable(api.w, schedule)
    return written(request, 204, schedule.modified)


def terminate(api: Api, request: Request) -> Answer:
    schedule = _schedule(api, request)
    schedules.terminate(api.w, schedule, force=request.flag("force"))
    return written(request, 202, schedule.modified)


def delete(api: Api, request: Request) -> Answer:
    schedules.delete(api.w, _schedule(api, request), force=request.flag("force"))
    return Answer(202)


def list_jobs(api: Api, request: Request) -> Answer:
    own = schedules.jobs_of(api.w, schedules.find(api.w, request.values["jobScheduleId"]))
    items = [(job.key, lambda job=job: show(api, request, job)) for job in own]
    return listing(request, "jobs", "scheduledjobs", items)
