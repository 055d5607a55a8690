"""Runs that ended and are gone: what the account can no longer show, as values.

A job that ran to its end satisfies its manifest, also after its time to live is over and it was removed. The entry is
written, and confirmed, before the delete is sent; it stands for the last run of that id until a new one begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from reconciler.model.desired import Key

Result: TypeAlias = Literal["success", "failure"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A job that ended and was removed after its time to live.

    *run_digest* is of the fields that a new run takes, *tasks_digest* of what is fixed in the declared
    tasks; *born* and *ended* are the service's times, ISO 8601 UTC.
    """

    stack: str
    key: Key
    name: str
    run_digest: str
    tasks_digest: str
    born: str
    ended: str
    result: Result


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a person finds what is left of an incarnation of a job: its receipt, and the logs captured with it (empty
    where none were)."""

    receipt: str
    logs: str = ""

    def __str__(self) -> str:
        return f"receipt {self.receipt}" + (f", logs {self.logs}" if self.logs else "")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The entries of one stack, and the receipts of its jobs by incarnation (key and creation time). *store_id* names
    the store that holds them, empty before anything was written."""

    entries: Mapping[Key, Entry] = field(default_factory=dict)
    store_id: str = ""
    receipts: Mapping[tuple[Key, str], Evidence] = field(default_factory=dict)
