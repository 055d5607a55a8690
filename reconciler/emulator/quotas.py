"""How much an account may hold. Asked where something is created; the sizes are `Limits`.

Codes: DE. What counts as active: D:batch-quota-limit speaks of active jobs and schedules; a completed job does not
count (D:best-practices), and that a schedule and its active job count one each is INFERRED.
"""

from __future__ import annotations

from reconciler.emulator.errors import refuse
from reconciler.emulator.world import World

_OVER = ("completed", "deleting")


def has_room_for_active(w: World) -> bool:
    """Whether one more job or schedule may be active."""
    most = w.limits.active_jobs_and_schedules
    if len(w.jobs) + len(w.schedules) < most:
        return True
    active = sum(job.state not in _OVER for job in w.jobs.values())
    return active + sum(schedule.state not in _OVER for schedule in w.schedules.values()) < most


def check_active(w: World) -> None:
    if not has_room_for_active(w):
        raise refuse("ActiveJobAndScheduleQuotaReached")


def check_pools(w: World) -> None:
    """A pool counts until it is gone (INFERRED: its nodes still use the account's cores)."""
    if len(w.pools) >= w.limits.pools_per_account:
        raise refuse("PoolQuotaReached")
