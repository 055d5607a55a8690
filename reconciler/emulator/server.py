"""The HTTP server: sockets in, `wire` values through, sockets out; and the loop that lets time pass.

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
import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from reconciler.emulator import auth, faults, mishaps, routes, sending
from reconciler.emulator.chaos import Trouble
from reconciler.emulator.conditions import NotModified
from reconciler.emulator.control import HOST, url_host
from reconciler.emulator.engine import Engine
from reconciler.emulator.errors import ServiceError, refuse
from reconciler.emulator.nodes import ProcessNodes
from reconciler.emulator.packages import FOLDER, Shelf
from reconciler.emulator.ports import Nodes
from reconciler.emulator.store import SqliteStore
from reconciler.emulator.switches import Limits, Switches
from reconciler.emulator.times import Clock, WallClock
from reconciler.emulator.wire import Answer, Request, error_answer, new_request_id
from reconciler.emulator.world import Account, World

LOG = logging.getLogger("reconciler.emulator")
CONTROL = "/$emulator/"
_SHORT_POLL, _LONG_POLL, _LONG_WAIT = 0.01, 0.1, 1.0  # seconds between looks at running processes; without any
_HOST_HEADER = re.compile(r"([\w.-]{1,255}|\[[\da-f:.]{2,45}\])(:\d{1,5})?", re.ASCII | re.I)
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
    tenant: str = ""
    """The tenant of bearer tokens; without one none is taken."""
    tls: ssl.SSLContext | None = None
    switches: Switches = field(default_factory=Switches)
    chaos: int | None = None
    """Seed of a mixture of faults that is in force from the start; None: no faults."""
    host: str = HOST
    """The address listened on."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server puts requests to: made by the server itself, or handed to it by a simulation."""

    engine: Engine
    nodes: Nodes
    clock: Clock
    faults: faults.Faults = field(default_factory=faults.Faults)


class Server:
    """The account `settings` describe, once `run` is called."""

    def __init__(self, settings: Settings, parts: Parts | None = None) -> None:
        self._settings = settings
        self._key = base64.b64decode(settings.key)
        self._scheme = "http" if settings.tls is None else "https"
        self._endpoint = f"{self._scheme}://{url_host(settings.host)}:{settings.port}"
        self._is_local = ip_address(settings.host).is_loopback
        self._limits, self._switches = (
            (Limits(), settings.switches) if parts is None else (parts.engine.world.limits, parts.engine.world.switches)
        )
        self._wall = WallClock()
        parts = parts or self._make_parts()
        self._engine, self._nodes, self._clock = parts.engine, parts.nodes, parts.clock
        self._faults = parts.faults
        self._engine.alter = self._faults.alter
        if settings.chaos is not None:
            self._install(faults.parse([{"kind": "chaos", "seed": settings.chaos}]))
        self._log = faults.RequestLog(self._limits.remembered_requests)
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._last_request = time.monotonic()

    def _make_parts(self) -> Parts:
        settings = self._settings
        nodes = ProcessNodes(settings.state, self._limits)
        account, store = Account(settings.account, f"{self._endpoint}/"), SqliteStore(settings.state / "account.sqlite")
        engine = Engine(account, nodes, store, switches=self._switches, limits=self._limits)
        engine.world.packages = Shelf(settings.state / FOLDER)
        return Parts(engine, nodes, self._wall)

    def _begin(self) -> None:
        """Take up the work where it was left."""
        self._engine.resume(self._clock.now())

    def _finish(self) -> None:
        """Leave the work so that it can be taken up again."""
        self._engine.power_off(self._clock.now())
        self._nodes.stop()
        self._engine.close()

    async def run(self, listening: asyncio.Event, sock: Any) -> None:
        """Serve on the bound socket until `end` is called or the account has been idle for long enough."""
        self._begin()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        app.on_response_prepare.append(sending.drop_content_type)
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, sock, ssl_context=self._settings.tls).start()
        listening.set()
        try:
            await self._let_time_pass()
        finally:
            await runner.cleanup()
            self._finish()

    def end(self) -> None:
        """Have `run` end all tasks and return."""
        self._ending.set()
        self._changed.set()

    # --- time

    async def _let_time_pass(self) -> None:
        bell = self._nodes.bell()
        if bell is not None:
            asyncio.get_running_loop().add_reader(bell, self._changed.set)
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
        trouble = self._faults.next(raw.method, unquote(path))
        kind = None if trouble is None else trouble.kind
        if trouble is not None and trouble.delay:
            await asyncio.sleep(trouble.delay)
        request_id, base = new_request_id(), self._base(raw)
        headers = {name.lower(): value for name, value in raw.headers.items()}
        if kind == "reset":
            return self._reset(raw, path, query, kind)
        if trouble is not None and kind == "status":
            answer = self._faulty(trouble, base, request_id)
        else:
            past = self._engine.past(trouble.seconds, trouble.changes) if trouble and kind == "stale" else None
            answer = await self._answer(raw, path, query, headers, base, request_id, past)
            self._changed.set()
            if kind == "reset-after":
                return self._reset(raw, path, query, kind)
            if trouble is not None and kind == "status-after":
                answer = self._faulty(trouble, base, request_id)
        self._log.add(raw.method, unquote(path), query, answer.status, kind)
        if trouble is not None and kind == "slow-body":
            answer = replace(answer, slow=trouble.seconds)
        return await self._send(raw, answer, request_id, headers)

    async def _answer(
        self,
        raw: web.Request,
        path: str,
        query: str,
        headers: dict[str, str],
        base: str,
        request_id: str,
        past: World | None,
    ) -> Answer:
        try:
            self._check_sender(auth.Signed(raw.method, path, query, headers))
            body = await self._read_body(raw)
            request = Request(raw.method, path, routes.read_query(query), headers, body, base, query)
            return routes.handle(self._engine, self._nodes, request, self._clock.now(), past)
        except NotModified:
            return Answer(304)
        except ServiceError as error:
            answer = error_answer(error, base, self._clock.now(), request_id)
            return replace(answer, headers=auth.challenge(self._settings.tenant)) if error.status == 401 else answer

    def _check_sender(self, signed: auth.Signed) -> None:
        settings, switches = self._settings, self._switches
        now, status = self._wall.now(), switches.refused_token_status
        auth.check(signed, settings.account, self._key, now, switches.clock_skew, settings.tenant, status)

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
        """Scheme, host and port as the client wrote them, if they can mean this server.

        From elsewhere it may be reached under any name, and by another port that is forwarded to its own.
        """
        host, port = raw.headers.get("Host", ""), self._settings.port
        if not self._is_local and _HOST_HEADER.fullmatch(host):
            return f"{self._scheme}://{host}"
        return f"{self._scheme}://{host}" if host in (f"localhost:{port}", f"[::1]:{port}") else self._endpoint

    def _faulty(self, fault: Trouble, base: str, request_id: str) -> Answer:
        error = ServiceError(fault.status, fault.code, fault.message)
        answer = error_answer(error, base, self._clock.now(), request_id)
        if fault.retry_after is None:
            return answer
        return Answer(answer.status, answer.body, {"Retry-After": f"{fault.retry_after:g}"}, reason=answer.reason)

    def _reset(self, raw: web.Request, path: str, query: str, fault: str) -> web.StreamResponse:
        self._log.add(raw.method, unquote(path), query, 0, fault)
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
        if self._settings.tls and not asked.get("host", "").startswith("localhost"):
            # The service always sends it (R26). It means nothing over http (RFC 6797), and a browser that trusts our
            # authority would refuse every other server on localhost for it.
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if asked.get("return-client-request-id", "").lower() == "true" and "client-request-id" in asked:
            headers["client-request-id"] = asked["client-request-id"]
        return await sending.send(raw, answer, headers)

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
                self._install([])
                return web.json_response({})
            case ("POST", "nodes"):
                return await self._befall(raw)
            case ("DELETE", "account"):
                self._install([])
                self._engine.clear(self._clock.now())
                return web.json_response({})
            case ("GET", "requests"):
                return self._list_requests(raw.query.get("since", "0"))
        return web.json_response({"error": "no such control route"}, status=404)

    def _may_control(self, raw: web.Request) -> bool:
        given = raw.headers.get("X-Emulator-Key", "")
        if given:
            return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._settings.key.encode())
        path, query = _split_target(raw.raw_path)
        headers = {name.lower(): value for name, value in raw.headers.items()}
        try:
            self._check_sender(auth.Signed(raw.method, path, query, headers))
        except ServiceError:
            return False
        return True

    async def _install_faults(self, raw: web.Request) -> web.StreamResponse:
        try:
            rules = faults.parse(json.loads(await self._read_body(raw)))
        except (ValueError, RecursionError, faults.BadRule, ServiceError) as error:
            return web.json_response({"error": str(error)}, status=400)
        self._install(rules)
        return web.json_response({"rules": len(rules)})

    def _list_requests(self, since: str) -> web.StreamResponse:
        if not re.fullmatch(r"\d{1,18}", since, re.ASCII):
            return web.json_response({"error": "since is the number of a request"}, status=400)
        return web.json_response(self._log.since(int(since)))

    def _install(self, rules: list[faults.Rule]) -> None:
        self._faults.install(rules)
        self._engine.world.limits = self._faults.limits(self._limits)
        self._engine.keep_history(wanted=self._faults.need_history)

    async def _befall(self, raw: web.Request) -> web.StreamResponse:
        try:
            mishap = mishaps.parse(json.loads(await self._read_body(raw)))
            with self._engine.transaction(self._clock.now()) as w:
                mishaps.befall(w, mishap)
        except (ValueError, RecursionError, ServiceError) as error:
            return web.json_response({"error": str(error)}, status=400)
        self._changed.set()
        return web.json_response({})


def _split_target(target: str) -> tuple[str, str]:
    """Path and query as sent; a target in absolute form is cut down to its path."""
    if target.startswith(("http://", "https://")):
        target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
    path, _, query = target.partition("?")
    return path, query.partition("#")[0]
