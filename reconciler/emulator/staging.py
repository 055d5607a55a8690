"""Resource files: fetched into the working directory before a command starts (M:ResourceFile).

Used by `nodes`, in a thread. Failures carry the service's codes for them (NET: TaskFailureInformationCodes).
"""

from __future__ import annotations

import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, Any

from reconciler.emulator.containers import ListingError, blob_url, list_blobs

_TIMEOUT = 60.0  # seconds without a byte
_CHUNK = 1 << 16


class StagingError(Exception):
    """A resource file could not be put in place: the service's code, and what happened."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def fetch_all(files: Iterable[Mapping[str, Any]], into: Path, most_bytes: int) -> None:
    for entry in files:
        mode = int(entry.get("fileMode", "0770"), 8)
        if "httpUrl" in entry:
            _fetch(entry["httpUrl"], into / entry["filePath"], mode, most_bytes)
        else:
            _fetch_container(entry, into / entry.get("filePath", ""), mode, most_bytes)


def _fetch_container(entry: Mapping[str, Any], into: Path, mode: int, most_bytes: int) -> None:
    """All blobs whose names begin with the prefix, each at the path its name says (M:ResourceFile.filePath)."""
    container = entry["storageContainerUrl"]
    try:
        for name in list_blobs(container, entry.get("blobPrefix", "")):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\0" in name:
                raise StagingError("ResourceFileCreateFailed", f"A blob's name leads out of the directory: {name}")
            if not name.endswith("/"):
                _fetch(blob_url(container, name), into / path, mode, most_bytes)
    except ListingError as error:
        raise StagingError(error.code, error.detail) from error


def _fetch(url: str, target: Path, mode: int, most_bytes: int) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StagingError("ResourceDirectoryCreateFailed", str(error)) from error
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            _write(answer, target, mode, most_bytes)
    except urllib.error.HTTPError as error:
        error.close()
        codes = {404: "BlobNotFound", 401: "BlobAccessDenied", 403: "BlobAccessDenied"}
        raise StagingError(codes.get(error.code, "BlobDownloadMiscError"), f"HTTP status {error.code}") from error
    except TimeoutError as error:
        raise StagingError("BlobDownloadTimedOut", str(error)) from error
    except (urllib.error.URLError, HTTPException, ValueError, OSError) as error:
        code = "BlobDownloadTimedOut" if isinstance(getattr(error, "reason", None), TimeoutError) else None
        raise StagingError(code or "BlobDownloadMiscError", str(error)) from error


def _write(answer: IO[bytes], target: Path, mode: int, most_bytes: int) -> None:
    """Under a temporary name first, so that a download cut short leaves no half file under the real one."""
    try:
        part = tempfile.NamedTemporaryFile(dir=target.parent, prefix=".download-", delete=False)  # noqa: SIM115
    except OSError as error:
        raise StagingError("ResourceFileCreateFailed", str(error)) from error
    written = 0
    with part:
        while chunk := answer.read(_CHUNK):
            written += len(chunk)
            if written > most_bytes:
                raise StagingError("BlobDownloadMiscError", f"The file is larger than {most_bytes} bytes")
            _append(part, chunk)
    try:
        Path(part.name).chmod(mode)
        shutil.move(part.name, target)
    except OSError as error:
        raise StagingError("ResourceFileWriteFailed", str(error)) from error


def _append(part: IO[bytes], chunk: bytes) -> None:
    try:
        part.write(chunk)
    except OSError as error:
        raise StagingError("ResourceFileWriteFailed", str(error)) from error
