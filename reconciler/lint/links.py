"""Shared access signatures that have expired or soon will: `se=` in URLs, and bare tokens of mounts.

An expiry that a stored access policy holds (`si=`) is not in the text and cannot be checked offline.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from reconciler.lint.finding import Finding, Part, Path
from reconciler.lint.parts import Job, jobs, pools
from reconciler.model.desired import Desired

HORIZON: Final = timedelta(days=7)
"""How long a signature should last at least."""
_TOKEN: Final = re.compile(r"[^\s'\"<>]*\bse=[^\s'\"<>]*")
"""A URL or token in a text, which may be a command line."""


def check(desired: Desired, now: datetime, horizon: timedelta) -> Iterator[Finding]:
    """Every signature of every body: resource files, output files, mounts."""
    for part in _bodies(desired):
        for path, text in _texts(part.body, ()):
            ends = expiry(text)
            if ends is None or ends > now + horizon:
                continue
            when = f"{ends:%Y-%m-%dT%H:%MZ}"
            if ends <= now:
                # No error: the manifests are right, and work that is done needs it no more. Time alone must not stop a
                # plan that runs unattended.
                yield part.warning(
                    f"expected a signature (SAS) that is still valid, found one that ended {when}", *path
                )
            else:
                days = f"{horizon.days} days"
                yield part.warning(
                    f"expected a signature (SAS) valid for {days} or more, found one until {when}", *path
                )


def _bodies(desired: Desired) -> Iterator[Part]:
    yield from (pool for pool in pools(desired) if pool.path == ("spec",))  # an auto pool is part of its job's body
    for job in jobs(desired):
        yield from _with_tasks(job)


def _with_tasks(job: Job) -> Iterator[Part]:
    yield job.part
    yield from job.tasks


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if "se=" in value:
            yield path, value
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield from _texts(below, (*path, name))
    elif isinstance(value, Sequence):
        for index, below in enumerate(value):
            yield from _texts(below, (*path, index))


def expiry(text: str) -> datetime | None:
    """When the signature in *text*, a URL or a bare token, ends; None where it holds none or does not say."""
    try:
        query = urlsplit(text).query if "://" in text else text.removeprefix("?")
        given = parse_qs(query)
        if "sig" not in given or "se" not in given:
            return None
        ends = datetime.fromisoformat(given["se"][0])
    except ValueError:  # not a URL, or a time in a form the storage service would refuse as well
        return None
    return ends.replace(tzinfo=UTC) if ends.tzinfo is None else ends.astimezone(UTC)
