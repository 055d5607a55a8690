"""Tasks that give way to jobs of higher priority, because theirs allows it. `scheduling` asks when there is no room.

M:BatchJob.allowTaskPreemption says only that high priority jobs take precedence and can requeue tasks of such a job.
Which tasks go is INFERRED: as few as make room on one node, of the lowest priority first, the latest start first. A
multi-instance task displaces nobody, because nodes are not held back for it otherwise either.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.emulator import tasks
from reconciler.emulator.records import Job, Node, Pool, Task
from reconciler.emulator.world import World, taken_by

_NEVER = 1001


def lowest(w: World, pool: Pool) -> int:
    """The lowest priority of tasks in the pool that may have to give way; more than any priority if there are none."""
    allow = (job for job in w.jobs_of_pool(pool.key) if job.spec["allowTaskPreemption"] and w.busy[job.key])
    return min((job.spec["priority"] for job in allow), default=_NEVER)


def _gives_way(other: Job, job: Job) -> bool:
    return bool(other.spec["allowTaskPreemption"] and other.spec["priority"] < job.spec["priority"])


def make_room(w: World, pool: Pool, job: Job, task: Task, admits: Callable[[Node], bool]) -> Node | None:
    """A node that has room for *task* once tasks that had to give way are back in the queue; None if there is none."""
    slots: int = pool.spec["taskSlotsPerNode"]
    needed = slots if task.exclusive else taken_by(task)
    chosen: tuple[int, Node, list[Task]] | None = None
    for node in w.nodes_of_pool[pool.key].values():
        if admits(node):
            displaced = _fewest(w, job, node, w.slots_used(node) + needed - slots)
            if displaced and (chosen is None or len(displaced) < chosen[0]):
                chosen = (len(displaced), node, displaced)
    if chosen is None:
        return None
    for one in chosen[2]:
        tasks.requeue(w, one, counted=False)  # not at the request of a user (M:BatchTaskExecutionInfo.requeueCount)
    return chosen[1]


def _fewest(w: World, job: Job, node: Node, short: int) -> list[Task]:
    """The tasks on the node whose going frees the slots it is *short* of; none if they all together do not."""
    gone: list[Task] = []
    for one in sorted(w.tasks_on_node[node.key].values(), key=lambda one: _rank(w, one)):
        if short > 0 and _gives_way(w.jobs[one.job], job):
            gone.append(one)
            short -= taken_by(one)
    return gone if short <= 0 else []


def _rank(w: World, task: Task) -> tuple[int, int]:
    return w.jobs[task.job].spec["priority"], -task.state_time
