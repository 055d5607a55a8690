"""Consents that stand in a manifest: `reconciler/allow-task-loss: "job/nightly until 2030-01-31T18:00:00Z"`.

An annotation has the name of the flag that it stands for, says what is consented to and until when. So a commit can
consent to one effect, whoever reviews it sees the words that the plan printed, and a line that is forgotten there does
no harm after its end.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.model import moment

if TYPE_CHECKING:
    from reconciler.model.desired import Source

PREFIX: Final = "reconciler/"
DELETES: Final = "allow-deletes"
REPLACE: Final = "replace"
NAMED_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "allow-new-run": ("job",),
    "allow-release-failure": ("job",),
    "allow-release-loss": ("job",),
    "allow-task-loss": ("job", "pool"),
    REPLACE: ("job", "jobschedule", "pool"),
}
"""Consents that name objects, and the kinds of these."""
KNOWN: Final = (DELETES, *NAMED_KINDS)
NOT_HERE: Final[Mapping[str, str]] = {
    "dangerous-force": "expected no such consent in a manifest: --dangerous-force is given on the command line, by a "
    "person who looked at the object",
}
"""Flags that no annotation stands for."""
SYNTAX: Final = '"WHAT until TIME", such as "job/nightly until 2030-01-31T18:00:00Z"'

_VALUE: Final = re.compile(r"(?P<what>.*?)\s*\buntil\s+(?P<until>\S+)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z0-9_:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Consent:
    """What one annotation allows for one object. *flag* without its dashes; *address* is empty and *count* given for
    `allow-deletes`; *born* is the creation time of the incarnation, for `replace`; *until* is ISO 8601 UTC."""

    flag: str
    address: str
    until: str
    source: "Source"
    count: int = 0
    born: str = ""

    def counts_at(self, now: str) -> bool:
        """Whether it has not ended by *now*, ISO 8601 UTC."""
        return moment.is_before(now, self.until)

    def __str__(self) -> str:
        what = str(self.count) if self.flag == DELETES else self.address
        return f"{PREFIX}{self.flag} ({what})"


def flag_of(annotation: str) -> str | None:
    """The flag that an annotation stands for, known or not; None for one that is none of ours."""
    return annotation.removeprefix(PREFIX) if annotation.startswith(PREFIX) else None


def parse(flag: str, text: str, own: str | None, source: "Source") -> tuple[Consent, ...]:
    """The consents in the value of an annotation of the object at *own*, None for a Stack's.

    Raises ValueError with what was expected.
    """
    match = _VALUE.fullmatch(text.strip())
    if match is None:
        raise ValueError(SYNTAX)
    until = moment.canonical(match["until"])
    what = match["what"].strip()
    if flag == DELETES:
        if own is not None:
            raise ValueError(f"{PREFIX}{DELETES} on the Stack: it counts the objects of all of it")
        if not what.isascii() or not what.isdigit():
            raise ValueError('a whole number before until, such as "12 until 2030-01-31T18:00:00Z"')
        return (Consent(flag, "", until, source, count=int(what)),)
    named = [part.strip() for part in what.split(",")] if what else [own] if own is not None else []
    if not named:
        raise ValueError(SYNTAX)
    return tuple(_named(flag, str(text), own, until, source) for text in named)


def _named(flag: str, text: str, own: str | None, until: str, source: "Source") -> Consent:
    address, _, born = text.partition("@")
    kind, _, name = address.partition("/")
    kinds = NAMED_KINDS[flag]
    if kind not in kinds or not _NAME.fullmatch(name):
        raise ValueError(f"an address ({', '.join(f'{kind}/NAME' for kind in kinds)}) before until, not {text!r}")
    if own is not None and address.lower() != own.lower():
        raise ValueError(f"{own}, which the annotation stands on, not {address}: what concerns others is the Stack's")
    if flag != REPLACE and born:
        raise ValueError(f"an address without a creation time, not {text!r}")
    if flag == REPLACE and not moment.is_one(born):
        # Without it the object would be replaced in every pass until then.
        raise ValueError(f"{address}@ with the creation time of the one to be replaced, as the plan prints it")
    return Consent(flag, address, until, source, born=born)
