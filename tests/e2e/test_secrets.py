"""Secrets by reference through apply: they reach the tasks, and no output, journal or request log of ours."""

import json
from pathlib import Path
from typing import Any

JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec:
  poolInfo: {poolId: p}
  commonEnvironmentSettings:
  - {name: TOKEN, value: {secretRef: {env: TOKEN}}}
tasks:
- id: t
  commandLine: /bin/sh -c 'echo "$TOKEN $OWN" >> "$AZ_BATCH_NODE_SHARED_DIR/seen.txt"'
  environmentSettings:
  - {name: OWN, value: {secretRef: {file: own.txt}}}
"""


def test_a_secret_reaches_the_task_and_nothing_else(bench: Any, tmp_path: Path) -> None:
    (bench.folder / "own.txt").write_text("sesame-of-the-task\n")
    bench.write(job=JOB)
    folder, old, new = str(bench.folder), {"TOKEN": "sesame-one"}, {"TOKEN": "sesame-two"}
    ran = [
        bench.run("plan", folder, **old),
        bench.run("plan", folder, "--format", "json", **old),
        bench.apply(**old),
        bench.run("plan", folder, "--format", "json", **old),
        bench.run("plan", folder, **new),
        bench.run("plan", folder, "--format", "json", **new),
        bench.apply(**new),
        bench.run("status", "job/j"),
        bench.run("validate", folder),
    ]
    bench.write(job=None)
    ran += [
        bench.run("plan", folder),
        bench.run("plan", folder, "--format", "json"),
        bench.apply(),
    ]
    assert [it.code for it in ran[:8]] == [0] * 8
    assert not any("sesame" in it.out + it.err for it in ran)
    assert "commonEnvironmentSettings.TOKEN.value: (secret) -> (secret), changed" in ran[4].out
    assert json.loads(ran[3].out)["summary"] == {"add": 0, "change": 0, "terminate": 0, "delete": 0}
    assert "No changes" not in ran[5].out
    seen = [line for lines in bench.shared("seen.txt").values() for line in lines]
    assert sorted(seen) == ["sesame-one sesame-of-the-task", "sesame-two sesame-of-the-task"]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "emulator" not in path.parts]
    holders = [path.name for path in written if b"sesame" in path.read_bytes()]
    assert holders == ["own.txt"]


def test_a_secret_that_is_not_there_is_named_with_its_place(bench: Any) -> None:
    bench.write(job=JOB)
    ran = bench.run("validate", str(bench.folder))
    assert ran.code == 64
    assert "job.yaml:7:44: spec.commonEnvironmentSettings[0].value.secretRef.env: expected an environment" in ran.err
    assert "job.yaml:12:43: tasks[0].environmentSettings[0].value.secretRef.file: expected a readable file" in ran.err


USERS = """  userAccounts:
  - name: worker
    password: {secretRef: {env: PASSWORD}}
"""


def test_a_changed_password_is_seen_written_once_and_never_shown(bench: Any) -> None:
    empty = (
        (bench.folder / "pool.yaml").read_text("utf-8").replace("targetDedicatedNodes: 2", "targetDedicatedNodes: 0")
    )
    bench.write(job=None, pool=empty + USERS)
    first = bench.apply(PASSWORD="hush-one")
    assert first.code == 0, first.out + first.err
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode", PASSWORD="hush-one").code == 0
    planned = bench.run("plan", str(bench.folder), "--detailed-exitcode", PASSWORD="hush-two")
    assert planned.code == 2
    assert "why: a secret changed in the manifest" in planned.out
    assert "userAccounts" in planned.out
    assert "drift" not in planned.out
    before = bench.last_request
    second = bench.apply(PASSWORD="hush-two")
    assert second.code == 0, second.out + second.err
    assert bench.writes(before) == ["PATCH /pools/p"]
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode", PASSWORD="hush-two").code == 0
    assert "hush" not in first.out + second.out + planned.out + bench.run("snapshot").out


def test_a_digest_under_another_key_tells_nothing_and_changes_nothing(bench: Any) -> None:
    empty = (
        (bench.folder / "pool.yaml").read_text("utf-8").replace("targetDedicatedNodes: 2", "targetDedicatedNodes: 0")
    )
    key = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\nspec:\n  digestKey: {secretRef: {env: KEY}}\n"
    bench.write(job=None, pool=empty + USERS, stack=key)
    assert bench.apply(PASSWORD="hush-one", KEY="k" * 20).code == 0
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode", PASSWORD="hush-two", KEY="l" * 20).code == 0
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode", PASSWORD="hush-two", KEY="k" * 20).code == 2
