"""When a stack may be changed: cron expressions in a time zone, also where its clocks are set forward or back."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.controller import windows
from reconciler.model.desired import Window

NIGHTS = Window("0 22 * * 1-5", 2 * 3600, "Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "moment, open_",
    [
        ("2026-01-05T20:59:59", False),  # Monday 21:59:59 in Berlin
        ("2026-01-05T21:00:00", True),
        ("2026-01-05T22:59:59", True),
        ("2026-01-05T23:00:00", False),
        ("2026-01-10T21:30:00", False),  # Saturday
        ("2026-07-06T20:00:00", True),  # in summer an hour earlier
        ("2026-07-06T21:59:59", True),
        ("2026-07-06T22:00:00", False),
    ],
)
def test_a_window_is_open_from_its_minute_on_for_its_length(moment: str, open_: bool) -> None:
    assert windows.is_open([NIGHTS], at(moment)) is open_


def test_a_window_over_midnight_is_open_on_the_next_day() -> None:
    assert windows.is_open([Window("0 23 * * *", 4 * 3600)], at("2026-01-06T02:59:00"))


def test_without_windows_changes_are_always_allowed() -> None:
    assert windows.is_open([], at("2026-01-06T02:59:00"))
    assert windows.words([], at("2026-01-06T02:59:00")) == ""


def test_one_open_window_of_several_is_enough() -> None:
    assert windows.is_open([NIGHTS, Window("0 3 * * *", 60)], at("2026-01-06T03:00:30"))


def test_a_night_in_which_the_clock_is_set_back_has_one_window() -> None:
    window = Window("30 2 * * *", 1800, "Europe/Berlin")
    opened = [
        minute
        for minute in range(0, 6 * 60, 5)
        if windows.is_open([window], at("2026-10-24T22:00:00") + timedelta(minutes=minute))
    ]
    assert len(opened) * 5 == 30


@pytest.mark.parametrize(
    "moment, said",
    [
        ("2026-01-05T20:00:00", "no changes before 2026-01-05 22:00 CET"),
        ("2026-01-05T21:30:00", "changes until 2026-01-06 00:00 CET"),
        ("2026-01-09T23:30:00", "no changes before 2026-01-12 22:00 CET"),
    ],
)
def test_it_is_said_until_when_or_from_when_on(moment: str, said: str) -> None:
    assert windows.words([NIGHTS], at(moment)) == said
