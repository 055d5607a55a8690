"""JSON Schemas of the manifests, for editors: one for each kind, and `manifest.json` for all of them; the same facts
for people, `REFERENCE.md`; and the schema of what programs read of a plan, `plan.schema.json`.

Made from the models, so that an editor knows what the loader knows. The committed copies in `schemas/` are written by
`python -m reconciler.schema schemas`; a test keeps them current. Facts about a field (its default, how it may change)
are under `x-` names.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from reconciler.model.document import MANIFESTS
from reconciler.model.field import ChangeKind, Spec
from reconciler.model.reference import CHANGES, default_of, limits_of, rule_of, shape_of, type_of
from reconciler.model.secret import SecretReference
from reconciler.model.table import Field, table
from reconciler.render.document import PlanDocument

REFERENCE = "REFERENCE.md"
PLAN = "plan.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, str]:
    """The files: name -> text."""
    by_kind = {f"{kind.lower()}.json": _schema(f"{kind} manifest", [kind]) for kind in MANIFESTS}
    return by_kind | {
        "manifest.json": _schema("Manifest", list(MANIFESTS)),
        PLAN: _plan_schema(),
        REFERENCE: _reference(),
    }


def write(folder: Path) -> None:
    """Write every file into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")


def _plan_schema() -> str:
    """What `plan --format json` prints."""
    shape = TypeAdapter(PlanDocument).json_schema(mode="serialization")
    body = {key: value for key, value in shape.items() if key not in ("title", "$defs")}
    types = {name: _untitled(model) for name, model in sorted(shape["$defs"].items())}
    head = {"$schema": DIALECT, "title": "Plan"}
    return json.dumps(head | _untitled(body) | {"$defs": types}, indent=2, ensure_ascii=False) + "\n"


def _untitled(model: dict[str, Any]) -> dict[str, Any]:
    """A type without the titles that pydantic makes of names."""
    properties = {
        name: {key: value for key, value in field.items() if key != "title"}
        for name, field in model["properties"].items()
    }
    return {key: value for key, value in model.items() if key != "title"} | {"properties": properties}


def _schema(title: str, kinds: list[str]) -> str:
    shapes: list[type[BaseModel]] = [*(MANIFESTS[kind] for kind in kinds), SecretReference]
    _, combined = models_json_schema([(shape, "validation") for shape in shapes])
    sealed = {model.__name__ for model, is_sealed in _types(MANIFESTS[kind] for kind in kinds).items() if is_sealed}
    defs = sorted(combined["$defs"].items())
    models: dict[str, Any] = {name: _plain(name, model, name in sealed) for name, model in defs}
    head: dict[str, Any] = {"$schema": DIALECT, "title": title}
    if len(kinds) == 1:
        root = models.pop(MANIFESTS[kinds[0]].__name__)
        body = {key: value for key, value in root.items() if key != "title"}
    else:
        head["description"] = "A document of a manifest file, of any kind."
        body = {"oneOf": [{"$ref": f"#/$defs/{MANIFESTS[kind].__name__}"} for kind in kinds]}
    return json.dumps(head | body | {"$defs": models}, indent=2, ensure_ascii=False) + "\n"


def _plain(name: str, schema: dict[str, Any], is_sealed: bool) -> dict[str, Any]:
    """A model's schema without what pydantic adds of itself: titles made of field names, and nulls for absent lines.
    Below a sealed field the kinds of change are that field's."""
    properties = {key: shape_of(field) for key, field in schema.get("properties", {}).items()}
    for key, field in properties.items():
        if is_sealed:
            field.pop("x-change", None)
        if field.get("x-secret") or (name, key) == ("EnvironmentSetting", "value"):
            properties[key] = _or_reference(field)
    return schema | {"properties": properties}


def _or_reference(field: dict[str, Any]) -> dict[str, Any]:
    """A secret, written out or by reference."""
    facts = {key: value for key, value in field.items() if key == "description" or key.startswith("x-")}
    shape = {key: value for key, value in field.items() if key not in facts}
    return {"anyOf": [shape, {"$ref": f"#/$defs/{SecretReference.__name__}"}], **facts}


def _types(roots: Iterable[type[Spec]]) -> dict[type[Spec], bool]:
    """Every type that these reach, in the order of reading, and whether each is reached only below
    sealed fields."""
    found: dict[type[Spec], bool] = {}

    def reach(model: type[Spec], is_sealed: bool) -> None:
        if found.get(model, True) is False or (model in found and is_sealed):
            return
        found[model] = is_sealed
        for name, field in table(model).items():
            for below in _models_in(model.model_fields[name].annotation):
                reach(below, is_sealed or field.sealed)

    for root in roots:
        reach(root, False)
    return found


def _models_in(annotation: Any) -> Iterator[type[Spec]]:
    """The types that a value may hold, itself or as items of a list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


_HEAD = """\
# Manifest reference

Written by `python -m reconciler.schema schemas` from the field table; a test keeps it current. Property names below
`spec` are the Batch REST API's (api-version 2025-06-01).

**Default** is what the service takes when the line is absent: *chosen by the service* and *from PATH* (taken from the
object above when this one was made) are not compared unless written. **Change** says what it takes to change the value
of a live object; an empty cell means the same as for the object that holds it.

| change | meaning |
| --- | --- |
"""


def _reference() -> str:
    """Every type of the manifests as a table."""
    roots = list(MANIFESTS.values())
    found = _types([*roots, SecretReference])
    others = sorted((model for model in found if model not in roots), key=lambda model: model.__name__)
    _, combined = models_json_schema([(model, "validation") for model in found])
    changes = "".join(f"| `{kind.value}` | {CHANGES[kind]} |\n" for kind in ChangeKind)
    sections = [_section(model, combined["$defs"], found[model]) for model in (*roots, *others)]
    return "\n".join([_HEAD + changes, *sections])


def _section(model: type[Spec], schemas: dict[str, Any], is_sealed: bool) -> str:
    head = "| field | type | default | limits | change | meaning |\n| --- | --- | --- | --- | --- | --- |\n"
    properties = schemas[model.__name__]["properties"]
    rows = [_row(field, properties[name], model, is_sealed) for name, field in table(model).items()]
    rule = f" {rule_of(model)}" if rule_of(model) else ""
    text = f"{' '.join((model.__doc__ or '').split())}{rule}"
    return f"## {model.__name__}\n\n{text}\n\n{head}{''.join(rows)}"


def _row(field: Field, schema: dict[str, Any], model: type[Spec], is_sealed: bool) -> str:
    shape = shape_of(schema)
    inner = shape["items"] if field.is_list else shape
    name = f"`{field.name}`{' *' if field.required else ''}"
    kind = f"`{field.change.value}`" if field.change and not is_sealed else ""
    cells = (name, _type(field, inner), default_of(field, model), limits_of(field, inner), kind, _meaning(field))
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _type(field: Field, shape: dict[str, Any]) -> str:
    below = field.below
    return type_of(field, shape, below=f"[{below.__name__}](#{below.__name__.lower()})" if below else "")


def _meaning(field: Field) -> str:
    notes = ["Secret: written out, or a [SecretReference](#secretreference)."] if field.secret else []
    notes += ["Never returned by the service."] if field.write_only else []
    return " ".join((field.doc, *notes)).replace("\n", " ")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"))
