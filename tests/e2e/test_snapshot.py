"""Snapshots: a plan from one equals the plan from the account, and no secret is in it."""

from pathlib import Path
from typing import Any

SIGNED = "https://a.blob.core.windows.net/c/f?sv=2024&sig=SIGNATURE"


def lines_of_plan(text: str) -> str:
    return text.split("\n", 1)[1]


def test_a_plan_from_a_snapshot_is_the_plan_from_the_account(bench: Any, tmp_path: Path) -> None:
    assert bench.apply().code == 0
    file = str(tmp_path / "live.json")
    taken = bench.run("snapshot", "--out", file)
    assert taken.code == 0, taken.err
    bench.write(job=None)
    there = bench.run("plan", str(bench.folder))
    before = bench.last_request
    again = bench.run("plan", str(bench.folder), "--live", file, AZURE_BATCH_ENDPOINT="")
    assert again.code == 0, again.err
    assert again.lines[0].startswith(f"Target: snapshot {file} of http://127.0.0.1:")
    assert lines_of_plan(again.out) == lines_of_plan(there.out)
    assert "terminate" in again.out or "delete" in again.out
    assert bench.emulator.requests(before) == []


def test_a_snapshot_holds_no_secret_and_still_plans_empty(bench: Any, tmp_path: Path) -> None:
    job = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(
        job=job.replace(
            "spec:\n",
            "spec:\n  commonEnvironmentSettings: [{name: TOKEN, value: HUSH}]\n  jobManagerTask:\n    id: m\n"
            f"    commandLine: /bin/true\n    resourceFiles: [{{httpUrl: '{SIGNED}', filePath: f}}]\n",
        )
    )
    bench.apply("--no-wait")
    taken = bench.run("snapshot")
    assert "HUSH" not in taken.out
    assert "SIGNATURE" not in taken.out
    file = tmp_path / "live.json"
    file.write_text(taken.out, "utf-8")
    planned = bench.run("plan", str(bench.folder), "--live", str(file), "--detailed-exitcode")
    assert planned.code == 0, planned.out + planned.err
    bench.write(job=job)
    planned = bench.run("plan", str(bench.folder), "--live", str(file))
    assert "HUSH" not in planned.out
    assert "commonEnvironmentSettings.TOKEN" in planned.out or "replace" in planned.out
