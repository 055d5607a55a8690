"""Names and values as the REST API spells them, from tools that spell them otherwise.

`az` and ARM write the same properties in another letter case (`nodeAgentSkuId`, `inboundNatPools`), absent ones as
null, and `az` writes durations as Python prints them (`0:15:00`, `7 days, 0:00:00`). Some it names as the SDK's models
do (seen with az 2.91: `logicalUnitNumber`).
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from reconciler.model.disks import DataDisk
from reconciler.model.field import Compare, Spec
from reconciler.model.table import Field, Json, table

_OTHERWISE: Final[Mapping[str, str]] = {
    "alltaskscompletemode": "onAllTasksComplete",
    "ipaddressprovisioningtype": "provision",
    "jobschedulestatistics": "stats",
    "jobstatistics": "stats",
    "logicalunitnumber": "lun",
    "maxtaskspernode": "taskSlotsPerNode",
    "poolstatistics": "stats",
    "taskfailuremode": "onTaskFailure",
    "taskstatistics": "stats",
}
"""What the SDK's models (azure-batch 15) and older versions of the API call it, and what the REST API calls it now."""
_JSON_TEXTS: Final = frozenset({"protectedSettings", "settings"})
"""Objects of an extension that some write as a text of JSON (the REST API's own example does)."""
_PYTHON_TIME: Final = re.compile(
    r"(?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d{2}):(?P<seconds>\d{2})(?:\.(?P<rest>\d+))?"
)


def rest(model: type[Spec], raw: Mapping[str, Json]) -> dict[str, Json]:
    """*raw* with the table's spelling of every property it knows, without nulls; the rest is left as it is."""
    known = {name.lower(): field for name, field in table(model).items()}
    made = {name.lower(): name for name in model.read_only}
    body: dict[str, Json] = {}
    if model is DataDisk:
        raw = _with_managed_disk(raw)
    for written, value in raw.items():
        if value is None:
            continue
        name = _OTHERWISE.get(written.lower(), "")
        if name.lower() not in known and name not in made.values():
            name = written
        field = known.get(name.lower())
        if field is None:
            body[made.get(name.lower(), name)] = value
        elif not (isinstance(value, list) and not value):
            body[field.name] = _value(field, value)
    return body


def _with_managed_disk(raw: Mapping[str, Json]) -> Mapping[str, Json]:
    """A data disk with its kind of storage where it is now: until 2024 the disk had it itself (recorded)."""
    old = {name: value for name, value in raw.items() if name.lower() == "storageaccounttype" and value is not None}
    if not old or any(name.lower() == "manageddisk" and value is not None for name, value in raw.items()):
        return raw
    rest = {name: value for name, value in raw.items() if name not in old}
    return {**rest, "managedDisk": {"storageAccountType": next(iter(old.values()))}}


def _value(field: Field, value: Json) -> Json:
    below = field.below
    if below is not None and isinstance(value, dict):
        return rest(below, value)
    if below is not None and isinstance(value, list):
        return [rest(below, item) if isinstance(item, dict) else item for item in value]
    if field.compare is Compare.DURATION and isinstance(value, str):
        return iso(value)
    if field.name in _JSON_TEXTS and isinstance(value, str):
        return _object(value)
    return value


def _object(text: str) -> Json:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, dict) else text


def respelled_top(raw: Mapping[str, Json]) -> dict[str, Json]:
    """*raw* with its own id under `id` whatever the letter case."""
    return {("id" if name.lower() == "id" else name): value for name, value in raw.items()}


def iso(text: str) -> str:
    """A duration as Python prints it in ISO 8601; any other text as it is."""
    match = _PYTHON_TIME.fullmatch(text)
    if match is None:
        return text
    days = f"{int(match['days'])}D" if match["days"] else ""
    parts = [(int(match["hours"]), "H"), (int(match["minutes"]), "M")]
    clock = "".join(f"{number}{unit}" for number, unit in parts if number)
    seconds = int(match["seconds"])
    if match["rest"]:
        clock += f"{seconds}.{match['rest'].rstrip('0') or '0'}S"
    elif seconds or not (days or clock):
        clock += f"{seconds}S"
    return f"P{days}" + (f"T{clock}" if clock else "")
