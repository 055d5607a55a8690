"""Operations on jobs and tasks: request in, answer out."""

from __future__ import annotations

from reconciler.emulator import jobs, odata, tasks, views
from reconciler.emulator.errors import ServiceError, bad_property, refuse
from reconciler.emulator.expansion import show
from reconciler.emulator.records import Job, Task
from reconciler.emulator.schema import ABSENT
from reconciler.emulator.times import iso
from reconciler.emulator.wire import (
    SELECTABLE,
    Answer,
    Api,
    Json,
    Ordered,
    Request,
    check_conditions,
    error_answer,
    listing,
    new_request_id,
    single,
    version_headers,
    written,
)


def _job(api: Api, request: Request) -> Job:
    job = jobs.find(api.w, request.values["jobId"])
    check_conditions(request, job.modified)
    return job


def create(api: Api, request: Request) -> Answer:
    """DataServiceId and Location end in job-1 whatever the id (R26:jobs, R24c, R20)."""
    job = jobs.create(api.w, request.json(), legacy=request.legacy)
    url = f"{request.base}/jobs/job-1"
    return Answer(201, headers={"DataServiceId": url, "Location": url, **version_headers(job.modified)})


def list_all(api: Api, request: Request) -> Answer:
    items = Ordered(api.w.job_keys(), lambda key: show(api, request, api.w.jobs[key]))
    return listing(request, "jobs", "jobs", items)


def get(api: Api, request: Request) -> Answer:
    job = _job(api, request)
    return single(request, "jobs", show(api, request, job), job.modified)


def patch(api: Api, request: Request) -> Answer:
    job = _job(api, request)
    jobs.update(api.w, job, request.json())
    return written(request, 200, job.modified)


def put(api: Api, request: Request) -> Answer:
    job = _job(api, request)
    jobs.replace(api.w, job, request.json())
    return written(request, 200, job.modified)


def disable(api: Api, request: Request) -> Answer:
    job = _job(api, request)
    jobs.disable(api.w, job, request.json())
    return written(request, 202, job.modified)


def enable(api: Api, request: Request) -> Answer:
    job = _job(api, request)
    jobs.enable(api.w, job)
    return written(request, 202, job.modified)


def terminate(api: Api, request: Request) -> Answer:
    job = _job(api, request)
    jobs.terminate_by_request(api.w, job, request.json(), force=request.flag("force"))
    return written(request, 202, job.modified)


def delete(api: Api, request: Request) -> Answer:
    jobs.delete(api.w, _job(api, request), force=request.flag("force"))
    return Answer(202)


def task_counts(api: Api, request: Request) -> Answer:
    job = jobs.find(api.w, request.values["jobId"])
    metadata = {"odata.metadata": f"{request.base}/$metadata#taskcountsresult/@Element"}
    return Answer(200, metadata | tasks.counts(api.w, job))


def attendances(api: Api, request: Request) -> Answer:
    """Status of preparation and release, an entry per node that has run either; 409 for a job with neither (R20n)."""
    job = jobs.find(api.w, request.values["jobId"])
    if "jobPreparationTask" not in job.spec and "jobReleaseTask" not in job.spec:
        raise refuse(api.w.switches.status_list_without_tasks_code)
    here = api.w.attendances_of_job[job.key].values()
    items = [(one.key, lambda one=one: views.attendance(api.w, one, request.base)) for one in here if one.preparation]
    return listing(request, "jobpreparationandreleasetaskstatuslist", "attendances", items)


# --- tasks


def _task(api: Api, request: Request) -> Task:
    task = tasks.find(api.w, jobs.find(api.w, request.values["jobId"]), request.values["taskId"])
    check_conditions(request, task.modified)
    return task


def _task_url(request: Request, job: Job, task: Task) -> str:
    return f"{request.base}/jobs/{job.id}/tasks/{task.id}"


def add_task(api: Api, request: Request) -> Answer:
    job = jobs.find(api.w, request.values["jobId"])
    task = tasks.add(api.w, job, request.json(), legacy=request.legacy)
    url = _task_url(request, job, task)
    return Answer(201, headers={"DataServiceId": url, "Location": url, **version_headers(task.modified)})


def add_tasks(api: Api, request: Request) -> Answer:
    """Each task succeeds or fails for itself; the call as a whole is 200 (R24c:task_create_cmd, DR)."""
    job = jobs.find(api.w, request.values["jobId"])
    if job.state in tasks.ENDING:
        raise refuse(tasks.ENDING[job.state])
    bodies = _collection(request.json(), api.w.limits.tasks_per_collection)
    value = [_add_one(api, request, job, body) for body in bodies]
    return Answer(200, {"odata.metadata": f"{request.base}/$metadata#taskaddresult", "value": value})


def _collection(body: object, most: int) -> list[Json]:
    if not isinstance(body, dict):
        raise refuse("InvalidRequestBody", ("Reason", "A JSON object is expected"))
    for name in body:
        if name != "value" and "odata." not in name:
            raise refuse("UnsupportedProperty", ("PropertyName", name[:200]))
    value = body.get("value", ABSENT)
    if value is ABSENT or value is None:
        raise refuse("MissingRequiredProperty", ("PropertyName", "value"))
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise bad_property("value", value, "A list of tasks is expected")
    if len(value) > most:
        raise bad_property("value", f"{len(value)} tasks", f"At most {most} tasks are allowed")
    for entry in value:
        if not isinstance(entry.get("id"), str):
            raise refuse("MissingRequiredProperty", ("PropertyName", "id"))
    return value


def _add_one(api: Api, request: Request, job: Job, body: Json) -> Json:
    try:
        task = tasks.add(api.w, job, body, legacy=request.legacy)
    except ServiceError as error:
        shown = error_answer(error, request.base, api.w.now, new_request_id()).body or {}
        del shown["odata.metadata"]
        return {"status": "ClientError", "taskId": body["id"], "error": shown}
    version = {"eTag": views.etag(task.modified), "lastModified": iso(task.modified)}
    return {"status": "Success", "taskId": task.id, **version, "location": _task_url(request, job, task)}


def list_tasks(api: Api, request: Request) -> Answer:
    job = jobs.find(api.w, request.values["jobId"])
    items = Ordered(api.w.task_keys(job.key), lambda key: show(api, request, api.w.tasks[key]))
    return listing(request, "tasks", "tasks", items)


def get_task(api: Api, request: Request) -> Answer:
    task = _task(api, request)
    return single(request, "tasks", show(api, request, task), task.modified)


def put_task(api: Api, request: Request) -> Answer:
    task = _task(api, request)
    tasks.replace(api.w, task, request.json())
    return written(request, 200, task.modified)


def delete_task(api: Api, request: Request) -> Answer:
    tasks.delete(api.w, _task(api, request))
    return Answer(200)


def terminate_task(api: Api, request: Request) -> Answer:
    task = _task(api, request)
    tasks.terminate_by_request(api.w, task)
    return written(request, 204, task.modified)


def reactivate_task(api: Api, request: Request) -> Answer:
    task = _task(api, request)
    tasks.reactivate(api.w, task)
    return written(request, 204, task.modified)


def list_subtasks(api: Api, request: Request) -> Answer:
    """Empty for an ordinary task (R17:tasks); the primary, which would be number 0, is left out (D:batch-mpi)."""
    task = _task(api, request)
    names = odata.parse_select(request.query.get("$select"), SELECTABLE["subtasks"])
    shown = [views.subtask(api.w, task, number, request.base) for number in range(1, len(task.subtasks))]
    value = [odata.select(one, names) for one in shown]
    return Answer(200, {"odata.metadata": f"{request.base}/$metadata#subtaskinfo", "value": value})
