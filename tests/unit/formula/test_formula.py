"""Formulas read offline: what is right, what each mistake says, and the least nodes a formula may ask for."""

import math

import pytest

from reconciler import formula

DOCUMENTED = {
    "pending tasks": """
        startingNumberOfVMs = 1;
        maxNumberofVMs = 25;
        pendingTaskSamplePercent = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
        pendingTaskSamples = pendingTaskSamplePercent < 70 ? startingNumberOfVMs
            : avg($PendingTasks.GetSample(180 * TimeInterval_Second));
        $TargetDedicatedNodes=min(maxNumberofVMs, pendingTaskSamples);
        $NodeDeallocationOption = taskcompletion;
    """,
    "preempted nodes": """
        maxNumberofVMs = 25;
        $TargetDedicatedNodes = min(maxNumberofVMs, $PreemptedNodeCount.GetSample(180 * TimeInterval_Second));
        $TargetLowPriorityNodes = min(maxNumberofVMs , maxNumberofVMs - $TargetDedicatedNodes);
        $NodeDeallocationOption = taskcompletion;
    """,
    "CPU, no semicolon at the end": """
        $totalDedicatedNodes =
            (min($CPUPercent.GetSample(TimeInterval_Minute * 10)) > 0.7) ?
            ($CurrentDedicatedNodes * 1.1) : $CurrentDedicatedNodes;
        $totalDedicatedNodes =
            (avg($CPUPercent.GetSample(TimeInterval_Minute * 60)) < 0.2) ?
            ($CurrentDedicatedNodes * 0.9) : $totalDedicatedNodes;
        $TargetDedicatedNodes = min(400, $totalDedicatedNodes)
    """,
    "weekday": "$TargetDedicatedNodes = (time().weekday == 1 ? 5:1);",
    "working hours": """
        $curTime = time();
        $workHours = $curTime.hour >= 8 && $curTime.hour < 18;
        $isWeekday = $curTime.weekday >= 1 && $curTime.weekday <= 5;
        $isWorkingWeekdayHour = $workHours && $isWeekday;
        $TargetDedicatedNodes = $isWorkingWeekdayHour ? 20:10;
    """,
    "life of the pool": """
        // Get pool lifetime since creation.
        lifespan = time() - time("2026-01-31T08:00:00.1234567Z");
        interval = TimeInterval_Minute * 5;
        $samples = $PendingTasks.GetSamplePercent(interval); /* of the
        interval */
        $tasks = $samples < 70 ? max(0, $PendingTasks.GetSample(1)) : max( $PendingTasks.GetSample(1),
            avg($PendingTasks.GetSample(interval)));
        $targetVMs = $tasks > 0 ? $tasks : max(0, $TargetDedicatedNodes/2);
        targetPoolSize = max(0, min($targetVMs, 3));
        $TargetDedicatedNodes = lifespan < interval ? 1 : targetPoolSize;
        $NodeDeallocationOption = taskcompletion;
    """,
    "ratio": """
        lifespan = time() - time("Sat, 31 Jan 2026 08:00:00 GMT");
        span = TimeInterval_Minute * 60; startup = TimeInterval_Minute * 10; ratio = 50;
        $TargetDedicatedNodes = (lifespan > startup ? (max($RunningTasks.GetSample(span, ratio),
            $ActiveTasks.GetSample(span, ratio)) == 0 ? 0 : $TargetDedicatedNodes) : 4);
    """,
}


@pytest.mark.documented("batch-automatic-scaling")
@pytest.mark.parametrize("text", DOCUMENTED.values(), ids=DOCUMENTED)
def test_the_documented_formulas_are_right(text: str) -> None:
    assert formula.check(text) == ()


@pytest.mark.documented("batch-automatic-scaling")
@pytest.mark.parametrize(
    "expression",
    [
        "1 + 2 - 3 * 4 / 5",
        "2 * TimeInterval_Hour + TimeInterval_Day / 2 - TimeInterval_Zero",
        "[1, 2] + 1 + [3, 4] * [5]",
        "TimeInterval_Week + time() - time() + time()",
        "-1 + !2",
        "time() + -TimeInterval_Year",
        '"a" < "b" || requeue == terminate && time() >= time("2026")',
        "TimeInterval_100ns != TimeInterval_Microsecond + TimeInterval_Millisecond",
        "avg(1, [2, 3]) + len() + norm([1]) + range(1, 2) + std(1, 2) + sum() + rand()",
        "lg(8) + ln(1) + log(10) + round(1.5) + ceil(1.5) + floor(1.5)",
        "max(lg([1, 2]), ln(vec(1)), log(1, 2), round([]), 3)",
        "percentile([1, 2], 50) + val([1, 2], 0)",
        "val($CPUPercent.GetSample(TimeInterval_Hour, TimeInterval_Minute, 75), 0)",
        "len($DiskBytes.GetSample(time(), TimeInterval_Minute))",
        "$NetworkInBytes.GetSamplePercent(time(), time()) + $FailedTasks.Count()",
        "time() - $SucceededTasks.HistoryBeginTime() > $RunningTasks.GetSamplePeriod()",
        "time().year + time().month + time().day + time().minute + time().second",
        "max(0, $ActiveTasks > 1 ? 0 : $ActiveTasks.GetSample(1))",
        "1.5e3 + .5",
    ],
)
def test_every_construct_is_known(expression: str) -> None:
    assert formula.check(f"x = {expression};") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1 y = 2", "1:7: expected ';' or the end of the line after a statement, found 'y'"),
        ("x = ;", "1:5: expected a value, found ';'"),
        ("x = (1 + 2", "1:11: expected ')' at the end of the parentheses, found the end of the formula"),
        ("x = max(1 2)", "1:11: expected ',' or ')' in the list, found '2'"),
        ("x = 1 ? 2;", "1:10: expected ':' between the two values of '?', found ';'"),
        ("x = 1;\nx + = 2", "2:5: expected '==' to compare, or a statement of its own to assign, found '='"),
        ("x = 5 % 2", "1:7: expected an operator of the language: there is no remainder, found '%'"),
        ("x = 'a'", '1:5: expected a string in double quotes, found "\'"'),
        ("x = 1 & 2", "1:7: expected '&&', found '&'"),
        ('x = "a', "1:5: expected '\"' at the end of the string, found the end of the line"),
        ("x = 1 /* a", "1:7: expected '*/' after the comment, found the end of the formula"),
        (
            "v = [1, 2]; x = v[0]",
            "1:18: expected no index in brackets (val(vector, index) gives an element), found '['",
        ),
        ("x = time().", "1:12: expected the name of a member after '.', found the end of the formula"),
        (f"x = {'(' * 200}", "1:105: expected at most 100 levels of nesting, found '('"),
        ("x = 1;" * 101, "1:601: expected at most 100 statements, found more"),
        ("// " + "a" * 8192, "1:1: expected at most 8,192 characters, found 8,195"),
        (
            "$TargetDedicatedNode = y",
            "1:24: expected a variable that was set before, found 'y'",
        ),
        (
            "x = $PendingTask.Count()",
            "1:18: expected a read-only service variable such as $PendingTasks before .Count(), found $PendingTask",
        ),
        (
            "x = $PendingTask",
            "1:5: expected a variable that was set before, found '$PendingTask' (did you mean '$PendingTasks'?)",
        ),
        (
            "maxNodes = 3; x = maxnodes",
            "1:19: expected a variable that was set before, found 'maxnodes' (did you mean 'maxNodes'?)",
        ),
        (
            "x = TimeInterval_Hours * 2",
            "1:5: expected a variable that was set before, found 'TimeInterval_Hours' (did you mean "
            "'TimeInterval_Hour'?)",
        ),
        ("x = average(1)", "1:5: expected a function, found 'average' (did you mean 'range'?)"),
        ("x = Max(1)", "1:5: expected a function, found 'Max' (did you mean 'max'?)"),
        (
            "x = Count()",
            "1:5: expected a function, found 'Count' (a method: $Variable.Count())",
        ),
        ("x = time.hour", "1:5: expected a value, found the function time (call it: time(...))"),
        (
            "x = time().minutes",
            "1:12: expected a member of timestamp (year, month, day, weekday, hour, minute, second), found 'minutes' "
            "(did you mean 'minute'?)",
        ),
        ("x = 1; y = x.hour", "1:14: expected a timestamp before .hour, found double"),
        (
            "x = $ActiveTasks.Count",
            "1:18: expected a timestamp before .Count, found double (a method is called: add parentheses)",
        ),
        (
            "x = $ActiveTasks.GetSamples(1)",
            "1:18: expected GetSample, GetSamplePercent, GetSamplePeriod, Count, HistoryBeginTime after $ActiveTasks, "
            "found 'GetSamples' (did you mean 'GetSample'?)",
        ),
        (
            "x = $ActiveTasks.GetSample()",
            "1:18: expected GetSample(double), (time), (time, double), (time, time) or (time, time, double), a time "
            "being a timestamp or timeinterval, found GetSample()",
        ),
        ("x = $ActiveTasks.Count(1)", "1:18: expected Count(), found Count(double)"),
        (
            "x = $TargetDedicatedNodes.GetSample(1)",
            "1:27: expected a read-only service variable such as $PendingTasks before .GetSample(), found "
            "$TargetDedicatedNodes",
        ),
        (
            "x = 2 * [1]",
            "1:7: expected operands that '*' takes, found double * doubleVec (the doubleVec comes first)",
        ),
        (
            "x = $ActiveTasks.GetSample(1) > 0",
            "1:31: expected operands that '>' takes, found doubleVec > double (avg, max, min or sum make a double of "
            "a doubleVec)",
        ),
        (
            "x = time() - TimeInterval_Day",
            "1:12: expected operands that '-' takes, found timestamp - timeinterval (write timestamp + -timeinterval)",
        ),
        ('x = "a" + 1', "1:9: expected operands that '+' takes, found string + double"),
        ("x = 1 && time()", "1:7: expected double && double, found double && timestamp"),
        ("x = time() ? 1 : 2", "1:12: expected a double before '?', found timestamp"),
        ("x = !time()", "1:5: expected an operand that '!' takes, found timestamp"),
        (
            "x = $ActiveTasks > 0 ? 1 : TimeInterval_Day; y = x + 1",
            "1:52: expected operands that '+' takes, found timeinterval + double",
        ),
        ('x = max("a")', "1:5: expected numbers for max (double or doubleVec), found string"),
        ('x = ["a"]', "1:5: expected numbers (double or doubleVec), found string"),
        ("x = max()", "1:5: expected at least 1 number for max, found fewer"),
        ("x = std(1)", "1:5: expected at least 2 numbers for std, found fewer"),
        ("x = val(1, 2)", "1:5: expected val(doubleVec, double), found val(double, double)"),
        ("x = rand(1)", "1:5: expected rand(), found rand(double)"),
        ("stop(1)", "1:1: expected stop(), found stop with arguments"),
        (
            'x = time("tomorrow")',
            "1:5: expected a time such as 2026-01-31T08:00:00Z (W3C-DTF or RFC 1123), found 'tomorrow'",
        ),
        (
            'x = time("2026-02-31")',
            "1:5: expected a time such as 2026-01-31T08:00:00Z (W3C-DTF or RFC 1123), found '2026-02-31'",
        ),
        (
            "$PendingTasks = 1",
            "1:1: expected a variable that can be set, found $PendingTasks, which is read-only",
        ),
        (
            "requeue = 1",
            "1:1: expected a variable that can be set, found requeue, which is a constant",
        ),
        (
            "$TargetDedicatedNodes = $PendingTasks.GetSample(1)",
            "1:1: expected a double for $TargetDedicatedNodes, found doubleVec (avg, max, min or sum make a double of "
            "it)",
        ),
        (
            "$TargetLowPriority = time()",
            "1:1: expected a double for $TargetLowPriority, found timestamp",
        ),
        ("$TargetDedicatedNodes = 3 - 5", "1:1: expected a number of nodes for $TargetDedicatedNodes, found -2"),
        (
            "$TargetDedicatedNodes = 5e9",
            "1:1: expected a number of nodes for $TargetDedicatedNodes, found 5e+09",
        ),
        (
            "$NodeDeallocationOption = taskCompletion",
            "1:27: expected a variable that was set before, found 'taskCompletion' (did you mean 'taskcompletion'?)",
        ),
        (
            '$NodeDeallocationOption = "Requeue"',
            "1:1: expected requeue, terminate, taskcompletion or retaineddata for $NodeDeallocationOption, found "
            "'Requeue' (did you mean 'requeue'?)",
        ),
        (
            "$NodeDeallocationOption = 1",
            "1:1: expected requeue, terminate, taskcompletion or retaineddata for $NodeDeallocationOption, found "
            "double",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_expected(text: str, expected: str) -> None:
    found = formula.check(text)
    assert [f"{problem.line}:{problem.column}: {problem.message}" for problem in found][:1] == [expected]


def test_every_mistake_is_told_at_once_and_none_twice() -> None:
    found = formula.check('a = nothing;\nb = a + 1 +;\nc = (2;\nd = b;\ne = a * time();\nf = 1 + "x"')
    assert [(problem.line, problem.message.partition(",")[0]) for problem in found] == [
        (1, "expected a variable that was set before"),
        (2, "expected a value"),
        (3, "expected ')' at the end of the parentheses"),
        (4, "expected a variable that was set before"),
        (6, "expected operands that '+' takes"),
    ]


def test_what_lies_deep_or_long_is_read_all_the_same() -> None:
    assert formula.check("x = 1" + " + 1" * 1800) == ()
    assert formula.check("x = " + "-" * 99 + "1") == ()
    assert formula.check("x = time()" + ".hour" * 1500)[0].message.startswith("expected at most 100 levels")
    assert formula.check("x = " + "1 ? 2 : " * 500 + "3")[0].message.startswith("expected at most 100 levels")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$TargetDedicatedNodes = 4;", (4, None)),
        ("$TargetDedicatedNodes = 4.9; $TargetLowPriorityNodes = 2", (4, 2)),
        ("$TargetDedicatedNodes = max(2, min(10, $PendingTasks));", (2, None)),
        ("$TargetDedicatedNodes = max(2, min(10, avg($PendingTasks.GetSample(1))))", (2, None)),
        ("$TargetDedicatedNodes = min(10, $PendingTasks)", (0, None)),
        ("$TargetDedicatedNodes = $PendingTasks + 3", (3, None)),
        ("$TargetDedicatedNodes = 10 - $PendingTasks", (0, None)),
        ("$TargetDedicatedNodes = 10 + -$PendingTasks", (0, None)),
        ("$TargetDedicatedNodes = time().hour > 8 ? 20 : 10", (10, None)),
        ("$TargetDedicatedNodes = 1 > 8 ? 20 : 10", (10, None)),
        ("x = 3; x = x * 2; $TargetDedicatedNodes = x / 4 + 2 * (x - 1)", (11, None)),
        ("$TargetDedicatedNodes = sum([1, 2], 3) + len([1, 1]) + ceil(lg(9)) - floor(rand())", (10, None)),
        ("$TargetDedicatedNodes = 12 / $TaskSlotsPerNode", (0, None)),
        ("$TargetDedicatedNodes = max(3, $PendingTasks / $TaskSlotsPerNode)", (3, None)),
        ("$TargetLowPriority = 7", (None, 7)),
        ("$TargetDedicatedNodes = 7; $TargetDedicated = 2", (7, None)),
        ("$TargetDedicated = 2; $TargetLowPriorityNodes = $TargetDedicatedNodes + 1", (2, 3)),
        ("$TargetDedicatedNodes = 9; $TargetDedicatedNodes = $TargetDedicatedNodes - 1", (8, None)),
        ("$TargetDedicatedNodes = $TargetDedicatedNodes + 1", (1, None)),
        ("$NodeDeallocationOption = requeue", (None, None)),
        ("$TargetDedicatedNodes = -0.5", (0, None)),
        ("$TargetDedicatedNodes = 5; stop(); $TargetDedicatedNodes = 1", (5, None)),
        ("$TargetDedicatedNodes = 5; $PendingTasks > 3 && stop(); $TargetDedicatedNodes = 8", (5, None)),
        ("$TargetDedicatedNodes = 5; 0 && stop(); $TargetDedicatedNodes = 8", (8, None)),
        ("$TargetDedicatedNodes = 5; 1 ? stop() : 2; $TargetDedicatedNodes = 8", (5, None)),
        ("$PendingTasks > 3 ? stop() : 0; $TargetDedicatedNodes = 8", (8, None)),
        ("", (None, None)),
        ("$TargetDedicatedNodes = undefined", (0, 0)),
    ],
)
def test_the_least_targets_are_known_as_far_as_constants_tell(
    text: str, expected: tuple[int | None, int | None]
) -> None:
    assert formula.least_targets(text) == expected


def test_a_documented_formula_may_go_down_to_its_floor() -> None:
    assert formula.least_targets(DOCUMENTED["working hours"]) == (10, None)
    assert formula.least_targets(DOCUMENTED["weekday"]) == (1, None)
    assert formula.least_targets(DOCUMENTED["pending tasks"]) == (0, None)
    assert math.isfinite(formula.least_targets("$TargetDedicatedNodes = max(1e300 * 1e300, $PendingTasks)")[0] or 0)
