"""Change windows: when a stack may be changed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from reconciler.model.desired import Window


def opening(window: Window, at: datetime) -> datetime | None:
    """When the window opened that is open *at*; None when it is closed."""
    zone = ZoneInfo(window.zone)
    # What begins at this very minute counts: cronsim looks at what lies before a time, without it.
    last = next(CronSim(window.cron, at.astimezone(zone) + timedelta(minutes=1), reverse=True), None)
    while last is not None and last.astimezone(UTC) > at:
        last = next(CronSim(window.cron, last, reverse=True), None)
    if last is None or at >= last.astimezone(UTC) + timedelta(seconds=window.seconds):
        return None
    return last


def is_open(windows: Sequence[Window], at: datetime) -> bool:
    """Whether changes may begin; without any window they always may."""
    return not windows or any(opening(window, at) is not None for window in windows)


def next_opening(windows: Sequence[Window], at: datetime) -> datetime | None:
    """When one of the windows opens next, in its own zone."""
    return min(_openings(windows, at), default=None)


def _openings(windows: Sequence[Window], at: datetime) -> Iterator[datetime]:
    for window in windows:
        coming = next(CronSim(window.cron, at.astimezone(ZoneInfo(window.zone))), None)
        if coming is not None:
            yield coming


def closing(windows: Sequence[Window], at: datetime) -> datetime | None:
    """When the last of the windows that are open closes."""
    ends = (
        opened + timedelta(seconds=window.seconds) for window in windows if (opened := opening(window, at)) is not None
    )
    return max(ends, default=None)


def words(windows: Sequence[Window], at: datetime) -> str:
    """`changes until 2026-01-05 23:00 CET`, `no changes before 2026-01-06 22:00 CET`; empty without windows."""
    if not windows:
        return ""
    if (end := closing(windows, at)) is not None:
        return f"changes until {_shown(end)}"
    coming = next_opening(windows, at)
    return f"no changes before {_shown(coming)}" if coming is not None else "no changes: no window ever opens"


def _shown(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M %Z")
