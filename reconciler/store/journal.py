"""What happened to a stack, as JSON lines: who ran what, what they consented to, what was sent, what nodes did.

It is appended to, in segments; the oldest go when all together are beyond the retention. Nothing is decided by it.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.model.desired import Retention
from reconciler.store.records import told
from reconciler.store.shelf import Item, Shelf

FOLDER: Final = "journal"
SEGMENT: Final = 2 * 2**20
"""Bytes after which a segment is full, unless the retention is less than four of them. An append blob takes 50,000
blocks, one for each line ("Understanding block blobs, append blobs, and page blobs"), and no line is shorter than 42
bytes."""


@dataclass
class ShelfJournal:
    """A Journal on a shelf. *facts* are in each of its events: which run it is."""

    shelf: Shelf
    retention: Retention = field(default_factory=Retention)
    facts: Mapping[str, str] = field(default_factory=dict)
    _segment: int = 0
    _one: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def write(self, event: str, /, **facts: Any) -> None:
        """Append one event, safe when this returns. Raises StoreError."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": at, "event": event, **self.facts, **facts}, sort_keys=False) + "\n"
        async with self._one:
            with told(f"write the journal in {self.shelf.place}"):
                if not self._segment:
                    segments = await self.shelf.items(FOLDER)
                    self._segment = _number(segments[-1]) if segments else 1
                size = await self.shelf.append(_segment_name(self._segment), line.encode())
                if size >= self._full:
                    self._segment += 1
                    await self._prune()

    @property
    def _full(self) -> int:
        return max(1, min(SEGMENT, self.retention.journal // 4))

    async def _prune(self) -> None:
        """Room for one more segment."""
        room, going = self.retention.journal - self._full, []
        for item in reversed(await self.shelf.items(FOLDER)):
            room -= item.size
            if room < 0:
                going.append(item.name)
        await self.shelf.remove(going)


async def read(shelf: Shelf) -> tuple[dict[str, Any], ...]:
    """The events, oldest first. A line that was cut off when a machine failed is shown as what is left of it."""
    with told(f"read the journal in {shelf.place}"):
        segments = await shelf.items(FOLDER)
        contents = [await shelf.read(item.name) for item in segments]
    rows = [row for content in contents if content is not None for row in _rows(content)]
    return tuple(sorted(rows, key=lambda row: str(row.get("at", ""))))


def _rows(content: bytes) -> Iterator[dict[str, Any]]:
    """The same line twice is one event: an append whose answer was lost is tried again."""
    last, at = b"", ""
    for line in content.split(b"\n"):
        if not line.strip() or line == last:
            continue
        last = line
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            row = {"at": at, "event": "unreadable", "text": line[:200].decode("utf-8", "replace")}
        at = str(row.get("at", ""))
        yield row


def _segment_name(number: int) -> str:
    return f"{FOLDER}/{number:08}.jsonl"


def _number(item: Item) -> int:
    return int(item.name.rpartition("/")[2].partition(".")[0])
