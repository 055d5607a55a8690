"""Mistakes in plain words: what was found, and what was probably meant. Every finding is written with these."""

import difflib
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Where a value stands in its document: keys, and positions in lists from 0."""

_CUT: Final = 60
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def quoted(text: str) -> str:
    """*text* in quotes, on one line, not too long, and safe to print."""
    return repr(text if len(text) <= _CUT else text[: _CUT - 1] + "…")


def field_path(path: Path) -> str:
    """A path as people write it: `tasks[3].id`."""
    parts: list[str] = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif _NAME.fullmatch(part):
            parts.append(f".{part}")
        else:
            parts.append(f"[{quoted(part)}]")
    return "".join(parts).removeprefix(".")


def did_you_mean(found: object, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known name is near. Letter case does not matter."""
    if not isinstance(found, str):
        return ""
    by_folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(found.lower()[:_CUT], by_folded, n=1)
    return f" (did you mean '{by_folded[near[0]]}'?)" if near else ""


def describe(value: object, written: str | None, *, is_reference: bool = False, quote: bool = False) -> str:
    """*value* in words, shown as it is *written*. With *quote*, how to write it as text."""
    if value is None and not is_reference:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = written if written is not None else str(value)
    if isinstance(value, str):
        return quoted(text)
    hint = f": quote it, {quoted(text)}" if quote else ""
    kind = "nothing" if value is None else "true or false" if isinstance(value, bool) else "a number"
    if is_reference:
        return f"{kind} in {text}{hint}"
    if isinstance(value, bool):
        return (text if text.lower() in ("true", "false") else f"{text}, which YAML takes for true or false") + hint
    return f"the number {text}{hint}"
