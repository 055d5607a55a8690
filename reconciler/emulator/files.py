"""Files of a node or a task as the service lists, reads and deletes them. Used by the file operations.

Shapes follow R20:files, R26:files, R20n and R24c. A path from a request can never leave the directory it is relative
to: neither by `..` nor by a symbolic link, and the control directories of runs are not shown. Tasks own these
directories and may exchange a folder for a link at any moment, the root itself too; so what a path means is found out
first, and then opened from `/` on, folder by folder, without following any link.
"""

from __future__ import annotations

import mimetypes
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from reconciler.emulator.errors import refuse
from reconciler.emulator.times import from_unix_ns, iso

HIDDEN = ".control"
_LOOK = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW  # right enough to see what is there


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or directory: its name relative to the listed root, where that leads, and what `stat` says."""

    name: str
    root: Path
    real: tuple[str, ...]
    """Its path below the root, without links."""
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


def is_directory(root: Path) -> bool:
    """Whether the directory is there, and not a link put in its place."""
    with suppress(OSError), _opened(root, ()):
        return True
    return False


def find(root: Path, name: str) -> Entry:
    """The entry *name* means below *root*; FileNotFound for everything else, wherever it points."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise refuse("FileNotFound")
    try:
        return _look(root, parts)
    except (OSError, ValueError, RuntimeError) as error:
        raise refuse("FileNotFound") from error


def _look(root: Path, parts: tuple[str, ...]) -> Entry:
    """OSError or ValueError if there is no such file or directory, or not inside."""
    real = _resolve(root, parts)
    with _opened(root, real[:-1]) as folder:
        status = os.stat(real[-1], dir_fd=folder, follow_symlinks=False) if real else os.fstat(folder)
    _check_kind(status)
    return Entry("/".join(parts), root, real, status)


def _check_kind(status: os.stat_result) -> None:
    """Pipes, sockets and devices are not shown."""
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise FileNotFoundError


def _resolve(root: Path, parts: tuple[str, ...]) -> tuple[str, ...]:
    real = root.joinpath(*parts).resolve(strict=True).relative_to(root).parts
    if HIDDEN in parts or HIDDEN in real:
        raise FileNotFoundError
    return real


@contextmanager
def _opened(root: Path, parts: tuple[str, ...], how: int = _LOOK) -> Iterator[int]:
    """The directory, opened without following any link on the way. OSError if there is one."""
    names = [*root.parts[1:], *parts]
    descriptor = os.open(root.anchor, (how if not names else _LOOK) | os.O_DIRECTORY)
    try:
        for number, name in enumerate(names, 1):
            flags = (how if number == len(names) else _LOOK) | os.O_DIRECTORY | os.O_NOFOLLOW
            above, descriptor = descriptor, os.open(name, flags, dir_fd=descriptor)
            os.close(above)
        yield descriptor
    finally:
        os.close(descriptor)


def walk(root: Path, *, recursive: bool) -> Iterator[Entry]:
    """Entries below *root* in order of their names. Links that lead out of it are left out, and none is descended."""
    yield from sorted(_walk(root, (), recursive=recursive), key=lambda entry: entry.name)


def _walk(root: Path, above: tuple[str, ...], *, recursive: bool) -> Iterator[Entry]:
    found = []
    with suppress(OSError), _opened(root, above, os.O_RDONLY) as folder, os.scandir(folder) as children:
        for child in children:
            if child.name != HIDDEN and _is_utf8(child.name):
                with suppress(OSError, ValueError, RuntimeError):
                    found.append((_listed(root, (*above, child.name), child), child.is_symlink()))
    for entry, is_link in found:
        yield entry
        if recursive and entry.is_directory and not is_link:
            yield from _walk(root, entry.real, recursive=True)


def _listed(root: Path, parts: tuple[str, ...], child: os.DirEntry[str]) -> Entry:
    if child.is_symlink():
        return _look(root, parts)
    status = child.stat(follow_symlinks=False)
    _check_kind(status)
    return Entry("/".join(parts), root, parts, status)


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
    """Remove a file, or a directory if it is empty or *recursive* is given (O); of a link, the link."""
    *above, name = PurePosixPath(entry.name).parts
    try:
        with _opened(entry.root, _resolve(entry.root, tuple(above)), os.O_RDONLY) as folder:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=folder)
            elif recursive:
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.rmdir(name, dir_fd=folder)
    except (FileNotFoundError, ValueError) as error:
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
    """The file's bytes; FileNotFound if it has gone, cannot be read, or is no file any more."""
    try:
        with _opened(entry.root, entry.real[:-1]) as folder:
            descriptor = os.open(entry.real[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise refuse("FileNotFound") from error
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise refuse("FileNotFound")
    return file
