"""A merge task waits for all declared tasks; one that failed keeps it waiting, unless its exit conditions say that
dependent tasks may go on."""

from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator import Simulation
from tests.laws.conftest import API, Body, Stack

SATISFIED = {"exitCodes": [{"code": 3, "exitOptions": {"dependencyAction": "satisfy"}}]}
BY_RANGE = {"exitCodeRanges": [{"start": 2, "end": 4, "exitOptions": {"dependencyAction": "satisfy"}}]}
BY_DEFAULT = {"default": {"dependencyAction": "satisfy"}}
OTHER_CODE = {"exitCodes": [{"code": 4, "exitOptions": {"dependencyAction": "satisfy"}}]}
SIZE = {
    "vmSize": "Standard_D2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
    "targetDedicatedNodes": 1,
}


def documents(name: str, conditions: Body | None) -> list[dict[str, Any]]:
    template: Body = {"id": "part-${item.n}", "commandLine": "/bin/sh -c 'exit ${item.n}'"}
    if conditions is not None:
        template["exitConditions"] = conditions
    return [
        {**API, "kind": "Pool", "metadata": {"name": name}, "spec": SIZE},
        {
            **API,
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"poolInfo": {"poolId": name}, "usesTaskDependencies": True},
            "taskGroups": [{"name": "parts", "parameters": {"n": {"values": [0, 3]}}, "template": template}],
            "mergeTask": {"id": "merge", "commandLine": "true"},
        },
    ]


def states(simulation: Simulation, name: str) -> dict[str, tuple[str, str | None]]:
    tasks = simulation.get(f"/jobs/{name}/tasks")["value"]
    return {task["id"]: (task["state"], task["executionInfo"].get("result")) for task in tasks}


@pytest.mark.parametrize("conditions", [SATISFIED, BY_RANGE, BY_DEFAULT], ids=["code", "range", "default"])
def test_a_failed_task_frees_the_merge_task_where_its_exit_conditions_say_so(
    home: Path, simulation: Simulation, request: pytest.FixtureRequest, conditions: Body
) -> None:
    name = f"freed-{request.node.callspec.id}"
    stack = Stack(home / name, simulation)
    stack.write(documents(name, conditions))
    code, out, err = stack.run("apply", str(stack.folder), "--auto-approve", "--detailed-exitcode")
    assert states(simulation, name) == {
        "part-0": ("completed", "success"),
        "part-3": ("completed", "failure"),
        "merge": ("completed", "success"),
    }, out + err
    assert code == 6  # a task failed all the same, and is named
    assert "part-3" in out + err
    assert all(change["change"]["actions"] == ["no-op"] for change in stack.plan("--check-tasks").values())


@pytest.mark.parametrize("conditions", [None, OTHER_CODE], ids=["none", "another-code"])
def test_else_the_merge_task_waits(
    home: Path, simulation: Simulation, request: pytest.FixtureRequest, conditions: Body | None
) -> None:
    name = f"kept-{request.node.callspec.id}"
    stack = Stack(home / name, simulation)
    stack.write(documents(name, conditions))
    stack.apply()
    simulation.advance(hours=2)
    assert states(simulation, name)["merge"] == ("active", None)


def test_a_changed_exit_condition_reaches_the_task_that_is_added_anew(home: Path, simulation: Simulation) -> None:
    """The tasks are replaced, run again, and the merge task with them, which depends on all."""
    stack = Stack(home / "changed", simulation)
    stack.write(documents("changed", None))
    stack.apply()
    simulation.advance(hours=2)
    pool, job = documents("changed", SATISFIED)
    stack.write([pool, {**job, "lifecycle": {"tasks": "Replace"}}])
    stack.run("apply", str(stack.folder), "--auto-approve")
    assert states(simulation, "changed")["merge"] == ("completed", "success")
