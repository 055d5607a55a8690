"""Tasks in the rarer cases: changed limits, priority, limits of jobs, requeued and retried tasks. On simulated time."""

from __future__ import annotations

import pytest

from reconciler.emulator import Simulation


@pytest.fixture
def batch(vm):
    """An account with a pool `p` of one node that has two slots."""
    with Simulation() as batch:
        pool = {"id": "p", **vm, "targetDedicatedNodes": 1, "taskSlotsPerNode": 2}
        assert batch.request("POST", "/pools", pool).status == 201
        batch.advance(1)
        yield batch


@pytest.fixture
def sdk(batch, client_for):
    with client_for(batch) as made:
        yield made


@pytest.fixture
def make(sdk):
    """Create a job of that id with tasks of these ids, all with the same command."""

    def create(job_id, *task_ids, command="sleep 100", **settings):
        sdk.create_job({"id": job_id, "poolInfo": {"poolId": "p"}, **settings})
        for task_id in task_ids:
            sdk.create_task(job_id, {"id": task_id, "commandLine": command})

    return create


def states(sdk, job_id):
    return {task.id: str(task.state.value) for task in sdk.list_tasks(job_id)}


def running(sdk, job_id):
    return sorted(task_id for task_id, state in states(sdk, job_id).items() if state == "running")


def seconds(task):
    return (task.execution_info.end_time - task.execution_info.start_time).total_seconds()


@pytest.mark.documented("O:replace_task: constraints; M:BatchTaskConstraints.maxWallClockTime")
@pytest.mark.parametrize(
    ("limit", "took", "result"), [("PT30S", 50, "failure"), ("PT70S", 70, "failure"), (None, 100, "success")]
)
def test_a_new_limit_counts_for_the_command_that_runs(batch, sdk, make, limit, took, result):
    make("j")
    sdk.create_task("j", {"id": "t", "commandLine": "sleep 100", "constraints": {"maxWallClockTime": "PT90S"}})
    batch.advance(50)
    sdk.replace_task("j", "t", {"constraints": {"maxWallClockTime": limit}})
    batch.advance(hours=1)
    task = sdk.get_task("j", "t")
    assert (round(seconds(task)), task.execution_info.result) == (took, result)
    assert (task.execution_info.failure_info is None) == (result == "success")


@pytest.mark.documented("O:replace_task; M:BatchTaskConstraints.maxTaskRetryCount: -1 is no limit")
def test_retries_without_limit_end_when_the_limit_is_taken_down(batch, sdk, make):
    make("j")
    limits = {"constraints": {"maxTaskRetryCount": -1}}
    sdk.create_task("j", {"id": "t", "commandLine": "sleep 10; exit 5", **limits})
    batch.advance(1005)
    info = sdk.get_task("j", "t").execution_info
    assert (info.retry_count, info.last_retry_time, info.exit_code) == (100, info.start_time, None)
    sdk.replace_task("j", "t", {"constraints": {"maxTaskRetryCount": 3}})
    batch.advance(10)
    task = sdk.get_task("j", "t")
    assert (task.state, task.execution_info.retry_count, task.execution_info.exit_code) == ("completed", 100, 5)


@pytest.mark.documented("DR: a changed retry count reaches only tasks added later")
def test_a_jobs_new_retry_count_reaches_only_new_tasks(batch, sdk, make):
    make("j", "old", command="exit 1")
    sdk.update_job("j", {"constraints": {"maxTaskRetryCount": 2}})
    sdk.create_task("j", {"id": "new", "commandLine": "exit 1"})
    batch.advance(60)
    assert [sdk.get_task("j", name).execution_info.retry_count for name in ("old", "new")] == [0, 2]


@pytest.mark.documented("D:jobs-and-tasks: priority orders jobs within a pool, running tasks are not preempted")
def test_a_changed_priority_orders_what_still_waits(batch, sdk, make):
    make("first", "a", "b", "c", priority=5)
    make("second", "x", "y", priority=0)
    batch.advance(10)
    sdk.update_job("second", {"priority": 6})
    batch.advance(10)
    assert (running(sdk, "first"), running(sdk, "second")) == (["a", "b"], [])
    batch.advance(90)
    assert (running(sdk, "first"), running(sdk, "second")) == ([], ["x", "y"])
    batch.advance(100)
    assert running(sdk, "first") == ["c"]


@pytest.mark.documented("M:BatchJob.maxParallelTasks")
def test_the_limit_of_parallel_tasks_can_be_changed(batch, sdk, make):
    make("j", "a", "b", "c", maxParallelTasks=1)
    batch.advance(10)
    assert running(sdk, "j") == ["a"]
    sdk.update_job("j", {"maxParallelTasks": -1})
    batch.advance(10)
    assert running(sdk, "j") == ["a", "b"]
    sdk.update_job("j", {"maxParallelTasks": 1})
    batch.advance(85)
    assert running(sdk, "j") == ["b"]
    batch.advance(100)
    assert running(sdk, "j") == ["c"]


@pytest.mark.documented("M:BatchTaskExecutionInfo.requeueCount: caused by users; retryCount apart")
def test_requeued_by_disable_reboot_and_removal_and_not_by_loss(batch, sdk, make):
    make("j", "t", command="sleep infinity")
    batch.advance(10)
    sdk.begin_disable_job("j", {"disableTasks": "requeue"}, polling_interval=0)
    batch.advance(10)
    info = sdk.get_task("j", "t").execution_info
    assert (info.requeue_count, info.retry_count, info.start_time) == (1, 0, None)
    sdk.begin_enable_job("j", polling_interval=0)
    batch.advance(10)
    [node] = [one.id for one in sdk.list_nodes("p")]
    sdk.begin_reboot_node("p", node, {"nodeRebootOption": "requeue"}, polling_interval=0)
    batch.advance(10)
    batch.lose_node("p", node, seconds=60)
    batch.advance(100)
    task = sdk.get_task("j", "t")
    assert (task.state, task.execution_info.requeue_count, task.execution_info.retry_count) == ("running", 2, 0)
    sdk.begin_remove_nodes("p", {"nodeList": [node], "nodeDeallocationOption": "requeue"}, polling_interval=0)
    batch.advance(10)
    task = sdk.get_task("j", "t")
    assert (task.state, task.execution_info.requeue_count, task.node_info) == ("active", 3, None)


@pytest.mark.documented("O:reactivate_task: retry count and exit data are reset")
def test_a_reactivated_task_has_all_its_retries_again(batch, sdk, make):
    make("j", constraints={"maxTaskRetryCount": 2})
    batch.script(task="t", exit_code=7, times=5)
    sdk.create_task("j", {"id": "t", "commandLine": "true"})
    batch.advance(10)
    info = sdk.get_task("j", "t").execution_info
    assert (info.retry_count, info.exit_code) == (2, 7)
    sdk.begin_disable_job("j", {"disableTasks": "wait"}, polling_interval=0)
    sdk.reactivate_task("j", "t")
    task = sdk.get_task("j", "t")
    info = task.execution_info
    assert (task.state, task.previous_state, info.retry_count, info.exit_code, info.failure_info, info.end_time) == (
        *("active", "completed", 0),
        *(None, None, None),
    )
    sdk.begin_enable_job("j", polling_interval=0)
    batch.advance(10)
    info = sdk.get_task("j", "t").execution_info
    assert (info.retry_count, info.result) == (2, "success")


@pytest.mark.documented("M:BatchTaskConstraints.retentionTime; O:delete_task, O:delete_job: whatever the retention")
def test_directories_go_with_the_task_and_with_the_job_whatever_their_retention(batch, sdk, make):
    make("j", "a", "b", command="true")
    batch.advance(10)
    [node] = [one.id for one in sdk.list_nodes("p")]

    def directories():
        names = [one.name.split("/") for one in sdk.list_node_files("p", node, recursive=True)]
        return sorted({name[3] for name in names if name[0] == "workitems" and len(name) > 3})

    assert directories() == ["a", "b"]
    sdk.delete_task("j", "a")
    assert directories() == ["b"]
    sdk.begin_delete_job("j", polling_interval=0)
    batch.advance(10)
    assert directories() == []


@pytest.mark.documented("E:BatchTaskState.preparing; O:terminate_task, O:delete_task")
@pytest.mark.parametrize("deletes", [False, True])
def test_a_preparing_task_can_be_ended_and_the_preparation_goes_on(batch, sdk, make, deletes):
    make("j", "t", jobPreparationTask={"commandLine": "sleep 50"})
    batch.advance(10)
    assert states(sdk, "j") == {"t": "preparing"}
    (sdk.delete_task if deletes else sdk.terminate_task)("j", "t")
    batch.advance(60)
    [entry] = sdk.list_job_preparation_and_release_task_status("j")
    assert entry.job_preparation_task_execution_info.result == "success"
    if not deletes:
        task = sdk.get_task("j", "t")
        assert (task.state, task.execution_info.failure_info.code, task.execution_info.start_time) == (
            *("completed", "TaskEnded"),
            None,
        )
