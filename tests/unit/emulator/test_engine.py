"""The engine on a virtual clock: exact times, long times, and what must hold whatever happens."""

from __future__ import annotations

import random

import pytest

from reconciler.emulator import jobs, machines, pools, tasks
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.records import from_json, to_json
from reconciler.emulator.times import DAY, MINUTE, SECOND

BOTH = {"jobPreparationTask": {"commandLine": "1 0"}, "jobReleaseTask": {"commandLine": "2 0"}}


def test_a_node_is_up_within_half_a_second(account):
    account.pool(nodes=3)
    account.pass_time(0.5)
    assert [node.state for node in account.nodes()] == ["idle"] * 3


def test_release_that_hangs_is_cut_off_after_fifteen_minutes_exactly(account):
    account.pool()
    job = account.job(jobPreparationTask={"commandLine": "1 0"}, jobReleaseTask={"commandLine": "99999 0"})
    account.task(job)
    account.pass_time(10)
    account.do(jobs.terminate_by_request, job, None)
    begin = account.clock.time
    account.pass_time(15 * 60 - 1)
    assert job.state == "terminating"
    account.pass_time(1)
    assert (job.state, job.ended - begin) == ("completed", 15 * MINUTE)


def test_directories_go_after_seven_days_counted_as_documented(account):
    account.pool()
    job = account.job(**BOTH)
    account.task(job)
    account.pass_time(100)
    account.do(jobs.terminate_by_request, job, None)
    account.pass_time(7 * 86_400 - 1)
    assert [directory for _, directory in account.driver.removed] == ["workitems/j/job-1/t"]
    account.pass_time(10)
    assert {directory for _, directory in account.driver.removed} == {
        f"workitems/j/job-1/{name}" for name in ("t", "jobpreparation", "jobrelease")
    }


def test_a_job_without_tasks_is_not_ended_by_terminatejob(account, new_account):
    job = account.job(onAllTasksComplete="terminatejob")
    account.pass_time(3600)
    assert job.state == "active"
    other = new_account(empty_job_completes=True)
    job = other.job(onAllTasksComplete="terminatejob")
    other.pass_time(1)
    assert job.state == "completed"


def test_a_terminatejob_ends_a_disabled_job_too(account):
    account.pool()
    job = account.job(onAllTasksComplete="terminatejob")
    account.task(job, command="5 0")
    account.pass_time(1)
    account.do(jobs.disable, job, {"disableTasks": "wait"})
    account.pass_time(10)
    assert (job.state, job.terminate_reason) == ("completed", "AllTasksComplete")


def test_a_node_that_reboots_during_release_runs_it_again_and_the_job_waits(account):
    account.pool()
    job = account.job(jobPreparationTask={"commandLine": "1 0"}, jobReleaseTask={"commandLine": "10 0"})
    account.task(job)
    account.pass_time(5)
    account.do(jobs.terminate_by_request, job, None)
    account.pass_time(5)
    account.reboot(account.nodes()[0])
    account.pass_time(9)
    assert (job.state, len(account.driver.words("jobrelease"))) == ("terminating", 2)
    account.pass_time(5)
    assert (job.state, len(account.driver.words("jobrelease"))) == ("completed", 2)


def test_a_job_waits_for_a_lost_node_until_the_pool_drops_it(account, new_account):
    for one, state in ((account, "terminating"), (new_account(terminating_waits_for_lost_nodes=False), "completed")):
        pool = one.pool(startTask={"commandLine": "1 0"})
        job = one.job(**BOTH)
        one.pass_time(5)
        one.task(job)
        one.pass_time(5)
        one.do(pools.update, pool, {"startTask": {"commandLine": "1 1"}})
        one.reboot(one.nodes()[0])
        one.pass_time(5)
        assert one.nodes()[0].state == "starttaskfailed"
        one.do(jobs.terminate_by_request, job, None)
        one.pass_time(3600)
        assert job.state == state
        one.do(pools.resize, pool, {"targetDedicatedNodes": 0})
        one.pass_time(5)
        assert job.state == "completed"
        assert one.driver.words("jobrelease") == []


def test_a_process_lost_with_the_machine_is_run_again_uncounted(account):
    account.pool()
    job = account.job()
    task = account.task(job, command="60 0")
    account.pass_time(1)
    account.driver.lost.update(account.driver.live)
    account.pass_time(1)
    account.pass_time(100)
    assert (task.state, task.requeue_count, task.retry_count) == ("completed", 0, 0)
    assert len(account.driver.words("t")) == 2


def test_unlimited_retries_go_on_until_the_task_is_ended(account):
    account.pool()
    job = account.job()
    task = account.task(job, command="1 1", constraints={"maxTaskRetryCount": -1})
    account.pass_time(60)
    assert (task.state, task.retry_count > 50) == ("running", True)
    account.do(tasks.terminate_by_request, task)
    account.pass_time(60)
    assert task.state == "completed"


def test_preparation_that_cannot_start_bars_the_node_without_retry(account):
    account.pool(nodes=2)
    job = account.job(jobPreparationTask={"commandLine": "missing", "constraints": {"maxTaskRetryCount": 5}})
    task = account.task(job)
    account.pass_time(60)
    assert task.state == "active"
    assert sorted(account.driver.words("jobpreparation")) == sorted(node.id for node in account.nodes())
    assert [node.state for node in account.nodes()] == ["idle", "idle"]


def test_a_node_that_was_prepared_but_ran_no_task_gets_no_release(account):
    account.pool()
    job = account.job(jobPreparationTask={"commandLine": "5 0"}, jobReleaseTask={"commandLine": "1 0"})
    task = account.task(job)
    account.pass_time(2)
    assert task.state == "preparing"
    account.do(tasks.delete, task)
    account.pass_time(10)
    account.do(jobs.terminate_by_request, job, None)
    account.pass_time(10)
    assert job.state == "completed"
    assert (len(account.driver.words("jobpreparation")), account.driver.words("jobrelease")) == (1, [])


def test_a_barred_node_serves_other_jobs_and_a_new_node_serves_the_job(account):
    pool = account.pool()
    stuck = account.job("stuck", jobPreparationTask={"commandLine": "1 1"})
    task = account.task(stuck)
    account.pass_time(10)
    other = account.task(account.job("other"))
    account.pass_time(10)
    assert (task.state, other.state) == ("active", "completed")
    account.do(pools.resize, pool, {"targetDedicatedNodes": 2})
    account.pass_time(10)
    assert task.state == "active"
    assert len(account.driver.words("jobpreparation")) == 2


def test_a_pool_that_cannot_let_go_of_its_nodes_in_time_says_so(account):
    pool = account.pool()
    job = account.job()
    account.task(job, command="3600 0")
    account.pass_time(5)
    body = {"targetDedicatedNodes": 0, "nodeDeallocationOption": "taskcompletion", "resizeTimeout": "PT5M"}
    account.do(pools.resize, pool, body)
    account.pass_time(299)
    assert pool.allocation_state == "resizing"
    account.pass_time(2)
    assert pool.allocation_state == "steady"
    assert [error["code"] for error in pool.resize_errors] == ["AllocationTimedout"]
    assert len(account.nodes()) == 1


def test_the_accounts_limit_on_nodes_shows_as_a_resize_error(account):
    pool = account.pool(nodes=10_001)
    account.pass_time(1)
    assert len(account.nodes()) == 10_000
    assert (pool.allocation_state, pool.resize_errors[0]["code"]) == ("steady", "AccountCoreQuotaReached")


def test_thousands_of_tasks_on_hundreds_of_nodes_are_shared_evenly(account):
    account.pool(nodes=200, taskSlotsPerNode=4)
    account.pass_time(1)
    job = account.job()
    for n in range(1600):
        account.task(job, f"t{n}", "10 0")
    account.pass_time(0.1)
    assert {len(account.w.tasks_on_node[node.key]) for node in account.nodes()} == {4}
    account.pass_time(30)
    assert tasks.counts(account.w, job)["taskCounts"]["succeeded"] == 1600


def test_power_off_puts_everything_back_and_the_next_start_goes_on(account):
    account.pool(nodes=2)
    job = account.job(jobPreparationTask={"commandLine": "1 0", "rerunOnNodeRebootAfterSuccess": False})
    for n in range(2):
        account.task(job, f"t{n}", "60 0")
    account.pass_time(5)
    account.engine.power_off(account.clock.time)
    assert account.driver.live == {}
    account.do(lambda w: [w.touch("nodes", node.key) for node in account.nodes()])
    account.pass_time(100)
    assert [task.state for task in account.w.tasks_of_job["j"].values()] == ["completed"] * 2
    assert len(account.driver.words("jobpreparation")) == 2


def test_entities_survive_their_rows(account):
    account.pool()
    job = account.job(**BOTH)
    account.task(job)
    account.pass_time(10)
    for table in (account.w.pools, account.w.nodes, account.w.jobs, account.w.tasks, account.w.attendances):
        for entity in table.values():
            assert from_json(type(entity), to_json(entity)) == entity


def check_invariants(account):
    w = account.w
    for task in w.tasks.values():
        assert (task.key in w.waiting[task.job]) == (task.state == "active")
        assert (task.key in w.busy[task.job]) == (task.state in ("preparing", "running"))
        running = task.execution is not None and task.execution.run is not None
        assert running == (task.state == "running")
        if task.state in ("preparing", "running"):
            assert task.key in w.tasks_on_node[task.node]
            assert w.jobs[task.job].state in ("active", "disabling")
            assert w.nodes[task.node].state in ("idle", "running", "offline")
    for key, on_node in w.tasks_on_node.items():
        pool = w.pools[w.nodes[key].pool]
        assert sum(task.spec["requiredSlots"] for task in on_node.values()) <= pool.spec["taskSlotsPerNode"]
    assert set(account.driver.live) == set(w.runs)
    for pool in w.pools.values():
        assert all(node.pool == pool.key for node in w.nodes_of_pool[pool.key].values())


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_asked_in_whatever_order_the_books_balance_and_every_job_can_end(account, seed):
    choose = random.Random(seed)
    account.pool(nodes=2, taskSlotsPerNode=2, startTask={"commandLine": "0.5 0"})
    deeds = [
        lambda: account.job(
            f"j{choose.randrange(4)}",
            jobPreparationTask={
                "commandLine": choose.choice(["1 0", "2 1", "missing"]),
                "waitForSuccess": choose.random() < 0.7,
            },
            jobReleaseTask={"commandLine": choose.choice(["1 0", "3 1", "missing"])},
            onAllTasksComplete=choose.choice(["noaction", "terminatejob"]),
        ),
        lambda: account.task(
            choose.choice(list(account.w.jobs.values())),
            f"t{choose.randrange(30)}",
            choose.choice(["1 0", "4 1", "missing"]),
            requiredSlots=choose.choice([1, 2]),
            constraints={
                "maxTaskRetryCount": choose.choice([0, 2]),
                "maxWallClockTime": choose.choice(["PT2S", "PT1H"]),
            },
        ),
        lambda: account.do(jobs.terminate_by_request, choose.choice(list(account.w.jobs.values())), None),
        lambda: account.do(jobs.delete, choose.choice(list(account.w.jobs.values()))),
        lambda: account.do(
            jobs.disable,
            choose.choice(list(account.w.jobs.values())),
            {"disableTasks": choose.choice(["requeue", "terminate", "wait"])},
        ),
        lambda: account.do(jobs.enable, choose.choice(list(account.w.jobs.values()))),
        lambda: account.reboot(
            choose.choice(account.nodes()), choose.choice(["requeue", "terminate", "taskcompletion"])
        ),
        lambda: account.do(
            pools.resize,
            account.w.pools["p"],
            {
                "targetDedicatedNodes": choose.randrange(4),
                "nodeDeallocationOption": choose.choice(["requeue", "terminate", "taskcompletion"]),
            },
        ),
        lambda: account.do(pools.stop_resize, account.w.pools["p"]),
        lambda: account.do(machines.disable_scheduling, choose.choice(account.nodes()), None),
        lambda: account.do(machines.enable_scheduling, choose.choice(account.nodes())),
        lambda: account.do(tasks.delete, choose.choice(list(account.w.tasks.values()))),
        lambda: account.do(tasks.terminate_by_request, choose.choice(list(account.w.tasks.values()))),
        lambda: account.do(tasks.reactivate, choose.choice(list(account.w.tasks.values()))),
        lambda: account.engine.power_off(account.clock.time),
        lambda: account.driver.lost.update(list(account.driver.live)[:1]),
    ]
    weights = [4, 12, 2, 2, 1, 2, 1, 1, 1, 1, 1, 2, 2, 2, 0.2, 1]
    for _ in range(400):
        try:
            choose.choices(deeds, weights)[0]()
        except ServiceError:
            pass
        except IndexError:
            pass  # nothing to choose from
        account.pass_time(choose.choice([0, 0.05, 0.3, 1.5]))
        check_invariants(account)
    account.pass_time(60)
    for job in list(account.w.jobs.values()):
        if job.state != "deleting":
            account.do(jobs.delete, job)
    account.pass_time(3600)
    check_invariants(account)
    assert account.w.jobs == account.w.tasks == account.w.attendances == {}


def test_an_etag_is_new_with_every_change_even_within_one_tick(account):
    job = account.job()
    seen = set()
    for _ in range(5):
        account.do(jobs.update, job, {"priority": 1})
        seen.add(job.modified)
    assert len(seen) == 5


def test_times_of_a_run_are_those_of_the_clock(account):
    account.pool()
    account.pass_time(1)
    task = account.task(account.job(), command="7.5 0")
    begin = account.clock.time
    account.pass_time(20)
    execution = task.execution
    assert execution.start - begin < SECOND // 100
    assert abs(execution.end - execution.start - 75 * SECOND // 10) <= 1
    assert task.state_time - begin < DAY


def test_a_start_task_lost_with_its_machine_runs_again_and_that_is_no_retry(account):
    account.pool(startTask={"commandLine": "5 0", "maxTaskRetryCount": 0})
    account.pass_time(1)
    [node] = account.nodes()
    account.driver.lost.add(node.start.run)
    account.pass_time(0)
    account.driver.lost.clear()
    assert (node.state, node.start.state, node.start.retry_count) == ("waitingforstarttask", "running", 0)
    account.pass_time(6)
    assert (node.state, node.start.retry_count, node.start.last_retry) == ("idle", 0, None)
