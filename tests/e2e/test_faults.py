"""Bad input and faults: a clear line, a non-zero exit where the work is not done, nothing lost."""

import json
import signal
import time
from typing import Any

import pytest


def test_an_account_that_cannot_be_reached_is_said_in_one_line(bench: Any) -> None:
    ran = bench.run("plan", str(bench.folder), "--endpoint", "http://127.0.0.1:9")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line.startswith("error: list the pools: no answer from http://127.0.0.1:9: ")


def test_a_wrong_key_is_said_in_one_line(bench: Any) -> None:
    ran = bench.apply(AZURE_BATCH_ACCESS_KEY="d3Jvbmc=")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert "403 AuthenticationFailed: the key does not fit this account" in line


def test_a_key_that_is_none_is_said_in_one_line(bench: Any) -> None:
    ran = bench.apply(AZURE_BATCH_ACCESS_KEY="not base64!")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "not base64!" not in ran.err


def test_manifests_with_mistakes_are_refused_before_anything_is_sent(bench: Any) -> None:
    bench.write(job="apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  pooInfo: {poolId: p}\n")
    ran = bench.apply()
    assert ran.code == 64
    assert "job.yaml:5:3: spec.pooInfo: unknown field" in ran.err
    assert "did you mean 'poolInfo'" in ran.err
    assert bench.emulator.requests() == []


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "status": 429, "retryAfter": 1, "times": 2},
        {"kind": "status", "status": 503, "retryAfter": 1, "times": 2},
        {"kind": "status", "status": 503, "times": 1},
        {"kind": "status", "status": 500, "times": 1},
        {"kind": "reset", "times": 1},
        {"kind": "status-after", "status": 503, "times": 1},
        {"kind": "reset-after", "times": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("request_", [("POST", "^/pools$"), ("POST", "^/jobs$"), ("POST", "addtaskcollection")])
def test_a_passing_fault_of_a_write_is_survived(bench: Any, rule: dict[str, Any], request_: tuple[str, str]) -> None:
    method, path = request_
    bench.emulator.faults([{**rule, "method": method, "path": path}])
    assert bench.apply().code == 0
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


@pytest.mark.parametrize("kind", ["reset", "reset-after", "status-after"])
@pytest.mark.parametrize("request_", [("POST", "/terminate$"), ("DELETE", "^/jobs/j$"), ("PATCH", "^/jobs/j$")])
def test_a_lost_request_or_answer_never_makes_a_second_release(
    bench: Any, kind: str, request_: tuple[str, str]
) -> None:
    method, path = request_
    bench.emulator.faults([{"kind": kind, "method": method, "path": path, "times": 1}])
    assert bench.apply().code == 0
    prepared = bench.shared("prepared.txt")
    bench.write(job=None)
    assert bench.apply().code == 0
    assert bench.shared("released.txt") == {node: ["j"] for node in prepared}
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


def test_a_fault_that_stays_ends_the_run_and_says_which_request(bench: Any) -> None:
    bench.emulator.faults(
        [
            {
                "kind": "status",
                "status": 400,
                "code": "InvalidPropertyValue",
                "path": "^/jobs$",
                "method": "POST",
                "times": None,
            }
        ]
    )
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 6
    assert "job/j: create job/j: 400 InvalidPropertyValue" in ran.out
    bench.emulator.faults([])
    assert bench.apply().code == 0


def test_a_quota_is_told_and_not_hammered(bench: Any) -> None:
    bench.emulator.faults(
        [
            {
                "kind": "status",
                "status": 409,
                "code": "ActiveJobAndScheduleQuotaReached",
                "path": "^/jobs$",
                "method": "POST",
                "times": None,
            }
        ]
    )
    ran = bench.apply()
    assert ran.code == 1
    assert "ActiveJobAndScheduleQuotaReached" in ran.out
    assert bench.writes().count("POST /jobs") == 1


def test_a_task_whose_command_does_not_exist_is_shown(bench: Any) -> None:
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(
        job=text
        + "- {id: t5, commandLine: /no/such/program}\n- {id: t6, commandLine: /bin/sh -c 'echo why >&2; exit 3'}\n"
    )
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 6
    assert "! job/j: task t5 failed (CommandProgramNotFound" in ran.out
    assert "! job/j: task t6 failed (exit code 3); see reconciler logs job/j --task t6" in ran.out
    assert bench.run("logs", "job/j", "--task", "t6").out.endswith("stderr.txt <==\nwhy\n")
    assert bench.apply().code == 1


FAILS_ON_ONE = """\
    commandLine: >-
      /bin/sh -c 'if mkdir "$AZ_BATCH_NODE_ROOT_DIR/../first" 2>/dev/null; then echo broken disk; exit 7; fi;
      echo "$AZ_BATCH_JOB_ID" >> "$AZ_BATCH_NODE_SHARED_DIR/prepared.txt"'
"""
PREPARES = """\
    commandLine: /bin/sh -c 'echo "$AZ_BATCH_JOB_ID" >> "$AZ_BATCH_NODE_SHARED_DIR/prepared.txt"'
"""


def test_preparation_that_fails_on_one_node_leaves_the_work_to_the_others(bench: Any) -> None:
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text.replace(PREPARES, FAILS_ON_ONE))
    ran = bench.apply()
    assert ran.code == 1
    assert len(bench.shared("prepared.txt")) == 1
    (line,) = [line for line in ran.lines if line.startswith("! ")]
    assert "preparation failed on node tvmps_" in line
    assert "(exit code 7); see reconciler logs job/j --node tvmps_" in line
    status = bench.run("status", "job/j")
    assert "exit code 7" in status.out
    assert "4 succeeded, 0 failed" in status.out
    words = line.partition("see reconciler ")[2].split()
    assert "broken disk" in bench.run(*words).out
    bench.write(job=None)
    assert bench.apply().code == 0
    assert bench.shared("released.txt") == bench.shared("prepared.txt")


def test_preparation_that_fails_everywhere_is_told_and_not_waited_for(bench: Any) -> None:
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text.replace(PREPARES, "    commandLine: /bin/sh -c 'exit 9'\n"))
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 4
    assert ran.out.count("preparation failed on node") == 2
    assert "job/j: tasks 0 of 4 done, and none can run: its preparation failed on every node" in ran.out


def test_a_failed_release_keeps_the_job_until_somebody_consents(bench: Any) -> None:
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text.replace("released.txt\"'", "released.txt\"; echo full >&2; exit 5'"))
    assert bench.apply().code == 0
    bench.write(job=None)
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 4
    assert "exit code 5" in ran.out
    assert "--allow-release-failure job/j" in ran.out
    assert "full" in bench.run("logs", "job/j", "--task", "release", "--file", "stderr.txt").out
    assert bench.apply("--allow-release-failure", "job/j").code == 0
    assert set(map(tuple, bench.shared("released.txt").values())) == {("j",)}
    receipts = [
        json.loads(line)
        for line in next((bench.folder.parent).glob(".local/state/reconciler/stacks/*/s/journal/*.jsonl"))
        .read_text("utf-8")
        .splitlines()
    ]
    (receipt,) = [row for row in receipts if row["event"] == "release-receipt"]
    assert {node["release"]["exit_code"] for node in receipt["nodes"]} == {5}


def test_an_interrupt_ends_cleanly_and_a_later_apply_goes_on(bench: Any) -> None:
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text.replace("sleep 0.2", "sleep 2"))
    running = bench.start("apply", str(bench.folder), "--auto-approve", "--detailed-exitcode")
    deadline = time.monotonic() + 90
    while "POST /jobs" not in bench.writes() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 3
    assert "Traceback" not in err
    assert out.splitlines()[-1].startswith("In progress: ")
    assert bench.apply().code == 0
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")
