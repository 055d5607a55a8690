"""The protocols through which the core meets the world. `plan` is never given a writer."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from reconciler.ledger import Entry, Evidence, Ledger
from reconciler.lifecycle.steps import Action
from reconciler.model.desired import Key
from reconciler.observed import (
    Excerpt,
    LiveJob,
    LiveNode,
    LivePool,
    LiveTask,
    NodeFile,
    NodeRun,
    Observed,
    TaskCounts,
    TaskFile,
)
from reconciler.receipt import Receipt


class BatchReader(Protocol):
    """Everything that only looks. Each method raises BatchError and its kinds."""

    async def observe(self) -> Observed:
        """Pools, jobs and job schedules of the account, a few list calls; kinds not listed are `unread`."""

    async def tasks(self, job: LiveJob) -> Mapping[str, LiveTask]:
        """The tasks of a job by folded id."""

    async def task_ids(self, job: LiveJob) -> frozenset[str]:
        """The folded ids of the tasks of a job."""

    async def node_runs(self, job: LiveJob) -> tuple[NodeRun, ...]:
        """Preparation and release per node; empty for a job that has neither."""

    async def task_counts(self, job: LiveJob) -> TaskCounts:
        """How many tasks are in which state."""

    async def nodes(self, pool: LivePool) -> tuple[LiveNode, ...]:
        """The nodes that are in a pool now."""

    async def evaluate(self, pool: LivePool, formula: str) -> str:
        """What the service makes of an autoscale formula on a pool that scales now, in words; nothing is changed."""

    async def excerpt(self, file: NodeFile | TaskFile, head: int, tail: int) -> Excerpt:
        """A file, whole where *head* and *tail* together hold it, else that many bytes of its beginning and its end."""

    def node_file(self, pool: str, node: str, path: str) -> AsyncIterator[bytes]:
        """Content of a file of a node, piece by piece."""

    def task_file(self, job: str, task: str, path: str) -> AsyncIterator[bytes]:
        """Content of a file of a task, piece by piece."""


class BatchWriter(Protocol):
    """Everything that changes the account."""

    async def send(self, key: Key, name: str, action: Action) -> None:
        """Carry out one action. Raises BatchError and its kinds; returning means the service accepted it."""


class Clock(Protocol):
    """Time, so that tests can hold it."""

    def now(self) -> float:
        """Seconds of a monotonic clock."""

    def utc(self) -> str:
        """The time of day, ISO 8601 UTC."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""


class Journal(Protocol):
    """Where what happened is written down before it can no longer be read."""

    async def write(self, event: str, /, **facts: Any) -> None:
        """Append one event; it is safe when this returns. Raises StoreError."""


class StateStore(Protocol):
    """Where it is remembered which jobs ran to their end and were removed, and what is left of every job that was
    deleted. Things are written whole, by name, and read by listing names: a folder or a blob container can hold them.
    Each method raises StoreError."""

    async def prepare(self) -> None:
        """Give the store its name, so that marks can say it."""

    async def ledger(self) -> Ledger:
        """What is remembered of the stack."""

    async def record(self, entry: Entry) -> None:
        """Remember a run; it is safe when this returns."""

    async def forget(self, key: Key) -> None:
        """Remember a run no longer."""

    async def keep_log(self, key: Key, born: str, path: str, content: bytes) -> None:
        """Keep a log of an incarnation of a job; safe when this returns. What was kept under *path* is replaced."""

    async def keep_receipt(self, receipt: Receipt) -> Evidence:
        """Keep the receipt of an incarnation of a job; it is safe when this returns. Where it is, and its logs."""


class Notes(Protocol):
    """Short notes that people and controllers leave for one another in the store of a stack, by name: what was approved
    and suspended. Names have parts, joined by "/". Each method raises StoreError."""

    async def notes(self, folder: str) -> Mapping[str, Mapping[str, Any]]:
        """The notes below a folder, by their whole names."""

    async def keep_note(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a note, in the place of any that has the name; it is safe when this returns."""

    async def drop_note(self, name: str) -> None:
        """Remove a note; nothing happens where there is none."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds a lock. *purpose* is the command or role; *acquired* and *renewed* are ISO 8601 UTC; *seconds* is how
    long it lasts from the last renewal on. *token* tells this holding from any other of the same owner; it is empty
    where the holding is somebody else's. *expired*: its time is over by the store's clock, or its process is gone, and
    whoever asks gets the lock."""

    name: str
    owner: str
    purpose: str
    acquired: str
    renewed: str
    seconds: float
    token: str = field(default="", repr=False)
    expired: bool = False


class Lock(Protocol):
    """Leases by name (a stack's, for apply and for the leadership of controllers), in a store. Each method raises
    StoreError when the store cannot be reached; who cannot renew has to stop before the lease runs out."""

    async def acquire(self, name: str, owner: str, purpose: str, seconds: float) -> Holding:
        """Take a lock that is free or has expired. Raises Locked, with the holding that is in the way."""

    async def renew(self, holding: Holding) -> Holding:
        """Hold it for longer. Raises LockLost when it is somebody else's, or nobody's, by now."""

    async def release(self, holding: Holding) -> None:
        """Give it back; nothing happens where it is not ours any more."""

    async def holding(self, name: str) -> Holding | None:
        """Who holds a lock, or held it until it expired; None where it was given back or never taken."""

    async def holdings(self) -> tuple[Holding, ...]:
        """Every lock that is held or has expired without being given back, by name."""

    async def break_(self, name: str) -> Holding | None:
        """Take a lock from whoever holds it; what was broken."""


@dataclass(frozen=True, slots=True)
class Revision:
    """Where manifests are from: a commit, or a folder as it was found (*id* empty then). *at* is ISO 8601 UTC. *note*
    is what a person should know of how it came (its branch was rewritten), mostly empty."""

    id: str
    subject: str = ""
    author: str = ""
    at: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Checkout:
    """Manifests on this machine: *path* is a folder or file to load. *root* is the folder that stands for the
    repository: messages read better without it; empty where paths are the user's own."""

    path: str
    revision: Revision
    root: str = ""


class Source(Protocol):
    """Where desired state comes from."""

    async def fetch(self) -> Checkout:
        """The newest manifests. Raises SourceError; what was fetched before stays usable."""

    async def keep(self, revision: Revision) -> None:
        """This one is in force: it stays on the disk, also for the next process, until another one is kept."""

    async def kept(self) -> Checkout | None:
        """The one that is in force and still as it was checked out, without the network; None where there is none."""

    async def close(self) -> None:
        """Nothing of it is used any more by this process."""
