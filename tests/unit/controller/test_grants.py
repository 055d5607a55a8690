"""What was allowed, written down and read back, against what is seen later."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.controller.grants import Grants
from reconciler.errors import StoreError
from reconciler.model.desired import Key, Kind
from reconciler.observed import Guard
from reconciler.planning import Plan, make_plan

JOB = Key.of(Kind.JOB, "j")


def plan_of(world: Any, wanted: Any, live: Any) -> Plan:
    things = [thing for thing in (live,) if thing is not None]
    declared = [thing for thing in (wanted,) if thing is not None]
    return make_plan(world.desired(*declared), world.observed(*things), world.context)


def granted(plan: Plan, *, begun: bool = False) -> Grants:
    """As the next process reads it."""
    grants = Grants.of(plan.entries.values(), "d1", "ann")
    if begun:
        grants = grants.begin(plan.entries.values(), plan.stack)
    return Grants.from_content(json.loads(json.dumps(grants.content())))


@pytest.fixture
def replaced(world: Any) -> Any:
    """A job whose preparation is another command now: terminate, delete, create."""
    new = world.job(jobPreparationTask={"commandLine": "prepare anew"})
    return new, world.live_job(world.job(), nodes=())


def test_what_was_allowed_is_covered_and_so_is_each_rest_of_it(world: Any, replaced: Any) -> None:
    new, live = replaced
    grants = granted(plan_of(world, new, live))
    for there in (live, replace(live, state="completed"), None):
        plan = plan_of(world, new, there)
        assert grants.covers(plan.entries[JOB], plan)


def test_another_incarnation_is_covered_only_by_what_comes_after_its_creation(world: Any, replaced: Any) -> None:
    new, live = replaced
    grants = granted(plan_of(world, new, live))
    again = replace(live, guard=Guard("e9", "2026-01-09T00:00:00Z"))
    plan = plan_of(world, new, again)  # somebody made the old one anew: it would have to be terminated once more
    assert not grants.covers(plan.entries[JOB], plan)


def test_another_manifest_is_not_covered(world: Any, replaced: Any) -> None:
    new, live = replaced
    grants = granted(plan_of(world, new, live))
    plan = plan_of(world, world.job(jobPreparationTask={"commandLine": "prepare otherwise"}), live)
    assert not grants.covers(plan.entries[JOB], plan)


def test_a_removal_does_not_cover_a_change(world: Any) -> None:
    live = world.live_job(world.job(), nodes=())
    grants = granted(plan_of(world, None, live))
    plan = plan_of(world, world.job(priority=5), live)
    assert not grants.covers(plan.entries[JOB], plan)


def test_under_way_is_what_was_begun_and_has_come_further(world: Any, replaced: Any) -> None:
    new, live = replaced
    before, after = plan_of(world, new, live), plan_of(world, new, replace(live, state="completed"))
    assert not granted(before).is_under_way(after.entries[JOB], after)  # it ended by itself, and we had begun nothing
    assert not granted(before, begun=True).is_under_way(before.entries[JOB], before)  # the request was never sent
    assert granted(before, begun=True).is_under_way(after.entries[JOB], after)


def test_what_is_at_its_end_is_forgotten(world: Any, replaced: Any) -> None:
    new, live = replaced
    grants = granted(plan_of(world, new, live))
    assert grants.left(plan_of(world, new, live)) is grants
    assert not grants.left(plan_of(world, new, world.live_job(new))).roads
    assert not grants.left(plan_of(world, None, None)).roads


def test_values_are_not_written_down(world: Any) -> None:
    live = world.live_job(world.job(), nodes=())
    plan = plan_of(world, world.job(commonEnvironmentSettings=[{"name": "KEY", "value": "hunter2"}]), live)
    assert "hunter2" not in json.dumps(Grants.of(plan.entries.values()).content())


def test_what_cannot_be_read_is_never_taken_for_empty() -> None:
    for raw in ({}, {"format_version": 2}, {"format_version": 1, "roads": [{}], "digest": "", "who": ""}):
        with pytest.raises(StoreError, match="read what the controller was allowed to do"):
            Grants.from_content(raw)
