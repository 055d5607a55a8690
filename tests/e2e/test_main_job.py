"""Manifests -> plan -> apply -> tasks -> terminate -> release -> delete, and an account equal to the manifests."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def quickstart(tmp_path: Path) -> Iterator[Any]:
    """A user with nothing configured and a copy of the quickstart manifests."""
    folder = tmp_path / "quickstart"
    shutil.copytree(ROOT / "manifests/quickstart", folder)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*arguments: str, stdin: str = "") -> tuple[int, str]:
        command = [sys.executable, "-m", "reconciler", *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=90, env=environment, check=False, cwd=tmp_path
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout

    yield run, folder
    run("emulator", "stop")


def test_the_eight_steps_of_the_sample_work_with_nothing_configured(quickstart: Any) -> None:
    run, folder = quickstart
    code, out = run("apply", str(folder), "--auto-approve")
    assert code == 0
    assert out.startswith("Target: local emulator at http://127.0.0.1:")
    assert "Plan: 2 to add, 0 to change, 0 to terminate, 0 to delete." in out
    assert "The account matches the manifests." in out.splitlines()[-1]

    code, out = run("logs", "node/quickstart/*:shared/job_prep_and_release.txt")
    assert code == 0
    nodes = re.findall(r"^==> shared/job_prep_and_release.txt on (\S+) <==$", out, re.M)
    assert len(nodes) == 2
    assert all(f"{node} tasks:" in out for node in nodes)
    assert sorted(re.findall(r"^  (task\d+)$", out, re.M)) == [f"task00{number}" for number in range(1, 9)]

    job = folder / "job.yaml"
    job.write_text(job.read_text("utf-8") + "lifecycle:\n  state: Completed\n", "utf-8")
    code, out = run("apply", str(folder), "--auto-approve")
    assert code == 0
    assert "Plan: 0 to add, 0 to change, 1 to terminate, 0 to delete." in out

    code, out = run("status", "job/prep-and-release")
    assert code == 0
    for node in nodes:
        assert re.search(rf"^{node}\s+exit code 0\s+exit code 0$", out, re.M)
    assert "completed" in out

    code, out = run("destroy", str(folder), stdin="yes\nyes\n")
    assert code == 0
    assert out.index("Delete job/prep-and-release?") < out.index("Delete pool/quickstart?")
    assert out.index("receipt") < out.index("job/prep-and-release: delete requested")
    code, out = run("status")
    assert "No stack owns anything here." in out


def test_a_second_apply_changes_nothing_and_sends_no_write(bench: Any) -> None:
    assert bench.apply().code == 0
    before = bench.last_request
    again = bench.apply()
    assert again.code == 0
    assert "No changes. The account matches the manifests." in again.out
    assert bench.writes(since=before) == []
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode").code == 0
    assert bench.writes(since=before) == []


def test_a_job_that_leaves_the_manifests_is_released_once_on_each_prepared_node_and_deleted(bench: Any) -> None:
    assert bench.apply().code == 0
    prepared = bench.shared("prepared.txt")
    assert prepared
    bench.write(job=None)
    gone = bench.apply()
    assert gone.code == 0
    assert bench.shared("released.txt") == {node: ["j"] for node in prepared}
    assert [row for row in bench.writes() if "/jobs/j" in row][-2:] == ["POST /jobs/j/terminate", "DELETE /jobs/j"]
    for node in prepared:
        assert re.search(rf"{node}\s+preparation exit code 0\s+release exit code 0", gone.out)
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


def test_destroy_removes_the_job_then_the_pool(bench: Any) -> None:
    assert bench.apply().code == 0
    prepared = bench.shared("prepared.txt")
    seen = bench.shared("released.txt")
    assert seen == {}
    done = bench.run("destroy", str(bench.folder), "--auto-approve")
    assert done.code == 0
    assert bench.writes()[-3:] == ["POST /jobs/j/terminate", "DELETE /jobs/j", "DELETE /pools/p"]
    assert all(f"release on {node[:14]}: exit code 0" in done.out for node in prepared)
    assert bench.run("destroy", str(bench.folder), "--auto-approve").code == 0


def test_destroy_keeps_what_a_person_does_not_agree_to(bench: Any) -> None:
    assert bench.apply().code == 0
    refused = bench.run("destroy", str(bench.folder), stdin="no\n")
    assert refused.code == 1
    assert "pool/p is kept: job/j still needs it." in refused.out
    only_job = bench.run("destroy", str(bench.folder), stdin="yes\nno\n")
    assert only_job.code == 0
    assert bench.writes()[-1] == "DELETE /jobs/j"
    assert only_job.lines[-1] == "Done. 1 terminated, 1 deleted. Kept: pool/p."
    status = bench.run("status").out
    assert "pool/p" in status
    assert "job/j" not in status


def test_a_changed_fixed_field_ends_the_job_and_creates_it_anew(bench: Any) -> None:
    assert bench.apply().code == 0
    prepared = bench.shared("prepared.txt")
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text.replace("released.txt", "released-2.txt"))
    done = bench.apply()
    assert done.code == 0
    assert "replace: commandLine of jobReleaseTask is fixed after creation" in done.out
    assert bench.shared("released.txt") == {node: ["j"] for node in prepared}
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


def test_what_may_change_is_changed_in_place(bench: Any) -> None:
    assert bench.apply().code == 0
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(
        job=text.replace("spec:\n", "spec:\n  priority: 7\n  metadata: [{name: team, value: risk}]\n"),
        pool=nodes(bench, 3),
    )
    plan = bench.run("plan", str(bench.folder), "--detailed-exitcode")
    assert plan.code == 2
    assert "priority: 0 -> 7" in plan.out
    assert "targetDedicatedNodes: 2 -> 3" in plan.out
    assert bench.apply().code == 0
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


def nodes(bench: Any, count: int) -> str:
    """The pool manifest with another number of nodes."""
    text: str = (bench.folder / "pool.yaml").read_text("utf-8")
    return text.replace("targetDedicatedNodes: 2", f"targetDedicatedNodes: {count}")


def test_nodes_that_owe_a_release_are_not_taken_by_a_shrink_without_consent(bench: Any) -> None:
    assert bench.apply().code == 0
    bench.write(pool=nodes(bench, 1))
    stopped = bench.apply("--detailed-exitcode")
    assert stopped.code == 4
    assert "--allow-release-loss job/j" in stopped.out
    assert not any("resize" in row for row in bench.writes())
    assert bench.apply("--allow-release-loss", "job/j").code == 0
    assert any("POST /pools/p/resize" in row for row in bench.writes())


def test_tasks_added_to_the_manifest_are_added_to_the_job(bench: Any) -> None:
    assert bench.apply().code == 0
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text + "- {id: t5, commandLine: /bin/true}\n")
    more = bench.apply()
    assert more.code == 0
    assert "Done. 1 task added." in more.out
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


def test_objects_of_others_are_never_touched(bench: Any) -> None:
    assert bench.apply().code == 0
    bench.write(stack="apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: other}\n")
    before = bench.last_request
    foreign = bench.apply("--detailed-exitcode")
    assert foreign.code == 4
    assert "owned by stack 's'" in foreign.out
    gone = bench.run("destroy", str(bench.folder), "--auto-approve")
    assert gone.code == 0
    assert "job/j is left alone: it belongs to stack 's'." in gone.out
    assert "Nothing of stack 'other' is there." in gone.out
    assert bench.writes(since=before) == []


def test_the_json_plan_has_the_names_that_terraform_users_know(bench: Any) -> None:
    plan = bench.run("plan", str(bench.folder), "--format", "json")
    assert plan.code == 0
    assert plan.err.startswith("Target: http://127.0.0.1:")
    document = json.loads(plan.out)
    changes = {row["address"]: row for row in document["resource_changes"]}
    assert changes["pool/p"]["change"]["actions"] == ["create"]
    assert changes["job/j"]["change"]["before"] is None
    assert changes["job/j"]["after"] == ["pool/p"]
    assert document["summary"] == {"add": 2, "change": 0, "terminate": 0, "delete": 0}
    assert re.fullmatch(r"[0-9a-f]{16,}", document["digest"])


def test_no_answer_means_no_change(bench: Any) -> None:
    assert bench.run("apply", str(bench.folder), stdin="no\n").code == 1
    assert bench.run("apply", str(bench.folder), stdin="y\n").code == 1
    nobody = bench.run("apply", str(bench.folder), stdin="")
    assert nobody.code == 1
    assert "--auto-approve" in nobody.err
    assert bench.writes() == []
    assert bench.run("apply", str(bench.folder), stdin="yes\n").code == 0


def test_a_run_that_is_out_of_time_goes_on_with_the_next_one(bench: Any) -> None:
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text.replace("sleep 0.2", "sleep 2"))
    first = bench.apply("--max-duration", "1s", "--detailed-exitcode")
    assert first.code == 3
    assert first.lines[-1].startswith("In progress: ")
    assert bench.apply("--max-duration", "60s", "--detailed-exitcode").code == 0


def test_no_wait_leaves_the_tasks_running(bench: Any) -> None:
    text = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=text.replace("sleep 0.2", "sleep 3"))
    done = bench.apply("--no-wait")
    assert done.code == 0
    assert done.lines[-1].startswith("In progress: job/j: tasks ")
