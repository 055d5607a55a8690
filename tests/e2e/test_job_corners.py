"""Corners of the life of jobs and schedules through the command line: what could wait, or fail, for ever."""

import time
from typing import Any


def test_a_job_without_tasks_that_retries_is_not_waited_for(bench: Any) -> None:
    job = bench.folder.joinpath("job.yaml").read_text("utf-8").split("tasks:")[0]
    bench.write(job=job)
    assert bench.apply().code == 0
    bench.write(job=job + "lifecycle: {tasks: ReactivateFailed}\n")
    done = bench.apply("--max-duration", "6s", "--detailed-exitcode")
    assert (done.code, done.out.splitlines()[-1]) == (0, "No changes. The account matches the manifests.")


def test_a_schedule_whose_job_is_held_back_is_blocked_and_not_waited_for(bench: Any) -> None:
    bench.write(
        job=None,
        etl="""\
apiVersion: reconciler/v1
kind: JobSchedule
metadata: {name: etl}
spec:
  schedule: {recurrenceInterval: PT1H}
  jobSpecification:
    poolInfo: {poolId: p}
    jobManagerTask: {id: m, commandLine: /bin/true, killJobOnCompletion: true, userIdentity: {autoUser: {}}}
    jobPreparationTask: {commandLine: /bin/true}
    jobReleaseTask: {commandLine: /bin/false}
""",
    )
    assert bench.apply().code == 0
    deadline = time.monotonic() + 90
    while "completed" not in bench.run("status", "job/etl:job-1").out:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    bench.write(etl=None)
    done = bench.apply("--max-duration", "8s", "--detailed-exitcode")
    assert done.code == 4
    assert "--allow-release-failure job/etl:job-1" in done.out
    done = bench.apply("--detailed-exitcode", "--allow-release-failure", "job/etl:job-1")
    assert done.code == 0


def test_tasks_that_wait_for_a_failed_one_are_not_waited_for(bench: Any) -> None:
    bench.write(
        job="""\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec: {poolInfo: {poolId: p}, usesTaskDependencies: true}
tasks:
- {id: t1, commandLine: /bin/false}
- {id: t2, commandLine: /bin/true, dependsOn: {taskIds: [t1]}}
- {id: t3, commandLine: /bin/true, dependsOn: {taskIds: [t2]}}
"""
    )
    done = bench.apply()
    assert done.code == 1, done.out
    assert (
        "! job/j: tasks 1 of 3 done, and none can run: task t1 failed (exit code 1), and 2 tasks wait for it"
        in done.out
    )
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode").code == 0


def test_tasks_that_keep_a_job_from_ending_are_not_deleted_to_be_changed(bench: Any) -> None:
    job = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec:
  poolInfo: {poolId: p}
  onAllTasksComplete: terminatejob
tasks:
- {id: t1, commandLine: /bin/echo 1}
lifecycle: {tasks: Replace}
"""
    empty = bench.folder.joinpath("pool.yaml").read_text("utf-8").replace("Nodes: 2", "Nodes: 0")
    bench.write(job=job, pool=empty)
    assert bench.apply("--no-wait").code == 0
    bench.write(job=job.replace("echo 1", "echo 2"))
    done = bench.apply("--no-wait", "--detailed-exitcode")
    assert done.code == 4, done.out
    assert "the job ends before they are added anew" in done.out
    assert "job/j: active" in bench.run("status", "job/j").out
    replaced = bench.apply("--no-wait", "--replace", "job/j")
    assert replaced.code == 0, replaced.out
    assert bench.run("plan", str(bench.folder), "--check-tasks", "--detailed-exitcode").code == 0


def test_a_job_that_goes_makes_room_for_one_that_comes(bench: Any) -> None:
    job = bench.folder.joinpath("job.yaml").read_text("utf-8")
    bench.write(job=job.replace("{name: j}", "{name: old}"))
    assert bench.apply().code == 0
    bench.emulator.faults([{"kind": "quota", "activeJobsAndSchedules": 1}])
    bench.write(job=job.replace("{name: j}", "{name: new}"))
    done = bench.apply("--detailed-exitcode")
    assert done.code == 0, done.out
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode").code == 0
    bench.write(more=job.replace("{name: j}", "{name: more}"))
    full = bench.apply("--detailed-exitcode")
    assert full.code == 6
    assert "ActiveJobAndScheduleQuotaReached" in full.out


def test_a_pool_that_goes_makes_room_for_one_that_comes_once_its_job_was_released(bench: Any) -> None:
    pool = bench.folder.joinpath("pool.yaml").read_text("utf-8")
    assert bench.apply().code == 0
    bench.emulator.faults([{"kind": "quota", "pools": 1}])
    bench.write(job=None, pool=pool.replace("{name: p}", "{name: q}"))
    done = bench.apply("--detailed-exitcode")
    assert done.code == 0, done.out
    assert "preparation exit code 0  release exit code 0" in done.out
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode").code == 0
    status = bench.run("status", str(bench.folder)).out
    assert "pool/q" in status
    assert "pool/p" not in status
    bench.write(more=pool.replace("{name: p}", "{name: more}"))
    full = bench.apply("--detailed-exitcode")
    assert full.code == 6
    assert "PoolQuotaReached" in full.out


def test_a_pool_goes_in_the_same_run_that_leaves_its_job_to_others(bench: Any) -> None:
    job = bench.folder.joinpath("job.yaml").read_text("utf-8")
    plain = "\n".join(line for line in job.splitlines() if "Task:" not in line and "/bin/sh -c 'echo" not in line)
    bench.write(job=plain + "\nlifecycle: {deletionPolicy: Orphan}\n")
    assert bench.apply().code == 0
    bench.write(job=None, pool=None)
    done = bench.apply("--allow-deletes", "2", "--detailed-exitcode")
    assert done.code == 0, done.out
    assert "job/j runs on it and is left to others" in done.out
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode").code == 0


def test_what_nothing_would_come_of_is_refused(bench: Any) -> None:
    assert bench.apply().code == 0
    bench.write(job=None)
    refused = bench.run("plan", str(bench.folder), "--no-prune", "--replace", "job/j")
    assert refused.code == 64
    assert "--replace job/j: no manifest declares it" in refused.err


def test_a_job_of_a_schedule_has_no_mark_to_take_off_and_no_successor(bench: Any) -> None:
    schedule = """\
apiVersion: reconciler/v1
kind: JobSchedule
metadata: {name: etl}
spec:
  schedule: {recurrenceInterval: PT1H}
  jobSpecification: {poolInfo: {poolId: p}}
"""
    bench.write(job=None, etl=schedule)
    assert bench.apply().code == 0
    deadline = time.monotonic() + 90
    while "active" not in bench.run("status", "job/etl:job-1").out:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    before = bench.last_request
    left = bench.run("orphan", "job/etl:job-1", "--auto-approve")
    assert left.code == 1
    assert "it belongs to jobschedule/etl" in left.out
    again = bench.run("plan", str(bench.folder), "--replace", "job/etl:job-1")
    assert again.code == 64
    assert "it goes with jobschedule/etl" in again.err
    assert bench.writes(before) == []


def test_a_lost_ledger_is_noticed_when_every_job_that_it_knew_is_gone(bench: Any) -> None:
    job = bench.folder.joinpath("job.yaml").read_text("utf-8")
    job = job.replace("tasks:", "  onAllTasksComplete: terminatejob\ntasks:")
    bench.write(job=job + "lifecycle: {ttlAfterCompletion: {success: PT0S}}\n")
    assert bench.apply().code == 0
    deadline = time.monotonic() + 90
    while "job/j: completed" not in bench.run("status", "job/j").out:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "job/j: delete" in bench.apply().out
    stacks = bench.folder.parent / ".local/state/reconciler/stacks"
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode").code == 0
    stacks.rename(stacks.parent / "lost")
    lost = bench.run("plan", str(bench.folder), "--detailed-exitcode")
    assert lost.code == 2
    assert "--allow-new-run job/j" in lost.out
    again = bench.apply("--allow-new-run", "job/j", "--detailed-exitcode")
    assert again.code == 0, again.out
    assert "job/j: created" in again.out
