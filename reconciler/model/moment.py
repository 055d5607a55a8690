"""Points in time as the Batch service reads and writes them: ISO 8601, given back in UTC with up to seven digits."""

import re
from datetime import UTC, datetime
from typing import Final

_PATTERN: Final = re.compile(
    r"(?P<second>\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d{1,9}))?(?P<offset>[Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


def canonical(text: str) -> str:
    """The same moment as the service writes it: UTC, `Z`, zeros at the end of the fraction cut (recorded).

    What is below a microsecond is cut: not every client keeps it, and no schedule means it. Raises ValueError when
    *text* is no moment. One without an offset is none: nothing says whose clock it means.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"a time such as 2030-01-31T06:00:00Z, not {text!r}")
    offset = "+00:00" if match["offset"] in "Zz" else match["offset"]
    try:
        moment = datetime.fromisoformat(match["second"].upper() + offset).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"a time within the years 1 to 9999, not {text!r}") from None
    fraction = (match["fraction"] or "")[:6].rstrip("0")
    whole = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def is_one(text: str) -> bool:
    """Whether *text* is a moment."""
    try:
        canonical(text)
    except ValueError:
        return False
    return True


def order(text: str) -> tuple[str, str]:
    """What puts moments in order, to the last digit that the service writes. Raises ValueError as `canonical` does."""
    second, _, _ = canonical(text).rstrip("Z").partition(".")
    match = _PATTERN.fullmatch(text)
    assert match is not None
    return second, (match["fraction"] or "").rstrip("0")


def is_before(text: str, other: str) -> bool:
    """Whether *text* is an earlier moment than *other*."""
    return canonical(text).rstrip("Z") < canonical(other).rstrip("Z")
