"""Pools: created, changed, resized, deleted, and the nodes that come and go with that.

States and refusals follow O, M:BatchPoolUpdateOptions, R20:create_pools, R24c:pool_cmd and R26:update_pools.
"""

from __future__ import annotations

from reconciler.emulator import machines, quotas, usage
from reconciler.emulator.errors import bad_property, refuse
from reconciler.emulator.pool_bodies import (
    NODE_REMOVE,
    POOL_CREATE,
    POOL_REPLACE,
    POOL_RESIZE,
    POOL_UPDATE,
    POOL_WHEN_EMPTY,
    check_slots,
)
from reconciler.emulator.records import Json, Node, Pool, fold
from reconciler.emulator.scaling_bodies import check_formula
from reconciler.emulator.schema import given, read_body
from reconciler.emulator.times import parse_span
from reconciler.emulator.world import World

_SCALE = ("targetDedicatedNodes", "targetLowPriorityNodes")
# Codes of resize errors, for dedicated and for low-priority nodes (R26:scale_pools, G:nextflow, NET).
_STOPPED = ("ResizeStopped", "ResizeStopped")
_TIMED_OUT = ("AllocationTimedout", "AllocationTimedout")
_QUOTA = ("AccountCoreQuotaReached", "AccountLowPriorityCoreQuotaReached")


def find(w: World, pool_id: str) -> Pool:
    pool = w.pools.get(fold(pool_id))
    if pool is None:
        raise refuse("PoolNotFound")
    return pool


# --- requests


def create(w: World, body: object, *, legacy: bool = False) -> Pool:
    spec = read_body(POOL_CREATE, body, legacy=legacy, runs=w.runs_commands)
    pool_id = spec.pop("id")
    existing = w.pools.get(fold(pool_id))
    if existing is not None:
        raise refuse("PoolBeingDeleted" if existing.state == "deleting" else "PoolExists")
    return make(w, pool_id, spec)


def make(w: World, pool_id: str, spec: Json) -> Pool:
    """A new pool from the canonical form of its body, asked for or automatic; refused if the account is full."""
    quotas.check_pools(w)
    w.packages.check(spec, pool=True)
    check_formula(spec.get("autoScaleFormula", ""))
    dedicated, low_priority = (spec.pop(name, 0) for name in _SCALE)
    timeout = spec.pop("resizeTimeout")
    pool = Pool(pool_id, spec, w.now, w.now, w.now, w.now, resize_started=w.now)
    pool.target_dedicated, pool.target_low_priority, pool.resize_timeout = dedicated, low_priority, timeout
    pool.autoscale_next = w.now
    w.add(pool)
    w.stamp(pool)
    return pool


def update(w: World, pool: Pool, body: object, *, legacy: bool = False) -> None:
    """PATCH: what is named is replaced whole, the rest kept; most of it only on an empty pool (M)."""
    check_alive(pool)
    new = read_body(POOL_UPDATE, body, legacy=legacy, runs=w.runs_commands)
    names = given(body) & set(POOL_UPDATE.fields)
    w.packages.check(new, pool=True)
    if names & set(POOL_WHEN_EMPTY) and not _is_empty(w, pool):
        name = sorted(names & set(POOL_WHEN_EMPTY))[0]
        raise refuse(w.switches.non_empty_pool_code, ("PropertyName", name), ("Reason", "The pool has nodes"))
    after = pool.spec | new
    check_slots(after["vmSize"], after["taskSlotsPerNode"])
    _apply(w, pool, names, new)


def replace_properties(w: World, pool: Pool, body: object, *, legacy: bool = False) -> None:
    """updateproperties: a start task left out is removed (M:BatchPoolReplaceOptions)."""
    check_alive(pool)
    new = read_body(POOL_REPLACE, body, legacy=legacy, runs=w.runs_commands)
    w.packages.check(new, pool=True)
    _apply(w, pool, {"startTask", "applicationPackageReferences", "metadata", *new}, new)


def _apply(w: World, pool: Pool, names: set[str], new: Json) -> None:
    for name in names:
        if name in new:
            pool.spec[name] = new[name]
        else:
            pool.spec.pop(name, None)
    w.stamp(pool)
    w.touch("schedule", pool.key)


def _is_empty(w: World, pool: Pool) -> bool:
    counts = w.switches.empty_pool_counts
    if counts != "target" and w.nodes_of_pool[pool.key]:
        return False
    return counts == "current" or (pool.target_dedicated == 0 and pool.target_low_priority == 0)


def check_alive(pool: Pool) -> None:
    if pool.state == "deleting":
        raise refuse("PoolBeingDeleted")


def _check_steady(pool: Pool) -> None:
    check_alive(pool)
    if pool.allocation_state != "steady":
        raise refuse("PoolBeingResized")


def resize(w: World, pool: Pool, body: object) -> None:
    new = read_body(POOL_RESIZE, body)
    if pool.spec["enableAutoScale"] and pool.state == "active":
        raise refuse(w.switches.autoscale_on_code, ("Reason", "Autoscale is enabled on the pool"))
    _check_steady(pool)
    if "targetDedicatedNodes" not in new and "targetLowPriorityNodes" not in new:
        raise refuse("MissingRequiredProperty", ("PropertyName", "targetDedicatedNodes"))
    pool.target_dedicated = new.get("targetDedicatedNodes", pool.target_dedicated)
    pool.target_low_priority = new.get("targetLowPriorityNodes", pool.target_low_priority)
    _begin_resize(w, pool, new)


def remove_nodes(w: World, pool: Pool, body: object) -> None:
    """The named nodes go and the targets shrink with them (O)."""
    new = read_body(NODE_REMOVE, body)
    _check_steady(pool)
    if not new.get("nodeList"):
        raise bad_property("nodeList", "[]", "Between 1 and 100 nodes are expected")
    nodes = {node.key: node for node in (machines.find(w, pool, node_id) for node_id in new["nodeList"])}
    dedicated = sum(node.dedicated for node in nodes.values())
    current = _count(w, pool)
    pool.target_dedicated = max(current[True] - dedicated, 0)
    pool.target_low_priority = max(current[False] - (len(nodes) - dedicated), 0)
    pool.removing = sorted(nodes)
    _begin_resize(w, pool, new)


def _begin_resize(w: World, pool: Pool, new: Json) -> None:
    pool.resize_timeout = new["resizeTimeout"]
    pool.deallocation = new["nodeDeallocationOption"]
    pool.resize_started = w.now
    pool.resize_errors = []
    w.stamp(pool)
    _allocation(w, pool, "resizing")


def aim(w: World, pool: Pool, dedicated: int, low_priority: int, option: str) -> None:
    """Change the targets as autoscale does: also during a resize, and the ETag stays (R26:scale_pools)."""
    if (dedicated, low_priority) == (pool.target_dedicated, pool.target_low_priority):
        return
    pool.target_dedicated, pool.target_low_priority, pool.deallocation = dedicated, low_priority, option
    pool.resize_started, pool.resize_errors, pool.removing = w.now, [], []
    for node in w.nodes_of_pool[pool.key].values():
        machines.stay(w, node)
    _allocation(w, pool, "resizing")


def is_resizing(w: World, pool: Pool) -> bool:
    """Whether a resize is in progress; that of a new pool without nodes counts as over (R18, R20:scale_pools)."""
    idle = pool.allocation_state == "resizing" and _at_target(w, pool) and not _leaving(w, pool)
    return pool.allocation_state != "steady" and not idle


def stop_resize(w: World, pool: Pool) -> None:
    """Targets stay as asked and the ETag does not change (R24c:pool_cmd, R20:scale_pools)."""
    check_alive(pool)
    if pool.allocation_state == "steady":
        raise refuse(w.switches.steady_stopresize_code, ("Reason", "The pool is not being resized"))
    for node in w.nodes_of_pool[pool.key].values():
        machines.stay(w, node)
    pool.removing = []
    _allocation(w, pool, "stopping")


def delete(w: World, pool: Pool) -> None:
    """A resize under way stops, running tasks go back to the queue, then the nodes leave (O)."""
    check_alive(pool)
    pool.state, pool.state_time = "deleting", w.now
    pool.target_dedicated = pool.target_low_priority = 0
    pool.resize_errors = []
    w.stamp(pool)
    _allocation(w, pool, "resizing")
    for node in list(w.nodes_of_pool[pool.key].values()):
        node.intent = None
        machines.leave(w, node, "requeue")


# --- transitions


def _allocation(w: World, pool: Pool, state: str) -> None:
    pool.allocation_state, pool.allocation_time = state, w.now
    w.save(pool)
    w.touch("pools", pool.key)


def settle(w: World, pool: Pool) -> None:
    """The next thing this pool has to do by itself, if its time has come."""
    if pool.state == "deleting":
        _finish_deletion(w, pool)
    elif pool.allocation_state == "resizing":
        _go_on_resizing(w, pool)
    elif pool.allocation_state == "stopping" and not _leaving(w, pool):
        _end_resize(w, pool, _STOPPED, "due to a stop resize operation")


def _finish_deletion(w: World, pool: Pool) -> None:
    due = pool.state_time + w.timings.delete_pool
    if w.now < due:
        w.wake(due, "pools", pool.key)
    elif not w.nodes_of_pool[pool.key]:
        usage.close(w, pool)
        w.remove(pool)


def _go_on_resizing(w: World, pool: Pool) -> None:
    due = pool.resize_started + w.timings.allocate
    if w.now < due:
        w.wake(due, "pools", pool.key)
        return
    for key in pool.removing:
        if key in w.nodes:
            machines.leave(w, w.nodes[key], pool.deallocation)
    refused = _grow(w, pool)
    _shrink(w, pool)
    if refused:
        _end_resize(w, pool, _QUOTA, "because the account's quota was reached")
    elif _at_target(w, pool) and not _leaving(w, pool):
        pool.removing = []
        _allocation(w, pool, "steady")
    else:
        _watch_timeout(w, pool)


def _watch_timeout(w: World, pool: Pool) -> None:
    due = pool.resize_started + parse_span(pool.resize_timeout)
    if w.now < due:
        w.wake(due, "pools", pool.key)
        return
    for node in w.nodes_of_pool[pool.key].values():
        machines.stay(w, node)
    pool.removing = []
    _end_resize(w, pool, _TIMED_OUT, "because the resize took too long")


def _end_resize(w: World, pool: Pool, codes: tuple[str, str], why: str) -> None:
    """Steady, with an error for each sort of node whose number is not the one asked for (R26:scale_pools)."""
    current = _count(w, pool)
    pool.resize_errors = [
        {"code": code, "message": f"Desired number of {sort} nodes could not be allocated {why}"}
        for sort, code, have, want in (
            ("dedicated", codes[0], current[True], pool.target_dedicated),
            ("low priority", codes[1], current[False], pool.target_low_priority),
        )
        if have != want
    ]
    _allocation(w, pool, "steady")


def _grow(w: World, pool: Pool) -> bool:
    """Add the nodes that are missing; True if the account's limit stopped it."""
    for dedicated, target in ((True, pool.target_dedicated), (False, pool.target_low_priority)):
        for _ in range(target - _staying(w, pool, dedicated=dedicated)):
            if len(w.nodes) >= w.limits.nodes_per_account:
                return True
            machines.make(w, pool, dedicated=dedicated)
    return False


def _shrink(w: World, pool: Pool) -> None:
    """Send away what is too much: idle nodes first, job managers' last (O, M:BatchJobManagerTask)."""
    for dedicated, target in ((True, pool.target_dedicated), (False, pool.target_low_priority)):
        nodes = [node for node in w.nodes_of_pool[pool.key].values() if node.dedicated == dedicated and _stays(node)]
        surplus = len(nodes) - target
        if surplus > 0:
            for node in sorted(nodes, key=lambda node: _worth(w, node))[:surplus]:
                machines.leave(w, node, pool.deallocation)


def _worth(w: World, node: Node) -> tuple[bool, int, int]:
    tasks = w.tasks_on_node[node.key].values()
    return any(task.manager for task in tasks), len(tasks), -node.number


def _stays(node: Node) -> bool:
    return node.state != "leavingpool" and node.intent != "leave"


def _staying(w: World, pool: Pool, *, dedicated: bool) -> int:
    return sum(node.dedicated == dedicated and _stays(node) for node in w.nodes_of_pool[pool.key].values())


def _leaving(w: World, pool: Pool) -> bool:
    return any(not _stays(node) for node in w.nodes_of_pool[pool.key].values())


def _count(w: World, pool: Pool) -> dict[bool, int]:
    """Nodes the pool has, by whether they are dedicated; those about to leave count until they are gone."""
    nodes = w.nodes_of_pool[pool.key].values()
    dedicated = sum(node.dedicated for node in nodes)
    return {True: dedicated, False: len(nodes) - dedicated}


def _at_target(w: World, pool: Pool) -> bool:
    return _count(w, pool) == {True: pool.target_dedicated, False: pool.target_low_priority}


def current_counts(w: World, pool: Pool) -> tuple[int, int]:
    """Dedicated and low-priority nodes the pool has now."""
    current = _count(w, pool)
    return current[True], current[False]
