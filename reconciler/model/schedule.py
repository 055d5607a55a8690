"""Job schedules: when jobs are made, and what each of them is. Sources: REST reference 8.5 and 14."""

from typing import Self

from pydantic import model_validator

from reconciler.model import moment
from reconciler.model.field import ChangeKind, Compare, Spec, refusal, wire
from reconciler.model.job import JobProperties, JobSpec
from reconciler.model.settings import MetadataItem
from reconciler.model.types import DisplayName, Moment, Recurrence


class JobScheduleConfiguration(Spec):
    """When jobs are made. Times are UTC on the service's side; a manifest may name another offset."""

    doNotRunUntil: Moment | None = wire("No job before this time. None: ready at once.", compare=Compare.MOMENT)
    doNotRunAfter: Moment | None = wire("No job after this time; the schedule then completes.", compare=Compare.MOMENT)
    startWindow: Recurrence | None = wire(
        "How long after its time a job may still start; 1 minute at least. None: no limit.", compare=Compare.DURATION
    )
    recurrenceInterval: Recurrence | None = wire(
        "Time between the starts of two jobs; 1 minute at least. None: one job only.", compare=Compare.DURATION
    )

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        opens, closes = self.doNotRunUntil, self.doNotRunAfter
        if opens is not None and closes is not None and not moment.is_before(opens, closes):
            raise refusal(f"expected doNotRunAfter later than doNotRunUntil ({opens}), found {closes}")
        return self


class JobSpecification(JobProperties):
    """What each job of the schedule is. A job copies it when it starts."""


class JobScheduleSpec(Spec):
    """Makes jobs at planned times; at most one of them is active."""

    displayName: DisplayName | None = wire(
        "For people; fixed at creation.", change=ChangeKind.NEXT_INCARNATION, compare=Compare.LABEL
    )
    schedule: JobScheduleConfiguration = wire("When jobs are made.", required=True, change=ChangeKind.LIVE)
    jobSpecification: JobSpecification = wire(
        "What each job is. A change reaches jobs that are made later.",
        required=True,
        change=ChangeKind.NEXT_RUN,
        sealed=True,
    )
    metadata: list[MetadataItem] | None = wire("Names and values of your own.", change=ChangeKind.LIVE, keyed_by="name")

    read_only = JobSpec.read_only
