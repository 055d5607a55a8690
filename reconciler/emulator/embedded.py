"""An emulator as a child process of a test: real server, real signals, gone when the test is over."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from reconciler.emulator import control
from reconciler.emulator.control import EmulatorError, Running

_PATIENCE = 20.0


class Emulator:
    """``with Emulator(state=tmp_path) as emulator:`` serves at ``emulator.endpoint`` until the block ends."""

    def __init__(self, state: Path, *, port: int = 0, idle_exit: float | None = None) -> None:
        self._state = state
        self._port = port
        self._idle_exit = idle_exit
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

    def start(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = control.command_line(self._state, self._port)
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

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Install these rules in place of all others; none clears them."""
        self._control("PUT", "faults", rules)

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """The Batch requests handled after number *since*: n, method, path, query, status (0: connection reset)."""
        entries: list[dict[str, Any]] = self._control("GET", f"requests?since={since}")
        return entries

    def _control(self, method: str, name: str, body: object = None) -> Any:
        address = urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_PATIENCE)
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
