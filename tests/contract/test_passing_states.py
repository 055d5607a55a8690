"""States that pass too quickly to be met by chance, each held by a virtual clock and looked at over HTTP."""

from __future__ import annotations

import pytest

from reconciler.emulator import Simulation


@pytest.fixture
def simulation():
    with Simulation() as made:
        yield made


@pytest.fixture
def ask(simulation, raw_for):
    """A request to the simulated account; the answer's JSON."""
    raw = raw_for(simulation)

    def do(method, path, body=None):
        answer = raw(method, path, body)
        assert answer.status < 300, answer
        return answer.json if answer.body else None

    return do


@pytest.mark.documented("M:BatchJobReleaseTask; E:BatchJobReleaseTaskState")
def test_a_release_that_runs_is_shown_running(simulation, ask, vm):
    simulation.script(command="tidy", seconds=60)
    ask("POST", "/pools", {"id": "p", **vm, "targetDedicatedNodes": 1})
    job = {
        "id": "j",
        "poolInfo": {"poolId": "p"},
        "jobPreparationTask": {"commandLine": "prepare"},
        "jobReleaseTask": {"commandLine": "tidy"},
    }
    ask("POST", "/jobs", job)
    ask("POST", "/jobs/j/tasks", {"id": "t", "commandLine": "work"})
    simulation.advance(minutes=1)
    ask("POST", "/jobs/j/terminate", {"terminateReason": "enough"})
    simulation.advance(seconds=30)
    [entry] = ask("GET", "/jobs/j/jobpreparationandreleasetaskstatus")["value"]
    shown = entry["jobReleaseTaskExecutionInfo"]
    assert (shown["state"], "endTime" in shown, "exitCode" in shown) == ("running", False, False)
    assert ask("GET", "/jobs/j")["state"] == "terminating"
    simulation.advance(seconds=40)
    [entry] = ask("GET", "/jobs/j/jobpreparationandreleasetaskstatus")["value"]
    assert entry["jobReleaseTaskExecutionInfo"]["state"] == "completed"
    assert ask("GET", "/jobs/j")["state"] == "completed"


@pytest.mark.documented("E:AllocationState.stopping; R26:scale_pools")
def test_a_resize_is_shown_stopping_until_nodes_on_their_way_out_are_gone(simulation, ask, vm):
    ask("POST", "/pools", {"id": "p", **vm, "targetDedicatedNodes": 2})
    simulation.advance(minutes=1)
    ask("POST", "/pools/p/resize", {"targetDedicatedNodes": 0})
    simulation.advance(seconds=0.15)
    assert {node["state"] for node in ask("GET", "/pools/p/nodes")["value"]} == {"leavingpool"}
    ask("POST", "/pools/p/stopresize")
    assert ask("GET", "/pools/p")["allocationState"] == "stopping"
    simulation.advance(minutes=1)
    pool = ask("GET", "/pools/p")
    assert (pool["allocationState"], pool["currentDedicatedNodes"]) == ("steady", 0)


@pytest.mark.documented("E:BatchSubtaskState: preparing waits for job preparation")
def test_subtasks_prepare_while_job_preparation_runs_on_their_nodes(simulation, ask, vm):
    for command in ("prepare", "coordinate", "work"):
        simulation.script(command=command, seconds=60)
    ask("POST", "/pools", {"id": "p", **vm, "targetDedicatedNodes": 3, "enableInterNodeCommunication": True})
    simulation.advance(minutes=1)
    ask("POST", "/jobs", {"id": "j", "poolInfo": {"poolId": "p"}, "jobPreparationTask": {"commandLine": "prepare"}})
    many = {"numberOfInstances": 3, "coordinationCommandLine": "coordinate"}
    ask("POST", "/jobs/j/tasks", {"id": "t", "commandLine": "work", "multiInstanceSettings": many})
    seen = []
    for _ in range(6):
        simulation.advance(seconds=35)
        seen.append({subtask["state"] for subtask in ask("GET", "/jobs/j/tasks/t/subtasksinfo")["value"]})
    assert (seen[0], seen[2], seen[-1]) == ({"preparing"}, {"running"}, {"completed"})
