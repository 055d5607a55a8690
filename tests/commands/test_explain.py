"""`reconciler explain`: a field offline, and why an object of the account is where it is."""

import json
from typing import Any

import pytest

from tests.commands.conftest import JOB, POOL

RELEASING = JOB.replace(
    "spec: {poolInfo: {poolId: p}}\n",
    "spec:\n  poolInfo: {poolId: p}\n  jobPreparationTask: {commandLine: /bin/true}\n"
    "  jobReleaseTask: {commandLine: /bin/release}\n",
)


def explained(desk: Any, *arguments: str) -> dict[str, str]:
    """The facts of an explanation by name."""
    ran = desk.run("explain", *arguments)
    assert ran.code == 0, ran.err
    facts: dict[str, str] = {}
    name = ""
    for line in ran.out.splitlines():
        if line.startswith("  ") and (line[2] != " " or line.startswith("      override")) and ":" in line:
            name, _, text = line.strip().partition(":")
            facts[name] = text.strip()
        elif line.startswith("             ") and name:
            facts[name] += f" {line.strip()}"
    return facts


def test_a_field_is_explained_without_an_account(desk: Any) -> None:
    before = len(desk.simulation.requests())
    ran = desk.run("explain", "pool.spec.targetDedicatedNodes")
    assert ran.code == 0
    assert ran.out == (
        "pool.spec.targetDedicatedNodes  (number)\n\n"
        "  Dedicated nodes to have. Not with autoscale.\n\n"
        "  default:   0\n"
        "  limits:    0 to 2,147,483,647; only with enableAutoScale: false\n"
        "  change:    resize: by resizing the pool\n"
        "  returned:  yes\n"
    )
    assert len(desk.simulation.requests()) == before


def test_what_is_below_a_field_is_listed_and_all_of_it_when_asked_for(desk: Any) -> None:
    flat = desk.run("explain", "job.lifecycle").out.splitlines()
    assert flat[0] == "job.lifecycle  (JobLifecycle)"
    assert "  state               Active, Disabled, Completed" in flat
    deep = desk.run("explain", "job.spec", "--recursive").out.splitlines()
    assert any(line.startswith("      publisher") or line.strip().startswith("publisher ") for line in deep)
    assert "  (* required)" in deep


def test_a_field_for_programs(desk: Any) -> None:
    found = json.loads(desk.run("explain", "job.spec.priority", "--format", "json").out)
    assert found["default"] == "0"
    assert found["change"] == "live: at any time, in place"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pool.spec.vmsise",), "found 'vmsise' (did you mean 'vmSize'?)"),
        (("pool.spec", "manifests"), "explain: expected nothing after the field 'pool.spec', found manifests"),
        (("pool.spec", "--var", "a=b"), "--var goes with an address and its manifests, not with a field"),
        (("pool.spec", "--allow-task-loss", "job/j"), "--allow-task-loss goes with an address and its manifests, not"),
        (("job/j",), "explain job/j: expected the manifests that declare it, as for plan, found none"),
        (("joob/j", "manifests"), "expected an address (pool/NAME, job/NAME, jobschedule/NAME), found 'joob/j'"),
        (("job/j", "manifests", "--recursive"), "--recursive lists fields: it has no meaning beside an address"),
    ],
)
def test_what_cannot_be_explained(desk: Any, arguments: tuple[str, ...], said: str) -> None:
    refused = desk.run("explain", *arguments)
    assert (refused.code, refused.out) == (64, "")
    assert said in refused.err


def test_an_object_that_is_not_there_yet(desk: Any) -> None:
    desk.write(pool=POOL, job=JOB)
    facts = explained(desk, "job/j", "manifests")
    assert facts["state"] == "absent"
    assert facts["now"] == "create"
    assert facts["why"] == "not there yet"
    assert facts["after"] == "pool/p: create"
    assert facts["road"] == "create -> add 1 task -> confirm tasks"
    assert desk.simulation.get("/jobs")["value"] == []


def test_one_that_is_as_declared_and_one_that_nobody_knows(desk: Any) -> None:
    desk.write(pool=POOL, job=JOB)
    desk.apply()
    facts = explained(desk, "pool/p", "manifests")
    assert (facts["sync"], facts["owner"], facts["why"]) == ("Synced", "stack 's'", "as its manifest says")
    unknown = desk.run("explain", "job/k", "manifests")
    assert unknown.code == 1
    assert "job/k is no object of stack 's', declared or marked" in unknown.err


def test_a_wait_says_on_whom_and_how_long_at_most(desk: Any) -> None:
    desk.write(pool=POOL, job=RELEASING)
    desk.apply()
    desk.simulation.run_until_idle()
    desk.simulation.script(command="/bin/release", seconds=600)
    desk.write(job=None)
    assert desk.simulation.request("POST", "/jobs/j/terminate", {}).status == 202
    facts = explained(desk, "job/j", "manifests")
    assert facts["state"].startswith("terminating")
    assert facts["now"].startswith("wait for release on 1 node (")
    assert facts["now"].endswith("at most: up to 15 min")
    assert facts["rule"].startswith("A job is ended by terminate, then waits until all release tasks have ended")
    assert facts["source"].startswith('REST reference, "Jobs - Terminate Job"')


def test_a_block_says_the_rule_and_what_the_consent_would_change(desk: Any) -> None:
    desk.write(pool=POOL, job=RELEASING)
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 0"))
    requests = len(writes(desk))
    facts = explained(desk, "pool/p", "manifests")
    assert facts["now"] == "blocked: a person must act"
    assert facts["rule"].startswith("A node that ran a job's preparation and not yet its release is not taken away")
    assert facts["override"] == "--allow-release-loss job/j"
    assert facts["then"].startswith("resize -> ")
    found = json.loads(desk.run("explain", "pool/p", "manifests", "--format", "json").out)
    assert found["blocked"]["consent"] == found["allowed"]["consent"] == "--allow-release-loss job/j"
    assert [guard["rule"] for guard in found["guards"]] == ["release-loss"]
    assert found["differences"] == [
        {"path": "targetDedicatedNodes", "before": 1, "after": 0, "kind": "resize", "implicit": False}
    ]
    assert explained(desk, "pool/p", "manifests", "--allow-release-loss", "job/j")["now"] == "resize"
    assert len(writes(desk)) == requests


def test_consents_that_follow_one_another_are_all_named(desk: Any) -> None:
    desk.write(pool=POOL, job=RELEASING)
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(pool=POOL.replace("Standard_D2s_v3", "Standard_D4s_v3"))
    found = json.loads(desk.run("explain", "pool/p", "manifests", "--format", "json").out)
    assert found["allowed"]["consent"] == "--replace pool/p --allow-release-loss job/j"
    assert found["allowed"]["road"][:1] == ["delete"]


def test_a_snapshot_takes_the_place_of_the_account(desk: Any) -> None:
    desk.write(pool=POOL, job=JOB)
    desk.apply()
    assert desk.run("snapshot", "--out", "live.json").code == 0
    desk.write(pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 2"))
    before = len(desk.simulation.requests())
    facts = explained(desk, "pool/p", "manifests", "--live", "live.json")
    assert facts["now"] == "resize"
    assert len(desk.simulation.requests()) == before


def test_a_secret_that_differs_is_not_shown(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "  commonEnvironmentSettings: [{name: TOKEN, value: {secretRef: {env: TOKEN}}}]\n"
    monkeypatch.setenv("TOKEN", "hush-one")
    desk.write(pool=POOL, job=RELEASING.replace("tasks:\n", f"{secret}tasks:\n", 1))
    desk.apply()
    monkeypatch.setenv("TOKEN", "hush-two")
    for flags in ((), ("--format", "json")):
        ran = desk.run("explain", "job/j", "manifests", *flags)
        assert ran.code == 0
        assert "TOKEN" in ran.out
        assert "hush" not in ran.out + ran.err


def test_of_several_stacks_the_one_that_declares_it_is_asked(desk: Any) -> None:
    for name in ("a", "b"):
        (desk.folder / name).mkdir()
        stack = f"apiVersion: reconciler/v1\nkind: Stack\nmetadata: {{name: {name}}}\n---\n"
        (desk.folder / name / "all.yaml").write_text(stack + POOL.replace("{name: p}", f"{{name: p-{name}}}"))
    desk.write(stack=None)
    assert explained(desk, "pool/p-b", "manifests")["now"] == "create"
    unclear = desk.run("explain", "pool/p", "manifests")
    assert unclear.code == 64
    assert "explain: none of them declares pool/p of the stacks 'a', 'b': give the folder of one" in unclear.err


def writes(desk: Any) -> list[str]:
    return [row["path"] for row in desk.simulation.requests() if row["method"] not in ("GET", "HEAD")]
