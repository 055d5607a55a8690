"""The HTTP server on loopback: sockets in, `wire` values through, sockets out; and the loop that lets time pass.

Started by `__main__`. Everything runs in one event loop, and every request is one transaction of the engine, so two
writers never see the same version (conditional requests are decided atomically).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from reconciler.emulator import auth, faults, routes
from reconciler.emulator.conditions import NotModified
from reconciler.emulator.engine import Engine
from reconciler.emulator.errors import ServiceError, refuse
from reconciler.emulator.nodes import ProcessNodes
from reconciler.emulator.store import SqliteStore
from reconciler.emulator.switches import Limits, Switches
from reconciler.emulator.times import WallClock
from reconciler.emulator.wire import JSON_TYPE, Answer, Request, error_answer, new_request_id
from reconciler.emulator.world import Account

LOG = logging.getLogger("reconciler.emulator")
HOST = "127.0.0.1"
CONTROL = "/$emulator/"
_CHUNK = 1 << 18
_EMPTY = "empty"  # marks a chunked response without a body
_SHORT_POLL, _LONG_POLL, _LONG_WAIT = 0.01, 0.1, 1.0  # seconds between looks at running processes; without any
_BRISK = 1.0  # seconds after the last request or change during which the short poll is used


@dataclass(frozen=True, slots=True)
class Settings:
    """One account on this machine."""

    state: Path
    account: str
    key: str
    port: int
    idle_exit: float | None = None
    """Seconds without requests, unfinished jobs and processes after which the server ends; None: never."""


class Server:
    """The account `settings` describe, once `run` is called."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = base64.b64decode(settings.key)
        self._endpoint = f"http://{HOST}:{settings.port}"
        self._limits, self._switches = Limits(), Switches()
        self._clock = WallClock()
        self._nodes = ProcessNodes(settings.state, self._limits)
        self._store = SqliteStore(settings.state / "account.sqlite")
        account = Account(settings.account, f"{self._endpoint}/")
        self._engine = Engine(account, self._nodes, self._store, switches=self._switches, limits=self._limits)
        self._faults = faults.Faults()
        self._log = faults.RequestLog(self._limits.remembered_requests)
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._last_request = time.monotonic()

    async def run(self, listening: asyncio.Event, sock: Any) -> None:
        """Serve on the bound socket until `end` is called or the account has been idle for long enough."""
        self._engine.resume(self._clock.now())
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        app.on_response_prepare.append(_drop_content_type)
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        listening.set()
        try:
            await self._let_time_pass()
        finally:
            await runner.cleanup()
            self._engine.power_off(self._clock.now())
            self._nodes.stop()
            self._store.close()

    def end(self) -> None:
        """Have `run` end all tasks and return."""
        self._ending.set()
        self._changed.set()

    # --- time

    async def _let_time_pass(self) -> None:
        while not self._ending.is_set() and not self._is_idle_for_long():
            self._engine.tick(self._clock.now())
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._pause())

    def _pause(self) -> float:
        due = self._engine.next_due()
        pause = _LONG_WAIT if due is None else min(max((due - self._clock.now()) / 1e7, 0.001), _LONG_WAIT)
        if not self._nodes.is_running():
            return pause
        brisk = time.monotonic() - self._last_request < _BRISK or self._nodes.is_lively()
        return min(pause, _SHORT_POLL if brisk else _LONG_POLL)

    def _is_idle_for_long(self) -> bool:
        limit = self._settings.idle_exit
        if limit is None or time.monotonic() - self._last_request < limit:
            return False
        return not self._engine.is_busy()

    # --- requests

    async def _serve(self, raw: web.Request) -> web.StreamResponse:
        self._last_request = time.monotonic()
        path, query = _split_target(raw.raw_path)
        if unquote(path).startswith(CONTROL):
            return await self._serve_control(raw, unquote(path))
        return await self._serve_batch(raw, path, query)

    async def _serve_batch(self, raw: web.Request, path: str, query: str) -> web.StreamResponse:
        fault = self._faults.next(raw.method, unquote(path))
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            fault = None
        request_id, base = new_request_id(), self._base(raw)
        headers = {name.lower(): value for name, value in raw.headers.items()}
        if fault is not None and fault.kind == "reset":
            return self._reset(raw, path, query)
        if fault is not None and fault.kind == "status":
            answer = self._faulty(fault, base, request_id)
        else:
            answer = await self._answer(raw, path, query, headers, base, request_id)
            self._changed.set()
            if fault is not None and fault.kind == "reset-after":
                return self._reset(raw, path, query)
            if fault is not None:
                answer = self._faulty(fault, base, request_id)
        self._log.add(raw.method, unquote(path), query, answer.status)
        return await self._send(raw, answer, request_id, headers)

    async def _answer(
        self, raw: web.Request, path: str, query: str, headers: dict[str, str], base: str, request_id: str
    ) -> Answer:
        try:
            signed = auth.Signed(raw.method, path, query, headers)
            auth.check(signed, self._settings.account, self._key, self._clock.now(), self._switches.clock_skew)
            body = await self._read_body(raw)
            request = Request(raw.method, path, routes.read_query(query), headers, body, base, query)
            return routes.handle(self._engine, self._nodes, request, self._clock.now())
        except NotModified:
            return Answer(304)
        except ServiceError as error:
            return error_answer(error, base, self._clock.now(), request_id)

    async def _read_body(self, raw: web.Request) -> bytes:
        limit = self._limits.body_bytes
        body = bytearray()
        if (raw.content_length or 0) <= limit:
            async for chunk in raw.content.iter_any():
                body += chunk
                if len(body) > limit:
                    break
            else:
                return bytes(body)
        raise refuse("RequestBodyTooLarge", ("MaxLimit", str(limit)))

    def _base(self, raw: web.Request) -> str:
        """Scheme, host and port as the client wrote them, if they can only mean this server."""
        host = raw.headers.get("Host", "")
        port = self._settings.port
        return f"http://{host}" if host in (f"localhost:{port}", f"[::1]:{port}") else self._endpoint

    def _faulty(self, fault: faults.Rule, base: str, request_id: str) -> Answer:
        error = ServiceError(fault.status, fault.code, fault.message)
        answer = error_answer(error, base, self._clock.now(), request_id)
        if fault.retry_after is None:
            return answer
        return Answer(answer.status, answer.body, {"Retry-After": f"{fault.retry_after:g}"}, reason=answer.reason)

    def _reset(self, raw: web.Request, path: str, query: str) -> web.StreamResponse:
        self._log.add(raw.method, unquote(path), query, 0)
        if raw.transport is not None:
            raw.transport.abort()
        raise ConnectionResetError("a fault was asked for")

    async def _send(
        self, raw: web.Request, answer: Answer, request_id: str, asked: dict[str, str]
    ) -> web.StreamResponse:
        headers = {
            "request-id": request_id,
            "DataServiceVersion": "3.0",
            "Server": "Microsoft-HTTPAPI/2.0",
            "X-Content-Type-Options": "nosniff",
            **answer.headers,
        }
        if asked.get("return-client-request-id", "").lower() == "true" and "client-request-id" in asked:
            headers["client-request-id"] = asked["client-request-id"]
        if answer.file is not None:
            return await _send_file(raw, answer, headers)
        if answer.length is not None:
            response = web.StreamResponse(status=answer.status, headers=headers)
            response.content_length = answer.length
            await response.prepare(raw)
            return response
        return _plain(answer, headers, head=raw.method == "HEAD")

    # --- control routes, outside of Batch

    async def _serve_control(self, raw: web.Request, path: str) -> web.StreamResponse:
        name = path.removeprefix(CONTROL)
        if name == "health" and raw.method == "GET":
            return web.json_response({"account": self._settings.account, "pid": os.getpid()})
        if not self._may_control(raw):
            return web.json_response({"error": "the X-Emulator-Key header or a signature is required"}, status=403)
        match (raw.method, name):
            case ("PUT", "faults"):
                return await self._install_faults(raw)
            case ("DELETE", "faults"):
                self._faults.install([])
                return web.json_response({})
            case ("GET", "requests"):
                since = raw.query.get("since", "0")
                entries = self._log.since(int(since) if since.isdigit() else 0)
                return web.json_response(entries)
        return web.json_response({"error": "no such control route"}, status=404)

    def _may_control(self, raw: web.Request) -> bool:
        given = raw.headers.get("X-Emulator-Key", "")
        if given:
            return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._settings.key.encode())
        path, query = _split_target(raw.raw_path)
        headers = {name.lower(): value for name, value in raw.headers.items()}
        try:
            signed = auth.Signed(raw.method, path, query, headers)
            auth.check(signed, self._settings.account, self._key, self._clock.now(), self._switches.clock_skew)
        except ServiceError:
            return False
        return True

    async def _install_faults(self, raw: web.Request) -> web.StreamResponse:
        try:
            rules = faults.parse(json.loads(await self._read_body(raw)))
        except (ValueError, RecursionError, faults.BadRule, ServiceError) as error:
            return web.json_response({"error": str(error)}, status=400)
        self._faults.install(rules)
        return web.json_response({"rules": len(rules)})


def _split_target(target: str) -> tuple[str, str]:
    """Path and query as sent; a target in absolute form is cut down to its path."""
    if target.startswith(("http://", "https://")):
        target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
    path, _, query = target.partition("?")
    return path, query.partition("#")[0]


async def _drop_content_type(request: web.Request, response: web.StreamResponse) -> None:
    """An empty answer has no content type (R26); aiohttp would add one because it cannot know the length."""
    if response.get(_EMPTY):
        del response.headers["Content-Type"]


def _plain(answer: Answer, headers: dict[str, str], *, head: bool) -> web.Response:
    if answer.body is not None and not head:
        body = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        response = web.Response(status=answer.status, body=body, headers={"Content-Type": JSON_TYPE, **headers})
    else:
        response = web.Response(status=answer.status, headers=headers)
    if answer.reason is not None:
        response.set_status(answer.status, " ".join(answer.reason.split()))
    elif answer.status not in (204, 304) and not head:
        response.enable_chunked_encoding()  # as the service frames its answers (R26)
        response[_EMPTY] = answer.body is None
    return response


async def _send_file(raw: web.Request, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    """As many bytes as the file had when it was found, or fewer if it shrinks meanwhile."""
    if answer.file is None:
        raise AssertionError("no file to send")
    file, offset, length = answer.file
    response = web.StreamResponse(status=answer.status, headers=headers)
    with file:
        file.seek(offset)
        await response.prepare(raw)
        while length > 0 and (chunk := file.read(min(_CHUNK, length))):
            length -= len(chunk)
            await response.write(chunk)
    return response
