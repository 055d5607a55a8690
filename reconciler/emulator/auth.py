"""Whether a request is signed with the account's key, or carries a token for it. Called for every Batch request.

The string that is signed follows the released clients (X); their spellings differ in details, all of which are taken.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from reconciler.emulator import tokens
from reconciler.emulator.errors import CATALOGUE, ServiceError, refuse
from reconciler.emulator.times import from_unix_ns, http_date, parse_http_date

_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What of a request is signed: header names in lower case, path and query as sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def check(
    request: Signed, account: str, key: bytes, now: int, skew: int, tenant: str = "", token_status: str = "403"
) -> None:
    """Refuse with 403 AuthenticationFailed (or 400 for a malformed header) what is not signed with *key*.

    A bearer token of *tenant* will do, too; a missing or refused one is answered with *token_status*.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        raise _failed("The Authorization header is missing.", token_status)
    if scheme.lower() == "bearer" and tenant:
        try:
            tokens.check(credentials.strip(), tenant, (now - from_unix_ns(0)) / 1e7)
        except tokens.BadToken as error:
            raise _failed(str(error), token_status) from error
        return
    if scheme.lower() != "sharedkey":
        raise _failed(f"The specified type of authentication {scheme[:40]} is not allowed when external tools sign in.")
    name, _, signature = credentials.strip().partition(":")
    given = _decode(signature)
    if name != account:
        raise _failed("The specified account name is not that of the Batch account.")
    _check_date(request, now, skew)
    texts = list(strings_to_sign(request, account))
    if not any(hmac.compare_digest(given, _digest(key, text)) for text in texts):
        raise _failed(f"The MAC signature found in the HTTP request is not the one expected for {texts[0]!r}")


def _decode(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refuse("InvalidAuthenticationInfo", ("Reason", "The signature is not base64")) from error


def _failed(detail: str, status: str = "403") -> ServiceError:
    message = CATALOGUE["AuthenticationFailed"][1]
    return ServiceError(int(status), "AuthenticationFailed", message, [("AuthenticationErrorDetail", detail)])


def challenge(tenant: str) -> dict[str, str]:
    """The header that comes with a 401."""
    where = f"https://login.microsoftonline.com/{tenant}"
    return {"WWW-Authenticate": f'Bearer authorization_uri="{where}", resource="{tokens.AUDIENCES[0]}"'}


def _check_date(request: Signed, now: int, skew: int) -> None:
    """One of ocp-date and Date must be near the present time."""
    text = request.headers.get("ocp-date") or request.headers.get("date")
    if not text:
        raise _failed("One of the headers ocp-date and Date is required.")
    try:
        sent = parse_http_date(text)
    except ValueError as error:
        raise _failed(f"The date header {text[:60]!r} is not a valid date.") from error
    if abs(sent - now) > skew:
        raise _failed(f"The date header {text[:60]!r} is too far from the server's time {http_date(now)!r}.")


def strings_to_sign(request: Signed, account: str) -> Iterable[str]:
    """The texts a client may have signed, most usual first.

    A missing or zero length is signed as 0 by Python clients and as nothing by the JavaScript one (X).
    """
    length = request.headers.get("content-length", "")
    lengths = [length]
    if length in ("", "0"):
        lengths = ["", "0"] if request.method in ("GET", "HEAD") else ["0", ""]
    for text in lengths:
        values = [text if name == "content-length" else request.headers.get(name, "") for name in _SIGNED_HEADERS]
        yield "\n".join([request.method, *values, *_own_headers(request), *_resource(request, account)])


def _own_headers(request: Signed) -> list[str]:
    return [f"{name}:{value}" for name, value in sorted(request.headers.items()) if "ocp-" in name and value]


def _resource(request: Signed, account: str) -> list[str]:
    query = parse_qs(request.query)
    return [f"/{account}{request.path}", *(f"{name}:{query[name][0]}" for name in sorted(query) if query[name][0])]


def _digest(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()


def sign(request: Signed, account: str, key: bytes) -> str:
    """The Authorization header for a request, for tests and for the emulator's own control client."""
    text = next(iter(strings_to_sign(request, account)))
    return f"SharedKey {account}:{base64.b64encode(_digest(key, text)).decode()}"
