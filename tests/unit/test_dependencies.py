"""Tasks that wait for a failed one: apply ends instead of waiting for ever."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle.dependencies import held_back
from reconciler.observed import TaskCounts
from reconciler.reading import for_watching
from reconciler.status import cannot_go_on, progress


def waiting(world: Any, name: str, *ids: str, ranges: tuple[tuple[int, int], ...] = ()) -> Any:
    on = {"taskIds": list(ids), "taskIdRanges": [{"start": start, "end": end} for start, end in ranges]}
    return world.live_task(world.task(name, dependsOn=on))


def failed(world: Any, name: str, code: int | None = 3, **more: Any) -> Any:
    facts = {"failed": True, "exit_code": code, "failure": "" if code else "BlobNotFound: no"}
    return world.live_task(world.task(name, **more), "completed", **facts)


def test_who_waits_for_a_failed_task_directly_or_not(world: Any) -> None:
    tasks = [
        failed(world, "1"),
        world.live_task(world.task("2"), "completed"),
        waiting(world, "direct", "1"),
        waiting(world, "Indirect", "DIRECT"),
        waiting(world, "by-range", ranges=((1, 2),)),
        waiting(world, "7", "indirect"),
        waiting(world, "late", ranges=((5, 9),)),
        waiting(world, "free", "2"),
        waiting(world, "nowhere", "unknown", ranges=((2, 2), (20, 30))),
        world.live_task(world.task("alone")),
    ]
    causes, held = held_back({task.id: task for task in tasks})
    assert [task.name for task in causes] == ["1"]
    assert held == {"direct", "indirect", "by-range", "7", "late"}


def test_a_long_chain_is_walked_without_recursion(world: Any) -> None:
    chain = [failed(world, "0"), *(waiting(world, str(at), ranges=((at - 1, at - 1),)) for at in range(2000, 0, -1))]
    assert len(held_back({task.id: task for task in chain})[1]) == 2000


SATISFIED = {"exitOptions": {"dependencyAction": "satisfy"}}
BLOCKED = {"exitOptions": {"dependencyAction": "block"}}
RULES = [
    # exit code, conditions, whether others wait for ever
    (3, {}, True),
    (3, {"exitCodes": [{"code": 3, **SATISFIED}]}, False),
    (3, {"exitCodes": [{"code": 4, **SATISFIED}]}, True),
    (3, {"exitCodes": [{"code": 3, "exitOptions": {}}], "default": SATISFIED["exitOptions"]}, True),
    (3, {"exitCodeRanges": [{"start": 1, "end": 9, **SATISFIED}]}, False),
    (3, {"exitCodeRanges": [{"start": 1, "end": 9, **BLOCKED}], "default": SATISFIED["exitOptions"]}, True),
    (3, {"default": SATISFIED["exitOptions"]}, False),
    (3, {"preProcessingError": SATISFIED["exitOptions"]}, True),
    (None, {}, True),
    (None, {"preProcessingError": SATISFIED["exitOptions"]}, False),  # or it was something else: not known
    (None, {"exitCodes": [{"code": 3, **SATISFIED}]}, True),
]


@pytest.mark.parametrize(("code", "conditions", "waits"), RULES)
def test_what_an_end_means_to_those_that_wait(
    world: Any, code: int | None, conditions: dict[str, Any], waits: bool
) -> None:
    tasks = [failed(world, "t1", code, exitConditions=conditions), waiting(world, "t2", "t1")]
    assert bool(held_back({task.id: task for task in tasks})[1]) is waits


def test_a_job_whose_tasks_all_wait_for_a_failed_one_cannot_go_on(world: Any) -> None:
    wanted = world.job(tasks=("t1", "t2", "t3"), usesTaskDependencies=True)
    job = world.live_job(wanted, counts=TaskCounts(active=2, failed=1))
    observed = world.observed(job, world.live_pool(world.pool()))
    desired = world.desired(wanted)
    assert for_watching(desired, observed).tasks == {job.key}
    for busy in (TaskCounts(active=1, running=1, failed=1), TaskCounts(active=2, succeeded=1)):
        assert not for_watching(desired, world.observed(replace(job, counts=busy))).tasks
    held = [failed(world, "t1"), waiting(world, "t2", "t1"), waiting(world, "t3", "t2")]
    stuck = replace(job, tasks={task.id: task for task in held})
    going_on = replace(job, tasks={task.id: task for task in [*held[:2], waiting(world, "t3")]})
    said = []
    for live in (stuck, going_on, job):
        observed = world.observed(live, world.live_pool(world.pool()))
        (how_far,) = progress(desired, observed, [job.key])
        said.append(cannot_go_on(desired, observed, how_far))
    assert said == ["task t1 failed (exit code 3), and 2 tasks wait for it", "", ""]
