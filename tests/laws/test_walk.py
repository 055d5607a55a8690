"""The promise about releases, proved by walking every interleaving of a model: whatever dies, repeats, races or lies.

Two reconcilers that may crash between any two requests, and decide with the real `for_decisions` and `make_plan`; a
network that delays and repeats requests and answers lists late, in pieces or not at all; a service that may do all that
the reference leaves open; and people who end, delete and make jobs, lose, restart and reimage nodes, resize pools. Time
is what may happen between any two steps. A walk goes on to closure: there is no depth, but a budget of faults and of
interferences, for each road.

Promises (`Walk.broken` names the one that is broken, and `Walk.story` tells how):

- release is asked for at most once for an incarnation, and never of a job that was seen to have ended;
- delete reaches a job only once it is completed, was seen so, and what its nodes did was read;
- no node is given up that owes a release, as far as what was read after its scheduling was disabled can tell; what
  others start after that read is told, and counted;
- no node is restarted by us during a release that we asked for, or that we saw;
- nothing of others is touched, no finished work repeated;
- from every world that is reached, once faults stop, every order of things ends, and ends where the manifests say.

What is not protected, and is counted as told or left out: a request without a condition that the network holds up until
after the node has restarted, or that lets go of a node which another run has taken off scheduling meanwhile (it stays
off); what others start on the nodes of a pool between our look and its delete; a create that is held up for as long as
the whole time to live of a job.

Not in the model: preparation that still runs when a job ends, more than one job at a time on a pool, autoscale,
preemption, --dangerous-force, the approval of plans and the lock (each pass may do all that its own plan says), single
tasks.

Deeper, about five minutes of CPU: `pytest -m slow tests/laws/test_walk.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from laws.walk.explore import unending, walk
from laws.walk.moves import Scene, honest
from laws.walk.scenes import SCENES
from laws.walk.sight import Eyes
from laws.walk.world import Pass, Readings, Request, World

from reconciler.lifecycle.steps import Verb

NETWORK = frozenset({"delay", "repeat", "lag", "unread"})
LAG = frozenset({"lag"})
LATE = frozenset({"delay", "repeat"})


def prepared(name: str, faults: int, outsiders: int, network: frozenset[str] = NETWORK, **facts: Any) -> Scene:
    scene = SCENES[name]
    return replace(scene, network=network, start=scene.start._replace(faults=faults, outsiders=outsiders), **facts)


def proved(scene: Scene, most: int = 400_000) -> dict[str, int]:
    """Walks a road to closure; figures for those who want them."""
    found = walk(scene, most)
    assert not found.broken, found.story
    assert any(scene.goal(world) for world in found.worlds)
    story = unending(found)
    assert not story, story
    return {"states": len(found.worlds), "told": found.told}


QUICK = [
    ("a job leaves the manifests", 1, 1, NETWORK),
    ("a job leaves and its release may fail", 1, 0, NETWORK),
    ("a job leaves and its release may fail", 0, 1, NETWORK),
    ("a job is replaced", 1, 0, NETWORK),
    ("a job is replaced", 0, 1, NETWORK),
    ("a job is to be completed", 1, 1, NETWORK),
    ("a job is disabled", 1, 1, NETWORK),
    ("a job moves", 1, 0, NETWORK),
    ("a job moves", 0, 1, NETWORK),
    ("a job's time is over", 1, 1, NETWORK),
    ("a schedule leaves", 1, 0, LATE),
    ("a schedule leaves", 0, 1, NETWORK),
    ("a schedule is replaced", 0, 0, NETWORK),
    ("a schedule's history is full", 1, 0, NETWORK),
    ("a schedule's history is full", 0, 1, NETWORK),
    ("a pool leaves with its job", 1, 0, NETWORK),
    ("a pool leaves with its job", 0, 1, NETWORK),
    ("a pool leaves, a job of others goes on", 1, 1, NETWORK),
    ("a pool is replaced, its job leaves", 1, 0, LATE),
    ("a pool is replaced, its job leaves", 0, 1, NETWORK),
    ("a pool is replaced for a field", 0, 1, NETWORK),
    ("a pool shrinks, a job of others goes on", 0, 0, NETWORK),
    ("nodes restart, a job of others goes on", 0, 1, NETWORK),
    ("nodes restart, a job leaves", 0, 0, NETWORK),
    ("nodes are reimaged, a job of others goes on", 0, 1, NETWORK),
]
DEEP = [
    *((name, 1, 1, NETWORK) for name in SCENES if name.startswith(("a job", "a schedule", "a pool leaves"))),
    ("a job leaves the manifests", 2, 2, NETWORK),
    ("a job is to be completed", 2, 2, NETWORK),
    ("a job is disabled", 2, 2, NETWORK),
    ("a pool is replaced, its job leaves", 1, 1, LATE),
    ("a pool is replaced for a field", 1, 1, LATE),
    ("a pool shrinks, a job of others goes on", 1, 0, NETWORK),
    ("a pool shrinks, a job of others goes on", 0, 1, NETWORK),
    ("a pool shrinks, its job leaves", 0, 0, NETWORK),
    ("nodes restart, a job of others goes on", 1, 0, NETWORK),
    ("nodes restart, a job leaves", 1, 0, LATE),
    ("nodes restart, a job leaves", 0, 1, NETWORK),
    ("nodes are reimaged, a job of others goes on", 1, 0, NETWORK),
]  # fmt: skip


@pytest.mark.parametrize(("name", "faults", "outsiders", "network"), QUICK)
def test_no_interleaving_breaks_a_promise(name: str, faults: int, outsiders: int, network: frozenset[str]) -> None:
    proved(prepared(name, faults, outsiders, network))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "faults", "outsiders", "network"), DEEP)
def test_no_interleaving_breaks_a_promise_with_more_of_everything(
    name: str, faults: int, outsiders: int, network: frozenset[str], record_property: Callable[[str, object], None]
) -> None:
    for figure in proved(prepared(name, faults, outsiders, network), 2_500_000).items():
        record_property(*figure)


EVERY = [Readings(*((one,) for one in chosen)) for chosen in product(*Readings())]
ROADS = ("a job leaves the manifests", "a job is replaced", "a schedule leaves", "a pool leaves with its job")


def test_no_reading_of_what_is_unknown_breaks_a_promise() -> None:
    """One by one; the other walks let the service choose anew each time, which is more than any one reading allows."""
    for readings in EVERY:
        proved(prepared("a job leaves the manifests", 0, 1, readings=readings))


@pytest.mark.slow
@pytest.mark.parametrize("readings", EVERY, ids=lambda readings: " ".join(one for (one,) in readings))
@pytest.mark.parametrize("name", ROADS)
def test_no_reading_of_what_is_unknown_breaks_a_promise_on_any_road(
    name: str, readings: Readings, record_property: Callable[[str, object], None]
) -> None:
    for figure in proved(prepared(name, 0, 1, readings=readings)).items():
        record_property(*figure)


# Broken reconcilers: a walk that cannot fail proves nothing


def deletes_at_once(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Does not wait for the release tasks."""
    job = seen.jobs[0]
    if job is not None and job.state == "terminating" and job.owner == "s":
        return (_request(seen, Verb.DELETE, receipt=True),)
    return honest(eyes, seen)


def ends_again(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Ends what has ended, to be sure."""
    job = seen.jobs[0]
    if job is not None and job.state == "completed" and job.owner == "s":
        return (_request(seen, Verb.TERMINATE),)
    return honest(eyes, seen)


def _request(seen: Pass, verb: Verb, key: str = "0", receipt: bool = False) -> Request:
    job = seen.jobs[0]
    assert job is not None
    return Request(key, verb, True, (), job.state, job.born, frozenset(), frozenset(), True, receipt, 0)


def never_deletes(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    return tuple(request for request in honest(eyes, seen) if request.verb is not Verb.DELETE)


def goes_back_and_forth(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Enables what it has disabled."""
    requests = honest(eyes, seen)
    job = seen.jobs[0]
    if not requests and job is not None and job.state == "disabled":
        return (_request(seen, Verb.ENABLE),)
    return requests


def forgets_children(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Deletes a disabled schedule, whatever jobs it has."""
    if seen.schedule is not None and seen.schedule.state == "disabled" and seen.jobs[0] is not None:
        return (_request(seen, Verb.DELETE, "s"),)
    return honest(eyes, seen)


def removes_what_it_chose(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Removes nodes that owed nothing when looked at, without taking them off scheduling first."""
    return tuple(
        request._replace(verb=Verb.REMOVE_NODES) if request.verb is Verb.CHOOSE_NODES and request.args else request
        for request in honest(eyes, seen)
    )


def takes_what_it_disables(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Takes nodes that are about to go for quiet, without looking at them again."""
    nodes = seen.nodes and tuple(
        node._replace(off=True, busy=0) if seen.pool is not None and node.name in seen.pool.aside else node
        for node in seen.nodes
    )
    return honest(eyes, seen._replace(nodes=nodes))


def sees_no_debt(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Takes it for granted that nobody owes or runs a release; what was shown is kept for the verdict."""
    owed, due = eyes._debts(seen)
    jobs = tuple(job if job is None or job.owner == "s" else None for job in seen.jobs)
    blind = seen._replace(jobs=jobs, runs=seen.runs and tuple(() for _ in seen.runs))
    return tuple(request._replace(owed=owed, due=due) for request in honest(eyes, blind))


def believes_an_unread_listing(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Takes jobs that could not be listed for absent ones."""
    requests = honest(eyes, seen._replace(unread=False))
    return tuple(request._replace(full=not seen.unread) for request in requests)


def asks_no_ledger(eyes: Eyes, seen: Pass) -> str:
    need = eyes.need(seen)
    return "" if need == "ledger" else need


def reads_no_results(eyes: Eyes, seen: Pass) -> str:
    need = eyes.need(seen)
    return "" if need == "runs" else need


def erases_unread(eyes: Eyes, seen: Pass) -> tuple[Request, ...]:
    """Deletes a completed job before it has read what its nodes did."""
    job = seen.jobs[0]
    if job is not None and job.state == "completed" and job.owner == "s" and seen.runs is None:
        return (_request(seen, Verb.DELETE),)
    return honest(eyes, seen)


def reads_debts_first(eyes: Eyes, seen: Pass) -> str:
    """Reads what the nodes owe before it reads whether their scheduling is disabled."""
    need = eyes.need(seen)
    if need == "nodes" and seen.runs is None and any(seen.jobs) and eyes.need(seen._replace(nodes=())) == "runs":
        return "runs"
    return need


BROKEN: list[tuple[str, str, dict[str, Any], str]] = [
    ("no guard", "a job leaves the manifests", {"guarded": False}, "somebody else's job was touched"),
    (
        "no guard, another run",
        "a job leaves the manifests",
        {"guarded": False, "others": frozenset({"delete", "rerun"}), "outsiders": 2},
        "delete was sent before `completed` was seen|another incarnation was ended than the one that was looked at",
    ),
    (
        "trusts a list that is out of date",
        "a job leaves the manifests",
        {"guarded": False, "network": LAG, "faults": 1, "outsiders": 2, "others": frozenset({"delete", "create"})},
        "somebody else's job was touched",
    ),
    (
        "deletes while terminating",
        "a job leaves the manifests",
        {"decide": deletes_at_once},
        "delete was sent before `completed` was seen",
    ),
    (
        "deletes while terminating, replaced",
        "a job is replaced",
        {"decide": deletes_at_once},
        "delete was sent before `completed` was seen",
    ),
    (
        "terminates again on completed",
        "a job leaves the manifests",
        {"decide": ends_again},
        "a job was asked to end that was seen to have ended",
    ),
    (
        "erases evidence",
        "a job leaves the manifests",
        {"decide": erases_unread, "need": reads_no_results},
        "what its nodes did was erased before it was read",
    ),
    (
        "decides before it reads the ledger",
        "a job's time is over",
        {"need": asks_no_ledger},
        "finished work was repeated",
    ),
    (
        "deletes a schedule over its jobs",
        "a schedule leaves",
        {"decide": forgets_children, "fresh": False},
        "a schedule was deleted over a job that had not completed",
    ),
    (
        "no second look at a schedule's jobs",
        "a schedule leaves",
        {"fresh": False, "network": LAG, "faults": 1, "outsiders": 1},
        "a schedule was deleted over a job that had not completed",
    ),
    (
        "acts over an unread listing of a schedule's jobs",
        "a schedule leaves",
        {"decide": believes_an_unread_listing, "fresh": False, "faults": 1},
        "a schedule was deleted over a job that had not completed",
    ),
    (
        "acts over an unread listing of a pool's jobs",
        "a pool leaves, a job of others goes on",
        {"decide": believes_an_unread_listing, "faults": 1},
        "nodes were given up although the jobs could not be listed",
    ),
    (
        "shrinks without disabling",
        "a pool shrinks, a job of others goes on",
        {"decide": removes_what_it_chose, "fresh": False},
        "a node that owes a release was removed by name",
    ),
    (
        "shrinks without looking at what it disabled",
        "a pool shrinks, a job of others goes on",
        {"decide": takes_what_it_disables, "fresh": False},
        "a node that owes a release was removed by name",
    ),
    (
        "shrinks on what was owed before it looked at scheduling",
        "a pool shrinks, a job of others goes on",
        {"need": reads_debts_first},
        "a node that owes a release was removed by name",
    ),
    (
        "leaves the choice of nodes to the service",
        "a pool shrinks, a job of others goes on",
        {"decide": sees_no_debt},
        "a node was given up that was seen to owe a release",
    ),
    (
        "restarts nodes during a release",
        "nodes restart, a job leaves",
        {"decide": sees_no_debt},
        "a node was restarted on which a release was seen to be due|"
        "a node was restarted during a release that we asked for",
    ),
    (
        "restarts nodes without looking at them again",
        "nodes restart, a job leaves",
        {"fresh": False, "outsiders": 1, "others": frozenset({"reboot"})},
        "a node was restarted during a release that we asked for",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "facts", "verdict"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_the_walk_catches_a_broken_reconciler(name: str, facts: dict[str, Any], verdict: str) -> None:
    facts = dict(facts)
    budget = facts.pop("faults", 0), facts.pop("outsiders", 1)
    found = walk(prepared(name, *budget, **facts))
    assert found.broken is not None
    assert found.broken.wrong in verdict.split("|"), found.story
    assert "   1. " in found.story


@pytest.mark.parametrize(
    ("decide", "name", "verdict"),
    [
        (never_deletes, "a job leaves the manifests", "the road ends elsewhere"),
        (goes_back_and_forth, "a job is disabled", "the road goes round in circles"),
    ],
)
def test_the_walk_catches_a_road_that_does_not_end(
    decide: Callable[[Eyes, Pass], tuple[Request, ...]], name: str, verdict: str
) -> None:
    found = walk(prepared(name, 0, 0, decide=decide))
    assert verdict in unending(found)


def test_a_story_is_told_line_by_line() -> None:
    found = walk(prepared("a job leaves the manifests", 0, 0, decide=deletes_at_once))
    assert found.story.splitlines() == [
        "a job leaves the manifests: delete was sent before `completed` was seen",
        "    0. at first: job 1 active (release: a owed); node a; pool active to 1",
        "    1. the job ends by itself: job 1 terminating (release: a owed); node a; pool active to 1",
        "    2. reconciler 1 lists the account: job 1 terminating (release: a owed); node a; pool active to 1",
        "    3. reconciler 1 reads what the nodes did and decides to delete (the job): "
        "job 1 terminating (release: a owed); node a; pool active to 1",
        "    4. reconciler 1 sends delete (the job): job 1 deleting (release: a cut); node a; pool active to 1",
    ]


def test_a_dead_node_is_waited_for_until_somebody_brings_it_back_or_drops_it() -> None:
    """Under the reading that a job waits for ever, nothing that we may do without a person ends the wait."""
    scene = prepared("a job leaves the manifests", 0, 1, readings=replace_dead("waits"))
    stuck = [world for world in walk(scene).worlds if _waits_on_the_dead(world)]
    assert stuck
    assert not any(world.jobs[0] is None for world in stuck)


def replace_dead(reading: str) -> Readings:
    return Readings()._replace(dead=(reading,))


def _waits_on_the_dead(world: World) -> bool:
    job = world.jobs[0]
    dead = {node.name for node in world.nodes if node.state == "dead"}
    return job is not None and job.state == "terminating" and any(name in dead for name, _ in job.runs)
