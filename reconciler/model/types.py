"""Scalars of the manifests: what a string or number must look like. Their error texts say what was expected."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from reconciler.model import duration, moment
from reconciler.model.field import refusal

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_POOL_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,20}")
_ENDPOINT: Final = re.compile(r"[^\W_](?:[\w.-]{0,75}\w)?", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,5}", re.ASCII)
FORMULA_LIMIT: Final = 8192
"""Bytes of an autoscale formula (page batch-automatic-scaling)."""
_FILE_MODE: Final = re.compile(r"0?[0-7]{3,4}")
RELEASE_LIMIT: Final = "PT15M"
"""The service ends an attempt of a release task after this time, and refuses a longer limit (REST reference)."""


def _refuse(expected: str, found: object) -> PydanticCustomError:
    return PydanticCustomError("expected", "expected {expected}, found {found}", {"expected": expected, "found": found})


def _batch_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise _refuse("1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'", repr(text))
    return text


def _duration(text: str) -> str:
    try:
        duration.ticks(text)
    except ValueError:
        raise _refuse("an ISO 8601 duration such as PT10M or P1DT2H", repr(text)) from None
    return text


def _release_time(text: str) -> str:
    if duration.ticks(_duration(text)) > duration.ticks(RELEASE_LIMIT):
        raise _refuse("at most 15 minutes (PT15M), the service's limit for release tasks", repr(text))
    return text


def _within(least: str, most: str | None, expected: str) -> Callable[[str], str]:
    """A check of a duration's length."""

    def check(text: str) -> str:
        length = duration.ticks(_duration(text))
        if length < duration.ticks(least) or (most is not None and length > duration.ticks(most)):
            raise _refuse(expected, repr(text))
        return text

    return check


def _moment(text: str) -> str:
    try:
        moment.canonical(text)
    except ValueError:
        raise _refuse("a time with its offset such as 2030-01-31T06:00:00Z", repr(text)) from None
    return text


def _parallel_tasks(count: int) -> int:
    if count != -1 and not 0 < count <= MOST:
        raise _refuse("-1 (no limit) or a number above 0", count)
    return count


def _relative_path(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise _refuse("a path below the task's working directory, without '..'", repr(text))
    return text


def _variable_name(text: str) -> str:
    if not text or "=" in text or "\0" in text:
        raise _refuse("the name of a variable: at least 1 character, no '='", repr(text))
    return text


def _mount_path(text: str) -> str:
    if not text or text.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", text):
        raise _refuse("a path below the node's mounts directory, without '..'", repr(text))
    return text


def _pool_prefix(text: str) -> str:
    if not _POOL_PREFIX.fullmatch(text):
        raise _refuse("at most 20 characters of A-Z, a-z, 0-9, '-' and '_'", repr(text))
    return text


def _endpoint_name(text: str) -> str:
    if not _ENDPOINT.fullmatch(text):
        raise _refuse(
            "1 to 77 characters of letters, digits, '_', '.' and '-', a letter or digit first, no '.' or '-' last",
            repr(text),
        )
    return text


def _backend_port(port: int) -> int:
    if not 1 <= port <= 65535 or port in (29876, 29877):
        raise _refuse("a port from 1 to 65535 other than 29876 and 29877, which are reserved", port)
    return port


def _frontend_port(port: int) -> int:
    if not 1 <= port <= 65534 or 50000 <= port <= 55000:
        raise _refuse("a port from 1 to 65534 outside of 50000 to 55000, which are reserved", port)
    return port


def _port_range(text: str) -> str:
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first]
    if text != "*" and not (
        all(_NUMBER.fullmatch(number) and int(number) <= 65535 for number in numbers)
        and int(numbers[0]) <= int(numbers[-1])
    ):
        raise _refuse("'*', a port such as '22' or a range such as '100-200', up to 65535", repr(text))
    return text


def _web_address(text: str) -> str:
    """What nodes can fetch. Of the text nothing but its beginning is told: it may carry a signature."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise refusal("expected a URL that begins with https:// or http://, found a text without it")
    if scheme.lower() not in ("http", "https"):
        raise refusal(
            f"expected a URL that begins with https:// or http://, found one that begins with {scheme[:16]!r}"
        )
    if not rest.partition("/")[0] or any(letter.isspace() for letter in text):
        raise refusal("expected a URL with a host and without blanks, found another text")
    return text


def _formula(text: str) -> str:
    if not text.strip():
        raise _refuse("a formula", repr(text))
    if len(text.encode()) > FORMULA_LIMIT:
        raise refusal(f"expected at most 8 KB ({FORMULA_LIMIT:,} bytes), found {len(text.encode()):,}")
    return text


def at_most(limit: int, what: str) -> AfterValidator:
    """A bound on the length of a list."""

    def check(items: Sequence[Any] | None) -> Sequence[Any] | None:
        if items is not None and len(items) > limit:
            raise refusal(f"expected at most {limit} {what}, found {len(items)}")
        return items

    return AfterValidator(check)


def once(name: str) -> AfterValidator:
    """Each item of a list has another value of the property *name*. For keys that are numbers: the loader tells of
    names that are repeated, with their places."""

    def check(items: Sequence[Any] | None) -> Sequence[Any] | None:
        if twice := repeated(getattr(item, name) for item in items or ()):
            raise refusal(f"expected each {name} once, found {twice[0]} again")
        return items

    return AfterValidator(check)


def repeated(values: Iterable[Any]) -> list[Any]:
    """The values that came before already, in order."""
    seen: set[Any] = set()
    again = []
    for value in values:
        if value in seen:
            again.append(value)
        seen.add(value)
    return again


def _file_mode(text: str) -> str:
    if not _FILE_MODE.fullmatch(text):
        raise _refuse("an octal mode as text, such as '0770'", repr(text))
    return text


def _cron(text: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError:
        raise _refuse("a cron expression of five fields such as '0 22 * * 1-5'", repr(text)) from None
    return text


def _zone(text: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name with "..", a folder of zones
        raise _refuse("a time zone of the IANA database such as Europe/Berlin or UTC", repr(text)) from None
    return text


BatchId = Annotated[str, AfterValidator(_batch_id)]
"""Ids of pools, jobs and tasks; unique without regard to case."""
Duration = Annotated[str, AfterValidator(_duration)]
ReleaseTime = Annotated[str, AfterValidator(_release_time)]
ResizeTimeout = Annotated[str, AfterValidator(_within("PT5M", None, "at least 5 minutes (PT5M)"))]
EvaluationInterval = Annotated[str, AfterValidator(_within("PT5M", "P7D", "5 minutes (PT5M) to 168 hours (PT168H)"))]
WindowLength = Annotated[str, AfterValidator(_within("PT1M", "P31D", "1 minute (PT1M) to 31 days (P31D)"))]
Cron = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_zone)]
Recurrence = Annotated[str, AfterValidator(_within("PT1M", None, "at least 1 minute (PT1M)"))]
Moment = Annotated[str, AfterValidator(_moment)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
MountPath = Annotated[str, AfterValidator(_mount_path)]
PoolPrefix = Annotated[str, AfterValidator(_pool_prefix)]
EndpointName = Annotated[str, AfterValidator(_endpoint_name)]
BackendPort = Annotated[int, AfterValidator(_backend_port)]
FrontendPort = Annotated[int, AfterValidator(_frontend_port)]
PortRange = Annotated[str, AfterValidator(_port_range)]
Formula = Annotated[str, AfterValidator(_formula)]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
FileMode = Annotated[str, AfterValidator(_file_mode)]
MOST: Final = 2**31 - 1
"""Counts are 32-bit numbers on the wire."""
RetryCount = Annotated[int, Field(ge=-1, le=MOST)]
"""-1 means without limit."""
CommandLine = Annotated[str, Field(min_length=1)]
NodeCount = Annotated[int, Field(ge=0, le=MOST)]
ExitCode = Annotated[int, Field(ge=-MOST - 1, le=MOST)]
DiskSize = Annotated[int, Field(ge=1, le=MOST)]
"""Gigabytes."""
UserNumber = Annotated[int, Field(ge=0, le=MOST)]
Name = Annotated[str, Field(min_length=1)]
InstanceCount = Annotated[int, Field(ge=1, le=MOST)]
TaskNumber = Annotated[int, Field(ge=0, le=MOST)]
SlotCount = Annotated[int, Field(ge=1, le=256)]
ParallelTasks = Annotated[int, AfterValidator(_parallel_tasks)]
"""-1 means without limit."""
Secret = Annotated[str, Field(min_length=1)]
DisplayName = Annotated[str, Field(max_length=1024)]
