"""What of a plan may be done now: mode, suspensions, change windows and approvals, as one decision over values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.controller.grants import Grants
from reconciler.controller.state import Mode, Suspension
from reconciler.lifecycle.steps import Verb
from reconciler.model.desired import Key
from reconciler.planning import Entry, Plan

TAKING: Final = frozenset({Verb.TERMINATE, Verb.DELETE, Verb.REMOVE_NODES, Verb.REBOOT_NODES, Verb.REIMAGE_NODES})


@dataclass(frozen=True)
class Situation:
    """What a decision depends on beside the plan. *leads*: this replica acts for the stack. *closed* says why no change
    may begin now, empty when one may; *reverts*: drift may be reverted by itself in the mode `approve`; *guard* is what
    a guard says of the plan, empty when nothing; *moved*: objects that another stack of the source declares by now."""

    mode: Mode
    leads: bool
    grants: Grants
    suspensions: Sequence[Suspension] = ()
    closed: str = ""
    reverts: bool = False
    guard: str = ""
    moved: Mapping[Key, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Permits:
    """*allowed*: the objects whose roads may go on; *held*: why the others may not; *waiting*: those of them that a
    person can approve."""

    allowed: frozenset[Key]
    held: Mapping[Key, str]
    waiting: tuple[Entry, ...] = ()

    def awaiting(self, plan: Plan) -> str:
        """The digest that approves what waits; empty when nothing does."""
        return replace(plan, entries={entry.key: entry for entry in self.waiting}).digest if self.waiting else ""


def permits(plan: Plan, now: Situation) -> Permits:
    """Decide for each object of the plan that has something to be done."""
    held: dict[Key, str] = {}
    waiting: list[Entry] = []
    allowed: set[Key] = set()
    for key, entry in plan.entries.items():
        if not entry.actions:
            continue
        why = _held(entry, plan, now)
        if why is None:
            waiting.append(entry)
            held[key] = "it waits for approval"
        elif why:
            held[key] = why
        else:
            allowed.add(key)
    if now.closed:
        # What was begun cannot come to its end without what has to come first: a window stops neither.
        begun = {key for key in allowed if now.grants.is_under_way(plan.entries[key], plan)}
        needed = {key for other in begun for key in ahead(plan, other) if held.get(key) == now.closed}
        allowed |= needed
        held = {key: why for key, why in held.items() if key not in needed}
    return Permits(frozenset(allowed), held, tuple(waiting))


def ahead(plan: Plan, key: Key) -> set[Key]:
    """Everything of the plan that has to be done before an object is: what it waits for, and so on."""
    found: set[Key] = set()
    left = [key]
    while left:
        before = {entry.key for entry in plan.waits_for(left.pop())} - found
        found |= before
        left += before
    return found


def _held(entry: Entry, plan: Plan, now: Situation) -> str | None:
    """Why an object is left alone now; empty when it is not, None when a person has to approve first."""
    if suspension := suspended(entry, now.suspensions):
        until = f" until {suspension.until}" if suspension.until else ""
        return f"suspended by {suspension.who}{until}: {suspension.reason}"
    if not now.leads:
        return "another replica leads"
    if now.mode is Mode.DETECT_ONLY:
        return "detect-only: nothing is changed"
    if now.guard:
        return now.guard
    if (stack := now.moved.get(entry.key)) and may_move(entry):
        return f"stack '{stack}' of this source declares it: `reconciler orphan {entry.address}`, then adopt it there"
    if now.grants.is_under_way(entry, plan):
        return ""  # neither a window that closes nor a new plan stops it half-way
    needs_approval = now.mode is Mode.APPROVE and not now.grants.covers(entry, plan)
    if needs_approval and not (now.reverts and is_plain_drift(entry)):
        return None
    return now.closed


def may_move(entry: Entry) -> bool:
    """Whether an object that is to go can be given to another stack in place of that: not one that is at its end."""
    ending = entry.live is None or entry.live.state in ("terminating", "completed", "deleting")
    return entry.wanted is None and bool(entry.actions) and not ending


def suspended(entry: Entry, suspensions: Sequence[Suspension]) -> Suspension | None:
    """The suspension that keeps an object as it is: its own, its schedule's, or the stack's."""
    names = {"", str(entry.key), str(entry.parent) if entry.parent is not None else ""}
    return next((one for one in suspensions if one.address.lower() in names), None)


def is_plain_drift(entry: Entry) -> bool:
    """Whether somebody changed an object whose manifest did not change, and writing it again takes nothing away."""
    return entry.drift and not entry.shrinks and TAKING.isdisjoint(entry.verbs)
