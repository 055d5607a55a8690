"""Task dependencies: ranges cut into blocks, what satisfies, and that nothing is scanned."""

from __future__ import annotations

import itertools
import json
import random
import time

import pytest

from reconciler.emulator import tasks
from reconciler.emulator.dependencies import cover
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.records import to_json
from reconciler.emulator.store import TABLES

PLAIN = {"usesTaskDependencies": True}


def states(job, account):
    return {task.id: task.state for task in account.w.tasks_of_job[job.key].values()}


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (1, 1), (9, 12), (1, 1000), (-5, 5), (-8, -1), (0, 2**31 - 1), (-(2**31), 2**31 - 1)]
)
def test_a_range_is_covered_exactly_by_few_blocks(start, end):
    blocks = list(cover(start, end))
    spans = [(prefix << level, (prefix + 1 << level) - 1) for level, prefix in blocks]
    assert spans[0][0] == start
    assert spans[-1][1] == end
    assert all(one[1] + 1 == two[0] for one, two in itertools.pairwise(spans))
    assert len(blocks) <= 64


def test_a_task_waits_until_all_it_names_have_succeeded_whether_they_exist_yet_or_not(account):
    account.pool(nodes=2)
    job = account.job(**PLAIN)
    account.task(job, "merge", dependsOn={"taskIds": ["A", "b"], "taskIdRanges": [{"start": 9, "end": 11}]})
    for name in ("a", "B", "9", "10"):
        account.task(job, name)
    account.pass_time(60)
    assert states(job, account) == {"merge": "active", "a": "completed", "B": "completed", "9": "completed"} | {
        "10": "completed"
    }
    account.task(job, "011")
    account.pass_time(60)
    assert states(job, account)["merge"] == "active"
    account.task(job, "11")
    account.pass_time(60)
    assert states(job, account)["merge"] == "completed"


def test_zero_padded_ids_are_in_ranges_if_the_switch_says_so(new_account):
    account = new_account(zero_padded_ids_count_in_ranges=True)
    account.pool()
    job = account.job(**PLAIN)
    account.task(job, "merge", dependsOn={"taskIdRanges": [{"start": 7, "end": 7}]})
    account.task(job, "007")
    account.pass_time(60)
    assert states(job, account)["merge"] == "completed"


def test_dependants_of_a_failed_task_stay_active_for_ever_and_keep_their_job_alive(account):
    account.pool()
    job = account.job(onAllTasksComplete="terminatejob", **PLAIN)
    account.task(job, "a", "1 1")
    account.task(job, "b", dependsOn={"taskIds": ["a"]})
    account.pass_time(10 * 86_400)
    assert (states(job, account), job.state) == ({"a": "completed", "b": "active"}, "active")


@pytest.mark.parametrize(
    ("command", "conditions", "runs"),
    [
        ("1 0", {}, True),
        ("1 1", {"default": {"dependencyAction": "satisfy"}}, True),
        ("1 3", {"exitCodeRanges": [{"start": 2, "end": 4, "exitOptions": {"dependencyAction": "satisfy"}}]}, True),
        ("1 3", {"exitCodes": [{"code": 3, "exitOptions": {"dependencyAction": "block"}}],
                 "exitCodeRanges": [{"start": 2, "end": 4, "exitOptions": {"dependencyAction": "satisfy"}}]}, False),
        ("1 0", {"exitCodes": [{"code": 0, "exitOptions": {"dependencyAction": "block"}}]}, False),
        ("1 0", {"default": {"dependencyAction": "block"}}, True),
        ("missing", {"preProcessingError": {"dependencyAction": "satisfy"}}, True),
        ("missing", {"default": {"dependencyAction": "satisfy"}}, True),
        ("missing", {}, False),
    ],
)  # fmt: skip
def test_exit_conditions_decide_what_becomes_of_dependants(account, command, conditions, runs):
    account.pool()
    job = account.job(**PLAIN)
    account.task(job, "a", command, exitConditions=conditions)
    account.task(job, "b", dependsOn={"taskIds": ["a"]})
    account.pass_time(60)
    assert states(job, account)["b"] == ("completed" if runs else "active")


def test_a_reactivated_task_that_succeeds_at_last_lets_its_dependants_run(account):
    account.pool()
    job = account.job(**PLAIN)
    first = account.task(job, "a", "1 1")
    account.task(job, "b", dependsOn={"taskIds": ["a"]})
    account.pass_time(60)
    first.spec["commandLine"] = "1 0"
    account.do(tasks.reactivate, first)
    account.pass_time(60)
    assert states(job, account) == {"a": "completed", "b": "completed"}


@pytest.mark.parametrize("satisfies", [True, False])
def test_a_deleted_task_satisfies_as_the_switch_says_also_after_a_restart(new_account, satisfies):
    account = new_account(deleted_task_still_satisfies=satisfies)
    account.pool()
    job = account.job(**PLAIN)
    for name in ("a", "1", "2"):
        account.task(job, name)
    waiting = {"taskIds": ["a", "later"], "taskIdRanges": [{"start": 1, "end": 2}]}
    account.task(job, "b", dependsOn=waiting)
    account.pass_time(10)
    for name in ("a", "1"):
        account.do(tasks.delete, tasks.find(account.w, job, name))
    restarted = new_account(deleted_task_still_satisfies=satisfies)
    rows = {table: {key: to_json(one) for key, one in getattr(account.w, table).items()} for table in TABLES}
    restarted.w.load(json.loads(json.dumps(rows)), account.w.serial)
    for one in (account, restarted):
        one.driver.up = {node.id for node in account.nodes()}
        one.clock.time = account.clock.time
        one.task(one.w.jobs[job.key], "later")
        one.pass_time(60)
        assert states(job, one)["b"] == ("completed" if satisfies else "active")


def test_a_task_added_anew_counts_instead_of_the_deleted_one(account):
    account.pool()
    job = account.job(**PLAIN)
    account.task(job, "a")
    account.task(job, "b", dependsOn={"taskIds": ["a", "later"]})
    account.pass_time(10)
    account.do(tasks.delete, tasks.find(account.w, job, "a"))
    account.task(job, "a", "1 1")
    account.task(job, "later")
    account.pass_time(60)
    assert states(job, account)["b"] == "active"


def test_the_index_agrees_with_a_plain_look_at_all_tasks(account):
    generator = random.Random(5)
    account.pool(nodes=4)
    job = account.job(**PLAIN)
    names = [str(number) for number in range(40)] + ["x", "y"]
    present = set()
    for _ in range(400):
        name = generator.choice(names)
        if name in present and generator.random() < 0.4:
            account.do(tasks.delete, tasks.find(account.w, job, name))
            present.discard(name)
        elif name not in present:
            start = generator.randrange(40)
            wanted = {"taskIds": generator.sample(names, 1), "taskIdRanges": [{"start": start, "end": start + 3}]}
            settings = {"dependsOn": wanted} if generator.random() < 0.4 else {}
            account.task(job, name, f"1 {int(generator.random() < 0.1)}", **settings)
            present.add(name)
        account.pass_time(generator.random())
        done = {one.id for one in account.w.tasks_of_job["j"].values() if one.execution and one.execution.succeeded}
        done |= set(job.satisfied)
        for task in account.w.tasks_of_job["j"].values():
            wanted = task.spec.get("dependsOn", {})
            ids = {*wanted.get("taskIds", [])}
            ids |= {str(n) for one in wanted.get("taskIdRanges", []) for n in range(one["start"], one["end"] + 1)}
            assert (task.key in account.w.blocked["j"]) == (task.state == "active" and not ids <= done), task


def test_refusals(account, new_account):
    job = account.job()
    for settings, code in (
        ({"dependsOn": {"taskIds": ["a"]}}, "UnsupportedProperty"),
        ({"exitConditions": {"default": {"dependencyAction": "block"}}}, "InvalidPropertyValue"),
    ):
        with pytest.raises(ServiceError) as refused:
            account.task(job, **settings)
        assert (refused.value.status, refused.value.code) == (400, code)
    other = new_account(dependencies_not_enabled_code="TaskDependenciesNotSpecifiedOnJob")
    with pytest.raises(ServiceError, match="TaskDependenciesNotSpecifiedOnJob"):
        other.task(other.job(), dependsOn={"taskIds": ["a"]})


def test_twenty_thousand_dependent_tasks_cost_little(account):
    """Layers of a thousand, each task waiting for the whole layer before: scans would take hours."""
    account.pool(nodes=0)
    job = account.job(**PLAIN)
    begin = time.process_time()
    with account.engine.transaction(account.clock.time) as w:
        for number in range(1, 20_001):
            layer = (number - 1) // 1000
            depends = {"taskIdRanges": [{"start": layer * 1000 - 999, "end": layer * 1000}]} if layer else None
            body = {"id": str(number), "commandLine": "1 0"} | ({"dependsOn": depends} if depends else {})
            tasks.add(w, job, body)
    assert (len(account.w.waiting[job.key]), len(account.w.blocked[job.key])) == (1000, 19_000)
    add = time.process_time() - begin
    begin = time.process_time()
    with account.engine.transaction(account.clock.time) as w:
        for number in range(1, 1001):
            task = w.tasks[f"j/{number}"]
            task.execution = tasks.Execution(1, result="success", exit_code=0)
            tasks.move(w, task, "completed")
    assert len(account.w.waiting[job.key]) == 1000
    assert time.process_time() - begin < 1.0
    assert add < 10.0
