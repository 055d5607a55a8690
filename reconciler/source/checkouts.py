"""Revisions on the disk: each in a folder of its own, whole or not there, and safe from whoever tidies up.

    lock                       held while a process changes what is here
    newest, kept               the commit that was fetched last; the one that is in force
    incoming-*/                on its way; what a crash left is removed by the next fetch
    checkouts/COMMIT/          about.json, listing, and the files in a folder named as the repository
    checkouts/COMMIT.lock      held, shared, by each process that may still read the folder

Folders become visible by one rename. What is taken up again is first compared with its listing, file by file: neither
a power cut nor an editor may make objects seem to have left the manifests.
"""

import asyncio
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from reconciler.errors import SourceError
from reconciler.ports import Checkout, Revision
from reconciler.source import tree

P = ParamSpec("P")
T = TypeVar("T")

FORMAT: Final = 1
_LOOK_AGAIN: Final = 0.05
_RECENT: Final = 2
"""So many revisions that this process was given stay: the one before the newest may still be read."""


class Checkouts:
    """The folder of one source. *name* is what the folder of files is called, *path* where in it manifests are."""

    def __init__(self, folder: Path, name: str, path: str) -> None:
        self.folder = folder
        self._name, self._path = name, path
        self._in_use: dict[str, int] = {}
        self._sound: set[str] = set()

    @asynccontextmanager
    async def changing(self, seconds: float) -> AsyncIterator[None]:
        """Hold the folder against other processes. Raises SourceError where one does not let go of it in time."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + seconds
        file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _locked(file, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise SourceError(f"{self.folder} is being changed by another process for {seconds:g} seconds")
                await asyncio.sleep(_LOOK_AGAIN)
            yield
        finally:
            os.close(file)

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A folder to fetch into; gone afterwards, as is what earlier crashes left. The folder has to be held."""
        for left in self.folder.glob("incoming-*"):
            # A git that outlived its killed parent may still write there: then the next fetch removes it.
            shutil.rmtree(left, ignore_errors=True)
        here = Path(tempfile.mkdtemp(prefix="incoming-", dir=self.folder))
        try:
            yield here
        finally:
            shutil.rmtree(here, ignore_errors=True)

    def files(self, incoming: Path) -> Path:
        """Where the files of a revision on its way go."""
        return incoming / "done" / self._name

    def put(self, incoming: Path, revision: Revision, listing: bytes, conditions: str) -> Checkout:
        """Make a revision on its way one that is there. *conditions* are those under which it was found good."""
        done, place = incoming / "done", self._place(revision.id)
        about = {"format_version": FORMAT, "conditions": conditions, "revision": asdict(revision)}
        (done / "listing").write_bytes(listing)
        (done / "about.json").write_text(json.dumps(about, indent=2), "utf-8")
        _flush(done)
        place.parent.mkdir(exist_ok=True, mode=0o700)
        if place.exists():  # found to be unsound, or good under other conditions
            place.rename(incoming / "replaced")
        done.rename(place)
        self._sound.add(revision.id)
        return self._checkout(revision)

    async def find(self, commit: str, conditions: str) -> Checkout | None:
        """A revision that is there, as it was written and found good under the same conditions."""
        about = self._about(commit)
        if about is None or about[0] != conditions:
            return None
        if commit not in self._sound and not await asyncio.to_thread(self._is_sound, commit):
            return None
        self._sound.add(commit)
        return self._checkout(about[1])

    def describe(self, commit: str) -> Revision | None:
        """What is known of a commit that is there."""
        about = self._about(commit)
        return about[1] if about else None

    def _about(self, commit: str) -> tuple[str, Revision] | None:
        """The conditions and the revision of a commit; None where it is not there, or not written by us."""
        try:
            about = json.loads((self._place(commit) / "about.json").read_text("utf-8"))
            if about["format_version"] != FORMAT:
                return None
            return str(about["conditions"]), Revision(**about["revision"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _is_sound(self, commit: str) -> bool:
        place = self._place(commit)
        try:
            return tree.is_intact(tree.parse((place / "listing").read_bytes()), place / self._name)
        except (FileNotFoundError, ValueError):
            return False

    def read(self, name: str) -> tuple[str, str]:
        """The commit that `newest` or `kept` names, and the note with it; "" where it says nothing."""
        try:
            commit, _, note = (self.folder / name).read_text("utf-8").partition("\n")
        except FileNotFoundError:
            return "", ""
        return commit, note.strip()

    def write(self, name: str, commit: str, note: str = "") -> None:
        """Let `newest` or `kept` name a commit."""
        if self.read(name) == (commit, note):
            return
        fresh = self.folder / f"{name}.{os.getpid()}"
        with fresh.open("w", encoding="utf-8") as file:
            file.write(f"{commit}\n{note}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self.folder / name)

    def use(self, commit: str) -> None:
        """Let no other process remove a revision while this one lives. The folder has to be held. Raises SourceError
        where the revision is not there."""
        if not self._place(commit).is_dir():
            raise SourceError(f"{self._place(commit)} is not there: it was not fetched, or removed since")
        file = self._in_use.pop(commit, None)
        if file is None:
            file = os.open(self._place(commit).with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(file, fcntl.LOCK_SH)
        self._in_use[commit] = file  # the newest is last

    def tidy(self) -> None:
        """Remove the revisions that nobody needs: not the newest, nor the one in force, nor those that a process may
        read. The folder has to be held."""
        needed = {self.read("newest")[0], self.read("kept")[0], *list(self._in_use)[-_RECENT:]}
        for commit in [commit for commit in self._in_use if commit not in needed]:
            os.close(self._in_use.pop(commit))
        for commit in sorted({path.stem for path in (self.folder / "checkouts").iterdir()} - needed):
            lock = self._place(commit).with_suffix(".lock")
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if _locked(file, fcntl.LOCK_EX):
                    self._sound.discard(commit)
                    if self._place(commit).exists():
                        shutil.rmtree(self._place(commit))
                    lock.unlink()
            finally:
                os.close(file)

    def close(self) -> None:
        """Let go of everything."""
        for file in self._in_use.values():
            os.close(file)
        self._in_use.clear()

    def _place(self, commit: str) -> Path:
        return self.folder / "checkouts" / commit

    def _checkout(self, revision: Revision) -> Checkout:
        root = self._place(revision.id) / self._name
        return Checkout(str(root / self._path), revision, str(root))


async def finished(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What a function answers that runs in a thread. Called off, it is waited for all the same: it must not change the
    folder when that is no longer held."""
    running = asyncio.create_task(asyncio.to_thread(function, *arguments, **named))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _locked(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _flush(folder: Path) -> None:
    """Bring what was written to the disk before it is renamed. A file that is lost all the same shows: see `find`."""
    for name in ("about.json", "listing"):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
