"""Objects that exist, or pasted JSON of some, into manifests a person would have written: `reconciler import`.

A body of the REST API, the output of `az batch ... show` (other letter case, nulls, times as Python prints them) or an
ARM pool resource goes in; out comes a document without what the service made, without what is its default, in the
order of the documentation. Nothing here asks the account or writes a file. What had to be left out is said in notes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import UsageError
from reconciler.importing import arm, spelling
from reconciler.importing.secrets import Keeping, referenced
from reconciler.model import duration, moment
from reconciler.model.desired import SPECS, Kind
from reconciler.model.document import API_VERSION
from reconciler.model.field import Compare, Spec
from reconciler.model.table import Field, Json, strip_read_only, table, without_defaults
from reconciler.model.task import TaskSpec
from reconciler.observed import MARK, Mark

KINDS: Final = {Kind.POOL: "Pool", Kind.JOB: "Job", Kind.JOB_SCHEDULE: "JobSchedule"}
_SIGNS: Final = {
    Kind.JOB_SCHEDULE: "jobspecification",
    Kind.POOL: "vmsize",
    Kind.JOB: "poolinfo",
}
"""A property that every object of the kind has and no other kind has."""
_OF_NODES: Final = frozenset({"affinityid", "nodeagentinfo", "schedulingstate", "totaltasksrun"})
"""Properties of a node, which has the size of its pool."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A manifest made of an object. *notes*: what is not as it was, and what a person has to fill in."""

    kind: Kind
    name: str
    document: Mapping[str, Json]
    notes: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks without their job: what stands under `tasks:` of its manifest. *job* is its id, where they tell."""

    job: str
    items: tuple[Mapping[str, Json], ...]
    notes: tuple[str, ...] = ()


def manifest_of(
    kind: Kind,
    raw: Mapping[str, Json],
    tasks: Iterable[Mapping[str, Json]] = (),
    lifecycle: Mapping[str, Json] | None = None,
    *,
    tell: bool = False,
) -> Imported:
    """The manifest of one object in the REST API's form, with its tasks and its *lifecycle*. With *tell* a note names
    what is left out because the service sets it.

    Raises UsageError where *raw* has no id.
    """
    name = raw.get("id")
    if not isinstance(name, str) or not name:
        raise UsageError(f"expected the JSON of a {KINDS[kind]} with its id, found none")
    model = SPECS[kind]
    mark = mark_in(raw)
    keeping = Keeping(f"{kind}_{name}", mark.hides) if mark is not None else Keeping(f"{kind}_{name}")
    rest = {key: value for key, value in raw.items() if key != "id"}
    spec, notes = _body(model, rest, keeping, "spec", tell=tell)
    document: dict[str, Json] = {
        "apiVersion": API_VERSION,
        "kind": KINDS[kind],
        "metadata": {"name": name},
        "spec": spec,
    }
    if lifecycle:
        document["lifecycle"] = dict(lifecycle)
    if lifecycle and lifecycle.get("state") == "Completed":
        notes.append("lifecycle.state is Completed because it has ended: take the line out to have it run anew")
    items = []
    retries = (spec.get("constraints") or {}).get("maxTaskRetryCount", 0)
    for number, task in enumerate(tasks):
        item, wrong = _body(TaskSpec, task, keeping, f"tasks[{number}]")
        notes += wrong
        items.append(_without_inherited(item, retries))
    if items:
        document["tasks"] = items
    return Imported(kind, name, document, tuple(dict.fromkeys([*notes, *keeping.notes])))


def mark_in(raw: Mapping[str, Json]) -> Mark | None:
    """The mark of an object in the REST API's form, or as a tool prints it; None without one that can be read."""
    items = raw.get("metadata")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and str(item.get("name")).lower() == MARK:
            return Mark.parse(str(item.get("value")))
    return None


def _body(
    model: type[Spec], raw: Mapping[str, Json], keeping: Keeping, where: str, *, tell: bool = False
) -> tuple[dict[str, Json], list[str]]:
    spelled = spelling.rest(model, raw)
    body, dropped = strip_read_only(model, spelled)
    notes = _left_out(model, dropped, where, tell=tell)
    body, unknown = _known(model, body, where)
    if "metadata" in body:
        body["metadata"] = [item for item in body["metadata"] if item["name"].lower() != MARK]
    body = referenced(model, without_defaults(model, body), where, keeping)
    return ordered(model, body), notes + unknown


def _left_out(model: type[Spec], dropped: Iterable[str], where: str, *, tell: bool) -> list[str]:
    """A note for each property that the API had once, since it said what was wanted; with *tell*, one for all that the
    service sets."""
    notes = []
    made = []
    for path in dropped:
        below: type[Spec] | None = model
        reason = None
        for part in re.sub(r"\[\d+\]", "", path).split("."):
            reason = below.unsupported.get(part) if below is not None else None
            field = table(below).get(part) if below is not None else None
            below = field.below if field is not None else None
        if reason is not None:
            notes.append(f"{where}.{path} is left out: {reason}")
        elif not path.startswith("odata."):
            made.append(path)
    if made and tell:
        notes.append(f"left out, because the service sets it: {', '.join(made)}")
    return notes


def _known(model: type[Spec], raw: Mapping[str, Json], where: str) -> tuple[dict[str, Json], list[str]]:
    """*raw* without properties that no manifest has, each named in a note. Raises UsageError for a value that is not of
    the form that the property has: what follows relies on it."""
    fields = table(model)
    body: dict[str, Json] = {}
    notes = []
    for name, value in raw.items():
        path = f"{where}.{name}"
        field = fields.get(name)
        if field is None:
            notes.append(f"{path} is left out: it is not a property of a manifest")
        elif field.is_list:
            pairs = [_item(field, item, f"{path}[{n}]") for n, item in enumerate(_of(list, value, path))]
            body[name] = [item for item, _ in pairs]
            notes += [note for _, wrong in pairs for note in wrong]
        elif field.below is not None:
            body[name], wrong = _known(field.below, _of(dict, value, path), path)
            notes += wrong
        else:
            body[name] = _scalar(field, value, path)
    return body, notes


def _item(field: Field, value: Json, path: str) -> tuple[Json, list[str]]:
    if field.below is None:
        return _scalar(field, value, path), []
    item, notes = _known(field.below, _of(dict, value, path), path)
    if field.keyed_by is not None and not isinstance(item.get(field.keyed_by), str | int):
        raise UsageError(f"{path}: expected {field.keyed_by}, found none")
    return item, notes


def _scalar(field: Field, value: Json, path: str) -> Json:
    try:
        if field.compare is Compare.DURATION:
            duration.canonical(_of(str, value, path))
        elif field.compare is Compare.MOMENT:
            moment.canonical(_of(str, value, path))
    except ValueError as error:
        raise UsageError(f"{path}: expected {error}") from None
    return value


def _of(form: type, value: Json, path: str) -> Any:
    if not isinstance(value, form):
        names: dict[type, str] = {list: "a list", dict: "an object", str: "a text"}
        raise UsageError(f"{path}: expected {names[form]}, found {names.get(type(value), type(value).__name__)}")
    return value


def ordered(model: type[Spec], body: Mapping[str, Json]) -> dict[str, Json]:
    """*body* with its properties in the order of the documentation, at every depth."""
    found: dict[str, Json] = {}
    for name, field in table(model).items():
        if name not in body:
            continue
        value, below = body[name], field.below
        if below is not None and isinstance(value, dict) and "secretRef" not in value:
            value = ordered(below, value)
        elif below is not None and isinstance(value, list):
            value = [ordered(below, item) for item in value]
        found[name] = value
    return found


def _without_inherited(task: dict[str, Json], retries: int) -> dict[str, Json]:
    """A task stores the retry count that its job had when it was added (recorded): not a line that anybody wrote."""
    constraints = dict(task.get("constraints") or {})
    if constraints.get("maxTaskRetryCount") == retries:
        del constraints["maxTaskRetryCount"]
    rest = {key: value for key, value in task.items() if key != "constraints"}
    return {**rest, "constraints": constraints} if constraints else rest


def things(value: Any) -> list[Any]:
    """The single objects of pasted JSON: one object, a list of them, or a page of a list (`{"value": [...]}`)."""
    if isinstance(value, dict) and isinstance(value.get("value"), list):
        value = value["value"]
    return list(value) if isinstance(value, list) else [value]


def pasted(value: Any) -> list[Imported]:
    """The manifests of pasted JSON.

    Raises UsageError for what is no pool, job or job schedule, by what it looks like.
    """
    return [_recognised(thing) for thing in things(value)]


def tasks_of(value: Any) -> Tasks | None:
    """The tasks of pasted JSON, where it holds nothing else."""
    found = things(value)
    if not found or not all(is_task(thing) for thing in found):
        return None
    items: list[dict[str, Json]] = []
    notes: list[str] = []
    jobs = {_job_of(thing) for thing in found}
    job = jobs.pop() if len(jobs) == 1 else ""
    keeping = Keeping(f"job_{job}")
    for number, thing in enumerate(found):
        item, wrong = _body(TaskSpec, spelling.respelled_top(thing), keeping, f"tasks[{number}]")
        items.append(item)
        notes += wrong
    return Tasks(job, tuple(items), tuple(dict.fromkeys([*notes, *keeping.notes])))


def is_task(thing: Any) -> bool:
    """Whether this is a task by what it looks like."""
    names = {name.lower() for name in thing} if isinstance(thing, dict) else set()
    return {"id", "commandline"} <= names


def _job_of(task: Mapping[str, Json]) -> str:
    found = re.search(r"/jobs/([^/]+)/tasks/", str(task.get("url", "")))
    return found[1] if found else ""


def schedule_of(thing: Any) -> str | None:
    """The schedule that made this job, by its id."""
    if not isinstance(thing, dict) or _SIGNS[Kind.JOB] not in {name.lower() for name in thing}:
        return None
    schedule, colon, _ = str(thing.get("id", "")).partition(":")
    return schedule if colon else None


def _recognised(thing: Any) -> Imported:
    if not isinstance(thing, dict):
        raise UsageError(f"expected the JSON object of a pool, job or job schedule, found {type(thing).__name__}")
    if arm.is_resource(thing):
        raw, notes = arm.pool(thing)
        made = manifest_of(Kind.POOL, raw, tell=True)
        return Imported(made.kind, made.name, made.document, (*notes, *made.notes))
    if schedule := schedule_of(thing):
        raise UsageError(f"job/{thing['id']} was made by a schedule: import jobschedule/{schedule} instead")
    names = {name.lower() for name in thing}
    if names & _OF_NODES:
        raise UsageError("expected the JSON of a pool, job or job schedule, found a node: nodes have no manifests")
    for kind, sign in _SIGNS.items():
        if sign in names:
            return manifest_of(kind, spelling.respelled_top(thing), tell=True)
    if is_task(thing):
        raise UsageError("expected tasks by themselves or none, found a task beside other objects")
    shown = ", ".join(sorted(thing)[:6])
    raise UsageError(f"expected the JSON of a pool, job or job schedule, found an object with {shown or 'nothing'}")
