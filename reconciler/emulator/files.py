"""Files of a node or a task as the service lists, reads and deletes them. Used by the file operations.

Shapes follow R20:files, R26:files, R20n and R24c. A path from a request can never leave the directory it is relative
to: neither by `..` nor by a symbolic link, and the control directories of runs are not shown.
"""

from __future__ import annotations

import mimetypes
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from reconciler.emulator.errors import refuse
from reconciler.emulator.times import from_unix_ns, iso

HIDDEN = ".control"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or directory: its name relative to the listed root, and what `stat` says."""

    name: str
    path: Path
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def modified(self) -> int:
        return from_unix_ns(self.status.st_mtime_ns)

    @property
    def content_type(self) -> str:
        """text/plain or application/octet-stream (R26:files)."""
        guessed = mimetypes.guess_type(self.name)[0] or ""
        return "text/plain" if guessed.startswith("text/") else "application/octet-stream"

    @property
    def mode(self) -> str:
        return f"0o{self.status.st_mode:o}"


def find(root: Path, name: str) -> Entry:
    """The entry *name* means below *root*; FileNotFound for everything else, wherever it points."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or HIDDEN in parts or "\0" in name:
        raise refuse("FileNotFound")
    path = root.joinpath(*parts)
    try:
        inside = path.resolve(strict=True).is_relative_to(root.resolve())
        status = path.stat()
    except (OSError, ValueError, RuntimeError) as error:
        raise refuse("FileNotFound") from error
    if not inside or HIDDEN in path.resolve().relative_to(root.resolve()).parts:
        raise refuse("FileNotFound")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise refuse("FileNotFound")
    return Entry("/".join(parts), path, status)


def walk(root: Path, *, recursive: bool) -> Iterator[Entry]:
    """Entries below *root* in order of their names. Links that lead out of it are left out, and none is descended."""
    yield from sorted(_walk(root, root.resolve(), "", recursive=recursive), key=lambda entry: entry.name)


def _walk(folder: Path, root: Path, prefix: str, *, recursive: bool) -> Iterator[Entry]:
    try:
        children = list(os.scandir(folder))
    except OSError:
        return
    for child in children:
        if child.name == HIDDEN or not _is_utf8(child.name):
            continue
        path = Path(child.path)
        try:
            if child.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
                continue
            entry = Entry(prefix + child.name, path, path.stat())
        except (OSError, RuntimeError):
            continue
        if stat.S_ISREG(entry.status.st_mode) or entry.is_directory:
            yield entry
        if recursive and entry.is_directory and not child.is_symlink():
            yield from _walk(path, root, f"{entry.name}/", recursive=True)


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def describe(entry: Entry, url: str) -> dict[str, Any]:
    """A list entry; a directory has no properties (R20n, R24c), a length is text (R26:files)."""
    shown: dict[str, Any] = {"name": entry.name, "url": url, "isDirectory": entry.is_directory}
    if not entry.is_directory:
        shown["properties"] = {
            "lastModified": iso(entry.modified),
            "contentLength": str(entry.status.st_size),
            "contentType": entry.content_type,
            "fileMode": entry.mode,
        }
    return shown


def delete(entry: Entry, *, recursive: bool, refusal: str) -> None:
    """Remove a file, or a directory if it is empty or *recursive* is given (O)."""
    try:
        if entry.path.is_symlink() or not entry.is_directory:
            entry.path.unlink()
        elif recursive:
            shutil.rmtree(entry.path)
        else:
            entry.path.rmdir()
    except FileNotFoundError as error:
        raise refuse("FileNotFound") from error
    except OSError as error:
        raise refuse(refusal, ("Reason", "The directory is not empty or cannot be removed")) from error


def read_range(text: str | None, size: int) -> tuple[int, int]:
    """Offset and length a `bytes=a-b` header asks for; 416 if the file has no such part."""
    if not text:
        return 0, size
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", text.strip(), re.ASCII)
    if match is None or not (match[1] or match[2]):
        raise refuse("InvalidRange", ("HeaderName", "ocp-range"), ("HeaderValue", text[:100]))
    if not match[1]:
        length = min(int(match[2]), size)
        return size - length, length
    first, last = int(match[1]), int(match[2] or size)
    if first > last or first >= size:
        raise refuse("InvalidRange", ("HeaderName", "ocp-range"), ("HeaderValue", text[:100]))
    return first, min(last, size - 1) - first + 1


def open_inside(entry: Entry) -> IO[bytes]:
    """The file's bytes; FileNotFound if it has gone or cannot be read."""
    try:
        return entry.path.open("rb")
    except OSError as error:
        raise refuse("FileNotFound") from error
