"""Journal and store of one machine, in memory: they outlive a process that is killed, and take nothing more from it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reconciler.ledger import Entry, Evidence, Ledger
from reconciler.model.desired import Key
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


def _evidence(key: Key, born: str) -> Evidence:
    return Evidence(f"{key}@{born}", f"logs of {key}@{born}")


def _still(alive: Alive) -> None:
    """A killed process does nothing more, not even the next line."""
    if not alive():
        raise asyncio.CancelledError
