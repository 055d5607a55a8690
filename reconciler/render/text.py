"""Plans and results for people, in plain text with a little colour that words always repeat."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from reconciler.diff import FieldChange
from reconciler.lifecycle.steps import Action, Blocked, Done, Step, Verb, Wait
from reconciler.lifecycle.wording import counted
from reconciler.model.desired import Kind, Task
from reconciler.model.field import ChangeKind
from reconciler.planning import Entry, Plan
from reconciler.render.mask import Mask

Paint: TypeAlias = Callable[[str, str], str]
"""Colours a text: (text, "green" | "yellow" | "red" | "bold" | "dim") -> text."""

NO_CHANGES: Final = "No changes. The account matches the manifests."
NO_CHANGES_HERE: Final = "No changes. What was selected matches the manifests."
LONGEST_VALUE: Final = 160
PATCHED: Final = (ChangeKind.LIVE, ChangeKind.NEXT_INCARNATION, ChangeKind.RESIZE, ChangeKind.AUTOSCALE)
"""Kinds of change that replace no object by themselves."""
_SYMBOLS: Final = {"add": ("+", "green"), "change": ("~", "yellow"), "end": ("-", "red"), "replace": ("-/+", "red")}


def plain(text: str, _style: str) -> str:
    """A Paint that paints nothing."""
    return text


def kind_of_change(entry: Entry) -> str:
    """add, change, end (terminate, delete), replace, or "" for an object that needs no action."""
    verbs = entry.verbs
    if not verbs:
        return ""
    if Verb.DELETE in verbs and Verb.CREATE in verbs:
        return "replace"
    if Verb.CREATE in verbs:
        return "add"
    return "end" if Verb.DELETE in verbs or Verb.TERMINATE in verbs else "change"


def plan_text(plan: Plan, paint: Paint = plain) -> str:
    """The whole plan: every object with an action, a wait, a block or a note, then the line to grep for."""
    sections = []
    changed = [entry for entry in plan.entries.values() if entry.actions]
    changed.sort(key=lambda entry: entry.removes and entry.key.kind is Kind.POOL)  # a pool goes after its jobs
    for title, drift in (("Changed behind our back (drift):", True), ("Changes:", False)):
        entries = [entry for entry in changed if entry.drift is drift]
        if entries:
            sections.append("\n".join([paint(title, "bold"), *("\n".join(_object(plan, e, paint)) for e in entries)]))
    blocked = [entry for entry in plan.blocked if not entry.actions]
    if blocked:
        lines = (f"  {paint('!', 'red')} {entry.address}: blocked: {entry.blocked}" for entry in blocked)
        sections.append("\n".join([paint("Blocked:", "bold"), *lines]))
    if plan.unread:
        lines = (f"  the account's {kind}s could not be listed: {why}" for kind, why in plan.unread.items())
        sections.append("\n".join([paint("Unread:", "bold"), *lines]))
    notes = [f"  {entry.address}: {note}" for entry in plan.entries.values() for note in entry.notes]
    if notes:
        sections.append("\n".join([paint("Notes:", "bold"), *notes]))
    kept = [
        entry
        for entry in plan.entries.values()
        if isinstance(entry.step, Done) and (entry.wanted is None or entry.live is None)
    ]
    if kept:
        lines = (f"  {entry.address}: {entry.step.reason}" for entry in kept if isinstance(entry.step, Done))
        sections.append("\n".join([paint("Left alone:", "bold"), *lines]))
    waits = [entry for entry in plan.entries.values() if isinstance(entry.step, Wait) and not entry.actions]
    if waits:
        lines = (f"  {entry.address}: {entry.step}" for entry in waits)
        sections.append("\n".join([paint("Under way:", "bold"), *lines]))
    sections.append(summary(plan))
    return "\n\n".join(sections)


def drift_text(plan: Plan, paint: Paint = plain) -> str:
    """What was changed in the account behind our back: what the manifests say, and what is there."""
    lines = []
    for entry in plan.entries.values():
        source = f"  ({entry.wanted.source})" if entry.wanted else ""
        lines.append(f"  {paint('~', 'yellow')} {paint(entry.address, 'bold')}{paint(source, 'dim')}")
        mask = Mask.of(entry)
        for change in entry.difference.fields:
            there, written = mask.both(change)
            lines.append(f"        {change.name}: {_value(written)} in the manifest, {_value(there)} in the account")
    if plan.unread:
        lines += (f"  the account's {kind}s could not be listed: {why}" for kind, why in plan.unread.items())
    if not plan.entries:
        return "\n".join([*lines, "No drift. What was applied is as it was." if not lines else "No drift elsewhere."])
    title = paint("Changed behind our back (drift):", "bold")
    return "\n".join([title, *lines, "", f"Drift: {counted(len(plan.entries), 'object')}."])


def summary(plan: Plan) -> str:
    """The line that scripts look for."""
    if not plan.has_changes:
        waits = sum(isinstance(entry.step, Wait) for entry in plan.entries.values())
        parts = ((waits, "under way"), (len(plan.blocked), "blocked"), (len(plan.unread), "kinds unread"))
        rest = [f"{count} {word}" for count, word in parts if count]
        return f"No changes, {', '.join(rest)}." if rest else NO_CHANGES_HERE if plan.partial else NO_CHANGES
    counts = change_counts(plan)
    return (
        f"Plan: {counts['add']} to add, {counts['change']} to change, "
        f"{counts['terminate']} to terminate, {counts['delete']} to delete."
    )


def change_counts(plan: Plan) -> dict[str, int]:
    """Objects to add, change, terminate and delete; one that is replaced counts in each that it goes through."""
    entries = plan.entries.values()
    return {
        "add": sum(Verb.CREATE in entry.verbs for entry in entries),
        "change": sum(kind_of_change(entry) == "change" for entry in entries),
        "terminate": sum(Verb.TERMINATE in entry.verbs for entry in entries),
        "delete": sum(Verb.DELETE in entry.verbs for entry in entries),
    }


def _object(plan: Plan, entry: Entry, paint: Paint) -> Iterator[str]:
    symbol, style = _SYMBOLS[kind_of_change(entry)]
    word = {"add": "create", "end": "delete" if entry.removes else "terminate"}.get(
        kind_of_change(entry), kind_of_change(entry)
    )
    source = f"  ({entry.wanted.source})" if entry.wanted else ""
    yield f"  {paint(symbol, style)} {paint(entry.address, 'bold')}: {paint(word, style)}{paint(source, 'dim')}"
    why = entry.actions[0].reason
    if why and entry.verbs[0] is not Verb.CREATE:
        yield f"      why:  {why}"
    yield f"      road: {road_text(entry.road)}"
    before = plan.waits_for(entry.key)
    if before:
        yield f"      after: {', '.join(other.address for other in before)}"
    yield from (f"        {line}" for line in _fields(entry))
    if entry.blocked:
        yield f"      {paint('!', 'red')} blocked: {entry.blocked}"


def road_text(road: tuple[Step, ...]) -> str:
    """`terminate -> wait for release on 2 nodes, up to 15 min -> delete`."""
    return " -> ".join(step_text(step) for step in road if not isinstance(step, Done))


def step_text(step: Step) -> str:
    """One step in words."""
    match step:
        case Action() | Wait():
            return str(step)
        case Blocked():
            return "blocked"
        case Done():
            return "done"


def _fields(entry: Entry) -> Iterator[str]:
    mask = Mask.of(entry)
    match kind_of_change(entry):
        case "add" if entry.wanted is not None:
            yield from (f"{name}: {_value(value)}" for name, value in leaves(mask.wanted(entry.wanted.written)))
        case "replace":
            for change in entry.difference.fields:
                forces = "" if change.kind in PATCHED else "  # forces replacement"
                yield f"{change_text(mask, change)}{forces}"
        case _:
            for change in entry.changes:
                yield change_text(mask, change)
    for action in entry.actions:
        if action.verb is Verb.ADD_TASKS:
            yield f"tasks: {len(action.tasks)} to add ({_some(action.tasks)})"
        elif action.verb in (Verb.DELETE_TASKS, Verb.REACTIVATE_TASKS):
            what = "to delete" if action.verb is Verb.DELETE_TASKS else "to run again"
            yield f"tasks: {len(action.names)} {what}, {action.reason}"


def _some(tasks: Sequence[Task]) -> str:
    """The names of a few tasks, and the last of them; there may be a hundred thousand."""
    names = [task.name for task in (tasks if len(tasks) <= 8 else (*tasks[:3], tasks[-1]))]
    return ", ".join(names) if len(tasks) <= 8 else f"{', '.join(names[:3])}, ... {names[-1]}"


def change_text(mask: Mask, change: FieldChange) -> str:
    """`path: old -> new`, both masked."""
    old, new = mask.both(change)
    if old == new:  # both are secrets
        return f"{change.name}: {_value(old)} -> {_value(new)}, changed"
    return f"{change.name}: {_value(old)} -> {_value(new)}"


def leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar and list of a normalised object with its dotted path."""
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if isinstance(item, Mapping) and item:
            yield from leaves(item, where)
        else:
            yield where, item


def _value(value: Any) -> str:
    if value is None:
        return "(not set)"
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
