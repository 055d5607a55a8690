"""What a job that ends waits for: slow and stuck are told apart, node by node."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle import release
from reconciler.lifecycle.job import next_step
from reconciler.lifecycle.steps import Wait
from reconciler.observed import LiveJob, LiveNode, NodeRun, Run
from reconciler.status import Health, health

BEGAN = Run("running", started="2026-01-02T20:01:02.1234567Z")


def ending(world: Any, *nodes: LiveNode, runs: tuple[NodeRun, ...], **spec: Any) -> LiveJob:
    pool = replace(world.live_pool(world.pool()), members=nodes)
    job = world.live_job(world.job(**spec), "terminating", nodes=runs)
    found: LiveJob = world.observed(pool, job).with_hosts().jobs[job.key]
    return found


@pytest.mark.parametrize(
    ("host", "run", "why", "stuck"),
    [
        (LiveNode("n1", "idle"), None, "has not begun", False),
        (LiveNode("n1", "idle"), BEGAN, "began 20:01:02Z, ends by 20:16:02Z", False),
        (LiveNode("n1", "rebooting", since="2026-01-02T20:03:00Z"), BEGAN, "rebooting since 20:03:00Z", False),
        (LiveNode("n1", "waitingforstarttask"), None, "waitingforstarttask", False),
        (LiveNode("n1", "unusable", since="2026-01-02T20:03:00Z"), BEGAN, "unusable since 20:03:00Z", True),
        (LiveNode("n1", "offline"), None, "offline", True),
        (LiveNode("n1", "starttaskfailed"), None, "starttaskfailed", True),
        (LiveNode("n2", "idle"), BEGAN, "has left the pool", True),
    ],
)
def test_why_a_node_is_waited_for(world: Any, host: LiveNode, run: Run | None, why: str, stuck: bool) -> None:
    job = ending(world, host, runs=(replace(world.ran(), release=run),))
    (one,) = release.pending(job)
    assert (one.why, one.stuck) == (why, stuck)
    step = next_step(None, job, world.context)
    assert isinstance(step, Wait)
    bound = "for as long as that lasts (--dangerous-force job/j does not wait)" if stuck else "up to 15 min"
    assert str(step) == f"wait for release on 1 node (n1 {why}), {bound}"
    state, problems = health(job)
    assert state is (Health.DEGRADED if stuck else Health.PROGRESSING)
    assert len(problems) == stuck
    assert all("--dangerous-force job/j" in text for text in problems)


def test_a_release_ends_by_its_own_limit_where_that_is_shorter(world: Any) -> None:
    short = {"jobReleaseTask": {"commandLine": "release", "maxWallClockTime": "PT1M"}}
    job = ending(world, LiveNode("n1", "running"), runs=(replace(world.ran(), release=BEGAN),), **short)
    assert release.pending(job)[0].why == "began 20:01:02Z, ends by 20:02:02Z"
    assert (release.bound(job), release.wait(job).seconds) == ("up to 1 min", 60)


def test_nodes_that_are_stuck_come_first_and_not_all_are_named(world: Any) -> None:
    runs = tuple(world.ran(f"n{number}") for number in range(5))
    nodes = [LiveNode(run.node, "idle") for run in runs[:4]]
    assert release.waited_for(ending(world, *nodes, runs=runs)) == (
        "release on 5 nodes (n4 has left the pool; n0 has not begun; n1 has not begun and 2 more)"
    )


def test_a_node_that_was_not_looked_at_is_only_named(world: Any) -> None:
    job = world.live_job(world.job(), "terminating", nodes=(world.ran("n1"), world.ran("n2", release=0)))
    assert release.waited_for(
        world.observed(job, replace(world.live_pool(world.pool()))).with_hosts().jobs[job.key]
    ) == ("release on 1 node (n1)")
    gone = world.observed(job).with_hosts().jobs[job.key]
    assert release.waited_for(gone) == "release on 1 node (n1 has left the pool)"
