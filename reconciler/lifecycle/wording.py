"""How numbers and names read in a step's reason."""

from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.diff import FieldChange

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


def placed(fields: Iterable[FieldChange]) -> str:
    """Fields by the property that holds them: `commandLine of jobReleaseTask`, `poolInfo`."""
    below: dict[str, list[str]] = {}
    for field in fields:
        below.setdefault(field.top, []).append(".".join(field.path[1:]))
    parts = (f"{few(inner)} of {top}" if all(inner) else top for top, inner in sorted(below.items()))
    return ", ".join(parts)


def unsaid(names: Sequence[str]) -> str:
    """`a differs and no line of the manifest speaks of it`."""
    them = "it" if len(names) == 1 else "them"
    return f"{' and '.join(names)} {verb_for(len(names), 'differs')} and no line of the manifest speaks of {them}"
