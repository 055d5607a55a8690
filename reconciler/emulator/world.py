"""The account's state in memory, with the indexes and the to-do lists that the engine's modules share.

Nothing here decides. A change is announced with `save`; who may have to react is named with `touch_*`; what the outside
must do (start, kill, remove) is put in the outbox, which the engine empties after the change has been stored.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from reconciler.emulator.ports import Launch, NodeDriver
from reconciler.emulator.records import (
    Attendance,
    Entity,
    Job,
    Json,
    Node,
    Pool,
    Run,
    Task,
    fold,
    from_json,
    to_json,
)
from reconciler.emulator.switches import Limits, Switches, Timings


@dataclass(frozen=True, slots=True)
class Account:
    """Who the emulator is, as tasks see it in their environment."""

    name: str
    url: str


class World:
    """Everything the account holds. Keys are folded ids; a node's is pool/node, a task's job/task."""

    def __init__(self, account: Account, switches: Switches, timings: Timings, limits: Limits) -> None:
        self.account = account
        self.switches = switches
        self.timings = timings
        self.limits = limits
        self.now = 0
        self.serial = 0
        self.pools: dict[str, Pool] = {}
        self.nodes: dict[str, Node] = {}
        self.jobs: dict[str, Job] = {}
        self.tasks: dict[str, Task] = {}
        self.attendances: dict[str, Attendance] = {}
        self.runs: dict[str, Run] = {}
        self.nodes_of_pool: dict[str, dict[str, Node]] = {}
        self.tasks_of_job: dict[str, dict[str, Task]] = {}
        self.waiting: dict[str, dict[str, Task]] = {}
        """Active tasks by job, in the order in which they are to be scheduled."""
        self.busy: dict[str, dict[str, Task]] = {}
        """Preparing and running tasks by job."""
        self.tasks_on_node: dict[str, dict[str, Task]] = {}
        self.attendances_of_job: dict[str, dict[str, Attendance]] = {}
        self.unsaved: dict[tuple[str, str], Entity | None] = {}
        self.outbox: list[Callable[[NodeDriver], None]] = []
        self._touched: dict[tuple[str, str], None] = {}
        self._alarms: list[tuple[int, str, str]] = []

    # --- telling others

    def touch(self, table: str, key: str) -> None:
        """Have the owner of that entity look at it again before the present transaction ends."""
        self._touched[(table, key)] = None

    def next_touched(self) -> tuple[str, str] | None:
        if not self._touched:
            return None
        first = next(iter(self._touched))
        del self._touched[first]
        return first

    def wake(self, at: int, table: str, key: str) -> None:
        """Have the entity looked at when the time is *at*. Waking too often is harmless: owners look at what is."""
        heapq.heappush(self._alarms, (at, table, key))

    def next_alarm(self) -> int | None:
        return self._alarms[0][0] if self._alarms else None

    def ring(self) -> None:
        """Touch everything whose time has come."""
        while self._alarms and self._alarms[0][0] <= self.now:
            _, table, key = heapq.heappop(self._alarms)
            self.touch(table, key)

    # --- changing

    def add(self, entity: Entity) -> None:
        """Take a new entity in, index it and have it looked at."""
        self._index(entity)
        self.save(entity)
        self.touch(entity.table, entity.key)

    def save(self, entity: Entity) -> None:
        self.unsaved[(entity.table, entity.key)] = entity

    def changes(self) -> dict[tuple[str, str], Json | None]:
        """What has changed since the last call, as rows."""
        rows = {where: None if entity is None else to_json(entity) for where, entity in self.unsaved.items()}
        self.unsaved.clear()
        return rows

    def remove(self, entity: Entity) -> None:
        key = entity.key
        self.unsaved[(entity.table, key)] = None
        getattr(self, entity.table).pop(key, None)
        match entity:
            case Node():
                self.nodes_of_pool.get(entity.pool, {}).pop(key, None)
                self.tasks_on_node.pop(key, None)
            case Task():
                self.tasks_of_job.get(entity.job, {}).pop(key, None)
                self.unplace(entity)
            case Attendance():
                self.attendances_of_job.get(entity.job, {}).pop(key, None)
            case Job():
                for index in self._by_job():
                    index.pop(key, None)
            case Pool():
                self.nodes_of_pool.pop(key, None)
            case Run():
                pass

    def load(self, rows: dict[str, dict[str, Json]], serial: int) -> None:
        """Take over what a store held; everything is looked at in the next transaction."""
        self.serial = serial
        for kind in (Pool, Node, Job, Task, Attendance, Run):
            entities = [from_json(kind, row) for row in rows[kind.table].values()]
            for entity in sorted(entities, key=lambda item: getattr(item, "number", 0)):
                self._index(entity)
                self.touch(entity.table, entity.key)

    def _index(self, entity: Entity) -> None:
        key = entity.key
        getattr(self, entity.table)[key] = entity
        match entity:
            case Pool():
                self.nodes_of_pool.setdefault(key, {})
            case Node():
                self.nodes_of_pool.setdefault(entity.pool, {})[key] = entity
                self.tasks_on_node.setdefault(key, {})
            case Job():
                for index in self._by_job():
                    index.setdefault(key, {})
            case Task():
                self.tasks_of_job.setdefault(entity.job, {})[key] = entity
                self.place(entity)
            case Attendance():
                self.attendances_of_job.setdefault(entity.job, {})[key] = entity
            case Run():
                pass

    def _by_job(self) -> tuple[dict[str, Any], ...]:
        return self.tasks_of_job, self.waiting, self.busy, self.attendances_of_job

    def place(self, task: Task) -> None:
        """Enter a task into the index its state calls for."""
        if task.state == "active":
            self.waiting.setdefault(task.job, {})[task.key] = task
        elif task.state in ("preparing", "running") and task.node is not None:
            self.busy.setdefault(task.job, {})[task.key] = task
            self.tasks_on_node.setdefault(task.node, {})[task.key] = task

    def unplace(self, task: Task) -> None:
        self.waiting.get(task.job, {}).pop(task.key, None)
        self.busy.get(task.job, {}).pop(task.key, None)
        if task.node is not None:
            self.tasks_on_node.get(task.node, {}).pop(task.key, None)

    def next_serial(self) -> int:
        self.serial += 1
        return self.serial

    def stamp(self, entity: Pool | Job | Task) -> None:
        """A change that shows as a new ETag. Two changes never share one, even within a tick."""
        entity.modified = max(self.now, entity.modified + 1)
        self.save(entity)

    # --- the outside

    def start(self, run: Run, launch: Launch) -> None:
        self.outbox.append(lambda driver: driver.start(launch))
        self.add(run)

    def kill(self, run_id: str | None) -> None:
        """End a run now in progress; nothing is told of it afterwards."""
        if run_id is not None and run_id in self.runs:
            self.remove(self.runs[run_id])
            self.outbox.append(lambda driver: driver.kill(run_id))

    # --- finding

    def jobs_of_pool(self, pool_key: str) -> Iterable[Job]:
        return [job for job in self.jobs.values() if fold(job.spec["poolInfo"]["poolId"]) == pool_key]

    def pool_of(self, job: Job) -> Pool | None:
        return self.pools.get(fold(job.spec["poolInfo"]["poolId"]))

    def slots_used(self, node: Node) -> int:
        """Slots taken by preparing and running tasks; a task that runs alone takes all there can be."""
        return sum(ALL_SLOTS if task.exclusive else slots_of(task) for task in self.tasks_on_node[node.key].values())


ALL_SLOTS = 256


def slots_of(task: Task) -> int:
    slots: int = task.spec["requiredSlots"]
    return slots
