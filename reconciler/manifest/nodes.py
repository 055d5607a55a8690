"""YAML nodes: composed within bounds, and found again by path.

PyYAML's own constructor keeps neither positions nor duplicate keys and guesses dates and clock times, so only its
composer is used, and scalars are left as they are written.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.manifest.files import File
from reconciler.manifest.words import Path

DEEPEST: Final = 100
"""Levels of nesting. The deepest manifest has about ten."""
PLAIN: Final = "plain"
TEXT: Final = "text"
COLLECTION: Final = "collection"
"""Tags of nodes that carry none: a scalar without quotes, one with quotes or in a block, a list or mapping."""


class TooDeepError(Exception):
    """Raised by `compose` at the node that lies too deep."""

    def __init__(self, node: Node) -> None:
        self.node = node


class _Bounds:
    """Mixed into a PyYAML loader: bounds the nesting, counts the nodes, and leaves the meaning of scalars to us."""

    depth = 0
    composed = 0

    def descend_resolver(self, parent: Node | None, index: object) -> None:
        self.composed += 1
        self.depth += 1
        if self.depth > DEEPEST and parent is not None:
            raise TooDeepError(parent)

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(self, kind: type[Node], value: object, implicit: Any) -> str:
        if kind is not ScalarNode:
            return COLLECTION
        return PLAIN if implicit[0] else TEXT


class PureLoader(_Bounds, yaml.SafeLoader):
    """For a PyYAML built without libyaml: the same answers, about ten times slower."""


if yaml.__with_libyaml__:

    class FastLoader(_Bounds, yaml.CSafeLoader):
        """On libyaml."""

    LOADER: type[FastLoader | PureLoader] = FastLoader
else:  # pragma: no cover - depends on how PyYAML was built
    LOADER = PureLoader


def compose(text: str) -> Iterator[tuple[Node, int]]:
    """Each document's root, and how many nodes are written in it."""
    loader: Any = LOADER(text)
    try:
        while loader.check_node():
            before = loader.composed
            root = loader.get_node()
            yield root, loader.composed - before
    finally:
        loader.dispose()


class Nodes:
    """The nodes of a file, composed again to say where something stands."""

    def __init__(self, file: File) -> None:
        self.file = file

    @cached_property
    def _roots(self) -> list[Node]:
        roots: list[Node] = []
        with suppress(yaml.YAMLError, TooDeepError):  # found when the file was read
            for root, _ in compose(self.file.text):
                roots.append(root)
        return roots

    def find(self, index: int, path: Path) -> tuple[Node, Node | None, int]:
        """The node at *path* of document *index*, its key, and how many steps of *path* exist."""
        node, key = self._roots[index], None
        for taken, part in enumerate(path):
            if isinstance(node, MappingNode) and isinstance(part, str):
                pair = next(((k, v) for k, v in node.value if isinstance(k, ScalarNode) and k.value == part), None)
                if pair is None:
                    return node, key, taken
                key, node = pair
            elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
                key, node = None, node.value[part]
            else:
                return node, key, taken
        return node, key, len(path)


def place(node: Node) -> tuple[int, int]:
    """Line and column of *node*, from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1
