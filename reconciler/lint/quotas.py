"""Whether an account can hold what is declared, once its quotas are known.

What else lives in the account is not known offline, so this finds only what cannot fit for itself. An autoscaled pool
counts with the least nodes its formula may ask for. Source: D:batch-quota-limit
(https://learn.microsoft.com/azure/batch/batch-quota-limit).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reconciler import formula
from reconciler.lint.finding import Finding, Part
from reconciler.lint.parts import pools
from reconciler.lint.sizes import cores
from reconciler.model.desired import Desired, Kind

_COUNTS: Final = ("targetDedicatedNodes", "targetLowPriorityNodes")


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """Quotas of an account; None where one is not known. Cores are vCPUs."""

    dedicated_cores: int | None = None
    low_priority_cores: int | None = None
    pools: int | None = None
    active_jobs_and_schedules: int | None = None


def check(desired: Desired, limits: QuotaLimits) -> Iterator[Finding]:
    """Pools and cores that cannot fit, and jobs that do not fit all at once."""
    declared = [pool for pool in pools(desired) if pool.path == ("spec",)]
    if limits.pools is not None and len(declared) > limits.pools:
        found = f"expected at most {limits.pools} pools, the account's quota, found {len(declared)}"
        yield declared[limits.pools].error(found)
    for index, (name, most) in enumerate(
        zip(_COUNTS, (limits.dedicated_cores, limits.low_priority_cores), strict=True)
    ):
        if most is not None:
            kind = "low-priority" if index else "dedicated"
            yield from _cores(declared, index, name, kind, most)
    active = [
        wanted
        for wanted in desired.objects.values()
        if wanted.key.kind is not Kind.POOL and getattr(wanted.lifecycle, "state", "Active") != "Completed"
    ]
    most = limits.active_jobs_and_schedules
    if most is not None and len(active) > most:
        over = active[most]
        found = f"expected at most {most} active jobs and schedules, the account's quota, found {len(active)}"
        message = f"{found}: the last have to wait until others have ended"
        yield Part(over, over.address, over.body, ("spec",)).warning(message)


def _cores(declared: list[Part], index: int, name: str, kind: str, most: int) -> Iterator[Finding]:
    """A finding at the first pool that goes over the quota."""
    total = 0
    for pool in declared:
        total += (cores(pool.get("vmSize")) or 0) * least_nodes(pool)[index]
        if total > most:
            field = "autoScaleFormula" if pool.get("enableAutoScale") else name
            yield pool.error(
                f"expected at most {most} {kind} cores, the account's quota, found {total} up to here", field
            )
            return


def least_nodes(pool: Part) -> tuple[int, int]:
    """Dedicated and low-priority nodes that the pool asks for at least."""
    text = pool.get("autoScaleFormula")
    if pool.get("enableAutoScale") and isinstance(text, str):
        dedicated, low_priority = formula.least_targets(text)
        return dedicated or 0, low_priority or 0
    return pool.number(_COUNTS[0], 0), pool.number(_COUNTS[1], 0)
