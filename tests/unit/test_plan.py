"""Plans: roads, order, guards, digests."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.cli.show import PAST
from reconciler.forecast import make_forecast
from reconciler.guards import guards_of
from reconciler.ledger import Entry, Ledger
from reconciler.lifecycle import job as job_life
from reconciler.lifecycle import pool as pool_life
from reconciler.lifecycle import schedule as schedule_life
from reconciler.lifecycle.pool import predict as predict_pool
from reconciler.lifecycle.runs import run_digest
from reconciler.lifecycle.steps import Action, Blocked, Consents, Verb, Wait
from reconciler.model.desired import Key, Kind
from reconciler.observed import LiveNode, Mark, TaskCounts
from reconciler.planning import make_plan
from reconciler.render.text import NO_CHANGES, plan_text, road_text, summary

PATH = ("jobPreparationTask", "environmentSettings", "T", "value")


def roads(plan: Any) -> dict[str, str]:
    return {entry.address: road_text(entry.road) for entry in plan.entries.values() if entry.actions}


def test_a_new_stack_is_a_road_for_each_object_and_the_job_comes_after_its_pool(world: Any) -> None:
    plan = make_plan(world.desired(world.job(tasks=("t1", "t2")), world.pool()), world.observed(), world.context)
    assert roads(plan) == {
        "pool/p": "create -> wait for nodes: 0 of 2 ready",
        "job/j": "create -> add 2 tasks -> confirm tasks",
    }
    assert [entry.address for entry, _ in plan.ready()] == ["pool/p"]
    assert summary(plan) == "Plan: 2 to add, 0 to change, 0 to terminate, 0 to delete."


def test_a_settled_stack_has_no_changes(world: Any) -> None:
    job, pool = world.job(tasks=("t1",)), world.pool()
    observed = world.observed(world.live_job(job), world.live_pool(pool))
    plan = make_plan(world.desired(job, pool), observed, world.context)
    assert not plan.has_changes
    assert plan_text(plan) == NO_CHANGES


def test_a_job_that_goes_is_forecast_to_its_end_and_its_pool_goes_after_it(world: Any) -> None:
    job, pool = world.job(), world.pool()
    observed = world.observed(
        world.live_job(job, nodes=(world.ran("n1"), world.ran("n2"))),
        world.live_pool(pool, members=(LiveNode("n1", "idle"), LiveNode("n2", "idle"))),
    )
    plan = make_plan(world.desired(), observed, world.context)
    assert roads(plan) == {
        "job/j": "terminate -> wait for release on 2 nodes (n1, n2), up to 15 min -> delete"
        " -> wait for the service to forget it",
        "pool/p": "wait for release: job/j on n1, n2, up to 15 min -> delete"
        " -> wait for the service to remove its nodes",
    }
    assert [entry.address for entry, _ in plan.ready()] == ["job/j"]
    assert summary(plan) == "Plan: 0 to add, 0 to change, 1 to terminate, 2 to delete."


def test_a_pool_that_owes_a_release_to_a_job_of_others_is_blocked(world: Any) -> None:
    pool = world.pool()
    foreign = world.live_job(world.job(), stack=None, nodes=(world.ran("n1"),))
    plan = make_plan(world.desired(), world.observed(foreign, world.live_pool(pool)), world.context)
    (entry,) = plan.entries.values()
    assert entry.address == "pool/p"
    assert isinstance(entry.step, Blocked)
    assert entry.step.consent == "--allow-release-loss job/j"


def test_replacing_a_job_is_one_road(world: Any) -> None:
    live = world.live_job(world.job(tasks=("t1",)), counts=TaskCounts())
    wanted = world.job(tasks=("t1",), jobReleaseTask={"commandLine": "other"})
    plan = make_plan(world.desired(wanted), world.observed(live), world.context)
    assert roads(plan)["job/j"] == (
        "terminate -> wait for release, up to 15 min -> delete -> wait for the service to forget it"
        " -> create -> add 1 task -> confirm tasks"
    )


def test_an_unreadable_listing_is_never_absent(world: Any) -> None:
    plan = make_plan(world.desired(world.job()), world.observed(unread={Kind.JOB: "403 no"}), world.context)
    assert isinstance(plan.entries[Key.of(Kind.JOB, "j")].step, Blocked)
    assert not plan.has_changes


def test_drift_and_change_are_told_apart_by_the_mark(world: Any) -> None:
    wanted = world.job()
    drifted = world.live_job(wanted, spec={**wanted.spec, "priority": 7})
    plan = make_plan(world.desired(wanted), world.observed(drifted), world.context)
    assert "drift" in plan_text(plan)
    changed = world.job(priority=7)
    plan = make_plan(world.desired(changed), world.observed(world.live_job(wanted)), world.context)
    assert "drift" not in plan_text(plan)
    assert "priority: 0 -> 7" in plan_text(plan)


def _carried_out(plan: Any, live: Any, life: Any) -> Any:
    """The object after every step of its road."""
    entry = plan.entries[live.key]
    for step in entry.road:
        live = life.predict(entry.wanted, live, step) if isinstance(step, Action) else live
        live = life.outwait(live) if isinstance(step, Wait) else live
    return live


FORMULA = {"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes = 1", "targetDedicatedNodes": None}
POOL_CHANGES = [
    ({"targetDedicatedNodes": 3}, "resize -> update its mark -> wait for nodes: 2 of 3 ready"),
    (FORMULA, "enable autoscale -> update its mark -> wait for nodes: 2 of 2 ready"),
    (
        {"targetDedicatedNodes": 3, "startTask": {"commandLine": "new"}},
        "update -> resize -> update its mark -> wait for nodes: 2 of 3 ready",
    ),
    ({"startTask": {"commandLine": "new"}}, "update"),
]


@pytest.mark.parametrize(("spec", "road"), POOL_CHANGES)
def test_the_mark_of_a_pool_tells_of_a_manifest_when_the_last_of_it_was_written(
    world: Any, spec: dict[str, Any], road: str
) -> None:
    wanted, before = world.pool(**spec), world.live_pool(world.pool())
    plan = make_plan(world.desired(wanted), world.observed(before), world.context)
    assert roads(plan) == {"pool/p": road}
    first = plan.entries[before.key].actions[0]
    begun = predict_pool(wanted, before, first)
    assert begun is not None
    # A run that ends here leaves a change of the manifest, no drift.
    assert not make_plan(world.desired(wanted), world.observed(begun), world.context).entries[before.key].drift
    after = _carried_out(plan, before, pool_life)
    assert not make_plan(world.desired(wanted), world.observed(after), world.context).has_changes
    by_hand = {"autoScaleFormula": "other"} if after.scales else {"targetDedicatedNodes": 9}
    touched = replace(after, spec={**after.spec, **by_hand})
    plan = make_plan(world.desired(wanted), world.observed(touched), world.context)
    assert plan.entries[before.key].drift


def test_a_manifest_that_follows_what_was_changed_by_hand_rewrites_the_mark_alone(world: Any) -> None:
    job, schedule, pool = world.job(), world.schedule(), world.pool()
    followed = (
        world.job(priority=7),
        world.schedule(metadata=[{"name": "a", "value": "b"}]),
        world.pool(taskSlotsPerNode=1, targetDedicatedNodes=3),
    )
    lives = [
        replace(world.live_job(job), spec=followed[0].spec),
        replace(world.live_schedule(schedule), spec=followed[1].spec),
        replace(world.live_pool(pool), spec=followed[2].spec, current=3, nodes={"idle": 3}),
    ]
    plan = make_plan(world.desired(*followed), world.observed(*lives), world.context)
    assert roads(plan) == dict.fromkeys(("job/j", "jobschedule/s", "pool/p"), "update its mark")
    assert "why: the mark is of an earlier manifest" in plan_text(plan)
    lives_then = [
        _carried_out(plan, live, life) for live, life in zip(lives, (job_life, schedule_life, pool_life), strict=True)
    ]
    assert not make_plan(world.desired(*followed), world.observed(*lives_then), world.context).has_changes
    back = make_plan(world.desired(job, schedule, pool), world.observed(*lives_then), world.context)
    assert [entry.drift for entry in back.entries.values() if entry.actions] == [False, False]


def test_what_asks_for_nothing_leaves_the_mark_alone_and_drift_is_told_beside_it(world: Any) -> None:
    wanted = world.job(displayName="new", priority=3, life={"ignoreChanges": ["spec.priority"]})
    live = world.live_job(world.job(life={"ignoreChanges": ["spec.priority"]}))
    plan = make_plan(world.desired(wanted), world.observed(live), world.context)
    assert not plan.has_changes
    assert not plan.entries[wanted.key].drift
    assert plan.entries[wanted.key].notes
    touched = replace(live, spec={**live.spec, "metadata": {"a": "by hand"}})
    assert make_plan(world.desired(wanted), world.observed(touched), world.context).entries[wanted.key].drift


def test_input_order_never_changes_a_plan(world: Any) -> None:
    things = [world.job("a"), world.job("b"), world.pool("p"), world.pool("q")]
    one = make_plan(world.desired(*things), world.observed(), world.context)
    other = make_plan(world.desired(*reversed(things)), world.observed(), world.context)
    assert one == other
    assert one.digest == other.digest


def test_the_digest_covers_effects_and_not_etags(world: Any) -> None:
    wanted = world.job(priority=1)
    live = world.live_job(world.job())
    plan = make_plan(world.desired(wanted), world.observed(live), world.context)
    touched = replace(live, guard=replace(live.guard, etag="0x2"))
    reborn = replace(live, guard=replace(live.guard, born="t9"))
    assert make_plan(world.desired(wanted), world.observed(touched), world.context).digest == plan.digest
    assert make_plan(world.desired(wanted), world.observed(reborn), world.context).digest != plan.digest


def test_the_digest_covers_what_is_created_and_tells_nothing_of_secrets(world: Any) -> None:
    def digest(*, command: str = "prepare", value: str = "1", secret: bool = False, task: str = "work") -> str:
        setting = {"name": "T", "value": value}
        hidden: dict[str, Any] = {"secret_paths": frozenset([PATH]), "hidden": frozenset(["T"])} if secret else {}
        wanted = world.job(jobPreparationTask={"commandLine": command, "environmentSettings": [setting]})
        made = world.task("t", task, environmentSettings=[setting])
        plan = make_plan(world.desired(replace(wanted, tasks={"t": made}, **hidden)), world.observed(), world.context)
        return plan.digest

    plain = {digest(), digest(command="other"), digest(value="2"), digest(task="other")}
    secret = {digest(secret=True), digest(secret=True, command="other"), digest(secret=True, task="other")}
    assert (len(plain), len(secret)) == (4, 3)
    assert digest(secret=True) == digest(secret=True, value="2")


def test_secrets_in_values_are_masked(world: Any) -> None:
    url = "https://a.blob.core.windows.net/c/f?sv=1&sig=abc%2Fdef&se=2"
    wanted = world.job(jobPreparationTask={"commandLine": "x", "resourceFiles": [{"httpUrl": url, "filePath": "f"}]})
    text = plan_text(make_plan(world.desired(wanted), world.observed(), world.context))
    assert "c/f?(secret)" in text
    assert "abc" not in text


def test_without_the_list_of_jobs_no_node_is_taken_away(world: Any) -> None:
    pool = world.live_pool(world.pool())
    unread = {Kind.JOB: "503"}
    for wanted in ([], [world.pool(targetDedicatedNodes=1)]):
        plan = make_plan(world.desired(*wanted), world.observed(pool, unread=unread), world.context)
        assert not plan.has_changes
        assert "what its nodes owe is not known" in plan_text(plan)
    grown = make_plan(
        world.desired(world.pool(targetDedicatedNodes=3)), world.observed(pool, unread=unread), world.context
    )
    assert grown.has_changes


def test_a_job_that_somebody_deletes_still_owes_its_release(world: Any) -> None:
    pool = world.live_pool(world.pool(), members=(LiveNode("n1", "idle"),))
    for nodes in ((world.ran("n1", release="running"),), None):
        leaving = world.live_job(world.job(), "deleting", stack=None, nodes=nodes)
        plan = make_plan(
            world.desired(world.pool(targetDedicatedNodes=0)), world.observed(pool, leaving), world.context
        )
        assert list(plan.ready()) == []
        assert "wait for release" in plan_text(plan)


def test_every_verb_has_words_for_the_live_view() -> None:
    assert set(PAST) == set(Verb)


def test_a_job_moves_after_its_new_pool_is_there_and_before_its_old_one_goes(world: Any) -> None:
    live = world.live_job(world.job(), nodes=())
    wanted = world.job(poolInfo={"poolId": "q"})
    plan = make_plan(
        world.desired(wanted, world.pool("q")),
        world.observed(live, replace(world.live_pool(world.pool()), members=())),
        world.context,
    )
    assert roads(plan) == {
        "pool/q": "create -> wait for nodes: 0 of 2 ready",
        "job/j": "disable -> wait for its running tasks to end -> update -> enable",
        "pool/p": "delete -> wait for the service to remove its nodes",
    }
    job, old, new = wanted.key, Key.of(Kind.POOL, "p"), Key.of(Kind.POOL, "q")
    assert plan.after == {job: {new}, old: {job}}


def test_adopting_is_the_first_step_of_the_road_to_what_the_manifest_says(world: Any) -> None:
    job, pool = world.job(priority=3), world.pool(metadata=[{"name": "a", "value": "1"}])
    context = replace(world.context, adopting=frozenset({job.key, pool.key}))
    live = (world.live_job(world.job(), stack=None), world.live_pool(world.pool(), stack=None))
    plan = make_plan(world.desired(job, pool), world.observed(*live), context)
    assert roads(plan) == {"pool/p": "adopt -> update", "job/j": "adopt -> update -> confirm tasks"}


def test_a_pool_is_orphaned_with_its_nodes_and_whatever_they_owe(world: Any) -> None:
    live = world.live_pool(world.pool(), mark=Mark("s", orphan=True))
    plan = make_plan(world.desired(), world.observed(live), world.context)
    assert roads(plan) == {"pool/p": "orphan"}


def test_a_job_that_is_removed_after_its_time_is_not_created_again_in_the_same_plan(world: Any) -> None:
    wanted = world.job(life={"ttlAfterCompletion": {"success": "P1D"}})
    facts = {"counts": TaskCounts(), "nodes": (), "ended": "2030-01-01T00:00:00Z"}
    observed = replace(world.observed(world.live_job(wanted, "completed", **facts)), at="2030-01-03T00:00:00Z")
    plan = make_plan(world.desired(wanted, max_deletes=0), observed, world.context)
    assert roads(plan) == {"job/j": "delete -> wait for the service to forget it"}
    assert guards_of(plan, world.desired(wanted, max_deletes=0)) == ()


def test_a_run_whose_manifest_is_gone_is_forgotten(world: Any) -> None:
    wanted = world.job()
    run = Entry("s", wanted.key, "j", run_digest(wanted), wanted.tasks_run_digest, "t0", "t1", "success")
    context = replace(world.context, ledger=Ledger({wanted.key: run}))
    assert roads(make_plan(world.desired(), world.observed(), context)) == {"job/j": "forget its run"}
    assert roads(make_plan(world.desired(wanted), world.observed(), context)) == {}
    assert roads(make_plan(world.desired(world.job(usesTaskDependencies=True)), world.observed(), context)) == {
        "job/j": "forget its run -> create"
    }


def test_an_adopted_object_knows_its_manifest_whatever_differed(world: Any) -> None:
    wanted = world.pool()
    for live in (world.pool(), world.pool(targetDedicatedNodes=1), world.pool(metadata=[{"name": "a", "value": "b"}])):
        pool = world.live_pool(live, stack=None)
        context = replace(world.context, adopting=frozenset({wanted.key}))
        actions = make_plan(world.desired(wanted), world.observed(pool), context).entries[wanted.key].actions
        marks = [action.mark.spec for action in actions if action.mark is not None]
        assert marks == [wanted.digest] if live.spec == wanted.spec else ["", wanted.digest]


def test_every_object_says_where_the_ledger_is_and_a_consent_for_all_makes_a_new_one_count(world: Any) -> None:
    life = {"ttlAfterCompletion": {"success": "P1D"}}
    pool, one, two = world.pool(), world.job("one", life=life), world.job("two", life=life)
    desired = world.desired(pool, one, two)
    here = replace(world.context, ledger=Ledger(store_id="here"))
    created = make_plan(desired, world.observed(), here).entries.values()
    assert [entry.actions[0].mark.store for entry in created if entry.actions[0].mark] == ["here"] * 3
    alone = world.observed(world.live_pool(pool, mark=Mark("s", pool.digest, store="lost")))
    assert set(roads(make_plan(desired, alone, here))) == set()
    half = replace(here, consents=Consents(new_run=frozenset({one.key})))
    assert set(roads(make_plan(desired, alone, half))) == {"job/one"}
    whole = make_plan(desired, alone, replace(here, consents=Consents(new_run=frozenset({one.key, two.key}))))
    assert set(roads(whole)) == {"pool/p", "job/one", "job/two"}
    mark = whole.entries[pool.key].actions[0].mark
    assert mark is not None
    assert mark.store == "here"


def test_no_node_is_restarted_where_the_same_plan_lets_a_release_begin(world: Any) -> None:
    pool = world.pool(life={"nodeRollout": "RebootIdle"})
    node = LiveNode("n1", "offline", "disabled", booted="2026-01-01T00:00:00Z")
    written = replace(Mark("s", pool.digest), written="2026-01-01T12:00:00Z", aside=frozenset({node.print}))
    old = replace(world.live_pool(pool, members=(node,)), mark=written)
    leaving = world.live_job(world.job(name="gone"), nodes=(world.ran("n1"),))
    plan = make_plan(world.desired(pool), world.observed(leaving, old), world.context)
    assert [(entry.address, action.verb) for entry, action in plan.ready()] == [("job/gone", Verb.TERMINATE)]
    assert "wait for preparation or release of job/gone on the nodes to restart" in roads(plan)["pool/p"]


def test_a_job_that_is_created_anew_says_nothing_of_what_would_stay_until_then(world: Any) -> None:
    live = world.live_job(
        world.job(displayName="one"), tasks={"t2": world.live_task(world.task("t2"))}, counts=TaskCounts()
    )
    stays = make_plan(world.desired(world.job(displayName="two", tasks=("t1",))), world.observed(live), world.context)
    assert [len(entry.notes) for entry in stays.entries.values()] == [2]
    anew = world.job(displayName="two", tasks=("t1",), jobReleaseTask={"commandLine": "other"})
    plan = make_plan(world.desired(anew), world.observed(live), world.context)
    assert [entry.notes for entry in plan.entries.values()] == [()]


def test_a_shrink_that_finds_no_free_node_says_so(world: Any) -> None:
    wanted = world.pool(targetDedicatedNodes=1)
    live = world.live_pool(world.pool(), members=(LiveNode("n1", "idle"), LiveNode("n2", "idle")))
    job = world.live_job(world.job(), stack=None, nodes=(world.ran("n1"), world.ran("n2")))
    plan = make_plan(world.desired(wanted), world.observed(live, job), world.context)
    assert "1 node has to go, and none is free of a release that it owes: job/j on n1, n2" in plan_text(plan)


def test_a_pool_of_very_many_nodes_is_forecast_without_making_each_of_them(world: Any) -> None:
    wanted = world.pool(targetDedicatedNodes=1_000_000)
    plan = make_plan(world.desired(wanted), world.observed(), world.context)
    assert roads(plan) == {"pool/p": "create -> wait for nodes: 0 of 1000000 ready"}
    grown = pool_life.outwait(predict_pool(wanted, None, plan.entries[wanted.key].actions[0]))
    assert grown is not None
    assert grown.members is not None
    assert (grown.current, len(grown.members) < 20_000) == (1_000_000, True)


def settings(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def test_an_environment_setting_without_text_is_shown_as_such(world: Any) -> None:
    wanted = world.job(commonEnvironmentSettings=settings(A="", B="b"))
    text = plan_text(make_plan(world.desired(wanted), world.observed(), world.context))
    assert 'commonEnvironmentSettings.A.value: ""\n' in text
    assert "commonEnvironmentSettings.B.value: b\n" in text
    live = world.live_job(world.job(commonEnvironmentSettings=settings(B="b")), counts=TaskCounts())
    text = plan_text(make_plan(world.desired(wanted), world.observed(live), world.context))
    assert 'commonEnvironmentSettings.A.value: (not set) -> ""' in text


def test_drift_has_one_word_whatever_it_takes(world: Any) -> None:
    job, pool = world.job(), world.pool()
    live = (
        world.live_job(job, spec={**job.spec, "priority": 7}),
        world.live_pool(pool, spec={**pool.spec, "targetDedicatedNodes": 1}, current=1),
    )
    text = plan_text(make_plan(world.desired(job, pool), world.observed(*live), world.context))
    assert [line.strip() for line in text.splitlines() if "why:" in line] == ["why: drift", "why: drift"]


def test_what_the_account_holds_does_nothing_to_a_terminal(world: Any) -> None:
    plan = make_plan(
        world.desired(world.job()), world.observed(unread={Kind.JOB: "no \x1b[2J\u202e way"}), world.context
    )
    text = plan_text(plan)
    assert "no \\u001b[2J\\u202e way" in text
    assert all(character == "\n" or character.isprintable() for character in text)


def test_a_forecast_is_told_behind_the_road(world: Any) -> None:
    members = (LiveNode("n1", "idle"), LiveNode("n2", "unusable"))
    job = world.live_job(
        world.job(), counts=TaskCounts(active=1, running=2, succeeded=3), nodes=(world.ran("n1"), world.ran("n2"))
    )
    observed = world.observed(job, world.live_pool(world.pool(), members=members))
    plan = make_plan(world.desired(), observed, world.context)
    forecast = make_forecast(plan, observed, {}, {"activeJobsAndSchedules": 1, "pools": 5})
    text = plan_text(plan, forecast=forecast)
    assert text == (
        """\
Changes:
  - job/j: delete
        why: no longer in the manifests
       road: terminate -> wait for release on 2 nodes (n1, n2), up to 15 min -> delete -> wait for the \
service to forget it
      tasks: 2 running tasks are cut off, 1 waiting task never runs
    release: runs on 1 node (n1); is uncertain on n2 (is unusable)
     erases: the directories of 5 tasks and those of preparation and release on 2 nodes; its receipt is kept, and \
logs of preparation, release and tasks that failed (captureLogs: OnFailure)
      waits: up to 15 min; no limit is known for release on 1 node where it is uncertain, the service to forget it
  - pool/p: delete
        why: no longer in the manifests
       road: wait for release: job/j on n1, n2, up to 15 min -> delete -> wait for the service to remove its nodes
      after: job/j
     erases: everything on 2 nodes
      waits: up to 15 min; no limit is known for the service to remove its nodes, job/j

Quotas:
  pools: 1 -> 0 of 5
  active jobs and schedules: 1 -> 0 of 1

Plan: 0 to add, 0 to change, 1 to terminate, 2 to delete."""
    )
    for line in plan_text(plan, forecast=forecast, width=80).splitlines():
        assert len(line) <= 80
