"""Overlays: a folder whose Stack names `bases` changes what they declare, document by document.

A document of the overlay is laid over the base's document of the same kind and name (a Stack over the base's Stack):
mappings merge, lists whose items have a key (names of settings, ids of tasks, names of groups) merge by key, all other
lists and values replace, null takes a line away, `$patch: delete` takes a document or an item of a keyed list away.
Others are added. The defaults of a Stack lie under each object of their kind in the same way. A `$patch` that meets
nothing is refused as an unknown field. Every value keeps the place where it was written.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

from reconciler.errors import Finding
from reconciler.manifest import files, text
from reconciler.manifest.text import Document, Raw
from reconciler.manifest.words import Path
from reconciler.model.document import MANIFESTS, JobManifest, TaskGroup
from reconciler.model.field import Compare, Spec
from reconciler.model.table import table

PATCH: Final = "$patch"
_DELETE: Final = "delete"
_BASES: Final = ("spec", "bases")
_DEFAULTS: Final = ("spec", "defaults")
_KEYS: Final[Mapping[tuple[type[Spec], str], str]] = {
    (JobManifest, "tasks"): "id",
    (JobManifest, "taskGroups"): "name",
}
"""Lists of a document itself that merge by key. Those of the REST API have their key in the field table."""


@dataclass
class Layers:
    """All documents, bases before what is laid over them, and what could not be read. *folder* is the one folder, if
    one was given. Not *complete*: a mistake hides what follows it. *baseless*: a base is missing, so documents that
    were to be laid over it cannot be judged."""

    layers: list[list[Document]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    folder: str | None = None
    complete: bool = True
    baseless: bool = False

    @property
    def documents(self) -> list[Document]:
        return [document for layer in self.layers for document in layer]


def read(source: files.Source, parsed: Mapping[str, text.Parsed]) -> Layers:
    """The documents of *source*, and of the bases that their Stack names, and of their bases. *parsed* are files of
    *source*, by path, that were parsed before."""
    found = Layers(findings=list(source.findings), folder=source.folder, complete=not source.findings)
    _read(source, found, frozenset(), parsed)
    return found


def _read(source: files.Source, found: Layers, above: frozenset[str], ready: Mapping[str, text.Parsed]) -> None:
    documents: list[Document] = []
    for file in source.files:
        parsed = ready.get(file.path) or text.parse(file)
        documents += parsed.documents
        found.findings += parsed.findings
        found.complete = found.complete and parsed.complete
    documents.sort(key=lambda document: (document.file.path, document.index))
    above |= {os.path.realpath(file.path) for file in source.files}
    for stack in [document for document in documents if document.kind == "Stack"]:
        bases = stack.at(_BASES)
        for index, base in enumerate(bases if isinstance(bases, list) else ()):
            if isinstance(base, str) and base:
                _read_base(stack, (*_BASES, index), base, found, above)
    found.layers.append(documents)


def _read_base(stack: Document, path: Path, base: str, found: Layers, above: frozenset[str]) -> None:
    found.baseless = "${" in base or found.baseless  # a variable, which is found elsewhere
    if "${" in base:
        return
    folder = stack.folder(path)
    if folder is None:
        message = "expected a Stack in a file: standard input has no folder to look for bases in"
    elif not (where := FilePath(os.path.normpath(folder / base))).exists():
        message = f"expected a folder or file, found none: {files.shown(where)}"
    else:
        source = files.read([str(where)])
        if above.isdisjoint(os.path.realpath(file.path) for file in source.files):
            found.findings += source.findings
            found.complete = found.complete and not source.findings
            _read(source, found, above, {})
            return
        message = "expected a base apart from the manifests that are laid over it, found some of them in it"
    stack.refused.add(path)
    found.findings.append(stack.finding(path, message))
    found.baseless = True


def merge(layers: list[list[Document]]) -> list[Document]:
    """One list of documents: each layer laid over those before it."""
    below: list[Document] = []
    for layer in layers:
        below = _lay(layer, below) if below else layer
    return below


def _lay(layer: list[Document], below: list[Document]) -> list[Document]:
    found = list(below)
    places: dict[object, int] = {}
    for index, document in enumerate(found):
        places.setdefault(_identity(document), index)
    taken: set[int] = set()
    gone: set[int] = set()
    for document in layer:
        index = places.get(_identity(document), -1)
        if index < 0 or index in taken:  # an addition, or a second one of the name: that is found later
            found.append(document)
            continue
        taken.add(index)
        if document.value.get(PATCH) == _DELETE:
            gone.add(index)
        else:
            found[index] = _laid(found[index], document)
    return [document for index, document in enumerate(found) if index not in gone]


def with_defaults(documents: list[Document]) -> list[Document]:
    """The documents, each laid over the defaults that the Stack has for its kind."""
    stack = next((document for document in documents if document.kind == "Stack"), None)
    if stack is None:
        return documents
    defaults = stack.at(_DEFAULTS)
    by_kind = {kind: lines for kind, lines in defaults.items() if lines} if isinstance(defaults, dict) else {}
    laid = [_over_defaults(stack, by_kind[it.kind], it) if it.kind in by_kind else it for it in documents]
    for kind, lines in by_kind.items():
        if isinstance(lines, dict):
            defaults[kind] = {}  # looked at where they are laid under an object
    return laid


def _over_defaults(stack: Document, lines: object, document: Document) -> Document:
    spec = document.value.get("spec")
    if not isinstance(lines, dict) or not isinstance(spec, dict) or document.kind is None:
        return document
    origins: dict[Path, tuple[Document, Path]] = {(): (document, ())}
    merge = _Merge(stack, document, origins)
    model = table(MANIFESTS[document.kind])["spec"].below
    below = (*_DEFAULTS, document.kind)
    # A copy for each object: secrets and the first tasks of groups are put in.
    value = {**document.value, "spec": merge.mapping(model, deepcopy(lines), spec, ("spec",), below, ("spec",))}
    merged = Document(document.file, document.index, document.nodes, value, document.named_at, [])
    merged.origins = origins
    return merged


def _identity(document: Document) -> object:
    name = document.at(("metadata", "name"))
    if document.kind == "Stack":
        return document.kind
    return (document.kind, name.lower()) if document.kind and isinstance(name, str) else id(document)


def _laid(base: Document, patch: Document) -> Document:
    origins: dict[Path, tuple[Document, Path]] = {}
    model = MANIFESTS.get(base.kind or "")
    value = _Merge(base, patch, origins).mapping(model, base.value, patch.value, (), (), ())
    if base.kind == "Stack":
        spec = value.get("spec")
        if isinstance(spec, dict):
            spec.pop("bases", None)
    merged = Document(base.file, base.index, base.nodes, value, base.named_at, [])
    merged.origins = origins
    return merged


@dataclass(frozen=True)
class _Merge:
    """Lays the values of *patch* over those of *base*, and notes where each came from."""

    base: Document
    patch: Document
    origins: dict[Path, tuple[Document, Path]]

    def mapping(self, model: type[Spec] | None, base: Raw, patch: Raw, here: Path, there: Path, over: Path) -> Raw:
        """*here* is the path in the result, *there* that in the base, *over* that in the patch."""
        self.origins[here] = self.patch, over
        fields = table(model) if model is not None else {}
        result: Raw = {}
        for name, value in base.items():
            if name not in patch:
                result[name] = self._keep(value, (*here, name), (*there, name))
                continue
            laid = patch[name]
            if laid is None:
                continue
            below = fields[name].below if name in fields else None
            key = (_KEYS.get((model, name)) if model else None) or (fields[name].keyed_by if name in fields else None)
            paths = (*here, name), (*there, name), (*over, name)
            if isinstance(value, dict) and isinstance(laid, dict) and not _is_whole(model, name, value, laid):
                result[name] = self.mapping(below, value, laid, *paths)
            elif isinstance(value, list) and isinstance(laid, list) and key is not None and below is not None:
                result[name] = self._items(below, key, value, laid, *paths)
            else:
                result[name] = self._take(laid, (*here, name), (*over, name))
        for name, value in patch.items():
            if name not in base:
                result[name] = self._take(value, (*here, name), (*over, name))
        return result

    def _items(
        self, model: type[Spec], key: str, base: list[Any], patch: list[Any], here: Path, there: Path, over: Path
    ) -> list[Any]:
        self.origins[here] = self.patch, over
        folded = key == "id" or table(model)[key].compare is Compare.FOLDED
        laid = {_key(item, key, folded): index for index, item in enumerate(patch)}
        result: list[Any] = []
        used: set[int] = set()
        for index, item in enumerate(base):
            name = _key(item, key, folded)
            position = laid.get(name) if name is not None else None
            at = (*here, len(result))
            if position is None:
                result.append(self._keep(item, at, (*there, index)))
            else:
                used.add(position)
                if patch[position].get(PATCH) != _DELETE:
                    paths = at, (*there, index), (*over, position)
                    result.append(self.mapping(model, item, patch[position], *paths))
        for index, item in enumerate(patch):
            if index not in used:
                result.append(self._take(item, (*here, len(result)), (*over, index)))
        return result

    def _keep(self, value: Any, here: Path, there: Path) -> Any:
        self.origins[here] = self.base, there
        return value

    def _take(self, value: Any, here: Path, over: Path) -> Any:
        self.origins[here] = self.patch, over
        return value


def _is_whole(model: type[Spec] | None, name: str, base: Raw, patch: Raw) -> bool:
    """References to secrets, and the parameters of a group, are one value: another takes their place."""
    return "secretRef" in base or "secretRef" in patch or (model is TaskGroup and name == "parameters")


def _key(item: Any, key: str, folded: bool) -> str | None:
    value = item.get(key) if isinstance(item, dict) else None
    if not isinstance(value, str | int):
        return None
    return str(value).lower() if folded else str(value)
