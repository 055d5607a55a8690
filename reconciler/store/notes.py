"""Short notes that people and controllers leave for one another: one file or blob each."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.store.records import told
from reconciler.store.shelf import Shelf

ENDING: Final = ".json"


@dataclass(frozen=True, slots=True)
class ShelfNotes:
    """Notes on the shelf of a stack, below `notes/`. Parts of names that come from outside are quoted by whoever
    gives them."""

    shelf: Shelf

    async def notes(self, folder: str) -> Mapping[str, Mapping[str, Any]]:
        """The notes below a folder, by their whole names without the ending."""
        with told(f"read the notes in {self.shelf.place}"):
            names = [item.name for item in await self.shelf.items(f"notes/{folder}") if item.name.endswith(ENDING)]
            contents = await asyncio.gather(*map(self.shelf.read, names))
            found = ((name, content) for name, content in zip(names, contents, strict=True) if content is not None)
            return {name.removeprefix("notes/").removesuffix(ENDING): _note(name, text) for name, text in found}

    async def keep_note(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a note."""
        with told(f"write a note in {self.shelf.place}"):
            await self.shelf.put(f"notes/{name}{ENDING}", json.dumps(content, indent=2).encode())

    async def drop_note(self, name: str) -> None:
        """Remove a note."""
        with told(f"remove a note in {self.shelf.place}"):
            await self.shelf.remove([f"notes/{name}{ENDING}"])


def _note(name: str, text: bytes) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"{name} is no note")
    return content
