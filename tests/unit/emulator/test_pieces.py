"""Small parts by themselves: times, durations, filters, signatures, conditions, ranges, rules of faults."""

from __future__ import annotations

import pytest

from reconciler.emulator import auth, faults, files, odata, times
from reconciler.emulator.errors import CATALOGUE, ServiceError


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("PT01H00M00S", "PT1H"),
        ("PT06M00S", "PT6M"),
        ("P3Y6M4DT12H30M5S", "P1279DT12H30M5S"),
        ("PT24H", "P1D"),
        ("P1D", "P1D"),
        ("P2W", "P14D"),
        ("PT0S", "PT0S"),
        ("P0D", "PT0S"),
        ("PT00.0015S", "PT0.0015S"),
        ("PT7M9.497S", "PT7M9.497S"),
        ("P10675199DT2H48M5.4775807S", "P10675199DT2H48M5.4775807S"),
    ],
)
def test_durations_are_rendered_as_the_service_does(sent, returned):
    assert times.render_span(times.parse_span(sent)) == returned


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "1H", "P1S", "PT1D", "-PT1S", "PT1.S", "P10675199DT2H48M5.4775808S", "P1DT", "PT1H ", "pt1h"],
)
def test_what_is_not_a_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        times.parse_span(text)


def test_times_have_seven_digits_at_most_and_no_trailing_zeros():
    for text in ("2026-01-22T22:58:01.6880667Z", "2020-11-25T00:26:32.439674Z", "2024-04-18T19:19:31Z"):
        whole = times.parse_iso(text[:-1].partition(".")[0] + "Z")
        digits = text[:-1].partition(".")[2]
        assert times.iso(whole + int(digits.ljust(7, "0") or 0)) == text
    assert times.http_date(times.parse_iso("2026-01-22T22:58:01Z")) == "Thu, 22 Jan 2026 22:58:01 GMT"
    assert times.parse_http_date("Thu, 22 Jan 2026 22:58:01 GMT") == times.parse_iso("2026-01-22T22:58:01Z")


def test_an_etag_is_the_tick_count_of_its_time():
    """The pair was recorded in January 2026: lastModified 2026-01-22T22:58:03.4323848Z, eTag 0x8DE5A09B2CF4988."""
    assert f"0x{times.parse_iso('2026-01-22T22:58:03Z') + 4323848:X}" == "0x8DE5A09B2CF4988"


def test_the_text_that_is_signed_is_the_documented_one():
    request = auth.Signed(
        "GET",
        "/jobs/j/tasks/t/files/wd%2Fa%20b%2Bc.txt",
        "api-version=2025-06-01&empty=",
        {"ocp-range": "bytes=0-3", "ocp-date": "Sun, 22 Nov 2026 04:42:28 GMT", "accept": "x"},
    )
    expected = (
        "GET\n" + "\n" * 11 + "ocp-date:Sun, 22 Nov 2026 04:42:28 GMT\nocp-range:bytes=0-3\n"
        "/acct/jobs/j/tasks/t/files/wd%2Fa%20b%2Bc.txt\napi-version:2025-06-01"
    )
    assert next(iter(auth.strings_to_sign(request, "acct"))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id eq 'A'", True),
        ("id ne 'a'", False),
        ("not_there eq 'a'", None),
        ("startswith(id,'a') and (state eq 'x' or executionInfo/exitCode ge -1)", True),
        ("executionInfo/endTime eq DateTime'2020-01-01T00:00:00Z'", False),
        ("executionInfo/endTime ne DateTime'2020-01-01T00:00:00Z'", True),
        ("id eq 'it''s'", False),
        ("id eq 'a' or", None),
        ("id eq 'a' 'b'", None),
        ("eq eq eq", None),
        ("()", None),
        ("id", None),
        ("startswith(state,'a')", None),
        ("executionInfo/exitCode eq '0'", None),
    ],
)
def test_filters(text, expected):
    item = {"id": "a", "state": "completed", "executionInfo": {"exitCode": 0}}
    if expected is None:
        with pytest.raises(ServiceError) as refused:
            odata.compile_filter(text, odata.FIELDS["tasks"])
        assert refused.value.code == "InvalidQueryParameterValue"
    else:
        test = odata.compile_filter(text, odata.FIELDS["tasks"])
        assert test is not None
        assert test(item) is expected


def test_a_skip_token_survives_being_decoded_and_encoded_again():
    for key in ("a", "ä/ü", "x" * 300, "+/="):
        token = odata.make_token(key)
        assert odata.read_token(token) == key
        assert not set(token) & set("+/=& ")


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [(None, 5, (0, 5)), ("bytes=0-0", 5, (0, 1)), ("bytes=-9", 5, (0, 5)), ("bytes=3-", 5, (3, 2)), (None, 0, (0, 0))],
)
def test_ranges(text, size, expected):
    assert files.read_range(text, size) == expected


def test_every_code_has_a_status_and_one_line_of_text():
    for code, (status, message) in CATALOGUE.items():
        assert code.isidentifier()
        assert 400 <= status <= 599
        assert "\n" not in message


def test_a_rule_lets_pass_what_it_skips_and_ends_when_it_is_used_up():
    rules = faults.Faults()
    rules.install(faults.parse([{"kind": "status", "method": "get", "path": "^/a", "skip": 1, "times": 2}]))
    hits = [rules.next("GET", "/abc") is not None for _ in range(4)]
    assert hits == [False, True, True, False]
    assert rules.next("POST", "/abc") is None


@pytest.mark.parametrize(
    "text", ["2039-11-24T13:28:46.1234567Z", "2039-11-24T13:28:46.0000001Z", "2039-11-24T13:28:46Z"]
)
def test_a_time_keeps_its_seven_digits(text: str) -> None:
    assert times.iso(times.parse_iso(text)) == text
