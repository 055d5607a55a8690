"""Several Stacks under one folder."""

from pathlib import Path

import pytest

from reconciler.errors import ManifestErrors
from reconciler.manifest import load_all

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: %s}\nspec: {%s}\n"
JOB = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: %s}\nspec: {poolInfo: {poolId: p}}\n"


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def findings(**variables: str) -> list[str]:
    try:
        load_all(["."], variables=variables, environment={})
    except ManifestErrors as errors:
        return [str(finding) for finding in errors.findings]
    return []


def test_the_nearest_stack_above_an_object_owns_it(folder: Path) -> None:
    account = "account: {endpoint: 'https://%s'}"
    write(folder, stack=STACK % ("top", account % "one"), job=JOB % "j", deep__er__job=JOB % "k")
    write(folder, eu__stack=STACK % ("eu", account % "two"), eu__jobs__job=JOB % "j")
    eu, top = load_all(["."], variables={}, environment={})
    assert [(one.stack.name, one.stack.endpoint, one.stack.prunes) for one in (eu, top)] == [
        ("eu", "https://two", True),
        ("top", "https://one", True),
    ]
    assert [[str(it.source) for it in one.objects.values()] for one in (eu, top)] == [
        ["eu/jobs/job.yaml:3"],
        ["job.yaml:3", "deep/er/job.yaml:3"],
    ]


def test_one_stack_or_none_is_as_before(folder: Path) -> None:
    write(folder, job=JOB % "j")
    (one,) = load_all(["."], variables={}, environment={})
    assert one.stack.name == folder.name
    write(folder, deep__stack=STACK % ("s", ""))
    (one,) = load_all(["."], variables={}, environment={})
    assert (one.stack.name, len(one.objects)) == ("s", 1)


def test_an_object_without_a_stack_above_is_found(folder: Path) -> None:
    write(folder, a__stack=STACK % ("a", ""), b__stack=STACK % ("b", ""), c__job=JOB % "j", a__job=JOB % "$")
    assert findings() == [
        "a/job.yaml:3:18: metadata.name: expected 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_', found '$'",
        "c/job.yaml: expected a Stack in the same folder or above, as the other manifests have, found none",
    ]


def test_two_stacks_cannot_share_a_name(folder: Path) -> None:
    write(folder, a__stack=STACK % ("s", ""), b__stack=STACK % ("S", ""))
    assert findings() == [
        "b/stack.yaml:3:18: metadata.name: expected a name that no other Stack has, found 'S', "
        "the name at a/stack.yaml:3"
    ]


def test_a_value_goes_to_the_stacks_that_declare_its_variable(folder: Path) -> None:
    job = JOB.replace("poolId: p", "poolId: '${var.v}'")
    write(folder, a__stack=STACK % ("a", "variables: {v: {}}"), a__job=job % "j", b__stack=STACK % ("b", ""))
    a, _ = load_all(["."], variables={"v": "x"}, environment={})
    assert [it.spec["poolInfo"] for it in a.objects.values()] == [{"poolId": "x"}]
    (found,) = findings(v="x", w="y")
    assert found.startswith("variable 'w': expected a variable that the Stack declares")


def test_an_overlay_and_its_base_are_told_apart_from_other_stacks(folder: Path) -> None:
    write(folder, base__job=JOB % "j", overlays__a__stack=STACK % ("a", "bases: [../../base]"))
    write(folder, overlays__b__stack=STACK % ("b", "bases: [../../base]"))
    a, b = load_all(["overlays"], variables={}, environment={})
    assert [list(map(str, one.objects)) for one in (a, b)] == [["job/j"], ["job/j"]]
    with pytest.raises(ManifestErrors, match=r"base/job\.yaml: expected a Stack in the same folder or above"):
        load_all(["."], variables={}, environment={})
