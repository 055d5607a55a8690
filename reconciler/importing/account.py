"""Which objects of an account `import --all` takes, and the lifecycle that their state and their mark tell of.

After it into the folder of the stack that owns everything, the plan is empty: what is ours stays named, also when it
has ended, since a manifest that is not there is a wish to remove it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.importing import mark_in
from reconciler.model.desired import Kind
from reconciler.model.table import Json
from reconciler.observed import Mark

Rows = Mapping[Kind, Sequence[Mapping[str, Any]]]

_ENDED: Final = frozenset({"completed", "terminating"})
_AUTO_POOL: Final = re.compile(r"(?:.{1,20}_)?[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}")
"""What the service names an auto pool: the prefix, if there is one, and a GUID in upper case (recorded)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An object, and why it is left out; None where it is taken."""

    kind: Kind
    raw: Mapping[str, Any]
    left_out: str | None = None

    @property
    def address(self) -> str:
        return f"{self.kind}/{self.raw['id']}"


def choices(rows: Rows) -> Iterator[Choice]:
    """Every object of the lists, but for the jobs of schedules: those belong to their schedule."""
    users = dict(_auto_pools(rows))
    for kind in Kind:
        for raw in rows[kind]:
            if kind is Kind.JOB and ":" in raw["id"]:
                continue
            yield Choice(kind, raw, _why_not(kind, raw, users))


def _auto_pools(rows: Rows) -> Iterator[tuple[str, str]]:
    """Folded ids of the pools that the service made, and whose they are."""
    for raw in rows[Kind.JOB]:
        made = (raw.get("executionInfo") or {}).get("poolId")
        if made and (raw.get("poolInfo") or {}).get("autoPoolSpecification"):
            schedule, colon, _ = str(raw["id"]).partition(":")
            yield str(made).lower(), f"jobschedule/{schedule}" if colon else f"job/{raw['id']}"


def _why_not(kind: Kind, raw: Mapping[str, Any], users: Mapping[str, str]) -> str | None:
    state, name = str(raw.get("state", "")).lower(), str(raw["id"])
    if state == "deleting":
        return "it is being deleted"
    if mark_in(raw) is not None:
        return None
    if state in _ENDED:
        return f"it is {state} and no stack's; name it to import it"
    if kind is Kind.POOL and name.lower() in users:
        return f"{users[name.lower()]} has it as its auto pool"
    if kind is Kind.POOL and _AUTO_POOL.fullmatch(name):
        return "its id is that of an auto pool; name it to import it"
    return None


def lifecycle_of(kind: Kind, raw: Mapping[str, Json]) -> dict[str, str | bool]:
    """What a manifest has to say so that the object stays as it is: the state that somebody brought it into, and the
    policies that its mark remembers. Others are known to its manifest alone."""
    found: dict[str, str | bool] = {}
    mark = mark_in(raw)
    if mark is not None and mark.keep:
        found["preventDestroy"] = True
    if mark is not None and mark.orphan:
        found["deletionPolicy"] = "Orphan"
    if kind is Kind.POOL:
        return found
    state = str(raw.get("state", "")).lower()
    if state in _ENDED:
        found["state"] = "Completed"
    elif state in ("disabled", "disabling"):
        found["state"] = "Disabled"
    if mark is not None and not mark.hold:
        found["onReleaseFailure"] = "Delete"
    if mark is not None and mark.capture != Mark("").capture:
        found["captureLogs"] = mark.capture
    return found
