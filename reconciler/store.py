"""What must outlive the objects: the journal, the ledger of jobs that ran to their end and were removed, and the
receipt of every job that was deleted, with the logs captured before.

A folder under the user's state directory, one for each account and stack. The journal is JSON lines, one event a line,
appended; all else one file for each thing, so that two processes never write the same one. Everything is flushed to the
disk before the request that would erase the evidence. A folder serves the processes of one machine.
"""

import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from reconciler.errors import StoreError
from reconciler.ledger import Entry, Evidence, Ledger
from reconciler.model.desired import Key, Kind
from reconciler.receipt import Receipt

LEDGER_FORMAT: Final = 1


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where this user's state lives: $XDG_STATE_HOME/reconciler, else ~/.local/state/reconciler."""
    base = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".local/state")
    return Path(base) / "reconciler"


def stack_folder(state: Path, endpoint: str, stack: str) -> Path:
    """Where the state of one stack in one account lives."""
    return _account_folder(state, endpoint) / stack


def _account_folder(state: Path, endpoint: str) -> Path:
    host = endpoint.split("://")[-1].lower()  # the same account, however its name is spelled
    return state / "stacks" / re.sub(r"[^a-z0-9.-]+", "_", host)


def forget_account(state: Path, endpoint: str) -> tuple[Path, ...]:
    """Remove what is kept of every stack of an account that is no more; the folders that were removed."""
    folder = _account_folder(state, endpoint)
    with _told(f"remove {folder}"):
        stacks = tuple(sorted(folder.iterdir())) if folder.is_dir() else ()
        for stack in stacks:
            shutil.rmtree(stack)
        if folder.is_dir():
            folder.rmdir()
    return stacks


def stacks_in(state: Path, endpoint: str) -> tuple[str, ...]:
    """The stacks of an account of which there is state here."""
    folder = stack_folder(state, endpoint, "any").parent
    return tuple(sorted(path.name for path in folder.glob("*") if path.is_dir()))


class FolderJournal:
    """A Journal in a folder. The file is private to the user: it names nodes and commands' results."""

    def __init__(self, state: Path, endpoint: str, stack: str) -> None:
        self.path = stack_folder(state, endpoint, stack) / "journal.jsonl"

    def write(self, event: str, /, **facts: Any) -> None:
        """Append one event, on the disk when this returns. Raises OSError when it cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": at, "event": event, **facts}, sort_keys=False)
        with open(self.path, "a", encoding="utf-8", opener=_private) as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class FolderStore:
    """A StateStore in a folder.

    `ledger/<kind>-<id>.json` for each run that is remembered, `store-id` for its name; for each incarnation of a job
    that was deleted, or is held, `receipts/<id>@<creationTime>.json` and the logs in `logs/<id>@<creationTime>/`.
    """

    def __init__(self, state: Path, endpoint: str, stack: str) -> None:
        self._folder = stack_folder(state, endpoint, stack)
        self._stack = stack

    async def prepare(self) -> None:
        """Give the store its name, unless it has one."""
        with _told(f"name the store {self._folder}"):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _put_first(_written(self._folder, secrets.token_hex(4)), self._folder / "store-id")

    async def ledger(self) -> Ledger:
        """What is remembered; an empty ledger without a name where nothing was ever written."""
        with _told(f"read the ledger in {self._folder}"):
            found = map(self._entry, sorted((self._folder / "ledger").glob("*.json")))
            entries = {entry.key: entry for entry in found if entry is not None}
            return Ledger(entries, self._name(), dict(self._receipts()))

    def _name(self) -> str:
        path = self._folder / "store-id"
        return path.read_text("ascii").strip() if path.exists() else ""

    def _entry(self, path: Path) -> Entry | None:
        try:
            raw = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:  # another process forgot it since the folder was listed
            return None
        if raw["format_version"] != LEDGER_FORMAT:
            raise ValueError(
                f"{path.name} is of format {raw['format_version']}, and this version reads {LEDGER_FORMAT}"
            )
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

    async def record(self, entry: Entry) -> None:
        """Remember a run. It is on the disk, whole, when this returns."""
        facts = {name: value for name, value in asdict(entry).items() if name != "key"}
        text = json.dumps({"format_version": LEDGER_FORMAT, "kind": entry.key.kind, **facts}, indent=2)
        with _told(f"write the ledger in {self._folder}"):
            folder = self._folder / "ledger"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _written(folder, text + "\n").replace(self._path(entry.key))
            _flush(folder)

    async def forget(self, key: Key) -> None:
        """Remember a run no longer; nothing happens where none is remembered."""
        with _told(f"write the ledger in {self._folder}"):
            self._path(key).unlink(missing_ok=True)
            if (self._folder / "ledger").exists():
                _flush(self._folder / "ledger")

    def _receipts(self) -> Iterator[tuple[tuple[Key, str], Evidence]]:
        for path in (self._folder / "receipts").glob("*@*.json"):
            name, _, born = path.stem.partition("@")
            key = Key.of(Kind.JOB, unquote(name)), unquote(born)
            yield key, self._evidence(*key)

    def _evidence(self, key: Key, born: str) -> Evidence:
        logs = self._logs(key, born)
        return Evidence(str(self._receipt_path(key, born)), str(logs) if logs.is_dir() else "")

    def _receipt_path(self, key: Key, born: str) -> Path:
        return self._folder / "receipts" / f"{_incarnation(key, born)}.json"

    def _logs(self, key: Key, born: str) -> Path:
        return self._folder / "logs" / _incarnation(key, born)

    async def keep_log(self, key: Key, born: str, path: str, content: bytes) -> None:
        """Keep a log. It is on the disk, whole, when this returns."""
        parts = [_file_name(part) for part in path.split("/")]
        with _told(f"write the logs in {self._folder}"):
            place = self._logs(key, born).joinpath(*parts)
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _written(place.parent, content).replace(place)
            _flush(place.parent)

    async def keep_receipt(self, receipt: Receipt) -> Evidence:
        """Keep a receipt. It is on the disk, whole, when this returns; the first of an incarnation stays: who comes
        later may find that the job, and the files of its nodes, are deleted by now."""
        text = json.dumps(receipt.content(), indent=2)
        with _told(f"write the receipts in {self._folder}"):
            place = self._receipt_path(receipt.key, receipt.born)
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _put_first(_written(place.parent, text + "\n"), place)
            return self._evidence(receipt.key, receipt.born)

    def _path(self, key: Key) -> Path:
        return self._folder / "ledger" / f"{key.kind}-{key.id}.json"


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{what}: {error or type(error).__name__}") from error


def _incarnation(key: Key, born: str) -> str:
    return f"{_file_name(key.id)}@{_file_name(born)}"


def _file_name(text: str) -> str:
    """*text* as the name of one file: a service that is not what it says must not choose where we write."""
    name = quote(text, safe=":+ ")
    return name.replace(".", "%2E") if name.strip(".") == "" else name


def _written(folder: Path, text: str | bytes) -> Path:
    """A new file of *folder* with *text*, on the disk, private to the user."""
    number, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    with os.fdopen(number, "wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _put_first(written: Path, place: Path) -> None:
    """Give a new file its name, unless another process was first: then what is there counts."""
    try:
        os.link(written, place)
        _flush(place.parent)
    except FileExistsError:
        pass
    finally:
        written.unlink()


def _flush(folder: Path) -> None:
    """A name in a folder is on the disk once the folder is."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
