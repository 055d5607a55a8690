"""One declaration per manifest field: documentation, default, limits and how it may change.

From that one place come validation, the JSON Schemas, normalisation, the update-or-replace decision and the
reference page. The facts are kept in the field's JSON Schema under `x-` names, so that editors see them too.
"""

from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field


class ChangeKind(StrEnum):
    """What it takes to change a field of a live object."""

    LIVE = "live"  # PATCH or PUT at any time
    RESIZE = "resize"  # through the pool's resize operation
    AUTOSCALE = "autoscale"  # through the pool's operations to enable and disable autoscale
    WHEN_EMPTY = "when_empty"  # PATCH, only while the pool has no nodes
    WHEN_DISABLED = "when_disabled"  # PATCH, only while the job is disabled
    ONE_WAY = "one_way"  # PATCH in one direction, never back
    NEXT_RUN = "next_run"  # PATCH at any time; jobs that the schedule made already keep what they have
    NEXT_INCARNATION = "next_incarnation"  # a note: used at the next creation, never a reason to replace
    FIXED = "fixed"  # only by replacing the object


class Compare(StrEnum):
    """How two values of a field are told apart."""

    PLAIN = "plain"
    FOLDED = "folded"  # the service rewrites the letter case (enums, vmSize)
    DURATION = "duration"  # the service rewrites the text (PT60M -> PT1H)


ABSENT: Final = "absent"
SERVICE_CHOSEN: Final = "service-chosen"


class Inherited(str):
    """A default that the service took from the object above, at this path, when it stored this one.

    It is not compared unless a line names a value: a task keeps the retry count that its job had when the task was
    added (recorded), so the job's present value says nothing about the task.
    """

    __slots__ = ()


class Spec(BaseModel):
    """Base of every manifest model: unknown names and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=False)


def wire(
    doc: str,
    *,
    default: Any = ABSENT,
    change: ChangeKind | None = None,
    required: bool = False,
    compare: Compare = Compare.PLAIN,
    keyed_by: str | None = None,
    **limits: Any,
) -> Any:
    """Declare a property of the REST API.

    *default* is what the service takes when the line is absent: a value in wire form ({} for an object made of its
    own defaults), `ABSENT`, `SERVICE_CHOSEN` or `Inherited(path)` (both not compared unless written). *change* holds
    for everything below unless a field there says otherwise. *keyed_by* names the property that identifies the items
    of a list whose order has no meaning. *limits* are pydantic's (`ge`, `le`, `max_length`, ...).
    """
    extra: dict[str, Any] = {"x-default": default, "x-compare": compare.value}
    if isinstance(default, Inherited):
        extra["x-default"] = f"inherited({default})"
        extra["x-inherited"] = str(default)
    if change is not None:
        extra["x-change"] = change.value
    if keyed_by is not None:
        extra["x-keyed-by"] = keyed_by
    return Field(default=... if required else None, description=doc, json_schema_extra=extra, **limits)
