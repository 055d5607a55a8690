"""Everybody who acts on a world: two reconcilers, the network, the service, and people who are not us."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reconciler.lifecycle.steps import Verb

from .sight import UNGUARDED, Eyes
from .world import (
    ANY,
    THEIRS,
    UNFINISHED,
    Hand,
    Job,
    Node,
    Pass,
    Readings,
    Request,
    World,
    deleted,
    ends,
    lost,
    progress,
    rebooted,
    reimaged,
    resized,
    serve,
    stale,
    starts,
    terminated,
    with_job,
    with_node,
)

FRESH = frozenset({Verb.REBOOT_NODES, Verb.REIMAGE_NODES, Verb.REMOVE_NODES})
Step = tuple[str, World]
Decide = Callable[[Eyes, Pass], tuple[Request, ...]]


def honest(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """What the real code answers."""
    return eyes.decide(seen).requests


def as_needed(eyes: Eyes, seen: Pass) -> str:
    return eyes.need(seen)


@dataclass(frozen=True)
class Scene:
    """A road to walk: how it begins, what the manifests say, who interferes, and where it has to end.

    *others* names what people do: terminate, delete, force, create (with another stack's mark), rerun (another run of
    ours creates it), reboot, reimage, lose, resize, switch (scheduling). *self_ending*: jobs may end by themselves.
    *fails*: a release may fail."""

    name: str
    eyes: Eyes
    start: World
    goal: Callable[[World], bool]
    others: frozenset[str] = frozenset()
    network: frozenset[str] = frozenset({"delay", "repeat"})
    self_ending: bool = False
    fails: bool = False
    readings: Readings = ANY
    decide: Decide = honest
    need: Callable[[Eyes, Pass], str] = as_needed
    guarded: bool = True
    fresh: bool = True


def moves(scene: Scene, world: World) -> Iterator[Step]:
    """Everything that may happen next."""
    for who in range(len(world.hands)):
        yield from _reconciler(scene, world, who)
    for at, request in enumerate(world.air):
        rest = world._replace(air=(*world.air[:at], *world.air[at + 1 :]))
        for after in serve(rest, request, scene.readings):
            yield f"the delayed {said(request)} arrives", after
    yield from progress(world, scene.readings, scene.fails)
    yield from starts(world)
    if scene.self_ending:
        yield from ends(world)
    if world.outsiders:
        less = world._replace(outsiders=world.outsiders - 1)
        yield from _others(scene, less)
    if world.faults and "lag" in scene.network and world.lagging is None:
        listed = _listed(world)
        yield "a list falls behind", world._replace(lagging=listed, faults=world.faults - 1)


def said(request: Request) -> str:
    """A request in words."""
    what = {"p": "the pool", "s": "the schedule"}.get(request.key, "the job")
    args = f" {', '.join(request.args)}" if request.args else ""
    return f"{request.verb}{args} ({what})"


# Reconcilers and the network


def _listed(world: World) -> Pass:
    present = {str(at) for at, job in enumerate(world.jobs) if job is not None}
    present |= {"p"} if world.pool is not None else set()
    present |= {"s"} if world.schedule is not None else set()
    jobs = tuple(job and job._replace(runs=()) for job in world.jobs)
    return Pass(jobs, world.pool, world.schedule, frozenset(present), len(world.nodes))


def mixed(jobs: Pass, others: Pass) -> Pass:
    """One look whose lists are of different times."""
    fresh = {key for key in jobs.fresh if key.isdigit()} | {key for key in others.fresh if not key.isdigit()}
    return others._replace(jobs=jobs.jobs, fresh=frozenset(fresh))


def held(world: World, who: int, hand: Hand) -> World:
    return world._replace(hands=tuple(hand if at == who else old for at, old in enumerate(world.hands)))


def _reconciler(scene: Scene, world: World, who: int) -> Iterator[Step]:
    hand, name = world.hands[who], f"reconciler {who + 1}"
    if hand is None:
        yield from _looks(scene, world, who, _listed(world), f"{name} lists the account")
        if world.lagging is not None:
            rest, now, old = world._replace(lagging=None), _listed(world), world.lagging
            yield from _looks(scene, rest, who, old, f"{name} lists the account as it was before")
            # The lists are asked for side by side: some may be older than others.
            yield from _looks(scene, rest, who, mixed(old, now), f"{name} lists the account, the jobs as before")
            yield from _looks(scene, rest, who, mixed(now, old), f"{name} lists the account, all else as before")
        if world.faults and "unread" in scene.network:
            blind = _listed(world)._replace(unread=True, jobs=(None,) * len(world.jobs))
            less = world._replace(faults=world.faults - 1)
            yield from _looks(scene, less, who, blind, f"{name} lists the account, but the jobs are refused")
        return
    yield f"{name} crashes", held(world, who, None)
    if isinstance(hand, Pass):
        what = scene.need(scene.eyes, hand)
        words = {"runs": "what the nodes did", "nodes": "the nodes", "ledger": "the ledger"}[what]
        yield from _looks(scene, world, who, read(world, hand, what), f"{name} reads {words}")
        return
    for at, request in enumerate(hand):
        rest = (*hand[:at], *hand[at + 1 :]) or None
        yield from _sends(scene, world, who, request, rest, name)


def quiet(node: Node) -> bool:
    """Whether no task can start there, as `azure.account` looks at it just before nodes are restarted or removed."""
    return node.state == "dead" or (node.off and not node.busy)


def read(world: World, seen: Pass, what: str) -> Pass:
    """The pass with what is read now; of a job that is gone by now nothing is owed any more (`executor`)."""
    if what == "ledger":
        return seen._replace(ledger=world.ledger, receipts=world.receipts)
    if what == "nodes":
        return seen._replace(nodes=world.nodes)
    runs = tuple(
        None if listed is None else () if now is None else now.runs
        for listed, now in zip(seen.jobs, world.jobs, strict=True)
    )
    return seen._replace(runs=runs)


def _looks(scene: Scene, world: World, who: int, seen: Pass, text: str) -> Iterator[Step]:
    if scene.need(scene.eyes, seen):
        yield text, held(world, who, seen)
        return
    requests = decided(scene, seen)
    if requests or world.hands[who] is not None or world.lagging is not None:
        plans = f" and decides to {' and to '.join(map(said, requests))}" if requests else " and has nothing to do"
        yield text + plans, held(world, who, requests or None)


def decided(scene: Scene, seen: Pass) -> tuple[Request, ...]:
    """The requests of a pass; those with a guard that is stale already carry it so."""
    return tuple(
        request._replace(ok=(request.key in seen.fresh) if scene.guarded else None) if request.ok else request
        for request in scene.decide(scene.eyes, seen)
    )


def under_way(world: World) -> Iterator[Request]:
    """Every request that was decided on and has not arrived."""
    yield from world.air
    for hand in world.hands:
        if hand is not None and not isinstance(hand, Pass):
            yield from hand


def _sends(
    scene: Scene, world: World, who: int, request: Request, rest: tuple[Request, ...] | None, name: str
) -> Iterator[Step]:
    others = rest or ()
    if request.record == 1:
        if any(other.verb is Verb.CREATE for other in under_way(world)):
            return  # nothing is held up for as long as a time to live
        noted = held(world, who, (*others, request._replace(record=2)))
        yield f"{name} writes the run down", noted._replace(ledger=True)
        return
    if request.verb is Verb.FORGET:
        yield f"{name} forgets the run", held(world, who, rest)._replace(ledger=False, ran=False)
        return
    freed = held(world, who, rest)
    if (
        scene.fresh
        and request.verb in FRESH
        and not all(map(quiet, (node for node in world.nodes if node.name in request.args)))
    ):
        yield f"{name} looks at the nodes again and drops {said(request)}", freed
        return
    if scene.fresh and request.verb is Verb.CHOOSE_NODES and world.pool is not None:
        left = set(world.pool.aside) - set(request.args)
        if any(node.off and node.name in left for node in world.nodes):
            yield f"{name} looks at the nodes again and drops {said(request)}", freed
            return
    if scene.fresh and request.key == "s" and request.verb is Verb.DELETE and any(world.jobs):
        yield f"{name} looks for jobs of the schedule again and drops {said(request)}", freed
        return
    if request.verb in UNGUARDED:
        # A fresh look just before stands for a condition. The moment between both is a request that is held up.
        if not request.ok:
            yield f"{name} looks again and drops {said(request)}", freed
            return
        request = request._replace(ok=None)
    for after in serve(freed, request, scene.readings):
        yield f"{name} sends {said(request)}", after
    if not world.faults:
        return
    aloft = freed._replace(air=(*world.air, request._replace(late=True)), faults=world.faults - 1)
    if "repeat" in scene.network:
        # The answer is lost; the client sends the same request again, and that arrives at any time from now on.
        for after in serve(aloft, request, scene.readings):
            yield f"{name} sends {said(request)}; its answer is lost, and it goes out once more", after
    if "delay" in scene.network:
        yield f"{name} sends {said(request)}, which is delayed", aloft


# People who are not us


def _others(scene: Scene, world: World) -> Iterator[Step]:
    acts = scene.others
    for at, job in enumerate(world.jobs):
        if job is None:
            if ":" in scene.eyes.slots[at]:  # such ids are the service's own
                continue
            fresh = Job("active", world.born + 1)
            later = world._replace(born=world.born + 1)
            if "create" in acts:
                made = stale(with_job(later, at, fresh._replace(owner=THEIRS)), str(at))
                yield "somebody makes a job of the same name", made
            if "rerun" in acts:
                yield "another run of ours makes the job", stale(with_job(later, at, fresh), str(at))
            continue
        theirs = world._replace(touched=world.touched | {job.born})
        if "terminate" in acts and job.state in UNFINISHED:
            yield "somebody terminates the job", terminated(theirs, at, job)
        if "delete" in acts and job.state != "deleting":
            for after in deleted(theirs, at, job, scene.readings):
                yield "somebody deletes the job", after
        if "force" in acts and job.state in (*UNFINISHED, "terminating"):
            for how in scene.readings.forced:
                yield f"somebody terminates the job by force ({how})", terminated(theirs, at, job, how == "releases")
    for node in world.nodes:
        if "reboot" in acts and node.state == "up":
            yield f"{node.name} is rebooted", rebooted(world, node)
        if "reimage" in acts and node.state == "up":
            yield f"{node.name} is reimaged", reimaged(world, node)
        if "lose" in acts and node.state == "up":
            yield f"{node.name} is lost", lost(world, node)
        if "switch" in acts:
            off = not node.off
            meddled = with_node(world, node, off=off, meddled=node.meddled or not off)
            yield f"somebody {'dis' if off else 'en'}ables scheduling on {node.name}", meddled
    pool = world.pool
    if "resize" in acts and pool is not None and pool.state == "active" and not pool.resizing:
        for target in {max(pool.target - 1, 0), pool.target + 1} - {pool.target}:
            for after in resized(world, target, "they"):
                yield f"somebody resizes the pool to {target}", after
