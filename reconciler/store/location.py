"""Where a store is: a folder, or a container of Azure Blob Storage. Below that, one place for each account and stack.

The default is a folder under the user's state directory.
"""

import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import UsageError
from reconciler.model.desired import Retention
from reconciler.model.location import problem_of
from reconciler.ports import Lock
from reconciler.store import journal
from reconciler.store.folder import FolderLock, FolderShelf
from reconciler.store.records import Records, told
from reconciler.store.shelf import Shelf

LOCKS: Final = ".locks"
"""No stack can have that name."""


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where this user's state lives: $XDG_STATE_HOME/reconciler, else ~/.local/state/reconciler."""
    base = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".local/state")
    return Path(base) / "reconciler"


@dataclass(frozen=True, slots=True)
class Location:
    """A folder, or the URL of a container with or without a prefix; exactly one of them."""

    folder: Path | None = None
    url: str = ""

    def __str__(self) -> str:
        return self.url or str(self.folder)

    @property
    def is_local(self) -> bool:
        """Whether it excludes and serves the processes of one machine only."""
        return self.folder is not None


def location_of(given: str | None, environment: Mapping[str, str], what: str = "--store") -> Location:
    """The location that a person gave as *what*, else the user's own. Raises UsageError for a text that is none."""
    if given is None:
        return Location(state_directory(environment) / "stacks")
    if problem := problem_of(given):
        raise UsageError(f"{what}: {problem}")
    if "://" not in given:
        return Location(Path(given).absolute())
    return Location(url=given.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Store:
    """What is kept of the stacks of one account."""

    location: Location
    shelf: Shelf
    lock: Lock

    async def stacks(self) -> tuple[str, ...]:
        """The stacks of which something is kept."""
        with told(f"read {self.location}"):
            return tuple(name for name in await self.shelf.folders("") if name != LOCKS)

    def records(self, stack: str, retention: Retention | None = None) -> Records:
        """Ledger, receipts and logs of a stack."""
        return Records(self.shelf.below(stack), retention or Retention())

    def journal(self, stack: str, retention: Retention | None = None, **facts: str) -> journal.ShelfJournal:
        """The journal of a stack; *facts* are in each event."""
        return journal.ShelfJournal(self.shelf.below(stack), retention or Retention(), facts)

    async def events(self, stack: str) -> tuple[dict[str, object], ...]:
        """What the journal of a stack says, oldest first."""
        return await journal.read(self.shelf.below(stack))


@asynccontextmanager
async def open_store(location: Location, endpoint: str, environment: Mapping[str, str]) -> AsyncIterator[Store]:
    """The store of an account. Nothing is written, or asked of a container, before something is asked of it.

    Raises UsageError where a container cannot be reached the way the environment says, StoreError where what it takes
    is not installed.
    """
    account = account_folder(endpoint)
    if location.folder is not None:
        root = location.folder / account
        yield Store(location, FolderShelf(root), FolderLock(root / LOCKS))
        return
    from reconciler.store.blob import connect

    async with connect(location.url, account, environment) as (shelf, lock):
        yield Store(location, shelf, lock)


def account_folder(endpoint: str) -> str:
    """The same account has one place, however its name is spelled."""
    return re.sub(r"[^a-z0-9.-]+", "_", endpoint.split("://")[-1].rstrip("/").lower())


def forget_account(state: Path, endpoint: str) -> tuple[Path, ...]:
    """Remove what the user's own folder keeps of every stack of an account that is no more; the folders that went."""
    folder = state / "stacks" / account_folder(endpoint)
    with told(f"remove {folder}"):
        found = tuple(sorted(folder.iterdir())) if folder.is_dir() else ()
        for stack in found:
            shutil.rmtree(stack)
        if folder.is_dir():
            folder.rmdir()
    return tuple(stack for stack in found if stack.name != LOCKS)
