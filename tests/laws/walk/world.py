"""The service: a few jobs, one pool with its nodes, one job schedule, and what it does with requests.

A state is one small tuple. What a request finds is decided here and nowhere else; which requests there are is decided
by the real code (see `sight`). Where the service's behaviour is not known (REST reference, section 17), `Readings` says
which behaviours are possible; with several, each is a branch of the search.

Guards: an ETag is not a number here. Whoever looked at an object holds a guard that is good until the object's ETag
changes, and never again after that; this keeps the states finite without forgetting anything.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

from reconciler.lifecycle.steps import Verb

OURS = "s"
THEIRS = "x"
UNFINISHED = ("active", "disabling", "disabled")


class Readings(NamedTuple):
    """What the service may do where no source decides.

    *cut_short*: what a delete during `terminating` makes of release tasks that have not ended (it cuts them, lets them
    end, runs them again, or is refused). *leaving*: whether a node that leaves its pool runs a release that it owes.
    *dead*: whether a job waits for the release on a node that is dead until the pool drops it, or gives up some time.
    *forced*: whether `force` skips release tasks or only does not wait for dead nodes.
    """

    cut_short: tuple[str, ...] = ("cut", "ends", "again", "refused")
    leaving: tuple[str, ...] = ("lost", "released")
    dead: tuple[str, ...] = ("waits", "gives up")
    forced: tuple[str, ...] = ("skips", "releases")


ANY = Readings()
"""Every reading in one search: the service may even change its mind, which is more than any one reading allows."""


class Job(NamedTuple):
    """*runs*: for each node that prepared, what became of its release: owed, runs, ended, failed, or cut."""

    state: str
    born: int
    owner: str = OURS
    spec: str = "old"
    pool: str = "p"
    runs: tuple[tuple[str, str], ...] = ()


class Node(NamedTuple):
    """*busy*: the incarnation whose task runs there, 0 for none. *old*: it runs an old start task. *going*: by whom it
    was asked to leave. *meddled*: its scheduling was switched by somebody who is not us, or by a request that
    came late."""

    name: str
    state: str = "up"
    off: bool = False
    busy: int = 0
    old: bool = False
    going: str = ""
    meddled: bool = False


class Pool(NamedTuple):
    """*marked*: its mark is of the manifest as it is now; *aside* are the nodes that the mark names."""

    state: str
    born: int
    target: int
    owner: str = OURS
    spec: str = "old"
    aside: tuple[str, ...] = ()
    resizing: bool = False
    marked: bool = True


class Schedule(NamedTuple):
    state: str
    born: int


class Request(NamedTuple):
    """One request of ours. *ok*: whether its guard is still good, None where it has none (any more). The rest is what
    its sender had seen: the object's *state* and *born*, which releases were *owed* or *due* (by incarnation and node),
    whether the jobs could be listed (*full*), and whether it has read the *receipt*. *record*: 1 for something to be
    written down first, 2 once it is. *late*: it was held up in the network."""

    key: str
    verb: Verb
    ok: bool | None
    args: tuple[str, ...]
    state: str
    born: int
    owed: frozenset[tuple[int, str]]
    due: frozenset[tuple[int, str]]
    full: bool
    receipt: bool
    record: int
    late: bool = False


class Pass(NamedTuple):
    """What a pass has read so far; None: not yet. *fresh* names the objects whose guards are still good,
    *count* is the number of nodes as the pool tells it."""

    jobs: tuple[Job | None, ...]
    pool: Pool | None
    schedule: Schedule | None
    fresh: frozenset[str]
    count: int = 0
    unread: bool = False
    runs: tuple[tuple[tuple[str, str], ...] | None, ...] | None = None
    nodes: tuple[Node, ...] | None = None
    ledger: bool | None = None
    receipts: frozenset[int] = frozenset()


Hand = Pass | tuple[Request, ...] | None


class World(NamedTuple):
    """*hands*: what each reconciler is at; *air*: requests under way in the network; *receipts*: incarnations of which
    one was written down; *lagging*: a list answer that is
    out of date; *asked*: incarnations whose release we asked for, *touched*: those that others ended or
    deleted; *ran*: a run was over, written down and removed;
    *told*: releases lost through what others did after we had looked; *wrong*: the promise that was broken."""

    jobs: tuple[Job | None, ...]
    pool: Pool | None = None
    nodes: tuple[Node, ...] = ()
    schedule: Schedule | None = None
    ledger: bool = False
    receipts: frozenset[int] = frozenset()
    born: int = 1
    hands: tuple[Hand, ...] = (None, None)
    air: tuple[Request, ...] = ()
    lagging: Pass | None = None
    faults: int = 1
    outsiders: int = 1
    tasks: int = 0
    asked: frozenset[int] = frozenset()
    touched: frozenset[int] = frozenset()
    ran: bool = False
    told: int = 0
    wrong: str = ""


def stale(world: World, key: str) -> World:
    """The object's ETag changed: guards that anybody holds on it are good no more."""

    def spent(request: Request) -> Request:
        return request._replace(ok=False) if request.key == key and request.ok else request

    def hand(held: Hand) -> Hand:
        if isinstance(held, Pass):
            return held._replace(fresh=held.fresh - {key}) if key in held.fresh else held
        return None if held is None else tuple(map(spent, held))

    lagging = world.lagging
    if lagging is not None and key in lagging.fresh:
        lagging = lagging._replace(fresh=lagging.fresh - {key})
    return world._replace(hands=tuple(map(hand, world.hands)), air=tuple(map(spent, world.air)), lagging=lagging)


def with_job(world: World, at: int, job: Job | None) -> World:
    return world._replace(jobs=(*world.jobs[:at], job, *world.jobs[at + 1 :]))


def with_node(world: World, node: Node, **facts: object) -> World:
    return world._replace(nodes=tuple(n._replace(**facts) if n is node else n for n in world.nodes))


def with_run(job: Job, node: str, release: str) -> Job:
    """The job with the release on *node* in that state."""
    return job._replace(runs=tuple(sorted({**dict(job.runs), node: release}.items())))


def freed(world: World, born: int) -> World:
    """The tasks of an incarnation were ended."""
    return world._replace(nodes=tuple(n._replace(busy=0) if n.busy == born else n for n in world.nodes))


def up(world: World, name: str) -> bool:
    return any(node.name == name and node.state == "up" for node in world.nodes)


# What the service does by itself


def progress(world: World, readings: Readings, fails: bool) -> Iterator[tuple[str, World]]:
    """Everything the service may do next, but for starting tasks and ending jobs of its own accord."""
    for at, job in enumerate(world.jobs):
        if job is not None:
            yield from _job_progress(world, at, job, readings, fails)
    for node in world.nodes:
        if node.busy:
            yield f"the task on {node.name} ends", with_node(world, node, busy=0)
        if node.state == "draining" and not node.busy:
            yield f"{node.name} restarts", rebooted(world, node)
        if node.state == "booting":
            yield f"{node.name} has started", with_node(world, node, state="up", old=False)
        if node.going and not node.busy:
            for how in readings.leaving:
                yield f"{node.name} leaves", _left(world, node, released=how == "released")
    yield from _pool_progress(world)
    schedule = world.schedule
    if schedule is None:
        return
    at = world.born  # children are numbered, and no number comes twice
    if schedule.state == "active" and at < len(world.jobs) and not any(_is_busy(job) for job in world.jobs):
        made = Job("active", at + 1)
        yield "the schedule makes its next job", with_job(world._replace(born=at + 1), at, made)
    if schedule.state == "deleting" and not any(world.jobs):
        yield "the schedule is forgotten", world._replace(schedule=None)


def _is_busy(job: Job | None) -> bool:
    return job is not None and job.state not in ("completed", "deleting")


def _job_progress(world: World, at: int, job: Job, readings: Readings, fails: bool) -> Iterator[tuple[str, World]]:
    if job.state == "disabling" and not any(node.busy == job.born for node in world.nodes):
        yield "the job is disabled", with_job(world, at, job._replace(state="disabled"))
    if job.state not in ("terminating", "deleting"):
        return
    waiting = False
    for name, release in job.runs:
        if release not in ("owed", "runs"):
            continue
        there = next((node for node in world.nodes if node.name == name), None)
        if there is None:
            continue  # the pool dropped it: nothing to wait for
        if there.state == "up":
            waiting = True
            if release == "owed":
                yield f"release begins on {name}", with_job(world, at, with_run(job, name, "runs"))
            else:
                yield f"release ends on {name}", with_job(world, at, with_run(job, name, "ended"))
                if fails:
                    yield f"release fails on {name}", with_job(world, at, with_run(job, name, "failed"))
        elif there.state != "dead" or "gives up" not in readings.dead:
            waiting = True
    if not waiting:
        if job.state == "terminating":
            yield "the job is completed", with_job(world, at, job._replace(state="completed"))
        else:
            yield "the job is forgotten", stale(with_job(world, at, None), str(at))


def _left(world: World, node: Node, *, released: bool) -> World:
    world = world._replace(nodes=tuple(n for n in world.nodes if n is not node))
    return _released_on(world, {node.name}) if released else world


def _released_on(world: World, names: set[str]) -> World:
    for at, job in enumerate(world.jobs):
        if job is None:
            continue
        runs = tuple((name, "ended" if name in names and rel in ("owed", "runs") else rel) for name, rel in job.runs)
        if runs != job.runs:
            world = with_job(world, at, job._replace(runs=runs))
    return world


def _pool_progress(world: World) -> Iterator[tuple[str, World]]:
    pool = world.pool
    if pool is None:
        return
    if pool.state == "deleting":
        yield "the pool is gone", stale(world._replace(pool=None, nodes=()), "p")
        return
    if not pool.resizing:
        return
    if any(node.going for node in world.nodes):
        return
    if len(world.nodes) < pool.target:
        name = next(name for name in "abcdefgh" if name not in {node.name for node in world.nodes})
        nodes = tuple(sorted((*world.nodes, Node(name))))
        yield f"{name} joins the pool", world._replace(nodes=nodes)
    elif len(world.nodes) == pool.target:
        yield "the resize ends", world._replace(pool=pool._replace(resizing=False))


def starts(world: World) -> Iterator[tuple[str, World]]:
    """A task of a job starts on a node, after its preparation: from then on the node owes a release."""
    if not world.tasks or world.pool is None or world.pool.state != "active":
        return
    for at, job in enumerate(world.jobs):
        if job is None or job.state != "active" or job.pool != "p":
            continue
        for node in world.nodes:
            if node.state == "up" and not node.off and not node.busy and not node.going:
                prepared = job if dict(job.runs).get(node.name) == "owed" else with_run(job, node.name, "owed")
                after = with_job(with_node(world, node, busy=job.born), at, prepared)
                yield f"a task starts on {node.name}", after._replace(tasks=world.tasks - 1)


def ends(world: World) -> Iterator[tuple[str, World]]:
    """A job ends of its own accord: onAllTasksComplete, a time limit, its manager (a new ETag: recorded)."""
    for at, job in enumerate(world.jobs):
        if job is not None and job.state == "active":
            yield "the job ends by itself", terminated(world, at, job)


def terminated(world: World, at: int, job: Job, release: bool = True) -> World:
    """The job on its way to its end; its running tasks were ended. Not *release*: forced past its release tasks."""
    runs = job.runs if release else tuple((name, "cut") for name, _ in job.runs)
    after = with_job(world, at, job._replace(state="terminating", runs=runs))
    return freed(stale(after, str(at)), job.born)


def deleted(world: World, at: int, job: Job, readings: Readings) -> Iterator[World]:
    """Delete, as the service may take it in the job's state. Of an active job it releases (REST reference 6.1)."""
    if job.state == "deleting":
        yield world
        return
    gone = job._replace(state="deleting")
    if job.state != "terminating":
        yield freed(with_job(world, at, gone), job.born)
        return
    for how in readings.cut_short:
        match how:
            case "refused":
                yield world
            case "ends":
                yield with_job(world, at, gone)
            case "cut":
                runs = tuple((name, rel if rel in ("ended", "failed") else "cut") for name, rel in job.runs)
                yield with_job(world, at, gone._replace(runs=runs))
            case "again":
                yield with_job(world, at, gone._replace(runs=tuple((name, "owed") for name, _ in job.runs)))


def rebooted(world: World, node: Node) -> World:
    """A restart ends what runs there; a release that ran begins anew (REST reference 6.1)."""
    world = with_node(world, node, state="booting", busy=0)
    for at, job in enumerate(world.jobs):
        if job is not None and dict(job.runs).get(node.name) == "runs":
            world = with_job(world, at, with_run(job, node.name, "owed"))
    return world


def lost(world: World, node: Node) -> World:
    """A node that answers no more; its tasks go elsewhere, a release that ran there begins anew if it comes back."""
    nodes = tuple(n._replace(state="dead") if n.name == node.name else n for n in world.nodes)
    return rebooted(world, node)._replace(nodes=tuple(n._replace(busy=0) if n.name == node.name else n for n in nodes))


def reimaged(world: World, node: Node) -> World:
    """A node that is set up anew has prepared nothing: no release is due there (REST reference 6.1)."""
    world = with_node(world, node, state="booting", busy=0)
    for at, job in enumerate(world.jobs):
        if job is not None and node.name in dict(job.runs):
            world = with_job(world, at, job._replace(runs=tuple(run for run in job.runs if run[0] != node.name)))
    return world


def resized(world: World, target: int, by: str, names: Iterable[str] | None = None) -> Iterator[World]:
    """The pool on its way to *target* nodes: without *names* the service chooses which ones leave."""
    assert world.pool is not None
    after = stale(world._replace(pool=world.pool._replace(target=target, resizing=True)), "p")
    surplus = max(len(world.nodes) - target, 0)
    all_names = [node.name for node in world.nodes]
    for chosen in combinations(all_names, surplus) if names is None else (tuple(names),):
        nodes = tuple(node._replace(going=by) if node.name in chosen else node for node in after.nodes)
        yield after._replace(nodes=nodes)


# What the service answers to us


def serve(world: World, request: Request, readings: Readings) -> Iterator[World]:
    """The world after a request of ours was answered, for each reading; unchanged where it is refused."""
    if request.key == "p":
        yield from _serve_pool(world, request, readings)
    elif request.key == "s":
        yield _serve_schedule(world, request)
    else:
        yield from _serve_job(world, request, readings)


def _serve_job(world: World, request: Request, readings: Readings) -> Iterator[World]:
    at, verb = int(request.key), request.verb
    job = world.jobs[at]
    if verb is Verb.CREATE:
        if job is not None:  # JobExists, JobCompleted, JobBeingDeleted
            yield world
            return
        made = Job("active", world.born + 1, OURS, *request.args)
        wrong = "finished work was repeated" if world.ran else world.wrong
        yield stale(with_job(world._replace(born=world.born + 1, wrong=wrong), at, made), request.key)
        return
    if job is None or request.ok is False or job.state == "deleting":  # 404, 412, 409
        yield world
        return
    if job.owner != OURS:
        yield world._replace(wrong="somebody else's job was touched")
        return
    match verb:
        case Verb.TERMINATE if request.state not in UNFINISHED:
            yield world._replace(wrong="a job was asked to end that was seen to have ended")
        case Verb.TERMINATE if job.state in UNFINISHED:
            after = terminated(world, at, job)
            wrong = world.wrong
            if job.born in world.asked:
                wrong = "release was asked for twice"
            elif request.born != job.born:
                wrong = "another incarnation was ended than the one that was looked at"
            yield after._replace(asked=world.asked | {job.born}, wrong=wrong)
        case Verb.DISABLE if job.state == "active":
            yield stale(with_job(world, at, job._replace(state="disabling")), request.key)
        case Verb.ENABLE if job.state in ("disabling", "disabled"):
            yield stale(with_job(world, at, job._replace(state="active")), request.key)
        case Verb.UPDATE if job.state in UNFINISHED:
            pool = request.args[0] if request.args else job.pool
            if pool != job.pool and job.state != "disabled":
                yield world
            else:
                yield stale(with_job(world, at, job._replace(pool=pool)), request.key)
        case Verb.DELETE:
            for after in deleted(world, at, job, readings):
                if request.state != "completed" or request.born != job.born:
                    yield after._replace(wrong="delete was sent before `completed` was seen")
                elif job.state != "completed":
                    yield after._replace(wrong="delete reached a job that had not completed")
                elif not request.receipt:
                    yield after._replace(wrong="what its nodes did was erased before it was read")
                else:
                    yield after._replace(ran=world.ran or request.record == 2)
        case _:
            yield world


def _serve_schedule(world: World, request: Request) -> World:
    schedule = world.schedule
    if request.verb is Verb.CREATE:
        if schedule is not None:
            return world
        return stale(world._replace(schedule=Schedule("active", world.born + 1), born=world.born + 1), "s")
    if schedule is None or request.ok is False or schedule.state == "deleting":
        return world
    if request.verb is Verb.DISABLE:
        return stale(world._replace(schedule=schedule._replace(state="disabled")), "s")
    if request.verb is Verb.ENABLE:
        return stale(world._replace(schedule=schedule._replace(state="active")), "s")
    assert request.verb is Verb.DELETE, request.verb
    wrong = world.wrong
    if any(job is not None and job.state not in ("completed", "deleting") for job in world.jobs):
        wrong = "a schedule was deleted over a job that had not completed"
    elif any(job is not None and job.state == "completed" for job in world.jobs):
        wrong = "what its nodes did was erased before it was read"
    gone = tuple(job and job._replace(state="deleting") for job in world.jobs)
    return world._replace(jobs=gone, schedule=schedule._replace(state="deleting"), wrong=wrong)


def _serve_pool(world: World, request: Request, readings: Readings) -> Iterator[World]:
    pool, verb = world.pool, request.verb
    if verb is Verb.CREATE:
        if pool is not None:
            yield world
            return
        made = Pool("active", world.born + 1, int(request.args[0]), OURS, "new", resizing=True)
        yield stale(world._replace(pool=made, born=world.born + 1), "p")
        return
    if pool is None or request.ok is False or pool.state == "deleting":
        yield world
        return
    if pool.owner != OURS:
        yield world._replace(wrong="somebody else's pool was touched")
        return
    named = [node for node in world.nodes if node.name in request.args]
    match verb:
        case Verb.CHOOSE_NODES:
            after = stale(world._replace(pool=pool._replace(aside=request.args)), "p")
            dropped = set(pool.aside) - set(request.args) if request.late else set()
            nodes = tuple(n._replace(meddled=True) if n.off and n.name in dropped else n for n in after.nodes)
            yield after._replace(nodes=nodes)
        case Verb.UPDATE:  # of the mark alone
            yield stale(world._replace(pool=pool._replace(marked=True)), "p")
        case Verb.DISABLE_SCHEDULING | Verb.ENABLE_SCHEDULING:
            off = verb is Verb.DISABLE_SCHEDULING
            if named and named[0].state == "up":
                yield with_node(world, named[0], off=off, meddled=request.late or (named[0].meddled and not off))
            else:
                yield world
        case Verb.REMOVE_NODES if not pool.resizing:
            names = [node.name for node in named]
            for after in resized(world, len(world.nodes) - len(names), "us", names):
                yield _lost(after, request, named)
        case Verb.RESIZE if not pool.resizing:
            for after in resized(world, int(request.args[0]), "us"):
                yield _lost(after, request, [node for node in after.nodes if node.going])
        case Verb.STOP_RESIZE if pool.resizing:
            stopped = world._replace(pool=pool._replace(resizing=False))
            yield stopped._replace(nodes=tuple(node._replace(going="") for node in world.nodes))
        case Verb.REBOOT_NODES | Verb.REIMAGE_NODES if named and named[0].state == "up":
            yield _restarted(world, request, named[0])
        case Verb.DELETE:
            after = stale(world._replace(pool=pool._replace(state="deleting")), "p")
            for how in readings.leaving:
                lost = _lost(after, request, list(world.nodes))
                yield _released_on(lost, {node.name for node in world.nodes}) if how == "released" else lost
        case _:
            yield world


def owing(world: World, names: Iterable[str]) -> set[tuple[int, str]]:
    """Releases owed on these nodes, by incarnation and node."""
    there = set(names)
    return {
        (job.born, name)
        for job in world.jobs
        if job is not None and job.state != "completed"
        for name, release in job.runs
        if name in there and release in ("owed", "runs")
    }


def _lost(world: World, request: Request, nodes: list[Node]) -> World:
    """The world once these nodes were given up: what they owed is lost, by our mistake or told."""
    lost = owing(world, (node.name for node in nodes))
    if not lost:
        return world
    meddled = {node.name for node in nodes if node.meddled}
    by_name = request.verb is Verb.REMOVE_NODES
    if not request.full:
        return world._replace(wrong="nodes were given up although the jobs could not be listed")
    if lost & request.owed:
        return world._replace(wrong="a node was given up that was seen to owe a release")
    if by_name and any(name not in meddled for _, name in lost):
        return world._replace(wrong="a node that owes a release was removed by name")
    return world._replace(told=1)


def _restarted(world: World, request: Request, node: Node) -> World:
    """A restart that meets a release repeats it, a reimage loses it: by our mistake, or told."""
    mine = owing(world, {node.name})
    ending = {job.born for job in world.jobs if job is not None and job.state in ("terminating", "deleting")}
    due = {(born, name) for born, name in mine if born in ending}
    reimage = request.verb is Verb.REIMAGE_NODES
    if node.busy:  # we ask for `taskcompletion`
        after = with_node(world, node, state="draining")
    else:
        after = reimaged(world, node) if reimage else rebooted(world, node)
    if reimage and mine & request.owed:
        return after._replace(wrong="a node was given up that was seen to owe a release")
    if reimage and mine and not node.meddled and not request.late:
        return after._replace(wrong="a node that owes a release was reimaged")
    if due & request.due:
        return after._replace(wrong="a node was restarted on which a release was seen to be due")
    if not request.late and not node.meddled and {born for born, _ in due} & (world.asked - world.touched):
        return after._replace(wrong="a node was restarted during a release that we asked for")
    return after._replace(told=1) if due or (mine and reimage) else after
