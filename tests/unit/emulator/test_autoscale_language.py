"""The formula language: what each construct gives, what each mistake says, and that nothing runs away."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator import autoscale
from reconciler.emulator.autoscale import METRICS, FormulaError, Inputs, Metric
from reconciler.emulator.times import MINUTE, SECOND, parse_iso

MONDAY = parse_iso("2026-01-05T10:20:30.5Z")


def samples(*values: float) -> list[tuple[int, float]]:
    """One every 30 seconds, the last a minute ago."""
    return [(MONDAY - MINUTE - 30 * SECOND * back, float(value)) for back, value in enumerate(reversed(values))][::-1]


def evaluate(formula: str, *values: float, rounding: str = "down", **metrics: Metric) -> autoscale.Outcome:
    known = {name: Metric(7.0, samples(*values)) for name in METRICS}
    known |= {f"${name}": metric for name, metric in metrics.items()}
    inputs = Inputs(MONDAY, 2, 1, known, lambda: 0.25, rounding=rounding)
    return autoscale.evaluate(autoscale.parse(formula), inputs)


def value(expression: str, *values: float) -> str:
    """The value of the expression as results print it."""
    outcome = evaluate(f"x = {expression}", *values)
    assert outcome.error is None, outcome.error
    return outcome.results.split(";x=")[1]


def mistake(formula: str, *values: float) -> str:
    try:
        outcome = evaluate(formula, *values)
    except FormulaError as error:
        return str(error)
    assert outcome.error is not None, outcome.results
    assert (outcome.dedicated, outcome.low_priority) == (2, 1)
    return str(outcome.error)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3 - 4 / 8", "6.5"),
        ("(1 + 2) * 3", "9"),
        ("10 - 3 - 2", "5"),
        ("-2 - -3", "1"),
        ("!0 + !5", "1"),
        ("1 < 2", "1"),
        ("2 <= 1", "0"),
        ("1 == 1 && 2 != 2", "0"),
        ("0 || 3", "1"),
        ("1 || 0 && 0", "1"),
        ("0 ? 1 : 0.5 ? 2 : 3", "2"),
        ('"a" < "b"', "1"),
        ("[1,2,3] * 2", "[2,4,6]"),
        ("[1,2] - [3,5]", "[-2,-3]"),
        ("1 / 0", "inf"),
        ("96.66666667", "96.6667"),
        ("1234567", "1.23457e+06"),
        ("1.5e2", "150"),
    ],
)
def test_operators_give_what_the_table_says(expression, expected):
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("avg(1, [2,3])", "2"),
        ("len(1, [2,3])", "3"),
        ("len()", "0"),
        ("lg(8)", "3"),
        ("lg(vec(8))", "[3]"),
        ("ln([1,1])", "[0,0]"),
        ("log(1000)", "3"),
        ("max(0, [])", "0"),
        ("min(25, [30, 3])", "3"),
        ("norm(3, 4)", "5"),
        ("percentile([9,1,5], 50)", "5"),
        ("percentile([9,1,5], 100)", "9"),
        ("percentile([9,1,5], 0)", "1"),
        ("rand()", "0.25"),
        ("range(3, [10])", "7"),
        ("std(1, 2, 3)", "1"),
        ("std(1.7e308, -1.7e308)", "inf"),
        ("sum([])", "0"),
        ("val([4,5,6], 2)", "6"),
        ("round(2.5) + round(-2.5)", "0"),
        ("ceil(1.2) + floor(1.8)", "3"),
        ("time()", "2026-01-05T10:20:30.500Z"),
        ('time("")', "2026-01-05T10:20:30.500Z"),
        ('time("2026")', "2026-01-01T00:00:00.000Z"),
        ('time("2026-02-03T04:05+01:00")', "2026-02-03T03:05:00.000Z"),
        ('time("2026-02-03T04:05:06.1234567Z")', "2026-02-03T04:05:06.123Z"),
        ('time("Mon, 05 Jan 2026 09:00:00 GMT")', "2026-01-05T09:00:00.000Z"),
    ],
)
def test_functions_give_what_the_table_says(expression, expected):
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2 * TimeInterval_Minute + TimeInterval_Second", "PT2M1S"),
        ("TimeInterval_Hour / 2", "PT30M"),
        ("-TimeInterval_Day", "-P1D"),
        ("TimeInterval_Week - TimeInterval_Zero", "P7D"),
        ("TimeInterval_Millisecond == 1000 * TimeInterval_Microsecond", "1"),
        ("TimeInterval_Microsecond == 10 * TimeInterval_100ns", "1"),
        ("TimeInterval_Year", "P365D"),
        ("time() + TimeInterval_Hour", "2026-01-05T11:20:30.500Z"),
        ('time() - time("2026-01-05T10:00:00Z")', "PT20M30.5S"),
        ("time() >= time()", "1"),
        ("time().year + time().month + time().day", "2032"),
        ("time().weekday", "1"),
        ('time("2026-01-04").weekday', "0"),
        ("time().hour * 10000 + time().minute * 100 + time().second", "102030"),
    ],
)
def test_times_are_computed_with(expression, expected):
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$RunningTasks.GetSample(1)", "[5]"),
        ("$RunningTasks.GetSample(3)", "[3,4,5]"),
        ("$RunningTasks.GetSample(99)", "[1,2,3,4,5]"),
        ("$RunningTasks.GetSample(2 * TimeInterval_Minute)", "[4,5]"),
        ("$RunningTasks.GetSample(1 * TimeInterval_Minute, 2 * TimeInterval_Minute)", "[4,5]"),
        ("$RunningTasks.GetSample(2 * TimeInterval_Minute, 1 * TimeInterval_Minute, 100)", "[4,5]"),
        ("$RunningTasks.GetSample(time() + -2 * TimeInterval_Minute, 50)", "[4,5]"),
        ("$RunningTasks.GetSamplePercent(2 * TimeInterval_Minute)", "50"),
        ("$RunningTasks.GetSamplePercent(TimeInterval_Minute, 2 * TimeInterval_Minute)", "100"),
        ("$RunningTasks.GetSamplePeriod()", "PT30S"),
        ("$RunningTasks.Count()", "5"),
        ("$RunningTasks.HistoryBeginTime()", "2026-01-05T10:17:30.500Z"),
        ("$CurrentDedicatedNodes * 2", "14"),
        ("$CurrentDedicated", "7"),
        ("$TargetDedicatedNodes + $TargetLowPriority", "3"),
        ("$NodeDeallocationOption", "requeue"),
    ],
)
def test_samples_are_read_in_every_documented_form(expression, expected):
    assert value(expression, 1, 2, 3, 4, 5) == expected


def test_every_documented_variable_can_be_read():
    for name in METRICS:
        assert value(f"avg({name}.GetSample(2))", 1, 3) == "2"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("$TargetDedicatedNodes = 4", (4, 1, "requeue")),
        ("$TargetLowPriorityNodes = 4; $NodeDeallocationOption = taskcompletion", (2, 4, "taskcompletion")),
        ('$NodeDeallocationOption = "retaineddata"', (2, 1, "retaineddata")),
        ("$TargetDedicated = 4; $TargetLowPriority = 5", (4, 5, "requeue")),
        ("$TargetDedicatedNodes = 4; $TargetDedicated = 9", (4, 1, "requeue")),
        ("$TargetDedicatedNodes = 3; $TargetDedicatedNodes = $TargetDedicatedNodes + 1", (4, 1, "requeue")),
        ("$TargetDedicatedNodes = 2.9", (2, 1, "requeue")),
        ("$TargetDedicatedNodes = 4; stop(); $TargetDedicatedNodes = 9", (4, 1, "requeue")),
        ("// nothing\n/* at\nall */", (2, 1, "requeue")),
        ("", (2, 1, "requeue")),
    ],
)
def test_targets_come_from_the_written_variables(formula, expected):
    outcome = evaluate(formula)
    assert outcome.error is None
    assert (outcome.dedicated, outcome.low_priority, outcome.option) == expected


@pytest.mark.parametrize(("rounding", "expected"), [("down", 2), ("nearest", 3), ("up", 3)])
def test_a_fraction_of_a_node_is_rounded_as_the_switch_says(rounding, expected):
    assert evaluate("$TargetDedicatedNodes = 2.5", rounding=rounding).dedicated == expected


def test_statements_end_at_semicolons_and_at_line_ends():
    outcome = evaluate("a = 1 +\n  2\r\nb = a // three\n$c = b;; $TargetDedicatedNodes = $c\n")
    assert (
        outcome.results
        == "$TargetDedicatedNodes=3;$TargetLowPriorityNodes=1;$NodeDeallocationOption=requeue;$c=3;a=3;b=3"
    )


def test_what_is_not_chosen_is_not_evaluated():
    assert value("1 ? 2 : nobody") == "2"
    assert value("0 && nobody") == "0"
    assert value("1 || nobody") == "1"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("something_useless", "Line 1, Col 1: Undefined symbol: something_useless"),
        ("a = 1;\n  b = $c", "Line 2, Col 7: Undefined symbol: $c"),
        ("a = foo(1)", "Line 1, Col 5: Undefined symbol: foo"),
        ("/* two\nlines */ x", "Line 2, Col 10: Undefined symbol: x"),
        (
            "$RunningTasks.GetSample(10 * TimeInterval_Second, 0 * TimeInterval_Second, 100);",
            "Line 1, Col 24: Insufficient data from data set: $RunningTasks wanted 100%, received 0%",
        ),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_service(formula, expected):
    """R20n; the place in the last one is that of the .NET SDK's own example."""
    assert mistake(formula) == expected


@pytest.mark.parametrize(
    ("formula", "place"),
    [
        ("1 +", "Line 1, Col 4"),
        ("a = (1", "Line 1, Col 7"),
        ("a = 1 b = 2", "Line 1, Col 7"),
        ('a = "x', "Line 1, Col 5"),
        ("/* x", "Line 1, Col 1"),
        ("a = 1 # 2", "Line 1, Col 7"),
        ("a = 1 ? 2", "Line 1, Col 10"),
        ("a = $", "Line 1, Col 5"),
        ("a = max(1,)", "Line 1, Col 11"),
        ("a = {1}", "Line 1, Col 5"),
        ("(" * 5000, "Line 1, Col 41"),
        ("-" * 5000 + "1", "Line 1, Col 40"),
        ("a" + ".b" * 3000, "Line 1, Col 80"),
        ("x" * 8193, "Line 1, Col 1"),
        ("x=1;" * 101, "Line 1, Col 401"),
    ],
)
def test_what_is_not_of_the_language_is_refused_before_anything_runs(formula, place):
    with pytest.raises(autoscale.FormulaSyntaxError) as refused:
        autoscale.parse(formula)
    assert str(refused.value).startswith(f"{place}: ")


@pytest.mark.parametrize(
    "formula",
    [
        "a = 1 + TimeInterval_Minute",
        "a = time() - TimeInterval_Minute",
        "a = 2 - [1]",
        "a = [1] > 0",
        "a = [1] + [1,2]",
        'a = "x" + "y"',
        'a = "x" ? 1 : 2',
        "a = time() && 1",
        "a = ![1]",
        "a = time().century",
        "a = 5 .hour",
        "a = avg([])",
        "a = std(1)",
        "a = val([1], 1)",
        "a = percentile([1], 101)",
        'a = max("x")',
        "a = rand(1)",
        'a = time("yesterday")',
        'a = time("2026-13-01")',
        'a = time("2026-01-01T00:00:00.123456789Z")',
        "a = 1e30 * TimeInterval_Year",
        "a = time() + 9000 * TimeInterval_Year",
        "a = TimeInterval_Day / 0",
        "a = $RunningTasks.Foo()",
        "a = b.Count()",
        "a = $RunningTasks.GetSample()",
        "a = $RunningTasks.GetSample(-1)",
        "a = $RunningTasks.GetSample(1, 2, 3, 4)",
        'a = $RunningTasks.GetSample("x")',
        "a = $RunningTasks.HistoryBeginTime()",
        "$PendingTasks = 3",
        "TimeInterval_Day = 3",
        "$TargetDedicatedNodes = [1]",
        "$TargetDedicatedNodes = -1",
        "$TargetDedicatedNodes = 1 / 0",
        "$TargetDedicatedNodes = 0 / 0",
        '$NodeDeallocationOption = "never"',
        "$TargetDedicatedNodes = 9; nobody",
    ],
)
def test_a_wrong_operand_ends_the_evaluation_and_leaves_the_targets(formula):
    assert mistake(formula).startswith("Line 1, Col ")


@pytest.mark.parametrize(
    "formula",
    [
        "a = [1];" + "a = vec(a, a);" * 99,
        "a = vec($RunningTasks.GetSample(9999));" + "b = vec(" + ",".join(["a"] * 3000) + ");",
        "a = 1" + "+1" * 4000,
        "a = " + "1?" * 35 + "1" + ":1" * 35,
        "a = " + "||".join(["0"] * 2700),
    ],
)
def test_no_formula_runs_away(formula):
    begin = time.process_time()
    evaluate(formula, *[1.0] * 2880)
    assert time.process_time() - begin < 2


_PIECES = st.sampled_from(
    [
        *("$TargetDedicatedNodes", "$PendingTasks", "a", "b", "$c", "std", "time", "vec", "val", "stop", "rand", "."),
        *("GetSample", "GetSamplePercent", "TimeInterval_Minute", "(", ")", "[", "]", ",", ";", "\n", "=", "==", "?"),
        *(":", "+", "-", "*", "/", "!", "<", "&&", "||", "1", "0", "1e308", '"x"', "//", "/*", "*/", " ", "$", "é"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(_PIECES, max_size=30).map("".join), st.text(max_size=60)))
def test_any_text_gives_targets_or_a_mistake_with_its_place(formula):
    try:
        outcome: Any = evaluate(formula, 1, 2, 3)
    except FormulaError as error:
        assert str(error).startswith("Line ")
        return
    assert outcome.results.startswith(f"$TargetDedicatedNodes={outcome.dedicated};")
    assert math.isfinite(outcome.dedicated)


def test_the_documented_example_for_pending_tasks_works():
    """D: "Pending tasks"; the results have the form seen in the wild (G: autoScaleRun of 2020)."""
    formula = """startingNumberOfVMs = 1;
maxNumberofVMs = 25;
pendingTaskSamplePercent = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
pendingTaskSamples = pendingTaskSamplePercent < 70 ? startingNumberOfVMs :
    avg($PendingTasks.GetSample(180 * TimeInterval_Second));
$TargetDedicatedNodes=min(maxNumberofVMs, pendingTaskSamples);
$NodeDeallocationOption = taskcompletion;"""
    assert evaluate(formula, 0, 0).results == (
        "$TargetDedicatedNodes=1;$TargetLowPriorityNodes=1;$NodeDeallocationOption=taskcompletion;"
        "maxNumberofVMs=25;pendingTaskSamplePercent=33.3333;pendingTaskSamples=1;startingNumberOfVMs=1"
    )
