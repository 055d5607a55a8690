"""What one field alone cannot tell: names that clash, and parts that need one another.

Reads the plain values leniently, so that a document the model refused has these mistakes found in the same run.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

from reconciler.errors import Finding
from reconciler.manifest.groups import TAKEN, Groups, repeated_ids
from reconciler.manifest.text import Document
from reconciler.manifest.words import Path, field_path
from reconciler.model.field import Spec
from reconciler.model.groups import LONGEST_DEPENDENCIES, depends_on, too_long
from reconciler.model.table import table

_ONE_ID_SPACE: Final = frozenset({"Job", "JobSchedule"})
"""The service takes no job whose id a schedule has, nor the reverse (REST reference, "Add Job Schedule")."""

_JOB_SPEC: Final[Mapping[str, Path]] = {"Job": ("spec",), "JobSchedule": ("spec", "jobSpecification")}
"""Where a document says what a job is."""

_JOB_TASKS: Final[Mapping[str, str | None]] = {
    "jobManagerTask": None,
    "jobPreparationTask": "jobpreparation",
    "jobReleaseTask": "jobrelease",
}
"""The tasks that belong to a job as such, and the id each has when its line is absent."""


def within(document: Document, model: type[Spec], groups: Groups) -> list[Finding]:
    """Mistakes between the parts of one document."""
    findings = alone(document, model)
    if document.kind == "Job":
        findings += _exact_tasks(document)
    spec = _JOB_SPEC.get(document.kind or "")
    if spec is not None:
        findings += _unprepared(document, spec)
        findings += _task_ids(document, spec, groups)
        findings += _merge(document, groups)
    return findings


def alone(document: Document, model: type[Spec]) -> list[Finding]:
    """Those of them that no other document could put right, should this one be laid over it."""
    findings = list(_repeated(document, model, document.value, ()))
    if document.kind == "Job":
        written = document.at(("taskGroups",))  # overlays find groups by name
        findings += _repeated_key(document, "name", written if isinstance(written, list) else [], ("taskGroups",))
    if document.kind == "Stack":
        findings += _open_keys(document)
    return findings


def _open_keys(document: Document) -> Iterator[Finding]:
    for path in (("spec", "digestKey"), ("spec", "account", "key")):
        if isinstance(document.at(path), str) and path not in document.secrets and not document.is_refused(path):
            document.refused.add(path)
            message = "expected a secretRef ({secretRef: {env: NAME}}), found a text: a key in a manifest is no secret"
            yield document.finding(path, message)


def between(documents: list[Document]) -> list[Finding]:
    """Mistakes between documents: a name used twice for a kind, whatever the letter case, and a second Stack.

    Jobs and job schedules share one id space.
    """
    findings: list[Finding] = []
    names: dict[tuple[str, str], Document] = {}
    stack: Document | None = None
    for document in documents:
        if document.kind == "Stack":
            if stack is not None:
                message = f"expected one Stack, found a second: the first is at {_place(stack)}"
                findings.append(document.finding(("kind",), message))
            stack = stack or document
            continue
        path = ("metadata", "name")
        name = document.at(path)
        if document.kind is None or not isinstance(name, str) or document.is_refused(path):
            continue
        space = "Job or JobSchedule" if document.kind in _ONE_ID_SPACE else document.kind
        first = names.setdefault((space, name.lower()), document)
        if first is not document:
            expected = f"expected a name that no other {space} has, whatever the letter case"
            message = f"{expected}, found {document.found(path, name)}, the name of the one at {_place(first)}"
            findings.append(document.finding(path, message))
    return findings


def _place(document: Document) -> str:
    line, _ = document.named_at
    return f"{document.file.path}:{line}"


def _unprepared(document: Document, spec: Path) -> Iterator[Finding]:
    path = (*spec, "jobReleaseTask")
    if isinstance(document.at(path), dict) and document.at((*spec, "jobPreparationTask")) is None:
        message = "expected a jobPreparationTask beside it, found none: release runs where preparation ran"
        yield document.finding(path, message, of_key=True)


def _exact_tasks(document: Document) -> Iterator[Finding]:
    path = ("lifecycle", "tasks")
    if document.at(path) == "Exact" and document.at(("spec", "jobManagerTask")) is not None:
        message = "expected another policy than 'Exact' beside a jobManagerTask: the tasks it adds are in no manifest"
        yield document.finding(path, message)


def _task_ids(document: Document, spec: Path, groups: Groups) -> Iterator[Finding]:
    """One id, one task: manager, preparation and release tasks share the ids of a job's tasks."""
    first: dict[str, Path] = {}
    for path, id_ in _ids(document, spec):
        other = first.setdefault(id_.lower(), path)
        if other is not path:
            line, _ = document.position((*other, "id"))
            found = document.found((*path, "id"), document.at((*path, "id")))
            shown = f"the default {id_!r}" if document.at((*path, "id")) is None else found
            message = f"{TAKEN} {shown}, the id of {field_path(other)}"
            yield document.finding((*path, "id"), f"{message} on line {line}")
    yield from repeated_ids(document, groups.written, first)


def _ids(document: Document, spec: Path) -> Iterator[tuple[Path, str]]:
    for name, default in _JOB_TASKS.items():
        task = document.at((*spec, name))
        id_ = task.get("id", default) if isinstance(task, dict) else None
        id_ = default if id_ is None and isinstance(task, dict) else id_
        if isinstance(id_, str) and not document.is_refused((*spec, name, "id")):
            yield (*spec, name), id_
    tasks = document.at(("tasks",))
    for index, task in enumerate(tasks if isinstance(tasks, list) else ()):
        id_ = task.get("id") if isinstance(task, dict) else None
        if isinstance(id_, str) and not document.is_refused(("tasks", index, "id")):
            yield ("tasks", index), id_
    id_ = document.at(("mergeTask", "id"))
    if isinstance(id_, str) and not document.is_refused(("mergeTask", "id")):
        yield ("mergeTask",), id_


def _merge(document: Document, groups: Groups) -> Iterator[Finding]:
    """What a merge task needs: others to wait for, few enough to be named, and a job that allows dependencies."""
    path = ("mergeTask",)
    merge = document.at(path)
    if not isinstance(merge, dict):
        return
    if "dependsOn" in merge:
        document.refused.add((*path, "dependsOn"))
        message = "expected no dependsOn: a merge task depends on all other declared tasks by itself"
        yield document.finding((*path, "dependsOn"), message, of_key=True)
    uses = ("spec", "usesTaskDependencies")
    if document.at(uses) is not True and not document.is_refused(uses):
        message = "expected 'usesTaskDependencies: true' in spec, found none: a merge task depends on other tasks"
        yield document.finding(path, message, of_key=True)
    if groups.broken or document.is_refused(("tasks",)):
        return
    tasks = document.at(("tasks",))
    ids = [task.get("id") for task in tasks if isinstance(task, dict)] if isinstance(tasks, list) else []
    names = chain((id_ for id_ in ids if isinstance(id_, str)), *(group.names() for group in groups.groups))
    depends = depends_on(names)
    if not depends and not tasks:
        yield document.finding(path, "expected tasks or taskGroups for it to wait for, found none", of_key=True)
    if (length := too_long(depends)) is not None:
        # No tasks of our own in between: they would run, be counted and be paid for, and what they run depends on
        # the nodes' operating system.
        limit = f"at most {LONGEST_DEPENDENCIES:,} characters of ids to depend on"
        yield document.finding(path, f"expected {limit}, found {length:,}: use plain numbers as ids", of_key=True)


def _repeated(document: Document, model: type[Spec], raw: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """Items of a keyed list that name their key twice: only one of them would count."""
    fields = table(model)
    for name, value in raw.items():
        field = fields.get(name)
        if field is None or field.below is None or not isinstance(value, list | dict):
            continue
        here = (*path, name)
        if field.keyed_by is not None and isinstance(value, list):
            yield from _repeated_key(document, field.keyed_by, value, here)
        below = enumerate(value) if isinstance(value, list) else ((None, value),)
        for index, item in below:
            if isinstance(item, dict):
                yield from _repeated(document, field.below, item, here if index is None else (*here, index))


def _repeated_key(document: Document, key: str, items: list[Any], path: Path) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        value = item.get(key) if isinstance(item, dict) else None
        if not isinstance(value, str) or first.setdefault(value, index) == index:
            continue
        here = (*path, index, key)
        found = f"{document.found(here, value)} again: first in {field_path((*path, first[value]))}"
        yield document.finding(here, f"expected each {key} once, found {found}")
