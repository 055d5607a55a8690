"""Every state of pools and nodes, over HTTP, on the simulated clock: each is seen, and left again."""

from __future__ import annotations

import pytest

from reconciler.emulator import EmulatorError, Simulation
from reconciler.emulator.switches import Limits, Switches

HOUR = 3600


@pytest.fixture
def batch(vm):
    with Simulation() as made:
        yield made


@pytest.fixture
def send(batch, raw_for):
    return raw_for(batch)


@pytest.fixture
def make(send, vm):
    """Ask for a pool `p` of that many nodes."""

    def ask(dedicated=1, low_priority=0, **settings):
        counts = {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": low_priority}
        assert send("POST", "/pools", {"id": "p", **vm, **counts, **settings}).status == 201

    return ask


@pytest.fixture
def job(send):
    def ask(**settings):
        assert send("POST", "/jobs", {"id": "j", "poolInfo": {"poolId": "p"}, **settings}).status == 201

    return ask


@pytest.fixture
def add(send):
    def ask(task_id, command, **settings):
        body = {"id": task_id, "commandLine": command, **settings}
        assert send("POST", "/jobs/j/tasks", body).status == 201

    return ask


def pool(send):
    return send("GET", "/pools/p").json


def nodes(send):
    return send("GET", "/pools/p/nodes").json["value"]


def states(send):
    return [node["state"] for node in nodes(send)]


def path(send, number=0):
    return f"/pools/p/nodes/{nodes(send)[number]['id']}"


def seen(batch, send, end, question=states, step=0.02):
    """What is answered one after the other until *end* is."""
    found = [question(send)]
    while found[-1] != end:
        batch.advance(step)
        now = question(send)
        if now != found[-1]:
            found.append(now)
        assert len(found) < 20
    return found


@pytest.mark.documented("E:BatchNodeState, E:AllocationState")
def test_a_node_is_created_started_runs_its_start_task_and_is_idle(batch, send, make):
    make(startTask={"commandLine": "sleep 5"})
    assert pool(send)["allocationState"] == "resizing"
    assert seen(batch, send, ["idle"]) == [
        *([], ["creating"], ["starting"], ["waitingforstarttask"], ["idle"]),
    ]
    assert pool(send)["allocationState"] == "steady"
    assert nodes(send)[0]["startTaskInfo"]["state"] == "completed"


@pytest.mark.documented("M:BatchStartTask.maxTaskRetryCount, E:BatchNodeState.starttaskfailed")
@pytest.mark.parametrize(("allowed", "tries"), [(0, 1), (2, 3)])
def test_a_start_task_is_tried_as_often_as_allowed(batch, send, make, allowed, tries):
    make(startTask={"commandLine": "exit 4", "maxTaskRetryCount": allowed})
    batch.run_until_idle()
    [node] = nodes(send)
    assert node["state"] == "starttaskfailed"
    info = node["startTaskInfo"]
    assert (info["exitCode"], info["retryCount"], info["result"]) == (4, tries - 1, "failure")
    assert info["failureInfo"]["code"] == "FailureExitCode"


@pytest.mark.documented("M:BatchStartTask.waitForSuccess")
def test_without_waiting_a_failed_start_task_leaves_the_node_idle_and_tells_of_its_failure(batch, send, make):
    make(startTask={"commandLine": "exit 4", "waitForSuccess": False})
    batch.run_until_idle()
    [node] = nodes(send)
    assert (node["state"], node["startTaskInfo"]["result"]) == ("idle", "failure")


@pytest.mark.documented("M:BatchStartTaskInfo.retryCount: non-zero exit codes are retried")
def test_a_start_task_that_could_not_be_started_is_not_retried(batch, send, make):
    batch.script(task="startup", problem="CommandProgramNotFound")
    make(startTask={"commandLine": "nothing", "maxTaskRetryCount": -1})
    batch.run_until_idle()
    info = nodes(send)[0]["startTaskInfo"]
    assert (info["failureInfo"]["code"], info["retryCount"]) == ("CommandProgramNotFound", 0)
    assert "exitCode" not in info


@pytest.mark.documented("E:BatchNodeState.running, offline, rebooting")
def test_running_offline_and_rebooting(batch, send, make, job, add):
    make()
    job()
    batch.run_until_idle()
    add("t", "sleep 60")
    assert states(send) == ["running"]
    asked = {"nodeDisableSchedulingOption": "taskcompletion"}
    assert send("POST", f"{path(send)}/disablescheduling", asked).status == 200
    assert states(send) == ["running"]
    batch.advance(60)
    assert (states(send), nodes(send)[0]["schedulingState"]) == (["offline"], "disabled")
    assert send("POST", f"{path(send)}/enablescheduling").status == 200
    assert send("POST", f"{path(send)}/reboot", {}).status == 202
    assert seen(batch, send, ["idle"]) == [["rebooting"], ["starting"], ["idle"]]


@pytest.mark.documented("O:disable_node_scheduling: only if its current scheduling state is enabled")
def test_scheduling_is_switched_whatever_the_node_does_but_not_twice(batch, send, make, job, add):
    make(startTask={"commandLine": "exit 1"})
    job()
    batch.run_until_idle()
    assert states(send) == ["starttaskfailed"]
    assert send("POST", f"{path(send)}/disablescheduling").status == 200
    assert send("POST", f"{path(send)}/disablescheduling").code == "NodeAlreadyInTargetSchedulingState"
    assert send("POST", f"{path(send)}/enablescheduling").status == 200
    assert send("POST", f"{path(send)}/enablescheduling").code == "NodeAlreadyInTargetSchedulingState"


@pytest.mark.documented("E:BatchNodeState.deallocating, deallocated; O:start_node")
def test_a_node_is_deallocated_and_started(batch, send, make):
    make()
    batch.run_until_idle()
    assert send("POST", f"{path(send)}/start").status == 409
    assert send("POST", f"{path(send)}/deallocate", {}).status == 202
    assert seen(batch, send, ["deallocated"]) == [["deallocating"], ["deallocated"]]
    assert send("POST", f"{path(send)}/reboot").status == 409
    assert pool(send)["currentDedicatedNodes"] == 1
    assert send("POST", f"{path(send)}/start").status == 202
    assert seen(batch, send, ["idle"]) == [["starting"], ["idle"]]


@pytest.mark.documented("E:BatchNodeState.reimaging")
def test_a_node_is_reimaged_where_that_is_accepted(vm, raw_for):
    with Simulation(switches=Switches(reimage_is_accepted=True)) as batch:
        send = raw_for(batch)
        send("POST", "/pools", {"id": "p", **vm, "targetDedicatedNodes": 1})
        batch.run_until_idle()
        assert send("POST", f"{path(send)}/reimage", {}).status == 202
        assert seen(batch, send, ["idle"]) == [["reimaging"], ["starting"], ["idle"]]


@pytest.mark.documented("E:BatchNodeState.unusable, unknown, upgradingos, preempted: tasks are rescheduled")
@pytest.mark.parametrize("state", ["unusable", "unknown", "upgradingos", "preempted"])
def test_what_befalls_a_node_takes_its_tasks_and_it_comes_back(batch, send, make, job, add, state):
    make(0, 1)
    job()
    batch.run_until_idle()
    add("t", "sleep 60")
    batch.advance(10)
    name = nodes(send)[0]["id"]
    if state == "preempted":
        batch.preempt_node("p", name, seconds=600)
    else:
        batch.lose_node("p", name, seconds=600, state=state)
    task = send("GET", "/jobs/j/tasks/t").json
    assert (states(send), task["state"]) == ([state], "active")
    counted = send("GET", "/nodecounts").json["value"][0]["lowPriority"]
    assert counted[{"upgradingos": "upgradingOS"}.get(state, state)] == counted["total"] == 1
    assert pool(send)["currentLowPriorityNodes"] == 1
    assert send("POST", f"{path(send)}/reboot").status == 409
    batch.run_until(lambda: states(send) == ["running"])
    batch.run_until_idle()
    task = send("GET", "/jobs/j/tasks/t").json
    assert (task["executionInfo"]["result"], task["executionInfo"]["requeueCount"]) == ("success", 0)


@pytest.mark.documented("M:BatchPool.currentLowPriorityNodes; dedicated nodes are not preempted")
def test_a_dedicated_node_is_not_preempted_and_no_other_state_befalls_one(batch, send, make):
    make()
    batch.run_until_idle()
    with pytest.raises(EmulatorError, match="spot"):
        batch.preempt_node("p", nodes(send)[0]["id"])
    with pytest.raises(EmulatorError, match="unusable, unknown, upgradingos"):
        batch.lose_node("p", nodes(send)[0]["id"], state="idle")


@pytest.mark.documented("E:BatchNodeDeallocationOption")
@pytest.mark.parametrize("how", ["resize", "removenodes"])
@pytest.mark.parametrize(
    ("option", "state", "leaves_after"),
    [
        ("requeue", "active", 0),
        ("terminate", "completed", 0),
        ("taskcompletion", "completed", 60),
        ("retaineddata", "completed", 60 + HOUR),
    ],
)
def test_a_node_leaves_when_its_option_lets_it(batch, send, make, job, add, how, option, state, leaves_after):
    make()
    job()
    batch.run_until_idle()
    add("t", "sleep 60", constraints={"retentionTime": "PT1H"})
    body = {"nodeDeallocationOption": option, "resizeTimeout": "PT12H"}
    body |= {"targetDedicatedNodes": 0} if how == "resize" else {"nodeList": [nodes(send)[0]["id"]]}
    assert send("POST", f"/pools/p/{how}", body).status == 202
    batch.advance(max(leaves_after - 1, 0))
    assert len(nodes(send)) == 1
    assert pool(send)["allocationState"] == "resizing"
    assert send("POST", "/jobs/j/tasks", {"id": "later", "commandLine": "true"}).status == 201
    batch.advance(2)
    assert (nodes(send), pool(send)["allocationState"]) == ([], "steady")
    assert (pool(send)["targetDedicatedNodes"], pool(send).get("resizeErrors")) == (0, None)
    assert send("GET", "/jobs/j/tasks/t").json["state"] == state
    assert send("GET", "/jobs/j/tasks/later").json["state"] == "active"


@pytest.mark.documented("E:BatchNodeRebootKind, E:BatchNodeDeallocateOption")
@pytest.mark.parametrize(
    ("operation", "name"), [("reboot", "nodeRebootOption"), ("deallocate", "nodeDeallocateOption")]
)
@pytest.mark.parametrize(
    ("option", "after"), [("requeue", 0), ("terminate", 0), ("taskcompletion", 60), ("retaineddata", 60 + HOUR)]
)
def test_a_node_is_restarted_or_given_back_when_its_option_lets_it(
    batch, send, make, job, add, operation, name, option, after
):
    make()
    job()
    batch.run_until_idle()
    add("t", "sleep 60", constraints={"retentionTime": "PT1H"})
    assert send("POST", f"{path(send)}/{operation}", {name: option}).status == 202
    batch.advance(max(after - 1, 0))
    if after:
        assert states(send)[0] in ("running", "idle")
    batch.advance(1.001 if after else 0)
    assert states(send) == [f"{operation.removesuffix('e')}ing"]
    task = send("GET", "/jobs/j/tasks/t").json
    assert task["state"] == ("active" if option == "requeue" else "completed")


@pytest.mark.documented("O:stop_pool_resize, D:batch-pool-node-error-checking")
def test_a_resize_that_waits_for_a_task_is_stopped_or_ends_at_its_timeout(batch, send, make, job, add):
    make()
    job()
    batch.run_until_idle()
    add("t", "sleep 7200")
    shrink = {"targetDedicatedNodes": 0, "nodeDeallocationOption": "taskcompletion", "resizeTimeout": "PT5M"}
    assert send("POST", "/pools/p/resize", shrink).status == 202
    batch.advance(299)
    assert pool(send)["allocationState"] == "resizing"
    batch.advance(1)
    shown = pool(send)
    assert (shown["allocationState"], [one["code"] for one in shown["resizeErrors"]]) == (
        "steady",
        ["AllocationTimedout"],
    )
    assert send("POST", "/pools/p/resize", shrink).status == 202
    assert "resizeErrors" not in pool(send)
    batch.advance(1)
    assert send("POST", "/pools/p/stopresize").status == 202
    assert pool(send)["allocationState"] in ("stopping", "steady")
    batch.run_until(lambda: pool(send)["allocationState"] == "steady")
    assert [one["code"] for one in pool(send)["resizeErrors"]] == ["ResizeStopped"]
    assert (states(send), pool(send)["targetDedicatedNodes"]) == (["running"], 0)


@pytest.mark.documented("NET: PoolResizeErrorCodes; G:nextflow: errors stay until the next resize")
def test_a_full_account_is_told_for_each_sort_of_node(vm, raw_for):
    with Simulation(limits=Limits(nodes_per_account=2)) as batch:
        send = raw_for(batch)
        counts = {"targetDedicatedNodes": 2, "targetLowPriorityNodes": 3}
        send("POST", "/pools", {"id": "p", **vm, **counts})
        batch.run_until_idle()
        shown = pool(send)
        assert (shown["allocationState"], shown["currentDedicatedNodes"], shown["currentLowPriorityNodes"]) == (
            *("steady", 2, 0),
        )
        assert [one["code"] for one in shown["resizeErrors"]] == ["AccountLowPriorityCoreQuotaReached"]
        send("POST", "/pools/p/resize", {"targetDedicatedNodes": 3, "targetLowPriorityNodes": 0})
        batch.run_until_idle()
        assert [one["code"] for one in pool(send)["resizeErrors"]] == ["AccountCoreQuotaReached"]


@pytest.mark.documented("E:BatchNodeState.leavingpool, E:BatchPoolState.deleting")
def test_a_pool_with_work_is_deleted_and_its_nodes_leave(batch, send, make, job, add):
    make(2)
    job()
    batch.run_until_idle()
    add("t", "sleep 60")
    assert send("DELETE", "/pools/p").status == 202
    shown = pool(send)
    assert (shown["state"], shown["allocationState"], states(send)) == ("deleting", "resizing", ["leavingpool"] * 2)
    for method, one, body in (
        ("DELETE", "/pools/p", None),
        ("PATCH", "/pools/p", {"metadata": []}),
        ("POST", "/pools/p/resize", {"targetDedicatedNodes": 1}),
        ("POST", "/pools/p/stopresize", None),
        ("POST", "/pools/p/removenodes", {"nodeList": ["x"]}),
        ("POST", "/pools/p/enableautoscale", {"autoScaleFormula": "1"}),
    ):
        assert send(method, one, body).code == "PoolBeingDeleted", one
    batch.run_until(lambda: send("GET", "/pools/p").status == 404)
    task = send("GET", "/jobs/j/tasks/t").json
    assert (task["state"], send("GET", "/jobs/j").json["state"]) == ("active", "active")
