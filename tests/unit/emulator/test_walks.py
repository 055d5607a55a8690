"""Random walks over all kinds at once, under all readings of the switches: the books balance, everything can end."""

from __future__ import annotations

import contextlib
import random

import pytest

from reconciler.emulator import jobs, machines, mishaps, pools, schedules, tasks
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.records import from_json, to_json
from reconciler.emulator.world import nodes_of, taken_by

VM = {
    "vmSize": "a",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "p", "offer": "o", "sku": "s"},
        "nodeAgentSKUId": "x",
    },
}


def check_books(account):
    w = account.w
    for task in w.tasks.values():
        assert (task.key in w.waiting[task.job] or task.key in w.blocked[task.job]) == (task.state == "active")
        assert (task.key in w.busy[task.job]) == (task.state in ("preparing", "running"))
        if task.state in ("preparing", "running"):
            assert w.jobs[task.job].state in ("active", "disabling")
            for key in nodes_of(task):
                assert task.key in w.tasks_on_node[key]
                assert w.nodes[key].state in ("idle", "running", "offline")
    for key, on_node in w.tasks_on_node.items():
        slots = w.pools[w.nodes[key].pool].spec["taskSlotsPerNode"]
        assert sum(map(taken_by, on_node.values())) <= slots or len(on_node) == 1
    assert set(account.driver.live) == set(w.runs)
    for run in w.runs.values():
        if run.kind != "start":
            job = w.jobs[run.subject.split("/")[0]]
            assert job.state != "completed"
            assert run.kind != "release" or job.state in ("terminating", "deleting") or run_on_leaving(w)
    for schedule in w.schedules.values():
        assert sum(job.ended is None for job in schedules.jobs_of(w, schedule)) <= 1
    for entity in (*w.jobs.values(), *w.tasks.values(), *w.attendances.values(), *w.schedules.values()):
        assert from_json(type(entity), to_json(entity)) == entity


def run_on_leaving(w):
    return w.switches.release_on_leaving_nodes == "run"


def draw_switches(choose):
    return {
        "reimage_is_accepted": True,
        "delete_while_terminating": choose.choice(["wait", "cut", "again"]),
        "release_on_leaving_nodes": choose.choice(["none", "finish", "run"]),
        "release_after_unfinished_preparation": choose.random() < 0.5,
        "preparation_survives_disable": choose.random() < 0.5,
        "terminating_waits_for_lost_nodes": choose.random() < 0.5,
        "empty_job_completes": choose.random() < 0.2,
    }


def draw_job(choose, lifetime):
    """A specification of anything a job can ask for."""
    spec = {
        "poolInfo": {"poolId": "p"},
        "onAllTasksComplete": choose.choice(["noaction", "terminatejob"]),
        "onTaskFailure": choose.choice(["noaction", "performexitoptionsjobaction"]),
        "usesTaskDependencies": True,
        "priority": choose.randrange(3),
        "allowTaskPreemption": choose.random() < 0.5,
        "maxParallelTasks": choose.choice([-1, 1, 2]),
        "constraints": {"maxWallClockTime": choose.choice(["PT10S", "PT1H"]), "maxTaskRetryCount": 1},
    }
    if choose.random() < 0.25:
        auto = {"poolLifetimeOption": lifetime, "pool": {**VM, "targetDedicatedNodes": 1}}
        spec["poolInfo"] = {"autoPoolSpecification": auto}
    if choose.random() < 0.7:
        spec["jobPreparationTask"] = {
            "commandLine": choose.choice(["1 0", "2 1", "missing", "5 0"]),
            "waitForSuccess": choose.random() < 0.6,
            "rerunOnNodeRebootAfterSuccess": choose.random() < 0.5,
            "constraints": {"maxTaskRetryCount": 1, "maxWallClockTime": choose.choice(["PT3S", "PT1H"])},
        }
        spec["jobReleaseTask"] = {
            "commandLine": choose.choice(["1 0", "3 1", "missing", "30 0"]),
            "maxWallClockTime": choose.choice(["PT5S", "PT15M"]),
        }
    if choose.random() < 0.3:
        spec["jobManagerTask"] = {
            "id": "boss",
            "commandLine": choose.choice(["3 0", "9 1"]),
            "runExclusive": choose.random() < 0.5,
            "killJobOnCompletion": choose.random() < 0.5,
            "allowLowPriorityNode": choose.random() < 0.5,
        }
    return spec


def draw_task(choose, job):
    body = {
        "id": f"t{choose.randrange(20)}",
        "commandLine": choose.choice(["1 0", "4 1", "missing", "20 0"]),
        "constraints": {"maxTaskRetryCount": 2, "maxWallClockTime": choose.choice(["PT2S", "PT1H"])},
    }
    if choose.random() < 0.3:
        body["dependsOn"] = {"taskIds": [f"t{choose.randrange(20)}"]}
    if choose.random() < 0.15:
        body["multiInstanceSettings"] = {
            "numberOfInstances": 2,
            "coordinationCommandLine": choose.choice(["1 0", "1 1"]),
        }
    if job.spec["onTaskFailure"] != "noaction":
        body["exitConditions"] = {"default": {"jobAction": choose.choice(["none", "disable", "terminate"])}}
    return body


def deeds_of(account, choose):
    """Each request and mishap with how often it is to come."""
    w, do = account.w, account.do

    def one(table):
        return choose.choice(list(table.values()))

    def option():
        return choose.choice(["requeue", "terminate", "taskcompletion"])

    def add_task():
        job = one(w.jobs)
        do(tasks.add, job, draw_task(choose, job))

    def new_schedule():
        recurrence = choose.choice([{}, {"recurrenceInterval": "PT1M"}, {"recurrenceInterval": "PT2M"}])
        specification = draw_job(choose, "jobschedule")
        body = {"id": f"s{choose.randrange(3)}", "schedule": recurrence, "jobSpecification": specification}
        do(schedules.create, body)

    def trouble():
        node = one(w.nodes)
        event = choose.choice(["unusable", "preempted"])
        do(mishaps.befall, mishaps.Mishap(w.pools[node.pool].id, node.id, event, 5.0))

    def resize():
        dedicated, spot = choose.randrange(5), choose.randrange(2)
        body = {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": spot}
        do(pools.resize, w.pools["p"], {**body, "nodeDeallocationOption": option()})

    def forced():
        return choose.random() < 0.3

    limit = {"constraints": {"maxWallClockTime": "PT1S"}}
    return {
        lambda: do(jobs.create, {"id": f"j{choose.randrange(9)}", **draw_job(choose, "job")}): 5,
        add_task: 12,
        lambda: do(jobs.terminate_by_request, one(w.jobs), None, force=forced()): 1,
        lambda: do(jobs.delete, one(w.jobs), force=forced()): 3,
        lambda: do(jobs.disable, one(w.jobs), {"disableTasks": choose.choice(["requeue", "terminate", "wait"])}): 2,
        lambda: do(jobs.enable, one(w.jobs)): 3,
        lambda: do(jobs.update, one(w.jobs), limit): 0.5,
        lambda: do(tasks.replace, one(w.tasks), limit): 1,
        lambda: do(tasks.delete, one(w.tasks)): 2,
        lambda: do(tasks.terminate_by_request, one(w.tasks)): 2,
        lambda: do(tasks.reactivate, one(w.tasks)): 3,
        new_schedule: 1,
        lambda: do(schedules.disable, one(w.schedules)): 0.5,
        lambda: do(schedules.enable, one(w.schedules)): 0.7,
        lambda: do(schedules.terminate, one(w.schedules), force=forced()): 0.5,
        lambda: do(schedules.delete, one(w.schedules), force=forced()): 1,
        lambda: account.reboot(one(w.nodes), option()): 1,
        lambda: do(machines.reimage_by_request, one(w.nodes), {"nodeReimageOption": option()}): 1,
        lambda: do(machines.deallocate_by_request, one(w.nodes), {"nodeDeallocateOption": option()}): 0.5,
        lambda: do(machines.start_by_request, one(w.nodes)): 1,
        lambda: do(machines.disable_scheduling, one(w.nodes), None): 0.5,
        lambda: do(machines.enable_scheduling, one(w.nodes)): 1,
        trouble: 1,
        resize: 1,
        lambda: account.engine.power_off(account.clock.time): 0.2,
        lambda: account.driver.lost.update(list(account.driver.live)[:1]): 1,
    }


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_in_whatever_order_the_books_balance_and_everything_can_end(new_account, seed):
    choose = random.Random(seed)
    account = new_account(**draw_switches(choose))
    settings = {"targetLowPriorityNodes": 1, "enableInterNodeCommunication": True}
    account.pool(nodes=3, taskSlotsPerNode=choose.choice([1, 2]), startTask={"commandLine": "0.5 0"}, **settings)
    deeds = deeds_of(account, choose)
    done = 0
    for _ in range(300):
        with contextlib.suppress(ServiceError, IndexError):  # refused by state, or nothing there to choose from
            choose.choices(list(deeds), list(deeds.values()))[0]()
            done += 1
        account.pass_time(choose.choice([0, 0.05, 0.3, 1.5, 5]))
        check_books(account)
    assert done > 60
    w = account.w
    for schedule in list(w.schedules.values()):
        if schedule.state != "deleting":
            account.do(schedules.delete, schedule)
    for node in [node for node in w.nodes.values() if node.state == "deallocated"]:
        account.do(machines.start_by_request, node)
    for job in list(w.jobs.values()):
        if job.state != "deleting":
            account.do(jobs.delete, job)
    account.pass_time(7200)
    check_books(account)
    assert w.jobs == w.tasks == w.attendances == w.schedules == {}
    assert list(w.pools) == ["p"]
