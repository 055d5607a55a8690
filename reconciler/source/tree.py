"""The files of a revision: read from Git's own listing, judged before any of them is on the disk, then written.

They are written here, not by `git checkout`: no filter, attribute, line-end conversion or hook of the repository
changes or runs anything, names cannot lead outside, and what is there can be compared with the listing afterwards.
"""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from reconciler.errors import SourceError
from reconciler.source.program import plain

RULES: Final = 1
"""Counts up with what `judge` and `write` refuse: what was found good by other rules is looked at again."""

LARGE_FILE_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_LONGEST_LINK: Final = 4096
_PIECE: Final = 1 << 20


class UnusableTree(SourceError):  # noqa: N818 - as the errors of the domain are named
    """A revision holds what must not be used; it will not get better by itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a revision may hold, all its files together."""

    bytes: int = 256 * 1024 * 1024
    files: int = 50_000


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the listing. *path* is as the repository has it, in bytes."""

    mode: str
    id: str
    size: int
    path: bytes

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"

    @property
    def is_module(self) -> bool:
        return self.mode == "160000"

    @property
    def is_file(self) -> bool:
        return not (self.is_link or self.is_module)

    @property
    def shown(self) -> str:
        """The path as any terminal can print it."""
        return plain(self.path.decode("utf-8", "backslashreplace"))

    def lies_in(self, path: str) -> bool:
        """Whether it is *path*, or in that folder; everything is in ""."""
        inside = os.fsencode(path)
        return not path or self.path == inside or self.path.startswith(inside + b"/")


def parse(listing: bytes) -> tuple[Item, ...]:
    """The items of `git ls-tree -r -l -z`."""
    return tuple(map(_item, filter(None, listing.split(b"\0"))))


def _item(line: bytes) -> Item:
    facts, _, path = line.partition(b"\t")
    mode, _, name, size = facts.decode("ascii").split()
    return Item(mode, name, 0 if size == "-" else int(size), path)


def judge(items: Iterable[Item], path: str, limits: Limits) -> None:
    """Raises UnusableTree for a tree that must not be written to the disk, or whose *path* is no folder or file of its
    own. What lies elsewhere is only refused where it would harm: it may be anything in a repository of many things."""
    items = tuple(items)
    _sizes(items, limits)
    for item in items:
        if any(part in (b"", b".", b"..") or part.lower() == b".git" for part in item.path.split(b"/")):
            raise UnusableTree(f"{item.shown}: no name that a file may have")
    _root(items, path)
    seen: dict[str, Item] = {}
    for item in items:
        if not item.lies_in(path):
            continue
        if item.is_module:
            raise UnusableTree(f"{item.shown}: a submodule; they are not followed, so its manifests would be missing")
        for folded in _folded(item):
            other = seen.setdefault(folded, item)
            if _clash(other, item, folded):
                raise UnusableTree(
                    f"{item.shown}: differs from {other.shown} in case or accents only: rename one of them"
                )


def _sizes(items: tuple[Item, ...], limits: Limits) -> None:
    if len(items) > limits.files:
        raise UnusableTree(f"{len(items):,} files, and at most {limits.files:,} are fetched (--git-max-files)")
    total = sum(item.size for item in items)
    if total > limits.bytes:
        largest = max(items, key=lambda item: item.size)
        raise UnusableTree(
            f"{_mebibytes(total)} in {len(items):,} files, and at most {_mebibytes(limits.bytes)} are fetched "
            f"(--git-max-size); the largest is {largest.shown} ({_mebibytes(largest.size)})"
        )


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"


def _root(items: tuple[Item, ...], path: str) -> None:
    for item in items:
        name = item.path.decode("utf-8", "surrogateescape")
        if item.is_file or not (path == name or path.startswith(name + "/")):
            continue
        what = "a symbolic link" if item.is_link else "a submodule"
        raise UnusableTree(f"{plain(name)} is {what}: give the path of a folder or file itself (--path)")
    if path and not any(item.lies_in(path) for item in items):
        raise UnusableTree(f"no folder or file {plain(path)!r} (--path)")


def _folded(item: Item) -> Iterator[str]:
    """The path and each folder above it, as a file system that ignores case would tell them apart."""
    text = item.path.decode("utf-8", "surrogateescape")
    parts = unicodedata.normalize("NFC", text.casefold()).split("/")
    return ("/".join(parts[: count + 1]) for count in range(len(parts)))


def _clash(one: Item, other: Item, folded: str) -> bool:
    """Whether two items reach the same folded path by different spellings."""
    count = folded.count("/") + 1
    return one.path.split(b"/")[:count] != other.path.split(b"/")[:count]


def write(items: Iterable[Item], contents: BinaryIO, root: Path, path: str) -> None:
    """Write the files below *root*, a folder that is not there yet, from the answer of `git cat-file --batch` to
    `requests`.

    Links come last, so that no file is written through one. Those that lead outside are refused in *path*, and left
    out elsewhere. Raises UnusableTree, OSError.
    """
    root.mkdir(parents=True, mode=0o700)
    links: list[tuple[Item, bytes]] = []
    for item in _asked(items):
        header = contents.readline().decode("ascii", "replace")
        if header.split() != [item.id, "blob", str(item.size)]:
            raise SourceError(f"{item.shown}: git does not give its content: {plain(header)}")
        if item.is_link:
            if item.size > _LONGEST_LINK:
                raise UnusableTree(f"{item.shown}: a link of {item.size:,} bytes")
            links.append((item, contents.read(item.size)))
        else:
            _write_file(item, contents, root, path)
        contents.read(1)
    for item, target in links:
        _write_link(item, target, root)
    for item, target in links:
        place = _place(item, root)
        if not _stays(place, root):
            if item.lies_in(path):
                to = plain(target.decode("utf-8", "backslashreplace"))
                raise UnusableTree(f"{item.shown}: a symbolic link that leads out of the repository, to {to}")
            place.unlink()


def requests(items: Iterable[Item]) -> bytes:
    """The input for `git cat-file --batch`."""
    return "".join(f"{item.id}\n" for item in _asked(items)).encode("ascii")


def _asked(items: Iterable[Item]) -> Iterator[Item]:
    return (item for item in items if not item.is_module)


def _write_file(item: Item, contents: BinaryIO, root: Path, path: str) -> None:
    place = _place(item, root)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Nobody's to edit: the next commit is the way. The commit's mode counts for who may run it, which nobody does.
    with open(place, "xb", opener=_read_only) as file:
        left = item.size
        while left:
            piece = contents.read(min(left, _PIECE))
            if not piece:
                raise SourceError(f"{item.shown}: git gives {left:,} bytes too few")
            if left == item.size and item.lies_in(path) and piece.startswith(LARGE_FILE_POINTER):
                raise UnusableTree(f"{item.shown}: a pointer of Git LFS, whose content is not in the repository itself")
            file.write(piece)
            left -= len(piece)


def _read_only(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o400)


def _write_link(item: Item, target: bytes, root: Path) -> None:
    place = _place(item, root)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        place.symlink_to(os.fsdecode(target))
    except ValueError:
        raise UnusableTree(f"{item.shown}: a symbolic link to no possible name") from None


def _place(item: Item, root: Path) -> Path:
    return root / os.fsdecode(item.path)


def _stays(link: Path, root: Path) -> bool:
    return Path(os.path.realpath(link)).is_relative_to(os.path.realpath(root))


def is_intact(items: Iterable[Item], root: Path) -> bool:
    """Whether the files below *root* are those of the listing and no others. Reads all of them."""
    expected = {os.fsdecode(item.path): item for item in _asked(items)}
    found = set()
    for folder, folders, files in os.walk(root):
        for name in [*files, *(name for name in folders if (Path(folder) / name).is_symlink())]:
            place = Path(folder) / name
            item = expected.get(str(place.relative_to(root)))
            if item is None or _id(place, item) != item.id:
                return False
            found.add(item.path)
    # a link that led outside was left out
    return all(item.path in found or item.is_link for item in expected.values())


def _id(place: Path, item: Item) -> str:
    """What Git would call the content: "" for what is of another kind than it was."""
    facts = place.lstat()
    if item.is_link != stat.S_ISLNK(facts.st_mode) or not (item.is_link or stat.S_ISREG(facts.st_mode)):
        return ""
    digest = hashlib.sha1(usedforsecurity=False) if len(item.id) == 40 else hashlib.sha256()
    digest.update(b"blob %d\0" % facts.st_size)
    if item.is_link:
        digest.update(os.fsencode(place.readlink()))
        return digest.hexdigest()
    with place.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
