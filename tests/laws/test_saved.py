"""Laws of saved plans: whatever happened since, what is done of one is what it showed, to the incarnation that it
showed or that it made itself; and the digest that people approve tells effects apart and nothing else."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.executor import Approvals
from reconciler.lifecycle import job as job_life
from reconciler.lifecycle.steps import Action, Verb, Wait
from reconciler.model.desired import Desired, Key, Kind, Stack, Wanted
from reconciler.observed import Guard, LiveJob, Observed
from reconciler.planning import Plan, make_plan
from reconciler.saved import FORMAT_VERSION, KIND, Saved, Sources
from tests.laws.test_roads import CONTEXT, STATES, TTL, live, manifest

NONCE = "0dd5eed5"
AT = "2030-01-02T00:00:00Z"
J = Key.of(Kind.JOB, "j")
manifests = st.sampled_from(
    [
        None,
        manifest(),
        manifest("other"),
        manifest(pool="q"),
        manifest(state="Completed"),
        manifest(state="Disabled"),
        manifest("other", state="Disabled"),
        manifest(**TTL),
    ]
)


@st.composite
def jobs(draw: Any) -> LiveJob | None:
    """A job as some manifest of ours made it, in some state; or none."""
    if draw(st.integers(0, 3)) == 0:
        return None
    release, pool = draw(st.sampled_from(["release", "other"])), draw(st.sampled_from(["p", "q"]))
    found = live(draw(st.sampled_from(STATES)), draw(st.integers(1, 2)), release=release, pool=pool)
    assert found.mark is not None
    nonce = draw(st.sampled_from(["", NONCE + "1", "another"]))
    spec = {**found.spec, "priority": draw(st.integers(0, 1))}
    return replace(found, spec=spec, mark=replace(found.mark, nonce=nonce))


def planned(wanted: Wanted | None, job: LiveJob | None) -> tuple[Desired, Plan]:
    desired = Desired(Stack("s", prunes=True), {wanted.key: wanted} if wanted else {})
    return desired, make_plan(desired, Observed({}, {job.key: job} if job else {}, AT, {}), CONTEXT)


def approvals(wanted: Wanted | None, before: LiveJob | None) -> tuple[Approvals, Plan]:
    """Of a plan that was written to a file and read again."""
    desired, plan = planned(wanted, before)
    made = Saved.of(
        plan, desired, CONTEXT, endpoint="here", account=None, sources=Sources("/", ("m",)), at=AT, nonce=NONCE
    )
    text = json.dumps({"kind": KIND, "format_version": FORMAT_VERSION, "apply": made.content()})
    return Approvals(Saved.parse(json.loads(text), "plan").approved), plan


def carried_out(
    approved: Approvals, wanted: Wanted | None, job: LiveJob | None
) -> tuple[list[Action], dict[str, list[Verb]]]:
    """All that a run would send, and to which incarnations; the service does as documented, and what is made carries
    the plan's nonce."""
    sent: list[Action] = []
    to: dict[str, list[Verb]] = {}
    for _ in range(14):
        entry = planned(wanted, job)[1].entries.get(J)
        if entry is None:
            break
        match entry.step:
            case Action() as action if approved.covers(entry):
                sent.append(action)
                to.setdefault(job.guard.born if job else "", []).append(action.verb)
                approved.done(J, action.verb)
                job = job_life.predict(wanted, job, action)
                if action.verb is Verb.CREATE and job is not None:
                    mark = replace(action.mark or job.mark, nonce=NONCE + "9")  # type: ignore[type-var]
                    job = replace(job, guard=Guard("9", "9"), mark=mark)
            case Wait():
                job = job_life.outwait(job)
            case _:
                break
    return sent, to


@settings(deadline=None)
@given(manifests, jobs(), jobs())
def test_what_is_done_of_a_saved_plan_is_what_it_showed(
    wanted: Wanted | None, before: LiveJob | None, later: LiveJob | None
) -> None:
    approved, plan = approvals(wanted, before)
    shown = plan.entries[J].actions if J in plan.entries else ()
    sent, to = carried_out(approved, wanted, later)
    rest = iter([action.verb for action in shown])
    assert all(action.verb in rest for action in sent)
    values = {(change.name, str(change.new)) for action in shown for change in action.changes}
    assert {(change.name, str(change.new)) for action in sent for change in action.changes} <= values
    if later is None or (before is not None and before.guard.born == later.guard.born):
        return
    verbs = [action.verb for action in shown]
    done = to.get(later.guard.born, [])
    if later.mark is None or not later.mark.nonce.startswith(NONCE):
        assert not done  # somebody else made it
    elif Verb.CREATE in verbs:  # what the plan made is not ended by what it showed for the one before
        rest = iter(verbs[verbs.index(Verb.CREATE) + 1 :])
        assert all(verb in rest for verb in done)


@settings(deadline=None, max_examples=50)
@given(manifests, jobs())
def test_a_saved_plan_that_nothing_came_between_is_done_to_its_end_and_then_used_up(
    wanted: Wanted | None, before: LiveJob | None
) -> None:
    approved, plan = approvals(wanted, before)
    shown = [action.verb for action in plan.entries[J].actions] if J in plan.entries else []
    assert [action.verb for action in carried_out(approved, wanted, before)[0]] == shown


@settings(deadline=None, max_examples=20)
@given(st.permutations(["a", "b", "c", "d"]), st.sampled_from(["0x1", "0x2"]), st.sampled_from([AT, "2031-01-01"]))
def test_the_digest_is_of_effects_alone(order: list[str], etag: str, at: str) -> None:
    def digest(names: list[str], etag: str, at: str) -> str:
        wanted = {Key.of(Kind.JOB, name): replace(manifest("other"), key=Key.of(Kind.JOB, name)) for name in names}
        there = {key: replace(live("active", 1), key=key, guard=Guard(etag, "1")) for key in wanted if key.id in "ab"}
        desired = Desired(Stack("s", prunes=True), wanted)
        return make_plan(desired, Observed({}, there, at, {}), CONTEXT).digest

    assert digest(order, etag, at) == digest(sorted(order), "0x9", "2032-01-01")
