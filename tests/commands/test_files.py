"""Files that commands read and write: one that cannot be is a wrong command line, said with the path and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import POOL


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "--from", "missing.json"), "import --from: expected a readable file, found none: missing.json"),
        (("import", "--from", "manifests"), "import --from: expected a readable file, found a folder: manifests"),
        (("plan", "manifests", "--live", "missing.json"), "--live: expected a readable file, found none: missing.json"),
        (
            ("validate", "manifests", "--quotas", "missing.json"),
            "--quotas: expected a readable file, found none: missing.json",
        ),
        (("snapshot", "--out", "missing/x.json"), "--out: expected a file in a folder that is there, found none: "),
        (("import", "--all", "--out", "manifests/stack.yaml"), "--out: expected a folder, found a file: "),
    ],
)
def test_a_path_that_leads_nowhere(desk: Any, arguments: tuple[str, ...], said: str) -> None:
    desk.write(pool=POOL)
    desk.apply()
    before = (desk.folder / "stack.yaml").read_text("utf-8")
    refused = desk.run(*arguments)
    assert refused.code == 64
    assert said in refused.err
    assert (desk.folder / "stack.yaml").read_text("utf-8") == before


def test_what_makes_the_file_is_said(desk: Any) -> None:
    assert "az batch pool show" in desk.run("import", "--from", "missing.json").err
    assert "reconciler snapshot --out missing.json" in desk.run("plan", "manifests", "--live", "missing.json").err
    assert "az batch account show" in desk.run("validate", "manifests", "--quotas", "missing.json").err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "live.json is not a snapshot: Expecting value"),
        ("[]", "live.json is not a snapshot (made by `reconciler snapshot`)"),
        ("{}", "live.json is not a snapshot (made by `reconciler snapshot`)"),
        (
            '{"kind": "Snapshot", "answers": {}, "format_version": "9"}',
            "live.json is a snapshot of format 9; this version reads 1.0",
        ),
        ('{"kind": "Snapshot", "answers": {}, "format_version": "1.0"}', "does not say of which account"),
        (
            '{"kind": "Snapshot", "answers": {}, "format_version": "1.0", "endpoint": "x", "at": "now"}',
            "live.json is not a whole snapshot: expected its time, found 'now'",
        ),
        (
            '{"kind": "Snapshot", "answers": {}, "format_version": "1.0", "endpoint": "x", '
            '"at": "2030-01-01T00:00:00Z"}',
            "live.json is not a whole snapshot: it lacks the account's ",
        ),
    ],
)
def test_what_is_no_snapshot_is_no_target(desk: Any, text: str, said: str) -> None:
    Path("live.json").write_text(text, "utf-8")
    refused = desk.run("plan", "manifests", "--live", "live.json")
    assert (refused.code, refused.out) == (1, "")
    assert said in refused.err


def test_a_snapshot_has_its_own_account(desk: Any) -> None:
    refused = desk.run("plan", "manifests", "--live", "live.json", "--endpoint", "https://x")
    assert refused.code == 64


def imported(desk: Any, value: Any) -> str:
    Path("body.json").write_text(json.dumps(value), "utf-8")
    done = desk.run("import", "--from", "body.json")
    assert done.code == 0, done.err
    return str(done.out)


def test_a_body_without_what_a_manifest_needs_says_so_where_validate_points(desk: Any) -> None:
    text = imported(desk, {"id": "p", "vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": {"osDisk": {}}})
    notes = [line for line in text.splitlines() if line.startswith("# ")]
    assert notes == [
        "# to do: spec.virtualMachineConfiguration.imageReference: expected a value for 'imageReference', found none",
        "# to do: spec.virtualMachineConfiguration.nodeAgentSKUId: expected a value for 'nodeAgentSKUId', found none",
    ]
    desk.write(pool=text)
    refused = desk.run("validate", "manifests")
    assert refused.code == 64
    lines = refused.err.splitlines()[:-1]
    assert [line.partition(": spec")[2] for line in lines] == [note.partition(": spec")[2] for note in notes]
    assert all(line.startswith("manifests/pool.yaml:") for line in lines)


def test_a_value_that_no_manifest_takes_is_noted_too(desk: Any) -> None:
    text = imported(desk, [{"id": "a b", "poolInfo": {"poolId": "p"}, "priority": 9999}])
    assert "# to do: metadata.name: expected 1 to 64 characters" in text
    assert "# to do: spec.priority: expected at most 1000" in text


def test_a_whole_body_has_no_such_note_with_secrets_to_be_set_and_variables_in_its_text(desk: Any) -> None:
    settings = [{"name": "TOKEN", "value": "hush"}, {"name": "A", "value": "${var.x}"}]
    body = {"id": "j", "poolInfo": {"poolId": "p"}, "commonEnvironmentSettings": settings}
    text = imported(desk, body)
    assert "# to do" not in text
    assert "set JOB_J_TOKEN" in text
    tasks = imported(desk, [{"id": "t", "commandLine": "x", "environmentSettings": settings}])
    assert "# to do" not in tasks
