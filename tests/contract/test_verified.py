"""The check of answers against the SDK's models, checked; and the table of what was verified, complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.emulator.routes import ROUTES

RUN = {"timestamp": "2026-01-01T00:00:00Z"}
COUNTS = dict.fromkeys(("active", "running", "completed", "succeeded", "failed"), 0)


@pytest.mark.documented("M: the models of the SDK")
@pytest.mark.parametrize(
    ("operation", "status", "body", "found"),
    [
        ("evaluate_pool_auto_scale", 200, {**RUN, "results": "$a=1"}, []),
        ("evaluate_pool_auto_scale", 200, {}, ["body lacks timestamp"]),
        ("evaluate_pool_auto_scale", 200, {"timestamp": "today"}, ["body.timestamp is not datetime"]),
        ("evaluate_pool_auto_scale", 200, {**RUN, "surprise": 1}, ["body has surprise, which AutoScaleRun does not"]),
        ("evaluate_pool_auto_scale", 200, {**RUN, "results": None}, ["body.results is null"]),
        ("evaluate_pool_auto_scale", 200, {**RUN, "error": []}, ["body.error is not an object"]),
        ("get_job_task_counts", 200, {"taskCounts": COUNTS, "taskSlotCounts": COUNTS}, []),
        (
            "get_job_task_counts",
            200,
            {"taskCounts": {**COUNTS, "active": "many"}, "taskSlotCounts": COUNTS},
            ["body.taskCounts.active is not int"],
        ),
        ("list_task_files", 200, {"value": [{"name": 5}]}, ["value[].name is not str"]),
        ("get_pool", 404, {"code": "PoolNotFound", "values": {}}, ["body.values is not a list"]),
        ("create_pool", 201, {}, ["a body where the SDK expects none"]),
    ],
)
def test_the_check_sees_what_is_wrong(models, operation, status, body, found):
    violations = models.violations(operation, status, body)
    assert len(violations) == len(found), violations
    assert all(text in violation for text, violation in zip(found, violations, strict=True))


@pytest.mark.documented("M: the models of the SDK; E: enumerations")
def test_values_of_states_are_closed_and_noted_and_a_selection_need_not_be_whole(models):
    assert "value[].state is not BatchJobState: 'happy'" in str(
        models.violations("list_jobs", 200, {"value": [{"state": "happy"}]})
    )
    assert models.violations("list_jobs", 200, {"value": [{"id": "j", "state": "Active"}]}, selected=True) == []
    assert models.states == {("BatchJobState", "active")}


@pytest.mark.emulator_only
def test_the_table_has_every_operation_with_what_it_rests_on_and_an_answer_that_is_no_refusal(verified):
    rows = verified("Operations")
    assert [row[:2] for row in rows] == [[f"`{one.name}`", f"{one.method} `{one.pattern}`"] for one in ROUTES]
    for name, _, *counts, answers in rows:
        assert any(count.isdigit() for count in counts), name
        assert answers.startswith("20"), name


@pytest.mark.emulator_only
def test_the_table_has_every_state_with_what_has_seen_it_or_why_nothing_has(verified, all_states):
    rows = verified("States")
    assert [(row[0], row[1].strip("`")) for row in rows] == all_states
    assert [row for row in rows if len(row) < 3 or not row[2]] == []


@pytest.mark.emulator_only
def test_the_readme_shows_the_table_as_it_is():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert "(tests/contract/VERIFIED.md)" in readme
    table = Path(__file__).with_name("VERIFIED.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert [row for row in rows if row not in readme.splitlines()] == []
