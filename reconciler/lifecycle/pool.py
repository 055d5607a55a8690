"""The life of a pool: create, bring to size, keep in shape, delete once nothing on it is owed a release."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.diff import Change, FieldChange, diff
from reconciler.lifecycle.steps import (
    KEPT,
    Action,
    Blocked,
    Context,
    Done,
    Step,
    Verb,
    Wait,
    foreign,
    marked,
    orphan,
)
from reconciler.model.desired import Wanted
from reconciler.model.field import ChangeKind
from reconciler.model.pool import PoolSpec
from reconciler.model.table import whole
from reconciler.observed import ON_THE_WAY, USABLE, Debt, Guard, LivePool, short

BAD: Final = frozenset({"unusable", "starttaskfailed", "unknown", "preempted"})
RESIZED: Final = ("targetDedicatedNodes", "targetLowPriorityNodes")
CLEARED: Final = ("startTask", "metadata")
"""Properties that can be taken off a live pool."""


def next_step(wanted: Wanted | None, live: LivePool | None, context: Context) -> Step:
    """The one thing to do now for a pool, or what to wait for, or nothing."""
    if live is not None and not context.owns(live):
        return foreign(live, wanted, context)
    if live is not None and live.key in context.orphaning:
        return orphan(live, "to be left to others")
    match wanted, live:
        case None, None:
            return Done("absent, as desired")
        case _, LivePool(state="deleting"):
            return Wait("the service to remove its nodes")
        case Wanted() as spec, None:
            body = {"id": spec.name, **spec.body}
            return Action(Verb.CREATE, "not there yet", body=body, mark=marked(spec, context))
        case None, LivePool() as pool:
            return _prune(pool, context)
        case Wanted() as spec, LivePool(state="active") as pool:
            return _tend(spec, pool, context)
        case _:  # never destroy by default
            return Blocked(f"in a state this version does not know: {live.state if live else 'none'}")


def _prune(pool: LivePool, context: Context) -> Step:
    if not context.removes(pool.key):
        return Done("not in the manifests; this source does not prune")
    if context.policy(pool).keep:
        return Done(KEPT)
    if context.policy(pool).orphan:
        return orphan(pool, context.removal)
    return _debt_step(pool, context) or Action(Verb.DELETE, context.removal, pool.guard)


def _debt_step(pool: LivePool, context: Context) -> Wait | Blocked | None:
    """Why nodes may not be taken away now: a release that is running is waited for, one that is still owed by a job
    meant to go on needs a person (promise: the release is not lost)."""
    owed = [debt for debt in context.debts if debt.job not in context.consents.release_loss]
    staying = [debt for debt in owed if not debt.ending]
    if staying:
        flags = " ".join(f"--allow-release-loss job/{debt.name}" for debt in staying)
        return Blocked(f"its nodes still owe a release: {_named(staying)}; end the jobs first", flags)
    if owed:
        return Wait(f"release: {_named(owed)}", "up to 15 min")
    return None


def _named(debts: list[Debt]) -> str:
    return "; ".join(
        f"job/{debt.name} on {', '.join(map(short, debt.nodes)) or 'nodes that could not be read'}" for debt in debts
    )


def pool_diff(wanted: Wanted, pool: LivePool) -> Change:
    """What differs between a manifest and its live pool."""
    return diff(PoolSpec, wanted.spec, pool.spec, written=wanted.written)


def takes_nodes_away(wanted: Wanted | None, pool: LivePool | None, context: Context) -> bool:
    """Whether the road of this pool removes nodes, so that release debt has to be read first."""
    if pool is None or pool.state == "deleting" or not context.owns(pool):
        return False
    if wanted is None:
        return context.removes(pool.key) and not context.policy(pool).orphan
    return _shrinks(wanted, pool)


def _shrinks(wanted: Wanted, pool: LivePool) -> bool:
    return any(wanted.spec.get(name, 0) < pool.spec.get(name, 0) for name in RESIZED)


def _tend(wanted: Wanted, pool: LivePool, context: Context) -> Step:
    change = pool_diff(wanted, pool)
    empty_only = change.of(ChangeKind.WHEN_EMPTY)
    if empty_only and not _is_empty(pool):
        names = ", ".join(sorted({field.top for field in empty_only}))
        return Blocked(
            f"{names} can change only while the pool has no nodes: bring it to 0 nodes first, in a change of its own"
        )
    update = _update(wanted, pool, change, context)
    if update is not None:
        return update
    if resize := _resize(wanted, pool, change, context):
        return resize
    return _nodes_step(pool)


def _is_empty(pool: LivePool) -> bool:
    return pool.allocation == "steady" and pool.current == 0 and not any(pool.spec.get(name) for name in RESIZED)


def _update(wanted: Wanted, pool: LivePool, change: Change, context: Context) -> Step | None:
    assert pool.mark is not None
    fields = change.of(ChangeKind.LIVE, ChangeKind.WHEN_EMPTY)
    cleared = [field.top for field in fields if field.top not in {*wanted.spec, *CLEARED}]
    if cleared:
        return Blocked(f"{', '.join(cleared)} cannot be cleared on a live pool: write the value that it is to have")
    mark = marked(wanted, context, pool.mark)
    if not fields and mark.same_policy(pool.mark):
        return None
    reason = "policy changed"
    if fields:
        reason = "drift" if pool.mark.spec == wanted.digest else "changed in the manifest"
    names = {field.top for field in fields} | {"metadata"}
    if "startTask" in names - wanted.spec.keys():
        # A PATCH cannot remove a start task; updateproperties does, and asks for the two lists as well (reference 8.1).
        body = {"applicationPackageReferences": [], **_whole(wanted, {"metadata"})}
        fields = tuple(field for field in fields if field.top in CLEARED)
        return Action(Verb.REPLACE_PROPERTIES, reason, pool.guard, body, mark, changes=fields)
    return Action(Verb.UPDATE, reason, pool.guard, _whole(wanted, names), mark, changes=fields)


def _whole(wanted: Wanted, names: set[str]) -> dict[str, Any]:
    return whole(PoolSpec, wanted.body, wanted.spec, names)


def _resize(wanted: Wanted, pool: LivePool, change: Change, context: Context) -> Step | None:
    fields = change.of(ChangeKind.RESIZE)
    if not fields:
        return None
    if all(field.implicit for field in fields) and _shrinks(wanted, pool):
        names = ", ".join(field.name for field in fields)
        return Blocked(
            f"{names} differs and no line of the manifest speaks of it; a missing line never takes nodes away"
        )
    if pool.allocation != "steady":
        return Wait("the pending resize to end", f"up to {pool.spec.get('resizeTimeout', 'PT15M')}")
    if _shrinks(wanted, pool) and (debt := _debt_step(pool, context)):
        return debt
    body = _whole(wanted, {*RESIZED, "resizeTimeout"})
    return Action(Verb.RESIZE, _resize_reason(fields), pool.guard, body, changes=fields)


def _resize_reason(fields: tuple[FieldChange, ...]) -> str:
    return ", ".join(f"{field.name} {field.old} -> {field.new}" for field in fields)


def _nodes_step(pool: LivePool) -> Step:
    """Whether the nodes are there. A pool with usable nodes does not wait for a start task that still runs on another:
    it has no time limit. Node counts lag behind (REST reference, "List Pool Node Counts")."""
    if pool.nodes is None and pool.allocation == "steady":
        return Done("as its manifest says; its nodes could not be counted")
    nodes = pool.nodes or {}
    target = sum(pool.spec.get(name, 0) for name in RESIZED)
    usable = sum(nodes.get(state, 0) for state in USABLE)
    coming = sum(nodes.get(state, 0) for state in ON_THE_WAY)
    starting = nodes.get("waitingforstarttask", 0)
    uncounted = pool.current - sum(nodes.values())
    if pool.allocation != "steady" or coming or uncounted > 0 or (starting and not usable):
        leaving = usable - target
        return Wait(f"{leaving} nodes to leave" if leaving > 0 else f"nodes: {usable} of {target} ready")
    if target and not usable:
        states = ", ".join(f"{count} {state}" for state, count in sorted(nodes.items()))
        return Blocked(f"no usable node: {'; '.join((*pool.resize_errors, states)) or 'none was allocated'}")
    return Done("as its manifest says")


def problems(pool: LivePool) -> tuple[str, ...]:
    """What a person should look at, one line each: failed allocation, nodes that take no tasks."""
    nodes = pool.nodes or {}
    bad = [f"{count} of its nodes {state}" for state, count in sorted(nodes.items()) if state in BAD and count]
    target = sum(pool.spec.get(name, 0) for name in RESIZED)
    short_of = [f"resize: {text}" for text in pool.resize_errors if pool.current < target]
    return (*short_of, *bad)


def predict(wanted: Wanted | None, live: LivePool | None, action: Action) -> LivePool | None:
    """The pool after *action*, as the service documents it."""
    match action.verb:
        case Verb.ADOPT | Verb.ORPHAN:
            assert live is not None
            return replace(live, mark=action.mark)
        case Verb.CREATE:
            assert wanted is not None
            return LivePool(
                wanted.key, wanted.name, "active", Guard("", ""), action.mark, wanted.spec, allocation="resizing"
            )
        case Verb.DELETE:
            assert live is not None
            return replace(live, state="deleting")
        case Verb.RESIZE | Verb.UPDATE | Verb.REPLACE_PROPERTIES:
            assert wanted is not None
            assert live is not None
            changed: Mapping[str, Any] = {field.top: wanted.spec.get(field.top) for field in action.changes}
            spec = {name: value for name, value in {**live.spec, **changed}.items() if value is not None}
            allocation = "resizing" if action.verb is Verb.RESIZE else live.allocation
            return replace(live, spec=spec, mark=action.mark or live.mark, allocation=allocation)
    raise AssertionError(f"pools know no {action.verb}")


def outwait(live: LivePool | None) -> LivePool | None:
    """The pool once the service is done with what `next_step` waits for."""
    assert live is not None
    if live.state == "deleting":
        return None
    target = sum(live.spec.get(name, 0) for name in RESIZED)
    return replace(live, allocation="steady", nodes={"idle": target}, current=target)
