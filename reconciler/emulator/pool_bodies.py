"""Bodies of requests on pools as tables: property, kind, default, limits.

A property without meaning on a local machine is stored and given back; one that would change what runs and is not
implemented is refused by name. Sources as in `fields`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.emulator import vm_sizes
from reconciler.emulator.errors import bad_property, refuse
from reconciler.emulator.fields import (
    COMMAND,
    ENVIRONMENT,
    FILES,
    FLAG,
    ID,
    IDENTITY,
    METADATA,
    NAME,
    NO_CONTAINERS,
    PACKAGES,
    REGISTRY,
    RETRIES,
    TEXT,
    USER,
)
from reconciler.emulator.scaling_bodies import DEFAULT_INTERVAL, FORMULA, INTERVAL
from reconciler.emulator.schema import (
    Anything,
    Choice,
    Field,
    Flag,
    Listing,
    Missing,
    Number,
    Record,
    Secret,
    Span,
    Text,
    given,
)
from reconciler.emulator.times import MINUTE


def _check_image(name: str, value: dict[str, Any]) -> None:
    by_id = [
        key for key in ("virtualMachineImageId", "sharedGalleryImageId", "communityGalleryImageId") if key in value
    ]
    marketplace = [key for key in ("publisher", "offer", "sku") if key in value]
    if by_id and (marketplace or len(by_id) > 1):
        raise bad_property(name, "several images", "Either publisher, offer and sku or one image id is expected")
    if not by_id and len(marketplace) < 3:
        missing = next(key for key in ("publisher", "offer", "sku") if key not in value)
        raise refuse("MissingRequiredProperty", ("PropertyName", missing))
    if not by_id:
        value.setdefault("version", "latest")  # R20, R26


def _check_pool(name: str, value: dict[str, Any]) -> None:
    """Either targets or autoscale with a formula; slots as the machines have cores (M:BatchPoolCreateOptions)."""
    check_slots(value["vmSize"], value["taskSlotsPerNode"])
    targets = ("targetDedicatedNodes", "targetLowPriorityNodes")
    if value["enableAutoScale"]:
        for key in targets:
            if key in value:
                raise bad_property(key, value[key], "The property is not allowed when enableAutoScale is true")
        if "autoScaleFormula" not in value:
            raise refuse("MissingRequiredProperty", ("PropertyName", "autoScaleFormula"))
        value.setdefault("autoScaleEvaluationInterval", DEFAULT_INTERVAL)
        return
    for key in targets:
        value.setdefault(key, 0)
    if "autoScaleFormula" in value or "autoScaleEvaluationInterval" in value:
        key = "autoScaleFormula" if "autoScaleFormula" in value else "autoScaleEvaluationInterval"
        raise bad_property(key, value[key], "The property is allowed only when enableAutoScale is true")


def check_slots(vm_size: str, slots: int) -> None:
    """Four for each core at most, where the size tells how many there are (M:BatchPool.taskSlotsPerNode)."""
    cores = vm_sizes.cores(vm_size)
    if cores is not None and slots > 4 * cores:
        raise bad_property("taskSlotsPerNode", slots, f"At most {4 * cores} slots can be on a node of size {vm_size}")


IMAGE = Record(
    {
        "publisher": TEXT,
        "offer": TEXT,
        "sku": TEXT,
        "version": TEXT,
        "virtualMachineImageId": TEXT,
        "sharedGalleryImageId": TEXT,
        "communityGalleryImageId": TEXT,
    },
    check=_check_image,
)
CACHING = Choice(("none", "readonly", "readwrite"))
OS_CACHING = Choice(
    ("none", "readonly", "readwrite"), {"none": "None", "readonly": "ReadOnly", "readwrite": "ReadWrite"}
)
MANAGED_DISK = Field(
    Record(
        {
            "diskEncryptionSet": Field(Record({"id": TEXT})),
            "storageAccountType": Field(Choice(("standard_lrs", "premium_lrs", "standardssd_lrs"))),
            "securityProfile": Field(
                Record(
                    {
                        "securityEncryptionType": Field(
                            Choice(("DiskWithVMGuestState", "NonPersistedTPM", "VMGuestStateOnly"))
                        )
                    }
                )
            ),
        }
    )
)
_RUNTIMES = {"dockercompatible": "dockerCompatible", "cricompatible": "criCompatible"}
CONTAINER_CONFIGURATION = Record(
    {
        "type": Field(Choice(tuple(_RUNTIMES), _RUNTIMES), required=True),
        "containerImageNames": Field(Listing(Text())),
        "containerRegistries": Field(Listing(REGISTRY)),
    }
)
VM_CONFIGURATION = Record(
    {
        "imageReference": Field(IMAGE, required=True),
        "nodeAgentSKUId": Field(Text(shortest=1), required=True),
        "windowsConfiguration": Field(Record({"enableAutomaticUpdates": Field(Flag(), default=True)})),
        "dataDisks": Field(
            Listing(
                Record(
                    {
                        "lun": Field(Number(0, 63), required=True),
                        "caching": Field(CACHING, default="none"),  # R20:create_pools; M says readwrite
                        "diskSizeGB": Field(Number(1), required=True),
                        "managedDisk": MANAGED_DISK,
                    }
                )
            )
        ),
        "licenseType": TEXT,
        "containerConfiguration": Field(
            Missing("Container tasks are not available", simulated=CONTAINER_CONFIGURATION)
        ),
        "diskEncryptionConfiguration": Field(
            Record(
                {
                    "customerManagedKey": Field(Anything()),
                    "targets": Field(Listing(Choice(("osdisk", "temporarydisk")))),
                }
            )
        ),
        "nodePlacementConfiguration": Field(
            Record({"policy": Field(Choice(("regional", "zonal"), {"regional": "Regional", "zonal": "Zonal"}))})
        ),
        "extensions": Field(
            Listing(
                Record(
                    {
                        "name": Field(Text(shortest=1), required=True),
                        "publisher": Field(Text(shortest=1), required=True),
                        "type": Field(Text(shortest=1), required=True),
                        "typeHandlerVersion": TEXT,
                        "autoUpgradeMinorVersion": FLAG,
                        "enableAutomaticUpgrade": FLAG,
                        "settings": Field(Anything()),
                        "protectedSettings": Field(Secret(Anything())),
                        "provisionAfterExtensions": Field(Listing(Text())),
                    }
                )
            )
        ),
        "osDisk": Field(
            Record(
                {
                    "ephemeralOSDiskSettings": Field(Record({"placement": Field(Choice(("cachedisk",)))}), default={}),
                    "caching": Field(OS_CACHING, default="readwrite"),  # R24c:pool_osDisk
                    "diskSizeGB": Field(Number(1)),
                    "managedDisk": MANAGED_DISK,
                    "writeAcceleratorEnabled": FLAG,
                }
            )
        ),
        "securityProfile": Field(
            Record(
                {
                    "encryptionAtHost": FLAG,
                    "proxyAgentSettings": Field(Anything()),
                    "securityType": Field(Choice(("trustedlaunch", "confidentialvm"))),  # R24c: lower case in GET
                    "uefiSettings": Field(Record({"secureBootEnabled": FLAG, "vTpmEnabled": FLAG})),
                }
            )
        ),
        "serviceArtifactReference": Field(Record({"id": Field(Text(shortest=1), required=True)})),
    }
)

NAT_POOL = Record(
    {
        "name": Field(Text(shortest=1, longest=77), required=True),
        "protocol": Field(Choice(("tcp", "udp")), required=True),
        "backendPort": Field(Number(1, 65535, frozenset({29876, 29877})), required=True),
        "frontendPortRangeStart": Field(Number(1, 65534), required=True),
        "frontendPortRangeEnd": Field(Number(1, 65534), required=True),
        "networkSecurityGroupRules": Field(
            Listing(
                Record(
                    {
                        "priority": Field(Number(150, 4096), required=True),
                        "access": Field(Choice(("allow", "deny")), required=True),
                        "sourceAddressPrefix": Field(Text(shortest=1), required=True),
                        "sourcePortRanges": Field(Listing(Text())),
                    }
                ),
                most=25,
            )
        ),
    }
)
NETWORK = Record(
    {
        "subnetId": TEXT,
        "dynamicVNetAssignmentScope": Field(Choice(("none", "job")), default="none"),
        "endpointConfiguration": Field(Record({"inboundNATPools": Field(Listing(NAT_POOL, most=5), required=True)})),
        "publicIPAddressConfiguration": Field(
            Record(
                {
                    "provision": Field(Choice(("batchmanaged", "usermanaged", "nopublicipaddresses"))),
                    "ipFamilies": Field(Listing(Choice(("IPv4", "IPv6")))),
                    "ipAddressIds": Field(Listing(Text())),
                    "ipTags": Field(Listing(Record({"ipTagType": TEXT, "tag": TEXT}))),
                }
            )
        ),
        "enableAcceleratedNetworking": Field(Flag(), default=False),
    }
)
START_TASK = Record(
    {
        "commandLine": COMMAND,
        "containerSettings": NO_CONTAINERS,
        "resourceFiles": FILES,
        "environmentSettings": ENVIRONMENT,
        "userIdentity": USER,
        "maxTaskRetryCount": Field(RETRIES, default=0),
        "waitForSuccess": Field(Flag(), default=True),
    }
)
SCHEDULING_POLICY = Record(
    {
        "nodeFillType": Field(Choice(("spread", "pack"), {"spread": "Spread", "pack": "Pack"}), required=True),
        "jobDefaultOrder": Field(Choice(("none", "creationtime")), default="none"),
    }
)
USER_ACCOUNT = Record(
    {
        "name": Field(Text(shortest=1, longest=20), required=True),
        "password": Field(Secret(), required=True),
        "elevationLevel": Field(Choice(("nonadmin", "admin")), default="nonadmin"),
        "linuxUserConfiguration": Field(
            Record({"uid": Field(Number(0)), "gid": Field(Number(0)), "sshPrivateKey": Field(Secret())})
        ),
        "windowsUserConfiguration": Field(Record({"loginMode": Field(Choice(("batch", "interactive")))})),
    }
)
UPGRADE_POLICY = Record(
    {
        "mode": Field(Choice(("automatic", "manual", "rolling")), required=True),
        "automaticOSUpgradePolicy": Field(
            Record(
                {
                    "disableAutomaticRollback": FLAG,
                    "enableAutomaticOSUpgrade": FLAG,
                    "useRollingUpgradePolicy": FLAG,
                    "osRollingUpgradeDeferral": FLAG,
                }
            )
        ),
        "rollingUpgradePolicy": Field(
            Record(
                {
                    "enableCrossZoneUpgrade": FLAG,
                    "maxBatchInstancePercent": Field(Number(5, 100)),
                    "maxUnhealthyInstancePercent": Field(Number(5, 100)),
                    "maxUnhealthyUpgradedInstancePercent": Field(Number(0, 100)),
                    "pauseTimeBetweenBatches": Field(Span()),
                    "prioritizeUnhealthyInstances": FLAG,
                    "rollbackFailedInstancesOnPolicyBreach": FLAG,
                }
            )
        ),
    }
)
_MOUNT_OPTIONS = Field(Text())
_MOUNT_PATH = Field(Text(shortest=1), required=True)
_MOUNT_SOURCE = Field(Text(shortest=1), required=True)
_BLOB_LOGINS = ("accountKey", "sasKey", "identityReference")


@dataclass(frozen=True, slots=True)
class OneLogin:
    """A blob file system with exactly one way to log in (M:AzureBlobFileSystemConfiguration). Keys are gone once the
    record is read, so they are counted before."""

    of: Record

    def read(self, name: str, value: object) -> dict[str, Any]:
        logins = given(value) & set(_BLOB_LOGINS)
        read = self.of.read(name, value)
        if len(logins) != 1:
            raise bad_property(name, " and ".join(sorted(logins)), f"One of {', '.join(_BLOB_LOGINS)} is expected")
        return read


def _check_mount(name: str, value: dict[str, Any]) -> None:
    if len(value) != 1:
        raise bad_property(name, " and ".join(sorted(value)), "Exactly one kind of file system is expected")


MOUNTS = Listing(  # keys and passwords are not given back (R20:create_pool_with_blobfuse_mount)
    Record(
        {
            "azureBlobFileSystemConfiguration": Field(
                OneLogin(
                    Record(
                        {
                            "accountName": Field(Text(shortest=1), required=True),
                            "containerName": Field(Text(shortest=1), required=True),
                            "accountKey": Field(Secret()),
                            "sasKey": Field(Secret()),
                            "blobfuseOptions": _MOUNT_OPTIONS,
                            "relativeMountPath": _MOUNT_PATH,
                            "identityReference": Field(IDENTITY),
                        }
                    )
                )
            ),
            "nfsMountConfiguration": Field(
                Record({"source": _MOUNT_SOURCE, "relativeMountPath": _MOUNT_PATH, "mountOptions": _MOUNT_OPTIONS})
            ),
            "cifsMountConfiguration": Field(
                Record(
                    {
                        "username": Field(Text(shortest=1), required=True),
                        "source": _MOUNT_SOURCE,
                        "relativeMountPath": _MOUNT_PATH,
                        "mountOptions": _MOUNT_OPTIONS,
                        "password": Field(Secret(), required=True),
                    }
                )
            ),
            "azureFileShareConfiguration": Field(
                Record(
                    {
                        "accountName": Field(Text(shortest=1), required=True),
                        "azureFileUrl": Field(Text(shortest=1), required=True),
                        "accountKey": Field(Secret(), required=True),
                        "relativeMountPath": _MOUNT_PATH,
                        "mountOptions": _MOUNT_OPTIONS,
                    }
                )
            ),
        },
        check=_check_mount,
    ),
    most=10,
)
VM_SIZE = Text(shortest=1, longest=128, lower=True)
RESIZE_TIMEOUT = Span(least=5 * MINUTE)
COUNT = Number(0)

# What PATCH may change on a pool; only the first three on one that has nodes (M:BatchPoolUpdateOptions).
POOL_ALWAYS: dict[str, Field] = {
    "startTask": Field(START_TASK),
    "applicationPackageReferences": PACKAGES,
    "metadata": METADATA,
    "targetNodeCommunicationMode": Field(Choice(("default", "classic", "simplified")), legacy=True),
    "certificateReferences": Field(Missing("Certificates are not available"), legacy=True),
}
POOL_WHEN_EMPTY: dict[str, Field] = {
    "displayName": NAME,
    "vmSize": Field(VM_SIZE),
    "virtualMachineConfiguration": Field(VM_CONFIGURATION),
    "enableInterNodeCommunication": Field(Flag()),
    "networkConfiguration": Field(NETWORK),
    "taskSlotsPerNode": Field(Number(1, 256)),
    "taskSchedulingPolicy": Field(SCHEDULING_POLICY),
    "userAccounts": Field(Listing(USER_ACCOUNT)),
    "mountConfiguration": Field(Missing("Mounted file systems are not available", simulated=MOUNTS)),
    "upgradePolicy": Field(UPGRADE_POLICY),
    "resourceTags": Field(Anything(), legacy=True),
}
POOL_CREATE = Record(
    {
        "id": ID,
        **POOL_ALWAYS,
        **POOL_WHEN_EMPTY,
        "vmSize": Field(VM_SIZE, required=True),
        "virtualMachineConfiguration": Field(VM_CONFIGURATION, required=True),
        "cloudServiceConfiguration": Field(Missing("Cloud services are not available"), legacy=True),
        "applicationLicenses": Field(Listing(Text()), legacy=True),
        "resizeTimeout": Field(RESIZE_TIMEOUT, default="PT15M"),
        "targetDedicatedNodes": Field(COUNT),
        "targetLowPriorityNodes": Field(COUNT),
        "enableAutoScale": Field(Flag(), default=False),
        "autoScaleFormula": Field(FORMULA),
        "autoScaleEvaluationInterval": INTERVAL,
        "enableInterNodeCommunication": Field(Flag(), default=False),
        "taskSlotsPerNode": Field(Number(1, 256), default=1),
        "taskSchedulingPolicy": Field(SCHEDULING_POLICY, default={"nodeFillType": "Spread"}),
    },
    check=_check_pool,
)
POOL_UPDATE = Record({**POOL_ALWAYS, **POOL_WHEN_EMPTY})
POOL_REPLACE = Record(
    {
        "startTask": Field(START_TASK),
        "applicationPackageReferences": Field(PACKAGES.kind, required=True),
        "metadata": Field(METADATA.kind, required=True),
        "targetNodeCommunicationMode": POOL_ALWAYS["targetNodeCommunicationMode"],
        "certificateReferences": POOL_ALWAYS["certificateReferences"],
    }
)
DEALLOCATION = Field(Choice(("requeue", "terminate", "taskcompletion", "retaineddata")), default="requeue")
POOL_RESIZE = Record(
    {
        "targetDedicatedNodes": Field(COUNT),
        "targetLowPriorityNodes": Field(COUNT),
        "resizeTimeout": Field(RESIZE_TIMEOUT, default="PT15M"),
        "nodeDeallocationOption": DEALLOCATION,
    }
)
NODE_REMOVE = Record(
    {
        "nodeList": Field(Listing(Text(shortest=1), most=100), required=True),
        "resizeTimeout": Field(RESIZE_TIMEOUT, default="PT15M"),
        "nodeDeallocationOption": DEALLOCATION,
    }
)
