"""Multi-instance tasks over HTTP and with real processes."""

from __future__ import annotations

import json

import pytest

from reconciler.emulator import Emulator

TOGETHER = {"enableInterNodeCommunication": True}


def output(client, job_id, name):
    return b"".join(client.download_task_file(job_id, "t", name)).decode()


def group(count, coordination, **settings):
    return {"multiInstanceSettings": {"numberOfInstances": count, "coordinationCommandLine": coordination, **settings}}


@pytest.mark.documented("D:batch-mpi; D:batch-compute-node-environment-variables; M:BatchSubtask")
def test_a_program_on_the_master_talks_to_what_coordination_started_on_every_node(
    client, make_pool, make_job, finished, raw, until, tmp_path
):
    """Each coordination command leaves a server on its node's own address; the primary asks all of them."""
    pool_id = make_pool(nodes=3, **TOGETHER)
    job_id = make_job(pool_id)
    addresses = {node.id: node.ip_address for node in client.list_nodes(pool_id)}
    serve = tmp_path / "serve.py"
    serve.write_text(
        "import json, os, pathlib, socket, subprocess, time\n"
        "here, node = os.environ['AZ_BATCH_TASK_SHARED_DIR'], os.environ['AZ_BATCH_NODE_ID']\n"
        "pathlib.Path(here, 'name').write_text(node)\n"
        f"address = json.loads(pathlib.Path('{tmp_path}/addresses.json').read_text())[node]\n"
        "command = ['setsid', 'python3', '-m', 'http.server', '--bind', address, '6105']\n"
        "with open('log', 'w') as log:\n"
        "    subprocess.Popen(command, cwd=here, stdout=log, stderr=log)\n"
        "with socket.socket() as probe:\n"
        "    while probe.connect_ex((address, 6105)):\n"
        "        time.sleep(0.05)\n"
    )
    (tmp_path / "addresses.json").write_text(json.dumps(addresses))
    ask = tmp_path / "ask.py"
    ask.write_text(
        "import os, urllib.request\n"
        "for host in os.environ['AZ_BATCH_HOST_LIST'].split(','):\n"
        "    print(urllib.request.urlopen(f'http://{host}:6105/name').read().decode().strip())\n"
        "print(os.environ['AZ_BATCH_IS_CURRENT_NODE_MASTER'])\n"
    )
    body = {"id": "t", "commandLine": f"python3 {ask}", **group(3, f"python3 {serve}")}
    client.create_task(job_id, body)
    task = finished(job_id, "t", 20.0)
    assert (task.execution_info.exit_code, output(client, job_id, "stderr.txt")) == (0, "")
    *names, master = output(client, job_id, "stdout.txt").split()
    assert (sorted(names), names[0], master) == (sorted(addresses), task.node_info.node_id, "true")
    subtasks = raw("GET", f"/jobs/{job_id}/tasks/t/subtasksinfo").json["value"]
    assert [(one["id"], one["state"], one["exitCode"], one["result"]) for one in subtasks] == [
        (1, "completed", 0, "success"),
        (2, "completed", 0, "success"),
    ]
    assert {one["nodeInfo"]["nodeId"] for one in subtasks} == set(names[1:])
    assert [one.id for one in client.list_subtasks(job_id, "t")] == [1, 2]
    url = subtasks[0]["nodeInfo"]["taskRootDirectory"]
    found = client.download_node_file(pool_id, subtasks[0]["nodeInfo"]["nodeId"], f"{url}/name")
    assert b"".join(found).decode().strip() == subtasks[0]["nodeInfo"]["nodeId"]
    recent = client.get_node(pool_id, names[1]).recent_tasks
    assert [(one.task_id, one.subtask_id) for one in recent] == [("t", 1)]

    def is_silent(address):
        import socket

        with socket.socket() as probe:
            return probe.connect_ex((address, 6105)) != 0

    until(lambda: all(is_silent(address) for address in addresses.values()))


@pytest.mark.recorded("cli2024-task_create_cmd")
def test_settings_are_shown_as_sent(make_job, raw):
    job_id = make_job("nowhere")
    settings = {"numberOfInstances": 3, "coordinationCommandLine": "cmd /c echo hello"}
    body = {"id": "t", "commandLine": "cmd /c dir /s", "multiInstanceSettings": settings}
    assert raw("POST", f"/jobs/{job_id}/tasks", body).status == 201
    assert raw("GET", f"/jobs/{job_id}/tasks/t").json["multiInstanceSettings"] == settings
    answer = raw("GET", f"/jobs/{job_id}/tasks/t/subtasksinfo")
    assert (answer.status, answer.json["value"]) == (200, [])


@pytest.mark.documented("D:batch-mpi: any failure fails the task, which is retried up to its limit")
def test_a_subtask_that_fails_fails_the_task(client, make_pool, make_job, finished, tmp_path):
    job_id = make_job(make_pool(nodes=2, **TOGETHER))
    coordination = f"/bin/sh -c 'echo x >> {tmp_path}/tries; test $AZ_BATCH_IS_CURRENT_NODE_MASTER = true'"
    body = {"id": "t", "commandLine": "true", **group(2, coordination), "constraints": {"maxTaskRetryCount": 1}}
    client.create_task(job_id, body)
    execution = finished(job_id, "t").execution_info
    assert (execution.result, execution.retry_count) == ("failure", 1)
    assert execution.failure_info.code == "FailureExitCode"
    assert "subtask 1" in execution.failure_info.details[0].value
    # The subtask fails in both tries; the master's may be ended before it has written.
    assert 2 <= len((tmp_path / "tries").read_text().splitlines()) <= 4


@pytest.mark.emulator_only
@pytest.mark.parametrize("phase", ["coordination", "command"])
def test_it_goes_on_after_a_crash_and_nothing_runs_twice(tmp_path, client_for, vm, until, phase):
    diary, gate = tmp_path / "diary", tmp_path / "gate"
    wait = f"while ! test -e {gate}; do sleep 0.02; done"
    first, second = (wait, "true") if phase == "coordination" else ("true", wait)
    with Emulator(state=tmp_path / "state") as own:
        with client_for(own) as client:
            client.create_pool({"id": "p", **vm, "targetDedicatedNodes": 2, **TOGETHER})
            client.create_job({"id": "j", "poolInfo": {"poolId": "p"}})
            body = {"id": "t", "commandLine": f"/bin/sh -c 'echo main >> {diary}; {second}; exit 5'"}
            client.create_task("j", body | group(2, f"/bin/sh -c 'echo begin >> {diary}; {first}'"))
            seen = ["begin"] * 2 + ["main"] * (phase == "command")
            until(lambda: diary.exists() and diary.read_text().split() == seen)
        own.kill()
        own.start()
        gate.touch()
        with client_for(own) as client:
            until(lambda: client.get_task("j", "t").state == "completed")
            assert client.get_task("j", "t").execution_info.exit_code == 5
            assert [one.exit_code for one in client.list_subtasks("j", "t")] == [0]
    assert diary.read_text().split() == ["begin", "begin", "main"]
