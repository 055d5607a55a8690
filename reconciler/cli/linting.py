"""Lint as the commands run it: places found, errors raised with those of the manifests, warnings handed back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.cli.texts import read_text
from reconciler.errors import Finding, ManifestErrors, UsageError
from reconciler.lint import QuotaLimits, Severity, lint
from reconciler.manifest.places import Places
from reconciler.manifest.words import field_path
from reconciler.model.desired import Desired, Stack

_QUOTAS: Final = {
    "dedicatedCoreQuota": "dedicated_cores",
    "lowPriorityCoreQuota": "low_priority_cores",
    "poolQuota": "pools",
    "activeJobAndJobScheduleQuota": "active_jobs_and_schedules",
}
"""Properties of a Batch account as Azure Resource Manager names them, and our fields."""

_DECLARED: Final = {
    "cores": "dedicated_cores",
    "lowPriorityCores": "low_priority_cores",
    "pools": "pools",
    "activeJobsAndSchedules": "active_jobs_and_schedules",
}
"""The quotas that a Stack may name, and our fields."""


@dataclass(frozen=True, slots=True, order=True)
class Warned:
    """A warning or a hint, and the address of what it is about."""

    finding: Finding
    address: str
    severity: Severity


def check_stacks(
    stacks: Iterable[Desired], findings: Iterable[Finding], *, limits: QuotaLimits | None = None, strict: bool = False
) -> list[tuple[Warned, ...]]:
    """What lint has to remark on each stack. Raises ManifestErrors with *findings*, those of the manifests, and lint's
    errors about what is without a mistake; with *strict* every warning is an error.

    *limits* are quotas as the account has them; one that it does not tell is what the Stack says.
    """
    errors = list(findings)
    whole = not errors
    told = {(one.path, one.line, one.column) for one in errors}  # a value that is refused says no more
    places = Places()
    remarks = []
    for desired in stacks:
        warned = []
        for one in lint(desired, _known(desired.stack, limits), datetime.now(UTC), whole=whole):
            place = places.find(one.source, one.path)
            finding = Finding(place.path, place.line, place.column, field_path(one.path), one.message)
            if (finding.path, finding.line, finding.column) in told:
                continue
            if one.severity is Severity.ERROR or (strict and one.severity is Severity.WARNING):
                errors.append(finding)
            else:
                warned.append(Warned(finding, one.address, one.severity))
        remarks.append(tuple(sorted(warned)))
    if errors:
        raise ManifestErrors(errors)
    return remarks


def _known(stack: Stack, limits: QuotaLimits | None) -> QuotaLimits | None:
    declared = {_DECLARED[name]: limit for name, limit in stack.quotas.items()}
    told = {name: limit for name, limit in asdict(limits or QuotaLimits()).items() if limit is not None}
    return QuotaLimits(**(declared | told)) if declared or told else None


def read_quotas(path: str) -> QuotaLimits:
    """The quotas in a file that `az batch account show` wrote. Raises UsageError where it holds none."""
    expected = f"--quotas {path}: expected the JSON that 'az batch account show' prints"
    try:
        given: Any = json.loads(read_text("--quotas", path, "give the output of 'az batch account show'"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{expected}, found {error}") from error
    body = given.get("properties", given) if isinstance(given, Mapping) else {}
    if not isinstance(body, Mapping):
        body = {}
    values: dict[str, int] = {}
    for name, ours in _QUOTAS.items():
        value = body.get(name)
        if value is None:  # left out or null where the subscription, not the account, has the quota
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UsageError(f"{expected}, found {name}: {value!r}")
        values[ours] = value
    if not values:
        raise UsageError(f"{expected}, found none of {', '.join(_QUOTAS)}")
    return QuotaLimits(**values)
