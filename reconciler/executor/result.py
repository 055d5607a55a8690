"""What a run is told, what it says while it goes on, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from reconciler.errors import BatchError
from reconciler.ledger import Evidence
from reconciler.lifecycle.steps import Verb
from reconciler.model.desired import Key
from reconciler.observed import Observed
from reconciler.planning import Plan
from reconciler.receipt import Receipt
from reconciler.status import Outcome, Progress


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run behaves. *max_duration* is in seconds; *max_actions*: how many actions are sent at most, steps of
    roads, however many requests each takes; *work*: wait for declared tasks to end, of the jobs *about* only (None: of
    all that are declared)."""

    parallelism: int = 10
    max_duration: float | None = None
    work: bool = True
    max_actions: int | None = None
    about: frozenset[Key] | None = None


class End(StrEnum):
    """How a run ended."""

    SETTLED = "settled"  # as declared, work done
    IN_PROGRESS = "in progress"  # stopped while waiting; run again to go on
    BLOCKED = "blocked"  # a person must consent to something
    FAILED = "failed"  # a request was refused, or given up


@dataclass(frozen=True)
class Pass:
    """One look and the plan it led to."""

    plan: Plan
    observed: Observed
    progress: tuple[Progress, ...]


@dataclass(frozen=True)
class Result:
    """The end of a run. *stopped* says what cut it short ("interrupted", "out of time"), empty when nothing did;
    *failures* are by object; *waiting* says what it was waiting for; *stuck* which jobs cannot go on, and why; *worked*
    names the declared jobs that were not over when the run first saw them; *unseen* is why the last results
    could not be read; *remarks* are what else a person should know of."""

    end: End
    last: Pass
    outcomes: tuple[Outcome, ...]
    failures: Mapping[Key, str]
    waiting: tuple[str, ...]
    worked: frozenset[Key]
    stopped: str
    stuck: Mapping[str, str]
    unseen: str = ""
    remarks: tuple[str, ...] = ()


class Events(Protocol):
    """Who wants to see what happens."""

    def passed(self, this: Pass) -> None:
        """A pass was planned; its actions come next."""

    def receipt(self, address: str, verb: Verb, receipt: Receipt, evidence: Evidence | None) -> None:
        """A job is about to be deleted, or is held; this is what its nodes did. *evidence* None: it was kept before."""

    def taken_over(self, key: Key, born: str) -> None:
        """The id of an object that is gone belongs to one that somebody else created; told at each pass."""

    def acted(self, outcome: Outcome) -> None:
        """An action was accepted."""

    def retried(self, address: str, error: BatchError, seconds: float) -> None:
        """A request will be tried again."""

    def gave_up(self, address: str, why: str) -> None:
        """Nothing more is done for an object in this run."""
