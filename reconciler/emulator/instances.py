"""What the commands of a multi-instance task see of each other. Used by `runs`.

Variables follow D:batch-compute-node-environment-variables. All nodes here are this machine, so their addresses are in
127.0.0.0/8, where on Linux every address is open to programs; a page of the documents shows 10.0.0.4.
"""

from __future__ import annotations

import os

from reconciler.emulator.records import Json, Node, Task
from reconciler.emulator.world import World

_RESERVED_PORT = 6000  # what AZ_BATCH_MASTER_NODE shows; the service keeps it for itself (D)


def address(node: Node) -> str:
    """The node's own address on this machine; nodes of one pool have different ones."""
    number = node.number + 3
    return f"127.{16 + (number >> 16 & 127)}.{number >> 8 & 255}.{number & 255}"


def variables(w: World, task: Task, node: Node) -> Json:
    """Variables of a command on one of the task's nodes; the first node is the master."""
    if not task.subtasks:
        return {}
    addresses = [address(w.nodes[one.node]) for one in task.subtasks]
    cores = os.cpu_count() or 1
    listed = " ".join(f"{one} {cores}" for one in addresses)
    return {
        "AZ_BATCH_NODE_LIST": ";".join(addresses),
        "AZ_BATCH_HOST_LIST": ",".join(addresses),
        "AZ_BATCH_MASTER_NODE": f"{addresses[0]}:{_RESERVED_PORT}",
        "AZ_BATCH_IS_CURRENT_NODE_MASTER": "true" if node.key == task.subtasks[0].node else "false",
        "CCP_NODES": f"{len(addresses)} {listed}",
    }


def paths(task: Task, directory: str) -> Json:
    """The shared directory is the task's own, one above the working directory (D, M:MultiInstanceSettings)."""
    return {"AZ_BATCH_TASK_SHARED_DIR": directory} if task.subtasks else {}
