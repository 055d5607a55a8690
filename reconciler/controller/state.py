"""What the controller knows of its stacks: values that the page, the metrics and the notifications show.

The controller replaces them whole after each pass; nobody else changes them, and who shows them computes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from reconciler.observed import Observed
from reconciler.planning import Plan
from reconciler.ports import Revision


class Mode(StrEnum):
    """What the controller may do by itself."""

    AUTO = "auto"  # whatever the plan says, within its guards
    APPROVE = "approve"  # a plan waits until a person has named its digest
    DETECT_ONLY = "detect-only"  # nothing; it only looks and tells


class PassEnd(StrEnum):
    """How one pass over a stack ended: a stable reason code for events, metrics and pages."""

    SYNCED = "Synced"  # the account matches the manifests
    IN_PROGRESS = "InProgress"  # waiting for the service, or the next pass goes on
    AWAITING_APPROVAL = "AwaitingApproval"
    OUT_OF_SYNC = "OutOfSync"  # differences that the mode, a suspension or a window leaves alone
    BLOCKED = "Blocked"  # a person must act
    GUARDED = "Guarded"  # a guard stopped the plan
    FAILED = "Failed"  # requests were refused
    INVALID = "InvalidManifests"  # the newest revision cannot be read; the last good one is in force
    SOURCE_ERROR = "SourceUnavailable"
    ACCOUNT_ERROR = "AccountUnavailable"
    STORE_ERROR = "StoreUnavailable"
    BROKEN = "PassBroke"  # a mistake of ours; the next pass tries again


@dataclass(frozen=True, slots=True)
class PassRecord:
    """One pass over a stack. Times are ISO 8601 UTC, *seconds* how long it took; *summary* is the plan's line; *error*
    is for people, empty when all went well; *acted* are `address: what was done` lines, *failed* what was refused."""

    number: int
    began: str
    seconds: float
    end: PassEnd
    revision: Revision
    digest: str = ""
    summary: str = ""
    acted: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why nothing is done for a stack (*address* empty) or an object. *until* is ISO 8601 UTC, empty without an end."""

    address: str
    reason: str
    who: str
    since: str
    until: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, with a stable *code* (`Created`, `ReleaseFailed`, `DriftReverted`, ...).
    *number* grows by one with each event of this process. *fields* are further facts, never secrets."""

    number: int
    at: str
    stack: str
    code: str
    address: str
    message: str
    warning: bool = False
    revision: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StackStatus:
    """Everything that is known of one stack after its last pass.

    *plan* and *observed* are those of the last look, None before the first one. *awaiting* is the digest of a plan that
    waits for approval, empty without. *offered* is the newest revision, also one that cannot be used; *revision* is the
    one in force. *leader*: whether this process acts for the stack; *holder* says who does. *not_before*: for objects
    that are backed off, when they are tried again and why. *receipts*: where evidence of past incarnations is, by
    address. *quotas*: what the Stack's limits say of the account's. *next_pass_at*: ISO 8601 UTC. *window*: in words,
    when changes are allowed and whether now is such a time.
    *held*: by address, why what the plan says of an object is not done now.
    """

    stack: str
    target: str
    mode: Mode
    revision: Revision
    offered: Revision
    leader: bool = True
    holder: str = ""
    plan: Plan | None = None
    observed: Observed | None = None
    observed_at: str = ""
    awaiting: str = ""
    suspensions: tuple[Suspension, ...] = ()
    window: str = ""
    passes: tuple[PassRecord, ...] = ()
    problems: tuple[str, ...] = ()
    not_before: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    receipts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)
    next_pass_at: str = ""
    held: Mapping[str, str] = field(default_factory=dict)

    @property
    def end(self) -> PassEnd | None:
        """How the last pass ended; None before the first."""
        return self.passes[-1].end if self.passes else None


class Board(Protocol):
    """What those who show the controller see of it."""

    @property
    def statuses(self) -> Mapping[str, StackStatus]:
        """By stack name."""

    @property
    def events(self) -> tuple[Event, ...]:
        """The newest ones, oldest first."""

    async def changed(self, after: int) -> int:
        """Wait until a status or event is newer than *after*; the number to wait for next."""


class Desk(Protocol):
    """What people ask of the controller; each raises UsageError for what does not exist."""

    async def approve(self, stack: str, digest: str, who: str) -> None:
        """Let the plan with this digest run; refused when another one waits by now."""

    async def suspend(self, stack: str, address: str, reason: str, until: str, who: str) -> None:
        """Leave a stack (*address* empty) or an object alone."""

    async def resume(self, stack: str, address: str, who: str) -> None:
        """Take a suspension back."""

    async def reconcile_now(self, stack: str, who: str) -> None:
        """Begin the next pass at once."""

    async def log(self, stack: str, address: str, node: str, task: str, file: str) -> bytes:
        """The end of a file (64 KiB at most) of a task of a job: *task* is `preparation`, `release` or a task id.
        Raises NotThere and BatchError."""
