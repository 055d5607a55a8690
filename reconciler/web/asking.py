"""Forms: what people ask of the controller. Each is checked, handed to the desk, and answered with the page it came
from."""

import logging
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from reconciler.errors import ReconcilerError, UsageError
from reconciler.web.guard import FORM_FIELD, SESSION, SESSION_SECONDS
from reconciler.web.shown import segment
from reconciler.web.site import SITE, is_secure

LOG: Final = logging.getLogger(__name__)
MOST_FORM: Final = 16 * 1024
LIMITS: Final[Mapping[str, int]] = {
    "digest": 128,
    "address": 200,
    "reason": 500,
    "until": 40,
    "who": 80,
    "token": 4096,
    "next": 500,
    FORM_FIELD: 128,
}
"""Fields that forms have, and how many characters each may have."""


def routes() -> list[web.RouteDef]:
    """Everything that asks for something."""
    return [
        web.get("/login", show_login),
        web.post("/login", log_in),
        web.post("/logout", log_out),
        web.post("/stacks/{stack}/approve", approve),
        web.post("/stacks/{stack}/suspend", suspend),
        web.post("/stacks/{stack}/resume", resume),
        web.post("/stacks/{stack}/reconcile", reconcile),
    ]


async def fields_of(request: web.Request) -> dict[str, str]:
    """The fields of a form, each once and no longer than it may be."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="expected a form")
    if (request.content_length or 0) > MOST_FORM:
        raise web.HTTPRequestEntityTooLarge(MOST_FORM, request.content_length or 0)
    found: dict[str, str] = {}
    for name, value in (await request.post()).items():
        if name not in LIMITS or name in found or not isinstance(value, str):
            raise web.HTTPBadRequest(text=f"the form has a field that is not expected: {name[:50]!r}")
        if len(value) > LIMITS[name]:
            raise web.HTTPBadRequest(text=f"{name} has {len(value)} characters, and may have {LIMITS[name]}")
        found[name] = value.strip()
    return found


async def _own_fields(request: web.Request) -> dict[str, str]:
    """The fields of a form that a page of ours showed to this browser, or that came with the token in its header."""
    guard = request.app[SITE].guard
    if guard.is_foreign(request):
        raise web.HTTPForbidden(text="This request comes from another site's page. Nothing was done.")
    fields = await fields_of(request)
    if not guard.bears(request) and not guard.is_own_form(request, fields.get(FORM_FIELD, "")):
        raise web.HTTPForbidden(
            text="This form was not shown to this browser, or before the page was restarted. Nothing was done: "
            "load the page again and repeat it."
        )
    return fields


def _needed(fields: Mapping[str, str], name: str) -> str:
    if not fields.get(name):
        raise web.HTTPBadRequest(text=f"{name} is missing")
    return fields[name]


def _who(fields: Mapping[str, str]) -> str:
    return f"{fields['who']} (page)" if fields.get("who") else "page"


async def approve(request: web.Request) -> web.Response:
    """Let the plan that was shown run, and no other."""
    site = request.app[SITE]
    status = site.status(request)
    fields = await _own_fields(request)
    digest = _needed(fields, "digest")
    await _ask(site.desk.approve(status.stack, digest, _who(fields)))
    return _back(f"/stacks/{segment(status.stack)}/plan", "approved")


async def suspend(request: web.Request) -> web.Response:
    """Leave a stack or an object alone."""
    site = request.app[SITE]
    status = site.status(request)
    fields = await _own_fields(request)
    until = _moment(fields.get("until", ""))
    address = fields.get("address", "")
    await _ask(site.desk.suspend(status.stack, address, _needed(fields, "reason"), until, _who(fields)))
    return _back(_place(status.stack, address), "suspended")


async def resume(request: web.Request) -> web.Response:
    """Take a suspension back."""
    site = request.app[SITE]
    status = site.status(request)
    fields = await _own_fields(request)
    address = fields.get("address", "")
    await _ask(site.desk.resume(status.stack, address, _who(fields)))
    return _back(_place(status.stack, address), "resumed")


async def reconcile(request: web.Request) -> web.Response:
    """Begin the next pass at once."""
    site = request.app[SITE]
    status = site.status(request)
    fields = await _own_fields(request)
    await _ask(site.desk.reconcile_now(status.stack, _who(fields)))
    return _back(_place(status.stack, ""), "reconcile")


async def _ask(done: Awaitable[None]) -> None:
    try:
        await done
    except UsageError as error:
        raise web.HTTPConflict(text=str(error)) from error
    except ReconcilerError as error:
        raise web.HTTPServiceUnavailable(text=str(error)) from error


def _moment(text: str) -> str:
    """A time as a form has it, UTC: empty, `2026-01-02T03:04`, or with seconds or an offset."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise web.HTTPBadRequest(text=f"expected a time such as 2030-01-31T06:00 (UTC), found {text!r}") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _place(stack: str, address: str) -> str:
    kind, _, name = address.partition("/")
    where = f"/objects/{segment(kind)}/{segment(name)}" if name else ""
    return f"/stacks/{segment(stack)}{where}"


def _back(place: str, said: str) -> web.Response:
    return web.Response(status=303, headers={"Location": f"{place}?said={said}"})


# --- signing in


async def show_login(request: web.Request) -> web.Response:
    """The form that asks for the token."""
    site = request.app[SITE]
    if site.guard.admits(request, site.now()):
        return web.Response(status=303, headers={"Location": _inside(request.query.get("next", ""))})
    return site.page(request, "login.html", "Sign in", next=_inside(request.query.get("next", "")), wrong=False)


async def log_in(request: web.Request) -> web.Response:
    """Give a browser that knows the token a session."""
    site = request.app[SITE]
    fields = await _own_fields(request)
    place = _inside(fields.get("next", ""))
    if not site.guard.is_token(fields.get("token", "")):
        LOG.warning("a sign-in to the page with a wrong token was refused: %s", request.remote)
        return site.page(request, "login.html", "Sign in", code=403, next=place, wrong=True)
    response = web.Response(status=303, headers={"Location": place})
    response.set_cookie(
        SESSION,
        site.guard.session(site.now()),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="Strict",
        path="/",
        secure=is_secure(request),
    )
    return response


async def log_out(request: web.Request) -> web.Response:
    """End the session of a browser."""
    await _own_fields(request)
    response = web.Response(status=303, headers={"Location": "/login?said=left"})
    response.del_cookie(SESSION, path="/")
    return response


def _inside(place: str) -> str:
    """A place on this site; the overview for anything else."""
    parts = urlsplit(place)
    is_path = place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()
    return place if is_path and not parts.scheme and not parts.netloc and "\\" not in place else "/"
