"""What the `lifecycle:` section of a manifest asks for, by kind."""

from reconciler.lifecycle.steps import Policy
from reconciler.model.desired import Wanted
from reconciler.model.document import JobLifecycle, PoolLifecycle, ScheduleLifecycle


def of_job(wanted: Wanted) -> JobLifecycle:
    """Of a manifest that is known to be a job's."""
    assert isinstance(wanted.lifecycle, JobLifecycle)
    return wanted.lifecycle


def of_schedule(wanted: Wanted) -> ScheduleLifecycle:
    """Of a manifest that is known to be a job schedule's."""
    assert isinstance(wanted.lifecycle, ScheduleLifecycle)
    return wanted.lifecycle


def of_pool(wanted: Wanted) -> PoolLifecycle:
    """Of a manifest that is known to be a pool's."""
    assert isinstance(wanted.lifecycle, PoolLifecycle)
    return wanted.lifecycle


def policy_of(wanted: Wanted) -> Policy:
    """What a manifest says for the time when its object goes."""
    lifecycle = wanted.lifecycle
    keep, orphan = lifecycle.preventDestroy, lifecycle.deletionPolicy == "Orphan"
    if not isinstance(lifecycle, JobLifecycle | ScheduleLifecycle):
        return Policy(keep, orphan=orphan)
    return Policy(keep, lifecycle.onReleaseFailure == "Hold", orphan, lifecycle.captureLogs)
