"""Secrets by reference: read where they are expected, refused elsewhere, shown nowhere."""

# ruff: noqa: E501 - a table shows a manifest and its findings side by side

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model import secret
from reconciler.model.desired import Desired, Wanted

Findings = Callable[..., list[str]]
Load = Callable[..., Desired]

POOL = """\
apiVersion: reconciler/v1
kind: Pool
metadata: {name: p}
spec:
  vmSize: a
  virtualMachineConfiguration: {imageReference: {virtualMachineImageId: i}, nodeAgentSKUId: n}
"""
JOB = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  poolInfo: {poolId: p}\n"
STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\nspec:\n"
SIGNED = "https://h/f?sig=sesame"
SET = {"TOKEN": "open sesame", "EMPTY": ""}


def only(desired: Desired) -> Wanted:
    (wanted,) = desired.objects.values()
    return wanted


def test_the_value_of_a_setting_is_compared_and_remembered_as_secret(loaded: Load) -> None:
    lines = "  commonEnvironmentSettings: [{name: A, value: x}, {name: T, value: {secretRef: {env: TOKEN}}}]\n"
    lines += (
        "  jobPreparationTask: {commandLine: c, resourceFiles: [{httpUrl: {secretRef: {env: TOKEN}}, filePath: f}]}\n"
    )
    job = only(loaded(JOB + lines, environment={"TOKEN": SIGNED}))
    assert job.spec["commonEnvironmentSettings"] == {"A": {"value": "x"}, "T": {"value": SIGNED}}
    assert job.body["commonEnvironmentSettings"] == [{"name": "A", "value": "x"}, {"name": "T", "value": SIGNED}]
    assert job.secret_paths == {
        ("commonEnvironmentSettings", "T", "value"),
        ("jobPreparationTask", "resourceFiles", "0", "httpUrl"),
    }
    assert job.secrets == {}
    assert "sesame" not in repr(job)


def test_what_the_service_never_returns_is_sent_and_not_compared(loaded: Load) -> None:
    lines = "  userAccounts: [{name: u, password: {secretRef: {env: TOKEN}}}]\n"
    pool = only(loaded(POOL + lines, environment=SET))
    assert pool.body["userAccounts"] == [{"name": "u", "password": "open sesame"}]
    assert pool.secrets == {("userAccounts", "0", "password"): "open sesame"}
    assert "sesame" not in str(pool.spec) + str(pool.written) + repr(pool)


def test_texts_in_protected_settings_may_be_references(loaded: Load) -> None:
    extension = "{name: e, publisher: p, type: t, protectedSettings: {a: {b: [{secretRef: {env: TOKEN}}, plain]}}}"
    pool = only(
        loaded(POOL.replace("nodeAgentSKUId: n", f"nodeAgentSKUId: n, extensions: [{extension}]"), environment=SET)
    )
    assert list(pool.secrets.values()) == [{"a": {"b": ["open sesame", "plain"]}}]


def test_tasks_groups_and_the_merge_task_take_references(loaded: Load) -> None:
    setting = "environmentSettings: [{name: T, value: {secretRef: {env: TOKEN}}}]"
    text = (
        JOB
        + f"  usesTaskDependencies: true\ntasks: [{{id: a, commandLine: x, {setting}}}]\nmergeTask: {{id: m, commandLine: x, {setting}}}\n"
    )
    text += f"taskGroups: [{{name: g, parameters: {{n: {{values: [b, c]}}}}, template: {{id: '${{item.n}}', commandLine: x, {setting}}}}}]\n"
    job = only(loaded(text, environment=SET))
    values = [task.body["environmentSettings"] for task in job.tasks.values()]
    assert values == [[{"name": "T", "value": "open sesame"}]] * 4


def test_the_digest_of_tasks_tells_nothing_about_a_password(loaded: Load) -> None:
    settings = "containerSettings: {imageName: i, registry: {username: u, password: {secretRef: {env: TOKEN}}}}"
    text = (
        JOB
        + f"taskGroups: [{{name: g, parameters: {{n: {{values: [b, c]}}}}, template: {{id: '${{item.n}}', commandLine: x, {settings}}}}}]\n"
    )
    one, two = (only(loaded(text, environment={"TOKEN": value})) for value in ("one", "two"))
    assert one.tasks["b"].body != two.tasks["b"].body
    assert one.tasks_digest == two.tasks_digest


def test_a_secret_may_be_in_a_file(folder: Path, loaded: Load) -> None:
    (folder / "token.txt").write_bytes(b"open\nsesame\r\n")
    lines = "  commonEnvironmentSettings: [{name: T, value: {secretRef: {file: %s}}}]\n"
    for path in ("token.txt", str(folder / "token.txt")):
        assert only(loaded(JOB + lines % path)).spec["commonEnvironmentSettings"]["T"] == {"value": "open\nsesame"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{secretRef: {env: TOKN}}", ".secretRef.env: expected an environment variable that is set, found 'TOKN' (did you mean 'TOKEN'?)"),
        ("{secretRef: {env: EMPTY}}", ".secretRef.env: expected a secret, found nothing in it"),
        ("{secretRef: {file: none.txt}}", ".secretRef.file: expected a readable file, found: No such file or directory"),
        ("{secretRef: {file: .}}", ".secretRef.file: expected a readable file, found: Is a directory"),
        ("{secretRef: {}}", ".secretRef: expected exactly one of env and file"),
        ("{secretRef: {env: TOKEN, file: x}}", ".secretRef: expected exactly one of env and file"),
        ("{secretRef: {vault: x}}", ".secretRef.vault: unknown field 'vault'"),
        ("{secretRef: TOKEN}", ".secretRef: expected a mapping, found 'TOKEN'"),
        ("{secretRef: {env: TOKEN}, other: x}", ".other: unknown field 'other'"),
        ("{secretRef: {env: '${env.NONE}'}}", ".secretRef.env: expected an environment variable that is set, found '${env.NONE}'"),
    ],
)  # fmt: skip
def test_references_that_lead_nowhere(findings: Findings, value: str, expected: str) -> None:
    text = JOB + f"  commonEnvironmentSettings:\n  - name: T\n    value: {value}\n"
    (found,) = findings(text, environment=SET)
    assert found.partition(" ")[2] == f"spec.commonEnvironmentSettings[0].value{expected}"
    assert found.startswith("8:")


@pytest.mark.parametrize("line", ["  displayName: {secretRef: {env: TOKEN}}", "  priority: {secretRef: {env: TOKEN}}"])
def test_references_where_no_secret_is_expected(findings: Findings, line: str) -> None:
    (found,) = findings(JOB + line, environment=SET)
    place = "expected a plain value, found a secretRef: it can stand for a password, key, signature or URL"
    assert found.startswith("6:") and place in found


@pytest.mark.parametrize(
    "lines",
    [
        POOL + "  userAccounts: [{name: u, password: {secretRef: {env: TOKEN}}, x: 1}]",
        POOL + "  userAccounts: [{name: '', password: {secretRef: {env: TOKEN}}}]",
        JOB + "  jobPreparationTask: {commandLine: c, resourceFiles: [{httpUrl: {secretRef: {env: TOKEN}}}]}",
        STACK + "  digestKey: {secretRef: {env: TOKEN}}",
    ],
)
def test_no_finding_shows_a_secret(findings: Findings, lines: str) -> None:
    found = findings(lines, environment=SET)
    assert found
    assert not any("sesame" in line for line in found)


def test_the_key_of_digests_is_a_reference(loaded: Load, findings: Findings) -> None:
    long = {"KEY": "0123456789abcdef"}
    stack = loaded(STACK + "  digestKey: {secretRef: {env: KEY}}\n", environment=long).stack
    assert stack.digest_key == long["KEY"]
    assert long["KEY"] not in repr(stack)
    assert findings(STACK + "  digestKey: 0123456789abcdefg\n") == [
        "5:14: spec.digestKey: expected a secretRef ({secretRef: {env: NAME}}), found a text: a key in a manifest is no secret"
    ]


def test_a_keyed_digest_tells_a_change_and_nothing_else() -> None:
    key, other = secret.derived_key(b"account key"), secret.derived_key(b"another")
    one, two = {("a", "0"): "x"}, {("a", "0"): "y"}
    mark = secret.signed(key, one)
    assert mark == f"{secret.key_id(key)}:{secret.secret_digest(key, one)}"
    assert len(secret.key_id(key)) == 8
    assert secret.is_changed(mark, key, one) is False
    assert secret.is_changed(mark, key, two) is True
    assert secret.is_changed(mark, key, {}) is True
    assert secret.is_changed(mark, other, two) is None
    assert secret.is_changed("", key, {}) is False
    assert secret.is_changed("", key, one) is True
    assert secret.secret_digest(key, one) != secret.secret_digest(other, one)
    assert secret.secret_digest(key, {("b",): "1", ("a",): {"x": 1, "y": 2}}) == secret.secret_digest(
        key, {("a",): {"y": 2, "x": 1}, ("b",): "1"}
    )
    assert secret.signed(key, {}) == ""
