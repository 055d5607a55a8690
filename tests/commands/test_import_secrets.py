"""What `import` and `snapshot` do not write: values of settings that hold secrets, signatures, keys, passwords."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands.conftest import POOL

SECRETIVE = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec:
  poolInfo: {poolId: p}
  commonEnvironmentSettings:
  - {name: PLAIN, value: blue}
  - {name: COLOUR, value: {secretRef: {env: GIVEN}}}
  - {name: DB_PASSWORD, value: hush-typed}
  - {name: STORE, value: "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hush-key=="}
tasks:
- id: t1
  commandLine: /bin/sh -c 'curl "https://a.blob.core.windows.net/c/f?sv=2024&sig=hush-sig" | tee ${env.UP} $${env.NO}'
  environmentSettings:
  - {name: OWN, value: {secretRef: {env: GIVEN}}}
  - {name: SHADE, value: {secretRef: {env: OTHER}}}
- id: t2
  commandLine: /bin/sh -c 'curl "https://a.blob.core.windows.net/c/f?sv=2024&sig=hush-sig"'
"""


def variables_of(text: str) -> dict[str, str]:
    """What the notes ask to be set, by variable."""
    notes = [line for line in text.splitlines() if line.startswith("# ") and ": set " in line]
    return {note.rpartition(": set ")[2].split(" ")[0]: note for note in notes}


@pytest.fixture
def applied(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in (("GIVEN", "hush-given"), ("OTHER", "hush-other"), ("UP", "x")):
        monkeypatch.setenv(name, value)
    desk.write(pool=POOL, job=SECRETIVE)
    desk.apply()
    return desk


def test_values_that_are_secrets_become_references_and_ordinary_ones_stay(
    applied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = applied.run("import", "job/j")
    assert done.code == 0, done.err
    assert "hush" not in done.out + done.err
    made = yaml.safe_load(done.out)
    assert made["spec"]["commonEnvironmentSettings"] == [
        {"name": "PLAIN", "value": "blue"},
        {"name": "COLOUR", "value": {"secretRef": {"env": "JOB_J_COLOUR"}}},
        {"name": "DB_PASSWORD", "value": {"secretRef": {"env": "JOB_J_DB_PASSWORD"}}},
        {"name": "STORE", "value": {"secretRef": {"env": "JOB_J_STORE"}}},
    ]
    assert made["tasks"][0]["environmentSettings"] == [
        {"name": "OWN", "value": {"secretRef": {"env": "JOB_J_COLOUR"}}},  # the same value has one variable
        {"name": "SHADE", "value": {"secretRef": {"env": "JOB_J_SHADE"}}},
    ]
    noted = variables_of(done.out)
    assert set(noted) == {
        *("JOB_J_COLOUR", "JOB_J_DB_PASSWORD", "JOB_J_STORE", "JOB_J_SHADE", "JOB_J_TASKS_0_COMMANDLINE")
    }
    assert "its manifest has a reference to a secret there" in noted["JOB_J_COLOUR"]
    assert "the name DB_PASSWORD looks like that of a secret" in noted["JOB_J_DB_PASSWORD"]
    assert noted["JOB_J_TASKS_0_COMMANDLINE"].endswith("(it stands in 1 more place)")
    # With these variables set it is the same job: the plan of its stack stays empty.
    for name, value in (
        ("JOB_J_COLOUR", "hush-given"),
        ("JOB_J_DB_PASSWORD", "hush-typed"),
        ("JOB_J_STORE", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hush-key=="),
        ("JOB_J_SHADE", "hush-other"),
        ("JOB_J_TASKS_0_COMMANDLINE", "hush-sig"),
    ):
        monkeypatch.setenv(name, value)
    applied.write(job=done.out)
    planned = applied.run("plan", str(applied.folder), "--check-tasks")
    assert "- job/j" not in planned.out
    assert "differ" not in planned.out
    applied.apply("--check-tasks")  # the mark learns which settings are secrets now
    assert applied.run("plan", str(applied.folder), "--detailed-exitcode", "--check-tasks").code == 0


def test_a_pasted_body_with_the_mark_tells_its_secrets_too(applied: Any) -> None:
    body = applied.simulation.get("/jobs/j")
    Path("j.json").write_text(json.dumps(body), "utf-8")
    done = applied.run("import", "--from", "j.json")
    assert done.code == 0, done.err
    assert "hush" not in done.out + done.err
    assert "blue" in done.out


def test_a_setting_that_becomes_a_secret_later_is_told_by_the_mark(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SECRETIVE.replace("{secretRef: {env: GIVEN}}", "hush-given").replace("${env.UP}", "x")
    monkeypatch.setenv("GIVEN", "hush-given")
    monkeypatch.setenv("OTHER", "hush-other")
    desk.write(pool=POOL, job=plain)
    desk.apply()
    assert "COLOUR\n      value: hush-given" in desk.run("import", "job/j").out
    desk.write(job=plain.replace("COLOUR, value: hush-given", "COLOUR, value: {secretRef: {env: GIVEN}}"))
    desk.apply()
    assert desk.run("plan", str(desk.folder), "--detailed-exitcode").code == 0
    assert "COLOUR\n      value: hush-given" not in desk.run("import", "job/j").out


def test_no_secret_is_in_a_snapshot_and_the_plan_from_it_stays_empty(applied: Any) -> None:
    taken = applied.run("snapshot", "--out", "live.json")
    assert taken.code == 0, taken.err
    assert "hush" not in Path("live.json").read_text("utf-8")
    for flags in ((), ("--check-tasks",)):
        planned = applied.run("plan", str(applied.folder), "--live", "live.json", "--detailed-exitcode", *flags)
        assert planned.code == 0, planned.out + planned.err


def test_passwords_of_users_and_registries_and_keys_of_mounts_are_not_in_a_snapshot(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "hush-password")
    start = "  startTask: {commandLine: x, resourceFiles: [{httpUrl: 'https://a/c?sig=hush-sig', filePath: f}]}\n"
    users = "  userAccounts: [{name: u, password: {secretRef: {env: PASSWORD}}}]\n"
    label = "  metadata: [{name: source, value: 'https://user:hush-user@host/x'}]\n"
    desk.write(pool=POOL + start + users + label)
    desk.apply()
    assert desk.run("snapshot", "--out", "live.json").code == 0
    assert "hush" not in Path("live.json").read_text("utf-8")
    planned = desk.run("plan", str(desk.folder), "--live", "live.json", "--detailed-exitcode")
    assert planned.code == 0, planned.out + planned.err
    done = desk.run("import", "--all")
    assert "hush" not in done.out + done.err
