"""What is decided for a job schedule, in every state it can be seen in."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle.ownership import KEPT
from reconciler.lifecycle.schedule import NOT_YET, departure, expendable, has_failed, next_step, outwait, predict
from reconciler.lifecycle.steps import Action, Blocked, Consents, Context, Done, Policy, Step, Verb, Wait
from reconciler.model.desired import Key, Kind
from reconciler.observed import Guard, LiveSchedule, Mark, TaskCounts
from reconciler.planning import make_plan
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


GUARD = Guard("0x1", "t0")
"""Of every live schedule that `world` makes."""
HOURLY = {"recurrenceInterval": "PT1H"}
WAIT, FORGET = Wait("its job to end"), Wait("the service to forget it")


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("active", Action(Verb.DISABLE, "no longer in the manifests", GUARD)),
        ("disabled", Action(Verb.DELETE, "no longer in the manifests", GUARD)),
        ("completed", Action(Verb.DELETE, "no longer in the manifests", GUARD)),
        ("terminating", WAIT),
        ("deleting", FORGET),
        ("hibernating", Blocked("in a state this version does not know: hibernating")),
    ],
)
def test_what_is_done_with_a_schedule_that_no_manifest_names(world: Any, state: str, step: Step) -> None:
    assert next_step(None, world.live_schedule(world.schedule(), state), world.context) == step


def test_a_schedule_that_is_neither_declared_nor_there_is_as_desired(world: Any) -> None:
    assert next_step(None, None, world.context) == Done("absent, as desired")


@pytest.mark.parametrize(
    ("life", "state", "step"),
    [
        ("Active", "active", Done("as its manifest says")),
        ("Active", "disabled", Action(Verb.ENABLE, "its manifest says lifecycle.state: Active", GUARD)),
        ("Active", "completed", Done("ran to its end")),
        ("Disabled", "active", Action(Verb.DISABLE, "its manifest says lifecycle.state: Disabled", GUARD)),
        ("Disabled", "disabled", Done("as its manifest says")),
        ("Disabled", "completed", Done("ran to its end")),
        ("Completed", "active", Action(Verb.TERMINATE, "its manifest says lifecycle.state: Completed", GUARD)),
        ("Completed", "disabled", Action(Verb.TERMINATE, "its manifest says lifecycle.state: Completed", GUARD)),
        ("Completed", "completed", Done("completed, as its manifest says")),
        ("Active", "terminating", WAIT),
        ("Active", "deleting", FORGET),
        ("Active", "hibernating", Blocked("in a state this version does not know: hibernating")),
    ],
)
def test_what_is_done_with_a_declared_schedule_in_each_state(world: Any, life: str, state: str, step: Step) -> None:
    wanted = world.schedule(life={"state": life})
    assert next_step(wanted, world.live_schedule(wanted, state), world.context) == step


def test_the_jobs_of_a_schedule_that_goes_are_waited_for_by_name_and_for_as_long_as_release_may_take(
    world: Any,
) -> None:
    live = world.live_schedule(world.schedule(), "disabled")
    ended, running = (child(world, number, state) for number, state in ((1, "completed"), (2, "active")))
    unreleased = child(world, 3, spec={"poolInfo": {"poolId": "p"}})
    for jobs, names, bound in (
        ((ended,), "s:job-1", ""),
        ((ended, running), "s:job-1, s:job-2", "up to 15 min"),
        ((ended, unreleased), "s:job-1, s:job-3", ""),
    ):
        step = next_step(None, replace(live, children=jobs), world.context)
        assert step == Wait(f"its jobs to be removed ({names})", bound)
        assert isinstance(step, Wait)
        assert step.on == {job.key for job in jobs}


@pytest.mark.parametrize("forced", [False, True])
def test_an_end_is_forced_on_the_incarnation_that_a_person_named(world: Any, forced: bool) -> None:
    wanted = world.schedule(life={"state": "Completed"})
    live = world.live_schedule(wanted)
    named = frozenset({(live.key, "t0" if forced else "before")})
    context = replace(world.context, consents=Consents(force=named))
    why = "its manifest says lifecycle.state: Completed"
    assert next_step(wanted, live, context) == Action(Verb.TERMINATE, why, GUARD, force=forced)
    delete = Action(Verb.DELETE, "no longer in the manifests", GUARD, force=forced)
    assert next_step(None, replace(live, state="disabled"), context) == delete
    # Disabling ends nothing, so there is nothing to force.
    assert next_step(None, live, context) == Action(Verb.DISABLE, "no longer in the manifests", GUARD)


def test_a_schedule_stuck_in_its_end_is_deleted_when_a_person_gave_up_waiting(world: Any) -> None:
    live = world.live_schedule(world.schedule(), "terminating")
    this = frozenset({(live.key, "t0")})
    context = replace(world.context, consents=Consents(force=this, stuck=this), removal="destroy")
    assert next_step(None, live, context) == Action(Verb.DELETE, "destroy", GUARD, force=True)
    assert next_step(None, live, replace(context, policies={live.key: Policy(keep=True)})) == Done(KEPT)
    assert next_step(None, live, replace(context, prunes=False)) == Done(
        "not in the manifests; this source does not prune"
    )
    assert next_step(world.schedule(), live, context) == WAIT
    running = replace(live, children=(child(world, 1),))
    assert next_step(None, running, context) == Wait("its jobs to be removed (s:job-1)", "up to 15 min")


CREATED = [
    # lifecycle.state, the schedule of the manifest -> the schedule that is sent
    ("Active", HOURLY, HOURLY),
    (
        "Active",
        {**HOURLY, "doNotRunAfter": "2030-01-01T00:00:00Z"},
        {**HOURLY, "doNotRunAfter": "2030-01-01T00:00:00Z"},
    ),
    ("Disabled", HOURLY, {**HOURLY, "doNotRunUntil": NOT_YET}),
    ("Disabled", {**HOURLY, "doNotRunUntil": "2030-01-01T00:00:00Z"}, {**HOURLY, "doNotRunUntil": NOT_YET}),
    # The service refuses an end before the start.
    ("Disabled", {**HOURLY, "doNotRunAfter": "2030-01-01T00:00:00Z"}, {**HOURLY, "doNotRunUntil": NOT_YET}),
]


@pytest.mark.parametrize(("life", "when", "sent"), CREATED)
def test_a_schedule_that_is_to_be_disabled_is_created_so_that_no_job_starts_before_it_is(
    world: Any, life: str, when: dict[str, str], sent: dict[str, str]
) -> None:
    wanted = world.schedule(life={"state": life}, schedule=when)
    body = {"id": "s", "schedule": sent, "jobSpecification": wanted.body["jobSpecification"]}
    create = next_step(wanted, None, world.context)
    assert create == Action(Verb.CREATE, "not there yet", body=body, mark=Mark("s", wanted.digest))
    assert wanted.body["schedule"] == when
    then = predict(wanted, None, create)
    times = {"doNotRunUntil": NOT_YET} if life == "Disabled" else {}
    spec = {**wanted.spec, "schedule": {**wanted.spec["schedule"], **times}}
    assert then == LiveSchedule(wanted.key, "s", "active", Guard("", ""), create.mark, spec)


def test_a_schedule_declared_completed_is_not_created_only_to_be_ended(world: Any) -> None:
    step = next_step(world.schedule(life={"state": "Completed"}), None, world.context)
    assert step == Done("not there, and its manifest asks for no run (lifecycle.state: Completed)")


def test_an_update_keeps_what_the_mark_knew_and_writes_what_differs_whole(world: Any) -> None:
    old = world.schedule()
    wanted = world.schedule(schedule={"recurrenceInterval": "PT2H"}, metadata=[{"name": "a", "value": "1"}])
    metadata = {"metadata": [{"name": "a", "value": "1"}]}
    mark = Mark("s", old.digest, nonce="n0nce")
    step = next_step(wanted, world.live_schedule(old, mark=mark), world.context)
    assert isinstance(step, Action)
    assert {field.top for field in step.changes} == {"schedule", "metadata"}
    body = {"schedule": {"recurrenceInterval": "PT2H"}, **metadata}
    after = replace(mark, spec=wanted.digest)
    assert step == Action(Verb.UPDATE, "changed in the manifest", GUARD, body, after, changes=step.changes)
    # The same difference under the digest of the manifest was made by somebody else.
    drifted = next_step(wanted, world.live_schedule(old, mark=after), world.context)
    assert drifted == replace(step, reason="drift")
    # A policy alone is a matter of the mark.
    keeping = world.schedule(life={"preventDestroy": True})
    step = next_step(keeping, world.live_schedule(old, mark=mark), world.context)
    kept = replace(mark, keep=True)
    assert step == Action(Verb.UPDATE, "policy changed", GUARD, {"metadata": []}, kept)


def test_a_secret_is_remembered_with_the_update_that_sends_it(world: Any) -> None:
    path = ("jobSpecification", "poolInfo", "secret")
    wanted = replace(
        world.schedule(schedule={"recurrenceInterval": "PT2H"}), secrets={path: "value"}, signature="key:new"
    )
    live = world.live_schedule(world.schedule(), mark=Mark("s", secrets="key:old"))
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert set(step.body) == {"schedule", "jobSpecification", "metadata"}
    assert step.mark == Mark("s", wanted.digest, secrets="key:new")
    live = replace(live, mark=Mark("s", secrets="key:new"))
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert set(step.body) == {"schedule", "metadata"}


OTHER_JOBS = {"jobSpecification": {"poolInfo": {"poolId": "p"}, "priority": 5}}
BOTH = {"schedule": {"recurrenceInterval": "PT2H"}, **OTHER_JOBS}
ENDED = "and a completed schedule takes no changes"


@pytest.mark.parametrize(
    ("spec", "life", "step"),
    [
        (
            {"schedule": {"recurrenceInterval": "PT2H"}},
            {},
            Action(Verb.DELETE, f"replace: schedule changed, {ENDED}", GUARD),
        ),
        (OTHER_JOBS, {}, Action(Verb.DELETE, f"replace: jobSpecification changed, {ENDED}", GUARD)),
        (BOTH, {}, Action(Verb.DELETE, f"replace: jobSpecification and schedule changed, {ENDED}", GUARD)),
        (
            BOTH,
            {"replace": "Never"},
            Blocked(
                f"jobSpecification and schedule changed, {ENDED}, and lifecycle.replace: Never forbids to replace it"
            ),
        ),
        (
            BOTH,
            {"preventDestroy": True},
            Blocked(
                f"kept: jobSpecification and schedule changed, {ENDED}, and lifecycle.preventDestroy forbids to "
                "replace it"
            ),
        ),
        (BOTH, {"state": "Completed"}, Done("completed, as its manifest says")),
        ({"metadata": [{"name": "a", "value": "1"}]}, {}, Done("ran to its end")),
        ({"displayName": "other"}, {}, Done("ran to its end")),
    ],
)
def test_a_completed_schedule_is_made_anew_for_what_a_run_to_come_would_do(
    world: Any, spec: dict[str, Any], life: dict[str, Any], step: Step
) -> None:
    live = world.live_schedule(world.schedule(), "completed")
    assert next_step(world.schedule(life=life, **spec), live, world.context) == step


def test_a_completed_schedule_is_not_made_anew_for_a_line_that_is_not_there(world: Any) -> None:
    live = world.live_schedule(world.schedule(schedule={**HOURLY, "startWindow": "PT5M"}), "completed")
    assert next_step(world.schedule(), live, world.context) == Done("ran to its end")
    spoken = next_step(world.schedule(schedule={**HOURLY, "startWindow": "PT6M"}), live, world.context)
    assert spoken == Action(Verb.DELETE, f"replace: schedule changed, {ENDED}", GUARD)


@pytest.mark.parametrize(
    ("until", "now", "anew"),
    [
        (None, "2030-01-01T00:00:00Z", True),
        ("2030-01-01T00:00:01Z", "2030-01-01T00:00:00Z", True),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z", False),
        ("2029-12-31T23:59:59Z", "2030-01-01T00:00:00Z", False),
        ("2029-12-31T23:59:59Z", "", True),  # nobody knows what time it is
    ],
)
def test_a_completed_schedule_is_made_anew_while_it_could_still_make_a_job(
    world: Any, until: str | None, now: str, anew: bool
) -> None:
    end = {"doNotRunAfter": until} if until else {}
    wanted = world.schedule(schedule={"recurrenceInterval": "PT2H", **end})
    step = next_step(wanted, world.live_schedule(world.schedule(), "completed"), replace(world.context, now=now))
    renewed = Action(Verb.DELETE, f"replace: schedule changed, {ENDED}", GUARD)
    assert step == (renewed if anew else Done("ran to its end"))


@pytest.mark.parametrize(
    ("state", "verb"), [("active", Verb.DISABLE), ("disabled", Verb.DELETE), ("completed", Verb.DELETE)]
)
def test_a_schedule_goes_for_its_successor_when_a_person_asks(world: Any, state: str, verb: Verb) -> None:
    wanted = world.schedule()
    live = world.live_schedule(wanted, state)
    context = replace(world.context, consents=Consents(replace=frozenset({(live.key, "t0")})))
    assert next_step(wanted, live, context) == Action(verb, "asked for by --replace", GUARD)


STAYS = None
GOES = "no longer in the manifests"


@pytest.mark.parametrize(
    ("state", "facts", "context", "reason"),
    [
        ("active", {}, {}, GOES),
        ("disabled", {}, {}, GOES),
        ("completed", {}, {}, GOES),
        ("terminating", {}, {}, STAYS),
        ("deleting", {}, {}, STAYS),
        ("terminating", {}, {"stuck": True}, GOES),
        ("active", {"stack": "other"}, {}, STAYS),
        ("active", {"stack": None}, {}, STAYS),
        ("active", {}, {"orphaning": True}, STAYS),
        ("active", {}, {"prunes": False}, STAYS),
        ("active", {}, {"prunes": False, "removing": True}, GOES),
        ("active", {"mark": Mark("s", keep=True)}, {}, STAYS),
        ("active", {"mark": Mark("s", orphan=True)}, {}, STAYS),
        ("active", {"mark": Mark("s", keep=True)}, {"prunes": False}, STAYS),
    ],
)
def test_jobs_go_first_where_a_schedule_leaves_the_manifests_and_nowhere_else(
    world: Any, state: str, facts: dict[str, Any], context: dict[str, bool], reason: str | None
) -> None:
    live = world.live_schedule(world.schedule(), state, **facts)
    key, this = frozenset({live.key}), frozenset({(live.key, "t0")})
    around = replace(
        world.context,
        prunes=context.get("prunes", True),
        removing=key if context.get("removing") else frozenset(),
        orphaning=key if context.get("orphaning") else frozenset(),
        consents=Consents(force=this, stuck=this) if context.get("stuck") else Consents(),
    )
    assert departure(None, live, around) == reason


def test_jobs_go_first_where_a_schedule_is_replaced_and_not_where_that_is_refused(world: Any) -> None:
    live = world.live_schedule(world.schedule())
    this = frozenset({(live.key, "t0")})
    asked = replace(world.context, consents=Consents(replace=this))
    assert departure(world.schedule(), live, world.context) is None
    assert departure(world.schedule(), live, asked) == "asked for by --replace"
    assert departure(world.schedule(life={"preventDestroy": True}), live, asked) is None
    # A consent to give up waiting is for one that no manifest names.
    stuck = replace(asked, consents=Consents(replace=this, force=this, stuck=this))
    assert departure(world.schedule(), replace(live, state="terminating"), stuck) is None


def test_what_a_schedule_is_like_once_it_was_waited_for(world: Any) -> None:
    live = replace(world.live_schedule(world.schedule(), "disabled"), children=(child(world, 1),))
    assert outwait(live) == replace(live, children=())
    assert outwait(replace(live, state="terminating")) == replace(live, state="completed")
    assert outwait(replace(live, state="deleting")) is None


def test_as_many_ended_jobs_are_kept_as_the_manifest_says_of_each_sort(world: Any) -> None:
    wanted = world.schedule(life={"history": {"success": 2, "failure": 1}})
    well, bad = TaskCounts(succeeded=1), TaskCounts(succeeded=1, failed=1)
    jobs = [child(world, number, "completed", counts=well if number in (1, 3) else bad) for number in (1, 2, 3)]
    live = replace(world.live_schedule(wanted), children=tuple(jobs))
    assert expendable(wanted, live) == ()
    unfit = child(world, 4, "completed", scheduling_error="PoolNotFound: no")
    uncounted, running = child(world, 5, "completed"), child(world, 6, counts=bad)
    assert [has_failed(job) for job in (*jobs, unfit, uncounted, running)] == [False, True, False, True, False, True]
    more = replace(live, children=(*jobs, unfit, uncounted, running))
    assert expendable(wanted, more) == (jobs[1],)
    assert expendable(None, more) == ()
