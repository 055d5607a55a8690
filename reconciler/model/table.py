"""The field table: the manifest models, compiled into what normalising, comparing and sending need.

Both sides of a diff pass through `normalise`, so that the diff itself stays plain: letter case folded where the
service rewrites it, durations in one spelling, keyed lists as mappings, defaults filled in, everything that the
service makes left out.
"""

import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from reconciler.model import duration, moment
from reconciler.model.field import ABSENT, SERVICE_CHOSEN, ChangeKind, Compare, OneOf, Paired, Spec

Json: TypeAlias = Any
"""A JSON value: the wire form of a property."""
Normal: TypeAlias = Mapping[str, Any]
"""A normalised object: wire names; keyed lists are mappings from the key as written to the rest of the item."""
Path: TypeAlias = tuple[str, ...]


ITEM: Final = "*"
MASK: Final = "(secret)"
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*://)([^/@?#\s]*@)?([^?#\s]*)(\?\S*)?(?:#\S*)?", re.IGNORECASE)


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
    choices: tuple[str, ...] = ()
    inherited: str | None = None
    sealed: bool = False
    when: tuple[str, bool] | None = None
    write_only: bool = False
    secret: bool = False

    def counts(self, beside: Mapping[str, Json]) -> bool:
        """Whether the property means anything, given the others of its object: targets do not with autoscale."""
        return self.when is None or bool(beside.get(self.when[0], False)) == self.when[1]

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
    inherited = extra.get("x-inherited")
    when = extra.get("x-when")
    return Field(
        name=name,
        doc=info.description or "",
        default=SERVICE_CHOSEN if inherited else extra.get("x-default", ABSENT),
        compare=Compare(str(extra.get("x-compare", Compare.PLAIN))),
        change=ChangeKind(str(change)) if change else None,
        keyed_by=str(keyed_by) if keyed_by else None,
        below=below,
        is_list=is_list,
        required=info.is_required(),
        choices=_choices(info.annotation),
        inherited=str(inherited) if inherited else None,
        sealed=bool(extra.get("x-sealed")),
        when=next(iter(when.items())) if isinstance(when, dict) else None,  # type: ignore[arg-type]
        write_only=bool(extra.get("x-write-only")),
        secret=bool(extra.get("x-secret")),
    )


def _shape(annotation: Any) -> tuple[type[Spec] | None, bool]:
    """The model below a field and whether the field holds a list of it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        arms = [arm for arm in get_args(annotation) if arm is not type(None)]
        return _shape(arms[0]) if len(arms) == 1 else (None, False)
    if origin is list:
        return _shape(get_args(annotation)[0])[0], True
    return (annotation if isinstance(annotation, type) and issubclass(annotation, Spec) else None), False


def _choices(annotation: Any) -> tuple[str, ...]:
    """The values of an enum, or of a list of them, as the REST API spells them."""
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    found = (_choices(arm) for arm in get_args(annotation) if not isinstance(arm, str))
    return next(filter(None, found), ())


def normalise(model: type[Spec], raw: Mapping[str, Json], *, fill: bool = True) -> Normal:
    """*raw*, a body in wire form, in the one form in which desired and live are compared.

    With *fill* false only what is written is kept: the skeleton that tells a difference somebody wrote from one that
    an absent line makes. An empty list is an absent one (the service leaves it out, recorded). What the service never
    returns is left out: it cannot be compared, and no secret comes into a plan or a digest this way.
    """
    normal: dict[str, Any] = {}
    for field in table(model).values():
        if field.write_only:
            continue
        value = raw.get(field.name)
        if fill and value == "" and field.compare is Compare.LABEL:
            value = None
        if value in (None, []) and fill and field.default not in (ABSENT, SERVICE_CHOSEN) and field.counts(raw):
            value = field.default
        if value is not None:
            value = _normal_value(field, value, fill)
        if value is not None:
            normal[field.name] = value
    return normal


def without_choices(model: type[Spec], normal: Normal) -> Normal:
    """*normal* without what the service chooses where no line names it, and without what does not count: the same for
    a manifest and for one that was made of its live object."""
    return {
        name: _value_without_choices(field, normal[name])
        for name, field in table(model).items()
        if name in normal and not field.service_chosen and field.counts(normal)
    }


def _value_without_choices(field: Field, value: Json) -> Json:
    if field.below is None:
        return value
    if field.keyed_by is not None:
        return {key: without_choices(field.below, item) for key, item in value.items()}
    if field.is_list:
        return [without_choices(field.below, item) for item in value]
    return without_choices(field.below, value)


def _normal_value(field: Field, value: Json, fill: bool) -> Json:
    if field.keyed_by is not None:
        return dict(_item(field, item, fill) for item in value) or _empty(fill)
    if field.is_list:
        below = field.below
        items = [normalise(below, item, fill=fill) if below else _scalar(field, item) for item in value]
        return items or _empty(fill)
    if field.below is not None:
        return normalise(field.below, value, fill=fill)
    return _scalar(field, value)


def _scalar(field: Field, value: Json) -> Json:
    match field.compare:
        case Compare.FOLDED:
            return str(value).lower()
        case Compare.DURATION:
            return None if duration.is_unlimited(value) else duration.canonical(value)
        case Compare.MOMENT:
            return moment.canonical(value)
    return value


def _empty(fill: bool) -> Json:
    """An empty list: absent for comparing, but a line that speaks of the property all the same."""
    return None if fill else []


def _item(field: Field, item: Mapping[str, Json], fill: bool) -> tuple[str, Normal]:
    """The key of an item and the rest of it. A number as key stays in the item too: keys of a mapping are texts."""
    assert field.below is not None
    assert field.keyed_by is not None
    normal = normalise(field.below, item, fill=fill)
    key = normal[field.keyed_by]
    return str(key), {k: v for k, v in normal.items() if k != field.keyed_by or not isinstance(key, str)}


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
        return [to_wire(below, item) if below else _spelled(field, item) for item in value]
    return to_wire(below, value) if below is not None else _spelled(field, value)


def _spelled(field: Field, value: Json) -> Json:
    """An enum's value as the REST API spells it, whatever its letter case."""
    return next((choice for choice in field.choices if choice.lower() == str(value).lower()), value)


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
    """How the field at *path* may change: its own kind or the nearest one above it, but a sealed one holds for all
    that is below."""
    kind: ChangeKind | None = None
    for field in _along(model, path):
        kind = field.change or kind
        if field.sealed:
            break
    if kind is None:
        raise LookupError(f"{model.__name__}.{'.'.join(path)} declares no kind of change")
    return kind


def is_secret(model: type[Spec], path: Sequence[object]) -> bool:
    """Whether the value at *path* is a secret, or lies within one. A list takes one part of the path: the position or
    key of an item, whatever it is."""
    return any(field.secret for field in _along(model, path))


def _along(model: type[Spec], path: Sequence[object]) -> Iterator[Field]:
    """The fields that *path* leads through, as far as the table knows them."""
    current: type[Spec] | None = model
    parts = iter(path)
    for part in parts:
        field = table(current).get(str(part)) if current is not None else None
        if field is None:
            return
        yield field
        current = field.below
        if field.is_list:
            next(parts, None)  # the item's key or position


@cache
def secret_paths(model: type[Spec]) -> frozenset[Path]:
    """Where secrets can be in a body of *model*; `*` stands for any item of a list."""
    found: set[Path] = set()
    for field in table(model).values():
        here: Path = (field.name, ITEM) if field.is_list else (field.name,)
        if field.secret:
            found.add(here)
        elif field.below is not None:
            found.update((*here, *rest) for rest in secret_paths(field.below))
    return frozenset(found)


def write_only(model: type[Spec], body: Mapping[str, Json]) -> dict[Path, Json]:
    """The values in *body* that the service never returns, by path (positions of items as texts): what a keyed digest
    is taken of, so that their change is seen."""
    return {path: value for path, field, value in _walk(model, body, ()) if field.write_only}


def missing_secrets(model: type[Spec], body: Mapping[str, Json]) -> tuple[Path, ...]:
    """Where *body*, as read from the service, lacks a value that it must have to be sent again. Of several that would
    do, the first is named."""
    found: list[Path] = []
    for field in table(model).values():
        value = body.get(field.name)
        if value is None and field.write_only and (field.required or _is_needed(model, field, body)):
            found.append((field.name,))
        elif field.below is not None and value is not None:
            for place, item in _items(field, value):
                found += ((field.name, *place, *rest) for rest in missing_secrets(field.below, item))
    return tuple(found)


def _is_needed(model: type[Spec], field: Field, body: Mapping[str, Json]) -> bool:
    if issubclass(model, OneOf):
        written = [name for name in model.one_of if body.get(name) is not None]
        hidden = [name for name in model.one_of if table(model)[name].write_only]
        return not written and hidden[:1] == [field.name]
    return issubclass(model, Paired) and field.name in model.pair and any(body.get(name) for name in model.pair)


def _items(field: Field, value: Json) -> Iterator[tuple[Path, Json]]:
    if field.is_list:
        yield from (((str(position),), item) for position, item in enumerate(value))
    else:
        yield (), value


def _walk(model: type[Spec], body: Mapping[str, Json], path: Path) -> Iterator[tuple[Path, Field, Json]]:
    """Every property that is written in *body*, at all depths."""
    for field in table(model).values():
        value = body.get(field.name)
        if value is None:
            continue
        here = (*path, field.name)
        yield here, field, value
        if field.below is not None:
            for place, item in _items(field, value):
                yield from _walk(field.below, item, (*here, *place))


def without_secrets(model: type[Spec], value: Json, path: Sequence[object] = (), *, mask: str = MASK) -> Json:
    """*value*, found at *path* of a body or a normalised object, with *mask* for every secret in it.

    Of a URL only what may be secret is masked: its query, and a user before the host.
    """
    fields = list(_along(model, path))
    if any(field.secret for field in fields):
        return _masked(value, mask)
    if not fields:
        return _without_secrets(model, value, mask) if not path else value
    last = fields[-1]
    if last.below is None or not isinstance(value, Mapping | list | tuple):
        return value
    is_item = last.is_list and _steps(fields) == len(path)
    return _without_secrets(last.below, value, mask) if is_item or not last.is_list else _each(last.below, value, mask)


def _steps(fields: Sequence[Field]) -> int:
    """Parts of a path that leads through *fields* to an item of the last one."""
    return sum(2 if field.is_list else 1 for field in fields)


def _each(model: type[Spec], value: Json, mask: str) -> Json:
    if isinstance(value, Mapping):  # a keyed list, normalised
        return {key: _without_secrets(model, item, mask) for key, item in value.items()}
    return [_without_secrets(model, item, mask) for item in value]


def _without_secrets(model: type[Spec], value: Json, mask: str) -> Json:
    if not isinstance(value, Mapping):
        return value
    fields = table(model)
    shown = dict(value)
    for name, part in value.items():
        field = fields.get(name)
        if field is not None and part is not None:
            if field.secret:
                shown[name] = _masked(part, mask)
            elif field.below is not None:
                shown[name] = (_each if field.is_list else _without_secrets)(field.below, part, mask)
    return shown


def _masked(value: Json, mask: str) -> Json:
    match value:
        case str() if found := _URL.fullmatch(value):
            return f"{found[1]}{f'{mask}@' if found[2] else ''}{found[3]}{f'?{mask}' if found[4] else ''}"
        case None:
            return None
    return mask


def strip_read_only(model: type[Spec], raw: Mapping[str, Json]) -> tuple[dict[str, Json], tuple[str, ...]]:
    """*raw*, a body as a GET, a list or `az batch ... show` prints it, without what a create does not take.

    Returns the body and the paths that were dropped because they say nothing about what is wanted: read-only
    properties, properties gone from the API, annotations of the protocol. Nulls go unnamed (the command line prints
    one for every absent value), and names get the REST API's letter case (it prints `nodeAgentSkuId`). Names that
    nobody knows, and the id, stay: the models and the caller deal with them.
    """
    body: dict[str, Json] = {}
    dropped: list[str] = []
    known = {name.lower(): name for name in table(model)}
    useless = {name.lower() for name in (*model.read_only, *model.unsupported)}
    for written, value in raw.items():
        if value is None:
            continue
        if written.lower() in useless or written.lower().startswith("odata."):
            dropped.append(written)
            continue
        name = known.get(written.lower(), written)
        field = table(model).get(name)
        body[name] = value
        if field is not None and field.below is not None:
            body[name], below = _strip_below(field, value)
            dropped += (f"{name}{path}" for path in below)
    return body, tuple(dropped)


def _strip_below(field: Field, value: Json) -> tuple[Json, list[str]]:
    assert field.below is not None
    if isinstance(value, Mapping):
        body, dropped = strip_read_only(field.below, value)
        return body, [f".{path}" for path in dropped]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        return value, []
    pairs = [strip_read_only(field.below, item) for item in value]
    return [body for body, _ in pairs], [f"[{at}].{path}" for at, (_, dropped) in enumerate(pairs) for path in dropped]


def without_defaults(
    model: type[Spec], raw: Mapping[str, Json], *, above: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """*raw*, a body without read-only properties, as a person would have written it.

    What equals the server's default is left out at all depths, as are empty lists, limits that mean none, and
    properties that do not count (targets under autoscale). Enums get the REST API's letter case. The rest is as given
    and in the order of the table. *above* is the body of the object above (a task's job): a value that was inherited
    from it is left out as well. There is no difference between the result and *raw*.
    """
    body: dict[str, Json] = {}
    for field in table(model).values():
        value = raw.get(field.name)
        if value is None or not field.counts(raw):
            continue
        if field.required or not _goes_without_saying(field, value, above):
            body[field.name] = _without_defaults_below(field, value, above)
    unknown = {name: value for name, value in raw.items() if name not in table(model) and value is not None}
    return body | unknown


def _goes_without_saying(field: Field, value: Json, above: Mapping[str, Json] | None) -> bool:
    if field.write_only:
        return False
    if field.inherited is not None:
        return above is not None and value == _at(above, field.inherited)
    normal = _normal_value(field, value, True)
    if normal is None:
        return True
    return field.default not in (ABSENT, SERVICE_CHOSEN) and normal == _normal_value(field, field.default, True)


def _at(body: Mapping[str, Json], path: str) -> Json:
    value: Json = body
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _without_defaults_below(field: Field, value: Json, above: Mapping[str, Json] | None) -> Json:
    below = field.below
    if field.is_list:
        return [without_defaults(below, item, above=above) if below else _spelled(field, item) for item in value]
    return without_defaults(below, value, above=above) if below is not None else _spelled(field, value)
