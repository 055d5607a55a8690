"""Quotas of an account, in the file that `az` writes."""

import json
from collections.abc import Mapping
from typing import Any, Final

from reconciler.cli.texts import read_text
from reconciler.errors import UsageError
from reconciler.lint import QuotaLimits

_QUOTAS: Final = {
    "dedicatedCoreQuota": "dedicated_cores",
    "lowPriorityCoreQuota": "low_priority_cores",
    "poolQuota": "pools",
    "activeJobAndJobScheduleQuota": "active_jobs_and_schedules",
}
"""Properties of a Batch account as Azure Resource Manager names them, and our fields."""


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
