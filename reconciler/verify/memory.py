"""Journal and store of one machine, in memory: they outlive a process that is killed, and take nothing more from it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.errors import Locked, LockLost
from reconciler.ledger import Entry, Evidence, Ledger
from reconciler.model.desired import Key
from reconciler.ports import Clock, Holding
from reconciler.receipt import Receipt

Alive = Callable[[], bool]


@dataclass
class Disk:
    """What is written down. Receipts and logs are by incarnation of a job."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    runs: dict[Key, Entry] = field(default_factory=dict)
    receipts: dict[tuple[Key, str], Receipt] = field(default_factory=dict)
    logs: dict[tuple[Key, str, str], bytes] = field(default_factory=dict)
    name: str = ""
    notes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    locks: dict[str, Holding] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    """When each lock ends, by the disk's own clock."""


class DiskJournal:
    """A Journal of a process on this disk."""

    def __init__(self, disk: Disk, alive: Alive) -> None:
        self._disk, self._alive = disk, alive

    async def write(self, event: str, /, **facts: Any) -> None:
        """Append one event."""
        _still(self._alive)
        self._disk.events.append((event, dict(facts)))


class DiskStore:
    """A StateStore of a process on this disk."""

    def __init__(self, disk: Disk, alive: Alive) -> None:
        self._disk, self._alive = disk, alive

    async def prepare(self) -> None:
        """Give the store its name, unless it has one."""
        _still(self._alive)
        self._disk.name = self._disk.name or "simulated"

    async def ledger(self) -> Ledger:
        """What is remembered."""
        _still(self._alive)
        kept = {incarnation: _evidence(*incarnation) for incarnation in self._disk.receipts}
        return Ledger(dict(self._disk.runs), self._disk.name, kept)

    async def record(self, entry: Entry) -> None:
        """Remember a run."""
        _still(self._alive)
        self._disk.runs[entry.key] = entry

    async def forget(self, key: Key) -> None:
        """Remember a run no longer."""
        _still(self._alive)
        self._disk.runs.pop(key, None)

    async def keep_log(self, key: Key, born: str, path: str, content: bytes) -> None:
        """Keep a log of an incarnation of a job."""
        _still(self._alive)
        self._disk.logs[key, born, path] = content

    async def keep_receipt(self, receipt: Receipt) -> Evidence:
        """Keep the receipt of an incarnation of a job."""
        _still(self._alive)
        self._disk.receipts[receipt.key, receipt.born] = receipt
        return _evidence(receipt.key, receipt.born)


class DiskNotes:
    """The Notes of a process on this disk."""

    def __init__(self, disk: Disk, alive: Alive) -> None:
        self._disk, self._alive = disk, alive

    async def notes(self, folder: str) -> Mapping[str, Mapping[str, Any]]:
        """The notes below a folder."""
        _still(self._alive)
        return {name: dict(note) for name, note in self._disk.notes.items() if name.startswith(f"{folder}/")}

    async def keep_note(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a note."""
        _still(self._alive)
        self._disk.notes[name] = json.loads(json.dumps(content))

    async def drop_note(self, name: str) -> None:
        """Remove a note."""
        _still(self._alive)
        self._disk.notes.pop(name, None)


class DiskLock:
    """The Lock of a process on this disk. *turn* is waited for before each request, and again before its answer is
    there: a process that is stopped does neither."""

    def __init__(self, disk: Disk, clock: Clock, turn: Callable[[], Awaitable[None]]) -> None:
        self._disk, self._clock, self._turn = disk, clock, turn

    async def acquire(self, name: str, owner: str, purpose: str, seconds: float) -> Holding:
        """Take a lock that is free or has expired."""
        await self._turn()
        there, now = self._disk.locks.get(name), self._clock.now()
        if there is not None and self._disk.ends[name] > now:
            raise Locked(f"{there.owner} holds {name}")
        at = self._clock.utc()
        holding = Holding(name, owner, purpose, at, at, seconds, f"{owner}@{now}")
        self._disk.locks[name], self._disk.ends[name] = holding, now + seconds
        await self._turn()
        return holding

    async def renew(self, holding: Holding) -> Holding:
        """Hold it for longer."""
        await self._turn()
        there = self._disk.locks.get(holding.name)
        if there is None or there.token != holding.token:
            raise LockLost(f"{holding.name} is no longer {holding.owner}'s")
        renewed = replace(holding, renewed=self._clock.utc())
        self._disk.locks[holding.name] = renewed
        self._disk.ends[holding.name] = self._clock.now() + holding.seconds
        await self._turn()
        return renewed

    async def release(self, holding: Holding) -> None:
        """Give it back."""
        await self._turn()
        there = self._disk.locks.get(holding.name)
        if there is not None and there.token == holding.token:
            del self._disk.locks[holding.name]

    async def holding(self, name: str) -> Holding | None:
        """Who holds a lock."""
        return self._disk.locks.get(name)

    async def holdings(self) -> tuple[Holding, ...]:
        """Every lock."""
        return tuple(self._disk.locks[name] for name in sorted(self._disk.locks))

    async def break_(self, name: str) -> Holding | None:
        """Take a lock from whoever holds it."""
        return self._disk.locks.pop(name, None)


def _evidence(key: Key, born: str) -> Evidence:
    return Evidence(f"{key}@{born}", f"logs of {key}@{born}")


def _still(alive: Alive) -> None:
    """A killed process does nothing more, not even the next line."""
    if not alive():
        raise asyncio.CancelledError
