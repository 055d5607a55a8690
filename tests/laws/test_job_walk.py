"""Laws: `next_step` answers for every pair of manifest and state, following it always ends, and whatever crashes,
repeats or races, release is requested once per incarnation and delete is sent only after `completed` was seen.

The walk is exhaustive: every interleaving of two reconcilers with stale views, crashes between look and act, lost
answers, the service's own progress, and somebody else who ends, deletes or creates the job. Two broken reconcilers are
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
from reconciler.lifecycle.steps import Action, Context, Done, Step, Verb, Wait
from reconciler.model.desired import Key, Kind, Source, Wanted
from reconciler.model.document import JobLifecycle
from reconciler.model.job import JobSpec
from reconciler.model.table import normalise
from reconciler.observed import Guard, LiveJob, Mark

CONTEXT = Context("s")
BODY: dict[str, Any] = {
    "poolInfo": {"poolId": "p"},
    "jobPreparationTask": {"commandLine": "prepare"},
    "jobReleaseTask": {"commandLine": "release"},
}
STATES = ("active", "enabling", "disabling", "disabled", "terminating", "completed", "deleting")


def manifest(release: str = "release", **life: Any) -> Wanted:
    raw = {**BODY, "jobReleaseTask": {"commandLine": release}}
    normal = normalise(JobSpec, raw)
    written = normalise(JobSpec, raw, fill=False)
    return Wanted(Key.of(Kind.JOB, "j"), "j", normal, written, raw, JobLifecycle(**life), Source("m", 1, 1))


def live(state: str, born: int, *, owner: str = "s", release: str = "release") -> LiveJob:
    wanted = manifest(release)
    mark = Mark(owner, wanted.digest, wanted.tasks_digest)
    return LiveJob(wanted.key, "j", state, Guard(str(born), str(born)), mark, wanted.spec, nodes=())


@given(
    st.sampled_from([None, manifest(), manifest("other"), manifest(state="Completed"), manifest(replace="Never")]),
    st.sampled_from([None, *STATES, "hibernating"]),
    st.sampled_from(["s", "other"]),
    st.booleans(),
)
def test_following_the_steps_always_ends(wanted: Wanted | None, state: str | None, owner: str, prunes: bool) -> None:
    job = None if state is None else live(state, 1, owner=owner)
    context = replace(CONTEXT, prunes=prunes)
    for _ in range(12):
        step = next_step(wanted, job, context)
        match step:
            case Action():
                job = predict(wanted, job, step)
            case Wait():
                job = outwait(job)
            case _:
                return
    pytest.fail(f"no end: {step}")


@dataclass(frozen=True)
class World:
    """The service's side of one job id, and what two reconcilers last saw of it.

    *asked* lists incarnations whose release somebody of us asked for, *outside* those ended by somebody else;
    *deleted* the states in which a delete of ours arrived; *views* is None where a reconciler has not looked.
    """

    state: str | None = "active"
    born: int = 1
    ours: bool = True
    asked: tuple[int, ...] = ()
    released: tuple[int, ...] = ()
    deleted: tuple[tuple[int, str], ...] = ()
    touched_foreign: bool = False
    views: tuple[tuple[str, int, bool] | str | None, ...] = ("unseen", "unseen")


Decide = Callable[[tuple[str, int, bool] | None], tuple[Verb, int | None] | None]


def decide(seen: tuple[str, int, bool] | None) -> tuple[Verb, int | None] | None:
    """What our code answers for a job that leaves the manifests: a verb and the incarnation it is guarded by."""
    job = None if seen is None else live(seen[0], seen[1], owner="s" if seen[2] else "other")
    step: Step = next_step(None, job, CONTEXT)
    return (step.verb, int(step.guard.born)) if isinstance(step, Action) and step.guard else None


def without_guard(seen: tuple[str, int, bool] | None) -> tuple[Verb, int | None] | None:
    answer = decide(seen)
    return (answer[0], None) if answer else None


def too_eager(seen: tuple[str, int, bool] | None) -> tuple[Verb, int | None] | None:
    if seen is not None and seen[0] == "terminating" and seen[2]:
        return (Verb.DELETE, seen[1])
    return decide(seen)


def successors(world: World, reconcile: Decide) -> Iterator[tuple[str, World]]:
    """Everything that may happen next."""
    for who, view in enumerate(world.views):
        now = None if world.state is None else (world.state, world.born, world.ours)
        yield f"reconciler {who} looks", seen_by(world, who, now)
        if view != "unseen":
            assert not isinstance(view, str)
            yield f"reconciler {who} crashes", seen_by(world, who, "unseen")
            answer = reconcile(view)
            if answer is not None:
                after = serve(world, *answer)
                yield f"reconciler {who} sends {answer[0]}, answered", seen_by(after, who, "unseen")
                yield f"reconciler {who} sends {answer[0]}, answer lost and repeated", serve(after, *answer)
    match world.state:
        case "terminating":
            yield "release ends", replace(world, state="completed", released=(*world.released, world.born))
        case "deleting":
            yield "service forgets it", replace(world, state=None)
        case "active":
            yield "somebody terminates it", replace(world, state="terminating")
        case "completed":
            yield "somebody deletes it", replace(world, state="deleting")
        case None if world.born < 3:
            fresh = {"state": "active", "born": world.born + 1}
            yield "somebody creates it anew", replace(world, **fresh, ours=False)
            yield "another run of ours creates it anew", replace(world, **fresh, ours=True)


def seen_by(world: World, who: int, view: Any) -> World:
    return replace(world, views=tuple(view if at == who else old for at, old in enumerate(world.views)))


def serve(world: World, verb: Verb, born: int | None) -> World:
    """The service's answer to one of our requests: 412 for another incarnation, 409 for another state."""
    if world.state is None or (born is not None and born != world.born) or world.state == "deleting":
        return world
    if not world.ours:
        return replace(world, touched_foreign=True)
    if verb is Verb.TERMINATE and world.state == "active":
        return replace(world, state="terminating", asked=(*world.asked, world.born))
    if verb is Verb.DELETE:
        # Delete of a job that has not ended is accepted by the service and releases (or cuts a running release).
        return replace(world, state="deleting", deleted=(*world.deleted, (world.born, world.state)))
    return world


def broken(world: World) -> str | None:
    """Which promise this world breaks."""
    if any(world.asked.count(born) > 1 for born in world.asked):
        return "release was asked for twice"
    if any(state != "completed" for _, state in world.deleted):
        return "delete was sent to a job that had not completed"
    if world.touched_foreign:
        return "somebody else's job was touched"
    return None


def walk(reconcile: Decide, most: int = 200_000) -> tuple[int, str | None]:
    """States reached, and the story of the first broken promise."""
    start = World()
    stories = {start: ""}
    queue = deque([start])
    while queue:
        world = queue.popleft()
        if fault := broken(world):
            return len(stories), f"{fault}:{stories[world]}"
        for what, after in successors(world, reconcile):
            if after not in stories:
                stories[after] = f"{stories[world]}\n  {what}"
                queue.append(after)
        assert len(stories) < most, "the walk does not end"
    return len(stories), None


def test_no_interleaving_breaks_a_promise() -> None:
    states, story = walk(decide)
    assert story is None, story
    assert states > 300


@pytest.mark.parametrize(
    ("reconcile", "fault"),
    [
        (without_guard, "somebody else's job was touched|delete was sent to a job that had not completed"),
        (too_eager, "delete was sent to a job that had not completed"),
    ],
)
def test_the_walk_catches_a_broken_reconciler(reconcile: Decide, fault: str) -> None:
    _, story = walk(reconcile)
    assert story is not None
    assert any(story.startswith(text) for text in fault.split("|")), story


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
