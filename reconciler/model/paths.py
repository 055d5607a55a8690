"""Paths of `lifecycle.ignoreChanges`: which part of a spec they name."""

import difflib
from collections.abc import Callable, Iterable

from pydantic_core import PydanticCustomError

from reconciler.model.field import Spec
from reconciler.model.table import Normal, Path, table


def path_in(model: type[Spec]) -> Callable[[str], str]:
    """A validator for the paths of one kind of object: the text itself, or what is wrong with it."""

    def check(text: str) -> str:
        parse(model, text)
        return text

    return check


def parse(model: type[Spec], text: str) -> Path:
    """`spec.constraints.maxTaskRetryCount` as a path below the spec. What follows a list with names (metadata,
    environment settings) is the name of one item."""
    root, _, rest = text.partition(".")
    if root != "spec" or not rest:
        raise _refused("a path such as spec.priority", text)
    parts = rest.split(".")
    found: list[str] = []
    current: type[Spec] | None = model
    for position, part in enumerate(parts):
        field = table(current).get(part) if current is not None else None
        if field is None:
            known = table(current) if current is not None else {}
            where = ".".join(["spec", *found])
            raise _refused(f"a field of {where}" if known else f"nothing below {where}", text, _near(part, known))
        found.append(part)
        below = parts[position + 1 :]
        if field.keyed_by is not None:
            return (*found, ".".join(below)) if below else tuple(found)
        if field.is_list and below:
            raise _refused(f"{'.'.join(['spec', *found])}: a list is ignored as a whole", text)
        current = field.below
    return tuple(found)


def _near(part: str, known: Iterable[str]) -> str:
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(part.lower(), folded, n=1)
    return f" (did you mean '{folded[near[0]]}'?)" if near else ""


def _refused(expected: str, text: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError("expected", "{sentence}", {"sentence": f"expected {expected}, found {text!r}{hint}"})


def keeping(model: type[Spec], wanted: Normal, live: Normal, path: Path) -> Normal:
    """*wanted* with the value that *live* has at *path*, or without one where it has none. A part whose whole is
    missing on one side is left as it is wanted."""
    head, *rest = path
    if not rest:
        return _with(wanted, head, live.get(head))
    field = table(model)[head]
    ours, theirs = wanted.get(head), live.get(head)
    if field.keyed_by is not None:  # a list that is absent is an empty one
        (item,) = rest
        return _with(wanted, head, _with(ours or {}, item, (theirs or {}).get(item)) or None)
    if ours is None or theirs is None or field.below is None:
        return wanted
    return {**wanted, head: keeping(field.below, ours, theirs, tuple(rest))}


def _with(whole: Normal, name: str, value: object) -> Normal:
    kept = {other: part for other, part in whole.items() if other != name}
    return kept if value is None else {**kept, name: value}


def without(spec: Normal, path: Path) -> Normal:
    """*spec* without what stands at *path*."""
    head, *rest = path
    if not rest:
        return {name: value for name, value in spec.items() if name != head}
    below = spec.get(head)
    return {**spec, head: without(below, tuple(rest))} if below is not None else spec
