"""How much of the account's quotas is used before and after a plan, of those that the Stack names (`spec.limits`).

Completed jobs and schedules do not count (D:batch-quota-limit,
https://learn.microsoft.com/azure/batch/batch-quota-limit). A pool counts with the nodes that it has or asks for,
whichever is more; one that scales by a formula with those that it has, and afterwards with the least it may ask for.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.forecast.terms import Count, QuotaUse
from reconciler.formula import least_targets
from reconciler.lifecycle.pool_size import goal_of
from reconciler.lifecycle.steps import Verb
from reconciler.lifecycle.wording import counted
from reconciler.lint.sizes import cores
from reconciler.model.desired import QUOTAS, Key, Kind
from reconciler.observed import LivePool, NodeCounts, Observed
from reconciler.planning import Entry, Plan


def uses(plan: Plan, observed: Observed, limits: Mapping[str, int]) -> Iterator[QuotaUse]:
    """The use of each quota that is known, in the order of `QUOTAS`."""
    for name in QUOTAS:
        if name not in limits:
            continue
        match name:
            case "activeJobsAndSchedules":
                yield _active(plan, observed, limits[name])
            case "pools":
                yield _pools(plan, observed, limits[name])
            case _:
                yield _cores(plan, observed, name, limits[name])


def _active(plan: Plan, observed: Observed, limit: int) -> QuotaUse:
    name = "activeJobsAndSchedules"
    if observed.unread.keys() & {Kind.JOB, Kind.JOB_SCHEDULE}:
        return QuotaUse(name, limit, None, None, "jobs or job schedules could not be listed")
    live = {**observed.jobs, **observed.schedules}
    before = {key for key, thing in live.items() if thing.state != "completed"}
    after = set(before)
    for key, entry in plan.entries.items():
        if key.kind is Kind.POOL or entry.blocked is not None:
            continue
        verbs = entry.verbs
        if Verb.CREATE in verbs:
            after.add(key)
        elif entry.removes or Verb.TERMINATE in verbs or (entry.live and entry.live.state in ("terminating",)):
            after.discard(key)
    new = sum(key.kind is Kind.JOB_SCHEDULE for key in after - before)
    note = f"and the jobs of {counted(new, 'new schedule')}" if new else ""
    return QuotaUse(name, limit, len(before), len(after), note)


def _pools(plan: Plan, observed: Observed, limit: int) -> QuotaUse:
    if Kind.POOL in observed.unread:
        return QuotaUse("pools", limit, None, None, "pools could not be listed")
    return QuotaUse("pools", limit, len(observed.pools), len(_pools_after(plan, observed)))


def _pools_after(plan: Plan, observed: Observed) -> set[Key]:
    after = set(observed.pools)
    for key, entry in plan.entries.items():
        if key.kind is not Kind.POOL or entry.blocked is not None:
            continue
        if Verb.CREATE in entry.verbs:
            after.add(key)
        elif entry.removes:
            after.discard(key)
    return after


def _cores(plan: Plan, observed: Observed, name: str, limit: int) -> QuotaUse:
    if Kind.POOL in observed.unread:
        return QuotaUse(name, limit, None, None, "pools could not be listed")
    unknown: set[str] = set()

    def size(spec: Mapping[str, Any], nodes: NodeCounts) -> Count:
        count = nodes.dedicated if name == "cores" else nodes.spot
        each = cores(spec.get("vmSize"))
        if count and each is None:
            unknown.add(str(spec.get("vmSize")))
            return None
        return count * (each or 0)

    before = _sum(size(pool.spec, _at_most(pool)) for pool in observed.pools.values())
    after = _sum(
        size(*_afterwards(plan.entries.get(key), observed.pools.get(key)))
        for key in sorted(_pools_after(plan, observed))
    )
    note = f"how many cores {', '.join(sorted(unknown))} has is not known" if unknown else ""
    return QuotaUse(name, limit, before, after, note)


def _at_most(pool: LivePool) -> NodeCounts:
    there, asked = pool.there, pool.targets
    return NodeCounts(max(there.dedicated, asked.dedicated), max(there.spot, asked.spot))


def _afterwards(entry: Entry | None, live: LivePool | None) -> tuple[Mapping[str, Any], NodeCounts]:
    """What a pool is like when the plan was carried out."""
    if entry is None or entry.wanted is None or not entry.actions or entry.blocked is not None:
        assert live is not None
        return live.spec, _at_most(live)
    spec = entry.wanted.spec
    if not spec.get("enableAutoScale"):
        return spec, goal_of(entry.wanted)
    dedicated, spot = least_targets(str(entry.wanted.body["autoScaleFormula"]))
    now = live.there if live is not None and not entry.removes else NodeCounts()
    return spec, NodeCounts(now.dedicated if dedicated is None else dedicated, now.spot if spot is None else spot)


def _sum(counts: Iterable[Count]) -> Count:
    found = list(counts)
    return None if None in found else sum(count or 0 for count in found)
