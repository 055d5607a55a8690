"""How numbers and names read in a step's reason."""

from collections.abc import Sequence
from typing import Final

SHOWN: Final = 3


def counted(count: int, noun: str, verb: str = "") -> str:
    """`1 node`, `2 nodes`; with a verb, given as for one thing: `1 node owes`, `2 nodes owe`."""
    return f"{count} {noun}{'' if count == 1 else 's'}" + (f" {verb_for(count, verb)}" if verb else "")


def verb_for(count: int, verb: str) -> str:
    """The form of *verb* (`is`, `has`, `owes`) for so many."""
    if count == 1:
        return verb
    return {"is": "are", "was": "were", "has": "have", "goes": "go"}.get(verb, verb.removesuffix("s"))


def few(names: Sequence[str]) -> str:
    """The first names of many: `a, b, c and 4 more`."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def unsaid(names: Sequence[str]) -> str:
    """`a differs and no line of the manifest speaks of it`."""
    them = "it" if len(names) == 1 else "them"
    return f"{' and '.join(names)} {verb_for(len(names), 'differs')} and no line of the manifest speaks of {them}"
