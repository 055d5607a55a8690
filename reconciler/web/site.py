"""What all pages share: the board, the desk, an index for each status, and how a page is rendered."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment

from reconciler.controller.state import Board, Desk, StackStatus
from reconciler.model.desired import Key, Kind
from reconciler.web.closer import Closer
from reconciler.web.guard import SESSION, VISITOR, Guard
from reconciler.web.index import Index
from reconciler.web.shown import environment

E = TypeVar("E", bound=StrEnum)

PAGE: Final = 100
"""Rows of a page."""
LONGEST_QUERY: Final = 200
SAID: Final[Mapping[str, str]] = {
    "approved": "Approved. The plan runs with the next pass.",
    "suspended": "Suspended.",
    "resumed": "Resumed.",
    "reconcile": "The next pass begins now.",
    "left": "You have signed out.",
}
"""What a page says after a form was sent: a fixed text for each word in the address, never text from there."""


@dataclass(frozen=True, slots=True)
class Pager:
    """Which rows of how many are shown. *number* counts from 1."""

    number: int
    total: int

    @property
    def pages(self) -> int:
        return max(-(-self.total // PAGE), 1)

    @property
    def first(self) -> int:
        return (self.number - 1) * PAGE

    @property
    def last(self) -> int:
        return min(self.first + PAGE, self.total)

    @classmethod
    def of(cls, request: web.Request, total: int) -> "Pager":
        """The page that is asked for; one that does not exist becomes the nearest."""
        text = request.query.get("page", "1")
        if not (text.isascii() and text.isdecimal() and len(text) < 8):
            raise web.HTTPBadRequest(text=f"expected page to be a number, found {text[:20]!r}")
        return cls(min(max(int(text), 1), max(-(-total // PAGE), 1)), total)


@dataclass
class Site:
    """One server's view of one controller. *assets* are the names of static files with what tells their versions."""

    board: Board
    desk: Desk
    guard: Guard
    closer: Closer
    assets: Mapping[str, str]
    now: Callable[[], float] = time.time
    environment: Environment = field(default_factory=environment)
    _indexes: dict[str, Index] = field(default_factory=dict)

    def status(self, request: web.Request) -> StackStatus:
        """The stack that an address names."""
        name = request.match_info["stack"]
        status = self.board.statuses.get(name)
        if status is None:
            raise web.HTTPNotFound(text=f"There is no stack {name[:100]!r} here.")
        return status

    def index(self, status: StackStatus) -> Index:
        """The index of a status, made anew when a pass has brought something new."""
        kept = self._indexes.get(status.stack)
        if kept is None or not kept.is_of(status):
            for gone in self._indexes.keys() - self.board.statuses.keys():
                del self._indexes[gone]
            kept = self._indexes[status.stack] = Index(status)
        return kept

    def page(self, request: web.Request, template: str, title: str, /, code: int = 200, **values: Any) -> web.Response:
        """A rendered page, with what every page has."""
        visitor = request.cookies.get(VISITOR, "")
        is_new = len(visitor) != 32 or not visitor.isalnum()
        if is_new:
            visitor = secrets.token_hex(16)
        statuses = self.board.statuses
        text = self.environment.get_template(template).render(
            title=title,
            code=code,
            method=request.method,
            stacks=tuple(sorted(statuses)),
            announcement="; ".join(f"{name}: {one.end or 'no pass yet'}" for name, one in sorted(statuses.items())),
            here=request.path,
            here_with_query=str(request.rel_url),
            said=SAID.get(request.query.get("said", ""), ""),
            form_token=self.guard.form_token(visitor, request.cookies.get(SESSION, "")),
            signed_in=self.guard.has_token and self.guard.admits(request, self.now()),
            assets=self.assets,
            rendered=datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="seconds"),
            **values,
        )
        response = web.Response(text=text, content_type="text/html", charset="utf-8", status=code)
        if is_new:
            response.set_cookie(VISITOR, visitor, httponly=True, samesite="Strict", path="/", secure=is_secure(request))
        return response


SITE: Final = web.AppKey("site", Site)


def is_secure(request: web.Request) -> bool:
    """Whether the browser speaks TLS, also to a proxy before us."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"


def asked(request: web.Request, name: str) -> str:
    """A text of the query, cut where nobody would type more."""
    return request.query.get(name, "")[:LONGEST_QUERY].strip()


def one_of(request: web.Request, name: str, words: type[E]) -> E | None:
    """A word of the query, None without it."""
    text = asked(request, name)
    if not text:
        return None
    try:
        return words(text)
    except ValueError:
        raise web.HTTPBadRequest(text=f"expected {name} to be one of {', '.join(words)}, found {text[:50]!r}") from None


def link_query(query: Mapping[str, str]) -> str:
    """The query of a link to another page of the same list, so that a page number can follow."""
    kept = {name: value for name, value in query.items() if value}
    return f"{urlencode(kept)}&" if kept else ""


def key_of(request: web.Request, kind: str = "") -> tuple[Key, str]:
    """The object that an address names, and that address."""
    kind, name = kind or request.match_info["kind"], request.match_info["name"]
    if kind not in set(Kind):
        raise web.HTTPNotFound(text=f"{kind[:50]!r} is no kind of object.")
    return Key.of(Kind(kind), name), f"{kind}/{name}"
