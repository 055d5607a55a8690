"""Importing: what is there becomes manifests under which the plan is empty."""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.conftest import STACK
from tests.e2e.test_schedules import STAYS


def test_everything_that_was_applied_is_imported_and_plans_empty(bench: Any, tmp_path: Path) -> None:
    bench.write(etl=STAYS)
    assert bench.apply().code == 0
    folder = tmp_path / "imported"
    done = bench.run("import", "--all", "--out", str(folder))
    assert done.code == 0, done.err
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["job-j.yaml", "jobschedule-etl.yaml", "pool-p.yaml"]
    job = yaml.safe_load((folder / "job-j.yaml").read_text("utf-8"))
    written = yaml.safe_load((bench.folder / "job.yaml").read_text("utf-8"))
    assert job["spec"] == written["spec"]
    assert job["tasks"] == written["tasks"]
    (folder / "stack.yaml").write_text(STACK, "utf-8")
    planned = bench.run("plan", str(folder), "--detailed-exitcode")
    assert "No changes. The account matches the manifests." in planned.out
    assert planned.code == 0


def test_one_file_for_each_kind_and_files_are_never_overwritten(bench: Any, tmp_path: Path) -> None:
    assert bench.apply().code == 0
    folder = tmp_path / "imported"
    assert bench.run("import", "--all", "--out", str(folder), "--split", "kind").code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["jobs.yaml", "pools.yaml"]
    again = bench.run("import", "--all", "--out", str(folder), "--split", "kind")
    assert again.code == 64
    assert "pools.yaml exists already" in again.err


def test_named_objects_go_to_standard_output(bench: Any) -> None:
    assert bench.apply().code == 0
    done = bench.run("import", "pool/p", "job/j", "--no-tasks")
    assert done.code == 0
    documents = list(yaml.safe_load_all(done.out))
    assert [(one["kind"], one["metadata"]["name"]) for one in documents] == [("Pool", "p"), ("Job", "j")]
    assert "tasks" not in documents[1]
    missing = bench.run("import", "job/nothing")
    assert missing.code == 1
    assert "there is no job/nothing: the account has job/j" in missing.err


def test_what_the_account_answers_can_be_pasted(bench: Any, tmp_path: Path) -> None:
    assert bench.apply().code == 0
    answers = json.loads(bench.run("snapshot").out)["answers"]
    file = tmp_path / "job.json"
    file.write_text(json.dumps(answers["/jobs"]), "utf-8")
    done = bench.run("import", "--from", str(file))
    assert done.code == 0
    assert yaml.safe_load(done.out)["spec"]["poolInfo"] == {"poolId": "p"}
    through_stdin = bench.run("import", "--from", "-", stdin=file.read_text("utf-8"))
    assert through_stdin.out == done.out


def test_tasks_are_pasted_by_themselves(bench: Any, tmp_path: Path) -> None:
    assert bench.apply().code == 0
    answers = json.loads(bench.run("snapshot").out)["answers"]
    text = json.dumps(answers["/jobs/j/tasks"])
    done = bench.run("import", "--from", "-", stdin=text)
    assert done.code == 0
    assert done.out.startswith("# for the manifest of job/j\n")
    written = yaml.safe_load((bench.folder / "job.yaml").read_text("utf-8"))["tasks"]
    imported = yaml.safe_load(done.out)["tasks"]
    assert [task["commandLine"] for task in imported] == [task["commandLine"] for task in written]
    refused = bench.run("import", "--from", "-", "--out", str(tmp_path / "x"), stdin=text)
    assert (refused.code, (tmp_path / "x").exists()) == (64, False)


def test_jobs_of_a_schedule_are_left_out_of_a_list(bench: Any) -> None:
    jobs = [{"id": "etl:job-1", "poolInfo": {"poolId": "p"}}, {"id": "j", "poolInfo": {"poolId": "p"}}]
    done = bench.run("import", "--from", "-", stdin=json.dumps(jobs))
    assert done.code == 0
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(done.out)] == ["j"]
    assert done.err == "job/etl:job-1 is left out: jobschedule/etl made it\n"
    assert bench.run("import", "job/etl:job-1").code == 64


def test_a_wrong_use_is_refused(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{", "utf-8")
    for arguments, expected in (
        ((), "expected one of"),
        (("--all", "pool/p"), "expected one of"),
        (("task/j/t",), "expected an address"),
        (("--from", str(tmp_path / "x.json")), "expected JSON"),
    ):
        refused = bench.run("import", *arguments)
        assert refused.code == 64, arguments
        assert expected in refused.err
