"""A whole Batch account on a clock of its own, in the caller's process: hours pass in milliseconds.

For users' tests: of what they submit, of programs that submit it, of how either copes with trouble. The engine is the
emulator's; only nodes and time are simulated, so nothing is executed and no two runs differ.

    from reconciler.emulator import Simulation

    with Simulation() as batch:
        batch.script(task="train-.*", seconds=6 * 3600, exit_code=1, times=1)   # fails once, after six hours
        batch.request("POST", "/pools", pool_body)
        batch.request("POST", "/jobs", job_body)
        batch.request("POST", "/jobs/nightly/tasks", {"id": "train-1", "commandLine": "python train.py"})
        batch.run_until_idle()
        assert batch.get("/jobs/nightly/tasks/train-1")["executionInfo"]["exitCode"] == 1

An unmodified client reaches the same account over HTTP on loopback, for as long as the block lasts:

        client = BatchClient(batch.endpoint, AzureNamedKeyCredential(batch.account, batch.key))
        client.create_task("nightly", {"id": "train-2", "commandLine": "sleep 30m"})
        batch.advance(minutes=31)
        assert client.get_task("nightly", "train-2").state == "completed"
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from reconciler.emulator import mishaps, routes
from reconciler.emulator.conditions import NotModified
from reconciler.emulator.control import EmulatorError
from reconciler.emulator.engine import Engine
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.faults import Faults, parse
from reconciler.emulator.faults import Rule as FaultRule
from reconciler.emulator.idleness import is_idle
from reconciler.emulator.loopback import Loopback
from reconciler.emulator.packages import Shelf
from reconciler.emulator.server import Parts
from reconciler.emulator.simulated import Rule, Script, SimulatedNodes
from reconciler.emulator.store import MemoryStore
from reconciler.emulator.switches import Limits, Switches, Timings
from reconciler.emulator.times import SECOND, parse_iso
from reconciler.emulator.wire import Answer, Request, error_answer, new_request_id
from reconciler.emulator.world import Account, World

T = TypeVar("T")
START = "2026-01-01T00:00:00Z"
BASE = "http://simulation"
VERSION = "2025-06-01"
_ONE_MONTH = 30 * 86_400.0
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class VirtualClock:
    """A time in ticks that stands still until it is moved."""

    time: int

    def now(self) -> int:
        return self.time


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the simulated service: status, decoded body (None: empty) and headers, names in lower case."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str | None:
        """The error code of a refusal."""
        return self.body.get("code") if self.status >= 400 and isinstance(self.body, dict) else None


class Simulation:
    """One simulated account. As a context manager it is closed, its files and its HTTP server with it, at the end.

    *start* is the first moment (ISO 8601). *seconds* is how long a command takes of which nothing else is known; one
    with `sleep N` (also 5m, 2h, infinity) or `exit N` in it does as it says. *seconds_per_request* lets time go on by
    that much with every HTTP request, for clients that poll in a loop of their own. *switches*, *timings* and *limits*
    are those of `reconciler.emulator.switches`. *applications* is a folder of application packages to refer to, laid
    out as an emulator's `STATE/applications`; without one there are none.
    """

    def __init__(
        self,
        *,
        start: str = START,
        seconds: float = 1.0,
        seconds_per_request: float = 0.0,
        switches: Switches | None = None,
        timings: Timings | None = None,
        limits: Limits | None = None,
        account: str = "simulated",
        applications: Path | None = None,
    ) -> None:
        self._clock = VirtualClock(parse_iso(start))
        self._nodes = SimulatedNodes(self._clock, seconds=seconds)
        self._engine = Engine(
            Account(account, f"{BASE}/"),
            self._nodes,
            MemoryStore(),
            switches=switches,
            timings=timings,
            limits=limits,
        )
        self._engine.world.packages = Shelf(applications)
        self._engine.resume(self._clock.time)
        parts = Parts(self._engine, self._nodes, self._clock, Faults())
        self._faults, self._limits = parts.faults, self._engine.world.limits
        self._engine.alter = self._faults.alter
        pace = int(seconds_per_request * SECOND)
        self._loopback = Loopback(account, parts, lambda: self._advance(pace) if pace else None)

    def __enter__(self) -> Simulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the HTTP server, if there is one, and remove the files of the nodes."""
        self._loopback.stop()
        self._nodes.stop()

    # --- what commands do

    def script(
        self,
        *,
        pool: str = ".*",
        job: str = ".*",
        task: str = ".*",
        node: str = ".*",
        command: str = "",
        seconds: float | tuple[float, float] | None = 0.0,
        exit_code: int = 0,
        problem: str | None = None,
        stdout: str = "",
        stderr: str = "",
        times: int | None = None,
        seed: int = 0,
    ) -> None:
        """Say what the commands do that fit; of several scripts the one added last that fits counts.

        *pool*, *job*, *task* and *node* are regular expressions for whole ids in any case (task: also the id of a
        preparation or release task, `startup` for a start task); *command* is searched for in command lines. *seconds*
        may be a pair, then a number between both is drawn by *seed*; None runs until something ends it. *problem*
        keeps the command from starting, with a failure code such as CommandProgramNotFound. *times* is how many runs
        this is for, None: all.
        """
        rule = Rule(
            pool=re.compile(pool, re.IGNORECASE),
            job=re.compile(job, re.IGNORECASE),
            task=re.compile(task, re.IGNORECASE),
            node=re.compile(node, re.IGNORECASE),
            command=re.compile(command),
            seconds=seconds,
            exit_code=exit_code,
            problem=problem,
            stdout=stdout,
            stderr=stderr,
            left=times,
            seed=seed,
        )
        self.on_run(rule)

    def on_run(self, script: Script) -> None:
        """Ask this function about every command before those added earlier; None leaves the command to them."""
        self._nodes.scripts.insert(0, script)

    # --- what the account holds

    @property
    def world(self) -> World:
        """The records of the account as they are now, with what no request shows. To be read only."""
        return self._engine.world

    # --- time

    @property
    def now(self) -> datetime:
        """The simulated time, in UTC, to the microsecond."""
        return _YEAR_ONE + timedelta(microseconds=self._clock.time // 10)

    def advance(self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0) -> None:
        """Let exactly so much time pass, and everything happen that falls into it, in order."""
        total = seconds + 60 * minutes + 3600 * hours + 86_400 * days
        if total < 0:
            raise ValueError("time does not go back")
        self._loopback.call(lambda: self._advance(int(total * SECOND)))

    def run_until(self, question: Callable[[], object], *, limit: float = _ONE_MONTH) -> None:
        """Let time pass, from event to event, until *question* is answered with something true.

        Raises EmulatorError when *limit* seconds of simulated time have passed or nothing more will happen.
        """
        end = self._clock.time + int(limit * SECOND)
        while not question():
            if not self._loopback.call(lambda: self._step(end)):
                raise EmulatorError(f"still not so at {self.now.isoformat()}: {question}")

    def run_until_idle(self, *, limit: float = _ONE_MONTH) -> None:
        """Let time pass until no command runs and no pool, node or job is on its way from one state to another.

        What only waits for a far moment (retention times, wall clock limits, recurrences, tasks without a node) is
        left waiting. Raises EmulatorError when *limit* seconds of simulated time were not enough.
        """
        self._loopback.call(lambda: self._run_until_idle(self._clock.time + int(limit * SECOND)))

    def _advance(self, ticks: int) -> None:
        end = self._clock.time + ticks
        while self._step(end):
            pass
        self._clock.time = end
        self._engine.tick(end)

    def _run_until_idle(self, end: int) -> None:
        self._engine.tick(self._clock.time)
        while not is_idle(self._engine.world):
            if not self._step(end):
                raise EmulatorError(f"not idle at {self.now.isoformat()}")

    def _step(self, end: int) -> bool:
        """Go to the next event, unless it is after *end* or there is none."""
        due = self._engine.next_due()
        if due is None or due > end:
            return False
        self._clock.time = max(due, self._clock.time)
        self._engine.tick(self._clock.time)
        return True

    # --- requests without sockets

    def get(self, path: str, query: str = "") -> Any:
        """The body of a GET. Raises EmulatorError if it is refused."""
        answer = self.request("GET", path, query=query)
        if answer.status >= 300:
            raise EmulatorError(f"GET {path}: {answer.status} {answer.body}")
        return answer.body

    def request(
        self, method: str, path: str, body: object = None, *, query: str = "", headers: dict[str, str] | None = None
    ) -> Response:
        """One request to the account, neither signed nor sent; *query* may name another api-version. A body of bytes is
        taken as it is."""
        if "api-version" not in query:
            query = f"api-version={VERSION}" + (f"&{query}" if query else "")
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        return self._loopback.call(lambda: self._handle(method, path, query, lower, content))

    def _handle(self, method: str, path: str, query: str, headers: dict[str, str], content: bytes) -> Response:
        try:
            request = Request(method, path, routes.read_query(query), headers, content, BASE, query)
            answer = routes.handle(self._engine, self._nodes, request, self._clock.time)
        except NotModified:
            answer = Answer(304)
        except ServiceError as error:
            answer = error_answer(error, BASE, self._clock.time, new_request_id())
        shown = {name.lower(): value for name, value in answer.headers.items()}
        if answer.length is not None:
            shown["content-length"] = str(answer.length)
        if answer.file is None:
            return Response(answer.status, answer.body, shown)
        file, offset, length = answer.file
        with file:
            file.seek(offset)
            return Response(answer.status, file.read(length), shown)

    # --- requests over HTTP

    @property
    def endpoint(self) -> str:
        """Where the account answers over HTTP; a server is started on loopback when this is first asked for."""
        return self._loopback.endpoint

    @property
    def account(self) -> str:
        return self._loopback.account

    @property
    def key(self) -> str:
        return self._loopback.key

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """The HTTP requests handled after number *since*, as `Emulator.requests` tells them."""
        return self._loopback.requests(since)

    # --- trouble

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Install these rules (see `reconciler.emulator.faults.parse`) in place of all others; none clears them.

        Rules for requests concern HTTP, delays in them are real time; rules for runs concern every command.
        """
        parsed = parse(rules)
        self._loopback.call(lambda: self._install(parsed))

    def _install(self, rules: list[FaultRule]) -> None:
        self._faults.install(rules)
        self._engine.world.limits = self._faults.limits(self._limits)
        self._engine.keep_history(wanted=self._faults.need_history)

    def chaos(self, seed: int, **settings: Any) -> None:
        """A seeded mixture of 429, 503, resets and latency for HTTP requests, in place of all other rules."""
        self.faults([{"kind": "chaos", "seed": seed, **settings}])

    def lose_node(self, pool: str, node: str, *, seconds: float | None = None, state: str = "unusable") -> None:
        """The node becomes unusable, its tasks go back to the queue; it starts again after *seconds*, None: never.

        *state* may also be unknown, for a node the service has lost sight of, or upgradingos.
        """
        if state not in mishaps.LOSSES:
            raise EmulatorError(f"state is one of {', '.join(mishaps.LOSSES)}, not {state!r}")
        self._befall(mishaps.Mishap(pool, node, state, seconds))

    def preempt_node(self, pool: str, node: str, *, seconds: float | None = None) -> None:
        """A spot node is taken away; after *seconds* it is back under its id with an empty disk, None: never."""
        self._befall(mishaps.Mishap(pool, node, "preempted", seconds))

    def _befall(self, mishap: mishaps.Mishap) -> None:
        def do() -> None:
            with self._engine.transaction(self._clock.time) as w:
                mishaps.befall(w, mishap)

        try:
            self._loopback.call(do)
        except ServiceError as error:
            raise EmulatorError(f"{mishap.event}: {error}") from error
