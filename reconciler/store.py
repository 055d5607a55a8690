"""What must outlive the objects: the journal, with the receipt of every job that was deleted.

A folder under the user's state directory, one for each account and stack; JSON lines, one event a line, appended and
flushed to the disk before the request that would erase the evidence. A folder serves the processes of one machine.
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where this user's state lives: $XDG_STATE_HOME/reconciler, else ~/.local/state/reconciler."""
    base = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".local/state")
    return Path(base) / "reconciler"


class FolderJournal:
    """A Journal in a folder. The file is private to the user: it names nodes and commands' results."""

    def __init__(self, state: Path, endpoint: str, stack: str) -> None:
        account = re.sub(r"[^A-Za-z0-9.-]+", "_", endpoint.split("://")[-1])
        self.path = state / "stacks" / account / stack / "journal.jsonl"

    def write(self, event: str, /, **facts: Any) -> None:
        """Append one event, on the disk when this returns. Raises OSError when it cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": at, "event": event, **facts}, sort_keys=False)
        with open(self.path, "a", encoding="utf-8", opener=_private) as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
