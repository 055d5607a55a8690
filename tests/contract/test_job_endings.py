"""What ends a job or lets its dependants go: exit conditions, the manager, the last task. On simulated time."""

from __future__ import annotations

import itertools

import pytest

from reconciler.emulator import Simulation

NONE, DISABLE, TERMINATE = ({"jobAction": name} for name in ("none", "disable", "terminate"))
CODES = {"exitCodes": [{"code": 3, "exitOptions": NONE}], "default": TERMINATE}
RANGES = {"exitCodeRanges": [{"start": 3, "end": 5, "exitOptions": NONE}], "default": TERMINATE}


@pytest.fixture
def batch(vm):
    """An account with a pool `p` of one node that has four slots."""
    with Simulation() as batch:
        pool = {"id": "p", **vm, "targetDedicatedNodes": 1, "taskSlotsPerNode": 4}
        assert batch.request("POST", "/pools", pool).status == 201
        batch.advance(1)
        yield batch


@pytest.fixture
def sdk(batch, client_for):
    with client_for(batch) as made:
        yield made


@pytest.fixture
def make(sdk):
    numbers = itertools.count(1)

    def create(**settings):
        job_id = f"j{next(numbers)}"
        sdk.create_job({"id": job_id, "poolInfo": {"poolId": "p"}, **settings})
        return job_id

    return create


def ending(sdk, job_id):
    job = sdk.get_job(job_id)
    return job.state, job.execution_info.termination_reason


ON_FAILURE = {"onTaskFailure": "performexitoptionsjobaction"}


@pytest.mark.documented("M:ExitConditions, M:ExitOptions.jobAction, E:BatchJobActionKind")
@pytest.mark.parametrize(
    ("command", "conditions", "state"),
    [
        ("true", {}, "active"),
        ("exit 3", {}, "completed"),
        ("exit 3", CODES, "active"),
        ("exit 4", CODES, "completed"),
        ("exit 2", RANGES, "completed"),
        ("exit 3", RANGES, "active"),
        ("exit 5", RANGES, "active"),
        ("exit 6", RANGES, "completed"),
        ("exit 3", {**CODES, "exitCodeRanges": [{"start": 0, "end": 9, "exitOptions": TERMINATE}]}, "active"),
        ("exit 3", {"default": NONE}, "active"),
        ("exit 3", {"default": DISABLE}, "disabled"),
        ("exit 3", {"exitCodes": [{"code": 3, "exitOptions": {}}]}, "completed"),
        ("true", {"default": TERMINATE}, "active"),
        ("true", {"exitCodes": [{"code": 0, "exitOptions": TERMINATE}]}, "completed"),
        ("true", {"exitCodeRanges": [{"start": -1, "end": 1, "exitOptions": DISABLE}]}, "disabled"),
        ("missing", {}, "completed"),
        ("missing", {"preProcessingError": NONE, "default": TERMINATE}, "active"),
        ("missing", {"preProcessingError": DISABLE}, "disabled"),
        ("missing", {"default": NONE}, "active"),
        ("exit 3", {"preProcessingError": NONE}, "completed"),
        ("exit 3", {"fileUploadError": NONE}, "completed"),
        ("sleep infinity", {"default": NONE}, "active"),
        ("sleep infinity", {"preProcessingError": NONE}, "completed"),
        ("sleep infinity", {"preProcessingError": TERMINATE, "default": NONE}, "active"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_exit_conditions_decide_what_becomes_of_the_job(batch, sdk, make, command, conditions, state, last):
    batch.script(command="missing", problem="CommandProgramNotFound")
    job_id = make(**ON_FAILURE, **({"onAllTasksComplete": "terminatejob"} if last else {}))
    sdk.create_task(
        job_id,
        {
            "id": "t",
            "commandLine": command,
            "exitConditions": conditions,
            "constraints": {"maxWallClockTime": "PT30S"},
        },
    )
    batch.advance(60)
    if last and state in ("active", "disabled"):
        assert ending(sdk, job_id) == ("completed", "AllTasksComplete")  # it ends a disabled job too (G)
    else:
        assert ending(sdk, job_id) == (state, "TaskFailed" if state == "completed" else None)


@pytest.mark.documented("M:ExitConditions: a task ended by request has started, so it met no pre-processing error")
@pytest.mark.parametrize(("name", "state"), [("preProcessingError", "active"), ("default", "completed")])
def test_a_task_ended_by_request_counts_as_failed_not_as_unable_to_start(batch, sdk, make, name, state):
    job_id = make(usesTaskDependencies=True)
    conditions = {name: {"dependencyAction": "satisfy"}}
    sdk.create_task(job_id, {"id": "a", "commandLine": "sleep infinity", "exitConditions": conditions})
    sdk.create_task(job_id, {"id": "b", "commandLine": "true", "dependsOn": {"taskIds": ["a"]}})
    batch.advance(10)
    sdk.terminate_task(job_id, "a")
    batch.advance(10)
    assert sdk.get_task(job_id, "b").state == state


@pytest.mark.documented("E:BatchJobActionKind.disable: as the disable request with requeue")
def test_the_disable_action_puts_running_tasks_back(batch, sdk, make):
    job_id = make(**ON_FAILURE)
    sdk.create_task(job_id, {"id": "other", "commandLine": "sleep infinity"})
    sdk.create_task(job_id, {"id": "t", "commandLine": "false", "exitConditions": {"default": DISABLE}})
    batch.advance(10)
    other = sdk.get_task(job_id, "other")
    assert (sdk.get_job(job_id).state, other.state, other.execution_info.requeue_count) == ("disabled", "active", 1)


@pytest.mark.documented("M:ExitConditions: the action follows the last try")
def test_retries_come_before_exit_conditions(batch, sdk, make):
    job_id = make(**ON_FAILURE)
    batch.script(task="t", exit_code=9, times=2)
    sdk.create_task(job_id, {"id": "t", "commandLine": "true", "constraints": {"maxTaskRetryCount": 2}})
    batch.advance(60)
    task = sdk.get_task(job_id, "t")
    assert (task.execution_info.retry_count, task.execution_info.result) == (2, "success")
    assert sdk.get_job(job_id).state == "active"


@pytest.mark.documented("M:BatchJobManagerTask.killJobOnCompletion; M:JobExecutionInfo.terminationReason")
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("kills", "command"), [(True, "true"), (True, "false"), (False, "true"), (False, "false")])
def test_the_managers_end_ends_the_job_if_it_is_to(batch, sdk, make, kills, command, last):
    job_id = make(
        jobManagerTask={"id": "boss", "commandLine": command, "killJobOnCompletion": kills, "runExclusive": False},
        onAllTasksComplete="terminatejob" if last else "noaction",
    )
    if not last:
        sdk.create_task(job_id, {"id": "worker", "commandLine": "sleep infinity"})
    batch.advance(60)
    reason = "JMComplete" if kills else "AllTasksComplete" if last else None
    assert ending(sdk, job_id) == ("completed" if reason else "active", reason)
    if not last:
        assert sdk.get_task(job_id, "worker").state == ("completed" if kills else "running")


@pytest.mark.documented("M:BatchJobManagerTask.runExclusive: no other task on its node while it runs")
@pytest.mark.parametrize(("exclusive", "together"), [(True, False), (False, True)])
def test_a_manager_runs_alone_on_its_node_unless_it_is_told_otherwise(batch, sdk, make, exclusive, together):
    job_id = make(jobManagerTask={"id": "boss", "commandLine": "sleep 100", "runExclusive": exclusive})
    other = make()
    for one in (job_id, other):
        sdk.create_task(one, {"id": "t", "commandLine": "sleep 10"})
    batch.advance(5)
    states = [sdk.get_task(job_id, "boss").state, sdk.get_task(job_id, "t").state, sdk.get_task(other, "t").state]
    assert states == ["running", *["running" if together else "active"] * 2]


@pytest.mark.documented("M:BatchJobManagerTask.allowLowPriorityNode")
@pytest.mark.parametrize(("allowed", "state"), [(True, "running"), (False, "active")])
def test_a_manager_may_be_kept_off_spot_nodes(batch, sdk, vm, allowed, state):
    sdk.create_pool({"id": "spot", **vm, "targetLowPriorityNodes": 1})
    manager = {"id": "boss", "commandLine": "sleep infinity", "allowLowPriorityNode": allowed}
    sdk.create_job({"id": "j", "poolInfo": {"poolId": "spot"}, "jobManagerTask": manager})
    sdk.create_task("j", {"id": "t", "commandLine": "true"})
    batch.advance(60)
    assert sdk.get_task("j", "boss").state == state
    assert sdk.get_task("j", "t").state == ("active" if allowed else "completed")


@pytest.mark.documented("M:BatchJob.onAllTasksComplete: no tasks counts as all complete; never had one: a switch")
def test_a_job_whose_last_open_task_is_deleted_ends(batch, sdk, make):
    job_id = make(onAllTasksComplete="terminatejob")
    sdk.create_task(job_id, {"id": "t", "commandLine": "sleep infinity"})
    batch.advance(60)
    sdk.delete_task(job_id, "t")
    batch.advance(60)
    assert ending(sdk, job_id) == ("completed", "AllTasksComplete")


@pytest.mark.documented("M:BatchJobConstraints.maxWallClockTime: counted from creation, whatever the state")
def test_the_time_of_a_job_runs_out_while_it_is_disabled_and_can_be_changed(batch, sdk, make):
    short, longer, shorter = (make(constraints={"maxWallClockTime": "PT1H"}) for _ in range(3))
    batch.advance(minutes=10)
    for job_id in (short, longer, shorter):
        sdk.begin_disable_job(job_id, {"disableTasks": "wait"}, polling_interval=0)
    sdk.update_job(longer, {"constraints": {"maxWallClockTime": "PT2H"}})
    sdk.update_job(shorter, {"constraints": {"maxWallClockTime": "PT5M"}})
    batch.advance(1)
    ends = ("completed", "MaxWallClockTimeExpiry")
    assert [ending(sdk, one) for one in (short, longer, shorter)] == [("disabled", None)] * 2 + [ends]
    batch.advance(hours=1)
    assert [ending(sdk, one) for one in (short, longer)] == [ends, ("disabled", None)]
    batch.advance(hours=1)
    assert ending(sdk, longer) == ends
