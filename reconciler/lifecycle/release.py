"""What a job that ends waits for, node by node: slow, which has a bound, is not stuck, which has none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.lifecycle.steps import Wait
from reconciler.model import duration
from reconciler.observed import ON_THE_WAY, USABLE, LiveJob, LiveNode, NodeRun, short

RELEASE_BOUND: Final = "up to 15 min"
"""The service ends an attempt of a release task after 15 minutes (REST reference, maxWallClockTime)."""
RELEASE_SECONDS: Final = 15 * 60
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Pending:
    """A node whose release has not ended. *why* is empty where the node was not looked at; *stuck*: nothing that is
    known to end by itself."""

    node: str
    why: str = ""
    stuck: bool = False

    def __str__(self) -> str:
        return f"{short(self.node)} {self.why}".strip()


def pending(job: LiveJob) -> tuple[Pending, ...]:
    """The nodes that a terminating job waits for, those first that are stuck."""
    found = (_pending(job, run) for run in job.owing())
    return tuple(sorted(found, key=lambda one: not one.stuck))


def _pending(job: LiveJob, run: NodeRun) -> Pending:
    if job.hosts is None or run.node not in job.hosts:
        return Pending(run.node)
    host = job.hosts[run.node]
    if host is None:
        return Pending(run.node, "has left the pool", stuck=True)
    if host.state in USABLE:
        return Pending(run.node, _progress(job, run))
    # Release goes on, or begins anew, once the node is back; how long one that does not come back holds the job up is
    # UNKNOWN (reference, 6.4).
    return Pending(run.node, " ".join(_state(host)), stuck=host.state not in {*ON_THE_WAY, "waitingforstarttask"})


def _state(host: LiveNode) -> Iterator[str]:
    yield host.state
    if host.since:
        yield f"since {clock(host.since)}"


def _progress(job: LiveJob, run: NodeRun) -> str:
    if run.release is None or not run.release.started:
        return "has not begun"
    began = run.release.started
    limit = (job.spec.get("jobReleaseTask") or {}).get("maxWallClockTime") or "PT15M"
    last = datetime.fromisoformat(began) + timedelta(microseconds=duration.ticks(limit) // 10)
    return f"began {clock(began)}, ends by {clock(last.isoformat())}"


def clock(moment: str) -> str:
    """The time of day of a moment, in seconds: `20:01:02Z`."""
    return f"{datetime.fromisoformat(moment):%H:%M:%S}Z"


def waited_for(job: LiveJob) -> str:
    """Whose release a terminating job is waiting for, as far as it is known."""
    if not job.releases:
        return "its tasks to end"
    waiting = pending(job) if job.nodes is not None else ()
    if not waiting:
        return "release"
    named = (", " if all(not one.why for one in waiting) else "; ").join(map(str, waiting[:_SHOWN]))
    more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
    return f"release on {len(waiting)} node{'s' if len(waiting) > 1 else ''} ({named}{more})"


def wait(job: LiveJob) -> Wait:
    """The wait of a terminating job."""
    return Wait(waited_for(job), bound(job), seconds=limit(job) if job.releases and not _is_held_up(job) else None)


def limit(job: LiveJob) -> int:
    """Seconds that a release task of the job may take: what its manifest says, and 15 minutes at most."""
    said = (job.spec.get("jobReleaseTask") or {}).get("maxWallClockTime")
    if said is None:
        return RELEASE_SECONDS
    return min(RELEASE_SECONDS, -(-duration.ticks(said) // duration.TICKS_PER_SECOND))


def bound(job: LiveJob) -> str:
    """How long at most that takes, as far as it is known."""
    if not job.releases:
        return ""
    if _is_held_up(job):
        return f"for as long as that lasts (--dangerous-force {job.address} does not wait)"
    return f"up to {duration.words_of(limit(job))}"


def _is_held_up(job: LiveJob) -> bool:
    return job.nodes is not None and any(one.stuck for one in pending(job))


def stuck(job: LiveJob) -> tuple[str, ...]:
    """What a person may have to do about nodes that hold up the end of a job."""
    if job.state != "terminating":
        return ()
    return tuple(
        f"release on node {one}: it may never run there; restart or remove the node, or end the job without it "
        f"(--dangerous-force {job.address})"
        for one in pending(job)
        if one.stuck
    )
