"""Mistakes that only show when things are compared with one another."""

# ruff: noqa: E501 - a table shows a manifest and its findings side by side

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ManifestErrors
from reconciler.manifest import load

Findings = Callable[..., list[str]]

JOB = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  poolInfo: {poolId: p}\n"
PREPARATION = "  jobPreparationTask: {commandLine: p}\n"
TAKEN = "expected an id that no other task of the job has, found"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (PREPARATION + "  jobReleaseTask: {commandLine: r}\n", []),
        (
            "  jobReleaseTask: {commandLine: r}\n",
            [
                "6:3: spec.jobReleaseTask: expected a jobPreparationTask beside it, found none: release runs where "
                "preparation ran"
            ],
        ),
        (
            PREPARATION + "  jobReleaseTask: {commandLine: r, id: JobPreparation}\n",
            [f"7:40: spec.jobReleaseTask.id: {TAKEN} 'JobPreparation', the id of spec.jobPreparationTask on line 6"],
        ),
        (
            "  jobManagerTask: {id: JobRelease, commandLine: m}\n"
            + PREPARATION
            + "  jobReleaseTask: {commandLine: r, id: null}\n",
            [f"8:40: spec.jobReleaseTask.id: {TAKEN} the default 'jobrelease', the id of spec.jobManagerTask on line 6"],
        ),
        (
            "  jobManagerTask: {id: m, commandLine: m}\ntasks:\n- {id: M, commandLine: x}\n",
            [f"8:8: tasks[0].id: {TAKEN} 'M', the id of spec.jobManagerTask on line 6"],
        ),
        (
            PREPARATION + "tasks:\n- {id: jobPreparation, commandLine: x}\n- {id: jobRelease, commandLine: x}\n",
            [f"8:8: tasks[0].id: {TAKEN} 'jobPreparation', the id of spec.jobPreparationTask on line 6"],
        ),
        (
            "taskGroups:\n"
            + "".join(
                f"- {{name: g, parameters: {{n: {{values: [{n}]}}}}, template: {{id: 't${{item.n}}', commandLine: x}}}}\n"
                for n in "ab"
            ),
            ["8:10: taskGroups[1].name: expected each name once, found 'g' again: first in taskGroups[0]"],
        ),
        (
            "tasks:\n- {id: a, commandLine: x}\n- {id: b, commandLine: x}\n- {id: A, commandLine: x}\n- {id: a, commandLine: x}\n",
            [
                f"9:8: tasks[2].id: {TAKEN} 'A', the id of tasks[0] on line 7",
                f"10:8: tasks[3].id: {TAKEN} 'a', the id of tasks[0] on line 7",
            ],
        ),
        (
            "  commonEnvironmentSettings: [{name: A, value: x}, {name: a, value: x}, {name: A, value: y}]\n"
            "  jobPreparationTask: {commandLine: p, environmentSettings: [{name: B}, {name: B}]}\n",
            [
                "6:80: spec.commonEnvironmentSettings[2].name: expected each name once, found 'A' again: first in "
                "spec.commonEnvironmentSettings[0]",
                "7:80: spec.jobPreparationTask.environmentSettings[1].name: expected each name once, found 'B' again: "
                "first in spec.jobPreparationTask.environmentSettings[0]",
            ],
        ),
        (
            "  jobManagerTask: {id: m, commandLine: m}\nlifecycle: {tasks: Exact}\n",
            [
                "7:20: lifecycle.tasks: expected another policy than 'Exact' beside a jobManagerTask: the tasks it adds are "
                "in no manifest"
            ],
        ),
        (
            "lifecycle:\n  ignoreChanges: [spec.priority, spec.prioritty]\n",
            [
                "7:34: lifecycle.ignoreChanges[1]: expected a field of spec, found 'spec.prioritty' (did you mean "
                "'priority'?)"
            ],
        ),
    ],
)  # fmt: skip
def test_within_a_job(findings: Findings, lines: str, expected: list[str]) -> None:
    assert findings(JOB + lines) == expected


SCHEDULE = """\
apiVersion: reconciler/v1
kind: JobSchedule
metadata: {name: s}
spec:
  schedule: {recurrenceInterval: PT1H}
  jobSpecification:
    poolInfo: {poolId: p}
"""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "    jobReleaseTask: {commandLine: r}\n",
            [
                "8:5: spec.jobSpecification.jobReleaseTask: expected a jobPreparationTask beside it, found none: release runs "
                "where preparation ran"
            ],
        ),
        (
            "    jobManagerTask: {id: x, commandLine: m}\n    jobPreparationTask: {commandLine: p, id: X}\n",
            [
                f"9:46: spec.jobSpecification.jobPreparationTask.id: {TAKEN} 'X', the id of "
                "spec.jobSpecification.jobManagerTask on line 8"
            ],
        ),
    ],
)  # fmt: skip
def test_within_the_job_specification_of_a_schedule(findings: Findings, lines: str, expected: list[str]) -> None:
    assert findings(SCHEDULE + lines) == expected


def test_jobs_and_schedules_share_one_id_space(findings: Findings) -> None:
    assert findings(f"{SCHEDULE}---\n{JOB.replace('name: j', 'name: S')}") == [
        "11:18: metadata.name: expected a name that no other Job or JobSchedule has, whatever the letter case, found 'S', "
        "the name of the one at m.yaml:3"
    ]


def test_a_job_cannot_be_named_like_a_job_that_a_schedule_made(findings: Findings) -> None:
    assert findings(JOB.replace("name: j", "name: 's:job-1'")) == [
        "3:18: metadata.name: expected 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_', found 's:job-1'"
    ]


def test_names_are_unique_for_a_kind_across_files_whatever_the_letter_case(folder: Path) -> None:
    pool = JOB.replace("Job", "Pool").partition("spec")[0]
    pool += "spec: {vmSize: a, virtualMachineConfiguration: {imageReference: {virtualMachineImageId: i}, nodeAgentSKUId: n}}\n"
    texts = {
        "a.yaml": f"{JOB.replace('j}', 'Nightly}')}---\n{pool.replace('j}', 'nightly}')}",
        "b.yaml": f"{JOB}---\n{JOB.replace('j}', 'nightly}')}",
        "c.yaml": JOB.replace("j}", "J}") + "  priority: high\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    for paths in (["."], ["a.yaml", "b.yaml", "c.yaml"], ["c.yaml", "b.yaml", "a.yaml"]):
        with pytest.raises(ManifestErrors) as caught:
            load(paths, variables={}, environment={})
        expected = (
            "metadata.name: expected a name that no other Job or JobSchedule has, whatever the letter case, found"
        )
        assert str(caught.value).split("\n") == [
            f"b.yaml:9:18: {expected} 'nightly', the name of the one at a.yaml:3",
            f"c.yaml:3:18: {expected} 'J', the name of the one at b.yaml:3",
            "c.yaml:6:13: spec.priority: expected a whole number, found 'high'",
        ]


def test_one_stack_is_enough(findings: Findings) -> None:
    stack = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: %s}\n"
    assert findings("---\n".join([stack % "a", JOB, stack % "b"])) == [
        "12:7: kind: expected one Stack, found a second: the first is at m.yaml:3"
    ]


def test_names_that_could_not_be_filled_in_are_not_compared(findings: Findings) -> None:
    unfilled = JOB.replace("name: j", "name: '${env.X}'")
    message = "metadata.name: expected an environment variable that is set, found '${env.X}'"
    assert findings(f"{unfilled}---\n{unfilled}") == [f"3:18: {message}", f"9:18: {message}"]
