"""What programs ask: health, readiness, metrics, webhook, and every status as JSON."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias

import orjson
from aiohttp import web

from reconciler.controller.state import StackStatus
from reconciler.render.mask import masked
from reconciler.web.index import Index
from reconciler.web.site import SITE, asked

Metrics: TypeAlias = Callable[[], str | bytes]
Webhook: TypeAlias = Callable[[Mapping[str, str], bytes], int | Awaitable[int]]
Ready: TypeAlias = Callable[[], bool]

METRICS: Final = web.AppKey("metrics", object)
WEBHOOK: Final = web.AppKey("webhook", object)
READY: Final = web.AppKey("ready", object)
MOST_WEBHOOK: Final = 2 * 1024 * 1024
"""Bytes of a notification; one of a push has a few thousand. The next pass comes without it, too."""
API_FORMAT: Final = "1.0"
OPEN: Final = frozenset({"/healthz", "/readyz", "/webhook"})
"""Asked by probes, which know neither token nor name; a webhook brings its own signature."""


def routes() -> list[web.RouteDef]:
    """Everything that is no page."""
    return [
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/metrics", metrics),
        web.post("/webhook", webhook),
        web.get("/api/v1/status", status),
    ]


async def healthz(_: web.Request) -> web.Response:
    """That this process answers."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """Whether it can do its work."""
    ready: Any = request.app[READY]
    return web.Response(text="ready\n") if ready is None or ready() else web.Response(status=503, text="not ready\n")


async def metrics(request: web.Request) -> web.Response:
    """In Prometheus' text format."""
    read: Any = request.app[METRICS]
    if read is None:
        raise web.HTTPNotFound(text="This controller keeps no metrics.")
    text = read()
    body = text.encode() if isinstance(text, str) else text
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def webhook(request: web.Request) -> web.Response:
    """A notification that there is something new; who takes it checks its signature."""
    take: Any = request.app[WEBHOOK]
    if take is None:
        raise web.HTTPNotFound(text="This controller takes no webhooks.")
    body = bytearray()
    async for piece in request.content.iter_chunked(64 * 1024):
        body += piece
        if len(body) > MOST_WEBHOOK:
            raise web.HTTPRequestEntityTooLarge(MOST_WEBHOOK, len(body))
    answer = take(request.headers, bytes(body))
    code = await answer if inspect.isawaitable(answer) else answer
    return web.Response(status=code)


async def status(request: web.Request) -> web.Response:
    """Every stack, or the one that is asked for, with its objects."""
    site = request.app[SITE]
    named = asked(request, "stack")
    statuses = site.board.statuses
    if named and named not in statuses:
        raise web.HTTPNotFound(text=f"There is no stack {named!r} here.")
    chosen = {named: statuses[named]} if named else dict(sorted(statuses.items()))
    document = {
        "format_version": API_FORMAT,
        "stacks": [_stack(one, site.index(one)) for one in chosen.values()],
    }
    return web.Response(body=orjson.dumps(document), content_type="application/json")


def _stack(status: StackStatus, index: Index) -> dict[str, Any]:
    about: dict[str, Any] = {
        "stack": status.stack,
        "target": status.target,
        "mode": status.mode,
        "end": status.end,
        "revision": asdict(status.revision),
        "offered": asdict(status.offered),
        "leader": status.leader,
        "holder": status.holder,
        "observed_at": status.observed_at,
        "next_pass_at": status.next_pass_at,
        "window": status.window,
        "summary": index.summary,
        "digest": index.digest,
        "awaiting": status.awaiting,
        "sync": {str(word): count for word, count in index.syncs.items()},
        "health": {str(word): count for word, count in index.healths.items()},
        "problems": list(status.problems),
        "suspensions": [asdict(one) for one in status.suspensions],
        "last_pass": asdict(status.passes[-1]) if status.passes else None,
    }
    return {
        **masked(about),
        "objects": orjson.Fragment(index.document),
    }
