"""What $expand=stats adds to a pool, schedule, job or task. Asked by `expansion`; computed from what is there now.

Fields: M:BatchJobStatistics and its kin. Integers are strings (M, DR). Processor time and I/O are not measured here and
are zero; a pool's usage and resources, which M makes optional, are left out. The service gathers its statistics every
half hour or so; here they are as of the moment of the request.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.emulator import schedules
from reconciler.emulator.records import Job, Json, Pool, Schedule, Task
from reconciler.emulator.times import iso, render_span
from reconciler.emulator.world import World


def of(w: World, item: Pool | Job | Schedule | Task, url: str) -> Json:
    """The statistics of *item*, whose own address is *url*. Deleted tasks count no more."""
    covered = {"url": f"{url}/stats", "startTime": iso(item.created), "lastUpdateTime": iso(max(w.now, item.created))}
    match item:
        case Pool():
            return covered
        case Task():
            return covered | _use(w, [item])
        case Job():
            tasks = list(w.tasks_of_job[item.key].values())
        case Schedule():
            tasks = [task for job in schedules.jobs_of(w, item) for task in w.tasks_of_job[job.key].values()]
    return covered | _use(w, tasks) | _counts(tasks)


def _use(w: World, tasks: Iterable[Task]) -> Json:
    """Time between a task's creation and its (latest) start, and time it ran, all tries together (M)."""
    started = [(task, task.execution) for task in tasks if task.execution is not None and task.execution.start]
    waited = sum(max(execution.start - task.created, 0) for task, execution in started)
    ran = sum(execution.earlier + max((execution.end or w.now) - execution.start, 0) for _, execution in started)
    nothing = {"userCPUTime": "PT0S", "kernelCPUTime": "PT0S", "readIOps": "0", "writeIOps": "0"}
    times = {"wallClockTime": render_span(ran), "waitTime": render_span(waited)}
    return nothing | times | {"readIOGiB": 0.0, "writeIOGiB": 0.0}


def _counts(tasks: Iterable[Task]) -> Json:
    results = [task.execution.result for task in tasks if task.state == "completed" and task.execution is not None]
    return {
        "numSucceededTasks": str(results.count("success")),
        "numFailedTasks": str(results.count("failure")),
        "numTaskRetries": str(sum(task.retry_count for task in tasks)),
    }
