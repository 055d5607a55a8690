"""Bearer tokens of the shape Entra gives out: whether one is for this account. Called by `auth`.

There is no Entra here, so a token's signature proves nothing; what has to be right is its form, its tenant, its
audience and its time. The tenant is drawn at random with the account and can be read by its owner only, so that a
token cannot be made up by anybody else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import time
from typing import Any

AUDIENCES = ("https://batch.core.windows.net/", "https://batch.core.windows.net")
_SKEW = 300  # seconds before its time in which a token is taken


class BadToken(Exception):  # noqa: N818 - reads as what it is
    """Why a token is refused."""


def check(token: str, tenant: str, now: float) -> None:
    """Raise BadToken unless *token* is well formed, for *tenant* and for Batch, and good at *now* (Unix time)."""
    claims = _claims(token)
    if not hmac.compare_digest(str(claims.get("tid")).encode(errors="replace"), tenant.encode()):
        raise BadToken("The token is not for the tenant of the Batch account")
    audience = claims.get("aud")
    if audience not in AUDIENCES:
        raise BadToken(f"The token's audience {str(audience)[:100]!r} is not {AUDIENCES[0]}")
    if _time(claims, "exp") <= now:
        raise BadToken("The token has expired")
    if "nbf" in claims and _time(claims, "nbf") > now + _SKEW:
        raise BadToken("The token is not valid yet")


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        raise BadToken("The token does not have three parts")
    header, claims = _read(parts[0]), _read(parts[1])
    _decode(parts[2])
    if not isinstance(header.get("alg"), str):
        raise BadToken("The token's header names no algorithm")
    return claims


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadToken("A part of the token is not base64") from error


def _read(text: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(text))
    except (ValueError, RecursionError) as error:
        raise BadToken("A part of the token is not JSON") from error
    if not isinstance(value, dict):
        raise BadToken("A part of the token is not a JSON object")
    return value


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadToken(f"The token's claim {name} is not a time")
    return value


def issue(tenant: str, *, seconds: float = 3600.0, audience: str = AUDIENCES[0]) -> str:
    """A token this emulator takes, for tests of programs that sign in with Entra."""
    now = int(time.time())
    claims = {"aud": audience, "tid": tenant, "iat": now, "nbf": now, "exp": now + seconds, "sub": "emulator"}
    parts = (json.dumps({"typ": "JWT", "alg": "none"}), json.dumps(claims), "unsigned")
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
