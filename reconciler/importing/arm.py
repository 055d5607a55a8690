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


_SHAPES: Final[Mapping[str, type]] = {
    "applicationPackages": list,
    "deploymentConfiguration": dict,
    "interNodeCommunication": str,
    "scaleSettings": dict,
}


def is_resource(thing: Mapping[str, Any]) -> bool:
    """Whether this is an ARM resource, by its type, or by what only a pool's properties have."""
    properties = thing.get("properties")
    if not isinstance(properties, dict):
        return False
    return "/" in str(thing.get("type", "")) or "deploymentConfiguration" in properties


def pool(thing: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The pool as a body of the data plane with its id, and notes on what it cannot say there.

    Raises UsageError for a resource of another type.
    """
    kind = str(thing.get("type", TYPE))
    if kind.lower() != TYPE:
        raise UsageError(f"expected an ARM resource of type Microsoft.Batch/batchAccounts/pools, found {kind}")
    properties = thing["properties"]
    for name, value in properties.items():
        expected = _SHAPES.get(name)
        if expected and value is not None and not isinstance(value, expected):
            raise UsageError(f"expected properties.{name} as ARM has it, found {type(value).__name__}")
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
        body["applicationPackageReferences"] = list(map(_package, packages))
    unknown = properties.keys() - _MADE - _MOVED - set(_SAME) - {"resourceTags"}
    notes += [
        f"properties.{name} is left out: the data plane has no such property"
        for name in sorted(unknown)
        if properties[name] not in (None, [], {})
    ]
    return body, notes


def _package(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        raise UsageError("expected the ARM id of each of properties.applicationPackages")
    version = {"version": item["version"]} if item.get("version") else {}
    return {"applicationId": item["id"].rpartition("/")[2], **version}


def _machines(deployment: Mapping[str, Any]) -> dict[str, Any]:
    machine = deployment.get("virtualMachineConfiguration")
    if not isinstance(machine, dict):
        raise UsageError("expected properties.deploymentConfiguration.virtualMachineConfiguration, found none")
    reference = machine.get("imageReference")
    if not isinstance(reference, dict):
        raise UsageError("expected an imageReference in virtualMachineConfiguration, found none")
    image = {name: value for name, value in reference.items() if value is not None}
    if "id" in image:
        image["virtualMachineImageId"] = image.pop("id")
    return {"virtualMachineConfiguration": {**machine, "imageReference": image}}


def _scale(settings: Mapping[str, Any]) -> dict[str, Any]:
    if auto := settings.get("autoScale"):
        if not isinstance(auto, dict) or not isinstance(auto.get("formula"), str):
            raise UsageError("expected a formula in properties.scaleSettings.autoScale, found none")
        interval = auto.get("evaluationInterval")
        return {"enableAutoScale": True, "autoScaleFormula": auto["formula"]} | (
            {"autoScaleEvaluationInterval": interval} if interval else {}
        )
    fixed = settings.get("fixedScale") or {}
    if not isinstance(fixed, dict):
        raise UsageError(f"expected an object in properties.scaleSettings.fixedScale, found {type(fixed).__name__}")
    names = ("targetDedicatedNodes", "targetLowPriorityNodes", "resizeTimeout")
    return {name: fixed[name] for name in names if fixed.get(name) is not None}
