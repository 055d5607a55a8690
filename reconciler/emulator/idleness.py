"""Whether anything in the account is on its way, so that the clock of a simulation may stand still. Used there."""

from __future__ import annotations

from reconciler.emulator.records import Node
from reconciler.emulator.world import World

_MOVING_JOB = ("terminating", "deleting", "disabling", "enabling")
_MOVING_NODE = (
    *("creating", "starting", "waitingforstarttask", "rebooting", "reimaging", "upgradingos"),
    *("deallocating", "leavingpool"),
)


def is_idle(w: World) -> bool:
    """No command runs, and no pool, node or job is between two states that last."""
    if w.runs:
        return False
    if any(pool.state != "active" or pool.allocation_state != "steady" for pool in w.pools.values()):
        return False
    if any(_moves(node) for node in w.nodes.values()):
        return False
    return not any(job.state in _MOVING_JOB and _can_end(w, job.key) for job in w.jobs.values())


def _moves(node: Node) -> bool:
    comes_back = node.returns is not None and node.state in ("unusable", "preempted")
    return comes_back or node.state in _MOVING_NODE


def _can_end(w: World, job: str) -> bool:
    """A job that waits for the release task of a lost node does not move."""
    homes = [w.nodes.get(here.node) for here in w.attendances_of_job[job].values()]
    return not any(node is not None and node.state in ("unusable", "deallocated") for node in homes)
