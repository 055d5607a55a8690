"""Job schedules: created, shown, changed, ended, and the jobs they make."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

FOREVER = "P10675199DT2H48M5.4775807S"


@pytest.fixture
def make_schedule(client, new_id, until):
    """Create a schedule whose jobs wait for a pool that does not exist; it is deleted after the test."""
    made = []

    def make(*, schedule=None, job=None, **settings):
        schedule_id = new_id("schedule")
        specification = {"poolInfo": {"poolId": "nowhere"}, **(job or {})}
        body = {"id": schedule_id, "schedule": schedule or {}, "jobSpecification": specification}
        client.create_job_schedule(body | settings)
        made.append(schedule_id)
        return schedule_id

    yield make
    for item in client.list_job_schedules():
        if item.id in made and item.state != "deleting":
            client._delete_job_schedule_internal(item.id, force=True)


@pytest.fixture
def shown(raw):
    return lambda schedule_id: raw("GET", f"/jobschedules/{schedule_id}").json


@pytest.mark.recorded("py2020b-job_schedules")
def test_a_schedule_shows_its_defaults_inside_the_specification_and_its_first_job(make_schedule, shown, until):
    schedule_id = make_schedule(
        schedule={"startWindow": "PT60M", "recurrenceInterval": "PT24H"},
        job={"onAllTasksComplete": "terminatejob", "constraints": {"maxTaskRetryCount": 2}},
    )
    until(lambda: "recentJob" in shown(schedule_id)["executionInfo"])
    item = shown(schedule_id)
    assert item["schedule"] == {"startWindow": "PT1H", "recurrenceInterval": "P1D"}
    assert item["jobSpecification"] == {
        "priority": 0,
        "maxParallelTasks": -1,
        "allowTaskPreemption": False,
        "usesTaskDependencies": False,
        "onAllTasksComplete": "terminatejob",
        "onTaskFailure": "noaction",
        "constraints": {"maxWallClockTime": FOREVER, "maxTaskRetryCount": 2},
        "poolInfo": {"poolId": "nowhere"},
    }
    assert item["executionInfo"]["recentJob"]["id"] == f"{schedule_id}:job-1"
    assert item["executionInfo"]["recentJob"]["url"].endswith(f"/jobs/{schedule_id}:job-1")
    assert item["creationTime"] == item["lastModified"] == item["stateTransitionTime"]
    assert item["executionInfo"]["nextRunTime"][11:] == item["creationTime"][11:]
    assert item["executionInfo"]["nextRunTime"][:10] > item["creationTime"][:10]


@pytest.mark.recorded("node2020-list_job_schedules")
def test_a_schedule_that_is_not_to_run_yet_shows_when_and_no_job(make_schedule, shown):
    schedule_id = make_schedule(schedule={"doNotRunUntil": "2099-12-25T08:00:00.000Z", "startWindow": "PT6M"})
    assert shown(schedule_id)["schedule"] == {"doNotRunUntil": "2099-12-25T08:00:00Z", "startWindow": "PT6M"}
    assert shown(schedule_id)["executionInfo"] == {"nextRunTime": "2099-12-25T08:00:00Z"}


@pytest.mark.documented("M:BatchJobSpecification")
def test_a_job_of_a_schedule_is_a_job_like_any_other(client, make_schedule, until):
    preparation = {"commandLine": "echo a"}
    environment = [{"name": "A", "value": "1"}]
    schedule_id = make_schedule(
        job={
            "jobPreparationTask": preparation,
            "commonEnvironmentSettings": environment,
            "displayName": "each",
            "metadata": [{"name": "a", "value": "b"}],
        },
        displayName="all",
    )
    job_id = f"{schedule_id}:job-1"
    until(lambda: [job.id for job in client.list_jobs_from_schedule(schedule_id)] == [job_id])
    job = client.get_job(job_id)
    assert (job.display_name, job.job_preparation_task.command_line) == ("each", "echo a")
    assert job.metadata[0].name == "a"
    client.update_job(job_id, {"priority": 7})
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    assert [task.id for task in client.list_tasks(job_id)] == ["t"]
    assert client.get_job(job_id).priority == 7
    assert client.get_job_schedule(schedule_id).display_name == "all"


@pytest.mark.documented("D:files-and-directories")
def test_tasks_of_a_schedule_lie_under_its_name(client, make_schedule, shared_pool, finished, raw):
    schedule_id = make_schedule(job={"poolInfo": {"poolId": shared_pool}})
    job_id = f"{schedule_id}:job-1"
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sh -c 'echo $AZ_BATCH_JOB_ID; pwd'"})
    done = finished(job_id, "t")
    assert done.node_info.task_root_directory == f"workitems/{schedule_id}/job-1/t"
    text = b"".join(client.download_task_file(job_id, "t", "stdout.txt")).decode().split()
    assert text[0] == job_id
    assert text[1].endswith(f"/workitems/{schedule_id}/job-1/t/wd")


@pytest.mark.documented("S24: JobScheduleUpdateParameter")
def test_put_resets_what_it_leaves_out_and_keeps_the_display_name(make_schedule, shown, raw):
    schedule_id = make_schedule(
        schedule={"recurrenceInterval": "P1D", "startWindow": "PT1H"},
        job={"priority": 5},
        displayName="name",
        metadata=[{"name": "a", "value": "b"}],
    )
    body = {"schedule": {"recurrenceInterval": "PT10H"}, "jobSpecification": {"poolInfo": {"poolId": "elsewhere"}}}
    before = shown(schedule_id)["eTag"]
    assert raw("PUT", f"/jobschedules/{schedule_id}", body).status == 200
    item = shown(schedule_id)
    assert item["schedule"] == {"recurrenceInterval": "PT10H"}
    assert (item["jobSpecification"]["priority"], item["displayName"]) == (0, "name")
    assert "metadata" not in item
    assert item["eTag"] != before


@pytest.mark.documented("M:BatchJobSchedule")
def test_what_get_showed_can_be_put_back(client, make_schedule, shown):
    schedule_id = make_schedule(
        schedule={"recurrenceInterval": "P1D", "doNotRunAfter": "2099-01-01T00:00:00Z"},
        job={"jobPreparationTask": {"commandLine": "echo"}, "jobReleaseTask": {"commandLine": "echo"}},
    )
    before = shown(schedule_id)
    client.replace_job_schedule(schedule_id, client.get_job_schedule(schedule_id))
    after = shown(schedule_id)
    changing = {"eTag", "lastModified"}
    assert {key for key in before if before[key] != after[key]} == changing


@pytest.mark.recorded("py2020b-job_schedules")
def test_patch_replaces_the_named_part_whole_and_keeps_the_others(make_schedule, shown, raw):
    schedule_id = make_schedule(
        schedule={"recurrenceInterval": "P1D", "startWindow": "PT1H"},
        job={"priority": 5},
        metadata=[{"name": "a", "value": "b"}],
    )
    body = {"schedule": {"recurrenceInterval": "PT10H"}}
    assert raw("PATCH", f"/jobschedules/{schedule_id}", body).status == 200
    item = shown(schedule_id)
    assert item["schedule"] == {"recurrenceInterval": "PT10H"}
    assert item["jobSpecification"]["priority"] == 5
    assert item["metadata"] == [{"name": "a", "value": "b"}]


@pytest.mark.recorded("py2020b-job_schedules")
def test_disable_and_enable_answer_204_and_change_the_etag(make_schedule, shown, raw):
    schedule_id = make_schedule()
    tags = [shown(schedule_id)["eTag"]]
    for verb, state in (("disable", "disabled"), ("enable", "active")):
        answer = raw("POST", f"/jobschedules/{schedule_id}/{verb}")
        assert answer.status == 204
        assert answer.headers["dataserviceid"].endswith(f"/jobschedules/{schedule_id}/{verb}")
        item = shown(schedule_id)
        assert (item["state"], item["eTag"]) == (state, answer.headers["etag"])
        tags.append(item["eTag"])
    assert len(set(tags)) == 3
    assert item["previousState"] == "disabled"


@pytest.mark.recorded("ps2024-job_auto_failure")
def test_terminating_a_schedule_terminates_its_job(client, make_schedule, until, shown):
    schedule_id = make_schedule(schedule={"recurrenceInterval": "P1D"})
    client.begin_terminate_job_schedule(schedule_id, polling_interval=0).result()
    until(lambda: client.get_job_schedule(schedule_id).state == "completed")
    job = client.get_job(f"{schedule_id}:job-1")
    assert (job.state, job.previous_state) == ("completed", "active")
    assert job.execution_info.termination_reason == "TerminateWorkitem"
    item = shown(schedule_id)
    assert "nextRunTime" not in item["executionInfo"]
    assert item["executionInfo"]["endTime"] == item["stateTransitionTime"]
    for verb, path in (("PATCH", ""), ("POST", "/disable"), ("POST", "/enable"), ("POST", "/terminate")):
        with pytest.raises(HttpResponseError) as refused:
            client.send_request(request(verb, f"/jobschedules/{schedule_id}{path}")).raise_for_status()
        assert refused.value.status_code == 409


def request(verb, path):
    from azure.core.rest import HttpRequest

    return HttpRequest(verb, path, params={"api-version": "2025-06-01"}, json={} if verb == "PATCH" else None)


@pytest.mark.documented("O:_delete_job_schedule_internal")
def test_deleting_a_schedule_deletes_its_jobs(client, make_schedule, until):
    schedule_id = make_schedule(schedule={"recurrenceInterval": "P1D"})
    assert client.job_schedule_exists(schedule_id)
    before = client.get_job_schedule(schedule_id).etag
    client._delete_job_schedule_internal(schedule_id)
    deleting = client.get_job_schedule(schedule_id)
    assert (deleting.state, deleting.etag) == ("deleting", before)
    with pytest.raises(ResourceExistsError) as refused:
        client._delete_job_schedule_internal(schedule_id)
    assert refused.value.error.code == "JobScheduleBeingDeleted"
    until(lambda: schedule_id not in [item.id for item in client.list_job_schedules()])
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get_job_schedule(schedule_id)
    assert missing.value.error.code == "JobScheduleNotFound"
    with pytest.raises(ResourceNotFoundError):
        client.job_schedule_exists(schedule_id)
    assert not [job.id for job in client.list_jobs() if job.id.startswith(schedule_id)]


@pytest.mark.documented("E:BatchJobScheduleState")
def test_a_schedule_without_recurrence_completes_with_its_job(client, make_schedule, until):
    schedule_id = make_schedule()
    client.begin_terminate_job(f"{schedule_id}:job-1", options={"terminateReason": "done"}, polling_interval=0).result()
    until(lambda: client.get_job_schedule(schedule_id).state == "completed")


@pytest.mark.documented("DE: JobWithSameIdExists, JobScheduleWithSameIdExists")
def test_a_job_and_a_schedule_share_no_id(client, make_schedule, make_job, raw):
    schedule_id, job_id = make_schedule(), make_job("nowhere")
    body = {"schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "nowhere"}}}
    assert raw("POST", "/jobschedules", body | {"id": job_id.upper()}).code == "JobWithSameIdExists"
    assert raw("POST", "/jobschedules", body | {"id": schedule_id.upper()}).code == "JobScheduleExists"
    job = {"id": schedule_id.upper(), "poolInfo": {"poolId": "nowhere"}}
    assert raw("POST", "/jobs", job).code == "JobScheduleWithSameIdExists"


@pytest.mark.documented("M:BatchJobScheduleConfiguration")
@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        ({"schedule": {"startWindow": "PT59S"}}, "InvalidPropertyValue", "startWindow"),
        ({"schedule": {"recurrenceInterval": "PT59S"}}, "InvalidPropertyValue", "recurrenceInterval"),
        ({"schedule": {"doNotRunUntil": "tomorrow"}}, "InvalidPropertyValue", "doNotRunUntil"),
        ({"schedule": {"doNotRunAfter": 7}}, "InvalidPropertyValue", "doNotRunAfter"),
        ({"schedule": {"cron": "* * * * *"}}, "UnsupportedProperty", "cron"),
        ({"schedule": None}, "MissingRequiredProperty", "schedule"),
        ({"jobSpecification": None}, "MissingRequiredProperty", "jobSpecification"),
        ({"jobSpecification": {}}, "MissingRequiredProperty", "poolInfo"),
        ({"id": "a:job-1"}, "InvalidPropertyValue", "id"),
    ],
)
def test_a_wrong_schedule_is_refused_by_the_property(raw, new_id, change, code, name):
    body = {"id": new_id("s"), "schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "nowhere"}}}
    answer = raw("POST", "/jobschedules", body | change)
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)


@pytest.mark.documented("DF: job schedules")
def test_schedules_and_their_jobs_are_filtered_and_selected(client, make_schedule, raw):
    late = make_schedule(schedule={"doNotRunUntil": "2098-01-01T00:00:00Z"})
    soon = make_schedule()
    found = client.list_job_schedules(
        filter=f"schedule/doNotRunUntil gt DateTime'2097-01-01T00:00:00Z' and id eq '{late}'"
    )
    assert [item.id for item in found] == [late]
    query = "api-version=2025-06-01&$select=id,state"
    assert raw("GET", f"/jobschedules/{soon}", query=query).json.keys() == {"odata.metadata", "id", "state"}
    assert [job.id for job in client.list_jobs_from_schedule(soon, filter="state eq 'active'")] == [f"{soon}:job-1"]
    with pytest.raises(HttpResponseError) as refused:
        list(client.list_jobs_from_schedule(soon, filter="id eq 'x'"))
    assert refused.value.status_code == 400


@pytest.mark.documented("DR: conditional headers")
def test_conditions_guard_a_schedule(make_schedule, raw, shown):
    schedule_id = make_schedule()
    tag = shown(schedule_id)["eTag"]
    path = f"/jobschedules/{schedule_id}"
    assert raw("HEAD", path, headers={"if-none-match": tag}).status == 304
    assert raw("POST", f"{path}/disable", headers={"if-match": "0x1"}).status == 412
    assert raw("DELETE", path, headers={"if-match": "0x1"}).status == 412
    assert raw("POST", f"{path}/disable", headers={"if-match": f'"{tag}"'}).status == 204
