"""The end of a job and everything before it: tables over `next_step`."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle.job import next_step
from reconciler.lifecycle.steps import KEPT, Action, Blocked, Consents, Done, Policy, Step, Wait
from reconciler.observed import Mark, TaskCounts


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


def test_a_job_whose_release_failed_is_kept_until_somebody_consents(world: Any) -> None:
    live = world.live_job(world.job(), "completed", nodes=(world.ran("n1", release=0), world.ran("n2", release=3)))
    step = next_step(None, live, world.context)
    assert isinstance(step, Blocked)
    assert "n2 (exit code 3)" in step.reason
    assert "n1" not in step.reason
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
    assert step.mark == Mark("s", wanted.digest, tasks="")


def test_tasks_are_added_then_confirmed_then_the_job_may_end_by_itself(world: Any) -> None:
    wanted = world.job(tasks=("t1", "t2"), onAllTasksComplete="terminatejob")
    spec = {**wanted.spec, "onAllTasksComplete": "noaction"}
    live = world.live_job(wanted, spec=spec, mark=Mark("s", wanted.digest, "", "n0nce"), tasks={})

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
    assert (step.verb, step.reason) == ("terminate", "replace: jobReleaseTask is fixed after creation")
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
    assert "1 of its declared tasks were never added (t2)" in step.reason


def test_a_policy_of_the_manifest_reaches_the_mark_before_the_manifest_can_go(world: Any) -> None:
    live = world.live_job(world.job())
    step = next_step(world.job(life={"preventDestroy": True, "onReleaseFailure": "Delete"}), live, world.context)
    assert isinstance(step, Action)
    assert step.verb == "update"
    assert step.mark is not None
    assert (step.mark.keep, step.mark.hold) == (True, False)


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
