"""A pool as Azure Resource Manager has it (`az resource show`, `az batch pool` of the management plane, Bicep, ARM
templates), in the form of the Batch REST API.

Source: the REST reference of Microsoft.Batch/batchAccounts/pools (management plane) beside that of the data plane.
"""

from collections.abc import Mapping
from typing import Any, Final

from reconciler.errors import UsageError

TYPE: Final = "microsoft.batch/batchaccounts/pools"
_SAME: Final = (
    "displayName",
    "vmSize",
    "metadata",
    "mountConfiguration",
    "startTask",
    "taskSchedulingPolicy",
    "taskSlotsPerNode",
    "upgradePolicy",
    "userAccounts",
)
_MADE: Final = frozenset(
    {
        "allocationState",
        "allocationStateTransitionTime",
        "autoScaleRun",
        "creationTime",
        "currentDedicatedNodes",
        "currentLowPriorityNodes",
        "currentNodeCommunicationMode",
        "lastModified",
        "provisioningState",
        "provisioningStateTransitionTime",
        "resizeOperationStatus",
    }
)
_MOVED: Final = frozenset(
    {
        "deploymentConfiguration",
        "scaleSettings",
        "interNodeCommunication",
        "networkConfiguration",
        "applicationPackages",
    }
)
_LOWER: Final = frozenset(
    {
        "access",
        "caching",
        "elevationLevel",
        "loginMode",
        "mode",
        "nodeFillType",
        "policy",
        "protocol",
        "provision",
        "scope",
    }
)
"""Properties whose values ARM spells with capitals and the data plane without."""


def is_resource(thing: Mapping[str, Any]) -> bool:
    """Whether this is an ARM resource or template of a pool."""
    return str(thing.get("type", "")).lower() == TYPE or isinstance(thing.get("properties"), dict)


def pool(thing: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The pool as a body of the data plane with its id, and notes on what it cannot say there.

    Raises UsageError for a resource of another type.
    """
    kind = str(thing.get("type", TYPE))
    if kind.lower() != TYPE:
        raise UsageError(f"expected an ARM resource of type Microsoft.Batch/batchAccounts/pools, found {kind}")
    properties = thing["properties"]
    notes = []
    if thing.get("identity"):
        notes.append("identity is left out: the data plane cannot give a pool its managed identities")
    if thing.get("tags") or properties.get("resourceTags"):
        notes.append("tags are left out: the data plane has none")
    body: dict[str, Any] = {"id": str(thing.get("name", "")).rpartition("/")[2]}
    body |= {name: properties[name] for name in _SAME if properties.get(name) is not None}
    body |= _machines(properties.get("deploymentConfiguration") or {})
    body |= _scale(properties.get("scaleSettings") or {})
    if properties.get("interNodeCommunication"):
        body["enableInterNodeCommunication"] = properties["interNodeCommunication"].lower() == "enabled"
    if properties.get("networkConfiguration"):
        body["networkConfiguration"] = properties["networkConfiguration"]
    packages = properties.get("applicationPackages")
    if packages:
        body["applicationPackageReferences"] = [
            {"applicationId": item["id"].rpartition("/")[2]}
            | ({"version": item["version"]} if item.get("version") else {})
            for item in packages
        ]
    unknown = properties.keys() - _MADE - _MOVED - set(_SAME) - {"resourceTags"}
    notes += [
        f"properties.{name} is left out: the data plane has no such property"
        for name in sorted(unknown)
        if properties[name] not in (None, [], {})
    ]
    return _lowered(body), notes


def _machines(deployment: Mapping[str, Any]) -> dict[str, Any]:
    machine = deployment.get("virtualMachineConfiguration")
    if machine is None:
        raise UsageError("expected properties.deploymentConfiguration.virtualMachineConfiguration, found none")
    image = {name: value for name, value in machine.get("imageReference", {}).items() if value is not None}
    if "id" in image:
        image["virtualMachineImageId"] = image.pop("id")
    return {"virtualMachineConfiguration": {**machine, "imageReference": image}}


def _scale(settings: Mapping[str, Any]) -> dict[str, Any]:
    if auto := settings.get("autoScale"):
        interval = auto.get("evaluationInterval")
        return {"enableAutoScale": True, "autoScaleFormula": auto["formula"]} | (
            {"autoScaleEvaluationInterval": interval} if interval else {}
        )
    fixed = settings.get("fixedScale") or {}
    names = ("targetDedicatedNodes", "targetLowPriorityNodes", "resizeTimeout")
    return {name: fixed[name] for name in names if fixed.get(name) is not None}


def _lowered(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _lowered(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_lowered(item, name) for item in value]
    return value.lower() if isinstance(value, str) and name in _LOWER else value
