"""Which task goes to which node. Called for a pool whenever its tasks, jobs or nodes have changed.

Jobs by priority, then age; tasks in the order they were added. A node takes tasks up to its slots; with `spread` the
least loaded node is next, with `pack` the fullest that still fits (E:BatchNodeFillType). affinityId is a wish only (M).
Where there is no room, `preemption` may make some.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice

from reconciler.emulator import attendance, multi_instance, preemption
from reconciler.emulator.records import Job, Node, Pool, Task
from reconciler.emulator.world import ALL_SLOTS, World, slots_of, taken_by


class _FreeNodes:
    """The pool's nodes that can take tasks, best first."""

    def __init__(self, w: World, pool: Pool) -> None:
        self._w = w
        self._pool = pool
        self._slots: int = pool.spec["taskSlotsPerNode"]
        self._sign = 1 if pool.spec["taskSchedulingPolicy"]["nodeFillType"] == "Spread" else -1
        self._heap: list[tuple[int, int, str]] = []
        roomy = w.roomy.get(pool.key, {})
        for key in list(roomy):
            if not self._push(w.nodes[key]):
                del roomy[key]

    def _push(self, node: Node) -> bool:
        """Enter the node if it can take a task."""
        if not _takes_tasks(node):
            return False
        used = self._w.slots_used(node)
        if used >= self._slots:
            return False
        heapq.heappush(self._heap, (self._sign * used, node.number, node.key))
        return True

    def __bool__(self) -> bool:
        return bool(self._heap)

    def take(self, job: Job, task: Task) -> Node | None:
        """The best node with room for the task; it is given back by `put`."""
        passed: list[tuple[int, int, str]] = []
        chosen: Node | None = None
        for entry in self._candidates(task, passed):
            node = self._w.nodes[entry[2]]
            if self._fits(job, task, node, abs(entry[0])):
                chosen = node
                break
            passed.append(entry)
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return chosen

    def _candidates(self, task: Task, passed: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
        wished = task.spec.get("affinityInfo", {}).get("affinityId", "").removeprefix("TVM:")
        if wished:
            for entry in self._heap:
                if self._w.nodes[entry[2]].id == wished:
                    self._heap.remove(entry)
                    heapq.heapify(self._heap)
                    yield entry
                    break
        while self._heap:
            yield heapq.heappop(self._heap)

    def _fits(self, job: Job, task: Task, node: Node, used: int) -> bool:
        needed = self._slots if task.exclusive else slots_of(task)
        return used + needed <= self._slots and _suits(self._w, job, task, node)

    def take_idle(self, job: Job, count: int) -> list[Node]:
        """That many nodes without any task, if the pool has them and lets tasks run on several at once."""
        if not multi_instance.can_run(self._pool):
            return []
        fitting = [entry for entry in sorted(self._heap) if attendance.admits(self._w, job, self._w.nodes[entry[2]])]
        chosen = fitting[:count]
        if len(chosen) < count:
            return []
        self._heap = [entry for entry in self._heap if entry not in chosen]
        heapq.heapify(self._heap)
        return [self._w.nodes[entry[2]] for entry in chosen]

    def put(self, node: Node) -> None:
        self._push(node)

    def renew(self, node: Node) -> None:
        """Note that more has changed at the node than one task it was taken for."""
        self._heap = [entry for entry in self._heap if entry[2] != node.key]
        heapq.heapify(self._heap)
        self._push(node)


def _takes_tasks(node: Node) -> bool:
    return node.state in ("idle", "running") and node.scheduling == "enabled" and node.intent is None


def _suits(w: World, job: Job, task: Task, node: Node) -> bool:
    """Whether the task may run on the node at all, if it has room."""
    if task.manager and not node.dedicated and not job.spec["jobManagerTask"]["allowLowPriorityNode"]:
        return False
    return attendance.admits(w, job, node)


def schedule(w: World, pool: Pool) -> None:
    """Give waiting tasks to nodes as long as there is room."""
    if pool.state != "active":
        return
    jobs = [job for job in w.jobs_of_pool(pool.key) if job.state == "active" and w.waiting[job.key]]
    if not jobs:
        return
    free = _FreeNodes(w, pool)
    lowest = preemption.lowest(w, pool)
    for job in sorted(jobs, key=lambda job: (-job.spec["priority"], job.created)):
        _schedule_job(w, pool, job, free, others_give_way=lowest < job.spec["priority"])


def _schedule_job(w: World, pool: Pool, job: Job, free: _FreeNodes, *, others_give_way: bool) -> None:
    too_big = ALL_SLOTS + 1  # a size for which there was no room needs no second look in this pass
    for task in _in_order(w, job):
        if not (free or others_give_way) or too_big == 1 or not _may_run_another(w, job):
            return
        if multi_instance.NAME in task.spec:
            _schedule_group(w, job, task, free)
            continue
        size = taken_by(task)
        if size >= too_big and "affinityInfo" not in task.spec:
            continue
        node = free.take(job, task)
        if node is not None:
            attendance.receive(w, task, [node])
            free.put(node)
        elif others_give_way and (node := _make_room(w, pool, job, task)) is not None:
            attendance.receive(w, task, [node])
            free.renew(node)
        elif not task.manager:
            too_big = min(too_big, size)


def _make_room(w: World, pool: Pool, job: Job, task: Task) -> Node | None:
    return preemption.make_room(w, pool, job, task, lambda node: _takes_tasks(node) and _suits(w, job, task, node))


def _in_order(w: World, job: Job) -> Iterator[Task]:
    """The job's waiting tasks; those given to nodes meanwhile are no longer among them, so a few are read at a time."""
    waiting = w.waiting[job.key]
    passed = 0
    while few := list(islice(waiting.values(), passed, passed + 50)):
        for task in few:
            if task.key in waiting:
                yield task
        passed += sum(task.key in waiting for task in few)


def _schedule_group(w: World, job: Job, task: Task, free: _FreeNodes) -> None:
    """All nodes of a multi-instance task at once, or none; nodes are not held back for it."""
    nodes = free.take_idle(job, multi_instance.wanted_nodes(task))
    if nodes:
        attendance.receive(w, task, nodes)


def _may_run_another(w: World, job: Job) -> bool:
    limit: int = job.spec["maxParallelTasks"]
    return limit == -1 or len(w.busy[job.key]) < limit
