"""A part of a plan: what `--target` and `--exclude` name, with what that needs, or without what needs it.

Pure. The plan is made of everything first, so that what is left out still counts where it matters (debts, jobs that a
pool has to wait for); then entries are chosen, and whoever asked is told of those that came in or went with them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from reconciler.lifecycle.steps import Done, Wait
from reconciler.model.desired import Key, Kind
from reconciler.planning import Entry, Plan


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects that a plan is about, and in words what came in, or went, because of others."""

    keys: frozenset[Key]
    told: tuple[str, ...] = ()


def drifted(plan: Plan) -> Plan:
    """What of a plan is there because somebody changed the account behind our back."""
    return replace(plan, entries={key: entry for key, entry in plan.entries.items() if entry.drift}, partial=True)


def select(plan: Plan, targets: Collection[Key], excluded: Collection[Key]) -> Selection:
    """What is left of a whole plan. Without *targets* that is all but *excluded* and its dependants; what a target
    needs is taken in, unless it is excluded: then the target goes, too."""
    children: dict[Key | None, set[Key]] = {}
    for key, entry in plan.entries.items():
        children.setdefault(entry.parent, set()).add(key)
    needs = {key: _needs(plan, entry, children.get(key, set())) for key, entry in plan.entries.items()}
    needed_by: dict[Key, set[Key]] = {}
    for key, before in needs.items():
        for other in before:
            needed_by.setdefault(other, set()).add(key)
    taken = _closure(targets, needs) if targets else dict.fromkeys(plan.entries)
    left_out = _closure(excluded, needed_by)
    told = [
        f"{_address(plan, key)} is taken in, too: {_address(plan, by)} needs it"
        for key, by in taken.items()
        if by is not None and _matters(plan.entries[key]) and key not in left_out
    ]
    told += (
        f"{_address(plan, key)} is left out, too: it needs {_address(plan, by)}"
        for key, by in left_out.items()
        if by is not None and key in taken and _matters(plan.entries[key])
    )
    return Selection(frozenset(taken) - frozenset(left_out), tuple(told))


def _matters(entry: Entry) -> bool:
    return bool(entry.actions) or not isinstance(entry.step, Done)


def _address(plan: Plan, key: Key) -> str:
    return plan.entries[key].address if key in plan.entries else str(key)


def _needs(plan: Plan, entry: Entry, children: Collection[Key]) -> frozenset[Key]:
    """What has to be there, or to be gone, before an object can be as it is to be."""
    found = {*plan.after.get(entry.key, ()), *children}
    if entry.wanted is not None and entry.key.kind is not Kind.POOL:
        spec = entry.wanted.spec.get("jobSpecification", entry.wanted.spec)
        if named := (spec.get("poolInfo") or {}).get("poolId"):
            found.add(Key.of(Kind.POOL, named))
    if entry.parent is not None:  # it goes with its schedule, and the schedule once its jobs are gone
        found.add(entry.parent)
    found |= {key for step in entry.road if isinstance(step, Wait) for key in step.on}
    return frozenset(key for key in found if key in plan.entries and key != entry.key)


def _closure(first: Collection[Key], edges: Mapping[Key, Collection[Key]]) -> dict[Key, Key | None]:
    """*first* and all that is reached from there, each with the one that led to it."""
    found: dict[Key, Key | None] = dict.fromkeys(sorted(first))
    ahead = list(found)
    while ahead:
        key = ahead.pop(0)
        for other in sorted(edges.get(key, ())):
            if other not in found:
                found[other] = key
                ahead.append(other)
    return found
