"""What people said of a stack, and what the controller was allowed to do: notes in the store, so that it outlives the
process and the next leader knows it.

`approvals/DIGEST` and `suspensions/ADDRESS` are written by whoever a person speaks to (the page, the command line);
`controller/grants` by the leader alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from reconciler.controller.grants import Grants
from reconciler.controller.state import Suspension
from reconciler.errors import StoreError
from reconciler.ports import Notes

APPROVALS: Final = "approvals"
SUSPENSIONS: Final = "suspensions"
GRANTS: Final = "controller/grants"
WHOLE: Final = "stack"
"""The name of the note that suspends a stack; addresses of objects have a slash."""
USED: Final = 20
"""Approvals that were used and are remembered, so that a line in a file is used once."""


@dataclass(frozen=True, slots=True)
class ApprovalNote:
    """A plan's digest that somebody named, and when it was used, empty before."""

    digest: str
    who: str
    at: str
    used: str = ""


@dataclass(frozen=True)
class Said:
    """Everything in the notebook."""

    approvals: Mapping[str, ApprovalNote] = field(default_factory=dict)
    suspensions: tuple[Suspension, ...] = ()
    grants: Grants = field(default_factory=lambda: Grants({}))


class Notebook:
    """The notes of one stack. Each method raises StoreError."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def read(self) -> Said:
        """What was said until now."""
        approvals = [_approval(raw) for raw in (await self._notes.notes(APPROVALS)).values()]
        suspensions = [_suspension(raw) for raw in (await self._notes.notes(SUSPENSIONS)).values()]
        grants = (await self._notes.notes("controller")).get(GRANTS)
        return Said(
            {one.digest: one for one in approvals},
            tuple(sorted(suspensions, key=lambda one: one.address)),
            Grants.from_content(grants) if grants is not None else Grants({}),
        )

    async def approve(self, note: ApprovalNote) -> None:
        """Let the plan with a digest run, or say that it did."""
        await self._notes.keep_note(f"{APPROVALS}/{quote(note.digest, safe='')}", asdict(note))

    async def forget_approvals(self, said: Said, named: Collection[str] = ()) -> None:
        """Drop the oldest of those that were used, and that the source does not name any more."""
        gone = (one for one in said.approvals.values() if one.used and one.digest not in named)
        used = sorted(gone, key=lambda one: one.used)
        for one in used[:-USED]:
            await self._notes.drop_note(f"{APPROVALS}/{quote(one.digest, safe='')}")

    async def suspend(self, suspension: Suspension) -> None:
        """Leave a stack or an object alone."""
        await self._notes.keep_note(_name(suspension.address), asdict(suspension))

    async def resume(self, address: str) -> None:
        """Take a suspension back."""
        await self._notes.drop_note(_name(address))

    async def grant(self, grants: Grants) -> None:
        """Remember what is allowed and not done yet."""
        if grants.roads:
            await self._notes.keep_note(GRANTS, grants.content())
        else:
            await self._notes.drop_note(GRANTS)


def is_over(suspension: Suspension, now: str) -> bool:
    """Whether its end has come."""
    return bool(suspension.until) and datetime.fromisoformat(suspension.until) <= datetime.fromisoformat(now)


def _name(address: str) -> str:
    return f"{SUSPENSIONS}/{quote(address.lower(), safe='') if address else WHOLE}"


def _approval(raw: Mapping[str, Any]) -> ApprovalNote:
    try:
        return ApprovalNote(**{name: str(raw[name]) for name in ("digest", "who", "at", "used")})
    except KeyError as error:
        raise StoreError(f"read an approval: it says nothing of {error}") from error


def _suspension(raw: Mapping[str, Any]) -> Suspension:
    try:
        return Suspension(**{name: str(raw[name]) for name in ("address", "reason", "who", "since", "until")})
    except KeyError as error:
        raise StoreError(f"read a suspension: it says nothing of {error}") from error
