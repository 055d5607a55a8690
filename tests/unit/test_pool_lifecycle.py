"""Pools: size, shape, and the releases that their nodes owe."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle.pool import next_step, predict, problems
from reconciler.lifecycle.steps import Action, Blocked, Consents, Done, Wait
from reconciler.model.desired import Key, Kind
from reconciler.observed import Debt

JOB = Key.of(Kind.JOB, "j")


def test_a_new_pool_is_created_and_its_nodes_are_waited_for(world: Any) -> None:
    wanted = world.pool()
    step = next_step(wanted, None, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.body["id"], step.body["vmSize"]) == ("create", "p", "Standard_D2s_v3")
    young = world.live_pool(wanted, allocation="resizing", nodes={"starting": 1}, current=1)
    assert next_step(wanted, young, world.context) == Wait("nodes: 0 of 2 ready")
    half = world.live_pool(wanted, nodes={"idle": 1, "starting": 1})
    assert next_step(wanted, half, world.context) == Wait("nodes: 1 of 2 ready")
    assert next_step(wanted, world.live_pool(wanted), world.context) == Done("as its manifest says")


def test_a_pool_without_a_usable_node_stops_what_depends_on_it(world: Any) -> None:
    wanted = world.pool()
    live = world.live_pool(wanted, nodes={"starttaskfailed": 2})
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Blocked)
    assert step.reason == "no usable node: 2 starttaskfailed"


def test_a_failed_resize_is_told_and_is_no_news_once_the_nodes_are_there(world: Any) -> None:
    wanted = world.pool()
    short = world.live_pool(wanted, nodes={"idle": 1}, current=1, resize_errors=("AccountCoreQuotaReached: no",))
    assert problems(short) == ("resize: AccountCoreQuotaReached: no",)
    assert problems(replace(short, current=2)) == ()


def test_a_resize_waits_for_the_pending_one(world: Any) -> None:
    live = world.live_pool(world.pool(), allocation="resizing")
    assert isinstance(next_step(world.pool(targetDedicatedNodes=3), live, world.context), Wait)
    step = next_step(world.pool(targetDedicatedNodes=3), replace(live, allocation="steady"), world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.body["targetDedicatedNodes"]) == ("resize", 3)


def test_nodes_that_owe_a_release_are_not_taken_away(world: Any) -> None:
    live = world.live_pool(world.pool())
    for wanted in (None, world.pool(targetDedicatedNodes=1)):
        going_on = replace(world.context, debts=(Debt(JOB, "j", ("n1",), ending=False),))
        step = next_step(wanted, live, going_on)
        assert isinstance(step, Blocked)
        assert step.consent == "--allow-release-loss job/j"
        ending = replace(world.context, debts=(Debt(JOB, "j", ("n1",), ending=True),))
        assert isinstance(next_step(wanted, live, ending), Wait)
        agreed = replace(going_on, consents=Consents(release_loss=frozenset({JOB})))
        assert isinstance(next_step(wanted, live, agreed), Action)


def test_growing_needs_no_look_at_debt(world: Any) -> None:
    context = replace(world.context, debts=(Debt(JOB, "j", ("n1",), ending=False),))
    step = next_step(world.pool(targetDedicatedNodes=3), world.live_pool(world.pool()), context)
    assert isinstance(step, Action)


def test_a_missing_line_never_takes_nodes_away(world: Any) -> None:
    live = world.live_pool(world.pool())
    step = next_step(world.pool(targetDedicatedNodes=None), live, world.context)
    assert isinstance(step, Blocked)
    assert "targetDedicatedNodes" in step.reason


def test_the_shape_of_a_pool_changes_only_while_it_is_empty(world: Any) -> None:
    step = next_step(world.pool(vmSize="Standard_D4s_v3"), world.live_pool(world.pool()), world.context)
    assert isinstance(step, Blocked)
    empty = world.live_pool(world.pool(targetDedicatedNodes=0))
    step = next_step(world.pool(targetDedicatedNodes=0, vmSize="Standard_D4s_v3"), empty, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.body["vmSize"]) == ("update", "Standard_D4s_v3")


def test_a_start_task_is_patched_whole_and_removed_by_its_own_operation(world: Any) -> None:
    with_task = world.pool(startTask={"commandLine": "setup"})
    step = next_step(with_task, world.live_pool(world.pool()), world.context)
    assert isinstance(step, Action)
    assert step.verb == "update"
    assert step.body["startTask"] == {"commandLine": "setup"}
    step = next_step(world.pool(), world.live_pool(with_task), world.context)
    assert isinstance(step, Action)
    assert step.verb == "replace-properties"
    assert "startTask" not in step.body


@pytest.mark.parametrize("stack", [None, "other"])
def test_what_is_not_ours_is_never_touched(world: Any, stack: str | None) -> None:
    live = world.live_pool(world.pool(), stack=stack)
    assert isinstance(next_step(world.pool(targetDedicatedNodes=5), live, world.context), Blocked)
    assert isinstance(next_step(None, live, world.context), Done)


def test_what_cannot_be_taken_off_a_live_pool_is_named(world: Any) -> None:
    named = world.pool(targetDedicatedNodes=0, displayName="x", networkConfiguration={"subnetId": "s"})
    step = next_step(world.pool(targetDedicatedNodes=0), world.live_pool(named), world.context)
    assert isinstance(step, Blocked)
    assert "displayName, networkConfiguration cannot be cleared" in step.reason


def test_removing_a_start_task_and_changing_the_shape_are_two_requests(world: Any) -> None:
    live = world.live_pool(world.pool(targetDedicatedNodes=0, startTask={"commandLine": "x"}))
    wanted = world.pool(targetDedicatedNodes=0, vmSize="other")
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert [field.top for field in step.changes] == ["startTask"]
    step = next_step(wanted, predict(wanted, live, step), world.context)
    assert isinstance(step, Action)
    assert (step.verb, [field.top for field in step.changes]) == ("update", ["vmSize"])


@pytest.mark.parametrize(
    ("nodes", "current", "step"),
    [
        ({}, 2, Wait("nodes: 0 of 2 ready")),  # counts lag behind
        ({"idle": 1, "waitingforstarttask": 1}, 2, Done("as its manifest says")),
        ({"waitingforstarttask": 2}, 2, Wait("nodes: 0 of 2 ready")),
        ({"offline": 2}, 2, Blocked("no usable node: 2 offline")),
        (None, 2, Done("as its manifest says; its nodes could not be counted")),
    ],
)
def test_nodes_are_waited_for_as_long_as_they_may_still_come(
    world: Any, nodes: dict[str, int] | None, current: int, step: object
) -> None:
    assert next_step(world.pool(), world.live_pool(world.pool(), nodes=nodes, current=current), world.context) == step
