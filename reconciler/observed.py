"""What the account holds, as values: a dated snapshot in the model's terms.

The cheap lists (pools, jobs, job schedules) are always there; what costs a request for each object (tasks,
preparation and release per node, counts) is None until somebody asked for it.
"""

import base64
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Self

from reconciler.model import moment
from reconciler.model.desired import PLAIN, Key, Kind
from reconciler.model.table import Normal

MARK = "reconciler"
"""Name of the metadata item that says whose an object is."""
PRINT: Final = 3
"""Characters by which a mark tells a node from the others of its pool: ids of nodes have 72, and how long the value of
a metadata item may be is not known."""
EVERY: Final = "*" * PRINT
MOST_PRINTS: Final = 32
"""Names that a mark tells apart; of more it says that every one may be meant."""


CAPTURES: Final[Mapping[str, str]] = {"Never": "n", "OnFailure": "", "Always": "a"}
"""What lifecycle.captureLogs may say, and the letter for it in a mark."""


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
    confirmed; *nonce* tells our own create from somebody else's after a lost answer; *keep*, *hold* and *orphan* are
    the policies that must outlive the manifest (preventDestroy, onReleaseFailure: Hold, deletionPolicy: Orphan), as is
    *capture* (captureLogs). Of a
    pool, *written* is when its start task or packages last changed (ISO 8601 UTC), and *aside* holds the prints of
    nodes that we took off scheduling: those we put back, and no others. *store* names the store whose ledger
    remembers the jobs of the stack that have a time to live. *retried* says for which manifest failed tasks were
    reactivated; while that is going on `@` and the end of the last of them follow. *secrets* is the keyed digest of
    the values written that the service never returns. *hidden* holds the prints of the names of environment settings
    that the manifest gives by reference to a secret, which the service returns in clear: whoever reads the account to
    write manifests of it knows them for secrets.
    *passwords* holds prints of such values in the tasks that were added, or are about to be.
    *later*: the job was created without its onAllTasksComplete, which is still to be set. *revision* is the beginning
    of the commit whose manifest last changed the object, empty where it came from no commit that is known.
    """

    stack: str
    spec: str = ""
    tasks: str = ""
    nonce: str = ""
    keep: bool = False
    hold: bool = True
    orphan: bool = False
    capture: str = "OnFailure"
    written: str = ""
    aside: frozenset[str] = frozenset()
    store: str = ""
    retried: str = ""
    secrets: str = ""
    passwords: str = ""
    hidden: frozenset[str] = frozenset()
    later: bool = False
    revision: str = ""

    def __str__(self) -> str:
        flags = f"{'k' if self.keep else ''}{'h' if self.hold else ''}{'o' if self.orphan else ''}"
        flags += CAPTURES[self.capture]
        text = f"v1;stack={self.stack};spec={self.spec};tasks={self.tasks};nonce={self.nonce};policy={flags}"
        more = {
            "written": self.written,
            "aside": "".join(sorted(self.aside)),
            "store": self.store,
            "re": self.retried,
            "secrets": self.secrets,
            "passwords": self.passwords,
            "hidden": "".join(sorted(self.hidden)),
            "later": "end" if self.later else "",
            "rev": self.revision,
        }
        return text + "".join(f";{name}={value}" for name, value in more.items() if value)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The mark in *text*; None when it is not one that this version wrote."""
        version, *parts = text.split(";")
        values = dict(part.partition("=")[::2] for part in parts)
        if version != "v1" or not values.get("stack"):
            return None
        flags = values.get("policy", "")
        aside, hidden = values.get("aside", ""), values.get("hidden", "")
        return cls(
            stack=values["stack"],
            spec=values.get("spec", ""),
            tasks=values.get("tasks", ""),
            nonce=values.get("nonce", ""),
            keep="k" in flags,
            hold="h" in flags,
            orphan="o" in flags,
            capture=next((name for name, flag in CAPTURES.items() if flag and flag in flags), "OnFailure"),
            written=_time(values.get("written", "")),
            aside=_prints(aside),
            store=values.get("store", ""),
            retried=_retried(values.get("re", "")),
            secrets=values.get("secrets", ""),
            passwords=values.get("passwords", ""),
            hidden=_prints(hidden),
            revision=values.get("rev", ""),
            later=bool(values.get("later")),
        )

    def hides(self, setting: str) -> bool:
        """Whether the manifest gave the environment setting of this name by reference to a secret."""
        return EVERY in self.hidden or print_of(setting) in self.hidden

    @property
    def policy(self) -> tuple[bool, bool, bool, str]:
        return self.keep, self.hold, self.orphan, self.capture

    def replaces(self, other: "Mark") -> bool:
        """Whether it has to be written in the place of *other* for its own sake: for its policies, other settings that
        are secrets, another store, or a manifest that asks for something else (an adopted object's mark is of none). A
        manifest that only names what the service chose, as an imported one does, is no reason."""
        another_store = bool(other.store) and other.store != self.store
        of_another = self.spec[:PLAIN] != other.spec[:PLAIN] or self.hidden != other.hidden
        return another_store or of_another or self.policy != other.policy


def print_of(text: str) -> str:
    """A few characters by which a mark knows an id or a name again."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())[:PRINT].decode("ascii")


def prints_of(names: Collection[str]) -> frozenset[str]:
    """The prints of *names*; of too many for a mark, the one that stands for every name."""
    return frozenset(map(print_of, names)) if len(names) <= MOST_PRINTS else frozenset({EVERY})


def _prints(text: str) -> frozenset[str]:
    return frozenset(text[at : at + PRINT] for at in range(0, len(text), PRINT))


def _time(text: str) -> str:
    """A time as the mark has it; none where somebody else wrote something that is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text if moment.tzinfo is not None else ""


def _retried(text: str) -> str:
    """For which manifest failed tasks run again, as the mark has it; none where the time beside it is no time."""
    _, _, until = text.partition("@")
    return "" if until and not moment.is_one(until) else text


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the service says that a run failed."""

    category: str
    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class Run:
    """The last run of a start, preparation or release task on one node. Times are ISO 8601 UTC as the service gave
    them."""

    state: str
    exit_code: int | None = None
    result: str = ""
    failure: Failure | None = None
    retries: int | None = None
    started: str = ""
    ended: str = ""
    directory: str = ""

    @property
    def is_over(self) -> bool:
        return self.state == "completed"

    @property
    def failed(self) -> bool:
        return self.is_over and (self.result == "failure" or bool(self.exit_code) or self.failure is not None)

    @property
    def ending(self) -> str:
        """How a run that is over ended: its exit code, or the service's reason where it has none."""
        if self.exit_code is not None:
            return f"exit code {self.exit_code}"
        return str(self.failure or "ended without exit code")


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


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A file of a node, by its path from the node's root directory."""

    pool: str
    node: str
    path: str


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A file of a task, by its path from the task's directory."""

    job: str
    task: str
    path: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A file that is *size* bytes long: its beginning and, where that is not the whole, its end."""

    size: int
    head: bytes
    tail: bytes = b""

    @property
    def left_out(self) -> int:
        return self.size - len(self.head) - len(self.tail)


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
    ended: str = ""
    started: str = ""

    @property
    def id(self) -> str:
        return self.name.lower()

    @property
    def is_over(self) -> bool:
        return self.state == "completed"

    @property
    def runs(self) -> bool:
        return self.state in ("preparing", "running")


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


USABLE: Final = frozenset({"idle", "running"})
ON_THE_WAY: Final = frozenset({"creating", "starting", "rebooting", "reimaging", "upgradingos"})
UP: Final = USABLE | {"offline"}
CAN_RUN: Final = USABLE | ON_THE_WAY | {"waitingforstarttask"}
"""States of nodes that take tasks, or may do so without anybody's help."""


@dataclass(frozen=True, slots=True)
class LiveNode:
    """A compute node as listed. *scheduling* is enabled or disabled; *booted* is ISO 8601 UTC, empty when not told;
    *since* is when it entered its state, likewise; *running* counts its tasks without start, preparation and release
    tasks (REST reference, runningTasksCount). *start* is the last run of its start task, None without one."""

    id: str
    state: str
    scheduling: str = "enabled"
    dedicated: bool = True
    booted: str = ""
    running: int = 0
    since: str = ""
    start: Run | None = None

    @property
    def can_run(self) -> bool:
        return self.state in CAN_RUN

    @property
    def is_up(self) -> bool:
        """Whether its scheduling can be switched, and it can be restarted (REST reference, "Reboot Node")."""
        return self.state in UP

    @property
    def is_off(self) -> bool:
        return self.scheduling == "disabled"

    @property
    def is_quiet(self) -> bool:
        """Whether no task runs there, nor can one start: off scheduling and done, or unable to run any."""
        if self.is_up:
            return self.is_off and self.running == 0 and self.state != "running"
        return self.state not in CAN_RUN

    @property
    def print(self) -> str:
        return print_of(self.id)


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """Dedicated and spot nodes, apart."""

    dedicated: int = 0
    spot: int = 0

    @property
    def total(self) -> int:
        return self.dedicated + self.spot

    def beyond(self, goal: "NodeCounts") -> "NodeCounts":
        """How many there are more than in *goal*, never below 0."""
        return NodeCounts(max(self.dedicated - goal.dedicated, 0), max(self.spot - goal.spot, 0))

    def __str__(self) -> str:
        parts = [f"{self.dedicated} dedicated"] if self.dedicated or not self.spot else []
        return " and ".join([*parts, *([f"{self.spot} spot"] if self.spot else [])])


@dataclass(frozen=True)
class LivePool(Live):
    """A pool. *nodes* counts its nodes by state, None where they could not be counted; *current* of them are there,
    *spot* of those are spot nodes; *members* is None until asked for. *evaluated* is what the service made of the
    manifest's autoscale formula, in words, empty until asked for."""

    allocation: str = "steady"
    nodes: Mapping[str, int] | None = field(default_factory=dict)
    current: int = 0
    spot: int = 0
    resize_errors: tuple[str, ...] = ()
    members: tuple[LiveNode, ...] | None = None
    evaluated: str = ""

    @property
    def targets(self) -> NodeCounts:
        return NodeCounts(self.spec.get("targetDedicatedNodes") or 0, self.spec.get("targetLowPriorityNodes") or 0)

    @property
    def there(self) -> NodeCounts:
        """Nodes the pool has, those about to leave not counted once they are listed one by one."""
        if self.members is None:
            return NodeCounts(self.current - self.spot, self.spot)
        staying = [node for node in self.members if node.state != "leavingpool"]
        dedicated = sum(node.dedicated for node in staying)
        return NodeCounts(dedicated, len(staying) - dedicated)

    @property
    def scales(self) -> bool:
        """Whether a formula decides how many nodes there are."""
        return bool(self.spec.get("enableAutoScale"))

    @property
    def aside(self) -> tuple[LiveNode, ...]:
        """Nodes that we took off scheduling, or were about to."""
        prints = self.mark.aside if self.mark is not None else frozenset()
        return tuple(node for node in self.members or () if node.print in prints)

    @property
    def node_ids(self) -> frozenset[str] | None:
        return None if self.members is None else frozenset(node.id for node in self.members)

    @property
    def able_ids(self) -> frozenset[str]:
        return frozenset(node.id for node in self.members or () if node.can_run)


UNFINISHED: Final = frozenset({"active", "enabling", "disabling", "disabled"})
"""States of jobs before their end was asked for."""


@dataclass(frozen=True)
class LiveJob(Live):
    """A job. *tasks*, *ids*, *nodes* and *counts* are None until asked for; *nodes* is empty when none ran anything.
    *ids* are those of its tasks, folded; *as_declared* those that a forecast adds or changes. *ended* is ISO 8601 UTC,
    empty while it has not. *hosts* has the nodes that it ran on and that were looked at by id, None for those that have
    left their pool."""

    terminate_reason: str = ""
    scheduling_error: str = ""
    ended: str = ""
    tasks: Mapping[str, LiveTask] | None = None
    nodes: tuple[NodeRun, ...] | None = None
    counts: TaskCounts | None = None
    ids: frozenset[str] | None = None
    as_declared: frozenset[str] = frozenset()
    hosts: Mapping[str, LiveNode | None] | None = None

    @property
    def pool(self) -> Key | None:
        info = self.spec.get("poolInfo")
        return Key.of(Kind.POOL, info["poolId"]) if info and info.get("poolId") else None

    @property
    def schedule(self) -> Key | None:
        """The schedule that made it: its id is `<schedule>:job-<number>`, and no other id has a colon (recorded)."""
        name, colon, _ = self.name.partition(":")
        return Key.of(Kind.JOB_SCHEDULE, name) if colon else None

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
class LiveSchedule(Live):
    """A job schedule. *children* are the jobs it made that are still there, oldest first; they belong to it by their
    ids and carry its mark here. Times are ISO 8601 UTC, empty where there is none."""

    next_run: str = ""
    ended: str = ""
    children: tuple[LiveJob, ...] = ()

    @property
    def pool(self) -> Key | None:
        info = (self.spec.get("jobSpecification") or {}).get("poolInfo") or {}
        return Key.of(Kind.POOL, info["poolId"]) if info.get("poolId") else None

    @property
    def unfinished(self) -> tuple[LiveJob, ...]:
        return tuple(job for job in self.children if job.state != "completed")


@dataclass(frozen=True)
class Observed:
    """A snapshot. *unread* names kinds whose listing was refused, and why: their absence means nothing."""

    pools: Mapping[Key, LivePool]
    jobs: Mapping[Key, LiveJob]
    at: str
    unread: Mapping[Kind, str] = field(default_factory=dict)
    schedules: Mapping[Key, LiveSchedule] = field(default_factory=dict)

    def get(self, key: Key) -> LivePool | LiveJob | LiveSchedule | None:
        return self.of(key.kind).get(key)

    def of(self, kind: Kind) -> Mapping[Key, LivePool] | Mapping[Key, LiveJob] | Mapping[Key, LiveSchedule]:
        """The objects of one kind."""
        match kind:
            case Kind.POOL:
                return self.pools
            case Kind.JOB:
                return self.jobs
            case Kind.JOB_SCHEDULE:
                return self.schedules

    def with_children(self) -> Self:
        """The snapshot with the jobs of each schedule under it, marked as the schedule is."""
        if not self.schedules:
            return self
        made: dict[Key, list[LiveJob]] = {}
        jobs = dict(self.jobs)
        for key, job in self.jobs.items():
            if job.schedule in self.schedules:
                assert job.schedule is not None
                jobs[key] = replace(job, mark=self.schedules[job.schedule].mark)
                made.setdefault(job.schedule, []).append(jobs[key])
        schedules = {
            key: replace(there, children=tuple(sorted(made.get(key, ()), key=_number)))
            for key, there in self.schedules.items()
        }
        return replace(self, jobs=jobs, schedules=schedules)

    def with_hosts(self) -> Self:
        """The snapshot with the state of the nodes that jobs which are ending may wait for, where it was read."""
        ending = {key: job for key, job in self.jobs.items() if job.state == "terminating" and job.nodes}
        if not ending:
            return self
        members = {key: pool.members for key, pool in self.pools.items()}
        there = {node.id: node for nodes in members.values() for node in nodes or ()}

        def is_known(run: NodeRun) -> bool:
            pool = Key.of(Kind.POOL, run.pool)
            return members[pool] is not None if pool in members else Kind.POOL not in self.unread

        hosted = {
            key: replace(job, hosts={run.node: there.get(run.node) for run in job.nodes or () if is_known(run)})
            for key, job in ending.items()
        }
        return replace(self, jobs={**self.jobs, **hosted})


def _number(child: LiveJob) -> tuple[int, str]:
    digits = child.name.rpartition("-")[2]
    return (int(digits) if digits.isdecimal() else 0, child.name)


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


@dataclass(frozen=True, slots=True)
class Tenant:
    """A job that has not ended and works on a pool with a preparation or release task. *busy* names the nodes on which
    one of these runs or is due now; None: it could not be read which, so it may be any."""

    job: Key
    name: str
    releases: bool
    busy: frozenset[str] | None

    def is_on(self, node: str) -> bool:
        return self.busy is None or node in self.busy


def tenants_of(pool: LivePool, jobs: Mapping[Key, LiveJob]) -> tuple[Tenant, ...]:
    """Jobs of the account, ours or not, whose preparation or release the nodes of *pool* may be needed for."""
    return tuple(
        Tenant(job.key, job.name, job.releases, _busy(job))
        for job in jobs.values()
        if (job.prepares or job.releases)
        and job.state != "completed"
        and (job.pool == pool.key or any(_is_there(run, pool) for run in job.nodes or ()))
    )


def _busy(job: LiveJob) -> frozenset[str] | None:
    if job.nodes is None:
        return None
    preparing = {run.node for run in job.nodes if run.preparation is not None and not run.preparation.is_over}
    due: Iterable[NodeRun] = job.owing() if job.state in ("terminating", "deleting") else ()
    return frozenset(preparing | {run.node for run in due})


def _is_there(run: NodeRun, pool: LivePool) -> bool:
    return run.pool.lower() == pool.key.id and (pool.node_ids is None or run.node in pool.node_ids)
