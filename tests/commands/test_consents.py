"""What a person agrees to by a flag, in plan, explain, apply and destroy: without it nothing of the kind happens."""

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.main import main
from tests.commands.conftest import JOB, POOL

RELEASING = JOB.replace(
    "spec: {poolInfo: {poolId: p}}\n",
    "spec:\n  poolInfo: {poolId: p}\n  jobPreparationTask: {commandLine: /bin/true}\n"
    "  jobReleaseTask: {commandLine: /bin/release}\n",
)
ENDING = JOB.replace("}}", "}, onAllTasksComplete: terminatejob}")


def release_loss(desk: Any) -> None:
    """A pool is to shrink to nothing while its node owes the release of a job."""
    desk.write(pool=POOL, job=RELEASING)
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(pool=POOL.replace("Nodes: 1", "Nodes: 0"))


def task_loss(desk: Any) -> None:
    """A job is to be replaced while a task of it runs."""
    desk.simulation.script(command="/bin/true", seconds=10**6)
    desk.write(pool=POOL, job=JOB)
    desk.apply()
    desk.simulation.run_until(lambda: desk.simulation.get("/jobs/j/tasks/t1")["state"] == "running")
    desk.write(job=RELEASING)


def release_failure(desk: Any) -> None:
    """A job is to go whose release failed, and its receipt is written."""
    desk.simulation.script(command="/bin/release", exit_code=1)
    desk.write(pool=POOL, job=RELEASING)
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(job=None)
    assert desk.run("apply", "manifests", "--auto-approve", "--no-wait", "--detailed-exitcode").code == 4


def new_run(desk: Any) -> None:
    """A job ran, was removed after its time to live, and the ledger that knows is gone."""
    desk.write(pool=POOL, job=f"{ENDING}lifecycle: {{ttlAfterCompletion: {{success: P9999D}}}}\n")
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(job=f"{ENDING}lifecycle: {{ttlAfterCompletion: {{success: PT0S}}}}\n")
    desk.apply()
    assert desk.simulation.get("/jobs")["value"] == []
    shutil.rmtree(Path("state"))


def departure(desk: Any) -> None:
    """A job is no longer declared."""
    desk.write(pool=POOL, job=RELEASING)
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(job=None)


def lost_task(desk: Any) -> None:
    """Somebody deleted a task of a job whose tasks were confirmed."""
    desk.write(pool=POOL, job=JOB)
    desk.apply()
    desk.simulation.request("DELETE", "/jobs/j/tasks/t1")


def nothing_new(desk: Any) -> None:
    desk.write(pool=POOL, job=JOB)
    desk.apply()
    desk.simulation.run_until_idle()


@pytest.mark.parametrize(
    ("arrange", "address", "before", "after", "lines"),
    [
        (
            release_loss,
            "pool/p",
            "blocked",
            "resize",
            (("plan", "--allow-release-loss", "job/j"), ("explain", "--allow-release-loss", "job/j")),
        ),
        (
            task_loss,
            "job/j",
            "blocked",
            "terminate",
            (("plan", "--allow-task-loss", "job/j"), ("explain", "--allow-task-loss", "job/j")),
        ),
        (
            release_failure,
            "job/j",
            "blocked",
            "delete",
            (("plan", "--allow-release-failure", "job/j"), ("explain", "--allow-release-failure", "job/j")),
        ),
        (
            new_run,
            "job/j",
            "blocked",
            "create",
            (("plan", "--allow-new-run", "job/j"), ("explain", "--allow-new-run", "job/j")),
        ),
        (
            departure,
            "job/j",
            "terminate",
            "terminate with force",
            (("plan", "--dangerous-force", "job/j"), ("explain", "--dangerous-force", "job/j")),
        ),
        (departure, "job/j", "terminate", "done", (("plan", "--no-prune"), ("explain", "--no-prune"))),
        (
            nothing_new,
            "job/j",
            "done",
            "terminate",
            (("plan", "--replace", "job/j"), ("explain", "--replace", "job/j")),
        ),
        (lost_task, "job/j", "done", "add 1 task", (("plan", "--check-tasks"), ("explain", "--check-tasks"))),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_a_flag_changes_in_the_plan(
    desk: Any, arrange: Any, address: str, before: str, after: str, lines: tuple[tuple[str, ...], ...]
) -> None:
    arrange(desk)
    sent = len(writes(desk))
    for command, *flags in lines:
        for step, given in ((before, ()), (after, flags)):
            where = ("manifests",) if command == "plan" else (address, "manifests")
            document = json.loads(desk.run(command, *where, *given, "--format", "json").out)
            rows = [document] if command == "explain" else document["resource_changes"]
            (row,) = (row for row in rows if row["address"] == address)
            assert row["road"][0] == step, (command, given)
    assert len(writes(desk)) == sent


def test_apply_without_pruning_leaves_what_is_no_longer_declared(desk: Any) -> None:
    departure(desk)
    assert desk.run("apply", "manifests", "--auto-approve", "--no-prune").code == 0
    assert [job["state"] for job in desk.simulation.get("/jobs")["value"]] == ["active"]
    assert desk.run("apply", "manifests", "--auto-approve").code == 0
    assert desk.simulation.get("/jobs")["value"] == []


def test_destroy_takes_a_pool_from_somebody_elses_job_only_with_consent(desk: Any) -> None:
    desk.write(pool=POOL)
    desk.apply()
    others = {
        "id": "j",
        "poolInfo": {"poolId": "p"},
        "jobPreparationTask": {"commandLine": "/bin/true"},
        "jobReleaseTask": {"commandLine": "/bin/true"},
    }
    assert desk.simulation.request("POST", "/jobs", others).status == 201
    assert desk.simulation.request("POST", "/jobs/j/tasks", {"id": "t", "commandLine": "/bin/true"}).status == 201
    desk.simulation.run_until_idle()
    kept = desk.run("destroy", "manifests", "--auto-approve", "--detailed-exitcode")
    assert kept.code == 4
    assert "--allow-release-loss job/j" in kept.out
    assert len(desk.simulation.get("/pools")["value"]) == 1
    assert desk.run("destroy", "manifests", "--auto-approve", "--allow-release-loss", "job/j").code == 0
    assert desk.simulation.get("/pools")["value"] == []


def test_destroy_is_itself_the_consent_to_lose_tasks_and_waits_for_none(desk: Any) -> None:
    task_loss(desk)
    flags = ("--allow-task-loss", "job/j", "--no-wait", "--parallelism", "1")
    assert desk.run("destroy", "manifests", "--auto-approve", *flags).code == 0
    assert desk.simulation.get("/jobs")["value"] == []


def test_destroy_with_force_does_not_wait_for_the_release(desk: Any) -> None:
    departure(desk)
    desk.simulation.script(command="/bin/release", seconds=800)
    done = desk.run("destroy", "manifests", "--auto-approve", "--dangerous-force", "job/j")
    assert done.code == 0, done.out + done.err
    forced = [row for row in desk.simulation.requests() if "force=true" in f"{row['path']} {row.get('query')}"]
    assert [row["path"] for row in forced] == ["/jobs/j/terminate"]


def test_one_request_at_a_time(desk: Any) -> None:
    jobs = "---\n".join(JOB.replace("{name: j}", f"{{name: j{number}}}") for number in range(5))
    desk.write(pool=POOL, jobs=jobs)
    assert desk.run("apply", "manifests", "--auto-approve", "--parallelism", "1").code == 0
    assert len(desk.simulation.get("/jobs")["value"]) == 5
    for wrong in ("0", "-1", "x"):
        refused = desk.run("apply", "manifests", "--parallelism", wrong)
        assert refused.code == 64
        assert "--parallelism: expected a whole number above 0" in refused.err


def test_logs_of_one_node_by_the_beginning_of_its_id(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = JOB.replace("tasks:\n", "tasks:\n- {id: t0, commandLine: /bin/true}\n")
    desk.write(pool=POOL.replace("Nodes: 1", "Nodes: 2"), job=jobs)
    desk.simulation.script(command="/bin/true", seconds=60)
    desk.apply()
    desk.simulation.run_until_idle()
    ran = {task["id"]: task["nodeInfo"]["nodeId"] for task in desk.simulation.get("/jobs/j/tasks")["value"]}
    assert ran["t0"] != ran["t1"]
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stdout", printed)
    assert main(("logs", "job/j", "--node", ran["t1"][:20])) == 0
    text = printed.buffer.getvalue().decode()
    assert "task t1 on" in text
    assert "task t0" not in text
    none = desk.run("logs", "job/j", "--node", "tvmps_nothing")
    assert none.code == 1
    assert "tvmps_nothing" in none.err


def writes(desk: Any) -> list[str]:
    return [row["path"] for row in desk.simulation.requests() if row["method"] not in ("GET", "HEAD")]
