"""Ending an object for its successor: who asked for it, and what forbids it."""

from typing import Final

from reconciler.lifecycle.steps import Blocked, Context, Rule
from reconciler.model.desired import Wanted
from reconciler.model.document import JobLifecycle, ScheduleLifecycle
from reconciler.observed import Live

NOTHING_TO_REPLACE: Final = "--replace asks for a new run, and its manifest for none (lifecycle.state: Completed)"


def is_asked(live: Live, context: Context) -> bool:
    """Whether a person asked for a successor of this very incarnation."""
    return (live.key, live.guard.born) in context.consents.replace


def refused(wanted: Wanted, live: Live, context: Context) -> Blocked | None:
    """What forbids the successor that a person asked for; None also where nobody did."""
    if not is_asked(live, context):
        return None
    lifecycle = _lifecycle(wanted)
    if lifecycle.state == "Completed":
        return Blocked(NOTHING_TO_REPLACE)
    return kept("asked for by --replace") if lifecycle.preventDestroy else None


def on_request(wanted: Wanted, live: Live, context: Context) -> str | Blocked | None:
    """The reason, where a person asked for a successor and the manifest allows one."""
    asked = "asked for by --replace" if is_asked(live, context) else None
    return refused(wanted, live, context) or asked


def for_change(wanted: Wanted, why: str) -> str | Blocked:
    """The reason, where a line of the manifest asks for a successor and its lifecycle allows one."""
    lifecycle = _lifecycle(wanted)
    if lifecycle.replace == "Never":
        return Blocked(f"{why}, and lifecycle.replace: Never forbids to replace it")
    if lifecycle.preventDestroy:
        return kept(why)
    return f"replace: {why}"


def kept(why: str) -> Blocked:
    """The answer for an object that would be removed for its successor, and is not."""
    return Blocked(f"kept: {why}, and lifecycle.preventDestroy forbids to replace it", rule=Rule.PREVENT_DESTROY)


def _lifecycle(wanted: Wanted) -> JobLifecycle | ScheduleLifecycle:
    assert isinstance(wanted.lifecycle, JobLifecycle | ScheduleLifecycle)
    return wanted.lifecycle
