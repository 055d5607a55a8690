"""Forecasts: what a plan takes away, where release runs, how long it waits, what is left of quotas."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.forecast import (
    FileLoss,
    Forecast,
    LongestWait,
    ObjectForecast,
    Place,
    QuotaUse,
    Release,
    TaskLoss,
    make_forecast,
)
from reconciler.lifecycle.steps import Consents, Context
from reconciler.model.desired import Key, Kind
from reconciler.observed import LiveNode, Mark, NodeRun, Run, TaskCounts
from reconciler.planning import make_plan
from reconciler.reading import MOST_FORECAST, ending_jobs, for_forecasts

JOB, POOL = Key.of(Kind.JOB, "j"), Key.of(Kind.POOL, "p")
UP = (LiveNode("n1", "idle"), LiveNode("n2", "running", running=1))
COUNTS = TaskCounts(active=5, running=3, succeeded=2, failed=1)


def forecast(world: Any, wanted: tuple[Any, ...], live: tuple[Any, ...], **more: Any) -> Forecast:
    context = more.pop("context", world.context)
    observed = world.observed(*live, unread=more.pop("kinds", None))
    plan = make_plan(world.desired(*wanted), observed, context)
    return make_forecast(plan, observed.with_children(), more.pop("unread", {}), more.pop("limits", {}))


def test_a_job_that_goes_cuts_off_tasks_erases_directories_and_is_released_where_its_nodes_are(world: Any) -> None:
    job = world.live_job(world.job(), counts=COUNTS, nodes=(world.ran("n1"), world.ran("n2"), world.ran("n3")))
    found = forecast(world, (world.pool(),), (job, world.live_pool(world.pool(), members=UP))).of(JOB)
    assert found.tasks == TaskLoss(running=3, waiting=5)
    assert found.releases == (Release("job/j", (Place("n1"), Place("n2")), lost=(Place("n3", "has left the pool"),)),)
    kept = "its receipt is kept, and logs of preparation, release and tasks that failed (captureLogs: OnFailure)"
    assert found.files == FileLoss(tasks=6, nodes=2, kept=kept)
    assert found.wait == LongestWait(900, ("release on 1 node where it is uncertain", "the service to forget it"))


def test_what_was_not_read_is_not_known(world: Any) -> None:
    job = world.live_job(world.job())
    found = forecast(world, (), (job,), unread={JOB: "terminate job/j: 403"}).of(JOB)
    assert found.tasks == TaskLoss(None, None)
    assert found.releases == (Release("job/j", is_known=False),)
    assert found.files is not None
    assert (found.files.tasks, found.files.nodes) == (None, None)
    assert found.unread == ("terminate job/j: 403",)
    assert found.wait is not None
    assert "release on nodes that are not known" in found.wait.unlimited


PREPARED = Run("completed", 0, "success", ended="2026-01-01T10:00:00Z")


@pytest.mark.parametrize(
    ("node", "chance", "why"),
    [
        (LiveNode("n1", "idle"), "runs", ""),
        (LiveNode("n1", "running"), "runs", ""),
        (LiveNode("n1", "idle", booted="2026-01-01T09:00:00Z"), "runs", ""),
        (LiveNode("n1", "idle", booted="2026-01-01T11:00:00Z"), "uncertain", "restarted after its preparation; if"),
        (LiveNode("n1", "unusable", since="2026-01-01T11:00:00Z"), "uncertain", "is unusable since 11:00:00Z"),
        (LiveNode("n1", "offline"), "uncertain", "is offline"),
        (LiveNode("n1", "leavingpool"), "uncertain", "is leaving the pool"),
        (LiveNode("n1", "reimaging"), "lost", "is being reimaged"),
        (LiveNode("n9", "idle"), "lost", "has left the pool"),
        (None, "uncertain", "the nodes of its pool were not read"),
    ],
)
def test_where_release_runs_depends_on_the_node(world: Any, node: LiveNode | None, chance: str, why: str) -> None:
    pool = world.live_pool(world.pool(), members=None if node is None else (node,))
    job = world.live_job(world.job(), counts=COUNTS, nodes=(NodeRun("n1", "p", PREPARED, None),))
    (release,) = forecast(world, (world.pool(),), (job, pool)).of(JOB).releases
    (place,) = getattr(release, chance)
    assert place.why.startswith(why)
    assert sum(len(places) for places in (release.runs, release.uncertain, release.lost)) == 1


def test_a_release_that_is_forced_is_uncertain_everywhere(world: Any) -> None:
    job = world.live_job(world.job(), counts=COUNTS, nodes=(world.ran("n1"),))
    context = Context("s", consents=Consents(force=frozenset({(JOB, "t0")})))
    pool = world.live_pool(world.pool(), members=UP)
    (release,) = forecast(world, (world.pool(),), (job, pool), context=context).of(JOB).releases
    assert [place.node for place in release.uncertain] == ["n1"]
    assert "--dangerous-force" in release.uncertain[0].why


def test_a_pool_that_goes_takes_its_nodes_and_what_runs_on_them_for_others(world: Any) -> None:
    pool = world.live_pool(world.pool(), members=UP)
    alone = forecast(world, (), (pool,)).of(POOL)
    assert (alone.tasks, alone.files) == (None, FileLoss(whole=2))
    other = world.live_job(world.job(), stack=None, nodes=(world.ran("n1"),))
    consent = Context("s", consents=Consents(release_loss=frozenset({JOB})))
    found = forecast(world, (), (pool, other), context=consent).of(POOL)
    assert found.tasks == TaskLoss(running=1, restarts=True)
    assert found.releases == (Release("job/j", lost=(Place("n1", "goes with the pool"),)),)


def test_a_shrink_under_consent_names_the_job_and_the_nodes(world: Any) -> None:
    pool = world.live_pool(world.pool(), members=UP)
    other = world.live_job(world.job(), stack=None, nodes=(world.ran("n1"), world.ran("n2")))
    consent = Context("s", consents=Consents(release_loss=frozenset({JOB})))
    found = forecast(world, (world.pool(targetDedicatedNodes=1),), (pool, other), context=consent).of(POOL)
    why = "the service chooses which nodes go"
    assert found.releases == (Release("job/j", uncertain=(Place("n1", why), Place("n2", why)), at_most=1),)
    assert found.files == FileLoss(whole=1)
    assert found.tasks is None
    to_none = forecast(world, (world.pool(targetDedicatedNodes=0),), (pool, other), context=consent).of(POOL)
    assert to_none.releases == (Release("job/j", lost=(Place("n1", why), Place("n2", why))),)


def test_nodes_that_are_removed_by_name_lose_no_release(world: Any) -> None:
    pool = world.live_pool(world.pool(), members=UP)
    other = world.live_job(world.job(), stack=None, nodes=(world.ran("n2"),))
    found = forecast(world, (world.pool(targetDedicatedNodes=1),), (pool, other)).of(POOL)
    assert (found.releases, found.files) == ((), FileLoss(whole=1))


def test_autoscale_may_take_what_its_formula_may_ask_for(world: Any) -> None:
    scaled = world.pool(enableAutoScale=True, autoScaleFormula="$TargetDedicatedNodes = 1", targetDedicatedNodes=None)
    found = forecast(world, (scaled,), (world.live_pool(world.pool(), members=UP),)).of(POOL)
    assert found.files == FileLoss(whole=1)


def test_a_rollout_by_reimage_erases_what_is_on_the_nodes(world: Any) -> None:
    wanted = world.pool(life={"nodeRollout": "ReimageIdle"})
    mark = Mark("s", wanted.digest, written="2026-01-01T12:00:00+00:00")
    old = tuple(replace(node, booted="2026-01-01T09:00:00Z", running=0, state="idle") for node in UP)
    found = forecast(world, (wanted,), (world.live_pool(wanted, members=old, mark=mark),)).of(POOL)
    assert found.files == FileLoss(whole=2)


def test_a_schedule_names_the_jobs_that_go_with_it(world: Any) -> None:
    schedule = world.live_schedule(world.schedule("x"))
    child = world.live_job(world.job("x:job-1"), stack=None, counts=COUNTS, nodes=())
    removed = forecast(world, (), (schedule, child))
    assert removed.of(schedule.key).children == ("job/x:job-1",)
    assert removed.of(child.key).tasks == TaskLoss(3, 5)
    completed = world.schedule("x", life={"state": "Completed"})
    ended = forecast(world, (completed,), (schedule, child)).of(schedule.key)
    assert (ended.children, ended.tasks) == (("job/x:job-1",), TaskLoss(3, 5))


def test_tasks_that_are_deleted_and_added_anew_lose_what_they_did(world: Any) -> None:
    before, after = world.job(tasks=("t1",)), world.job(life={"tasks": "Replace"})
    after = replace(after, tasks={"t1": world.task("t1", "other")})
    live = world.live_job(before, tasks={"t1": world.live_task(world.task("t1"), "running")})
    context = Context("s", consents=Consents(task_loss=frozenset({JOB})))
    found = forecast(world, (after,), (live,), context=context).of(JOB)
    assert (found.tasks, found.files) == (TaskLoss(1, restarts=True), FileLoss(tasks=1))


def test_a_job_that_leaves_its_pool_under_consent_names_the_nodes(world: Any) -> None:
    job = world.live_job(world.job(), nodes=(world.ran("n1"),))
    wanted = world.job(poolInfo={"poolId": "q"})
    context = Context("s", consents=Consents(release_loss=frozenset({JOB})))
    (release,) = forecast(world, (wanted,), (job,), context=context).of(JOB).releases
    assert [place.node for place in release.uncertain] == ["n1"]


def test_waits_add_up_along_the_road_and_what_comes_first_counts_once(world: Any) -> None:
    release = {"commandLine": "release", "maxWallClockTime": "PT5M"}
    jobs = [world.job(name, jobReleaseTask=release) for name in ("j", "k")]
    live = [world.live_job(job, counts=COUNTS, nodes=(world.ran("n1"),)) for job in jobs]
    pool = world.live_pool(world.pool(), members=UP)
    found = forecast(world, (), (*live, pool))
    assert found.of(JOB).wait == LongestWait(300, ("the service to forget it",))
    assert found.of(POOL).wait == LongestWait(300, ("the service to remove its nodes", "job/j", "job/k"))
    wanted = world.pool(targetDedicatedNodes=3, resizeTimeout="PT20M")
    resizing = world.live_pool(world.pool(resizeTimeout="PT20M"), allocation="stopping")
    assert forecast(world, (wanted,), (resizing,)).of(POOL).wait == LongestWait(1200, ("nodes: 2 of 3 ready",))


def test_what_waits_for_a_blocked_object_has_no_limit(world: Any) -> None:
    pool = world.pool(life={"preventDestroy": True, "rollout": "Replace"}, vmSize="Standard_D4s_v3")
    job = world.live_job(world.job(), stack=None)
    found = forecast(world, (pool, world.job("k")), (world.live_pool(world.pool(), members=UP), job))
    assert POOL not in found.objects
    assert found.of(Key.of(Kind.JOB, "k")).wait == LongestWait(0, ("pool/p, which is blocked",))


def test_quotas_before_and_after(world: Any) -> None:
    limits = {"cores": 10, "lowPriorityCores": 4, "pools": 1, "activeJobsAndSchedules": 1}
    wanted = (world.pool(targetDedicatedNodes=4), world.pool("q"), world.job("k"), world.schedule("x"))
    live = (world.live_pool(world.pool()), world.live_job(world.job(), counts=COUNTS, nodes=()))
    uses = forecast(world, wanted, live, limits=limits).quotas
    assert uses == (
        QuotaUse("cores", 10, before=4, after=12),
        QuotaUse("lowPriorityCores", 4, before=0, after=0),
        QuotaUse("pools", 1, before=1, after=2),
        QuotaUse("activeJobsAndSchedules", 1, before=1, after=2, note="and the jobs of 1 new schedule"),
    )
    assert [use.is_over for use in uses] == [True, False, True, True]
    assert forecast(world, wanted, live).quotas == ()


def test_quotas_of_what_is_not_known(world: Any) -> None:
    limits = {"cores": 10, "activeJobsAndSchedules": 1}
    odd = world.pool(vmSize="mystery")
    found = forecast(world, (odd,), (), limits=limits, kinds={Kind.JOB: "403"}).quotas
    assert [(use.before, use.after) for use in found] == [(0, None), (None, None)]
    assert "mystery" in found[0].note
    unread = forecast(world, (), (), limits={"cores": 1, "pools": 1}, kinds={Kind.POOL: "403"}).quotas
    assert [(use.before, use.after) for use in unread] == [(None, None)] * 2


def test_only_what_ends_is_read_and_not_without_end(world: Any) -> None:
    stays, goes = world.live_job(world.job("a")), world.live_job(world.job("b"))
    observed = world.observed(stays, goes, world.live_pool(world.pool()))
    plan = make_plan(world.desired(world.job("a"), world.pool()), observed, world.context)
    reading = for_forecasts(plan, observed)
    assert reading.counts == reading.runs == {goes.key}
    assert (reading.hosts, reading.tasks, reading.nodes) == ({POOL}, frozenset(), frozenset())
    many = world.observed(*(world.live_job(world.job(f"j{number}")) for number in range(MOST_FORECAST + 3)))
    plan = make_plan(world.desired(), many, world.context)
    assert len(ending_jobs(plan)) == MOST_FORECAST + 3
    assert len(for_forecasts(plan, many).counts) == MOST_FORECAST


def test_an_object_that_nothing_happens_to_has_no_forecast(world: Any) -> None:
    job = world.job()
    found = forecast(world, (job,), (world.live_job(job),))
    assert found.objects == {}
    assert not found.of(JOB)
    assert not ObjectForecast()


def test_a_replaced_job_runs_its_tasks_again(world: Any) -> None:
    live = world.live_job(world.job(tasks=("t1",)), counts=COUNTS, nodes=())
    wanted = world.job(tasks=("t1",), jobReleaseTask={"commandLine": "other"}, life={"replace": "Auto"})
    context = Context("s", consents=Consents(task_loss=frozenset({JOB})))
    found = forecast(world, (wanted,), (live,), context=context).of(JOB)
    assert found.tasks == TaskLoss(3, 5, restarts=True, finished=3)
    ended = replace(live, state="completed", counts=TaskCounts(succeeded=2))
    assert forecast(world, (wanted,), (ended,)).of(JOB).tasks == TaskLoss(0, 0, restarts=True, finished=2)


def test_a_release_that_the_shrink_does_not_wait_for_may_be_lost_although_its_job_ends(world: Any) -> None:
    live = world.live_job(world.job(), counts=COUNTS, nodes=(world.ran("n1"), world.ran("n2")))
    pool = world.live_pool(world.pool(), members=UP)
    shrunk = world.pool(targetDedicatedNodes=1)
    assert forecast(world, (shrunk,), (live, pool)).of(POOL).releases == ()  # it waits
    context = Context("s", consents=Consents(release_loss=frozenset({JOB})))
    (release,) = forecast(world, (shrunk,), (live, pool), context=context).of(POOL).releases
    assert (release.job, release.at_most) == ("job/j", 1)


def test_many_nodes_go_by_turns_and_later_turns_lose_a_release_only_where_somebody_agreed(world: Any) -> None:
    nodes = tuple(LiveNode(f"n{number:03}", "idle", scheduling="disabled") for number in range(60))
    mark = Mark("s", world.pool(targetDedicatedNodes=60).digest, aside=frozenset(n.print for n in nodes[:50]))
    pool = world.live_pool(world.pool(targetDedicatedNodes=60), members=nodes, mark=mark, nodes={"offline": 60})
    owing = world.live_job(world.job(), stack=None, nodes=(world.ran("n055"), world.ran("n001")))
    free = world.live_job(world.job("k"), stack=None, nodes=())
    shrunk = world.pool(targetDedicatedNodes=2)
    assert forecast(world, (shrunk,), (pool, owing, free)).of(POOL).releases == ()
    consent = Context("s", consents=Consents(release_loss=frozenset({JOB})))
    found = forecast(world, (shrunk,), (pool, owing, free), context=consent).of(POOL)
    assert found.files == FileLoss(whole=58)
    assert found.releases == (
        Release(
            "job/j",
            uncertain=(Place("n055", "may be removed in a later turn"),),
            lost=(Place("n001", "is to be removed"),),
        ),
    )
