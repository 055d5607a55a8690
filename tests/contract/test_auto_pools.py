"""Automatic pools: made with a job or schedule, shown, deleted at the end."""

from __future__ import annotations

import re

import pytest

GUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


@pytest.fixture
def auto(vm):
    """poolInfo of an automatic pool."""

    def make(lifetime="job", *, pool=None, **settings):
        specification = {"poolLifetimeOption": lifetime, "pool": vm | (pool or {}), **settings}
        return {"poolInfo": {"autoPoolSpecification": specification}}

    return make


@pytest.fixture
def new_job(raw, client, new_id):
    """Create a job with this body; it and its pool are deleted after the test."""
    made = []

    def make(**body):
        job_id = new_id("autojob")
        answer = raw("POST", "/jobs", {"id": job_id, **body})
        assert answer.status == 201, answer.body
        made.append(job_id)
        return job_id

    yield make
    pools = {job.execution_info.pool_id for job in client.list_jobs() if job.id in made}
    for job in client.list_jobs():
        if job.id in made and job.state != "deleting":
            client._delete_job_internal(job.id, force=True)
    for pool in client.list_pools():
        if pool.id in pools and pool.state != "deleting":
            client._delete_pool_internal(pool.id)


def pool_ids(client):
    return {pool.id for pool in client.list_pools()}


@pytest.mark.documented("M:BatchAutoPoolSpecification")
def test_an_automatic_pool_is_made_with_its_job_and_goes_when_the_job_completes(
    client, new_job, auto, until, finished, tmp_path
):
    mark = tmp_path / "released"
    job_id = new_job(
        **auto(autoPoolIdPrefix="Mine", pool={"targetDedicatedNodes": 1}),
        jobPreparationTask={"commandLine": "true"},
        jobReleaseTask={"commandLine": f"touch {mark}"},
    )
    pool_id = client.get_job(job_id).execution_info.pool_id
    assert pool_id.startswith("Mine_")
    assert GUID.fullmatch(pool_id.removeprefix("Mine_"))
    assert client.get_pool(pool_id).vm_size == "standard_d2_v3"
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    assert finished(job_id, "t").node_info.pool_id == pool_id
    client.begin_terminate_job(job_id, options={"terminateReason": "done"}, polling_interval=0).result()
    until(lambda: client.get_job(job_id).state == "completed")
    assert mark.exists()
    until(lambda: pool_id not in pool_ids(client))
    assert client.get_job(job_id).execution_info.pool_id == pool_id


@pytest.mark.documented("M:BatchAutoPoolSpecification.keepAlive")
def test_a_pool_kept_alive_stays(client, new_job, auto, until):
    job_id = new_job(**auto(keepAlive=True))
    pool_id = client.get_job(job_id).execution_info.pool_id
    assert GUID.fullmatch(pool_id)
    client.begin_terminate_job(job_id, options={"terminateReason": "done"}, polling_interval=0).result()
    until(lambda: client.get_job(job_id).state == "completed")
    assert client.get_pool(pool_id).state == "active"


@pytest.mark.documented("M:BatchPoolSpecification")
def test_a_job_shows_the_specification_with_the_defaults_of_a_pool_and_without_passwords(raw, new_job, auto):
    job_id = new_job(**auto(pool={"userAccounts": [{"name": "u", "password": "secret"}], "resizeTimeout": "PT600S"}))
    shown = raw("GET", f"/jobs/{job_id}").json["poolInfo"]["autoPoolSpecification"]
    assert (shown["keepAlive"], shown["poolLifetimeOption"]) == (False, "job")
    pool = shown["pool"]
    assert (pool["resizeTimeout"], pool["taskSlotsPerNode"], pool["enableAutoScale"]) == ("PT10M", 1, False)
    assert (pool["targetDedicatedNodes"], pool["targetLowPriorityNodes"]) == (0, 0)
    assert pool["userAccounts"] == [{"name": "u", "elevationLevel": "nonadmin"}]
    assert pool["virtualMachineConfiguration"]["imageReference"]["version"] == "latest"


@pytest.mark.documented("M:BatchJobUpdateOptions.poolInfo")
def test_only_keep_alive_can_be_changed(raw, new_job, auto):
    job_id = new_job(**auto())
    assert raw("PATCH", f"/jobs/{job_id}", auto(keepAlive=True)).status == 200
    assert raw("GET", f"/jobs/{job_id}").json["poolInfo"]["autoPoolSpecification"]["keepAlive"] is True
    assert raw("PATCH", f"/jobs/{job_id}", auto(pool={"taskSlotsPerNode": 2})).status == 409
    assert raw("PATCH", f"/jobs/{job_id}", {"poolInfo": {"poolId": "other"}}).status == 409
    shown = raw("GET", f"/jobs/{job_id}").json
    assert raw("PUT", f"/jobs/{job_id}", {"poolInfo": shown["poolInfo"]}).status == 200


@pytest.mark.documented("E:BatchPoolLifetimeOption")
@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        ({"poolLifetimeOption": "jobschedule"}, "InvalidPropertyValue", "poolLifetimeOption"),
        ({"poolLifetimeOption": "forever"}, "InvalidPropertyValue", "poolLifetimeOption"),
        ({"poolLifetimeOption": None}, "MissingRequiredProperty", "poolLifetimeOption"),
        ({"autoPoolIdPrefix": "x" * 21}, "InvalidPropertyValue", "autoPoolIdPrefix"),
        ({"pool": None}, "MissingRequiredProperty", "pool"),
        ({"pool": {"id": "p"}}, "UnsupportedProperty", "id"),
        ({"pool": {"targetNodeCommunicationMode": "default"}}, "UnsupportedProperty", "targetNodeCommunicationMode"),
    ],
)
def test_a_wrong_specification_is_refused_by_the_property(raw, new_id, auto, change, code, name):
    pool_info = auto()["poolInfo"]
    if change.get("pool"):
        change = {"pool": pool_info["autoPoolSpecification"]["pool"] | change["pool"]}
    pool_info["autoPoolSpecification"] |= change
    answer = raw("POST", "/jobs", {"id": new_id("job"), "poolInfo": pool_info})
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)


@pytest.mark.documented("M:BatchPoolInfo")
def test_a_job_runs_on_a_pool_or_an_automatic_one_not_both(raw, new_id, auto):
    body = auto() | {"id": new_id("job")}
    body["poolInfo"]["poolId"] = "p"
    assert raw("POST", "/jobs", body).code == "InvalidPropertyValue"
    assert raw("POST", "/jobs", {"id": new_id("job"), "poolInfo": {}}).code == "MissingRequiredProperty"


@pytest.mark.documented("O:_delete_job_internal")
def test_deleting_an_active_job_takes_its_pool_along(client, new_job, auto, until):
    job_id = new_job(**auto())
    pool_id = client.get_job(job_id).execution_info.pool_id
    client._delete_job_internal(job_id)
    until(lambda: job_id not in [job.id for job in client.list_jobs()])
    until(lambda: pool_id not in pool_ids(client))


@pytest.mark.documented("E:BatchPoolLifetimeOption")
def test_the_pool_of_a_schedule_goes_with_the_schedule(client, auto, new_id, until):
    schedule_id = new_id("autoschedule")
    client.create_job_schedule(
        {"id": schedule_id, "schedule": {"recurrenceInterval": "P1D"}, "jobSpecification": auto("jobschedule")}
    )
    job_id = f"{schedule_id}:job-1"
    pool_id = client.get_job(job_id).execution_info.pool_id
    client.begin_terminate_job(job_id, options={"terminateReason": "done"}, polling_interval=0).result()
    until(lambda: client.get_job(job_id).state == "completed")
    assert client.get_pool(pool_id).state == "active"
    client._delete_job_schedule_internal(schedule_id)
    until(lambda: pool_id not in pool_ids(client))
