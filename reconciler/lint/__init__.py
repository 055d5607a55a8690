"""Lint over the whole stack: what no single document tells, found offline before anything is sent.

Commands call `lint` on loaded manifests. It reads bodies in wire form and touches nothing: the time comes in as an
argument, quotas come in where somebody knows them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from reconciler.lint import commands, dependencies, links, objects, preparation, quotas
from reconciler.lint.finding import Finding, Path, Severity
from reconciler.lint.links import HORIZON
from reconciler.lint.quotas import QuotaLimits
from reconciler.model.desired import Desired

__all__ = ["HORIZON", "Finding", "Path", "QuotaLimits", "Severity", "lint"]


def lint(
    desired: Desired,
    limits: QuotaLimits | None,
    now: datetime,
    *,
    horizon: timedelta = HORIZON,
    whole: bool = True,
) -> tuple[Finding, ...]:
    """Everything found, by source and path. *now* is aware; signatures should outlast it by *horizon*. Not *whole*:
    some objects could not be read, so that nothing is missed that may be one of them.

    The same remark on several tasks of a job comes once, with their number: a template makes thousands of them.
    """
    found = chain(
        objects.check(desired, whole=whole),
        dependencies.check(desired),
        commands.check(desired),
        preparation.check(desired),
        links.check(desired, now, horizon),
        quotas.check(desired, limits) if limits is not None else (),
    )
    return tuple(sorted(_gathered(found), key=_place))


def _place(finding: Finding) -> tuple[str, int, int, list[tuple[int, str]], str]:
    source = finding.source
    path = [(part, "") if isinstance(part, int) else (-1, part) for part in finding.path]
    return source.path, source.line, source.column, path, finding.message


def _gathered(found: Iterable[Finding]) -> Iterator[Finding]:
    groups: dict[object, tuple[Finding, int]] = {}
    for finding in found:
        of_task = finding.path[:1] == ("tasks",)
        path = finding.path[2:] if of_task else finding.path
        key = (finding.source, None if of_task else finding.address, finding.severity, path, finding.message)
        first, more = groups.get(key, (finding, -1))
        groups[key] = first, more + 1
    for first, more in groups.values():
        if more and first.path[:1] == ("tasks",):
            tasks = f"{more:,} more task{'s' if more > 1 else ''}"
            yield replace(first, message=f"{first.message} (also in {tasks})")
        else:
            yield first
