"""Addresses such as job/NAME: what they name, and what was probably meant where they name nothing."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from reconciler.errors import NotThere, TargetError, UsageError
from reconciler.model.desired import Key, Kind
from reconciler.observed import Observed

KINDS: Final = ", ".join(f"{kind}/NAME" for kind in Kind)
_SHOWN: Final = 5


def key_of(address: str) -> Key:
    """The object at an address such as job/NAME. Raises UsageError for a text that is none."""
    kind, slash, name = address.partition("/")
    if kind not in set(Kind) or not slash or not name or "/" in name:
        raise UsageError(f"expected an address ({KINDS}), found {address!r}{near_address(address)}")
    return Key.of(Kind(kind), name)


def near_address(text: str) -> str:
    """` (did you mean 'job/x'?)` for a text that is nearly an address, else nothing."""
    kind, _, name = text.partition("/")
    near = get_close_matches(kind.lower(), list(map(str, Kind)), n=1)
    return f" (did you mean '{near[0]}/{name}'?)" if near and name and "/" not in name else ""


def listed(observed: Observed, kind: Kind) -> None:
    """Raise TargetError where the objects of a kind could not be listed: their absence means nothing then."""
    if kind in observed.unread:
        raise TargetError(f"the account's {kind}s could not be listed: {observed.unread[kind]}")


def missing(observed: Observed, key: Key, name: str) -> NotThere:
    """The error for an object that is not there: with the nearest of those that are, or some of them."""
    listed(observed, key.kind)
    by_kind = {Kind.POOL: observed.pools, Kind.JOB: observed.jobs, Kind.JOB_SCHEDULE: observed.schedules}
    return NotThere(f"there is no {key.kind}/{name}{_others(key, [live.name for live in by_kind[key.kind].values()])}")


def _others(key: Key, names: list[str]) -> str:
    if near := nearest(key.id, names):
        return f" (did you mean '{key.kind}/{near}'?)"
    if not names:
        return f": the account has no {key.kind}s"
    return f": the account has {some([f'{key.kind}/{name}' for name in names])}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of *names* that was probably meant, whatever the letter case."""
    folded = {it.lower(): it for it in names}
    near = get_close_matches(name.lower(), folded, n=1)
    return folded[near[0]] if near else None


def some(names: Iterable[str]) -> str:
    """The first few of *names*, and how many there are besides."""
    found = sorted(names)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
