"""Builders for desired and observed objects, so that a test shows only what matters to it."""

from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.lifecycle.steps import Context
from reconciler.model.desired import Desired, Key, Kind, Source, Stack, Task, Wanted
from reconciler.model.document import JobLifecycle, PoolLifecycle, ScheduleLifecycle
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import normalise
from reconciler.model.task import TaskSpec
from reconciler.observed import Guard, LiveJob, LivePool, LiveSchedule, LiveTask, Mark, NodeRun, Observed, Run

JOB: dict[str, Any] = {
    "poolInfo": {"poolId": "p"},
    "jobPreparationTask": {"commandLine": "prepare"},
    "jobReleaseTask": {"commandLine": "release"},
}
POOL: dict[str, Any] = {
    "vmSize": "Standard_D2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
    "targetDedicatedNodes": 2,
}


class World:
    """Makes manifests and live objects of stack `s`."""

    context = Context("s")

    def job(
        self, name: str = "j", *, tasks: tuple[str, ...] = (), life: Mapping[str, Any] | None = None, **spec: Any
    ) -> Wanted:
        """A job manifest on pool `p` with preparation and release."""
        raw = {**JOB, **spec}
        normal = normalise(JobSpec, raw)
        made = [self.task(task) for task in tasks]
        return Wanted(
            Key.of(Kind.JOB, name),
            name,
            normal,
            normalise(JobSpec, raw, fill=False),
            raw,
            JobLifecycle(**(life or {})),
            Source("m.yaml", 1, 1),
            {task.id: task for task in made},
        )

    def task(self, name: str, command: str = "work", **more: Any) -> Task:
        body = {"id": name, "commandLine": command, **more}
        return Task(name, normalise(TaskSpec, body), body)

    def pool(self, name: str = "p", *, life: Mapping[str, Any] | None = None, **spec: Any) -> Wanted:
        """A pool manifest of two nodes."""
        raw = {key: value for key, value in {**POOL, **spec}.items() if value is not None}
        return Wanted(
            Key.of(Kind.POOL, name),
            name,
            normalise(PoolSpec, raw),
            normalise(PoolSpec, raw, fill=False),
            raw,
            PoolLifecycle(**(life or {})),
            Source("m.yaml", 1, 1),
        )

    def schedule(self, name: str = "s", *, life: Mapping[str, Any] | None = None, **spec: Any) -> Wanted:
        """An hourly schedule of jobs like `job`."""
        raw = {"schedule": {"recurrenceInterval": "PT1H"}, "jobSpecification": JOB, **spec}
        return Wanted(
            Key.of(Kind.JOB_SCHEDULE, name),
            name,
            normalise(JobScheduleSpec, raw),
            normalise(JobScheduleSpec, raw, fill=False),
            raw,
            ScheduleLifecycle.model_validate(life or {}),
            Source("m.yaml", 1, 1),
        )

    def live_schedule(
        self, wanted: Wanted, state: str = "active", *, stack: str | None = "s", **facts: Any
    ) -> LiveSchedule:
        """The live schedule of a manifest as the service returns it."""
        spec = facts.pop("spec", wanted.spec)
        mark = facts.pop("mark", Mark(stack, wanted.digest) if stack else None)
        return LiveSchedule(wanted.key, wanted.name, state, Guard("0x1", "t0"), mark, spec, **facts)

    def live_job(self, wanted: Wanted, state: str = "active", *, stack: str | None = "s", **facts: Any) -> LiveJob:
        """The live job of a manifest as the service returns it, all its tasks confirmed."""
        spec = facts.pop("spec", wanted.spec)
        born = facts.pop("born", "t0")
        mark = facts.pop("mark", Mark(stack, wanted.digest, wanted.tasks_digest) if stack else None)
        return LiveJob(wanted.key, wanted.name, state, Guard("0x1", born), mark, spec, **facts)

    def live_task(self, task: Task, state: str = "active", **facts: Any) -> LiveTask:
        return LiveTask(task.name, state, Guard("0x1", "t0"), facts.pop("spec", task.spec), **facts)

    def live_pool(self, wanted: Wanted, state: str = "active", *, stack: str | None = "s", **facts: Any) -> LivePool:
        """The live pool of a manifest, steady, its nodes idle."""
        spec = facts.pop("spec", wanted.spec)
        count = spec["targetDedicatedNodes"]
        mark = facts.pop("mark", Mark(stack, wanted.digest) if stack else None)
        nodes = facts.pop("nodes", {"idle": count} if count else {})
        current = facts.pop("current", count)
        return LivePool(
            wanted.key, wanted.name, state, Guard("0x1", "t0"), mark, spec, nodes=nodes, current=current, **facts
        )

    def ran(self, node: str = "n1", *, release: int | str | None = None, pool: str = "p") -> NodeRun:
        """A node whose preparation succeeded; *release* is its exit code, "running", or None for not run."""
        if release is None:
            run = None
        elif release == "running":
            run = Run("running")
        else:
            run = Run("completed", int(release), "success" if release == 0 else "failure")
        return NodeRun(node, pool, Run("completed", 0, "success"), run)

    def desired(self, *wanted: Wanted, prunes: bool = True, max_deletes: int | None = None) -> Desired:
        return Desired(Stack("s", prunes, max_deletes=max_deletes), {thing.key: thing for thing in wanted})

    def observed(self, *live: LiveJob | LivePool | LiveSchedule, unread: Mapping[Kind, str] | None = None) -> Observed:
        pools = {thing.key: thing for thing in live if isinstance(thing, LivePool)}
        jobs = {thing.key: thing for thing in live if isinstance(thing, LiveJob)}
        schedules = {thing.key: thing for thing in live if isinstance(thing, LiveSchedule)}
        return Observed(pools, jobs, "2026-01-02T00:00:00Z", unread or {}, schedules)


@pytest.fixture
def world() -> World:
    return World()
