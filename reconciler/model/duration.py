"""ISO 8601 durations as the Batch service reads and writes them.

A year counts 365 days and a month 30 (recorded: `P3Y6M4DT12H30M5S` came back as `P1279DT12H30M5S`). The longest
time span is the service's way of saying "no limit" (`P10675199DT2H48M5.4775807S`, recorded for every unset
`maxWallClockTime`).
"""

import re
from typing import Final

TICKS_PER_SECOND: Final = 10_000_000
"""The service's resolution: 100 nanoseconds."""

LONGEST_TICKS: Final = 2**63 - 1
"""The longest time span of the service (.NET's TimeSpan.MaxValue)."""

UNLIMITED_TICKS: Final = 900_000 * 86_400 * TICKS_PER_SECOND
"""Anything this long means "no limit": clients lose the last digits of the maximum when they send it back."""

_PATTERN: Final = re.compile(
    r"P(?=\d|T\d)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)(?:\.(?P<fraction>\d{1,9}))?S)?)?",
    re.ASCII,
)
_SECONDS: Final = {
    "years": 365 * 86_400,
    "months": 30 * 86_400,
    "weeks": 7 * 86_400,
    "days": 86_400,
    "hours": 3_600,
    "minutes": 60,
    "seconds": 1,
}


def ticks(text: str) -> int:
    """Length of an ISO 8601 duration in ticks of 100 ns. Raises ValueError when *text* is none."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"an ISO 8601 duration such as PT10M or P1DT2H, not {text!r}")
    seconds = sum(int(match[name] or 0) * size for name, size in _SECONDS.items())
    fraction = (match["fraction"] or "").ljust(7, "0")[:7]
    length = seconds * TICKS_PER_SECOND + int(fraction)
    if length > LONGEST_TICKS:
        raise ValueError(f"a duration of at most P10675199DT2H48M5.4775807S, not {text!r}")
    return length


def is_unlimited(text: str) -> bool:
    """Whether the service would treat this duration as no limit at all."""
    return ticks(text) >= UNLIMITED_TICKS


def canonical(text: str) -> str:
    """The same duration as the service writes it: days, hours, minutes, seconds; zero is `PT0S`."""
    whole, fraction = divmod(ticks(text), TICKS_PER_SECOND)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    second = f"{seconds}.{fraction:07d}".rstrip("0") if fraction else str(seconds)
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    time += f"{second}S" if second != "0" else ""
    date = f"{days}D" if days else ""
    return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"


def words(text: str) -> str:
    """The same duration as people say it: `15 min`, `1 h 30 min`, `2 days`."""
    seconds = ticks(text) / TICKS_PER_SECOND
    return words_of(seconds)


def words_of(seconds: float) -> str:
    """So many seconds as people say them; parts of a second are left out above a minute."""
    if seconds < 60:
        return f"{seconds:g} s"
    parts = []
    rest = int(seconds)
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}")
    return " ".join(parts)
