"""Task dependencies over HTTP. What they mean in all cases is tested on the virtual clock, in tests/unit/emulator."""

from __future__ import annotations

import pytest
from azure.batch import models

EVERYTHING = {"usesTaskDependencies": True}


@pytest.mark.documented("M:BatchTaskDependencies")
def test_tasks_run_in_the_order_their_dependencies_ask_for(client, make_job, shared_pool, finished, tmp_path):
    job_id, diary = make_job(shared_pool, **EVERYTHING), tmp_path / "diary"

    def task(task_id, **depends):
        wanted = models.BatchTaskDependencies(**depends) if depends else None
        line = f"/bin/sh -c 'echo {task_id} >> {diary}'"
        return models.BatchTaskCreateOptions(id=task_id, command_line=line, depends_on=wanted)

    span = models.BatchTaskIdRange(start=1, end=3)
    tasks = [task("last", task_ids=["merge"]), task("merge", task_ids=["A"], task_id_ranges=[span])]
    client.create_tasks(job_id, [*tasks, *(task(name) for name in ("a", "1", "2", "3"))])
    finished(job_id, "last")
    lines = diary.read_text().split()
    assert (sorted(lines[:4]), lines[4:]) == (["1", "2", "3", "a"], ["merge", "last"])
    shown = client.get_task(job_id, "merge").depends_on
    assert (shown.task_ids, shown.task_id_ranges) == (["A"], [span])
    assert client.get_job(job_id).uses_task_dependencies is True


@pytest.mark.documented("M:ExitOptions.dependencyAction; G:Azure/azure-sdk-for-python#26037 dependants stay active")
def test_a_failure_blocks_dependants_unless_an_exit_condition_says_otherwise(
    client, make_job, shared_pool, finished, raw
):
    job_id = make_job(shared_pool, **EVERYTHING)
    conditions = {"exitCodes": [{"code": 3, "exitOptions": {"dependencyAction": "satisfy"}}]}
    for name, code in (("good", 3), ("bad", 4)):
        command = f"/bin/sh -c 'exit {code}'"
        client.create_task(job_id, {"id": name, "commandLine": command, "exitConditions": conditions})
        client.create_task(job_id, {"id": f"after-{name}", "commandLine": "true", "dependsOn": {"taskIds": [name]}})
    finished(job_id, "after-good")
    finished(job_id, "bad")
    assert client.get_task(job_id, "after-bad").state == "active"
    counts = raw("GET", f"/jobs/{job_id}/taskcounts").json["taskCounts"]
    assert counts == {"active": 1, "running": 0, "completed": 3, "succeeded": 1, "failed": 2}
    assert raw("GET", f"/jobs/{job_id}/tasks/good").json["exitConditions"] == conditions


@pytest.mark.documented("M:BatchTaskDependencies.taskIds: 64000 characters; G:azure-sdk-for-python#27859, #42399")
def test_dependencies_that_are_refused(make_job, raw):
    job_id, plain = make_job("nowhere", **EVERYTHING), make_job("nowhere")

    def add(job, depends, **settings):
        body = {"id": "t", "commandLine": "true", "dependsOn": depends, **settings}
        answer = raw("POST", f"/jobs/{job}/tasks", body)
        return answer.status, answer.code

    ids = ["x" * 64] * 1000
    assert add(job_id, {"taskIds": [*ids, "y"]}) == (400, "TaskDependencyListTooLong")
    assert add(plain, {"taskIds": ["a"]}) == (400, "UnsupportedProperty")
    assert add(job_id, {"taskIdRanges": [{"start": 2, "end": 1}]}) == (400, "InvalidPropertyValue")
    assert add(job_id, {"taskIdRanges": [{"start": 1}]}) == (400, "MissingRequiredProperty")
    assert add(job_id, {"taskIds": [7]}) == (400, "InvalidPropertyValue")
    assert (
        raw("POST", f"/jobs/{job_id}/tasks", {"id": "t", "commandLine": "true", "dependsOn": {"taskIds": ids}}).status
        == 201
    )


@pytest.mark.emulator_only
def test_blocked_tasks_are_blocked_again_after_a_crash(tmp_path, client_for, vm, until):
    from reconciler.emulator import Emulator

    with Emulator(state=tmp_path / "state") as own:
        with client_for(own) as client:
            client.create_pool({"id": "p", **vm, "targetDedicatedNodes": 1})
            client.create_job({"id": "j", "poolInfo": {"poolId": "p"}, **EVERYTHING})
            for name in ("1", "2"):
                client.create_task("j", {"id": name, "commandLine": "true"})
            until(lambda: client.get_task("j", "2").state == "completed")
            client.delete_task("j", "2")
            ranges = [{"start": 1, "end": 3}]
            client.create_task("j", {"id": "c", "commandLine": "true", "dependsOn": {"taskIdRanges": ranges}})
            client.create_task("j", {"id": "2", "commandLine": "true"})
        own.kill()
        own.start()
        with client_for(own) as client:
            until(lambda: client.get_task("j", "2").state == "completed")
            assert client.get_task("j", "c").state == "active"
            client.create_task("j", {"id": "3", "commandLine": "true"})
            until(lambda: client.get_task("j", "c").state == "completed")
