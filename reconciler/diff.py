"""Normalised desired and live -> what differs, and what it takes to change it.

Equality comes first and equal branches are cut off on both sides; only what is known to differ reaches deepdiff,
which is imported when the first difference turns up (it costs milliseconds a pair and a third of a second to load).
"""

from dataclasses import dataclass
from typing import Any

from reconciler.model.field import ChangeKind, Spec
from reconciler.model.table import Field, Normal, Path, change_kind, table


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One property that differs. None stands for an absent value. *implicit*: no line of the manifest asks for it."""

    path: Path
    old: Any
    new: Any
    kind: ChangeKind
    implicit: bool

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def top(self) -> str:
        return self.path[0]


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that differs between a manifest and a live object, in the order of the field table."""

    fields: tuple[FieldChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields)

    def of(self, *kinds: ChangeKind) -> tuple[FieldChange, ...]:
        return tuple(change for change in self.fields if change.kind in kinds)

    def is_covered_by(self, fields: tuple[FieldChange, ...]) -> bool:
        """Whether nothing differs any more once *fields* are written, but what waits for the next creation."""
        return all(row in fields or row.kind is ChangeKind.NEXT_INCARNATION for row in self.fields)


def diff(model: type[Spec], wanted: Normal, live: Normal, *, written: Normal | None = None) -> Change:
    """What *live* must become to equal *wanted*.

    *written* is the manifest's skeleton: a difference at a path it does not reach is implicit.
    """
    if wanted == live:
        return Change()
    old, new = _prune_object(model, live, wanted)
    if old == new:
        return Change()
    rows = (
        FieldChange(
            path, before, after, change_kind(model, path), written is not None and not _reaches(model, written, path)
        )
        for path, before, after in _differences(old, new)
    )
    order = {name: position for position, name in enumerate(table(model))}
    return Change(tuple(sorted(rows, key=lambda row: (order.get(row.top, 0), row.path))))


def _prune_object(model: type[Spec], old: Normal, new: Normal) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides without what is equal, what the service chooses where no line names it, and what does not count
    beside the rest of *new* (targets under autoscale)."""
    kept_old: dict[str, Any] = {}
    kept_new: dict[str, Any] = {}
    for name, field in table(model).items():
        before, after = old.get(name), new.get(name)
        if before == after or (after is None and (field.service_chosen or not field.counts(new))):
            continue
        before, after = _prune_value(field, before, after)
        if before == after:
            continue
        if before is not None:
            kept_old[name] = before
        if after is not None:
            kept_new[name] = after
    return kept_old, kept_new


def _prune_value(field: Field, old: Any, new: Any) -> tuple[Any, Any]:
    if field.below is None or old is None or new is None:
        return old, new
    if field.keyed_by is not None:
        pairs = {key: _prune_item(field.below, old.get(key), new.get(key)) for key in {**old, **new}}
        return (
            {key: before for key, (before, after) in pairs.items() if before is not None and before != after},
            {key: after for key, (before, after) in pairs.items() if after is not None and before != after},
        )
    if field.is_list:
        if len(old) != len(new):
            return old, new
        items = [_prune_object(field.below, before, after) for before, after in zip(old, new, strict=True)]
        return [before for before, _ in items], [after for _, after in items]
    return _prune_object(field.below, old, new)


def _prune_item(below: type[Spec], old: Normal | None, new: Normal | None) -> tuple[Normal | None, Normal | None]:
    return (old, new) if old is None or new is None else _prune_object(below, old, new)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[Path, Any, Any]]:
    from deepdiff import DeepDiff
    from deepdiff.helper import notpresent

    rows = []
    # At its default threshold deepdiff reports two very different mappings as one change of the whole.
    for levels in DeepDiff(old, new, view="tree", threshold_to_diff_deeper=0).values():
        for level in levels:
            path = tuple(str(part) for part in level.path(output_format="list"))
            before = None if level.t1 is notpresent else level.t1
            after = None if level.t2 is notpresent else level.t2
            rows.append((path, before, after))
    return rows


def _reaches(model: type[Spec], written: Normal, path: Path) -> bool:
    """Whether a line of the manifest speaks of *path*. A list that is written speaks of all its items."""
    current, value = model, written
    for part in path:
        if part not in value:
            return False
        field = table(current)[part]
        if field.is_list or field.below is None:
            return True
        current, value = field.below, value[part]
    return True
