"""What lint has to say about one place of a declared object."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, TypeAlias

from reconciler.model.desired import Source, Wanted

Path: TypeAlias = tuple[str | int, ...]
"""Where a value stands in its document: keys, and positions in lists from 0."""


class Severity(StrEnum):
    """An error cannot work; a warning may be meant so; a hint is no fault, and nothing takes it for one."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """*source* is where the object is written and *path* leads from its document to the value."""

    severity: Severity
    address: str
    source: Source
    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Part:
    """A mapping of a declared object in wire form, and where it stands. Values are read leniently: what a model does
    not allow is told elsewhere."""

    wanted: Wanted
    address: str
    body: Mapping[str, Any]
    path: Path

    def get(self, *names: str) -> Any:
        """The value below, None where there is none."""
        value: Any = self.body
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def number(self, name: str, default: int) -> int:
        value = self.body.get(name)
        return value if isinstance(value, int) else default

    def part(self, *names: str) -> Self | None:
        """The mapping below, None where there is none."""
        value = self.get(*names)
        if not isinstance(value, Mapping):
            return None
        return type(self)(self.wanted, self.address, value, (*self.path, *names))

    def items(self, *names: str) -> Iterator[Self]:
        """The mappings of the list below."""
        value = self.get(*names)
        if isinstance(value, Sequence) and not isinstance(value, str):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield type(self)(self.wanted, self.address, item, (*self.path, *names, index))

    def error(self, message: str, *names: str | int) -> Finding:
        return Finding(Severity.ERROR, self.address, self.wanted.source, (*self.path, *names), message)

    def hint(self, message: str, *names: str | int) -> Finding:
        return Finding(Severity.HINT, self.address, self.wanted.source, (*self.path, *names), message)

    def warning(self, message: str, *names: str | int) -> Finding:
        return Finding(Severity.WARNING, self.address, self.wanted.source, (*self.path, *names), message)
