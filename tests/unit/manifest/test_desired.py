"""What a right manifest becomes: the stack, the objects, their tasks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ManifestErrors
from reconciler.manifest import load
from reconciler.model.desired import Desired, Key, Kind, Source, Stack
from reconciler.model.document import JobLifecycle, PoolLifecycle
from reconciler.model.job import JobSpec
from reconciler.model.table import normalise
from reconciler.model.task import TaskSpec

Load = Callable[..., Desired]

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: Demo}\n"
JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata:
  annotations: {on call: nobody}
  name: Nightly
spec:
  displayName: null
  priority: 5
  constraints: {maxTaskRetryCount: 3, maxWallClockTime: null}
  poolInfo: {poolId: CPU}
  commonEnvironmentSettings: [{name: B, value: "2"}, {name: A, value: null}]
tasks:
- {id: T2, commandLine: two}
- {id: t1, commandLine: one, displayName: ~, resourceFiles: [{httpUrl: https://h/u, filePath: f, fileMode: null}]}
"""


def read(*paths: str) -> Desired:
    return load(paths, variables={}, environment={})


def test_a_job_as_it_is_wanted(loaded: Load) -> None:
    (job,) = loaded(JOB).objects.values()
    body = {
        "priority": 5,
        "constraints": {"maxTaskRetryCount": 3},
        "poolInfo": {"poolId": "CPU"},
        "commonEnvironmentSettings": [{"name": "B", "value": "2"}, {"name": "A"}],
    }
    assert (job.key, job.name, job.address) == (Key(Kind.JOB, "nightly"), "Nightly", "job/Nightly")
    assert job.source == Source("m.yaml", 5, 9)
    assert job.lifecycle == JobLifecycle()
    assert job.body == body
    assert job.spec == normalise(JobSpec, body)
    assert job.written == {
        "priority": 5,
        "constraints": {"maxTaskRetryCount": 3},
        "poolInfo": {"poolId": "cpu"},
        "commonEnvironmentSettings": {"B": {"value": "2"}, "A": {}},
    }


def test_tasks_keep_their_order_and_leave_to_their_job_what_they_do_not_say(loaded: Load) -> None:
    (job,) = loaded(JOB).objects.values()
    two, one = job.tasks.values()
    assert list(job.tasks) == ["t2", "t1"]
    assert (two.name, two.body) == ("T2", {"id": "T2", "commandLine": "two"})
    assert one.body == {
        "id": "t1",
        "commandLine": "one",
        "resourceFiles": [{"httpUrl": "https://h/u", "filePath": "f"}],
    }
    assert two.spec == normalise(TaskSpec, two.body)
    assert "maxTaskRetryCount" not in two.spec["constraints"], "what the service takes from the job is not compared"


def test_policy_is_kept_apart_from_the_body(loaded: Load) -> None:
    (job,) = loaded(JOB + "lifecycle: {state: Completed, preventDestroy: true}\n").objects.values()
    assert job.lifecycle == JobLifecycle(state="Completed", preventDestroy=True)
    assert "lifecycle" not in job.body


def test_objects_of_all_kinds_are_sorted_by_key(loaded: Load) -> None:
    pool = "apiVersion: reconciler/v1\nkind: Pool\nmetadata: {name: %s}\nlifecycle: {preventDestroy: true}\n"
    pool += "spec:\n  vmSize: a\n"
    pool += "  virtualMachineConfiguration: {imageReference: {virtualMachineImageId: i}, nodeAgentSKUId: n}\n"
    desired = loaded("---\n".join([pool % "z", JOB, pool % "nightly"]))
    assert [str(key) for key in desired.objects] == ["job/nightly", "pool/nightly", "pool/z"]
    assert desired.objects[Key.of(Kind.POOL, "Z")].lifecycle == PoolLifecycle(preventDestroy=True)


@pytest.mark.parametrize(
    ("spec", "stack"),
    [
        ("", Stack("Demo", prunes=True)),
        ("spec: {}\n", Stack("Demo", prunes=True)),
        (
            "spec: {account: {endpoint: e, name: a}, limits: {deletes: 3}}\n",
            Stack("Demo", prunes=True, endpoint="e", account="a", max_deletes=3),
        ),
    ],
)
def test_a_stack_says_that_the_source_is_complete_also_in_one_file(loaded: Load, spec: str, stack: Stack) -> None:
    assert loaded(STACK + spec).stack == stack
    assert loaded(f"{JOB}---\n{STACK}{spec}").stack == stack


def test_without_a_stack_document_one_folder_gives_its_name(folder: Path) -> None:
    (folder / "demo").mkdir()
    (folder / "demo/job.yaml").write_text(JOB)
    named = Stack("demo", prunes=True)
    assert [read(path).stack for path in ("demo", "demo/", "./demo/../demo", str(folder / "demo"))] == [named] * 4
    assert read(".").stack == Stack("stack", prunes=True)


def test_without_a_stack_document_anything_else_is_default_and_never_prunes(folder: Path) -> None:
    (folder / "demo").mkdir()
    (folder / "demo/job.yaml").write_text(JOB)
    never = Stack("default", prunes=False)
    assert [read(*paths).stack for paths in (("demo/job.yaml",), ("demo", "demo"), ())] == [never] * 3


def test_a_folder_whose_name_is_no_stack_name_is_asked_for_a_stack(folder: Path) -> None:
    (folder / "my jobs").mkdir()
    (folder / "my jobs/job.yaml").write_text(JOB)
    with pytest.raises(ManifestErrors) as caught:
        read("my jobs")
    assert str(caught.value) == (
        "my jobs: expected a Stack document, or a folder whose name can serve as the stack's name (1 to 64 characters "
        "of A-Z, a-z, 0-9, '-' and '_'), found 'my jobs'"
    )
    (folder / "my jobs/stack.yaml").write_text(STACK)
    assert read("my jobs").stack.name == "Demo"
