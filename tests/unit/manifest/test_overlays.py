# ruff: noqa: E501 - texts of manifests
"""Overlays: what is laid over a base, and where its values are said to stand."""

from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ManifestErrors
from reconciler.manifest import load
from reconciler.model.desired import Desired, Key, Kind, Wanted

HEAD = "apiVersion: reconciler/v1\nkind: %s\nmetadata: {name: %s}\n"
BASE = {
    "stack.yaml": HEAD % ("Stack", "base") + "spec: {variables: {size: {default: small}, n: {default: '1'}}, limits: {deletes: 3}}\n",
    "pool.yaml": HEAD % ("Pool", "p") + "spec:\n  vmSize: ${var.size}\n  targetDedicatedNodes: ${var.n}\n  virtualMachineConfiguration:\n"
    "    imageReference: {virtualMachineImageId: i}\n    nodeAgentSKUId: n\n  metadata: [{name: a, value: '1'}, {name: b, value: '2'}]\n",
    "job.yaml": HEAD % ("Job", "J") + "spec:\n  poolInfo: {poolId: p}\n  priority: 5\n  displayName: from the base\n"
    "  commonEnvironmentSettings: [{name: A, value: a}, {name: B, value: b}]\n"
    "tasks:\n- {id: One, commandLine: one}\n- {id: two, commandLine: two, resourceFiles: [{httpUrl: https://h/u, filePath: f}]}\n",
    "gone.yaml": HEAD % ("Job", "gone") + "spec: {poolInfo: {poolId: p}}\n",
}  # fmt: skip
PROD = {
    "stack.yaml": HEAD % ("Stack", "prod") + "spec: {bases: [../../base], variables: {size: {default: big}, n: {description: d}}}\n",
    "job.yaml": HEAD % ("Job", "j") + "spec:\n  priority: 7\n  displayName: null\n"
    "  commonEnvironmentSettings: [{name: B, value: B}, {name: C, value: c}, {name: A, $patch: delete}]\n"
    "tasks:\n- {id: one, displayName: first}\n- {id: TWO, resourceFiles: [{httpUrl: https://h/v, filePath: g}]}\n- {id: three, commandLine: 3rd}\n"
    "lifecycle: {preventDestroy: true}\n",
    "more.yaml": HEAD % ("Job", "more") + "spec: {poolInfo: {poolId: p}}\n",
    "gone.yaml": HEAD % ("Job", "gone") + "$patch: delete\n",
}  # fmt: skip


def read(folder: Path, path: str = "overlays/prod", **values: Any) -> Desired:
    return load([path], variables=values.get("variables", {}), environment=values.get("environment", {}))


def findings(folder: Path, path: str = "overlays/prod", **values: Any) -> list[str]:
    try:
        read(folder, path, **values)
    except ManifestErrors as errors:
        return [str(finding) for finding in errors.findings]
    return []


@pytest.fixture
def both(folder: Path) -> Path:
    """A base and an overlay."""
    for where, texts in (("base", BASE), ("overlays/prod", PROD)):
        (folder / where).mkdir(parents=True)
        for name, text in texts.items():
            (folder / where / name).write_text(text)
    return folder


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def job(desired: Desired, name: str = "j") -> Wanted:
    return desired.objects[Key.of(Kind.JOB, name)]


def test_an_overlay_is_the_base_with_its_changes(both: Path) -> None:
    desired = read(both)
    assert (desired.stack.name, desired.stack.max_deletes) == ("prod", 3)
    assert [str(key) for key in desired.objects] == ["job/j", "job/more", "pool/p"]
    pool = desired.objects[Key.of(Kind.POOL, "p")]
    assert (pool.body["vmSize"], pool.body["targetDedicatedNodes"]) == ("big", 1)
    wanted = job(desired)
    assert wanted.body == {
        "poolInfo": {"poolId": "p"},
        "priority": 7,
        "commonEnvironmentSettings": [{"name": "B", "value": "B"}, {"name": "C", "value": "c"}],
    }
    assert [task.body for task in wanted.tasks.values()] == [
        {"id": "one", "commandLine": "one", "displayName": "first"},
        {"id": "TWO", "commandLine": "two", "resourceFiles": [{"httpUrl": "https://h/v", "filePath": "g"}]},
        {"id": "three", "commandLine": "3rd"},
    ]
    assert wanted.lifecycle.preventDestroy
    assert str(wanted.source) == "base/job.yaml:3"


def test_the_base_alone_is_as_before(both: Path) -> None:
    desired = read(both, "base")
    assert desired.stack.name == "base"
    assert job(desired).body["priority"] == 5


def test_mistakes_are_told_where_they_were_written(both: Path) -> None:
    change(both / "base/job.yaml", "name: A, value: a", "name: A, valu: a")
    change(both / "base/job.yaml", "poolId: p", "poolId: p, x: 1")
    change(both / "overlays/prod/job.yaml", "priority: 7", "priority: 7000")
    change(both / "overlays/prod/job.yaml", "{name: A, $patch: delete}", "{name: A, value: 5}")
    change(both / "overlays/prod/job.yaml", "id: three, commandLine: 3rd", "id: three")
    assert findings(both) == [
        "base/job.yaml:5:25: spec.poolInfo.x: unknown field 'x'",
        "base/job.yaml:8:41: spec.commonEnvironmentSettings[0].valu: unknown field 'valu' (did you mean 'value'?)",
        "overlays/prod/job.yaml:5:13: spec.priority: expected at most 1000, found the number 7000",
        "overlays/prod/job.yaml:7:90: spec.commonEnvironmentSettings[2].value: expected a string, found the number 5: "
        "quote it, '5'",
        "overlays/prod/job.yaml:11:3: tasks[2].commandLine: expected a value for 'commandLine', found none",
    ]


def test_references_in_both_are_told_where_they_stand(both: Path) -> None:
    change(both / "base/job.yaml", "commandLine: one", "commandLine: '${var.no}'")
    change(both / "overlays/prod/job.yaml", "commandLine: 3rd", "commandLine: '${env.NO}'")
    (one, two) = findings(both)
    assert one.startswith("base/job.yaml:10:26: tasks[0].commandLine: expected a variable that a Stack declares")
    assert two.startswith("overlays/prod/job.yaml:11:28: tasks[2].commandLine: expected an environment variable")


def test_files_are_found_beside_the_manifest_that_names_them(both: Path) -> None:
    group = "taskGroups: [{name: g, parameters: {r: {csv: r.csv}}, template: {id: '${item.r.a}', commandLine: x}}]\n"
    (both / "base/r.csv").write_text("a\nfrom-base\n")
    (both / "overlays/prod/s.txt").write_text("sesame")
    change(both / "base/job.yaml", "tasks:\n", group + "tasks:\n")
    change(both / "overlays/prod/job.yaml", "value: c", "value: {secretRef: {file: s.txt}}")
    wanted = job(read(both))
    assert "from-base" in wanted.tasks
    assert wanted.spec["commonEnvironmentSettings"]["C"] == {"value": "sesame"}
    change(
        both / "overlays/prod/job.yaml",
        "lifecycle:",
        "taskGroups: [{name: g, template: {id: 'x-${item.r.a}'}}]\nlifecycle:",
    )
    assert "x-from-base" in job(read(both)).tasks


def test_a_reference_takes_the_place_of_another(both: Path) -> None:
    change(both / "base/job.yaml", "name: B, value: b", "name: B, value: {secretRef: {file: none}}")
    change(both / "overlays/prod/job.yaml", "name: B, value: B", "name: B, value: {secretRef: {env: B}}")
    assert job(read(both, environment={"B": "x"})).spec["commonEnvironmentSettings"]["B"] == {"value": "x"}


def test_a_base_may_have_a_base(both: Path) -> None:
    (both / "overlays/eu").mkdir()
    (both / "overlays/eu/all.yaml").write_text(
        HEAD % ("Stack", "eu") + "spec: {bases: [../prod]}\n---\n" + HEAD % ("Job", "j") + "spec: {priority: 9}\n"
    )
    desired = read(both, "overlays/eu")
    assert (desired.stack.name, job(desired).body["priority"], len(desired.objects)) == ("eu", 9, 3)


@pytest.mark.parametrize(
    ("bases", "expected"),
    [
        ("[../none]", "spec.bases[0]: expected a folder or file, found none: overlays/none"),
        ("[../..]", "spec.bases[0]: expected a base apart from the manifests that are laid over it, found some of them in it"),
        ("['${var.size}']", "spec.bases[0]: expected plain text, found '${var.size}': the path of a base cannot hold a variable"),
    ],
)  # fmt: skip
def test_a_wrong_base(both: Path, bases: str, expected: str) -> None:
    change(both / "overlays/prod/stack.yaml", "[../../base]", bases)
    assert findings(both) == [f"overlays/prod/stack.yaml:4:16: {expected}"]


def test_a_missing_base_hides_only_what_it_could_change(both: Path) -> None:
    """What an overlay leaves out may stand in the base, and so may a variable; what it says is wrong all the same."""
    change(both / "overlays/prod/stack.yaml", "[../../base]", "[../none, ../../more]")
    change(both / "overlays/prod/stack.yaml", "n: {description: d}", "n: {descripton: d}")
    change(both / "overlays/prod/job.yaml", "priority: 7", "priority: high\n  displayName: '${var.in-base}'")
    change(both / "overlays/prod/job.yaml", "\n  displayName: null", "\n  onTaskFailure: null")
    change(both / "overlays/prod/job.yaml", "value: c", "value: '${env.NOBODY}'")
    change(both / "overlays/prod/job.yaml", "id: three, commandLine: 3rd", "id: three, comandLine: 3rd")
    change(both / "overlays/prod/job.yaml", "preventDestroy: true", "preventDestroy: maybe")
    change(both / "overlays/prod/more.yaml", "poolId: p", "poolId: p, state: x")
    change(both / "overlays/prod/gone.yaml", "kind: Job", "kind: Jo")
    (both / "more").mkdir()
    (both / "more/a.yaml").write_text(HEAD % ("Job", "q") + "spec: {poolInfo: {poolId: p}, priority: 5000}\n")
    (both / "overlays/prod/twice.yaml").write_text(HEAD % ("Job", "MORE") + "spec: {poolInfo: {poolId: p}}\n")
    assert findings(both, variables={"in-base": "x"}) == [
        "more/a.yaml:4:41: spec.priority: expected at most 1000, found the number 5000",
        "overlays/prod/gone.yaml:2:7: kind: expected one of Job, JobSchedule, Pool, Stack, found 'Jo' (did you mean 'Job'?)",
        "overlays/prod/job.yaml:5:13: spec.priority: expected a whole number, found 'high'",
        "overlays/prod/job.yaml:8:69: spec.commonEnvironmentSettings[1].value: expected an environment variable that is set, "
        "found '${env.NOBODY}'",
        "overlays/prod/job.yaml:12:15: tasks[2].comandLine: unknown field 'comandLine' (did you mean 'commandLine'?)",
        "overlays/prod/job.yaml:13:29: lifecycle.preventDestroy: expected true or false, found 'maybe'",
        "overlays/prod/more.yaml:4:30: spec.poolInfo.state: unknown field 'state'",
        "overlays/prod/stack.yaml:4:16: spec.bases[0]: expected a folder or file, found none: overlays/none",
        "overlays/prod/stack.yaml:4:76: spec.variables.n.descripton: unknown field 'descripton' (did you mean 'description'?)",
        "overlays/prod/twice.yaml:3:18: metadata.name: expected a name that no other Job or JobSchedule has, whatever the "
        "letter case, found 'MORE', the name of the one at overlays/prod/more.yaml:3",
    ]


def test_a_deletion_of_what_is_not_there_is_refused(both: Path) -> None:
    change(both / "overlays/prod/job.yaml", "name: A, $patch", "name: Z, $patch")
    change(both / "overlays/prod/gone.yaml", "name: gone", "name: other")
    found = findings(both)
    assert any(
        line.startswith("overlays/prod/gone.yaml:4:1: $patch: unknown field '$patch'") or "['$patch']" in line
        for line in found
    )
    assert any(
        "overlays/prod/job.yaml:7:" in line and "spec.commonEnvironmentSettings[2]" in line and "$patch" in line
        for line in found
    )


def test_two_documents_for_one_are_told(both: Path) -> None:
    (both / "overlays/prod/again.yaml").write_text(HEAD % ("Job", "J") + "spec: {poolInfo: {poolId: p}}\n")
    (found,) = [line for line in findings(both) if "no other" in line]
    assert "expected a name that no other Job or JobSchedule has" in found
