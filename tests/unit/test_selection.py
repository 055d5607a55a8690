"""`--target` and `--exclude`: what is chosen of a plan, and what comes in or goes with it."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle.steps import Context
from reconciler.model.desired import Desired, Key, Kind
from reconciler.observed import Observed
from reconciler.planning import Plan, make_plan
from reconciler.selection import Selection, select

A, B, P, Q = (Key(kind, name) for kind, name in ((Kind.JOB, "a"), (Kind.JOB, "b"), (Kind.POOL, "p"), (Kind.POOL, "q")))


def chosen(plan: Plan, *, target: Collection[Key] = (), exclude: Collection[Key] = ()) -> tuple[list[str], list[str]]:
    found = select(plan, target, exclude)
    return sorted(map(str, found.keys)), list(found.told)


@pytest.fixture
def fresh(world: Any) -> Plan:
    """Nothing is there yet: jobs a and b on pools p and q."""
    other = world.job("b", poolInfo={"poolId": "q"})
    things = (world.job("a"), other, world.pool("p"), world.pool("q"))
    plan: Plan = make_plan(world.desired(*things), world.observed(), world.context)
    return plan


@pytest.fixture
def leaving(world: Any) -> Plan:
    """Both jobs and their pools are there, and nothing is declared."""
    other = world.live_job(world.job("b", poolInfo={"poolId": "q"}), nodes=())
    things = (world.live_job(world.job("a"), nodes=()), other, *(world.live_pool(world.pool(name)) for name in "pq"))
    plan: Plan = make_plan(world.desired(), world.observed(*things), world.context)
    return plan


def test_a_target_takes_in_what_it_needs_and_says_so(fresh: Plan) -> None:
    told = ["pool/p is taken in, too: job/a needs it"]
    assert chosen(fresh, target=[A]) == (["job/a", "pool/p"], told)
    assert chosen(fresh, target=[P]) == (["pool/p"], [])


def test_what_is_excluded_goes_with_its_dependants(fresh: Plan) -> None:
    told = ["job/a is left out, too: it needs pool/p"]
    assert chosen(fresh, exclude=[P]) == (["job/b", "pool/q"], told)
    assert chosen(fresh, exclude=[A]) == (["job/b", "pool/p", "pool/q"], [])
    assert chosen(fresh, target=[A, B], exclude=[P]) == (
        ["job/b", "pool/q"],
        ["pool/q is taken in, too: job/b needs it", *told],
    )


def test_a_pool_that_goes_needs_its_jobs_to_go_first(leaving: Plan) -> None:
    assert chosen(leaving, target=[P]) == (["job/a", "pool/p"], ["job/a is taken in, too: pool/p needs it"])
    assert chosen(leaving, exclude=[A]) == (["job/b", "pool/q"], ["pool/p is left out, too: it needs job/a"])


def test_a_schedule_and_its_jobs_are_chosen_together(world: Any) -> None:
    there = world.live_schedule(world.schedule(), "disabled")
    child = world.live_job(world.job("s:job-1"), stack=None, nodes=())
    plan = make_plan(world.desired(), world.observed(there, child), world.context)
    both = ["job/s:job-1", "jobschedule/s"]
    assert chosen(plan, target=[there.key])[0] == both
    assert chosen(plan, target=[child.key])[0] == both
    assert chosen(plan, exclude=[child.key])[0] == []


def test_what_needs_nothing_to_be_done_is_not_told(world: Any) -> None:
    desired = world.desired(world.job("a", priority=7), world.pool("p"))
    live = (world.live_job(world.job("a")), world.live_pool(world.pool("p")))
    plan = make_plan(desired, world.observed(*live), world.context)
    assert chosen(plan, target=[A]) == (["job/a", "pool/p"], [])


def test_a_plan_is_about_what_was_chosen_and_jobs_that_its_schedules_make_later(world: Any) -> None:
    def plan(observed: Observed, context: Context, desired: Desired) -> Plan:
        return make_plan(desired, observed, context)

    there = world.live_schedule(world.schedule(), "disabled")
    context = replace(world.context, only=frozenset({there.key}))
    child = world.live_job(world.job("s:job-9"), stack=None, nodes=())
    made = plan(world.observed(there, child, world.live_pool(world.pool())), context, world.desired())
    assert sorted(map(str, made.entries)) == ["job/s:job-9", "jobschedule/s"]
    assert made.partial
    assert isinstance(select(made, [], []), Selection)
