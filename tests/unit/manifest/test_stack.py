"""What a Stack says about its objects and variables."""

# ruff: noqa: E501 - a table shows a manifest and its findings side by side

from collections.abc import Callable

import pytest

from reconciler.model.desired import Desired, Key, Kind

Findings = Callable[..., list[str]]
Load = Callable[..., Desired]

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\nspec:\n"
JOB = "---\napiVersion: reconciler/v1\nkind: Job\nmetadata: {name: %s}\nspec: {%s}\n"
DEFAULTS = STACK + (
    "  defaults:\n    Job:\n      poolInfo: {poolId: p}\n      priority: 3\n      metadata: [{name: team, value: a}, {name: cost, value: b}]\n"
    "      commonEnvironmentSettings: [{name: T, value: {secretRef: {env: T}}}]\n"
)


def test_defaults_lie_under_each_object_of_their_kind(loaded: Load) -> None:
    text = DEFAULTS + JOB % ("a", "") + JOB % ("b", "priority: null, metadata: [{name: cost, value: c}]")
    desired = loaded(text, environment={"T": "sesame"})
    a, b = (desired.objects[Key.of(Kind.JOB, name)] for name in "ab")
    setting = [{"name": "T", "value": "sesame"}]
    team, cost = {"name": "team", "value": "a"}, {"name": "cost", "value": "b"}
    pool = {"poolId": "p"}
    assert a.body == {"poolInfo": pool, "priority": 3, "metadata": [team, cost], "commonEnvironmentSettings": setting}
    assert b.body == {
        "poolInfo": pool,
        "metadata": [team, {**cost, "value": "c"}],
        "commonEnvironmentSettings": setting,
    }
    assert a.secret_paths == b.secret_paths == {("commonEnvironmentSettings", "T", "value")}
    assert a.written["priority"] == 3


def test_a_wrong_default_is_told_once_and_where_it_stands(findings: Findings) -> None:
    text = DEFAULTS.replace("priority: 3", "priority: 3000") + JOB % ("a", "x: 1") + JOB % ("b", "")
    assert findings(text, environment={"T": "t"}) == [
        "8:17: spec.defaults.Job.priority: expected at most 1000, found the number 3000",
        "15:8: spec.x: unknown field 'x'",
    ]


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ("{Jobs: {}}", "5:14: spec.defaults.Jobs: unknown field 'Jobs' (did you mean 'Job'?)"),
        ("{Job: x}", "5:19: spec.defaults.Job: expected a mapping, found 'x'"),
    ],
)
def test_wrong_defaults(findings: Findings, defaults: str, expected: str) -> None:
    assert findings(f"{STACK}  defaults: {defaults}\n" + JOB % ("a", "poolInfo: {poolId: p}")) == [expected]


@pytest.mark.parametrize(
    ("declaration", "value", "expected"),
    [
        ("type: integer", "12", None),
        ("type: integer", "1.5", "a whole number"),
        ("type: number", "1.5", None),
        ("type: number", "many", "a number"),
        ("type: boolean", "true", None),
        ("type: boolean", "yes", "true or false"),
        ("enum: [a, b]", "b", None),
        ("enum: [a, b]", "c", "one of a, b"),
        ("pattern: '[a-z]+'", "abc", None),
        ("pattern: '[a-z]+'", "abc1", "a value that matches '[a-z]+'"),
    ],
)
def test_a_variable_has_what_its_declaration_says(
    findings: Findings, declaration: str, value: str, expected: str | None
) -> None:
    given = findings(f"{STACK}  variables: {{v: {{{declaration}}}}}\n", variables={"v": value})
    default = findings(f"{STACK}  variables: {{v: {{default: '{value}', {declaration}}}}}\n")
    message = f"5:18: spec.variables.v: expected {expected}, found another value in"
    assert given == ([f"{message} --var v"] if expected else [])
    assert default == ([f"{message} its default"] if expected else [])


def test_a_required_variable_needs_a_value_where_nothing_uses_it(findings: Findings) -> None:
    text = STACK + "  variables: {v: {required: true}, w: {}}\n"
    assert findings(text, variables={"v": ""}) == []
    assert findings(text) == ["5:18: spec.variables.v: expected a value, found neither a default nor --var v=VALUE"]


def test_a_pattern_must_be_one(findings: Findings) -> None:
    (found,) = findings(STACK + "  variables: {v: {default: a, pattern: '('}}\n")
    assert "spec.variables.v.pattern: expected a regular expression, found" in found


def test_quotas_are_kept_by_name(loaded: Load) -> None:
    stack = loaded(STACK + "  limits: {deletes: 1, cores: 100, activeJobsAndSchedules: 0}\n").stack
    assert (stack.max_deletes, stack.quotas) == (1, {"cores": 100, "activeJobsAndSchedules": 0})
