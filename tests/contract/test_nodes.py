"""Compute nodes: start task, scheduling, reboot, what becomes of tasks."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ResourceExistsError


def only_node(client, pool_id):
    [node] = client.list_nodes(pool_id)
    return node


@pytest.mark.recorded("py2020b-files")
def test_a_node_looks_as_recorded(client, make_pool, raw, emulator):
    pool_id = make_pool(1)
    node = raw("GET", f"/pools/{pool_id}/nodes").json["value"][0]
    assert node["id"].startswith("tvmps_")
    assert node["id"].endswith("_d")
    assert node["affinityId"] == f"TVM:{node['id']}"
    assert node["url"] == f"{emulator.endpoint}/pools/{pool_id}/nodes/{node['id']}"
    assert (node["state"], node["schedulingState"], node["isDedicated"]) == ("idle", "enabled", True)
    assert (node["vmSize"], node["totalTasksRun"], node["runningTasksCount"]) == ("standard_d2_v3", 0, 0)
    assert not {"startTask", "startTaskInfo", "errors", "recentTasks"} & set(node)


@pytest.mark.recorded("node2020-get_a_compute_node_reference")
def test_a_start_task_runs_before_the_node_is_idle(client, make_pool, raw):
    pool_id = make_pool(
        1, startTask={"commandLine": "/bin/sh -c 'echo ready > $AZ_BATCH_NODE_SHARED_DIR/flag; echo x'"}
    )
    node = raw("GET", f"/pools/{pool_id}/nodes").json["value"][0]
    assert node["startTaskInfo"]["state"] == "completed"
    assert (node["startTaskInfo"]["exitCode"], node["startTaskInfo"]["retryCount"]) == (0, 0)
    assert node["startTask"]["waitForSuccess"] is True
    files = f"/pools/{pool_id}/nodes/{node['id']}/files"
    assert raw("GET", f"{files}/shared/flag").body == b"ready\n"
    assert raw("GET", f"{files}/startup%2Fstdout.txt").body == b"x\n"


@pytest.mark.documented("E:BatchNodeState.starttaskfailed, M:BatchStartTask.maxTaskRetryCount")
def test_a_node_whose_start_task_fails_runs_nothing(client, make_pool, make_job, raw, until):
    start = {"commandLine": "/bin/sh -c 'echo x >> tries; exit 5'", "maxTaskRetryCount": 2}
    pool_id = make_pool(1, startTask=start)
    node = raw("GET", f"/pools/{pool_id}/nodes").json["value"][0]
    assert node["state"] == "starttaskfailed"
    assert (node["startTaskInfo"]["exitCode"], node["startTaskInfo"]["retryCount"]) == (5, 2)
    assert node["startTaskInfo"]["failureInfo"]["code"] == "FailureExitCode"
    assert raw("GET", f"/pools/{pool_id}/nodes/{node['id']}/files/startup/wd/tries").body == b"x\n" * 3
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    assert client.get_task(job_id, "t").state == "active"
    [counts] = client.list_pool_node_counts(filter=f"poolId eq '{pool_id}'")
    assert counts.dedicated.start_task_failed == 1


@pytest.mark.documented("M:BatchStartTask.waitForSuccess")
def test_a_start_task_that_is_not_waited_for_holds_nothing_up(client, make_pool, make_job, finished):
    pool_id = make_pool(1, startTask={"commandLine": "/bin/sleep 30", "waitForSuccess": False})
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    assert finished(job_id, "t").execution_info.exit_code == 0
    assert only_node(client, pool_id).start_task_info.state == "running"


@pytest.mark.documented("O:disable_node_scheduling, E:BatchNodeState.offline")
def test_a_node_off_scheduling_gets_no_tasks_until_it_is_back(client, make_pool, make_job, until, finished):
    pool_id = make_pool(1)
    node = only_node(client, pool_id).id
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "running", "commandLine": "/bin/sleep 60"})
    until(lambda: client.get_task(job_id, "running").state == "running")
    client.disable_node_scheduling(pool_id, node, {"nodeDisableSchedulingOption": "terminate"})
    client.create_task(job_id, {"id": "waiting", "commandLine": "true"})
    shown = only_node(client, pool_id)
    assert (shown.state, shown.scheduling_state) == ("offline", "disabled")
    assert finished(job_id, "running").execution_info.failure_info.code == "TaskEnded"
    with pytest.raises(ResourceExistsError) as refused:
        client.disable_node_scheduling(pool_id, node, {"nodeDisableSchedulingOption": "requeue"})
    assert refused.value.error.code == "NodeAlreadyInTargetSchedulingState"
    assert client.get_task(job_id, "waiting").state == "active"
    client.enable_node_scheduling(pool_id, node)
    finished(job_id, "waiting")


@pytest.mark.documented("E:BatchNodeRebootKind")
@pytest.mark.parametrize(
    ("option", "state", "requeued"),
    [("requeue", "running", 1), ("terminate", "completed", 0), ("taskcompletion", "completed", 0)],
)
def test_a_reboot_treats_running_tasks_as_asked_and_reruns_the_start_task(
    client, make_pool, make_job, gate, until, option, state, requeued
):
    start = {"commandLine": "/bin/sh -c 'echo x >> $AZ_BATCH_NODE_SHARED_DIR/boots'"}
    pool_id = make_pool(1, startTask=start)
    node = only_node(client, pool_id)
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": gate.command})
    until(lambda: client.get_task(job_id, "t").state == "running")
    client.begin_reboot_node(pool_id, node.id, {"nodeRebootOption": option}, polling_interval=0)
    if option == "taskcompletion":
        gate.open()
    until(lambda: only_node(client, pool_id).last_boot_time > node.last_boot_time)
    until(lambda: only_node(client, pool_id).state in ("idle", "running"))
    until(lambda: client.get_task(job_id, "t").state == state)
    execution = client.get_task(job_id, "t").execution_info
    assert execution.requeue_count == requeued
    if option == "taskcompletion":
        assert execution.result == "success"
    assert client.get_node_file_properties(pool_id, node.id, "shared/boots").content_length == 4


@pytest.mark.documented("D:batch-pool-update-properties: existing nodes take a new start task when they restart")
def test_a_changed_start_task_reaches_a_node_with_its_next_boot(client, make_pool, until):
    pool_id = make_pool(1, startTask={"commandLine": "true"})
    node = only_node(client, pool_id)
    client.update_pool(pool_id, {"startTask": {"commandLine": "/bin/echo new"}})
    assert only_node(client, pool_id).start_task.command_line == "true"
    client.begin_reboot_node(pool_id, node.id, {"nodeRebootOption": "requeue"}, polling_interval=0)
    until(lambda: only_node(client, pool_id).state == "idle")
    assert only_node(client, pool_id).start_task.command_line == "/bin/echo new"


@pytest.mark.documented("E:BatchNodeDeallocationOption")
@pytest.mark.parametrize(("option", "state"), [("requeue", "active"), ("terminate", "completed")])
def test_a_pool_that_shrinks_treats_running_tasks_as_asked(client, make_pool, make_job, until, option, state):
    pool_id = make_pool(1)
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sleep 60"})
    until(lambda: client.get_task(job_id, "t").state == "running")
    client.begin_resize_pool(pool_id, {"targetDedicatedNodes": 0, "nodeDeallocationOption": option}, polling_interval=0)
    until(lambda: not list(client.list_nodes(pool_id)))
    assert client.get_task(job_id, "t").state == state


@pytest.mark.documented("E:BatchNodeDeallocationOption; O: idle nodes first is the service's choice")
def test_a_shrinking_pool_lets_tasks_finish_if_asked_and_takes_idle_nodes_first(
    client, make_pool, make_job, gate, until
):
    pool_id = make_pool(2)
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": gate.command})
    until(lambda: client.get_task(job_id, "t").state == "running")
    busy = client.get_task(job_id, "t").node_info.node_id
    client.begin_resize_pool(pool_id, {"targetDedicatedNodes": 1}, polling_interval=0)
    until(lambda: [node.id for node in client.list_nodes(pool_id)] == [busy])
    until(lambda: client.get_pool(pool_id).allocation_state == "steady")
    body = {"targetDedicatedNodes": 0, "nodeDeallocationOption": "taskcompletion"}
    client.begin_resize_pool(pool_id, body, polling_interval=0)
    gate.open()
    until(lambda: not list(client.list_nodes(pool_id)))
    assert client.get_task(job_id, "t").execution_info.result == "success"


@pytest.mark.recorded("py2018-compute_nodes")
def test_reimage_is_refused_as_recorded(client, make_pool, raw):
    pool_id = make_pool(1)
    node = only_node(client, pool_id).id
    answer = raw("POST", f"/pools/{pool_id}/nodes/{node}/reimage", {"nodeReimageOption": "terminate"})
    assert (answer.status, answer.code) == (409, "OperationNotValidOnNode")


@pytest.mark.documented("R22: recently run tasks appear under recentTasks")
def test_a_node_counts_and_shows_the_tasks_it_ran(client, make_pool, make_job, finished):
    pool_id = make_pool(1)
    job_id = make_job(pool_id)
    for name, command in (("good", "true"), ("bad", "false")):
        client.create_task(job_id, {"id": name, "commandLine": command})
        finished(job_id, name)
    node = only_node(client, pool_id)
    assert (node.total_tasks_run, node.total_tasks_succeeded) == (2, 1)
    assert [task.task_id for task in node.recent_tasks] == ["bad", "good"]
