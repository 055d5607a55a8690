"""The tasks of a job: listed ones, and those that a template makes over a product of parameters.

A group expands on demand: of 100,000 tasks only the ids are kept, and a task's body and normalised spec exist while
somebody looks at them. The digest of a group is made of its template and its parameters.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import Any, Final, Protocol, TypeAlias

from reconciler.model.digest import digest, digest_of
from reconciler.model.field import ChangeKind, Spec
from reconciler.model.table import Normal, Path, normalise, table, without_choices, write_only
from reconciler.model.task import TaskSpec
from reconciler.model.types import MOST

LONGEST_DEPENDENCIES: Final = 64_000
"""Characters of the ids in each list of `dependsOn` together (REST reference: `TaskDependencyListTooLong`)."""
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,9}")
"""An id that a range reaches: a number written plainly (REST reference, "TaskIdRange")."""

At: TypeAlias = tuple[int, ...]
"""An item: the position of its value in each parameter, in the order the parameters are declared."""
_Fill: TypeAlias = Callable[[At], Any]


@dataclass(frozen=True)
class Task:
    """A declared task. *spec* is normalised, *body* is what would be sent."""

    name: str
    spec: Normal
    body: Mapping[str, object]

    @property
    def id(self) -> str:
        return self.name.lower()


class Values(Protocol):
    """What a parameter runs over."""

    @property
    def fields(self) -> frozenset[str]:
        """What may follow the name in `${item.NAME.FIELD}`; "" where the name may stand alone."""

    def __len__(self) -> int: ...

    def text(self, position: int, field: str) -> str:
        """A value as it reads inside of a longer text."""

    def value(self, position: int, field: str) -> Any:
        """A value where its reference stands alone and without quotes: it may be a number, or true or false."""

    def facts(self) -> Any:
        """All of them, as JSON: what tells two parameters apart."""


@dataclass(frozen=True, slots=True)
class Reference:
    """`${item.PARAMETER}` or `${item.PARAMETER.FIELD}`."""

    parameter: str
    field: str = ""

    def __str__(self) -> str:
        return f"${{item.{self.parameter}{'.' if self.field else ''}{self.field}}}"


@dataclass(frozen=True, slots=True)
class Template:
    """A text with references. *bare*: one reference, alone and without quotes, so that it keeps the value's type."""

    parts: tuple[str | Reference, ...]
    bare: bool = False

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(part for part in self.parts if isinstance(part, Reference))


class Group:
    """Tasks made of one *template*, a body in wire form in which `Template`s stand for texts, over the product of
    *parameters*; the last parameter changes fastest. Every reference must lead to a parameter and a field of it."""

    def __init__(self, name: str, parameters: Mapping[str, Values], template: Mapping[str, Any]) -> None:
        self.name = name
        self.parameters = parameters
        self.template = template
        self._sizes = tuple(len(values) for values in parameters.values())
        self._position = {parameter: index for index, parameter in enumerate(parameters)}
        self._fill = {key: self._compiled(value) for key, value in template.items() if value is not None}
        self._latest: tuple[int, Normal] | None = None

    def __len__(self) -> int:
        return prod(self._sizes)

    def names(self) -> Iterator[str]:
        """The id of each task, as it will be sent; none where the template has no id."""
        return (self.task_name(number) for number in range(len(self) if "id" in self._fill else 0))

    @property
    def varying(self) -> tuple[str, ...]:
        """Properties of the template that depend on the item."""
        return tuple(key for key, fill in self._fill.items() if callable(fill))

    @cached_property
    def different_secrets(self) -> Sequence[dict[Path, Any]]:
        """The values that the service never returns: of its first task, where they are the same in all of them."""
        inside = write_only(TaskSpec, self.template)
        if not inside or not len(self):
            return ()
        vary = any(path[0] in self.varying for path in inside)
        return [write_only(TaskSpec, self.body(number)) for number in range(len(self) if vary else 1)]

    def at(self, number: int) -> At:
        """The item of the task *number*, counted from 0."""
        positions = []
        for size in reversed(self._sizes):
            number, position = divmod(number, size)
            positions.append(position)
        return tuple(reversed(positions))

    def field(self, number: int, key: str) -> Any:
        """One property of the body of task *number*."""
        fill = self._fill[key]
        return fill(self.at(number)) if callable(fill) else fill

    def task_name(self, number: int) -> str:
        return str(self.field(number, "id"))

    def body(self, number: int) -> dict[str, Any]:
        """The create body of task *number*."""
        at = self.at(number)
        return {key: fill(at) if callable(fill) else fill for key, fill in self._fill.items()}

    def spec(self, number: int) -> Normal:
        """The normalised spec of task *number*. The latest one is kept: a comparison asks for it field by field."""
        if self._latest is None or self._latest[0] != number:
            self._latest = (number, normalise(TaskSpec, self.body(number)))
        return self._latest[1]

    def facts(self, names: Collection[str], *, plain: bool) -> Any:
        """What makes these properties of its tasks what they are, as JSON; *plain*, without what the service may
        choose. The first spec stands for the defaults of this version."""
        parameters = [[name, values.facts()] for name, values in self.parameters.items()]
        template = {name: value for name, value in self.template.items() if name in names}
        return [parameters, _written(TaskSpec, template, plain=plain), _part(self.spec(0), names, plain=plain)]

    def _compiled(self, value: Any) -> Any:
        """*value* itself where it holds no reference, else a function that fills the references in."""
        if isinstance(value, Template):
            return self._filled_text(value)
        if isinstance(value, dict):
            pairs = {key: self._compiled(item) for key, item in value.items() if item is not None}
            if not any(map(callable, pairs.values())):
                return pairs
            return lambda at: {key: item(at) if callable(item) else item for key, item in pairs.items()}
        if isinstance(value, list):
            items = [self._compiled(item) for item in value]
            if not any(map(callable, items)):
                return items
            return lambda at: [item(at) if callable(item) else item for item in items]
        return value

    def _filled_text(self, template: Template) -> _Fill:
        parts = [self._part(part) for part in template.parts]
        if template.bare:
            ((reference),) = template.references
            values, index = self.parameters[reference.parameter], self._position[reference.parameter]
            return lambda at: values.value(at[index], reference.field)
        return lambda at: "".join([part if isinstance(part, str) else part(at) for part in parts])

    def _part(self, part: str | Reference) -> str | Callable[[At], str]:
        if isinstance(part, str):
            return part
        values, index, field = self.parameters[part.parameter], self._position[part.parameter], part.field
        return lambda at: values.text(at[index], field)


def _part(spec: Normal, names: Collection[str], *, plain: bool) -> Normal:
    part = without_choices(TaskSpec, spec) if plain else spec
    return {name: value for name, value in part.items() if name in names}


def _written(model: type[Spec] | None, value: Any, *, plain: bool) -> Any:
    """A template as JSON, its references told apart from text that looks like them, without what the service never
    returns: a digest without a key must not tell anything about a secret."""
    if isinstance(value, Template):
        return {"bare": value.bare, "parts": [[str(p)] if isinstance(p, Reference) else p for p in value.parts]}
    if isinstance(value, dict):
        fields = table(model) if model is not None else {}
        pairs = ((key, item, fields.get(key)) for key, item in value.items())
        return {
            key: _written(field.below if field else None, item, plain=plain)
            for key, item, field in pairs
            if not (field and (field.write_only or (plain and field.service_chosen)))
        }
    if isinstance(value, list):
        return [_written(model, item, plain=plain) for item in value]
    return value


def secrets_of(task: Task) -> dict[Path, Any]:
    """The values of a task that the service never returns, by path."""
    return write_only(TaskSpec, task.body)


class GroupTask(Task):
    """A task of a group: knows where it comes from, and nothing else until it is asked."""

    __slots__ = ("_group", "_number")

    def __init__(self, group: Group, number: int) -> None:
        object.__setattr__(self, "_group", group)
        object.__setattr__(self, "_number", number)

    _group: Group
    _number: int

    @property
    def name(self) -> str:
        return self._group.task_name(self._number)

    @property
    def spec(self) -> Normal:
        return GroupSpec(self._group, self._number)

    @property
    def body(self) -> dict[str, Any]:
        return self._group.body(self._number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and (self.name, self.spec, self.body) == (other.name, other.spec, other.body)

    def __hash__(self) -> int:
        return hash(self.id)


class GroupSpec(Mapping[str, Any]):
    """The normalised spec of a group's task, made when it is looked into."""

    __slots__ = ("_group", "_number")

    def __init__(self, group: Group, number: int) -> None:
        self._group = group
        self._number = number

    def __getitem__(self, key: str) -> Any:
        return self._group.spec(self._number)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._group.spec(self._number))

    def __len__(self) -> int:
        return len(self._group.spec(self._number))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupSpec) and other._group is self._group and other._number == self._number:
            return True
        return isinstance(other, Mapping) and dict(self._group.spec(self._number)) == dict(other)

    __hash__ = None  # type: ignore[assignment]


def depends_on(ids: Iterable[str]) -> dict[str, Any]:
    """`dependsOn` of a task that waits for all of *ids*: ranges of numbers where ids are plain numbers, else ids.

    A range spans only ids that are there, since a dependency on a task that is not there is never met.
    """
    names, numbers = [], []
    for id_ in ids:
        if _NUMBER.fullmatch(id_) and int(id_) <= MOST:
            numbers.append(int(id_))
        else:
            names.append(id_)
    ranges: list[dict[str, int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1]["end"] == number - 1:
            ranges[-1]["end"] = number
        else:
            ranges.append({"start": number, "end": number})
    return ({"taskIds": names} if names else {}) | ({"taskIdRanges": ranges} if ranges else {})


def too_long(depends: Mapping[str, Any]) -> int | None:
    """How many characters *depends* has, where that is more than the service takes."""
    names = sum(map(len, depends.get("taskIds", ())))
    ranges = sum(len(f"{it['start']}{it['end']}") for it in depends.get("taskIdRanges", ()))
    longest = max(names, ranges)
    return longest if longest > LONGEST_DEPENDENCIES else None


class Tasks(Mapping[str, Task]):
    """The tasks of a job by folded id: *sections* one after the other, each a list of tasks or a group.

    Ids must be unique. Only they are kept for groups.
    """

    def __init__(self, *sections: Sequence[Task] | Group) -> None:
        self._sections = sections
        self._starts = [0, *accumulate(len(section) for section in sections)]
        self._numbers: dict[str, int] = {}
        for start, section in zip(self._starts, sections, strict=False):
            names = section.names() if isinstance(section, Group) else (task.name for task in section)
            for number, name in enumerate(names, start):
                self._numbers[name.lower()] = number

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._numbers

    def __getitem__(self, id_: str) -> Task:
        number = self._numbers[id_]
        index = bisect_right(self._starts, number) - 1
        section, within = self._sections[index], number - self._starts[index]
        return GroupTask(section, within) if isinstance(section, Group) else section[within]

    @cached_property
    def digest(self) -> str:
        """Of every declared task, by what the manifest says of it; it begins with that of the part which no choice of
        the service is in."""
        every = table(TaskSpec)
        return digest_of(self._facts(every, plain=True), self._facts(every, plain=False))

    @cached_property
    def run_digest(self) -> str:
        """Of what is fixed in every declared task: where it changed, others were run than are declared."""
        fixed = [name for name, field in table(TaskSpec).items() if field.change is ChangeKind.FIXED]
        return digest(self._facts(fixed, plain=True))

    def digest_without(self, settings: Collection[str]) -> str:
        """The same without the values of the environment settings of these names."""
        return digest(_without_values(self._facts(table(TaskSpec), plain=False), settings))

    def different_secrets(self) -> Iterator[dict[Path, Any]]:
        """The values of tasks that the service never returns; of tasks that have the same, perhaps once."""
        for section in self._sections:
            yield from section.different_secrets if isinstance(section, Group) else map(secrets_of, section)

    def _facts(self, names: Collection[str], *, plain: bool) -> Any:
        groups = [section.facts(names, plain=plain) for section in self._sections if isinstance(section, Group)]
        listed = {
            task.id: _part(task.spec, names, plain=plain)
            for section in self._sections
            if not isinstance(section, Group)
            for task in section
        }
        return [listed, groups] if groups else listed


def _without_values(value: Any, names: Collection[str]) -> Any:
    """*value* with the names alone of these environment settings, and of those that a template names."""
    if isinstance(value, list):
        return [_without_values(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: _without_values(item, names) for name, item in value.items()}
    settings = value.get("environmentSettings")
    if isinstance(settings, dict):
        found["environmentSettings"] = {n: None if n in names else item for n, item in settings.items()}
    elif isinstance(settings, list):
        found["environmentSettings"] = [_without_value(item, names) for item in settings]
    return found


def _without_value(setting: Any, names: Collection[str]) -> Any:
    plain = isinstance(setting, dict) and isinstance(setting.get("name"), str) and setting["name"] not in names
    return setting if plain else setting.get("name") if isinstance(setting, dict) else None
