"""Answers against the published OpenAPI document of 2024-07-01, with what 2025-06-01 took away and added.

Loaded by `conftest`, which hands it every answer a contract test receives. Unknown properties, wrong types, missing
required ones and values outside of an enumeration are violations. Without ../shared nothing is checked.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference" / "openapi"
VERSION = "2025-06-01"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z")
_DURATION = re.compile(r"-?P(\d+D)?(T(\d+H)?(\d+M)?([\d.]+S)?)?")
# Where the service is known to differ from its document:
# values of enumerations come in other letter case (R24c:task_create_cmd), int64 numbers as text (R26:files), bodies
# with odata.metadata (R26). What is secret is required by the document but never returned (R20:create_pools), and an
# application without a display name has none (R20:applications).
OFTEN_ABSENT = {"password", "displayName"}


class Document:
    """The document, and how often each operation was checked."""

    def __init__(self, folder: Path = FOLDER) -> None:
        text = (folder / "BatchService-2024-07-01.20.0.json").read_text()
        delta = json.loads((folder / "delta-2024-07-01-to-2025-06-01.json").read_text())["delta"]
        document = json.loads(text)
        self.definitions: dict[str, Any] = document["definitions"]
        self._update(delta)
        self.operations = [
            (method.upper(), _pattern(path), operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if method != "parameters"
        ]
        self.checked: Counter[str] = Counter()

    def _update(self, delta: dict[str, Any]) -> None:
        for names, change in delta.items():
            definition = self.definitions.get(names.split(" -> ")[0], {})
            own = definition.get("properties", {})
            for name in change["only in 2024-07-01"]:
                own.pop(name, None)
                if name in definition.get("required", []):
                    definition["required"].remove(name)
            own.update({name: {} for name in change["only in SDK 15.1.0 / 2025-06-01"]})

    def violations(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What is wrong with an answer's JSON body."""
        for own, pattern, operation in self.operations:
            if own == method and pattern.fullmatch(path):
                self.checked[operation["operationId"]] += 1
                return list(self._answer(operation, status, body))
        return [f"no such operation in the document: {method} {path}"] if status < 400 else []

    def _answer(self, operation: dict[str, Any], status: int, body: Any):
        answers = operation["responses"]
        if status < 400 and str(status) not in answers:
            yield f"{operation['operationId']}: status {status} is not documented"
            return
        schema = answers.get(str(status), answers["default"]).get("schema")
        if schema is None:
            yield f"{operation['operationId']}: a body where none is documented"
        else:
            for text in self._check(schema, body, "body"):
                yield f"{operation['operationId']} {status}: {text}"

    def _check(self, schema: dict[str, Any], value: Any, where: str):
        if "$ref" in schema:
            schema = self.definitions[schema["$ref"].rsplit("/", 1)[1]]
        kind = schema.get("type", "object" if "properties" in schema else None)
        if value is None:
            yield f"{where} is null"
        elif kind == "object":
            yield from self._check_object(schema, value, where)
        elif kind == "array":
            if not isinstance(value, list):
                yield f"{where} is not a list"
            else:
                for item in value:
                    yield from self._check(schema["items"], item, f"{where}[]")
        elif kind is not None and not _fits(schema, kind, value):
            yield f"{where} is not of the documented kind: {value!r}"

    def _check_object(self, schema: dict[str, Any], value: Any, where: str):
        if not isinstance(value, dict):
            yield f"{where} is not an object"
            return
        properties = schema.get("properties")
        for name in schema.get("required", []):
            if name not in value and name not in OFTEN_ABSENT:
                yield f"{where} lacks {name}"
        for name, item in value.items():
            if properties is None or name in ("odata.metadata", "odata.nextLink"):
                continue
            if name not in properties:
                yield f"{where} has {name}, which is not documented"
            else:
                yield from self._check(properties[name], item, f"{where}.{name}")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{filePath\}", ".+", path)), re.I)


def _fits(schema: dict[str, Any], kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "number"):
        if isinstance(value, str) and schema.get("format") == "int64":
            return value.isdigit()
        return isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if "enum" in schema:
        return value.lower() in {option.lower() for option in schema["enum"]}
    pattern = {"date-time": _TIME, "duration": _DURATION}.get(schema.get("format", ""))
    return pattern is None or pattern.fullmatch(value) is not None
