"""A shelf in a folder, and locks beside it. Both serve the processes of one machine.

Everything is flushed to the disk before the request that would erase the evidence. Files are private to the user: they
name nodes and the results of commands.
"""

import asyncio
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from reconciler.errors import LockLost, StoreError
from reconciler.ports import Holding
from reconciler.store.lock import locked, machine_seconds
from reconciler.store.shelf import Item, part_of_name

NEW: Final = ".new-"
LONGEST_GUARD: Final = 10.0
"""Seconds to wait for another process that reads or writes a lock: it takes a millisecond unless it was stopped."""


@dataclass(frozen=True, slots=True)
class FolderShelf:
    """A Shelf in a folder, which is made when the first thing is written."""

    root: Path

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self.root)

    def below(self, folder: str) -> "FolderShelf":
        """The shelf in a folder of it."""
        return FolderShelf(self.root / folder)

    def where(self, name: str) -> str:
        """The path of a thing."""
        return str(self.root / name)

    async def items(self, folder: str) -> tuple[Item, ...]:
        """Everything below a folder."""
        found = []
        for path, _, names in os.walk(self.root / folder, onerror=_unless_absent):
            for name in names:
                if name.startswith(NEW):
                    continue
                try:
                    there = (Path(path) / name).stat()
                except FileNotFoundError:  # another process removed it since the folder was listed
                    continue
                relative = (Path(path) / name).relative_to(self.root)
                version = f"{there.st_ino}-{there.st_mtime_ns}-{there.st_size}"
                found.append(Item(relative.as_posix(), there.st_size, there.st_mtime, version))
        return tuple(sorted(found, key=lambda item: item.name))

    async def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder."""
        try:
            return tuple(sorted(path.name for path in (self.root / folder).iterdir() if path.is_dir()))
        except FileNotFoundError:
            return ()

    async def read(self, name: str) -> bytes | None:
        """A file's content."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    async def put(self, name: str, content: bytes) -> None:
        """Write a file, in the place of any that has the name."""
        place = self._made(name)
        _written(place.parent, content).replace(place)
        _flush(place.parent)

    async def put_first(self, name: str, content: bytes) -> bool:
        """Write a file unless one has the name."""
        place = self._made(name)
        written = _written(place.parent, content)
        try:
            os.link(written, place)
            _flush(place.parent)
        except FileExistsError:
            return False
        finally:
            written.unlink()
        return True

    async def append(self, name: str, content: bytes) -> int:
        """Add a line to a file."""
        place = self._made(name)
        is_new = not place.exists()
        number = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(number).st_size
            if size and os.pread(number, 1, size - 1) != b"\n":
                content = b"\n" + content
            written = os.write(number, content)  # in one piece: another process may append, too
            if written < len(content):
                raise OSError(f"{place}: {written} of {len(content)} bytes could be written")
            os.fsync(number)
            if is_new:
                _flush(place.parent)
            return os.fstat(number).st_size
        finally:
            os.close(number)

    async def remove(self, names: Collection[str]) -> None:
        """Remove files, and the folders that are empty after that."""
        for name in names:
            place = self.root / name
            place.unlink(missing_ok=True)
            if not place.parent.exists():
                continue
            _flush(place.parent)
            for folder in place.parents:
                if folder == self.root or any(folder.iterdir()):
                    break
                folder.rmdir()

    def _made(self, name: str) -> Path:
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return place


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _written(folder: Path, content: bytes) -> Path:
    """A new file of *folder*, on the disk, private to the user."""
    number, name = tempfile.mkstemp(dir=folder, prefix=NEW)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        Path(name).unlink()
        raise
    return Path(name)


def _flush(folder: Path) -> None:
    """A name in a folder is on the disk once the folder is."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@dataclass(frozen=True, slots=True)
class FolderLock:
    """A Lock in a folder: one file for each lock, read and written only under an flock on `.guard`.

    It excludes processes of one machine. Time is that machine's own, which no change of the wall clock touches; a lock
    of a process that is gone is free at once, and after a restart of the machine, or on a folder that machines share,
    the wall clock decides.
    """

    root: Path

    async def acquire(self, name: str, owner: str, purpose: str, seconds: float) -> Holding:
        """Take a lock that is free or has expired."""
        async with self._guarded(name, f"take the lock {name}"):
            found = self._read(name)
            if found is not None and not found.expired:
                raise locked(found)
            now = _utc()
            holding = Holding(name, owner, purpose, now, now, seconds, secrets.token_hex(16))
            self._write(holding)
            return holding

    async def renew(self, holding: Holding) -> Holding:
        """Hold it for longer, also where its time is over and nobody took it since."""
        async with self._guarded(holding.name, f"renew the lock {holding.name}"):
            found = self._read(holding.name)
            if found is None:
                raise LockLost(f"the lock {holding.name} was broken")
            if found.token != holding.token:
                raise LockLost(f"the lock {holding.name} is held by {found.owner} since {found.acquired}")
            renewed = replace(holding, renewed=_utc())
            self._write(renewed)
            return renewed

    async def release(self, holding: Holding) -> None:
        """Give it back."""
        async with self._guarded(holding.name, f"give the lock {holding.name} back"):
            found = self._read(holding.name)
            if found is not None and found.token == holding.token:
                self._path(holding.name).unlink()

    async def holding(self, name: str) -> Holding | None:
        """Who holds a lock, or held it until its time was over. Nothing is written."""
        found = self._read(name)
        return replace(found, token="") if found is not None else None

    async def holdings(self) -> tuple[Holding, ...]:
        """Every lock that is held or has expired without being given back. Nothing is written."""
        names = sorted(unquote(path.stem) for path in self.root.glob("*.json"))
        return tuple([found for name in names if (found := await self.holding(name)) is not None])

    async def break_(self, name: str) -> Holding | None:
        """Take a lock from whoever holds it."""
        async with self._guarded(name, f"break the lock {name}"):
            found = await self.holding(name)
            self._path(name).unlink(missing_ok=True)
            return found

    def _path(self, name: str) -> Path:
        return self.root / f"{part_of_name(name)}.json"

    def _read(self, name: str) -> Holding | None:
        """What is written of a lock. An empty file is what a failing machine leaves of one; any other that cannot be
        understood is somebody's."""
        path = self._path(name)
        try:
            text = path.read_text("utf-8").strip("\0\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"read the lock {path}: {error}") from error
        if not text:
            return None
        try:
            raw = json.loads(text)
            facts = {key: str(raw[key]) for key in ("owner", "purpose", "acquired", "renewed", "token")}
            return Holding(name, **facts, seconds=float(raw["seconds"]), expired=_is_over(raw))
        except (ValueError, KeyError, TypeError):
            return Holding(name, f"somebody whose file {path} cannot be understood", "", "", "", 0)

    def _write(self, holding: Holding) -> None:
        facts = {key: value for key, value in asdict(holding).items() if key != "expired"}
        text = json.dumps({"format_version": 1, **facts, **_process(), "clock": machine_seconds()}, indent=2)
        _written(self.root, text.encode()).replace(self._path(holding.name))

    @asynccontextmanager
    async def _guarded(self, name: str, what: str) -> AsyncIterator[None]:
        """One process at a time reads and writes."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            number = os.open(self.root / ".guard", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"{what} in {self.root}: {error}") from error
        try:
            await self._lock(number, what)
            try:
                yield
            except OSError as error:
                raise StoreError(f"{what} in {self.root}: {error}") from error
        finally:
            os.close(number)

    async def _lock(self, number: int, what: str) -> None:
        deadline = machine_seconds() + LONGEST_GUARD
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if machine_seconds() >= deadline:
                    text = f"another process has had its hand on it for {LONGEST_GUARD:g} s; is it stopped?"
                    raise StoreError(f"{what} in {self.root}: {text}") from None
            except OSError as error:
                raise StoreError(f"{what} in {self.root}: {error}") from error
            await asyncio.sleep(0.01)


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _is_over(raw: dict[str, Any]) -> bool:
    """Whether the lock that is written so is there for whoever asks."""
    seconds = float(raw["seconds"])
    if raw.get("boot") and raw["boot"] == _boot():
        here = raw.get("namespace") == _namespace()
        return (here and _started(int(raw["pid"])) != raw["started"]) or machine_seconds() - float(
            raw["clock"]
        ) > seconds
    return datetime.now(UTC) - datetime.fromisoformat(raw["renewed"]) > timedelta(seconds=seconds)


def _process() -> dict[str, Any]:
    """This process, so that others know when it is gone."""
    pid = os.getpid()
    return {"pid": pid, "started": _started(pid), "boot": _boot(), "namespace": _namespace()}


def _boot() -> str:
    """This run of the machine; empty where it does not say."""
    return _text("/proc/sys/kernel/random/boot_id")


def _namespace() -> str:
    """What makes a process id mean the same process: containers count their own."""
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it leads to no path
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process began, in ticks of this boot; empty for none, and for one that has ended and was not waited for.

    Source: proc(5): the state is field 3 and the start time field 22, counted behind the name, which may hold anything.
    """
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in ("Z", "X") else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError:  # no Linux, or no such process
        return ""
