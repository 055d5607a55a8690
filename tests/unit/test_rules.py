"""Every answer of a lifecycle that rests on a rule has one to show."""

import pytest

from reconciler.lifecycle.rules import BY_GUARD, BY_VERB, FINISHED, basis_of
from reconciler.lifecycle.steps import Action, Blocked, Done, Rule, Verb, Wait
from reconciler.model.desired import Key, Kind
from reconciler.observed import Guard, LiveJob, LivePool


def test_every_verb_has_a_rule() -> None:
    assert set(BY_VERB) == set(Verb)


def test_every_guard_has_a_rule() -> None:
    assert set(BY_GUARD) == set(Rule)


def job(state: str) -> LiveJob:
    return LiveJob(Key.of(Kind.JOB, "j"), "j", state, Guard("", ""), None, {})


def pool(state: str, allocation: str = "steady") -> LivePool:
    return LivePool(Key.of(Kind.POOL, "p"), "p", state, Guard("", ""), None, {}, allocation=allocation)


@pytest.mark.parametrize(
    ("step", "live", "begins"),
    [
        (Action(Verb.TERMINATE, "x"), job("active"), "A job is ended by terminate"),
        (Wait("release"), job("terminating"), "A job is ended by terminate"),
        (Wait("the service to forget it"), job("deleting"), "A job that is being deleted keeps its id"),
        (Wait("x", on=frozenset({Key.of(Kind.JOB, "j")})), pool("active"), "A node that ran a job's preparation"),
        (Wait("the pending resize to end"), pool("active", "resizing"), "A pool that is being resized"),
        (Wait("nodes"), pool("active"), None),
        (Blocked("x", "--allow-task-loss job/j", Rule.TASK_LOSS), job("active"), "Tasks that run are not cut off"),
        (Blocked("x", "--allow-release-loss job/a", Rule.RELEASE_LOSS), pool("active"), "A node that ran"),
        (Blocked("in a state this version does not know"), job("active"), None),
        (Done("ran to its end"), job("completed"), FINISHED.text),
        (Done("as its manifest says"), job("active"), None),
    ],
)
def test_the_rule_of_an_answer(step: object, live: object, begins: str | None) -> None:
    found = basis_of(step, live)  # type: ignore[arg-type]
    assert (found is None) if begins is None else (found is not None and found.text.startswith(begins))
