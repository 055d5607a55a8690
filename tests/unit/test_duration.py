"""ISO 8601 durations, as the service rewrites them (recorded values)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import duration


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("PT01H00M00S", "PT1H"),
        ("PT06M00S", "PT6M"),
        ("PT60M", "PT1H"),
        ("PT24H", "P1D"),
        ("P3Y6M4DT12H30M5S", "P1279DT12H30M5S"),
        ("P10675199DT2H48M5.4775807S", "P10675199DT2H48M5.4775807S"),
        ("PT1.50S", "PT1.5S"),
        ("P1W", "P7D"),
        ("PT0S", "PT0S"),
    ],
)
def test_a_duration_is_rewritten_as_the_service_rewrites_it(sent: str, returned: str) -> None:
    assert duration.canonical(sent) == returned


@pytest.mark.parametrize("text", ["", "P", "PT", "10m", "PT1", "P1H", "PT-1S", "pt1h", "PT1M1H", " PT1H"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        duration.ticks(text)


def test_the_maximum_means_no_limit_even_when_a_client_lost_its_last_digits() -> None:
    assert duration.is_unlimited("P10675199DT02H48M05.477539S")
    assert not duration.is_unlimited("P365D")


@given(st.integers(min_value=0, max_value=duration.LONGEST_TICKS))
def test_writing_a_duration_keeps_its_length(length: int) -> None:
    whole, fraction = divmod(length, duration.TICKS_PER_SECOND)
    text = f"PT{whole}.{fraction:07d}S"
    assert duration.ticks(duration.canonical(text)) == length


@pytest.mark.parametrize(
    ("text", "expected"),
    [("PT15M", "15 min"), ("PT1H30M", "1 h 30 min"), ("P2D", "2 days"), ("PT90S", "1 min 30 s"), ("PT5S", "5 s")],
)
def test_a_duration_as_people_say_it(text: str, expected: str) -> None:
    assert duration.words(text) == expected
