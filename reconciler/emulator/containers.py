"""Blobs of a container, listed through plain REST with the signature its address carries. Used by `staging`."""

from __future__ import annotations

import urllib.error
import urllib.request
import xml.etree.ElementTree as Xml
from collections.abc import Iterator
from http.client import HTTPException
from urllib.parse import quote, urlsplit, urlunsplit

_TIMEOUT = 60.0  # seconds without a byte
_MOST_PAGE_BYTES = 64 << 20
STORAGE_VERSION = "2021-08-06"
CODES = {404: "ResourceContainerNotFound", 401: "ResourceContainerAccessDenied", 403: "ResourceContainerAccessDenied"}


class ListingError(Exception):
    """A container could not be listed: the service's code, and what happened."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def blob_url(container_url: str, blob: str) -> str:
    """The address of a blob, with the signature that the address of its container carries."""
    parts = urlsplit(container_url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(blob)}"))


def list_blobs(container_url: str, prefix: str) -> Iterator[str]:
    """Names of all blobs that begin with *prefix*, page by page."""
    marker = ""
    while True:
        page = _read(_list_url(container_url, prefix, marker))
        yield from (name.text for name in page.iterfind("./Blobs/Blob/Name") if name.text)
        marker = page.findtext("NextMarker") or ""
        if not marker:
            return


def _list_url(container_url: str, prefix: str, marker: str) -> str:
    parts = urlsplit(container_url)
    asked = [("restype", "container"), ("comp", "list"), ("prefix", prefix), ("marker", marker)]
    query = [parts.query, *(f"{name}={quote(value, safe='')}" for name, value in asked if value)]
    return urlunsplit(parts._replace(query="&".join(part for part in query if part)))


def _read(url: str) -> Xml.Element:
    try:
        request = urllib.request.Request(url, headers={"x-ms-version": STORAGE_VERSION})
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return Xml.fromstring(answer.read(_MOST_PAGE_BYTES))
    except urllib.error.HTTPError as error:
        error.close()
        code = CODES.get(error.code, "ResourceContainerListMiscError")
        raise ListingError(code, f"HTTP status {error.code}") from error
    except (urllib.error.URLError, HTTPException, ValueError, OSError, Xml.ParseError) as error:
        raise ListingError("ResourceContainerListMiscError", str(error)) from error
