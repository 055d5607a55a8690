"""A folder or file as it is now: for one machine, and for what another program keeps up to date.

What it holds has no name, so its revision is empty; whoever wants commits in marks and events gives the repository.
"""

from pathlib import Path
from typing import Final

from reconciler.errors import SourceError
from reconciler.ports import Checkout, Revision

AS_FOUND: Final = Revision("")


class FolderSource:
    """A Source that is read in place. Nothing is copied: an edit that breaks it leaves nothing to go back to on the
    disk, so a controller keeps what it loaded last."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def fetch(self) -> Checkout:
        """The path, where something is there. Raises SourceError."""
        self._look()
        return Checkout(self._path, AS_FOUND)

    def _look(self) -> None:
        try:
            Path(self._path).stat()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "no path"
            raise SourceError(f"{self._path}: {why}") from error

    async def keep(self, revision: Revision) -> None:
        """There is only one."""

    async def kept(self) -> Checkout | None:
        """None: what was there before is not there any more."""
        return None

    async def close(self) -> None:
        """Nothing is held."""
