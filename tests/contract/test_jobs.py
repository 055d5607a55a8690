"""Jobs: defaults, changes, states, ends."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError

FOREVER = "P10675199DT2H48M5.4775807S"


@pytest.mark.recorded("py2020b-jobs")
def test_a_created_job_shows_every_default_filled_in(make_job, raw):
    job_id = make_job(
        "nowhere", jobPreparationTask={"commandLine": "echo hello"}, jobReleaseTask={"commandLine": "echo bye"}
    )
    shown = raw("GET", f"/jobs/{job_id}").json
    user = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}
    assert shown["jobPreparationTask"] == {
        "id": "jobpreparation",
        "commandLine": "echo hello",
        "constraints": {"maxWallClockTime": FOREVER, "retentionTime": "P7D", "maxTaskRetryCount": 0},
        "userIdentity": user,
        "waitForSuccess": True,
        "rerunOnNodeRebootAfterSuccess": True,
    }
    assert shown["jobReleaseTask"] == {
        "id": "jobrelease",
        "commandLine": "echo bye",
        "maxWallClockTime": "PT15M",
        "retentionTime": "P7D",
        "userIdentity": user,
    }
    assert shown["constraints"] == {"maxWallClockTime": FOREVER, "maxTaskRetryCount": 0}
    assert (shown["priority"], shown["usesTaskDependencies"]) == (0, False)
    assert (shown["onAllTasksComplete"], shown["onTaskFailure"]) == ("noaction", "noaction")
    assert shown["executionInfo"] == {"startTime": shown["stateTransitionTime"], "poolId": "nowhere"}
    assert "previousState" not in shown


@pytest.mark.recorded("py2020b-jobs")
def test_the_answer_to_a_create_names_job_1_whatever_the_id(raw, new_id, emulator):
    answer = raw("POST", "/jobs", {"id": new_id("job"), "poolInfo": {"poolId": "nowhere"}})
    assert answer.status == 201
    assert answer.headers["dataserviceid"] == answer.headers["location"] == f"{emulator.endpoint}/jobs/job-1"
    assert answer.headers["etag"].startswith("0x8D")
    assert answer.headers["transfer-encoding"] == "chunked"


@pytest.mark.recorded("py2020b-jobs")
def test_put_resets_what_it_leaves_out_and_keeps_what_cannot_change(make_job, raw):
    job_id = make_job(
        "nowhere",
        displayName="name",
        priority=100,
        metadata=[{"name": "a", "value": "b"}],
        constraints={"maxTaskRetryCount": 3},
        jobPreparationTask={"commandLine": "echo"},
        commonEnvironmentSettings=[{"name": "A", "value": "1"}],
    )
    assert raw("PUT", f"/jobs/{job_id}", {"poolInfo": {"poolId": "nowhere"}}).status == 200
    shown = raw("GET", f"/jobs/{job_id}").json
    assert (shown["priority"], shown["constraints"]["maxTaskRetryCount"]) == (0, 0)
    assert "metadata" not in shown
    assert shown["displayName"] == "name"
    assert shown["jobPreparationTask"]["commandLine"] == "echo"
    assert shown["commonEnvironmentSettings"] == [{"name": "A", "value": "1"}]


@pytest.mark.documented("DR: a nested object in a PATCH replaces the stored one whole")
def test_patch_keeps_what_it_leaves_out_but_replaces_nested_objects_whole(make_job, raw):
    job_id = make_job("nowhere", priority=7, constraints={"maxTaskRetryCount": 5, "maxWallClockTime": "P1D"})
    assert raw("PATCH", f"/jobs/{job_id}", {"constraints": {"maxWallClockTime": "PT24H"}}).status == 200
    shown = raw("GET", f"/jobs/{job_id}").json
    assert shown["constraints"] == {"maxWallClockTime": "P1D", "maxTaskRetryCount": 0}
    assert shown["priority"] == 7


@pytest.mark.documented("M:BatchJobUpdateOptions.poolInfo")
def test_a_job_moves_to_another_pool_only_while_disabled(client, make_job, until, state_of):
    job_id = make_job("here")
    client.update_job(job_id, {"poolInfo": {"poolId": "here"}})
    with pytest.raises(ResourceExistsError):
        client.update_job(job_id, {"poolInfo": {"poolId": "there"}})
    client.begin_disable_job(job_id, {"disableTasks": "requeue"}, polling_interval=0)
    until(lambda: state_of(job_id) == "disabled")
    client.update_job(job_id, {"poolInfo": {"poolId": "there"}})
    client.begin_enable_job(job_id, polling_interval=0)
    job = client.get_job(job_id)
    assert (job.state, job.pool_info.pool_id, job.previous_state) == ("active", "there", "disabled")


@pytest.mark.documented("M:BatchJob.onAllTasksComplete")
def test_ending_with_the_last_task_cannot_be_taken_back(client, make_job, raw):
    job_id = make_job("nowhere", onAllTasksComplete="terminatejob")
    for method, body in (
        ("PATCH", {"onAllTasksComplete": "noaction"}),
        ("PUT", {"poolInfo": {"poolId": "nowhere"}}),
    ):
        answer = raw(method, f"/jobs/{job_id}", body)
        assert (answer.status, answer.code) == (400, "InvalidPropertyValue")
    assert client.get_job(job_id).state == "active"


@pytest.mark.documented("M:BatchJob.onAllTasksComplete")
def test_a_job_ends_with_its_last_task_if_told_so(client, make_job, shared_pool, until, state_of):
    job_id = make_job(shared_pool)
    client.create_tasks(job_id, [{"id": "a", "commandLine": "true"}, {"id": "b", "commandLine": "false"}])
    client.update_job(job_id, {"onAllTasksComplete": "terminatejob"})
    until(lambda: state_of(job_id) == "completed")
    assert client.get_job(job_id).execution_info.termination_reason == "AllTasksComplete"


@pytest.mark.documented("O:terminate_job: running tasks end, active ones stay active")
def test_terminating_ends_running_tasks_and_leaves_waiting_ones(client, make_pool, make_job, until, state_of):
    pool_id = make_pool(1)
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "runs", "commandLine": "/bin/sleep 60"})
    until(lambda: client.get_task(job_id, "runs").state == "running")
    client.create_task(job_id, {"id": "waits", "commandLine": "true"})
    client.begin_terminate_job(job_id, options={"terminateReason": "enough"}, polling_interval=0)
    until(lambda: state_of(job_id) == "completed")
    job = client.get_job(job_id)
    assert job.execution_info.termination_reason == "enough"
    assert job.execution_info.end_time is not None
    assert job.previous_state == "active"
    ended = client.get_task(job_id, "runs")
    assert (ended.state, ended.execution_info.failure_info.code) == ("completed", "TaskEnded")
    assert ended.execution_info.result == "failure"
    assert client.get_task(job_id, "waits").state == "active"


@pytest.mark.recorded("py2020b-jobs")
def test_the_etag_changes_with_requests_and_not_with_the_states_that_follow(make_job, raw, until, state_of):
    job_id = make_job("nowhere")
    etags = [raw("GET", f"/jobs/{job_id}").headers["etag"]]
    for verb, body, state in (
        ("disable", {"disableTasks": "wait"}, "disabled"),
        ("enable", None, "active"),
        ("terminate", None, "completed"),
    ):
        answered = raw("POST", f"/jobs/{job_id}/{verb}", body).headers["etag"]
        until(lambda state=state: state_of(job_id) == state)
        assert raw("GET", f"/jobs/{job_id}").headers["etag"] == answered
        etags.append(answered)
    assert len(set(etags)) == 4
    deleted = raw("DELETE", f"/jobs/{job_id}")
    assert (deleted.status, "etag" in deleted.headers, "dataserviceid" in deleted.headers) == (202, False, False)
    shown = raw("GET", f"/jobs/{job_id}")
    assert (shown.json["state"], shown.headers["etag"]) == ("deleting", etags[-1])


@pytest.mark.documented("DE; G:batch-shipyard for JobCompleted on create")
def test_what_a_finished_job_refuses_and_with_which_code(client, make_job, raw, until, state_of):
    job_id = make_job("nowhere")
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    raw("POST", f"/jobs/{job_id}/terminate")
    until(lambda: state_of(job_id) == "completed")
    requests = [
        ("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "nowhere"}}),
        ("PATCH", f"/jobs/{job_id}", {"priority": 1}),
        ("PUT", f"/jobs/{job_id}", {"poolInfo": {"poolId": "nowhere"}}),
        ("POST", f"/jobs/{job_id}/terminate", None),
        ("POST", f"/jobs/{job_id}/disable", {"disableTasks": "wait"}),
        ("POST", f"/jobs/{job_id}/enable", None),
        ("POST", f"/jobs/{job_id}/tasks", {"id": "late", "commandLine": "true"}),
        ("POST", f"/jobs/{job_id}/addtaskcollection", {"value": [{"id": "late", "commandLine": "true"}]}),
        ("POST", f"/jobs/{job_id}/tasks/t/reactivate", None),
    ]
    for method, path, body in requests:
        answer = raw(method, path, body)
        assert (method, path, answer.status, answer.code) == (method, path, 409, "JobCompleted")


@pytest.mark.documented("O:delete_job; DE")
def test_a_deleted_job_is_deleting_then_gone_and_its_id_free_again(client, make_job, raw, until, state_of):
    job_id = make_job("nowhere")
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    assert raw("DELETE", f"/jobs/{job_id}").status == 202
    assert state_of(job_id) == "deleting"
    for method, path, body in (
        ("DELETE", f"/jobs/{job_id}", None),
        ("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "nowhere"}}),
        ("PATCH", f"/jobs/{job_id}", {"priority": 1}),
        ("POST", f"/jobs/{job_id}/tasks", {"id": "late", "commandLine": "true"}),
    ):
        answer = raw(method, path, body)
        assert (answer.status, answer.code) == (409, "JobBeingDeleted")
    until(lambda: state_of(job_id) is None)
    assert raw("GET", f"/jobs/{job_id}").code == "JobNotFound"
    client.create_job({"id": job_id, "poolInfo": {"poolId": "nowhere"}})
    assert list(client.list_tasks(job_id)) == []


@pytest.mark.documented("E:DisableBatchJobOption")
@pytest.mark.parametrize(
    ("option", "state", "code"), [("requeue", "active", None), ("terminate", "completed", "TaskEnded")]
)
def test_disabling_stops_running_tasks_as_asked(client, make_job, shared_pool, until, state_of, option, state, code):
    job_id = make_job(shared_pool)
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sleep 60"})
    until(lambda: client.get_task(job_id, "t").state == "running")
    client.begin_disable_job(job_id, {"disableTasks": option}, polling_interval=0)
    until(lambda: state_of(job_id) == "disabled")
    task = client.get_task(job_id, "t")
    assert task.state == state
    assert (task.execution_info.failure_info.code if code else None) == code


@pytest.mark.documented("E:DisableBatchJobOption, DR")
def test_a_job_that_waits_for_its_tasks_stays_disabling_until_they_end(
    client, make_job, shared_pool, gate, until, state_of
):
    job_id = make_job(shared_pool)
    client.create_task(job_id, {"id": "t", "commandLine": gate.command})
    until(lambda: client.get_task(job_id, "t").state == "running")
    client.begin_disable_job(job_id, {"disableTasks": "wait"}, polling_interval=0)
    assert state_of(job_id) == "disabling"
    gate.open()
    until(lambda: state_of(job_id) == "disabled")
    assert client.get_task(job_id, "t").execution_info.result == "success"


@pytest.mark.documented("M:BatchJobConstraints.maxWallClockTime")
def test_a_job_ends_when_its_time_is_over(client, make_job, shared_pool, until, state_of):
    job_id = make_job(shared_pool, constraints={"maxWallClockTime": "PT0.6S"})
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sleep 60"})
    until(lambda: state_of(job_id) == "completed")
    assert client.get_job(job_id).execution_info.termination_reason == "MaxWallClockTimeExpiry"
    assert client.get_task(job_id, "t").state == "completed"


@pytest.mark.recorded("ps2024-job_auto_failure")
def test_a_failing_task_ends_the_job_if_the_job_says_so(client, make_job, shared_pool, until, state_of):
    job_id = make_job(shared_pool, onTaskFailure="performexitoptionsjobaction")
    conditions = {"exitCodes": [{"code": 3, "exitOptions": {"jobAction": "none"}}]}
    client.create_task(job_id, {"id": "fine", "commandLine": "/bin/sh -c 'exit 3'", "exitConditions": conditions})
    until(lambda: client.get_task(job_id, "fine").state == "completed")
    assert state_of(job_id) == "active"
    client.create_task(job_id, {"id": "bad", "commandLine": "/bin/sh -c 'exit 4'", "exitConditions": conditions})
    until(lambda: state_of(job_id) == "completed")
    assert client.get_job(job_id).execution_info.termination_reason == "TaskFailed"


@pytest.mark.documented("M:BatchJobManagerTask")
def test_the_job_manager_runs_after_preparation_and_its_end_ends_the_job(
    client, make_job, shared_pool, until, state_of
):
    job_id = make_job(
        shared_pool,
        jobPreparationTask={"commandLine": "/bin/sh -c 'echo prepared > wish'"},
        jobManagerTask={"id": "boss", "commandLine": "/bin/sh -c 'cat $AZ_BATCH_JOB_PREP_WORKING_DIR/wish; sleep 0.3'"},
    )
    client.create_task(job_id, {"id": "worker", "commandLine": "/bin/sleep 60"})
    until(lambda: state_of(job_id) == "completed")
    assert client.get_job(job_id).execution_info.termination_reason == "JMComplete"
    assert b"".join(client.download_task_file(job_id, "boss", "stdout.txt")) == b"prepared\n"
    assert client.get_task(job_id, "worker").state in ("completed", "active")


@pytest.mark.recorded("node2020-fail_to_job_preprelease_status")
def test_the_status_list_is_refused_for_a_job_with_neither_task(make_job, raw):
    answer = raw("GET", f"/jobs/{make_job('nowhere')}/jobpreparationandreleasetaskstatus")
    assert (answer.status, answer.code) == (409, "JobPreparationTaskOrReleaseTaskNotSpecified")


@pytest.mark.documented("M:BatchJobReleaseTask")
@pytest.mark.parametrize(
    ("settings", "code", "name"),
    [
        ({"jobReleaseTask": {"commandLine": "x"}}, "MissingRequiredProperty", "jobPreparationTask"),
        (
            {
                "jobPreparationTask": {"commandLine": "x"},
                "jobReleaseTask": {"commandLine": "x", "maxWallClockTime": "PT16M"},
            },
            "InvalidPropertyValue",
            "maxWallClockTime",
        ),
        (
            {"jobPreparationTask": {"id": "a", "commandLine": "x"}, "jobReleaseTask": {"id": "A", "commandLine": "x"}},
            "InvalidPropertyValue",
            "id",
        ),
        ({"priority": 1001}, "InvalidPropertyValue", "priority"),
        ({"maxParallelTasks": 0}, "InvalidPropertyValue", "maxParallelTasks"),
        ({"poolInfo": {}}, "MissingRequiredProperty", "poolId"),
        ({"onAllTasksComplete": "explode"}, "InvalidPropertyValue", "onAllTasksComplete"),
    ],
)
def test_a_job_that_cannot_be_is_refused(raw, new_id, settings, code, name):
    answer = raw("POST", "/jobs", {"id": new_id("job"), "poolInfo": {"poolId": "nowhere"}, **settings})
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)


@pytest.mark.emulator_only
def test_a_job_feature_that_is_not_available_is_refused_by_name(raw, new_id):
    manager = {"id": "boss", "commandLine": "true", "containerSettings": {"imageName": "x"}}
    answer = raw("POST", "/jobs", {"id": new_id("job"), "poolInfo": {"poolId": "nowhere"}, "jobManagerTask": manager})
    assert answer.status == 501
    assert answer.values["PropertyName"] == "containerSettings"


@pytest.mark.documented("D:jobs-and-tasks: priority orders jobs within a pool; M:BatchJob.maxParallelTasks")
def test_priority_decides_between_jobs_and_a_limit_holds_tasks_back(client, make_pool, make_job, until):
    pool_id = make_pool(1, taskSlotsPerNode=2)
    low, high = make_job(pool_id, priority=-5), make_job(pool_id, priority=5, maxParallelTasks=1)
    for job_id in (low, high):
        client.begin_disable_job(job_id, {"disableTasks": "wait"}, polling_interval=0)
        client.create_tasks(job_id, [{"id": f"t{n}", "commandLine": "/bin/sleep 60"} for n in range(3)])
    for job_id in (high, low):
        client.begin_enable_job(job_id, polling_interval=0)

    def running(job_id):
        return sum(task.state == "running" for task in client.list_tasks(job_id))

    until(lambda: (running(high), running(low)) == (1, 1))


@pytest.mark.recorded("sdk2026-exception_policy")
def test_errors_have_the_services_shape(client, make_job, raw):
    job_id = make_job("nowhere")
    answer = raw("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "nowhere"}})
    first, request_id, moment = answer.json["message"]["value"].split("\n")
    assert answer.status == 409
    assert answer.reason == first == "The specified job already exists."
    assert request_id == f"RequestId:{answer.headers['request-id']}"
    assert moment.startswith("Time:20")
    assert answer.json["odata.metadata"].endswith("Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element")
    with pytest.raises(HttpResponseError) as refused:
        client.create_job({"id": job_id, "poolInfo": {"poolId": "nowhere"}})
    assert refused.value.error.code == "JobExists"
