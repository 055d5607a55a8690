"""The roads: every way in which a job ends, and every way in which nodes go.

Where preparing and releasing on one node says all, there is one node; a pool that shrinks has two, of which one stays.
"""

from collections.abc import Callable
from dataclasses import replace

from reconciler.lifecycle.steps import Consents
from reconciler.model.desired import Key, Kind, Wanted

from .moves import Scene
from .sight import CONTEXT, POOL, Eyes, desired, job_manifest, pool_manifest, schedule_manifest
from .world import OURS, THEIRS, Job, Node, Pool, Schedule, World

PEOPLE = frozenset({"terminate", "delete", "force", "create", "rerun"})
MISHAPS = frozenset({"reboot", "reimage", "lose"})
OWED = (("a", "owed"),)
ELSEWHERE = Pool("active", 0, 1, THEIRS)
"""A pool that is not ours, where a road is a job's alone."""
NONE = Consents()
A, B = Node("a"), Node("b")
TTL = {"ttlAfterCompletion": {"success": "PT1H", "failure": "PT1H"}}

Goal = Callable[[World], bool]


def taken(world: World) -> bool:
    """Whether somebody else has the name, so that we stop and say so."""
    return any(job is not None and job.owner != OURS for job in world.jobs)


def gone(world: World) -> bool:
    return not any(world.jobs) or taken(world)


def kept(world: World) -> bool:
    """Gone, or completed and kept because its release failed."""
    job = world.jobs[0]
    return gone(world) or (job is not None and job.state == "completed" and "failed" in dict(job.runs).values())


def reached(state: str, spec: str = "old", pool: str = "p") -> Goal:
    """The job is as its manifest says, or has run to its end."""

    def there(world: World) -> bool:
        job = world.jobs[0]
        if job is None:
            return world.ledger
        as_declared = job.spec == spec and (job.pool == pool or job.state == "completed")
        return taken(world) or (job.state in (state, "completed") and as_declared)

    return there


def ended(world: World) -> bool:
    job = world.jobs[0]
    return job is None or job.state == "completed" or taken(world)


def _awake(world: World) -> bool:
    """Whether no node is left off scheduling by us."""
    return not any(node.off and not node.meddled for node in world.nodes)


def sized(count: int) -> Goal:
    """The pool has so many nodes; or others hold so many releases that it has to wait for a person."""

    def there(world: World) -> bool:
        free = [node for node in world.nodes if not any(node.name in dict(job.runs) for job in world.jobs if job)]
        return _awake(world) and (len(world.nodes) == count or len(free) < len(world.nodes) - count)

    return there


def restarted(world: World) -> bool:
    """Every node runs the new start task, or the pool waits for a person."""
    return _awake(world) and (not any(node.old and not node.off for node in world.nodes) or any(world.jobs))


def removed(world: World) -> bool:
    return world.pool is None or taken(world)


def renewed(world: World) -> bool:
    return (world.pool is not None and world.pool.born > 0 and gone(world)) or taken(world)


def _job(name: str, wanted: Wanted | None, goal: Goal, state: str = "active", **facts: object) -> Scene:
    runs = (("a", "ended"),) if state == "completed" else OWED
    start = World((Job(state, 1, runs=runs),), ELSEWHERE, (A,))
    consents = Consents(release_loss=frozenset({Key.of(Kind.JOB, "j")})) if facts.pop("moves", False) else Consents()
    context = replace(CONTEXT, consents=consents)
    eyes = Eyes(("j",), desired(*([wanted] if wanted else [])), context, receipts="fails" in facts)
    facts = {"others": PEOPLE | MISHAPS, "self_ending": True, **facts}
    return Scene(name, eyes, start, goal, **facts)  # type: ignore[arg-type]


def _schedule(
    name: str, wanted: Wanted | None, goal: Goal, jobs: tuple[Job | None, ...], consents: Consents = NONE
) -> Scene:
    start = World(jobs, ELSEWHERE, (A,), Schedule("active", 0))
    slots = tuple(f"c:job-{at + 1}" for at in range(len(jobs)))
    eyes = Eyes(slots, desired(*([wanted] if wanted else [])), replace(CONTEXT, consents=consents))
    return Scene(name, eyes, start, goal, others=PEOPLE | MISHAPS, self_ending=True)


def _pool(
    name: str, wanted: tuple[Wanted, ...], goal: Goal, owner: str, nodes: tuple[Node, ...], **facts: object
) -> Scene:
    others = facts.pop("others", frozenset({"terminate", "delete", "create", "reboot", "reimage", "lose"}))
    shrinks = len(nodes) > 1  # the manifest named more nodes before
    pool = Pool("active", 0, len(nodes), spec=str(facts.pop("spec", "new")), marked=not shrinks)
    start = World((Job("active", 1, owner),), pool, nodes, tasks=1)
    consents = Consents(replace=frozenset({(POOL, "0")})) if facts.pop("replaced", False) else Consents()
    context = replace(CONTEXT, consents=consents)
    eyes = Eyes(("j",), desired(*wanted), context, rollout=any(node.old for node in nodes))
    return Scene(name, eyes, start, goal, others=others, **facts)  # type: ignore[arg-type]


def _roads() -> list[Scene]:
    old = A._replace(old=True)
    reboots, reimages = pool_manifest(1, nodeRollout="RebootIdle"), pool_manifest(1, nodeRollout="ReimageIdle")
    few = frozenset({"terminate", "reboot", "lose", "resize"})
    return [
        _job("a job leaves the manifests", None, gone),
        _job("a job leaves and its release may fail", None, kept, fails=True),
        _job("a job is replaced", job_manifest(spec="new"), reached("active", "new")),
        _job("a job is to be completed", job_manifest(spec="old", state="Completed"), ended),
        _job("a job is disabled", job_manifest(spec="old", state="Disabled"), reached("disabled")),
        _job("a job moves", job_manifest(spec="old", pool="q"), reached("active", pool="q"), moves=True),
        _job("a job's time is over", job_manifest(spec="old", **TTL), reached("active"), state="completed"),
        _schedule("a schedule leaves", None, lambda w: w.schedule is None, (Job("active", 1, runs=OWED), None)),
        _schedule(
            "a schedule is replaced",
            schedule_manifest(),
            lambda w: w.schedule is not None and w.schedule.born > 0,
            (Job("active", 1, runs=OWED), None),
            Consents(replace=frozenset({(Key.of(Kind.JOB_SCHEDULE, "c"), "0")})),
        ),
        _schedule(
            "a schedule's history is full",
            schedule_manifest(history={"success": 0, "failure": 0}),
            lambda w: not any(job is not None and job.state == "completed" for job in w.jobs),
            (Job("completed", 1, runs=(("a", "ended"),)), None),
        ),
        _pool("a pool leaves with its job", (), removed, OURS, (A,)),
        _pool("a pool leaves, a job of others goes on", (), lambda w: True, THEIRS, (A,)),
        _pool("a pool is replaced, its job leaves", (pool_manifest(1),), renewed, OURS, (A,), replaced=True),
        _pool(
            "a pool is replaced for a field",
            (pool_manifest(1, rollout="Replace"),),
            renewed,
            OURS,
            (A,),
            spec="old",
        ),
        _pool("a pool shrinks, a job of others goes on", (pool_manifest(1),), sized(1), THEIRS, (A, B), others=few),
        _pool("a pool shrinks, its job leaves", (pool_manifest(1),), sized(1), OURS, (A, B), others=few),
        _pool("nodes restart, a job of others goes on", (reboots,), restarted, THEIRS, (old,)),
        _pool("nodes restart, a job leaves", (reboots,), restarted, OURS, (old,)),
        _pool("nodes are reimaged, a job of others goes on", (reimages,), restarted, THEIRS, (old,)),
    ]


SCENES = {scene.name: scene for scene in _roads()}
