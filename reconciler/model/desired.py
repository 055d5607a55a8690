"""What the manifests ask for, as values: the input of every decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from reconciler.model.consent import Consent
from reconciler.model.digest import PLAIN as PLAIN
from reconciler.model.digest import digest as digest
from reconciler.model.digest import digest_of
from reconciler.model.document import JobLifecycle, PoolLifecycle, ScheduleLifecycle
from reconciler.model.field import ChangeKind, Spec
from reconciler.model.groups import Task as Task
from reconciler.model.groups import Tasks
from reconciler.model.job import JobSpec
from reconciler.model.paths import parse, without
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.secret import secret_digest, signed_each
from reconciler.model.table import Normal, Path, table, without_choices


class Kind(StrEnum):
    """Kinds of objects that live in an account of their own right."""

    POOL = "pool"
    JOB = "job"
    JOB_SCHEDULE = "jobschedule"


SPECS: Mapping[Kind, type[Spec]] = {
    Kind.POOL: PoolSpec,
    Kind.JOB: JobSpec,
    Kind.JOB_SCHEDULE: JobScheduleSpec,
}


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Identity on both sides. Batch ids ignore case, so the id is folded; names are kept for showing."""

    kind: Kind
    id: str

    @classmethod
    def of(cls, kind: Kind, name: str) -> "Key":
        return cls(kind, name.lower())

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object was written. Line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Wanted:
    """One declared object.

    *spec* is normalised with defaults; *written* has only what stands in the manifest, so a difference made by an
    absent line can be told; *body* is the create body in wire form without id and mark. *tasks* are by folded id,
    in the order they are declared; those of groups are made when they are looked at; empty for a pool.
    *signature* is the keyed digest of *secrets* for the mark, empty without a key; *digest_key* is that key, for the
    secrets of the tasks.
    *secrets* are the values that the service never returns, by path in the body: they are not in *spec*, and only
    their digest tells a change. *secret_paths* are the places in *spec* and *written* that were given by reference to
    a secret: compared like any other, and shown nowhere. *hidden* are the names of environment settings, of tasks too,
    that are given so.
    """

    key: Key
    name: str
    spec: Normal = field(repr=False)
    written: Normal = field(repr=False)
    body: Mapping[str, object] = field(repr=False)
    lifecycle: JobLifecycle | PoolLifecycle | ScheduleLifecycle
    source: Source
    tasks: Mapping[str, Task] = field(default_factory=dict, repr=False)
    secrets: Mapping[Path, Any] = field(default_factory=dict, repr=False)
    signature: str = ""
    digest_key: bytes = field(default=b"", repr=False)
    secret_paths: frozenset[Path] = frozenset()
    hidden: frozenset[str] = frozenset()
    origin: "Wanted | None" = field(default=None, repr=False)
    """The manifest as it stands, where *spec* was adapted to what is there (lifecycle.ignoreChanges, a snapshot)."""

    @property
    def address(self) -> str:
        return f"{self.key.kind}/{self.name}"

    @property
    def stated(self) -> "Wanted":
        """The manifest as it stands."""
        return self if self.origin is None else self.origin.stated

    @cached_property
    def asked(self) -> Normal:
        """The normalised spec without what asks for nothing of an object that is there: what lifecycle.ignoreChanges
        names, and what waits for the next creation."""
        if self.origin is not None:
            return self.origin.asked
        model = SPECS[self.key.kind]
        spec = self.spec
        for text in self.lifecycle.ignoreChanges:
            spec = without(spec, parse(model, text))
        waits = {name for name, field in table(model).items() if field.change is ChangeKind.NEXT_INCARNATION}
        return {name: value for name, value in spec.items() if name not in waits}

    @cached_property
    def digest(self) -> str:
        """Of what it asks for: tells a change of the manifest from a change made behind our back. It begins with that
        of the part which no choice of the service is in."""
        return digest_of(without_choices(SPECS[self.key.kind], self.asked), self.asked)

    @cached_property
    def tasks_digest(self) -> str:
        """Of every declared task: in the mark it says that all of them were confirmed. It begins like `digest`."""
        if self.origin is not None:
            return self.origin.tasks_digest
        return self._tasks.digest

    @property
    def tasks_run_digest(self) -> str:
        """Of what is fixed in every declared task: what the ledger remembers of a run."""
        return self._tasks.run_digest

    @property
    def tasks_shown(self) -> str:
        """A digest of every declared task that tells nothing of the secrets in them: people see it."""
        return self._tasks.digest_without(self.hidden) if self.hidden else self._tasks.digest

    @property
    def _tasks(self) -> Tasks:
        return self.tasks if isinstance(self.tasks, Tasks) else Tasks(list(self.tasks.values()))

    @cached_property
    def tasks_signature(self) -> str:
        """What a mark remembers of the secrets of all declared tasks; empty without any, or without a key."""
        return signed_each(self.digest_key, self.secrets_of_tasks) if self.digest_key else ""

    @cached_property
    def secrets_of_tasks(self) -> Sequence[Mapping[Path, Any]]:
        """The values of declared tasks that the service never returns; of tasks that have the same, perhaps once."""
        return [secrets for secrets in self._tasks.different_secrets() if secrets]

    @property
    def has_secrets(self) -> bool:
        """Whether something in it must not be shown: what the service never returns, and what is given by reference."""
        return bool(self.secrets or self.secret_paths or self.hidden or self.secrets_of_tasks)

    def secret_digest(self, key: bytes) -> str:
        """Of the values that the service never returns, under a derived key; empty where there are none."""
        return secret_digest(key, self.secrets)


@dataclass(frozen=True, slots=True)
class Retention:
    """How much a store keeps of what has ended, of one stack: receipts and logs for so many days, so many receipts, so
    many bytes of logs and of the journal."""

    days: int = 365
    receipts: int = 10_000
    logs: int = 1024 * 2**20
    journal: int = 64 * 2**20


QUOTAS: Final = ("cores", "lowPriorityCores", "pools", "activeJobsAndSchedules")


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """`guards` of a Stack: more than *share* percent and at least *count* objects are not removed without consent."""

    share: int = 30
    count: int = 10
    asks_when_empty: bool = True
    asks_for_tasks: bool = True


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which a stack may be changed: it opens by *cron* in *zone*, for so many *seconds*."""

    cron: str
    seconds: float
    zone: str = "UTC"


@dataclass(frozen=True)
class Stack:
    """The ownership set. *prunes* is false where nothing says that the source is complete. *digest_key* is the secret
    from which the key of secret digests is derived; without one the account's key serves. *quotas* are those that the
    manifest names, by the names in `QUOTAS`. *refuses_other_pools*: each job has to run on a pool of the stack.
    *windows*: when a controller may begin to change it; empty, always. *source* is where the Stack is written; None
    without one. *store* is where its state is kept, a URL or the path of a folder; None: with the user's own."""

    name: str
    prunes: bool
    endpoint: str | None = None
    account: str | None = None
    account_key: str | None = field(default=None, repr=False)
    max_deletes: int | None = None
    digest_key: str | None = field(default=None, repr=False)
    quotas: Mapping[str, int] = field(default_factory=dict)
    refuses_other_pools: bool = False
    guards: GuardSettings = GuardSettings()
    source: Source | None = field(default=None, compare=False)
    windows: tuple[Window, ...] = ()
    store: str | None = None
    retention: Retention = Retention()


@dataclass(frozen=True)
class Desired:
    """Everything the manifests ask for, by key. *consents* are those of annotations, ended or not;
    *beside* names the stacks that were loaded with this one."""

    stack: Stack
    objects: Mapping[Key, Wanted]
    consents: tuple[Consent, ...] = ()
    beside: frozenset[str] = frozenset()
