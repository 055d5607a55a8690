"""`plan --out`, `apply PLAN` and `apply --digest`: what was approved is done, to its end, and nothing else."""

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import reconciler
from reconciler.errors import StalePlan
from tests.commands.conftest import JOB, POOL, STACK, Ran

RELEASE = "  jobPreparationTask: {commandLine: /bin/true}\n  jobReleaseTask: {commandLine: /bin/true}\n"
WITH_RELEASE = JOB.replace("spec: {poolInfo: {poolId: p}}\n", "spec:\n  poolInfo: {poolId: p}\n" + RELEASE)
SECRET = (
    POOL
    + "  startTask: {commandLine: /bin/true, environmentSettings: [{name: T, value: {secretRef: {env: SESAME}}}]}\n"
)
STALE = "stale: it changed since the plan was approved: approved was"
VARIABLE = "spec: {variables: {nodes: {type: integer}}}\n"


def saved(desk: Any, *flags: str) -> str:
    """The digest of the plan that was written to plan.json."""
    done = desk.run("plan", "manifests", "--out", "plan.json", *flags)
    assert done.code == 0, done.out + done.err
    digest: str = json.loads(Path("plan.json").read_text("utf-8"))["digest"]
    return digest


def apply(desk: Any, *flags: str) -> Ran:
    done: Ran = desk.run("apply", "plan.json", "--no-wait", *flags)
    return done


def writes(desk: Any, since: int = 0) -> list[str]:
    rows = desk.simulation.requests(since)
    return [f"{row['method']} {row['path']}" for row in rows if row["method"] != "GET"]


def by_hand(desk: Any, method: str, path: str, body: Any = None) -> None:
    assert desk.simulation.request(method, path, body).status < 300


@pytest.fixture
def filled(desk: Any) -> Any:
    """Pool p, job j with release, its task done."""
    desk.write(pool=POOL, job=WITH_RELEASE)
    desk.apply()
    desk.simulation.run_until_idle()
    return desk


def test_a_saved_plan_is_for_its_owner_alone_and_runs_without_a_question(desk: Any) -> None:
    desk.write(pool=POOL, job=JOB)
    digest = saved(desk)
    assert stat.S_IMODE(Path("plan.json").stat().st_mode) == 0o600
    assert [path.name for path in Path().iterdir() if path.name.startswith(".plan")] == []
    done = apply(desk, "--digest", digest.upper())
    assert done.code == 0
    assert f"Saved plan {digest}, made at " in done.out
    assert "Done. 2 created, 1 task added." in done.out
    assert {pool["id"] for pool in desk.simulation.get("/pools")["value"]} == {"p"}
    again = apply(desk)
    assert (again.code, "Already applied: nothing of this plan is left to do." in again.out) == (0, True)


def test_the_readable_plan_is_the_one_that_can_be_applied(desk: Any) -> None:
    desk.write(pool=POOL)
    shown = desk.run("plan", str(desk.folder), "--format", "json")
    Path("plan.json").write_text(shown.out, "utf-8")
    done = apply(desk)
    assert (done.code, "Done. 1 created." in done.out) == (0, True)


def test_a_plan_that_was_interrupted_goes_on_to_its_end(filled: Any) -> None:
    """After every action in turn: replace a job, which is released once."""
    filled.write(job=WITH_RELEASE.replace("poolId: p}", "poolId: p}\n  usesTaskDependencies: true"))
    saved(filled)
    runs = 0
    since = len(filled.simulation.requests())
    while True:
        done = apply(filled, "--max-actions", "1", "--detailed-exitcode")
        if done.code == 0:
            break
        assert done.code == 3, done.out + done.err
        assert "In progress: out of actions" in done.out
        runs += 1
        filled.simulation.run_until_idle()
    assert runs == 4
    assert writes(filled, since) == [
        *("POST /jobs/j/terminate", "DELETE /jobs/j", "POST /jobs", "POST /jobs/j/addtaskcollection", "PATCH /jobs/j")
    ]
    assert "Already applied" in apply(filled).out


def test_what_somebody_else_created_meanwhile_is_stale(desk: Any) -> None:
    desk.write(pool=POOL, job=JOB)
    saved(desk)
    desk.write(pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 2"))
    desk.apply("--target", "pool/p")
    desk.write(pool=POOL)
    since = len(desk.simulation.requests())
    done = apply(desk, "--detailed-exitcode")
    assert done.code == 6
    assert f"! pool/p: {STALE} create (none was there), and now it needs resize -> update (the one created" in done.out
    assert "! job/j: skipped: pool/p has to come first" in done.out
    assert writes(desk, since) == []


def test_a_job_that_was_created_anew_is_not_ended_for_the_old_ones_sake(filled: Any) -> None:
    filled.write(job=None)
    saved(filled)
    marked = filled.simulation.get("/jobs/j")["metadata"]
    by_hand(filled, "POST", "/jobs/j/terminate")
    filled.simulation.run_until_idle()
    by_hand(filled, "DELETE", "/jobs/j")
    filled.simulation.run_until_idle()
    by_hand(filled, "POST", "/jobs", {"id": "j", "poolInfo": {"poolId": "p"}, "metadata": marked})
    done = apply(filled)
    assert done.code == 1
    assert f"! job/j: {STALE} terminate -> delete (the one created " in done.out
    assert filled.simulation.get("/jobs/j")["state"] == "active"


@pytest.mark.parametrize("other", [None, "another"])
def test_what_was_to_go_and_is_no_longer_ours_stays_and_is_told(filled: Any, other: str | None) -> None:
    filled.write(job=None)
    saved(filled)
    mark = filled.simulation.get("/jobs/j")["metadata"][0]["value"]
    items = [{"name": "reconciler", "value": mark.replace("stack=s", f"stack={other}")}] if other else []
    assert not other or f"stack={other}" in items[0]["value"]
    by_hand(filled, "PATCH", "/jobs/j", {"metadata": items})
    since = len(filled.simulation.requests())
    done = apply(filled, "--detailed-exitcode")
    owner = f"stack '{other}'" if other else "no stack"
    assert (done.code, "Already applied" in done.out) == (6, False)
    assert f"! job/j: stale: approved was terminate -> delete, and it belongs to {owner} by now" in done.out
    assert writes(filled, since) == []


def test_what_was_given_away_as_planned_is_applied(filled: Any) -> None:
    filled.write(job=WITH_RELEASE + "lifecycle: {deletionPolicy: Orphan}\n")
    filled.apply()
    filled.write(job=None)
    saved(filled)
    assert apply(filled).code == 0
    again = apply(filled, "--detailed-exitcode")
    assert (again.code, "Already applied" in again.out) == (0, True)


def test_a_plan_that_somebody_is_in_the_way_of_is_not_called_applied(desk: Any) -> None:
    desk.write(job=JOB)
    saved(desk)
    by_hand(desk, "POST", "/jobs", {"id": "j", "poolInfo": {"poolId": "p"}})
    done = apply(desk, "--detailed-exitcode")
    assert (done.code, "Already applied" in done.out) == (4, False)
    assert "job/j exists and is not marked as any stack's" in done.out


def test_what_is_done_already_is_not_done_again(filled: Any) -> None:
    filled.write(job=None)
    saved(filled)
    by_hand(filled, "POST", "/jobs/j/terminate")
    filled.simulation.run_until_idle()
    since = len(filled.simulation.requests())
    assert apply(filled).code == 0
    assert writes(filled, since) == ["DELETE /jobs/j"]
    assert "Already applied" in apply(filled).out


def test_other_manifests_than_were_planned_are_refused_object_by_object(desk: Any) -> None:
    desk.write(pool=POOL, job=JOB)
    saved(desk)
    desk.write(pool=None, job=JOB.replace("/bin/true", "/bin/false"), more=JOB.replace("{name: j}", "{name: k}"))
    done = apply(desk)
    assert done.code == 1
    assert "the manifests are not those that the plan was made of:" in done.err
    for line in (
        "job/j (manifests/job.yaml:3) changed in the manifests: tasks",
        "job/k (manifests/more.yaml:3) is new in the manifests",
        "pool/p is no longer in the manifests",
    ):
        assert line in done.err
    assert writes(desk) == []


def test_a_secret_is_not_in_the_file_and_a_changed_one_is_seen(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESAME", "open-sesame-1")
    desk.write(pool=SECRET)
    saved(desk)
    assert "open-sesame" not in Path("plan.json").read_text("utf-8")
    monkeypatch.setenv("SESAME", "open-sesame-2")
    done = apply(desk)
    assert (done.code, "pool/p (manifests/pool.yaml:3) changed in the manifests: spec.startTask" in done.err) == (
        1,
        True,
    )
    monkeypatch.setenv("SESAME", "open-sesame-1")
    assert apply(desk).code == 0
    text = str(desk.simulation.get("/pools/p"))
    assert "open-sesame-1" in text


def test_values_of_variables_are_given_again(desk: Any) -> None:
    desk.write(
        stack=f"apiVersion: reconciler/v1\nkind: Stack\nmetadata: {{name: s}}\n{VARIABLE}",
        pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: ${var.nodes}"),
    )
    saved(desk, "--var", "nodes=31")
    assert '"nodes"' in Path("plan.json").read_text("utf-8")
    left_out = apply(desk)
    assert (left_out.code, "the plan was made with --var nodes=VALUE" in left_out.err) == (64, True)
    more = apply(desk, "--var", "nodes=31", "--var", "other=1")
    assert (more.code, "--var other: the plan was made without it" in more.err) == (64, True)
    other = apply(desk, "--var", "nodes=32")
    assert (other.code, "changed in the manifests: spec.targetDedicatedNodes" in other.err) == (1, True)
    assert apply(desk, "--var", "nodes=31").code == 0
    assert desk.simulation.get("/pools/p")["targetDedicatedNodes"] == 31


def test_sources_are_read_where_they_were(desk: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    desk.write(pool=POOL)
    Path("values.yaml").write_text("nodes: 3\n", "utf-8")
    desk.write(
        stack=f"apiVersion: reconciler/v1\nkind: Stack\nmetadata: {{name: s}}\n{VARIABLE}",
        pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: ${var.nodes}"),
    )
    done = desk.run("plan", "manifests", "--var-file", "values.yaml", "--out", "plan.json")
    assert done.code == 0, done.err
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Path("plan.json").replace(elsewhere / "plan.json")
    monkeypatch.chdir(elsewhere)
    assert apply(desk).code == 0
    assert desk.simulation.get("/pools/p")["targetDedicatedNodes"] == 3


def test_another_account_is_refused(desk: Any) -> None:
    desk.write(pool=POOL)
    saved(desk)
    done = apply(desk, "--account", "another")
    assert done.code == 1
    assert f"the plan is for {desk.simulation.endpoint} (account {desk.simulation.account}), and this is" in done.err


def test_what_was_decided_with_the_plan_is_not_decided_again(desk: Any) -> None:
    desk.write(pool=POOL)
    saved(desk)
    for flags in (
        *(("--no-prune",), ("--check-tasks",), ("--replace", "job/j"), ("--target", "job/j"), ("--exclude", "job/j")),
        *(("--allow-release-loss", "job/j"), ("--allow-release-failure", "job/j"), ("--allow-task-loss", "job/j")),
        *(("--dangerous-force", "job/j"), ("--allow-new-run", "job/j"), ("--var-file", "x.yaml")),
    ):
        done = apply(desk, *flags)
        assert (done.code, f"{flags[0]} is decided when a plan is made" in done.err) == (64, True)


def test_consents_are_kept_in_the_plan_and_bound_to_what_was_there(filled: Any) -> None:
    born = filled.simulation.get("/jobs/j")["creationTime"]
    digest = saved(filled, "--replace", "job/j")
    assert json.loads(Path("plan.json").read_text("utf-8"))["apply"]["consents"]["replace"] == [["job/j", born]]
    assert apply(filled).code == 0
    assert filled.simulation.get("/jobs/j")["creationTime"] != born
    again = apply(filled, "--digest", digest)
    assert (again.code, "Already applied" in again.out) == (0, True)


def test_a_guard_stops_a_saved_plan_until_it_is_consented_to(desk: Any) -> None:
    desk.write(**{f"job{number}": JOB.replace("{name: j}", f"{{name: j{number}}}") for number in range(12)})
    desk.apply()
    desk.write(**{f"job{number}": None for number in range(1, 12)})
    saved(desk)
    done = apply(desk)
    assert (done.code, "--allow-deletes 11" in done.err) == (1, True)
    assert len(desk.simulation.get("/jobs")["value"]) == 12
    desk.simulation.run_until_idle()
    assert apply(desk, "--allow-deletes", "11").code == 0
    assert [job["id"] for job in desk.simulation.get("/jobs")["value"]] == ["j0"]


def test_a_file_that_is_no_whole_plan_is_refused(desk: Any) -> None:
    for content, said in (
        ('{"format_version": "1.0", "kind": "Plan", "target": "x", "apply": {"endpoint": "h', "is not a whole plan"),
        ('{"format_version": "2.0", "kind": "Plan"}', "is a plan of format 2.0; this version reads 1.0"),
        ('{"format_version": "1.0", "kind": "Plan"}', "is a plan to read, not one to apply"),
        ('{"kind": "Plan"}', "expected one of Job, JobSchedule, Pool, Stack, found 'Plan'"),
    ):
        Path("plan.json").write_text(content, "utf-8")
        done = desk.run("apply", "plan.json")
        assert done.code in (1, 64)
        assert said in done.err, done.err


def test_a_plan_is_applied_alone(desk: Any) -> None:
    desk.write(pool=POOL)
    saved(desk)
    done = desk.run("apply", "plan.json", "manifests")
    assert (done.code, "plan.json is a plan, which is applied alone" in done.err) == (64, True)


def test_plans_that_could_not_be_repeated_are_not_saved(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(pool=POOL)
    desk.apply()
    assert desk.run("snapshot", "--out", "live.json").code == 0
    done = desk.run("plan", "manifests", "--live", "live.json", "--out", "plan.json")
    assert (done.code, "the plan cannot be saved: it was made against a snapshot" in done.err) == (64, True)
    shown = json.loads(desk.run("plan", "manifests", "--live", "live.json", "--format", "json").out)
    assert "snapshot" in shown["apply"]["refused"]
    Path("plan.json").write_text(json.dumps(shown), "utf-8")
    refused = apply(desk)
    assert (refused.code, "plan.json cannot be applied: it was made against a snapshot" in refused.err) == (1, True)
    nowhere = desk.run("plan", "manifests", "--out", "nowhere/plan.json")
    assert (nowhere.code, "expected a file in a folder that is there" in nowhere.err) == (64, True)


def test_work_that_a_plan_is_not_about_is_not_waited_for(desk: Any) -> None:
    desk.simulation.script(job="j", seconds=None)  # its task never ends, and has a node for itself
    desk.write(pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 2"), job=JOB)
    desk.apply()
    desk.write(other=JOB.replace("{name: j}", "{name: other}"))
    saved(desk)
    done = desk.run("apply", "plan.json", "--max-duration", "1h")
    assert (done.code, "Done. 1 created, 1 task added." in done.out) == (0, True), done.out + done.err
    again = desk.run("apply", "plan.json", "--max-duration", "1h")
    assert (again.code, "Already applied" in again.out) == (0, True)


def test_a_saved_plan_is_no_manifest_to_plan_with(desk: Any) -> None:
    desk.write(pool=POOL)
    saved(desk)
    done = desk.run("plan", "plan.json")
    assert (done.code, "found 'Plan': a saved plan is for `reconciler apply`" in done.err) == (64, True)


def test_another_digest_is_refused_although_nothing_can_be_done(filled: Any) -> None:
    filled.write(job=WITH_RELEASE.replace("id: t1, commandLine: /bin/true", "id: t1, commandLine: /bin/false"))
    done = filled.run("apply", "manifests", "--digest", "0" * 16)
    assert (done.code, "was approved, and this one is" in done.err) == (1, True)


def test_a_plan_is_for_its_stack_alone(desk: Any) -> None:
    desk.write(pool=POOL)
    saved(desk)
    desk.write(stack=STACK.replace("name: s", "name: t"))
    done = apply(desk)
    assert (done.code, "the plan is for stack 's', and the manifests are now of 't'" in done.err) == (1, True)
    (other,) = reconciler.load(["manifests"])
    approved = reconciler.read_plan("plan.json")
    with pytest.raises(StalePlan, match="the plan is for stack 's', and the manifests are stack 't'"):
        asyncio.run(reconciler.plan_saved(approved, other, reconciler.choose_target(other.stack)))


def test_what_is_no_plain_file_is_never_put_in_the_place_of_one(desk: Any) -> None:
    desk.write(pool=POOL)
    os.mkfifo("pipe")
    Path("through").symlink_to("pipe")
    for name in ("pipe", "through"):
        done = desk.run("plan", "manifests", "--out", name)
        assert (done.code, f"the plan cannot be saved: {name} is no plain file" in done.err) == (64, True)
        assert stat.S_ISFIFO(Path(name).stat().st_mode)


def test_a_plan_that_lacks_a_consent_says_how_it_gets_one(filled: Any) -> None:
    """The override of a guard is for `plan`: `apply PLAN` refuses it."""
    again = "Consents are part of a plan: make another one with them (reconciler plan ... --out FILE)."
    filled.write(job=WITH_RELEASE.replace("id: t1, commandLine: /bin/true", "id: t1, commandLine: /bin/false"))
    saved(filled)
    done = apply(filled)
    assert "      override: --replace job/j\n" in done.out
    assert again in done.out
    assert again not in filled.run("plan", "manifests").out
    filled.write(job=WITH_RELEASE)
    saved(filled)
    assert again not in apply(filled).out


# apply --digest


def test_only_the_plan_with_the_digest_runs(desk: Any) -> None:
    desk.write(pool=POOL)
    shown = desk.run("plan", "manifests")
    digest = shown.out.rsplit("Digest: ", 1)[1].strip()
    desk.write(pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 7"))
    done = desk.run("apply", "manifests", "--digest", digest)
    assert done.code == 1
    assert f"the plan with digest {digest} was approved, and this one is " in done.err
    assert done.err.endswith(": nothing was sent\n")
    assert "targetDedicatedNodes: 7" in done.out  # what would be done is shown, too
    assert writes(desk) == []
    desk.write(pool=POOL)
    assert desk.run("apply", "manifests", "--digest", digest, "--no-wait").code == 0
    assert desk.simulation.get("/pools/p")["targetDedicatedNodes"] == 1
    again = desk.run("apply", "manifests", "--digest", digest, "--no-wait")  # a pipeline that runs once more
    assert (again.code, "No changes." in again.out) == (0, True)
    saved(desk)
    other = apply(desk, "--digest", "0" * 16)
    assert (other.code, "was approved, and this one is" in other.err) == (1, True)


def test_a_digest_that_is_none_is_a_mistake(desk: Any) -> None:
    done = desk.run("apply", "manifests", "--digest", "abc")
    assert (done.code, "expected the 16 characters of a plan's digest, found 'abc'" in done.err) == (64, True)
