"""What the account holds, as values: a dated snapshot in the model's terms.

The two cheap lists (pools, jobs) are always there; what costs a request for each object (tasks, preparation and
release per node, counts) is None until somebody asked for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from reconciler.model.desired import Key, Kind
from reconciler.model.table import Normal

MARK = "reconciler"
"""Name of the metadata item that says whose an object is."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Which object we looked at: void an action when it is no longer this one.

    *born* (the creation time) names the incarnation. The ETag does not change when a job enters `completed`,
    `disabled` or `deleting` (recorded), so it protects a write but never decides.
    """

    etag: str
    born: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Our metadata item on an object.

    *spec* is the digest of the manifest last written; *tasks* the digest of the tasks, set once all of them were
    confirmed; *nonce* tells our own create from somebody else's after a lost answer; *keep* and *hold* are the
    policies that must outlive the manifest (preventDestroy, onReleaseFailure: Hold).
    """

    stack: str
    spec: str = ""
    tasks: str = ""
    nonce: str = ""
    keep: bool = False
    hold: bool = True

    def __str__(self) -> str:
        flags = f"{'k' if self.keep else ''}{'h' if self.hold else ''}"
        return f"v1;stack={self.stack};spec={self.spec};tasks={self.tasks};nonce={self.nonce};policy={flags}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The mark in *text*; None when it is not one that this version wrote."""
        version, *parts = text.split(";")
        values = dict(part.partition("=")[::2] for part in parts)
        if version != "v1" or not values.get("stack"):
            return None
        flags = values.get("policy", "")
        return cls(
            stack=values["stack"],
            spec=values.get("spec", ""),
            tasks=values.get("tasks", ""),
            nonce=values.get("nonce", ""),
            keep="k" in flags,
            hold="h" in flags,
        )

    def same_policy(self, other: "Mark") -> bool:
        return (self.keep, self.hold) == (other.keep, other.hold)


@dataclass(frozen=True, slots=True)
class Run:
    """The last run of a preparation or release task on one node. Times are ISO 8601 UTC as the service gave them."""

    state: str
    exit_code: int | None = None
    result: str = ""
    failure: str = ""
    retries: int | None = None
    started: str = ""
    ended: str = ""
    directory: str = ""

    @property
    def is_over(self) -> bool:
        return self.state == "completed"

    @property
    def failed(self) -> bool:
        return self.is_over and (self.result == "failure" or bool(self.exit_code) or bool(self.failure))


@dataclass(frozen=True, slots=True)
class NodeRun:
    """What one node did for a job. Nodes that left the pool stay listed (REST reference)."""

    node: str
    pool: str
    preparation: Run | None
    release: Run | None

    @property
    def is_released(self) -> bool:
        return self.release is not None and self.release.is_over


def short(node: str) -> str:
    """The beginning of a node's id, enough to tell it from others and taken by every command: ids of the service
    have 72 characters."""
    return node[:14] if len(node) > 24 else node


@dataclass(frozen=True, slots=True)
class LiveTask:
    """A task of a job as listed."""

    name: str
    state: str
    guard: Guard
    spec: Normal
    node: str = ""
    exit_code: int | None = None
    failed: bool = False
    failure: str = ""

    @property
    def id(self) -> str:
        return self.name.lower()

    @property
    def is_over(self) -> bool:
        return self.state == "completed"


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """Tasks of a job by state; eventually consistent on the service's side (recorded)."""

    active: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def completed(self) -> int:
        return self.succeeded + self.failed


@dataclass(frozen=True)
class Live:
    """An object of the account. *spec* is normalised without our mark."""

    key: Key
    name: str
    state: str
    guard: Guard
    mark: Mark | None
    spec: Normal

    @property
    def address(self) -> str:
        return f"{self.key.kind}/{self.name}"


@dataclass(frozen=True)
class LivePool(Live):
    """A pool. *nodes* counts its nodes by state, None where they could not be counted; *node_ids* is None until asked
    for, and *able_ids* are those of them that take tasks, or may yet."""

    allocation: str = "steady"
    nodes: Mapping[str, int] | None = field(default_factory=dict)
    current: int = 0
    resize_errors: tuple[str, ...] = ()
    node_ids: frozenset[str] | None = None
    able_ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LiveJob(Live):
    """A job. *tasks*, *nodes* and *counts* are None until asked for; *nodes* is empty when none ran anything."""

    terminate_reason: str = ""
    scheduling_error: str = ""
    tasks: Mapping[str, LiveTask] | None = None
    nodes: tuple[NodeRun, ...] | None = None
    counts: TaskCounts | None = None

    @property
    def pool(self) -> Key | None:
        info = self.spec.get("poolInfo")
        return Key.of(Kind.POOL, info["poolId"]) if info and info.get("poolId") else None

    @property
    def prepares(self) -> bool:
        return self.spec.get("jobPreparationTask") is not None

    @property
    def releases(self) -> bool:
        return self.spec.get("jobReleaseTask") is not None

    def owing(self) -> tuple[NodeRun, ...]:
        """Nodes that ran, or are running, the preparation and have not been released: taking one away would lose the
        release. A preparation that failed lets no task run there, so nothing is owed, unless tasks do not wait for it
        (REST reference, BatchJobReleaseTask)."""
        waits = (self.spec.get("jobPreparationTask") or {}).get("waitForSuccess", True)
        return tuple(
            run
            for run in self.nodes or ()
            if run.preparation is not None and not run.is_released and not (waits and run.preparation.failed)
        )


@dataclass(frozen=True)
class Observed:
    """A snapshot. *unread* names kinds whose listing was refused, and why: their absence means nothing."""

    pools: Mapping[Key, LivePool]
    jobs: Mapping[Key, LiveJob]
    at: str
    unread: Mapping[Kind, str] = field(default_factory=dict)

    def get(self, key: Key) -> LivePool | LiveJob | None:
        return self.pools.get(key) if key.kind is Kind.POOL else self.jobs.get(key)


@dataclass(frozen=True, slots=True)
class Debt:
    """A job whose release has not run yet on nodes that ran its preparation. No *nodes*: it could not be read which."""

    job: Key
    name: str
    nodes: tuple[str, ...]
    ending: bool


def debts_on(pool: LivePool, jobs: Mapping[Key, LiveJob]) -> tuple[Debt, ...]:
    """Release debt that the nodes of *pool* hold, of every job of the account, ours or not.

    What was not asked for (`node_ids` or a job's `nodes` None) counts as owing: debt is never assumed away. A job that
    is being deleted owes as well, since deleting an active job releases it.
    """
    found = []
    for job in jobs.values():
        if not job.releases or job.state == "completed":
            continue
        nodes = tuple(run.node for run in job.owing() if _is_there(run, pool))
        if nodes or (job.nodes is None and job.pool == pool.key):
            found.append(Debt(job.key, job.name, nodes, job.state in ("terminating", "deleting")))
    return tuple(found)


def _is_there(run: NodeRun, pool: LivePool) -> bool:
    return run.pool.lower() == pool.key.id and (pool.node_ids is None or run.node in pool.node_ids)
