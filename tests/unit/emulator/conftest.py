"""An account on a virtual clock: the real engine, nodes that only pretend to run commands."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from reconciler.emulator import jobs, machines, pools, tasks
from reconciler.emulator.engine import Engine
from reconciler.emulator.ports import Ended, Launch, Meters
from reconciler.emulator.store import MemoryStore
from reconciler.emulator.switches import Switches, Timings
from reconciler.emulator.times import SECOND, parse_iso
from reconciler.emulator.world import Account

BEGIN = parse_iso("2026-01-01T00:00:00Z")


@dataclasses.dataclass
class Pretend:
    """A driver whose commands read `<seconds> <exit code>`, or `missing` for a program that does not exist."""

    clock: Clock
    live: dict[str, tuple[Launch, int, Ended]] = dataclasses.field(default_factory=dict)
    started: list[Launch] = dataclasses.field(default_factory=list)
    killed: list[str] = dataclasses.field(default_factory=list)
    removed: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    swept: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    up: set[str] = dataclasses.field(default_factory=set)
    lost: set[str] = dataclasses.field(default_factory=set)
    meters: Meters | None = None
    runs_commands = True

    def make_node(self, pool: str, node: str) -> None:
        self.up.add(node)

    def drop_node(self, pool: str, node: str) -> None:
        self.stop_node(pool, node)
        self.up.discard(node)

    def stop_node(self, pool: str, node: str) -> None:
        self.live = {run: entry for run, entry in self.live.items() if entry[0].node != node}

    def start(self, launch: Launch) -> None:
        assert launch.node in self.up, "a command was started on a node that is not up"
        assert launch.run not in self.live
        self.started.append(launch)
        if launch.command_line == "missing":
            at, ended = self.clock.time, Ended(launch.run, self.clock.time, problem="CommandProgramNotFound")
        else:
            seconds, code = (launch.command_line or "1 0").split()
            at = self.clock.time + int(float(seconds) * SECOND)
            ended = Ended(launch.run, at, exit_code=int(code))
        self.live[launch.run] = (launch, at, ended)

    def clean_up(self, nodes: Any, jobs: Any, runs: Any) -> None:
        pass

    def kill(self, run: str) -> None:
        self.live.pop(run, None)
        self.killed.append(run)

    def remove(self, pool: str, node: str, directory: str) -> None:
        self.removed.append((node, directory))

    def end_leftovers(self, pool: str, node: str, directory: str) -> None:
        self.swept.append((node, directory))

    def poll(self, now: int) -> list[Ended]:
        done = [run for run, (_, at, _) in self.live.items() if at <= now]
        ended = [self.live.pop(run)[2] for run in done]
        return ended + [Ended(run, now) for run in self.lost if self.live.pop(run, None)]

    def measure(self, pool: str) -> Any:
        return self.meters

    def next_due(self) -> int | None:
        return min((at for _, at, _ in self.live.values()), default=None)

    def words(self, name: str) -> list[str]:
        """The nodes on which the task of that name was started, in order."""
        return [launch.node for launch in self.started if launch.directory.split("/")[-1] == name]


@dataclasses.dataclass
class Clock:
    time: int = BEGIN


class VirtualAccount:
    """Requests to the engine in short form, and a hand on the clock."""

    def __init__(self, **switches: Any) -> None:
        self.clock = Clock()
        self.driver = Pretend(self.clock)
        self.engine = Engine(
            Account("local", "http://x/"),
            self.driver,
            MemoryStore(),
            switches=dataclasses.replace(Switches(), **switches),
            timings=Timings(),
        )
        self.engine.resume(self.clock.time)
        self.w = self.engine.world

    def do(self, function: Any, *arguments: Any, **keywords: Any) -> Any:
        with self.engine.transaction(self.clock.time) as w:
            return function(w, *arguments, **keywords)

    def pass_time(self, seconds: float) -> None:
        """Let the time pass from event to event, exactly."""
        end = self.clock.time + int(seconds * SECOND)
        steps = 0
        while (due := self.engine.next_due()) is not None and due <= end:
            self.clock.time = max(due, self.clock.time)
            self.engine.tick(self.clock.time)
            steps += 1
            assert steps < 100_000, "time does not pass"
        self.clock.time = end
        self.engine.tick(end)

    def pool(self, pool_id: str = "p", nodes: int = 1, **settings: Any) -> Any:
        body = {
            "id": pool_id,
            "vmSize": "a",
            "virtualMachineConfiguration": {
                "imageReference": {"publisher": "p", "offer": "o", "sku": "s"},
                "nodeAgentSKUId": "x",
            },
            "targetDedicatedNodes": nodes,
            **settings,
        }
        return self.do(pools.create, body)

    def job(self, job_id: str = "j", pool_id: str = "p", **settings: Any) -> Any:
        return self.do(jobs.create, {"id": job_id, "poolInfo": {"poolId": pool_id}, **settings})

    def task(self, job: Any, task_id: str = "t", command: str = "1 0", **settings: Any) -> Any:
        return self.do(tasks.add, job, {"id": task_id, "commandLine": command, **settings})

    def nodes(self, pool_id: str = "p") -> list[Any]:
        return list(self.w.nodes_of_pool[pool_id].values())

    def reboot(self, node: Any, option: str = "requeue") -> None:
        self.do(machines.reboot_by_request, node, {"nodeRebootOption": option})


@pytest.fixture
def account():
    return VirtualAccount()


@pytest.fixture
def new_account():
    return VirtualAccount
