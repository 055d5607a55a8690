"""Plans as Markdown, for a comment on a pull request: the summary first, then an object each to unfold.

A comment on GitHub holds 65,536 characters. What does not fit is left out by whole objects, and a line says how many;
what ends or replaces something is kept before what creates and changes. Everything that comes from manifests or from
the account stands in `<code>` or in a fenced block, where neither Markdown nor HTML nor a mention (@name, #12) has a
meaning; fences are longer than any run of backticks within.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

from reconciler.forecast import Forecast
from reconciler.lifecycle.wording import counted
from reconciler.model.secrecy import without_keys
from reconciler.planning import Entry, Plan
from reconciler.render.forecast import quota_lines
from reconciler.render.text import (
    NO_FORECAST,
    NOT_SET,
    Row,
    broken,
    changed,
    clean,
    heading,
    kind_of_change,
    remarks,
    rows,
    sentences,
    summary,
)

GITHUB: Final = 65_536
"""Characters of a comment (the API answers "Body is too long (maximum is 65536 characters)")."""
_NAMED: Final = 20
"""Objects that are named of those left out."""
_REST: Final = 600
"""Characters kept free for the line that says what was left out."""
_FENCE: Final = 20
"""Characters of a fence around lines without backticks, with what separates it."""
_WIDTH: Final = 100
"""Where sentences are broken: the column of a comment is about so wide."""


def plan_markdown(
    plan: Plan, target: str, forecast: Forecast = NO_FORECAST, told: str = "", limit: int = GITHUB
) -> str:
    """The plan as one Markdown document of at most *limit* characters. *told* is what else has to be read, such as why
    apply would stop: plain text, which is shown right behind the summary."""
    head = [
        f"### {summary(plan)}",
        f"Stack {_code(plan.stack)} on {_code(target)}. Digest: {_code(plan.digest)}",
    ]
    if told:
        head.append(_fenced(_lines(told, limit // 4)))
    if plan.has_changes and (quotas := quota_lines(forecast)):
        head.append(_fenced(["Quotas:", *quotas]))
    shown = _fitting([*_objects(plan, forecast), *_remarks(plan, forecast)], limit - _length("\n\n".join(head)))
    return "\n\n".join([*head, *shown]) + "\n"


@dataclass(frozen=True, slots=True)
class _Block:
    """A part that is shown whole or not at all. *rank*: lower ones are kept first. *is_line*: it shares a fence with
    the others under its title."""

    address: str
    title: str
    rank: int
    text: str
    is_line: bool = False


def _objects(plan: Plan, forecast: Forecast) -> Iterator[_Block]:
    for drift, title in ((True, "#### Changed behind our back (drift)"), (False, "#### Changes")):
        for entry in changed(plan):
            if entry.drift is drift:
                rank = 0 if kind_of_change(entry) in ("end", "replace") else 1
                yield _Block(entry.address, title, rank, _object(plan, entry, forecast))


def _remarks(plan: Plan, forecast: Forecast) -> Iterator[_Block]:
    for title, items in remarks(plan, forecast):
        if title == "Quotas:":
            continue  # behind the summary
        rank = 0 if title in ("Blocked:", "Unread:") else 2
        for item in items:
            yield _Block(item.partition(": ")[0].removeprefix("! "), f"#### {title[:-1]}", rank, item, is_line=True)


def _object(plan: Plan, entry: Entry, forecast: Forecast) -> str:
    head = heading(entry)
    source = f" ({_code(str(entry.wanted.source))})" if entry.wanted else ""
    lost = forecast.of(entry.key)
    cuts = f", {counted(lost.tasks.running, 'running task')} cut off" if lost.tasks and lost.tasks.running else ""
    title = f"{_code(head.symbol)} {_code(entry.address)}: {escape(head.word)}{escape(cuts)}{source}"
    said = (f"{label + ':':<8} {clean(without_keys(text))}" for label, text in sentences(plan, entry, forecast))
    lines = [part for line in said for part in broken(line, _WIDTH, 9).splitlines()]
    lines += [line for row in rows(entry) for line in _diff(row)]
    if entry.blocked:
        lines.append(f"! blocked: {clean(without_keys(str(entry.blocked)))}")
    return f"<details><summary>{title}</summary>\n\n{_fenced(lines, 'diff')}\n\n</details>"


def _diff(row: Row) -> Iterator[str]:
    """A row as a diff has it: what was in red, what will be in green."""
    if row.old == row.new:  # both are secrets
        yield f"! {row}"
        return
    if row.old not in (None, NOT_SET):
        yield f"- {row.name}: {row.old}"
    yield f"+ {row.name}: {row.new}{row.note}"


def _fitting(blocks: Sequence[_Block], room: int) -> list[str]:
    """Blocks under their titles, as many as there is room for, in their order."""
    budget = room - _REST
    kept: set[int] = set()
    titles: set[str] = set()
    for index in sorted(range(len(blocks)), key=lambda index: (blocks[index].rank, index)):
        block = blocks[index]
        cost = _length(block.text) + 2 * _longest_run(block.text) + 2
        cost += 0 if block.title in titles else _length(block.title) + _FENCE
        if cost <= budget:
            budget -= cost
            kept.add(index)
            titles.add(block.title)
    found: list[str] = []
    for title, group in groupby((blocks[index] for index in sorted(kept)), key=lambda block: block.title):
        parts = list(group)
        texts = [block.text for block in parts]
        found += [title, *([_fenced(texts)] if parts[0].is_line else texts)]
    left = [block for index, block in enumerate(blocks) if index not in kept]
    return [*found, _left_out(left)] if left else found


def _left_out(blocks: Sequence[_Block]) -> str:
    names = list(dict.fromkeys(block.address for block in blocks))
    listed, length = [], 0
    for name in names[:_NAMED]:
        length += _length(_code(name)) + 2
        if length > _REST - 200:
            break
        listed.append(_code(name))
    more = f" and {len(names) - len(listed)} more" if len(names) > len(listed) else ""
    what = f": {', '.join(listed)}{more}" if listed else ""
    return f"**{counted(len(names), 'object', 'is')} left out here, since a comment has no more room**{what}."


def _code(text: str) -> str:
    """A text in a line, as it is."""
    return f"<code>{escape(clean(text))}</code>"


def _fenced(lines: Sequence[str], language: str = "") -> str:
    text = "\n".join(lines)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _lines(text: str, room: int) -> list[str]:
    """The lines of a text, as many as fit."""
    shown: list[str] = []
    lines = [clean(without_keys(line)) for line in text.splitlines()]
    for number, line in enumerate(lines):
        room -= _length(line) + 1
        if room < 0:
            return [*shown, f"... and {counted(len(lines) - number, 'more line')}"]
        shown.append(line)
    return shown


def _length(text: str) -> int:
    """Characters as GitHub's browser code counts them: UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
