"""The simulated account as users see it: scripts, time, requests with and without sockets, trouble, fixtures."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import AzureError

from reconciler.emulator import EmulatorError, Outcome, Simulation
from reconciler.emulator.chaos import Chaos, Latency
from reconciler.emulator.simulated import understand

VM = {
    "vmSize": "Standard_D2_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}


@pytest.fixture
def batch():
    with Simulation() as simulation:
        yield simulation


def add_pool(batch, nodes=1, **settings):
    answer = batch.request("POST", "/pools", {"id": "p", **VM, "targetDedicatedNodes": nodes, **settings})
    assert answer.status == 201, answer


def add_job(batch, **settings):
    answer = batch.request("POST", "/jobs", {"id": "j", "poolInfo": {"poolId": "p"}, **settings})
    assert answer.status == 201, answer


def add_task(batch, task_id="t", command="true", **settings):
    answer = batch.request("POST", "/jobs/j/tasks", {"id": task_id, "commandLine": command, **settings})
    assert answer.status == 201, answer


def task(batch, task_id="t"):
    return batch.get(f"/jobs/j/tasks/{task_id}")


def length(batch, task_id="t"):
    """Seconds a completed task took."""
    info = task(batch, task_id)["executionInfo"]
    begin, end = (datetime.fromisoformat(info[name]) for name in ("startTime", "endTime"))
    return (end - begin).total_seconds()


@pytest.mark.parametrize(
    ("command", "seconds", "code"),
    [
        ("python train.py", 1.0, 0),
        ("sleep 30", 30.0, 0),
        ("/bin/sh -c 'sleep 1.5; sleep 2m; exit 3'", 121.5, 3),
        ("/bin/sh -c 'exit 7'", 1.0, 7),
        ("sleep 2h", 7200.0, 0),
        ("sleep 1d", 86_400.0, 0),
        ("sleep infinity", None, 0),
        ("/bin/false", 1.0, 1),
        ("false", 1.0, 1),
        ("echo falsehood asleep 4 exits", 1.0, 0),
    ],
)
def test_command_lines_are_understood_by_default(command, seconds, code):
    assert understand(command, 1.0) == Outcome(seconds, code)


def test_a_task_takes_exactly_the_time_its_command_says(batch):
    add_pool(batch)
    add_job(batch)
    add_task(batch, command="/bin/sh -c 'sleep 6h; exit 2'")
    batch.run_until_idle()
    assert length(batch) == 6 * 3600
    assert task(batch)["executionInfo"]["exitCode"] == 2
    assert batch.now >= datetime(2026, 1, 1, 6, tzinfo=UTC)


def test_the_script_added_last_that_fits_counts_and_ends_after_its_times(batch):
    add_pool(batch)
    add_job(batch)
    batch.script(seconds=5)
    batch.script(job="J", task="a.*", seconds=60, exit_code=1, times=2)
    for name in ("a1", "b1", "a2", "a3"):
        add_task(batch, name)
    batch.run_until_idle()
    assert [length(batch, name) for name in ("a1", "b1", "a2", "a3")] == [60, 5, 60, 5]
    assert [task(batch, name)["executionInfo"]["exitCode"] for name in ("a1", "b1", "a2", "a3")] == [1, 0, 1, 0]


def test_patterns_mean_pool_node_task_and_command(batch):
    add_pool(batch, startTask={"commandLine": "prepare", "waitForSuccess": True})
    add_job(batch, jobPreparationTask={"commandLine": "fetch"})
    batch.script(pool="other", seconds=9)
    batch.script(node="nobody", seconds=9)
    batch.script(command="^oth", seconds=9)
    batch.script(task="startup", exit_code=0, seconds=100)
    batch.script(task="jobpreparation", seconds=1000)
    add_task(batch, command="command")
    batch.run_until_idle()
    node = batch.get("/pools/p/nodes")["value"][0]
    begin, end = (datetime.fromisoformat(node["startTaskInfo"][name]) for name in ("startTime", "endTime"))
    assert (end - begin).total_seconds() == 100
    (entry,) = batch.get("/jobs/j/jobpreparationandreleasetaskstatus")["value"]
    times = entry["jobPreparationTaskExecutionInfo"]
    begin, end = (datetime.fromisoformat(times[name]) for name in ("startTime", "endTime"))
    assert (end - begin).total_seconds() == 1000
    assert length(batch) == 1


def test_a_range_of_seconds_is_drawn_by_its_seed():
    def lengths(seed):
        with Simulation() as batch:
            add_pool(batch, taskSlotsPerNode=4)
            add_job(batch)
            batch.script(seconds=(10, 20), seed=seed)
            for number in range(4):
                add_task(batch, f"t{number}")
            batch.run_until_idle()
            return [length(batch, f"t{number}") for number in range(4)]

    first = lengths(1)
    assert first == lengths(1) != lengths(2)
    assert len(set(first)) == 4
    assert all(10 <= seconds <= 20 for seconds in first)


def test_a_function_may_decide_and_leave_the_rest_to_others(batch):
    add_pool(batch)
    add_job(batch)
    seen = []

    def script(launch):
        seen.append(launch.command_line)
        return Outcome(seconds=3, exit_code=9) if launch.command_line == "mine" else None

    batch.on_run(script)
    add_task(batch, "a", "mine")
    add_task(batch, "b", "exit 4")
    batch.run_until_idle()
    assert seen == ["mine", "exit 4"]
    assert [task(batch, name)["executionInfo"]["exitCode"] for name in "ab"] == [9, 4]


def test_a_problem_keeps_a_command_from_starting(batch):
    add_pool(batch)
    add_job(batch)
    batch.script(problem="CommandProgramNotFound")
    add_task(batch)
    batch.run_until_idle()
    info = task(batch)["executionInfo"]
    assert info["failureInfo"]["code"] == "CommandProgramNotFound"
    assert "exitCode" not in info


def test_output_can_be_read_and_goes_with_its_retention_time(batch):
    add_pool(batch)
    add_job(batch)
    batch.script(stdout="hello\n", stderr="oh\n")
    add_task(batch, constraints={"retentionTime": "PT1H"})
    batch.run_until_idle()
    assert batch.get("/jobs/j/tasks/t/files/stdout.txt") == b"hello\n"
    assert batch.get("/jobs/j/tasks/t/files/stderr.txt") == b"oh\n"
    assert batch.request("HEAD", "/jobs/j/tasks/t/files/stdout.txt").headers["content-length"] == "6"
    names = [entry["name"] for entry in batch.get("/jobs/j/tasks/t/files")["value"]]
    assert names == ["stderr.txt", "stdout.txt", "wd"]
    batch.advance(hours=2)
    assert batch.request("GET", "/jobs/j/tasks/t/files/stdout.txt").code == "TaskFilesCleanedup"
    add_task(batch, "unread", constraints={"retentionTime": "PT1H"})
    add_task(batch, "kept")
    batch.advance(hours=2)
    (node,) = batch.get("/pools/p/nodes")["value"]
    names = [entry["name"] for entry in batch.get(f"/pools/p/nodes/{node['id']}/files", "recursive=true")["value"]]
    assert [name for name in names if name.endswith("stdout.txt")] == ["workitems/j/job-1/kept/stdout.txt"]


def test_time_is_advanced_exactly_and_never_back(batch):
    add_pool(batch)
    add_job(batch)
    add_task(batch, command="sleep 100")
    batch.advance(99)
    assert task(batch)["state"] == "running"
    assert batch.now == datetime(2026, 1, 1, 0, 1, 39, tzinfo=UTC)
    batch.advance(minutes=1, hours=1, days=1)
    assert batch.now == datetime(2026, 1, 2, 1, 2, 39, tzinfo=UTC)
    assert task(batch)["state"] == "completed"
    with pytest.raises(ValueError, match="back"):
        batch.advance(-1)


def test_idle_leaves_far_moments_alone_and_says_when_something_never_ends(batch):
    add_pool(batch)
    add_job(batch, constraints={"maxWallClockTime": "P20D"})
    add_task(batch)
    batch.run_until_idle()
    assert batch.now < datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    add_task(batch, "forever", "sleep infinity")
    with pytest.raises(EmulatorError, match="not idle"):
        batch.run_until_idle(limit=3600)


def test_run_until_stops_at_the_event_that_makes_it_true(batch):
    add_pool(batch)
    add_job(batch)
    add_task(batch, command="sleep 50")
    batch.run_until(lambda: task(batch)["state"] == "running")
    batch.run_until(lambda: task(batch)["state"] == "completed")
    assert length(batch) == 50
    with pytest.raises(EmulatorError, match="still not so"):
        batch.run_until(lambda: False, limit=60)


def test_a_job_runs_its_release_for_the_documented_quarter_of_an_hour_at_most(batch):
    add_pool(batch)
    add_job(batch, jobPreparationTask={"commandLine": "x"}, jobReleaseTask={"commandLine": "sleep infinity"})
    add_task(batch)
    batch.run_until_idle()
    assert batch.request("POST", "/jobs/j/terminate").status == 202
    begin = batch.now
    batch.run_until_idle()
    assert batch.get("/jobs/j")["state"] == "completed"
    assert (batch.now - begin).total_seconds() == 15 * 60


def test_an_unmodified_client_reaches_the_same_account(batch):
    add_pool(batch)
    with BatchClient(batch.endpoint, AzureNamedKeyCredential(batch.account, batch.key)) as client:
        client.create_job({"id": "j", "poolInfo": {"poolId": "p"}})
        client.create_task("j", {"id": "t", "commandLine": "sleep 5h"})
        batch.advance(hours=4)
        assert client.get_task("j", "t").state == "running"
        batch.advance(hours=2)
        assert client.get_task("j", "t").state == "completed"
        assert length(batch) == 5 * 3600
    assert [entry["path"] for entry in batch.requests()] == ["/jobs", "/jobs/j/tasks", *["/jobs/j/tasks/t"] * 2]
    assert [entry["n"] for entry in batch.requests(since=2)] == [3, 4]


def test_a_client_that_polls_can_let_the_time_go_on_by_itself():
    with Simulation(seconds_per_request=60) as batch:
        add_pool(batch)
        add_job(batch)
        add_task(batch, command="sleep 1h")
        with BatchClient(batch.endpoint, AzureNamedKeyCredential(batch.account, batch.key)) as client:
            states = [client.get_task("j", "t").state for _ in range(62)]
        assert states == ["running"] * 60 + ["completed"] * 2


def test_faults_and_chaos_meet_the_client(batch):
    batch.faults([{"kind": "status", "path": "/jobs", "status": 503, "retryAfter": 0}])
    with BatchClient(batch.endpoint, AzureNamedKeyCredential(batch.account, batch.key)) as client:
        assert list(client.list_jobs()) == []
        assert [entry["status"] for entry in batch.requests()] == [503, 200]
        batch.chaos(5, rate=1.0, late=0, path="/pools")
        with pytest.raises(AzureError):
            list(client.list_pools(retry_total=0))
    batch.faults([])


def test_a_run_can_be_made_to_fail_by_rule(batch):
    add_pool(batch)
    add_job(batch)
    batch.faults([{"kind": "run", "run": "task", "subject": ":j/bad$", "exitCode": 77, "times": None}])
    add_task(batch, "good")
    add_task(batch, "bad")
    batch.run_until_idle()
    assert [task(batch, name)["executionInfo"]["exitCode"] for name in ("good", "bad")] == [0, 77]


def test_a_preempted_node_is_prepared_again_before_the_next_task(batch):
    add_pool(batch, 0, targetLowPriorityNodes=1)
    add_job(batch, jobPreparationTask={"commandLine": "sleep 10", "rerunOnNodeRebootAfterSuccess": False})
    add_task(batch, command="sleep 1h")
    batch.advance(minutes=1)
    (node,) = batch.get("/pools/p/nodes")["value"]
    batch.preempt_node("p", node["id"], seconds=600)
    assert batch.get(f"/pools/p/nodes/{node['id']}")["state"] == "preempted"
    assert task(batch)["state"] == "active"
    batch.run_until_idle()
    (entry,) = batch.get("/jobs/j/jobpreparationandreleasetaskstatus")["value"]
    assert entry["jobPreparationTaskExecutionInfo"]["startTime"] > "2026-01-01T00:11:00"
    assert task(batch)["nodeInfo"]["nodeId"] == node["id"]
    assert length(batch) == 3600


def test_a_node_lost_for_good_stays_unusable_and_takes_nothing(batch):
    add_pool(batch)
    add_job(batch)
    (node,) = (batch.run_until_idle(), batch.get("/pools/p/nodes")["value"])[1]
    batch.lose_node("p", node["id"])
    add_task(batch)
    batch.run_until_idle()
    assert batch.get(f"/pools/p/nodes/{node['id']}")["state"] == "unusable"
    assert task(batch)["state"] == "active"
    with pytest.raises(EmulatorError, match="unusable"):
        batch.lose_node("p", "nobody")


def test_thousands_of_nodes_fit():
    with Simulation() as batch:
        add_pool(batch, 2000)
        add_job(batch)
        batch.script(seconds=(60, 7200))
        for first in range(0, 4000, 100):
            value = [{"id": f"t{first + number}", "commandLine": "work"} for number in range(100)]
            assert batch.request("POST", "/jobs/j/addtaskcollection", {"value": value}).status == 200
        batch.run_until_idle()
        assert batch.get("/jobs/j/taskcounts")["taskCounts"]["succeeded"] == 4000


def test_chaos_depends_on_seed_and_number_alone():
    chaos = Chaos(11, rate=0.5)
    forth = [chaos.decide(number) for number in range(200)]
    back = [Chaos(11, rate=0.5).decide(number) for number in reversed(range(200))]
    assert forth == back[::-1]
    assert forth != [Chaos(12, rate=0.5).decide(number) for number in range(200)]
    kinds = [trouble and trouble.kind for trouble in forth]
    assert {
        kind: kinds.count(kind) > 10 for kind in (None, "status", "reset", "reset-after", "delay")
    } == dict.fromkeys((None, "status", "reset", "reset-after", "delay"), True)


def test_a_latency_has_the_median_and_the_tail_it_was_given():
    chance = random.Random(1)
    drawn = sorted(Latency(median=0.1, p99=1.0).draw(chance) for _ in range(10_000))
    assert 0.09 < drawn[5_000] < 0.11
    assert 0.8 < drawn[9_900] < 1.25
    assert all(2 <= Latency(low=2, high=3).draw(chance) <= 3 for _ in range(100))


FIXTURES = """
import pytest

def test_processes(batch_emulator):
    assert batch_emulator.endpoint.startswith("http://127.0.0.1:")

def test_simulated(batch_simulation):
    batch_simulation.advance(hours=1)
    assert batch_simulation.now.hour == 1

def test_a_new_one_each_time(batch_simulation):
    assert batch_simulation.now.hour == 0
"""


def test_the_fixtures_are_there_for_other_projects(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["reconciler.emulator.pytest_plugin"]\n')
    (tmp_path / "test_mine.py").write_text(FIXTURES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "temp")]
    done = subprocess.run([*command, "test_mine.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_closing_twice_is_no_mistake_and_the_server_ends():
    batch = Simulation()
    endpoint = batch.endpoint
    batch.close()
    batch.close()
    time.sleep(0)
    assert endpoint.startswith("http://127.0.0.1:")
