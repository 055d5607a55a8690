"""Pools: what GET shows of what was sent, changes, resizes, deletion."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError


@pytest.mark.recorded("sdk2026-update_pools")
def test_a_created_pool_shows_its_defaults(client, make_pool, raw):
    pool_id = make_pool()
    shown = raw("GET", f"/pools/{pool_id}").json
    assert shown["odata.metadata"].endswith("/$metadata#pools/@Element")
    assert shown["vmSize"] == "standard_d2_v3"
    assert shown["resizeTimeout"] == "PT15M"
    assert shown["taskSlotsPerNode"] == 1
    assert shown["taskSchedulingPolicy"] == {"nodeFillType": "Spread", "jobDefaultOrder": "none"}
    assert shown["virtualMachineConfiguration"]["imageReference"]["version"] == "latest"
    assert shown["enableAutoScale"] is shown["enableInterNodeCommunication"] is False
    assert not {"metadata", "startTask", "resizeErrors", "displayName", "autoScaleFormula"} & set(shown)


@pytest.mark.recorded("py2018-create_pools")
def test_a_new_pool_is_resizing_first_and_steady_soon(client, make_pool, until):
    pool_id = make_pool(wait=False)
    assert client.get_pool(pool_id).allocation_state == "resizing"
    until(lambda: client.get_pool(pool_id).allocation_state == "steady")


@pytest.mark.recorded("py2018-create_pools")
def test_passwords_are_not_returned_and_values_come_back_canonical(make_pool, raw):
    pool_id = make_pool(
        userAccounts=[{"name": "u", "password": "secret-password"}],
        taskSchedulingPolicy={"nodeFillType": "pack"},
        metadata=[],
        startTask={"commandLine": "true", "userIdentity": {"autoUser": {"elevationLevel": "ADMIN"}}},
        targetLowPriorityNodes="0",
        resizeTimeout="PT06M00S",
        networkConfiguration={"publicIPAddressConfiguration": {"provision": "batchManaged"}},
    )
    answer = raw("GET", f"/pools/{pool_id}")
    assert b"secret-password" not in answer.body
    assert answer.json["userAccounts"] == [{"name": "u", "elevationLevel": "nonadmin"}]
    assert answer.json["taskSchedulingPolicy"]["nodeFillType"] == "Pack"
    assert answer.json["targetLowPriorityNodes"] == 0
    assert answer.json["resizeTimeout"] == "PT6M"
    assert answer.json["networkConfiguration"]["dynamicVNetAssignmentScope"] == "none"
    assert answer.json["networkConfiguration"]["enableAcceleratedNetworking"] is False
    assert answer.json["startTask"]["userIdentity"] == {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}
    assert "metadata" not in answer.json


@pytest.mark.documented("M:BatchPool.id, unique without regard to case")
def test_an_id_is_taken_in_every_letter_case(client, make_pool, vm):
    pool_id = make_pool()
    with pytest.raises(ResourceExistsError) as refused:
        client.create_pool({"id": pool_id.upper(), **vm})
    assert refused.value.error.code == "PoolExists"
    assert client.get_pool(pool_id.upper()).id == pool_id


@pytest.mark.recorded("cli2020-pools_and_nodes")
def test_a_patched_start_task_is_a_new_one_with_defaults(make_pool, raw):
    pool_id = make_pool(
        startTask={"commandLine": "old", "maxTaskRetryCount": 3, "environmentSettings": [{"name": "A", "value": "b"}]},
        metadata=[{"name": "kept", "value": "1"}],
    )
    assert raw("PATCH", f"/pools/{pool_id}", {"startTask": {"commandLine": "new_value"}}).status == 200
    shown = raw("GET", f"/pools/{pool_id}").json
    assert shown["startTask"] == {
        "commandLine": "new_value",
        "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}},
        "maxTaskRetryCount": 0,
        "waitForSuccess": True,
    }
    assert shown["metadata"] == [{"name": "kept", "value": "1"}]


@pytest.mark.recorded("cli2024-pool_cmd")
def test_updateproperties_removes_what_it_leaves_out(make_pool, raw):
    pool_id = make_pool(startTask={"commandLine": "x"}, metadata=[{"name": "a", "value": "b"}])
    answer = raw("POST", f"/pools/{pool_id}/updateproperties", {"applicationPackageReferences": [], "metadata": []})
    assert answer.status == 204
    assert not {"startTask", "metadata"} & set(raw("GET", f"/pools/{pool_id}").json)
    missing = raw("POST", f"/pools/{pool_id}/updateproperties", {"metadata": []})
    assert (missing.status, missing.code) == (400, "MissingRequiredProperty")


@pytest.mark.documented("M:BatchPoolUpdateOptions: only when the pool is empty")
def test_most_properties_change_only_while_the_pool_is_empty(client, make_pool):
    empty, full = make_pool(0), make_pool(1)
    client.update_pool(empty, {"taskSlotsPerNode": 3, "displayName": "three"})
    assert client.get_pool(empty).task_slots_per_node == 3
    with pytest.raises(ResourceExistsError) as refused:
        client.update_pool(full, {"taskSlotsPerNode": 3})
    assert refused.value.error.code == "OperationNotValidOnPool"
    client.update_pool(full, {"metadata": [{"name": "a", "value": "b"}]})


@pytest.mark.documented("O:resize_pool, M:BatchPool.currentDedicatedNodes")
def test_resizing_adds_and_removes_nodes(client, make_pool, until):
    pool_id = make_pool(2)
    client.begin_resize_pool(pool_id, {"targetDedicatedNodes": 3, "targetLowPriorityNodes": 1})
    with pytest.raises(ResourceExistsError) as refused:
        client.begin_resize_pool(pool_id, {"targetDedicatedNodes": 1})
    assert refused.value.error.code == "PoolBeingResized"
    until(lambda: client.get_pool(pool_id).allocation_state == "steady")
    nodes = list(client.list_nodes(pool_id))
    assert sorted(node.is_dedicated for node in nodes) == [False, True, True, True]
    client.begin_resize_pool(pool_id, {"targetDedicatedNodes": 0, "targetLowPriorityNodes": 0})
    until(lambda: not list(client.list_nodes(pool_id)))
    until(lambda: client.get_pool(pool_id).allocation_state == "steady")


@pytest.mark.recorded("cli2024-pool_cmd")
def test_a_stopped_resize_keeps_its_target_its_etag_and_says_so(client, make_pool, raw, until):
    pool_id = make_pool(0)
    resized = raw("POST", f"/pools/{pool_id}/resize", {"targetLowPriorityNodes": 3})
    stopped = raw("POST", f"/pools/{pool_id}/stopresize")
    assert (resized.status, stopped.status) == (202, 202)
    assert resized.headers["etag"] == stopped.headers["etag"]
    until(lambda: client.get_pool(pool_id).allocation_state == "steady")
    shown = raw("GET", f"/pools/{pool_id}").json
    assert shown["targetLowPriorityNodes"] == 3
    assert shown["resizeErrors"] == [
        {
            "code": "ResizeStopped",
            "message": "Desired number of low priority nodes could not be allocated due to a stop resize operation",
        }
    ]


@pytest.mark.documented("O:remove_nodes")
def test_removed_nodes_go_and_the_target_shrinks(client, make_pool, until):
    pool_id = make_pool(2)
    first, second = sorted(node.id for node in client.list_nodes(pool_id))
    client.begin_remove_nodes(pool_id, {"nodeList": [first]})
    until(lambda: [node.id for node in client.list_nodes(pool_id)] == [second])
    assert client.get_pool(pool_id).target_dedicated_nodes == 1


@pytest.mark.recorded("sdk2026-update_pools")
def test_a_deleted_pool_is_deleting_before_it_is_gone(client, make_pool, until, vm):
    pool_id = make_pool(1)
    before = client.get_pool(pool_id)
    client.begin_delete_pool(pool_id)
    shown = client.get_pool(pool_id)
    assert (shown.state, shown.allocation_state) == ("deleting", "resizing")
    assert shown["eTag"] != before["eTag"]
    with pytest.raises(HttpResponseError) as refused:
        client.begin_delete_pool(pool_id)
    assert (refused.value.status_code, refused.value.error.code) == (409, "PoolBeingDeleted")
    until(lambda: pool_id not in [pool.id for pool in client.list_pools()])
    with pytest.raises(ResourceNotFoundError):
        client.get_pool(pool_id)
    client.create_pool({"id": pool_id, **vm})


@pytest.mark.documented("O:delete_pool, M:BatchPoolInfo.poolId")
def test_a_job_outlives_its_pool_and_goes_on_when_the_pool_comes_back(client, make_pool, make_job, until, vm, finished):
    pool_id = make_pool(1)
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sleep 60"})
    until(lambda: client.get_task(job_id, "t").state == "running")
    client.begin_delete_pool(pool_id)
    until(lambda: pool_id not in [pool.id for pool in client.list_pools()])
    task = client.get_task(job_id, "t")
    assert (client.get_job(job_id).state, task.state) == ("active", "active")
    assert task.execution_info.requeue_count == 1
    client.create_pool({"id": pool_id, **vm, "targetDedicatedNodes": 1})
    until(lambda: client.get_task(job_id, "t").state == "running")


@pytest.mark.recorded("node2020-get_pool_node_counts")
def test_node_counts_cover_every_state(client, make_pool):
    pool_id = make_pool(2)
    counts = next(entry for entry in client.list_pool_node_counts(filter=f"poolId eq '{pool_id}'"))
    assert (counts.dedicated.idle, counts.dedicated.total, counts.low_priority.total) == (2, 2, 0)


@pytest.mark.recorded("cli2020-pools_and_nodes")
def test_an_unknown_application_package_is_refused(make_pool, raw, vm, new_id):
    body = {"id": new_id("pool"), **vm, "applicationPackageReferences": [{"applicationId": "does-not-exist"}]}
    answer = raw("POST", "/pools", body)
    assert (answer.status, answer.code) == (409, "InvalidApplicationPackageReferences")
    assert answer.values == {"does-not-exist": "The specified application package does not exist."}


IDENTITY = {"identityReference": {"resourceId": "/subscriptions/x"}}
CONTAINER = {"containerSettings": {"imageName": "alpine"}}
FILE = {"httpUrl": "http://127.0.0.1/x", "filePath": "x"}
NOT_THERE = [
    ("mountConfiguration", "/pools", {"mountConfiguration": [{"nfsMountConfiguration": {"source": "a"}}]}),
    ("containerSettings", "/pools", {"startTask": {"commandLine": "x", **CONTAINER}}),
    ("identityReference", "/pools", {"startTask": {"commandLine": "x", "resourceFiles": [FILE | IDENTITY]}}),
    (
        "autoStorageContainerName",
        "/pools",
        {"startTask": {"commandLine": "x", "resourceFiles": [{"autoStorageContainerName": "x"}]}},
    ),
    ("containerSettings", "/jobs", {"jobPreparationTask": {"commandLine": "x", **CONTAINER}}),
    ("containerSettings", "/jobs", {"jobManagerTask": {"id": "m", "commandLine": "x", **CONTAINER}}),
    ("containerSettings", "/tasks", CONTAINER),
    ("identityReference", "/tasks", {"resourceFiles": [FILE | IDENTITY]}),
    ("autoStorageContainerName", "/tasks", {"resourceFiles": [{"autoStorageContainerName": "x"}]}),
    (
        "identityReference",
        "/tasks",
        {
            "outputFiles": [
                {
                    "filePattern": "*",
                    "destination": {"container": {"containerUrl": "http://127.0.0.1/c", **IDENTITY}},
                    "uploadOptions": {"uploadCondition": "taskcompletion"},
                }
            ]
        },
    ),
]


@pytest.mark.emulator_only
@pytest.mark.parametrize(("property_name", "where", "settings"), NOT_THERE)
def test_what_is_not_available_is_refused_by_name_not_ignored(
    raw, make_job, vm, new_id, property_name, where, settings
):
    body = {"id": new_id("x")} | settings
    if where == "/pools":
        body = vm | body
    elif where == "/jobs":
        body |= {"poolInfo": {"poolId": "nowhere"}}
    elif where == "/tasks":
        where, body = f"/jobs/{make_job('nowhere')}/tasks", body | {"commandLine": "x"}
    answer = raw("POST", where, body)
    assert answer.status == 501
    assert answer.values["PropertyName"] == property_name
    assert raw("GET", f"{where}/{body['id']}").status == 404


@pytest.mark.emulator_only
def test_a_pool_for_containers_is_refused_by_name(raw, vm, new_id):
    body = {"id": new_id("x"), **vm}
    configuration = vm["virtualMachineConfiguration"] | {"containerConfiguration": {"type": "dockerCompatible"}}
    answer = raw("POST", "/pools", body | {"virtualMachineConfiguration": configuration})
    assert (answer.status, answer.values["PropertyName"]) == (501, "containerConfiguration")


@pytest.mark.openapi
@pytest.mark.parametrize(
    ("settings", "code", "name"),
    [
        ({"vmSize": None}, "MissingRequiredProperty", "vmSize"),
        ({"surprise": 1}, "UnsupportedProperty", "surprise"),
        ({"taskSlotsPerNode": "many"}, "InvalidPropertyValue", "taskSlotsPerNode"),
        ({"taskSlotsPerNode": 0}, "InvalidPropertyValue", "taskSlotsPerNode"),
        ({"resizeTimeout": "PT1M"}, "InvalidPropertyValue", "resizeTimeout"),
        ({"resizeTimeout": "P"}, "InvalidPropertyValue", "resizeTimeout"),
        ({"targetDedicatedNodes": -1}, "InvalidPropertyValue", "targetDedicatedNodes"),
        ({"targetDedicatedNodes": True}, "InvalidPropertyValue", "targetDedicatedNodes"),
        ({"id": "no blanks"}, "InvalidPropertyValue", "id"),
        ({"id": "a" * 65}, "InvalidPropertyValue", "id"),
        ({"metadata": [{"name": "a"}]}, "MissingRequiredProperty", "value"),
        ({"metadata": {"name": "a"}}, "InvalidPropertyValue", "metadata"),
        ({"startTask": {}}, "MissingRequiredProperty", "commandLine"),
        ({"startTask": "x"}, "InvalidPropertyValue", "startTask"),
    ],
)
def test_a_wrong_body_is_refused_with_the_property_named(raw, vm, new_id, settings, code, name):
    answer = raw("POST", "/pools", {"id": new_id("pool"), **vm, **settings})
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)
