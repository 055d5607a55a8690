"""JSON Schemas of the manifests, for editors: one for each kind, and `manifest.json` for all of them.

Made from the models, so that an editor knows what the loader knows. The committed copies in `schemas/` are written by
`python -m reconciler.schema schemas`; a test keeps them current. Facts about a field (its default, how it may change)
are under `x-` names.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from reconciler.model.document import MANIFESTS
from reconciler.model.secret import SecretReference

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, str]:
    """The schema files: name -> JSON text."""
    by_kind = {f"{kind.lower()}.json": _schema(f"{kind} manifest", [kind]) for kind in MANIFESTS}
    return by_kind | {"manifest.json": _schema("Manifest", list(MANIFESTS))}


def write(folder: Path) -> None:
    """Write every schema file into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")


def _schema(title: str, kinds: list[str]) -> str:
    shapes: list[type[BaseModel]] = [*(MANIFESTS[kind] for kind in kinds), SecretReference]
    _, combined = models_json_schema([(shape, "validation") for shape in shapes])
    models: dict[str, Any] = {name: _plain(name, model) for name, model in sorted(combined["$defs"].items())}
    head: dict[str, Any] = {"$schema": DIALECT, "title": title}
    if len(kinds) == 1:
        root = models.pop(MANIFESTS[kinds[0]].__name__)
        body = {key: value for key, value in root.items() if key != "title"}
    else:
        head["description"] = "A document of a manifest file, of any kind."
        body = {"oneOf": [{"$ref": f"#/$defs/{MANIFESTS[kind].__name__}"} for kind in kinds]}
    return json.dumps(head | body | {"$defs": models}, indent=2, ensure_ascii=False) + "\n"


def _plain(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema without what pydantic adds of itself: titles made of field names, and nulls for absent lines."""
    properties = {key: _property(field) for key, field in schema.get("properties", {}).items()}
    for key, field in properties.items():
        if field.get("x-secret") or (name, key) == ("EnvironmentSetting", "value"):
            properties[key] = _or_reference(field)
    return schema | {"properties": properties}


def _or_reference(field: dict[str, Any]) -> dict[str, Any]:
    """A secret, written out or by reference."""
    facts = {key: value for key, value in field.items() if key == "description" or key.startswith("x-")}
    shape = {key: value for key, value in field.items() if key not in facts}
    return {"anyOf": [shape, {"$ref": f"#/$defs/{SecretReference.__name__}"}], **facts}


def _property(field: dict[str, Any]) -> dict[str, Any]:
    arms = [arm for arm in field.get("anyOf", ()) if arm != {"type": "null"}]
    if len(arms) == 1:
        noise = ("title", "anyOf", "default")
        return {**arms[0], **{key: value for key, value in field.items() if key not in noise}}
    return {key: value for key, value in field.items() if key != "title"}


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"))
