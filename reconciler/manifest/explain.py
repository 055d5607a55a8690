"""What a model refused, as findings: pydantic's words become ours, and a path becomes a line and a column."""

import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, Final, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from reconciler.errors import Finding
from reconciler.manifest.scalar import plain
from reconciler.manifest.text import Document
from reconciler.manifest.words import Path, did_you_mean, quoted
from reconciler.model.field import Spec

_TYPES: Final[Mapping[str, str]] = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_unicode": "text without half characters (surrogates)",
}
_MEANT: Final[Mapping[str, tuple[type, ...]]] = {"int_type": (int,), "float_type": (int, float), "bool_type": (bool,)}
"""What a text without its quotes would have to be."""


def explain(document: Document, model: type[Spec], error: ValidationError, *, is_patch: bool = False) -> list[Finding]:
    """A finding for each thing the model refused, but for places that have one already. A patch may leave out anything,
    and take lines and items away."""
    return [
        explain_detail(document, model, detail)
        for detail in error.errors(include_url=False)
        if not document.is_refused(detail["loc"]) and not (is_patch and _may_be_meant(detail))
    ]


def _may_be_meant(detail: ErrorDetails) -> bool:
    """Whether this may be right once the document is laid over another: absent parts, lines taken away (null), and
    rules about what stands beside something."""
    is_rule = detail["type"] == "expected" and isinstance(detail["input"], dict)
    return detail["type"] == "missing" or detail["input"] is None or is_rule or detail["loc"][-1:] == ("$patch",)


def explain_detail(document: Document, model: type[Spec], error: ErrorDetails, *, below: Path = ()) -> Finding:
    """One thing that the model refused of a document, or of the value *below* a path of it."""
    path = (*below, *error["loc"])
    match error["type"]:
        case "missing":
            return document.finding(path, f"expected a value for '{path[-1]}', found none")
        case "extra_forbidden":
            return document.finding(path, _unknown(_model_at(model, error["loc"][:-1]), path), of_key=True)
        case "expected" if "expected" not in error.get("ctx", {}):
            return document.finding(path, error["msg"])
        case _:
            return document.finding(path, _expected(document, path, error))


def _unknown(model: type[Spec] | None, path: Path) -> str:
    name = str(path[-1])
    unsupported: Mapping[str, str] = getattr(model, "unsupported", {})
    if name in unsupported:
        return f"'{name}' is {unsupported[name]}"
    if name in getattr(model, "read_only", ()):
        return f"'{name}' is set by the service: remove the line"
    if path == ("spec", "id"):
        return "unknown field 'id' (the id is metadata.name)"
    known = model.model_fields if model is not None else {}
    return f"unknown field {quoted(name)}{did_you_mean(name, known)}"


def _expected(document: Document, path: Path, error: ErrorDetails) -> str:
    value, context = error["input"], error.get("ctx", {})
    found = document.found(path, value)
    match error["type"]:
        case "expected":
            expected = str(context["expected"])
        case "string_type" if isinstance(value, (bool, int, float)):
            expected, found = "a string", document.found(path, value, quote=True)
        case "literal_error":
            expected = str(context["expected"])
            found += "" if document.is_reference(path) else did_you_mean(value, re.findall(r"'([^']*)'", expected))
        case "greater_than_equal":
            expected = f"at least {context['ge']}"
        case "too_short":
            least = context["min_length"]
            expected, found = f"at least {least} item{'' if least == 1 else 's'}", f"{len(value) or 'none'}"
        case "less_than_equal":
            expected = f"at most {context['le']}"
        case "string_too_short":
            expected = f"at least {_characters(context['min_length'])}"
        case "string_too_long":
            expected, found = f"at most {_characters(context['max_length'])}", f"{len(value):,}"
        case kind:
            expected = _TYPES.get(kind, "another value")
            found += _unquoted(kind, value, is_reference=document.is_reference(path))
    return f"expected {expected}, found {found}"


def _unquoted(kind: str, value: object, *, is_reference: bool) -> str:
    """What to do about a number, true or false in quotes: YAML takes it for text. So it does with a reference to one,
    which cannot stand between braces ({...}) without quotes."""
    is_meant = isinstance(value, str) and type(plain(value)) in _MEANT.get(kind, ())
    return ": write it without quotes" + (" on a line of its own" if is_reference else "") if is_meant else ""


def _characters(count: int) -> str:
    return f"{count:,} character" + ("" if count == 1 else "s")


def _model_at(model: type[Spec], path: Path) -> type[Spec] | None:
    """The model of the mapping at *path*."""
    shape: Any = model
    for part in path:
        if get_origin(shape) in (list, dict):
            shape = get_args(shape)[-1]
        elif _is_spec(shape):
            shape = _present(shape.model_fields[part].annotation)
    return shape if _is_spec(shape) else None


def _present(annotation: Any) -> Any:
    """The type of a value that is there: `X` of `X | None`."""
    arms = [arm for arm in get_args(annotation) if arm is not NoneType]
    return arms[0] if NoneType in get_args(annotation) else annotation


def _is_spec(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, Spec)
