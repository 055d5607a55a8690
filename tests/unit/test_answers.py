"""The service's answers as values."""

from datetime import UTC, datetime

import pytest

from reconciler.azure.answers import evaluation_of, time_of
from reconciler.observed import Mark

OURS = datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("Thu, 01 Jan 2026 12:00:02 GMT", OURS),
        ("Thu, 01 Jan 2026 13:00:00 GMT", datetime(2026, 1, 1, 13, tzinfo=UTC)),
        ("yesterday", OURS),
        (None, OURS),
    ],
)
def test_times_are_those_of_the_service_where_the_clocks_disagree(date: str | None, time: datetime) -> None:
    assert time_of(date, OURS) == time


def test_a_bad_formula_is_told_by_its_error() -> None:
    values = [{"name": "Message", "value": "Line 1, Col 1: Undefined symbol: x"}]
    error = {"code": "AutoScalingFormulaEvaluationError", "message": "evaluation error", "values": values}
    told = "AutoScalingFormulaEvaluationError: Line 1, Col 1: Undefined symbol: x"
    assert evaluation_of({"timestamp": "t", "error": error}) == told
    assert evaluation_of({"results": "$TargetDedicatedNodes=2"}) == "$TargetDedicatedNodes=2"


@pytest.mark.parametrize("written", ["yesterday", "2026-13-01T00:00:00+00:00", "2026-01-01T00:00:00"])
def test_a_mark_with_a_time_that_is_none_is_read_without_it(written: str) -> None:
    mark = Mark.parse(f"v1;stack=s;written={written}")
    assert mark is not None
    assert mark.written == ""
