"""From paths to text: folders walked, links kept inside, bytes decoded. `load` calls it first."""

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.errors import Finding

SUFFIXES: Final = (".yaml", ".yml")
STDIN: Final = "<stdin>"
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of one file. More is a mistake of the caller, not a manifest."""

_BOM: Final = b"\xef\xbb\xbf"
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class File:
    """A text and the path to show for it. *folder* is where paths in it begin; standard input has none."""

    path: str
    text: str
    folder: Path | None = None


@dataclass
class Source:
    """All texts, in no particular order, and what could not be read. *folder* is the one folder, if one was given."""

    files: list[File] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    folder: str | None = None


def read(paths: Sequence[str]) -> Source:
    """Every manifest file under *paths*; a file reached twice is read once."""
    source = Source()
    seen: set[str] = set()
    for path in paths:
        if path == "-":
            if STDIN not in seen:
                seen.add(STDIN)
                _take(source, STDIN, sys.stdin.buffer.read(LARGEST + 1))
            continue
        is_folder = _is_folder(path, source.findings)
        if is_folder and len(paths) == 1:
            source.folder = path
        for entry in _manifests(path, is_folder, source.findings):
            real = os.path.realpath(entry)
            if real not in seen:
                seen.add(real)
                _read(source, entry)
    return source


def shown(path: str | Path) -> str:
    """*path* as text that any terminal can print."""
    text = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], text)


def _is_folder(path: str, findings: list[Finding]) -> bool | None:
    """None, and a finding, where there is nothing."""
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)
    except (OSError, ValueError) as error:
        findings.append(_whole(path, _why(error)))
        return None


def _manifests(path: str, is_folder: bool | None, findings: list[Finding]) -> Sequence[str | Path]:
    if is_folder:
        return sorted(_walk(Path(path), findings))
    return () if is_folder is None else (path,)


def _walk(folder: Path, findings: list[Finding]) -> Iterator[Path]:
    """Manifest files in *folder* and below, and findings for those that must not or cannot be read."""
    root = Path(os.path.realpath(folder))
    pending, seen = [(folder, root)], {root}
    while pending:
        here, real_here = pending.pop()
        try:
            entries = sorted(here.iterdir())
        except OSError as error:
            findings.append(_whole(here, _why(error)))
            continue
        for entry in entries:
            is_folder = entry.is_dir()
            if entry.name.startswith(".") or not (is_folder or entry.suffix in SUFFIXES):
                continue
            real = Path(os.path.realpath(entry)) if entry.is_symlink() else real_here / entry.name
            if not real.is_relative_to(root):
                message = f"expected a link that stays inside {shown(root.name)}/, found one leading outside"
                findings.append(_whole(entry, message))
            elif is_folder and real not in seen:  # a link may lead to a folder above
                seen.add(real)
                pending.append((entry, real))
            elif entry.is_file():
                yield entry
            elif not is_folder:
                findings.append(_whole(entry, "expected a file, found a broken link or a device"))


def _read(source: Source, path: str | Path) -> None:
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        source.findings.append(_whole(path, _why(error)))
        return
    _take(source, shown(path), raw, Path(path).parent)


def _take(source: Source, path: str, raw: bytes, folder: Path | None = None) -> None:
    if len(raw) > LARGEST:
        source.findings.append(Finding(path, 0, 0, "", f"expected at most {LARGEST >> 20} MiB, found more"))
        return
    raw = raw.removeprefix(_BOM)
    try:
        source.files.append(File(path, raw.decode("utf-8"), folder))
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        found = "UTF-16" if raw.startswith(_WIDE) else f"the byte 0x{raw[error.start]:02x}"
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        source.findings.append(Finding(path, line, column, "", f"expected UTF-8 text, found {found}: save it as UTF-8"))


def _whole(path: str | Path, message: str) -> Finding:
    return Finding(shown(path), 0, 0, "", message)


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ValueError) or error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "expected a file or folder, found none"
    return f"expected a readable file or folder, found: {error.strerror}"
