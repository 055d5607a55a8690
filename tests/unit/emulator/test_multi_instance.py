"""Multi-instance tasks on the virtual clock: when they are placed, what fails them, what ends with them."""

from __future__ import annotations

import pytest

from reconciler.emulator import jobs, tasks
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.records import Task, from_json, to_json
from reconciler.emulator.times import SECOND

TOGETHER = {"enableInterNodeCommunication": True}


def mpi(account, job, count=3, command="5 0", coordination="1 0", **settings):
    group = {"numberOfInstances": count, "coordinationCommandLine": coordination}
    return account.task(job, "t", command, multiInstanceSettings=group, **settings)


def test_the_command_runs_on_the_master_once_all_have_coordinated(account):
    account.pool(nodes=4, **TOGETHER)
    task = mpi(account, account.job())
    account.pass_time(1)
    first = account.driver.started[-3:]
    assert [launch.command_line for launch in first] == ["1 0"] * 3
    assert len({launch.node for launch in first}) == 3
    assert [one.state for one in task.subtasks] == ["running"] * 3
    assert sorted(node.state for node in account.nodes()) == ["idle", "running", "running", "running"]
    account.pass_time(1)
    last = account.driver.started[-1]
    assert (last.command_line, last.node, last.follows) == ("5 0", task.node_id, True)
    assert [one.execution.exit_code for one in task.subtasks] == [0, 0, 0]
    assert [one.state for one in task.subtasks] == ["running"] * 3
    account.pass_time(10)
    assert (task.state, task.execution.result) == ("completed", "success")
    assert [one.state for one in task.subtasks] == ["completed"] * 3
    assert task.execution.end - task.execution.start == 6 * SECOND
    assert {node for node, _ in account.driver.swept} == {one.node_id for one in task.subtasks}
    assert [node.state for node in account.nodes()] == ["idle"] * 4
    assert sorted(node.tasks_run for node in account.nodes()) == [0, 1, 1, 1]


def test_variables_and_files_of_primary_and_subtasks(account):
    account.pool(nodes=2, **TOGETHER)
    file = {"httpUrl": "http://x/y", "filePath": "y"}
    group = {"numberOfInstances": 2, "coordinationCommandLine": "1 0", "commonResourceFiles": [file]}
    account.task(account.job(), "t", multiInstanceSettings=group, resourceFiles=[{**file, "filePath": "own"}])
    account.pass_time(10)
    *coordination, primary = account.driver.started
    addresses = primary.variables["AZ_BATCH_NODE_LIST"].split(";")
    assert len(set(addresses)) == 2
    for launch, master in zip(coordination, ("true", "false"), strict=True):
        seen = launch.variables
        assert seen["AZ_BATCH_HOST_LIST"] == ",".join(addresses)
        assert seen["AZ_BATCH_MASTER_NODE"] == f"{addresses[0]}:6000"
        assert seen["AZ_BATCH_IS_CURRENT_NODE_MASTER"] == master
        assert seen["CCP_NODES"].split()[::2] == ["2", seen["CCP_NODES"].split()[2], seen["CCP_NODES"].split()[4]]
        assert (launch.files, len(launch.common_files)) == ((), 1)
        assert launch.paths["AZ_BATCH_TASK_SHARED_DIR"] == "workitems/j/job-1/t"
    assert ([one["filePath"] for one in primary.files], primary.common_files) == (["own"], ())


@pytest.mark.parametrize(
    "pool", [{}, {**TOGETHER, "taskSlotsPerNode": 2}, {**TOGETHER, "nodes": 2}], ids=["apart", "slots", "few"]
)
def test_where_it_cannot_run_it_stays_active(account, pool):
    account.pool(**{"nodes": 3, **pool})
    task = mpi(account, account.job())
    account.pass_time(86_400)
    assert (task.state, account.driver.started) == ("active", [])


def test_it_waits_for_enough_idle_nodes(account):
    account.pool(nodes=3, **TOGETHER)
    job = account.job()
    account.task(job, "first", "30 0")
    account.pass_time(1)
    task = mpi(account, job)
    account.pass_time(10)
    assert task.state == "active"
    account.pass_time(30)
    assert task.state == "completed"


def test_a_failed_coordination_command_fails_the_try_and_the_task_is_retried(account):
    account.pool(nodes=2, **TOGETHER)
    task = mpi(account, account.job(), 2, coordination="1 9", constraints={"maxTaskRetryCount": 2})
    account.pass_time(60)
    assert (task.state, task.retry_count, task.execution.result) == ("completed", 2, "failure")
    assert task.execution.failure["code"] == "FailureExitCode"
    assert len(account.driver.started) == 6
    assert account.driver.live == {}


def test_the_exit_code_of_the_primary_decides_about_retries(account):
    account.pool(nodes=2, **TOGETHER)
    task = mpi(account, account.job(), 2, command="1 7", constraints={"maxTaskRetryCount": 1})
    account.pass_time(60)
    assert (task.execution.exit_code, task.retry_count) == (7, 1)
    assert [launch.command_line for launch in account.driver.started] == ["1 0", "1 0", "1 7"] * 2


def test_the_time_limit_covers_coordination_and_ends_everything(account):
    account.pool(nodes=2, **TOGETHER)
    limit = {"constraints": {"maxWallClockTime": "PT10S"}}
    first, second = account.job("a"), account.job("b")
    task = mpi(account, first, 2, coordination="999 0", **limit)
    account.pass_time(30)
    assert (task.state, task.execution.failure["code"]) == ("completed", "TaskEnded")
    assert account.driver.live == {}
    late = mpi(account, second, 2, command="8 0", coordination="5 0", **limit)
    account.pass_time(30)
    assert late.execution.end - late.execution.start == 10 * SECOND


def test_when_one_of_its_nodes_goes_the_whole_task_starts_again(account):
    account.pool(nodes=2, **TOGETHER)
    task = mpi(account, account.job(), 2)
    account.pass_time(3)
    account.reboot(next(node for node in account.nodes() if node.key != task.node))
    account.pass_time(0)
    assert (task.state, task.subtasks, task.requeue_count) == ("active", [], 1)
    assert account.driver.live == {}
    account.pass_time(60)
    assert task.state == "completed"


def test_terminate_and_delete_end_all_commands(account):
    account.pool(nodes=2, **TOGETHER)
    job = account.job()
    task = mpi(account, job, 2, coordination="99 0")
    account.pass_time(1)
    assert len(account.driver.live) == 2
    account.do(tasks.terminate_by_request, task)
    assert account.driver.live == {}
    account.do(tasks.delete, task)
    task = mpi(account, job, 2, coordination="99 0")
    account.pass_time(1)
    account.do(tasks.delete, task)
    assert account.driver.live == {}
    assert len({node for node, _ in account.driver.removed}) == 2


def test_preparation_runs_on_each_of_its_nodes_first_and_release_afterwards(account):
    account.pool(nodes=3, **TOGETHER)
    job = account.job(jobPreparationTask={"commandLine": "2 0"}, jobReleaseTask={"commandLine": "1 0"})
    task = mpi(account, job, 2)
    account.pass_time(1)
    assert task.state == "preparing"
    account.pass_time(30)
    assert task.state == "completed"
    account.do(jobs.terminate_by_request, job, None)
    account.pass_time(30)
    assert job.state == "completed"
    nodes = {one.node_id for one in task.subtasks}
    assert set(account.driver.words("jobpreparation")) == set(account.driver.words("jobrelease")) == nodes


def test_it_survives_being_stored(account):
    account.pool(nodes=2, **TOGETHER)
    task = mpi(account, account.job(), 2)
    account.pass_time(1)
    assert from_json(Task, to_json(task)) == task


def test_it_takes_one_slot_only(account):
    with pytest.raises(ServiceError, match="InvalidPropertyValue"):
        mpi(account, account.job(), requiredSlots=2)
