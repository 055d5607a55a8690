"""The schemas in `schemas/` say what the models say, in a form that editors take well."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reconciler import schema
from reconciler.model.document import MANIFESTS

COMMITTED = Path(__file__).parent.parent / "schemas"


def read(name: str) -> Any:
    return json.loads(schema.documents()[name])


def test_the_committed_schemas_are_current() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()}
    assert committed == schema.documents(), "run: python -m reconciler.schema schemas"


def test_write_makes_the_folder_and_every_file(tmp_path: Path) -> None:
    schema.write(tmp_path / "a" / "b")
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "a" / "b").iterdir()}
    assert written == schema.documents()


def test_there_is_one_schema_for_each_kind_and_one_for_all() -> None:
    assert set(schema.documents()) - {"REFERENCE.md"} == {
        "pool.json",
        "job.json",
        "jobschedule.json",
        "stack.json",
        "manifest.json",
        "plan.schema.json",
    }
    assert [arm["$ref"] for arm in read("manifest.json")["oneOf"]] == [
        f"#/$defs/{model.__name__}" for model in MANIFESTS.values()
    ]


@pytest.mark.parametrize("name", ["pool.json", "job.json", "jobschedule.json", "stack.json", "manifest.json"])
def test_every_reference_leads_somewhere_and_nothing_may_be_null(name: str) -> None:
    document = read(name)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for node in nodes(document):
        assert "null" not in (node.get("type"), node.get("default", ""))
        reference = node.get("$ref")
        assert reference is None or reference.removeprefix("#/$defs/") in document["$defs"]


def test_what_must_be_there_and_what_may_be_left_out() -> None:
    job = read("job.json")
    assert job["required"] == ["apiVersion", "kind", "metadata", "spec"]
    assert job["$defs"]["TaskSpec"]["required"] == ["id", "commandLine"]
    assert job["$defs"]["JobSpec"]["required"] == ["poolInfo"]
    assert job["$defs"]["JobSpec"]["additionalProperties"] is False


def test_a_field_carries_its_meaning_limits_and_facts() -> None:
    assert read("job.json")["$defs"]["JobSpec"]["properties"]["priority"] == {
        "type": "integer",
        "minimum": -1000,
        "maximum": 1000,
        "description": "Order of jobs in a pool.",
        "x-default": 0,
        "x-compare": "plain",
        "x-change": "live",
    }


@pytest.mark.parametrize("name", ["pool.json", "job.json", "stack.json"])
def test_every_field_of_a_model_is_described(name: str) -> None:
    models = read(name)["$defs"]
    undescribed = [
        f"{model}.{field}"
        for model, body in models.items()
        for field, it in body["properties"].items()
        if "description" not in it and "$ref" not in it
    ]
    assert undescribed == []


def nodes(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [node for item in value for node in nodes(item)]
    if isinstance(value, dict):
        return [value, *(node for item in value.values() for node in nodes(item))]
    return []


def test_below_a_schedule_the_schema_says_no_other_kind_of_change() -> None:
    models = read("jobschedule.json")["$defs"]
    assert models["JobScheduleSpec"]["properties"]["jobSpecification"]["x-change"] == "next_run"
    assert not any("x-change" in field for field in models["JobSpecification"]["properties"].values())
    assert read("job.json")["$defs"]["PoolInfo"]["properties"]["autoPoolSpecification"]["x-change"] == "fixed"
    assert not any(
        "x-change" in field for field in read("job.json")["$defs"]["PoolSpecification"]["properties"].values()
    )


def test_the_reference_page_has_every_type_and_field_and_no_broken_link() -> None:
    page = schema.documents()["REFERENCE.md"]
    headings = {line.removeprefix("## ").lower() for line in page.splitlines() if line.startswith("## ")}
    assert set(re.findall(r"\]\(#([a-z]+)\)", page)) <= headings
    for name, body in read("manifest.json")["$defs"].items():
        section = page.split(f"## {name}\n")[1].split("\n## ")[0]
        assert set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)) == set(body["properties"]), name


@pytest.mark.parametrize(
    "row",
    [
        "| `priority` | number | `0` | -1,000 to 1,000 | `live` | Order of jobs in a pool. |",
        "| `password` * | text |  | at least 1 character |  | Its password. Secret: written out, or a "
        "[SecretReference](#secretreference). Never returned by the service. |",
        "| `targetDedicatedNodes` | number | `0` | 0 to 2,147,483,647; only with `enableAutoScale: false` | `resize` | "
        "Dedicated nodes to have. Not with autoscale. |",
    ],
)
def test_a_row_of_the_reference_page_says_what_the_table_knows(row: str) -> None:
    assert row in schema.documents()["REFERENCE.md"].splitlines()
