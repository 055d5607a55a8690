"""What `reconciler explain` prints: a field of the table, or an object of a plan."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from reconciler.diff import FieldChange
from reconciler.guards import Guard
from reconciler.lifecycle.rules import basis_of
from reconciler.lifecycle.steps import Blocked, Wait
from reconciler.model.reference import CHANGES, Explained
from reconciler.planning import Entry, Plan
from reconciler.render.guards import guards_document, guards_text
from reconciler.render.mask import Mask
from reconciler.render.text import Paint, change_text, plain, road_text, step_text
from reconciler.status import health, sync

WIDTH: Final = 100
_FACTS: Final = 10
"""Columns of the names of facts."""


def field_text(field: Explained, paint: Paint = plain) -> str:
    """One field, and what is below it."""
    required = ", required" if field.required else ""
    sections = [f"{paint(field.path, 'bold')}  ({field.type}{required})"]
    words = [text for text in (field.meaning, field.about, field.rule) if text]
    sections += [_wrapped(text, "  ") for text in words]
    facts = (
        ("default", field.default or ("" if field.fields or field.required else "none")),
        ("limits", field.limits),
        ("change", field.change),
        ("returned", field.returned),
        ("read-only", ", ".join(field.read_only)),
    )
    lines = [_fact(name, text) for name, text in facts if text]
    sections += ["\n".join(lines)] if lines else []
    if field.fields:
        sections.append("\n".join([paint("fields", "bold"), *_listing(field)]))
    return "\n\n".join(sections)


def _listing(field: Explained) -> Iterator[str]:
    """Name, type and meaning of each; names of required ones have a star."""
    names = [f"{'  ' * line.depth}{line.name}{' *' if line.required else ''}" for line in field.fields]
    width = max(map(len, names))
    for name, line in zip(names, field.fields, strict=True):
        yield f"  {name:<{width}}  {line.type}"
        if line.meaning:
            yield _wrapped(line.meaning, "      " + "  " * line.depth)
    if any(line.required for line in field.fields):
        yield "  (* required)"


def field_json(field: Explained) -> str:
    """The same for programs."""
    return json.dumps(asdict(field), indent=2, ensure_ascii=False)


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _fact(name: str, text: str) -> str:
    first, rest = f"  {name + ':':<{_FACTS}} ", " " * (_FACTS + 3)
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a plan with its consent would do with the object."""

    consent: str
    entry: Entry


def object_text(
    plan: Plan,
    entry: Entry,
    state: str,
    guards: Sequence[Guard] = (),
    allowed: Allowed | None = None,
    paint: Paint = plain,
) -> str:
    """Why this step, wait or block: *state* says in a line what the account holds, *guards* are those at work on it."""
    sections = [_head(entry, state, paint), "\n".join(_step(plan, entry))]
    differences = list(_differences(entry))
    if differences:
        sections.append("\n".join([paint("Differences:", "bold"), *differences]))
    if guards:
        sections.append(guards_text(guards, paint=paint))
    if allowed is not None:
        lines = [f"  {allowed.consent}", _fact("then", _road(allowed.entry))]
        sections.append("\n".join([paint("What would allow it:", "bold"), *lines]))
    problems = [f"  ! {text}" for text in health(entry.live)[1]]
    if problems:
        sections.append("\n".join([paint("Problems:", "bold"), *problems]))
    if entry.notes:
        sections.append("\n".join([paint("Notes:", "bold"), *(f"  {note}" for note in entry.notes)]))
    return "\n\n".join(sections)


def _head(entry: Entry, state: str, paint: Paint) -> str:
    source = f"  ({entry.wanted.source})" if entry.wanted else "  (no manifest declares it)"
    lines = [f"{paint(entry.address, 'bold')}{paint(source, 'dim')}"]
    lines.append(_fact("state", state))
    lines.append(_fact("sync", f"{sync(entry)}{', changed behind our back (drift)' if entry.drift else ''}"))
    lines.append(_fact("health", str(health(entry.live)[0])))
    if entry.live is not None:
        mark = entry.live.mark
        lines.append(_fact("owner", f"stack '{mark.stack}'" if mark else "none: it carries no mark"))
    return "\n".join(lines)


def _step(plan: Plan, entry: Entry) -> Iterator[str]:
    """What the plan answers now, why, on which rule, and what comes after it."""
    yield _fact("now", _now(entry))
    if why := _why(entry):
        yield _fact("why", why)
    if rule := basis_of(entry.step, entry.live):
        yield _fact("rule", rule.text)
        if rule.source:
            yield _fact("source", rule.source)
    if entry.actions:
        yield _fact("road", _road(entry))
    for other in _before(plan, entry):
        yield _fact("after", f"{other.address}: {step_text(other.step)}")
    if (blocked := entry.blocked) is not None and blocked is not entry.step:
        yield _fact("blocked", f"further on: {blocked}")


def _now(entry: Entry) -> str:
    match entry.step:
        case Wait(bound=bound) as wait:
            return f"wait for {wait.until}; {f'at most: {bound}' if bound else 'how long is not known'}"
        case Blocked():
            return "blocked: a person must act"
    return step_text(entry.step) if entry.actions else "nothing to do"


def _why(entry: Entry) -> str:
    return getattr(entry.step, "reason", "")


def _road(entry: Entry) -> str:
    text = road_text(entry.road)
    return text if entry.blocked is None else f"{text}: {entry.blocked}"


def _before(plan: Plan, entry: Entry) -> tuple[Entry, ...]:
    """What has to come first, or to end."""
    on = entry.step.on if isinstance(entry.step, Wait) else frozenset()
    first = {other.key for other in plan.waits_for(entry.key)}
    return tuple(plan.entries[key] for key in sorted(first | on) if key in plan.entries)


def _differences(entry: Entry) -> Iterator[str]:
    mask = Mask.of(entry)
    for row in entry.difference.fields:
        yield f"  {change_text(mask, row)}"
        implicit = "; no line of the manifest speaks of it, so it is to have its default" if row.implicit else ""
        yield f"      {row.kind}: {CHANGES[row.kind]}{implicit}"


def object_json(
    plan: Plan, entry: Entry, target: str, guards: Sequence[Guard] = (), allowed: Allowed | None = None
) -> str:
    """The same for programs; the names are those of a JSON plan."""
    rule, mask = basis_of(entry.step, entry.live), Mask.of(entry)
    found, problems = health(entry.live)
    wait, blocked = entry.step if isinstance(entry.step, Wait) else None, entry.blocked
    document: dict[str, Any] = {
        "kind": "Explanation",
        "target": target,
        "address": entry.address,
        "source": str(entry.wanted.source) if entry.wanted else None,
        "state": entry.live.state if entry.live else None,
        "owner": entry.live.mark.stack if entry.live and entry.live.mark else None,
        "sync": sync(entry),
        "health": found,
        "problems": list(problems),
        "drift": entry.drift,
        "step": step_text(entry.step),
        "reason": _why(entry) or None,
        "rule": {"text": rule.text, "source": rule.source or None} if rule else None,
        "wait": {"until": wait.until, "bound": wait.bound or None} if wait else None,
        "road": [step_text(step) for step in entry.road],
        "after": [other.address for other in _before(plan, entry)],
        "differences": [_difference(mask, row) for row in entry.difference.fields],
        "blocked": {"reason": blocked.reason, "consent": blocked.consent or None} if blocked else None,
        "guards": guards_document(guards),
        "allowed": {"consent": allowed.consent, "road": [step_text(step) for step in allowed.entry.road]}
        if allowed
        else None,
        "notes": list(entry.notes),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _difference(mask: Mask, row: FieldChange) -> dict[str, Any]:
    before, after = mask.both(row)
    return {"path": row.name, "before": before, "after": after, "kind": row.kind, "implicit": row.implicit}
