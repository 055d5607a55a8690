"""The status page: shows what the controller last saw, and asks it for what people want.

Rendered on the server and whole without JavaScript; a small script fetches the page again when something is new. It
decides nothing and changes nothing by itself: what people ask for goes to the controller's desk.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection
from html import escape
from importlib.resources import files
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from reconciler.controller.state import Board, Desk
from reconciler.errors import UsageError
from reconciler.model.secrecy import without_keys
from reconciler.web import asking, endpoints, history, live, objects, overviews, tasks
from reconciler.web.closer import Closer, Details
from reconciler.web.endpoints import Metrics, Ready, Webhook
from reconciler.web.guard import HEADERS, Address, Guard, address_of
from reconciler.web.shown import segment
from reconciler.web.site import SITE, Site

__all__ = ["Address", "Details", "Metrics", "Ready", "Webhook", "address_of", "application", "serve"]

_TYPES: Final = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}
_PAGES: Final = (
    web.get("/", overviews.overview),
    web.get("/events", history.events),
    web.get("/stacks/{stack}", overviews.stack),
    web.get("/stacks/{stack}/objects", objects.objects),
    web.get("/stacks/{stack}/objects/{kind}/{name}", objects.one_object),
    web.get("/stacks/{stack}/objects/job/{name}/tasks", tasks.tasks),
    web.get("/stacks/{stack}/objects/job/{name}/log", tasks.log),
    web.get("/stacks/{stack}/plan", history.plan),
    web.get("/stacks/{stack}/passes", history.passes),
    web.get("/stacks/{stack}/events", history.events),
)
_PROGRAMS: Final = ("/api/", "/metrics", "/live")
"""Paths that are asked for by programs: they are told what is wrong, not shown a page."""


def application(
    board: Board,
    desk: Desk,
    *,
    token: str | None = None,
    allowed_hosts: Collection[str] = (),
    metrics: Metrics | None = None,
    webhook: Webhook | None = None,
    ready: Ready | None = None,
    details: Details | None = None,
) -> web.Application:
    """The page and the endpoints beside it.

    *token* lets in who knows it, None everybody (then listen on loopback: `address_of`). *allowed_hosts* are the names
    by which browsers reach the page, beside localhost and addresses. *details* looks at one object closely while its
    page is shown; without it that page has what the last pass read. Raises UsageError for a token that is too short.
    """
    app = web.Application(middlewares=[_checked], client_max_size=asking.MOST_FORM)
    assets = {name: (files(__name__) / "static" / name).read_bytes() for name in _TYPES}
    versions = {name: f"/static/{name}?v={hashlib.sha256(body).hexdigest()[:12]}" for name, body in assets.items()}
    app[SITE] = Site(board, desk, Guard(token, allowed_hosts), Closer(details), versions)
    app[live.STREAMS] = set()
    app[endpoints.METRICS], app[endpoints.WEBHOOK], app[endpoints.READY] = metrics, webhook, ready
    app.router.add_routes([*_PAGES, *asking.routes(), *endpoints.routes(), web.get("/live", live.live)])
    for name, body in assets.items():
        app.router.add_get(f"/static/{name}", _asset(body, _TYPES[name]))
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(live.end_streams)
    app.on_cleanup.append(_close)
    return app


async def serve(app: web.Application, address: Address) -> tuple[web.AppRunner, Address]:
    """Begin to serve; end it with the runner's `cleanup`. The address has the port that was taken. Raises UsageError
    where it cannot be listened on."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(f"cannot serve the page on {address}: {error.strerror or error}") from error
    return runner, Address(address.host, int(runner.addresses[0][1]))


def _asset(body: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=kept)

    return answer


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")


async def _close(app: web.Application) -> None:
    await app[SITE].closer.close()


@web.middleware
async def _checked(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Who may ask for what; and refusals as pages for people, as text for programs."""
    try:
        _admit(request)
        return await handler(request)
    except web.HTTPSeeOther:
        raise
    except web.HTTPException as refusal:
        if request.path.startswith(_PROGRAMS) or request.path in endpoints.OPEN or refusal.status < 400:
            raise
        return _refusal_page(request, refusal)


def _admit(request: web.Request) -> None:
    """Raise what keeps a request out."""
    site = request.app[SITE]
    if request.path in endpoints.OPEN:
        return
    if not site.guard.knows(request.headers.get("Host")) and not site.guard.bears(request):
        raise web.HTTPMisdirectedRequest(
            text="This page does not answer to that host name. If it is one of its own, add it to the allowed hosts."
        )
    if request.path.startswith("/static/") or request.path == "/login" or site.guard.admits(request, site.now()):
        return
    if request.path.startswith(_PROGRAMS) or request.method not in ("GET", "HEAD"):
        raise web.HTTPUnauthorized(text="A token is needed.", headers={"WWW-Authenticate": "Bearer"})
    raise web.HTTPSeeOther(f"/login?next={segment(str(request.rel_url))}")


def _refusal_page(request: web.Request, refusal: web.HTTPException) -> web.Response:
    site = request.app[SITE]
    text = refusal.text or refusal.reason
    if refusal.status == 421 or not site.guard.admits(request, site.now()):
        body = f"<!doctype html><html lang=en><title>{refusal.status}</title><p>{escape(without_keys(text))}</p></html>"
        return web.Response(text=body, content_type="text/html", charset="utf-8", status=refusal.status)
    response = site.page(request, "problem.html", refusal.reason, code=refusal.status, text=text)
    for name in ("Retry-After", "Allow", "WWW-Authenticate"):
        if name in refusal.headers:
            response.headers[name] = refusal.headers[name]
    return response
