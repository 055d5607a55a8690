"""A simulated account over HTTP: the emulator's server in a thread of this process. Used by `simulation`.

Once the server runs, everything that concerns the account is done in its thread.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from reconciler.emulator.control import HOST
from reconciler.emulator.server import Parts, Server, Settings

T = TypeVar("T")


class Loopback:
    """The way to the account: a direct call, or through the loop of the server once it was asked for."""

    def __init__(self, account: str, parts: Parts, before_request: Callable[[], None]) -> None:
        self.account = account
        self.key = base64.b64encode(hashlib.sha512(account.encode()).digest()).decode()
        self._parts = parts
        self._before_request = before_request
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: _SimulatedServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    def call(self, function: Callable[[], T]) -> T:
        """The function's answer; it is called where the account lives."""
        if self._loop is None:
            return function()

        async def do() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(do(), self._loop).result()

    @property
    def endpoint(self) -> str:
        if self._thread is None:
            self._start()
        return f"http://{HOST}:{self._port}"

    def requests(self, since: int) -> list[dict[str, Any]]:
        server = self._server
        return [] if server is None else self.call(lambda: server.requests(since))

    def _start(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind((HOST, 0))
        self._port = sock.getsockname()[1]
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(sock, started), name="simulation", daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, sock: socket.socket, started: threading.Event) -> None:
        asyncio.run(self._serve(sock, started))

    async def _serve(self, sock: socket.socket, started: threading.Event) -> None:
        settings = Settings(Path(), self.account, self.key, self._port)
        self._server, listening = _SimulatedServer(settings, self._parts, self._before_request), asyncio.Event()
        serving = asyncio.create_task(self._server.run(listening, sock))
        await listening.wait()
        self._loop = asyncio.get_running_loop()
        started.set()
        await serving

    def stop(self) -> None:
        """End the server; the account stays."""
        loop, thread, server = self._loop, self._thread, self._server
        if loop is None or thread is None or server is None:
            return
        loop.call_soon_threadsafe(server.end)
        thread.join()
        self._loop = self._thread = self._server = None


class _SimulatedServer(Server):
    """Neither begins nor ends the work of the account, and leaves its clock alone but for the pace asked for."""

    def __init__(self, settings: Settings, parts: Parts, before_request: Callable[[], None]) -> None:
        super().__init__(settings, parts)
        self._before_request = before_request

    def requests(self, since: int) -> list[dict[str, Any]]:
        return self._log.since(since)

    def _begin(self) -> None:
        return None

    def _finish(self) -> None:
        return None

    async def _serve(self, raw: web.Request) -> web.StreamResponse:
        self._before_request()
        return await super()._serve(raw)
