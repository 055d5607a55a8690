"""What once went wrong: one test for each, named by what must hold."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential

NO_CHANGES = "No changes. The account matches the manifests.\n"


def client(bench: Any) -> BatchClient:
    emulator = bench.emulator
    return BatchClient(emulator.endpoint, AzureNamedKeyCredential(emulator.account, emulator.key))


def edited(bench: Any, name: str, old: str, new: str) -> None:
    path = bench.folder / f"{name}.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def wait_for(bench: Any, line: str) -> None:
    deadline = time.monotonic() + 90
    while line not in bench.writes():
        assert time.monotonic() < deadline, f"waited too long for {line}"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            {"path": "addtaskcollection", "method": "POST", "status": 403, "code": "InsufficientAccountPermissions"},
            "403",
        ),
        ({"path": "addtaskcollection", "method": "POST", "status": 400, "code": "InvalidPropertyValue"}, "400"),
    ],
    ids=["denied", "rejected"],
)
def test_work_of_a_job_that_failed_is_not_waited_for(bench: Any, rule: dict[str, Any], said: str) -> None:
    bench.emulator.faults([{"kind": "status", "times": None, **rule}])
    ran = bench.apply("--detailed-exitcode", timeout=90)
    assert ran.code == 6
    assert f"! job/j: add-tasks job/j: {said}" in ran.out


def test_work_of_a_job_of_others_is_not_waited_for(bench: Any) -> None:
    assert bench.apply().code == 0
    bench.write(stack="apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: other}\n")
    edited(bench, "job", "- {id: t4", "- {id: t9, commandLine: /bin/true}\n- {id: t4")
    assert bench.apply("--detailed-exitcode", timeout=90).code == 4


def test_a_job_whose_pool_does_not_exist_is_told_and_not_waited_for(bench: Any) -> None:
    bench.write(pool=None)
    ran = bench.apply("--detailed-exitcode", timeout=90)
    assert ran.code == 4
    assert "! job/j: tasks 0 of 4 done, and none can run: pool/p does not exist" in ran.out


def test_a_job_on_a_pool_without_nodes_is_told_and_not_waited_for(bench: Any) -> None:
    edited(bench, "pool", "targetDedicatedNodes: 2", "targetDedicatedNodes: 0")
    ran = bench.apply("--detailed-exitcode", timeout=90)
    assert ran.code == 4
    assert "none can run: pool/p has no nodes" in ran.out


def test_a_list_that_fails_for_a_while_is_read_again(bench: Any) -> None:
    bench.emulator.faults([{"kind": "status", "status": 503, "path": "^/nodecounts$", "times": 7, "skip": 2}])
    assert bench.apply("--detailed-exitcode").code == 0


def test_a_list_of_jobs_that_is_refused_keeps_the_nodes(bench: Any) -> None:
    assert bench.apply().code == 0
    rule = {"kind": "status", "status": 403, "code": "InsufficientAccountPermissions", "path": "^/jobs$", "times": None}
    bench.emulator.faults([rule])
    before = bench.last_request
    ran = bench.run("destroy", str(bench.folder), "--auto-approve", "--detailed-exitcode")
    assert ran.code == 4
    assert "the jobs could not be listed" in ran.out
    assert bench.writes(since=before) == []


def test_node_counts_that_may_not_be_read_do_not_stop_the_work(bench: Any) -> None:
    rule = {
        "kind": "status",
        "status": 403,
        "code": "InsufficientAccountPermissions",
        "path": "^/nodecounts$",
        "times": None,
    }
    bench.emulator.faults([rule])
    assert bench.apply("--detailed-exitcode").code == 0


CONVERGING = {
    "empty lists": (
        'commandLine: /bin/sh -c \'echo "$AZ_BATCH_JOB_ID" >> "$AZ_BATCH_NODE_SHARED_DIR/released.txt"\'',
        "commandLine: /bin/true\n    resourceFiles: []\n    environmentSettings: []",
    ),
    "retry count of the job": ("spec:\n", "spec:\n  constraints: {maxTaskRetryCount: 2}\n"),
    "manager": (
        "spec:\n",
        "spec:\n  constraints: {maxTaskRetryCount: 3}\n"
        "  jobManagerTask: {id: m, commandLine: /bin/true, killJobOnCompletion: false}\n",
    ),
    "metadata and environment": (
        "spec:\n",
        "spec:\n  metadata: [{name: a, value: b}]\n  commonEnvironmentSettings: [{name: X, value: y}]\n  priority: 3\n",
    ),
    "durations": ("spec:\n", "spec:\n  constraints: {maxWallClockTime: PT240M}\n  maxParallelTasks: 3\n"),
    "task fields": (
        "- {id: t4, commandLine: /bin/true}",
        "- {id: T4, commandLine: /bin/true, resourceFiles: [], constraints: {maxTaskRetryCount: 1}}",
    ),
}


@pytest.mark.parametrize("name", CONVERGING)
def test_after_apply_the_plan_is_empty(bench: Any, name: str) -> None:
    edited(bench, "job", *CONVERGING[name])
    assert bench.apply("--detailed-exitcode").code == 0
    before = bench.last_request
    assert bench.apply("--detailed-exitcode").out.endswith(NO_CHANGES)
    assert bench.writes(since=before) == []


def test_a_retry_count_that_changes_after_the_tasks_ran_touches_no_task(bench: Any) -> None:
    assert bench.apply().code == 0
    edited(bench, "job", "spec:\n", "spec:\n  constraints: {maxTaskRetryCount: 2}\n")
    assert bench.apply("--detailed-exitcode").code == 0
    assert not any(row.startswith("PUT") for row in bench.writes())
    assert bench.apply().out.endswith(NO_CHANGES)


def test_fields_that_come_and_go_together_are_planned(bench: Any) -> None:
    assert bench.apply().code == 0
    edited(
        bench,
        "pool",
        "  targetDedicatedNodes: 2",
        "  targetDedicatedNodes: 2\n  startTask: {commandLine: /bin/true}\n  metadata: [{name: a, value: b}]",
    )
    assert bench.apply("--detailed-exitcode").code == 0
    assert bench.apply().out.endswith(NO_CHANGES)
    edited(bench, "pool", "\n  startTask: {commandLine: /bin/true}\n  metadata: [{name: a, value: b}]", "")
    assert bench.apply("--detailed-exitcode").code == 0
    assert bench.apply().out.endswith(NO_CHANGES)


def at_the_question(bench: Any, *arguments: str) -> "subprocess.Popen[str]":
    """A command that has shown its plan and waits for an answer."""
    running = subprocess.Popen(
        bench.command(*arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**bench.environment, "PYTHONUNBUFFERED": "1"},
    )
    assert running.stdout is not None
    seen = ""
    while "Only 'yes' is accepted: " not in seen:
        piece = running.stdout.read(1)
        assert piece, seen
        seen += piece
    return running


def test_an_answer_counts_for_the_object_that_was_shown_and_for_no_other(bench: Any) -> None:
    assert bench.apply().code == 0
    asking = at_the_question(bench, "destroy", str(bench.folder), "--detailed-exitcode")
    edited(bench, "job", "spec:\n", "spec:\n  priority: 1\n")
    assert bench.apply("--replace", "job/j").code == 0
    before = bench.last_request
    out, _ = asking.communicate("yes\nno\n", timeout=60)
    assert asking.returncode == 6
    assert "it changed since the plan was approved" in out
    assert bench.writes(since=before) == []


def test_an_answer_counts_for_the_changes_that_were_shown_and_for_no_others(bench: Any) -> None:
    assert bench.apply().code == 0
    edited(bench, "job", "spec:\n", "spec:\n  priority: 5\n")
    asking = at_the_question(bench, "apply", str(bench.folder), "--detailed-exitcode")
    client(bench).update_job("j", {"constraints": {"maxTaskRetryCount": 7}})  # type: ignore[arg-type]
    out, _ = asking.communicate("yes\n", timeout=60)
    assert asking.returncode == 6
    assert "it changed since the plan was approved" in out
    assert client(bench).get_job("j").priority == 0


def test_ctrl_c_at_the_question_ends_the_command(bench: Any) -> None:
    asking = at_the_question(bench, "apply", str(bench.folder))
    for _ in range(120):  # a signal between the question and the wait for its answer is not noticed before the next one
        asking.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            asking.wait(timeout=0.5)  # before its standard input is closed, which would be another answer
            break
    _, err = asking.communicate(timeout=60)
    assert asking.returncode == 1
    assert err.strip() == "Interrupted."
    assert bench.writes() == []


def test_two_interrupts_end_a_run_at_once_and_in_one_line(bench: Any) -> None:
    edited(bench, "job", "sleep 0.2", "sleep 5")
    running = bench.start("apply", str(bench.folder), "--auto-approve", "--max-duration", "60s")
    wait_for(bench, "POST /jobs")
    running.send_signal(signal.SIGINT)
    time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode in (1, -signal.SIGINT)
    assert "Traceback" not in err


def test_an_interrupted_run_is_no_success_whatever_its_time_limit(bench: Any) -> None:
    edited(bench, "job", "sleep 0.2", "sleep 5")
    running = bench.start("apply", str(bench.folder), "--auto-approve", "--max-duration", "60s")
    wait_for(bench, "POST /jobs")
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert out.splitlines()[-1].startswith("In progress: interrupted")


def test_a_long_retry_after_does_not_outlast_the_time_limit(bench: Any) -> None:
    rule = {"kind": "status", "status": 503, "retryAfter": 60, "method": "POST", "path": "^/pools$", "times": None}
    bench.emulator.faults([rule])
    ran = bench.apply("--max-duration", "2s", timeout=50)  # less than the minute of the Retry-After
    assert ran.code == 0
    assert ran.lines[-1].startswith("In progress: out of time; pool/p: try again to create")


def test_prevent_destroy_counts_before_it_was_applied(bench: Any) -> None:
    assert bench.apply().code == 0
    job = bench.folder / "job.yaml"
    job.write_text(job.read_text("utf-8") + "lifecycle: {preventDestroy: true}\n", "utf-8")
    kept = bench.run("destroy", str(bench.folder), "--auto-approve")
    assert "job/j: kept: lifecycle.preventDestroy" in kept.out
    assert "job/j" in bench.run("status").out
    assert not any("/jobs/j/terminate" in row for row in bench.writes())


def test_tasks_that_never_ran_because_somebody_ended_the_job_are_told(bench: Any) -> None:
    edited(bench, "job", "sleep 0.2", "sleep 3")
    edited(bench, "pool", "targetDedicatedNodes: 2", "targetDedicatedNodes: 1")
    running = bench.start("apply", str(bench.folder), "--auto-approve", "--detailed-exitcode")
    wait_for(bench, "PATCH /jobs/j")
    client(bench).begin_terminate_job("j", options={"terminateReason": "portal"})  # type: ignore[arg-type]
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 6
    assert re.search(r"! job/j: \d of its tasks never ran: the job ended \(portal\)", out)


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_closed_and_narrow_outputs_make_no_traceback(bench: Any, command: str) -> None:
    edited(bench, "job", "spec:\n", "spec:\n  displayName: Überlauf\n")
    for redirect in (">&-", "2>&-", ">&- 2>&-"):
        words = " ".join(bench.command(command, str(bench.folder)))
        done = subprocess.run(
            ["sh", "-c", f"{words} {redirect}"], capture_output=True, text=True, env=bench.environment, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    ran = bench.run(command, str(bench.folder), PYTHONIOENCODING="ascii", LC_ALL="C")
    assert ran.code == 0


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://[::1", "expected an endpoint such as"),
        ("https://user:hunter2@host", "without user, password and query"),
        ("ftp://host", "expected an endpoint such as"),
        ("http://127.0.0.1:99999", "expected an endpoint such as"),
    ],
)
def test_an_endpoint_that_is_none_is_said_in_one_line(bench: Any, endpoint: str, said: str) -> None:
    ran = bench.run("plan", str(bench.folder), "--endpoint", endpoint)
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert said in line
    assert "hunter2" not in ran.err + ran.out


def test_a_key_without_an_endpoint_is_not_for_the_emulator(tmp_path: Path, bench: Any) -> None:
    environment = {"AZURE_BATCH_ENDPOINT": "", "HOME": str(tmp_path)}
    ran = bench.run("status", **environment)
    assert ran.code == 1
    assert "is given without an endpoint" in ran.err


def test_flags_are_taken_by_their_whole_names_only(bench: Any) -> None:
    assert bench.run("apply", str(bench.folder), "--auto").code == 64
    assert bench.writes() == []


def test_a_journal_that_cannot_be_written_stops_before_the_first_request(bench: Any) -> None:
    ran = bench.apply(XDG_STATE_HOME=os.devnull)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert bench.writes() == []


def test_what_does_not_exist_is_an_error_and_not_a_wrong_command_line(bench: Any) -> None:
    assert bench.run("status", "job/nope").code == 1
    assert bench.run("logs", "job/nope").code == 1
    assert bench.run("logs", "node/nope/*:shared/x").code == 1
    assert bench.run("logs", "nope").code == 64


def test_a_replacement_shows_what_forces_it(bench: Any) -> None:
    assert bench.apply().code == 0
    edited(bench, "job", "released.txt", "other.txt")
    plan = bench.run("plan", str(bench.folder)).out
    assert re.search(r"jobReleaseTask.commandLine: .*released.txt.* -> .*other.txt.*  # forces replacement", plan)


def test_a_task_that_leaves_the_manifest_stays_and_is_named(bench: Any) -> None:
    assert bench.apply().code == 0
    edited(bench, "job", "- {id: t4, commandLine: /bin/true}\n", "")
    plan = bench.run("plan", str(bench.folder)).out
    assert "job/j: 1 of its tasks is in the account and not in the manifest; it stays (t4)" in plan


def test_a_manifest_without_tasks_any_more_is_confirmed_and_not_waited_for(bench: Any) -> None:
    assert bench.apply().code == 0
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text.partition("tasks:")[0])
    assert bench.apply("--detailed-exitcode", timeout=90).code == 0
    assert bench.apply().out.endswith(NO_CHANGES)


def test_growth_that_has_become_a_shrink_is_not_what_was_approved(bench: Any) -> None:
    bench.write(job=None)
    assert bench.apply().code == 0
    edited(bench, "pool", "targetDedicatedNodes: 2", "targetDedicatedNodes: 3")
    asking = at_the_question(bench, "apply", str(bench.folder), "--detailed-exitcode")
    client(bench).begin_resize_pool("p", {"targetDedicatedNodes": 5}, polling_interval=0).result()  # type: ignore[arg-type]
    out, _ = asking.communicate("yes\n", timeout=60)
    assert asking.returncode == 6
    assert "it changed since the plan was approved" in out
    assert client(bench).get_pool("p").target_dedicated_nodes == 5


def test_a_replacement_whose_create_lost_its_answer_goes_on(bench: Any) -> None:
    assert bench.apply().code == 0
    edited(bench, "job", "prepared.txt", "prepared-2.txt")
    bench.emulator.faults([{"kind": "reset-after", "method": "POST", "path": "^/jobs$", "times": 1}])
    assert bench.apply("--detailed-exitcode").code == 0
    assert bench.apply().out.endswith(NO_CHANGES)


@pytest.mark.parametrize("kind", ["pools", "jobs"])
def test_a_refused_list_is_never_taken_for_an_empty_one(bench: Any, kind: str) -> None:
    assert bench.apply().code == 0
    bench.write(job=None)
    rule = {
        "kind": "status",
        "status": 403,
        "code": "InsufficientAccountPermissions",
        "path": f"^/{kind}$",
        "times": None,
    }
    bench.emulator.faults([rule])
    said = f"the account's {kind} could not be listed"
    plan = bench.run("plan", str(bench.folder), "--detailed-exitcode")
    assert plan.code == 2
    assert said in plan.out
    ran = bench.apply("--detailed-exitcode", timeout=90)
    assert ran.code == 4
    name = {"pools": "pool/p", "jobs": "job/j"}[kind]
    assert said in bench.run("status", name).err
    gone = bench.run("destroy", str(bench.folder), "--auto-approve", "--detailed-exitcode")
    assert gone.code == 4
    assert "Nothing of stack" not in gone.out


def test_tasks_that_no_usable_node_can_take_are_told(bench: Any) -> None:
    edited(
        bench,
        "pool",
        "  targetDedicatedNodes: 2",
        "  targetDedicatedNodes: 1\n  startTask: {commandLine: /bin/false, waitForSuccess: true}",
    )
    ran = bench.apply("--detailed-exitcode", timeout=90)
    assert ran.code == 4
    assert "no usable node: 1 starttaskfailed" in ran.out


def test_no_wait_knows_finished_work(bench: Any) -> None:
    assert bench.apply().code == 0
    assert bench.apply("--no-wait", "--detailed-exitcode").out.endswith(NO_CHANGES)


def test_a_second_stumble_of_an_object_is_not_held_against_it(bench: Any) -> None:
    edited(bench, "job", "released.txt\"'", "released.txt\"; sleep 16'")
    assert bench.apply().code == 0
    bench.emulator.faults(
        [
            {"kind": "status-after", "status": 503, "method": "POST", "path": "/terminate$", "times": 1},
            {"kind": "status-after", "status": 503, "method": "DELETE", "path": "^/jobs/j$", "times": 1},
        ]
    )
    assert bench.run("destroy", str(bench.folder), "--auto-approve", "--detailed-exitcode").code == 0


def test_results_that_cannot_be_read_do_not_undo_what_was_done(bench: Any) -> None:
    assert bench.apply().code == 0
    edited(bench, "job", "spec:\n", "spec:\n  priority: 4\n")
    bench.emulator.faults([{"kind": "status", "status": 429, "retryAfter": 30, "path": "taskcounts$", "times": None}])
    ran = bench.apply("--no-wait")
    assert ran.code == 0
    assert "job/j: updated" in ran.out
    assert "the results of the tasks could not be read" in ran.err


def test_a_pool_is_not_removed_under_a_job_that_stays(bench: Any) -> None:
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text[: text.index("  jobPreparationTask")] + text[text.index("tasks:") :])
    assert bench.apply().code == 0
    bench.write(pool=None)
    ran = bench.apply("--detailed-exitcode", timeout=90)
    assert ran.code == 4
    assert "job/j stays and needs it" in ran.out
    assert "DELETE /pools/p" not in bench.writes()
    assert bench.run("apply", str(bench.folder), "--max-duration", "0s").code == 64


def test_replace_and_completed_contradict_each_other(bench: Any) -> None:
    assert bench.apply().code == 0
    job = bench.folder / "job.yaml"
    job.write_text(job.read_text("utf-8") + "lifecycle: {state: Completed}\n", "utf-8")
    ran = bench.apply("--replace", "job/j", "--detailed-exitcode")
    assert ran.code == 4
    assert "--replace asks for a new run" in ran.out


def test_a_stack_that_lint_refuses_is_not_planned(bench: Any) -> None:
    task = "- {id: t5, commandLine: /bin/true, dependsOn: {taskIds: [nothing]}}\n"
    job = (bench.folder / "job.yaml").read_text("utf-8").replace("spec:\n", "spec:\n  usesTaskDependencies: true\n")
    bench.write(job=job + task)
    for command in ("plan", "apply"):
        refused = bench.run(command, str(bench.folder))
        assert refused.code == 64
        assert "job.yaml:16:" in refused.err
        assert "nothing" in refused.err
    assert bench.writes() == []
