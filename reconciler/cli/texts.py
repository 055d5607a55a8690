"""Files that a person names on the command line, beside manifests: read and written, or refused in words."""

import json
from pathlib import Path
from typing import Any

from reconciler.errors import UsageError


def read_text(flag: str, name: str, hint: str) -> str:
    """The text of the file *name*. Raises UsageError, with *hint* at what makes such a file."""
    try:
        return Path(name).read_text("utf-8")
    except FileNotFoundError:
        found = "none"
    except IsADirectoryError:
        found = "a folder"
    except UnicodeDecodeError:
        found = "bytes that are no UTF-8 text"
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
    raise UsageError(f"{flag}: expected a readable file, found {found}: {name} ({hint})") from None


def read_json(flag: str, name: str, hint: str) -> Any:
    """The value in the file *name*. Raises UsageError."""
    return json_of(f"{flag} {name}", read_text(flag, name, hint), hint)


def json_of(what: str, text: str, hint: str) -> Any:
    """The value in *text*. Raises UsageError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what}: expected JSON, found something else: {error} ({hint})") from None


def check_folder(flag: str, folder: Path) -> None:
    """Raise UsageError where no folder can be."""
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise UsageError(f"{flag}: expected a folder, found a file: {path}")


def check_place(flag: str, file: Path) -> None:
    """Raise UsageError where no file can be written: asked before the work, which may take long."""
    if file.is_dir():
        raise UsageError(f"{flag}: expected a file, found a folder: {file}")
    if not file.parent.is_dir():
        raise UsageError(f"{flag}: expected a file in a folder that is there, found none: {file.parent}")
