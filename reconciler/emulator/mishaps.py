"""What may befall a node, on request of a test: it becomes unusable, is lost sight of or upgraded, or a spot node is
preempted. Used by `server` and `simulation`.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.emulator import machines, pools
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.times import SECOND
from reconciler.emulator.world import World

LOSSES = ("unusable", "unknown", "upgradingos")
EVENTS = (*LOSSES, "preempted")
_GONE = ("creating", "leavingpool")


@dataclass(frozen=True, slots=True)
class Mishap:
    """An event at one node; after *seconds* it starts again, None: never."""

    pool: str
    node: str
    event: str
    seconds: float | None = None


def parse(body: object) -> Mishap:
    """A mishap from JSON: `pool`, `node`, `event` and perhaps `seconds`. ValueError says what is wrong with it."""
    if not isinstance(body, dict) or not {"pool", "node", "event"} <= set(body) <= set(Mishap.__slots__):
        raise ValueError("pool, node and event are expected, and perhaps seconds")
    if body["event"] not in EVENTS:
        raise ValueError(f"event is one of {', '.join(EVENTS)}")
    seconds = body.get("seconds")
    if seconds is not None and (not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0):
        raise ValueError("seconds is a number that is not negative")
    return Mishap(str(body["pool"]), str(body["node"]), body["event"], seconds)


def befall(w: World, mishap: Mishap) -> None:
    """Let it happen. Refused for nodes that are not there or not yet, and preemption for dedicated ones (M)."""
    node = machines.find(w, pools.find(w, mishap.pool), mishap.node)
    if node.state in _GONE:
        raise ServiceError(409, "OperationNotValidOnNode", f"The node is {node.state}.")
    if mishap.event == "preempted" and node.dedicated:
        raise ServiceError(409, "OperationNotValidOnNode", "Only spot and low-priority nodes are preempted.")
    returns = None if mishap.seconds is None else w.now + int(mishap.seconds * SECOND)
    machines.fall_out(w, node, mishap.event, returns)
