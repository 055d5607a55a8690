"""Saved plans: what is written, what is read again, and what is still approved once a plan was carried out in part."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import TargetError
from reconciler.executor.approval import Approvals
from reconciler.lifecycle.steps import Consents, Context
from reconciler.model.desired import Desired
from reconciler.model.secret import derived_key, signed
from reconciler.observed import Guard, Live, LiveTask, Observed
from reconciler.planning import Entry, make_plan
from reconciler.saved import FORMAT_VERSION, KIND, Saved, Sources, refusal

NONCE = "4c0ffee4"
SOURCES = Sources("/srv/repo", ("manifests",), ("prod.yaml",), ("image",))


def saved(desired: Desired, observed: Observed, context: Context) -> Saved:
    plan = make_plan(desired, observed, context)
    where: dict[str, Any] = {"endpoint": "https://a.westeurope.batch.azure.com", "account": "a", "at": observed.at}
    made = Saved.of(plan, desired, context, sources=SOURCES, nonce=NONCE, **where)
    return Saved.parse(json.loads(json.dumps(document(made))), "plan.json")


def document(made: Saved) -> dict[str, Any]:
    return {"kind": KIND, "format_version": FORMAT_VERSION, "apply": made.content()}


def with_key(desired: Desired, key: str = "k") -> Desired:
    made = derived_key(key.encode())
    objects = {
        name: replace(wanted, signature=signed(made, wanted.secrets), digest_key=made)
        for name, wanted in desired.objects.items()
    }
    return replace(desired, objects=objects)


def entry(desired: Desired, observed: Observed, context: Context) -> Entry:
    (found,) = make_plan(desired, observed, context).entries.values()
    return found


def ours(live: Live, *, nonce: str = NONCE + "11111111", born: str = "t5") -> Any:
    """The same object as another incarnation."""
    assert live.mark is not None
    return replace(live, guard=Guard("0x5", born), mark=replace(live.mark, nonce=nonce))


def test_what_is_written_is_what_is_read(world: Any) -> None:
    job = world.job(priority=3)
    consents = Consents(
        release_loss=frozenset({job.key}), replace=frozenset({(job.key, "t0")}), force=frozenset({(job.key, "t0")})
    )
    context = Context("s", prunes=False, consents=consents, check_tasks=True, due="t9", only=frozenset({job.key}))
    desired, observed = with_key(world.desired(job, world.pool())), world.observed(world.live_job(world.job()))
    made = saved(desired, observed, context)
    assert made.context == context
    assert made.sources == SOURCES
    assert list(made.desired) == [job.key]
    assert Saved.parse(document(made), "again") == made
    assert list(made.differences(desired)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "Snapshot"}, "is not a plan"),
        ({"format_version": "9.0"}, "is a plan of format 9.0; this version reads 1.0"),
        ({"apply": None}, "is a plan to read, not one to apply"),
        ({"apply": {"refused": "it has no sources"}}, "cannot be applied: it has no sources"),
        ({"apply": {}}, "is not a whole plan: KeyError: 'sources'"),
    ],
)
def test_what_is_no_plan_is_refused_by_name(world: Any, change: dict[str, Any], said: str) -> None:
    whole = document(saved(world.desired(world.job()), world.observed(), world.context))
    with pytest.raises(TargetError, match=r"plan\.json") as refused:
        Saved.parse({**whole, **change}, "plan.json")
    assert said in str(refused.value)


def test_a_change_of_the_manifests_is_told_object_by_object(world: Any) -> None:
    made = saved(world.desired(world.job("a"), world.job("b"), world.pool()), world.observed(), world.context)
    now = world.desired(world.job("a"), world.job("b", tasks=("t",)), world.job("c"))
    assert list(made.differences(now)) == [
        "job/b (m.yaml:1) changed in the manifests: tasks",
        "job/c (m.yaml:1) is new in the manifests",
        "pool/p is no longer in the manifests",
    ]
    life = world.desired(world.job("a", life={"preventDestroy": True}), world.job("b"), world.pool())
    assert list(made.differences(life)) == ["job/a (m.yaml:1) changed in the manifests: lifecycle"]


def test_a_secret_is_covered_by_a_digest_and_not_written(world: Any) -> None:
    def job(value: str) -> Any:
        task = {"commandLine": "prepare", "environmentSettings": [{"name": "T", "value": value}]}
        path = ("jobPreparationTask", "environmentSettings", "T", "value")
        return replace(world.job(jobPreparationTask=task), secret_paths=frozenset([path]))

    plain = world.desired(job("open sesame"))
    assert "give the Stack a digestKey" in str(refusal(plain, world.context, SOURCES))
    before = world.observed(world.live_job(job("old sesame")))
    made = saved(with_key(plain), before, world.context)
    assert refusal(with_key(plain), world.context, SOURCES) is None
    assert "sesame" not in json.dumps(made.content())
    assert list(made.differences(with_key(world.desired(job("other"))))) == [
        "job/j (m.yaml:1) changed in the manifests: spec.jobPreparationTask"
    ]
    with pytest.raises(TargetError, match="another key"):
        list(made.differences(with_key(plain, "rotated")))
    assert saved(with_key(plain, "another"), before, world.context).desired != made.desired


def test_standard_input_cannot_be_read_again(world: Any) -> None:
    reason = refusal(world.desired(), world.context, replace(SOURCES, paths=("-",)))
    assert "standard input" in str(reason)


# What a saved plan approves


def test_a_replacement_goes_on_from_wherever_it_was_interrupted(world: Any) -> None:
    wanted = world.job(jobPreparationTask=None, jobReleaseTask=None, usesTaskDependencies=True, tasks=("t",))
    plain = {"jobPreparationTask": None, "jobReleaseTask": None}
    desired, before = world.desired(wanted), world.live_job(world.job(**plain), nodes=(), counts=None)
    made = saved(desired, world.observed(before), replace(world.context, consents=Consents(task_loss={wanted.key})))
    new = world.live_job(wanted, mark=replace(world.live_job(wanted).mark, tasks=""), ids=frozenset())
    moments = {
        "before": (before, "terminate"),
        "ended": (replace(before, state="completed"), "delete"),
        "gone": (None, "create"),
        "created": (ours(new), "add-tasks"),
    }
    for live, verb in moments.values():
        now = entry(desired, world.observed(*([live] if live else [])), made.context)
        assert now.verbs[0] == verb
        assert Approvals(made.approved).covers(now)
    # The same, where somebody else created what is there.
    for other in (ours(new, nonce="other"), ours(before, nonce="other")):
        now = entry(desired, world.observed(other), made.context)
        approvals = Approvals(made.approved)
        assert now.actions
        assert not approvals.covers(now)
        assert "stale" in approvals.stale(now)
    # What the plan created is not ended by the part of the road that was for the one before.
    assert not Approvals(made.approved).covers(entry(desired, world.observed(ours(before)), made.context))


def test_what_the_plan_created_has_its_nonce(world: Any) -> None:
    wanted = world.job(tasks=("t",))
    made = saved(world.desired(wanted), world.observed(), world.context)
    empty = world.live_job(wanted, mark=replace(world.live_job(wanted).mark, tasks=""), ids=frozenset())
    for live, covered in ((ours(empty), True), (ours(empty, nonce="a8"), False), (empty, False)):
        now = entry(world.desired(wanted), world.observed(live), made.context)
        assert now.verbs[0] == "add-tasks"
        assert Approvals(made.approved).covers(now) is covered


def test_both_roads_are_told_of_an_object_that_is_stale(world: Any) -> None:
    made = saved(world.desired(world.job(priority=5)), world.observed(world.live_job(world.job())), world.context)
    desired = world.desired(world.job(priority=5))
    other = world.live_job(world.job(constraints={"maxTaskRetryCount": 2}))
    now = entry(desired, world.observed(other), made.context)
    approvals = Approvals(made.approved)
    assert not approvals.covers(now)
    assert approvals.stale(now) == (
        "stale: it changed since the plan was approved: approved was update, and now it needs update (the one created "
        "t0) of constraints.maxTaskRetryCount; plan and apply again"
    )
    reborn = entry(desired, world.observed(world.live_job(world.job(), born="t7")), made.context)
    assert "approved was update (the one created t0), and now it needs update (the one created t7)" in approvals.stale(
        reborn
    )


def test_no_other_tasks_are_deleted_than_were_shown(world: Any) -> None:
    wanted = world.job(tasks=("t",), life={"tasks": "Exact"})
    tasks = {name: LiveTask(name, "completed", Guard("0x1", "t0"), world.task(name).spec) for name in ("t", "u", "v")}

    def live(*names: str) -> Observed:
        found: Observed = world.observed(world.live_job(wanted, tasks={name: tasks[name] for name in names}))
        return found

    made = saved(world.desired(wanted), live("t", "u"), world.context)
    for names, covered in ((("t", "u"), True), (("t", "v"), False), (("t", "u", "v"), False)):
        now = entry(world.desired(wanted), live(*names), made.context)
        assert now.verbs[0] == "delete-tasks"
        assert Approvals(made.approved).covers(now) is covered


def test_jobs_of_a_schedule_that_somebody_created_anew_do_not_go_with_the_old_one(world: Any) -> None:
    there = world.live_schedule(world.schedule(), "disabled")
    made = saved(world.desired(), world.observed(there), world.context)
    child = world.live_job(world.job("s:job-2"), stack=None, nodes=())
    for schedule, covered in ((there, True), (ours(there, nonce="other"), False)):
        plan = make_plan(world.desired(), world.observed(schedule, child), made.context)
        approvals = Approvals(made.approved)
        assert approvals.covers(plan.entries[child.key], plan.entries[there.key]) is covered
