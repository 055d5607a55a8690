"""Bodies of requests on job schedules as tables: property, kind, default, limits. Sources as in `fields`.

The job specification is what a job takes at its creation, without the id (M:BatchJobSpecification).
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.emulator.errors import bad_property
from reconciler.emulator.fields import ID, METADATA, NAME
from reconciler.emulator.job_bodies import JOB_CREATE
from reconciler.emulator.schema import Field, Record, Span
from reconciler.emulator.times import MINUTE, iso, parse_iso


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, given back in UTC as the service writes it (R20n:list_job_schedules)."""

    def read(self, name: str, value: object) -> str:
        try:
            return iso(parse_iso(value)) if isinstance(value, str) else self._refuse(name, value)
        except ValueError:
            return self._refuse(name, value)

    def _refuse(self, name: str, value: object) -> str:
        raise bad_property(name, value, "A time in ISO 8601 form is expected")


SPECIFICATION = Record(
    {name: field for name, field in JOB_CREATE.fields.items() if name != "id"}, check=JOB_CREATE.check
)
RECURRENCE = Record(
    {
        "doNotRunUntil": Field(Moment()),
        "doNotRunAfter": Field(Moment()),
        "startWindow": Field(Span(least=MINUTE)),
        "recurrenceInterval": Field(Span(least=MINUTE)),
    }
)
SCHEDULE_CREATE = Record(
    {
        "id": ID,
        "displayName": NAME,
        "schedule": Field(RECURRENCE, required=True),
        "jobSpecification": Field(SPECIFICATION, required=True),
        "metadata": METADATA,
    }
)
SCHEDULE_UPDATE = Record(
    {"schedule": Field(RECURRENCE), "jobSpecification": Field(SPECIFICATION), "metadata": METADATA}
)
SCHEDULE_REPLACE = Record(
    {
        "schedule": Field(RECURRENCE, default={}),
        "jobSpecification": Field(SPECIFICATION, required=True),
        "metadata": METADATA,
    }
)
