"""Which task goes to which node. Called for a pool whenever its tasks, jobs or nodes have changed.

Jobs by priority, then age; tasks in the order they were added. A node takes tasks up to its slots; with `spread` the
least loaded node is next, with `pack` the fullest that still fits (E:BatchNodeFillType). affinityId is a wish only (M).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from reconciler.emulator import attendance
from reconciler.emulator.records import Job, Node, Pool, Task
from reconciler.emulator.world import ALL_SLOTS, World, slots_of


class _FreeNodes:
    """The pool's nodes that can take tasks, best first."""

    def __init__(self, w: World, pool: Pool) -> None:
        self._w = w
        self._slots: int = pool.spec["taskSlotsPerNode"]
        self._sign = 1 if pool.spec["taskSchedulingPolicy"]["nodeFillType"] == "Spread" else -1
        self._heap: list[tuple[int, int, str]] = []
        for node in w.nodes_of_pool[pool.key].values():
            if node.state in ("idle", "running") and node.scheduling == "enabled" and node.intent is None:
                self._push(node)

    def _push(self, node: Node) -> None:
        used = self._w.slots_used(node)
        if used < self._slots:
            heapq.heappush(self._heap, (self._sign * used, node.number, node.key))

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
        if task.manager and not node.dedicated and not job.spec["jobManagerTask"]["allowLowPriorityNode"]:
            return False
        needed = self._slots if task.exclusive else slots_of(task)
        return used + needed <= self._slots and attendance.admits(self._w, job, node)

    def put(self, node: Node) -> None:
        self._push(node)


def schedule(w: World, pool: Pool) -> None:
    """Give waiting tasks to nodes as long as there is room."""
    if pool.state != "active":
        return
    jobs = [job for job in w.jobs_of_pool(pool.key) if job.state == "active" and w.waiting[job.key]]
    if not jobs:
        return
    free = _FreeNodes(w, pool)
    for job in sorted(jobs, key=lambda job: (-job.spec["priority"], job.created)):
        _schedule_job(w, job, free)


def _schedule_job(w: World, job: Job, free: _FreeNodes) -> None:
    too_big = ALL_SLOTS + 1  # a size for which there was no room needs no second look in this pass
    for task in list(w.waiting[job.key].values()):
        if not free or too_big == 1 or not _may_run_another(w, job):
            return
        size = ALL_SLOTS if task.exclusive else slots_of(task)
        if size >= too_big and "affinityInfo" not in task.spec:
            continue
        node = free.take(job, task)
        if node is None:
            if not task.manager:
                too_big = min(too_big, size)
            continue
        attendance.receive(w, task, node)
        free.put(node)


def _may_run_another(w: World, job: Job) -> bool:
    limit: int = job.spec["maxParallelTasks"]
    return limit == -1 or len(w.busy[job.key]) < limit
