"""`reconciler graph`, and `plan` in its three formats, on the command line."""

import json

from tests.commands.conftest import JOB, POOL, Desk, called


def test_a_graph_of_manifests_needs_no_account(desk: Desk) -> None:
    desk.write(pool=POOL, job=JOB)
    ran = called("graph", str(desk.folder))
    assert (ran.code, ran.err) == (0, "")
    assert "job/j (1 task)" in ran.out
    assert "  runs on pool/p\n" in ran.out
    assert "Target" not in ran.out
    assert called("graph", str(desk.folder), "--format", "dot").out.startswith("digraph reconciler {")
    assert called("graph", str(desk.folder), "--format", "mermaid").out.startswith("flowchart LR\n")
    refused = called("graph", str(desk.folder), "--endpoint", "https://a.b.batch.azure.com")
    assert (refused.code, "--endpoint has a meaning beside --plan only" in refused.err) == (64, True)


def test_a_graph_of_the_plan_says_what_waits(desk: Desk) -> None:
    desk.write(pool=POOL, job=JOB)
    ran = desk.run("graph", str(desk.folder), "--plan")
    assert ran.out.startswith("Target: ")
    assert "  waits for pool/p\n" in ran.out
    document = desk.run("graph", str(desk.folder), "--plan", "--format", "json")
    assert {"from": "job/j", "to": "pool/p", "relation": "waits for"} in json.loads(document.out)["edges"]
    assert document.err.startswith("Target: ")


def test_a_plan_tells_people_and_programs_what_it_takes_away(desk: Desk) -> None:
    desk.write(pool=POOL, job=JOB.replace("/bin/true", "sleep 100000"))
    desk.apply("--no-wait")
    desk.write(job=None)
    text = desk.run("plan", str(desk.folder))
    assert "1 running task is cut off" in text.out or "1 waiting task never runs" in text.out
    document = desk.run("plan", str(desk.folder), "--format", "json")
    row = next(row for row in json.loads(document.out)["resource_changes"] if row["address"] == "job/j")
    assert sum(row["forecast"]["tasks"][name] for name in ("running", "active")) == 1
    comment = desk.run("plan", str(desk.folder), "--format", "markdown")
    assert comment.out.startswith("### Plan: 0 to add, 0 to change, 1 to terminate, 1 to delete.\n")
    assert comment.err.startswith("Target: ")
