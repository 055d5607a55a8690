"""The logs of a node, and their way to a container: what `uploadbatchservicelogs` does.

A node here has no agent of its own; its logs are the output of its start task. They are put into the container in the
background, as plain block blobs; a container that refuses them is named in the emulator's log.
"""

from __future__ import annotations

import logging
import threading
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from reconciler.emulator.times import from_unix_ns

LOG = logging.getLogger("reconciler.emulator")
_PATIENCE = 30.0  # seconds for one file


def find(root: Path, start: int, end: int | None) -> list[Path]:
    """Logs that may hold messages of that time: last written after *start*, first written before *end* (M)."""
    found = []
    for name in ("startup/stdout.txt", "startup/stderr.txt"):
        path = root / name
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            first, last = from_unix_ns(status.st_ctime_ns), from_unix_ns(status.st_mtime_ns)
            if last >= start and (end is None or min(first, last) <= end):
                found.append(path)
    return found


def upload(logs: list[Path], container: str, folder: str) -> None:
    """Begin to put *logs* into the container below *folder*."""
    contents = [(f"{folder}/{path.name}", path.read_bytes()) for path in logs]
    if contents:
        threading.Thread(target=_put_all, args=(contents, container), name="logs", daemon=True).start()


def _put_all(contents: list[tuple[str, bytes]], container: str) -> None:
    for name, content in contents:
        try:
            _put(blob_url(container, name), content)
        except (OSError, ValueError) as error:
            LOG.warning("the log %s could not be uploaded: %s", name, error)


def blob_url(container: str, name: str) -> str:
    """The blob's URL: the container's, with its signature kept."""
    parts = urlsplit(container)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{quote(name)}", parts.query, ""))


def _put(url: str, content: bytes) -> None:
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-08-06", "Content-Type": "text/plain"}
    request = urllib.request.Request(url, content, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=_PATIENCE):
        pass
