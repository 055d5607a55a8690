"""What differs in one object, field by field, as a page shows it: masked, with what each change takes."""

from dataclasses import dataclass

from reconciler.lifecycle.steps import Verb
from reconciler.model.desired import Kind
from reconciler.model.field import ChangeKind
from reconciler.planning import Entry
from reconciler.render.mask import Mask
from reconciler.render.text import PATCHED, kind_of_change, leaves, road_text
from reconciler.web.shown import value_text

MOST_FIELDS = 200
"""Rows of one object; a manifest has fewer but for lists of files."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that differs. *remark*: what writing it takes, or why it stays."""

    name: str
    old: str
    new: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry of a plan for people. *change* is add, change, end, replace or empty; *tasks* are lines about tasks."""

    address: str
    kind: Kind
    name: str
    change: str
    drift: bool
    why: str
    road: str
    source: str
    after: tuple[str, ...]
    fields: tuple[Field, ...]
    left_out: int
    tasks: tuple[str, ...]
    notes: tuple[str, ...]


def difference_of(entry: Entry, after: tuple[Entry, ...] = ()) -> Difference:
    """What is to happen to an object, and what differs in it. *after*: what has to come first."""
    fields = _fields(entry)
    return Difference(
        entry.address,
        entry.key.kind,
        entry.address.partition("/")[2],
        kind_of_change(entry),
        entry.drift,
        entry.actions[0].reason if entry.actions else "",
        road_text(entry.road),
        str(entry.wanted.source) if entry.wanted else "",
        tuple(other.address for other in after),
        tuple(fields[:MOST_FIELDS]),
        max(len(fields) - MOST_FIELDS, 0),
        tuple(_tasks(entry)),
        entry.notes,
    )


def _fields(entry: Entry) -> list[Field]:
    mask = Mask.of(entry)
    if kind_of_change(entry) == "add" and entry.wanted is not None:
        return [Field(name, "", value_text(value)) for name, value in leaves(mask.wanted(entry.wanted.written))]
    written = {change.name for change in entry.changes}
    found = []
    for change in entry.difference.fields or entry.changes:
        old, new = mask.both(change)
        if kind_of_change(entry) == "replace" and change.kind not in PATCHED:
            remark = "forces replacement"
        elif change.kind is ChangeKind.NEXT_INCARNATION:
            remark = "applied when the object is next created"
        elif change.kind is ChangeKind.NEXT_RUN:
            remark = "for jobs that are yet to be made"
        elif change.name not in written and change.implicit:
            remark = "no line of the manifest asks for it"
        else:
            remark = "secret, changed" if old == new else ""
        found.append(Field(change.name, value_text(old), value_text(new), remark))
    return found


def _tasks(entry: Entry) -> list[str]:
    lines = []
    for action in entry.actions:
        match action.verb:
            case Verb.ADD_TASKS:
                lines.append(f"{len(action.tasks):,} to add")
            case Verb.DELETE_TASKS:
                lines.append(f"{len(action.names):,} to delete: {action.reason}")
            case Verb.REACTIVATE_TASKS:
                lines.append(f"{len(action.names):,} to run again: {action.reason}")
            case Verb.UPDATE_TASKS:
                lines.append(f"{action.count:,} to update: {action.reason}")
    return lines
