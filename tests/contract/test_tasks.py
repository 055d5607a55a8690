"""Tasks: defaults, running, failing, retrying, ending, collections, scheduling."""

from __future__ import annotations

import http.server
import threading
from collections import Counter

import pytest
from azure.core.exceptions import ResourceExistsError

FOREVER = "P10675199DT2H48M5.4775807S"


def output(client, job_id, task_id, name="stdout.txt"):
    return b"".join(client.download_task_file(job_id, task_id, name)).decode()


@pytest.mark.recorded("cli2024-task_create_cmd")
def test_a_created_task_shows_its_defaults_and_the_jobs_retry_count(make_job, raw, emulator):
    job_id = make_job("nowhere", constraints={"maxTaskRetryCount": 5})
    answer = raw("POST", f"/jobs/{job_id}/tasks", {"id": "aaa", "commandLine": "ping 127.0.0.1"})
    url = f"{emulator.endpoint}/jobs/{job_id}/tasks/aaa"
    assert (answer.status, answer.headers["location"], answer.headers["dataserviceid"]) == (201, url, url)
    shown = raw("GET", f"/jobs/{job_id}/tasks/aaa").json
    assert shown["eTag"] == answer.headers["etag"]
    assert shown["constraints"] == {"maxWallClockTime": FOREVER, "retentionTime": "P7D", "maxTaskRetryCount": 5}
    assert shown["userIdentity"] == {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}
    assert (shown["requiredSlots"], shown["state"]) == (1, "active")
    assert shown["executionInfo"] == {"retryCount": 0, "requeueCount": 0}
    assert shown["creationTime"] == shown["lastModified"] == shown["stateTransitionTime"]
    assert not {"nodeInfo", "previousState"} & set(shown)


@pytest.mark.recorded("py2020b-files")
def test_running_and_ending_leave_the_etag_alone_and_name_the_node(make_job, raw, shared_pool, finished):
    job_id = make_job(shared_pool)
    etag = raw("POST", f"/jobs/{job_id}/tasks", {"id": "t", "commandLine": "true"}).headers["etag"]
    finished(job_id, "t")
    shown = raw("GET", f"/jobs/{job_id}/tasks/t").json
    assert (shown["eTag"], shown["previousState"]) == (etag, "running")
    info = shown["nodeInfo"]
    assert info["affinityId"] == f"TVM:{info['nodeId']}"
    assert info["taskRootDirectory"] == f"workitems/{job_id}/job-1/t"
    assert info["taskRootDirectoryUrl"] == f"{info['nodeUrl']}/files/workitems/{job_id}/job-1/t"
    assert (shown["executionInfo"]["exitCode"], shown["executionInfo"]["result"]) == (0, "success")
    assert "failureInfo" not in shown["executionInfo"]


@pytest.mark.recorded("py2020b-files")
def test_a_program_that_does_not_exist_fails_without_retry_and_leaves_empty_output(
    client, make_job, shared_pool, finished, raw
):
    job_id = make_job(shared_pool, constraints={"maxTaskRetryCount": 3})
    client.create_task(job_id, {"id": "t", "commandLine": 'cmd /c "echo hello world"'})
    finished(job_id, "t")
    execution = raw("GET", f"/jobs/{job_id}/tasks/t").json["executionInfo"]
    assert execution["failureInfo"]["category"] == "UserError"
    assert execution["failureInfo"]["code"] == "CommandProgramNotFound"
    assert execution["failureInfo"]["message"] == "The specified command program is not found"
    assert (execution["result"], execution["retryCount"]) == ("failure", 0)
    assert "exitCode" not in execution
    assert output(client, job_id, "t") == output(client, job_id, "t", "stderr.txt") == ""


@pytest.mark.documented("M:BatchTask.commandLine: not run under a shell")
def test_a_command_line_is_split_but_not_run_by_a_shell(client, make_job, shared_pool, finished):
    job_id = make_job(shared_pool)
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/echo 'a  b' $HOME | cat > x; exit 3"})
    assert finished(job_id, "t").execution_info.exit_code == 0
    assert output(client, job_id, "t") == "a  b $HOME | cat > x; exit 3\n"


@pytest.mark.documented("D:batch-compute-node-environment-variables")
def test_a_task_sees_the_documented_environment_and_nothing_of_the_emulators(
    client, make_job, shared_pool, finished, emulator
):
    job_id = make_job(
        shared_pool, commonEnvironmentSettings=[{"name": "A", "value": "job"}, {"name": "B", "value": "job"}]
    )
    settings = [{"name": "A", "value": "task"}, {"name": "EMPTY"}]
    client.create_task(job_id, {"id": "t", "commandLine": "/usr/bin/env", "environmentSettings": settings})
    node = finished(job_id, "t").node_info.node_id
    text = output(client, job_id, "t")
    seen = dict(line.split("=", 1) for line in text.splitlines())
    root = seen["AZ_BATCH_NODE_ROOT_DIR"]
    task = f"{root}/workitems/{job_id}/job-1/t"
    expected = {
        "AZ_BATCH_ACCOUNT_NAME": emulator.account,
        "AZ_BATCH_POOL_ID": shared_pool,
        "AZ_BATCH_NODE_ID": node,
        "AZ_BATCH_NODE_IS_DEDICATED": "true",
        "AZ_BATCH_NODE_SHARED_DIR": f"{root}/shared",
        "AZ_BATCH_NODE_STARTUP_DIR": f"{root}/startup",
        "AZ_BATCH_NODE_MOUNTS_DIR": f"{root}/fsmounts",
        "AZ_BATCH_TASK_DIR": task,
        "AZ_BATCH_TASK_WORKING_DIR": f"{task}/wd",
        "AZ_BATCH_JOB_ID": job_id,
        "AZ_BATCH_TASK_ID": "t",
        "A": "task",
        "B": "job",
        "EMPTY": "",
        "PWD": f"{task}/wd",
    }
    assert {name: seen.get(name) for name in expected if name != "PWD"} == {
        name: value for name, value in expected.items() if name != "PWD"
    }
    assert emulator.key not in text
    assert "PYTHONPATH" not in seen
    assert "AZ_BATCH_JOB_PREP_DIR" not in seen


@pytest.mark.documented("M:BatchTaskConstraints.maxTaskRetryCount; G:Azure/Batch#14 same directory")
def test_a_failing_task_is_retried_in_its_directory_as_often_as_allowed(client, make_job, shared_pool, finished, raw):
    job_id = make_job(shared_pool)
    command = "/bin/sh -c 'echo x >> tries; exit 7'"
    client.create_task(job_id, {"id": "t", "commandLine": command, "constraints": {"maxTaskRetryCount": 2}})
    finished(job_id, "t")
    execution = raw("GET", f"/jobs/{job_id}/tasks/t").json["executionInfo"]
    assert (execution["exitCode"], execution["retryCount"], execution["result"]) == (7, 2, "failure")
    assert execution["failureInfo"]["code"] == "FailureExitCode"
    assert execution["failureInfo"]["category"] == "UserError"
    assert "lastRetryTime" in execution
    assert output(client, job_id, "t", "wd/tries") == "x\n" * 3


@pytest.mark.documented("M:BatchTaskConstraints.maxWallClockTime")
def test_a_task_over_its_time_is_ended_with_all_it_started(client, make_job, shared_pool, finished, tmp_path, until):
    job_id = make_job(shared_pool)
    beat = tmp_path / "beat"
    loop = f"while :; do echo x >> {beat}; sleep 0.05; done"
    command = f"/bin/sh -c \"setsid sh -c '{loop}' & sh -c '{loop}' & wait\""
    client.create_task(job_id, {"id": "t", "commandLine": command, "constraints": {"maxWallClockTime": "PT0.6S"}})
    execution = finished(job_id, "t").execution_info
    assert (execution.result, execution.failure_info.code) == ("failure", "TaskEnded")
    until(lambda: size_is_steady(beat))


def size_is_steady(path):
    import time

    before = path.stat().st_size
    time.sleep(0.3)
    return before > 0 and path.stat().st_size == before


@pytest.mark.recorded("py2017-tasks")
def test_a_terminated_task_that_never_ran_has_no_node_and_can_be_reactivated(client, make_job, raw):
    job_id = make_job("nowhere")
    created = raw("POST", f"/jobs/{job_id}/tasks", {"id": "t", "commandLine": "true"}).headers["etag"]
    ended = raw("POST", f"/jobs/{job_id}/tasks/t/terminate")
    assert (ended.status, ended.headers["etag"] != created) == (204, True)
    shown = raw("GET", f"/jobs/{job_id}/tasks/t").json
    assert (shown["state"], shown["previousState"], shown["nodeInfo"]) == ("completed", "active", {})
    assert shown["executionInfo"]["failureInfo"] == {
        "category": "UserError",
        "code": "TaskEnded",
        "message": "Task Was Ended by User Request",
    }
    assert shown["executionInfo"]["result"] == "failure"
    assert not {"startTime", "exitCode"} & set(shown["executionInfo"])
    again = raw("POST", f"/jobs/{job_id}/tasks/t/terminate")
    assert (again.status, again.code) == (409, "TaskCompleted")
    assert raw("POST", f"/jobs/{job_id}/tasks/t/reactivate").status == 204
    shown = raw("GET", f"/jobs/{job_id}/tasks/t").json
    assert (shown["state"], shown["previousState"]) == ("active", "completed")
    assert shown["executionInfo"] == {"retryCount": 0, "requeueCount": 0}
    assert raw("POST", f"/jobs/{job_id}/tasks/t/reactivate").code == "TaskNotCompleted"


@pytest.mark.documented("DE: TaskSucceeded")
def test_a_task_that_succeeded_cannot_be_reactivated(client, make_job, shared_pool, finished, raw):
    job_id = make_job(shared_pool)
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    finished(job_id, "t")
    answer = raw("POST", f"/jobs/{job_id}/tasks/t/reactivate")
    assert (answer.status, answer.code) == (409, "TaskSucceeded")


@pytest.mark.documented("O:terminate_task, O:delete_task")
def test_terminating_or_deleting_a_running_task_ends_its_processes(
    client, make_job, shared_pool, until, tmp_path, finished, raw
):
    job_id = make_job(shared_pool)
    for name in ("ended", "deleted"):
        loop = f"while :; do echo x >> {tmp_path / name}; sleep 0.05; done"
        client.create_task(job_id, {"id": name, "commandLine": f"/bin/sh -c '({loop}) & wait'"})
        until((tmp_path / name).exists)
    client.terminate_task(job_id, "ended")
    assert raw("DELETE", f"/jobs/{job_id}/tasks/deleted").status == 200
    assert raw("GET", f"/jobs/{job_id}/tasks/deleted").code == "TaskNotFound"
    assert finished(job_id, "ended").execution_info.failure_info.code == "TaskEnded"
    for name in ("ended", "deleted"):
        until(lambda name=name: size_is_steady(tmp_path / name))


@pytest.mark.recorded("py2017-tasks")
def test_put_sets_exactly_these_constraints(client, make_job, raw):
    job_id = make_job("nowhere")
    body = {"id": "t", "commandLine": "true", "constraints": {"maxWallClockTime": "PT1H", "retentionTime": "PT1H"}}
    client.create_task(job_id, body)
    assert raw("PUT", f"/jobs/{job_id}/tasks/t", {"constraints": {"maxTaskRetryCount": 1}}).status == 200
    shown = raw("GET", f"/jobs/{job_id}/tasks/t").json["constraints"]
    assert shown == {"maxWallClockTime": FOREVER, "retentionTime": "P7D", "maxTaskRetryCount": 1}


@pytest.mark.documented("M:BatchTaskConstraints.retentionTime")
def test_directories_go_when_their_retention_is_over(client, make_job, shared_pool, finished, until, raw):
    job_id = make_job(shared_pool)
    body = {"id": "t", "commandLine": "/bin/echo x", "constraints": {"retentionTime": "PT0.5S"}}
    client.create_task(job_id, body)
    node = finished(job_id, "t").node_info
    path = f"/pools/{node.pool_id}/nodes/{node.node_id}/files/workitems/{job_id}/job-1/t/stdout.txt"
    assert raw("GET", path).body == b"x\n"
    until(lambda: raw("GET", path).status == 404)
    answer = raw("GET", f"/jobs/{job_id}/tasks/t/files/stdout.txt")
    assert (answer.status, answer.code) == (409, "TaskFilesCleanedup")


@pytest.mark.recorded("cli2024-task_create_cmd")
def test_a_collection_answers_for_each_task(make_job, raw, emulator):
    job_id = make_job("nowhere", jobPreparationTask={"id": "prep", "commandLine": "true"})
    tasks = [
        {"id": "one", "commandLine": "true"},
        {"id": "ONE", "commandLine": "true"},
        {"id": "prep", "commandLine": "true"},
        {"id": "bad", "commandLine": "true", "requiredSlots": 0},
    ]
    answer = raw("POST", f"/jobs/{job_id}/addtaskcollection", {"value": tasks})
    assert answer.status == 200
    assert answer.json["odata.metadata"].endswith("/$metadata#taskaddresult")
    first, *refused = answer.json["value"]
    assert (first["status"], first["taskId"]) == ("Success", "one")
    assert first["location"] == f"{emulator.endpoint}/jobs/{job_id}/tasks/one"
    assert first["eTag"] == raw("GET", f"/jobs/{job_id}/tasks/one").headers["etag"]
    assert [(entry["status"], entry["error"]["code"]) for entry in refused] == [
        ("ClientError", "TaskExists"),
        ("ClientError", "TaskIdSameAsJobPreparationTask"),
        ("ClientError", "InvalidPropertyValue"),
    ]
    assert refused[0]["error"]["message"]["value"].startswith("The specified task already exists.\n")


@pytest.mark.documented("O:create_task_collection: at most 100")
def test_a_collection_has_at_most_a_hundred_tasks(client, make_job, raw):
    job_id = make_job("nowhere")
    tasks = [{"id": f"t{n}", "commandLine": "true"} for n in range(101)]
    answer = raw("POST", f"/jobs/{job_id}/addtaskcollection", {"value": tasks})
    assert (answer.status, answer.code) == (400, "InvalidPropertyValue")
    client.create_tasks(job_id, tasks)
    assert client.get_job_task_counts(job_id).task_counts.active == 101
    assert len(list(client.list_tasks(job_id, max_results=40))) == 101


@pytest.mark.documented("E:BatchNodeFillType")
@pytest.mark.parametrize(("fill", "shares"), [("spread", [2, 2]), ("pack", [4])])
def test_tasks_are_spread_or_packed(client, make_pool, make_job, until, fill, shares):
    pool_id = make_pool(2, taskSlotsPerNode=4, taskSchedulingPolicy={"nodeFillType": fill})
    job_id = make_job(pool_id)
    client.create_tasks(job_id, [{"id": f"t{n}", "commandLine": "/bin/sleep 60"} for n in range(4)])
    until(lambda: all(task.state == "running" for task in client.list_tasks(job_id)))
    found = Counter(task.node_info.node_id for task in client.list_tasks(job_id))
    assert sorted(found.values()) == shares


@pytest.mark.documented("M:BatchTask.requiredSlots, M:BatchPool.taskSlotsPerNode")
def test_slots_limit_what_runs_at_once_and_too_big_a_task_waits(client, make_pool, make_job, until):
    pool_id = make_pool(1, taskSlotsPerNode=3)
    job_id = make_job(pool_id)
    sizes = {"huge": 4, "two": 2, "other": 2, "one": 1}
    client.create_tasks(
        job_id,
        [{"id": name, "commandLine": "/bin/sleep 60", "requiredSlots": size} for name, size in sizes.items()],
    )

    def running():
        return sorted(task.id for task in client.list_tasks(job_id) if task.state == "running")

    until(lambda: len(running()) == 2)
    assert "one" in running()
    assert "huge" not in running()
    counts = client.get_job_task_counts(job_id)
    assert (counts.task_counts.running, counts.task_slot_counts.running) == (2, 3)
    [node] = client.list_nodes(pool_id)
    assert (node.state, node.running_tasks_count, node.running_task_slots_count) == ("running", 2, 3)


@pytest.mark.documented("M:BatchTask.affinityInfo")
def test_a_wish_for_a_node_is_granted_if_it_has_room(client, make_pool, make_job, finished):
    pool_id = make_pool(3)
    wished = max(node.id for node in client.list_nodes(pool_id))
    job_id = make_job(pool_id)
    for n in range(3):
        body = {"id": f"t{n}", "commandLine": "true", "affinityInfo": {"affinityId": f"TVM:{wished}"}}
        client.create_task(job_id, body)
        assert finished(job_id, f"t{n}").node_info.node_id == wished


@pytest.mark.documented("M:ResourceFile")
def test_resource_files_are_there_before_the_command_starts(client, make_job, shared_pool, finished):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/good" else 404)
            self.end_headers()
            self.wfile.write(b"content")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        job_id = make_job(shared_pool, constraints={"maxTaskRetryCount": 2})
        good = [{"httpUrl": f"{url}/good", "filePath": "in/data.txt", "fileMode": "0640"}]
        bad = [{"httpUrl": f"{url}/bad", "filePath": "data.txt"}]
        command = "/bin/sh -c 'cat in/data.txt; stat -c %a in/data.txt'"
        client.create_task(job_id, {"id": "good", "commandLine": command, "resourceFiles": good})
        client.create_task(job_id, {"id": "bad", "commandLine": "true", "resourceFiles": bad})
        finished(job_id, "good")
        execution = finished(job_id, "bad").execution_info
        server.shutdown()
    assert output(client, job_id, "good") == "content640\n"
    assert (execution.exit_code, execution.retry_count) == (None, 0)
    assert execution.failure_info.code == "BlobNotFound"


@pytest.mark.documented("DE: TaskExists, TaskIdSameAsJobReleaseTask")
def test_a_task_id_is_refused_if_it_is_taken(client, make_job):
    preparation = {"commandLine": "true"}
    job_id = make_job("nowhere", jobPreparationTask=preparation, jobReleaseTask={"id": "end", "commandLine": "true"})
    client.create_task(job_id, {"id": "Mixed", "commandLine": "true"})
    for task_id, code in (
        ("mIXED", "TaskExists"),
        ("JobPreparation", "TaskIdSameAsJobPreparationTask"),
        ("END", "TaskIdSameAsJobReleaseTask"),
    ):
        with pytest.raises(ResourceExistsError) as refused:
            client.create_task(job_id, {"id": task_id, "commandLine": "true"})
        assert refused.value.error.code == code


@pytest.mark.emulator_only
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("containerSettings", {"containerSettings": {"imageName": "busybox"}}),
        ("autoStorageContainerName", {"resourceFiles": [{"autoStorageContainerName": "a"}]}),
        (
            "identityReference",
            {"resourceFiles": [{"storageContainerUrl": "http://x/c", "identityReference": {"resourceId": "i"}}]},
        ),
    ],
)
def test_a_task_feature_that_is_not_available_is_refused_by_name(make_job, raw, name, settings):
    job_id = make_job("nowhere")
    answer = raw("POST", f"/jobs/{job_id}/tasks", {"id": "t", "commandLine": "true", **settings})
    assert (answer.status, answer.values["PropertyName"]) == (501, name)


@pytest.mark.openapi
@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"commandLine": ""}, "commandLine"),
        ({"commandLine": "a\0b"}, "commandLine"),
        ({"environmentSettings": [{"name": "A=B"}]}, "name"),
        ({"resourceFiles": [{"httpUrl": "file:///etc/passwd", "filePath": "x"}]}, "httpUrl"),
        ({"resourceFiles": [{"httpUrl": "http://127.0.0.1/x", "filePath": "../x"}]}, "filePath"),
        ({"constraints": {"maxWallClockTime": "yesterday"}}, "maxWallClockTime"),
        ({"constraints": {"maxTaskRetryCount": -2}}, "maxTaskRetryCount"),
        ({"userIdentity": {"username": "a", "autoUser": {}}}, "userIdentity"),
        ({"exitConditions": {"default": {"jobAction": "terminate"}}}, "exitConditions"),
    ],
)
def test_a_wrong_task_is_refused_with_the_property_named(make_job, raw, settings, name):
    job_id = make_job("nowhere")
    answer = raw("POST", f"/jobs/{job_id}/tasks", {"id": "t", "commandLine": "true", **settings})
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, "InvalidPropertyValue", name)
