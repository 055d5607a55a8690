"""Nodes taken off scheduling by turns, put back afterwards, and restarted when the pool's start task has changed.

The mark of the pool names the nodes that we take off, before we do so, in a few characters each. So a run that died in
the middle is taken up by the next one, and a node that somebody else took off scheduling is never put back by us.

| died...                               | next pass sees                       | and answers                       |
|---------------------------------------|--------------------------------------|-----------------------------------|
| after the mark was written            | chosen nodes that are on scheduling  | take them off                     |
| with some of them taken off           | the others on scheduling             | take these off                    |
| after the restart was sent            | nodes restarting                     | wait, then put them back          |
| with the manifest changed meanwhile   | chosen nodes nobody wants any more   | put them back, clear the mark     |
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from reconciler.lifecycle import debts
from reconciler.lifecycle.policies import of_pool
from reconciler.lifecycle.steps import Action, Blocked, Context, Step, Verb, Wait
from reconciler.lifecycle.wording import counted, verb_for
from reconciler.model.desired import Wanted
from reconciler.model.pool import PoolSpec
from reconciler.model.table import to_wire
from reconciler.observed import ON_THE_WAY, LiveNode, LivePool, Mark, short

AT_ONCE: Final = 50
"""Nodes set aside in one turn: each takes room in the mark. (The service removes at most 100 in one request.)"""
SHARE: Final = 5
"""One node in so many is restarted at once, and one at least."""
RESTARTING: Final = ON_THE_WAY | {"waitingforstarttask"}


def set_aside(pool: LivePool, chosen: tuple[LiveNode, ...], reason: str) -> Step | None:
    """Have exactly *chosen* off scheduling, of the nodes that are ours to switch; None once they are."""
    mark = pool.mark
    assert mark is not None
    ids = {node.id for node in chosen}
    back = [node for node in pool.aside if node.id not in ids and node.is_off]
    if any(node.state in RESTARTING for node in back):
        return Wait("its nodes to restart")
    if back:
        return _scheduling(pool, Verb.ENABLE_SCHEDULING, back, "nothing wants them off scheduling any more")
    prints = frozenset(node.print for node in chosen)
    if prints != mark.aside:
        return _choose(pool, mark, prints, chosen, reason)
    going = [node for node in chosen if node.is_up and not node.is_off]
    return _scheduling(pool, Verb.DISABLE_SCHEDULING, going, reason) if going else None


def _choose(pool: LivePool, mark: Mark, prints: frozenset[str], chosen: tuple[LiveNode, ...], reason: str) -> Action:
    """The choice goes into the mark first; the metadata of the user travels with it as it is."""
    metadata = {"metadata": pool.spec["metadata"]} if pool.spec.get("metadata") else {}
    body = {"metadata": [], **to_wire(PoolSpec, metadata)}
    nodes = tuple(node.id for node in chosen)
    why = reason if chosen else "its nodes are as they should be"
    return Action(Verb.CHOOSE_NODES, why, pool.guard, body, replace(mark, aside=prints), nodes=nodes)


def _scheduling(pool: LivePool, verb: Verb, nodes: Iterable[LiveNode], reason: str) -> Action:
    # Tasks that run there end by themselves; the service's default would requeue them.
    body = {"nodeDisableSchedulingOption": "taskcompletion"} if verb is Verb.DISABLE_SCHEDULING else {}
    return Action(verb, reason, pool.guard, body, nodes=tuple(node.id for node in nodes))


def runs_the_old(node: LiveNode, written: str) -> bool:
    """Whether a node came up before start task or packages were last written: they reach it when it restarts
    (REST reference 5.3). The moment between our look and our request is not covered: the mark has to be written with
    the request that it dates."""
    if not node.booted or not written:
        return False
    return datetime.fromisoformat(node.booted) < datetime.fromisoformat(written)


def old_nodes(pool: LivePool) -> tuple[LiveNode, ...]:
    """Nodes that still run the old start task or packages, as far as they were listed."""
    written = pool.mark.written if pool.mark is not None else ""
    return tuple(node for node in pool.members or () if runs_the_old(node, written) and node.state != "leavingpool")


def run_an_old(nodes: tuple[LiveNode, ...], total: int) -> str:
    """How many do."""
    run = verb_for(len(nodes), "runs")
    return f"{len(nodes)} of {counted(total, 'node')} {run} an old start task or packages"


def bring_along(wanted: Wanted, pool: LivePool, context: Context) -> Step | None:
    """Restart nodes that run an old start task, by turns; None when no node is left that it can reach.

    A node is restarted only when it is off scheduling, no task runs there, and no job prepares or releases there: a
    restart during release would repeat it (REST reference 6.1).
    """
    how = of_pool(wanted).nodeRollout
    if how == "None" or pool.mark is None or not pool.mark.written:
        return None
    if not pool.current and not pool.mark.aside:
        return None  # nodes that come have the new one
    if pool.members is None:
        return Wait("its nodes to be listed")
    old = old_nodes(pool)
    reason = run_an_old(old, len(pool.members))
    if old and (failed := _failed_anew(pool, old)):
        return Blocked(f"the start task failed on {short(failed.id)} after its restart; {reason}")
    if any(node.state in RESTARTING for node in pool.aside):
        return Wait("its nodes to restart")
    reachable = [node for node in old if node.is_up]
    free = debts.free_of_debt(reachable, context) if how == "ReimageIdle" else reachable
    chosen = _turn(pool, free)
    if step := set_aside(pool, chosen, reason):
        return step
    if not chosen:
        # Only nodes with debt are left, which a reimage would wipe (REST reference 6.1).
        return debts.any_node(context) if len(free) < len(reachable) else None
    ready = tuple(node.id for node in chosen if node.is_quiet and not _is_needed(node, context))
    if not ready:
        return Wait(_what_keeps(chosen, context))
    if how == "ReimageIdle":
        return Action(Verb.REIMAGE_NODES, reason, pool.guard, {"nodeReimageOption": "taskcompletion"}, nodes=ready)
    return Action(Verb.REBOOT_NODES, reason, pool.guard, {"nodeRebootOption": "taskcompletion"}, nodes=ready)


def _failed_anew(pool: LivePool, old: tuple[LiveNode, ...]) -> LiveNode | None:
    found = (node for node in pool.members or () if node.state == "starttaskfailed" and node not in old)
    return next(found, None)


def _turn(pool: LivePool, free: list[LiveNode]) -> tuple[LiveNode, ...]:
    """Nodes of the turn that is under way, else the next: idle ones first, and none that others took off."""
    prints = pool.mark.aside if pool.mark is not None else frozenset()
    going = tuple(node for node in free if node.print in prints)
    if going:
        return going
    limit = min(max(1, len(pool.members or ()) // SHARE), AT_ONCE)
    ours = (node for node in free if not node.is_off)
    return tuple(sorted(ours, key=lambda node: (node.state != "idle", node.id))[:limit])


def _is_needed(node: LiveNode, context: Context) -> bool:
    return any(tenant.is_on(node.id) for tenant in context.tenants)


def _what_keeps(chosen: tuple[LiveNode, ...], context: Context) -> str:
    names = [f"job/{tenant.name}" for tenant in context.tenants if any(tenant.is_on(node.id) for node in chosen)]
    if names:
        return f"preparation or release of {', '.join(names)} on the nodes to restart"
    return f"tasks on {counted(len(chosen), 'node')} to end"
