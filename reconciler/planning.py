"""Steps of every object, in order, as one value: shown and executed from the same thing.

A plan is made from desired and observed alone. The road of an object folds `next_step` over the predicted effect of
each action, so what is shown is what will be asked.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from typing import Final, Generic, TypeVar

from reconciler import ledger
from reconciler.diff import Change, FieldChange
from reconciler.lifecycle import consents, ignoring, runs
from reconciler.lifecycle import job as job_life
from reconciler.lifecycle import pool as pool_life
from reconciler.lifecycle import schedule as schedule_life
from reconciler.lifecycle import tasks as task_life
from reconciler.lifecycle.job_change import job_diff
from reconciler.lifecycle.policies import policy_of
from reconciler.lifecycle.secrets import is_drift
from reconciler.lifecycle.steps import Action, Blocked, Context, Done, Rule, Step, Verb, Wait
from reconciler.lifecycle.wording import counted, few, verb_for
from reconciler.masking import Mask
from reconciler.model.desired import Desired, Key, Kind, Wanted, digest
from reconciler.model.field import ChangeKind
from reconciler.observed import (
    UNFINISHED,
    Live,
    LiveJob,
    LivePool,
    LiveSchedule,
    Observed,
    Tenant,
    debts_on,
    tenants_of,
)

__all__ = ["Entry", "Plan", "leaving_children", "make_plan", "policy_of"]

L = TypeVar("L", LiveJob, LivePool, LiveSchedule)

TAKING: Final = frozenset({Verb.ENABLE_AUTOSCALE, Verb.REMOVE_NODES, Verb.REBOOT_NODES, Verb.REIMAGE_NODES})
LONGEST_ROAD: Final = 24
"""More steps than any road has; a fold that gets here is a mistake in a lifecycle."""


@dataclass(frozen=True)
class Entry:
    """One object of a plan. *road* begins with *step*; *difference* is all that differs now, whatever it takes;
    *notes* need no action and are shown all the same. *parent*: the schedule that a job belongs to, and goes
    with."""

    key: Key
    address: str
    step: Step
    road: tuple[Step, ...]
    wanted: Wanted | None
    live: Live | None
    difference: Change = field(default_factory=Change)
    notes: tuple[str, ...] = ()
    drift: bool = False
    parent: Key | None = None

    @property
    def actions(self) -> tuple[Action, ...]:
        return tuple(step for step in self.road if isinstance(step, Action))

    @property
    def verbs(self) -> tuple[Verb, ...]:
        return tuple(action.verb for action in self.actions)

    @property
    def changes(self) -> tuple[FieldChange, ...]:
        return tuple(change for action in self.actions for change in action.changes)

    @property
    def blocked(self) -> Blocked | None:
        return next((step for step in self.road if isinstance(step, Blocked)), None)

    @property
    def removes(self) -> bool:
        return Verb.DELETE in self.verbs

    @property
    def expires(self) -> bool:
        """Whether its time to live is over: a removal that its own manifest asks for."""
        return any(action.run is not None for action in self.actions)

    @property
    def shrinks(self) -> bool:
        """Whether a pool may lose nodes, or what is on them."""
        if not TAKING.isdisjoint(self.verbs):
            return True
        return Verb.RESIZE in self.verbs and any(
            row.top in pool_life.TARGETS and (row.new or 0) < (row.old or 0) for row in self.changes
        )


@dataclass(frozen=True)
class Plan:
    """What brings the account from observed to desired.

    *after* names, for each object, those whose step must be Done before it may act. *owned* counts the objects of
    the account that carry our mark, and *others* those of other stacks, by their names. *unread* kinds could not be
    listed: of objects that no manifest names nothing is known. *at* is when the account was looked at, ISO 8601 UTC.
    *partial*: it is not about every object.
    """

    entries: Mapping[Key, Entry]
    after: Mapping[Key, frozenset[Key]]
    stack: str
    owned: int
    unread: Mapping[Kind, str] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    at: str = ""
    partial: bool = False

    @property
    def has_changes(self) -> bool:
        return any(entry.actions for entry in self.entries.values())

    @property
    def blocked(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries.values() if entry.blocked)

    def ready(self) -> Iterator[tuple[Entry, Action]]:
        """Actions whose predecessors are all done, in the order of the plan."""
        for key, entry in self.entries.items():
            if isinstance(entry.step, Action) and not self.waits_for(key):
                yield entry, entry.step

    def waits_for(self, key: Key) -> tuple[Entry, ...]:
        """What has to come first for *key* and is not done yet."""
        before = (self.entries[other] for other in sorted(self.after.get(key, ())) if other in self.entries)
        return tuple(entry for entry in before if not isinstance(entry.step, Done))

    @cached_property
    def digest(self) -> str:
        """Of what people see and approve: addresses, ordered verbs, what is written, incarnations. Of a secret it says
        no more than they see: that there is one."""
        return digest([_shown(entry) for entry in self.entries.values() if entry.actions])


def _shown(entry: Entry) -> list[object]:
    mask = Mask.of(entry)
    tasks = {Verb.CREATE, Verb.ADD_TASKS, Verb.UPDATE_TASKS, Verb.DELETE_TASKS, Verb.REACTIVATE_TASKS}
    written = entry.wanted if entry.wanted is not None and not tasks.isdisjoint(entry.verbs) else None
    return [
        str(entry.key),
        [f"{action.verb} with force" if action.force else action.verb for action in entry.actions],
        [[change.name, *map(str, mask.both(change))] for change in entry.changes],
        entry.live.guard.born if entry.live else None,
        mask.wanted(written.spec) if written is not None and Verb.CREATE in entry.verbs else None,
        written.tasks_shown if written is not None else None,
        sorted(name.lower() for action in entry.actions for name in action.names),
    ]


def make_plan(desired: Desired, observed: Observed, context: Context) -> Plan:
    """Decide for every object that is declared or ours."""
    observed = observed.with_children().with_hosts()
    context = consents.in_force(desired, observed, context)
    context = replace(context, stores=_other_stores(observed, context))
    context = replace(context, restores=_restores(desired, observed, context))
    schedules = {
        key: _schedule_entry(desired.objects.get(key), observed.schedules.get(key), context)
        for key in _keys(Kind.JOB_SCHEDULE, desired, observed, context)
    }
    jobs = {
        key: _job_entry(
            desired.objects.get(key), observed.jobs.get(key), replace(context, run=context.ledger.entries.get(key))
        )
        for key in _keys(Kind.JOB, desired, observed, context)
    }
    for key, entry in schedules.items():
        children = _children(entry, context)
        jobs |= children
        schedules[key] = _held(entry, children)
    pools = {
        key: _pool_entry(desired.objects.get(key), observed.pools.get(key), _with_jobs(context, key, observed, jobs))
        for key in _keys(Kind.POOL, desired, observed, context)
    }
    entries = {key: _unread(entry, observed) for key, entry in {**pools, **schedules, **jobs}.items()}
    stacks = Counter(live.mark.stack for live in _alone(observed) if live.mark is not None)
    owned = stacks.pop(context.stack, 0)
    entries = {key: _needed(entry, entries) for key, entry in entries.items()}
    after, others, partial = _order(entries, observed), dict(sorted(stacks.items())), context.only is not None
    chosen = {key: entry for key, entry in entries.items() if context.is_about(key, entry.parent)}
    return Plan(chosen, after, desired.stack.name, owned, observed.unread, others, observed.at, partial)


def _keys(kind: Kind, desired: Desired, observed: Observed, context: Context) -> list[Key]:
    """Every object the plan speaks of: declared ones, and ours that are not declared."""
    declared = {key for key in desired.objects if key.kind is kind}
    ours = {key for key, thing in observed.of(kind).items() if context.owns(thing) and not _is_child(thing)}
    over = {key for key, run in context.ledger.entries.items() if key.kind is kind and run.stack == context.stack}
    return sorted(declared | ours | {key for key in over if key not in observed.of(kind)})


def _other_stores(observed: Observed, context: Context) -> frozenset[str]:
    """Stores beside the one in use that marks of ours name: what their ledgers remember is not known here."""
    marks = (live.mark for kind in Kind for live in observed.of(kind).values() if context.owns(live))
    named = frozenset(mark.store for mark in marks if mark is not None and mark.store)
    return named - {context.ledger.store_id}


def _restores(desired: Desired, observed: Observed, context: Context) -> bool:
    """Whether the store in use may take the place of a missing one: somebody consented, and no declared job that is
    not there is left to ask about."""
    absent = (wanted for key, wanted in desired.objects.items() if key.kind is Kind.JOB and key not in observed.jobs)
    answered = not any(runs.asks_the_ledger(wanted, context) for wanted in absent)
    return bool(context.consents.new_run and context.stores) and Kind.JOB not in observed.unread and answered


def _alone(observed: Observed) -> Iterator[Live]:
    """Every object that goes with no other."""
    return (live for kind in Kind for live in observed.of(kind).values() if not _is_child(live))


def _is_child(live: Live) -> bool:
    """Jobs that a schedule made belong to it, and are decided with it."""
    return isinstance(live, LiveJob) and live.schedule is not None


def leaving_children(
    wanted: Wanted | None, schedule: LiveSchedule, context: Context
) -> tuple[str, tuple[LiveJob, ...]]:
    """Jobs of a schedule that go, and why: all of them when it goes itself, else those beyond its history limits."""
    wanted = ignoring.beside(wanted, schedule)
    reason = schedule_life.departure(wanted, schedule, context)
    if reason is not None:
        return f"its schedule goes ({reason})", schedule.children
    if not context.owns(schedule):
        return "", ()
    return "more ended jobs than lifecycle.history keeps", schedule_life.expendable(wanted, schedule)


def _children(entry: Entry, context: Context) -> dict[Key, Entry]:
    """Entries of the jobs that go with, or after, what happens to their schedule."""
    if not isinstance(entry.live, LiveSchedule):
        return {}
    reason, leaving = leaving_children(entry.wanted, entry.live, context)
    # Its policies say what becomes of the schedule: of them, only that of a failed release is its jobs', too.
    policy = policy_of(entry.wanted) if entry.wanted is not None else context.policy(entry.live)
    policy = replace(policy, keep=False, orphan=False)
    found = {}
    for job in leaving:
        freed = replace(context, prunes=True, removal=reason, policies={**context.policies, job.key: policy})
        child = _job_entry(None, job, freed)
        if entry.live.state == "active" and schedule_life.departure(entry.wanted, entry.live, context):
            # The schedule would make the next job as soon as this one has ended.
            wait = Wait("its schedule to be disabled", on=frozenset({entry.key}))
            child = replace(child, step=wait, road=(wait, *child.road))
        found[job.key] = replace(child, parent=entry.key)
    return found


def _held(entry: Entry, children: Mapping[Key, Entry]) -> Entry:
    """A schedule that goes waits for its jobs; where all that are left need a person, waiting does not help."""
    if not entry.removes or not children or not all(child.blocked for child in children.values()):
        return entry
    kept = [(child.address, child.blocked.consent) for child in children.values() if child.blocked]
    names = " and ".join(address for address, _ in kept)
    consents = " ".join(dict.fromkeys(consent for _, consent in kept if consent))
    before = tuple(takewhile(lambda step: not isinstance(step, Wait), entry.road))
    road = (*before, Blocked(f"{names} {'stays and has' if len(kept) == 1 else 'stay and have'} to go first", consents))
    return replace(entry, step=road[0], road=road)


def _unread(entry: Entry, observed: Observed) -> Entry:
    """An unreadable listing is never "absent", and without the jobs nobody knows which releases the nodes owe."""
    if Kind.JOB in observed.unread and entry.key.kind is Kind.POOL and (entry.removes or entry.shrinks):
        why = observed.unread[Kind.JOB]
        reason = f"the jobs could not be listed ({why}), so what its nodes owe is not known"
        return _blocked(entry, reason, Rule.PARTIAL_LISTING)
    if Kind.JOB in observed.unread and entry.key.kind is Kind.JOB_SCHEDULE and entry.removes:
        why = observed.unread[Kind.JOB]
        reason = f"the jobs could not be listed ({why}), so those it made are not known"
        return _blocked(entry, reason, Rule.PARTIAL_LISTING)
    if entry.key.kind not in observed.unread:
        return entry
    reason = f"the account's {entry.key.kind}s could not be listed: {observed.unread[entry.key.kind]}"
    return _blocked(entry, reason, Rule.PARTIAL_LISTING)


def _needed(entry: Entry, entries: Mapping[Key, Entry]) -> Entry:
    """A pool is not removed for good while a job or schedule of ours that stays needs it."""
    if entry.key.kind is not Kind.POOL or not entry.removes or Verb.CREATE in entry.verbs:
        return entry
    there = [
        job
        for job in entries.values()
        if isinstance(job.live, LiveJob | LiveSchedule) and job.live.pool == entry.key and job.live.state in UNFINISHED
    ]
    staying = [
        job.address
        for job in there
        if not job.removes and not _leaves(job) and Verb.TERMINATE not in job.verbs and not _is_left(job)
    ]
    if staying:
        return _blocked(entry, f"{', '.join(staying)} stays and needs it")
    # Of objects that are not ours, release alone keeps a pool: what is about to be none of ours is told.
    notes = (f"{job.address} runs on it and is left to others" for job in there if _is_left(job))
    return replace(entry, notes=(*entry.notes, *notes))


def _is_left(entry: Entry) -> bool:
    """Whether an object loses our mark, and is none of ours from then on."""
    return entry.verbs[-1:] == (Verb.ORPHAN,)


def _leaves(entry: Entry) -> bool:
    """Whether a job is on its way to another pool."""
    leaving = Verb.UPDATE in entry.verbs and entry.blocked is None
    return leaving and any(row.name == "poolInfo.poolId" for row in entry.changes)


def _blocked(entry: Entry, reason: str, rule: Rule | None = None) -> Entry:
    step = Blocked(reason, rule=rule)
    return replace(entry, step=step, road=(step,))


def _with_jobs(context: Context, pool: Key, observed: Observed, jobs: Mapping[Key, Entry]) -> Context:
    live = observed.pools.get(pool)
    if live is None:
        return context
    debts = (replace(debt, ending=debt.ending or _goes(debt.job, jobs)) for debt in debts_on(live, observed.jobs))
    tenants = (_about_to_release(tenant, observed.jobs[tenant.job], jobs) for tenant in tenants_of(live, observed.jobs))
    return replace(context, debts=tuple(debts), tenants=tuple(tenants))


def _about_to_release(tenant: Tenant, job: LiveJob, jobs: Mapping[Key, Entry]) -> Tenant:
    """The end of a job may be asked for in the same pass, or have been by another run: where a release is owed, it may
    begin at any time."""
    if tenant.busy is None or not _goes(tenant.job, jobs):
        return tenant
    return replace(tenant, busy=tenant.busy | {run.node for run in job.owing()})


def _goes(job: Key, jobs: Mapping[Key, Entry]) -> bool:
    entry = jobs.get(job)
    return entry is not None and entry.blocked is None and (Verb.TERMINATE in entry.verbs or entry.removes)


def _job_entry(wanted: Wanted | None, live: LiveJob | None, context: Context) -> Entry:
    road = _road(_JOB, wanted, live, context)
    if wanted is None and live is None:
        return _past_entry(road, context)
    wanted = ignoring.beside(wanted, live)
    change = job_diff(wanted, live) if wanted and live and context.owns(live) else Change()
    return _entry(wanted, live, road, change)


def _past_entry(road: tuple[Step, ...], context: Context) -> Entry:
    """The entry of a job that is neither declared nor there, and of which the ledger knows."""
    assert context.run is not None
    return Entry(context.run.key, f"{context.run.key.kind}/{context.run.name}", road[0], road, None, None)


def _schedule_entry(wanted: Wanted | None, live: LiveSchedule | None, context: Context) -> Entry:
    road = _road(_SCHEDULE, wanted, live, context)
    wanted = ignoring.beside(wanted, live)
    change = schedule_life.schedule_diff(wanted, live) if wanted and live and context.owns(live) else Change()
    entry = _entry(wanted, live, road, change)
    if live is None or not any(row.kind is ChangeKind.NEXT_RUN for row in entry.changes):
        return entry
    running = [job.address for job in live.unfinished]
    notes = (f"{address} was made before and keeps the specification it started with" for address in running)
    return replace(entry, notes=(*entry.notes, *notes))


def _pool_entry(wanted: Wanted | None, live: LivePool | None, context: Context) -> Entry:
    road = _road(_POOL, wanted, live, context)
    wanted = ignoring.beside(wanted, live)
    change = pool_life.pool_diff(wanted, live) if wanted and live and context.owns(live) else Change()
    entry = _entry(wanted, live, road, change)
    return replace(entry, notes=(*entry.notes, *pool_life.notes(wanted, live, change)))


@dataclass(frozen=True, slots=True)
class _Life(Generic[L]):
    """The three functions of a kind's lifecycle."""

    next_step: Callable[[Wanted | None, L | None, Context], Step]
    predict: Callable[[Wanted | None, L | None, Action], L | None]
    outwait: Callable[[L | None], L | None]


_JOB: Final = _Life(job_life.next_step, job_life.predict, job_life.outwait)
_SCHEDULE: Final = _Life(schedule_life.next_step, schedule_life.predict, schedule_life.outwait)
_POOL: Final = _Life(pool_life.next_step, pool_life.predict, pool_life.outwait)


def _road(life: _Life[L], wanted: Wanted | None, live: L | None, context: Context) -> tuple[Step, ...]:
    """Every step from here to the end, each taken on what the one before is documented to leave behind."""
    road: list[Step] = []
    while len(road) < LONGEST_ROAD:
        here = ignoring.beside(wanted, live)
        step = life.next_step(here, live, context)
        road.append(step)
        match step:
            case Action():
                live, context = life.predict(here, live, step), _after_acting(step, live, context)
            case Wait():
                live, context = life.outwait(live), _after_waiting(context)
            case _:
                return tuple(road)
    raise AssertionError(f"a road without end: {[str(step) for step in road[-4:]]}")


def _after_waiting(context: Context) -> Context:
    """What jobs that end owed is paid by then, and what ran on the nodes has ended."""
    debts = tuple(debt for debt in context.debts if not debt.ending)
    return replace(context, debts=debts, tenants=tuple(replace(t, busy=frozenset()) for t in context.tenants))


def _after_acting(action: Action, live: Live | None, context: Context) -> Context:
    """What the ledger will say of the object once *action* is done."""
    if action.verb is Verb.FORGET:
        return replace(context, run=None)
    if action.verb is Verb.WRITE_RECEIPT and live is not None:
        receipts = {**context.ledger.receipts, (live.key, live.guard.born): ledger.Evidence("to be written")}
        return replace(context, ledger=replace(context.ledger, receipts=receipts))
    return replace(context, run=action.run or context.run)


def _entry(wanted: Wanted | None, live: Live | None, road: tuple[Step, ...], change: Change) -> Entry:
    thing = wanted or live
    assert thing is not None
    anew = any(isinstance(step, Action) and step.verb is Verb.CREATE for step in road)
    # Whatever waits for the next creation is written with it, and no task of the present incarnation stays.
    notes = () if anew or wanted is None else tuple(_what_stays(wanted, live, change))
    drift = wanted is not None and live is not None and is_drift(wanted, live.mark, change.fields)
    return Entry(thing.key, thing.address, road[0], road, wanted, live, change, notes, drift)


def _what_stays(wanted: Wanted, live: Live | None, change: Change) -> Iterator[str]:
    """What differs from the manifest and is left so."""
    for row in change.of(ChangeKind.NEXT_INCARNATION):
        old, new = row.old or "(not set)", row.new or "(not set)"
        yield f"{row.name}: {old} stays until the object is next created, then {new}"
    if not isinstance(live, LiveJob):
        return
    if extra := sorted((live.tasks or {}).keys() - wanted.tasks.keys()):
        are = f"{len(extra)} of its tasks {verb_for(len(extra), 'is')} in the account and not in the manifest"
        yield f"{are}; {'it stays' if len(extra) == 1 else 'they stay'} ({few(extra)})"
    if named := task_life.named_otherwise(wanted, live):
        keep = counted(len(named), "task", "keeps")
        yield f"displayName: {keep} the one that is there until next created ({few(named)})"


def _order(entries: Mapping[Key, Entry], observed: Observed) -> dict[Key, frozenset[Key]]:
    """A job or schedule is created after its pool; a pool is deleted after both. Both directions, as data."""
    after: dict[Key, set[Key]] = {}
    for key, entry in entries.items():
        if key.kind is Kind.POOL:
            continue
        for pool in _pools_of(entry):
            if pool not in entries:
                continue
            creates = isinstance(entry.step, Action) and entry.step.verb is Verb.CREATE
            if Verb.CREATE in entries[pool].verbs and entries[pool].removes:  # replaced: jobs that stay wait for it
                if creates:
                    after.setdefault(key, set()).add(pool)
                elif entry.removes or Verb.TERMINATE in entry.verbs:
                    after.setdefault(pool, set()).add(key)
            elif entries[pool].removes:
                after.setdefault(pool, set()).add(key)
            elif creates or (isinstance(entry.step, Action) and _goes_to(entry, pool)):
                after.setdefault(key, set()).add(pool)
    return {key: frozenset(before) for key, before in after.items()}


def _goes_to(entry: Entry, pool: Key) -> bool:
    """Whether a job moves to *pool*: it is not disabled for a pool that is not there yet."""
    return _leaves(entry) and isinstance(entry.live, LiveJob) and entry.live.pool != pool


def _pools_of(entry: Entry) -> set[Key]:
    pools = {entry.live.pool} if isinstance(entry.live, LiveJob | LiveSchedule) else set()
    if entry.wanted is not None:
        spec = entry.wanted.spec.get("jobSpecification", entry.wanted.spec)
        if named := (spec.get("poolInfo") or {}).get("poolId"):
            pools.add(Key.of(Kind.POOL, named))
    return {pool for pool in pools if pool is not None}
