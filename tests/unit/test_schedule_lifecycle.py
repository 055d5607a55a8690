"""What is decided for a job schedule, in every state it can be seen in."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle.schedule import next_step
from reconciler.lifecycle.steps import Action, Blocked, Consents, Context, Verb, Wait
from reconciler.model.desired import Key, Kind
from reconciler.observed import Mark, TaskCounts
from reconciler.plan import make_plan
from reconciler.reading import for_decisions
from reconciler.render.text import road_text

NO_MORE = {"schedule": {"doNotRunAfter": "2026-01-01T00:00:00Z"}}


def roads(plan: Any) -> dict[str, str]:
    return {entry.address: road_text(entry.road) for entry in plan.entries.values() if entry.actions}


def child(world: Any, number: int, state: str = "active", **facts: Any) -> Any:
    return world.live_job(world.job(f"s:job-{number}"), state, stack=None, **facts)


@pytest.mark.parametrize(
    ("life", "spec", "live", "expected"),
    [
        ({}, {}, None, "create"),
        ({"state": "Completed"}, {}, None, ""),
        ({"state": "Disabled"}, {}, None, "create -> disable -> update"),
        ({}, {}, "active", ""),
        ({}, {}, "disabled", "enable"),
        ({"state": "Disabled"}, {}, "active", "disable"),
        ({"state": "Disabled"}, {}, "disabled", ""),
        ({"state": "Completed"}, {}, "active", "terminate -> wait for its job to end"),
        ({"state": "Completed"}, {}, "completed", ""),
        ({}, {}, "completed", ""),
        ({}, {}, "terminating", ""),
        ({}, {}, "deleting", "create"),
        ({}, {"schedule": {"recurrenceInterval": "PT2H"}}, "active", "update"),
        (
            {},
            {"schedule": {"recurrenceInterval": "PT2H"}},
            "completed",
            "delete -> wait for the service to forget it -> create",
        ),
        ({}, NO_MORE, "completed", ""),
        ({}, {"displayName": "other"}, "active", ""),
    ],
)
def test_the_road_of_a_declared_schedule(
    world: Any, life: dict[str, Any], spec: dict[str, Any], live: str | None, expected: str
) -> None:
    there = world.live_schedule(world.schedule(), live) if live else None
    plan = make_plan(
        world.desired(world.schedule(life=life, **spec)), world.observed(*([there] if there else [])), world.context
    )
    (entry,) = plan.entries.values()
    road = road_text(entry.road)
    assert (
        road.removeprefix("wait for the service to forget it -> ").removeprefix("wait for its job to end") == expected
    )


def test_a_schedule_that_goes_is_disabled_then_its_jobs_end_then_it_is_deleted(world: Any) -> None:
    live = world.live_schedule(world.schedule())
    observed = world.observed(live, child(world, 1, "completed", nodes=()), child(world, 2, nodes=(world.ran("n1"),)))
    plan = make_plan(world.desired(), observed, world.context)
    assert roads(plan) == {
        "jobschedule/s": "disable -> wait for its jobs to be removed (s:job-1, s:job-2), up to 15 min -> delete"
        " -> wait for the service to forget it",
        "job/s:job-1": "wait for its schedule to be disabled -> delete -> wait for the service to forget it",
        "job/s:job-2": "wait for its schedule to be disabled -> terminate -> wait for release on 1 node (n1), up to"
        " 15 min -> delete -> wait for the service to forget it",
    }
    assert [entry.address for entry, _ in plan.ready()] == ["jobschedule/s"]
    disabled = replace(live, state="disabled")
    observed = replace(observed, schedules={disabled.key: disabled})
    plan = make_plan(world.desired(), observed, world.context)
    assert [(entry.address, action.verb) for entry, action in plan.ready()] == [
        ("job/s:job-1", Verb.DELETE),
        ("job/s:job-2", Verb.TERMINATE),
    ]
    gone = replace(observed, jobs={})
    plan = make_plan(world.desired(), gone, world.context)
    assert [(entry.address, action.verb) for entry, action in plan.ready()] == [("jobschedule/s", Verb.DELETE)]


def test_a_schedule_is_never_deleted_while_a_job_of_it_is_seen(world: Any) -> None:
    for state in ("active", "disabled", "completed"):
        for job in ("active", "disabled", "terminating", "completed", "deleting"):
            live = world.live_schedule(world.schedule(), state)
            observed = world.observed(live, child(world, 1, job, nodes=())).with_children()
            step = next_step(None, observed.schedules[live.key], Context("s"))
            assert not (isinstance(step, Action) and step.verb is Verb.DELETE), (state, job)


def test_jobs_of_a_schedule_that_stays_are_left_alone(world: Any) -> None:
    wanted = world.schedule()
    observed = world.observed(world.live_schedule(wanted), child(world, 1, "completed"), child(world, 2))
    plan = make_plan(world.desired(wanted), observed, world.context)
    assert not plan.has_changes
    assert [entry.address for entry in plan.entries.values()] == ["jobschedule/s"]
    assert plan.owned == 1


def test_jobs_of_a_schedule_of_others_are_left_alone(world: Any) -> None:
    live = world.live_schedule(world.schedule(), "disabled", stack="other")
    plan = make_plan(world.desired(), world.observed(live, child(world, 1, "completed", nodes=())), world.context)
    assert not plan.has_changes
    declared = make_plan(world.desired(world.schedule()), world.observed(live), world.context)
    assert isinstance(declared.entries[live.key].step, Blocked)


def test_ended_jobs_beyond_the_history_go_oldest_first(world: Any) -> None:
    wanted = world.schedule(life={"history": {"success": 1, "failure": 1}})
    well, failed = TaskCounts(succeeded=1), TaskCounts(failed=1)
    results = [well, failed, well, failed, well]
    ended = [child(world, n, "completed", counts=counts, nodes=()) for n, counts in enumerate(results, 1)]
    observed = world.observed(world.live_schedule(wanted), *ended, child(world, 10))
    plan = make_plan(world.desired(wanted), observed, world.context)
    assert sorted(roads(plan)) == ["job/s:job-1", "job/s:job-2", "job/s:job-3"]
    assert all(entry.parent == wanted.key for entry in plan.entries.values() if entry.actions)


def test_what_decides_over_the_history_is_read(world: Any) -> None:
    wanted = world.schedule(life={"history": {"success": 1, "failure": 1}})
    jobs = [child(world, n, "completed") for n in (1, 2)]
    observed = world.observed(world.live_schedule(wanted), *jobs).with_children()
    reading = for_decisions(world.desired(wanted), observed, world.context)
    assert reading.counts == {job.key for job in jobs}
    assert reading.runs == frozenset()
    well = [replace(job, counts=TaskCounts(succeeded=1)) for job in jobs]
    observed = world.observed(world.live_schedule(wanted), *well).with_children()
    assert for_decisions(world.desired(wanted), observed, world.context).runs == {jobs[0].key}


def test_a_changed_specification_says_which_job_keeps_the_old_one(world: Any) -> None:
    wanted = world.schedule(jobSpecification={"poolInfo": {"poolId": "p"}, "priority": 5})
    observed = world.observed(world.live_schedule(world.schedule()), child(world, 3))
    plan = make_plan(world.desired(wanted), observed, world.context)
    (entry,) = plan.entries.values()
    assert entry.verbs == (Verb.UPDATE,)
    assert entry.notes == ("job/s:job-3 was made before and keeps the specification it started with",)


def test_without_a_list_of_jobs_no_schedule_is_removed(world: Any) -> None:
    observed = world.observed(world.live_schedule(world.schedule(), "disabled"), unread={Kind.JOB: "refused"})
    plan = make_plan(world.desired(), observed, world.context)
    assert isinstance(plan.entries[Key.of(Kind.JOB_SCHEDULE, "s")].step, Blocked)


def test_a_pool_waits_for_its_schedule_in_both_directions(world: Any) -> None:
    pool, wanted = world.pool(), world.schedule()
    new = make_plan(world.desired(pool, wanted), world.observed(), world.context)
    assert [entry.address for entry, _ in new.ready()] == ["pool/p"]
    live = world.observed(world.live_pool(pool), world.live_schedule(wanted, "disabled"))
    going = make_plan(world.desired(), live, world.context)
    assert [entry.address for entry, _ in going.ready()] == ["jobschedule/s"]
    staying = make_plan(
        world.desired(wanted), world.observed(world.live_pool(pool), world.live_schedule(wanted)), world.context
    )
    assert isinstance(staying.entries[pool.key].step, Blocked)


def test_replace_takes_the_whole_road_and_prevent_destroy_forbids_it(world: Any) -> None:
    live = world.live_schedule(world.schedule())
    context = replace(world.context, consents=Consents(replace=frozenset({(live.key, "t0")})))
    plan = make_plan(world.desired(world.schedule()), world.observed(live, child(world, 1, nodes=())), context)
    assert roads(plan)["jobschedule/s"].endswith("delete -> wait for the service to forget it -> create")
    assert "job/s:job-1" in roads(plan)
    kept = make_plan(world.desired(world.schedule(life={"preventDestroy": True})), world.observed(live), context)
    assert isinstance(kept.entries[live.key].step, Blocked)
    assert isinstance(next_step(None, replace(live, state="terminating"), world.context), Wait)


@pytest.mark.parametrize("policy", [{"keep": True}, {"orphan": True}])
def test_the_history_is_kept_short_whatever_becomes_of_the_schedule_itself(world: Any, policy: dict[str, bool]) -> None:
    wanted = world.schedule(life={"history": {"success": 1, "failure": 1}})
    ended = [child(world, n, "completed", counts=TaskCounts(succeeded=1), nodes=()) for n in (1, 2)]
    live = world.live_schedule(wanted, mark=Mark("s", wanted.digest, **policy))
    plan = make_plan(world.desired(wanted), world.observed(live, *ended), world.context)
    assert roads(plan)["job/s:job-1"] == "delete -> wait for the service to forget it"


def test_an_orphans_jobs_go_their_own_road_when_it_is_replaced(world: Any) -> None:
    wanted = world.schedule(life={"deletionPolicy": "Orphan"})
    live = world.live_schedule(wanted, "disabled", mark=Mark("s", wanted.digest, orphan=True))
    context = replace(world.context, consents=Consents(replace=frozenset({(live.key, "t0")})))
    plan = make_plan(world.desired(wanted), world.observed(live, child(world, 1, nodes=())), context)
    assert roads(plan)["job/s:job-1"].startswith("terminate -> ")


def test_a_schedule_is_blocked_with_the_last_of_its_jobs(world: Any) -> None:
    failed = child(world, 1, "completed", nodes=(world.ran(release=1),))
    for state, expected in (("active", [Verb.DISABLE]), ("disabled", [])):
        live = world.live_schedule(world.schedule(), state)
        entry = make_plan(world.desired(), world.observed(live, failed), world.context).entries[live.key]
        assert list(entry.verbs) == expected
        assert entry.blocked
        assert entry.blocked.consent == "--allow-release-failure job/s:job-1"
    others = world.observed(world.live_schedule(world.schedule(), "disabled"), failed, child(world, 2, nodes=()))
    assert make_plan(world.desired(), others, world.context).entries[live.key].blocked is None


def test_a_replacement_that_would_not_be_created_is_refused(world: Any) -> None:
    wanted = world.schedule(life={"state": "Completed"})
    context = replace(world.context, consents=Consents(replace=frozenset({(wanted.key, "t0")})))
    for state in ("active", "completed"):
        assert isinstance(next_step(wanted, world.live_schedule(wanted, state), context), Blocked)


def test_the_jobs_of_a_schedule_go_as_its_manifest_says_and_not_as_its_mark_remembers(world: Any) -> None:
    wanted = world.schedule(life={"onReleaseFailure": "Delete", "captureLogs": "Always"})
    live = world.live_schedule(wanted, "completed", mark=Mark("s", wanted.digest, capture="Never"))
    context = replace(world.context, consents=Consents(replace=frozenset({(live.key, "t0")})))
    failed = child(world, 1, "completed", nodes=(world.ran(release=1),))
    (action,) = make_plan(world.desired(wanted), world.observed(live, failed), context).entries[failed.key].actions
    assert (action.verb, action.capture) == (Verb.DELETE, "Always")
