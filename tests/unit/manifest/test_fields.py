"""What the models refuse, told with the place, the field, what was expected and what was found."""

# ruff: noqa: E501 - a table shows a manifest and its findings side by side

from collections.abc import Callable

import pytest

Findings = Callable[..., list[str]]

POOL = "apiVersion: reconciler/v1\nkind: Pool\nmetadata: {name: cpu}\nspec:\n"
MACHINE = (
    "  vmSize: a\n  virtualMachineConfiguration: {imageReference: {virtualMachineImageId: i}, nodeAgentSKUId: n}\n"
)
JOB = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: nightly}\nspec:\n  poolInfo: {poolId: cpu}\n"
STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\nspec:\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("  displayName: 5", "7:16: spec.displayName: expected a string, found the number 5: quote it, '5'"),
        ("  displayName: 0770", "7:16: spec.displayName: expected a string, found the number 0770: quote it, '0770'"),
        (
            "  displayName: no",
            "7:16: spec.displayName: expected a string, found no, which YAML takes for true or false: quote it, 'no'",
        ),
        ("  displayName: true", "7:16: spec.displayName: expected a string, found true: quote it, 'true'"),
        ("  displayName: [a]", "7:16: spec.displayName: expected a string, found a list"),
        ('  displayName: "\\u0000"', None),
        (f"  displayName: {'x' * 1025}", "7:16: spec.displayName: expected at most 1,024 characters, found 1,025"),
        ("  targetDedicatedNodes: '3'", "7:25: spec.targetDedicatedNodes: expected a whole number, found '3': write it without quotes"),
        ("  targetDedicatedNodes: 3.0", "7:25: spec.targetDedicatedNodes: expected a whole number, found the number 3.0"),
        ("  targetDedicatedNodes: true", "7:25: spec.targetDedicatedNodes: expected a whole number, found true"),
        ("  targetDedicatedNodes: -1", "7:25: spec.targetDedicatedNodes: expected at least 0, found the number -1"),
        ("  targetDedicatedNodes: 1:30", "7:25: spec.targetDedicatedNodes: expected a whole number, found '1:30'"),
        ("  taskSlotsPerNode: 300", "7:21: spec.taskSlotsPerNode: expected at most 256, found the number 300"),
        ("  enableInterNodeCommunication: 'yes'", "7:33: spec.enableInterNodeCommunication: expected true or false, found 'yes': write it without quotes"),
        ("  metadata: {a: b}", "7:13: spec.metadata: expected a list, found a mapping"),
        ("  metadata: [a]", "7:14: spec.metadata[0]: expected a mapping, found 'a'"),
        ("  metadata: [{name: reconciler, value: x}]", "7:14: spec.metadata[0]: expected another name: 'reconciler' holds the ownership mark"),
        ("  startTask: x", "7:14: spec.startTask: expected a mapping, found 'x'"),
        ("  startTask: {}", "7:14: spec.startTask.commandLine: expected a value for 'commandLine', found none"),
        ("  startTask: {commandLine: }", "7:28: spec.startTask.commandLine: expected a string, found nothing"),
        ("  startTask: {commandLine: ''}", "7:28: spec.startTask.commandLine: expected at least 1 character, found ''"),
        ("  startTask:\n    waitForSuccess: true\n", "8:5: spec.startTask.commandLine: expected a value for 'commandLine', found none"),
        (
            "  resizeTimeout: 10 minutes",
            "7:18: spec.resizeTimeout: expected an ISO 8601 duration such as PT10M or P1DT2H, found '10 minutes'",
        ),
        (
            "  taskSchedulingPolicy: {nodeFillType: Pack}",
            "7:40: spec.taskSchedulingPolicy.nodeFillType: expected 'spread' or 'pack', found 'Pack' (did you mean 'pack'?)",
        ),
        ("  autoScaleFormula: x", "5:3: spec: expected enableAutoScale: true beside autoScaleFormula, found none"),
        ("  resourceTags: {a: b}", "7:3: spec.resourceTags: 'resourceTags' is gone from the REST API since 2025-06-01"),
        ("  allocationState: steady", "7:3: spec.allocationState: 'allocationState' is set by the service: remove the line"),
        ("  id: cpu", "7:3: spec.id: unknown field 'id' (the id is metadata.name)"),
        ("  targetDedicatedNode: 3", "7:3: spec.targetDedicatedNode: unknown field 'targetDedicatedNode' (did you mean 'targetDedicatedNodes'?)"),
        ("  startTask: {commandLine: x, waitForSucces: true}", "7:31: spec.startTask.waitForSucces: unknown field 'waitForSucces' (did you mean 'waitForSuccess'?)"),
        ("  startTask: {commandLine: x, containerSettings: {}}", "7:50: spec.startTask.containerSettings.imageName: expected a value for 'imageName', found none"),
        (f"  targetDedicatedNodes: {'a' * 100}", f"7:25: spec.targetDedicatedNodes: expected a whole number, found '{'a' * 59}…'"),
        ("  quux: 3", "7:3: spec.quux: unknown field 'quux'"),
        ("  'a b\\n': 3", "7:3: spec['a b\\\\n']: unknown field 'a b\\\\n'"),
        (
            "  startTask: {commandLine: x, resourceFiles: [{httpUrl: 'file:///etc/passwd', filePath: f}]}",
            "7:57: spec.startTask.resourceFiles[0].httpUrl: expected a URL that begins with https:// or http://, found one that begins with 'file'",
        ),
        (
            "  startTask: {commandLine: x, resourceFiles: [{storageContainerUrl: container}]}",
            "7:69: spec.startTask.resourceFiles[0].storageContainerUrl: expected a URL that begins with https:// or http://, found a text without it",
        ),
        (
            "  startTask: {commandLine: x, resourceFiles: [{httpUrl: 'https:///f', filePath: f}]}",
            "7:57: spec.startTask.resourceFiles[0].httpUrl: expected a URL with a host and without blanks, found another text",
        ),
        (
            "  startTask: {commandLine: x, resourceFiles: [{httpUrl: https://h/u}]}",
            "7:47: spec.startTask.resourceFiles[0]: expected filePath beside httpUrl, found none",
        ),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_pool(findings: Findings, lines: str, expected: str | None) -> None:
    assert findings(POOL + MACHINE + lines) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            JOB + "  jobPreparationTask: {commandLine: p}\n  jobReleaseTask: {commandLine: r, maxWallClockTime: PT16M}\n",
            "7:54: spec.jobReleaseTask.maxWallClockTime: expected at most 15 minutes (PT15M), the service's limit for "
            "release tasks, found 'PT16M'",
        ),
        (JOB + "tasks:\n", "6:7: tasks: expected a list, found nothing"),
        (JOB + "tasks:\n- a\n", "7:3: tasks[0]: expected a mapping, found 'a'"),
        (
            JOB + "tasks:\n- commandLine: x\n",
            "7:3: tasks[0].id: expected a value for 'id', found none",
        ),
        (JOB + "lifecycle: {captureLogs: never}\n", "6:26: lifecycle.captureLogs: expected 'Never', 'OnFailure' or 'Always', found 'never' (did you mean 'Never'?)"),
        (JOB + "task: []\n", "6:1: task: unknown field 'task' (did you mean 'tasks'?)"),
        (JOB.replace("v1", "v2"), "1:13: apiVersion: expected 'reconciler/v1', found 'reconciler/v2' (did you mean 'reconciler/v1'?)"),
        (JOB.replace("nightly", "nightly run"), "3:18: metadata.name: expected 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_', found 'nightly run'"),
        (JOB.replace("name: nightly", ""), "3:11: metadata.name: expected a value for 'name', found none"),
        (JOB.replace("nightly", "nightly, annotations: {on call: 1}"), "3:50: metadata.annotations['on call']: expected a string, found the number 1: quote it, '1'"),
        (JOB.replace("kind: Job", "kind: job"), "2:7: kind: expected one of Job, JobSchedule, Pool, Stack, found 'job' (did you mean 'Job'?)"),
        (JOB.replace("kind: Job", "kind: [Job]"), "2:7: kind: expected one of Job, JobSchedule, Pool, Stack, found a list"),
        (JOB.replace("kind: Job\n", ""), "1:1: kind: expected a value for 'kind', found none"),
        (STACK + "  variables: {default: {defualt: x}}", "5:25: spec.variables.default.defualt: unknown field 'defualt' (did you mean 'default'?)"),
        (STACK + "  limits: {deletes: -1}", "5:21: spec.limits.deletes: expected at least 0, found the number -1"),
        (
            STACK + "  guards: {releaseLoss: Allow}",
            "5:12: spec.guards.releaseLoss: 'releaseLoss' is no setting: nodes that owe a release are given up only by "
            "the name of the job (--allow-release-loss)",
        ),
        (STACK + "  guards: {deletes: {share: 101}}", "5:29: spec.guards.deletes.share: expected at most 100, found the number 101"),
        (STACK + "  guards: {deletes: {count: 0}}", "5:29: spec.guards.deletes.count: expected at least 1, found the number 0"),
        (STACK + "  guards: {taskLoss: Never}", "5:22: spec.guards.taskLoss: expected 'Ask' or 'Allow', found 'Never'"),
    ],
)  # fmt: skip
def test_a_wrong_field_elsewhere(findings: Findings, text: str, expected: str) -> None:
    assert findings(text) == [expected]


def test_all_mistakes_come_at_once_and_in_order(findings: Findings) -> None:
    text = """\
apiVersion: reconciler/v1
kind: Stack
metadata: {name: demo}
spec:
  variables:
    nodes: {default: "2"}
    broken: {default: 3}
---
apiVersion: reconciler/v1
kind: Pool
metadata: {name: CPU}
spec:
  vmSize: standard_d2s_v3
  targetDedicatedNodes: ${var.node}
  targetLowPriorityNodes: -1
  stats: {}
  virtualMachineConfiguration:
    imageReference: {publisher: a, offer: b}
    nodeAgentSkuId: y
  startTask:
    commandLine: 0770
    environmentSettings:
    - {name: A, value: "${var.broken}"}
    - {name: A, value: "${env.HOEM} $${env.X} ${AZ:-2}"}
---
apiVersion: reconciler/v1
kind: Pool
metadata: {name: cpu}
---
apiVersion: reconciler/v1
kind: Job
metadata: {name: j, 1: 2}
spec:
  poolInfo: {poolId: cpu}
  jobReleaseTask: {commandLine: x, id: T1}
tasks:
- id: t1
  commandLine: yes
- {id: t2, commandLine: "", foo: 1}
---
- 3
"""
    assert findings(text, variables={"nods": "3"}, environment={"HOME": "/root"}) == [
        "7:23: spec.variables.broken.default: expected a string, found the number 3: quote it, '3'",
        "14:25: spec.targetDedicatedNodes: expected a variable that a Stack declares, found '${var.node}' "
        "(did you mean 'nodes'?)",
        "15:27: spec.targetLowPriorityNodes: expected at least 0, found the number -1",
        "16:3: spec.stats: 'stats' is set by the service: remove the line",
        "18:5: spec.virtualMachineConfiguration.nodeAgentSKUId: expected a value for 'nodeAgentSKUId', found none",
        "18:21: spec.virtualMachineConfiguration.imageReference: expected publisher, offer and sku, or one image id, "
        "found publisher, offer",
        "19:5: spec.virtualMachineConfiguration.nodeAgentSkuId: unknown field 'nodeAgentSkuId' "
        "(did you mean 'nodeAgentSKUId'?)",
        "21:18: spec.startTask.commandLine: expected a string, found the number 0770: quote it, '0770'",
        "24:14: spec.startTask.environmentSettings[1].name: expected each name once, found 'A' again: "
        "first in spec.startTask.environmentSettings[0]",
        "24:24: spec.startTask.environmentSettings[1].value: expected an environment variable that is set, "
        "found '${env.HOEM}' (did you mean 'HOME'?)",
        "26:1: spec: expected a value for 'spec', found none",
        "28:18: metadata.name: expected a name that no other Pool has, whatever the letter case, found 'cpu', "
        "the name of the one at m.yaml:11",
        "32:21: metadata: expected text as a key, found the number 1: quote it, '1'",
        "35:3: spec.jobReleaseTask: expected a jobPreparationTask beside it, found none: release runs where "
        "preparation ran",
        "37:7: tasks[0].id: expected an id that no other task of the job has, found 't1', the id of "
        "spec.jobReleaseTask on line 35",
        "38:16: tasks[0].commandLine: expected a string, found yes, which YAML takes for true or false: quote it, 'yes'",
        "39:25: tasks[1].commandLine: expected at least 1 character, found ''",
        "39:29: tasks[1].foo: unknown field 'foo'",
        "41:1: expected a mapping, found a list",
        "variable 'nods': expected a variable that the Stack declares in spec.variables, found one it does not "
        "(did you mean 'nodes'?)",
    ]
