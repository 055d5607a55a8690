"""Output files: found by pattern when a command has ended, and uploaded to a container (M:OutputFile).

Used by `nodes`, in a thread. What was done is written to fileuploadout.txt and fileuploaderr.txt in the task directory.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, Any

from reconciler.emulator.containers import STORAGE_VERSION, blob_url
from reconciler.emulator.files import HIDDEN
from reconciler.emulator.times import from_unix_ns, iso

_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 3
_PAUSE = 0.2  # seconds between tries
_WILD = re.compile(r"[*?\[]")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)


class UploadError(Exception):
    """An output file could not be uploaded: the service's code, and what happened."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Found:
    """A file to upload, and the name its blob gets within the container."""

    path: Path
    blob: str


def is_due(output: Mapping[str, Any], exit_code: int, *, may_be_retried: bool) -> bool:
    """Whether the condition is met; failures count only when no other try follows."""
    condition = output["uploadOptions"]["uploadCondition"]
    if exit_code == 0:
        return condition in ("TaskSuccess", "TaskCompletion")
    return condition in ("TaskFailure", "TaskCompletion") and not may_be_retried


def upload_all(
    outputs: Iterable[Mapping[str, Any]],
    directory: Path,
    environment: Mapping[str, str],
    is_stopped: Callable[[], bool],
    *,
    keeps_names: bool,
) -> None:
    """Upload what the patterns find, one file after the other; the first that fails ends it."""
    with (directory / "fileuploadout.txt").open("a") as out, (directory / "fileuploaderr.txt").open("a") as err:
        for output in outputs:
            container = output["destination"]["container"]
            for found in find(output, directory / "wd", environment, keeps_names=keeps_names):
                if is_stopped():
                    return
                try:
                    size = _upload(container, found)
                except UploadError as error:
                    print(f"{_now()} {found.path}: {error}", file=err)
                    raise
                print(f"{_now()} {found.path} -> {found.blob}: {size} bytes", file=out)


def _now() -> str:
    return iso(from_unix_ns(time.time_ns()))


# --- finding


def find(output: Mapping[str, Any], base: Path, environment: Mapping[str, str], *, keeps_names: bool) -> list[Found]:
    """The files a pattern means, in order. None at all is no error (D:batch-task-output-files).

    Without wildcards `path` is the blob's name; with them it is a folder before names that count from the first
    wildcard on, or from the working directory on.
    """
    pattern = expand(output["filePattern"], environment)
    path: str = output["destination"]["container"].get("path", "").strip("/")
    parts = PurePosixPath(pattern).parts
    wild = next((number for number, part in enumerate(parts) if _WILD.search(part)), None)
    if wild is None:
        exact = base / pattern
        return [Found(exact, path or exact.name)] if _is_file(exact) else []
    fixed = base.joinpath(*parts[:wild])
    names = sorted("/".join(found) for found in dict.fromkeys(_match(fixed, parts[wild:], ())))
    prefix = [part for part in parts[:wild] if part not in ("/", "..")] if keeps_names else []
    return [Found(fixed / name, "/".join([*([path] if path else []), *prefix, name])) for name in names]


def expand(text: str, environment: Mapping[str, str]) -> str:
    """With $NAME and ${NAME} replaced; a variable the task does not have stays as it is written."""
    return _VARIABLE.sub(lambda match: environment.get(match[1] or match[2], match[0]), text)


def _match(folder: Path, parts: tuple[str, ...], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _match(folder, rest or ("*",), above)
        for child in _children(folder, "*"):
            if child.is_dir() and not child.is_symlink():
                yield from _match(child, parts, (*above, child.name))
        return
    for child in _children(folder, part):
        if not rest and _is_file(child):
            yield (*above, child.name)
        elif rest and child.is_dir():
            yield from _match(child, rest, (*above, child.name))


def _children(folder: Path, part: str) -> list[Path]:
    """A leading dot must be written out to be matched; what runs keep about themselves is never found."""
    try:
        children = [child for child in folder.iterdir() if child.name != HIDDEN]
    except OSError:
        return []
    fitting = [child for child in children if fnmatch.fnmatchcase(child.name, part)]
    return [child for child in fitting if part.startswith(".") or not child.name.startswith(".")]


def _is_file(path: Path) -> bool:
    try:
        return HIDDEN not in path.parts and stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


# --- uploading


class _Exactly:
    """A file read as far as it was long when the upload began, however it grows meanwhile."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk


def _upload(container: Mapping[str, Any], found: Found) -> int:
    """Put one block blob; what may pass is tried again."""
    for tried in range(1, _TRIES + 1):
        try:
            return _put(container, found)
        except UploadError as error:
            if tried == _TRIES or error.code not in ("FileUploadMiscError", "FileUploadTimedOut"):
                raise
            time.sleep(_PAUSE)
    raise AssertionError("unreachable")


def _put(container: Mapping[str, Any], found: Found) -> int:
    headers = {entry["name"]: entry.get("value", "") for entry in container.get("uploadHeaders", [])}
    headers |= {"x-ms-blob-type": "BlockBlob", "x-ms-version": STORAGE_VERSION}
    try:
        with found.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            headers |= {"Content-Length": str(size)}
            headers.setdefault("Content-Type", "application/octet-stream")
            body: Any = _Exactly(file, size)
            request = urllib.request.Request(
                blob_url(container["containerUrl"], found.blob), body, headers, method="PUT"
            )
            with urllib.request.urlopen(request, timeout=_TIMEOUT):
                return size
    except urllib.error.HTTPError as error:
        error.close()
        codes = {404: "FileUploadContainerNotFound", 401: "FileUploadAccessDenied", 403: "FileUploadAccessDenied"}
        raise UploadError(codes.get(error.code, "FileUploadMiscError"), f"HTTP status {error.code}") from error
    except TimeoutError as error:
        raise UploadError("FileUploadTimedOut", str(error)) from error
    except (urllib.error.URLError, HTTPException, ValueError, OSError) as error:
        timed_out = isinstance(getattr(error, "reason", None), TimeoutError)
        raise UploadError("FileUploadTimedOut" if timed_out else "FileUploadMiscError", str(error)) from error
