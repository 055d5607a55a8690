"""Parts of a plan, and what plan says of changes: --target, --exclude, --max-actions, --refresh-only,
--expect-no-changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import JOB, POOL

OTHER = JOB.replace("{name: j}", "{name: k}").replace("poolId: p", "poolId: q")


@pytest.fixture
def two(desk: Any) -> Any:
    """Job j on pool p, job k on pool q; nothing of it is there yet."""
    desk.write(pool=POOL, job=JOB, other=POOL.replace("{name: p}", "{name: q}"), last=OTHER)
    return desk


def there(desk: Any) -> list[str]:
    return sorted(item["id"] for kind in ("pools", "jobs") for item in desk.simulation.get(f"/{kind}")["value"])


def test_a_target_is_applied_with_what_it_needs(two: Any) -> None:
    done = two.apply("--target", "job/j")
    assert "Selection: pool/p is taken in, too: job/j needs it." in done.out
    assert "What was selected matches the manifests." in done.out
    assert there(two) == ["j", "p"]
    assert two.run("plan", "manifests", "--target", "job/j").out.endswith(
        "No changes. What was selected matches the manifests.\n"
    )
    assert "Plan: 2 to add" in two.run("plan", "manifests").out


def test_what_is_excluded_stays_as_it_is_and_dependants_are_named(two: Any) -> None:
    done = two.apply("--exclude", "pool/p")
    assert "Selection: job/j is left out, too: it needs pool/p." in done.out
    assert there(two) == ["k", "q"]
    two.apply()
    two.write(pool=None, job=None, other=None, last=None)
    done = two.apply("--exclude", "job/j", "--allow-deletes", "2")
    assert "Selection: pool/p is left out, too: it needs job/j." in done.out
    assert there(two) == ["j", "p"]
    assert two.run("destroy", "manifests", "--auto-approve", "--target", "job/j").code == 0
    assert there(two) == ["p"]


def test_parts_of_a_stack_are_destroyed(two: Any) -> None:
    two.apply()
    two.simulation.run_until_idle()
    done = two.run("destroy", "manifests", "--auto-approve", "--exclude", "job/k")
    assert "Selection: pool/q is left out, too: it needs job/k." in done.out
    assert (done.code, there(two)) == (0, ["k", "q"])
    first = two.run("destroy", "manifests", "--auto-approve", "--max-actions", "1")
    assert (first.code, "In progress: out of actions" in first.out) == (0, True)
    assert two.simulation.get("/jobs/k")["state"] != "active"
    assert two.run("destroy", "manifests", "--auto-approve").code == 0
    assert there(two) == []


def test_a_target_waits_for_no_tasks_but_its_own(two: Any) -> None:
    two.write(last=OTHER.replace("/bin/true", "/bin/sh -c 'sleep infinity'"))
    two.apply()
    done = two.run("apply", "manifests", "--auto-approve", "--target", "job/j")
    assert done.code == 0


def test_an_address_of_nothing_is_refused_with_the_nearest_one(two: Any) -> None:
    two.apply()
    for command in ("plan", "apply", "destroy"):
        for flag in ("--target", "--exclude"):
            done = two.run(command, "manifests", flag, "job/jj")
            said = f"{flag} job/jj: stack 's' neither declares nor has such an object (did you mean 'job/j'?)"
            assert (done.code, said in done.err) == (64, True)
    wrong = two.run("plan", "manifests", "--target", "jbo/j")
    assert (wrong.code, "found 'jbo/j' (did you mean 'job/j'?)" in wrong.err) == (64, True)


def test_a_target_that_is_excluded_is_a_mistake(two: Any) -> None:
    done = two.run("plan", "manifests", "--target", "job/j", "--exclude", "pool/p")
    assert (done.code, "--exclude pool/p leaves nothing of what --target names" in done.err) == (64, True)


def test_a_saved_plan_keeps_to_what_was_selected(two: Any) -> None:
    done = two.run("plan", "manifests", "--target", "pool/p", "--out", "plan.json")
    assert done.code == 0
    content = json.loads(Path("plan.json").read_text("utf-8"))["apply"]
    assert (content["only"], list(content["desired"])) == (["pool/p"], ["pool/p"])
    two.write(last=OTHER + "- {id: t2, commandLine: /bin/true}\n")  # another object, which the plan is not about
    assert two.run("apply", "plan.json").code == 0
    assert there(two) == ["p"]


def test_a_run_stops_cleanly_after_so_many_actions(two: Any) -> None:
    done = two.run("apply", "manifests", "--auto-approve", "--max-actions", "1", "--detailed-exitcode")
    assert done.code == 3
    assert "In progress: out of actions; " in done.out
    assert len(there(two)) == 1
    assert two.run("apply", "manifests", "--auto-approve", "--no-wait", "--max-actions", "50").code == 0
    settled = two.run("apply", "manifests", "--auto-approve", "--max-actions", "1", "--detailed-exitcode")
    assert settled.code == 0
    assert two.run("apply", "manifests", "--max-actions", "0").code == 64


def test_drift_alone_is_shown(two: Any) -> None:
    two.apply()
    two.write(job=JOB.replace("poolId: p}", "poolId: p}, priority: 3"))
    clean = two.run("plan", "manifests", "--refresh-only", "--detailed-exitcode")
    assert (clean.code, clean.out.endswith("No drift. What was applied is as it was.\n")) == (0, True)
    two.simulation.request("PATCH", "/jobs/k", {"priority": 9})
    drift = two.run("plan", "manifests", "--refresh-only", "--detailed-exitcode")
    assert drift.code == 2
    assert "  ~ job/k  (manifests/last.yaml:3)\n        priority: 0 in the manifest, 9 in the account\n" in drift.out
    assert drift.out.endswith("Drift: 1 object.\n")
    assert "job/j" not in drift.out
    shown = json.loads(two.run("plan", "manifests", "--refresh-only", "--format", "json").out)
    assert [entry["address"] for entry in shown["resource_drift"]] == ["job/k"]
    assert "--refresh-only" in shown["apply"]["refused"]
    expected = two.run("plan", "manifests", "--refresh-only", "--expect-no-changes")
    assert (expected.code, "error: no changes were expected" in expected.err) == (1, True)


def test_what_goes_with_refresh_only(two: Any) -> None:
    saved = two.run("plan", "manifests", "--refresh-only", "--out", "plan.json")
    assert (saved.code, "there is nothing to save with --out" in saved.err) == (64, True)
    applied = two.run("apply", "manifests", "--refresh-only")
    assert (applied.code, "`plan --refresh-only` shows what was changed" in applied.err) == (64, True)
    assert "--refresh-only" not in two.run("apply", "--help").out


def test_changes_that_were_not_expected_are_an_error(two: Any) -> None:
    done = two.run("plan", "manifests", "--expect-no-changes")
    assert done.code == 1
    assert "error: no changes were expected. Plan: 4 to add, 0 to change, 0 to terminate, 0 to delete." in done.err
    assert "+ job/j: create" in done.out
    two.apply()
    assert two.run("plan", "manifests", "--expect-no-changes").code == 0
    both = two.run("plan", "manifests", "--expect-no-changes", "--detailed-exitcode")
    assert (both.code, "give one of them" in both.err) == (64, True)
