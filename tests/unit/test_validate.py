"""`reconciler validate` with lint: what is shown, where it points, and the exit code."""

import json
from pathlib import Path

import pytest

from reconciler.cli.main import main

STACK = """\
apiVersion: reconciler/v1
kind: Stack
metadata: {name: s}
---
apiVersion: reconciler/v1
kind: Pool
metadata: {name: p}
spec:
  vmSize: Standard_D2s_v3
  virtualMachineConfiguration:
    imageReference: {publisher: canonical, offer: 0001-com-ubuntu-server-jammy, sku: 22_04-lts}
    nodeAgentSKUId: batch.node.ubuntu 22.04
  targetDedicatedNodes: 3
  taskSlotsPerNode: 8
---
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec:
  poolInfo: {poolId: p}
tasks:
- {id: a, commandLine: work}
- id: b
  commandLine: echo $HOME
"""


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(STACK)
    return path


def test_a_warning_points_at_its_line_and_leaves_the_stack_valid(
    stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", str(stack)]) == 0
    out, err = capsys.readouterr()
    assert out == "Valid: stack 's', 1 pool, 1 job, 2 tasks, 1 warning.\n"
    (line,) = err.splitlines()
    assert line.startswith(f"warning: {stack}:24:16: tasks[1].commandLine: expected a program and its arguments")


def test_strict_makes_an_error_of_it(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(stack), "--strict"]) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith(f"{stack}:24:16: tasks[1].commandLine: expected a program")
    assert err.splitlines()[1:] == ["1 error in the manifests."]


def test_a_pool_of_others_is_a_hint_that_strict_leaves_alone_and_a_stack_may_refuse(
    stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = STACK.replace("$HOME", "home").replace("poolId: p", "poolId: theirs")
    stack.write_text(text)
    assert main(["validate", str(stack), "--strict"]) == 0
    out, err = capsys.readouterr()
    assert out == "Valid: stack 's', 1 pool, 1 job, 2 tasks, 1 hint.\n"
    assert err == (
        f"hint: {stack}:20:22: spec.poolInfo.poolId: pool 'theirs' is not declared here: its tasks wait until somebody "
        "makes it\n"
    )
    assert main(["validate", str(stack), "--format", "json"]) == 0
    assert [one["severity"] for one in json.loads(capsys.readouterr().out)["findings"]] == ["hint"]
    stack.write_text(text.replace("{name: s}\n", "{name: s}\nspec: {undeclaredPools: Refuse}\n", 1))
    for command in (["validate", str(stack)], ["plan", str(stack)]):
        assert main(command) == 64
        assert "21:22: spec.poolInfo.poolId: expected a pool that this stack declares" in capsys.readouterr().err


def test_mistakes_of_form_hide_none_of_lint(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack.write_text(
        STACK.replace("taskSlotsPerNode: 8", "taskSlotsPerNode: 9").replace(
            "- {id: a, commandLine: work}", "- {id: a, commandLine: work, requiredSlot: 2}"
        )
    )
    assert main(["validate", str(stack)]) == 64
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"{stack}:").partition(": expected")[0] for line in lines] == [
        "14:21: spec.taskSlotsPerNode",
        "22:30: tasks[0].requiredSlot: unknown field 'requiredSlot' (did you mean 'requiredSlots'?)",
        "2 errors in the manifests.",
    ]


def test_a_mistake_of_form_hides_none_of_lint_in_the_same_document(
    stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = STACK.replace("taskSlotsPerNode: 8", "taskSlotsPerNode: 9\n  displayName: 5").replace(
        "- {id: a, commandLine: work}",
        "- {id: a, comandLine: work, requiredSlots: 10}\n- {id: c, commandLine: x, dependsOn: {taskIds: [d]}}\n- 3",
    )
    stack.write_text(
        text.replace("spec:\n  poolInfo: {poolId: p}", "spec:\n  usesTaskDependencies: true\n  poolInfo: {poolId: p}")
    )
    assert main(["validate", str(stack)]) == 64
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"{stack}:").split(": ")[1] for line in lines[:-1]] == [
        *("spec.taskSlotsPerNode", "spec.displayName"),
        *("tasks[0].commandLine", "tasks[0].comandLine", "tasks[0].requiredSlots"),
        *("tasks[1].dependsOn.taskIds[0]", "tasks[2]"),
    ]


def test_a_value_that_is_refused_is_told_once(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack.write_text(STACK.replace("taskSlotsPerNode: 8", "taskSlotsPerNode: 300").replace("$HOME", "home"))
    assert main(["validate", str(stack)]) == 64
    (line, _) = capsys.readouterr().err.splitlines()
    assert "expected at most 256, found the number 300" in line


def test_mistakes_of_every_stack_come_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        text = STACK.replace("{name: s}", f"{{name: {name}}}").replace("taskSlotsPerNode: 8", "taskSlotsPerNode: 9")
        (tmp_path / name / "m.yaml").write_text(text)
    assert main(["validate", str(tmp_path)]) == 64
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": expected")[0].removeprefix(f"{tmp_path}/") for line in lines] == [
        "a/m.yaml:14:21: spec.taskSlotsPerNode",
        "b/m.yaml:14:21: spec.taskSlotsPerNode",
        "2 errors in the manifests.",
    ]


def test_an_error_of_lint_is_an_error_of_the_manifests(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack.write_text(STACK.replace("taskSlotsPerNode: 8", "taskSlotsPerNode: 9").replace("$HOME", "home"))
    assert main(["validate", str(stack)]) == 64
    assert capsys.readouterr().err.splitlines()[0] == (
        f"{stack}:14:21: spec.taskSlotsPerNode: expected at most 8 (four times the 2 cores of Standard_D2s_v3), found 9"
    )


def test_json_carries_severity_place_and_address(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(stack), "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    (finding,) = answer["findings"]
    assert answer["valid"] is True
    assert [finding[name] for name in ("severity", "address", "line", "column", "field")] == [
        *("warning", "task/j/b", 24, 16, "tasks[1].commandLine")
    ]
    assert main(["validate", str(stack), "--format", "json", "--strict"]) == 64
    answer = json.loads(capsys.readouterr().out)
    assert (answer["valid"], answer["findings"][0]["severity"]) == (False, "error")


@pytest.mark.parametrize("wrap", [False, True])
def test_quotas_of_the_account_are_read_from_what_az_prints(
    stack: Path, capsys: pytest.CaptureFixture[str], wrap: bool
) -> None:
    quotas = stack.with_name("account.json")
    account = {"dedicatedCoreQuota": 5, "lowPriorityCoreQuota": None, "poolQuota": 100, "name": "a"}
    quotas.write_text(json.dumps({"properties": account} if wrap else account))
    assert main(["validate", str(stack), "--quotas", str(quotas)]) == 64
    assert "13:25: spec.targetDedicatedNodes: expected at most 5 dedicated cores" in capsys.readouterr().err
    quotas.write_text(json.dumps(account | {"dedicatedCoreQuota": 6}))
    assert main(["validate", str(stack), "--quotas", str(quotas)]) == 0


def test_quotas_that_the_stack_names_count_where_the_account_tells_none(
    stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.write_text(STACK.replace("{name: s}\n", "{name: s}\nspec: {limits: {cores: 5, pools: 1}}\n", 1))
    quotas = stack.with_name("account.json")
    quotas.write_text('{"dedicatedCoreQuota": 6}')
    assert main(["validate", str(stack)]) == 64
    assert "14:25: spec.targetDedicatedNodes: expected at most 5 dedicated cores" in capsys.readouterr().err
    assert main(["validate", str(stack), "--quotas", str(quotas)]) == 0


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"poolQuota": "7"}', '{"properties": 1}'])
def test_a_file_without_quotas_is_a_usage_error(stack: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    quotas = stack.with_name("account.json")
    quotas.write_text(text)
    assert main(["validate", str(stack), "--quotas", str(quotas)]) == 64
    assert "expected the JSON that 'az batch account show' prints, found" in capsys.readouterr().err


def test_where_the_text_cannot_be_read_again_the_object_is_pointed_at(
    stack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(STACK.encode())))
    assert main(["validate", "-"]) == 0
    assert capsys.readouterr().err.startswith("warning: <stdin>:18:18: tasks[1].commandLine: expected a program")
