"""allowTaskPreemption: tasks of jobs that allow it give way to jobs of higher priority. On simulated time."""

from __future__ import annotations

import pytest

from reconciler.emulator import Simulation

pytestmark = pytest.mark.documented(
    "M:BatchJob.allowTaskPreemption: other high priority jobs take precedence and can requeue tasks of this job"
)


@pytest.fixture
def account(vm, client_for):
    """An account with a pool `p` of two nodes with two slots each, and the SDK on it."""
    with Simulation() as batch:
        pool = {"id": "p", **vm, "targetDedicatedNodes": 2, "taskSlotsPerNode": 2}
        assert batch.request("POST", "/pools", pool).status == 201
        batch.advance(1)
        with client_for(batch) as sdk:
            yield batch, sdk


def add(sdk, job_id, tasks, priority=0, *, gives_way=False, job=None, **settings):
    """A job with so many tasks of 100 seconds."""
    body = {"id": job_id, "poolInfo": {"poolId": "p"}, "priority": priority, "allowTaskPreemption": gives_way}
    sdk.create_job({**body, **(job or {})})
    for number in range(tasks):
        sdk.create_task(job_id, {"id": f"t{number}", "commandLine": "sleep 100", **settings})


def running(sdk, job_id):
    return sum(task.state == "running" for task in sdk.list_tasks(job_id))


@pytest.mark.parametrize(
    ("gives_way", "priority", "low", "high"),
    [(True, 5, 3, 1), (False, 5, 4, 0), (True, 0, 4, 0), (True, -5, 4, 0)],
)
def test_only_tasks_of_jobs_that_allow_it_give_way_and_only_to_a_higher_priority(
    account, gives_way, priority, low, high
):
    batch, sdk = account
    add(sdk, "low", 4, gives_way=gives_way)
    batch.advance(10)
    assert running(sdk, "low") == 4
    add(sdk, "high", 1, priority)
    batch.advance(1)
    assert (running(sdk, "low"), running(sdk, "high")) == (low, high)


def test_a_task_that_gave_way_runs_again_from_its_beginning_when_there_is_room(account):
    batch, sdk = account
    add(sdk, "low", 4, gives_way=True)
    batch.advance(50)
    add(sdk, "high", 4, 1)
    batch.advance(1)
    info = [task.execution_info for task in sdk.list_tasks("low")]
    assert {(one.requeue_count, one.retry_count, one.start_time) for one in info} == {(0, 0, None)}
    batch.advance(100)
    assert (running(sdk, "low"), running(sdk, "high")) == (4, 0)
    batch.advance(60)
    assert running(sdk, "low") == 4
    batch.advance(50)
    assert {task.execution_info.result for task in sdk.list_tasks("low")} == {"success"}


def test_the_lowest_priority_and_the_latest_start_give_way_first(account):
    batch, sdk = account
    add(sdk, "lower", 1, -1, gives_way=True)
    batch.advance(10)
    add(sdk, "low", 3, 0, gives_way=True)
    batch.advance(10)
    add(sdk, "high", 1, 1)
    batch.advance(1)
    assert (running(sdk, "lower"), running(sdk, "low"), running(sdk, "high")) == (0, 3, 1)
    sdk.create_task("low", {"id": "late", "commandLine": "sleep 100"})
    batch.advance(100)
    sdk.create_task("high", {"id": "more", "commandLine": "sleep 500", "requiredSlots": 2})
    batch.advance(1)
    assert sdk.get_task("high", "more").state == "running"


def test_as_many_give_way_as_a_big_task_needs_and_none_if_that_is_not_enough(account):
    batch, sdk = account
    add(sdk, "low", 2, gives_way=True)
    batch.advance(1)
    add(sdk, "fixed", 2)
    batch.advance(10)
    add(sdk, "big", 1, 5, requiredSlots=2)
    batch.advance(10)
    assert (running(sdk, "low"), running(sdk, "fixed"), running(sdk, "big")) == (2, 2, 0)
    sdk.terminate_task("fixed", "t0")
    batch.advance(1)
    assert (running(sdk, "low"), running(sdk, "fixed"), running(sdk, "big")) == (1, 1, 1)


def test_a_limit_of_parallel_tasks_is_kept_and_preparation_comes_first(account):
    batch, sdk = account
    add(sdk, "low", 4, gives_way=True)
    batch.advance(10)
    add(sdk, "high", 4, 5, job={"maxParallelTasks": 2, "jobPreparationTask": {"commandLine": "sleep 5"}})
    batch.advance(1)
    assert (running(sdk, "low"), sdk.get_job_task_counts("high").task_counts.running) == (2, 2)
    assert running(sdk, "high") == 0
    batch.advance(10)
    assert running(sdk, "high") == 2


def test_it_can_be_allowed_and_withdrawn_while_tasks_run(account):
    batch, sdk = account
    add(sdk, "low", 4)
    add(sdk, "high", 2, 5)
    batch.advance(10)
    sdk.update_job("low", {"allowTaskPreemption": True})
    batch.advance(1)
    assert (running(sdk, "low"), running(sdk, "high")) == (2, 2)
    sdk.update_job("low", {"allowTaskPreemption": False})
    sdk.create_task("high", {"id": "more", "commandLine": "sleep 1"})
    batch.advance(1)
    assert (running(sdk, "low"), sdk.get_task("high", "more").state) == (2, "active")
