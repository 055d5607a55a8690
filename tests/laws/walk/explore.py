"""The search: every world that can be reached, the shortest story of a broken promise, and whether the road ends."""

import gc
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .moves import Scene, Step, _listed, decided, moves, read
from .world import Job, Node, World, progress, serve


@dataclass
class Walk:
    """What was found. *worlds* are all that were reached, by how they were reached first; *told* counts those in which
    others made us lose a release after we had looked."""

    scene: Scene
    worlds: dict[World, tuple[World, str] | None]
    broken: World | None = None

    @property
    def told(self) -> int:
        return sum(world.told for world in self.worlds)

    @property
    def story(self) -> str:
        """The shortest way to the broken promise, line by line; empty when none was broken."""
        return "" if self.broken is None else tell(self, self.broken, self.broken.wrong)


def walk(scene: Scene, most: int = 400_000) -> Walk:
    """Every reachable world, until closure or the first broken promise (breadth first: its story is a shortest one)."""
    gc.disable()  # every state is kept: looking through them for garbage takes a third of the time
    try:
        return _walk(scene, most)
    finally:
        gc.enable()


def _walk(scene: Scene, most: int) -> Walk:
    found = Walk(scene, {scene.start: None})
    known = {_key(scene.start)}
    queue = deque([scene.start])
    while queue:
        world = queue.popleft()
        for text, after in moves(scene, world):
            key = _key(after)
            if key in known:
                continue
            known.add(key)
            found.worlds[after] = (world, text)
            if after.wrong:
                found.broken = after
                return found
            queue.append(after)
        assert len(known) < most, f"{scene.name}: more than {most} states"
    return found


def _key(world: World) -> World:
    """Two reconcilers are alike: which of them holds what makes no difference."""
    first, second = world.hands
    return world if hash(first) <= hash(second) else world._replace(hands=(second, first))


def tell(found: Walk, last: World, title: str) -> str:
    """Numbered lines: who did what, and how the service stood then."""
    steps = []
    world = last
    while (before := found.worlds[world]) is not None:
        steps.append((before[1], world))
        world = before[0]
    lines = [f"{found.scene.name}: {title}", f"    0. at first: {standing(world)}"]
    lines += [f"  {at:>3}. {text}: {standing(there)}" for at, (text, there) in enumerate(reversed(steps), 1)]
    return "\n".join(lines)


def standing(world: World) -> str:
    """The service's side of a world in words."""
    jobs = [_job_words(job) for job in world.jobs if job is not None] or ["no job"]
    parts = [*jobs, *map(_node_words, world.nodes)]
    if world.pool is not None:
        pool = world.pool
        aside = f", aside {' '.join(pool.aside)}" if pool.aside else ""
        parts.append(f"pool {pool.state}{', resizing' if pool.resizing else ''} to {pool.target}{aside}")
    if world.schedule is not None:
        parts.append(f"schedule {world.schedule.state}")
    return "; ".join(parts)


def _job_words(job: Job) -> str:
    runs = ", ".join(f"{name} {release}" for name, release in job.runs)
    owner = "" if job.owner == "s" else "foreign "
    return f"{owner}job {job.born} {job.state}{f' (release: {runs})' if runs else ''}"


def _node_words(node: Node) -> str:
    facts = [node.state] if node.state != "up" else []
    facts += ["off scheduling"] if node.off else []
    facts += ["busy"] if node.busy else []
    facts += [f"leaving for {node.going}"] if node.going else []
    return f"node {node.name}" + (f" ({', '.join(facts)})" if facts else "")


# Once faults stop, the road ends


def calm(world: World) -> World:
    """The world once nobody interferes: no reconciler holds anything, nothing is under way, dead nodes come back."""
    nodes = tuple(node._replace(state="booting") if node.state == "dead" else node for node in world.nodes)
    return world._replace(
        nodes=nodes, hands=(None, None), air=(), lagging=None, faults=0, outsiders=0, tasks=0,
        asked=frozenset(), touched=frozenset(), told=0, wrong="",
    )  # fmt: skip


def one_pass(scene: Scene, world: World) -> tuple[World, bool]:
    """A whole pass that nothing disturbs; whether it found everything in its place."""
    seen = _listed(world)
    while what := scene.need(scene.eyes, seen):
        seen = read(world, seen, what)
    requests = decided(scene, seen)
    for request in requests:
        if request.record:
            world = world._replace(ledger=True)
            request = request._replace(record=2)
        if request.verb == "write-receipt":
            world = world._replace(receipts=world.receipts | {request.born})
            continue
        if request.verb == "forget":
            world = world._replace(ledger=False, ran=False)
            continue
        world = next(iter(serve(world, request, scene.readings)))
    return calm(world), scene.eyes.decide(seen).is_settled and not requests


def steps_in_calm(scene: Scene, world: World) -> Iterator[Step]:
    """What happens without faults: the service goes on, and we look and act."""
    yield from progress(world, scene.readings, scene.fails)
    after, _ = one_pass(scene, world)
    if after != world:
        yield "a pass", after


def unending(found: Walk) -> str:
    """The story of a road that does not end once faults stop, or ends elsewhere; empty when there is none.

    From every world that was reached, in every order in which the service and we may go on: no order goes round in
    circles, and where nothing moves any more every object is Done, or Blocked for a person, and the goal is reached.
    """
    scene = found.scene
    done: set[World] = set()
    for origin in found.worlds:
        root = calm(origin)
        if root in done:
            continue
        path: list[tuple[World, Iterator[Step]]] = [(root, steps_in_calm(scene, root))]
        texts = [""]
        on_path = {root}
        while path:
            world, rest = path[-1]
            moved = False
            for text, after in rest:
                after = calm(after)
                if after in on_path:
                    return _told_in_calm(found, origin, texts, text, after, "the road goes round in circles")
                if after in done:
                    continue
                path.append((after, steps_in_calm(scene, after)))
                texts.append(f"{text}: {standing(after)}")
                on_path.add(after)
                moved = True
                break
            if moved:
                continue
            if not any(True for _ in steps_in_calm(scene, world)) and not _is_there(scene, world):
                return _told_in_calm(found, origin, texts, "nothing moves any more", world, "the road ends elsewhere")
            done.add(world)
            on_path.discard(world)
            path.pop()
            texts.pop()
    return ""


def _is_there(scene: Scene, world: World) -> bool:
    _, settled = one_pass(scene, world)
    return settled and scene.goal(world)


def _told_in_calm(found: Walk, origin: World, texts: list[str], text: str, last: World, title: str) -> str:
    lines = [tell(found, origin, title), "    faults stop"]
    lines += [f"    - {line}" for line in texts[1:]]
    seen = _listed(last)
    while what := found.scene.need(found.scene.eyes, seen):
        seen = read(last, seen, what)
    steps = "; ".join(f"{key}: {step}" for key, step in found.scene.eyes.decide(seen).steps)
    return "\n".join([*lines, f"    - {text}: {standing(last)}", f"    and we say: {steps}"])
