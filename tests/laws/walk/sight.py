"""What a reconciler sees of a world, and what the real code answers: which details to read, and which requests.

`for_decisions` and `make_plan` are asked as `executor.look` asks them; nothing of theirs is repeated here. Both are
pure, so every answer is thought of once for each sight.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.ledger import Evidence, Ledger
from reconciler.lifecycle.runs import entry_of
from reconciler.lifecycle.steps import Action, Blocked, Context, Done, Step, Verb
from reconciler.model.desired import Desired, Key, Kind, Source, Wanted
from reconciler.model.desired import Stack as DesiredStack
from reconciler.model.document import JobLifecycle, PoolLifecycle, ScheduleLifecycle
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import normalise
from reconciler.observed import (
    Guard,
    LiveJob,
    LiveNode,
    LivePool,
    LiveSchedule,
    Mark,
    NodeRun,
    Observed,
    Run,
    TaskCounts,
)
from reconciler.planning import Plan, make_plan
from reconciler.reading import Reading, for_decisions

from .world import Job, Node, Pass, Pool, Request

ENDED = "2030-01-01T00:00:00Z"
BOOTED = "2030-01-01T00:00:00Z"
WRITTEN = "2030-01-01T12:00:00Z"
NOW = "2030-01-02T00:00:00Z"
CONTEXT = Context("s", now=NOW)
POOL = Key.of(Kind.POOL, "p")
RUN = {
    "owed": None,
    "runs": Run("running"),
    "ended": Run("completed", 0, "success"),
    "failed": Run("completed", 1, "failure"),
    "cut": None,
}
PREPARED = Run("completed", 0, "success")
UNGUARDED = frozenset({Verb.DISABLE_SCHEDULING, Verb.ENABLE_SCHEDULING, Verb.REBOOT_NODES, Verb.REIMAGE_NODES})
"""Requests that take no condition: `azure.account` looks again just before them (REST reference 2.4)."""
PASSIVE = frozenset({Verb.CHOOSE_NODES, Verb.DISABLE_SCHEDULING, Verb.ENABLE_SCHEDULING})


def job_body(spec: str, pool: str = "p") -> dict[str, Any]:
    return {
        "poolInfo": {"poolId": pool},
        "jobPreparationTask": {"commandLine": "prepare"},
        "jobReleaseTask": {"commandLine": f"release {spec}"},
    }


def _wanted(kind: Kind, name: str, model: Any, lifecycle: Any, raw: dict[str, Any]) -> Wanted:
    normal, written = normalise(model, raw), normalise(model, raw, fill=False)
    return Wanted(Key.of(kind, name), name, normal, written, raw, lifecycle, Source("m", 1, 1))


def job_manifest(name: str = "j", spec: str = "new", pool: str = "p", **life: Any) -> Wanted:
    return _wanted(Kind.JOB, name, JobSpec, JobLifecycle.model_validate(life), job_body(spec, pool))


def pool_manifest(target: int, spec: str = "new", **life: Any) -> Wanted:
    raw = {
        "vmSize": "Standard_D2s_v3",
        "virtualMachineConfiguration": {
            "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts"},
            "nodeAgentSKUId": "batch.node.ubuntu 22.04",
        },
        "targetDedicatedNodes": target,
        "taskSlotsPerNode": 2 if spec == "new" else 1,
    }
    return _wanted(Kind.POOL, "p", PoolSpec, PoolLifecycle.model_validate(life), raw)


def schedule_manifest(**life: Any) -> Wanted:
    raw = {"schedule": {"recurrenceInterval": "PT1H"}, "jobSpecification": job_body("old")}
    return _wanted(Kind.JOB_SCHEDULE, "c", JobScheduleSpec, ScheduleLifecycle.model_validate(life), raw)


_JOBS = {(spec, pool): job_manifest(spec=spec, pool=pool) for spec in ("old", "new") for pool in ("p", "q")}
_POOLS = {spec: pool_manifest(2, spec) for spec in ("old", "new")}
_SCHEDULE = schedule_manifest()


def desired(*objects: Wanted) -> Desired:
    return Desired(DesiredStack("s", prunes=True), {wanted.key: wanted for wanted in objects})


def live_job(name: str, job: Job, runs: tuple[tuple[str, str], ...] | None, counted: bool) -> LiveJob:
    like = _JOBS[job.spec, job.pool]
    nodes = None
    if runs is not None:
        nodes = tuple(NodeRun(node, "p", PREPARED, RUN[release]) for node, release in runs)
    born = str(job.born)
    mark = Mark(job.owner, like.digest, like.tasks_digest)
    ended = ENDED if job.state == "completed" else ""
    counts = TaskCounts(succeeded=1) if counted else None
    facts: dict[str, Any] = {"nodes": nodes, "counts": counts, "ended": ended}
    return LiveJob(Key.of(Kind.JOB, name), name, job.state, Guard(born, born), mark, like.spec, **facts)


def live_node(node: Node) -> LiveNode:
    if node.state == "dead":
        state = "unusable"
    elif node.state == "booting":
        state = "rebooting"
    elif node.busy:
        state = "running"
    else:
        state = "offline" if node.off else "idle"
    if node.going:
        state = "leavingpool"
    booted = BOOTED if node.old else NOW
    return LiveNode(node.name, state, "disabled" if node.off else "enabled", True, booted, int(bool(node.busy)))


def live_pool(
    pool: Pool, nodes: tuple[Node, ...] | None, count: int, rollout: bool, manifest: Wanted | None
) -> LivePool:
    like = _POOLS[pool.spec]
    members = None if nodes is None else tuple(map(live_node, nodes))
    states = ["idle"] * count if members is None else [member.state for member in members]
    aside = frozenset(LiveNode(name, "idle").print for name in pool.aside)
    digest = manifest.digest if manifest is not None and pool.marked and pool.spec == "new" else like.digest
    mark = Mark(pool.owner, digest, written=WRITTEN if rollout else "", aside=aside)
    return LivePool(
        POOL,
        "p",
        pool.state,
        Guard(str(pool.born), str(pool.born)),
        mark,
        {**like.spec, "targetDedicatedNodes": pool.target},
        allocation="resizing" if pool.resizing else "steady",
        nodes={state: states.count(state) for state in states},
        current=len(states),
        members=members,
    )


@dataclass(frozen=True)
class Answer:
    """What the real code makes of what was seen: the requests to send, and where each object stands."""

    requests: tuple[Request, ...]
    steps: tuple[tuple[Key, Step], ...]

    @property
    def is_settled(self) -> bool:
        return all(isinstance(step, Done | Blocked) for _, step in self.steps)


@dataclass
class Eyes:
    """The real code with one set of manifests. *slots* are the names of jobs."""

    slots: tuple[str, ...]
    desired: Desired
    context: Context = CONTEXT
    rollout: bool = False
    receipts: bool = False
    needs: dict[Pass, str] = field(default_factory=dict)
    answers: dict[Pass, Answer] = field(default_factory=dict)

    def need(self, seen: Pass) -> str:
        """What has to be read next: runs, nodes, ledger, or nothing more."""
        seen = seen._replace(fresh=frozenset())
        if seen not in self.needs:
            self.needs[seen] = self._need(seen)
        return self.needs[seen]

    def _need(self, seen: Pass) -> str:
        asked: Reading = for_decisions(self.desired, self.observed(seen), self.context)
        jobs = [Key.of(Kind.JOB, name) for name in self.slots]
        if POOL in asked.nodes and seen.nodes is None:
            return "nodes"
        if seen.runs is None and any(key in asked.runs or key in asked.counts for key in jobs):
            return "runs"
        return "ledger" if seen.ledger is None and self.remembers else ""

    @property
    def remembers(self) -> bool:
        """Whether what is written down matters: runs that are over, or receipts of jobs that are held."""
        lives = (wanted.lifecycle for wanted in self.desired.objects.values())
        return self.receipts or any(
            isinstance(life, JobLifecycle) and life.ttlAfterCompletion is not None for life in lives
        )

    def observed(self, seen: Pass) -> Observed:
        """The snapshot as `BatchReader` would give it."""
        jobs = {}
        runs = seen.runs or (None,) * len(self.slots)
        for name, job, read in zip(self.slots, seen.jobs, runs, strict=True):
            if job is not None:
                live = live_job(name, job, read, seen.runs is not None)
                jobs[live.key] = live
        pools, schedules = {}, {}
        if seen.pool is not None:
            pools[POOL] = live_pool(seen.pool, seen.nodes, seen.count, self.rollout, self.desired.objects.get(POOL))
        if seen.schedule is not None:
            born = str(seen.schedule.born)
            mark = Mark("s", _SCHEDULE.digest)
            there = LiveSchedule(_SCHEDULE.key, "c", seen.schedule.state, Guard(born, born), mark, _SCHEDULE.spec)
            schedules[there.key] = there
        unread = {Kind.JOB: "refused"} if seen.unread else {}
        return Observed(pools, {} if seen.unread else jobs, NOW, unread, schedules).with_children()

    def decide(self, seen: Pass) -> Answer:
        """The plan's ready actions as requests, their guards as fresh as what was seen."""
        bare = seen._replace(fresh=frozenset())
        if bare not in self.answers:
            self.answers[bare] = self._decide(bare)
        return self.answers[bare]

    def plan(self, seen: Pass) -> Plan:
        jobs = {job.born: name for name, job in zip(self.slots, seen.jobs, strict=True) if job is not None}
        there = ((Key.of(Kind.JOB, jobs[born]), str(born)) for born in seen.receipts if born in jobs)
        written = dict.fromkeys(there, Evidence("receipt"))
        context = replace(self.context, ledger=Ledger(receipts=written))
        if seen.ledger:
            wanted = next(w for w in self.desired.objects.values() if w.key.kind is Kind.JOB)
            run = entry_of(wanted, live_job(wanted.name, Job("completed", 1, spec="new"), (), True), context)
            context = replace(context, ledger=Ledger({wanted.key: run}, "store"))
        return make_plan(self.desired, self.observed(seen), context)

    def _decide(self, seen: Pass) -> Answer:
        plan = self.plan(seen)
        requests = tuple(r for entry, action in plan.ready() for r in self._requests(entry.key, action, seen))
        return Answer(requests, tuple((key, entry.step) for key, entry in plan.entries.items()))

    def _requests(self, key: Key, action: Action, seen: Pass) -> tuple[Request, ...]:
        if key.kind is Kind.POOL:
            where, there = "p", seen.pool
        elif key.kind is Kind.JOB_SCHEDULE:
            where, there = "s", seen.schedule
        else:
            at = [name.lower() for name in self.slots].index(key.id)
            where, there = str(at), seen.jobs[at]
        owed, due = self._debts(seen)
        request = Request(
            where,
            action.verb,
            True if action.guard is not None else None,
            self._args(key, action, seen),
            there.state if there is not None else "",
            there.born if there is not None else 0,
            owed,
            due,
            not seen.unread,
            action.receipt is not None,
            int(action.run is not None),
        )
        if action.verb in UNGUARDED:
            return tuple(request._replace(args=(node,)) for node in action.nodes)
        return (request,)

    def _args(self, key: Key, action: Action, seen: Pass) -> tuple[str, ...]:
        match action.verb:
            case Verb.CREATE if key.kind is Kind.JOB:
                wanted = self.desired.objects[key]
                spec = "new" if "release new" in str(wanted.spec["jobReleaseTask"]) else "old"
                return (spec, wanted.spec["poolInfo"]["poolId"])
            case Verb.UPDATE if key.kind is Kind.JOB:
                moves = any(row.top == "poolInfo" for row in action.changes)
                return (action.body["poolInfo"]["poolId"],) if moves else ()
            case Verb.CREATE | Verb.RESIZE if key.kind is Kind.POOL:
                return (str(action.body["targetDedicatedNodes"]),)
            case Verb.CHOOSE_NODES | Verb.REMOVE_NODES:
                return tuple(action.nodes)
            case Verb.UPDATE if key.kind is Kind.POOL and not action.changes:
                return ()
            case Verb.UPDATE | Verb.CONFIRM_TASKS:
                raise AssertionError(f"not modelled: {action.verb} {key}: {action.reason} {action.changes}")
        return ()

    def _debts(self, seen: Pass) -> tuple[frozenset[tuple[int, str]], frozenset[tuple[int, str]]]:
        """What the reading showed, by the model's own rule: releases owed, and of these the ones that are due."""
        owed, due = set(), set()
        for job, runs in zip(seen.jobs, seen.runs or (), strict=False):
            if job is None or job.state == "completed" or runs is None:
                continue
            here = {(job.born, node) for node, release in runs if release in ("owed", "runs")}
            owed |= here
            due |= here if job.state in ("terminating", "deleting") else set()
        return frozenset(owed), frozenset(due)
