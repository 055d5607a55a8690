"""What the field table answers: secrets, what the service never returns, what an import drops, what a rule refuses."""

from typing import Any

# ruff: noqa: E501 - a table shows a body and what is said of it side by side
import pytest
from pydantic import ValidationError

from reconciler.diff import diff
from reconciler.model import (
    containers,
    disks,
    files,
    job,
    machines,
    moment,
    mounts,
    network,
    pool,
    schedule,
    task,
    upgrades,
    users,
)
from reconciler.model.field import Spec
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import (
    is_secret,
    missing_secrets,
    normalise,
    strip_read_only,
    to_wire,
    without_defaults,
    without_secrets,
    write_only,
)
from reconciler.model.task import TaskSpec

Body = dict[str, Any]
POOL: Body = {
    "vmSize": "s",
    "virtualMachineConfiguration": {"nodeAgentSKUId": "u", "imageReference": {"virtualMachineImageId": "i"}},
}
USER = {"name": "ada", "password": "pw"}
MOUNT = {"azureFileShareConfiguration": {"accountName": "a", "accountKey": "k", "azureFileUrl": "u"}}


def changes(model: type[Spec], wanted: Body, live: Body) -> list[tuple[str, Any, Any, str]]:
    change = diff(model, normalise(model, wanted), normalise(model, live), written=normalise(model, wanted, fill=False))
    return [(row.name, row.old, row.new, row.kind.value) for row in change.fields]


def machine(**more: Any) -> Body:
    return {**POOL, "virtualMachineConfiguration": {**POOL["virtualMachineConfiguration"], **more}}


def test_what_the_service_never_returns_is_not_compared_and_not_in_a_normalised_object() -> None:
    wanted = {**POOL, "userAccounts": [USER], "mountConfiguration": [MOUNT]}
    mount = {"azureFileShareConfiguration": {"accountName": "a", "azureFileUrl": "u"}}
    assert changes(PoolSpec, wanted, {**POOL, "userAccounts": [{"name": "ada"}], "mountConfiguration": [mount]}) == []
    assert "pw" not in str(normalise(PoolSpec, wanted))
    assert write_only(PoolSpec, wanted) == {
        ("userAccounts", "0", "password"): "pw",
        ("mountConfiguration", "0", "azureFileShareConfiguration", "accountKey"): "k",
    }


def test_a_pool_read_from_the_service_says_which_secrets_it_lacks() -> None:
    blob = {"azureBlobFileSystemConfiguration": {"accountName": "a", "containerName": "c", "relativeMountPath": "r"}}
    body = {
        **machine(
            containerConfiguration={
                "type": "dockerCompatible",
                "containerRegistries": [{"username": "u"}, {"identityReference": {"resourceId": "i"}}],
            }
        ),
        "userAccounts": [{"name": "ada"}, USER],
        "mountConfiguration": [blob],
    }
    registry = ("virtualMachineConfiguration", "containerConfiguration", "containerRegistries", "0", "password")
    assert set(missing_secrets(PoolSpec, body)) == {
        registry,
        ("userAccounts", "0", "password"),
        ("mountConfiguration", "0", "azureBlobFileSystemConfiguration", "accountKey"),
    }


def test_under_autoscale_the_number_of_nodes_is_no_difference() -> None:
    scaled = {**POOL, "enableAutoScale": True, "autoScaleFormula": "f", "autoScaleEvaluationInterval": "PT15M"}
    live = {**scaled, "targetDedicatedNodes": 7, "targetLowPriorityNodes": 1, "resizeTimeout": "PT20M"}
    assert changes(PoolSpec, {**POOL, "enableAutoScale": True, "autoScaleFormula": "f"}, live) == []
    assert changes(PoolSpec, {**POOL, "targetDedicatedNodes": 7}, {**POOL, "targetDedicatedNodes": 7}) == []


def test_autoscale_goes_on_off_and_over_through_its_own_operations() -> None:
    fixed = {**POOL, "targetDedicatedNodes": 2}
    scaled = {**POOL, "enableAutoScale": True, "autoScaleFormula": "f"}
    assert changes(PoolSpec, scaled, fixed) == [
        ("enableAutoScale", False, True, "autoscale"),
        ("autoScaleFormula", None, "f", "autoscale"),
        ("autoScaleEvaluationInterval", None, "PT15M", "autoscale"),
    ]
    live = {**scaled, "targetDedicatedNodes": 2, "targetLowPriorityNodes": 0, "resizeTimeout": "PT15M"}
    assert changes(PoolSpec, fixed, live) == [("enableAutoScale", True, False, "autoscale")]
    assert changes(PoolSpec, {**scaled, "autoScaleFormula": "g"}, live) == [
        ("autoScaleFormula", "f", "g", "autoscale"),
    ]


def test_what_the_service_chose_for_an_item_of_a_list_is_no_difference() -> None:
    disk = {"lun": 1, "diskSizeGB": 10}
    live = machine(dataDisks=[{"lun": 2, "diskSizeGB": 20, "caching": "none"}, {**disk, "caching": "none"}])
    assert changes(PoolSpec, machine(dataDisks=[disk, {"lun": 2, "diskSizeGB": 20}]), live) == []
    name = "virtualMachineConfiguration.dataDisks.1.diskSizeGB"
    wanted = machine(dataDisks=[{**disk, "diskSizeGB": 11}, {"lun": 2, "diskSizeGB": 20}])
    assert changes(PoolSpec, wanted, live) == [(name, 10, 11, "when_empty")]
    conditions = {"exitCodes": [{"code": 3, "exitOptions": {}}]}
    stored = {"exitCodes": [{"code": 3, "exitOptions": {"jobAction": "terminate", "dependencyAction": "block"}}]}
    task_body = {"id": "t", "commandLine": "x"}
    assert changes(TaskSpec, {**task_body, "exitConditions": conditions}, {**task_body, "exitConditions": stored}) == []


def test_everything_in_a_schedules_specification_changes_with_the_next_run() -> None:
    def made(**spec: Any) -> Body:
        return {"schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "p"}, **spec}}

    assert changes(JobScheduleSpec, made(priority=5, displayName="x"), made()) == [
        ("jobSpecification.displayName", None, "x", "next_run"),
        ("jobSpecification.priority", 0, 5, "next_run"),
    ]


def test_an_automatic_pool_can_only_be_kept_alive_later() -> None:
    def made(nodes: int, keep: bool) -> Body:
        auto = {"poolLifetimeOption": "job", "keepAlive": keep, "pool": {**POOL, "targetDedicatedNodes": nodes}}
        return {"poolInfo": {"autoPoolSpecification": auto}}

    path = "poolInfo.autoPoolSpecification"
    assert changes(JobSpec, made(1, True), made(1, False)) == [(f"{path}.keepAlive", False, True, "when_disabled")]
    assert changes(JobSpec, made(2, True), made(1, True)) == [(f"{path}.pool.targetDedicatedNodes", 1, 2, "fixed")]
    to_a_pool_of_ours = changes(JobSpec, {"poolInfo": {"poolId": "p"}}, made(1, True))
    assert [(name, kind) for name, _, _, kind in to_a_pool_of_ours] == [
        (path, "fixed"),
        ("poolInfo.poolId", "when_disabled"),
    ]


def test_times_and_enums_in_lists_are_compared_by_what_they_mean() -> None:
    def made(time: str) -> Body:
        return {"schedule": {"doNotRunUntil": time}, "jobSpecification": {"poolInfo": {"poolId": "p"}}}

    assert changes(JobScheduleSpec, made("2030-01-01T02:00:00+02:00"), made("2030-01-01T00:00:00.000Z")) == []
    assert len(changes(JobScheduleSpec, made("2030-01-01T02:00:00Z"), made("2030-01-01T00:00:00Z"))) == 1
    wanted = machine(diskEncryptionConfiguration={"targets": ["osdisk"]})
    assert changes(PoolSpec, wanted, machine(diskEncryptionConfiguration={"targets": ["OsDisk"]})) == []
    assert to_wire(network.PublicIPAddressConfiguration, {"ipFamilies": ["ipv4", "ipv6"]}) == {
        "ipFamilies": ["IPv4", "IPv6"]
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-01-31T06:00:00Z", "2030-01-31T06:00:00Z"),
        ("2030-01-31t06:00:00.1200000z", "2030-01-31T06:00:00.12Z"),
        ("2030-01-31T06:00:00.123456789+01:30", "2030-01-31T04:30:00.123456Z"),
        ("0999-12-31T23:00:00-02:00", "1000-01-01T01:00:00Z"),
    ],
)
def test_a_moment_is_written_as_the_service_writes_it(text: str, expected: str) -> None:
    assert moment.canonical(text) == expected


@pytest.mark.parametrize(
    "text", ["2030-01-31", "2030-01-31T06:00:00", "2030-02-30T00:00:00Z", "0001-01-01T00:00:00+01:00", "x"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        moment.canonical(text)


def test_a_fraction_makes_a_moment_later() -> None:
    assert moment.is_before("2030-01-01T00:00:00Z", "2030-01-01T00:00:00.5Z")
    assert not moment.is_before("2030-01-01T00:00:00.5Z", "2030-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("model", "path", "expected"),
    [
        (PoolSpec, ("userAccounts", 0, "password"), True),
        (PoolSpec, ("userAccounts", "ada", "password"), True),
        (PoolSpec, ("userAccounts", 0, "name"), False),
        (PoolSpec, ("virtualMachineConfiguration", "extensions", "x", "protectedSettings", "key", "deep"), True),
        (PoolSpec, ("virtualMachineConfiguration", "extensions", "x", "settings", "key"), False),
        (PoolSpec, ("mountConfiguration", "0", "cifsMountConfiguration", "password"), True),
        (JobSpec, ("commonEnvironmentSettings", "A", "value"), False),
        (JobSpec, ("jobReleaseTask", "resourceFiles", "0", "httpUrl"), True),
        (TaskSpec, ("outputFiles", 1, "destination", "container", "containerUrl"), True),
        (TaskSpec, ("nothing", "there"), False),
        (TaskSpec, (), False),
    ],
)
def test_a_secret_is_known_by_its_path(model: type[Spec], path: tuple[Any, ...], expected: bool) -> None:
    assert is_secret(model, path) is expected


URL = "https://user:pw@acc.blob/c/f.txt?sv=1&sig=abc#frag"
SHOWN = "https://(secret)@acc.blob/c/f.txt?(secret)"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("startTask", "resourceFiles"), [{"httpUrl": URL, "filePath": "f"}], [{"httpUrl": SHOWN, "filePath": "f"}]),
        (("startTask", "resourceFiles", "0", "httpUrl"), URL, SHOWN),
        (("startTask", "resourceFiles", "0"), {"httpUrl": "https://a/b"}, {"httpUrl": "https://a/b"}),
        (("startTask", "resourceFiles", "0", "httpUrl"), "no url", "(secret)"),
        (("startTask",), {"commandLine": "x", "resourceFiles": [{"httpUrl": URL}]}, {"commandLine": "x", "resourceFiles": [{"httpUrl": SHOWN}]}),
        (("userAccounts",), {"ada": {"password": "pw"}}, {"ada": {"password": "(secret)"}}),
        (("userAccounts", "ada"), {"password": "pw"}, {"password": "(secret)"}),
        (("userAccounts", "ada", "password"), None, None),
        (("virtualMachineConfiguration", "extensions", "x", "protectedSettings"), {"k": "v"}, "(secret)"),
        (("displayName",), "sig=1", "sig=1"),
        ((), {"userAccounts": [USER], "vmSize": "s"}, {"userAccounts": [{"name": "ada", "password": "(secret)"}], "vmSize": "s"}),
    ],
)  # fmt: skip
def test_a_value_is_shown_without_its_secrets(path: tuple[str, ...], value: Any, expected: Any) -> None:
    assert without_secrets(PoolSpec, value, path) == expected


def test_a_printed_pool_is_stripped_of_what_a_create_does_not_take() -> None:
    shown = {
        "odata.metadata": "m",
        "id": "p",
        "vmSize": "standard_d2s_v3",
        "allocationState": "steady",
        "eTag": "0x1",
        "stats": None,
        "certificateReferences": [],
        "virtualMachineConfiguration": {
            "imageReference": {"sku": "s", "exactVersion": "1.2", "version": None},
            "nodeAgentSkuId": "agent",
            "osDisk": {"diskSizeGb": 30, "ephemeralOsDiskSettings": {"placement": None}},
        },
        "networkConfiguration": {"endpointConfiguration": {"inboundNatPools": [{"name": "ssh", "backendPort": 22}]}},
    }
    body, dropped = strip_read_only(PoolSpec, shown)
    assert body == {
        "id": "p",
        "vmSize": "standard_d2s_v3",
        "virtualMachineConfiguration": {
            "imageReference": {"sku": "s"},
            "nodeAgentSKUId": "agent",
            "osDisk": {"diskSizeGB": 30, "ephemeralOSDiskSettings": {}},
        },
        "networkConfiguration": {"endpointConfiguration": {"inboundNATPools": [{"name": "ssh", "backendPort": 22}]}},
    }
    image = "virtualMachineConfiguration.imageReference.exactVersion"
    assert set(dropped) == {"odata.metadata", "allocationState", "eTag", "certificateReferences", image}


def test_a_returned_job_is_written_as_a_person_would() -> None:
    returned = {
        "priority": 0,
        "usesTaskDependencies": False,
        "constraints": {"maxWallClockTime": "P10675199DT2H48M5.4775807S", "maxTaskRetryCount": 0},
        "onAllTasksComplete": "TerminateJob",
        "metadata": [],
        "poolInfo": {"poolId": "P"},
        "jobPreparationTask": {
            "id": "jobpreparation",
            "commandLine": "prepare",
            "constraints": {"retentionTime": "P1D", "maxTaskRetryCount": 0},
            "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "admin"}},
            "environmentSettings": [{"name": "Z", "value": "1"}, {"name": "A"}],
            "waitForSuccess": True,
        },
    }
    assert without_defaults(JobSpec, returned) == {
        "onAllTasksComplete": "terminatejob",
        "poolInfo": {"poolId": "P"},
        "jobPreparationTask": {
            "commandLine": "prepare",
            "constraints": {"retentionTime": "P1D"},
            "userIdentity": {"autoUser": {"elevationLevel": "admin"}},
            "environmentSettings": [{"name": "Z", "value": "1"}, {"name": "A"}],
        },
    }


def test_what_a_task_took_from_its_job_is_left_out_beside_the_job() -> None:
    body = {"id": "t", "commandLine": "x", "constraints": {"maxTaskRetryCount": 3, "retentionTime": "P1D"}}
    above = {"constraints": {"maxTaskRetryCount": 3}}
    assert without_defaults(TaskSpec, body, above=above)["constraints"] == {"retentionTime": "P1D"}
    assert without_defaults(TaskSpec, body)["constraints"] == {"maxTaskRetryCount": 3, "retentionTime": "P1D"}


RULE = {"priority": 150, "access": "allow", "sourceAddressPrefix": "*"}
NAT = {
    "name": "ssh",
    "protocol": "tcp",
    "backendPort": 22,
    "frontendPortRangeStart": 1000,
    "frontendPortRangeEnd": 1039,
}
IMAGE = POOL["virtualMachineConfiguration"]


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        (pool.PoolSpec, {**POOL, "enableAutoScale": True}, "expected autoScaleFormula beside enableAutoScale, found none"),
        (pool.PoolSpec, {**POOL, "enableAutoScale": True, "autoScaleFormula": "f", "targetDedicatedNodes": 0}, "expected no targetDedicatedNodes beside enableAutoScale: the formula decides"),
        (pool.PoolSpec, {**POOL, "autoScaleEvaluationInterval": "PT5M"}, "expected enableAutoScale: true beside autoScaleEvaluationInterval, found none"),
        (pool.PoolSpec, {**POOL, "autoScaleEvaluationInterval": "PT169H"}, "expected 5 minutes (PT5M) to 168 hours (PT168H), found 'PT169H'"),
        (pool.PoolSpec, {**POOL, "autoScaleFormula": "x" * 8193}, "expected at most 8 KB (8,192 bytes), found 8,193"),
        (pool.PoolSpec, {**POOL, "applicationPackageReferences": [{"applicationId": "a"}] * 11}, "expected at most 10 packages in a pool, found 11"),
        (pool.PoolSpec, {**POOL, "startTask": {"commandLine": "x", "containerSettings": {"imageName": "i"}}}, "expected virtualMachineConfiguration.containerConfiguration beside startTask.containerSettings"),
        (pool.PoolSpec, {**POOL, "upgradePolicy": {"mode": "rolling", "rollingUpgradePolicy": {"enableCrossZoneUpgrade": True}}}, "expected nodePlacementConfiguration.policy: zonal beside enableCrossZoneUpgrade"),
        (machines.VirtualMachineConfiguration, {**IMAGE, "windowsConfiguration": {}}, "expected a Windows node agent beside windowsConfiguration, found u"),
        (machines.VirtualMachineConfiguration, {**IMAGE, "dataDisks": [{"lun": 1, "diskSizeGB": 1}] * 2}, "expected each lun once, found 1 again"),
        (machines.VirtualMachineConfiguration, {**IMAGE, "osDisk": {"managedDisk": {"securityProfile": {"securityEncryptionType": "NonPersistedTPM"}}}}, "expected securityProfile.securityType: confidentialvm beside securityEncryptionType"),
        (machines.SecurityProfile, {"uefiSettings": {}}, "expected securityType beside uefiSettings, found none"),
        (machines.ImageReference, {"virtualMachineImageId": "i", "version": "1"}, "expected no version beside virtualMachineImageId: the id may end in one"),
        (disks.DiskEncryptionConfiguration, {"customerManagedKey": {}, "targets": ["temporarydisk"]}, "expected osdisk among the targets beside customerManagedKey"),
        (network.InboundNatPool, {**NAT, "frontendPortRangeEnd": 1038}, "expected at least 40 ports outside, found 39"),
        (network.InboundNatPool, {**NAT, "backendPort": 29876}, "expected a port from 1 to 65535 other than 29876 and 29877, which are reserved, found 29876"),
        (network.InboundNatPool, {**NAT, "frontendPortRangeStart": 49000, "frontendPortRangeEnd": 60000}, "expected ports outside of 50000 to 55000, which are reserved"),
        (network.InboundNatPool, {**NAT, "networkSecurityGroupRules": [RULE, RULE]}, "expected each priority once, found 150 again"),
        (network.PoolEndpointConfiguration, {"inboundNATPools": []}, "expected at least 1 endpoint, found none"),
        (network.PoolEndpointConfiguration, {"inboundNATPools": [NAT, {**NAT, "name": "b", "backendPort": 23}]}, "expected port ranges that do not overlap, found those of ssh and b"),
        (network.PoolEndpointConfiguration, {"inboundNATPools": [NAT, {**NAT, "name": "b"}]}, "expected each backendPort once, found 22 again"),
        (network.PublicIPAddressConfiguration, {"provision": "usermanaged"}, "expected ipAddressIds beside provision: usermanaged, found none"),
        (network.NetworkConfiguration, {"endpointConfiguration": {"inboundNATPools": [NAT]}, "publicIPAddressConfiguration": {"provision": "nopublicipaddresses"}}, "expected no endpointConfiguration beside provision: nopublicipaddresses"),
        (network.NetworkSecurityGroupRule, {**RULE, "sourcePortRanges": ["200-100"]}, "expected '*', a port such as '22' or a range such as '100-200', up to 65535, found '200-100'"),
        (mounts.MountConfiguration, {}, "expected exactly one of azureBlobFileSystemConfiguration, nfsMountConfiguration, cifsMountConfiguration or azureFileShareConfiguration, found none"),
        (mounts.AzureBlobFileSystemConfiguration, {"accountName": "a", "containerName": "c", "relativeMountPath": "r", "accountKey": "k", "sasKey": "s"}, "expected exactly one of accountKey, sasKey or identityReference, found accountKey and sasKey"),
        (mounts.NfsMountConfiguration, {"source": "s", "relativeMountPath": "../up"}, "expected a path below the node's mounts directory, without '..', found '../up'"),
        (users.LinuxUserConfiguration, {"uid": 0}, "expected uid and gid together, found only uid"),
        (users.UserIdentity, {"username": "u", "autoUser": {}}, "expected exactly one of username or autoUser, found username and autoUser"),
        (containers.ContainerRegistryReference, {"username": "u"}, "expected username and password together, found only username"),
        (containers.ContainerRegistryReference, {"username": "u", "password": "p", "identityReference": {"resourceId": "i"}}, "expected no username and password beside identityReference"),
        (upgrades.RollingUpgradePolicy, {"maxBatchInstancePercent": 30, "maxUnhealthyInstancePercent": 20}, "expected maxBatchInstancePercent of at most maxUnhealthyInstancePercent (20), found 30"),
        (files.ResourceFile, {"httpUrl": "https://h/u", "filePath": "f", "blobPrefix": "b"}, "expected no blobPrefix beside httpUrl: it selects blobs of a container"),
        (pool.StartTask, {"commandLine": "x", "resourceFiles": [{"storageContainerUrl": "http://" + "u" * 3993}] * 9}, "expected at most 32,768 characters of resource files as JSON, found 36,244: use a container or an archive"),
        (task.TaskSpec, {"id": "t", "commandLine": "x", "requiredSlots": 2, "multiInstanceSettings": {"coordinationCommandLine": "c"}}, "expected requiredSlots: 1 beside multiInstanceSettings, found 2"),
        (task.TaskIdRange, {"start": 3, "end": 2}, "expected start of at most end (2), found 3"),
        (task.ExitCodeRangeMapping, {"start": 3, "end": 2, "exitOptions": {}}, "expected start of at most end (2), found 3"),
        (task.TaskDependencies, {"taskIds": ["x" * 64] * 1001}, "expected at most 64,000 characters of ids, found 64,064: use taskIdRanges"),
        (job.PoolInfo, {}, "expected exactly one of poolId or autoPoolSpecification, found none"),
        (job.JobSpec, {"poolInfo": {"autoPoolSpecification": {"poolLifetimeOption": "jobschedule"}}}, "expected poolLifetimeOption: job, found jobschedule: the job has no schedule"),
        (schedule.JobScheduleConfiguration, {"startWindow": "PT59S"}, "expected at least 1 minute (PT1M), found 'PT59S'"),
        (schedule.JobScheduleConfiguration, {"doNotRunUntil": "2030-01-31"}, "expected a time with its offset such as 2030-01-31T06:00:00Z, found '2030-01-31'"),
        (schedule.JobScheduleConfiguration, {"doNotRunUntil": "2030-01-02T00:00:00Z", "doNotRunAfter": "2030-01-01T00:00:00Z"}, "expected doNotRunAfter later than doNotRunUntil (2030-01-02T00:00:00Z), found 2030-01-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_a_rule_that_is_broken_says_what_was_expected(model: type[Spec], body: Body, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(body)
    assert [error["msg"] for error in refused.value.errors()] == [message]
