"""An emulator as a child process of a test: real server, real signals, gone when the test is over."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from reconciler.emulator import control, tokens
from reconciler.emulator.control import EmulatorError, Running

_PATIENCE = 20.0


class Emulator:
    """``with Emulator(state=tmp_path) as emulator:`` serves at ``emulator.endpoint`` until the block ends.

    *tls* serves https with a certificate of its own (`ca`), *switches* chooses readings of what no source settles, by
    name (`reconciler emulator switches` lists them). *chaos* is the seed of a mixture of faults that is in force from
    the start. *host* is the address to listen on; beyond loopback, who has the key runs commands here from elsewhere.
    """

    def __init__(
        self,
        state: Path,
        *,
        port: int = 0,
        idle_exit: float | None = None,
        chaos: int | None = None,
        tls: bool = False,
        switches: Mapping[str, str] | None = None,
        host: str = control.HOST,
    ) -> None:
        self._state = state
        self._idle_exit = idle_exit
        self._options = control.Options(port, tls, dict(switches or {}), chaos, host)
        self._child: subprocess.Popen[bytes] | None = None
        self._running: Running | None = None

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> Running:
        if self._running is None:
            raise EmulatorError("the emulator is not running")
        return self._running

    @property
    def endpoint(self) -> str:
        return self.running.endpoint

    @property
    def account(self) -> str:
        return self.running.account

    @property
    def key(self) -> str:
        return self.running.key

    @property
    def state(self) -> Path:
        return self._state

    @property
    def ca(self) -> Path | None:
        """With TLS, the certificate to trust."""
        return self.running.ca

    def token(self, *, seconds: float = 3600.0) -> str:
        """A bearer token of the shape Entra gives out, good for so many seconds."""
        return tokens.issue(self.running.tenant, seconds=seconds)

    def start(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = control.command_line(self._state, self._options)
        if self._idle_exit is not None:
            command += ["--idle-exit", f"{self._idle_exit:g}"]
        with (self._state / "emulator.log").open("ab") as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=control.environment()
            )
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._child.poll() is None:
            self._running = control.status(self._state)
            if self._running is not None and self._running.pid == self._child.pid:
                return
            time.sleep(0.02)
        raise EmulatorError(f"the emulator did not start:\n{(self._state / 'emulator.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End the server and every task."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the server; tasks live on."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Up again, on the same port, with the state it left."""
        if self._child is not None:
            self.stop()
        self.start()

    def wait(self, timeout: float) -> int:
        """Until the server has ended by itself; its exit code."""
        if self._child is None:
            raise EmulatorError("the emulator is not running")
        return self._child.wait(timeout)

    def _end(self, how: signal.Signals) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.send_signal(how)
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def clear(self) -> None:
        """Forget all pools and jobs and clear all faults, at once; what runs is ended."""
        self._control("DELETE", "account")

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Install these rules (see `reconciler.emulator.faults.parse`) in place of all others; none clears them."""
        self._control("PUT", "faults", rules)

    def chaos(self, seed: int, **settings: Any) -> None:
        """A seeded mixture of 429, 503, resets and latency, in place of all other rules.

        *settings* are those of the rule `chaos`: rate, late, retryAfter, latency, method, path.
        """
        self.faults([{"kind": "chaos", "seed": seed, **settings}])

    def lose_node(self, pool: str, node: str, *, seconds: float | None = None, state: str = "unusable") -> None:
        """The node becomes unusable, its tasks go back to the queue; it starts again after *seconds*, None: never.

        *state* may also be unknown, for a node the service has lost sight of, or upgradingos.
        """
        self._control("POST", "nodes", {"pool": pool, "node": node, "event": state, "seconds": seconds})

    def preempt_node(self, pool: str, node: str, *, seconds: float | None = None) -> None:
        """A spot node is taken away; after *seconds* it is back under its id with an empty disk, None: never."""
        self._control("POST", "nodes", {"pool": pool, "node": node, "event": "preempted", "seconds": seconds})

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """The Batch requests handled after number *since*.

        Of each n, method, path, query, status (0: connection reset) and the kind of fault it met, or None.
        """
        entries: list[dict[str, Any]] = self._control("GET", f"requests?since={since}")
        return entries

    def _control(self, method: str, name: str, body: object = None) -> Any:
        connection = control.connect(self.endpoint, self.ca, _PATIENCE)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/$emulator/{name}", text, {"X-Emulator-Key": self.key})
            answer = connection.getresponse()
            shown = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise EmulatorError(f"{method} {name}: {shown}")
        return shown
