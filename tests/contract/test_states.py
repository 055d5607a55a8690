"""Every operation on a job, its tasks and a schedule in every state, and every state seen through HTTP.

The account is simulated, so each state lasts as long as the test wants; the SDK and a signed client ask over HTTP.
"""

from __future__ import annotations

import pytest

from reconciler.emulator import Simulation
from reconciler.emulator.switches import Switches, Timings
from reconciler.emulator.times import MINUTE

RELEASED = {
    "jobPreparationTask": {"commandLine": "sleep 1"},
    "jobReleaseTask": {"commandLine": "sleep 10m"},
}


@pytest.fixture
def simulate(vm):
    """A simulated account with a pool `p` of one node that has two slots."""
    made = []

    def start(timings=None, **switches):
        batch = Simulation(switches=Switches(**switches), timings=timings or Timings())
        made.append(batch)
        pool = {"id": "p", **vm, "targetDedicatedNodes": 1, "taskSlotsPerNode": 2}
        assert batch.request("POST", "/pools", pool).status == 201
        batch.advance(1)
        return batch

    yield start
    for batch in made:
        batch.close()


@pytest.fixture
def batch(simulate):
    return simulate(Timings(enable_job=MINUTE))


@pytest.fixture
def ask(batch, raw_for):
    return raw_for(batch)


@pytest.fixture
def sdk(batch, client_for):
    with client_for(batch) as made:
        yield made


def bring(batch, sdk, ask, state):
    """A job `j` in that state: `ended` failed, `waits` fits nowhere, `runs` runs while it may."""
    sdk.create_job({"id": "j", "poolInfo": {"poolId": "p"}, **RELEASED})
    sdk.create_task("j", {"id": "ended", "commandLine": "false"})
    batch.advance(10)
    sdk.create_task("j", {"id": "waits", "commandLine": "true", "requiredSlots": 9})
    sdk.create_task("j", {"id": "runs", "commandLine": "sleep infinity"})
    steps = {
        "active": [],
        "disabling": [("POST", "/jobs/j/disable", {"disableTasks": "wait"}, 1)],
        "disabled": [("POST", "/jobs/j/disable", {"disableTasks": "requeue"}, 1)],
        "enabling": [
            ("POST", "/jobs/j/disable", {"disableTasks": "requeue"}, 1),
            ("POST", "/jobs/j/enable", None, 1),
        ],
        "terminating": [("POST", "/jobs/j/terminate", None, 1)],
        "completed": [("POST", "/jobs/j/terminate", None, 700)],
        "deleting": [("DELETE", "/jobs/j", None, 1)],
    }
    for method, path, body, seconds in steps[state]:
        assert ask(method, path, body).status == 202
        batch.advance(seconds)
    assert sdk.get_job("j").state == state


JOB_STATES = ("active", "disabling", "disabled", "enabling", "terminating", "completed", "deleting")
INVALID, TERMINATED, DONE, DELETED = (
    "OperationInvalidForCurrentState",
    "JobBeingTerminated",
    "JobCompleted",
    "JobBeingDeleted",
)
JOB_ANSWERS = {  # a status, or the code of a 409, in the order of JOB_STATES
    "create": ("JobExists", "JobExists", "JobExists", "JobExists", TERMINATED, DONE, DELETED),
    "get": (200, 200, 200, 200, 200, 200, 200),
    "patch": (200, 200, 200, INVALID, TERMINATED, DONE, DELETED),
    "put": (200, 200, 200, INVALID, TERMINATED, DONE, DELETED),
    "disable": (202, 202, 202, INVALID, TERMINATED, DONE, DELETED),
    "enable": (INVALID, 202, 202, INVALID, TERMINATED, DONE, DELETED),
    "terminate": (202, 202, 202, 202, TERMINATED, DONE, DELETED),
    "delete": (202, 202, 202, 202, 202, 202, DELETED),
    "add task": (201, 201, 201, 201, TERMINATED, DONE, DELETED),
    "add tasks": (200, 200, 200, 200, TERMINATED, DONE, DELETED),
    "put task": (200, 200, 200, 200, 200, 200, DELETED),
    "terminate task": (204, 204, 204, 204, 204, 204, DELETED),
    "reactivate task": (204, 204, 204, 204, TERMINATED, DONE, DELETED),
    "delete task": (200, 200, 200, 200, 200, 200, DELETED),
    "list tasks": (200, 200, 200, 200, 200, 200, 200),
    "counts": (200, 200, 200, 200, 200, 200, 200),
    "status list": (200, 200, 200, 200, 200, 200, 200),
}
JOB_REQUESTS = {
    "create": ("POST", "/jobs", {"id": "J", "poolInfo": {"poolId": "p"}}),
    "get": ("GET", "/jobs/j", None),
    "patch": ("PATCH", "/jobs/j", {"priority": 5}),
    "put": ("PUT", "/jobs/j", {"poolInfo": {"poolId": "p"}}),
    "disable": ("POST", "/jobs/j/disable", {"disableTasks": "requeue"}),
    "enable": ("POST", "/jobs/j/enable", None),
    "terminate": ("POST", "/jobs/j/terminate", None),
    "delete": ("DELETE", "/jobs/j", None),
    "add task": ("POST", "/jobs/j/tasks", {"id": "new", "commandLine": "true"}),
    "add tasks": ("POST", "/jobs/j/addtaskcollection", {"value": [{"id": "new", "commandLine": "true"}]}),
    "put task": ("PUT", "/jobs/j/tasks/waits", {"constraints": {"maxTaskRetryCount": 2}}),
    "terminate task": ("POST", "/jobs/j/tasks/waits/terminate", None),
    "reactivate task": ("POST", "/jobs/j/tasks/ended/reactivate", None),
    "delete task": ("DELETE", "/jobs/j/tasks/waits", None),
    "list tasks": ("GET", "/jobs/j/tasks", None),
    "counts": ("GET", "/jobs/j/taskcounts", None),
    "status list": ("GET", "/jobs/j/jobpreparationandreleasetaskstatus", None),
}


def told(answer):
    return answer.code if answer.status == 409 else answer.status


@pytest.mark.documented(
    "E:BatchJobState; O of each operation; DE for the codes; where O is silent: by state (INFERRED)"
)
@pytest.mark.parametrize("number", range(len(JOB_STATES)), ids=JOB_STATES)
@pytest.mark.parametrize("operation", JOB_REQUESTS)
def test_each_operation_on_a_job_is_answered_by_its_state(batch, sdk, ask, operation, number):
    bring(batch, sdk, ask, JOB_STATES[number])
    before = ask("GET", "/jobs/j").json["eTag"]
    answer = ask(*JOB_REQUESTS[operation])
    assert told(answer) == JOB_ANSWERS[operation][number]
    if answer.status == 409:
        assert ask("GET", "/jobs/j").json["eTag"] == before


@pytest.mark.emulator_only
def test_an_enabled_job_can_be_seen_enabling_and_takes_up_its_tasks_when_it_is_active(batch, sdk, ask):
    bring(batch, sdk, ask, "enabling")
    job = sdk.get_job("j")
    assert (job.previous_state, sdk.get_task("j", "runs").state) == ("disabled", "active")
    assert [one.id for one in sdk.list_jobs(filter="state eq 'enabling'")] == ["j"]
    batch.advance(60)
    assert (sdk.get_job("j").state, sdk.get_task("j", "runs").state) == ("active", "running")


@pytest.mark.emulator_only
@pytest.mark.parametrize("operation", ["terminate", "delete"])
def test_a_job_that_is_disabling_or_enabling_ends_with_its_release(batch, sdk, ask, operation):
    for number, state in enumerate(("disabling", "enabling"), 1):
        bring(batch, sdk, ask, state)
        assert ask(*JOB_REQUESTS[operation]).status == 202
        batch.advance(1)
        [entry] = sdk.list_job_preparation_and_release_task_status("j")
        assert entry.job_release_task_execution_info.state == "running"
        assert sdk.get_task("j", "runs").state == ("completed" if state == "disabling" else "active")
        batch.advance(600)
        if operation == "terminate":
            assert sdk.get_job("j").state == "completed"
            assert ask("DELETE", "/jobs/j").status == 202
            batch.advance(1)
        assert ask("GET", "/jobs/j").code == "JobNotFound", number


@pytest.mark.documented("E:DisableBatchJobOption; DR: disabling until the option is carried out")
def test_a_second_disable_can_hasten_the_first(batch, sdk, ask):
    bring(batch, sdk, ask, "disabling")
    assert sdk.get_task("j", "runs").state == "running"
    assert ask("POST", "/jobs/j/disable", {"disableTasks": "terminate"}).status == 202
    batch.advance(1)
    task = sdk.get_task("j", "runs")
    assert (sdk.get_job("j").state, task.state, task.execution_info.failure_info.code) == (
        "disabled",
        "completed",
        "TaskEnded",
    )
