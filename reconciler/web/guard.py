"""Who may see the page, and what may come from whom: token, session, forged forms, rebound names, headers."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from reconciler.errors import UsageError

SHORTEST_TOKEN: Final = 16
SESSION: Final = "reconciler-session"
VISITOR: Final = "reconciler-visitor"
FORM_FIELD: Final = "form_token"
SESSION_SECONDS: Final = 12 * 3600
LOOPBACK_NAMES: Final = frozenset({"localhost"})
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: a browser then sends `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Server": "reconciler",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is served. Port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str, *, token: str | None) -> Address:
    """The address in `HOST:PORT`, `[::1]:PORT` or `:PORT` (loopback). Raises UsageError for what is none, and for one
    that other machines reach where no token is set: whoever sees the page can approve plans."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise UsageError(f"expected an address such as 127.0.0.1:8080, found {text!r}")
    if not is_loopback(host) and token is None:
        raise UsageError(
            f"{text} can be reached from other machines, and whoever sees the page can approve plans: "
            "set a token, or listen on 127.0.0.1"
        )
    return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach *host*."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """The checks of one server. Without a *token* everybody who reaches it is let in: it listens on loopback then.

    What is derived from the token is the same in every replica, so that a form shown by one can be sent to another.
    """

    def __init__(self, token: str | None, allowed_hosts: Collection[str]) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise UsageError(f"the page's token has {len(token)} characters: it needs {SHORTEST_TOKEN} at least")
        self._token = token.encode() if token is not None else None
        self._key = hashlib.sha256(b"reconciler page\0" + (self._token or secrets.token_bytes(32))).digest()
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in allowed_hosts}

    @property
    def has_token(self) -> bool:
        return self._token is not None

    # --- names

    def knows(self, host: str | None) -> bool:
        """Whether the Host header is one of ours. A foreign name that was made to point here (DNS rebinding) would let
        its page read ours; one that is an address cannot have been."""
        name = _host_name(host or "")
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True

    # --- people

    def is_token(self, given: str) -> bool:
        """Compared in constant time, whatever its length."""
        if self._token is None:
            return False
        return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(self._token).digest())

    def bears(self, request: web.Request) -> bool:
        """Whether the request carries the token in its Authorization header."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.is_token(given.strip())

    def admits(self, request: web.Request, now: float) -> bool:
        """Whether the request may see anything."""
        return self._token is None or self.bears(request) or self._is_session(request.cookies.get(SESSION, ""), now)

    def session(self, now: float) -> str:
        """A cookie for somebody who knew the token: an end and a random part, signed."""
        body = f"{int(now) + SESSION_SECONDS}.{secrets.token_hex(16)}"
        return f"{body}.{self._sign('session', body)}"

    def _is_session(self, cookie: str, now: float) -> bool:
        body, _, signature = cookie.rpartition(".")
        end = body.partition(".")[0]
        if not hmac.compare_digest(signature.encode(), self._sign("session", body).encode()):
            return False
        return end.isdecimal() and now < int(end)

    # --- forms

    def form_token(self, visitor: str, session: str) -> str:
        """What a form has to carry: only a page of ours, shown to the same browser and session, can know it."""
        return self._sign("form", f"{visitor}.{session}")

    def is_own_form(self, request: web.Request, given: str) -> bool:
        """Whether a form comes from a page of ours that was shown to this browser."""
        visitor, session = request.cookies.get(VISITOR, ""), request.cookies.get(SESSION, "")
        return bool(visitor) and hmac.compare_digest(given.encode(), self.form_token(visitor, session).encode())

    @staticmethod
    def is_foreign(request: web.Request) -> bool:
        """Whether a browser says that another site's page made this request. Sec-Fetch-Site says it best: Origin cannot
        be compared behind a proxy that asks by another name."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            return site != "same-origin"
        origin = request.headers.get("Origin")
        return origin is not None and urlsplit(origin).netloc.lower() != (request.headers.get("Host") or "").lower()

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def _host_name(host: str) -> str | None:
    """The name in a Host header, without its port; None when it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and parts.username is None else None
