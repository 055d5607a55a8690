"""Autoscale on a virtual clock: when formulas are evaluated, what samples show, what becomes of the pool."""

from __future__ import annotations

from contextlib import closing

import pytest

from reconciler.emulator import pools, scaling
from reconciler.emulator.engine import Engine
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.ports import Meters
from reconciler.emulator.store import SqliteStore
from reconciler.emulator.times import MINUTE, SECOND, iso
from reconciler.emulator.world import Account

FORMULA = {"enableAutoScale": True, "targetDedicatedNodes": None}


def scaled(account, formula, **settings):
    return account.pool(**FORMULA, autoScaleFormula=formula, **settings)


def results(account, pool, formula):
    run = account.do(scaling.evaluate, pool, {"autoScaleFormula": formula})
    assert "error" not in run, run
    return run["results"]


def read(account, pool, expression):
    return results(account, pool, f"x = {expression}").split(";x=")[1]


def targets(pool):
    return pool.target_dedicated, pool.target_low_priority


def test_a_new_pool_is_sized_at_once_by_its_formula(account):
    pool = scaled(account, "$TargetDedicatedNodes = 2; $TargetLowPriorityNodes = 1")
    assert targets(pool) == (2, 1)
    assert pool.allocation_state == "resizing"
    assert pool.autoscale_run["timestamp"] == iso(account.clock.time)
    account.pass_time(1)
    assert pool.allocation_state == "steady"
    assert pools.current_counts(account.w, pool) == (2, 1)


def test_the_formula_is_evaluated_again_after_every_interval(account):
    pool = scaled(account, "$TargetDedicatedNodes = $TargetDedicatedNodes + 1", autoScaleEvaluationInterval="PT5M10S")
    seen = []
    for _ in range(3):
        account.pass_time(309)
        seen.append(targets(pool)[0])
        account.pass_time(1)
        seen.append(targets(pool)[0])
    assert seen == [1, 2, 2, 3, 3, 4]


def test_without_an_interval_it_is_fifteen_minutes(account):
    pool = scaled(account, "$TargetDedicatedNodes = $TargetDedicatedNodes + 1")
    account.pass_time(899)
    assert targets(pool)[0] == 1
    account.pass_time(1)
    assert targets(pool)[0] == 2


def test_a_new_interval_begins_with_the_request_and_a_new_formula_alone_keeps_the_schedule(account):
    pool = scaled(account, "$TargetDedicatedNodes = 0", autoScaleEvaluationInterval="PT10M")
    account.pass_time(240)
    account.do(scaling.enable, pool, {"autoScaleEvaluationInterval": "PT5M"})
    account.pass_time(60)
    account.do(scaling.enable, pool, {"autoScaleFormula": "$TargetDedicatedNodes = $TargetDedicatedNodes + 1"})
    assert targets(pool)[0] == 1
    account.pass_time(239)
    assert targets(pool)[0] == 1
    account.pass_time(1)
    assert targets(pool)[0] == 2
    account.pass_time(300)
    assert targets(pool)[0] == 3


def test_enable_requests_are_thirty_seconds_apart(account):
    pool = account.pool(nodes=0)
    account.do(scaling.enable, pool, {"autoScaleFormula": "a = 1"})
    account.pass_time(29)
    with pytest.raises(ServiceError, match="503 TooManyEnableAutoScaleRequests"):
        account.do(scaling.enable, pool, {"autoScaleFormula": "a = 2"})
    account.pass_time(1)
    account.do(scaling.enable, pool, {"autoScaleFormula": "a = 2"})
    assert pool.spec["autoScaleFormula"] == "a = 2"


def test_a_sample_is_taken_every_thirty_seconds_and_read_a_minute_later(account):
    pool = scaled(account, "$TargetDedicatedNodes = 1")
    account.pass_time(59)
    assert read(account, pool, "$CurrentDedicatedNodes.Count()") == "0"
    account.pass_time(1)
    assert read(account, pool, "$CurrentDedicatedNodes.GetSample(9)") == "[0]"
    account.pass_time(30)
    assert read(account, pool, "$CurrentDedicatedNodes.GetSample(9)") == "[0,1]"
    account.pass_time(900)
    assert read(account, pool, "len($CPUPercent.GetSample(TimeInterval_Minute * 10))") == "18"  # the example of D
    assert read(account, pool, "$CPUPercent.GetSamplePercent(TimeInterval_Minute * 10)") == "90"


def test_only_the_samples_of_a_day_are_kept(account):
    pool = scaled(account, "$TargetDedicatedNodes = 0")
    account.pass_time(25 * 3600)
    assert len(account.w.samples_of_pool["p"]) == len(account.w.samples) == 2880
    account.do(pools.delete, pool)
    account.pass_time(1)
    assert not account.w.samples


def test_the_pool_follows_its_pending_tasks_up_and_down(account):
    formula = "$TargetDedicatedNodes = min(3, max(0, $PendingTasks.GetSample(1)))"
    pool = scaled(account, formula, autoScaleEvaluationInterval="PT5M")
    job = account.job()
    for number in range(5):
        account.task(job, f"t{number}", "400 0")
    account.pass_time(301)
    assert len(account.nodes()) == 3
    account.pass_time(1200)
    assert targets(pool)[0] == 0
    assert account.nodes() == []
    assert all(task.state == "completed" for task in account.w.tasks.values())


def test_tasks_and_slots_are_counted(account):
    pool = scaled(account, "$TargetDedicatedNodes = 1", taskSlotsPerNode=2)
    account.pass_time(1)
    job = account.job()
    account.task(job, "good", "1 0")
    account.task(job, "bad", "1 1")
    account.pass_time(2)
    for name in ("one", "two", "three"):
        account.task(job, name, "600 0")
    account.pass_time(1)
    shown = {
        name: read(account, pool, f"{name} + 0")
        for name in ("$ActiveTasks", "$RunningTasks", "$PendingTasks", "$SucceededTasks", "$FailedTasks", "$CPUPercent")
    }
    assert list(shown.values()) == ["1", "2", "3", "1", "1", "100"]
    assert read(account, pool, "$TaskSlotsPerNode + 10 * $UsableNodeCount + 100 * $SampleNodeCount") == "112"


@pytest.mark.parametrize(("option", "requeues", "nodes_after"), [("requeue", 1, 1), ("taskcompletion", 0, 2)])
def test_nodes_leave_as_the_option_says(account, option, requeues, nodes_after):
    pool = scaled(account, "$TargetDedicatedNodes = 2")
    account.pass_time(60)
    job = account.job()
    tasks = [account.task(job, name, "600 0") for name in ("a", "b")]
    account.pass_time(1)
    formula = f"$TargetDedicatedNodes = 1; $NodeDeallocationOption = {option}"
    account.do(scaling.enable, pool, {"autoScaleFormula": formula})
    account.pass_time(30)
    assert len(account.nodes()) == nodes_after
    assert sum(task.requeue_count for task in tasks) == requeues
    account.pass_time(1300)
    assert len(account.nodes()) == 1
    assert [task.state for task in tasks] == ["completed", "completed"]


def test_an_evaluation_during_a_resize_changes_its_aim(account):
    pool = scaled(account, "$TargetDedicatedNodes = 2", autoScaleEvaluationInterval="PT5M")
    account.pass_time(10)
    job = account.job()
    for name in ("a", "b"):
        account.task(job, name, "3600 0")
    account.pass_time(50)
    formula = "$NodeDeallocationOption = taskcompletion; $TargetDedicatedNodes = $ActiveTasks.GetSamplePercent("
    formula += "TimeInterval_Minute, 5 * TimeInterval_Minute) < 50 ? 0 : 2"
    account.do(scaling.enable, pool, {"autoScaleFormula": formula})
    account.pass_time(1)
    assert (targets(pool)[0], pool.allocation_state) == (0, "resizing")
    account.pass_time(240)
    assert (targets(pool)[0], pool.allocation_state) == (2, "steady")
    assert [node.state for node in account.nodes()] == ["running", "running"]


def test_an_error_leaves_the_targets_and_is_shown(account):
    pool = scaled(account, "$TargetDedicatedNodes = time().minute < 15 ? 2 : nobody")
    account.pass_time(900)
    assert targets(pool) == (2, 0)
    assert pool.autoscale_run["results"].startswith("$TargetDedicatedNodes=2;")
    assert pool.autoscale_run["error"]["values"][0]["value"] == "Line 1, Col 50: Undefined symbol: nobody"


def test_disabling_keeps_the_targets_and_ends_the_evaluations(account):
    pool = scaled(account, "$TargetDedicatedNodes = $TargetDedicatedNodes + 1")
    account.pass_time(10)
    before = pool.modified
    account.do(scaling.disable, pool)
    account.pass_time(3600)
    assert targets(pool) == (1, 0)
    assert pool.modified == before
    assert pool.autoscale_run is None
    assert not account.w.samples
    account.do(pools.resize, pool, {"targetDedicatedNodes": 0})


def test_evaluations_do_not_change_the_version_of_the_pool(account):
    pool = scaled(account, "$TargetDedicatedNodes = $TargetDedicatedNodes + 1")
    before = pool.modified
    account.pass_time(3600)
    assert targets(pool) == (5, 0)
    assert pool.modified == before


def test_a_formula_that_asks_for_too_many_nodes_meets_the_quota(account):
    account.w.limits = type(account.w.limits)(nodes_per_account=2)
    pool = scaled(account, "$TargetDedicatedNodes = 1000000")
    account.pass_time(10)
    assert len(account.nodes()) == 2
    assert [error["code"] for error in pool.resize_errors] == ["AccountCoreQuotaReached"]


@pytest.mark.parametrize("code", ["AutoScalingFormulaEvaluationError", "AutoScalingFormulaSyntaxError"])
def test_the_code_of_a_formula_that_cannot_be_parsed_is_a_switch(account, code):
    object.__setattr__(account.w.switches, "evaluate_syntax_error_code", code)
    pool = scaled(account, "a = 1")
    run = account.do(scaling.evaluate, pool, {"autoScaleFormula": "1 +"})
    assert run["error"]["code"] == code
    assert run["results"].startswith("$TargetDedicatedNodes=0;")


def test_after_a_restart_samples_are_there_and_evaluations_go_on(account, tmp_path):
    with closing(SqliteStore(tmp_path / "a.sqlite")) as before, closing(SqliteStore(tmp_path / "a.sqlite")) as after:
        samples_survive(account, before, after)


def samples_survive(account, before, after):
    first = Engine(Account("local", "http://x/"), account.driver, before)
    account.engine, account.w = first, first.world
    scaled(account, "$TargetDedicatedNodes = $TargetDedicatedNodes + 1", autoScaleEvaluationInterval="PT5M")
    account.pass_time(250)
    account.clock.time += 10 * SECOND
    second = Engine(Account("local", "http://x/"), account.driver, after)
    second.resume(account.clock.time)
    account.engine, account.w = second, second.world
    pool = account.w.pools["p"]
    assert len(account.w.samples_of_pool["p"]) == 9
    assert pool.target_dedicated == 1
    account.pass_time(100)
    assert pool.target_dedicated == 2
    assert pool.autoscale_next == account.clock.time - MINUTE + 5 * MINUTE


def test_what_the_driver_measures_becomes_samples_of_the_time_between_two(account):
    account.driver.meters = Meters()
    pool = scaled(account, "$TargetDedicatedNodes = 2", vmSize="standard_d2_v3")
    account.pass_time(30)
    account.driver.meters = Meters(cpu_seconds=60, memory=8 << 20, disk_read=100, disk_written=7)
    account.pass_time(90)
    assert read(account, pool, "$CPUPercent.GetSample(9)") == "[0,50]"  # 60 seconds of 2 nodes with 2 cores in 30
    assert read(account, pool, "$MemoryBytes.GetSample(9)") == "[0,0,4]"
    assert read(account, pool, "$DiskReadBytes.GetSample(9)") == "[0,100]"
    assert read(account, pool, "$DiskWriteBytes.GetSample(9)") == "[0,7]"
    account.pass_time(600)
    assert read(account, pool, "$CPUPercent.GetSample(1)") == "[0]"
    assert read(account, pool, "$CPUPercent + 1") == "1"


@pytest.mark.parametrize(
    ("metered", "names"),
    [
        (True, ("$DiskBytes", "$DiskReadOps", "$DiskWriteOps", "$NetworkInBytes", "$NetworkOutBytes")),
        (False, ("$MemoryBytes", "$DiskReadBytes", "$DiskWriteBytes", "$NetworkInBytes", "$DiskBytes")),
    ],
)
def test_of_what_is_not_measured_there_are_no_samples_and_no_value(account, metered, names):
    account.driver.meters = Meters() if metered else None
    pool = scaled(account, "$TargetDedicatedNodes = 1")
    account.pass_time(600)
    for name in names:
        assert read(account, pool, f"{name}.Count()") == "0"
        assert read(account, pool, f"max(0, {name}.GetSample(1))") == "0"
        for use in (f"{name}.GetSample(TimeInterval_Minute * 5, 10)", f"{name} + 0"):
            run = account.do(scaling.evaluate, pool, {"autoScaleFormula": f"$TargetDedicatedNodes = 1; x = {use}"})
            assert run["error"]["code"] == "InsufficientSampleData"
            assert f"Insufficient data from data set: {name}" in run["error"]["values"][0]["value"]
