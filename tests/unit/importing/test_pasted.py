"""Pasted JSON of three tools becomes manifests that load, with what had to be left out said in notes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import UsageError
from reconciler.importing import pasted, spelling, tasks_of
from reconciler.importing.text import documents, section
from reconciler.manifest import load

REST_POOL: dict[str, Any] = {
    "odata.metadata": "https://a.region.batch.azure.com/$metadata#pools/@Element",
    "id": "Cpu",
    "url": "https://a.region.batch.azure.com/pools/Cpu",
    "eTag": "0x8D",
    "state": "active",
    "allocationState": "steady",
    "vmSize": "standard_d2s_v3",
    "resizeTimeout": "PT15M",
    "currentDedicatedNodes": 2,
    "targetDedicatedNodes": 2,
    "targetLowPriorityNodes": 0,
    "enableAutoScale": False,
    "enableInterNodeCommunication": False,
    "taskSlotsPerNode": 1,
    "taskSchedulingPolicy": {"nodeFillType": "Spread", "jobDefaultOrder": "none"},
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts", "version": "latest"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
    "startTask": {
        "commandLine": "/bin/sh -c 'echo ${var.x} $${y}'",
        "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}},
        "maxTaskRetryCount": 0,
        "waitForSuccess": True,
    },
    "metadata": [{"name": "team", "value": "x"}, {"name": "reconciler", "value": "v1;stack=s"}],
}
AZ_POOL: dict[str, Any] = {
    "allocationState": "steady",
    "applicationPackageReferences": None,
    "autoScaleEvaluationInterval": None,
    "creationTime": "2026-01-01T00:00:00.000000+00:00",
    "displayName": None,
    "eTag": "0x8D",
    "id": "Cpu",
    "resizeTimeout": "0:20:00",
    "startTask": None,
    "state": "active",
    "targetDedicatedNodes": 1,
    "virtualMachineConfiguration": {
        "containerConfiguration": None,
        "imageReference": {"offer": "jammy", "publisher": "canonical", "sku": "22_04-lts", "version": "latest"},
        "nodeAgentSkuId": "batch.node.ubuntu 22.04",
    },
    "vmSize": "standard_d2s_v3",
}
ARM_POOL: dict[str, Any] = {
    "id": "/subscriptions/0/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/a/pools/Cpu",
    "name": "Cpu",
    "type": "Microsoft.Batch/batchAccounts/pools",
    "etag": 'W/"0x8D"',
    "identity": {"type": "UserAssigned"},
    "properties": {
        "allocationState": "Steady",
        "vmSize": "STANDARD_D2S_V3",
        "interNodeCommunication": "Enabled",
        "taskSchedulingPolicy": {"nodeFillType": "Pack"},
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts", "version": "latest"},
                "nodeAgentSkuId": "batch.node.ubuntu 22.04",
            }
        },
        "scaleSettings": {"fixedScale": {"targetDedicatedNodes": 3, "targetLowPriorityNodes": 0}},
        "resizeOperationStatus": {"targetDedicatedNodes": 3},
    },
}  # fmt: skip
MACHINE = {
    "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts", "version": "latest"},
    "nodeAgentSKUId": "batch.node.ubuntu 22.04",
}


def loads(tmp_path: Path, text: str) -> Any:
    (tmp_path / "m.yaml").write_text(text, "utf-8")
    return load([str(tmp_path / "m.yaml")], variables={}, environment={})


def test_a_pool_of_the_rest_api_is_written_as_a_person_would(tmp_path: Path) -> None:
    (made,) = pasted(REST_POOL)
    assert made.document["spec"] == {
        "vmSize": "standard_d2s_v3",
        "virtualMachineConfiguration": MACHINE,
        "targetDedicatedNodes": 2,
        "startTask": {"commandLine": "/bin/sh -c 'echo ${var.x} $${y}'"},
        "metadata": [{"name": "team", "value": "x"}],
    }
    (wanted,) = loads(tmp_path, documents([made])).objects.values()
    assert wanted.name == "Cpu"
    assert wanted.body["startTask"]["commandLine"] == "/bin/sh -c 'echo ${var.x} $${y}'"


def test_what_az_prints_is_read(tmp_path: Path) -> None:
    (made,) = pasted(AZ_POOL)
    assert made.document["spec"] == {
        "vmSize": "standard_d2s_v3",
        "virtualMachineConfiguration": MACHINE,
        "resizeTimeout": "PT20M",
        "targetDedicatedNodes": 1,
    }
    loads(tmp_path, documents([made]))


def test_an_arm_pool_is_translated_and_what_it_loses_is_said(tmp_path: Path) -> None:
    (made,) = pasted(ARM_POOL)
    assert made.document["spec"] == {
        "vmSize": "STANDARD_D2S_V3",
        "virtualMachineConfiguration": MACHINE,
        "targetDedicatedNodes": 3,
        "enableInterNodeCommunication": True,
        "taskSchedulingPolicy": {"nodeFillType": "pack"},
    }
    assert made.notes == ("identity is left out: the data plane cannot give a pool its managed identities",)
    text = documents([made])
    assert text.startswith("# identity is left out")
    loads(tmp_path, text)


def test_settings_of_an_extension_are_kept_as_they_are_in_arm() -> None:
    settings = {"mode": "Fast", "policy": {"scope": "All"}}
    extension = {"name": "e", "publisher": "P", "type": "T", "settings": settings}
    properties: Any = ARM_POOL["properties"]
    machine = {**properties["deploymentConfiguration"]["virtualMachineConfiguration"], "extensions": [extension]}
    (made,) = pasted(
        {**ARM_POOL, "properties": {**properties, "deploymentConfiguration": {"virtualMachineConfiguration": machine}}}
    )
    written = made.document["spec"]["virtualMachineConfiguration"]["extensions"][0]["settings"]
    assert written == settings


def test_names_of_the_sdk_and_of_older_versions_are_read(tmp_path: Path) -> None:
    disks = [
        {"logicalUnitNumber": 1, "diskSizeGb": 10, "caching": "readonly"},
        {"lun": 2, "diskSizeGB": 20, "storageAccountType": "premium_lrs"},
    ]
    network = {"publicIpAddressConfiguration": {"ipAddressProvisioningType": "nopublicipaddresses"}}
    machine = {**AZ_POOL["virtualMachineConfiguration"], "dataDisks": disks}
    (made,) = pasted(
        {**AZ_POOL, "virtualMachineConfiguration": machine, "networkConfiguration": network, "maxTasksPerNode": 4}
    )
    spec = made.document["spec"]
    assert spec["virtualMachineConfiguration"]["dataDisks"] == [
        {"lun": 1, "caching": "readonly", "diskSizeGB": 10},
        {"lun": 2, "diskSizeGB": 20, "managedDisk": {"storageAccountType": "premium_lrs"}},
    ]
    assert spec["networkConfiguration"] == {"publicIPAddressConfiguration": {"provision": "nopublicipaddresses"}}
    assert spec["taskSlotsPerNode"] == 4
    job = {
        "id": "j",
        "poolInfo": {"poolId": "Cpu"},
        "allTasksCompleteMode": "terminatejob",
        "taskFailureMode": "performexitoptionsjobaction",
    }
    (of_job,) = pasted(job)
    assert of_job.document["spec"]["onAllTasksComplete"] == "terminatejob"
    assert of_job.document["spec"]["onTaskFailure"] == "performexitoptionsjobaction"
    loads(tmp_path, documents([made, of_job]))


def test_settings_of_an_extension_written_as_text_become_an_object(tmp_path: Path) -> None:
    """The OpenAPI document's example PoolAdd_VirtualMachineConfigurationWithExtensions writes them so."""
    extension = {"name": "e", "publisher": "P", "type": "T", "settings": '{"a": 1}'}
    machine = {**REST_POOL["virtualMachineConfiguration"], "extensions": [extension]}
    (made,) = pasted({**REST_POOL, "virtualMachineConfiguration": machine})
    assert made.document["spec"]["virtualMachineConfiguration"]["extensions"][0]["settings"] == {"a": 1}
    loads(tmp_path, documents([made]))


def test_what_the_service_sets_and_what_is_gone_is_named() -> None:
    (made,) = pasted({**REST_POOL, "targetNodeCommunicationMode": "simplified", "resourceTags": {"a": "b"}})
    gone = "gone from the REST API since 2025-06-01"
    assert made.notes == (
        f"spec.targetNodeCommunicationMode is left out: {gone}",
        f"spec.resourceTags is left out: {gone}",
        "left out, because the service sets it: url, eTag, state, allocationState, currentDedicatedNodes",
    )


def test_tasks_become_what_stands_under_tasks() -> None:
    task = {
        "id": "t",
        "url": "https://a.b.batch.azure.com/jobs/J/tasks/t",
        "commandLine": "x",
        "state": "active",
        "constraints": {"maxWallClockTime": "0:10:00", "maxTaskRetryCount": 2},
        "nodeInfo": None,
        "requiredSlots": 1,
    }
    found = tasks_of([task])
    assert found is not None
    assert found.job == "J"
    assert found.items == (
        {"id": "t", "commandLine": "x", "constraints": {"maxWallClockTime": "PT10M", "maxTaskRetryCount": 2}},
    )
    assert section(found).splitlines()[0] == "# for the manifest of job/J"
    assert yaml.safe_load(section(found)) == {"tasks": list(found.items)}
    assert tasks_of([task, REST_POOL]) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"metadata": "x"}, "spec.metadata: expected a list, found a text"),
        ({"metadata": ["x"]}, "spec.metadata[0]: expected an object, found a text"),
        ({"metadata": [{"value": "x"}]}, "spec.metadata[0]: expected name, found none"),
        ({"startTask": 3}, "spec.startTask: expected an object, found int"),
        ({"resizeTimeout": "soon"}, "spec.resizeTimeout: expected an ISO 8601 duration"),
        ({"resizeTimeout": 900}, "spec.resizeTimeout: expected a text, found int"),
    ],
)
def test_a_value_of_another_form_is_refused_by_its_place(change: Any, expected: str) -> None:
    with pytest.raises(UsageError) as refused:
        pasted({**REST_POOL, **change})
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"applicationPackages": [{"version": "1"}]},
        {"scaleSettings": {"autoScale": {"evaluationInterval": "PT5M"}}},
        {"scaleSettings": {"fixedScale": 3}},
        {"interNodeCommunication": True},
        {"deploymentConfiguration": {"virtualMachineConfiguration": {"imageReference": None}}},
    ],
)
def test_an_arm_pool_of_another_form_is_refused(change: Any) -> None:
    properties: Any = ARM_POOL["properties"]
    with pytest.raises(UsageError, match="expected"):
        pasted({**ARM_POOL, "properties": {**properties, **change}})


def test_a_page_of_a_list_gives_a_manifest_for_each(tmp_path: Path) -> None:
    job = {"id": "j", "poolInfo": {"poolId": "Cpu"}, "state": "active", "onAllTasksComplete": "noaction"}
    schedule = {
        "id": "s",
        "schedule": {"recurrenceInterval": "PT1H"},
        "jobSpecification": {"poolInfo": {"poolId": "Cpu"}},
    }
    made = pasted({"value": [REST_POOL, job, schedule]})
    assert [one.address for one in made] == ["pool/Cpu", "job/j", "jobschedule/s"]
    documented = list(yaml.safe_load_all(documents(made)))
    assert [one["kind"] for one in documented] == ["Pool", "Job", "JobSchedule"]
    loads(tmp_path, documents(made))


def test_a_secret_becomes_a_reference_to_it() -> None:
    signed = "https://a.blob.core.windows.net/c/f?sv=2024&sig=SECRET"
    start = {"commandLine": "x", "resourceFiles": [{"httpUrl": signed, "filePath": "f"}]}
    users = [{"name": "u", "elevationLevel": "nonadmin"}]
    (made,) = pasted({**REST_POOL, "startTask": start, "userAccounts": users})
    text = documents([made])
    assert "SECRET" not in text
    assert made.document["spec"]["startTask"]["resourceFiles"][0]["httpUrl"] == {
        "secretRef": {"env": "POOL_CPU_STARTTASK_RESOURCEFILES_0_HTTPURL"}
    }
    assert made.document["spec"]["userAccounts"][0]["password"] == {
        "secretRef": {"env": "POOL_CPU_USERACCOUNTS_0_PASSWORD"}
    }
    secrets = [note for note in made.notes if "is not written" in note]
    assert len(secrets) == 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], []),
        (3, "expected the JSON object of a pool, job or job schedule, found int"),
        ({"a": 1}, "found an object with a"),
        ([{"id": "t1", "commandLine": "x"}, {"id": "j", "poolInfo": {}}], "found a task beside other objects"),
        ({"id": "s:job-1", "poolInfo": {}}, "made by a schedule: import jobschedule/s instead"),
        ({"id": "tvm-1", "vmSize": "x", "affinityId": "y", "schedulingState": "enabled"}, "found a node"),
        ({"name": "f.txt", "isDirectory": False, "properties": {"contentLength": 1}}, "found an object with isDir"),
        ({"type": "Microsoft.Storage/storageAccounts", "properties": {}}, "found Microsoft.Storage/storageAccounts"),
        ({"vmSize": "x"}, "expected the JSON of a Pool with its id, found none"),
    ],
)
def test_what_is_no_object_is_refused_by_what_it_looks_like(value: Any, expected: Any) -> None:
    if isinstance(expected, list):
        assert pasted(value) == expected
        return
    with pytest.raises(UsageError) as refused:
        pasted(json.loads(json.dumps(value)))
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:15:00", "PT15M"),
        ("7 days, 0:00:00", "P7D"),
        ("1 day, 2:03:04", "P1DT2H3M4S"),
        ("0:00:00", "PT0S"),
        ("10675199 days, 2:48:05.477581", "P10675199DT2H48M5.477581S"),
        ("PT5M", "PT5M"),
        ("soon", "soon"),
    ],
)
def test_durations_as_python_prints_them(text: str, expected: str) -> None:
    assert spelling.iso(text) == expected
