"""Who watches: the promises about ending jobs, checked on what reached the service and on what the nodes ran.

It reads the emulator's records, not what the reconciler believes. What it finds broken is a sentence in `broken`; what
no reconciler can know before it sends a request is a sentence in `told` (an outsider's debt that came after the last
read, for instance).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import orjson

from reconciler.emulator.ports import Launch
from reconciler.emulator.records import Attendance, Job, Node, Pool, Schedule
from reconciler.emulator.simulated import Outcome
from reconciler.emulator.times import iso
from reconciler.emulator.world import World
from reconciler.model.desired import Key, Kind
from reconciler.observed import MARK, Mark
from reconciler.receipt import Receipt
from reconciler.verify.memory import Disk
from reconciler.verify.story import READS
from reconciler.verify.wire import Request

PORTAL: Final = "portal"
UP: Final = frozenset({"idle", "running", "offline"})
ENDING: Final = frozenset({"delete", "terminate"})
GOING: Final = frozenset({"terminating", "deleting"})
TAKING: Final = frozenset({"resize", "removenodes", "reboot", "reimage"})
UNGUARDED: Final = frozenset({"addtaskcollection", "updateproperties", "disableautoscale", "nodes"})
"""Requests that take no condition (REST reference): a fresh look just before is all there can be."""
Incarnation = tuple[str, int]
Done = Callable[[int], None]


@dataclass
class Witness:
    """What happened so far. *stack* is whose objects may be touched."""

    stack: str
    disk: Disk
    broken: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    releases: dict[tuple[Incarnation, str], list[int]] = field(default_factory=dict)
    """The boots of the node at each release run, by incarnation of the job and node."""
    terminated: dict[Incarnation, int] = field(default_factory=dict)
    meddled: set[Incarnation] = field(default_factory=set)
    """Incarnations that somebody else deleted: what their release then does is the service's business."""
    asked_to_end: dict[Incarnation, int] = field(default_factory=dict)
    """When somebody first asked for the end of a job, in the service's ticks."""
    looked: dict[str, int] = field(default_factory=dict)
    """When each process last read the list of jobs, in the service's ticks."""
    asked: dict[tuple[str, ...], int] = field(default_factory=dict)
    """When each process last read an object by itself, likewise."""
    seen: dict[str, set[Incarnation]] = field(default_factory=dict)
    """The incarnations of jobs that each process was ever shown."""
    states: set[int] = field(default_factory=set)
    """Prints of the states of the account in which requests met it."""
    release_seconds: float = 0.0
    """How long a release takes; 0: as long as any command."""
    fails: Callable[[], bool] = lambda: False
    """Whether the release that begins now is one that fails, where its duration is given."""
    world: World = field(init=False)

    # --- commands on nodes

    def see_run(self, launch: Launch) -> Outcome | None:
        """A command starts on a node. What it does is left to others."""
        run = self.world.runs.get(launch.run)
        if run is None or run.kind != "release":
            return None
        here = self.world.attendances[run.subject]
        job, node = self.world.jobs[here.job], self.world.nodes[here.node]
        incarnation = (job.key, job.created)
        boots = self.releases.setdefault((incarnation, here.node), [])
        if node.boots in boots and incarnation not in self.meddled:
            self.broken.append(f"release of job/{job.id} started a second time on node {node.id}")
        boots.append(node.boots)
        return Outcome(self.release_seconds, exit_code=int(self.fails())) if self.release_seconds else None

    @property
    def release_runs(self) -> int:
        """Release runs of all jobs on all nodes."""
        return sum(map(len, self.releases.values()))

    # --- requests

    def watch(self, who: str, request: Request) -> Done:
        """A request is about to be carried out; the answer's status goes to what is returned."""
        parts = [unquote(part) for part in request.path.strip("/").lower().split("/")]
        if request.method in READS:
            if parts == ["jobs"]:
                self.looked[who] = self.world.now
                self.seen.setdefault(who, set()).update((job.key, job.created) for job in self.world.jobs.values())
            if len(parts) == 2:
                self.asked[(who, *parts)] = self.world.now
            return _nothing
        self.states.add(self._print())
        if who == PORTAL:
            return self._watch_hand(request, parts)
        return self._watch_process(who, request, parts)

    def _print(self) -> int:
        """What counts in the state of the account: how far every job, node and schedule is, whatever the time."""
        world = self.world
        nodes = sorted((node.pool, node.state, node.scheduling) for node in world.nodes.values())
        jobs = sorted(
            (job.key, job.state, job.terminate_reason or "", tuple(sorted(_stage(here) for here in there.values())))
            for job in world.jobs.values()
            for there in [world.attendances_of_job[job.key]]
        )
        tasks = sorted((task.key, task.state) for task in world.tasks.values())
        pools = sorted((pool.key, pool.state, pool.allocation_state) for pool in world.pools.values())
        schedules = sorted((schedule.key, schedule.state) for schedule in world.schedules.values())
        return hash((tuple(nodes), tuple(jobs), tuple(tasks), tuple(pools), tuple(schedules)))

    def _watch_hand(self, request: Request, parts: list[str]) -> Done:
        job = self.world.jobs.get(parts[1]) if parts[0] == "jobs" and len(parts) >= 2 else None
        if job is None:
            return _nothing
        if request.method == "DELETE" and len(parts) == 2:
            self.meddled.add((job.key, job.created))
        if request.method == "DELETE" or parts[2:] == ["terminate"]:
            self.asked_to_end.setdefault((job.key, job.created), self.world.now)
        return _nothing

    def _watch_process(self, who: str, request: Request, parts: list[str]) -> Done:
        findings: list[str] = []
        incarnation: Incarnation | None = None
        target = self._target(parts)
        verb = parts[2] if len(parts) == 3 else request.method.lower()
        if target is not None and not self._is_ours(target):
            sentence = f"{who} changed what is not ours: {verb} {request.path}"
            if UNGUARDED & set(parts[2:]) and self.asked.get((who, *parts[:2]), target.created) < target.created:
                self.told.append(f"{sentence}, created after the last look at it")
            else:
                findings.append(sentence)
        if "force=true" in request.query.lower():
            findings.append(f"{who} used force: {verb} {request.path}")
        if isinstance(target, Job):
            if verb in ENDING and (target.key, target.created) not in self.seen.get(who, ()):
                findings.append(f"{who} ended a job/{target.id} that it never saw: {verb}")
            if verb == "delete":
                findings += self._on_delete(who, target)
            elif verb == "terminate":
                incarnation = (target.key, target.created)
                self.asked_to_end.setdefault(incarnation, self.world.now)
                if self.terminated.get(incarnation):
                    findings.append(f"{who} had job/{target.id} terminated a second time")
        elif isinstance(target, Schedule) and verb == "delete":
            cut = [job.id for job in self.world.jobs.values() if job.schedule == target.key and job.ended is None]
            findings += [f"{who} deleted a schedule whose job/{name} had not ended" for name in cut]
        elif isinstance(target, Pool) and (verb == "delete" or TAKING & set(parts[2:])):
            findings += self._on_taking(who, target, request, parts)

        def done(status: int) -> None:
            if status < 300:
                self.broken += findings
                if incarnation is not None:
                    self.terminated[incarnation] = self.terminated.get(incarnation, 0) + 1

        return done

    def _target(self, parts: list[str]) -> Job | Pool | Schedule | None:
        if len(parts) < 2:
            return None
        match parts[0]:
            case "jobs":
                return self.world.jobs.get(parts[1])
            case "pools":
                return self.world.pools.get(parts[1])
            case "jobschedules":
                return self.world.schedules.get(parts[1])
        return None

    def _is_ours(self, target: Job | Pool | Schedule) -> bool:
        if isinstance(target, Job) and target.schedule is not None:
            parent = self.world.schedules.get(target.schedule)
            return parent is None or self._is_ours(parent)
        mark = _mark(target)
        return mark is not None and mark.stack == self.stack

    def _on_delete(self, who: str, job: Job) -> list[str]:
        if job.state != "completed":
            return [f"{who} deleted job/{job.id} while it was {job.state}"]
        lost = [
            here.node_id
            for here in self.world.attendances_of_job[job.key].values()
            if _owes(job, here) and self._is_up(here.node)
        ]
        findings = [f"{who} deleted job/{job.id}, which was not released on node {node}" for node in lost]
        if self._is_held(job):
            failed = [here.node_id for here in self.world.attendances_of_job[job.key].values() if _failed(here)]
            findings += [f"{who} deleted job/{job.id}, whose release failed on node {node}" for node in failed]
        receipt = self.disk.receipts.get((Key.of(Kind.JOB, job.id), iso(job.created)))
        if receipt is None:
            return [*findings, f"{who} deleted job/{job.id} without a receipt in the store"]
        if _written(receipt) != self._results(job):
            findings.append(f"{who} deleted job/{job.id}, and its receipt is not what its nodes did")
        return findings

    def _is_held(self, job: Job) -> bool:
        """Whether its evidence is to be kept after a failed release: its mark says so, or that of its schedule."""
        parent = self.world.schedules.get(job.schedule) if job.schedule is not None else None
        mark = _mark(parent or job)
        return mark is not None and mark.hold

    def _is_up(self, node: str) -> bool:
        return node in self.world.nodes and self.world.nodes[node].state in UP

    def _results(self, job: Job) -> dict[str, int | None]:
        """Exit codes of release by node, as the world has them."""
        if "jobReleaseTask" not in job.spec and "jobPreparationTask" not in job.spec:
            return {}
        return {
            here.node_id: None if here.release is None else here.release.exit_code
            for here in self.world.attendances_of_job[job.key].values()
            if here.preparation is not None
        }

    def _on_taking(self, who: str, pool: Pool, request: Request, parts: list[str]) -> list[str]:
        """Nodes are taken away, or what is on them: none may owe the release of a job. What is on a node outlives a
        restart, which does harm only where a release is under way or due, and would begin anew (REST reference 6.1)."""
        restarts = parts[-1] == "reboot"
        body: dict[str, Any] = orjson.loads(request.content) if request.content else {}
        nodes = list(self.world.nodes_of_pool[pool.key].values())
        if "nodes" in parts:
            nodes = [node for node in nodes if node.id.lower() == parts[3]]
        elif "nodeList" in body:
            named = {name.lower() for name in body["nodeList"]}
            nodes = [node for node in nodes if node.id.lower() in named]
        elif "resize" in parts:
            targets = body.get("targetDedicatedNodes"), body.get("targetLowPriorityNodes")
            if all(_keeps(nodes, target, dedicated=index == 0) for index, target in enumerate(targets)):
                return []
        findings = []
        for node in nodes:
            for here in self.world.attendances_of_node.get(node.key, {}).values():
                job = self.world.jobs[here.job]
                if not _owes(job, here) or here.preparation is None or (restarts and job.state not in GOING):
                    continue
                sentence = f"{who} took node {node.id}, which owed the release of job/{job.id}"
                looked = self.looked.get(who, 0)
                if (here.preparation.end or 0) > looked:
                    self.told.append(f"{sentence}, prepared after the last look")
                elif restarts and self.asked_to_end.get((job.key, job.created), 0) > looked:
                    self.told.append(f"{sentence}, asked to end after the last look")
                else:
                    findings.append(sentence)
        return findings


def _mark(target: Job | Pool | Schedule) -> Mark | None:
    values = [item["value"] for item in target.spec.get("metadata") or () if item["name"] == MARK]
    return Mark.parse(values[0]) if values else None


def _failed(here: Attendance) -> bool:
    return here.release is not None and bool(here.release.exit_code)


def _nothing(_: int) -> None:
    return None


def _owes(job: Job, here: Attendance) -> bool:
    """Prepared, used, and not released."""
    if "jobReleaseTask" not in job.spec or here.interrupted or not here.tasks_ran:
        return False
    if here.preparation is None or here.preparation.state != "completed":
        return False
    return here.release is None or here.release.state != "completed"


def _stage(here: Attendance) -> tuple[str, str]:
    preparation, release = here.preparation, here.release
    return ("" if preparation is None else preparation.state, "" if release is None else release.state)


def _keeps(nodes: list[Node], target: int | None, *, dedicated: bool) -> bool:
    return target is None or target >= sum(node.dedicated == dedicated for node in nodes)


def _written(receipt: Receipt) -> dict[str, int | None]:
    """Exit codes of release by node, as they were written down."""
    return {
        run.node: None if run.release is None else run.release.exit_code
        for run in receipt.nodes
        if run.preparation is not None
    }
