"""A mistake in a formula, and the words for it."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_CUT: Final = 40


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. Line and column count from 1 within the formula, as in the service's own messages."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


def quoted(text: str) -> str:
    """*text* in quotes, on one line and not too long."""
    return repr(text if len(text) <= _CUT else text[: _CUT - 1] + "…")


def near(found: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known name is near. Letter case and `$` do not matter."""
    by_folded = {name.lower().lstrip("$"): name for name in known}
    close = difflib.get_close_matches(found.lower().lstrip("$")[:_CUT], by_folded, n=1)
    return f" (did you mean '{by_folded[close[0]]}'?)" if close else ""
