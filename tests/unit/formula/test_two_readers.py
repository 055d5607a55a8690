"""The reader of formulas against the emulator's, which shares no code with it: generated formulas, one verdict.

What the reader passes the emulator parses and runs without a mistake that types tell; what it refuses the emulator
refuses too, unless the mistake stands where that run did not come by. And no run goes below the least targets.
"""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler import formula
from reconciler.emulator import autoscale
from reconciler.emulator.autoscale import METRICS, FormulaError, Inputs, Metric
from reconciler.emulator.times import MINUTE, SECOND, parse_iso
from reconciler.formula.syntax import parse

NOW = parse_iso("2026-01-05T10:20:30Z")
# Templates by type; a placeholder is filled with an expression of that type, now and then of another one.
TEMPLATES = {
    "double": [
        *("0", "1", "2.5", "70", ".5", "x", "$PendingTasks", "$CPUPercent", "$TargetDedicatedNodes", "rand()"),
        *("{double} + {double}", "{double} - {double}", "{double} * {double}", "{double} / {double}", "-{double}"),
        *("{double} < {double}", "{double} <= {double}", "{string} == {string}", "{timestamp} != {timestamp}"),
        *("{interval} >= {interval}", "{double} > {double}", "{double} == {double}", "!{double}", "({double})"),
        *("({double} && {double})", "({double} || {double})", "({double} ? {double} : {double})"),
        *("avg({vector})", "len({double}, {vector})", "max({double}, {vector})", "min({double}, {double})"),
        *("norm({vector})", "range({vector})", "std({vector})", "sum({vector}, {double})", "lg({double})"),
        *("ln({double})", "log({double})", "ceil({double})", "floor({double})", "round({double})"),
        *("percentile({vector}, {double})", "val({vector}, 0)", "({timestamp}).hour", "({timestamp}).weekday"),
        *("$ActiveTasks.Count()", "$ActiveTasks.GetSamplePercent({interval})"),
        *("$DiskBytes.GetSamplePercent({timestamp}, {interval})", "max({double}, min({double}, {double}))"),
    ],
    "vector": [
        *("[]", "[1, 2]", "v", "[{double}, {vector}]", "vec({double})", "({vector} + {double})"),
        *("({vector} * {vector})", "lg({vector})", "round({vector}, 1)", "$PendingTasks.GetSample({double})"),
        *("$CPUPercent.GetSample({interval})", "$CPUPercent.GetSample({interval}, 0)"),
        *("$CPUPercent.GetSample({timestamp}, {interval}, 0)", "({double} ? {vector} : {vector})"),
    ],
    "string": ['"a"', "requeue", '"2026-01-05"', "({double} ? {string} : {string})"],
    "timestamp": [
        *("time()", 'time("2026-01-05T08:00:00Z")', "t", "({interval} + {timestamp})", "({timestamp} + {interval})"),
    ],
    "interval": [
        *("TimeInterval_Minute", "TimeInterval_Hour * {double}", "{double} * TimeInterval_Second", "-{interval}"),
        *("({interval} / {double})", "({interval} + {interval})", "({interval} - {interval})"),
        *("({timestamp} - {timestamp})", "$ActiveTasks.GetSamplePeriod()"),
    ],
}
WRONG = (
    *("nowhere", "$Pending", "maximum(1)", "time().hours", "$CPUPercent.Sample(1)", "max()", "rand(1)", "requeue.hour"),
    *('time("never")', "[1] - time()", "2 * [1]", "time() - TimeInterval_Day", "1 && requeue", "std(1)", "val(1, 1)"),
)
SETTINGS = {
    "x": "double",
    "v": "vector",
    "t": "timestamp",
    "$TargetDedicatedNodes": "double",
    "$TargetDedicated": "double",
    "$TargetLowPriorityNodes": "double",
    "$NodeDeallocationOption": "string",
    "$PendingTasks": "double",
}
GIVEN = "x = 3; v = [3, 4]; t = time();\n"


@st.composite
def expressions(draw: st.DrawFn, kind: str, depth: int = 0) -> str:
    slip = draw(st.integers(0, 60))
    if slip == 60:
        return draw(st.sampled_from(WRONG))
    if slip == 59:
        kind = draw(st.sampled_from(sorted(TEMPLATES)))
    known = [template for template in TEMPLATES[kind] if depth < 3 or "{" not in template]
    template = draw(st.sampled_from(known))
    parts = re.split(r"\{(\w+)\}", template)
    filled = (draw(expressions(part, depth + 1)) if index % 2 else part for index, part in enumerate(parts))
    return "".join(filled)


@st.composite
def statements(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from([*SETTINGS, "x", "$TargetDedicatedNodes"]))
    return draw(st.sampled_from([f"{name} = {draw(expressions(SETTINGS[name]))}"] * 9 + ["x > 2 && stop()"]))


FORMULAS = st.lists(statements(), min_size=1, max_size=4).map(";\n".join).map(GIVEN.__add__)
TOKENS = re.compile(r'\$?\w+|"[^"]*"|&&|\|\||[<>=!]=|\S|\n')


@st.composite
def torn(draw: st.DrawFn) -> str:
    """A formula with a token left out, doubled or replaced."""
    tokens = TOKENS.findall(draw(FORMULAS))
    at = draw(st.integers(0, len(tokens) - 1))
    tokens[at : at + 1] = draw(st.sampled_from([[], [tokens[at]] * 2, ["\n"], *([sign] for sign in ";?:,.=+-!([)]1x")]))
    return " ".join(tokens)


MISTAKES_OF_VALUES = re.compile(
    "different lengths|is empty|elements, none at|Insufficient data|cannot be|out of range|must not be negative"
    "|no samples yet|At least two|percentage between"
)


def run(text: str, dedicated: int, low_priority: int, *numbers: float) -> autoscale.Outcome:
    samples = [(NOW - MINUTE - 30 * SECOND * back, number) for back, number in enumerate(numbers)][::-1]
    known = {name: Metric(numbers[0] if numbers else 0.0, samples) for name in METRICS}
    return autoscale.evaluate(autoscale.parse(text), Inputs(NOW, dedicated, low_priority, known, lambda: 0.5))


@settings(max_examples=600, deadline=None)
@given(FORMULAS, st.lists(st.integers(0, 200).map(float), max_size=3))
@example("x = 1; $TargetDedicatedNodes = max(2, min(10, $PendingTasks.GetSample(1)))", [4.0])
def test_what_passes_runs_without_a_mistake_of_types_and_keeps_its_bounds(text: str, numbers: list[float]) -> None:
    if formula.check(text):
        return
    outcome = run(text, 3, 5, *numbers)
    if outcome.error is not None:
        assert MISTAKES_OF_VALUES.search(str(outcome.error)), (text, str(outcome.error))
        return
    least = formula.least_targets(text)
    assert outcome.dedicated >= (3 if least[0] is None else least[0]), (text, outcome)
    assert outcome.low_priority >= (5 if least[1] is None else least[1]), (text, outcome)


@settings(max_examples=600, deadline=None)
@given(FORMULAS, st.lists(st.integers(0, 200).map(float), max_size=3))
@example("$TargetDedicatedNodes = -1", [])
def test_what_is_refused_fails_in_the_run_that_comes_by(text: str, numbers: list[float]) -> None:
    if any(sign in text for sign in ("?", "&&", "||", "stop")) or not formula.check(text):
        return
    assert run(text, 3, 5, *numbers).error is not None, (text, formula.check(text))


@settings(max_examples=600, deadline=None)
@given(torn() | FORMULAS)
def test_both_read_the_same_texts_as_formulas(text: str) -> None:
    try:
        autoscale.parse(text)
        parses = True
    except FormulaError:
        parses = False
    assert parses == (not parse(text)[1]), parse(text)
