"""The simulated driver: nodes that hold any number of commands and run none, on a clock that somebody else moves.

The engine calls it through `ports.NodeDriver`. What a command does (how long, which exit code, what it prints) is said
by scripts; without one `sleep N` and `exit N` in a command line mean what they say. `simulation` gives it to users.
"""

from __future__ import annotations

import heapq
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.nodes import FOLDERS
from reconciler.emulator.ports import Ended, Launch
from reconciler.emulator.times import SECOND, Clock

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SLEEP = re.compile(r"\bsleep\s+(\d+(?:\.\d+)?)([smhd]?)\b", re.ASCII)
_FOREVER = re.compile(r"\bsleep\s+infinity\b")
_EXIT = re.compile(r"\bexit\s+(\d{1,3})\b", re.ASCII)
_FALSE = re.compile(r"(?:/usr)?(?:/bin/)?false\s*", re.ASCII)
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command does: it runs for so many *seconds* (None: until it is ended) and ends with *exit_code*.

    With a *problem*, a failure code such as CommandProgramNotFound, it does not start at all.
    """

    seconds: float | None = 0.0
    exit_code: int = 0
    problem: str | None = None
    stdout: str = ""
    stderr: str = ""


Script = Callable[[Launch], Outcome | None]


@dataclass(slots=True)
class Rule:
    """A script by patterns: regular expressions, matched whole for ids (in any case), searched for command lines."""

    pool: re.Pattern[str]
    job: re.Pattern[str]
    task: re.Pattern[str]
    node: re.Pattern[str]
    command: re.Pattern[str]
    seconds: float | tuple[float, float] | None
    exit_code: int
    problem: str | None
    stdout: str
    stderr: str
    left: int | None
    seed: int

    def __call__(self, launch: Launch) -> Outcome | None:
        if self.left == 0 or not self._fits(launch):
            return None
        if self.left is not None:
            self.left -= 1
        seconds = self.seconds
        if isinstance(seconds, tuple):
            seconds = random.Random(f"{self.seed}/{launch.run}").uniform(*seconds)
        return Outcome(seconds, self.exit_code, self.problem, self.stdout, self.stderr)

    def _fits(self, launch: Launch) -> bool:
        return bool(
            self.task.fullmatch(task_of(launch))
            and self.job.fullmatch(launch.variables.get("AZ_BATCH_JOB_ID", ""))
            and self.pool.fullmatch(launch.pool)
            and self.node.fullmatch(launch.node)
            and self.command.search(launch.command_line)
        )


def task_of(launch: Launch) -> str:
    """The id of the task, of the preparation or release task; `startup` for a start task."""
    return launch.variables.get("AZ_BATCH_TASK_ID", "startup")


def understand(command_line: str, seconds: float) -> Outcome:
    """What a command line says by itself: all its sleeps one after the other, and its last exit code."""
    if _FOREVER.search(command_line):
        return Outcome(None)
    sleeps = [float(number) * _UNITS[unit] for number, unit in _SLEEP.findall(command_line)]
    codes = _EXIT.findall(command_line)
    code = int(codes[-1]) % 256 if codes else int(bool(_FALSE.fullmatch(command_line)))
    return Outcome(sum(sleeps) if sleeps else seconds, code)


class SimulatedNodes:
    """Nodes without machines. *seconds* is how long a command runs of which nothing else is known."""

    runs_commands = False

    def __init__(self, clock: Clock, *, seconds: float = 1.0) -> None:
        self.scripts: list[Script] = []
        self._clock = clock
        self._seconds = seconds
        self._live: dict[str, tuple[Launch, Ended]] = {}
        self._runs: dict[Place, dict[str, None]] = {}
        self._due: list[tuple[int, str]] = []
        self._unwritten: dict[Place, dict[str, tuple[str, str]]] = {}
        self._disk: Path | None = None

    # --- nodes

    def make_node(self, pool: str, node: str) -> None:
        self._runs.setdefault((pool, node), {})
        self._unwritten.setdefault((pool, node), {})

    def stop_node(self, pool: str, node: str) -> None:
        for run in list(self._runs.get((pool, node), ())):
            self.kill(run)

    def drop_node(self, pool: str, node: str) -> None:
        self.stop_node(pool, node)
        self._runs.pop((pool, node), None)
        self._unwritten.pop((pool, node), None)
        if self._disk is not None:
            shutil.rmtree(self._disk / pool / node, ignore_errors=True)

    def clean_up(self, nodes: Container[tuple[str, str]], jobs: Container[str], runs: Container[str]) -> None:
        """Nothing outlives a simulation."""

    # --- runs

    def start(self, launch: Launch) -> None:
        outcome = self._ask(launch)
        now, place = self._clock.now(), (launch.pool, launch.node)
        self._runs.setdefault(place, {})[launch.run] = None
        self._unwritten.setdefault(place, {})[launch.directory] = (outcome.stdout, outcome.stderr)
        if outcome.problem is not None:
            ended = Ended(launch.run, now, problem=outcome.problem, detail="The simulation says so")
        else:
            ended = Ended(launch.run, now + int((outcome.seconds or 0.0) * SECOND), exit_code=outcome.exit_code)
        self._live[launch.run] = (launch, ended)
        if outcome.seconds is not None:
            heapq.heappush(self._due, (ended.at, launch.run))

    def _ask(self, launch: Launch) -> Outcome:
        for script in self.scripts:
            outcome = script(launch)
            if outcome is not None:
                return outcome
        return understand(launch.command_line, self._seconds)

    def kill(self, run: str) -> None:
        self._take(run)

    def _take(self, run: str) -> Ended | None:
        entry = self._live.pop(run, None)
        if entry is None:
            return None
        launch, ended = entry
        self._runs.get((launch.pool, launch.node), {}).pop(run, None)
        return ended

    def end_leftovers(self, pool: str, node: str, directory: str) -> None:
        """Nothing runs in the background of a simulation."""

    def remove(self, pool: str, node: str, directory: str) -> None:
        for run in list(self._runs.get((pool, node), ())):
            if _is_inside(self._live[run][0].directory, directory):
                self.kill(run)
        unwritten = self._unwritten.get((pool, node), {})
        if unwritten.pop(directory, None) is None:
            for name in [name for name in unwritten if _is_inside(name, directory)]:
                del unwritten[name]
        if self._disk is not None:
            shutil.rmtree(self._disk / pool / node / directory, ignore_errors=True)

    def poll(self, now: int) -> list[Ended]:
        ended = []
        while self._due and self._due[0][0] <= now:
            one = self._take(heapq.heappop(self._due)[1])
            if one is not None:
                ended.append(one)
        return ended

    def next_due(self) -> int | None:
        while self._due and self._due[0][1] not in self._live:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    # --- files, written only when somebody asks for them

    def root(self, pool: str, node: str) -> Path:
        """The node's directory, with the output of every command that was started there and not removed since."""
        if self._disk is None:
            self._disk = Path(tempfile.mkdtemp(prefix="batch-simulation-")).resolve()
        root = self._disk / pool / node
        unwritten = self._unwritten.get((pool, node))
        if unwritten is None:
            return root
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        for directory, (stdout, stderr) in unwritten.items():
            (root / directory / "wd").mkdir(parents=True, exist_ok=True)
            (root / directory / "stdout.txt").write_text(stdout)
            (root / directory / "stderr.txt").write_text(stderr)
        unwritten.clear()
        return root

    def is_running(self) -> bool:
        return False

    def is_lively(self) -> bool:
        return False

    def measure(self, pool: str) -> None:
        return None

    def bell(self) -> None:
        return None

    def stop(self) -> None:
        """Forget all runs and remove all files."""
        self._live.clear()
        self._due.clear()
        self._runs.clear()
        if self._disk is not None:
            shutil.rmtree(self._disk, ignore_errors=True)
            self._disk = None


def _is_inside(name: str, directory: str) -> bool:
    return name == directory or name.startswith(f"{directory}/")
