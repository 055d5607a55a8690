"""Job schedules: when jobs are made, and what each of them is."""

from typing import ClassVar

from reconciler.model.field import ChangeKind, Compare, Spec, wire
from reconciler.model.job import JobSpec
from reconciler.model.task import MetadataItem
from reconciler.model.types import DisplayName, Duration


class JobScheduleConfiguration(Spec):
    """When jobs are made. Times are UTC."""

    doNotRunUntil: str | None = wire("No job before this time. None: ready at once.")
    doNotRunAfter: str | None = wire("No job after this time; the schedule then completes.")
    startWindow: Duration | None = wire(
        "How long after its time a job may still start; 1 minute at least.", compare=Compare.DURATION
    )
    recurrenceInterval: Duration | None = wire(
        "Time between the starts of two jobs; 1 minute at least. None: one job only.", compare=Compare.DURATION
    )


class JobSpecification(JobSpec):
    """What each job of the schedule is. A job copies it when it starts."""


class JobScheduleSpec(Spec):
    """Makes jobs at planned times; at most one of them is active."""

    displayName: DisplayName | None = wire("For people; fixed at creation.", change=ChangeKind.NEXT_INCARNATION)
    schedule: JobScheduleConfiguration = wire("When jobs are made.", required=True, change=ChangeKind.LIVE)
    jobSpecification: JobSpecification = wire("What each job is.", required=True, change=ChangeKind.NEXT_RUN)
    metadata: list[MetadataItem] | None = wire("Names and values of your own.", change=ChangeKind.LIVE, keyed_by="name")

    read_only: ClassVar[frozenset[str]] = JobSpec.read_only
