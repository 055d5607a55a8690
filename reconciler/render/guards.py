"""Guards for people and programs, behind the plan that they are about."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from reconciler.guards import Guard
from reconciler.model.secrecy import without_keys
from reconciler.render.document import GuardDocument
from reconciler.render.text import Paint, clean, plain

SHOWN: Final = 5
"""Guards of one rule that are told one by one."""


def guards_text(guards: Sequence[Guard], notices: Sequence[str] = (), paint: Paint = plain) -> str:
    """What stops the plan, what keeps objects as they are, and what else should be known; empty where nothing is."""
    sections = []
    for title, stops in (("Apply stops here:", True), ("Guarded, and left as it is:", False)):
        lines = list(_lines([guard for guard in guards if guard.stops is stops], paint))
        if lines:
            sections.append("\n".join([paint(title, "bold"), *lines]))
    if notices:
        sections.append("\n".join(map(clean, notices)))
    return "\n\n".join(sections)


def guards_document(guards: Sequence[Guard]) -> list[GuardDocument]:
    """The guards as JSON has them."""
    return [
        {
            "rule": str(guard.rule),
            "stops": guard.stops,
            "numbers": without_keys(guard.numbers),
            "setting": guard.setting,
            "override": guard.override,
            "annotation": guard.annotation or None,
            "addresses": list(guard.addresses),
        }
        for guard in guards
    ]


def _lines(guards: Sequence[Guard], paint: Paint) -> Iterator[str]:
    """A few guards of each rule: the plan has named every object above."""
    for rule, alike in groupby(sorted(guards, key=lambda guard: guard.rule), key=lambda guard: guard.rule):
        same = list(alike)
        for guard in same[:SHOWN]:
            yield from _guard(guard, paint)
        if len(same) > SHOWN:
            yield f"  {paint('!', 'red')} {rule}: so are {len(same) - SHOWN} more (--format json has them all)"


def _guard(guard: Guard, paint: Paint) -> Iterator[str]:
    yield f"  {paint('!', 'red')} {guard.rule}: {clean(without_keys(guard.numbers))}"
    yield f"      setting:  {guard.setting}"
    yield f"      override: {guard.override}"
    if guard.annotation:
        yield f"      or in Git, under metadata.annotations of {guard.on}: {guard.annotation}"
