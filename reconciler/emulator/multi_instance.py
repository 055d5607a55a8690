"""Multi-instance tasks: a primary and its subtasks, one on each of several nodes.

On every node the coordination command runs first; when all have returned 0 the primary's command runs on the first
node, the master. Any failure fails the try as a whole, and the end of the primary ends what the coordination commands
left running (D:batch-mpi). `tasks` calls this and decides about retries; nothing here changes the task's own state.
"""

from __future__ import annotations

from reconciler.emulator import failures, runs
from reconciler.emulator.ports import Ended
from reconciler.emulator.records import Execution, Job, Json, Node, Pool, Subtask, Task
from reconciler.emulator.world import World

NAME = "multiInstanceSettings"


def wanted_nodes(task: Task) -> int:
    count: int = task.spec[NAME]["numberOfInstances"]
    return count


def can_run(pool: Pool) -> bool:
    """Else the task stays active for ever (D:batch-mpi)."""
    return bool(pool.spec["enableInterNodeCommunication"]) and pool.spec["taskSlotsPerNode"] == 1


def spread(w: World, task: Task, nodes: list[Node]) -> None:
    """Give the task to its nodes; the first one becomes the master."""
    task.subtasks = [Subtask(node.key, w.pools[node.pool].id, node.id, w.now, Execution(0)) for node in nodes]


def begin(w: World, job: Job, task: Task) -> None:
    """Start the coordination command on every node."""
    for number, one in enumerate(task.subtasks):
        one.execution = Execution(w.now, run=runs.begin_coordination(w, job, w.nodes[one.node], task, number))
        _move(w, one, "running")


def coordination_ended(w: World, task: Task, number: int, ended: Ended) -> bool:
    """Note the end of a coordination command; True if all have succeeded now."""
    failures.close(task.subtasks[number].execution, ended)
    w.save(task)
    return all(one.execution.succeeded for one in task.subtasks)


def failure(number: int, ended: Ended) -> Json:
    """Why the task failed with its coordination command: which subtask, and how (the wording is INFERRED)."""
    if ended.problem is not None:
        return failures.problem(ended.problem, f"Subtask {number}: {ended.detail}")
    shown = failures.exit_code_failure()
    what = f"The coordination command of subtask {number} exited with {ended.exit_code}"
    return shown | {"details": [{"name": "Message", "value": what}, *shown["details"][1:]]}


def stop(w: World, task: Task, directory: str) -> None:
    """End the coordination commands and whatever they left running, and complete the subtasks."""
    for one in task.subtasks:
        if one.execution.run is not None:
            w.kill(one.execution.run)
            failures.cut_short(one.execution, w.now, failures.ended_by_user())
        if one.node in w.nodes:
            _end_leftovers(w, one.pool_id, one.node_id, directory)
        _move(w, one, "completed")


def _end_leftovers(w: World, pool_id: str, node_id: str, directory: str) -> None:
    w.outbox.append(lambda driver: driver.end_leftovers(pool_id, node_id, directory))


def _move(w: World, one: Subtask, state: str) -> None:
    if one.state != state:
        if one.execution.start:
            one.previous_state, one.previous_time = one.state, one.state_time
        one.state, one.state_time = state, w.now
