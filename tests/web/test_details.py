"""One object looked at closely: what is read of it, and how often."""

import asyncio
from dataclasses import replace

import pytest

from reconciler.model.desired import Key, Kind
from reconciler.observed import Observed
from reconciler.web import closer
from reconciler.web.closer import Closer
from tests.web.stage import Stage

JOB = Key.of(Kind.JOB, "gone")


async def test_of_a_job_everything_is_read(busy: Stage) -> None:
    status = busy.board.statuses["demo"]
    assert status.observed is not None
    bare = {key: replace(job, nodes=None, counts=None, tasks=None) for key, job in status.observed.jobs.items()}
    pools = {key: replace(pool, members=None) for key, pool in status.observed.pools.items()}
    status = replace(status, observed=replace(status.observed, jobs=bare, pools=pools))
    seen = await busy.details(status, JOB)
    job, other = seen.jobs[JOB], seen.jobs[Key.of(Kind.JOB, "nightly")]
    assert job.counts is not None and (job.counts.succeeded, job.counts.failed) == (1, 1)
    assert job.tasks is not None and {task.failed for task in job.tasks.values()} == {True, False}
    assert all(task.started and task.ended for task in job.tasks.values())
    assert job.nodes is not None and len(job.nodes) == 2
    members = seen.pools[Key.of(Kind.POOL, "cpu")].members
    assert members is not None and all(node.start is not None and node.start.exit_code == 0 for node in members)
    assert (other.counts, other.tasks, other.nodes) == (None, None, None)


async def test_of_pools_and_schedules_nodes_and_the_last_jobs_are_read(busy: Stage) -> None:
    status = busy.board.statuses["demo"]
    pool = (await busy.details(status, Key.of(Kind.POOL, "cpu"))).pools[Key.of(Kind.POOL, "cpu")]
    assert pool.members is not None and len(pool.members) == 4
    schedule = Key.of(Kind.JOB_SCHEDULE, "etl")
    (child,) = (await busy.details(status, schedule)).schedules[schedule].children
    assert child.counts is not None and child.counts.succeeded == 1


async def test_many_viewers_cost_one_look(busy: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    status = busy.board.statuses["demo"]
    looks = []

    async def details(_: object, key: Key) -> Observed:
        looks.append(key)
        await asyncio.sleep(0)
        assert status.observed is not None
        return status.observed

    made = Closer(details)
    await asyncio.gather(*(made.look(status, JOB) for _ in range(50)))
    await made.look(status, JOB)
    assert looks == [JOB]
    monkeypatch.setattr(closer, "FRESH", -1.0)
    await made.look(status, JOB)
    assert looks == [JOB, JOB]
    monkeypatch.setattr(closer, "MOST_KEPT", 1)
    await made.look(status, Key.of(Kind.JOB, "nightly"))
    await made.look(status, Key.of(Kind.JOB, "absent"))  # of what is not there nothing is read
    assert len(looks) == 3
    await made.close()


async def test_an_account_that_does_not_answer_does_not_hold_the_page(
    busy: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def details(*_: object) -> Observed:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(closer, "LONGEST", 0.01)
    made = Closer(details)
    look = await made.look(busy.board.statuses["demo"], JOB)
    assert look.error == "the account did not answer within 0 seconds"
    assert look.observed is busy.board.statuses["demo"].observed
