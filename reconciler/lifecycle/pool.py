"""The life of a pool: create, bring to size, keep in shape, delete once nothing on it is owed a release.

Every pass looks at what is there and answers with one step. In this order: fields that need an empty pool, fields that
may change at any time, autoscale, the number of nodes, nodes that run an old start task.
"""

from dataclasses import replace
from typing import Any, Final

from reconciler.diff import Change, FieldChange, diff
from reconciler.formula import least_targets
from reconciler.lifecycle import debts
from reconciler.lifecycle.ownership import given, marked, stays
from reconciler.lifecycle.policies import of_pool
from reconciler.lifecycle.pool_forecast import outwait, predict
from reconciler.lifecycle.pool_nodes import RESTARTING, bring_along, old_nodes, run_an_old, set_aside
from reconciler.lifecycle.pool_size import TARGETS, goal_of, loses_nodes, resize, resized, rows
from reconciler.lifecycle.replacement import is_asked, kept
from reconciler.lifecycle.secrets import remembered, unseen, why
from reconciler.lifecycle.steps import Action, Blocked, Context, Done, Rule, Step, Verb, Wait
from reconciler.lifecycle.wording import counted, few, unsaid
from reconciler.model.desired import Wanted
from reconciler.model.field import ChangeKind
from reconciler.model.pool import PoolSpec
from reconciler.model.table import whole
from reconciler.observed import ON_THE_WAY, USABLE, LivePool, NodeCounts, short

__all__ = ["TARGETS", "next_step", "outwait", "predict"]

BAD: Final = frozenset({"unusable", "starttaskfailed", "unknown", "preempted"})
PROPERTIES: Final = ("startTask", "applicationPackageReferences", "metadata")
"""What updateproperties sets, all three at once: one that is left out is taken off the pool (REST reference 8.1)."""
AT_START: Final = frozenset({"startTask", "applicationPackageReferences"})
"""What a node takes from its pool when it starts."""
NOWHERE: Final = NodeCounts()


def next_step(wanted: Wanted | None, live: LivePool | None, context: Context) -> Step:
    """The one thing to do now for a pool, or what to wait for, or nothing."""
    if answer := given(wanted, live, context):
        return answer
    match wanted, live:
        case None, None:
            return Done("absent, as desired")
        case _, LivePool(state="deleting"):
            return Wait("the service to remove its nodes")
        case Wanted() as spec, None:
            body = {"id": spec.name, **spec.body}
            return Action(Verb.CREATE, "not there yet", body=body, mark=marked(spec, context))
        case None, LivePool() as pool:
            return _with_nodes_back(pool, stays(pool, context) or _delete(pool, context))
        case Wanted() as spec, LivePool(state="active") as pool:
            return _with_nodes_back(pool, _tend(spec, pool, context))
        case _:  # never destroy by default
            return Blocked(f"in a state this version does not know: {live.state if live else 'none'}")


def _with_nodes_back(pool: LivePool, step: Step) -> Step:
    """A pool that waits for a person does not keep nodes off scheduling meanwhile."""
    return (set_aside(pool, (), "") if isinstance(step, Blocked) else None) or step


def _delete(pool: LivePool, context: Context) -> Step:
    if pool.state != "active":  # never destroy by default
        return Blocked(f"in a state this version does not know: {pool.state}")
    return debts.any_node(context) or Action(Verb.DELETE, context.removal, pool.guard)


def pool_diff(wanted: Wanted, pool: LivePool) -> Change:
    """What differs between a manifest and its live pool. With autoscale the formula decides on the number of nodes."""
    change = Change((*diff(PoolSpec, wanted.spec, pool.spec, written=wanted.written).fields, *unseen(wanted, pool)))
    if not wanted.spec.get("enableAutoScale"):
        return change
    return Change(tuple(field for field in change.fields if field.kind is not ChangeKind.RESIZE))


def needs_nodes(wanted: Wanted | None, pool: LivePool | None, context: Context) -> bool:
    """Whether the next steps of this pool depend on its single nodes, and on what they owe to jobs."""
    if pool is None or pool.state == "deleting" or not context.owns(pool):
        return False
    assert pool.mark is not None
    if pool.mark.aside or _is_to_go(wanted, pool, context):
        return True
    if wanted is None:
        return False
    change = pool_diff(wanted, pool)
    return (
        (not wanted.spec.get("enableAutoScale") and loses_nodes(pool, goal_of(wanted)))
        or any(field.top in AT_START for field in change.fields)
        or bool(pool.mark.written and pool.current)
        or bool(change.of(ChangeKind.AUTOSCALE, ChangeKind.WHEN_EMPTY))
    )


def _is_to_go(wanted: Wanted | None, pool: LivePool, context: Context) -> bool:
    if wanted is None:
        return context.removes(pool.key) and not context.policy(pool).orphan
    return is_asked(pool, context)


def formula_to_try(wanted: Wanted | None, pool: LivePool, context: Context) -> str | None:
    """The changed formula of a pool that scales already: only there can the service evaluate one (reference 5.1)."""
    if wanted is None or not context.owns(pool) or pool.state != "active" or not pool.scales:
        return None
    formula = wanted.body.get("autoScaleFormula")
    return str(formula) if formula is not None and formula != pool.spec.get("autoScaleFormula") else None


def _tend(wanted: Wanted, pool: LivePool, context: Context) -> Step:
    if is_asked(pool, context):
        return _replace(wanted, pool, "asked for by --replace", context)
    change = pool_diff(wanted, pool)
    return (
        _empty_first(wanted, pool, change.of(ChangeKind.WHEN_EMPTY), context)
        or _update(wanted, pool, change, context)
        or _scale(wanted, pool, change.of(ChangeKind.AUTOSCALE), context)
        or _resize(wanted, pool, change.of(ChangeKind.RESIZE), context)
        or (bring_along(wanted, pool, context) if pool.allocation == "steady" else None)
        or (set_aside(pool, (), "") if pool.allocation == "steady" else None)
        or _nodes_step(pool)
    )


# Fields that need an empty pool


def _is_empty(pool: LivePool) -> bool:
    """Which counts make a pool empty is not known (REST reference 17): with both of them 0 it is."""
    return pool.allocation == "steady" and not pool.current and pool.targets == NOWHERE


def _empty_first(wanted: Wanted, pool: LivePool, fields: tuple[FieldChange, ...], context: Context) -> Step | None:
    """What has to happen before fields can change that need an empty pool; None once they can."""
    if not fields or _is_empty(pool):
        return None
    tops = sorted({field.top for field in fields})
    names = ", ".join(tops)
    flag = f"--replace {wanted.address}"
    if all(field.implicit for field in fields):
        it = "it" if len(tops) == 1 else "they"
        return Blocked(
            f"{unsaid(tops)}; {it} can change only while the pool has no nodes, and a missing line never takes nodes "
            "away",
            flag,
        )
    if uncleared := _cannot_be_cleared(wanted, fields):
        return uncleared
    match of_pool(wanted).rollout:
        case "ScaleToZero":
            return _scale_to_zero(wanted, pool, names, context)
        case "Replace":
            return _replace(wanted, pool, f"replace: {names} can change only while the pool has no nodes", context)
    return Blocked(
        f"{names} can change only while the pool has no nodes: bring it to 0 nodes first, in a change of its own, or "
        "let lifecycle.rollout do it (ScaleToZero takes the nodes away and brings them back, Replace makes a new pool)",
        flag,
    )


def _scale_to_zero(wanted: Wanted, pool: LivePool, names: str, context: Context) -> Step:
    if pool.scales:
        return _stop_scaling(pool, f"{names} can change only while the pool has no nodes", ())
    to_zero = resize(wanted, pool, NOWHERE, rows(pool, NOWHERE), context)
    return to_zero or resized(pool, "its nodes to leave")


def _replace(wanted: Wanted, pool: LivePool, why: str, context: Context) -> Step:
    """Delete the pool; once it is gone it is created anew. Jobs on it stay, and wait for it (REST reference 6.4)."""
    if wanted.lifecycle.preventDestroy:
        return kept(why)
    if owed := debts.any_node(context):
        return owed
    if pool.members is None:
        return Wait("its nodes to be listed")
    running = sum(node.running for node in pool.members)
    if running and pool.key not in context.consents.task_loss:
        return Blocked(
            f"{why}; {counted(running, 'task')} running on its nodes would start again",
            f"--allow-task-loss {pool.address}",
            Rule.TASK_LOSS,
        )
    return Action(Verb.DELETE, why, pool.guard)


# Fields that change at any time


def _cannot_be_cleared(wanted: Wanted, fields: tuple[FieldChange, ...]) -> Blocked | None:
    """A PATCH keeps what it leaves out. An empty list or label clears one, which a line has to say (recorded for
    metadata)."""
    names = {field.top for field in fields if field.top not in {*wanted.spec, *PROPERTIES}}
    stuck = [name for name in names if name not in wanted.body]
    if not stuck:
        return None
    text = f"{', '.join(sorted(stuck))} cannot be cleared on a live pool: write the value that it is to have"
    return Blocked(text, f"--replace {wanted.address}")


def _update(wanted: Wanted, pool: LivePool, change: Change, context: Context) -> Step | None:
    assert pool.mark is not None
    fields = change.of(ChangeKind.LIVE, ChangeKind.WHEN_EMPTY)
    if stuck := _cannot_be_cleared(wanted, fields):
        return stuck
    names = {field.top for field in fields} | {"metadata"}
    removed = "startTask" in names - wanted.spec.keys()
    if removed:
        fields = tuple(field for field in fields if field.top in PROPERTIES)
    mark = marked(wanted, context, pool.mark, complete=change.is_covered_by(fields))
    if not fields and not mark.replaces(pool.mark):
        return None
    reason = why(wanted, pool.mark, fields, mark)
    mark = replace(mark, written=context.now if any(field.top in AT_START for field in fields) else pool.mark.written)
    if removed:
        # A PATCH cannot remove a start task; updateproperties does, and asks for both lists as well (reference 8.1).
        body = _whole(wanted, set(PROPERTIES) - {"startTask"})
        return Action(Verb.REPLACE_PROPERTIES, reason, pool.guard, body, mark, changes=fields)
    mark = remembered(mark, wanted, names)
    return Action(Verb.UPDATE, reason, pool.guard, _whole(wanted, names), mark, changes=fields)


def _whole(wanted: Wanted, names: set[str]) -> dict[str, Any]:
    return whole(PoolSpec, wanted.body, wanted.spec, names)


# How many nodes


def _scale(wanted: Wanted, pool: LivePool, fields: tuple[FieldChange, ...], context: Context) -> Step | None:
    """Autoscale on, off or changed. Both wait for a steady pool: enabling is refused during a resize, and what
    disabling does then is not known (REST reference 5.1)."""
    if not fields:
        return None
    if not wanted.spec.get("enableAutoScale"):
        spoken = {"enableAutoScale", *TARGETS} & wanted.written.keys()
        if not spoken:
            return Blocked(
                "autoscale is on and no line of the manifest speaks of the size: write enableAutoScale or the targets"
            )
        if unsaid := _unsaid_targets(wanted, pool):  # said before autoscale is off, not after
            return unsaid
        return _stop_scaling(pool, "its manifest gives it a fixed size", fields)
    if pool.allocation != "steady":
        return resized(pool, "the pending resize to end")
    names = {field.top for field in fields}
    if not pool.scales:
        names |= {"autoScaleFormula", "autoScaleEvaluationInterval"}
    names.discard("enableAutoScale")
    if (
        "autoScaleFormula" in names
        and pool.there.beyond(_least(wanted, pool)).total
        and (owed := debts.any_node(context))
    ):
        return owed
    assert pool.mark is not None
    changed = why(wanted, pool.mark, fields, pool.mark)
    reason = changed if pool.scales else "a formula decides how many nodes there are"
    return Action(Verb.ENABLE_AUTOSCALE, reason, pool.guard, _whole(wanted, names), changes=fields)


def _stop_scaling(pool: LivePool, reason: str, fields: tuple[FieldChange, ...]) -> Step:
    if pool.allocation != "steady":
        return resized(pool, "the pending resize to end")
    return Action(Verb.DISABLE_AUTOSCALE, reason, pool.guard, changes=fields)


def _least(wanted: Wanted, pool: LivePool) -> NodeCounts:
    """The least a formula may leave of the pool: what it may take away counts as taken. A target that it does not set
    stays as it is."""
    dedicated, spot = least_targets(str(wanted.body["autoScaleFormula"]))
    there = pool.there
    return NodeCounts(there.dedicated if dedicated is None else dedicated, there.spot if spot is None else spot)


def _resize(wanted: Wanted, pool: LivePool, fields: tuple[FieldChange, ...], context: Context) -> Step | None:
    if wanted.spec.get("enableAutoScale"):
        return None
    return _unsaid_targets(wanted, pool) or resize(wanted, pool, goal_of(wanted), fields, context)


def _unsaid_targets(wanted: Wanted, pool: LivePool) -> Blocked | None:
    """A missing line never takes nodes away: which targets are to be written before there may be fewer nodes."""
    shrinking = [row for row in rows(pool, goal_of(wanted)) if row.new < row.old and row.top not in wanted.written]
    if not shrinking:
        return None
    names = " and ".join(row.top for row in shrinking)
    there = " and ".join(f"{row.top} is {row.old}" for row in shrinking)
    return Blocked(
        f"{there} and no line of the manifest speaks of it; a missing line never takes nodes away: write {names}"
    )


def _nodes_step(pool: LivePool) -> Step:
    """Whether the nodes are there. A pool with usable nodes does not wait for a start task that still runs on another:
    it has no time limit. Node counts lag behind (REST reference, "List Pool Node Counts")."""
    if pool.nodes is None and pool.allocation == "steady":
        return Done("as its manifest says; its nodes could not be counted")
    nodes = pool.nodes or {}
    target = pool.targets.total
    usable = sum(nodes.get(state, 0) for state in USABLE)
    coming = sum(nodes.get(state, 0) for state in ON_THE_WAY)
    starting = nodes.get("waitingforstarttask", 0)
    uncounted = pool.current - sum(nodes.values())
    if pool.allocation != "steady" or coming or uncounted > 0 or (starting and not usable):
        leaving = usable - target
        if leaving > 0:
            return Wait(f"{counted(leaving, 'node')} to leave")
        return Wait(f"nodes: {usable} of {target} ready" if target else "its resize to end")
    if target and not usable:
        states = ", ".join(f"{count} {state}" for state, count in sorted(nodes.items()))
        return Blocked(f"no usable node: {'; '.join((*pool.resize_errors, states)) or 'none was allocated'}")
    return Done("as its manifest says")


# What people read


def problems(pool: LivePool) -> tuple[str, ...]:
    """What a person should look at, one line each: failed allocation, nodes that take no tasks."""
    nodes = pool.nodes or {}
    bad = [f"{count} of its nodes {state}" for state, count in sorted(nodes.items()) if state in BAD and count]
    short_of = [f"resize: {text}" for text in pool.resize_errors if pool.current < pool.targets.total]
    return (*short_of, *bad)


def notes(wanted: Wanted | None, pool: LivePool | None, change: Change) -> tuple[str, ...]:
    """What needs no action and should be known: nodes that run an old start task, what a formula would do now."""
    if pool is None or wanted is None:
        return ()
    found = []
    old = old_nodes(pool)
    total = len(pool.members or ())
    nodes_stay = not change.of(ChangeKind.WHEN_EMPTY)
    if nodes_stay and any(field.top in AT_START for field in change.fields):
        running = sum(node.is_up or node.state in RESTARTING for node in pool.members or ())
        if running and of_pool(wanted).nodeRollout == "None":
            they = "it has until it restarts" if running == 1 else "they have until they restart"
            found.append(f"{counted(running, 'node', 'keeps')} the start task and packages {they}")
    elif old:
        until = f"until {'it restarts' if len(old) == 1 else 'they restart'} ({few([short(node.id) for node in old])})"
        found.append(f"{run_an_old(old, total)} {until}")
    return (*found, *((f"its formula, evaluated now: {pool.evaluated}",) if pool.evaluated else ()))
