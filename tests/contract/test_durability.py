"""Restarts, crashes, starting and stopping: own emulators, because they are killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from azure.core.exceptions import AzureError

from reconciler.emulator import Emulator, EmulatorError, control

pytestmark = pytest.mark.emulator_only


@pytest.fixture
def own(tmp_path):
    with Emulator(state=tmp_path / "state") as running:
        yield running


@pytest.fixture
def own_client(own, client_for):
    made = []

    def connect():
        made.append(client_for(own))
        return made[-1]

    yield connect
    for one in made:
        one.close()


def make_work(client, vm, until, nodes=2, **job):
    client.create_pool({"id": "p", **vm, "targetDedicatedNodes": nodes, "taskSlotsPerNode": 4})
    until(lambda: [node.state for node in client.list_nodes("p")] == ["idle"] * nodes)
    client.create_job({"id": "j", "poolInfo": {"poolId": "p"}, **job})


def test_tasks_outlive_a_killed_emulator_and_nothing_runs_twice(own, own_client, vm, until, tmp_path):
    client, diary = own_client(), tmp_path / "diary"
    make_work(
        client,
        vm,
        until,
        jobPreparationTask={"commandLine": f"/bin/sh -c 'echo prepare >> {diary}'"},
        jobReleaseTask={"commandLine": f"/bin/sh -c 'echo release >> {diary}'"},
    )
    names = ("short", "long", "longer")
    waits = {name: f"while ! test -e {tmp_path / name}; do sleep 0.02; done" for name in names}
    client.create_tasks(
        "j",
        [
            {
                "id": name,
                "commandLine": f"/bin/sh -c 'echo {name} >> {diary}; {wait}; echo {name} ends >> {diary}; exit 3'",
            }
            for name, wait in waits.items()
        ],
    )
    until(lambda: all(task.state == "running" for task in client.list_tasks("j")))
    nodes = {task.id: task.node_info.node_id for task in client.list_tasks("j")}
    own.kill()
    (tmp_path / "short").touch()
    until(lambda: "short ends" in diary.read_text())
    time.sleep(1)  # for the time at which it ended to be told from the time of the restart
    restarted = datetime.now(UTC)
    own.restart()
    client = own_client()
    assert client.get_task("j", "long").state == "running"
    (tmp_path / "long").touch()
    (tmp_path / "longer").touch()
    until(lambda: all(task.state == "completed" for task in client.list_tasks("j")))
    for task in client.list_tasks("j"):
        info = task.execution_info
        assert (info.exit_code, info.requeue_count, info.retry_count) == (3, 0, 0)
        assert task.node_info.node_id == nodes[task.id]
    assert client.get_task("j", "short").execution_info.end_time < restarted
    client.begin_terminate_job("j", options={"terminateReason": "x"}, polling_interval=0)
    until(lambda: client.get_job("j").state == "completed")
    lines = diary.read_text().splitlines()
    ends = [f"{name} ends" for name in names]
    assert sorted(lines) == sorted([*names, *ends, "prepare", "prepare", "release", "release"])


def test_a_release_under_way_when_the_emulator_is_killed_is_finished_not_repeated(own, own_client, vm, until, tmp_path):
    client, diary = own_client(), tmp_path / "diary"
    make_work(
        client,
        vm,
        until,
        nodes=1,
        jobPreparationTask={"commandLine": "true"},
        jobReleaseTask={"commandLine": f"/bin/sh -c 'echo begin >> {diary}; sleep 4; echo end >> {diary}'"},
    )
    client.create_task("j", {"id": "t", "commandLine": "true"})
    until(lambda: client.get_task("j", "t").state == "completed")
    client.begin_terminate_job("j", options={"terminateReason": "kept"}, polling_interval=0)
    until(diary.exists)
    own.kill()
    own.restart()
    client = own_client()
    assert client.get_job("j").state == "terminating"
    until(lambda: client.get_job("j").state == "completed")
    assert client.get_job("j").execution_info.termination_reason == "kept"
    assert diary.read_text().split() == ["begin", "end"]


def test_killing_at_any_moment_loses_nothing_that_was_answered(own, own_client, vm, until, tmp_path):
    client, diary = own_client(), tmp_path / "diary"
    make_work(client, vm, until)
    added = []
    for round_ in range(4):
        killer = threading.Timer(0.05 + 0.04 * round_, own.kill)
        killer.start()
        with contextlib.suppress(AzureError):
            for n in range(1000):
                name = f"r{round_}-{n}"
                body = {"id": name, "commandLine": f"/bin/sh -c 'echo {name} >> {diary}'"}
                client.create_task("j", body, retry_total=0)
                added.append(name)
        killer.join()
        own.restart()
        client = own_client()
    until(lambda: all(task.state == "completed" for task in client.list_tasks("j")), 30)
    tasks = {task.id: task.execution_info for task in client.list_tasks("j")}
    assert set(added) <= set(tasks)
    assert all(info.exit_code == 0 for info in tasks.values())
    assert sorted(diary.read_text().split()) == sorted(tasks)


def test_stopping_ends_every_process_and_the_work_goes_on_after_the_next_start(own, own_client, vm, until, tmp_path):
    client, beat = own_client(), tmp_path / "beat"
    make_work(client, vm, until, nodes=1)
    loop = f"while :; do echo x >> {beat}; sleep 0.05; done"
    client.create_task("j", {"id": "t", "commandLine": f"/bin/sh -c '(setsid sh -c \"{loop}\" &) ; sleep 60'"})
    until(beat.exists)
    own.stop()
    before = beat.stat().st_size
    time.sleep(0.3)
    assert beat.stat().st_size == before
    own.restart()
    client = own_client()
    until(lambda: client.get_task("j", "t").state == "running")
    assert client.get_task("j", "t").execution_info.requeue_count == 0


def test_the_account_keeps_its_name_key_and_port(own):
    known = (own.account, own.key, own.endpoint)
    own.restart()
    assert (own.account, own.key, own.endpoint) == known
    file = own.state / "emulator.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["pid"] == own.running.pid


def test_a_detached_emulator_is_started_once_and_found_again(tmp_path):
    state, found = tmp_path / "state", []
    threads = [threading.Thread(target=lambda: found.append(control.start(state))) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({running.pid for running in found}) == 1
        assert control.status(state) == found[0]
        assert control.start(state) == found[0]
        assert os.getsid(found[0].pid) != os.getsid(0)
    finally:
        assert control.stop(state) is True
    assert control.status(state) is None
    assert control.stop(state) is False
    assert control.start(state).key == found[0].key
    control.stop(state)


def test_stopping_a_killed_emulator_ends_the_tasks_it_left(tmp_path, client_for, vm, until):
    state, beat = tmp_path / "state", tmp_path / "beat"
    with Emulator(state=state) as running, client_for(running) as client:
        make_work(client, vm, until, nodes=1)
        loop = f"while :; do echo x >> {beat}; sleep 0.05; done"
        client.create_task("j", {"id": "t", "commandLine": f"/bin/sh -c '{loop}'"})
        until(beat.exists)
        running.kill()
    control.stop(state)
    before = beat.stat().st_size
    time.sleep(0.3)
    assert beat.stat().st_size == before


def test_a_reset_forgets_everything_but_the_account(tmp_path, client_for, vm):
    state = tmp_path / "state"
    with Emulator(state=state) as running, client_for(running) as client:
        key = running.key
        client.create_pool({"id": "p", **vm})
    control.reset(state)
    assert not list(state.glob("nodes/*"))
    with Emulator(state=state) as running, client_for(running) as client:
        assert list(client.list_pools()) == []
        assert running.key == key


def test_an_emulator_without_work_ends_by_itself_but_not_while_a_job_is_unfinished(tmp_path, client_for):
    with Emulator(state=tmp_path / "state", idle_exit=0.5) as running, client_for(running) as client:
        client.create_job({"id": "j", "poolInfo": {"poolId": "p"}})
        time.sleep(1.5)
        assert client.get_job("j").state == "active"
        client.begin_terminate_job("j", options={"terminateReason": "x"}, polling_interval=0)
        assert running.wait(60) == 0


def test_a_second_server_on_the_same_state_is_refused(own):
    command = control.command_line(own.state, control.Options())
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=control.environment(), check=False)
    assert done.returncode == 1
    assert "already runs" in done.stderr


def test_a_failed_start_says_why(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "account.sqlite").write_bytes(b"this is not a database, however long one looks at it" * 10)
    with pytest.raises(EmulatorError, match="database"):
        control.start(state, timeout=60)


def test_the_control_module_loads_without_the_server():
    code = "import sys, reconciler.emulator.control; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
