"""How many nodes a pool has: resizing, and giving nodes up without losing a release or a task.

The service chooses the nodes that a resize takes away. Where a job could make any of them owe a release, nodes that
owe none are therefore taken by name: off scheduling first, looked at again, and removed only if they still owe none.
"""

from collections.abc import Iterator

from reconciler.diff import FieldChange
from reconciler.lifecycle import debts
from reconciler.lifecycle.pool_nodes import AT_ONCE, RESTARTING, set_aside
from reconciler.lifecycle.steps import Action, Blocked, Context, Rule, Step, Verb, Wait
from reconciler.lifecycle.wording import counted, verb_for
from reconciler.model import duration
from reconciler.model.desired import Wanted
from reconciler.model.field import ChangeKind
from reconciler.model.pool import PoolSpec
from reconciler.model.table import whole
from reconciler.observed import LiveNode, LivePool, NodeCounts

TARGETS = ("targetDedicatedNodes", "targetLowPriorityNodes")


def goal_of(wanted: Wanted) -> NodeCounts:
    """The nodes a manifest of fixed size asks for."""
    dedicated, spot = (wanted.spec.get(name) or 0 for name in TARGETS)
    return NodeCounts(dedicated, spot)


def loses_nodes(pool: LivePool, goal: NodeCounts) -> bool:
    """Whether nodes have to go to reach *goal*, or might while the pool is still being resized."""
    beyond = (pool.there.beyond(goal), pool.targets.beyond(goal))
    return any(counts.total for counts in beyond)


def rows(pool: LivePool, goal: NodeCounts) -> tuple[FieldChange, ...]:
    """The targets that differ from *goal*, as differences of their own: no manifest says 0 for the time between."""
    pairs = zip(TARGETS, (pool.targets.dedicated, pool.targets.spot), (goal.dedicated, goal.spot), strict=True)
    return tuple(FieldChange((name,), old, new, ChangeKind.RESIZE, False) for name, old, new in pairs if old != new)


def resize(
    wanted: Wanted, pool: LivePool, goal: NodeCounts, changes: tuple[FieldChange, ...], context: Context
) -> Step | None:
    """The next step to *goal* nodes; None where the pool has them, or is on its way there.

    A resize is refused while one is pending (REST reference 5.1): one to other numbers is stopped first.
    """
    if pool.allocation != "steady":
        return _pending(pool, goal) if changes else None
    surplus = pool.there.beyond(goal)
    if not changes and not surplus.total:
        return None
    if surplus.total and debts.may_arise(context):
        return _by_name(wanted, pool, surplus, changes, context)
    reason = ", ".join(f"{field.name} {field.old} -> {field.new}" for field in changes)
    body = _body(wanted, goal)
    if surplus.total:
        reason = reason or f"the last resize left {surplus} too many"
        body["nodeDeallocationOption"] = "taskcompletion"  # the default would requeue what runs on them
    return Action(Verb.RESIZE, reason, pool.guard, body, changes=changes)


def _body(wanted: Wanted, goal: NodeCounts) -> dict[str, object]:
    timeout = whole(PoolSpec, wanted.body, wanted.spec, {"resizeTimeout"})
    return {**dict(zip(TARGETS, (goal.dedicated, goal.spot), strict=True)), **timeout}


def resized(pool: LivePool, until: str) -> Wait:
    """The wait for a resize, which the service gives up after the pool's resizeTimeout."""
    limit = pool.spec.get("resizeTimeout") or "PT15M"
    return Wait(until, f"up to {duration.words(limit)}", seconds=duration.ticks(limit) // duration.TICKS_PER_SECOND)


def _pending(pool: LivePool, goal: NodeCounts) -> Step:
    removing = pool.mark is not None and pool.mark.aside and not goal.beyond(pool.targets).total
    if pool.allocation == "stopping" or pool.targets == goal or removing:
        return resized(pool, "the pending resize to end")
    return Action(Verb.STOP_RESIZE, f"a resize to {pool.targets} nodes is pending", pool.guard)


def _by_name(
    wanted: Wanted, pool: LivePool, surplus: NodeCounts, changes: tuple[FieldChange, ...], context: Context
) -> Step:
    if wait := debts.ending(context):
        return wait
    if pool.members is None:
        return Wait("its nodes to be listed")
    chosen = tuple(_candidates(pool, surplus, context))
    if len(chosen) < surplus.total:
        if any(node.state in RESTARTING for node in pool.members):
            return Wait("its nodes to start")
        return _too_few(surplus, len(chosen), context)
    turn = chosen[:AT_ONCE]
    reason = f"{surplus} {'node' if surplus.total == 1 else 'nodes'} too many; those go that owe no release"
    if step := set_aside(pool, turn, reason):
        return step
    busy = [node for node in turn if not node.is_quiet]
    if busy:
        return Wait(f"tasks on {counted(len(busy), 'node')} to end")
    body = whole(PoolSpec, wanted.body, wanted.spec, {"resizeTimeout"})
    body |= {"nodeList": [node.id for node in turn], "nodeDeallocationOption": "taskcompletion"}
    return Action(Verb.REMOVE_NODES, reason, pool.guard, body, changes=changes, nodes=tuple(body["nodeList"]))


def _too_few(surplus: NodeCounts, found: int, context: Context) -> Blocked:
    staying = debts.unpaid(context)
    to_go = f"{counted(surplus.total, 'node', 'has')} to go, and {f'only {found}' if found else 'none'}"
    if not staying:
        return Blocked(f"{to_go} of them can be taken off scheduling")
    free = f"{verb_for(found, 'owes')} no release" if found else "is free of a release that it owes"
    why = f"{to_go} {free}: {debts.named(staying)}"
    return Blocked(f"{why}; end the jobs first", debts.consent(staying), Rule.RELEASE_LOSS)


def _candidates(pool: LivePool, surplus: NodeCounts, context: Context) -> Iterator[LiveNode]:
    """As many nodes of each sort as have to go, of those that owe nothing: first those chosen before."""
    prints = pool.mark.aside if pool.mark is not None else frozenset()
    free = [n for n in debts.free_of_debt(pool.members or (), context) if n.is_up or n.is_quiet]
    free = [n for n in free if n.state != "leavingpool"]
    free.sort(key=lambda n: (n.print not in prints, _worth(n), n.id))
    for count, dedicated in ((surplus.dedicated, True), (surplus.spot, False)):
        yield from [node for node in free if node.dedicated == dedicated][:count]


def _worth(node: LiveNode) -> int:
    """Broken nodes go first, then idle ones; last those that somebody else took off scheduling, to look at them."""
    if not node.is_up:
        return 0
    if node.is_off:
        return 3
    return 2 if node.running or node.state == "running" else 1
