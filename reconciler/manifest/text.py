"""From YAML text to documents of plain values, without losing where they were written.

Nodes are let go once converted: they weigh many times the text. A document that turns out to be wrong has its file
composed again, so that only mistakes pay for positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Final, TypeAlias

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.errors import Finding
from reconciler.manifest.files import File
from reconciler.manifest.nodes import COLLECTION, DEEPEST, PLAIN, TEXT, Nodes, TooDeepError, compose, place
from reconciler.manifest.scalar import plain
from reconciler.manifest.syntax import explain_syntax
from reconciler.manifest.words import Path, describe, field_path, quoted

Raw: TypeAlias = dict[str, Any]

MOST_EXPANDED: Final = 1_000_000
"""Values that the aliases of one document may add to those written out."""

_TELLING: Final = 4
"""Characters. A shorter secret would be found in any message."""
_TOO_DEEP: Final = f"expected at most {DEEPEST} levels of nesting, found more"
_TAGS: Final = "tag:yaml.org,2002:"
_MEANT: Final[Mapping[str, type]] = {"int": int, "float": float, "bool": bool, "null": type(None)}
"""Tags that do no harm where the text means that anyway."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A string that may hold `${var.NAME}` or `${env.NAME}`, and the mapping or list it sits in."""

    container: Any
    path: Path
    text: str
    plain: bool


@dataclass
class Document:
    """One document of a file: plain values, and where to find them in the text."""

    file: File
    index: int
    nodes: Nodes
    value: Raw
    named_at: tuple[int, int]
    references: list[Reference]
    refused: set[Path] = field(default_factory=set)
    """Paths that have a finding already; more about them would only confuse."""
    secrets: dict[Path, str] = field(default_factory=dict)
    """What was put in for references to secrets, by path."""
    origins: "dict[Path, tuple[Document, Path]]" = field(default_factory=dict)
    """Where values stand that were written in other documents: this one was laid over them."""

    @property
    def kind(self) -> str | None:
        kind = self.value.get("kind")
        return kind if isinstance(kind, str) else None

    def at(self, path: Path) -> Any:
        """The value at *path*, None where there is none."""
        value: Any = self.value
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def is_refused(self, path: Path) -> bool:
        if self.refused and any(path[:length] in self.refused for length in range(len(path) + 1)):
            return True
        there, where = self.origin(path)
        return there is not self and there.is_refused(where)

    def origin(self, path: Path) -> "tuple[Document, Path]":
        """The document in which the value at *path* was written, and its path there."""
        for length in range(len(path), -1, -1) if self.origins else ():
            if path[:length] in self.origins:
                there, where = self.origins[path[:length]]
                return there.origin((*where, *path[length:]))
        return self, path

    def folder(self, path: Path) -> FilePath | None:
        """Where a relative path that is written at *path* begins."""
        return self.origin(path)[0].file.folder

    def position(self, path: Path, *, of_key: bool = False) -> tuple[int, int]:
        """Line and column of the value (or key) at *path*; of the nearest mapping above it where nothing is written."""
        there, path = self.origin(path)
        node, key, taken = there.nodes.find(there.index, path)
        return place(key if of_key and key is not None and taken == len(path) else node)

    def finding(self, path: Path, message: str, *, of_key: bool = False) -> Finding:
        line, column = self.position(path, of_key=of_key)
        for secret in self.secrets.values():
            message = message.replace(secret, "(secret)") if len(secret) >= _TELLING else message
        there, where = self.origin(path)
        return Finding(there.file.path, line, column, field_path(where), message)

    def is_reference(self, path: Path) -> bool:
        """Whether a variable was put in at *path*."""
        there, where = self.origin(path)
        return where in there._reference_paths

    @cached_property
    def _reference_paths(self) -> frozenset[Path]:
        return frozenset(reference.path for reference in self.references)

    def written(self, path: Path) -> str:
        """The scalar at *path* as it stands in the text, without quotes."""
        there, where = self.origin(path)
        node, _, _ = there.nodes.find(there.index, where)
        assert isinstance(node, ScalarNode)
        return str(node.value)

    def found(self, path: Path, value: object, *, quote: bool = False) -> str:
        """*value*, which stands at *path*, in words: as it is written, so that nothing put in for a variable shows."""
        if any(path[:length] in self.secrets for length in range(len(path) + 1)):
            return "another secret"
        there, where = self.origin(path)
        node, _, taken = there.nodes.find(there.index, where)
        written = node.value if taken == len(where) and isinstance(node, ScalarNode) else None
        return describe(value, written, is_reference=self.is_reference(path), quote=quote)


@dataclass
class Parsed:
    """The documents of a file. Not *complete* when the text ends in a mistake that hides what follows."""

    documents: list[Document] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    complete: bool = True


def parse(file: File) -> Parsed:
    """The documents of *file*, and every mistake of its YAML."""
    parsed = Parsed()
    nodes = Nodes(file)
    index = -1
    try:
        for index, (root, literal) in enumerate(compose(file.text)):
            _convert(parsed, nodes, index, root, literal)
    except TooDeepError as error:
        parsed.findings.append(Finding(file.path, *place(error.node), "", _TOO_DEEP))
        parsed.complete = False
    except yaml.YAMLError as error:
        parsed.findings.append(explain_syntax(file, error))
        parsed.complete = False
    if index < 0 and parsed.complete:
        parsed.findings.append(Finding(file.path, 0, 0, "", "expected at least one document, found an empty file"))
    return parsed


def _convert(parsed: Parsed, nodes: Nodes, index: int, root: Node, literal: int) -> None:
    file = nodes.file
    converter = _Converter(file.path, root, literal + MOST_EXPANDED)
    try:
        value = converter.document()
    except _RefusedError as refused:
        parsed.findings += [*converter.findings, refused.finding]
        parsed.complete = False
        return
    parsed.findings += converter.findings
    if isinstance(value, dict):
        references, refused_paths = converter.references, converter.refused
        parsed.documents.append(Document(file, index, nodes, value, _named_at(root), references, refused_paths))
    elif not converter.findings:
        found = "an empty document" if value is None else describe(value, getattr(root, "value", None))
        parsed.findings.append(Finding(file.path, *place(root), "", f"expected a mapping, found {found}"))


def _named_at(root: Node) -> tuple[int, int]:
    node = root
    for part in ("metadata", "name"):
        values = node.value if isinstance(node, MappingNode) else ()
        node = next((value for key, value in values if key.value == part), node)
    return place(node)


class _RefusedError(Exception):
    def __init__(self, finding: Finding) -> None:
        self.finding = finding


class _Converter:
    """Makes values of the nodes of one document."""

    def __init__(self, path: str, root: Node, most: int) -> None:
        self.findings: list[Finding] = []
        self.references: list[Reference] = []
        self.refused: set[Path] = set()
        self._file = path
        self._root = root
        self._room = most
        self._path: list[str | int] = []
        self._open: set[int] = set()

    def document(self) -> Any:
        return self._value(self._root)

    def _value(self, node: Node) -> Any:
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self._enter(node)
        value = self._mapping(node) if isinstance(node, MappingNode) else self._sequence(node)
        self._open.discard(id(node))
        return value

    def _enter(self, node: Node) -> None:
        """Refuse what would never end, or not soon: aliases can make a small text a very large value."""
        if node.tag not in (COLLECTION, f"{_TAGS}{'map' if isinstance(node, MappingNode) else 'seq'}"):
            self._refuse(node, f"expected no tag, found {quoted(node.tag.replace(_TAGS, '!!'))}")
        self._room -= len(node.value)
        if self._room < 0:
            message = f"expected aliases that add at most {MOST_EXPANDED:,} values, found more"
            raise _RefusedError(Finding(self._file, *place(self._root), "", message))
        if id(node) in self._open:
            message = "expected an alias to something else, found one to a value that holds it"
            raise _RefusedError(self._finding(node, message))
        if len(self._path) > DEEPEST:
            raise _RefusedError(self._finding(node, _TOO_DEEP))
        self._open.add(id(node))

    def _mapping(self, node: MappingNode) -> Raw:
        result: Raw = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            self._path.append(key)
            if key in result:
                message = f"expected each key once, found {quoted(key)} again: first on line {lines[key]}"
                self.findings.append(self._finding(key_node, message))
            else:
                lines[key] = key_node.start_mark.line + 1
                result[key] = self._value(value_node)
                self._note(result, value_node)
            self._path.pop()
        return result

    def _sequence(self, node: Node) -> list[Any]:
        result: list[Any] = []
        for index, item in enumerate(node.value):
            self._path.append(index)
            result.append(self._value(item))
            self._note(result, item)
            self._path.pop()
        return result

    def _note(self, container: Any, node: Node) -> None:
        if isinstance(node, ScalarNode) and "${" in node.value and isinstance(container[self._path[-1]], str):
            self.references.append(Reference(container, tuple(self._path), node.value, node.tag == PLAIN))

    def _key(self, node: Node) -> str | None:
        is_text = isinstance(node, ScalarNode) and node.tag in (TEXT, f"{_TAGS}str")
        key = node.value if is_text else self._scalar(node) if node.tag == PLAIN else None
        if isinstance(key, str) and (is_text or key != "<<"):
            return key
        if key == "<<":
            message = "expected no merge key ('<<'): write the lines out"
        elif isinstance(node, ScalarNode):
            message = f"expected text as a key, found {describe(key, node.value, quote=True)}"
        else:
            message = f"expected text as a key, found a {'list' if isinstance(node, SequenceNode) else 'mapping'}"
        self.findings.append(self._finding(node, message))
        return None

    def _scalar(self, node: Node) -> Any:
        if node.tag == PLAIN:
            return plain(node.value)
        if node.tag in (TEXT, f"{_TAGS}str"):
            return node.value
        value = plain(node.value)
        if _MEANT.get(node.tag.removeprefix(_TAGS), object) is type(value):
            return value
        self._refuse(node, f"expected no tag, found {quoted(node.tag.replace(_TAGS, '!!'))}")
        return None

    def _refuse(self, node: Node, message: str) -> None:
        self.refused.add(tuple(self._path))
        self.findings.append(self._finding(node, message))

    def _finding(self, node: Node, message: str) -> Finding:
        return Finding(self._file, *place(node), field_path(tuple(self._path)), message)
