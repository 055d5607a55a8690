"""What a store stands on: things by name. A folder and a blob container are shelves; all else is written once, over
either.

Names have parts, joined by "/". Everything is written whole, but for what is appended to.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Item:
    """A thing on a shelf. *size* is in bytes; *changed* is when it was last written, seconds since 1970 by the shelf's
    own clock; *version* differs whenever the content may."""

    name: str
    size: int
    changed: float
    version: str


class Shelf(Protocol):
    """Things by name. Each method raises StoreError or OSError; what is there when a writing one returns is safe."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def below(self, folder: str) -> "Shelf":
        """The shelf in a folder of it."""

    def where(self, name: str) -> str:
        """Where a thing is, for people: a path or a URL without any signature."""

    async def items(self, folder: str) -> tuple[Item, ...]:
        """Everything below a folder, by name; empty where there is none."""

    async def folders(self, folder: str) -> tuple[str, ...]:
        """The last parts of the names of the folders in a folder."""

    async def read(self, name: str) -> bytes | None:
        """A thing's content; None where there is none."""

    async def put(self, name: str, content: bytes) -> None:
        """Write a thing, in the place of any that has the name."""

    async def put_first(self, name: str, content: bytes) -> bool:
        """Write a thing unless one has the name; whether it was written."""

    async def append(self, name: str, content: bytes) -> int:
        """Add a line to a thing, which begins with it where there is none; the size after that. A line that was cut off
        when the machine failed does not spoil this one."""

    async def remove(self, names: Collection[str]) -> None:
        """Remove things; nothing happens for those that are not there."""


def part_of_name(text: str) -> str:
    """*text* as one part of a name: a service that is not what it says must not choose where we write."""
    name = quote(text, safe=":+ ")
    return name.replace(".", "%2E") if name.strip(".") == "" else name
