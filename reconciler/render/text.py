"""Plans and results for people, in plain text with a little colour that words always repeat."""

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from reconciler.diff import FieldChange
from reconciler.forecast import Forecast
from reconciler.lifecycle.steps import Action, Blocked, Done, Step, Verb, Wait
from reconciler.lifecycle.wording import counted
from reconciler.model.desired import Kind, Task
from reconciler.model.field import ChangeKind
from reconciler.model.secrecy import without_keys
from reconciler.planning import Entry, Plan
from reconciler.render.forecast import forecast_lines, quota_lines
from reconciler.render.mask import Mask

Paint: TypeAlias = Callable[[str, str], str]
"""Colours a text: (text, "green" | "yellow" | "red" | "bold" | "dim") -> text."""

DRIFT: Final = "Changed behind our back (drift):"
CHANGES: Final = "Changes:"
BLOCKED: Final = "Blocked:"
NOT_SET: Final = "(not set)"
FORCES: Final = "  # forces replacement"
NO_CHANGES: Final = "No changes. The account matches the manifests."
NO_CHANGES_HERE: Final = "No changes. What was selected matches the manifests."
LONGEST_VALUE: Final = 4_000
"""Characters that are shown of a value: what is approved has to be seen, and a file in a variable fills no screen."""
PATCHED: Final = (ChangeKind.LIVE, ChangeKind.NEXT_INCARNATION, ChangeKind.RESIZE, ChangeKind.AUTOSCALE)
"""Kinds of change that replace no object by themselves."""
NAMED: Final = frozenset({"environmentSettings", "commonEnvironmentSettings", "metadata"})
"""Lists of items that have a name and a value."""
NO_FORECAST: Final = Forecast()
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


def plan_text(plan: Plan, paint: Paint = plain, forecast: Forecast = NO_FORECAST, width: int | None = None) -> str:
    """The whole plan: every object with an action, a wait, a block or a note, then the line to grep for.

    *forecast* adds what carrying it out takes away. With *width* (columns of a terminal) sentences are broken there;
    values of fields never are.
    """
    sections = []
    for title, drift in ((DRIFT, True), (CHANGES, False)):
        entries = [entry for entry in changed(plan) if entry.drift is drift]
        if entries:
            blocks = ("\n".join(_object(plan, entry, paint, forecast, width)) for entry in entries)
            sections.append("\n".join([paint(title, "bold"), *blocks]))
    for title, items in remarks(plan, forecast):
        lines = (broken(f"  {item}", width, 6) for item in items)
        if title == BLOCKED:
            lines = (line.replace("!", paint("!", "red"), 1) for line in lines)
        sections.append("\n".join([paint(title, "bold"), *lines]))
    sections.append(summary(plan))
    return "\n\n".join(sections)


def changed(plan: Plan) -> list[Entry]:
    """Objects with an action, pools that go after their jobs."""
    found = [entry for entry in plan.entries.values() if entry.actions]
    return sorted(found, key=lambda entry: entry.removes and entry.key.kind is Kind.POOL)


def remarks(plan: Plan, forecast: Forecast) -> Iterator[tuple[str, list[str]]]:
    """What is to be said besides the changes, by title: what is blocked, not known, noted, kept, under way, and what is
    left of the quotas."""
    entries = plan.entries.values()
    found = (
        (BLOCKED, [f"! {e.address}: blocked: {e.blocked}" for e in plan.blocked if not e.actions]),
        ("Unread:", [f"the account's {kind}s could not be listed: {why}" for kind, why in plan.unread.items()]),
        ("Notes:", [f"{entry.address}: {note}" for entry in entries for note in entry.notes]),
        (
            "Left alone:",
            [
                f"{entry.address}: {entry.step.reason}"
                for entry in entries
                if isinstance(entry.step, Done) and (entry.wanted is None or entry.live is None)
            ],
        ),
        (
            "Under way:",
            [f"{e.address}: {e.step}" for e in entries if isinstance(e.step, Wait) and not e.actions],
        ),
        ("Quotas:", list(quota_lines(forecast)) if plan.has_changes else []),
    )
    for title, items in found:
        if items:
            yield title, [clean(without_keys(item)) for item in items]


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
    title = paint(DRIFT, "bold")
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


@dataclass(frozen=True, slots=True)
class Heading:
    """What happens to an object, in a symbol and a word."""

    symbol: str
    style: str
    word: str


def heading(entry: Entry) -> Heading:
    """`-/+ replace`, `~ change`."""
    kind = kind_of_change(entry)
    word = {"add": "create", "end": "delete" if entry.removes else "terminate"}.get(kind, kind)
    own = {Verb.ORPHAN: "leave to others", Verb.FORGET: "forget its run"}
    if len(entry.verbs) == 1:
        word = own.get(entry.verbs[0], word)
    return Heading(*_SYMBOLS[kind], word)


def sentences(plan: Plan, entry: Entry, forecast: Forecast) -> Iterator[tuple[str, str]]:
    """Why an object changes, by which road, after what, and what that takes away; by label, without line breaks."""
    if why := why_text(entry):
        yield "why", why
    yield "road", road_text(entry.road)
    if before := plan.waits_for(entry.key):
        yield "after", ", ".join(other.address for other in before)
    yield from forecast_lines(forecast.of(entry.key), entry.address)


def why_text(entry: Entry) -> str:
    """The reason of the first step, in one way for drift: it begins with that word. Empty for what is not there yet."""
    first = entry.actions[0]
    if first.verb is Verb.CREATE:
        return ""
    told = first.reason == "drift" or (first.verb is Verb.RESIZE and bool(first.changes))  # the fields say it
    return f"drift{'' if told else f'; {first.reason}'}" if entry.drift else first.reason


def _object(plan: Plan, entry: Entry, paint: Paint, forecast: Forecast, width: int | None) -> Iterator[str]:
    head = heading(entry)
    source = f"  ({clean(str(entry.wanted.source))})" if entry.wanted else ""
    name, word = paint(entry.address, "bold"), paint(head.word, head.style)
    yield f"  {paint(head.symbol, head.style)} {name}: {word}{paint(source, 'dim')}"
    for label, text in sentences(plan, entry, forecast):
        yield broken(f"    {label:>7}: {clean(without_keys(text))}", width, 13)
    for row in rows(entry):
        forces = row.note.endswith(FORCES)
        line = str(row).removesuffix(FORCES) if forces else str(row)
        yield f"        {line}{paint(FORCES, 'red') if forces else ''}"
    if entry.blocked:
        text = broken(f"      ! blocked: {clean(without_keys(str(entry.blocked)))}", width, 12)
        yield text.replace("!", paint("!", "red"), 1)


def broken(line: str, width: int | None, indent: int) -> str:
    """The line, broken between words where it is longer than *width*; what follows begins at *indent*."""
    if width is None or len(line) <= width or width < 2 * indent:
        return line
    rest = " " * indent
    return "\n".join(textwrap.wrap(line, width, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False))


def clean(text: str) -> str:
    """The text in one line and without control characters: what the account or a file name holds is shown, and does
    nothing to a terminal or a document."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


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


@dataclass(frozen=True, slots=True)
class Row:
    """One property that is written, or some tasks: what it is called, what it was (None where there was no object),
    what it will be, and what is to be said of that. Secrets are masked, and everything is in one line."""

    name: str
    old: str | None
    new: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {'' if self.old is None else f'{self.old} -> '}{self.new}{self.note}"


def rows(entry: Entry) -> Iterator[Row]:
    """What is written."""
    mask = Mask.of(entry)
    match kind_of_change(entry):
        case "add" if entry.wanted is not None:
            for name, value in leaves(mask.wanted(entry.wanted.written)):
                yield Row(clean(name), None, _value(value))
        case "replace":
            for change in entry.difference.fields:
                yield _change(mask, change, "" if change.kind in PATCHED else FORCES)
        case _:
            for change in entry.changes:
                yield _change(mask, change)
    for action in entry.actions:
        if action.verb is Verb.ADD_TASKS:
            yield Row("tasks", None, f"{len(action.tasks)} to add ({_some(action.tasks)})")
        elif action.verb in (Verb.DELETE_TASKS, Verb.REACTIVATE_TASKS):
            what = "to delete" if action.verb is Verb.DELETE_TASKS else "to run again"
            yield Row("tasks", None, clean(f"{len(action.names)} {what}, {action.reason}"))


def _some(tasks: Sequence[Task]) -> str:
    """The names of a few tasks, and the last of them; there may be a hundred thousand."""
    names = [task.name for task in (tasks if len(tasks) <= 8 else (*tasks[:3], tasks[-1]))]
    return ", ".join(names) if len(tasks) <= 8 else f"{', '.join(names[:3])}, ... {names[-1]}"


def change_text(mask: Mask, change: FieldChange) -> str:
    """`path: old -> new`, both masked."""
    return str(_change(mask, change))


def _change(mask: Mask, change: FieldChange, note: str = "") -> Row:
    old, new = mask.both(change)
    name = change.name
    if all(_is_named(change.path, value) for value in (old, new) if value is not None):
        name += ".value"
        old, new = (None if value is None else value.get("value", "") for value in (old, new))
    same = ", changed" if old == new else ""  # both are secrets
    return Row(clean(name), _value(old), _value(new), same + note)


def leaves(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every scalar and list of a normalised object with its dotted path."""
    for name, item in value.items():
        where = (*path, name)
        if isinstance(item, Mapping) and item:
            yield from leaves(item, where)
        elif _is_named(where, item):
            yield ".".join((*where, "value")), ""
        else:
            yield ".".join(where), item


def _is_named(path: tuple[str, ...], item: Any) -> bool:
    """Whether it is an item of a list of named values, which has no other property. An empty value is left out of the
    normalised item."""
    return len(path) >= 2 and path[-2] in NAMED and isinstance(item, Mapping) and item.keys() <= {"value"}


def _value(value: Any) -> str:
    if value is None:
        return NOT_SET
    shown = isinstance(value, str) and value and value.isprintable()
    text = value if shown else clean(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
