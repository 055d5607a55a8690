"""Conditional requests: whether the headers allow a read or a write of a resource in its present version.

From DR "Specifying Conditional Headers": a failed write is 412; a failed read is 412 for If-Match and
If-Unmodified-Since, 304 for If-None-Match and If-Modified-Since.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator.errors import ServiceError, refuse
from reconciler.emulator.times import SECOND, parse_http_date

_ETAG_HEADERS = ("if-match", "if-none-match")
_TIME_HEADERS = ("if-modified-since", "if-unmodified-since")
_ALLOWED_PAIRS = ({"if-none-match", "if-modified-since"}, {"if-match", "if-unmodified-since"})


class NotModified(Exception):  # noqa: N818 - an answer (304), not an error
    """The client's copy is still good."""


def check(headers: Mapping[str, str], etag: str | None, modified: int, *, read: bool) -> None:
    """Raise 412, or NotModified for reads, unless the conditions hold. Without *etag* only times count (files)."""
    names = [name for name in (*_ETAG_HEADERS, *_TIME_HEADERS) if headers.get(name) and (etag or name in _TIME_HEADERS)]
    if len(names) > 1 and set(names) not in _ALLOWED_PAIRS:
        raise refuse("MultipleConditionHeadersNotSupported")
    if not names:
        return
    decisive = names[0]  # of an allowed pair the ETag decides (DR)
    if not _holds(decisive, headers[decisive], etag or "", modified):
        if read and decisive in ("if-none-match", "if-modified-since"):
            raise NotModified
        raise refuse("ConditionNotMet")


def _holds(name: str, value: str, etag: str, modified: int) -> bool:
    if name in _ETAG_HEADERS:
        return _matches(value, etag) == (name == "if-match")
    since = _date(name, value)
    whole = modified - modified % SECOND  # dates in headers have no fractions
    return whole > since if name == "if-modified-since" else whole <= since


def _matches(value: str, etag: str) -> bool:
    """`*`, or one of a list of ETags, quoted as the SDK sends them or bare (X)."""
    tags = {tag.strip().removeprefix("W/").strip('"').lower() for tag in value.split(",")}
    return "*" in tags or etag.lower() in tags


def _date(name: str, value: str) -> int:
    try:
        return parse_http_date(value)
    except ValueError as error:
        raise _bad_header(name, value) from error


def _bad_header(name: str, value: str) -> ServiceError:
    return refuse("InvalidHeaderValue", ("HeaderName", name), ("HeaderValue", value[:200]))
