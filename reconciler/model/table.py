"""The field table: the manifest models, compiled into what normalising, comparing and sending need.

Both sides of a diff pass through `normalise`, so that the diff itself stays plain: letter case folded where the
service rewrites it, durations in one spelling, keyed lists as mappings, defaults filled in, everything that the
service makes left out.
"""

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from reconciler.model import duration
from reconciler.model.field import ABSENT, SERVICE_CHOSEN, ChangeKind, Compare, Spec

Json: TypeAlias = Any
"""A JSON value: the wire form of a property."""
Normal: TypeAlias = Mapping[str, Any]
"""A normalised object: wire names; keyed lists are mappings from the key as written to the rest of the item."""
Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """What the table knows of one property."""

    name: str
    doc: str
    default: Json
    compare: Compare
    change: ChangeKind | None
    keyed_by: str | None
    below: type[Spec] | None
    is_list: bool
    required: bool

    @property
    def service_chosen(self) -> bool:
        return bool(self.default == SERVICE_CHOSEN)


@cache
def table(model: type[Spec]) -> Mapping[str, Field]:
    """The properties of *model* by wire name, in the order they are declared."""
    return {name: _field(name, info) for name, info in model.model_fields.items()}


def _field(name: str, info: FieldInfo) -> Field:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    below, is_list = _shape(info.annotation)
    change = extra.get("x-change")
    keyed_by = extra.get("x-keyed-by")
    return Field(
        name=name,
        doc=info.description or "",
        default=SERVICE_CHOSEN if "x-inherited" in extra else extra.get("x-default", ABSENT),
        compare=Compare(str(extra.get("x-compare", Compare.PLAIN))),
        change=ChangeKind(str(change)) if change else None,
        keyed_by=str(keyed_by) if keyed_by else None,
        below=below,
        is_list=is_list,
        required=info.is_required(),
    )


def _shape(annotation: Any) -> tuple[type[Spec] | None, bool]:
    """The model below a field and whether the field holds a list of it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        (inner,) = (arm for arm in get_args(annotation) if arm is not type(None))
        return _shape(inner)
    if origin is list:
        return _shape(get_args(annotation)[0])[0], True
    return (annotation if isinstance(annotation, type) and issubclass(annotation, Spec) else None), False


def normalise(model: type[Spec], raw: Mapping[str, Json], *, fill: bool = True) -> Normal:
    """*raw*, a body in wire form, in the one form in which desired and live are compared.

    With *fill* false only what is written is kept: the skeleton that tells a difference somebody wrote from one that
    an absent line makes. An empty list is an absent one (the service leaves it out, recorded).
    """
    normal: dict[str, Any] = {}
    for field in table(model).values():
        value = raw.get(field.name)
        if value is None and fill and field.default not in (ABSENT, SERVICE_CHOSEN):
            value = field.default
        if value is not None:
            value = _normal_value(field, value, fill)
        if value is not None:
            normal[field.name] = value
    return normal


def _normal_value(field: Field, value: Json, fill: bool) -> Json:
    if field.keyed_by is not None:
        return {item[field.keyed_by]: _item(field, item, fill) for item in value} or _empty(fill)
    if field.is_list:
        below = field.below
        return ([normalise(below, item, fill=fill) for item in value] if below else list(value)) or _empty(fill)
    if field.below is not None:
        return normalise(field.below, value, fill=fill)
    if field.compare is Compare.FOLDED:
        return str(value).lower()
    if field.compare is Compare.DURATION:
        return None if duration.is_unlimited(value) else duration.canonical(value)
    return value


def _empty(fill: bool) -> Json:
    """An empty list: absent for comparing, but a line that speaks of the property all the same."""
    return None if fill else []


def _item(field: Field, item: Mapping[str, Json], fill: bool) -> Normal:
    assert field.below is not None
    return {k: v for k, v in normalise(field.below, item, fill=fill).items() if k != field.keyed_by}


def to_wire(model: type[Spec], normal: Normal) -> dict[str, Json]:
    """A normalised object as a request body."""
    return {
        field.name: _wire_value(field, normal[field.name])
        for field in table(model).values()
        if normal.get(field.name) is not None
    }


def _wire_value(field: Field, value: Json) -> Json:
    below = field.below
    if field.keyed_by is not None and below is not None:
        return [{field.keyed_by: key, **to_wire(below, item)} for key, item in value.items()]
    if field.is_list:
        return [to_wire(below, item) for item in value] if below else list(value)
    return to_wire(below, value) if below is not None else value


def whole(model: type[Spec], body: Mapping[str, Json], spec: Normal, names: Iterable[str]) -> dict[str, Json]:
    """The named top-level properties for an update: as written in *body*, else their default from *spec*.

    Whole, because a nested object in a PATCH replaces the stored one and what it leaves out falls back to defaults
    (recorded); as written, because normalising folds letter case. A list without a value is sent empty, which clears
    it (recorded for metadata).
    """
    default = to_wire(model, {name: spec[name] for name in names if name not in body and name in spec})
    empty: dict[str, Json] = {name: [] for name in names if table(model)[name].is_list}
    return {**empty, **{name: body[name] for name in names if name in body}, **default}


def change_kind(model: type[Spec], path: Sequence[str]) -> ChangeKind:
    """How the field at *path* may change: its own kind or the nearest one above it."""
    kind: ChangeKind | None = None
    current: type[Spec] | None = model
    parts = iter(path)
    for part in parts:
        field = table(current).get(part) if current is not None else None
        if field is None:
            break
        kind = field.change or kind
        if kind is ChangeKind.NEXT_RUN:
            return kind  # below it are the fields of a job, whose own kinds hold for jobs that exist
        current = field.below
        if field.is_list:
            next(parts, None)  # the item's key or position
    if kind is None:
        raise LookupError(f"{model.__name__}.{'.'.join(path)} declares no kind of change")
    return kind
