"""What older api-versions name differently or do not have yet. Requests are read, and answers shown, accordingly.

From 2020-09-01.12.0 on one shape serves every client (X); older ones are taken as far as recorded sessions show them
(R17:tasks, R18, R20n, cli2020). What 2025-06-01 removed is taken from older ones (`schema.Field.legacy`) and shown to
them alone.
"""

from __future__ import annotations

from typing import Any

OLDEST = "2017-09-01"
_SLOTS = "2020-09-01"
_WITHOUT_LEGACY = "2025-06-01"
_REMOVED = frozenset(  # in 2025-06-01 and before: the delta of M:BatchPool, CHANGELOG of the SDK
    {
        "applicationLicenses",
        "certificateReferences",
        "cloudServiceConfiguration",
        "currentNodeCommunicationMode",
        "resourceTags",
        "targetNodeCommunicationMode",
    }
)
_WAYS_TO_A_POOL = ("jobSpecification", "poolInfo", "autoPoolSpecification", "pool")
# First version that shows a property: clients' models (X), compared with the recordings of the versions around it.
_SINCE = {
    "requiredSlots": _SLOTS,
    "runningTaskSlotsCount": _SLOTS,
    "taskSlotCounts": _SLOTS,
    "requeueCount": "2017-01-01",
    "maxParallelTasks": "2022-01-01",
    "allowTaskPreemption": "2022-01-01",
    "virtualMachineInfo": "2022-01-01",
    "dynamicVNetAssignmentScope": "2020-03-01",
    "enableAcceleratedNetworking": "2023-05-01",
    "upgradePolicy": "2024-02-01",
    "deallocated": "2024-07-01",
    "deallocating": "2024-07-01",
    "upgradingOS": "2024-02-01",
    "jobDefaultOrder": "2025-06-01",
}
_RENAMED = {"taskSlotsPerNode": "maxTasksPerNode"}
_ORIGINAL = {old: new for new, old in _RENAMED.items()}
_CLOSED = frozenset({"metadata", "environmentSettings", "commonEnvironmentSettings"})  # lists of the user's own words


def read(body: Any, version: str) -> Any:
    """A request body in today's names."""
    return _rename(body, _ORIGINAL) if version < _SLOTS else body


def _rename(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): item if key in _CLOSED else _rename(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_rename(item, names) for item in value]
    return value


def shown(body: Any, version: str) -> Any:
    """A response body as that version has it."""
    if not isinstance(body, dict):
        return body
    if version >= _WITHOUT_LEGACY:
        return _drop_removed(body)
    newer = {name for name, since in _SINCE.items() if version < since}
    pruned = _prune(body, newer)
    if version >= _SLOTS:
        return pruned
    return _flat_counts(_rename(pruned, _RENAMED), version)


def _drop_removed(body: dict[str, Any]) -> dict[str, Any]:
    """Without what a pool can only have from a client of an older version; nothing is copied if there is none."""
    if "value" in body:
        return body | {"value": [_drop_removed(item) for item in body["value"]]}
    if any(name in body for name in _REMOVED):
        body = {name: item for name, item in body.items() if name not in _REMOVED}
    for name in _WAYS_TO_A_POOL:
        if isinstance(inner := body.get(name), dict) and (kept := _drop_removed(inner)) is not inner:
            body = body | {name: kept}
    return body


def _prune(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: item if key in _CLOSED else _prune(item, names) for key, item in value.items() if key not in names}
    if isinstance(value, list):
        return [_prune(item, names) for item in value]
    return value


def _flat_counts(body: dict[str, Any], version: str) -> dict[str, Any]:
    """Before slots, counts of tasks stood in the answer itself; until 2018-08 with a validation status (R17:tasks)."""
    counts = body.get("taskCounts")
    if not isinstance(counts, dict):
        return body
    metadata = str(body["odata.metadata"]).replace("#taskcountsresult/", "#taskcounts/")
    status = {"validationStatus": "Validated"} if version < "2018-08-01" else {}
    return {"odata.metadata": metadata, **counts, **status}
