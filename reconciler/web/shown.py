"""How values become text on a page, and the one place where templates are rendered: nothing leaves it unmasked."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reconciler.model.secrecy import without_keys

GLYPHS: Final = {
    "Synced": ("=", "good"),
    "OutOfSync": ("≠", "warn"),
    "Blocked": ("!", "bad"),
    "Healthy": ("✓", "good"),
    "Progressing": ("↻", "info"),
    "Degraded": ("✗", "bad"),
    "Missing": ("?", "warn"),
    "InProgress": ("↻", "info"),
    "AwaitingApproval": ("…", "warn"),
    "Guarded": ("!", "bad"),
    "Failed": ("✗", "bad"),
    "InvalidManifests": ("✗", "bad"),
    "SourceUnavailable": ("✗", "bad"),
    "AccountUnavailable": ("✗", "bad"),
    "StoreUnavailable": ("✗", "bad"),
    "PassBroke": ("✗", "bad"),
    "Suspended": ("‖", "plain"),
    "Drift": ("≠", "warn"),
    "succeeded": ("✓", "good"),
    "failed": ("✗", "bad"),
    "running": ("↻", "info"),
    "active": ("…", "plain"),
    "add": ("+", "good"),
    "change": ("~", "warn"),
    "end": ("-", "bad"),
    "replace": ("±", "bad"),
}
"""A sign and a colour for each word that a badge shows; the word is always there too."""
LONGEST: Final = 4_000


@cache
def environment() -> Environment:
    """Templates with escaping on, undefined names as errors, and every expression without what looks like a key."""
    made = Environment(
        loader=PackageLoader("reconciler.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(when=when, segment=segment, badge=badge, lasted=lasted)
    return made


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) else without_keys(str(value))


def badge(word: str) -> tuple[str, str]:
    """The sign and the colour of a word."""
    return GLYPHS.get(word, ("·", "plain"))


def segment(text: str) -> str:
    """One part of a path of a URL."""
    return quote(text, safe="")


def moment_of(text: str) -> datetime | None:
    """A time of the service or ours; None where there is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def when(text: str) -> str:
    """A time as pages show it, UTC: `2026-01-02 03:04:05`; what is no time as it is."""
    found = moment_of(text)
    return found.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if found is not None else text


def lasted(seconds: float) -> str:
    """`850 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def between(start: str, end: str) -> str:
    """How long something took, empty where a time is missing."""
    began, ended = moment_of(start), moment_of(end)
    if began is None or ended is None or ended < began:
        return ""
    return lasted((ended - began) / timedelta(seconds=1))


def value_text(value: Any) -> str:
    """A masked value of a manifest or the account."""
    if value is None:
        return "(not set)"
    if isinstance(value, str):
        text = value if value.isprintable() or "\n" in value else json.dumps(value, ensure_ascii=False)
    else:
        text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text) - LONGEST} characters more)"
