"""Every row of the service reference's tables of what may change (8.1, 8.3 to 8.9, and their summary in 16): apply
makes the change with the requests that the row names, the service shows the new value, and the plan is empty then.

A row is a property, its value before and after, and the verbs of the plan; each row has an object of its own. All of
them are applied together, once with what stands before and once with what stands after, so that the whole table costs a
few seconds; the tests look at what each object's row left behind. They rest on the simulated account, which also takes
what no machine here could do (containers, mounts, managed identities, the account's own storage).

A property that is declared and has no row fails `test_every_property_has_a_row`.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from reconciler.emulator import Simulation
from reconciler.model.field import Spec
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import table
from reconciler.model.task import TaskSpec
from tests.laws.conftest import API, Body, Stack, road

Road = tuple[str, ...]
ABSENT: Final = object()
"""No value: before, after, or in what the service gives back."""
SAME: Final = object()
"""The service gives the new value back as it stands in the manifest."""

UPDATED: Final[Road] = ("update",)
RESIZED: Final[Road] = ("resize",)
SCALED: Final[Road] = ("enable autoscale",)
EMPTIED: Final[Road] = ("resize", "update", "resize")
RENEWED: Final[Road] = ("delete", "create")
REPLACED: Final[Road] = ("terminate", "delete", "create")
MOVED: Final[Road] = ("disable", "update", "enable")
NOTED: Final[Road] = ()
"""A note: the new value is used when the object is next created."""
TASK_UPDATED: Final[Road] = ("update 1 task", "confirm tasks")
TASK_RENEWED: Final[Road] = ("delete 1 task", "add 1 task", "confirm tasks")
TASK_NOTED: Final[Road] = ("confirm tasks",)
"""The mark of the job takes note of the manifest; the task stays as it is."""


@dataclass(frozen=True)
class Row:
    """One property. *live* is what GET shows at *path* afterwards, where that is not *after*; *beside* are other
    properties, before and after; *then* are those that have to change with it."""

    path: str
    before: Any
    after: Any
    road: Road = UPDATED
    live: Any = SAME
    beside: Mapping[str, Any] = field(default_factory=dict)
    then: Mapping[str, Any] = field(default_factory=dict)
    lifecycle: Mapping[str, Any] = field(default_factory=dict)

    @property
    def expected(self) -> Any:
        return self.after if self.live is SAME else self.live


ID = "/subscriptions/s/resourceGroups/g/providers/p/i"
OTHER = "/subscriptions/s/resourceGroups/g/providers/p/j"
IMAGE = {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"}
AGENT = "batch.node.ubuntu 22.04"
SIZE = {"vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": {"imageReference": IMAGE, "nodeAgentSKUId": AGENT}}
COMMAND = {"commandLine": "true"}
CONTAINER = {"imageName": "i"}
FILE = {"httpUrl": "http://127.0.0.1:9/x", "filePath": "x"}
OUTPUT = {
    "filePattern": "*.txt",
    "destination": {"container": {"containerUrl": "http://127.0.0.1:9/c"}},
    "uploadOptions": {"uploadCondition": "taskfailure"},
}
ENVIRONMENT = {"name": "A", "value": "1"}
ADMIN = {"autoUser": {"scope": "task", "elevationLevel": "admin"}}
ANYBODY = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}
PACKAGE = {"applicationId": "one", "version": "1"}
NO_LIMIT = "P10675199DT2H48M5.4775807S"


def shell(command: str) -> Body:
    return {"commandLine": command}


def setting(value: str, name: str = "A") -> list[Body]:
    return [{"name": name, "value": value}]


def mount(**kind: Body) -> list[Body]:
    return [{name: {**settings, "relativeMountPath": "m"} for name, settings in kind.items()}]


def nat(**more: Any) -> Body:
    ports = {"backendPort": 22, "frontendPortRangeStart": 1000, "frontendPortRangeEnd": 1050}
    return {"inboundNATPools": [{"name": "n", "protocol": "tcp", **ports, **more}]}


# What a part of a body needs beside the property of a row.
BESIDE: Final[Mapping[str, Any]] = {
    "virtualMachineConfiguration": SIZE["virtualMachineConfiguration"],
    "startTask": COMMAND,
    "jobPreparationTask": COMMAND,
    "jobReleaseTask": COMMAND,
    "jobManagerTask": {"id": "m", **COMMAND},
    "networkConfiguration": {"subnetId": ID},
    "userAccounts": [{"name": "u", "password": "hush"}],
    "applicationPackageReferences": [PACKAGE],
    "taskSchedulingPolicy": {"nodeFillType": "pack"},
    "upgradePolicy": {"mode": "manual"},
    "metadata": setting("1"),
    "commonEnvironmentSettings": setting("1"),
    "environmentSettings": setting("1"),
    "schedule": {"recurrenceInterval": "PT1H"},
    "jobSpecification": {"poolInfo": {"poolId": "nowhere"}},
    "containerSettings": CONTAINER,
    "resourceFiles": [FILE],
    "outputFiles": [OUTPUT],
    "multiInstanceSettings": {"coordinationCommandLine": "true"},
    "dependsOn": {"taskIds": ["first"]},
}
WINDOWS = {"virtualMachineConfiguration.nodeAgentSKUId": "batch.node.windows amd64"}
NODES = {"targetDedicatedNodes": 1}
CUSTOMER_KEY = {"identityReference": {"resourceId": ID}, "keyUrl": "https://vault.example/keys/k/1"}
VM = "virtualMachineConfiguration"

POOL_ROWS: Final = [
    Row("displayName", "one", "two"),
    Row("vmSize", "Standard_D2s_v3", "Standard_D4s_v3", live="standard_d4s_v3"),
    Row("virtualMachineConfiguration.imageReference", IMAGE, {"virtualMachineImageId": ID}),
    Row("virtualMachineConfiguration.imageReference.version", "1.0", "latest"),
    Row("virtualMachineConfiguration.nodeAgentSKUId", AGENT, "batch.node.ubuntu 20.04"),
    Row(f"{VM}.windowsConfiguration", ABSENT, {"enableAutomaticUpdates": False}, beside=WINDOWS),
    Row(f"{VM}.dataDisks", [], [{"lun": 0, "diskSizeGB": 8}], live=[{"lun": 0, "diskSizeGB": 8, "caching": "none"}]),
    Row(f"{VM}.licenseType", ABSENT, "Windows_Server", beside=WINDOWS),
    Row(f"{VM}.containerConfiguration", ABSENT, {"type": "dockerCompatible", "containerImageNames": ["i"]}),
    Row(f"{VM}.diskEncryptionConfiguration", ABSENT, {"targets": ["osdisk"], "customerManagedKey": CUSTOMER_KEY}),
    Row(f"{VM}.nodePlacementConfiguration", ABSENT, {"policy": "zonal"}, live={"policy": "Zonal"}),
    Row(f"{VM}.extensions", [], [{"name": "e", "publisher": "p", "type": "t", "settings": {"a": 1}}]),
    Row(
        f"{VM}.extensions.0.protectedSettings",
        {"a": "hush"},
        {"a": "hush hush"},
        live=ABSENT,
        beside={f"{VM}.extensions": [{"name": "e", "publisher": "p", "type": "t"}]},
    ),
    Row(
        f"{VM}.osDisk",
        ABSENT,
        {"diskSizeGB": 64, "caching": "none"},
        live={"ephemeralOSDiskSettings": {}, "diskSizeGB": 64, "caching": "None"},
    ),
    Row(
        f"{VM}.securityProfile",
        ABSENT,
        {"securityType": "trustedLaunch", "uefiSettings": {"vTpmEnabled": True}},
        live={"securityType": "trustedlaunch", "uefiSettings": {"vTpmEnabled": True}},
    ),
    Row(f"{VM}.serviceArtifactReference", ABSENT, {"id": ID}),
    Row("resizeTimeout", "PT15M", "PT7M", RESIZED),
    Row("targetDedicatedNodes", 0, 2, RESIZED),
    Row("targetDedicatedNodes", 2, 1, ("resize",)),
    Row("targetLowPriorityNodes", 0, 1, RESIZED),
    Row("enableAutoScale", ABSENT, True, SCALED),
    Row("enableAutoScale", True, False, ("disable autoscale",)),
    Row("enableAutoScale", True, False, ("disable autoscale", "resize"), then={"targetDedicatedNodes": 1}),
    Row(
        "autoScaleFormula",
        "$TargetDedicatedNodes = 0",
        "$TargetDedicatedNodes = 1",
        SCALED,
        beside={"enableAutoScale": True},
    ),
    Row(
        "autoScaleEvaluationInterval",
        "PT15M",
        "PT6M",
        SCALED,
        beside={"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes = 0"},
    ),
    Row("enableInterNodeCommunication", False, True),
    Row(
        "networkConfiguration",
        ABSENT,
        {"subnetId": ID},
        live={"subnetId": ID, "dynamicVNetAssignmentScope": "none", "enableAcceleratedNetworking": False},
    ),
    Row("networkConfiguration.subnetId", ID, OTHER),
    Row("networkConfiguration.dynamicVNetAssignmentScope", "none", "job"),
    Row("networkConfiguration.endpointConfiguration", nat(), nat(backendPort=23)),
    Row(
        "networkConfiguration.publicIPAddressConfiguration",
        {"provision": "batchmanaged"},
        {"provision": "nopublicipaddresses"},
    ),
    Row("networkConfiguration.enableAcceleratedNetworking", False, True),
    Row("startTask", ABSENT, {**COMMAND, "maxTaskRetryCount": 2, "waitForSuccess": False, "userIdentity": ADMIN}),
    Row("startTask", {**COMMAND, "environmentSettings": setting("1")}, ABSENT, ("replace properties",)),
    Row("startTask.commandLine", "true", "false"),
    Row(
        "startTask.containerSettings",
        ABSENT,
        CONTAINER,
        beside={f"{VM}.containerConfiguration": {"type": "dockerCompatible"}},
    ),
    Row("startTask.resourceFiles", [], [FILE]),
    Row("startTask.environmentSettings", setting("1"), setting("2")),
    Row("startTask.userIdentity", ABSENT, ADMIN),
    Row("startTask.maxTaskRetryCount", 0, -1),
    Row("startTask.waitForSuccess", True, False),
    Row("applicationPackageReferences", [], [PACKAGE]),
    Row("applicationPackageReferences", [PACKAGE], ABSENT),
    Row("applicationPackageReferences.0.applicationId", "one", "two"),
    Row("applicationPackageReferences.0.version", "1", "2"),
    Row("taskSlotsPerNode", 1, 4),
    Row(
        "taskSchedulingPolicy",
        ABSENT,
        {"nodeFillType": "pack"},
        live={"nodeFillType": "Pack", "jobDefaultOrder": "none"},
    ),
    Row("taskSchedulingPolicy.nodeFillType", "spread", "pack", live="Pack"),
    Row("taskSchedulingPolicy.jobDefaultOrder", "none", "creationtime"),
    Row("userAccounts", [], [{"name": "u", "password": "hush"}], live=[{"name": "u", "elevationLevel": "nonadmin"}]),
    Row("userAccounts.0.name", "u", "v"),
    Row("userAccounts.0.password", "hush", "hush hush", live=ABSENT),
    Row("userAccounts.0.elevationLevel", "nonadmin", "admin"),
    Row("userAccounts.0.linuxUserConfiguration", ABSENT, {"uid": 7, "gid": 8}),
    Row("userAccounts.0.windowsUserConfiguration", {"loginMode": "batch"}, {"loginMode": "interactive"}),
    Row("mountConfiguration", [], mount(nfsMountConfiguration={"source": "s"})),
    Row("mountConfiguration", mount(nfsMountConfiguration={"source": "s"}), [], live=ABSENT),
    Row(
        "mountConfiguration.0.nfsMountConfiguration.source",
        "s",
        "t",
        beside={"mountConfiguration": mount(nfsMountConfiguration={"source": "s"})},
    ),
    Row(
        "mountConfiguration.0.azureBlobFileSystemConfiguration.accountKey",
        "hush",
        "hush hush",
        live=ABSENT,
        beside={
            "mountConfiguration": mount(azureBlobFileSystemConfiguration={"accountName": "a", "containerName": "c"})
        },
    ),
    Row(
        "mountConfiguration.0.cifsMountConfiguration.mountOptions",
        "ro",
        "rw",
        beside={
            "mountConfiguration": mount(cifsMountConfiguration={"username": "u", "password": "hush", "source": "s"})
        },
    ),
    Row(
        "mountConfiguration.0.azureFileShareConfiguration.azureFileUrl",
        "https://a.example/s",
        "https://a.example/t",
        beside={
            "mountConfiguration": mount(
                azureFileShareConfiguration={"accountName": "a", "accountKey": "hush", "azureFileUrl": "x"}
            )
        },
    ),
    Row("upgradePolicy", ABSENT, {"mode": "automatic"}),
    Row("upgradePolicy.mode", "manual", "automatic"),
    Row("upgradePolicy.automaticOSUpgradePolicy", ABSENT, {"enableAutomaticOSUpgrade": True}),
    Row(
        "upgradePolicy.rollingUpgradePolicy",
        ABSENT,
        {"maxBatchInstancePercent": 30, "pauseTimeBetweenBatches": "PT90S"},
        live={"maxBatchInstancePercent": 30, "pauseTimeBetweenBatches": "PT1M30S"},
    ),
    Row("metadata.0.name", "a", "b"),
    Row("metadata.0.value", "1", "2"),
    # 8.2 and 16: what needs an empty pool, where there are nodes.
    Row("taskSlotsPerNode", 1, 4, ("blocked",), live=1, beside=NODES),
    Row("taskSlotsPerNode", 1, 4, EMPTIED, beside=NODES, lifecycle={"rollout": "ScaleToZero"}),
    Row("taskSlotsPerNode", 1, 4, RENEWED, beside=NODES, lifecycle={"rollout": "Replace"}),
    Row("displayName", "one", "two", EMPTIED, beside=NODES, lifecycle={"rollout": "ScaleToZero"}),
    # A line that is taken away never takes nodes or a pool away.
    Row("displayName", "one", ABSENT, ("blocked",), live="one"),
    Row("targetDedicatedNodes", 2, ABSENT, ("blocked",), live=2),
]

FIXED_POOL = {"poolId": "nowhere"}
AUTO_POOL = {
    "poolLifetimeOption": "job",
    "keepAlive": False,
    "pool": {**SIZE, "vmSize": "standard_d2s_v3", "targetDedicatedNodes": 0},
}
RELEASING = {"jobPreparationTask": COMMAND}
JOB_ROWS: Final = [
    Row("displayName", "one", "two", NOTED, live="one"),
    Row("priority", 0, -7),
    Row("priority", 7, ABSENT, live=0),
    Row("maxParallelTasks", -1, 4),
    Row("allowTaskPreemption", False, True),
    Row(
        "constraints",
        {"maxTaskRetryCount": 2},
        {"maxWallClockTime": "PT90M"},
        live={"maxWallClockTime": "PT1H30M", "maxTaskRetryCount": 0},
    ),
    Row("constraints.maxWallClockTime", "P1D", ABSENT, live=NO_LIMIT, beside={"constraints.maxTaskRetryCount": 3}),
    Row("constraints.maxTaskRetryCount", 0, -1, beside={"constraints.maxWallClockTime": "P1D"}),
    Row("poolInfo.poolId", "nowhere", "elsewhere", MOVED),
    Row("poolInfo", FIXED_POOL, {"autoPoolSpecification": AUTO_POOL}, REPLACED, live=SAME),
    Row(
        "poolInfo.autoPoolSpecification.keepAlive",
        False,
        True,
        MOVED,
        beside={"poolInfo": {"autoPoolSpecification": AUTO_POOL}},
    ),
    Row(
        "poolInfo.autoPoolSpecification.autoPoolIdPrefix",
        "a",
        "b",
        REPLACED,
        beside={"poolInfo": {"autoPoolSpecification": AUTO_POOL}},
    ),
    Row(
        "poolInfo.autoPoolSpecification.pool.metadata",
        setting("1"),
        setting("2"),
        REPLACED,
        beside={"poolInfo": {"autoPoolSpecification": AUTO_POOL}},
    ),
    Row("jobManagerTask", ABSENT, {"id": "m", **COMMAND}, REPLACED),
    *(
        Row(f"jobManagerTask.{name}", before, after, REPLACED, live)
        for name, before, after, live in (
            ("id", "m", "n", SAME),
            ("displayName", "one", "two", SAME),
            ("commandLine", "true", "false", SAME),
            ("containerSettings", ABSENT, CONTAINER, SAME),
            ("resourceFiles", [], [FILE], SAME),
            ("outputFiles", [], [OUTPUT], [{**OUTPUT, "uploadOptions": {"uploadCondition": "TaskFailure"}}]),
            ("environmentSettings", [], setting("1"), SAME),
            (
                "constraints",
                ABSENT,
                {"maxTaskRetryCount": 2},
                {"maxTaskRetryCount": 2, "retentionTime": "P7D", "maxWallClockTime": NO_LIMIT},
            ),
            ("requiredSlots", 1, 2, SAME),
            ("userIdentity", ABSENT, ADMIN, SAME),
            ("killJobOnCompletion", True, False, SAME),
            ("runExclusive", True, False, SAME),
            ("allowLowPriorityNode", True, False, SAME),
            ("applicationPackageReferences", [], [PACKAGE], SAME),
        )
    ),
    Row("jobPreparationTask", ABSENT, COMMAND, REPLACED),
    *(
        Row(f"jobPreparationTask.{name}", before, after, REPLACED, live)
        for name, before, after, live in (
            ("id", ABSENT, "p", SAME),
            ("commandLine", "true", "false", SAME),
            ("containerSettings", ABSENT, CONTAINER, SAME),
            ("resourceFiles", [], [{"autoStorageContainerName": "c", "identityReference": {"resourceId": ID}}], SAME),
            ("environmentSettings", setting("1"), setting("2"), SAME),
            ("userIdentity", ADMIN, ANYBODY, SAME),
            (
                "constraints",
                {"maxTaskRetryCount": 0},
                {"maxTaskRetryCount": 2},
                {"maxTaskRetryCount": 2, "retentionTime": "P7D", "maxWallClockTime": NO_LIMIT},
            ),
            ("waitForSuccess", True, False, SAME),
            ("rerunOnNodeRebootAfterSuccess", True, False, SAME),
        )
    ),
    Row("jobReleaseTask", ABSENT, COMMAND, REPLACED, beside=RELEASING),
    *(
        Row(f"jobReleaseTask.{name}", before, after, REPLACED, live, beside=RELEASING)
        for name, before, after, live in (
            ("id", ABSENT, "r", SAME),
            ("commandLine", "true", "false", SAME),
            ("containerSettings", ABSENT, CONTAINER, SAME),
            ("resourceFiles", [], [FILE], SAME),
            ("environmentSettings", [], setting("1"), SAME),
            ("userIdentity", ABSENT, ADMIN, SAME),
            ("maxWallClockTime", "PT15M", "PT10M", SAME),
            ("retentionTime", "P7D", "P1D", SAME),
        )
    ),
    Row("commonEnvironmentSettings", ABSENT, setting("1"), REPLACED),
    Row("commonEnvironmentSettings.0.name", "A", "B", REPLACED),
    Row("commonEnvironmentSettings.0.value", "1", "2", REPLACED),
    Row("usesTaskDependencies", False, True, REPLACED),
    Row("usesTaskDependencies", True, ABSENT, ("blocked",), live=True),
    Row("onAllTasksComplete", "noaction", "terminatejob"),
    Row("onAllTasksComplete", "terminatejob", "noaction", REPLACED),
    Row("onTaskFailure", "noaction", "performexitoptionsjobaction", REPLACED),
    Row("networkConfiguration", ABSENT, {"subnetId": ID, "skipWithdrawFromVNet": True}),
    Row("networkConfiguration.subnetId", ID, OTHER),
    Row("networkConfiguration.skipWithdrawFromVNet", False, True),
    Row(
        "networkConfiguration",
        {"subnetId": ID, "skipWithdrawFromVNet": True},
        ABSENT,
        ("blocked",),
        live={"subnetId": ID, "skipWithdrawFromVNet": True},
    ),
    Row("metadata", setting("1", "a"), ABSENT),
    Row("metadata.0.name", "a", "b"),
    Row("metadata.0.value", "1", "2"),
]

FUTURE = "2030-01-31T06:00:00Z"
SPECIFIED = {"jobSpecification.poolInfo": FIXED_POOL}
SCHEDULE_ROWS: Final = [
    Row("displayName", "one", "two", NOTED, live="one"),
    Row("schedule.doNotRunUntil", ABSENT, FUTURE),
    Row("schedule.doNotRunAfter", ABSENT, FUTURE),
    Row("schedule.startWindow", "PT10M", ABSENT),
    Row("schedule.startWindow", "PT10M", "PT5M"),
    Row("schedule.recurrenceInterval", "PT1H", "P1D"),
    Row("jobSpecification.displayName", "one", "two"),
    Row("jobSpecification.priority", 0, 7),
    Row("jobSpecification.maxParallelTasks", -1, 3),
    Row("jobSpecification.allowTaskPreemption", False, True),
    Row("jobSpecification.constraints", ABSENT, {"maxTaskRetryCount": 2, "maxWallClockTime": "P1D"}),
    Row("jobSpecification.poolInfo.poolId", "nowhere", "elsewhere"),
    Row(
        "jobSpecification.poolInfo",
        FIXED_POOL,
        {"autoPoolSpecification": {**AUTO_POOL, "poolLifetimeOption": "jobschedule"}},
    ),
    Row("jobSpecification.jobManagerTask", ABSENT, {"id": "m", **COMMAND}),
    Row("jobSpecification.jobPreparationTask", ABSENT, COMMAND),
    Row("jobSpecification.jobReleaseTask", ABSENT, COMMAND, beside={"jobSpecification.jobPreparationTask": COMMAND}),
    Row("jobSpecification.commonEnvironmentSettings", setting("1"), setting("2")),
    Row("jobSpecification.usesTaskDependencies", False, True),
    Row("jobSpecification.onAllTasksComplete", "noaction", "terminatejob"),
    Row("jobSpecification.onAllTasksComplete", "terminatejob", "noaction"),
    Row("jobSpecification.onTaskFailure", "noaction", "performexitoptionsjobaction"),
    Row("jobSpecification.networkConfiguration", ABSENT, {"subnetId": ID, "skipWithdrawFromVNet": False}),
    Row("jobSpecification.metadata", setting("1"), setting("2")),
    Row("jobSpecification.priority", 7, ABSENT, live=0),
    Row("metadata.0.name", "a", "b"),
    Row("metadata.0.value", "1", "2"),
]


SATISFY, END = {"dependencyAction": "satisfy"}, {"jobAction": "terminate"}
TASK_ROWS: Final = [
    Row("displayName", "one", "two", TASK_NOTED, live="one"),
    Row(
        "constraints",
        ABSENT,
        {"maxTaskRetryCount": 3, "retentionTime": "P1D", "maxWallClockTime": "PT2H"},
        TASK_UPDATED,
    ),
    Row("constraints.maxWallClockTime", "PT1H", ABSENT, TASK_UPDATED, live=NO_LIMIT),
    Row("constraints.retentionTime", "P7D", "P1D", TASK_UPDATED),
    Row("constraints.maxTaskRetryCount", 0, -1, TASK_UPDATED),
    *(
        Row(name, before, after, TASK_RENEWED, live)
        for name, before, after, live in (
            ("commandLine", "true", "false", SAME),
            ("containerSettings", ABSENT, CONTAINER, SAME),
            ("containerSettings.imageName", "i", "j", SAME),
            ("containerSettings.containerRunOptions", ABSENT, "--rm", SAME),
            (
                "containerSettings.registry",
                ABSENT,
                {"registryServer": "r.example", "username": "u", "password": "hush"},
                {"registryServer": "r.example", "username": "u"},
            ),
            ("containerSettings.workingDirectory", "taskWorkingDirectory", "containerImageDefault", SAME),
            ("containerSettings.containerHostBatchBindMounts", ABSENT, [{"source": "Task", "isReadOnly": True}], SAME),
            ("resourceFiles", ABSENT, [FILE], SAME),
            ("resourceFiles.0.httpUrl", "http://127.0.0.1:9/x", "http://127.0.0.1:9/y", SAME),
            ("resourceFiles.0.filePath", "x", "y", SAME),
            ("resourceFiles.0.fileMode", ABSENT, "0700", SAME),
            ("resourceFiles.0.identityReference", ABSENT, {"resourceId": ID}, SAME),
            ("resourceFiles.0", FILE, {"storageContainerUrl": "http://127.0.0.1:9/c", "blobPrefix": "p"}, SAME),
            ("resourceFiles.0", FILE, {"autoStorageContainerName": "c"}, SAME),
            ("outputFiles", ABSENT, [OUTPUT], [{**OUTPUT, "uploadOptions": {"uploadCondition": "TaskFailure"}}]),
            ("outputFiles.0.filePattern", "*.txt", "*.log", SAME),
            ("outputFiles.0.destination.container.path", ABSENT, "there", SAME),
            ("outputFiles.0.uploadOptions.uploadCondition", "taskfailure", "taskcompletion", "TaskCompletion"),
            ("environmentSettings", ABSENT, setting("1"), SAME),
            ("environmentSettings.0.name", "A", "B", SAME),
            ("environmentSettings.0.value", "1", "2", SAME),
            ("affinityInfo.affinityId", "a", "b", SAME),
            ("requiredSlots", 1, 2, SAME),
            ("userIdentity", ADMIN, {"username": "u"}, SAME),
            ("userIdentity.autoUser", ANYBODY["autoUser"], ADMIN["autoUser"], SAME),
            ("userIdentity.username", "u", "v", SAME),
            ("multiInstanceSettings", ABSENT, {"coordinationCommandLine": "true", "numberOfInstances": 2}, SAME),
            ("multiInstanceSettings.numberOfInstances", 1, 2, SAME),
            ("multiInstanceSettings.coordinationCommandLine", "true", "false", SAME),
            ("multiInstanceSettings.commonResourceFiles", ABSENT, [FILE], SAME),
            ("dependsOn", ABSENT, {"taskIds": ["first"]}, SAME),
            ("dependsOn.taskIds", ["first"], ["second"], SAME),
            ("dependsOn.taskIdRanges", ABSENT, [{"start": 1, "end": 2}], SAME),
            ("exitConditions.exitCodes", ABSENT, [{"code": 3, "exitOptions": SATISFY}], SAME),
            (
                "exitConditions.exitCodes",
                [{"code": 3, "exitOptions": SATISFY}],
                [{"code": 4, "exitOptions": SATISFY}],
                SAME,
            ),
            ("exitConditions.exitCodeRanges", ABSENT, [{"start": 1, "end": 3, "exitOptions": END}], SAME),
            ("exitConditions.preProcessingError", SATISFY, {"dependencyAction": "block"}, SAME),
            ("exitConditions.fileUploadError", ABSENT, END, SAME),
            ("exitConditions.default", ABSENT, END, SAME),
            ("applicationPackageReferences", ABSENT, [PACKAGE], SAME),
            ("applicationPackageReferences.0.applicationId", "one", "two", SAME),
            ("applicationPackageReferences.0.version", "1", "2", SAME),
        )
    ),
]

KINDS: Final[Mapping[str, tuple[str, type[Spec], Body, list[Row]]]] = {
    "pool": ("Pool", PoolSpec, SIZE, POOL_ROWS),
    "job": ("Job", JobSpec, {"poolInfo": FIXED_POOL}, JOB_ROWS),
    "jobschedule": (
        "JobSchedule",
        JobScheduleSpec,
        {"schedule": {"recurrenceInterval": "PT1H"}, "jobSpecification": {"poolInfo": FIXED_POOL}},
        SCHEDULE_ROWS,
    ),
    "task": ("Job", TaskSpec, COMMAND, TASK_ROWS),
}
"""By what a row is about: the kind of manifest, the table of properties, the body that every row begins with, rows."""
TASKS_JOB: Final[Body] = {
    "poolInfo": FIXED_POOL,
    "usesTaskDependencies": True,
    "onTaskFailure": "performexitoptionsjobaction",
}


def put(body: Any, path: str, value: Any) -> None:
    """Set, or with ABSENT remove, what stands at *path*; what has to be there above it is made."""
    *above, last = path.split(".")
    for name in above:
        body = body[int(name)] if isinstance(body, list) else body.setdefault(name, {})
    if isinstance(body, list):
        body[int(last)] = copy.deepcopy(value)
    elif value is ABSENT:
        body.pop(last, None)
    else:
        body[last] = copy.deepcopy(value)


def value_at(body: Any, path: str) -> Any:
    for name in path.split("."):
        try:
            body = body[int(name)] if isinstance(body, list) else body[name]
        except (KeyError, IndexError):
            return ABSENT
    return body


def body_of(kind: str, row: Row, value: Any) -> Body:
    body: Body = copy.deepcopy(KINDS[kind][2])
    top = row.path.partition(".")[0]
    if top != row.path and top in BESIDE and top not in row.beside:
        body = {top: copy.deepcopy(BESIDE[top]), **body}
    for path, beside in row.beside.items():
        put(body, path, beside)
    put(body, row.path, value)
    if value is row.after:
        body.update(row.then)
    if kind == "pool" and body.get("enableAutoScale"):
        body.setdefault("autoScaleFormula", "$TargetDedicatedNodes = 0")
    return body


def manifest(kind: str, name: str, row: Row, value: Any, tasks: str = "Replace") -> Body:
    body = body_of(kind, row, value)
    document: Body = {**API, "kind": KINDS[kind][0], "metadata": {"name": name}}
    if kind != "task":
        return {**document, "spec": body, "lifecycle": dict(row.lifecycle)}
    others = [{"id": id_, **COMMAND} for id_ in ("first", "second", "1", "2")]
    return {**document, "spec": TASKS_JOB, "tasks": [{"id": "t", **body}, *others], "lifecycle": {"tasks": tasks}}


def live(simulation: Simulation, kind: str, name: str) -> Body:
    """The object or task of a row as the service shows it, without our mark."""
    where = {"pool": "pools", "job": "jobs", "jobschedule": "jobschedules", "task": "jobs"}[kind]
    found: Body = simulation.get(f"/{where}/{name}" + ("/tasks/t" if kind == "task" else ""))
    found["metadata"] = [item for item in found.get("metadata", ()) if item["name"] != "reconciler"]
    return {key: value for key, value in found.items() if value != []}


@dataclass(frozen=True)
class Told:
    """What became of one row."""

    before: Body
    after: Body
    planned: Body
    only_added: Body
    later: Body
    checked: Body
    """The plan afterwards, and one that compares every task with what is there."""
    said: str
    """What the second apply printed about it beside the plan."""


EVERY: Final = [
    (kind, f"{kind}-{number}", row) for kind, (_, _, _, rows) in KINDS.items() for number, row in enumerate(rows)
]


@pytest.fixture(scope="module")
def told(home: Path, simulation: Simulation) -> dict[str, Told]:
    """Apply all rows as they stand before, and as they stand after."""
    stack = Stack(home / "rows", simulation)
    stack.write([manifest(kind, name, row, row.before) for kind, name, row in EVERY])
    stack.apply()
    before = {name: live(simulation, kind, name) for kind, name, _ in EVERY}
    stack.write([manifest(kind, name, row, row.after, "AddOnly") for kind, name, row in EVERY])
    only_added = stack.plan()
    stack.write([manifest(kind, name, row, row.after) for kind, name, row in EVERY])
    planned = stack.plan()
    _, printed = stack.apply()
    later, checked = stack.plan(), stack.plan("--check-tasks")
    result = {}
    for kind, name, _ in EVERY:
        address = f"{'job' if kind == 'task' else kind}/{name}"
        plans = (planned[address], only_added[address], later[address], checked[address])
        said = "\n".join(line for line in printed.splitlines() if line.startswith(f"{address}:"))
        result[name] = Told(before[name], live(simulation, kind, name), *plans, said)
    return result


def shows(live: Any, expected: Any) -> bool:
    """Whether the service gives a value back, perhaps with defaults beside what was given."""
    if isinstance(expected, dict) and isinstance(live, dict):
        return all(name in live and shows(live[name], value) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(live, list):
        return len(live) == len(expected) and all(map(shows, live, expected))
    return bool(live == expected) or (live is ABSENT and expected == [])


def title(kind: str, row: Row) -> str:
    return f"{kind} {row.path}: {', '.join(row.road) or 'note'}"


every_row = pytest.mark.parametrize(("kind", "name", "row"), EVERY, ids=[title(kind, row) for kind, _, row in EVERY])


@every_row
def test_a_row_is_changed_as_documented(told: dict[str, Told], kind: str, name: str, row: Row) -> None:
    this = told[name]
    assert road(this.planned) == row.road, this.planned
    assert shows(value_at(this.after, row.path), row.expected), (value_at(this.after, row.path), this.said)
    renewed = this.before["creationTime"] != this.after["creationTime"]
    assert renewed == bool({"create", "add 1 task"} & set(row.road))
    if row.road in (NOTED, TASK_NOTED):
        assert any(row.path in note for note in this.planned["notes"]), this.planned
    if row.road != ("blocked",):
        assert (road(this.later), this.later["change"]["actions"]) == ((), ["no-op"]), this.later


@every_row
def test_its_plan_is_empty_where_tasks_are_checked(told: dict[str, Told], kind: str, name: str, row: Row) -> None:
    if row.road != ("blocked",):
        assert road(told[name].checked) == ()


@pytest.mark.parametrize("name", [name for kind, name, row in EVERY if kind == "task" and row.road == TASK_RENEWED])
def test_a_task_that_is_there_is_not_touched_where_the_policy_only_adds(told: dict[str, Told], name: str) -> None:
    assert road(told[name].only_added) == ("blocked",)


def properties(model: type[Spec]) -> set[str]:
    """The paths of a kind's properties, down to the second level; items of lists have no position."""
    return {
        f"{name}.{below}" if below else name
        for name, entry in table(model).items()
        for below in (table(entry.below) if entry.below else [""])
    }


def reached(old: Any, new: Any, path: Road = ()) -> set[str]:
    """The paths at which two values differ, likewise."""
    if old == new:
        return set()
    if len(path) < 2 and any(isinstance(value, dict) for value in (old, new)):
        sides = [value if isinstance(value, dict) else {} for value in (old, new)]
        return {
            found
            for name in {*sides[0], *sides[1]}
            for found in reached(sides[0].get(name, ABSENT), sides[1].get(name, ABSENT), (*path, name))
        }
    if len(path) < 2 and any(isinstance(value, list) for value in (old, new)):
        items = [value if isinstance(value, list) else [] for value in (old, new)]
        pairs = [(side[at] if at < len(side) else ABSENT) for at in range(max(map(len, items))) for side in items]
        return {found for at in range(0, len(pairs), 2) for found in reached(pairs[at], pairs[at + 1], path)}
    return {".".join(path)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_has_a_row(kind: str) -> None:
    """A row that makes a whole object reaches its parts as well; the id has a test of its own."""
    found = {
        path
        for of, _, row in EVERY
        if of == kind
        for path in reached(body_of(kind, row, row.before), body_of(kind, row, row.after))
    }
    assert properties(KINDS[kind][1]) - {"id"} - found == set()


def test_a_changed_secret_of_a_task_is_seen(home: Path, simulation: Simulation) -> None:
    """The one value of a task that the service never returns (8.11): the password of a registry. Tasks that are added
    with another one say nothing of those that are there."""
    stack = Stack(home / "secret", simulation)

    def plan(passwords: Mapping[str, str], policy: str) -> Road:
        tasks = [
            {"id": id_, "commandLine": "true", "containerSettings": {"imageName": "i", "registry": registry}}
            for id_, password in passwords.items()
            for registry in [{"registryServer": "r.example", "username": "u", "password": password}]
        ]
        spec = {"poolInfo": {"poolId": "nowhere"}}
        head = {**API, "kind": "Job", "metadata": {"name": "secretive"}}
        stack.write([{**head, "spec": spec, "tasks": tasks, "lifecycle": {"tasks": policy}}])
        return road(stack.plan()["job/secretive"])

    def settles() -> bool:
        stack.apply()
        plans = (stack.plan(), stack.plan("--check-tasks"))
        return all(road(of["job/secretive"]) == () for of in plans)

    def born(id_: str) -> str:
        return str(simulation.get(f"/jobs/secretive/tasks/{id_}")["creationTime"])

    renewed = ("delete 1 task", "add 1 task", "confirm tasks")
    plan({"a": "one"}, "AddOnly")
    assert settles()
    first = born("a")
    assert plan({"a": "one", "b": "two"}, "AddOnly") == ("add 1 task", "confirm tasks")
    assert settles()
    assert plan({"a": "three", "b": "two"}, "AddOnly") == ("blocked",)
    assert plan({"a": "three", "b": "two", "c": "three"}, "AddOnly") == ("blocked",)
    assert plan({"a": "three", "b": "two"}, "Replace") == renewed
    second = born("b")
    assert settles()
    assert born("a") != first
    assert born("b") == second
    assert "three" not in str(simulation.get("/jobs/secretive"))


def test_another_id_is_another_object(home: Path, simulation: Simulation) -> None:
    """Ids cannot be changed (8.1, 8.4 to 8.6): what had the old one goes, a task only where the policy is Exact. Letter
    case makes no other id."""
    here = Stack(home / "renamed", simulation)

    def documents(name: str, task: str) -> list[Body]:
        return [
            {**API, "kind": kind, "metadata": {"name": f"{name}-{kind}"}, "spec": body, **more}
            for kind, body, more in (
                ("Pool", SIZE, {}),
                ("Job", {"poolInfo": FIXED_POOL}, {}),
                ("JobSchedule", KINDS["jobschedule"][2], {}),
            )
        ] + [
            {
                **API,
                "kind": "Job",
                "metadata": {"name": "stays"},
                "spec": {"poolInfo": FIXED_POOL},
                "lifecycle": {"tasks": "Exact"},
                "tasks": [{"id": task, **COMMAND}],
            }
        ]

    here.write(documents("old", "t"))
    here.apply()
    here.write(documents("OLD", "T"))
    assert all(road(change) == () for change in here.plan().values())
    here.write(documents("new", "u"))
    planned = {address: road(change) for address, change in here.plan().items()}
    assert planned == {
        "pool/old-Pool": ("delete",),
        "pool/new-Pool": ("create",),
        "job/old-Job": ("terminate", "delete"),
        "job/new-Job": ("create",),
        "jobschedule/old-JobSchedule": ("disable", "delete"),
        "jobschedule/new-JobSchedule": ("create",),
        "job/old-JobSchedule:job-1": ("terminate", "delete"),
        "job/stays": ("add 1 task", "delete 1 task", "confirm tasks"),
    }
    here.apply()
    assert all(road(change) == () for change in here.plan("--check-tasks").values())
    assert [task["id"] for task in simulation.get("/jobs/stays/tasks")["value"]] == ["u"]
