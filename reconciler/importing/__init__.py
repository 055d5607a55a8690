"""Objects that exist, or pasted JSON of some, into manifests a person would have written: `reconciler import`.

A body of the REST API, the output of `az batch ... show` (other letter case, nulls, times as Python prints them) or an
ARM pool resource goes in; out comes a document without what the service made, without what is its default, in the
order of the documentation. Nothing here asks the account or writes a file. What had to be left out is said in notes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import UsageError
from reconciler.importing import arm, spelling
from reconciler.importing.secrets import referenced
from reconciler.model.desired import SPECS, Kind
from reconciler.model.document import API_VERSION
from reconciler.model.field import Spec
from reconciler.model.table import Json, strip_read_only, table, without_defaults
from reconciler.model.task import TaskSpec
from reconciler.observed import MARK

KINDS: Final = {Kind.POOL: "Pool", Kind.JOB: "Job", Kind.JOB_SCHEDULE: "JobSchedule"}
_SIGNS: Final = {
    Kind.JOB_SCHEDULE: "jobspecification",
    Kind.POOL: "vmsize",
    Kind.JOB: "poolinfo",
}
"""A property that every object of the kind has and no other kind has."""


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


def manifest_of(kind: Kind, raw: Mapping[str, Json], tasks: Iterable[Mapping[str, Json]] = ()) -> Imported:
    """The manifest of one object in the REST API's form, with its tasks.

    Raises UsageError where *raw* has no id.
    """
    name = raw.get("id")
    if not isinstance(name, str) or not name:
        raise UsageError(f"expected the JSON of a {KINDS[kind]} with its id, found none")
    model = SPECS[kind]
    spec, notes = _body(model, {key: value for key, value in raw.items() if key != "id"}, f"{kind}_{name}", "spec")
    document: dict[str, Json] = {
        "apiVersion": API_VERSION,
        "kind": KINDS[kind],
        "metadata": {"name": name},
        "spec": spec,
    }
    items = []
    retries = (spec.get("constraints") or {}).get("maxTaskRetryCount", 0)
    for number, task in enumerate(tasks):
        item, wrong = _body(TaskSpec, task, f"{kind}_{name}", f"tasks[{number}]")
        notes += wrong
        items.append(_without_inherited(item, retries))
    if items:
        document["tasks"] = items
    return Imported(kind, name, document, tuple(dict.fromkeys(notes)))


def _body(model: type[Spec], raw: Mapping[str, Json], owner: str, where: str) -> tuple[dict[str, Json], list[str]]:
    spelled = spelling.rest(model, raw)
    body, _ = strip_read_only(model, spelled)
    body, notes = _known(model, body, where)
    if "metadata" in body:
        body["metadata"] = [item for item in body["metadata"] if item.get("name", "").lower() != MARK]
    body, secret = referenced(model, without_defaults(model, body), owner, where)
    return ordered(model, body), notes + secret


def _known(model: type[Spec], raw: Mapping[str, Json], where: str) -> tuple[dict[str, Json], list[str]]:
    """*raw* without properties that no manifest has, each named in a note."""
    fields = table(model)
    body: dict[str, Json] = {}
    notes = []
    for name, value in raw.items():
        path = f"{where}.{name}"
        field = fields.get(name)
        if field is None:
            notes.append(f"{path} is left out: it is not a property of a manifest")
        elif field.below is not None and isinstance(value, dict):
            body[name], wrong = _known(field.below, value, path)
            notes += wrong
        elif field.below is not None and isinstance(value, list):
            pairs = [_known(field.below, item, f"{path}[{n}]") for n, item in enumerate(value)]
            body[name] = [item for item, _ in pairs]
            notes += [note for _, wrong in pairs for note in wrong]
        else:
            body[name] = value
    return body, notes


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


def pasted(value: Any) -> list[Imported]:
    """The manifests of pasted JSON: one object, a list of them, or a page of a list (`{"value": [...]}`).

    Raises UsageError for what is no pool, job or job schedule, by what it looks like.
    """
    if isinstance(value, dict) and isinstance(value.get("value"), list):
        value = value["value"]
    things: Sequence[Any] = value if isinstance(value, list) else [value]
    return [_recognised(thing) for thing in things]


def _recognised(thing: Any) -> Imported:
    if not isinstance(thing, dict):
        raise UsageError(f"expected the JSON object of a pool, job or job schedule, found {type(thing).__name__}")
    if arm.is_resource(thing):
        raw, notes = arm.pool(thing)
        made = manifest_of(Kind.POOL, raw)
        return Imported(made.kind, made.name, made.document, (*notes, *made.notes))
    names = {name.lower() for name in thing}
    for kind, sign in _SIGNS.items():
        if sign in names:
            return manifest_of(kind, spelling.respelled_top(SPECS[kind], thing))
    if "commandline" in names:
        raise UsageError(
            f"{thing.get('id', 'this')} is a task: tasks are written in the manifest of their job; import job/NAME "
            "from the account, or paste it under `tasks:`"
        )
    shown = ", ".join(sorted(thing)[:6])
    raise UsageError(f"expected the JSON of a pool, job or job schedule, found an object with {shown or 'nothing'}")
