"""The account: takes requests and the passing of time, decides, and tells nodes and store what to do.

The caller supplies the time, so a wall clock or a virtual one can drive it. Every change happens in `transaction`:
afterwards whoever is concerned has reacted, the state is stored, and only then are processes started or ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconciler.emulator import attendance, jobs, machines, pools, runs, scaling, schedules, scheduling, tasks
from reconciler.emulator.history import History
from reconciler.emulator.ports import Ended, NodeDriver, Store
from reconciler.emulator.records import Run
from reconciler.emulator.store import TABLES
from reconciler.emulator.switches import Limits, Switches, Timings
from reconciler.emulator.times import SECOND
from reconciler.emulator.world import Account, World


class Engine:
    """One account with its driver of nodes and its store."""

    def __init__(
        self,
        account: Account,
        driver: NodeDriver,
        store: Store,
        *,
        switches: Switches | None = None,
        timings: Timings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.world = World(account, switches or Switches(), timings or Timings(), limits or Limits())
        self.world.meters = driver.measure
        self.world.runs_commands = driver.runs_commands
        self._driver = driver
        self._store = store
        self._history: History | None = None
        self.alter: Callable[[Run, Ended], Ended] = lambda _, ended: ended
        """How a run that has ended is to be seen as having ended; a fault may decide otherwise than the node."""

    def resume(self, now: int) -> None:
        """Take over what was stored: processes that live on are adopted by the driver, ended ones are told by it."""
        rows, serial = self._store.load()
        w = self.world
        w.load(rows, serial)
        nodes = {(w.pools[node.pool].id, node.id) for node in w.nodes.values() if node.boots}
        self._driver.clean_up(nodes, {runs.job_directory(job) for job in w.jobs.values()}, w.runs)
        for pool_id, node_id in sorted(nodes):
            self._driver.make_node(pool_id, node_id)
        for run in list(w.runs.values()):
            self._driver.start(runs.relaunch(run))
        self.tick(now)

    @contextmanager
    def transaction(self, now: int) -> Iterator[World]:
        """The world, to be changed by one request. A refusal raised inside leaves what was stored before it."""
        w = self.world
        w.now = max(now, w.now)
        try:
            yield w
        finally:
            self._settle()
            self._flush()

    def tick(self, now: int) -> None:
        """Let the time pass and take in what has ended on the nodes."""
        with self.transaction(now) as w:
            w.ring()
            for ended in self._driver.poll(w.now):
                self._run_ended(ended)

    def next_due(self) -> int | None:
        """When something happens by itself; None if only requests and processes can change anything."""
        times = [at for at in (self.world.next_alarm(), self._driver.next_due()) if at is not None]
        return min(times, default=None)

    def is_busy(self) -> bool:
        """Whether a job or schedule is unfinished or a process runs: reasons not to end the emulator."""
        w = self.world
        if w.runs or any(job.state != "completed" for job in w.jobs.values()):
            return True
        return any(schedule.state not in ("completed", "disabled") for schedule in w.schedules.values())

    def power_off(self, now: int) -> None:
        """End all work as if every node lost power: tasks are put back, nodes boot when the emulator next runs."""
        w = self.world
        w.now = max(now, w.now)
        for node in list(w.nodes.values()):
            machines.power_off(w, node)
        self._flush()

    def clear(self, now: int) -> None:
        """Forget all there is, and end all work: the account is as new."""
        with self.transaction(now) as w:
            for run in list(w.runs):
                w.kill(run)
            for pool_id, node_id in [(w.pools[node.pool].id, node.id) for node in w.nodes.values()]:
                w.outbox.append(_dropping(pool_id, node_id))
            for table in reversed(TABLES):
                for entity in list(getattr(w, table).values()):
                    w.remove(entity)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def keep_history(self, *, wanted: bool) -> None:
        """Remember how the account was, from now on, or no longer."""
        if not wanted:
            self._history = None
        elif self._history is None:
            self._history = History(self.world)

    def past(self, seconds: float, changes: int | None) -> World:
        """The account some *seconds* or *changes* ago, to be read only; as far back as history is kept."""
        w = self.world
        if self._history is None:
            return w
        return self._history.before(w, at=w.now - int(seconds * SECOND), changes=changes)

    # --- inside a transaction

    def _flush(self) -> None:
        w = self.world
        if not self._store.keeps and self._history is None:
            w.unsaved.clear()
        elif changes := w.changes():
            self._store.save(changes, w.serial)
            if self._history is not None:
                self._history.add(w.now, changes)
        outbox, w.outbox = w.outbox, []
        for deed in outbox:
            deed(self._driver)

    def _settle(self) -> None:
        """Have everyone concerned react, until nobody is. Scheduling comes last, when all have reacted."""
        w = self.world
        waiting: dict[str, None] = {}
        while True:
            touched = w.next_touched()
            if touched is None:
                if not waiting:
                    return
                key = next(iter(waiting))
                del waiting[key]
                if key in w.pools:
                    scheduling.schedule(w, w.pools[key])
            elif touched[0] == "schedule":
                waiting[touched[1]] = None
            else:
                self._react(*touched)

    def _react(self, table: str, key: str) -> None:
        w = self.world
        match table:
            case "pools" if key in w.pools:
                pools.settle(w, w.pools[key])
                if key in w.pools:
                    scaling.settle(w, w.pools[key])
                w.touch("schedule", key)
            case "nodes" if key in w.nodes:
                machines.settle(w, w.nodes[key])
            case "jobs" if key in w.jobs:
                jobs.settle(w, w.jobs[key])
            case "schedules" if key in w.schedules:
                schedules.settle(w, w.schedules[key])
            case "tasks" if key in w.tasks:
                tasks.settle(w, w.tasks[key])
            case "completed" if key in w.tasks:
                jobs.task_completed(w, w.tasks[key])
            case "attendances" if key in w.attendances:
                attendance.settle(w, w.attendances[key])
            case "runs" if key in w.runs:
                self._check_deadline(w.runs[key])

    def _run_ended(self, ended: Ended) -> None:
        w = self.world
        run = w.runs.get(ended.run)
        if run is None:
            return
        w.remove(run)
        ended = self.alter(run, ended)
        match run.kind:
            case "start" if run.subject in w.nodes:
                machines.start_ended(w, w.nodes[run.subject], ended)
            case "preparation" if run.subject in w.attendances:
                attendance.preparation_ended(w, w.attendances[run.subject], ended)
            case "release" if run.subject in w.attendances:
                attendance.release_ended(w, w.attendances[run.subject], ended)
            case "task" if run.subject in w.tasks:
                tasks.run_ended(w, w.tasks[run.subject], ended)
            case "coordination" if run.subject in w.tasks:
                tasks.coordination_ended(w, w.tasks[run.subject], run.instance, ended)
            case "packages" if run.subject in w.nodes:
                machines.packages_installed(w, w.nodes[run.subject], ended)

    def _check_deadline(self, run: Run) -> None:
        w = self.world
        if run.deadline is None:
            return
        if w.now < run.deadline:
            w.wake(run.deadline, run.table, run.key)
            return
        match run.kind:
            case "preparation":
                attendance.preparation_timed_out(w, w.attendances[run.subject])
            case "release":
                attendance.release_timed_out(w, w.attendances[run.subject])
            case "task" | "coordination":
                tasks.deadline_reached(w, w.tasks[run.subject])


def _dropping(pool_id: str, node_id: str) -> Callable[[NodeDriver], None]:
    return lambda driver: driver.drop_node(pool_id, node_id)
