"""Older api-versions: what they name differently, and what they do not have yet."""

from __future__ import annotations

import pytest


def body_of(raw, path, version):
    answer = raw("GET", path, query=f"api-version={version}")
    assert answer.status == 200
    return answer.json


@pytest.mark.recorded("py2017-tasks")
@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("2017-09-01.6.0", {"active", "running", "completed", "succeeded", "failed", "validationStatus"}),
        ("2019-08-01.10.0", {"active", "running", "completed", "succeeded", "failed"}),
        ("2020-09-01.12.0", {"taskCounts", "taskSlotCounts"}),
        ("2025-06-01", {"taskCounts", "taskSlotCounts"}),
    ],
)
def test_task_counts_are_flat_before_slots(raw, client, make_job, version, names):
    job_id = make_job("nowhere")
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    counts = body_of(raw, f"/jobs/{job_id}/taskcounts", version)
    assert counts.keys() - {"odata.metadata"} == names
    assert counts.get("active", 1) == 1


@pytest.mark.recorded("cli2020-pool_cmd")
def test_slots_per_node_had_another_name(raw, new_id, vm):
    pool_id = new_id("old")
    body = {"id": pool_id, **vm, "maxTasksPerNode": 3}
    assert raw("POST", "/pools", body).code == "UnsupportedProperty"
    assert raw("POST", "/pools", body, query="api-version=2020-03-01.11.0").status == 201
    path = f"/pools/{pool_id}"
    old, new = (body_of(raw, path, version) for version in ("2019-08-01.10.0", "2025-06-01"))
    assert (old["maxTasksPerNode"], new["taskSlotsPerNode"]) == (3, 3)
    assert not {"taskSlotsPerNode", "upgradePolicy"} & old.keys()
    assert raw("DELETE", path).status == 202


@pytest.mark.recorded("py2020b-jobs")
@pytest.mark.parametrize(("version", "shown"), [("2021-06-01.14.0", False), ("2022-01-01.15.0", True)])
def test_a_job_shows_what_its_version_has(raw, make_job, version, shown):
    job = body_of(raw, f"/jobs/{make_job('nowhere')}", version)
    assert ({"maxParallelTasks", "allowTaskPreemption"} <= job.keys()) is shown
