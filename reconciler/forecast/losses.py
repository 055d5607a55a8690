"""What the road of an object takes away: tasks, releases, files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from reconciler.forecast.nodes import Nodes
from reconciler.forecast.terms import Count, FileLoss, ObjectForecast, Place, Release, TaskLoss
from reconciler.formula import least_targets
from reconciler.lifecycle.pool_nodes import old_nodes
from reconciler.lifecycle.pool_size import TARGETS, goal_of
from reconciler.lifecycle.steps import Action, Verb, Wait
from reconciler.model.desired import Key
from reconciler.observed import (
    UNFINISHED,
    LiveJob,
    LivePool,
    LiveSchedule,
    NodeCounts,
    Observed,
    TaskCounts,
    debts_on,
)
from reconciler.planning import Entry, Plan

KEPT: Final[Mapping[str, str]] = {
    "": "its receipt and logs were kept before",
    "Never": "its receipt is kept, and no log (captureLogs: Never)",
    "OnFailure": "its receipt is kept, and logs of preparation, release and tasks that failed (captureLogs: OnFailure)",
    "Always": "its receipt is kept, logs of preparation and release, and of tasks that failed (captureLogs: Always)",
}
LATER: Final = "may be removed in a later turn"
LEAVES: Final = "the job leaves the pool, and nobody knows whether release reaches its nodes then"


def is_ending(entry: Entry | None) -> bool:
    """Whether a job is on its way to its end, or is sent there by the plan."""
    if entry is None:
        return False
    going = entry.live is not None and entry.live.state in ("terminating", "deleting")
    return going or (entry.blocked is None and (entry.removes or Verb.TERMINATE in entry.verbs))


@dataclass(frozen=True)
class Losses:
    """Of the objects of one plan, by what is known of them."""

    plan: Plan
    observed: Observed
    nodes: Nodes

    def of(self, entry: Entry) -> ObjectForecast:
        live = self.observed.get(entry.key) or entry.live
        match live:
            case LiveJob() as job:
                return self._job(entry, job)
            case LivePool() as pool:
                return self._pool(entry, pool)
            case LiveSchedule() as schedule:
                return self._schedule(entry, schedule)
        return ObjectForecast()

    # Jobs

    def _job(self, entry: Entry, job: LiveJob) -> ObjectForecast:
        forced = any(action.force for action in entry.actions)
        tasks = _deleted_tasks(entry, job)
        if Verb.TERMINATE in entry.verbs:
            tasks = _cut_off(job)
        if Verb.CREATE in entry.verbs and Verb.ADD_TASKS in entry.verbs:
            tasks = _repeated(tasks or TaskLoss(0), job)
        releases: tuple[Release, ...] = ()
        if Verb.TERMINATE in entry.verbs or job.state == "terminating":
            releases = _some(self.nodes.release_of(job, forced=forced))
        elif _moves(entry, job) and (owed := self._left_behind(job)):
            releases = (owed,)
        files = None
        if entry.removes and job.state != "deleting":
            capture = next((action.capture for action in entry.actions if action.capture), "")
            files = FileLoss(_directories(job.counts), self.nodes.are_left(job), kept=KEPT[capture])
        elif deleted := sum(len(action.names) for action in entry.actions if action.verb is Verb.DELETE_TASKS):
            files = FileLoss(tasks=deleted)
        return ObjectForecast(tasks or None, releases, files or None)

    def _left_behind(self, job: LiveJob) -> Release | None:
        if not job.releases:
            return None
        if job.nodes is None:
            return Release(job.address, is_known=False)
        places = tuple(Place(run.node, LEAVES) for run in job.owing())
        return Release(job.address, uncertain=places) if places else None

    # Schedules

    def _schedule(self, entry: Entry, schedule: LiveSchedule) -> ObjectForecast:
        """Jobs that go with it have an entry each; those that the service ends with it are told here."""
        own = tuple(other.address for other in self.plan.entries.values() if other.parent == entry.key)
        if Verb.TERMINATE not in entry.verbs:
            return ObjectForecast(children=own)
        ending = [job for job in schedule.unfinished if job.state in UNFINISHED]
        forced = any(action.force for action in entry.actions)
        lost = [_cut_off(self.observed.jobs.get(job.key, job)) for job in ending]
        tasks = TaskLoss(_total(loss.running for loss in lost), _total(loss.waiting for loss in lost))
        found = (self.nodes.release_of(self.observed.jobs.get(job.key, job), forced=forced) for job in ending)
        releases = tuple(release for release in found if release is not None)
        return ObjectForecast(tasks or None, releases, children=(*own, *(job.address for job in ending)))

    # Pools

    def _pool(self, entry: Entry, pool: LivePool) -> ObjectForecast:
        going = _going(entry, pool)
        if going is None or not going.count:
            return ObjectForecast()
        tasks = None
        staying = [
            job
            for job in self.observed.jobs.values()
            if job.pool == pool.key and job.state in UNFINISHED and not is_ending(self.plan.entries.get(job.key))
        ]
        if entry.removes and staying:
            tasks = TaskLoss(None if pool.members is None else sum(n.running for n in pool.members), restarts=True)
        releases = tuple(self._unpaid(entry, pool, going))
        return ObjectForecast(tasks or None, releases, FileLoss(whole=going.count))

    def _unpaid(self, entry: Entry, pool: LivePool, going: "_Going") -> Iterable[Release]:
        """Releases that are lost with the nodes: of jobs that go on, and of those that end and are not waited for."""
        awaited = {key for step in entry.road if isinstance(step, Wait) for key in step.on}
        awaited |= self.plan.after.get(entry.key, frozenset())
        for debt in debts_on(pool, self.observed.jobs):
            ends = debt.ending or is_ending(self.plan.entries.get(debt.job))
            if ends and debt.job in awaited:
                continue
            address = self.observed.jobs[debt.job].address
            if not debt.nodes:
                yield Release(address, is_known=False)
            elif going.ids is not None:
                lost = tuple(Place(node, going.why) for node in debt.nodes if node in going.ids)
                # A node that owes is taken by name only where somebody agreed, and then later turns may take others.
                later = tuple(Place(node, LATER) for node in debt.nodes if going.goes_on and node not in going.ids)
                if lost:
                    yield Release(address, uncertain=later, lost=lost)
            else:
                places = tuple(Place(node, going.why) for node in debt.nodes)
                yield Release(address, uncertain=places, at_most=min(going.count or 0, len(places)))


@dataclass(frozen=True, slots=True)
class _Going:
    """Nodes that are taken away: which, where that is decided, and how many at most. *goes_on*: these are the first
    turn, and others follow."""

    count: int
    ids: frozenset[str] | None
    why: str
    goes_on: bool = False


def _going(entry: Entry, pool: LivePool) -> _Going | None:
    if entry.removes:
        return _Going(pool.current, pool.node_ids, "goes with the pool")
    found = None
    for action in entry.actions:
        now = _taken_by(action, entry, pool)
        if now is not None and (found is None or now.count > found.count):
            found = now
    return found


def _taken_by(action: Action, entry: Entry, pool: LivePool) -> _Going | None:
    match action.verb:
        case Verb.RESIZE:
            goal = {row.name: row.new or 0 for row in action.changes}
            there = pool.there
            dedicated, spot = goal.get(TARGETS[0], there.dedicated), goal.get(TARGETS[1], there.spot)
            if not goal and entry.wanted is not None:
                dedicated, spot = goal_of(entry.wanted).dedicated, goal_of(entry.wanted).spot
            surplus = there.beyond(NodeCounts(dedicated, spot)).total
            every = surplus == there.total
            return _Going(surplus, pool.node_ids if every else None, "the service chooses which nodes go")
        case Verb.REMOVE_NODES:
            assert entry.wanted is not None
            surplus = pool.there.beyond(_least_on_the_way(entry)).total
            chosen = frozenset(action.nodes)
            return _Going(max(surplus, len(chosen)), chosen, "is to be removed", goes_on=surplus > len(chosen))
        case Verb.ENABLE_AUTOSCALE:
            assert entry.wanted is not None
            dedicated, spot = least_targets(str(entry.wanted.body["autoScaleFormula"]))
            there = pool.there
            least = NodeCounts(
                there.dedicated if dedicated is None else dedicated, there.spot if spot is None else spot
            )
            return _Going(there.beyond(least).total, None, "the formula decides how many nodes go")
        case Verb.REIMAGE_NODES:
            ids = frozenset(action.nodes) | {node.id for node in old_nodes(pool) if node.is_up}
            return _Going(len(ids), ids, "is to be reimaged")
    return None


def _least_on_the_way(entry: Entry) -> NodeCounts:
    """The fewest nodes that the pool has on its road: none, where it is emptied first."""
    assert entry.wanted is not None
    goal = goal_of(entry.wanted)
    rows = [row for action in entry.actions for row in action.changes if row.top in TARGETS]
    dedicated = min([goal.dedicated, *(row.new or 0 for row in rows if row.top == TARGETS[0])])
    return NodeCounts(dedicated, min([goal.spot, *(row.new or 0 for row in rows if row.top == TARGETS[1])]))


def _cut_off(job: LiveJob) -> TaskLoss:
    if job.counts is None:
        return TaskLoss(None, None)
    return TaskLoss(job.counts.running, job.counts.active)


def _repeated(loss: TaskLoss, job: LiveJob) -> TaskLoss:
    """The same where a successor gets the tasks of its manifest."""
    finished = None if job.counts is None else job.counts.completed
    return replace(loss, restarts=True, finished=finished)


def _deleted_tasks(entry: Entry, job: LiveJob) -> TaskLoss | None:
    names = {name.lower() for action in entry.actions if action.verb is Verb.DELETE_TASKS for name in action.names}
    if not names:
        return None
    there = [task for id_, task in (job.tasks or {}).items() if id_ in names]
    again = entry.wanted is not None and names <= entry.wanted.tasks.keys()
    return TaskLoss(sum(task.runs for task in there), restarts=again)


def _directories(counts: TaskCounts | None) -> Count:
    """How many tasks have a directory: those that ran."""
    return None if counts is None else counts.running + counts.completed


def _moves(entry: Entry, job: LiveJob) -> bool:
    leaving = any(row.name == "poolInfo.poolId" for row in entry.changes)
    return leaving and job.state in UNFINISHED and entry.blocked is None


def _total(counts: Iterable[Count]) -> Count:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _some(release: Release | None) -> tuple[Release, ...]:
    return () if release is None else (release,)


def with_reasons(found: ObjectForecast, entry: Entry, unread: Mapping[Key, str]) -> ObjectForecast:
    """The forecast with the reason why something could not be read for it."""
    live = entry.live
    keys = [entry.key]
    if isinstance(live, LiveJob) and live.pool is not None:
        keys.append(live.pool)
    if isinstance(live, LiveSchedule):
        keys += [job.key for job in live.children]
    reasons = tuple(dict.fromkeys(unread[key] for key in keys if key in unread))
    return replace(found, unread=reasons) if reasons else found
