"""`lifecycle.ignoreChanges`: which paths there are, and what they keep."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from reconciler.lifecycle.ignoring import beside
from reconciler.lifecycle.job import outwait, predict
from reconciler.lifecycle.schedule import NOT_YET
from reconciler.lifecycle.steps import Action, Wait
from reconciler.model.document import JobLifecycle, PoolLifecycle, ScheduleLifecycle
from reconciler.observed import Guard, Mark
from reconciler.planning import make_plan

CONSTRAINED = {"constraints": {"maxTaskRetryCount": 1, "maxWallClockTime": "P1D"}}


@pytest.mark.parametrize(
    ("lifecycle", "path"),
    [
        (JobLifecycle, "spec.priority"),
        (JobLifecycle, "spec.constraints.maxTaskRetryCount"),
        (JobLifecycle, "spec.metadata.cost.center"),
        (JobLifecycle, "spec.jobReleaseTask.environmentSettings.PATH"),
        (PoolLifecycle, "spec.targetDedicatedNodes"),
        (ScheduleLifecycle, "spec.jobSpecification.priority"),
    ],
)
def test_paths_of_the_field_table_are_taken(lifecycle: Any, path: str) -> None:
    assert lifecycle(ignoreChanges=[path]).ignoreChanges == [path]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("priority", "a path such as spec.priority, found 'priority'"),
        ("spec", "a path such as spec.priority"),
        ("spec.prioritty", "a field of spec, found 'spec.prioritty' (did you mean 'priority'?)"),
        ("spec.constraints.maxRetryCount", "a field of spec.constraints"),
        ("spec.priority.high", "nothing below spec.priority"),
        ("spec.jobReleaseTask.resourceFiles.x", "a list is ignored as a whole"),
    ],
)
def test_a_path_that_is_none_is_refused_with_the_near_name(path: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        JobLifecycle(ignoreChanges=[path])
    assert said in str(refused.value)


def test_an_update_of_the_whole_keeps_the_part_that_is_ignored(world: Any) -> None:
    life = {"ignoreChanges": ["spec.constraints.maxTaskRetryCount"]}
    wanted = world.job(life=life, **CONSTRAINED)
    live = world.live_job(world.job(constraints={"maxTaskRetryCount": 7}))
    plan = make_plan(world.desired(wanted), world.observed(live), world.context)
    step = plan.entries[wanted.key].step
    assert isinstance(step, Action)
    assert step.body["constraints"] == {"maxTaskRetryCount": 7, "maxWallClockTime": "P1D"}
    assert [change.name for change in step.changes] == ["constraints.maxWallClockTime"]
    assert step.mark is not None
    assert step.mark.spec == wanted.digest


def test_at_creation_the_manifest_counts_as_it_stands(world: Any) -> None:
    wanted = world.job(life={"ignoreChanges": ["spec.priority"]}, priority=3)
    plan = make_plan(world.desired(wanted), world.observed(), world.context)
    step = plan.entries[wanted.key].step
    assert isinstance(step, Action)
    assert step.body["priority"] == 3


def test_a_part_whose_whole_is_missing_is_left_as_it_is_wanted(world: Any) -> None:
    wanted = world.job(life={"ignoreChanges": ["spec.jobManagerTask.commandLine"]})
    live = world.live_job(world.job(jobManagerTask={"id": "m", "commandLine": "x"}))
    kept = beside(wanted, live)
    assert kept is not None
    assert "jobManagerTask" not in kept.spec


def test_items_of_a_list_with_names_are_ignored_one_by_one(world: Any) -> None:
    life = {"ignoreChanges": ["spec.metadata.theirs"]}
    wanted = world.job(life=life, metadata=[{"name": "ours", "value": "1"}])
    live = world.live_job(world.job(metadata=[{"name": "ours", "value": "2"}, {"name": "theirs", "value": "x"}]))
    kept = beside(wanted, live)
    assert kept is not None
    assert kept.spec["metadata"] == {"ours": {"value": "1"}, "theirs": {"value": "x"}}


def test_pools_ignore_what_somebody_else_scales(world: Any) -> None:
    wanted = world.pool(life={"ignoreChanges": ["spec.targetDedicatedNodes"]})
    live = world.live_pool(world.pool(targetDedicatedNodes=9), mark=Mark("s", wanted.digest))
    plan = make_plan(world.desired(wanted), world.observed(live), world.context)
    assert not plan.has_changes


def test_a_schedule_that_begins_disabled_gets_its_own_times_also_where_they_are_ignored(world: Any) -> None:
    wanted = world.schedule(life={"state": "Disabled", "ignoreChanges": ["spec.schedule"]})
    plan = make_plan(world.desired(wanted), world.observed(), world.context)
    assert plan.entries[wanted.key].verbs == ("create", "disable", "update")
    held = {**wanted.spec, "schedule": {**wanted.spec["schedule"], "doNotRunUntil": NOT_YET}}
    live = world.live_schedule(wanted, "disabled", spec=held)
    step = make_plan(world.desired(wanted), world.observed(live), world.context).entries[wanted.key].step
    assert isinstance(step, Action)
    assert step.body["schedule"] == {"recurrenceInterval": "PT1H"}


def test_a_job_ends_with_its_tasks_as_it_was_created_to_also_where_that_is_ignored(world: Any) -> None:
    life = {"ignoreChanges": ["spec.onAllTasksComplete"]}
    wanted = world.job(tasks=("t1",), life=life, onAllTasksComplete="terminatejob")
    entry = make_plan(world.desired(wanted), world.observed(), world.context).entries[wanted.key]
    assert entry.verbs == ("create", "add-tasks", "confirm-tasks")
    assert entry.actions[-1].body["onAllTasksComplete"] == "terminatejob"
    live = world.live_job(
        wanted,
        mark=Mark("s", wanted.digest, nonce="n", later=True),
        spec={**wanted.spec, "onAllTasksComplete": "noaction"},
        tasks={"t1": world.live_task(wanted.tasks["t1"])},
    )
    step = make_plan(world.desired(wanted), world.observed(live), world.context).entries[wanted.key].step
    assert isinstance(step, Action)
    assert step.body["onAllTasksComplete"] == "terminatejob"


@pytest.mark.parametrize("tasks", [(), ("t1",)])
def test_a_job_that_began_disabled_ends_with_its_tasks_also_where_that_is_ignored(
    world: Any, tasks: tuple[str, ...]
) -> None:
    asks = {"tasks": tasks, "onAllTasksComplete": "terminatejob"}
    ignores = {"ignoreChanges": ["spec.onAllTasksComplete"]}
    held, freed = world.job(life={**ignores, "state": "Disabled"}, **asks), world.job(life=ignores, **asks)
    live: Any = None
    for _ in range(8):
        entry = make_plan(world.desired(held), world.observed(*([live] if live else [])), world.context).entries[
            held.key
        ]
        if not isinstance(entry.step, Action | Wait):
            break
        live = predict(entry.wanted, live, entry.step) if isinstance(entry.step, Action) else outwait(live)
        live = replace(live, guard=Guard("0x1", "t0"))
    assert (live.state, live.spec["onAllTasksComplete"]) == ("disabled", "noaction")
    assert Mark.parse(str(live.mark)) == live.mark
    entry = make_plan(world.desired(freed), world.observed(live), world.context).entries[freed.key]
    assert entry.verbs == ("enable", "update")
    assert entry.actions[-1].body["onAllTasksComplete"] == "terminatejob"
    assert not entry.drift
    set_ = replace(live, state="active", spec=freed.spec, mark=entry.actions[-1].mark)
    by_hand = replace(set_, spec={**freed.spec, "onAllTasksComplete": "noaction"})
    for there in (set_, by_hand):  # what others change later is theirs
        assert not make_plan(world.desired(freed), world.observed(there), world.context).has_changes
