"""Hundreds of mistakes in one folder, made from the field table: a line for each in one run, each with its place, its
field and what was expected."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.cli.main import main
from reconciler.model.field import Compare, Spec
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import table
from reconciler.model.task import TaskSpec

POOL: dict[str, Any] = {
    "vmSize": "Standard_D2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"virtualMachineImageId": "i"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}
JOB: dict[str, Any] = {"poolInfo": {"poolId": "p"}}
SCHEDULE: dict[str, Any] = {"schedule": {"recurrenceInterval": "PT1H"}, "jobSpecification": JOB}
TASK: dict[str, Any] = {"id": "t", "commandLine": "x"}


@dataclass
class Mistake:
    """A text with one mistake in it, at *field*; the line has to say *expected*."""

    text: str
    field: str
    expected: str = "expected"


class Texts:
    """Documents that are right but for what is changed, each under a name of its own."""

    def __init__(self) -> None:
        self.count = 0

    def document(self, kind: str, spec: Mapping[str, Any], **more: Any) -> str:
        self.count += 1
        whole = {
            "apiVersion": "reconciler/v1",
            "kind": kind,
            "metadata": {"name": f"x{self.count}"},
            "spec": dict(spec),
            **more,
        }
        return yaml.safe_dump(whole, sort_keys=False)


def wrong_of(model: type[Spec]) -> Iterator[tuple[str, Any, str]]:
    """Fields of *model* with a value that cannot be, and what is said of it."""
    for name, field in table(model).items():
        text = str(model.model_fields[name].annotation)
        limits = {type(it).__name__: it for it in model.model_fields[name].metadata}
        if field.below is not None or field.is_list:
            yield name, 5, "expected a list, found" if field.is_list else "expected a mapping, found"
        else:
            yield name, [1], "expected "
        if field.choices and not field.is_list:
            yield name, "nosuch", "expected '"
        if field.compare is Compare.DURATION:
            yield name, "soon", "expected an ISO 8601 duration such as"
        if field.compare is Compare.MOMENT:
            yield name, "tomorrow", "expected a time with its offset such as"
        if "Ge" in limits:
            yield name, limits["Ge"].ge - 1, f"expected at least {limits['Ge'].ge}, found"
        if "Le" in limits:
            yield name, limits["Le"].le + 1, f"expected at most {limits['Le'].le}, found"
        if "MaxLen" in limits and "str" in text:
            yield name, "x" * (limits["MaxLen"].max_length + 1), "expected at most "
    for name in sorted(model.read_only):
        yield name, "x", f"'{name}' is set by the service"
    for name, why in model.unsupported.items():
        yield name, "x", f"'{name}' is {why}"
    name = next(iter(table(model)))
    yield name + "s", "x", f"unknown field '{name}s' (did you mean "


def of_the_table(texts: Texts) -> Iterator[Mistake]:
    for kind, base, model in (
        ("Pool", POOL, PoolSpec),
        ("Job", JOB, JobSpec),
        ("JobSchedule", SCHEDULE, JobScheduleSpec),
    ):
        for name, value, expected in wrong_of(model):
            yield Mistake(texts.document(kind, {**base, name: value}), f"spec.{name}", expected)
        for name, field in table(model).items():
            if field.required:
                rest = {key: value for key, value in base.items() if key != name}
                yield Mistake(texts.document(kind, rest), f"spec.{name}", f"expected a value for '{name}', found none")
    for name, value, expected in wrong_of(TaskSpec):
        where = "tasks[0]"
        yield Mistake(texts.document("Job", JOB, tasks=[{**TASK, name: value}]), f"{where}.{name}", expected)


def of_one_document(texts: Texts) -> Iterator[Mistake]:
    """What no single field tells."""
    job, pool = texts.document("Job", JOB), texts.document("Pool", POOL)
    yield Mistake(pool + "spec: {}\n", "spec", "expected each key once")
    yield Mistake(job.replace("kind: Job", "kind: Jobb"), "kind", "did you mean 'Job'?")
    yield Mistake(job.replace("reconciler/v1", "v1"), "apiVersion", "expected 'reconciler/v1'")
    yield Mistake(job.replace("name: x", "name: bad name "), "metadata.name", "expected 1 to 64 characters")
    elsewhere = {"poolInfo": {"poolId": "${var.undeclared}"}}
    yield Mistake(texts.document("Job", elsewhere), "spec.poolInfo.poolId", "expected a variable")
    elsewhere = {"poolInfo": {"poolId": "${env.NOBODY_SET}"}}
    yield Mistake(texts.document("Job", elsewhere), "spec.poolInfo.poolId", "expected an environment variable")
    yield Mistake(
        texts.document("Job", {**JOB, "displayName": {"secretRef": {"env": "HOME"}}}), "spec.displayName", "secretRef"
    )
    settings = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    named = {**JOB, "commonEnvironmentSettings": settings}
    yield Mistake(texts.document("Job", named), "spec.commonEnvironmentSettings[1].name", "expected each name once")
    secret = [{"name": "A", "value": {"secretRef": {"env": "NOBODY_SET"}}}]
    yield Mistake(
        texts.document("Job", {**JOB, "commonEnvironmentSettings": secret}),
        "spec.commonEnvironmentSettings[0].value.secretRef.env",
        "expected an environment variable that is set",
    )
    twice = [TASK, {**TASK, "id": "T"}]
    yield Mistake(texts.document("Job", JOB, tasks=twice), "tasks[1].id", "expected an id that no other task")
    uses = {**JOB, "usesTaskDependencies": True}
    waits = [{**TASK, "dependsOn": {"taskIds": ["nobody"]}}]
    yield Mistake(texts.document("Job", uses, tasks=waits), "tasks[0].dependsOn.taskIds[0]", "found 'nobody'")
    circle = [{**TASK, "dependsOn": {"taskIds": ["u"]}}, {**TASK, "id": "u", "dependsOn": {"taskIds": ["t"]}}]
    yield Mistake(texts.document("Job", uses, tasks=circle), "tasks[0].dependsOn", "without a circle")
    release = {**JOB, "jobReleaseTask": {"commandLine": "x"}}
    yield Mistake(texts.document("Job", release), "spec.jobReleaseTask", "expected a jobPreparationTask beside it")
    formula = {**POOL, "enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes = 1 +;"}
    yield Mistake(texts.document("Pool", formula), "spec.autoScaleFormula", "the formula's")
    group = {"name": "g", "parameters": {"n": {"range": {"first": 1, "last": 2}}}, "template": TASK}
    yield Mistake(texts.document("Job", JOB, taskGroups=[group]), "taskGroups[0].template.id", "expected")
    for number, other in ((1, "Job"), (2, "JobSchedule"), (3, "Pool")):
        base = POOL if other == "Pool" else SCHEDULE if other == "JobSchedule" else JOB
        first = "Pool" if other == "Pool" else "Job"
        both = [texts.document(kind, spec) for kind, spec in ((first, POOL if first == "Pool" else JOB), (other, base))]
        named_both = [re.sub(r"name: x\d+", f"name: {name}{number}", it) for name, it in zip("sS", both, strict=True)]
        yield Mistake("---\n".join(named_both), "metadata.name", "whatever the letter case")
    yield Mistake("- 3\n", "", "expected a mapping, found a list")
    yield Mistake("a: b: c\n", "", "expected")
    yield Mistake("", "", "expected at least one document, found an empty file")


@pytest.fixture(scope="module")
def mistakes() -> list[Mistake]:
    texts = Texts()
    return [*of_the_table(texts), *of_one_document(texts)]


def test_each_has_its_line_with_place_field_and_expectation(
    mistakes: list[Mistake], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(mistakes) > 130
    folder = tmp_path / "m"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOBODY_SET", raising=False)
    (folder / "stack.yaml").write_text("apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\n")
    for number, mistake in enumerate(mistakes):
        (folder / f"{number:03}.yaml").write_text(mistake.text)
    assert main(["validate", "m"]) == 64
    *lines, total = capsys.readouterr().err.splitlines()
    by_file: dict[int, list[str]] = {number: [] for number in range(len(mistakes))}
    for line in lines:
        by_file[int(line[2:5])].append(line)
    wrong = []
    for number, mistake in enumerate(mistakes):
        place = rf"m/{number:03}\.yaml" + (r":[1-9]\d*:[1-9]\d*: " if mistake.text else ": ")
        field = re.escape(f"{mistake.field}: ") if mistake.field else ""
        fits = [line for line in by_file[number] if re.match(place + field, line) and mistake.expected in line]
        if len(by_file[number]) != 1 or not fits:
            wrong.append((mistake.field, mistake.expected, by_file[number]))
    assert not wrong, "\n".join(map(str, wrong))
    assert total == f"{len(mistakes)} errors in the manifests."


def test_all_of_them_in_one_file_too(
    mistakes: list[Mistake], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOBODY_SET", raising=False)
    whole = [mistake for mistake in mistakes if mistake.text and mistake.text != "a: b: c\n"]
    text = "---\n".join(["apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\n", *(it.text for it in whole)])
    (tmp_path / "m.yaml").write_text(text)
    assert main(["validate", str(tmp_path / "m.yaml")]) == 64
    *lines, _ = capsys.readouterr().err.splitlines()
    assert len(lines) == len(whole)
    numbers = [int(line.removeprefix(f"{tmp_path}/m.yaml:").split(":")[0]) for line in lines]
    assert numbers == sorted(numbers)
