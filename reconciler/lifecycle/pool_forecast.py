"""What the service is documented to make of each action on a pool: the plan folds `next_step` over it.

A shrink by name or a rollout goes by turns. Here one turn stands for all of them, so that a road stays readable.
"""

from dataclasses import replace
from typing import Any, Final

from reconciler.lifecycle import forecast
from reconciler.lifecycle.forecast import with_values
from reconciler.lifecycle.pool_nodes import RESTARTING, runs_the_old
from reconciler.lifecycle.pool_size import TARGETS
from reconciler.lifecycle.steps import Action, Verb
from reconciler.model.desired import Wanted
from reconciler.model.pool import PoolSpec
from reconciler.model.table import normalise
from reconciler.observed import Guard, LiveNode, LivePool, NodeCounts

LATER = "9999-01-01T00:00:00+00:00"
"""When a node was booted that is predicted to restart: after anything that was written."""


MOST_NEW: Final = 1_000
"""New nodes that are looked at one by one, of each sort. They are all alike."""


def predict(wanted: Wanted | None, live: LivePool | None, action: Action) -> LivePool | None:
    """The pool after *action*, as the service documents it."""
    if action.verb is Verb.CREATE:
        assert wanted is not None
        return LivePool(
            wanted.key,
            wanted.name,
            "active",
            Guard("", ""),
            action.mark,
            wanted.spec,
            allocation="resizing",
            members=(),
        )
    assert live is not None
    match action.verb:
        case Verb.RESIZE:
            changed = normalise(PoolSpec, action.body, fill=False)
            return replace(live, spec=with_values(live, changed), allocation="resizing")
        case Verb.STOP_RESIZE:
            return replace(live, allocation="stopping")
        case Verb.ENABLE_AUTOSCALE:
            changed = normalise(PoolSpec, action.body, fill=False)
            return replace(live, spec=with_values(live, {**changed, "enableAutoScale": True}), allocation="resizing")
        case Verb.DISABLE_AUTOSCALE:
            names = ("autoScaleFormula", "autoScaleEvaluationInterval")
            gone = {name: normalise(PoolSpec, {}).get(name) for name in names}
            return replace(live, spec=with_values(live, {**gone, "enableAutoScale": False}))
        case Verb.CHOOSE_NODES:
            return replace(live, mark=action.mark)
        case Verb.DISABLE_SCHEDULING:
            return _each(live, action, lambda node: replace(node, scheduling="disabled"))
        case Verb.ENABLE_SCHEDULING:
            return _each(live, action, _back)
        case Verb.REMOVE_NODES:
            return _without(live, action)
        case Verb.REBOOT_NODES | Verb.REIMAGE_NODES:
            return _restarted(live, action)
    return forecast.after(wanted, live, action, {Verb.DELETE: "deleting"})


def _each(live: LivePool, action: Action, change: Any) -> LivePool:
    members = tuple(change(node) if node.id in action.nodes else node for node in live.members or ())
    return replace(live, members=members)


def _back(node: LiveNode) -> LiveNode:
    state = "idle" if node.state == "offline" else node.state
    return replace(node, scheduling="enabled", state=state)


def _without(live: LivePool, action: Action) -> LivePool:
    """All nodes that have to go are gone, not only those of this turn: the changes of the action say how many stay."""
    goal = {field.name: field.new for field in action.changes}
    dedicated, spot = (goal.get(name, live.spec.get(name) or 0) for name in TARGETS)
    left = [node for node in live.members or () if node.id not in action.nodes]
    kept = [node for node in left if node.dedicated][:dedicated] + [node for node in left if not node.dedicated][:spot]
    counts = NodeCounts(sum(node.dedicated for node in kept), sum(not node.dedicated for node in kept))
    spec = with_values(live, dict(zip(TARGETS, (counts.dedicated, counts.spot), strict=True)))
    return replace(live, members=tuple(kept), current=counts.total, spot=counts.spot, spec=spec, allocation="resizing")


def _restarted(live: LivePool, action: Action) -> LivePool:
    """The nodes of this turn are restarting; those of later turns count as restarted."""
    written = live.mark.written if live.mark is not None else ""
    members = []
    for node in live.members or ():
        if node.id in action.nodes:
            node = replace(node, state="rebooting", booted=LATER)
        elif node.is_up and runs_the_old(node, written):
            node = replace(node, booted=LATER)
        members.append(node)
    return replace(live, members=tuple(members))


def outwait(live: LivePool | None) -> LivePool | None:
    """The pool once the service is done with what `next_step` waits for."""
    assert live is not None
    if live.state == "deleting":
        return None
    targets = live.targets
    members = tuple(map(_settled, live.members or ()))
    staying = [node for node in members if node.state != "leavingpool"]
    spot = sum(not node.dedicated for node in staying)
    there = NodeCounts(len(staying) - spot, spot)
    if live.allocation != "steady" or live.members is None:
        staying, there = _grown(staying, targets), targets
    return replace(
        live,
        allocation="steady",
        nodes={"idle": there.total} if there.total else {},
        current=there.total,
        spot=there.spot,
        members=tuple(staying),
    )


def _settled(node: LiveNode) -> LiveNode:
    if node.state in RESTARTING or node.is_up:
        return replace(node, state="offline" if node.is_off else "idle", running=0)
    return node


def _grown(nodes: list[LiveNode], targets: NodeCounts) -> list[LiveNode]:
    """As many nodes of each sort as are asked for, of new ones as many as a road can depend on."""
    result = []
    for count, dedicated in ((targets.dedicated, True), (targets.spot, False)):
        there = [node for node in nodes if node.dedicated == dedicated][:count]
        sort = "dedicated" if dedicated else "spot"
        new = (
            LiveNode(f"a new {sort} node {number}", "idle", dedicated=dedicated, booted=LATER)
            for number in range(len(there), min(count, len(there) + MOST_NEW))
        )
        result += [*there, *new]
    return result
