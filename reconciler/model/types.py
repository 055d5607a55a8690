"""Scalars of the manifests: what a string or number must look like. Their error texts say what was expected."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from reconciler.model import duration

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
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


def _resize_timeout(text: str) -> str:
    if duration.ticks(_duration(text)) < duration.ticks("PT5M"):
        raise _refuse("at least 5 minutes (PT5M)", repr(text))
    return text


def _parallel_tasks(count: int) -> int:
    if count != -1 and not 0 < count <= MOST:
        raise _refuse("-1 (no limit) or a number above 0", count)
    return count


def _relative_path(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise _refuse("a path below the task's working directory, without '..'", repr(text))
    return text


def _file_mode(text: str) -> str:
    if not _FILE_MODE.fullmatch(text):
        raise _refuse("an octal mode as text, such as '0770'", repr(text))
    return text


BatchId = Annotated[str, AfterValidator(_batch_id)]
"""Ids of pools, jobs and tasks; unique without regard to case."""
Duration = Annotated[str, AfterValidator(_duration)]
ReleaseTime = Annotated[str, AfterValidator(_release_time)]
ResizeTimeout = Annotated[str, AfterValidator(_resize_timeout)]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
FileMode = Annotated[str, AfterValidator(_file_mode)]
MOST: Final = 2**31 - 1
"""Counts are 32-bit numbers on the wire."""
RetryCount = Annotated[int, Field(ge=-1, le=MOST)]
"""-1 means without limit."""
CommandLine = Annotated[str, Field(min_length=1)]
NodeCount = Annotated[int, Field(ge=0, le=MOST)]
SlotCount = Annotated[int, Field(ge=1, le=256)]
ParallelTasks = Annotated[int, AfterValidator(_parallel_tasks)]
"""-1 means without limit."""
DisplayName = Annotated[str, Field(max_length=1024)]
