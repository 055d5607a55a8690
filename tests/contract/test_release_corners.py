"""Preparation and release in the rare cases, over HTTP on simulated time: the runs the nodes were given are counted."""

from __future__ import annotations

import pytest

from reconciler.emulator import Simulation
from reconciler.emulator.switches import Switches

PREPARATION = {"id": "prep", "commandLine": "sleep 10"}
RELEASE = {"id": "rel", "commandLine": "sleep 60"}
BOTH = {"jobPreparationTask": PREPARATION, "jobReleaseTask": RELEASE}


class Account:
    """A simulated account, the SDK on it, and what its nodes have run."""

    def __init__(self, batch, sdk, vm):
        self.batch, self.sdk, self.vm = batch, sdk, vm
        self.ran = []
        batch.on_run(lambda launch: self.ran.append((launch.directory.split("/")[-1], launch.node)))

    def runs(self, word):
        return [node for name, node in self.ran if name == word]

    def pool(self, nodes=1, **settings):
        self.sdk.create_pool({"id": "p", **self.vm, "targetDedicatedNodes": nodes, **settings})
        self.batch.advance(1)
        return [node.id for node in self.sdk.list_nodes("p")]

    def job(self, job_id="j", **settings):
        self.sdk.create_job({"id": job_id, "poolInfo": {"poolId": "p"}, **settings})

    def task(self, task_id="t", command="sleep 1", job_id="j", **settings):
        self.sdk.create_task(job_id, {"id": task_id, "commandLine": command, **settings})

    def reboot(self, node):
        self.sdk.begin_reboot_node("p", node, {"nodeRebootOption": "requeue"}, polling_interval=0)

    def fail_preparation(self):
        self.batch.faults([{"kind": "run", "run": "preparation", "exitCode": 7, "times": None}])

    def end(self, job_id="j"):
        self.sdk.begin_terminate_job(job_id, options={"terminateReason": "done"}, polling_interval=0)

    def state(self, job_id="j"):
        return next((job.state for job in self.sdk.list_jobs() if job.id == job_id), None)

    def entries(self, job_id="j"):
        return {one.node_id: one for one in self.sdk.list_job_preparation_and_release_task_status(job_id)}


@pytest.fixture
def account_with(vm, client_for):
    made = []

    def start(**switches):
        batch = Simulation(switches=Switches(**switches))
        sdk = client_for(batch)
        made.extend((sdk, batch))
        return Account(batch, sdk, vm)

    yield start
    for one in made:
        one.close()


@pytest.fixture
def account(account_with):
    return account_with()


ENDS = {
    "terminate": {},
    "delete": {},
    "time limit": {"constraints": {"maxWallClockTime": "PT2M"}},
    "manager": {"jobManagerTask": {"id": "boss", "commandLine": "sleep 100", "runExclusive": False}},
    "last task": {"onAllTasksComplete": "terminatejob"},
    "failed task": {"onTaskFailure": "performexitoptionsjobaction"},
}


@pytest.mark.documented("M:BatchJobReleaseTask; SEED; last and failed task INFERRED from E:BatchJobState.terminating")
@pytest.mark.parametrize("how", ENDS)
def test_release_runs_once_however_the_job_ends(account, how):
    node, *_ = account.pool(2, taskSlotsPerNode=2, taskSchedulingPolicy={"nodeFillType": "pack"})
    account.job(**BOTH, **ENDS[how])
    account.task(command="sleep 90; exit 1" if how == "failed task" else "sleep 90")
    account.batch.advance(50)
    if how == "terminate":
        account.end()
    elif how == "delete":
        account.sdk.begin_delete_job("j", polling_interval=0)
    account.batch.run_until(lambda: account.runs("rel"))
    assert account.state() == ("deleting" if how == "delete" else "terminating")
    account.batch.advance(hours=1)
    assert account.state() == (None if how == "delete" else "completed")
    if how != "delete":
        account.sdk.begin_delete_job("j", polling_interval=0)
        account.batch.advance(hours=1)
    assert (account.state(), account.runs("prep"), account.runs("rel")) == (None, [node], [node])


@pytest.mark.documented("M:BatchJobReleaseTask lists what ends a job; disabling does not")
@pytest.mark.parametrize("option", ["requeue", "terminate", "wait"])
def test_disabling_runs_no_release_and_leaves_the_preparation_done(account, option):
    account.pool()
    account.job(**BOTH)
    account.task(command="sleep 100")
    account.batch.advance(50)
    account.sdk.begin_disable_job("j", {"disableTasks": option}, polling_interval=0)
    account.batch.advance(hours=1)
    assert (account.state(), account.runs("rel")) == ("disabled", [])
    account.sdk.begin_enable_job("j", polling_interval=0)
    account.task("later")
    account.batch.advance(hours=1)
    assert len(account.runs("prep")) == 1
    account.end()
    account.batch.advance(hours=1)
    assert len(account.runs("rel")) == 1


@pytest.mark.documented("M:BatchJobReleaseTask: it does not occupy a scheduling slot")
def test_release_runs_beside_a_full_node(account):
    account.pool()
    account.job(**BOTH)
    account.task()
    account.batch.advance(50)
    account.job("busy")
    account.task(command="sleep infinity", job_id="busy")
    account.end()
    account.batch.advance(100)
    assert (account.state(), account.sdk.get_task("busy", "t").state) == ("completed", "running")


@pytest.mark.documented("M:BatchJobReleaseTask: where tasks of the job ran and the preparation ran and completed")
def test_a_node_that_was_rebooted_and_ran_nothing_since_is_released(account):
    [node] = account.pool()
    account.job(**BOTH)
    account.task()
    account.batch.advance(50)
    account.reboot(node)
    account.end()
    account.batch.advance(100)
    assert (account.state(), account.runs("prep"), account.runs("rel")) == ("completed", [node], [node])


@pytest.mark.documented(
    "M:BatchJobReleaseTask: tasks ran, the preparation ran and completed, if in failure the last time"
)
def test_a_preparation_that_fails_when_it_is_run_again_does_not_take_the_release_away(account):
    [node] = account.pool()
    account.job(**BOTH)
    account.task()
    account.batch.advance(50)
    account.fail_preparation()
    account.reboot(node)
    account.task("later")
    account.batch.advance(50)
    assert account.sdk.get_task("j", "later").state == "active"
    assert account.entries()[node].job_preparation_task_execution_info.exit_code == 7
    account.end()
    account.batch.advance(100)
    assert (account.state(), account.runs("prep"), account.runs("rel")) == ("completed", [node] * 2, [node])


@pytest.mark.documented("M:BatchJobPreparationTask: ineligible until the node is reimaged")
def test_a_reboot_does_not_let_a_node_be_prepared_again_where_it_failed(account):
    [node] = account.pool()
    account.fail_preparation()
    account.job(**BOTH)
    account.task()
    account.batch.advance(50)
    account.reboot(node)
    account.batch.advance(50)
    assert account.runs("prep") == [node]
    assert account.sdk.get_task("j", "t").state == "active"
    account.end()
    account.batch.advance(100)
    assert (account.state(), account.runs("rel")) == ("completed", [])


@pytest.mark.documented("M:BatchJobPreparationTask.rerunOnNodeRebootAfterSuccess: again if it had not completed")
@pytest.mark.parametrize(
    ("rerun", "command", "waits", "reboot_after", "times"),
    [
        (True, "sleep 10", True, 50, 2),
        (False, "sleep 10", True, 50, 1),
        (False, "sleep 10", True, 5, 2),
        (True, "sleep 10; exit 1", False, 50, 2),
        (False, "sleep 10; exit 1", False, 50, 1),
        (False, "sleep 10; exit 1", False, 5, 2),
    ],
)
def test_a_reboot_repeats_the_preparation_as_the_job_says(account, rerun, command, waits, reboot_after, times):
    [node] = account.pool()
    preparation = {"commandLine": command, "waitForSuccess": waits, "rerunOnNodeRebootAfterSuccess": rerun}
    account.job(jobPreparationTask={"id": "prep", **preparation})
    account.task()
    account.batch.advance(reboot_after)
    account.reboot(node)
    account.batch.advance(1)
    account.task("later")
    account.batch.advance(100)
    assert account.sdk.get_task("j", "later").state == "completed"
    assert account.runs("prep") == [node] * times


@pytest.mark.emulator_only
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize(("release", "times"), [(False, 0), (True, 1)])
def test_release_after_a_preparation_that_the_end_of_the_job_cut_short_is_a_switch(account_with, waits, release, times):
    account = account_with(release_after_unfinished_preparation=release)
    [node] = account.pool()
    account.job(jobPreparationTask={**PREPARATION, "waitForSuccess": waits}, jobReleaseTask=RELEASE)
    account.task()
    account.batch.advance(5)
    assert account.sdk.get_task("j", "t").state == ("preparing" if waits else "completed")
    account.end()
    account.batch.advance(100)
    info = account.entries()[node].job_preparation_task_execution_info
    assert (info.state, info.result, info.failure_info.code) == ("completed", "failure", "TaskEnded")
    assert (account.state(), account.runs("rel")) == ("completed", [node] * times)


@pytest.mark.documented("M:BatchJobPreparationTask.constraints: limit, retries")
def test_a_preparation_over_its_time_is_ended_and_bars_the_node(account):
    [node] = account.pool()
    limits = {"maxWallClockTime": "PT5S", "maxTaskRetryCount": 3}
    account.job(jobPreparationTask={**PREPARATION, "constraints": limits})
    account.task()
    account.batch.advance(100)
    info = account.entries()[node].job_preparation_task_execution_info
    assert (info.state, info.result, info.failure_info.code) == ("completed", "failure", "TaskEnded")
    assert (info.end_time - info.start_time).total_seconds() == 5
    assert account.sdk.get_task("j", "t").state == "active"


@pytest.mark.documented("M:BatchTaskConstraints.maxTaskRetryCount: -1 is no limit")
def test_a_preparation_without_a_limit_of_retries_goes_on_until_it_succeeds(account):
    [node] = account.pool()
    account.batch.script(task="prep", seconds=1, exit_code=1, times=20)
    account.job(jobPreparationTask={**PREPARATION, "constraints": {"maxTaskRetryCount": -1}})
    account.task()
    account.batch.advance(9.5)
    info = account.entries()[node].job_preparation_task_execution_info
    assert (info.state, info.retry_count, info.result) == ("running", 9, None)
    account.batch.advance(100)
    info = account.entries()[node].job_preparation_task_execution_info
    assert (info.state, info.retry_count, info.result) == ("completed", 20, "success")
    assert account.sdk.get_task("j", "t").state == "completed"


@pytest.mark.documented("O:delete_pool: the job stays active; G:CromwellOnAzure#718: it goes on in a pool of that id")
def test_a_job_outlives_its_pool_and_is_prepared_anew_in_the_next_one(account):
    [old] = account.pool()
    account.job(**BOTH)
    account.task(command="sleep infinity")
    account.batch.advance(50)
    account.sdk.begin_delete_pool("p", polling_interval=0)
    account.batch.advance(50)
    task = account.sdk.get_task("j", "t")
    assert (account.state(), task.state, account.runs("rel")) == ("active", "active", [])
    [new] = account.pool()
    account.batch.advance(50)
    assert account.sdk.get_task("j", "t").node_info.node_id == new
    account.end()
    account.batch.advance(100)
    assert (account.state(), account.runs("prep"), account.runs("rel")) == ("completed", [old, new], [new])
    assert {node: one.job_release_task_execution_info is not None for node, one in account.entries().items()} == {
        old: False,
        new: True,
    }


@pytest.mark.documented("M:BatchJobReleaseTask.retentionTime, DR: counted from its own end; preparation from the job's")
def test_the_directory_of_a_release_goes_in_its_time_even_if_another_node_keeps_the_job_waiting(account):
    first, second = account.pool(2)
    account.job(
        jobPreparationTask={**PREPARATION, "constraints": {"retentionTime": "PT1H"}},
        jobReleaseTask={**RELEASE, "retentionTime": "PT1H"},
    )
    for name in "ab":
        account.task(name, "sleep 5")
    account.batch.advance(50)
    account.batch.lose_node("p", second)
    account.end()

    def directories():
        files = account.sdk.list_node_files("p", first, recursive=True)
        return {one.name.split("/")[3] for one in files if one.name.count("/") > 3 and "/job-1/" in one.name} - {*"ab"}

    account.batch.advance(minutes=50)
    assert (account.state(), directories()) == ("terminating", {"prep", "rel"})
    account.batch.advance(minutes=20)
    assert (account.state(), directories()) == ("terminating", {"prep"})
    account.sdk.begin_remove_nodes("p", {"nodeList": [second]}, polling_interval=0)
    account.batch.advance(minutes=50)
    assert (account.state(), directories()) == ("completed", {"prep"})
    account.batch.advance(minutes=20)
    assert directories() == set()
