"""Variables: what is put in, what is left alone, what is refused, and what is never shown."""

from collections.abc import Callable

import pytest

from reconciler.model.desired import Desired

Findings = Callable[..., list[str]]
Load = Callable[..., Desired]

STACK = """\
apiVersion: reconciler/v1
kind: Stack
metadata: {name: demo}
spec:
  variables:
    nodes: {default: "2"}
    size: {}
    shell: {default: "$${HOME} ${AZ_BATCH_NODE_ID}"}
---
"""
POOL = """\
apiVersion: reconciler/v1
kind: Pool
metadata: {name: cpu}
spec:
  virtualMachineConfiguration: {imageReference: {virtualMachineImageId: i}, nodeAgentSKUId: n}
  vmSize: small
"""
GIVEN = {"size": "big"}
SET = {"HOME": "/root", "NODES": "3", "TEMPLATE": "${var.size}", "TOKEN": "hunter2", "FLAG": "yes", "EMPTY": ""}


def name_of_pool(loaded: Load, written: str) -> object:
    (pool,) = loaded(STACK + POOL + f"  displayName: {written}\n", variables=GIVEN, environment=SET).objects.values()
    return pool.body.get("displayName")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${var.size}", "big"),
        ("a ${var.size} ${env.HOME} b", "a big /root b"),
        ("'${var.nodes}'", "2"),
        ('"${env.NODES}"', "3"),
        ("n-${var.nodes}", "n-2"),
        ("|-\n    ${var.nodes}\n    ${env.NODES}", "2\n3"),
        ("!!str ${var.nodes}", "2"),
        ("${AZ_BATCH_NODE_ID}", "${AZ_BATCH_NODE_ID}"),
        ("$AZ_BATCH_TASK_DIR ${X:-y} $$ ${variable} ${env}", "$AZ_BATCH_TASK_DIR ${X:-y} $$ ${variable} ${env}"),
        ("$${var.size} $${X}", "${var.size} ${X}"),
        ("$$${var.size}", "$${var.size}"),
        ("$${var.size}${var.size}", "${var.size}big"),
        ("${env.TEMPLATE}", "${var.size}"),
        ("${var.shell}", "${HOME} ${AZ_BATCH_NODE_ID}"),
        ("${env.EMPTY}", None),
        ("'${env.EMPTY}'", ""),
    ],
)
def test_references_become_values_and_everything_else_stays(loaded: Load, written: str, value: str | None) -> None:
    assert name_of_pool(loaded, written) == value


def test_a_reference_without_quotes_may_stand_for_a_number_or_true_or_false(loaded: Load) -> None:
    lines = "  targetDedicatedNodes: ${env.NODES}\n  enableInterNodeCommunication: ${env.FLAG}\n"
    (pool,) = loaded(STACK + POOL + lines, environment=SET).objects.values()
    assert (pool.body["targetDedicatedNodes"], pool.body["enableInterNodeCommunication"]) == (3, True)


def test_a_value_given_wins_over_the_default(loaded: Load) -> None:
    text = STACK + POOL + "  targetDedicatedNodes: ${var.nodes}\n"
    counts = []
    for variables in ({}, {"nodes": "7"}):
        (pool,) = loaded(text, variables=variables).objects.values()
        counts.append(pool.spec["targetDedicatedNodes"])
    assert counts == [2, 7]


def test_names_and_ids_may_hold_references(loaded: Load) -> None:
    text = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: '${var.size}-${var.nodes}'}\n"
    text += "spec: {poolInfo: {poolId: '${var.size}'}}\ntasks:\n- {id: 't${var.nodes}', commandLine: '${env.HOME}'}\n"
    (job,) = loaded(STACK + text, variables=GIVEN, environment=SET).objects.values()
    assert (job.address, list(job.tasks), job.spec["poolInfo"]) == ("job/big-2", ["t2"], {"poolId": "big"})


def test_each_place_an_alias_stands_is_filled(loaded: Load) -> None:
    lines = "  startTask: {commandLine: &c 'run ${var.nodes}', environmentSettings: [{name: A, value: *c}]}\n"
    (pool,) = loaded(STACK + POOL + lines).objects.values()
    task = pool.body["startTask"]
    assert task == {"commandLine": "run 2", "environmentSettings": [{"name": "A", "value": "run 2"}]}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "${var.sise}",
            ["expected a variable that a Stack declares, found '${var.sise}' (did you mean 'size'?)"],
        ),
        (
            "${env.HOEM}",
            ["expected an environment variable that is set, found '${env.HOEM}' (did you mean 'HOME'?)"],
        ),
        (
            "${var.size}",
            ["expected a value for '${var.size}', found neither a default nor --var size=VALUE"],
        ),
        (
            "${var.a} ${env.B} ${var.a}",
            [
                "expected a variable that a Stack declares, found '${var.a}'",
                "expected an environment variable that is set, found '${env.B}'",
            ],
        ),
        (
            "${var.size:-small}",
            [
                "expected ${var.NAME} with a name of letters, digits, '_' and '-', and a closing '}', "
                "found '${var.size:-small}' (a literal '${' is '$${')"
            ],
        ),
        (
            "${env.HOME",
            [
                "expected ${env.NAME} with a name of letters, digits, '_' and '-', and a closing '}', "
                "found '${env.HOME' (a literal '${' is '$${')"
            ],
        ),
    ],
)
def test_references_to_nothing_are_found(findings: Findings, written: str, expected: list[str]) -> None:
    found = findings(STACK + POOL + f"  displayName: {written}\n", environment=SET)
    assert found == [f"16:16: spec.displayName: {message}" for message in expected]


def test_a_declared_variable_without_value_matters_only_where_it_is_used(findings: Findings) -> None:
    assert findings(STACK + POOL) == []


def test_a_value_for_a_variable_nobody_declares_is_found(findings: Findings) -> None:
    assert findings(STACK + POOL, variables={"node": "3", "zzz": ""}) == [
        "variable 'node': expected a variable that the Stack declares in spec.variables, found one it does not "
        "(did you mean 'nodes'?)",
        "variable 'zzz': expected a variable that the Stack declares in spec.variables, found one it does not",
    ]


@pytest.mark.parametrize(
    ("text", "place", "found", "why"),
    [
        (
            (STACK + POOL).replace("demo", "'${var.size}'"),
            "3:18: metadata.name",
            "${var.size}",
            "the name of a Stack cannot hold a variable: objects are found by it",
        ),
        (
            (STACK + POOL).replace('"2"', '"${env.NODES}"'),
            "6:22: spec.variables.nodes.default",
            "${env.NODES}",
            "a declaration cannot hold a variable",
        ),
        (
            STACK + POOL.replace("kind: Pool", "kind: ${var.size}"),
            "11:7: kind",
            "${var.size}",
            "kind cannot hold a variable",
        ),
    ],
)
def test_what_is_needed_to_read_the_rest_holds_no_variable(
    findings: Findings, text: str, place: str, found: str, why: str
) -> None:
    expected = [f"{place}: expected plain text, found '{found}': {why}"]
    assert findings(text, variables=GIVEN, environment=SET) == expected


def test_the_account_of_a_stack_may_come_from_the_environment(loaded: Load) -> None:
    text = STACK.removesuffix("---\n") + "  account: {endpoint: '${env.HOME}', name: '${var.size}'}\n"
    stack = loaded(text, variables=GIVEN, environment=SET).stack
    assert (stack.endpoint, stack.account) == ("/root", "big")


@pytest.mark.parametrize(
    "line",
    [
        "  displayName: {x: '${env.SECRET}'}",
        "  targetDedicatedNodes: ${env.SECRET}",
        "  targetDedicatedNodes: '${env.SECRET}'",
        "  resizeTimeout: PT${env.SECRET}",
        "  taskSchedulingPolicy: {nodeFillType: '${env.SECRET}'}",
        "  metadata: '${env.SECRET}'",
        "  metadata: [{name: '${env.SECRET}', value: x}, {name: '${env.SECRET}', value: y}]",
        "  '${env.SECRET}': x",
        "  startTask: {commandLine: x, resourceFiles: [{filePath: '../${env.SECRET}'}]}",
        "  startTask: {commandLine: x, resourceFiles: [{fileMode: '${env.SECRET}'}]}",
        "  displayName: ${env.NUMBER}",
        "---\napiVersion: reconciler/v1\nkind: Job\nmetadata: {name: '${env.SECRET} '}\n"
        "spec: {poolInfo: {poolId: '${env.SECRET}?'}}\n"
        "tasks: [{id: '${env.SECRET}', commandLine: x}, {id: '${env.SECRET}', commandLine: x}]",
    ],
)
def test_no_finding_shows_a_value_of_the_environment(findings: Findings, line: str) -> None:
    found = findings(STACK + POOL + line, environment={"SECRET": "spreadsesame", "NUMBER": "424242"})
    assert found
    assert not any("sesame" in text or "424242" in text or "did you mean" in text for text in found)


def test_a_wrong_value_is_shown_as_its_reference(findings: Findings) -> None:
    lines = "  displayName: ${env.NODES}\n  targetDedicatedNodes: ${env.TOKEN}\n  targetLowPriorityNodes: ${env.FLAG}\n"
    assert findings(STACK + POOL + lines, environment=SET) == [
        "16:16: spec.displayName: expected a string, found a number in ${env.NODES}: quote it, '${env.NODES}'",
        "17:25: spec.targetDedicatedNodes: expected a whole number, found '${env.TOKEN}'",
        "18:27: spec.targetLowPriorityNodes: expected a whole number, found true or false in ${env.FLAG}",
    ]


def test_a_mistake_that_may_hide_the_stack_makes_no_other_mistakes(findings: Findings) -> None:
    text = POOL + "  displayName: ${var.size}\n---\na: b: c\n"
    assert findings(text, variables=GIVEN) == [
        "9:5: expected one 'key: value' to a line: quote text that has ': ', or indent"
    ]
