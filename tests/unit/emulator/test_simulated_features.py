"""What a machine without a container engine, identities or mounts refuses is state alone where nothing is run: the
simulated account takes it, checks it, and gives it back as the service does."""

from __future__ import annotations

import pytest

from reconciler.emulator import Simulation

VM = {
    "vmSize": "Standard_D2_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}
WHO = {"resourceId": "/subscriptions/s/identities/i"}
NAMED = {"registryServer": "r.example", "username": "u"}
BLOB = {"accountName": "a", "containerName": "c", "relativeMountPath": "m"}
NFS = {"nfsMountConfiguration": {"source": "s", "relativeMountPath": "m"}}


@pytest.fixture
def batch():
    with Simulation() as simulation:
        yield simulation


def containers(**settings):
    return {"virtualMachineConfiguration": {"containerConfiguration": settings}}


def put(batch, path, **body):
    kinds = {"pools": VM, "jobs": {"poolInfo": {"poolId": "p"}}, "tasks": {"commandLine": "true"}}
    whole = {"id": "x", **kinds[path.rpartition("/")[2]], **body}
    if "virtualMachineConfiguration" in body:
        machine = VM["virtualMachineConfiguration"] | body["virtualMachineConfiguration"]
        whole["virtualMachineConfiguration"] = machine
    return batch.request("POST", path, whole)


KEPT = [
    ("/pools", {"mountConfiguration": [NFS]}, {"mountConfiguration": [NFS]}),
    (
        "/pools",
        {"mountConfiguration": [{"azureBlobFileSystemConfiguration": {**BLOB, "accountKey": "hush"}}]},
        {"mountConfiguration": [{"azureBlobFileSystemConfiguration": BLOB}]},
    ),
    (
        "/pools",
        {"mountConfiguration": [{"azureBlobFileSystemConfiguration": {**BLOB, "identityReference": WHO}}]},
        {"mountConfiguration": [{"azureBlobFileSystemConfiguration": {**BLOB, "identityReference": WHO}}]},
    ),
    (
        "/pools",
        containers(type="dockercompatible", containerRegistries=[{**NAMED, "password": "hush"}]),
        containers(type="dockerCompatible", containerRegistries=[NAMED]),
    ),
    (
        "/jobs",
        {"jobManagerTask": {"id": "m", "commandLine": "x", "containerSettings": {"imageName": "i"}}},
        {"jobManagerTask": {"containerSettings": {"imageName": "i"}}},
    ),
    (
        "/jobs/j/tasks",
        {"containerSettings": {"imageName": "i", "registry": {"registryServer": "r", "identityReference": WHO}}},
        {"containerSettings": {"imageName": "i", "registry": {"registryServer": "r", "identityReference": WHO}}},
    ),
    (
        "/jobs/j/tasks",
        {"resourceFiles": [{"autoStorageContainerName": "c", "identityReference": WHO}]},
        {"resourceFiles": [{"autoStorageContainerName": "c", "identityReference": WHO}]},
    ),
]


def part(live, wanted):
    """What *live* has of the properties that *wanted* names."""
    return {
        name: part(live[name], value) if isinstance(value, dict) else live.get(name) for name, value in wanted.items()
    }


@pytest.mark.parametrize(("path", "body", "live"), KEPT)
def test_what_only_a_machine_could_not_do_is_kept_and_given_back(batch, path, body, live):
    put(batch, "/jobs", id="j")
    answer = put(batch, path, **body)
    assert answer.status == 201, answer
    assert part(batch.get(f"{path}/x"), live) == live


WRONG = [
    ("/pools", {"mountConfiguration": [{}]}, "InvalidPropertyValue"),
    ("/pools", {"mountConfiguration": [{"azureBlobFileSystemConfiguration": BLOB}]}, "InvalidPropertyValue"),
    ("/pools", {"mountConfiguration": [{"nfsMountConfiguration": {"source": "s"}}]}, "MissingRequiredProperty"),
    ("/pools", {"mountConfiguration": [NFS] * 11}, "InvalidPropertyValue"),
    ("/pools", containers(type="podman"), "InvalidPropertyValue"),
    ("/jobs/j/tasks", {"containerSettings": {"imageName": "i", "shell": "sh"}}, "UnsupportedProperty"),
    (
        "/jobs/j/tasks",
        {"resourceFiles": [{"autoStorageContainerName": "c", "storageContainerUrl": "http://s/c"}]},
        "InvalidPropertyValue",
    ),
]


@pytest.mark.parametrize(("path", "body", "code"), WRONG)
def test_it_is_checked_all_the_same(batch, path, body, code):
    put(batch, "/jobs", id="j")
    answer = put(batch, path, **body)
    assert (answer.status, answer.code) == (400, code)


def test_what_nobody_has_any_more_is_still_refused_by_name(batch):
    put(batch, "/jobs", id="j")
    body = {"id": "t", "commandLine": "x", "authenticationTokenSettings": {"access": ["job"]}}
    answer = batch.request("POST", "/jobs/j/tasks", body, query="api-version=2024-07-01.20.0")
    assert (answer.status, answer.code) == (501, "NotImplemented")
