"""On which nodes the release of a job runs, and on which it does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Final

from reconciler.forecast.terms import Place, Release
from reconciler.lifecycle.release import clock
from reconciler.model.desired import Key, Kind
from reconciler.observed import USABLE, LiveJob, LiveNode, NodeRun, Observed

FORCED: Final = "the service does not wait for it (--dangerous-force)"


class Chance(StrEnum):
    """What becomes of a release that a node owes."""

    RUNS = "runs"
    UNCERTAIN = "uncertain"
    LOST = "lost"


@dataclass(frozen=True)
class Nodes:
    """The nodes of the account, as far as they were listed."""

    observed: Observed

    @cached_property
    def _there(self) -> dict[str, LiveNode]:
        return {node.id: node for pool in self.observed.pools.values() for node in pool.members or ()}

    def release_of(self, job: LiveJob, *, forced: bool = False) -> Release | None:
        """Of a job that ends; None where no release will run any more."""
        if not job.releases or job.state in ("completed", "deleting"):
            return None
        if job.nodes is None:
            return Release(job.address, is_known=False)
        found: dict[Chance, list[Place]] = {chance: [] for chance in Chance}
        for run in job.owing():
            chance, why = self._fate(run)
            if forced and chance is Chance.RUNS:
                chance, why = Chance.UNCERTAIN, FORCED
            found[chance].append(Place(run.node, why))
        runs, uncertain, lost = (tuple(found[chance]) for chance in Chance)
        return Release(job.address, runs, uncertain, lost)

    def are_left(self, job: LiveJob) -> int | None:
        """On how many nodes files of a job's preparation and release are; None where nobody knows."""
        if job.nodes is None:
            return None if job.prepares else 0
        return sum(self._host(run) is not None for run in job.nodes if run.preparation is not None)

    def _host(self, run: NodeRun) -> LiveNode | str | None:
        """The node; None when it is gone; a text when nobody looked."""
        pool = Key.of(Kind.POOL, run.pool)
        there = self.observed.pools.get(pool)
        if there is None:
            return "its pool was not read" if Kind.POOL in self.observed.unread else None
        if there.members is None:
            return "the nodes of its pool were not read"
        return self._there.get(run.node)

    def _fate(self, run: NodeRun) -> tuple[Chance, str]:
        host = self._host(run)
        if host is None:
            return Chance.LOST, "has left the pool"
        if isinstance(host, str):
            return Chance.UNCERTAIN, host
        if host.state == "leavingpool":
            return Chance.UNCERTAIN, "is leaving the pool"
        if host.state == "reimaging":
            # No release runs on a node that was reimaged after its preparation (REST reference, 6.1).
            return Chance.LOST, "is being reimaged"
        if host.state not in USABLE:
            return Chance.UNCERTAIN, " ".join(_state(host))
        if _restarted(host, run):
            return Chance.UNCERTAIN, "restarted after its preparation; if it was reimaged, none runs there"
        return Chance.RUNS, ""


def _state(host: LiveNode) -> Iterator[str]:
    yield f"is {host.state}"
    if host.since:
        yield f"since {clock(host.since)}"


def _restarted(host: LiveNode, run: NodeRun) -> bool:
    ended = run.preparation.ended if run.preparation is not None else ""
    if not host.booted or not ended:
        return False
    return datetime.fromisoformat(host.booted) > datetime.fromisoformat(ended)
