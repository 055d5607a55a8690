"""Core hours of pools by interval: what `poolusagemetrics` answers. Kept by `machines` and `pools`.

An interval is half an hour long and can be read two hours after its end: INFERRED from the bounds that
O:list_pool_usage_metrics sets for startTime and endTime. A node counts from its allocation until it has left, but not
while it is deallocated or preempted; a size whose name tells no number of cores counts as one core.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.emulator import vm_sizes
from reconciler.emulator.records import Json, Node, Pool, Usage
from reconciler.emulator.times import DAY, HOUR, MINUTE, iso
from reconciler.emulator.world import World

INTERVAL = 30 * MINUTE
DELAY = 2 * HOUR
_KEPT = 30 * DAY  # the emulator's own bound; how far back the service goes no source says


def begin(w: World, node: Node) -> None:
    if node.counted_from is None:
        node.counted_from = w.now
        w.save(node)


def end(w: World, node: Node) -> None:
    """The node costs nothing any more: write down what it has used."""
    if node.counted_from is None:
        return
    pool, since = w.pools[node.pool], node.counted_from
    node.counted_from = None
    w.save(node)
    for begin_, ticks in _split(max(since, w.now - _KEPT), w.now):
        _row(w, pool, begin_).node_ticks += ticks


def close(w: World, pool: Pool) -> None:
    """The pool goes; that it was there is known of intervals without nodes, too."""
    for begin_, _ in _split(max(pool.created, w.now - _KEPT), w.now):
        _row(w, pool, begin_)


def _split(since: int, until: int) -> Iterator[tuple[int, int]]:
    """The intervals between two times, each with the ticks that fall into it."""
    at = since - since % INTERVAL
    while at < until:
        yield at, min(until, at + INTERVAL) - max(since, at)
        at += INTERVAL


def _row(w: World, pool: Pool, at: int) -> Usage:
    """The row of that pool, with its size, for the interval; rows that are too old go."""
    new = Usage(pool.key, pool.id, pool.spec["vmSize"], at)
    row = w.usages.get(new.key)
    if row is None:
        row = new
        w.add(row)
        while (oldest := next(iter(w.usages.values()))).begin < w.now - _KEPT - INTERVAL:
            w.remove(oldest)
    w.save(row)
    return row


# --- answers


def last_interval(now: int) -> tuple[int, int]:
    """The last one that can be read."""
    end_ = (now - DELAY) // INTERVAL * INTERVAL
    return end_ - INTERVAL, end_


def entries(w: World, since: int, until: int) -> list[tuple[str, Json]]:
    """What is known of the intervals that touch the time from *since* to *until*, with keys that order it."""
    until = min(until, last_interval(w.now)[1])
    since = max(since - since % INTERVAL, w.now - _KEPT)
    found = {key: row for key, row in w.usages.items() if since <= row.begin < until}
    ticks = {key: row.node_ticks for key, row in found.items()}
    for pool in w.pools.values():
        for at, _ in _split(max(pool.created, since), until):
            row = Usage(pool.key, pool.id, pool.spec["vmSize"], at)
            found.setdefault(row.key, row)
        for node in w.nodes_of_pool[pool.key].values():
            if node.counted_from is not None:
                for at, more in _split(max(node.counted_from, since), until):
                    key = Usage(pool.key, pool.id, pool.spec["vmSize"], at).key
                    ticks[key] = ticks.get(key, 0) + more
    return [(key, _show(row, ticks.get(key, 0))) for key, row in found.items()]


def _show(row: Usage, node_ticks: int) -> Json:
    return {
        "poolId": row.pool_id,
        "startTime": iso(row.begin),
        "endTime": iso(row.begin + INTERVAL),
        "vmSize": row.vm_size,
        "totalCoreHours": round(node_ticks / HOUR * (vm_sizes.cores(row.vm_size) or 1), 6),
    }
