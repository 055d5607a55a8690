"""What is answered for a job, word for word and with the whole request, where its release or its work could be lost."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.ledger import Entry, Evidence, Ledger
from reconciler.lifecycle.job import FORCED, next_step, outwait
from reconciler.lifecycle.job_change import leaves_its_pool, makes_way
from reconciler.lifecycle.ownership import KEPT
from reconciler.lifecycle.runs import GONE, may_expire, run_digest
from reconciler.lifecycle.steps import Action, Blocked, Consents, Done, Step, Verb, Wait
from reconciler.lifecycle.tasks import retry_digest
from reconciler.observed import Failure, Guard, LiveJob, Mark, NodeRun, Run, TaskCounts

GUARD = Guard("0x1", "t0")
REASON = "no longer in the manifests"
RESULTS = Wait("its preparation and release results to be read")
OTHER = {"jobReleaseTask": {"commandLine": "other"}}
FIXED = "commandLine of jobReleaseTask is fixed after creation"
AUTO = {"autoPoolSpecification": {"poolLifetimeOption": "job", "keepAlive": False}}


def terminates(reason: str, *, force: bool = False) -> Action:
    return Action(Verb.TERMINATE, reason, GUARD, {"terminateReason": "reconciler"}, force=force)


# The end


@pytest.mark.parametrize("state", ["active", "enabling", "disabling", "disabled"])
def test_an_unfinished_job_that_goes_is_terminated_in_our_name(world: Any, state: str) -> None:
    live = world.live_job(world.job(), state)
    assert next_step(None, live, world.context) == terminates(REASON)
    forced = replace(world.context, consents=Consents(force=frozenset({(live.key, "t0")})))
    assert next_step(None, live, forced) == terminates(REASON + FORCED, force=True)


def test_a_completed_job_is_deleted_with_its_receipt(world: Any) -> None:
    live = world.live_job(world.job(), "completed")
    assert next_step(None, live, world.context) == RESULTS
    read = replace(live, nodes=(world.ran(release=0),))
    gone = Action(Verb.DELETE, REASON, GUARD, receipt=read.nodes, capture="OnFailure")
    assert next_step(None, read, world.context) == gone
    this = frozenset({(live.key, "t0")})
    stuck = replace(world.context, consents=Consents(force=this, stuck=this))
    assert next_step(None, replace(read, state="terminating"), stuck) == replace(
        gone, reason=REASON + FORCED, force=True
    )


def test_a_job_in_a_state_that_this_version_does_not_know_is_left_as_it_is(world: Any) -> None:
    blocked = Blocked("in a state this version does not know: hibernating")
    live = world.live_job(world.job(), "hibernating", nodes=())
    for wanted in (None, world.job()):
        assert next_step(wanted, live, world.context) == blocked
    # What the manifest or the mark keeps is kept whatever its state.
    assert next_step(None, replace(live, mark=Mark("s", keep=True)), world.context) == Done(KEPT)


def test_a_failed_release_is_written_down_and_then_held_with_all_its_nodes(world: Any) -> None:
    nodes = (world.ran("n1", release=3), world.ran("n2", release=0), world.ran("n3", release=4))
    live = world.live_job(world.job(), "completed", nodes=nodes)
    failed = "release failed on n1 (exit code 3), n3 (exit code 4)"
    step = Action(Verb.WRITE_RECEIPT, failed, GUARD, receipt=nodes, capture="OnFailure")
    assert next_step(None, live, world.context) == step
    receipts = {(live.key, "t0"): Evidence("/store/j.json", "/store/j")}
    written = replace(world.context, ledger=Ledger(receipts=receipts))
    assert next_step(None, live, written) == Blocked(
        f"kept, because {failed}: receipt /store/j.json, logs /store/j; what it left behind is on the nodes "
        "(reconciler logs job/j --task release)",
        "--allow-release-failure job/j",
    )
    agreed = replace(written, consents=Consents(release_failure=frozenset({live.key})))
    assert next_step(None, live, agreed) == Action(Verb.DELETE, REASON, GUARD, receipt=nodes)


def test_a_release_that_could_not_start_is_told_with_the_reason_of_the_service(world: Any) -> None:
    failure = Failure("UserError", "CommandProgramNotFound", "The command program was not found")
    run = Run("completed", None, "failure", failure)
    live = world.live_job(world.job(), "completed", nodes=(NodeRun("n1", "p", Run("completed", 0, "success"), run),))
    step = next_step(None, live, world.context)
    assert isinstance(step, Action)
    assert step.reason == f"release failed on n1 ({failure})"


# A successor


@pytest.mark.parametrize(
    ("life", "running", "step"),
    [
        ("Auto", None, Wait("its tasks to be counted")),
        ("Auto", 0, terminates(f"replace: {FIXED}")),
        ("Auto", 1, Blocked(f"replace: {FIXED}; it would kill 1 running task", "--allow-task-loss job/j")),
        ("Auto", 2, Blocked(f"replace: {FIXED}; it would kill 2 running tasks", "--allow-task-loss job/j")),
        ("WhenIdle", None, Wait("its tasks to be counted")),
        ("WhenIdle", 0, terminates(f"replace: {FIXED}")),
        ("WhenIdle", 1, Wait("its 1 running task to end (lifecycle.replace: WhenIdle)")),
        ("Never", 0, Blocked(f"{FIXED}, and lifecycle.replace: Never forbids to replace it")),
    ],
)
def test_what_runs_is_not_killed_for_a_changed_line(world: Any, life: str, running: int | None, step: Step) -> None:
    wanted = world.job(life={"replace": life}, **OTHER)
    counts = None if running is None else TaskCounts(active=3, running=running)
    live = world.live_job(world.job(), counts=counts)
    assert next_step(wanted, live, world.context) == step
    if life == "Auto":
        asked = replace(world.context, consents=Consents(replace=frozenset({(live.key, "t0")})))
        assert next_step(wanted, live, asked) == terminates("asked for by --replace")


@pytest.mark.parametrize(
    ("state", "life", "spec", "expected"),
    [
        ("active", {}, OTHER, True),
        ("disabled", {}, OTHER, True),
        ("active", {}, {"priority": 5}, False),
        ("active", {"replace": "Never"}, OTHER, False),
        ("active", {"state": "Completed"}, OTHER, False),
        ("terminating", {}, OTHER, False),
        ("completed", {}, OTHER, False),
    ],
)
def test_tasks_are_counted_where_a_job_is_to_make_way(
    world: Any, state: str, life: dict[str, str], spec: dict[str, Any], expected: bool
) -> None:
    live = world.live_job(world.job(), state)
    assert makes_way(world.job(life=life, **spec), live, world.context) is expected


@pytest.mark.parametrize(
    ("life", "spec", "step"),
    [
        ({}, {}, Done("ran to its end")),
        ({"state": "Completed"}, {}, Done("completed, as its manifest says")),
        ({"state": "Completed"}, OTHER, Done("completed, as its manifest says")),
        ({"replace": "Never"}, OTHER, Blocked(f"{FIXED}, and lifecycle.replace: Never forbids to replace it")),
        ({}, OTHER, Action(Verb.DELETE, f"replace: {FIXED}", GUARD, receipt=(), capture="OnFailure")),
    ],
)
def test_finished_work_satisfies_a_manifest_unless_a_fixed_field_asks_for_a_new_run(
    world: Any, life: dict[str, str], spec: dict[str, Any], step: Step
) -> None:
    live = world.live_job(world.job(), "completed", nodes=())
    assert next_step(world.job(life=life, **spec), live, world.context) == step


def test_a_new_run_cannot_be_asked_for_where_the_manifest_asks_for_none(world: Any) -> None:
    live = world.live_job(world.job(), "completed", nodes=())
    asked = replace(world.context, consents=Consents(replace=frozenset({(live.key, "t0")})))
    assert next_step(world.job(life={"state": "Completed"}), live, asked) == Blocked(
        "--replace asks for a new run, and its manifest for none (lifecycle.state: Completed)"
    )


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ("t1 t2", "1 of its declared tasks was never added (t3)"),
        ("t2", "2 of its declared tasks were never added (t1, ...)"),
        ("", "3 of its declared tasks were never added (t1, ...)"),
    ],
)
def test_a_job_that_completed_before_all_its_tasks_were_in_is_told_once_for_all(
    world: Any, there: str, reason: str
) -> None:
    wanted = world.job(tasks=("t1", "t2", "t3"))
    tasks = {name: world.live_task(wanted.tasks[name]) for name in there.split()}
    live = world.live_job(wanted, "completed", tasks=tasks, mark=Mark("s", wanted.digest))
    blocked = Blocked(f"it is completed, and {reason}; a completed job takes no tasks", "--replace job/j")
    assert next_step(wanted, live, world.context) == blocked
    # Tasks that were confirmed and deleted since are not missed.
    confirmed = replace(live, mark=Mark("s", wanted.digest, wanted.tasks_digest))
    assert next_step(wanted, confirmed, world.context) == Done("ran to its end")


def test_a_new_job_counts_as_retried_for_its_manifest(world: Any) -> None:
    """It has no failed task of an earlier one: those that fail are its own, and stay failed."""
    for policy in ("AddOnly", "ReactivateFailed"):
        wanted = world.job(tasks=("t1",), life={"tasks": policy})
        retried = retry_digest(wanted) if policy == "ReactivateFailed" else ""
        body = {"id": "j", **wanted.body}
        mark = Mark("s", wanted.digest, retried=retried)
        assert next_step(wanted, None, world.context) == Action(Verb.CREATE, "not there yet", body=body, mark=mark)


@pytest.mark.parametrize(
    ("life", "spec", "step"),
    [
        ("Completed", {}, Done("not there, and its manifest asks for no run (lifecycle.state: Completed)")),
        (
            "Disabled",
            {"jobManagerTask": {"id": "m", "commandLine": "x"}},
            Blocked(
                "its job manager task would start before it can be disabled: create it with lifecycle.state: Active"
            ),
        ),
    ],
)
def test_a_job_that_may_not_be_created_says_why(world: Any, life: str, spec: dict[str, Any], step: Step) -> None:
    assert next_step(world.job(life={"state": life}, **spec), None, world.context) == step


# Another pool


def test_a_job_leaves_its_pool_once_what_it_owes_there_is_known_and_agreed_to(world: Any) -> None:
    wanted = world.job(poolInfo={"poolId": "q"})
    live = world.live_job(world.job())
    assert next_step(wanted, live, world.context) == RESULTS
    disable = Action(
        Verb.DISABLE, "poolInfo.poolId can change only while it is disabled", GUARD, {"disableTasks": "wait"}
    )
    paid = replace(live, nodes=(world.ran("n1", release=0), world.ran("n9", pool="elsewhere")))
    assert next_step(wanted, paid, world.context) == disable
    nodes = tuple(world.ran(f"n{number}") for number in (1, 2, 3, 4))
    owing = replace(live, nodes=nodes)
    assert next_step(wanted, owing, world.context) == Blocked(
        "it would leave its pool, whose nodes still owe its release (n1, n2, n3 and 1 more), and nobody knows whether "
        "release reaches them then",
        "--allow-release-loss job/j",
    )
    agreed = replace(world.context, consents=Consents(release_loss=frozenset({live.key})))
    assert next_step(wanted, owing, agreed) == disable
    # A job without a release task owes none, whatever was read.
    plain = world.job(jobReleaseTask=None, poolInfo={"poolId": "q"})
    unreleased = world.live_job(world.job(jobReleaseTask=None))
    assert next_step(plain, unreleased, world.context) == disable


def test_a_job_that_stays_on_its_pool_owes_nothing_for_a_change_of_its_auto_pool(world: Any) -> None:
    live = world.live_job(world.job(poolInfo=AUTO))
    kept = {"autoPoolSpecification": {"poolLifetimeOption": "job", "keepAlive": True}}
    step = next_step(world.job(poolInfo=kept), live, world.context)
    reason = "poolInfo.autoPoolSpecification.keepAlive can change only while it is disabled"
    assert step == Action(Verb.DISABLE, reason, GUARD, {"disableTasks": "wait"})


@pytest.mark.parametrize(
    ("spec", "state", "leaves"),
    [
        ({"poolInfo": {"poolId": "q"}}, "active", True),
        ({"poolInfo": {"poolId": "q"}}, "disabled", True),
        ({"poolInfo": {"poolId": "q"}}, "terminating", False),
        ({"poolInfo": {"poolId": "q"}}, "completed", False),
        ({"priority": 5}, "active", False),
        ({}, "active", False),
    ],
)
def test_which_jobs_leave_their_pool(world: Any, spec: dict[str, Any], state: str, leaves: bool) -> None:
    assert leaves_its_pool(world.job(**spec), world.live_job(world.job(), state)) is leaves


def test_another_auto_pool_takes_a_new_run_and_keeping_it_alive_does_not(world: Any) -> None:
    old = world.job(poolInfo=AUTO)
    longer = world.job(poolInfo={"autoPoolSpecification": {"poolLifetimeOption": "jobschedule", "keepAlive": False}})
    alive = world.job(poolInfo={"autoPoolSpecification": {"poolLifetimeOption": "job", "keepAlive": True}})
    assert run_digest(longer) != run_digest(old)
    assert run_digest(alive) == run_digest(old)
    live = world.live_job(old, counts=TaskCounts())
    assert next_step(longer, live, world.context) == terminates(
        "replace: autoPoolSpecification.poolLifetimeOption of poolInfo is fixed after creation"
    )
    assert next_step(alive, replace(live, state="completed", nodes=()), world.context) == Done("ran to its end")


# Runs that are over


@pytest.mark.parametrize(
    ("life", "facts", "consent", "step"),
    [
        ({}, {}, False, Done(GONE)),
        ({}, {}, True, Action(Verb.FORGET, "asked for by --replace")),
        ({}, {"run_digest": "another"}, False, Action(Verb.FORGET, "a fixed field changed: a new run")),
        (
            {},
            {"tasks_digest": "another"},
            False,
            Blocked(f"it {GONE}, and its declared tasks are others by now", "--replace job/j"),
        ),
        ({"runPolicy": "Always"}, {}, False, Action(Verb.FORGET, "lifecycle.runPolicy: Always")),
        ({"runPolicy": "Once"}, {}, False, Done(GONE)),
        (
            {"runPolicy": "Once"},
            {"run_digest": "another"},
            False,
            Done(f"{GONE}; its manifest changed since (lifecycle.runPolicy: Once)"),
        ),
        ({"runPolicy": "Once"}, {"tasks_digest": "another"}, False, Done(GONE)),
    ],
)
def test_what_the_ledger_says_of_a_job_that_is_gone(
    world: Any, life: dict[str, str], facts: dict[str, str], consent: bool, step: Step
) -> None:
    wanted = world.job(tasks=("t1",), life=life)
    run = Entry("s", wanted.key, "j", run_digest(wanted), wanted.tasks_run_digest, "t0", "t1", "success")
    consents = Consents(replace=frozenset({(wanted.key, "t0")}) if consent else frozenset())
    context = replace(world.context, run=replace(run, **facts), consents=consents)
    assert next_step(wanted, None, context) == step


def test_what_the_ledger_says_of_a_job_that_nobody_names(world: Any) -> None:
    wanted = world.job()
    run = Entry("s", wanted.key, "j", "", "", "t0", "t1", "success")
    assert next_step(None, None, world.context) == Done("absent, as desired")
    context = replace(world.context, run=run)
    assert next_step(None, None, context) == Action(Verb.FORGET, REASON)
    partly = replace(context, prunes=False)
    assert next_step(None, None, partly) == Done("its run is over and remembered; this source does not prune")
    named = replace(partly, removing=frozenset({wanted.key}))
    assert next_step(None, None, named) == Action(Verb.FORGET, REASON)


LIVES = {"ttlAfterCompletion": {"success": "P1D", "failure": "P7D"}}
ENDED = "2030-01-01T12:00:00Z"


def ended(world: Any, wanted: Any, **facts: Any) -> LiveJob:
    read = {"nodes": (world.ran(release=0),), "counts": TaskCounts(succeeded=1), "ended": ENDED, **facts}
    live: LiveJob = world.live_job(wanted, "completed", **read)
    return live


def test_a_job_whose_time_is_over_is_removed_and_remembered(world: Any) -> None:
    wanted = world.job(tasks=("t1",), life=LIVES)
    live = ended(world, wanted)
    later = replace(world.context, now="2030-01-02T12:00:00Z")
    run = Entry("s", live.key, "j", run_digest(wanted), wanted.tasks_run_digest, "t0", ENDED, "success")
    reason = f"completed {ENDED}; ttlAfterCompletion.success: P1D is over"
    gone = Action(Verb.DELETE, reason, GUARD, receipt=live.nodes, run=run, capture="OnFailure")
    assert next_step(wanted, live, later) == gone
    sooner = replace(later, now="2030-01-02T11:59:59Z")
    assert next_step(wanted, live, sooner) == Done("ran to its end")
    assert next_step(wanted, live, replace(sooner, due="2030-01-02T12:00:00Z")) == gone
    for unread in ({"counts": None}, {"nodes": None}):
        assert next_step(wanted, replace(live, **unread), later) == Wait("its results to be read")
    failed = replace(live, counts=TaskCounts(failed=1))
    assert next_step(wanted, failed, later) == Done("ran to its end")
    week = replace(world.context, now="2030-01-08T12:00:00Z")
    reason = f"completed {ENDED}; ttlAfterCompletion.failure: P7D is over"
    assert next_step(wanted, failed, week) == replace(gone, reason=reason, run=replace(run, result="failure"))


@pytest.mark.parametrize(
    ("life", "facts", "now", "may"),
    [
        (LIVES, {}, "2030-01-02T12:00:00Z", True),
        (LIVES, {}, "2030-01-02T11:59:59Z", False),
        (LIVES, {}, "", False),
        (LIVES, {"ended": ""}, "2030-01-02T12:00:00Z", False),
        ({}, {}, "2030-01-02T12:00:00Z", False),
        ({**LIVES, "preventDestroy": True}, {}, "2030-01-02T12:00:00Z", False),
        ({"ttlAfterCompletion": {"failure": "PT1H"}}, {}, "2030-01-01T13:00:00Z", True),
    ],
)
def test_results_are_read_where_a_time_to_live_may_be_over(
    world: Any, life: dict[str, Any], facts: dict[str, Any], now: str, may: bool
) -> None:
    wanted = world.job(life=life)
    context = replace(world.context, now=now)
    assert may_expire(wanted, ended(world, wanted, **facts), context) is may
    assert not may_expire(wanted, replace(ended(world, wanted), state="terminating"), context)


def test_a_job_is_not_removed_by_a_ledger_that_another_run_would_not_find(world: Any) -> None:
    wanted = world.job(life=LIVES)
    live = ended(world, wanted, mark=Mark("s", wanted.digest, wanted.tasks_digest, store="aaaaaaaa"))
    context = replace(world.context, now="2030-01-02T12:00:00Z", stores=frozenset({"aaaaaaaa"}))
    for store, ours in (("bbbbbbbb", "the store in use is bbbbbbbb"), ("", "the store in use is new")):
        lost = replace(context, ledger=Ledger(store_id=store))
        assert next_step(wanted, live, lost) == Blocked(
            f"ledger missing: its mark names another store (store aaaaaaaa, and {ours}), which would not know that it "
            "was removed and might run it again",
            "--allow-new-run job/j",
        )
        agreed = replace(lost, consents=Consents(new_run=frozenset({live.key})))
        step = next_step(wanted, live, agreed)
        assert isinstance(step, Action)
        assert step.verb is Verb.DELETE
    step = next_step(wanted, live, replace(context, ledger=Ledger(store_id="aaaaaaaa")))
    assert isinstance(step, Action)


# Others' objects


@pytest.mark.parametrize(
    ("stack", "owner", "adopt"),
    [
        (None, "not marked as any stack's", "adopt it"),
        ("other", "owned by stack 'other'", "orphan it there and adopt it"),
    ],
)
def test_an_object_of_others_is_named_with_its_owner(world: Any, stack: str | None, owner: str, adopt: str) -> None:
    wanted = world.job()
    live = world.live_job(wanted, stack=stack)
    refused = f"job/j exists and is {owner}: remove it, {adopt}, or give the manifest another name"
    assert next_step(None, live, world.context) == Done(f"{owner}: left alone")
    assert next_step(wanted, live, world.context) == Blocked(refused)
    leaving = replace(world.context, orphaning=frozenset({live.key}))
    assert next_step(wanted, live, leaving) == Done(f"{owner}: left alone")


def test_an_object_of_nobody_gets_a_mark_that_tells_whether_its_manifest_wrote_it(world: Any) -> None:
    metadata = [{"name": "a", "value": "1"}]
    wanted = replace(world.job(metadata=metadata), signature="key:digest")
    live = world.live_job(wanted, stack=None)
    adopting = replace(world.context, adopting=frozenset({live.key}))
    adopt = Action(Verb.ADOPT, "to be adopted", GUARD, {"metadata": metadata}, Mark("s", wanted.digest))
    assert next_step(wanted, live, adopting) == adopt
    other = replace(live, spec={**live.spec, "priority": 7})
    assert next_step(wanted, other, adopting) == replace(adopt, mark=Mark("s"))
    owned = world.live_job(wanted, stack="other")
    assert next_step(wanted, owned, adopting) == Blocked(
        "job/j is owned by stack 'other': only an object of no stack can be adopted"
    )
    ending = replace(live, state="terminating")
    assert next_step(wanted, ending, adopting) == Blocked(
        "job/j is terminating, and a terminating job cannot be marked"
    )


def test_a_mark_is_taken_off_where_a_person_or_a_policy_says_so(world: Any) -> None:
    live = world.live_job(world.job())
    leaving = replace(world.context, orphaning=frozenset({live.key}))
    off = Action(Verb.ORPHAN, "to be left to others", GUARD, {"metadata": []})
    for wanted in (None, world.job()):
        assert next_step(wanted, live, leaving) == off
    left = replace(live, mark=Mark("s", orphan=True))
    assert next_step(None, left, world.context) == replace(off, reason=REASON)
    assert next_step(None, replace(left, state="completed"), world.context) == Blocked(
        "job/j is completed, and the mark cannot be taken off a completed job: put its manifest back with "
        "lifecycle.deletionPolicy: Delete and destroy it, or remove it by hand"
    )


# Forecasts


def test_what_a_job_is_like_once_it_was_waited_for(world: Any) -> None:
    counts, nodes = TaskCounts(active=1, running=2, succeeded=3), (world.ran(),)
    live = world.live_job(world.job(), nodes=nodes, counts=counts, tasks={})
    assert outwait(replace(live, state="terminating")) == replace(live, state="completed")
    unread = replace(live, state="terminating", nodes=None, counts=None)
    assert outwait(unread) == replace(unread, state="completed", nodes=(), counts=TaskCounts())
    assert outwait(replace(live, state="deleting")) is None
    assert outwait(replace(live, state="disabling")) == replace(live, state="disabled")
    assert outwait(replace(live, state="enabling")) == live
    assert outwait(live) == replace(live, counts=replace(counts, running=0))
    assert outwait(replace(live, nodes=None, counts=None)) == replace(live, nodes=(), counts=TaskCounts())
