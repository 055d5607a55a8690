"""Laws: `next_step` answers for every pair of manifest and state, following it always ends, and whatever crashes,
repeats or races, release is requested once per incarnation and delete is sent only after `completed` was seen.

The walk is exhaustive: every interleaving of two reconcilers with stale views, crashes between look and act, lost
answers, the service's own progress, and somebody else who ends, deletes or creates the job. Broken reconcilers are
kept beside it, to show that the walk can fail.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lifecycle.job import next_step, outwait, predict
from reconciler.lifecycle.runs import entry_of
from reconciler.lifecycle.steps import Action, Context, Done, Step, Verb, Wait
from reconciler.model.desired import Key, Kind, Source, Wanted
from reconciler.model.document import JobLifecycle
from reconciler.model.job import JobSpec
from reconciler.model.table import normalise
from reconciler.observed import Guard, LiveJob, Mark, TaskCounts

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
def test_following_the_steps_always_ends(wanted: Wanted | None, state: str | None, owner: str, prunes: bool) -> None:
    job = None if state is None else live(state, 1, owner=owner)
    context = replace(CONTEXT, prunes=prunes)
    for _ in range(14):
        step = next_step(wanted, job, context)
        match step:
            case Action():
                context = replace(context, run=None if step.verb is Verb.FORGET else step.run or context.run)
                job = predict(wanted, job, step)
                if step.verb is Verb.CREATE:  # `Always` begins anew for ever: once is enough here
                    context = replace(context, now="")
            case Wait():
                job = outwait(job)
            case _:
                return
    pytest.fail(f"no end: {step}")


@dataclass(frozen=True)
class Seen:
    """What a reconciler knows when it decides. *remembered*: what the ledger says, None before it was read."""

    state: str | None
    born: int
    ours: bool
    pool: str
    remembered: bool | None


@dataclass(frozen=True)
class World:
    """The service's side of one job id, our ledger, and what two reconcilers last saw of both.

    *asked* lists incarnations whose release somebody of us asked for; *deleted* the states in which a delete of ours
    arrived; *ran* incarnations that ran to their end and were removed when their time was over; *created* those that we
    created; *views* is None where a reconciler has not looked.
    """

    state: str | None = "active"
    born: int = 1
    ours: bool = True
    pool: str = "p"
    remembered: bool = False
    asked: tuple[int, ...] = ()
    deleted: tuple[tuple[int, str], ...] = ()
    ran: bool = False
    repeated: bool = False
    touched_foreign: bool = False
    views: tuple[Seen | None, ...] = (None, None)


@dataclass(frozen=True)
class Story:
    """A manifest, and where it begins. *grows*: another run of ours, with the manifest still there, may create it."""

    wanted: Wanted | None
    start: World = World()
    grows: bool = False


STORIES = {
    "it leaves the manifests": Story(None, grows=True),
    "it is replaced": Story(manifest("other")),
    "it is disabled": Story(manifest(state="Disabled")),
    "it moves": Story(manifest(pool="q")),
    "it moves and is disabled": Story(manifest(pool="q", state="Disabled")),
    "its time is over": Story(manifest(**TTL), World(state="completed")),
}
Decide = Callable[[Story, Seen], tuple[Action, int | None] | None]


def job_of(seen: Seen) -> LiveJob | None:
    """The job as it was seen; incarnations that we created are as the manifest of a replacement says."""
    if seen.state is None:
        return None
    release = "other" if seen.born > 1 and seen.ours else "release"
    return live(seen.state, seen.born, owner="s" if seen.ours else "other", release=release, pool=seen.pool)


def decide(story: Story, seen: Seen) -> tuple[Action, int | None] | None:
    """What our code answers: an action and the incarnation it is guarded by."""
    if seen.remembered is None:
        return None
    wanted = story.wanted
    run = entry_of(wanted, live("completed", 1), CONTEXT) if seen.remembered and wanted is not None else None
    job = job_of(seen)
    step: Step = next_step(wanted, job, replace(CONTEXT, run=run))
    if not isinstance(step, Action):
        return None
    return step, int(step.guard.born) if step.guard else None


def without_guard(story: Story, seen: Seen) -> tuple[Action, int | None] | None:
    answer = decide(story, seen)
    return (answer[0], None) if answer else None


def too_eager(story: Story, seen: Seen) -> tuple[Action, int | None] | None:
    if seen.state == "terminating" and seen.ours:
        return Action(Verb.DELETE, ""), seen.born
    return decide(story, seen)


def too_hasty(story: Story, seen: Seen) -> tuple[Action, int | None] | None:
    """Decides before it has read the ledger."""
    return decide(story, seen if seen.remembered is not None else replace(seen, remembered=False))


def successors(world: World, story: Story, reconcile: Decide) -> Iterator[tuple[str, World]]:
    """Everything that may happen next."""
    for who, view in enumerate(world.views):
        now = Seen(world.state, world.born, world.ours, world.pool, None)
        yield f"reconciler {who} looks", seen_by(world, who, now)
        if view is not None:
            yield f"reconciler {who} reads the ledger", seen_by(world, who, replace(view, remembered=world.remembered))
            yield f"reconciler {who} crashes", seen_by(world, who, None)
            answer = reconcile(story, view)
            if answer is not None:
                verb = answer[0].verb
                written = replace(world, remembered=True) if answer[0].run is not None else world
                after = serve(written, *answer)
                yield f"reconciler {who} writes, and crashes", seen_by(written, who, None)
                yield f"reconciler {who} sends {verb}, answered", seen_by(after, who, None)
                yield f"reconciler {who} sends {verb}, answer lost and repeated", serve(after, *answer)
    match world.state:
        case "terminating":
            yield "release ends", replace(world, state="completed")
        case "deleting":
            yield "service forgets it", replace(world, state=None)
        case "disabling":
            yield "its tasks have ended", replace(world, state="disabled")
        case "active":
            yield "somebody terminates it", replace(world, state="terminating")
        case "completed":
            yield "somebody deletes it", replace(world, state="deleting")
        case None if world.born < 3:
            yield "somebody creates it anew", begun(world, ours=False)
            if story.grows:
                yield "another run of ours creates it anew", begun(world, ours=True)


def begun(world: World, *, ours: bool, pool: str = "p") -> World:
    return replace(world, state="active", born=world.born + 1, ours=ours, pool=pool)


def seen_by(world: World, who: int, view: Seen | None) -> World:
    return replace(world, views=tuple(view if at == who else old for at, old in enumerate(world.views)))


def serve(world: World, action: Action, born: int | None) -> World:
    """The service's answer to one of our requests: 412 for another incarnation, 409 for another state."""
    verb = action.verb
    if verb is Verb.FORGET:
        return replace(world, remembered=False)
    if verb is Verb.CREATE:
        if world.state is not None or world.born >= 3:
            return world
        pool = action.body["poolInfo"]["poolId"]
        return replace(begun(world, ours=True, pool=pool), repeated=world.repeated or world.ran)
    if world.state is None or (born is not None and born != world.born) or world.state == "deleting":
        return world
    if not world.ours:
        return replace(world, touched_foreign=True)
    running = world.state in ("active", "disabling", "disabled")
    if verb is Verb.TERMINATE and running:
        return replace(world, state="terminating", asked=(*world.asked, world.born))
    if verb is Verb.DISABLE and world.state == "active":
        return replace(world, state="disabling")
    if verb is Verb.ENABLE and world.state in ("disabling", "disabled"):
        return replace(world, state="active")
    if verb is Verb.UPDATE and running:
        moves = any(row.top == "poolInfo" for row in action.changes)
        if moves and world.state != "disabled":
            return world
        return replace(world, pool=action.body["poolInfo"]["poolId"] if moves else world.pool)
    if verb is Verb.DELETE:
        # Delete of a job that has not ended is accepted by the service and releases (or cuts a running release).
        deleted = (*world.deleted, (world.born, world.state))
        return replace(world, state="deleting", deleted=deleted, ran=world.ran or action.run is not None)
    return world


def broken(world: World) -> str | None:
    """Which promise this world breaks."""
    if any(world.asked.count(born) > 1 for born in world.asked):
        return "release was asked for twice"
    if any(state != "completed" for _, state in world.deleted):
        return "delete was sent to a job that had not completed"
    if world.touched_foreign:
        return "somebody else's job was touched"
    if world.repeated:
        return "finished work was repeated"
    return None


def walk(story: Story, reconcile: Decide, most: int = 200_000) -> tuple[set[World], str | None]:
    """States reached, and the tale of the first broken promise."""
    tales: dict[World, tuple[World, str] | None] = {story.start: None}
    queue = deque([story.start])
    while queue:
        world = queue.popleft()
        if fault := broken(world):
            return set(tales), f"{fault}:{_told(tales, world)}"
        for what, after in successors(world, story, reconcile):
            if after not in tales:
                tales[after] = (world, what)
                queue.append(after)
        assert len(tales) < most, "the walk does not end"
    return set(tales), None


def _told(tales: dict[World, tuple[World, str] | None], world: World) -> str:
    before = tales[world]
    return f"{_told(tales, before[0])}\n  {before[1]}" if before else ""


GOALS: dict[str, Callable[[World], bool]] = {
    "it leaves the manifests": lambda world: world.state is None,
    "it is replaced": lambda world: world.state == "active" and world.born == 2 and world.ours,
    "it is disabled": lambda world: world.state == "disabled",
    "it moves": lambda world: world.state == "active" and world.pool == "q" and world.born == 1,
    "it moves and is disabled": lambda world: world.state == "disabled" and world.pool == "q",
    "its time is over": lambda world: world.state is None and world.remembered,
}


@pytest.mark.parametrize("name", STORIES)
def test_no_interleaving_breaks_a_promise(name: str) -> None:
    worlds, tale = walk(STORIES[name], cached(decide))
    assert tale is None, tale
    assert any(GOALS[name](world) for world in worlds)
    assert len(worlds) > 300


def cached(reconcile: Decide) -> Decide:
    """The same answers, each thought of once: deciding is pure."""
    known: dict[tuple[int, Seen], tuple[Action, int | None] | None] = {}

    def answer(story: Story, seen: Seen) -> tuple[Action, int | None] | None:
        key = (id(story), seen)
        if key not in known:
            known[key] = reconcile(story, seen)
        return known[key]

    return answer


@pytest.mark.parametrize(
    ("reconcile", "name", "fault"),
    [
        (without_guard, "it leaves the manifests", "somebody else's job was touched|delete was sent to a job that had"),
        (too_eager, "it leaves the manifests", "delete was sent to a job that had not completed"),
        (too_eager, "it is replaced", "delete was sent to a job that had not completed"),
        (too_hasty, "its time is over", "finished work was repeated"),
    ],
)
def test_the_walk_catches_a_broken_reconciler(reconcile: Decide, name: str, fault: str) -> None:
    _, tale = walk(STORIES[name], cached(reconcile))
    assert tale is not None
    assert any(tale.startswith(text) for text in fault.split("|")), tale


def test_once_nobody_interferes_the_road_ends() -> None:
    state: str | None = "active"
    for _ in range(10):
        step = next_step(None, None if state is None else live(state, 1), CONTEXT)
        if isinstance(step, Done):
            return
        match step:
            case Action(verb=Verb.TERMINATE):
                state = "terminating"
            case Action(verb=Verb.DELETE):
                state = "deleting"
            case Wait():
                state = {"terminating": "completed", "deleting": None}[str(state)]
    pytest.fail("the road did not end")
