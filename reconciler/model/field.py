"""One declaration per manifest field: documentation, default, limits and how it may change.

From that one place come validation, the JSON Schemas, normalisation, the update-or-replace decision and the
reference page. The facts are kept in the field's JSON Schema under `x-` names, so that editors see them too.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


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
    LABEL = "label"  # an empty text is none: there is nothing to show in either case
    MOMENT = "moment"  # the service rewrites the text (2030-01-01T02:00:00+01:00 -> 2030-01-01T01:00:00Z)


ABSENT: Final = "absent"
SERVICE_CHOSEN: Final = "service-chosen"


class Inherited(str):
    """A default that the service took from the object above, at this path, when it stored this one.

    It is not compared unless a line names a value: a task keeps the retry count that its job had when the task was
    added (recorded), so the job's present value says nothing about the task.
    """

    __slots__ = ()


class Spec(BaseModel):
    """Base of every manifest model: unknown names and values of another type are refused.

    *read_only* are properties that the service returns and does not take; *unsupported* are names that are refused
    with the reason given.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=False)

    read_only: ClassVar[frozenset[str]] = frozenset()
    unsupported: ClassVar[Mapping[str, str]] = {}


class OneOf(Spec):
    """Base of a type that must name exactly one of the properties in *one_of*."""

    one_of: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in self.one_of if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "expected",
                "expected exactly one of {names}, found {found}",
                {"names": listed(self.one_of), "found": listed(given, "and") or "none"},
            )
        return self


class Paired(Spec):
    """Base of a type of which two properties are written together or not at all."""

    pair: ClassVar[tuple[str, str]]

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        given = [name for name in self.pair if getattr(self, name) is not None]
        if len(given) == 1:
            raise PydanticCustomError(
                "expected",
                "expected {names} together, found only {found}",
                {"names": listed(self.pair, "and"), "found": given[0]},
            )
        return self


def listed(names: Sequence[str], word: str = "or") -> str:
    """Names as a person lists them: `a`, `a or b`, `a, b or c`."""
    *most, last = names or ("",)
    return f"{', '.join(most)} {word} {last}" if most else last


def refusal(message: str, **facts: object) -> PydanticCustomError:
    """A rule between properties that is broken: *message* says what was expected, and what was found."""
    return PydanticCustomError("expected", message, facts)


def wire(
    doc: str,
    *,
    default: Any = ABSENT,
    change: ChangeKind | None = None,
    sealed: bool = False,
    required: bool = False,
    compare: Compare = Compare.PLAIN,
    keyed_by: str | None = None,
    when: tuple[str, bool] | None = None,
    write_only: bool = False,
    secret: bool = False,
    **limits: Any,
) -> Any:
    """Declare a property of the REST API.

    *default* is what the service takes when the line is absent: a value in wire form ({} for an object made of its
    own defaults), `ABSENT`, `SERVICE_CHOSEN` or `Inherited(path)` (both not compared unless written). *change* holds
    for everything below unless a field there says otherwise; *sealed*: whatever a field there says. *keyed_by* names
    the property that identifies the items of a list whose order has no meaning. *when* names another property of the
    object and the value it must have for this one to count: else it may not be written and is not compared.
    *write_only*: the service never returns it, so it is not compared. *secret*: it is masked wherever it is shown.
    *limits* are pydantic's (`ge`, `le`, `max_length`, ...).
    """
    extra: dict[str, Any] = {"x-default": default, "x-compare": compare.value}
    if isinstance(default, Inherited):
        extra["x-default"] = f"inherited({default})"
        extra["x-inherited"] = str(default)
    if change is not None:
        extra["x-change"] = change.value
    if sealed:
        extra["x-sealed"] = True
    if keyed_by is not None:
        extra["x-keyed-by"] = keyed_by
    if when is not None:
        extra["x-when"] = {when[0]: when[1]}
    if write_only:
        extra["x-write-only"] = True
    if secret:
        extra["x-secret"] = True
    return Field(default=... if required else None, description=doc, json_schema_extra=extra, **limits)
