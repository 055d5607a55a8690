"""Laws of the steps: `next_step` answers for every pair of manifest and state, following it always ends, and no step
touches a node that must be left alone. What happens when it does not go as forecast is walked in `test_walk.py`.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lifecycle import job as job_life
from reconciler.lifecycle import pool as pool_life
from reconciler.lifecycle.steps import Action, Consents, Context, Verb, Wait
from reconciler.model.desired import Key, Kind, Source, Wanted
from reconciler.model.document import JobLifecycle, PoolLifecycle
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.table import normalise
from reconciler.observed import Debt, Guard, LiveJob, LiveNode, LivePool, Mark, TaskCounts, Tenant

CONTEXT = Context("s", now="2030-01-02T00:00:00Z")
BODY: dict[str, Any] = {
    "poolInfo": {"poolId": "p"},
    "jobPreparationTask": {"commandLine": "prepare"},
    "jobReleaseTask": {"commandLine": "release"},
}
STATES = ("active", "enabling", "disabling", "disabled", "terminating", "completed", "deleting")
TTL: dict[str, Any] = {"ttlAfterCompletion": {"success": "PT1H", "failure": "PT1H"}}


def manifest(release: str = "release", pool: str = "p", **life: Any) -> Wanted:
    raw = {**BODY, "jobReleaseTask": {"commandLine": release}, "poolInfo": {"poolId": pool}}
    normal = normalise(JobSpec, raw)
    written = normalise(JobSpec, raw, fill=False)
    lifecycle = JobLifecycle.model_validate(life)
    return Wanted(Key.of(Kind.JOB, "j"), "j", normal, written, raw, lifecycle, Source("m", 1, 1))


def live(state: str, born: int, *, owner: str = "s", release: str = "release", pool: str = "p") -> LiveJob:
    wanted = manifest(release, pool)
    mark = Mark(owner, wanted.digest, wanted.tasks_digest)
    ended = "2030-01-01T00:00:00Z" if state == "completed" else ""
    facts: dict[str, Any] = {"nodes": (), "counts": TaskCounts(), "ended": ended}
    return LiveJob(wanted.key, "j", state, Guard(str(born), str(born)), mark, wanted.spec, **facts)


@given(
    st.sampled_from(
        [
            None,
            manifest(),
            manifest("other"),
            manifest(pool="q"),
            manifest(state="Completed"),
            manifest(state="Disabled"),
            manifest(pool="q", state="Disabled"),
            manifest(replace="Never"),
            manifest(replace="WhenIdle", release="other"),
            manifest(**TTL),
            manifest(runPolicy="Always", **TTL),
        ]
    ),
    st.sampled_from([None, *STATES, "hibernating"]),
    st.sampled_from(["s", "other"]),
    st.booleans(),
)
def test_the_road_of_every_job_ends(wanted: Wanted | None, state: str | None, owner: str, prunes: bool) -> None:
    job = None if state is None else live(state, 1, owner=owner)
    context = replace(CONTEXT, prunes=prunes)
    for _ in range(14):
        step = job_life.next_step(wanted, job, context)
        match step:
            case Action():
                context = replace(context, run=None if step.verb is Verb.FORGET else step.run or context.run)
                job = job_life.predict(wanted, job, step)
                if step.verb is Verb.CREATE:  # `Always` begins anew for ever: once is enough here
                    context = replace(context, now="")
            case Wait():
                job = job_life.outwait(job)
            case _:
                return
    pytest.fail(f"no end: {step}")


# Pools

JOB = Key.of(Kind.JOB, "j")
POOL: dict[str, Any] = {
    "vmSize": "Standard_D2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}
WRITTEN = "2026-01-01T00:00:00+00:00"


def pool_manifest(life: dict[str, Any] | None = None, **spec: Any) -> Wanted:
    raw = {**POOL, **spec}
    normal, written = normalise(PoolSpec, raw), normalise(PoolSpec, raw, fill=False)
    return Wanted(Key.of(Kind.POOL, "p"), "p", normal, written, raw, PoolLifecycle(**(life or {})), Source("m", 1, 1))


def live_pool(wanted: Wanted, members: tuple[LiveNode, ...] | None, **facts: Any) -> LivePool:
    mark = facts.pop("mark", Mark("s", wanted.digest))
    nodes: dict[str, int] = {}
    for node in members or ():
        nodes[node.state] = nodes.get(node.state, 0) + 1
    return LivePool(
        wanted.key, "p", "active", Guard("1", "1"), mark, wanted.spec,
        nodes=nodes, current=len(members or ()), members=members, **facts,
    )  # fmt: skip


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
    pool = live_pool(
        pool_manifest(**spec), known, mark=mark, allocation=draw(st.sampled_from(["steady", "resizing", "stopping"]))
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
    return pool_manifest(life, **spec)


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
def test_the_road_of_every_pool_ends(wanted: Wanted | None, pool: LivePool, context: Context) -> None:
    there: LivePool | None = pool
    road: list[str] = []
    for _ in range(24):
        step = pool_life.next_step(wanted, there, context)
        road.append(str(step))
        match step:
            case Action():
                there = pool_life.predict(wanted, there, step)
            case Wait():
                there = pool_life.outwait(there)
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
    step = pool_life.next_step(wanted, pool, context)
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
    return replace(live_pool(pool_manifest(**wanted), ()), current=0).targets
