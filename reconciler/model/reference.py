"""What people are told of a field: the field table in words. `schemas/REFERENCE.md` and `reconciler explain` say the
same, from here.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from reconciler.errors import UsageError
from reconciler.model.document import MANIFESTS
from reconciler.model.field import ABSENT, SERVICE_CHOSEN, ChangeKind, Compare, OneOf, Paired, Spec, listed
from reconciler.model.table import Field, table

CHANGES: Final[Mapping[ChangeKind, str]] = {
    ChangeKind.LIVE: "at any time, in place",
    ChangeKind.RESIZE: "by resizing the pool",
    ChangeKind.AUTOSCALE: "by switching autoscale on, off or over",
    ChangeKind.WHEN_EMPTY: "in place, while the pool has no nodes",
    ChangeKind.WHEN_DISABLED: "in place, while the job is disabled",
    ChangeKind.ONE_WAY: "in place, in one direction only",
    ChangeKind.NEXT_RUN: "in place; reaches jobs that the schedule makes later",
    ChangeKind.NEXT_INCARNATION: "never by itself; used when the object is next created",
    ChangeKind.FIXED: "only by replacing the object",
}
TASKS: Final = frozenset({"tasks", "taskGroups", "mergeTask"})
CHANGED_TASKS: Final = (
    "fixed: another value makes another task: blocked, unless the job's lifecycle.tasks is Replace or Exact: then the "
    "task is deleted and added anew"
)


def type_of(field: Field, shape: Mapping[str, Any], *, below: str = "") -> str:
    """The type of one value. *shape* is the JSON Schema of the value, or of an item of the list; *below* is how the
    type that the field holds is written, by its name if empty."""
    if field.below is not None:
        text = below or field.below.__name__
    elif field.choices:
        text = ", ".join(f"`{choice}`" for choice in field.choices)
    elif field.compare is Compare.DURATION:
        text = "duration"
    elif field.compare is Compare.MOMENT:
        text = "time"
    else:
        names = {"string": "text", "integer": "number", "boolean": "true or false", "object": "mapping"}
        text = names.get(str(shape.get("type")), f"`{shape['const']}`" if "const" in shape else "value")
    return f"list of {text}" if field.is_list else text


def default_of(field: Field, model: type[Spec]) -> str:
    """What an absent line means; empty where it means that there is none."""
    if field.inherited:
        return f"from `{field.inherited}`"
    if field.default == SERVICE_CHOSEN:
        return "chosen by the service"
    if field.default == {}:
        return "made of its defaults"
    if field.default != ABSENT:
        return f"`{json.dumps(field.default, ensure_ascii=False)}`"
    policy = model.model_fields[field.name].default
    return f"`{json.dumps(policy)}`" if isinstance(policy, bool | int | str) else ""


def limits_of(field: Field, item: Mapping[str, Any]) -> str:
    """Bounds of a value, or of an item of the list."""
    spans = (("minimum", "maximum", ""), ("minLength", "maxLength", " characters"))
    found = [_span(item.get(low), item.get(high), unit) for low, high, unit in spans if low in item or high in item]
    if field.keyed_by:
        found.append(f"each `{field.keyed_by}` once")
    if field.when:
        found.append(f"only with `{field.when[0]}: {str(field.when[1]).lower()}`")
    return "; ".join(found)


def _span(low: int | None, high: int | None, unit: str) -> str:
    if low is None or high is None:
        bound = f"at least {low:,}{unit}" if high is None else f"at most {high:,}{unit}"
        return bound.removesuffix("s") if low == 1 and unit else bound
    return f"{low:,} to {high:,}{unit}"


def rule_of(model: type[Spec]) -> str:
    """What holds between the fields of a type; empty where nothing does."""
    if issubclass(model, OneOf):
        return f"Exactly one of {listed([f'`{name}`' for name in model.one_of], 'and')} is written."
    if issubclass(model, Paired):
        return f"{listed([f'`{name}`' for name in model.pair], 'and')} are written together or not at all."
    return ""


def shape_of(field: dict[str, Any]) -> dict[str, Any]:
    """A property's JSON Schema without what pydantic adds of itself: its title, and null for an absent line."""
    arms = [arm for arm in field.get("anyOf", ()) if arm != {"type": "null"}]
    if len(arms) == 1:
        noise = ("title", "anyOf", "default")
        return {**arms[0], **{key: value for key, value in field.items() if key not in noise}}
    return {key: value for key, value in field.items() if key != "title"}


@dataclass(frozen=True, slots=True)
class Line:
    """One field below another, for a listing. *depth* is 0 for the fields of the one that is explained."""

    name: str
    type: str
    required: bool
    meaning: str
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Explained:
    """All that is known of one field, in words. *about* says what its type is, *rule* what holds between the fields of
    that; *change* is empty where nothing is sent, *fields* where nothing is below."""

    path: str
    type: str
    meaning: str
    required: bool = False
    default: str = ""
    limits: str = ""
    change: str = ""
    returned: str = ""
    about: str = ""
    rule: str = ""
    read_only: tuple[str, ...] = ()
    fields: tuple[Line, ...] = ()


def explain(text: str, *, depth: int = 1) -> Explained:
    """The field at *text* (`pool.spec.vmSize`, `job.lifecycle`), with *depth* levels of what is below it.

    Letter case and positions (`tasks[0]`) do not matter; without a kind in front, the path has to be one of a single
    kind. Raises UsageError.
    """
    parts = [part for part in re.sub(r"\[[^\]]*\]", "", text).split(".") if part]
    kinds = {kind.lower(): kind for kind in MANIFESTS}
    if not parts:
        raise UsageError(f"expected a field such as pool.spec.vmSize, found {text!r}")
    if parts[0].lower() in kinds:
        return _explained(kinds[parts[0].lower()], parts[1:], depth)
    found = [kind for kind in MANIFESTS if _is_path(kind, parts)]
    if len(found) == 1:
        return _explained(found[0], parts, depth)
    if found:
        these = listed([".".join([kind.lower(), *parts]) for kind in found])
        raise UsageError(f"expected a kind in front of {text!r}: {these}")
    near = _named("", ".".join(parts)) or _near(".".join(parts), _every_path()) or _near(parts[0], kinds)
    raise UsageError(
        f"expected a field that begins with {listed(list(kinds))}, such as pool.spec.vmSize, found {text!r}{near}"
    )


def _is_path(kind: str, parts: list[str]) -> bool:
    try:
        _steps(kind, parts)
    except UsageError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Step:
    """A field on the way to the one that is asked for, in the type that declares it. *name* stands for any name where
    the step is into a mapping."""

    model: type[Spec]
    field: Field
    name: str = ""


def _steps(kind: str, parts: list[str]) -> tuple[_Step, ...]:
    current: type[Spec] | None = MANIFESTS[kind]
    steps: list[_Step] = []
    for part in parts:
        known = {name.lower(): field for name, field in table(current).items()} if current is not None else {}
        field = known.get(part.lower())
        if field is None:
            if steps and _is_mapping(steps[-1]) and not steps[-1].name:
                steps[-1] = replace(steps[-1], name="NAME")
                continue
            raise UsageError(_unknown(kind, steps, part, current))
        assert current is not None
        steps.append(_Step(current, field))
        current = _below(steps[-1])
    return tuple(steps)


def _unknown(kind: str, steps: Sequence[_Step], part: str, current: type[Spec] | None) -> str:
    where = _path(kind, steps)
    if current is None:
        return f"expected nothing below {where}, which is {_type(steps[-1])}, found {part!r}"
    for name, why in current.unsupported.items():
        if name.lower() == part.lower():
            return f"{where}.{name} cannot be written: it is {why}"
    for name in current.read_only:
        if name.lower() == part.lower():
            return f"{where}.{name} cannot be written: the service returns it, and takes none"
    near = _near(part, table(current))
    near = near or _named(kind, part)  # it may be right, and elsewhere: `pool.vmSize`
    known = "" if near else f" ({', '.join(table(current))})"
    return f"expected a field of {where}{known}, found {part!r}{near}"


def _named(kind: str, part: str) -> str:
    """The shortest path, of *kind* where one is given, that ends in a field of that name, or of nearly that name."""
    paths = [path for path in _every_path() if not kind or path.split(".")[0] == kind.lower()]
    names = {path.rpartition(".")[2].lower() for path in paths}
    end = next(iter(difflib.get_close_matches(part.lower(), names, n=1, cutoff=0.8)), part.lower())
    ends = [path for path in paths if path.lower().endswith(f".{end}")]
    return f" (did you mean '{min(ends, key=lambda path: path.count('.'))}'?)" if ends else ""


def _near(text: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(text.lower(), folded, n=1)
    return f" (did you mean '{folded[near[0]]}'?)" if near else ""


@cache
def _every_path() -> tuple[str, ...]:
    """Every field of every kind, once for each type on the way: no type is entered within itself."""

    def walk(model: type[Spec], path: str, above: frozenset[type[Spec]]) -> Iterator[str]:
        for name, field in table(model).items():
            here = f"{path}.{name}"
            yield here
            below = _below(_Step(model, field))
            if below is not None and below not in above:
                yield from walk(below, here, above | {below})

    return tuple(path for kind, model in MANIFESTS.items() for path in walk(model, kind.lower(), frozenset({model})))


def _explained(kind: str, parts: list[str], depth: int) -> Explained:
    steps = _steps(kind, parts)
    if not steps:
        model = MANIFESTS[kind]
        return Explained(kind.lower(), "document", _doc(model), fields=tuple(_lines(model, depth)))
    last = steps[-1]
    below = _below(last)
    return Explained(
        path=_path(kind, steps),
        type=below.__name__ if below is not None and last.name else _type(last),
        meaning=_plain(last.field.doc),
        required=last.field.required and not last.name,
        default=_plain(default_of(last.field, last.model)),
        limits=_plain(limits_of(last.field, _shape(last))),
        change=_change(kind, steps),
        returned=_returned(kind, steps),
        about=_doc(below) if below is not None and _doc(below) != _plain(last.field.doc) else "",
        rule=_plain(rule_of(below)) if below is not None else "",
        read_only=tuple(sorted(below.read_only)) if below is not None else (),
        fields=tuple(_lines(below, depth)) if below is not None else (),
    )


def _lines(model: type[Spec], depth: int, level: int = 0, above: frozenset[type[Spec]] = frozenset()) -> Iterator[Line]:
    for name, field in table(model).items():
        step = _Step(model, field)
        below = _below(step)
        meaning = _plain(field.doc) or (_doc(below) if below is not None else "")
        yield Line(name, _type(step), field.required, meaning, level)
        if below is not None and level + 1 < depth and below not in above:
            yield from _lines(below, depth, level + 1, above | {below})


def _path(kind: str, steps: Sequence[_Step]) -> str:
    names = (part for step in steps for part in (step.field.name, step.name) if part)
    return ".".join([kind.lower(), *names])


def _type(step: _Step) -> str:
    if _is_mapping(step) and (below := _below(step)) is not None:
        return f"mapping of names to {below.__name__}"
    return _plain(type_of(step.field, _shape(step)))


def _is_mapping(step: _Step) -> bool:
    return step.field.below is None and _below(step) is not None


def _below(step: _Step) -> type[Spec] | None:
    """The type of the value, of the items of the list, or of the values of the mapping."""
    if step.field.below is not None:
        return step.field.below
    return next(_values(step.model.model_fields[step.field.name].annotation), None)


def _values(annotation: Any) -> Iterator[type[Spec]]:
    """The types of the values of a mapping."""
    if get_origin(annotation) is dict:
        value = get_args(annotation)[1]
        if isinstance(value, type) and issubclass(value, Spec):
            yield value
        return
    for part in get_args(annotation):
        yield from _values(part)


def _shape(step: _Step) -> dict[str, Any]:
    """The JSON Schema of a value, or of an item of the list."""
    shape = shape_of(_properties(step.model)[step.field.name])
    return dict(shape["items"]) if step.field.is_list else shape


@cache
def _properties(model: type[Spec]) -> dict[str, Any]:
    shapes: list[tuple[type[BaseModel], Any]] = [(model, "validation")]
    _, combined = models_json_schema(shapes)
    return dict(combined["$defs"][model.__name__]["properties"])


def _change(kind: str, steps: tuple[_Step, ...]) -> str:
    """What it takes to change the value of a live object."""
    if not _is_sent(kind, steps):
        return ""
    found: ChangeKind | None = None
    for step in steps:
        found = step.field.change or found
        if step.field.sealed:
            break
    if found is ChangeKind.FIXED and steps[0].field.name in TASKS:
        return CHANGED_TASKS
    if found is not None:
        return f"{found.value}: {CHANGES[found]}"
    if steps[0].field.name == "metadata":
        return "another name is another object: the one of the old name goes, and one of the new name is created"
    return "each field says what a change of it takes"


def _returned(kind: str, steps: tuple[_Step, ...]) -> str:
    if not _is_sent(kind, steps):
        return "never sent to the service"
    if any(step.field.write_only for step in steps):
        return "never; whether it changed is seen by a keyed digest in the mark"
    if any(step.field.secret for step in steps):
        return "yes; it is shown nowhere"
    if steps[-1].field.service_chosen:
        return "yes; compared only where it is written"
    return "yes"


def _is_sent(kind: str, steps: tuple[_Step, ...]) -> bool:
    names = [step.field.name for step in steps]
    if kind == "Stack":
        return False
    if names[0] == "taskGroups":  # a template is sent, once for each task that is made of it
        return names[1:2] == ["template"]
    return names[0] in ("spec", "tasks", "mergeTask") or names == ["metadata", "name"]


def _doc(model: type[Spec]) -> str:
    return _plain(" ".join((model.__doc__ or "").split()))


def _plain(text: str) -> str:
    """Words that are Markdown in the reference, without its marks."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("`", "").replace("\n", " ")
