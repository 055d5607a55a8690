"""Times and durations as the service writes them. Called everywhere in the emulator.

A time is an int: ticks of 100 ns since the year 1, because the service's ETags are such tick counts in hex
(INFERRED from R26). A duration is an int of the same ticks.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol

SECOND = 10_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
UNIX_EPOCH = 621_355_968_000_000_000
MAX_SPAN = 2**63 - 1  # rendered P10675199DT2H48M5.4775807S, the service's "no limit" (R26)

_SPAN = re.compile(
    r"(?P<sign>-)?P(?:(?P<years>\d{1,9})Y)?(?:(?P<months>\d{1,9})M)?(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?:(?P<hours>\d{1,12})H)?(?:(?P<minutes>\d{1,12})M)?(?:(?P<seconds>\d{1,12})(?:\.(?P<fraction>\d{1,20}))?S)?)?",
    re.ASCII,
)
_SEVENTH_DIGIT = re.compile(r"[.,]\d{6}(\d)", re.ASCII)
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where the engine's caller takes the time from."""

    def now(self) -> int: ...


class WallClock:
    """The machine's clock in ticks; never goes back, so that later changes have later times."""

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        self._last = max(self._last, from_unix_ns(time.time_ns()))
        return self._last


def from_unix_ns(nanoseconds: int) -> int:
    return UNIX_EPOCH + nanoseconds // 100


@lru_cache(65_536)
def iso(ticks: int) -> str:
    """UTC with up to seven fraction digits, trailing zeros cut (R26)."""
    whole, fraction = divmod(ticks, SECOND)
    text = (_YEAR_ONE + timedelta(seconds=whole)).isoformat()[:19]
    digits = f"{fraction:07d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def parse_iso(text: str) -> int:
    """Ticks of an ISO 8601 time; without an offset it is UTC. ValueError if it is none."""
    moment = datetime.fromisoformat(text)
    seventh = _SEVENTH_DIGIT.search(text)  # Python keeps six, the service seven (R26)
    ticks = int(seventh[1]) if seventh else 0
    return _ticks(moment if moment.tzinfo else moment.replace(tzinfo=UTC)) + ticks


def http_date(ticks: int) -> str:
    moment = _YEAR_ONE + timedelta(seconds=ticks // SECOND)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year:04d} {moment:%H:%M:%S} GMT"


def parse_http_date(text: str) -> int:
    """Ticks of an RFC 1123 date. ValueError if it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"not a date: {text[:40]}") from error
    return _ticks(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _ticks(moment: datetime) -> int:
    try:
        span = moment.astimezone(UTC) - _YEAR_ONE
    except OverflowError as error:
        raise ValueError("time out of range") from error
    return (span.days * 86_400 + span.seconds) * SECOND + span.microseconds * 10


@lru_cache(4096)
def parse_span(text: str) -> int:
    """Ticks of an ISO 8601 duration; a year counts 365 days, a month 30 (R24c:jobs_and_tasks). ValueError if bad."""
    match = _SPAN.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise ValueError("not an ISO 8601 duration")
    part = {name: int(value) for name, value in match.groupdict().items() if value and value.isdigit()}
    days = part.get("years", 0) * 365 + part.get("months", 0) * 30 + part.get("weeks", 0) * 7 + part.get("days", 0)
    seconds = part.get("hours", 0) * 3600 + part.get("minutes", 0) * 60 + part.get("seconds", 0)
    fraction = int((match["fraction"] or "0").ljust(7, "0")[:7])
    ticks = days * DAY + seconds * SECOND + fraction
    if match["sign"] and ticks:
        raise ValueError("a negative duration")
    if ticks > MAX_SPAN:
        raise ValueError("duration out of range")
    return ticks


@lru_cache(4096)
def render_span(ticks: int) -> str:
    """The service's form: days, hours, minutes, seconds, no weeks, zero parts left out (R26, R20)."""
    days, rest = divmod(ticks, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds, fraction = divmod(rest, SECOND)
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if seconds or fraction:
        clock += f"{seconds}" + (f".{fraction:07d}".rstrip("0") if fraction else "") + "S"
    text = "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")
    return text if text != "P" else "PT0S"
