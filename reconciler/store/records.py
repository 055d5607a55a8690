"""What must outlive the objects of a stack: the ledger of jobs that ran to their end and were removed, and the receipt
of every job that was deleted, with the logs captured before.

One thing for each run and each incarnation, so that two processes never write the same one.
"""

import asyncio
import json
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Final
from urllib.parse import unquote

from reconciler.errors import StoreError
from reconciler.ledger import Entry, Evidence, Ledger
from reconciler.model.desired import Key, Kind, Retention
from reconciler.receipt import Receipt
from reconciler.store.shelf import Item, Shelf, part_of_name

LEDGER_FORMAT: Final = 1
DAY: Final = 86400.0


@dataclass
class Records:
    """A StateStore on a shelf.

    `ledger/<kind>-<id>.json` for each run that is remembered, `store-id` for its name; for each incarnation of a job
    that was deleted, or is held, `receipts/<id>@<creationTime>.json` and the logs in `logs/<id>@<creationTime>/`.
    """

    shelf: Shelf
    retention: Retention = field(default_factory=Retention)
    _read: dict[str, tuple[str, Entry]] = field(default_factory=dict, repr=False)
    _name: str = field(default="", repr=False)

    async def prepare(self) -> None:
        """Give the store its name, unless it has one."""
        with told(f"name the store {self.shelf.place}"):
            await self.shelf.put_first("store-id", secrets.token_hex(4).encode())

    async def ledger(self) -> Ledger:
        """What is remembered; an empty ledger without a name where nothing was ever written."""
        with told(f"read the ledger in {self.shelf.place}"):
            runs, receipts, logs, name = await asyncio.gather(
                self.shelf.items("ledger"), self.shelf.items("receipts"), self.shelf.folders("logs"), self._store_id()
            )
            found = await asyncio.gather(*map(self._entry, runs))
            entries = {entry.key: entry for entry in found if entry is not None}
            return Ledger(entries, name, dict(self._receipts(receipts, frozenset(logs))))

    async def _store_id(self) -> str:
        if not self._name:  # it never changes
            self._name = (await self.shelf.read("store-id") or b"").decode("ascii").strip()
        return self._name

    async def _entry(self, item: Item) -> Entry | None:
        """A run; what did not change since it was read last is not read again."""
        version, entry = self._read.get(item.name, ("", None))
        if entry is not None and version == item.version:
            return entry
        content = await self.shelf.read(item.name)
        if content is None:  # another process forgot it since the names were listed
            return None
        entry = _entry_of(content, item.name)
        self._read[item.name] = (item.version, entry)
        return entry

    async def record(self, entry: Entry) -> None:
        """Remember a run. It is safe, whole, when this returns."""
        facts = {name: value for name, value in asdict(entry).items() if name != "key"}
        text = json.dumps({"format_version": LEDGER_FORMAT, "kind": entry.key.kind, **facts}, indent=2)
        with told(f"write the ledger in {self.shelf.place}"):
            await self.shelf.put(_run_name(entry.key), (text + "\n").encode())

    async def forget(self, key: Key) -> None:
        """Remember a run no longer; nothing happens where none is remembered."""
        with told(f"write the ledger in {self.shelf.place}"):
            await self.shelf.remove([_run_name(key)])

    def _receipts(
        self, items: tuple[Item, ...], with_logs: frozenset[str]
    ) -> Iterator[tuple[tuple[Key, str], Evidence]]:
        for item in items:
            if incarnation := _incarnation_of(item.name):
                yield incarnation, self._evidence(*incarnation, logs=_incarnation(*incarnation) in with_logs)

    def _evidence(self, key: Key, born: str, *, logs: bool) -> Evidence:
        name = _incarnation(key, born)
        return Evidence(self.shelf.where(f"receipts/{name}.json"), self.shelf.where(f"logs/{name}") if logs else "")

    async def keep_log(self, key: Key, born: str, path: str, content: bytes) -> None:
        """Keep a log. It is safe, whole, when this returns."""
        parts = "/".join(part_of_name(part) for part in path.split("/"))
        with told(f"write the logs in {self.shelf.place}"):
            await self.shelf.put(f"logs/{_incarnation(key, born)}/{parts}", content)

    async def keep_receipt(self, receipt: Receipt) -> Evidence:
        """Keep a receipt. It is safe, whole, when this returns; the first of an incarnation stays: who comes later may
        find that the job, and the files of its nodes, are deleted by now."""
        text = json.dumps(receipt.content(), indent=2) + "\n"
        name = _incarnation(receipt.key, receipt.born)
        with told(f"write the receipts in {self.shelf.place}"):
            await self.shelf.put_first(f"receipts/{name}.json", text.encode())
            logs = await self.shelf.items(f"logs/{name}")
            return self._evidence(receipt.key, receipt.born, logs=bool(logs))

    async def receipt(self, key: Key, born: str) -> Mapping[str, object] | None:
        """What a receipt says; None where there is none."""
        with told(f"read the receipts in {self.shelf.place}"):
            content = await self.shelf.read(f"receipts/{_incarnation(key, born)}.json")
            return dict(json.loads(content)) if content is not None else None

    async def prune(self, there: Collection[tuple[Key, str]]) -> int:
        """Remove what is beyond the retention, oldest first; how many receipts went. What belongs to incarnations that
        are *there* still stays, whatever its age.

        Age counts from the newest of them, which the run that asks has just written: no clock of another machine, and
        none that was set wrong since, makes everything old.
        """
        with told(f"prune the receipts in {self.shelf.place}"):
            receipts, logs = await asyncio.gather(self.shelf.items("receipts"), self.shelf.items("logs"))
            pruned = _beyond(self.retention, receipts, logs, {_incarnation(*incarnation) for incarnation in there})
            await self.shelf.remove(pruned)
        return sum(name.startswith("receipts/") for name in pruned)


def _beyond(
    retention: Retention, receipts: tuple[Item, ...], logs: tuple[Item, ...], there: Collection[str]
) -> tuple[str, ...]:
    """The names of what is to go."""
    now = max((item.changed for item in (*receipts, *logs)), default=0.0)
    of_incarnation: dict[str, list[Item]] = {}
    for item in (*receipts, *logs):
        of_incarnation.setdefault(item.name.split("/")[1].removesuffix(".json"), []).append(item)
    # A name ends with the creation time: it decides where several were written in one tick of the shelf's clock.
    changed = {name: max(item.changed for item in items) for name, items in of_incarnation.items()}
    room = retention.logs
    going: list[Item] = []
    for number, name in enumerate(sorted(changed, key=lambda name: (changed[name], name), reverse=True)):
        items = of_incarnation[name]
        kept = [item for item in items if item.name.startswith("logs/")]
        room -= sum(item.size for item in kept)
        if name in there:
            continue
        if number >= retention.receipts or now - changed[name] > retention.days * DAY:
            going += items
        elif room < 0:
            going += kept
    return tuple(sorted(item.name for item in going))


def _entry_of(content: bytes, name: str) -> Entry:
    raw = json.loads(content)
    if raw["format_version"] != LEDGER_FORMAT:
        raise ValueError(f"{name} is of format {raw['format_version']}, and this version reads {LEDGER_FORMAT}")
    return Entry(
        stack=raw["stack"],
        key=Key.of(Kind(raw["kind"]), raw["name"]),
        name=raw["name"],
        run_digest=raw["run_digest"],
        tasks_digest=raw["tasks_digest"],
        born=raw["born"],
        ended=raw["ended"],
        result=raw["result"],
    )


def _run_name(key: Key) -> str:
    return f"ledger/{key.kind}-{key.id}.json"


def _incarnation(key: Key, born: str) -> str:
    return f"{part_of_name(key.id)}@{part_of_name(born)}"


def _incarnation_of(name: str) -> tuple[Key, str] | None:
    job, at, born = name.removeprefix("receipts/").removesuffix(".json").partition("@")
    return (Key.of(Kind.JOB, unquote(job)), unquote(born)) if at else None


@contextmanager
def told(what: str) -> Iterator[None]:
    """Whatever goes wrong on a shelf as a StoreError that says what was tried."""
    try:
        yield
    except (StoreError, OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{what}: {error or type(error).__name__}") from error
