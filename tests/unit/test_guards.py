"""What stops a plan or keeps objects as they are: rule, numbers, setting and override of every guard."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reconciler.guards import Guard, guards_of, notices, refusal
from reconciler.ledger import Entry, Ledger
from reconciler.lifecycle.runs import run_digest
from reconciler.lifecycle.steps import Rule
from reconciler.model.consent import Consent
from reconciler.model.desired import Desired, GuardSettings, Kind, Source, Stack
from reconciler.observed import LiveNode, Mark, TaskCounts
from reconciler.planning import make_plan
from reconciler.reading import for_decisions
from reconciler.render.guards import guards_document, guards_text

HERE = Source("stack.yaml", 4, 5)
LATER, EARLIER = "2026-01-02T00:00:01Z", "2026-01-02T00:00:00Z"


def guards(world: Any, desired: Desired, *live: Any, allow: int | None = None, **facts: Any) -> tuple[Guard, ...]:
    plan = make_plan(desired, world.observed(*live, **facts), world.context)
    return guards_of(plan, desired, allow_deletes=allow)


def with_consent(desired: Desired, flag: str, what: str, until: str = LATER, **facts: Any) -> Desired:
    return replace(desired, consents=(Consent(flag, what, until, HERE, **facts),))


@pytest.mark.parametrize(
    ("owned", "kept", "stack", "allowed", "numbers"),
    [
        (12, 1, {}, None, "11 of 12 owned objects would be removed, more than 30 %"),
        (12, 1, {}, 11, None),
        (12, 1, {}, 10, "11 objects would be removed, and 10 may be"),
        (12, 1, {"max_deletes": 3}, None, "11 objects would be removed, and 3 may be"),
        (2, 1, {"max_deletes": 0}, None, "1 object would be removed, and 0 may be"),
        (9, 1, {}, None, None),
        (40, 30, {}, None, None),
        (40, 28, {}, None, None),
        (40, 27, {}, None, "13 of 40 owned objects would be removed, more than 30 %"),
        (9, 1, {"guards": GuardSettings(count=8)}, None, "8 of 9 owned objects would be removed, more than 30 %"),
        (40, 27, {"guards": GuardSettings(share=33)}, None, None),
        (12, 1, {"guards": GuardSettings(share=100)}, None, None),
    ],
)
def test_a_plan_that_removes_much_needs_consent(
    world: Any, owned: int, kept: int, stack: Mapping[str, Any], allowed: int | None, numbers: str | None
) -> None:
    jobs = [world.job(f"j{number}") for number in range(owned)]
    desired = replace(world.desired(*jobs[:kept]), stack=Stack("s", True, **stack))
    found = guards(world, desired, *map(world.live_job, jobs), allow=allowed)
    assert [guard.numbers for guard in found] == ([] if numbers is None else [numbers])
    for guard in found:
        assert (guard.rule, guard.stops, len(guard.addresses)) == (Rule.DELETES, True, owned - kept)
        assert guard.override == f"--allow-deletes {owned - kept}"


def test_a_stop_says_rule_numbers_setting_and_what_allows_it(world: Any) -> None:
    jobs = [world.job(f"j{number}") for number in range(10)]
    found = guards(world, world.desired(world.pool()), *map(world.live_job, jobs))
    assert guards_text(found) == (
        "Apply stops here:\n"
        "  ! deletes: 10 of 10 owned objects would be removed, more than 30 %\n"
        "      setting:  spec.guards.deletes of the Stack: 30 % and at least 10\n"
        "      override: --allow-deletes 10\n"
        "      or in Git, under metadata.annotations of the Stack: "
        'reconciler/allow-deletes: "10 until 2026-01-03T00:00:00Z"'
    )
    assert refusal(found) == (
        "10 of 10 owned objects would be removed, more than 30 % (spec.guards.deletes of the Stack: 30 % and at least "
        "10); allow it with --allow-deletes 10"
    )
    (document,) = guards_document(found)
    assert (document["rule"], document["stops"], document["override"]) == ("deletes", True, "--allow-deletes 10")


@pytest.mark.parametrize(("count", "until", "stops"), [(10, LATER, False), (9, LATER, True), (10, EARLIER, True)])
def test_a_line_of_the_stack_consents_to_deletions_until_its_end(
    world: Any, count: int, until: str, stops: bool
) -> None:
    jobs = [world.job(f"j{number}") for number in range(10)]
    desired = with_consent(world.desired(world.pool()), "allow-deletes", "", until, count=count)
    assert bool(guards(world, desired, *map(world.live_job, jobs))) is stops


def test_a_consent_in_a_manifest_never_makes_anything_stricter(world: Any) -> None:
    jobs = [world.job(f"j{number}") for number in range(5)]
    desired = with_consent(world.desired(jobs[0]), "allow-deletes", "", count=1)
    assert not guards(world, desired, *map(world.live_job, jobs))


def test_the_flag_wins_over_the_line(world: Any) -> None:
    jobs = [world.job(f"j{number}") for number in range(2)]
    desired = with_consent(world.desired(world.pool()), "allow-deletes", "", count=2)
    assert guards(world, desired, *map(world.live_job, jobs), allow=1)


# An empty source


def test_an_empty_source_removes_forgets_and_orphans_nothing_without_consent(world: Any) -> None:
    nothing, wanted = world.desired(), world.job()
    run = Entry("s", wanted.key, "j", run_digest(wanted), wanted.tasks_run_digest, "t0", "t1", "success")
    pool = world.live_pool(world.pool(), mark=Mark("s", orphan=True))
    context = replace(world.context, ledger=Ledger({wanted.key: run}))
    plan = make_plan(nothing, world.observed(pool, world.live_job(world.job("k"))), context)
    (guard,) = guards_of(plan, nothing)
    assert (guard.rule, guard.stops, sorted(guard.addresses)) == (
        Rule.EMPTY_SOURCE,
        True,
        ["job/j", "job/k", "pool/p"],
    )
    assert guard.numbers == "the manifests hold no object at all, and 3 objects of stack 's' would go"
    assert guard.override == "--allow-deletes 3"
    assert guards_of(plan, nothing, allow_deletes=2)
    assert not guards_of(plan, nothing, allow_deletes=3)
    allowing = replace(nothing, stack=replace(nothing.stack, guards=GuardSettings(asks_when_empty=False)))
    assert not guards_of(plan, allowing)


def test_a_source_without_even_a_stack_is_told_although_nothing_would_go(world: Any) -> None:
    (guard,) = guards(world, world.desired())
    assert guard.numbers == "no manifest was found, not even a Stack, and the account has no object of a stack 's'"
    assert (guard.stops, guard.override) == (True, "--allow-deletes 0")
    assert not guards(world, world.desired(), allow=0)
    written = replace(world.desired(), stack=Stack("s", True, source=HERE))
    assert not guards(world, written)


def test_objects_of_other_stacks_are_told_but_for_those_loaded_beside_it(world: Any) -> None:
    live = (world.live_job(world.job("a"), stack="t"), world.live_pool(world.pool(), stack="t"))
    desired = world.desired(world.job("mine"))
    plan = make_plan(desired, world.observed(*live, world.live_job(world.job("b"), stack=None)), world.context)
    told = ("The account also holds objects of stack 't' (2 objects), of which these manifests do not speak.",)
    assert notices(plan, replace(desired, beside=frozenset({"u"}))) == told
    assert notices(plan, replace(desired, beside=frozenset({"t"}))) == ()
    assert notices(plan, replace(desired, objects={})) == told
    assert notices(plan, desired) == ()  # the folder of one stack: that there are more is nothing new


# Objects


def test_what_is_kept_from_an_object_names_its_rule_and_what_allows_it(world: Any) -> None:
    live = world.live_job(world.job(), counts=TaskCounts(running=3), nodes=())
    changed = world.job(usesTaskDependencies=True)
    (guard,) = guards(world, world.desired(changed), live)
    assert (guard.rule, guard.stops, guard.addresses) == (Rule.TASK_LOSS, False, ("job/j",))
    assert "it would kill 3 running tasks" in guard.numbers
    assert guard.setting == "spec.guards.taskLoss of the Stack: Ask"
    assert guard.override == "--allow-task-loss job/j"
    assert guard.annotation == 'reconciler/allow-task-loss: "job/j until 2026-01-03T00:00:00Z"'
    assert refusal((guard,)) is None


@pytest.mark.parametrize(
    ("until", "settings", "guarded"),
    [
        (LATER, GuardSettings(), False),
        (EARLIER, GuardSettings(), True),
        (EARLIER, GuardSettings(asks_for_tasks=False), False),
    ],
)
def test_a_line_of_a_manifest_or_a_setting_consents_to_the_loss_of_tasks(
    world: Any, until: str, settings: GuardSettings, guarded: bool
) -> None:
    live = world.live_job(world.job(), counts=TaskCounts(running=3), nodes=())
    desired = with_consent(world.desired(world.job(usesTaskDependencies=True)), "allow-task-loss", "job/J", until)
    desired = replace(desired, stack=replace(desired.stack, guards=settings))
    assert bool(guards(world, desired, live)) is guarded


def test_a_consent_that_has_ended_is_told_with_its_place(world: Any) -> None:
    desired = with_consent(world.desired(world.job()), "allow-task-loss", "job/j", EARLIER)
    plan = make_plan(desired, world.observed(), world.context)
    assert notices(plan, desired) == (
        f"stack.yaml:4: reconciler/allow-task-loss (job/j) ended {EARLIER} and counts no longer: take the line out",
    )
    assert notices(plan, with_consent(desired, "allow-task-loss", "job/j")) == ()


def test_a_release_is_lost_only_by_the_name_of_its_job_also_from_a_commit(world: Any) -> None:
    pool = world.live_pool(world.pool(), members=(LiveNode("n1", "idle"), LiveNode("n2", "idle")))
    job = world.live_job(world.job(), nodes=(world.ran("n1"), world.ran("n2")))
    desired = world.desired(world.job(), world.pool(targetDedicatedNodes=0))
    (guard,) = guards(world, desired, pool, job)
    assert (guard.rule, guard.override) == (Rule.RELEASE_LOSS, "--allow-release-loss job/j")
    assert not guards(world, with_consent(desired, "allow-release-loss", "job/j"), pool, job)
    assert guards(world, with_consent(desired, "allow-release-loss", "job/other"), pool, job)


def test_replacing_by_a_commit_names_the_incarnation_so_that_it_is_done_once(world: Any) -> None:
    wanted, live = world.job(), world.live_job(world.job(), "completed", nodes=(), counts=TaskCounts(), tasks={})
    born = "2026-01-01T00:00:00Z"
    live = replace(live, guard=replace(live.guard, born=born), mark=Mark("s", wanted.digest))
    missing = world.job(tasks=("t1",))
    (guard,) = guards(world, world.desired(missing), live)
    assert (guard.rule, guard.override) == (Rule.REPLACEMENT, "--replace job/j")
    assert guard.annotation == f'reconciler/replace: "job/j@{born} until 2026-01-03T00:00:00Z"'
    agreed = with_consent(world.desired(missing), "replace", "job/j", born=born)
    plan = make_plan(agreed, world.observed(live), world.context)
    assert [str(verb) for verb in plan.entries[wanted.key].verbs][:2] == ["delete", "create"]
    successor = replace(live, guard=replace(live.guard, born="2026-01-02T00:00:00Z"))
    assert not make_plan(agreed, world.observed(successor), world.context).has_changes


def test_what_may_be_lost_by_consent_is_read_as_for_a_flag(world: Any) -> None:
    wanted = world.job(usesTaskDependencies=True, life={"replace": "Never"})
    live = world.live_job(world.job(), "completed", born="2026-01-01T00:00:00Z")
    desired = with_consent(world.desired(wanted), "replace", "job/j", born="2026-01-01T00:00:00Z")
    assert for_decisions(desired, world.observed(live), world.context).runs == {wanted.key}


def test_what_is_protected_is_skipped_and_called_kept_while_the_rest_goes_on(world: Any) -> None:
    kept = world.job("kept", usesTaskDependencies=True, life={"preventDestroy": True})
    gone = world.live_job(world.job("gone"), mark=Mark("s", keep=True))
    desired = world.desired(kept, world.job("new"))
    live = (world.live_job(world.job("kept"), nodes=()), gone)
    plan = make_plan(desired, world.observed(*live), world.context)
    assert [entry.address for entry, _ in plan.ready()] == ["job/new"]
    found = guards_of(plan, desired)
    assert [(guard.rule, guard.addresses, guard.stops) for guard in found] == [
        (Rule.PREVENT_DESTROY, ("job/gone",), False),
        (Rule.PREVENT_DESTROY, ("job/kept",), False),
    ]
    assert [guard.setting for guard in found] == ["lifecycle.preventDestroy of the object: true"] * 2
    assert found[0].numbers == "job/gone is kept, and no manifest declares it"
    assert found[1].numbers.startswith("job/kept: kept: ")
    assert found[1].override == "take the line out of its manifest"


def test_what_belongs_to_others_names_how_it_becomes_ours(world: Any) -> None:
    desired = world.desired(world.job("a"), world.job("b"))
    live = (world.live_job(world.job("a"), stack=None), world.live_job(world.job("b"), stack="t"))
    assert [(guard.rule, guard.override) for guard in guards(world, desired, *live)] == [
        (Rule.FOREIGN_OWNER, "reconciler adopt job/a --manifests PATH"),
        (Rule.FOREIGN_OWNER, "reconciler orphan job/b && reconciler adopt job/b --manifests PATH"),
    ]


def test_a_list_that_could_not_be_read_is_one_guard_whatever_it_keeps(world: Any) -> None:
    desired = world.desired(world.job("a"), world.job("b"), world.pool(targetDedicatedNodes=0))
    (guard,) = guards(world, desired, world.live_pool(world.pool()), unread={Kind.JOB: "503"})
    assert guard.rule is Rule.PARTIAL_LISTING
    assert guard.numbers == "the account's jobs could not be listed: 503"
    assert sorted(guard.addresses) == ["job/a", "job/b", "pool/p"]
    assert guard.override == "nothing: run it again when the list can be read"


def test_nothing_at_work_is_nothing_to_say(world: Any) -> None:
    assert guards_text(guards(world, world.desired(world.job()))) == ""


def test_of_many_alike_a_few_are_told(world: Any) -> None:
    wanted = [world.job(f"j{number}") for number in range(12)]
    found = guards(world, world.desired(*wanted), *(world.live_job(job, stack=None) for job in wanted))
    text = guards_text(found)
    assert text.count("! foreign-owner: job/") == 5
    assert text.endswith("  ! foreign-owner: so are 7 more (--format json has them all)")
    assert len(guards_document(found)) == 12
