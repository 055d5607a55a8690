"""Laws of pools: following the steps always ends, and no action of ours takes away a node that owes a release.

The walk is exhaustive for a pool of three nodes that is to have two, with a job on it that owes a release on every node
where a task of it ran: tasks start and end whenever the service likes, nodes go in any order it likes, the job may end,
and between our look and our request anything of this may happen. Two broken reconcilers show that the walk can fail.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lifecycle.pool import next_step, outwait, predict
from reconciler.lifecycle.steps import Action, Blocked, Consents, Context, Done, Step, Verb, Wait
from reconciler.model.desired import Key, Kind, Source, Wanted
from reconciler.model.document import PoolLifecycle
from reconciler.model.pool import PoolSpec
from reconciler.model.table import normalise
from reconciler.observed import Debt, Guard, LiveNode, LivePool, Mark, Tenant

JOB = Key.of(Kind.JOB, "j")
BODY: dict[str, Any] = {
    "vmSize": "Standard_D2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}
WRITTEN = "2026-01-01T00:00:00+00:00"
CONTEXT = Context("s", now="2026-01-02T00:00:00+00:00")


def manifest(life: dict[str, Any] | None = None, **spec: Any) -> Wanted:
    raw = {**BODY, **spec}
    normal, written = normalise(PoolSpec, raw), normalise(PoolSpec, raw, fill=False)
    return Wanted(Key.of(Kind.POOL, "p"), "p", normal, written, raw, PoolLifecycle(**(life or {})), Source("m", 1, 1))


def live(wanted: Wanted, members: tuple[LiveNode, ...] | None, **facts: Any) -> LivePool:
    mark = facts.pop("mark", Mark("s", wanted.digest))
    nodes: dict[str, int] = {}
    for node in members or ():
        nodes[node.state] = nodes.get(node.state, 0) + 1
    return LivePool(
        wanted.key, "p", "active", Guard("1", "1"), mark, wanted.spec,
        nodes=nodes, current=len(members or ()), members=members, **facts,
    )  # fmt: skip


# The walk: three nodes, of which one has to go


@dataclass(frozen=True)
class Node:
    """A node as the service knows it. *off*: scheduling is disabled; *debt*: a release of the job is owed there."""

    name: str
    off: bool = False
    busy: bool = False
    debt: bool = False


@dataclass(frozen=True)
class World:
    """The service's side. *aside* are the nodes that the mark names, *going* those that a resize takes away; *pending*
    is a request that was decided on and not sent yet; *lost* counts releases that were lost."""

    nodes: tuple[Node, ...] = (Node("a"), Node("b"), Node("c"))
    target: int = 3
    aside: frozenset[str] = frozenset()
    going: frozenset[str] = frozenset()
    job: str = "active"
    pending: tuple[Verb, tuple[str, ...]] | None = None
    lost: int = 0

    @property
    def is_resizing(self) -> bool:
        return bool(self.going) or len(self.nodes) > self.target


Decide = Callable[[World], Step]
SMALLER = manifest(targetDedicatedNodes=2)


def look(world: World) -> tuple[LivePool, Context]:
    """What a pass sees."""
    members = tuple(
        LiveNode(
            node.name,
            "running" if node.busy else "offline" if node.off else "idle",
            scheduling="disabled" if node.off else "enabled",
            running=int(node.busy),
        )
        for node in world.nodes
    )
    prints = frozenset(LiveNode(name, "idle").print for name in world.aside)
    spec = {**SMALLER.spec, "targetDedicatedNodes": world.target}
    allocation = "resizing" if world.is_resizing else "steady"
    mark = Mark("s", SMALLER.digest, aside=prints)
    pool = replace(live(SMALLER, members, mark=mark), spec=spec, allocation=allocation)
    owing = tuple(node.name for node in world.nodes if node.debt)
    if world.job == "completed":
        return pool, CONTEXT
    ending = world.job == "terminating"
    debts = (Debt(JOB, "j", owing, ending),) if owing else ()
    tenant = Tenant(JOB, "j", True, frozenset(owing) if ending else frozenset())
    return pool, replace(CONTEXT, debts=debts, tenants=(tenant,))


@cache
def decide(world: World) -> Step:
    pool, context = look(world)
    return next_step(SMALLER, pool, context)


@cache
def careless(world: World) -> Step:
    """Leaves the choice of nodes to the service, whatever they owe."""
    pool, _ = look(world)
    return next_step(SMALLER, pool, CONTEXT)


@cache
def hasty(world: World) -> Step:
    """Removes a node that owed nothing when looked at, without taking it off scheduling first."""
    step = decide(world)
    if isinstance(step, Action) and step.verb is Verb.CHOOSE_NODES and step.nodes:
        return replace(step, verb=Verb.REMOVE_NODES)
    return step


def successors(world: World, reconcile: Decide) -> Iterator[tuple[str, World]]:
    """Everything that may happen next."""
    if world.pending is None:
        step = reconcile(replace(world, lost=0))
        if isinstance(step, Action):
            yield f"we decide to {step}", replace(world, pending=(step.verb, step.nodes))
    else:
        yield f"we send {world.pending[0]}", replace(serve(world, *world.pending), pending=None)
        yield "we crash", replace(world, pending=None)
    yield from service(world)
    for node in world.nodes:
        if world.job == "active" and not node.off and not node.busy and node.name not in world.going:
            yield f"a task starts on {node.name}", changed(world, node, busy=True, debt=True)
    if world.job == "active" and not any(node.busy for node in world.nodes):
        yield "somebody terminates the job", replace(world, job="terminating")


def service(world: World) -> Iterator[tuple[str, World]]:
    """What the service does by itself, if only one lets it."""
    for node in world.nodes:
        if node.busy:
            yield f"the task on {node.name} ends", changed(world, node, busy=False)
        if world.job == "terminating" and node.debt:
            yield f"release ends on {node.name}", changed(world, node, debt=False)
        if not node.busy and (node.name in world.going or (not world.going and len(world.nodes) > world.target)):
            left = tuple(other for other in world.nodes if other is not node)
            lost = world.lost + node.debt
            yield f"{node.name} leaves", replace(world, nodes=left, going=world.going - {node.name}, lost=lost)
    if world.job == "terminating" and not any(node.debt for node in world.nodes):
        yield "the job is completed", replace(world, job="completed")


def changed(world: World, node: Node, **facts: Any) -> World:
    return replace(world, nodes=tuple(replace(n, **facts) if n is node else n for n in world.nodes))


def serve(world: World, verb: Verb, names: tuple[str, ...]) -> World:
    """The service's answer to one of our requests."""
    match verb:
        case Verb.CHOOSE_NODES:
            return replace(world, aside=frozenset(names))
        case Verb.DISABLE_SCHEDULING | Verb.ENABLE_SCHEDULING:
            off = verb is Verb.DISABLE_SCHEDULING
            nodes = tuple(replace(n, off=off) if n.name in names else n for n in world.nodes)
            return replace(world, nodes=nodes)
        case Verb.REMOVE_NODES if not world.is_resizing:
            going = frozenset(names) & {node.name for node in world.nodes}
            return replace(world, going=going, target=len(world.nodes) - len(going))
        case Verb.RESIZE if not world.is_resizing:
            return replace(world, target=2)
    return world


def walk(reconcile: Decide) -> tuple[dict[World, str], str | None]:
    """Every world that can be reached, and the story of the first release that was lost."""
    start = World()
    stories = {start: ""}
    queue = deque([start])
    while queue:
        world = queue.popleft()
        if world.lost:
            return stories, stories[world]
        for what, after in successors(world, reconcile):
            if after not in stories:
                stories[after] = f"{stories[world]}\n  {what}"
                queue.append(after)
        assert len(stories) < 200_000, "the walk does not end"
    return stories, None


def test_no_release_is_lost_whatever_happens_between_look_and_request() -> None:
    stories, story = walk(decide)
    assert story is None, story
    assert len(stories) > 500
    assert any(len(world.nodes) == 2 for world in stories)
    assert any(node.debt and node.name in world.aside for world in stories for node in world.nodes)


@pytest.mark.parametrize("reconcile", [careless, hasty])
def test_the_walk_catches_a_broken_reconciler(reconcile: Decide) -> None:
    _, story = walk(reconcile)
    assert story is not None
    assert "leaves" in story


def test_once_tasks_end_every_world_settles_with_no_node_left_off_scheduling() -> None:
    for start in walk(decide)[0]:
        world = replace(start, pending=None)
        for _ in range(40):
            while moves := [after for _, after in service(world)]:
                world = moves[0]
            step = decide(world)
            if not isinstance(step, Action):
                break
            world = serve(world, step.verb, step.nodes)
        assert isinstance(step, Done | Blocked), (start, step)
        assert not any(node.off for node in world.nodes), (start, world)
        assert not world.aside or isinstance(step, Blocked), (start, world)
        if isinstance(step, Done):
            assert len(world.nodes) == 2


# Roads: any pool, any manifest

names = st.sampled_from(
    ["idle", "running", "offline", "unusable", "starttaskfailed", "rebooting", "waitingforstarttask"]
)


@st.composite
def members(draw: Any) -> tuple[LiveNode, ...]:
    found = []
    for number in range(draw(st.integers(0, 4))):
        state = draw(names)
        off = state == "offline" or (state == "running" and draw(st.booleans()))
        booted = draw(st.sampled_from(["", "2025-12-31T00:00:00.1234567Z", "2026-01-01T12:00:00Z"]))
        dedicated, running = draw(st.booleans()), int(state == "running")
        found.append(LiveNode(f"n{number}", state, "disabled" if off else "enabled", dedicated, booted, running))
    return tuple(found)


@st.composite
def pools(draw: Any) -> LivePool:
    there = draw(members())
    scales = draw(st.booleans())
    spec = {"targetDedicatedNodes": draw(st.integers(0, 3)), "targetLowPriorityNodes": draw(st.integers(0, 2))}
    if scales:
        spec |= {"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes = 1;"}
    if draw(st.booleans()):
        spec["startTask"] = {"commandLine": "old"}
    aside = frozenset(node.print for node in there if draw(st.booleans()))
    mark = Mark("s", written=draw(st.sampled_from(["", WRITTEN])), aside=aside)
    known = there if draw(st.integers(0, 4)) else None
    pool = live(
        manifest(**spec), known, mark=mark, allocation=draw(st.sampled_from(["steady", "resizing", "stopping"]))
    )
    spot = sum(not node.dedicated for node in there)
    return replace(pool, current=len(there), spot=spot, state=draw(st.sampled_from(["active", "active", "deleting"])))


@st.composite
def manifests(draw: Any) -> Wanted | None:
    if draw(st.integers(0, 9)) == 0:
        return None
    spec: dict[str, Any] = {}
    if draw(st.booleans()):
        formula = draw(st.sampled_from(["$TargetDedicatedNodes = 1;", "$TargetDedicatedNodes = 2;"]))
        spec |= {"enableAutoScale": True, "autoScaleFormula": formula}
    else:
        spec |= {"targetDedicatedNodes": draw(st.integers(0, 3))}
    for name, value in (
        ("startTask", {"commandLine": "new"}),
        ("taskSlotsPerNode", 2),
        ("metadata", [{"name": "a", "value": "b"}]),
    ):
        if draw(st.booleans()):
            spec[name] = value
    life = {
        "rollout": draw(st.sampled_from(["WaitUntilEmpty", "ScaleToZero", "Replace"])),
        "nodeRollout": draw(st.sampled_from(["None", "RebootIdle", "ReimageIdle"])),
        "preventDestroy": draw(st.booleans()),
    }
    return manifest(life, **spec)


@st.composite
def contexts(draw: Any) -> Context:
    owing = tuple(draw(st.sets(st.sampled_from(["n0", "n1", "n2"]))))
    ending = draw(st.booleans())
    debts = (Debt(JOB, "j", owing, ending),) if draw(st.booleans()) else ()
    busy = draw(st.sampled_from([None, frozenset(), frozenset({"n0"})]))
    tenants = (Tenant(JOB, "j", True, busy),) if debts or draw(st.booleans()) else ()
    replaced = frozenset({(Key.of(Kind.POOL, "p"), "1")}) if draw(st.integers(0, 5)) == 0 else frozenset()
    agreed = frozenset({JOB}) if draw(st.booleans()) else frozenset()
    return replace(CONTEXT, debts=debts, tenants=tenants, consents=Consents(replace=replaced, release_loss=agreed))


@given(manifests(), pools(), contexts())
def test_following_the_steps_always_ends(wanted: Wanted | None, pool: LivePool, context: Context) -> None:
    there: LivePool | None = pool
    road: list[str] = []
    for _ in range(24):
        step = next_step(wanted, there, context)
        road.append(str(step))
        match step:
            case Action():
                there = predict(wanted, there, step)
            case Wait():
                there = outwait(there)
                debts = tuple(debt for debt in context.debts if not debt.ending)
                tenants = tuple(replace(tenant, busy=frozenset()) for tenant in context.tenants)
                context = replace(context, debts=debts, tenants=tenants)
            case _:
                return
    pytest.fail(f"no end: {road}")


@given(manifests(), pools(), contexts())
def test_no_step_touches_a_node_that_must_be_left_alone(
    wanted: Wanted | None, pool: LivePool, context: Context
) -> None:
    step = next_step(wanted, pool, context)
    if not isinstance(step, Action):
        return
    debts = [debt for debt in context.debts if debt.job not in context.consents.release_loss]
    owing = {node for debt in debts for node in debt.nodes}
    if any(not debt.nodes for debt in debts):
        owing = {node.id for node in pool.members or ()}
    nodes = {node.id: node for node in pool.members or ()}
    match step.verb:
        case Verb.DELETE:
            assert not debts
        case Verb.RESIZE:
            assert not debts or not pool.there.beyond(target(step)).total
        case Verb.REMOVE_NODES | Verb.REIMAGE_NODES:
            assert owing.isdisjoint(step.nodes)
            assert all(nodes[node].is_quiet for node in step.nodes)
        case Verb.REBOOT_NODES:
            assert all(nodes[node].is_quiet for node in step.nodes)
        case Verb.ENABLE_SCHEDULING:
            assert set(step.nodes) <= {node.id for node in pool.aside}
    if step.verb in (Verb.REBOOT_NODES, Verb.REIMAGE_NODES):
        assert not any(tenant.is_on(node) for tenant in context.tenants for node in step.nodes)


def target(step: Action) -> Any:
    wanted = {name: step.body.get(name, 0) for name in ("targetDedicatedNodes", "targetLowPriorityNodes")}
    return replace(live(manifest(**wanted), ()), current=0).targets
