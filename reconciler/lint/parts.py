"""The pools and jobs that are declared, wherever they stand: of their own, in a schedule, as an auto pool."""

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.lint.finding import Part
from reconciler.model.desired import Desired, Key, Kind, Wanted

_OF_JOB = ("jobManagerTask", "jobPreparationTask", "jobReleaseTask")


@dataclass(frozen=True, slots=True)
class Job:
    """A job, or what a schedule's jobs are. *pool* is what it runs on, None where it is not declared here."""

    part: Part
    pool: Part | None

    @property
    def own_tasks(self) -> Iterator[Part]:
        """Manager, preparation and release."""
        for name in _OF_JOB:
            if (task := self.part.part(name)) is not None:
                yield task

    @property
    def tasks(self) -> Iterator[Part]:
        """The declared tasks in their order."""
        wanted = self.part.wanted
        for index, task in enumerate(wanted.tasks.values()):
            yield Part(wanted, f"task/{wanted.name}/{task.name}", task.body, ("tasks", index))


def pools(desired: Desired) -> Iterator[Part]:
    """The declared pools, and the specifications of auto pools."""
    for wanted in desired.objects.values():
        if wanted.key.kind is Kind.POOL:
            yield _whole(wanted)
    for part in _job_parts(desired):
        if (auto := _auto_pool(part)) is not None:
            yield auto


def jobs(desired: Desired) -> Iterator[Job]:
    """The declared jobs, and the jobs that schedules make."""
    for part in _job_parts(desired):
        pool = _auto_pool(part)
        pool_id = part.get("poolInfo", "poolId")
        if pool is None and isinstance(pool_id, str):
            wanted = desired.objects.get(Key.of(Kind.POOL, pool_id))
            pool = _whole(wanted) if wanted is not None else None
        yield Job(part, pool)


def _job_parts(desired: Desired) -> Iterator[Part]:
    for wanted in desired.objects.values():
        if wanted.key.kind is Kind.JOB:
            yield _whole(wanted)
        elif wanted.key.kind is Kind.JOB_SCHEDULE:
            part = _whole(wanted).part("jobSpecification")
            if part is not None:
                yield part


def _whole(wanted: Wanted) -> Part:
    return Part(wanted, wanted.address, wanted.body, ("spec",))


def _auto_pool(part: Part) -> Part | None:
    return part.part("poolInfo", "autoPoolSpecification", "pool")


def is_windows(pool: Part | None) -> bool:
    """Whether its nodes run Windows, as far as the node agent tells."""
    agent = pool.get("virtualMachineConfiguration", "nodeAgentSKUId") if pool is not None else None
    return isinstance(agent, str) and "windows" in agent.lower()
