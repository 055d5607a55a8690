"""The end of a job and everything before it: tables over `next_step`."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.ledger import Entry, Evidence, Ledger
from reconciler.lifecycle.job import next_step, predict
from reconciler.lifecycle.ownership import KEPT
from reconciler.lifecycle.runs import run_digest
from reconciler.lifecycle.steps import Action, Blocked, Consents, Context, Done, Policy, Step, Verb, Wait
from reconciler.model.desired import PLAIN, Key, Kind, Wanted
from reconciler.observed import LiveJob, Mark, TaskCounts
from reconciler.reading import for_decisions


def said(step: Step) -> str:
    """A step in a few words."""
    match step:
        case Action():
            return str(step.verb)
        case Wait():
            return "wait"
        case Blocked():
            return "blocked"
        case Done():
            return "done"


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("active", "terminate"),
        ("enabling", "terminate"),
        ("disabling", "terminate"),
        ("disabled", "terminate"),
        ("terminating", "wait"),
        ("completed", "delete"),
        ("deleting", "wait"),
        ("hibernating", "blocked"),
    ],
)
def test_a_job_that_leaves_the_manifests_is_terminated_then_waited_for_then_deleted(
    world: Any, state: str, step: str
) -> None:
    live = world.live_job(world.job(), state, nodes=(world.ran(release=0),))
    assert said(next_step(None, live, world.context)) == step


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("active", "done"),
        ("enabling", "wait"),
        ("disabling", "enable"),
        ("disabled", "enable"),
        ("terminating", "wait"),
        ("completed", "done"),
        ("deleting", "wait"),
        ("hibernating", "blocked"),
    ],
)
def test_a_job_as_its_manifest_says_is_left_alone(world: Any, state: str, step: str) -> None:
    wanted = world.job(tasks=("t1",))
    assert said(next_step(wanted, world.live_job(wanted, state), world.context)) == step


@pytest.mark.parametrize(
    ("state", "step"),
    [("active", "terminate"), ("disabled", "terminate"), ("terminating", "wait"), ("completed", "done")],
)
def test_a_job_declared_completed_is_terminated_and_kept(world: Any, state: str, step: str) -> None:
    wanted = world.job(life={"state": "Completed"})
    assert said(next_step(wanted, world.live_job(wanted, state), world.context)) == step


def test_a_job_declared_completed_is_not_created_only_to_be_ended(world: Any) -> None:
    assert said(next_step(world.job(life={"state": "Completed"}), None, world.context)) == "done"


@pytest.mark.parametrize("stack", [None, "other"])
@pytest.mark.parametrize("state", ["active", "terminating", "completed", "deleting"])
def test_what_is_not_ours_is_never_touched(world: Any, stack: str | None, state: str) -> None:
    wanted = world.job()
    live = world.live_job(wanted, state, stack=stack)
    assert said(next_step(wanted, live, world.context)) == "blocked"
    assert said(next_step(None, live, world.context)) == "done"


def test_a_source_that_is_not_complete_removes_nothing(world: Any) -> None:
    live = world.live_job(world.job())
    assert said(next_step(None, live, replace(world.context, prunes=False))) == "done"
    named = replace(world.context, prunes=False, removing=frozenset({live.key}))
    assert said(next_step(None, live, named)) == "terminate"


def test_a_job_marked_prevent_destroy_outlives_its_manifest(world: Any) -> None:
    wanted = world.job()
    live = world.live_job(wanted, mark=Mark("s", wanted.digest, keep=True))
    assert next_step(None, live, world.context) == Done(KEPT)


def test_the_receipt_is_read_before_the_delete(world: Any) -> None:
    live = world.live_job(world.job(), "completed")
    assert said(next_step(None, live, world.context)) == "wait"
    runs = (world.ran(release=0),)
    step = next_step(None, replace(live, nodes=runs), world.context)
    assert isinstance(step, Action)
    assert step.receipt == runs


def written_down(context: Context, live: LiveJob) -> Context:
    evidence = Evidence("/store/j.json", "/store/j")
    return replace(context, ledger=replace(context.ledger, receipts={(live.key, live.guard.born): evidence}))


@pytest.mark.parametrize(
    ("state", "force", "stuck", "declared", "expected"),
    [
        ("active", True, False, False, ("terminate", True)),
        ("active", False, False, False, ("terminate", False)),
        ("terminating", True, False, False, ("wait", False)),  # it began to end since: the service gets its time
        ("terminating", True, True, False, ("delete", True)),
        ("terminating", True, True, True, ("wait", False)),
        ("completed", True, True, False, ("delete", False)),  # nothing is left that force could skip
    ],
)
def test_force_is_for_the_named_incarnation_and_where_it_changes_something(
    world: Any, state: str, force: bool, stuck: bool, declared: bool, expected: tuple[str, bool]
) -> None:
    wanted = world.job()
    live = world.live_job(wanted, state, nodes=(world.ran(release="running"),))
    this = frozenset({(live.key, live.guard.born)})
    consents = Consents(force=this if force else frozenset(), stuck=this if stuck else frozenset())
    context = replace(world.context, consents=consents)
    step = next_step(wanted if declared else None, live, context)
    assert (said(step), isinstance(step, Action) and step.force) == expected
    if isinstance(step, Action) and step.verb is Verb.DELETE:
        assert step.receipt == live.nodes
    successor = replace(live, guard=replace(live.guard, born="t1"))
    step = next_step(None, successor, context)
    assert not (isinstance(step, Action) and step.force)


def test_an_object_that_is_kept_is_not_forced_out(world: Any) -> None:
    live = world.live_job(world.job(), "terminating", nodes=(), mark=Mark("s", keep=True))
    this = frozenset({(live.key, live.guard.born)})
    context = replace(world.context, consents=Consents(force=this, stuck=this))
    assert next_step(None, live, context) == Done(KEPT)


def test_a_receipt_is_of_one_incarnation(world: Any) -> None:
    live = world.live_job(world.job(), "completed", nodes=(world.ran(release=3),))
    again = replace(live, guard=replace(live.guard, born="t1"))
    assert said(next_step(None, again, written_down(world.context, live))) == "write-receipt"


@pytest.mark.parametrize(("capture", "before", "expected"), [("Always", False, "Always"), ("Never", True, "")])
def test_logs_are_captured_once_and_as_the_mark_remembers(
    world: Any, capture: str, before: bool, expected: str
) -> None:
    live = world.live_job(world.job(), "completed", nodes=(world.ran(release=0),), mark=Mark("s", capture=capture))
    step = next_step(None, live, written_down(world.context, live) if before else world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.capture) == (Verb.DELETE, expected)


def test_a_job_whose_release_failed_is_kept_until_somebody_consents(world: Any) -> None:
    live = world.live_job(world.job(), "completed", nodes=(world.ran("n1", release=0), world.ran("n2", release=3)))
    step = next_step(None, live, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.receipt, step.capture) == (Verb.WRITE_RECEIPT, live.nodes, "OnFailure")
    step = next_step(None, live, written_down(world.context, live))
    assert isinstance(step, Blocked)
    assert "n2 (exit code 3)" in step.reason
    assert "n1 " not in step.reason
    assert "receipt /store/j.json, logs /store/j" in step.reason
    assert step.consent == "--allow-release-failure job/j"
    agreed = replace(world.context, consents=Consents(release_failure=frozenset({live.key})))
    assert said(next_step(None, live, agreed)) == "delete"
    freely = replace(live, mark=Mark("s", hold=False))
    assert said(next_step(None, freely, world.context)) == "delete"


def test_a_new_job_is_created_with_its_mark_and_without_what_would_end_it_early(world: Any) -> None:
    wanted = world.job(tasks=("t1",), onAllTasksComplete="terminatejob")
    step = next_step(wanted, None, world.context)
    assert isinstance(step, Action)
    assert step.verb == "create"
    assert step.body["id"] == "j"
    assert "onAllTasksComplete" not in step.body
    assert step.mark == Mark("s", wanted.digest, tasks="", later=True)


def test_tasks_are_added_then_confirmed_then_the_job_may_end_by_itself(world: Any) -> None:
    wanted = world.job(tasks=("t1", "t2"), onAllTasksComplete="terminatejob")
    spec = {**wanted.spec, "onAllTasksComplete": "noaction"}
    live = world.live_job(wanted, spec=spec, mark=Mark("s", wanted.digest, "", "n0nce", later=True), tasks={})

    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert (step.verb, [task.name for task in step.tasks]) == ("add-tasks", ["t1", "t2"])

    half = replace(live, tasks={"t1": world.live_task(wanted.tasks["t1"])})
    step = next_step(wanted, half, world.context)
    assert isinstance(step, Action)
    assert [task.name for task in step.tasks] == ["t2"]

    full = replace(live, tasks={task.id: world.live_task(task) for task in wanted.tasks.values()})
    step = next_step(wanted, full, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.body["onAllTasksComplete"]) == ("confirm-tasks", "terminatejob")
    assert step.mark == Mark("s", wanted.digest, wanted.tasks_digest, "n0nce")


def test_a_task_that_exists_with_other_fixed_fields_is_a_conflict(world: Any) -> None:
    wanted = world.job(tasks=("t1",))
    other = world.task("T1", command="something else")
    live = world.live_job(wanted, mark=Mark("s", wanted.digest), tasks={"t1": world.live_task(other)})
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Blocked)
    assert "t1: commandLine" in step.reason


@pytest.mark.parametrize(
    ("spec", "body"),
    [
        ({"priority": 5}, {"priority": 5, "metadata": []}),
        (
            {"constraints": {"maxWallClockTime": "PT60M"}},
            {"constraints": {"maxWallClockTime": "PT60M"}, "metadata": []},
        ),
        ({"metadata": [{"name": "a", "value": "1"}]}, {"metadata": [{"name": "a", "value": "1"}]}),
    ],
)
def test_what_may_change_is_patched_with_whole_values(world: Any, spec: dict[str, Any], body: dict[str, Any]) -> None:
    live = world.live_job(world.job())
    step = next_step(world.job(**spec), live, world.context)
    assert isinstance(step, Action)
    assert (step.verb, dict(step.body), step.guard) == ("update", body, live.guard)


def test_a_change_of_a_fixed_field_replaces_the_job(world: Any) -> None:
    live = world.live_job(world.job(), counts=TaskCounts(active=3))
    changed = world.job(jobReleaseTask={"commandLine": "other"})
    step = next_step(changed, live, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.reason) == ("terminate", "replace: commandLine of jobReleaseTask is fixed after creation")
    ended = replace(live, state="completed", nodes=())
    assert said(next_step(changed, ended, world.context)) == "delete"


@pytest.mark.parametrize("life", [{"replace": "Never"}, {"preventDestroy": True}])
def test_a_job_that_must_not_be_replaced_says_so(world: Any, life: dict[str, Any]) -> None:
    wanted = world.job(life=life, jobReleaseTask={"commandLine": "other"})
    mark = Mark("s", keep=bool(life.get("preventDestroy")))
    step = next_step(wanted, world.live_job(world.job(), mark=mark), world.context)
    assert isinstance(step, Blocked)
    assert "jobReleaseTask is fixed" in step.reason


def test_a_missing_line_never_replaces_a_job(world: Any) -> None:
    live = world.live_job(world.job(commonEnvironmentSettings=[{"name": "A", "value": "1"}]))
    step = next_step(world.job(), live, world.context)
    assert isinstance(step, Blocked)
    assert step.consent == "--replace job/j"


def test_replace_by_consent_is_spent_once_the_job_is_new(world: Any) -> None:
    wanted = world.job()
    live = world.live_job(wanted, born="t0")
    agreed = replace(world.context, consents=Consents(replace=frozenset({(live.key, "t0")})))
    assert said(next_step(wanted, live, agreed)) == "terminate"
    assert said(next_step(wanted, world.live_job(wanted, born="t1"), agreed)) == "done"


def test_a_completed_job_is_not_run_again_for_what_can_no_longer_be_patched(world: Any) -> None:
    live = world.live_job(world.job(), "completed")
    assert next_step(world.job(priority=9), live, world.context) == Done("ran to its end")
    assert next_step(world.job(displayName="x"), live, world.context) == Done("ran to its end")


def test_a_completed_job_that_never_got_all_its_tasks_is_told(world: Any) -> None:
    wanted = world.job(tasks=("t1", "t2"))
    live = world.live_job(
        wanted, "completed", mark=Mark("s", wanted.digest), tasks={"t1": world.live_task(wanted.tasks["t1"])}
    )
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Blocked)
    assert "1 of its declared tasks was never added (t2)" in step.reason


def test_a_policy_of_the_manifest_reaches_the_mark_before_the_manifest_can_go(world: Any) -> None:
    live = world.live_job(world.job())
    step = next_step(world.job(life={"preventDestroy": True, "onReleaseFailure": "Delete"}), live, world.context)
    assert isinstance(step, Action)
    assert step.verb == "update"
    assert step.mark is not None
    assert (step.mark.keep, step.mark.hold) == (True, False)


@pytest.mark.parametrize("capture", ["Never", "OnFailure", "Always"])
def test_which_logs_to_capture_is_remembered_by_the_mark(world: Any, capture: str) -> None:
    wanted = world.job()
    live = world.live_job(wanted, mark=Mark("s", wanted.digest, wanted.tasks_digest, capture="Never"))
    step = next_step(world.job(life={"captureLogs": capture}), live, world.context)
    if capture == "Never":
        assert isinstance(step, Done)
        return
    assert isinstance(step, Action)
    assert (step.verb, step.mark and step.mark.capture) == (Verb.UPDATE, capture)
    assert Mark.parse(str(step.mark)) == step.mark


def test_a_terminating_job_names_the_nodes_it_waits_for(world: Any) -> None:
    nodes = (world.ran("n1", release=0), world.ran("n2", release="running"))
    step = next_step(None, world.live_job(world.job(), "terminating", nodes=nodes), world.context)
    assert str(step) == "wait for release on 1 node (n2), up to 15 min"


def test_constraints_of_a_task_are_changed_while_it_can_still_run(world: Any) -> None:
    wanted = world.job(tasks=("t1",))
    task = world.task("t1", constraints={"maxTaskRetryCount": 3})
    wanted = replace(wanted, tasks={"t1": task})
    there = world.live_task(world.task("t1", constraints={"maxTaskRetryCount": 0}))
    live = world.live_job(wanted, mark=Mark("s", wanted.digest), tasks={"t1": there})
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.tasks, step.guards) == ("update-tasks", (task,), (there.guard,))
    over = replace(live, tasks={"t1": replace(there, state="completed")})
    assert said(next_step(wanted, over, world.context)) == "confirm-tasks"


def test_the_manifests_policy_wins_over_what_the_mark_remembers(world: Any) -> None:
    live = world.live_job(world.job(), mark=Mark("s", keep=False))
    keeping = replace(world.context, policies={live.key: Policy(keep=True)})
    assert said(next_step(None, live, keeping)) == "done"
    freed = replace(world.context, policies={live.key: Policy(keep=False)})
    assert said(next_step(None, replace(live, mark=Mark("s", keep=True)), freed)) == "terminate"


@pytest.mark.parametrize(
    ("life", "spec", "consents"),
    [
        ({"ttlAfterCompletion": {"failure": "PT1H"}}, {}, Consents()),
        ({}, {"jobReleaseTask": {"commandLine": "another"}}, Consents()),
        ({}, {}, Consents(replace=frozenset({(Key.of(Kind.JOB, "j"), "t0")}))),
    ],
    ids=["expires", "is replaced", "is replaced on request"],
)
def test_a_completed_job_goes_as_its_manifest_says_and_not_as_its_mark_remembers(
    world: Any, life: dict[str, Any], spec: dict[str, Any], consents: Consents
) -> None:
    ended = {"ended": "2026-01-01T00:00:00Z", "counts": TaskCounts(), "nodes": (world.ran(release=3),)}
    context = replace(world.context, now="2026-01-02T00:00:00Z", consents=consents)
    hold, delete = {"onReleaseFailure": "Hold"}, {"onReleaseFailure": "Delete", "captureLogs": "Always"}
    holding = world.live_job(world.job(), "completed", mark=Mark("s", hold=True, capture="Never"), **ended)
    step = next_step(world.job(life={**life, **delete}, **spec), holding, context)
    assert isinstance(step, Action)
    assert (step.verb, step.capture) == (Verb.DELETE, "Always")
    freed = replace(holding, mark=Mark("s", hold=False))
    assert said(next_step(world.job(life={**life, **hold}, **spec), freed, context)) == "write-receipt"


RUNNING = TaskCounts(running=2)


@pytest.mark.parametrize(
    ("state", "step"),
    [("active", "disable"), ("enabling", "wait"), ("disabling", "wait"), ("disabled", "done"), ("completed", "done")],
)
def test_a_job_declared_disabled_is_disabled_and_stays_so(world: Any, state: str, step: str) -> None:
    wanted = world.job(tasks=("t1",), life={"state": "Disabled"})
    assert said(next_step(wanted, world.live_job(wanted, state), world.context)) == step


def test_running_tasks_finish_when_a_job_is_disabled(world: Any) -> None:
    wanted = world.job(life={"state": "Disabled"})
    step = next_step(wanted, world.live_job(wanted), world.context)
    assert isinstance(step, Action)
    assert step.body == {"disableTasks": "wait"}


def test_a_disabled_job_is_not_told_to_end_with_its_tasks(world: Any) -> None:
    wanted = world.job(life={"state": "Disabled"}, onAllTasksComplete="terminatejob")
    step = next_step(wanted, None, world.context)
    assert isinstance(step, Action)
    assert "onAllTasksComplete" not in step.body
    spec = {**wanted.spec, "onAllTasksComplete": "noaction"}
    assert said(next_step(wanted, world.live_job(wanted, "disabled", spec=spec), world.context)) == "done"


def test_a_job_whose_manager_would_start_at_once_is_not_created_disabled(world: Any) -> None:
    wanted = world.job(life={"state": "Disabled"}, jobManagerTask={"id": "m", "commandLine": "x"})
    assert said(next_step(wanted, None, world.context)) == "blocked"


def test_a_refusal_to_take_tasks_while_disabled_says_what_to_do(world: Any) -> None:
    wanted = world.job(tasks=("t1",), life={"state": "Disabled"})
    live = world.live_job(wanted, "disabled", mark=Mark("s", wanted.digest), tasks={})
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert step.verb == "add-tasks"
    assert "lifecycle.state: Active" in step.hint


@pytest.mark.parametrize(
    ("state", "step"),
    [("active", "disable"), ("enabling", "wait"), ("disabling", "wait"), ("disabled", "update"), ("completed", "done")],
)
def test_a_job_moves_while_it_is_disabled(world: Any, state: str, step: str) -> None:
    wanted = world.job(poolInfo={"poolId": "q"})
    live = world.live_job(world.job(), state, nodes=())
    assert said(next_step(wanted, live, world.context)) == step


def test_a_job_that_its_old_pool_owes_a_release_moves_with_consent_only(world: Any) -> None:
    wanted = world.job(poolInfo={"poolId": "q"})
    assert said(next_step(wanted, world.live_job(world.job()), world.context)) == "wait"
    live = world.live_job(world.job(), nodes=(world.ran("n1"), world.ran("n2", pool="elsewhere")))
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Blocked)
    assert "(n1)" in step.reason
    assert step.consent == "--allow-release-loss job/j"
    agreed = replace(world.context, consents=Consents(release_loss=frozenset({live.key})))
    assert said(next_step(wanted, live, agreed)) == "disable"


@pytest.mark.parametrize(
    ("life", "counts", "consents", "step"),
    [
        ({}, None, Consents(), "wait"),
        ({}, TaskCounts(active=5), Consents(), "terminate"),
        ({}, RUNNING, Consents(), "blocked"),
        ({"replace": "WhenIdle"}, RUNNING, Consents(), "wait"),
        ({"replace": "WhenIdle"}, TaskCounts(active=5), Consents(), "terminate"),
        ({}, RUNNING, "task_loss", "terminate"),
        ({}, RUNNING, "replace", "terminate"),
    ],
)
def test_running_tasks_are_not_killed_for_a_replacement_nobody_agreed_to(
    world: Any, life: dict[str, Any], counts: TaskCounts | None, consents: Any, step: str
) -> None:
    wanted = world.job(life=life, jobReleaseTask={"commandLine": "other"})
    live = world.live_job(world.job(), counts=counts)
    agreed = {"task_loss": frozenset({live.key}), "replace": frozenset({(live.key, live.guard.born)})}
    given = Consents(**{consents: agreed[consents]}) if isinstance(consents, str) else consents
    assert said(next_step(wanted, live, replace(world.context, consents=given))) == step


def test_what_cannot_be_cleared_is_told_and_not_tried_for_ever(world: Any) -> None:
    live = world.live_job(world.job(networkConfiguration={"subnetId": "x", "skipWithdrawFromVNet": False}))
    step = next_step(world.job(), live, world.context)
    assert isinstance(step, Blocked)
    assert "networkConfiguration cannot be cleared" in step.reason


@pytest.mark.parametrize(
    ("state", "step"), [("active", "orphan"), ("disabled", "orphan"), ("completed", "blocked"), ("terminating", "wait")]
)
def test_an_orphan_loses_its_mark_where_the_service_takes_changes(world: Any, state: str, step: str) -> None:
    live = world.live_job(world.job(metadata=[{"name": "a", "value": "1"}]), state, mark=Mark("s", orphan=True))
    answer = next_step(None, live, world.context)
    assert said(answer) == step
    if isinstance(answer, Action):
        assert (answer.body, answer.mark, answer.guard) == (
            {"metadata": [{"name": "a", "value": "1"}]},
            None,
            live.guard,
        )


@pytest.mark.parametrize(
    ("state", "stack", "step"),
    [
        ("active", None, "adopt"),
        ("disabled", None, "adopt"),
        ("terminating", None, "blocked"),
        ("completed", None, "blocked"),
        ("deleting", None, "blocked"),
        ("active", "other", "blocked"),
        ("active", "s", "done"),
    ],
)
def test_an_object_of_nobody_is_adopted_when_it_is_asked_for(
    world: Any, state: str, stack: str | None, step: str
) -> None:
    wanted = world.job(life={"preventDestroy": True})
    mark = Mark(stack, wanted.digest, wanted.tasks_digest, keep=True) if stack else None
    live = world.live_job(wanted, state, mark=mark)
    answer = next_step(wanted, live, replace(world.context, adopting=frozenset({wanted.key})))
    assert said(answer) == step
    if isinstance(answer, Action):
        assert (answer.mark, answer.guard) == (Mark("s", wanted.digest, keep=True), live.guard)


def past(wanted: Any, **facts: Any) -> Entry:
    run = Entry("s", wanted.key, "j", run_digest(wanted), wanted.tasks_run_digest, "t0", "t1", "success")
    return replace(run, **facts)


@pytest.mark.parametrize(
    ("life", "facts", "step"),
    [
        ({}, {}, "done"),
        ({}, {"run_digest": "another"}, "forget"),
        ({}, {"tasks_digest": "another"}, "blocked"),
        ({"runPolicy": "Once"}, {"run_digest": "another"}, "done"),
        ({"runPolicy": "Always"}, {}, "forget"),
        ({"state": "Completed"}, {}, "done"),
    ],
)
def test_a_run_that_is_over_and_gone_is_not_repeated(
    world: Any, life: dict[str, Any], facts: dict[str, str], step: str
) -> None:
    wanted = world.job(tasks=("t1",), life=life)
    context = replace(world.context, run=past(wanted, **facts))
    assert said(next_step(wanted, None, context)) == step


def test_fields_that_take_no_new_run_do_not_ask_for_one(world: Any) -> None:
    wanted = world.job()
    assert run_digest(world.job(priority=5, displayName="x", poolInfo={"poolId": "q"})) == run_digest(wanted)
    assert run_digest(world.job(usesTaskDependencies=True)) != run_digest(wanted)


@pytest.mark.parametrize(("prunes", "step"), [(True, "forget"), (False, "done")])
def test_a_run_is_forgotten_with_its_manifest(world: Any, prunes: bool, step: str) -> None:
    context = replace(world.context, prunes=prunes, run=past(world.job()))
    assert said(next_step(None, None, context)) == step


LIVED = {"ttlAfterCompletion": {"success": "P1D", "failure": "P7D"}}
GOOD, BAD, LEFT = TaskCounts(succeeded=2), TaskCounts(succeeded=1, failed=1), TaskCounts(active=1)


@pytest.mark.parametrize(
    ("day", "counts", "release", "step"),
    [
        ("02", GOOD, 0, "done"),
        ("03", None, 0, "wait"),
        ("03", GOOD, 0, "delete"),
        ("03", BAD, 0, "done"),
        ("03", LEFT, 0, "done"),
        ("03", GOOD, 1, "done"),
        ("09", BAD, 0, "delete"),
        ("09", GOOD, 1, "write-receipt"),
    ],
)
def test_a_completed_job_is_kept_for_as_long_as_its_result_deserves(
    world: Any, day: str, counts: TaskCounts | None, release: int, step: str
) -> None:
    wanted = world.job(life=LIVED)
    facts = {"counts": counts, "nodes": (world.ran(release=release),), "ended": "2030-01-01T12:00:00.1234567Z"}
    live = world.live_job(wanted, "completed", **facts)
    answer = next_step(wanted, live, replace(world.context, now=f"2030-01-{day}T12:00:01Z"))
    if day == "02":
        answer = next_step(wanted, live, replace(world.context, now="2030-01-02T11:59:59Z"))
    assert said(answer) == step
    if isinstance(answer, Action) and answer.verb is Verb.WRITE_RECEIPT:
        assert answer.run is None  # it is over once it is removed, not before
        later = replace(world.context, now=f"2030-01-{day}T12:00:01Z")
        assert said(next_step(wanted, live, written_down(later, live))) == "blocked"
    elif isinstance(answer, Action):
        assert answer.run is not None
        assert answer.receipt == live.nodes
        assert (answer.run.result, answer.run.born) == ("success" if counts is GOOD else "failure", live.guard.born)


def test_a_job_is_not_run_again_where_the_ledger_is_missing(world: Any) -> None:
    wanted = world.job(life=LIVED)
    lost = replace(world.context, ledger=Ledger(store_id="bbbbbbbb"), stores=frozenset({"aaaaaaaa"}))
    step = next_step(wanted, None, lost)
    assert isinstance(step, Blocked)
    assert "store aaaaaaaa, and the store in use is bbbbbbbb" in step.reason
    assert step.consent == "--allow-new-run job/j"
    assert said(next_step(world.job(), None, lost)) == "create"
    agreed = replace(lost, consents=Consents(new_run=frozenset({wanted.key})))
    created = next_step(wanted, None, agreed)
    assert isinstance(created, Action)
    assert created.mark is not None
    assert created.mark.store == "bbbbbbbb"


def with_tasks(world: Any, life: str, **there: Any) -> Any:
    """A manifest of tasks t1 and t2 under a policy, and a job with the tasks *there* that were not confirmed."""
    wanted = world.job(tasks=("t1", "t2"), life={"tasks": life})
    tasks = {"t1": world.live_task(wanted.tasks["t1"]), "t2": world.live_task(wanted.tasks["t2"]), **there}
    return wanted, world.live_job(wanted, mark=Mark("s", wanted.digest, "before"), tasks=tasks)


@pytest.mark.parametrize(
    ("life", "state", "step"),
    [
        ("AddOnly", "active", "blocked"),
        ("ReactivateFailed", "active", "blocked"),
        ("Replace", "active", "delete-tasks"),
        ("Exact", "completed", "delete-tasks"),
        ("Replace", "running", "blocked"),
        ("Replace", "preparing", "blocked"),
    ],
)
def test_a_changed_task_goes_where_the_policy_lets_it(world: Any, life: str, state: str, step: str) -> None:
    other = world.live_task(world.task("t2", command="before"), state)
    wanted, live = with_tasks(world, life, t2=other)
    answer = next_step(wanted, live, world.context)
    assert said(answer) == step
    if isinstance(answer, Action):
        assert (answer.names, answer.guards) == (("t2",), (other.guard,))
    if state != "active" and isinstance(answer, Blocked):
        assert answer.consent == "--allow-task-loss job/j"
        agreed = replace(world.context, consents=Consents(task_loss=frozenset({live.key})))
        assert said(next_step(wanted, live, agreed)) == "delete-tasks"


def test_a_task_that_differs_for_an_absent_line_alone_is_not_deleted(world: Any) -> None:
    other = world.live_task(world.task("t2", environmentSettings=[{"name": "A", "value": "1"}]))
    wanted, live = with_tasks(world, "Replace", t2=other)
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Blocked)
    assert "no line of the manifest speaks of it" in step.reason


@pytest.mark.parametrize(("life", "step"), [("AddOnly", "confirm-tasks"), ("Exact", "delete-tasks")])
def test_tasks_that_are_not_declared_go_where_the_policy_is_exact(world: Any, life: str, step: str) -> None:
    wanted, live = with_tasks(world, life, t9=world.live_task(world.task("t9")))
    assert said(next_step(wanted, live, world.context)) == step


def test_ids_are_enough_while_the_tasks_are_being_added(world: Any) -> None:
    wanted = world.job(tasks=("t1", "t2"))
    live = world.live_job(wanted, mark=Mark("s", wanted.digest), ids=frozenset({"t1"}))
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert [task.name for task in step.tasks] == ["t2"]
    full = replace(live, ids=frozenset({"t1", "t2"}))
    assert said(next_step(wanted, full, world.context)) == "wait"


def test_failed_tasks_run_again_once_for_a_manifest_whatever_dies(world: Any) -> None:
    failing = {"state": "completed", "failed": True}
    wanted, live = with_tasks(world, "ReactivateFailed")
    first = world.live_task(wanted.tasks["t1"], ended="2030-01-01T00:00:05Z", **failing)
    second = world.live_task(wanted.tasks["t2"], ended="2030-01-01T00:00:07Z", **failing)
    live = replace(live, tasks={"t1": first, "t2": second})

    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert step.verb == "update"
    assert step.mark is not None
    assert step.mark.retried.endswith("@2030-01-01T00:00:07Z")
    assert Mark.parse(str(step.mark)) == step.mark

    noted = replace(live, mark=step.mark)
    step = next_step(wanted, noted, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.names) == ("reactivate-tasks", ("t1", "t2"))

    # One of them was reactivated before the crash, and has failed again since.
    again = replace(first, ended="2030-01-01T00:00:09Z")
    step = next_step(wanted, replace(noted, tasks={"t1": again, "t2": second}), world.context)
    assert isinstance(step, Action)
    assert step.names == ("t2",)

    both = replace(noted, tasks={"t1": again, "t2": replace(second, ended="2030-01-01T00:00:10Z")})
    step = next_step(wanted, both, world.context)
    assert isinstance(step, Action)
    assert step.verb == "confirm-tasks"
    assert step.mark is not None
    assert said(next_step(wanted, replace(both, mark=step.mark), world.context)) == "done"


WITHIN_A_SECOND = [
    # when the last failed task had ended, when one fails again: later by less than a text or a clock would tell
    ("2030-01-01T00:00:07Z", "2030-01-01T00:00:07.5Z"),
    ("2030-01-01T00:00:07.12Z", "2030-01-01T00:00:07.1200001Z"),
    ("2030-01-01T00:00:07.99Z", "2030-01-01T01:00:08+01:00"),
]


@pytest.mark.parametrize(("ended", "again"), WITHIN_A_SECOND)
def test_a_task_that_fails_again_within_the_second_is_not_run_a_third_time(world: Any, ended: str, again: str) -> None:
    wanted, live = with_tasks(world, "ReactivateFailed")
    first = world.live_task(wanted.tasks["t1"], "completed", failed=True, ended="2030-01-01T00:00:05Z")
    second = world.live_task(wanted.tasks["t2"], "completed", failed=True, ended=ended)
    step = next_step(wanted, replace(live, tasks={"t1": first, "t2": second}), world.context)
    assert isinstance(step, Action)
    failed_again = {"t1": replace(first, ended=again), "t2": second}
    step = next_step(wanted, replace(live, mark=step.mark, tasks=failed_again), world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.names) == ("reactivate-tasks", ("t2",))


def test_a_mark_that_somebody_spoilt_says_nothing_of_retries() -> None:
    text = str(Mark("s", retried="abc@2030-01-01T00:00:07Z"))
    assert Mark.parse(text.replace("2030", "soon")) == Mark("s")


def test_confirmed_tasks_are_compared_when_that_is_asked_for(world: Any) -> None:
    wanted = world.job(tasks=("t1", "t2"))
    live = world.live_job(wanted, tasks={"t1": world.live_task(wanted.tasks["t1"])})
    assert said(next_step(wanted, live, world.context)) == "done"
    assert said(next_step(wanted, live, replace(world.context, check_tasks=True))) == "add-tasks"


@pytest.mark.parametrize(
    "mark",
    [
        Mark("s"),
        Mark("s", "a", "b", "c", True, False, True, store="12345678", retried="d@2030-01-01T00:00:00Z"),
        Mark("s", "a", written="2030-01-01T00:00:00Z", aside=frozenset({"abc", "def"})),
    ],
)
def test_a_mark_is_read_as_it_was_written(mark: Mark) -> None:
    assert Mark.parse(str(mark)) == mark


@pytest.mark.parametrize("life", ["Replace", "Exact"])
def test_a_confirmed_task_is_missed_when_we_die_between_its_deletion_and_its_return(world: Any, life: str) -> None:
    wanted = world.job(tasks=("t1", "t2"), life={"tasks": life})
    there = {"t1": world.live_task(wanted.tasks["t1"]), "t2": world.live_task(world.task("t2", command="other"))}
    live = world.live_job(wanted, tasks=there)
    looking = replace(world.context, check_tasks=True)
    first = next_step(wanted, live, looking)
    assert isinstance(first, Action)
    assert (first.verb, first.mark and first.mark.tasks) == ("update", "")
    second = next_step(wanted, predict(wanted, live, first), looking)
    assert isinstance(second, Action)
    assert second.verb == "delete-tasks"
    died = replace(live, mark=first.mark, tasks={"t1": there["t1"]})
    assert said(next_step(wanted, died, world.context)) == "add-tasks"


def test_a_manifest_that_names_what_the_service_chose_is_nothing_to_confirm(world: Any) -> None:
    wanted = world.job(tasks=("t1",))
    said = Mark("s", wanted.digest[:PLAIN] + "@" * PLAIN, wanted.tasks_digest[:PLAIN] + "@" * PLAIN)
    live = world.live_job(wanted, mark=said, tasks={"t1": world.live_task(wanted.tasks["t1"])})
    assert next_step(wanted, live, world.context) == Done("as its manifest says")


def test_tasks_with_another_secret_are_replaced_whatever_dies_in_between(world: Any) -> None:
    def declared(password: str) -> Wanted:
        registry = {"registryServer": "r.example", "username": "u", "password": password}
        made = [world.task(name, containerSettings={"imageName": "i", "registry": registry}) for name in ("t1", "t2")]
        job = world.job(life={"tasks": "Replace"})
        return replace(job, tasks={task.id: task for task in made}, digest_key=b"key")

    before, wanted = declared("one"), declared("two")
    mark = Mark("s", before.digest, before.tasks_digest, passwords=before.tasks_signature)
    there = {id_: world.live_task(task) for id_, task in before.tasks.items()}
    live = world.live_job(wanted, mark=mark, tasks=there)
    assert next_step(before, live, world.context) == Done("as its manifest says")
    steps = []
    while isinstance(step := next_step(wanted, live, world.context), Action):
        steps.append((step.verb, step.names))
        killed = step.names == ("t1", "t2")  # after the first of them
        live = replace(live, tasks={"t2": there["t2"]}) if killed else predict(wanted, live, step)
    assert steps == [
        (Verb.UPDATE, ()),
        (Verb.DELETE_TASKS, ("t1", "t2")),
        (Verb.DELETE_TASKS, ("t2",)),
        (Verb.UPDATE, ()),
        (Verb.ADD_TASKS, ()),
        (Verb.CONFIRM_TASKS, ()),
    ]
    assert live.mark.passwords == wanted.tasks_signature


def test_what_a_completed_job_did_is_read_where_only_a_changed_secret_ends_it(world: Any) -> None:
    wanted = world.job()
    password = {("jobPreparationTask", "containerSettings", "registry", "password"): "new"}
    changed = replace(wanted, secrets=password, signature="key:new")
    mark = Mark("s", wanted.digest, wanted.tasks_digest, secrets="key:old")
    live = world.live_job(wanted, "completed", mark=mark)
    observed = world.observed(live)
    assert for_decisions(world.desired(changed), observed, world.context).runs == {live.key}
    assert for_decisions(world.desired(replace(changed, signature="key:old")), observed, world.context).runs == set()


def test_the_mark_names_the_commit_that_last_changed_the_object(world: Any) -> None:
    first, second = "1111111111112222", "3333333333334444"
    wanted = world.job()
    created = next_step(wanted, None, replace(world.context, revision=first))
    assert isinstance(created, Action) and created.mark is not None
    assert created.mark.revision == "111111111111"
    assert Mark.parse(str(created.mark)) == created.mark
    mark = replace(created.mark, tasks=wanted.tasks_digest)
    live = world.live_job(wanted, mark=mark)
    # A commit that leaves its manifest as it is changes nothing, and drift is reverted under the commit of before.
    later = replace(world.context, revision=second)
    assert isinstance(next_step(wanted, live, later), Done)
    drifted = replace(live, spec={**live.spec, "priority": 9})
    reverted = next_step(wanted, drifted, later)
    assert isinstance(reverted, Action) and (reverted.mark or mark).revision == "111111111111"
    changed = next_step(world.job(priority=5), live, later)
    assert isinstance(changed, Action) and changed.mark is not None
    assert changed.mark.revision == "333333333333"
