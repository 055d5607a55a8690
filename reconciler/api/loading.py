"""Manifests that are read and checked: the desired state of each stack, or every mistake at once."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from reconciler.errors import Finding, ManifestErrors
from reconciler.lint import QuotaLimits, Severity
from reconciler.lint import lint as remarks_of
from reconciler.manifest import load_all, load_some
from reconciler.manifest.places import Places
from reconciler.manifest.words import field_path
from reconciler.model.desired import Desired, Stack

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
        for one in remarks_of(desired, _known(desired.stack, limits), datetime.now(UTC), whole=whole):
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


def load(
    paths: Sequence[str],
    *,
    variables: Mapping[str, str] | None = None,
    environment: Mapping[str, str] = os.environ,
    lint: bool = True,
) -> tuple[Desired, ...]:
    """The desired state of each stack that *paths* (files, folders, or `-`) hold.

    *variables* are those of the manifests, by name. Raises ManifestErrors with every mistake of every file; with *lint*
    also with what would be refused or never run. Warnings are for `validate`: a plan is read for what will happen.
    """
    variables = variables or {}
    if not lint:
        return load_all(paths, variables=variables, environment=environment)
    stacks, findings = load_some(paths, variables=variables, environment=environment)
    check_stacks(stacks, findings)
    return stacks
