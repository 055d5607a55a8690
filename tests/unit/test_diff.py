"""What differs, and what it takes to change it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.diff import diff
from reconciler.model.field import ChangeKind
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.table import normalise

Body = dict[str, Any]


def changes(model: type, wanted: Body, live: Body) -> list[tuple[str, Any, Any, str, bool]]:
    """Rows of (path, old, new, kind, implicit)."""
    change = diff(model, normalise(model, wanted), normalise(model, live), written=normalise(model, wanted, fill=False))
    return [(row.name, row.old, row.new, row.kind.value, row.implicit) for row in change.fields]


@pytest.mark.parametrize("returned", [{}, {"displayName": ""}])
def test_an_empty_display_name_is_none(returned: Body) -> None:
    job = {"poolInfo": {"poolId": "p"}}
    assert changes(JobSpec, {**job, "displayName": ""}, {**job, **returned}) == []
    assert changes(JobSpec, job, {**job, **returned}) == []
    cleared = changes(PoolSpec, {"vmSize": "a", "displayName": ""}, {"vmSize": "a", "displayName": "old"})
    assert cleared == [("displayName", "old", None, "when_empty", False)]


# What the service returned for a job of id and pool only (recorded, api-version 2025-06-01).
RETURNED: Body = {
    "poolInfo": {"poolId": "P"},
    "priority": 0,
    "maxParallelTasks": -1,
    "allowTaskPreemption": False,
    "usesTaskDependencies": False,
    "constraints": {"maxWallClockTime": "P10675199DT2H48M5.4775807S", "maxTaskRetryCount": 0},
    "onAllTasksComplete": "noaction",
    "onTaskFailure": "noaction",
    "state": "active",
    "eTag": "0x1",
}
PREPARATION: Body = {
    "id": "jobpreparation",
    "commandLine": "prepare",
    "constraints": {
        "maxWallClockTime": "P10675199DT2H48M5.4775807S",
        "retentionTime": "P7D",
        "maxTaskRetryCount": 0,
    },
    "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}},
    "waitForSuccess": True,
    "rerunOnNodeRebootAfterSuccess": True,
}


def test_defaults_that_the_service_fills_in_are_no_difference() -> None:
    assert changes(JobSpec, {"poolInfo": {"poolId": "p"}}, RETURNED) == []
    wanted = {"poolInfo": {"poolId": "p"}, "jobPreparationTask": {"commandLine": "prepare"}}
    assert changes(JobSpec, wanted, {**RETURNED, "jobPreparationTask": PREPARATION}) == []


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ({"vmSize": "Standard_D2_V2"}, {"vmSize": "standard_d2_v2"}),
        ({"resizeTimeout": "PT60M"}, {"resizeTimeout": "PT1H"}),
        ({"taskSchedulingPolicy": {"nodeFillType": "pack"}}, {"taskSchedulingPolicy": {"nodeFillType": "Pack"}}),
        ({"metadata": []}, {}),
        (
            {"metadata": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]},
            {"metadata": [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}]},
        ),
    ],
)
def test_what_the_service_rewrites_is_no_difference(sent: Body, returned: Body) -> None:
    base = {"vmSize": "s", "virtualMachineConfiguration": {"nodeAgentSKUId": "u", "imageReference": {"sku": "x"}}}
    assert changes(PoolSpec, {**base, **sent}, {**base, **returned}) == []


def test_an_image_version_that_nobody_wrote_is_the_services_choice() -> None:
    def pool(image: Body) -> Body:
        return {"vmSize": "s", "virtualMachineConfiguration": {"nodeAgentSKUId": "u", "imageReference": image}}

    assert changes(PoolSpec, pool({"sku": "x"}), pool({"sku": "x", "version": "latest"})) == []
    path = "virtualMachineConfiguration.imageReference.version"
    assert changes(PoolSpec, pool({"sku": "x", "version": "1"}), pool({"sku": "x", "version": "latest"})) == [
        (path, "latest", "1", "when_empty", False)
    ]


@pytest.mark.parametrize(
    ("wanted", "live", "row"),
    [
        ({"priority": 5}, {"priority": 0}, ("priority", 0, 5, "live", False)),
        ({}, {"priority": 7}, ("priority", 7, 0, "live", True)),
        (
            {"constraints": {"maxTaskRetryCount": 2}},
            {"constraints": {"maxWallClockTime": "PT1H", "maxTaskRetryCount": 2}},
            ("constraints.maxWallClockTime", "PT1H", None, "live", True),
        ),
        ({"displayName": "new"}, {"displayName": "old"}, ("displayName", "old", "new", "next_incarnation", False)),
        (
            {"onAllTasksComplete": "terminatejob"},
            {"onAllTasksComplete": "noaction"},
            ("onAllTasksComplete", "noaction", "terminatejob", "one_way", False),
        ),
        ({"poolInfo": {"poolId": "q"}}, {}, ("poolInfo.poolId", "p", "q", "when_disabled", False)),
        (
            {"jobPreparationTask": {"commandLine": "other"}},
            {"jobPreparationTask": PREPARATION},
            ("jobPreparationTask.commandLine", "prepare", "other", "fixed", False),
        ),
        (
            {"commonEnvironmentSettings": [{"name": "A", "value": "1"}]},
            {"commonEnvironmentSettings": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            ("commonEnvironmentSettings.B", {"value": "2"}, None, "fixed", False),
        ),
        (
            {},
            {"commonEnvironmentSettings": [{"name": "B", "value": "2"}]},
            ("commonEnvironmentSettings", {"B": {"value": "2"}}, None, "fixed", True),
        ),
    ],
)
def test_a_difference_says_its_field_and_what_it_takes(wanted: Body, live: Body, row: tuple[Any, ...]) -> None:
    base = {"poolInfo": {"poolId": "p"}}
    assert changes(JobSpec, {**base, **wanted}, {**RETURNED, **base, **live}) == [row]


def test_a_whole_object_that_is_new_is_one_row() -> None:
    wanted = {"poolInfo": {"poolId": "p"}, "jobPreparationTask": {"commandLine": "prepare"}}
    (row,) = changes(JobSpec, wanted, RETURNED)
    assert (row[0], row[1], row[3], row[4]) == ("jobPreparationTask", None, "fixed", False)


def test_every_field_below_pool_and_job_says_how_it_may_change() -> None:
    for model in (PoolSpec, JobSpec):
        for name, info in model.model_fields.items():
            extra = info.json_schema_extra
            assert isinstance(extra, dict)
            assert extra.get("x-change") in set(ChangeKind), f"{model.__name__}.{name}"


POOL: Body = {
    "vmSize": "s",
    "virtualMachineConfiguration": {"nodeAgentSKUId": "u", "imageReference": {"sku": "x"}},
}
PARTS: Body = {
    "displayName": "d",
    "targetDedicatedNodes": 3,
    "startTask": {"commandLine": "x", "environmentSettings": [{"name": "A", "value": "1"}]},
    "metadata": [{"name": "a", "value": "1"}],
    "networkConfiguration": {"subnetId": "s"},
    "taskSchedulingPolicy": {"nodeFillType": "pack"},
    "resizeTimeout": "PT20M",
}


@given(st.sets(st.sampled_from(sorted(PARTS))), st.sets(st.sampled_from(sorted(PARTS))))
def test_every_difference_has_a_row_and_every_row_a_path(one: set[str], other: set[str]) -> None:
    wanted = {**POOL, **{name: PARTS[name] for name in one}}
    live = {**POOL, **{name: PARTS[name] for name in other}}
    rows = changes(PoolSpec, wanted, live)
    assert {row[0].split(".")[0] for row in rows} == one ^ other
    assert changes(PoolSpec, wanted, wanted) == []


@pytest.mark.parametrize("part", ["resourceFiles", "environmentSettings"])
def test_an_empty_list_is_an_absent_one(part: str) -> None:
    wanted = {"poolInfo": {"poolId": "p"}, "jobPreparationTask": {"commandLine": "prepare", part: []}}
    assert changes(JobSpec, wanted, {**RETURNED, "jobPreparationTask": PREPARATION}) == []


def test_a_value_that_the_service_took_from_the_job_is_no_difference() -> None:
    manager = {"id": "m", "commandLine": "x"}
    stored = {**manager, "constraints": {"retentionTime": "P7D", "maxTaskRetryCount": 5}}
    wanted = {"poolInfo": {"poolId": "p"}, "jobManagerTask": manager}
    assert changes(JobSpec, wanted, {**RETURNED, "jobManagerTask": stored}) == []
    written = {**manager, "constraints": {"maxTaskRetryCount": 2}}
    assert len(changes(JobSpec, {**wanted, "jobManagerTask": written}, {**RETURNED, "jobManagerTask": stored})) == 1
