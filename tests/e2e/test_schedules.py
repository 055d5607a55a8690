"""Job schedules through the command line: created, changed, disabled, and ended with every release run once."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCHEDULE = """\
apiVersion: reconciler/v1
kind: JobSchedule
metadata: {name: etl}
spec:
  schedule: {recurrenceInterval: PT1M}
  jobSpecification:
    poolInfo: {poolId: p}
    onAllTasksComplete: noaction
    jobManagerTask: {id: manager, commandLine: /bin/true, killJobOnCompletion: KILL, userIdentity: {autoUser: {}}}
    jobPreparationTask:
      commandLine: /bin/sh -c 'echo "$AZ_BATCH_JOB_ID" >> "$AZ_BATCH_NODE_SHARED_DIR/prepared.txt"'
    jobReleaseTask:
      commandLine: /bin/sh -c 'echo "$AZ_BATCH_JOB_ID" >> "$AZ_BATCH_NODE_SHARED_DIR/released.txt"'
"""
RUNS = SCHEDULE.replace("KILL", "true")
STAYS = SCHEDULE.replace("KILL", "false")


def until(true: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
    return answer


@pytest.fixture
def scheduled(bench: Any) -> Any:
    bench.write(job=None)
    return bench


def prepared(bench: Any) -> list[str]:
    return sorted(line for lines in bench.shared("prepared.txt").values() for line in lines)


def released(bench: Any) -> list[str]:
    return sorted(line for lines in bench.shared("released.txt").values() for line in lines)


def test_a_schedule_is_created_and_settles(scheduled: Any) -> None:
    scheduled.write(etl=RUNS)
    done = scheduled.apply()
    assert done.code == 0, done.out + done.err
    assert "+ jobschedule/etl: create" in done.out
    again = scheduled.run("plan", str(scheduled.folder), "--detailed-exitcode")
    assert "No changes. The account matches the manifests." in again.out
    assert again.code == 0
    assert "etl:job-1" in until(lambda: scheduled.run("status", "jobschedule/etl").out)


def test_a_schedule_that_leaves_the_manifests_ends_its_job_through_its_release(scheduled: Any) -> None:
    scheduled.write(etl=STAYS)
    assert scheduled.apply().code == 0
    until(lambda: prepared(scheduled) == ["etl:job-1"])
    scheduled.write(etl=None)
    done = scheduled.apply()
    assert done.code == 0, done.out + done.err
    assert released(scheduled) == ["etl:job-1"]
    assert done.out.index("jobschedule/etl: disable") < done.out.index("job/etl:job-1: terminate")
    assert "receipt of job/etl:job-1" in done.out or "etl:job-1" in done.out
    assert [line for line in scheduled.writes() if line.endswith("/jobschedules/etl")][-1] == "DELETE /jobschedules/etl"
    status = scheduled.run("status")
    assert "jobschedule/etl" not in status.out
    assert "etl:job-1" not in status.out


def test_destroy_takes_the_schedule_its_job_and_the_pool(scheduled: Any) -> None:
    scheduled.write(etl=STAYS)
    assert scheduled.apply().code == 0
    until(lambda: prepared(scheduled) == ["etl:job-1"])
    done = scheduled.run("destroy", str(scheduled.folder), stdin="yes\nyes\n")
    assert done.code == 0, done.out + done.err
    assert "Delete jobschedule/etl?" in done.out
    assert "Delete job/etl:job-1?" not in done.out
    assert "preparation exit code 0  release exit code 0" in done.out
    assert "No stack owns anything here." in scheduled.run("status").out


def test_what_a_manifest_changes_on_a_schedule_is_patched_and_settles(scheduled: Any) -> None:
    scheduled.write(etl=STAYS)
    assert scheduled.apply().code == 0
    until(lambda: prepared(scheduled) == ["etl:job-1"])
    changed = STAYS.replace("PT1M", "PT2H").replace("onAllTasksComplete: noaction", "priority: 7")
    scheduled.write(etl=changed)
    done = scheduled.apply()
    assert done.code == 0, done.out + done.err
    assert "schedule.recurrenceInterval: PT1M -> PT2H" in done.out
    assert "jobSpecification.priority: 0 -> 7" in done.out
    assert "job/etl:job-1 was made before and keeps the specification it started with" in done.out
    assert scheduled.run("plan", str(scheduled.folder), "--detailed-exitcode").code == 0
    assert released(scheduled) == []


@pytest.mark.parametrize("state", ["Disabled", "Active", "Completed"])
def test_a_state_that_a_manifest_asks_for_is_reached_from_active_and_settles(scheduled: Any, state: str) -> None:
    scheduled.write(etl=STAYS)
    assert scheduled.apply().code == 0
    if state == "Active":
        scheduled.write(etl=STAYS + "lifecycle: {state: Disabled}\n")
        assert scheduled.apply().code == 0
    scheduled.write(etl=STAYS + f"lifecycle: {{state: {state}}}\n")
    done = scheduled.apply()
    assert done.code == 0, done.out + done.err
    assert scheduled.run("plan", str(scheduled.folder), "--detailed-exitcode").code == 0
    assert f"jobschedule/etl: {state.lower()}" in scheduled.run("status", "jobschedule/etl").out


def test_a_schedule_that_begins_disabled_makes_no_job(scheduled: Any) -> None:
    scheduled.write(etl=STAYS + "lifecycle: {state: Disabled}\n")
    done = scheduled.apply()
    assert done.code == 0, done.out + done.err
    assert prepared(scheduled) == []
    assert "etl:job" not in scheduled.run("status", "jobschedule/etl").out
    assert scheduled.run("plan", str(scheduled.folder), "--detailed-exitcode").code == 0


def test_a_schedule_without_recurrence_completes_and_is_made_anew_only_for_new_runs(scheduled: Any) -> None:
    once = RUNS.replace("{recurrenceInterval: PT1M}", "{startWindow: PT5M}")
    scheduled.write(etl=once)
    assert scheduled.apply().code == 0
    until(lambda: "jobschedule/etl: completed" in scheduled.run("status", "jobschedule/etl").out)
    assert scheduled.run("plan", str(scheduled.folder), "--detailed-exitcode").code == 0
    assert len(prepared(scheduled)) == 1
    scheduled.write(etl=once.replace("startWindow: PT5M", "startWindow: PT5M, doNotRunAfter: '2020-01-01T00:00:00Z'"))
    assert scheduled.run("plan", str(scheduled.folder), "--detailed-exitcode").code == 0
    scheduled.write(etl=once.replace("PT5M", "PT6M"))
    done = scheduled.apply()
    assert done.code == 0, done.out + done.err
    assert "-/+ jobschedule/etl: replace" in done.out
    until(lambda: len(prepared(scheduled)) == 2)
    until(lambda: released(scheduled) == prepared(scheduled))


def test_killed_while_its_schedule_goes_the_next_run_ends_it(scheduled: Any, tmp_path: Path) -> None:
    scheduled.write(etl=STAYS)
    assert scheduled.apply().code == 0
    until(lambda: prepared(scheduled) == ["etl:job-1"])
    scheduled.write(etl=None)
    run = scheduled.start("apply", str(scheduled.folder), "--auto-approve")
    until(lambda: "POST /jobschedules/etl/disable" in scheduled.writes())
    run.kill()
    run.communicate()
    assert scheduled.apply().code == 0
    assert released(scheduled) == ["etl:job-1"]
    assert "jobschedule/etl" not in scheduled.run("status").out
