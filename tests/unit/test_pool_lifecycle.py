"""Pools: size, shape, and the releases that their nodes owe."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle.pool import (
    formula_to_try,
    needs_nodes,
    next_step,
    notes,
    outwait,
    pool_diff,
    predict,
    problems,
)
from reconciler.lifecycle.pool_forecast import LATER
from reconciler.lifecycle.steps import Action, Blocked, Consents, Done, Policy, Step, Verb, Wait
from reconciler.model.desired import Key, Kind
from reconciler.observed import Debt, Guard, LiveNode, LivePool, Mark, Tenant

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


def test_a_pool_in_a_state_that_this_version_does_not_know_is_left_as_it_is(world: Any) -> None:
    wanted = world.pool()
    live = world.live_pool(wanted, "hibernating")
    blocked = Blocked("in a state this version does not know: hibernating")
    assert next_step(None, live, world.context) == blocked
    assert next_step(wanted, live, world.context) == blocked


def nodes(*states: str, booted: str = "") -> tuple[LiveNode, ...]:
    """Nodes n1, n2, ... in these states; offline ones are off scheduling, running ones run a task."""
    switch = {"offline": "disabled"}
    return tuple(
        LiveNode(f"n{at}", state, switch.get(state, "enabled"), booted=booted, running=int(state == "running"))
        for at, state in enumerate(states, 1)
    )


def aside(pool: LivePool, *ids: str) -> LivePool:
    """The pool with a mark that says we took these nodes off scheduling."""
    assert pool.mark is not None
    prints = frozenset(LiveNode(node, "idle").print for node in ids)
    return replace(pool, mark=replace(pool.mark, aside=prints))


def owed_by(*ids: str, ending: bool = False) -> dict[str, Any]:
    busy = frozenset(ids) if ending else frozenset()
    return {"debts": (Debt(JOB, "j", ids, ending),), "tenants": (Tenant(JOB, "j", True, busy),)}


def test_a_pending_resize_to_other_numbers_is_stopped_first(world: Any) -> None:
    live = world.live_pool(world.pool(), allocation="resizing")
    wanted = world.pool(targetDedicatedNodes=3)
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert step.verb == "stop-resize"
    assert isinstance(next_step(wanted, replace(live, allocation="stopping"), world.context), Wait)
    step = next_step(wanted, replace(live, allocation="steady"), world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.body["targetDedicatedNodes"]) == ("resize", 3)
    assert "nodeDeallocationOption" not in step.body


def test_a_shrink_lets_tasks_end(world: Any) -> None:
    step = next_step(world.pool(targetDedicatedNodes=1), world.live_pool(world.pool()), world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.body["nodeDeallocationOption"]) == ("resize", "taskcompletion")


def test_a_shrink_that_did_not_end_is_asked_for_again(world: Any) -> None:
    wanted = world.pool(targetDedicatedNodes=1)
    step = next_step(wanted, world.live_pool(wanted, current=2, nodes={"running": 2}), world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.reason) == ("resize", "the last resize left 1 dedicated too many")


def test_a_pool_whose_nodes_owe_a_release_is_not_deleted(world: Any) -> None:
    live = world.live_pool(world.pool())
    step = next_step(None, live, replace(world.context, **owed_by("n1")))
    assert isinstance(step, Blocked)
    assert step.consent == "--allow-release-loss job/j"
    assert isinstance(next_step(None, live, replace(world.context, **owed_by("n1", ending=True))), Wait)
    agreed = replace(world.context, **owed_by("n1"), consents=Consents(release_loss=frozenset({JOB})))
    assert isinstance(next_step(None, live, agreed), Action)


SHRINKING = [
    # nodes, set aside, owing -> verb, ids
    (("idle", "idle"), (), ("n1",), "choose-nodes", ("n2",)),
    (("idle", "idle"), ("n2",), ("n1",), "disable-scheduling", ("n2",)),
    (("idle", "offline"), ("n2",), ("n1",), "remove-nodes", ("n2",)),
    (("running", "idle"), (), (), "choose-nodes", ("n2",)),
    (("idle", "unusable"), (), (), "choose-nodes", ("n2",)),
    (("idle", "unusable"), ("n2",), (), "remove-nodes", ("n2",)),
    (("idle", "offline"), (), (), "choose-nodes", ("n1",)),  # somebody else took n2 off
    (("idle", "offline"), ("n2",), ("n2",), "enable-scheduling", ("n2",)),  # it got a debt meanwhile
]


@pytest.mark.parametrize(("states", "chosen", "owing", "verb", "ids"), SHRINKING)
def test_a_shrink_takes_nodes_without_debt_by_name(
    world: Any,
    states: tuple[str, ...],
    chosen: tuple[str, ...],
    owing: tuple[str, ...],
    verb: str,
    ids: tuple[str, ...],
) -> None:
    live = aside(world.live_pool(world.pool(), members=nodes(*states)), *chosen)
    tenants = (Tenant(JOB, "j", True, frozenset()),)
    context = replace(world.context, debts=(Debt(JOB, "j", owing, False),) if owing else (), tenants=tenants)
    step = next_step(world.pool(targetDedicatedNodes=1), live, context)
    assert isinstance(step, Action), step
    assert (step.verb, step.nodes, step.guard) == (verb, ids, live.guard)


def test_nodes_are_taken_with_their_tasks_ended_and_under_the_guard_of_what_was_seen(world: Any) -> None:
    wanted = world.pool(targetDedicatedNodes=1, resizeTimeout="PT7M")
    before = world.live_pool(world.pool(resizeTimeout="PT7M"), members=nodes("idle", "idle"))
    context = replace(world.context, **owed_by("n1"))
    off = next_step(wanted, aside(before, "n2"), context)
    assert isinstance(off, Action)
    assert (off.verb, off.guard, off.body) == (
        "disable-scheduling",
        before.guard,
        {"nodeDisableSchedulingOption": "taskcompletion"},
    )
    free = replace(
        before, members=(before.members[0], replace(before.members[1], scheduling="disabled", state="offline"))
    )
    gone = next_step(wanted, aside(free, "n2"), context)
    assert isinstance(gone, Action)
    assert (gone.verb, gone.guard, gone.body) == (
        "remove-nodes",
        before.guard,
        {"nodeList": ["n2"], "nodeDeallocationOption": "taskcompletion", "resizeTimeout": "PT7M"},
    )
    assert [(row.name, row.old, row.new) for row in gone.changes] == [("targetDedicatedNodes", 2, 1)]


def test_a_chosen_node_is_not_removed_while_a_task_runs_there(world: Any) -> None:
    draining = replace(nodes("idle", "running")[1], scheduling="disabled")
    live = aside(world.live_pool(world.pool(), members=(nodes("idle")[0], draining)), "n2")
    context = replace(world.context, **owed_by("n1"))
    assert next_step(world.pool(targetDedicatedNodes=1), live, context) == Wait("tasks on 1 node to end")


def test_a_shrink_without_enough_free_nodes_needs_a_person_and_keeps_none_off(world: Any) -> None:
    live = world.live_pool(world.pool(), members=nodes("idle", "offline"))
    context = replace(world.context, **owed_by("n1", "n2"))
    wanted = world.pool(targetDedicatedNodes=1)
    step = next_step(wanted, live, context)
    assert isinstance(step, Blocked)
    assert (
        step.reason
        == "1 node has to go, and none is free of a release that it owes: job/j on n1, n2; end the jobs first"
    )
    assert step.consent == "--allow-release-loss job/j"
    step = next_step(wanted, aside(live, "n2"), context)
    assert isinstance(step, Action)
    assert (step.verb, step.nodes) == ("enable-scheduling", ("n2",))
    ending = replace(world.context, **owed_by("n1", ending=True))
    assert next_step(wanted, live, ending) == Wait("release: job/j on n1", "up to 15 min")
    agreed = replace(context, consents=Consents(release_loss=frozenset({JOB})))
    step = next_step(wanted, live, agreed)
    assert isinstance(step, Action)
    assert step.verb == "resize"


FORMULA = {"targetDedicatedNodes": None, "enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes = 1;"}


def test_autoscale_is_enabled_on_a_steady_pool_whose_nodes_owe_nothing(world: Any) -> None:
    live, wanted = world.live_pool(world.pool()), world.pool(**FORMULA)
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.body["autoScaleFormula"]) == ("enable-autoscale", "$TargetDedicatedNodes = 1;")
    assert isinstance(next_step(wanted, replace(live, allocation="resizing"), world.context), Wait)
    owing = replace(world.context, **owed_by("n1"))
    assert isinstance(next_step(wanted, live, owing), Blocked)
    enough = world.pool(**FORMULA | {"autoScaleFormula": "$TargetDedicatedNodes = max(2, $RunningTasks.GetSample(1));"})
    assert isinstance(next_step(enough, live, owing), Action)


def test_targets_are_not_compared_while_a_formula_decides(world: Any) -> None:
    wanted = world.pool(**FORMULA)
    spec = {**wanted.spec, "targetDedicatedNodes": 7, "resizeTimeout": "PT9M"}
    live = world.live_pool(wanted, spec=spec, nodes={"idle": 7}, current=7)
    assert next_step(wanted, live, world.context) == Done("as its manifest says")
    step = next_step(world.pool(), live, world.context)
    assert isinstance(step, Action)
    assert step.verb == "disable-autoscale"


def test_autoscale_is_not_turned_off_by_a_missing_line(world: Any) -> None:
    spec = {**world.pool(**FORMULA).spec, "targetDedicatedNodes": 1}
    live = world.live_pool(world.pool(), spec=spec, current=1)
    step = next_step(world.pool(targetDedicatedNodes=None), live, world.context)
    assert isinstance(step, Blocked)
    assert "autoscale is on and no line" in step.reason


OLD, NEW = "2026-01-01T10:00:00.1234567Z", "2026-01-01T11:00:00.5Z"
WRITTEN = "2026-01-01T10:30:00.000+00:00"


def old_pool(world: Any, members: tuple[LiveNode, ...], *chosen: str, life: str = "RebootIdle") -> Any:
    """A pool of nodes that came up before, or after, its start task was written."""
    wanted = world.pool(targetDedicatedNodes=len(members), life={"nodeRollout": life})
    live = aside(world.live_pool(wanted, members=members), *chosen)
    return wanted, replace(live, mark=replace(live.mark, written=WRITTEN))


@pytest.mark.parametrize(
    ("members", "chosen", "verb", "ids"),
    [
        (nodes("running", "idle", booted=OLD), (), "choose-nodes", ("n2",)),
        (nodes("idle", "idle", booted=OLD), ("n1",), "disable-scheduling", ("n1",)),
        (nodes("offline", "idle", booted=OLD), ("n1",), "reboot-nodes", ("n1",)),
        (nodes("offline", booted=NEW), ("n1",), "enable-scheduling", ("n1",)),
        (nodes("idle", booted=NEW), ("n1",), "choose-nodes", ()),
    ],
)
def test_nodes_with_an_old_start_task_are_restarted_by_turns(
    world: Any, members: tuple[LiveNode, ...], chosen: tuple[str, ...], verb: str, ids: tuple[str, ...]
) -> None:
    step = next_step(*old_pool(world, members, *chosen), world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.nodes) == (verb, ids)


def test_a_fifth_of_the_nodes_is_restarted_at_once(world: Any) -> None:
    step = next_step(*old_pool(world, nodes(*["idle"] * 11, booted=OLD)), world.context)
    assert isinstance(step, Action)
    assert len(step.nodes) == 2


def test_a_node_is_not_restarted_while_a_job_prepares_or_releases_there(world: Any) -> None:
    wanted, live = old_pool(world, nodes("offline", booted=OLD), "n1")
    for busy in (frozenset({"n1"}), None):
        context = replace(world.context, tenants=(Tenant(JOB, "j", True, busy),))
        assert next_step(wanted, live, context) == Wait("preparation or release of job/j on the nodes to restart")
    elsewhere = replace(world.context, tenants=(Tenant(JOB, "j", True, frozenset({"n2"})),))
    assert isinstance(next_step(wanted, live, elsewhere), Action)


def test_a_rollout_stops_where_the_new_start_task_fails(world: Any) -> None:
    failed = replace(nodes("starttaskfailed", booted=NEW)[0], id="n9")
    step = next_step(*old_pool(world, (*nodes("idle", booted=OLD), failed)), world.context)
    assert isinstance(step, Blocked)
    assert "the start task failed on n9 after its restart" in step.reason


def test_a_node_that_owes_a_release_is_not_reimaged(world: Any) -> None:
    wanted, live = old_pool(world, nodes("idle", "idle", booted=OLD), life="ReimageIdle")
    step = next_step(wanted, live, replace(world.context, **owed_by("n1")))
    assert isinstance(step, Action)
    assert step.nodes == ("n2",)
    step = next_step(wanted, live, replace(world.context, **owed_by("n1", "n2")))
    assert isinstance(step, Blocked)
    assert step.consent == "--allow-release-loss job/j"


def test_when_a_start_task_was_written_is_remembered_in_the_mark(world: Any) -> None:
    context = replace(world.context, now=WRITTEN)
    step = next_step(world.pool(startTask={"commandLine": "x"}), world.live_pool(world.pool()), context)
    assert isinstance(step, Action)
    assert step.mark is not None
    assert step.mark.written == WRITTEN
    assert Mark.parse(str(step.mark)) == step.mark
    live = world.live_pool(world.pool(), mark=step.mark)
    step = next_step(world.pool(metadata=[{"name": "a", "value": "b"}]), live, replace(context, now="later"))
    assert isinstance(step, Action)
    assert step.mark is not None
    assert step.mark.written == WRITTEN


def test_a_mark_names_nodes_that_are_set_aside() -> None:
    prints = frozenset(node.print for node in nodes("idle", "idle"))
    mark = Mark("s", "d", aside=prints)
    assert Mark.parse(str(mark)) == mark
    assert len(str(mark)) < len(str(Mark("s", "d"))) + 20


@pytest.mark.parametrize(
    ("life", "verb"), [({"rollout": "ScaleToZero"}, "resize"), ({"rollout": "Replace"}, "delete"), ({}, None)]
)
def test_how_a_field_that_needs_an_empty_pool_is_changed(world: Any, life: dict[str, str], verb: str | None) -> None:
    live = world.live_pool(world.pool(), members=nodes("idle", "idle"))
    step = next_step(world.pool(taskSlotsPerNode=2, life=life), live, world.context)
    if verb is None:
        assert isinstance(step, Blocked)
        assert step.consent == "--replace pool/p"
    else:
        assert isinstance(step, Action)
        assert step.verb == verb


def test_a_missing_line_never_empties_a_pool_for_the_default_of_its_field(world: Any) -> None:
    live = world.live_pool(world.pool(taskSlotsPerNode=2), members=nodes("idle", "idle"))
    for life in ({}, {"rollout": "ScaleToZero"}):
        step = next_step(world.pool(life=life), live, world.context)
        assert step == Blocked(
            "taskSlotsPerNode differs and no line of the manifest speaks of it; it can change only while the pool has "
            "no nodes, and a missing line never takes nodes away",
            "--replace pool/p",
        )


def test_a_pool_that_is_never_to_be_deleted_is_not_replaced(world: Any) -> None:
    live = world.live_pool(world.pool(), members=nodes("idle", "idle"))
    wanted = world.pool(taskSlotsPerNode=2, life={"rollout": "Replace", "preventDestroy": True})
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Blocked)
    assert step.reason.startswith("kept: ")
    assert step.reason.endswith(" the pool has no nodes, and lifecycle.preventDestroy forbids to replace it")


def test_mounts_are_set_on_an_empty_pool_and_nowhere_else(world: Any) -> None:
    nfs = {"nfsMountConfiguration": {"source": "host:/share", "relativeMountPath": "data"}}
    wanted = world.pool(targetDedicatedNodes=0, mountConfiguration=[nfs])
    step = next_step(wanted, world.live_pool(world.pool(targetDedicatedNodes=0)), world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.body["mountConfiguration"]) == ("update", [nfs])
    assert isinstance(
        next_step(world.pool(mountConfiguration=[nfs]), world.live_pool(world.pool()), world.context), Blocked
    )


def test_a_replaced_pool_needs_consent_to_cut_off_tasks(world: Any) -> None:
    live = world.live_pool(world.pool(), members=nodes("running", "idle"))
    wanted = world.pool(taskSlotsPerNode=2, life={"rollout": "Replace"})
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Blocked)
    assert step.consent == "--allow-task-loss pool/p"
    agreed = replace(world.context, consents=Consents(task_loss=frozenset({wanted.key})))
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


SIZES_UNSAID = [
    # what the manifest says of the size -> what is missing (None: nothing), for a pool of 2 dedicated and 1 spot nodes
    ({}, "write enableAutoScale or the targets"),
    ({"enableAutoScale": False}, "write targetDedicatedNodes and targetLowPriorityNodes"),
    ({"enableAutoScale": False, "resizeTimeout": "PT7M"}, "write targetDedicatedNodes and targetLowPriorityNodes"),
    ({"targetDedicatedNodes": 2}, "write targetLowPriorityNodes"),
    ({"targetDedicatedNodes": 2, "targetLowPriorityNodes": 1}, None),
    ({"enableAutoScale": False, "targetLowPriorityNodes": 0, "targetDedicatedNodes": 0}, None),
]


@pytest.mark.parametrize(("said", "missing"), SIZES_UNSAID)
def test_autoscale_is_not_turned_off_before_the_manifest_says_how_many_nodes_there_are_to_be(
    world: Any, said: dict[str, Any], missing: str | None
) -> None:
    wanted = world.pool(**{"targetDedicatedNodes": None, **said})
    spec = {**world.pool(**FORMULA).spec, "targetDedicatedNodes": 2, "targetLowPriorityNodes": 1}
    live = world.live_pool(world.pool(), spec=spec, current=3, spot=1, nodes={"idle": 3})
    step = next_step(wanted, live, world.context)
    if missing is None:
        assert isinstance(step, Action)
        assert step.verb == "disable-autoscale"
    else:
        assert isinstance(step, Blocked)
        assert missing in step.reason


def test_a_missing_target_takes_no_nodes_away_whatever_else_changes(world: Any) -> None:
    wanted = world.pool(targetDedicatedNodes=None, resizeTimeout="PT7M")
    step = next_step(wanted, world.live_pool(world.pool()), world.context)
    assert isinstance(step, Blocked)
    assert "targetDedicatedNodes is 2 and no line of the manifest speaks of it" in step.reason


STOPPED = Action(Verb.STOP_RESIZE, "a resize to 3 dedicated nodes is pending", Guard("0x1", "t0"))
UNTIL = Wait("the pending resize to end", "up to 7 min")


@pytest.mark.parametrize(
    ("allocation", "targets", "goal", "removing", "step"),
    [
        ("resizing", 3, 2, False, STOPPED),
        ("resizing", 3, 4, False, STOPPED),
        ("stopping", 3, 2, False, UNTIL),
        # Nodes are being removed by name, which lowers the target by and by: that goes on.
        ("resizing", 3, 2, True, UNTIL),
        ("resizing", 3, 4, True, STOPPED),
    ],
)
def test_a_pending_resize_is_let_end_where_it_leads_to_the_goal_and_else_stopped(
    world: Any, allocation: str, targets: int, goal: int, removing: bool, step: Step
) -> None:
    live = world.live_pool(world.pool(targetDedicatedNodes=targets, resizeTimeout="PT7M"), allocation=allocation)
    live = aside(live, "n1") if removing else live
    wanted = world.pool(targetDedicatedNodes=goal, resizeTimeout="PT7M")
    assert next_step(wanted, live, world.context) == step


def test_how_long_a_resize_may_take_is_told_where_nothing_says_it(world: Any) -> None:
    spec = {key: value for key, value in world.pool().spec.items() if key != "resizeTimeout"}
    live = world.live_pool(world.pool(), spec=spec, allocation="stopping")
    step = next_step(world.pool(targetDedicatedNodes=3), live, world.context)
    assert step == Wait("the pending resize to end", "up to 15 min")


WITH_START = {"startTask": {"commandLine": "prepare"}}
EMPTY = {"targetDedicatedNodes": 0}


@pytest.mark.parametrize(
    ("spec", "facts", "needed"),
    [
        ({}, {}, False),
        ({"targetDedicatedNodes": 3}, {}, False),
        ({"targetDedicatedNodes": 1}, {}, True),
        ({}, {"current": 3}, True),  # the last resize did not take them all
        (WITH_START, {}, True),
        ({"applicationPackageReferences": [{"applicationId": "a", "version": "1"}]}, {}, True),
        ({"metadata": [{"name": "a", "value": "1"}]}, {}, False),
        (FORMULA, {}, True),
        ({"vmSize": "Standard_D4s_v3"}, {}, True),
        ({}, {"mark": Mark("s", written=WRITTEN)}, True),
        (EMPTY, {"mark": Mark("s", written=WRITTEN)}, False),
        ({}, {"mark": Mark("s", aside=frozenset({"abc"}))}, True),
        ({"targetDedicatedNodes": 1}, {"state": "deleting"}, False),
        ({"targetDedicatedNodes": 1}, {"stack": "other"}, False),
        ({"targetDedicatedNodes": 1}, {"stack": None}, False),
    ],
)
def test_single_nodes_are_looked_at_where_one_may_go_or_restart(
    world: Any, spec: dict[str, Any], facts: dict[str, Any], needed: bool
) -> None:
    live = world.live_pool(world.pool(**(EMPTY if spec is EMPTY else {})), **facts)
    assert needs_nodes(world.pool(**spec), live, world.context) is needed


def test_a_formula_in_force_needs_no_look_at_nodes(world: Any) -> None:
    wanted = world.pool(**FORMULA)
    live = world.live_pool(world.pool(), spec={**wanted.spec, "targetDedicatedNodes": 1}, current=2)
    assert not needs_nodes(wanted, live, world.context)


def test_single_nodes_are_looked_at_where_their_pool_goes(world: Any) -> None:
    live = world.live_pool(world.pool())
    assert needs_nodes(None, live, world.context)
    assert not needs_nodes(None, None, world.context)
    staying = replace(world.context, prunes=False)
    assert not needs_nodes(None, live, staying)
    assert needs_nodes(None, live, replace(staying, removing=frozenset({live.key})))
    assert not needs_nodes(None, live, replace(world.context, policies={live.key: Policy(orphan=True)}))
    asked = replace(world.context, consents=Consents(replace=frozenset({(live.key, "t0")})))
    assert needs_nodes(world.pool(), live, asked)


@pytest.mark.parametrize(
    ("formula", "state", "stack", "scales", "tried"),
    [
        ("$TargetDedicatedNodes = 2;", "active", "s", True, "$TargetDedicatedNodes = 2;"),
        ("$TargetDedicatedNodes = 1;", "active", "s", True, None),
        ("$TargetDedicatedNodes = 2;", "deleting", "s", True, None),
        ("$TargetDedicatedNodes = 2;", "active", "other", True, None),
        ("$TargetDedicatedNodes = 2;", "active", "s", False, None),
        (None, "active", "s", True, None),
    ],
)
def test_a_changed_formula_is_evaluated_on_a_pool_of_ours_that_scales_already(
    world: Any, formula: str | None, state: str, stack: str, scales: bool, tried: str | None
) -> None:
    there = {**world.pool(**FORMULA).spec, **EMPTY} if scales else world.pool().spec
    live = world.live_pool(world.pool(), state, stack=stack, spec=there)
    wanted = world.pool(**{**FORMULA, "autoScaleFormula": formula}) if formula else world.pool()
    assert formula_to_try(wanted, live, world.context) == tried
    assert formula_to_try(None, live, world.context) is None


@pytest.mark.parametrize(
    ("states", "life", "noted"),
    [
        (("idle",), "None", ("1 node keeps the start task and packages it has until it restarts",)),
        (("idle", "rebooting"), "None", ("2 nodes keep the start task and packages they have until they restart",)),
        (("unusable",), "None", ()),
        (("idle",), "RebootIdle", ()),
    ],
)
def test_nodes_that_a_change_does_not_reach_are_told_before_it_is_made(
    world: Any, states: tuple[str, ...], life: str, noted: tuple[str, ...]
) -> None:
    wanted = world.pool(life={"nodeRollout": life}, **WITH_START)
    live = world.live_pool(world.pool(), members=nodes(*states))
    assert notes(wanted, live, pool_diff(wanted, live)) == noted
    # Where the pool has to be emptied for the change, no node is left that keeps anything.
    other = world.pool(life={"nodeRollout": life}, vmSize="Standard_D4s_v3", **WITH_START)
    assert notes(other, live, pool_diff(other, live)) == ()


@pytest.mark.parametrize(
    ("count", "noted"),
    [
        (1, "1 of 3 nodes runs an old start task or packages until it restarts (n1)"),
        (2, "2 of 3 nodes run an old start task or packages until they restart (n1, n2)"),
    ],
)
def test_nodes_that_a_change_did_not_reach_are_told_until_they_restart(world: Any, count: int, noted: str) -> None:
    wanted = world.pool()
    members = tuple(replace(node, booted=OLD if at < count else NEW) for at, node in enumerate(nodes(*["idle"] * 3)))
    live = world.live_pool(wanted, members=members, mark=Mark("s", wanted.digest, written=WRITTEN))
    assert notes(wanted, live, pool_diff(wanted, live)) == (noted,)
    evaluated = replace(live, evaluated="$TargetDedicatedNodes=3")
    assert notes(wanted, evaluated, pool_diff(wanted, live)) == (
        noted,
        "its formula, evaluated now: $TargetDedicatedNodes=3",
    )
    assert notes(None, live, pool_diff(wanted, live)) == ()


# Forecasts


def test_switched_nodes_are_forecast_one_by_one(world: Any) -> None:
    idle, running, off = nodes("idle", "running", "offline")
    live = world.live_pool(world.pool(), members=(idle, running, off))
    drained = predict(None, live, Action(Verb.DISABLE_SCHEDULING, "", nodes=("n2",)))
    assert drained == replace(live, members=(idle, replace(running, scheduling="disabled"), off))
    back = predict(None, live, Action(Verb.ENABLE_SCHEDULING, "", nodes=("n1", "n3")))
    assert back == replace(live, members=(idle, running, replace(off, scheduling="enabled", state="idle")))
    busy = replace(running, scheduling="disabled")
    back = predict(None, replace(live, members=(busy,)), Action(Verb.ENABLE_SCHEDULING, "", nodes=("n2",)))
    assert back == replace(live, members=(running,))


def test_a_shrink_is_forecast_to_its_end_whichever_turn_it_is(world: Any) -> None:
    spot = tuple(replace(node, id=f"s{node.id}", dedicated=False) for node in nodes("idle", "idle"))
    members = (*nodes("idle", "idle", "idle"), *spot)
    before = world.pool(targetDedicatedNodes=3, targetLowPriorityNodes=2)
    live = world.live_pool(before, members=members, current=5, spot=2)
    after = world.pool(targetDedicatedNodes=1, targetLowPriorityNodes=2)
    changes = pool_diff(after, live).fields
    gone = predict(after, live, Action(Verb.REMOVE_NODES, "", nodes=("n1",), changes=changes))
    left = (members[1], *spot)
    assert gone == replace(live, members=left, current=3, spot=2, spec=after.spec, allocation="resizing")
    # What was lowered before leaves no change: the targets say how many stay.
    late = replace(live, spec=after.spec)
    assert predict(after, late, Action(Verb.REMOVE_NODES, "", nodes=("n1", "n2"))) == replace(
        gone, members=(members[2], *spot)
    )
    waited = outwait(gone)
    assert waited == replace(live, members=left, current=3, spot=2, spec=after.spec, nodes={"idle": 3})


def test_a_rollout_is_forecast_to_its_end_whichever_turn_it_is(world: Any) -> None:
    mark = Mark("s", written=WRITTEN)
    old, old_too, broken = nodes("offline", "idle", "unusable", booted=OLD)
    new = replace(nodes("idle", booted=NEW)[0], id="n9")
    live = world.live_pool(world.pool(), members=(old, old_too, broken, new), mark=mark)
    then = predict(None, live, Action(Verb.REBOOT_NODES, "", nodes=("n1",)))
    restarting = replace(old, state="rebooting", booted=LATER)
    assert then == replace(live, members=(restarting, replace(old_too, booted=LATER), broken, new))
    waited = outwait(replace(then, members=(restarting, replace(new, state="running", running=2), broken)))
    assert waited is not None
    assert waited.members == (replace(restarting, state="offline"), new, broken)
    assert predict(None, replace(live, mark=None), Action(Verb.REIMAGE_NODES, "", nodes=("n1",))) == replace(
        live, mark=None, members=(restarting, old_too, broken, new)
    )
