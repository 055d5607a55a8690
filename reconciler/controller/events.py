"""What is told of a controller: events with stable codes, and who wants to hear of them."""

import json
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from typing import Any, Final, Protocol

from reconciler.controller.state import Event, StackStatus
from reconciler.lifecycle.steps import Verb


class Code(StrEnum):
    """Reason codes of events. They are stable: alerts and scripts name them."""

    # The process and who leads
    STARTED = "Started"
    STOPPED = "Stopped"
    RELOADED = "Reloaded"
    LEADING = "Leading"
    FOLLOWING = "Following"
    LEASE_LOST = "LeaseLost"
    # Where things come from; each trouble is told when it begins and when it is over
    REVISION_TAKEN = "RevisionTaken"
    MANIFESTS_INVALID = "InvalidManifests"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    ACCOUNT_UNAVAILABLE = "AccountUnavailable"
    STORE_UNAVAILABLE = "StoreUnavailable"
    RECOVERED = "Recovered"
    STACK_GONE = "StackGone"
    PASS_BROKE = "PassBroke"
    # What a pass decided
    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    DRIFT_DETECTED = "DriftDetected"
    BLOCKED = "Blocked"
    GUARD_STOPPED = "GuardStopped"
    # What people said
    PLAN_AWAITS_APPROVAL = "PlanAwaitsApproval"
    PLAN_APPROVED = "PlanApproved"
    APPROVAL_USED_UP = "ApprovalUsedUp"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    SUSPENSION_ENDED = "SuspensionEnded"
    RECONCILE_ASKED = "ReconcileAsked"
    WINDOW_OPENED = "WindowOpened"
    WINDOW_CLOSED = "WindowClosed"
    # What was done
    CREATED = "Created"
    UPDATED = "Updated"
    RESIZED = "Resized"
    TASKS_CHANGED = "TasksChanged"
    NODES_CHANGED = "NodesChanged"
    ENABLED = "Enabled"
    DISABLED = "Disabled"
    ADOPTED = "Adopted"
    ORPHANED = "Orphaned"
    FORGOTTEN = "Forgotten"
    TERMINATED = "Terminated"
    DELETED = "Deleted"
    DRIFT_REVERTED = "DriftReverted"
    # What came of it
    RECEIPT_WRITTEN = "ReceiptWritten"
    RELEASE_FAILED = "ReleaseFailed"
    PREPARATION_FAILED = "PreparationFailed"
    TAKEN_OVER = "TakenOver"
    RETRIED = "Retried"
    REFUSED = "Refused"


CODES: Final = {
    Verb.CREATE: Code.CREATED,
    Verb.UPDATE: Code.UPDATED,
    Verb.REPLACE_PROPERTIES: Code.UPDATED,
    Verb.RESIZE: Code.RESIZED,
    Verb.STOP_RESIZE: Code.RESIZED,
    Verb.ENABLE_AUTOSCALE: Code.RESIZED,
    Verb.DISABLE_AUTOSCALE: Code.RESIZED,
    Verb.CHOOSE_NODES: Code.NODES_CHANGED,
    Verb.DISABLE_SCHEDULING: Code.NODES_CHANGED,
    Verb.ENABLE_SCHEDULING: Code.NODES_CHANGED,
    Verb.REMOVE_NODES: Code.NODES_CHANGED,
    Verb.REBOOT_NODES: Code.NODES_CHANGED,
    Verb.REIMAGE_NODES: Code.NODES_CHANGED,
    Verb.ENABLE: Code.ENABLED,
    Verb.DISABLE: Code.DISABLED,
    Verb.ADD_TASKS: Code.TASKS_CHANGED,
    Verb.UPDATE_TASKS: Code.TASKS_CHANGED,
    Verb.DELETE_TASKS: Code.TASKS_CHANGED,
    Verb.REACTIVATE_TASKS: Code.TASKS_CHANGED,
    Verb.CONFIRM_TASKS: Code.UPDATED,
    Verb.ADOPT: Code.ADOPTED,
    Verb.ORPHAN: Code.ORPHANED,
    Verb.FORGET: Code.FORGOTTEN,
    Verb.WRITE_RECEIPT: Code.RECEIPT_WRITTEN,
    Verb.TERMINATE: Code.TERMINATED,
    Verb.DELETE: Code.DELETED,
}
"""What an accepted action is told as."""


class Observer(Protocol):
    """Who hears of everything at once: logs, metrics, notifications. What it raises stops nobody: it is told as an
    error of the observer on the standard error stream."""

    def passed(self, status: StackStatus) -> None:
        """A stack has a new status, after a pass or because somebody asked for something."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def request(self, stack: str, method: str, status: int, seconds: float) -> None:
        """A request of a stack was answered; *status* 0: it was not."""


class Lines:
    """An Observer that writes each event as a line of JSON."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write

    def passed(self, status: StackStatus) -> None:
        """What changed is told by events."""

    def event(self, event: Event) -> None:
        """One line, whole."""
        facts = {name: value for name, value in asdict(event).items() if value not in ("", {}, False)}
        self._write(json.dumps(facts) + "\n")

    def request(self, stack: str, method: str, status: int, seconds: float) -> None:
        """Too many for lines."""
