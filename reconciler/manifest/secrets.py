"""`{secretRef: {env: NAME}}` and `{secretRef: {file: PATH}}`: read, and put in where a secret is expected.

What was put in is remembered by path, so that no finding shows it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import ValidationError

from reconciler.errors import Finding
from reconciler.manifest.explain import explain_detail
from reconciler.manifest.text import Document, Raw
from reconciler.manifest.words import Path, did_you_mean, quoted
from reconciler.model.field import Compare, Spec
from reconciler.model.secret import SecretReference, SecretSource
from reconciler.model.settings import EnvironmentSetting
from reconciler.model.table import Field, table
from reconciler.model.table import Path as NormalPath

LARGEST: Final = 64 * 1024
"""Bytes of one secret."""
_REFERENCE: Final = "secretRef"
_SETTINGS: Final = ("environmentSettings", "commonEnvironmentSettings")
_WHERE: Final = "a password, key, signature or URL, or the value of an environment setting"


class _UnreadableError(Exception):
    """A secret that is not there. Its text says what was expected."""


def resolve(document: Document, model: type[Spec], environment: Mapping[str, str]) -> list[Finding]:
    """Put secrets in for the references of *document*; those that lead nowhere, or stand where no secret is expected,
    are found."""
    findings: list[Finding] = []
    for container, path in list(_places(model, document.value, ())):
        findings += _fill(document, container, path, environment)
    for path in list(_references(document.value, ())):
        if not document.is_refused(path):
            document.refused.add(path)
            message = f"expected a plain value, found a secretRef: it can stand for {_WHERE}"
            findings.append(document.finding(path, message))
    return findings


def normal_paths(model: type[Spec], spec: Raw, secrets: Mapping[Path, str]) -> frozenset[NormalPath]:
    """Where the *secrets* below `spec` are in its normalised form: items of keyed lists by key, others by position."""
    return frozenset(_normal_path(model, spec, path[1:]) for path in secrets if path[:1] == ("spec",))


def setting_names(document: Document) -> frozenset[str]:
    """Names of the environment settings whose values are references to secrets, wherever they stand."""
    settings = ((*path[:-1], "name") for path in document.secrets if len(path) > 2 and path[-3] in _SETTINGS)
    return frozenset(str(document.at(path)) for path in settings)


def _normal_path(model: type[Spec], spec: Raw, path: Path) -> NormalPath:
    found: list[str] = []
    below: type[Spec] | None = model
    value: Any = spec
    keyed_by: str | None = None
    for part in path:
        value = value[part]
        if isinstance(part, int) and below is not None and keyed_by is not None:
            key = str(value[keyed_by])
            found.append(key.lower() if table(below)[keyed_by].compare is Compare.FOLDED else key)
            continue
        found.append(str(part))
        if isinstance(part, str):
            field = table(below).get(part) if below is not None else None
            below, keyed_by = (field.below, field.keyed_by) if field is not None else (None, None)
    return tuple(found)


def _places(model: type[Spec], raw: Raw, path: Path) -> Iterator[tuple[Any, Path]]:
    """Containers and paths of references that stand where a secret is expected."""
    fields = table(model)
    for name, value in raw.items():
        field = fields.get(name)
        if field is None:
            continue
        here = (*path, name)
        if field.secret or (model is EnvironmentSetting and name == "value"):
            yield from _within(raw, name, value, here)
        elif field.below is not None:
            for place, item in _items(field, value):
                if isinstance(item, dict):
                    yield from _places(field.below, item, (*here, *place))


def _within(container: Any, key: str | int, value: Any, path: Path) -> Iterator[tuple[Any, Path]]:
    """A secret itself, or the texts in one that is a mapping (the protected settings of an extension)."""
    if _is_reference(value):
        yield container, path
    elif isinstance(value, dict | list):
        for part, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _within(value, part, item, (*path, part))


def _items(field: Field, value: Any) -> Iterator[tuple[Path, Any]]:
    if field.is_list:
        yield from (((index,), item) for index, item in enumerate(value if isinstance(value, list) else ()))
    else:
        yield (), value


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and _REFERENCE in value


def _references(value: Any, path: Path) -> Iterator[Path]:
    if _is_reference(value):
        yield path
    elif isinstance(value, dict | list):
        for part, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _references(item, (*path, part))


def _fill(document: Document, container: Any, path: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    raw = container[path[-1]]
    if document.is_refused(path) or any(it[: len(path)] == path for it in document.refused):
        document.refused.add(path)
        return
    try:
        source = SecretReference.model_validate(raw).secretRef
    except ValidationError as error:
        document.refused.add(path)
        for detail in error.errors(include_url=False):
            yield explain_detail(document, SecretReference, detail, below=path)
        return
    try:
        value = _read(source, document.folder(path), environment)
    except _UnreadableError as error:
        document.refused.add(path)
        name = "env" if source.env is not None else "file"
        yield document.finding((*path, _REFERENCE, name), str(error))
        return
    container[path[-1]] = value
    document.secrets[path] = value


def _read(source: SecretSource, folder: FilePath | None, environment: Mapping[str, str]) -> str:
    if source.env is not None:
        if source.env not in environment:
            hint = did_you_mean(source.env, environment)
            raise _UnreadableError(f"expected an environment variable that is set, found {quoted(source.env)}{hint}")
        value = environment[source.env]
    else:
        value = _content(FilePath(source.file or ""), folder)
    if not value:
        raise _UnreadableError("expected a secret, found nothing in it")
    return value


def _content(path: FilePath, folder: FilePath | None) -> str:
    if not path.is_absolute():
        if folder is None:
            raise _UnreadableError("expected an absolute path: standard input has no folder to look for files in")
        path = folder / path
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no path"
        raise _UnreadableError(f"expected a readable file, found: {why}") from None
    if len(raw) > LARGEST:
        raise _UnreadableError(f"expected at most {LARGEST >> 10} KiB, found more")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _UnreadableError("expected UTF-8 text, found other bytes") from None
    return text.removesuffix("\n").removesuffix("\r")
