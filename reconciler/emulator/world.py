"""The account's state in memory, with the indexes and the to-do lists that the engine's modules share.

Nothing here decides. A change is announced with `save`; who may have to react is named with `touch_*`; what the outside
must do (start, kill, remove) is put in the outbox, which the engine empties after the change has been stored.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from reconciler.emulator.dependencies import Dependencies
from reconciler.emulator.packages import Shelf
from reconciler.emulator.ports import Launch, Meters, NodeDriver
from reconciler.emulator.records import (
    Attendance,
    Entity,
    Job,
    Json,
    Node,
    Pool,
    Run,
    Sample,
    Schedule,
    Task,
    Usage,
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
        self.packages = Shelf()
        """The applications that can be referred to; whoever makes an account with a folder of them sets it."""
        self.runs_commands = True
        """Whether nodes run what they are given; the engine asks its driver."""
        self.meters: Callable[[str], Meters | None] = lambda pool: None
        """What the commands on the nodes of a pool have used; the engine asks its driver."""
        self.last_meters: dict[str, tuple[int, Meters]] = {}
        """By pool, as they were at the last sample, and when that was."""
        self.now = 0
        self.serial = 0
        self.pools: dict[str, Pool] = {}
        self.samples: dict[str, Sample] = {}
        self.usages: dict[str, Usage] = {}
        """Core hours of pools by interval."""
        self.nodes: dict[str, Node] = {}
        self.jobs: dict[str, Job] = {}
        self.schedules: dict[str, Schedule] = {}
        self.tasks: dict[str, Task] = {}
        self.attendances: dict[str, Attendance] = {}
        self.runs: dict[str, Run] = {}
        self.nodes_of_pool: dict[str, dict[str, Node]] = {}
        self.samples_of_pool: dict[str, dict[str, Sample]] = {}
        self.tasks_of_job: dict[str, dict[str, Task]] = {}
        self.waiting: dict[str, dict[str, Task]] = {}
        """Active tasks by job, in the order in which they are to be scheduled."""
        self.blocked: dict[str, dict[str, Task]] = {}
        """Active tasks by job that wait for others to be done."""
        self.dependencies = Dependencies(padded=switches.zero_padded_ids_count_in_ranges)
        self.busy: dict[str, dict[str, Task]] = {}
        """Preparing and running tasks by job."""
        self.tasks_on_node: dict[str, dict[str, Task]] = {}
        self.attendances_of_job: dict[str, dict[str, Attendance]] = {}
        self.attendances_of_node: dict[str, dict[str, Attendance]] = {}
        self.unsaved: dict[tuple[str, str], Entity | None] = {}
        self.outbox: list[Callable[[NodeDriver], None]] = []
        self.roomy: dict[str, dict[str, None]] = {}
        """Keys of the nodes by pool that may have room for a task; `scheduling` takes out those that have none."""
        self._sorted: dict[str, list[str]] = {}
        self._jobs_on: dict[str, dict[str, None]] = {}
        self._home_of: dict[str, str] = {}
        self._touched: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._alarms: list[tuple[int, str, str]] = []
        self._set: set[tuple[int, str, str]] = set()

    # --- telling others

    def touch(self, table: str, key: str) -> None:
        """Have the owner of that entity look at it again before the present transaction ends."""
        self._touched[(table, key)] = None

    def touch_first(self, table: str, key: str) -> None:
        """As `touch`, but before all who are waiting to be looked at."""
        self.touch(table, key)
        self._touched.move_to_end((table, key), last=False)

    def next_touched(self) -> tuple[str, str] | None:
        if not self._touched:
            return None
        return self._touched.popitem(last=False)[0]

    def wake(self, at: int, table: str, key: str) -> None:
        """Have the entity looked at when the time is *at*. Waking too often is harmless: owners look at what is."""
        alarm = (at, table, key)
        if alarm not in self._set:
            self._set.add(alarm)
            heapq.heappush(self._alarms, alarm)

    def next_alarm(self) -> int | None:
        return self._alarms[0][0] if self._alarms else None

    def ring(self) -> None:
        """Touch everything whose time has come."""
        while self._alarms and self._alarms[0][0] <= self.now:
            alarm = heapq.heappop(self._alarms)
            self._set.discard(alarm)
            self.touch(alarm[1], alarm[2])

    # --- changing

    def add(self, entity: Entity) -> None:
        """Take a new entity in, index it and have it looked at."""
        self._index(entity)
        self.save(entity)
        self.touch(entity.table, entity.key)

    def save(self, entity: Entity) -> None:
        self.unsaved[(entity.table, entity.key)] = entity
        if isinstance(entity, Node):
            self.roomy.setdefault(entity.pool, {})[entity.key] = None
        elif isinstance(entity, Job):
            self._settle_in(entity.key, fold(entity.pool_id))

    def _settle_in(self, job: str, pool: str | None) -> None:
        """Note on which pool the job is; None: it is gone."""
        home = self._home_of.get(job)
        if home == pool:
            return
        if home is not None:
            self._jobs_on[home].pop(job, None)
            del self._home_of[job]
        if pool is not None:
            self._jobs_on.setdefault(pool, {})[job] = None
            self._home_of[job] = pool

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
                self.roomy.get(entity.pool, {}).pop(key, None)
                self.tasks_on_node.pop(key, None)
            case Task():
                self.tasks_of_job.get(entity.job, {}).pop(key, None)
                self._sorted.pop(f"/{entity.job}", None)
                self.unplace(entity)
                self._sort(self.dependencies.leave(entity))
            case Attendance():
                self.attendances_of_job.get(entity.job, {}).pop(key, None)
                self.attendances_of_node.get(entity.node, {}).pop(key, None)
            case Job():
                self.dependencies.close(entity)
                self._settle_in(key, None)
                self._sorted.pop("", None)
                self._sorted.pop(f"/{key}", None)
                for index in self._by_job():
                    index.pop(key, None)
            case Pool():
                self.nodes_of_pool.pop(key, None)
                self.roomy.pop(key, None)
                self.last_meters.pop(key, None)
                for sample in list(self.samples_of_pool.pop(key, {}).values()):
                    self.remove(sample)
            case Sample():
                self.samples_of_pool.get(entity.pool, {}).pop(key, None)
            case Run() | Schedule() | Usage():
                pass

    def load(self, rows: dict[str, dict[str, Json]], serial: int) -> None:
        """Take over what a store held; everything is looked at in the next transaction."""
        self.serial = serial
        for kind in (Pool, Sample, Usage, Node, Job, Schedule, Task, Attendance, Run):
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
                self.samples_of_pool.setdefault(key, {})
            case Sample():
                self.samples_of_pool.setdefault(entity.pool, {})[key] = entity
            case Node():
                self.nodes_of_pool.setdefault(entity.pool, {})[key] = entity
                self.tasks_on_node.setdefault(key, {})
                self.roomy.setdefault(entity.pool, {})[key] = None
            case Job():
                self.dependencies.open(entity)
                self._settle_in(key, fold(entity.pool_id))
                self._sorted.pop("", None)
                for index in self._by_job():
                    index.setdefault(key, OrderedDict())  # taken from at the front without looking at what is gone
            case Task():
                self.tasks_of_job.setdefault(entity.job, {})[key] = entity
                self._sorted.pop(f"/{entity.job}", None)
                self.dependencies.enter(entity)
                self.place(entity)
            case Attendance():
                self.attendances_of_job.setdefault(entity.job, {})[key] = entity
                self.attendances_of_node.setdefault(entity.node, {})[key] = entity
            case Run() | Schedule() | Usage():
                pass

    def _by_job(self) -> tuple[dict[str, Any], ...]:
        return self.tasks_of_job, self.waiting, self.blocked, self.busy, self.attendances_of_job

    def place(self, task: Task) -> None:
        """Enter a task into the index its state calls for."""
        if task.state == "active":
            index = self.blocked if self.dependencies.is_blocked(task) else self.waiting
            index.setdefault(task.job, {})[task.key] = task
        elif task.state in ("preparing", "running") and task.node is not None:
            self.busy.setdefault(task.job, {})[task.key] = task
            for node in nodes_of(task):
                self.tasks_on_node.setdefault(node, {})[task.key] = task
        self._sort(self.dependencies.look(task))

    def unplace(self, task: Task) -> None:
        for index in (self.waiting, self.blocked, self.busy):
            index.get(task.job, {}).pop(task.key, None)
        for node in nodes_of(task):
            self.tasks_on_node.get(node, {}).pop(task.key, None)
            if node in self.nodes:
                self.roomy.setdefault(self.nodes[node].pool, {})[node] = None

    def _sort(self, keys: list[str]) -> None:
        """Enter tasks anew that are no longer blocked, or are blocked again."""
        for key in keys:
            task = self.tasks.get(key)
            if task is not None and task.state == "active":
                self.unplace(task)
                self.place(task)
                self.touch("jobs", task.job)

    def keep_satisfied(self, job: Job, task: Task) -> None:
        """The task is about to be deleted; those that depend on it go on as if it were there."""
        if self.dependencies.is_wanted(task):
            self._sort(self.dependencies.keep(job, task.id))
            self.save(job)

    def forget_satisfied(self, job: Job, task_id: str) -> None:
        """A task of an id used before is about to be added; it counts anew."""
        if job.satisfied:
            self._sort(self.dependencies.unkeep(job, task_id))
            self.save(job)

    def next_serial(self) -> int:
        self.serial += 1
        return self.serial

    def stamp(self, entity: Pool | Job | Schedule | Task) -> None:
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
        return [self.jobs[key] for key in self._jobs_on.get(pool_key, ())]

    def job_keys(self) -> list[str]:
        """In order, as lists show them; sorted anew only after one has come or gone."""
        return self._in_order("", self.jobs)

    def task_keys(self, job: str) -> list[str]:
        """In order, as lists show them; sorted anew only after one has come or gone."""
        return self._in_order(f"/{job}", self.tasks_of_job[job])

    def _in_order(self, name: str, index: Iterable[str]) -> list[str]:
        if name not in self._sorted:
            self._sorted[name] = sorted(index)
        return self._sorted[name]

    def jobs_at_node(self, node: Node) -> list[Job]:
        """Those that have been prepared there, or are to be."""
        return [self.jobs[one.job] for one in self.attendances_of_node.get(node.key, {}).values()]

    def pool_of(self, job: Job) -> Pool | None:
        return self.pools.get(fold(job.pool_id))

    def slots_used(self, node: Node) -> int:
        """Slots taken by preparing and running tasks; a task that runs alone takes all there can be."""
        return sum(taken_by(task) for task in self.tasks_on_node[node.key].values())


ALL_SLOTS = 256


def nodes_of(task: Task) -> list[str]:
    """Keys of the nodes a task was given to: one, or as many as a multi-instance task has instances."""
    if task.subtasks:
        return [one.node for one in task.subtasks]
    return [] if task.node is None else [task.node]


def taken_by(task: Task) -> int:
    """Slots of a node the task takes while it is there: all if it runs alone."""
    return ALL_SLOTS if task.exclusive else slots_of(task)


def slots_of(task: Task) -> int:
    slots: int = task.spec["requiredSlots"]
    return slots
