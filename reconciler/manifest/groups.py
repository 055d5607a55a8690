"""Task groups of a document: parameters read, references checked, every id and varying field looked at once."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError

from reconciler.errors import Finding
from reconciler.manifest.explain import explain_detail
from reconciler.manifest.items import FileValues, RangeValues, SourceError, TableValues, values_of
from reconciler.manifest.text import Document
from reconciler.manifest.words import Path, did_you_mean, field_path, quoted
from reconciler.model.document import JobManifest
from reconciler.model.groups import Group, Reference, Template, Values
from reconciler.model.task import TaskSpec

MOST_TASKS: Final = 1_000_000
"""Tasks of one group. More is a slip in a range: the service's jobs are not made for it."""


@dataclass(frozen=True)
class Written:
    """A group that can be expanded, and where it stands."""

    path: Path
    group: Group

    def item(self, document: Document, number: int) -> str:
        """Which values make task *number*, as they are written: `frame=3, quality='low'`."""
        pairs = zip(self.group.parameters.items(), self.group.at(number), strict=True)
        return ", ".join(f"{name}={self._shown(document, name, values, at)}" for (name, values), at in pairs)

    def _shown(self, document: Document, name: str, values: Values, at: int) -> str:
        match values:
            case RangeValues():
                return values.text(at, "")
            case FileValues():
                return quoted(values.text(at, ""))
            case TableValues():
                return f"row {at + 1}"
        path = (*self.path, "parameters", name, "values", at)
        return document.found(path, document.at(path))


@dataclass
class Groups:
    """The groups of a document; *broken*: some could not be expanded, so their ids are not known."""

    written: list[Written] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    broken: bool = False

    @property
    def groups(self) -> list[Group]:
        return [written.group for written in self.written]


def expand(document: Document) -> Groups:
    """The groups of *document*. In its values the first task of a group takes the place of the template, so that the
    model looks at a task; the paths that differ from task to task are looked at here."""
    found = Groups()
    groups = document.at(("taskGroups",)) if document.kind == "Job" else None
    for index, raw in enumerate(groups if isinstance(groups, list) else ()):
        if isinstance(raw, dict):
            _expand(document, ("taskGroups", index), raw, found)
    return found


def _expand(document: Document, path: Path, raw: dict[str, Any], found: Groups) -> None:
    template = raw.get("template")
    parameters = _parameters(document, (*path, "parameters"), raw.get("parameters"), found)
    references = list(_references(template, (*path, "template")))
    unknown = [
        document.finding(where, message)
        for where, reference in references
        if parameters is not None and (message := _unknown(parameters, reference))
    ]
    found.findings += dict.fromkeys(unknown)
    usable = parameters is not None and not unknown and isinstance(template, dict)
    if usable and parameters is not None and isinstance(template, dict):
        written = Written(path, Group(str(raw.get("name")), parameters, template))
        if len(written.group) <= MOST_TASKS:
            raw["template"] = template | written.group.body(0)
            found.written.append(written)
            found.findings += _differing(document, written)
            return
        message = f"expected at most {MOST_TASKS:,} tasks, found {len(written.group):,} combinations"
        found.findings.append(document.finding((*path, "parameters"), message))
    found.broken = True
    document.refused.update(where for where, _ in references)


def _parameters(document: Document, path: Path, raw: object, found: Groups) -> dict[str, Values] | None:
    """What each parameter runs over, None where one of them is not known."""
    if not isinstance(raw, dict):
        return None
    values: dict[str, Values | None] = {}
    for name, parameter in raw.items():
        where = (*path, name)
        try:
            is_known = not document.is_refused(where) and not any(it[: len(where)] == where for it in document.refused)
            values[name] = values_of(parameter, document.folder(where)) if is_known else None
        except SourceError as error:
            values[name] = None
            source = next(iter(parameter))
            found.findings.append(document.finding((*where, source), str(error)))
    known = {name: value for name, value in values.items() if value is not None}
    return known if known and len(known) == len(values) else None


def _references(value: object, path: Path) -> Iterator[tuple[Path, Reference]]:
    if isinstance(value, Template):
        yield from ((path, reference) for reference in value.references)
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _references(item, (*path, key))


def _unknown(parameters: dict[str, Values], reference: Reference) -> str | None:
    values = parameters.get(reference.parameter)
    if values is None:
        hint = did_you_mean(reference.parameter, parameters)
        return f"expected a parameter of the group, found '{reference}'{hint}"
    if reference.field in values.fields:
        return None
    fields = sorted(name for name in values.fields if not name.endswith(".id"))
    ways = ", ".join(str(Reference(reference.parameter, name)) for name in fields)
    return f"expected one of {ways}, found '{reference}'"


def _differing(document: Document, written: Written) -> Iterator[Finding]:
    """What is wrong with tasks after the first: each property that differs is validated for each of them."""
    group, path = written.group, (*written.path, "template")
    for key in group.varying:
        adapter = _adapter(key)
        if adapter is None:
            continue
        wrong: dict[Path, tuple[int, Finding]] = {}
        counts: dict[Path, int] = {}
        for number in range(len(group)):
            try:
                adapter.validate_python(group.field(number, key), strict=True)
            except ValidationError as error:
                for detail in error.errors(include_url=False):
                    where = (*path, key, *detail["loc"])
                    counts[where] = counts.get(where, 0) + 1
                    if where not in wrong:
                        finding = explain_detail(document, JobManifest, {**detail, "loc": where})
                        wrong[where] = number, finding
        for where, (number, first) in wrong.items():
            if number == 0 or document.is_refused(where):  # the model says it
                continue
            more = f" and {counts[where] - 1} more" if counts[where] > 1 else ""
            message = f"{first.message} for {written.item(document, number)}{more}"
            yield Finding(first.path, first.line, first.column, first.field, message)


@cache
def _adapter(key: str) -> TypeAdapter[Any] | None:
    """What validates one property of a task, as the model does."""
    info = TaskSpec.model_fields.get(key)
    if info is None:
        return None
    shape: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return TypeAdapter(shape)


TAKEN: Final = "expected an id that no other task of the job has, found"


def repeated_ids(document: Document, groups: Sequence[Written], taken: dict[str, Path]) -> Iterator[Finding]:
    """Ids of groups that another task has: *taken* are those of single tasks, folded."""
    starts: list[int] = []
    seen: dict[str, int] = {}
    total = 0
    usable = []
    for written in groups:
        id_path = (*written.path, "template", "id")
        if document.is_refused(id_path) or not isinstance(document.at(id_path), str):
            continue
        if missing := _unnamed(written.group):
            names = ", ".join(str(Reference(name)) for name in missing)
            count = f"{len(written.group):,}"
            message = f"expected an id that differs for each of the {count} tasks: put {names} into it"
            yield document.finding(id_path, message)
            continue
        starts.append(total)
        usable.append(written)
        first: tuple[int, str] | None = None
        more = 0
        for number in range(len(written.group)):
            id_ = written.group.task_name(number).lower()
            single = taken.get(id_)
            other = seen.setdefault(id_, total + number)
            if single is None and other == total + number:
                continue
            if first is None:
                first = number, _holder(document, single, usable, starts, other)
            else:
                more += 1
        total += len(written.group)
        if first is not None:
            found = f"{document.found(id_path, document.at(id_path))} for {written.item(document, first[0])}"
            rest = f" ({more} more of the group are taken)" if more else ""
            yield document.finding(id_path, f"{TAKEN} {found}, the id of {first[1]}{rest}")


def _holder(document: Document, single: Path | None, groups: Sequence[Written], starts: list[int], other: int) -> str:
    if single is not None:
        line, _ = document.position((*single, "id"))
        return f"{field_path(single)} on line {line}"
    index = bisect_right(starts, other) - 1
    there = groups[index]
    line, _ = document.position((*there.path, "template", "id"))
    return f"{field_path(there.path)} for {there.item(document, other - starts[index])} on line {line}"


def _unnamed(group: Group) -> list[str]:
    """Parameters of more than one value that the id does not name."""
    id_ = group.template.get("id")
    named = {reference.parameter for reference in id_.references} if isinstance(id_, Template) else set()
    return [name for name, values in group.parameters.items() if len(values) > 1 and name not in named]
