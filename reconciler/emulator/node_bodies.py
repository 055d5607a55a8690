"""Bodies of requests on compute nodes, their users and their logs. Names and limits follow the SDK's models (M)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.emulator.errors import bad_property
from reconciler.emulator.pool_bodies import DEALLOCATION
from reconciler.emulator.schema import Choice, Field, Flag, Missing, Record, Text
from reconciler.emulator.times import iso, parse_iso


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, ISO 8601, kept in the service's rendering."""

    def read(self, name: str, value: object) -> str:
        if isinstance(value, str):
            try:
                return iso(parse_iso(value))
            except (ValueError, OverflowError) as error:
                raise bad_property(name, value, "An ISO 8601 date and time is expected") from error
        raise bad_property(name, value, "An ISO 8601 date and time is expected")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A secret nobody here can use: checked, then replaced by a mark that it was given."""

    def read(self, name: str, value: object) -> bool:
        Text(shortest=1, longest=16384).read(name, value)
        return True


NODE_REBOOT = Record({"nodeRebootOption": DEALLOCATION})
NODE_REIMAGE = Record({"nodeReimageOption": DEALLOCATION})
NODE_DEALLOCATE = Record({"nodeDeallocateOption": DEALLOCATION})
NODE_DISABLE = Record(
    {"nodeDisableSchedulingOption": Field(Choice(("requeue", "terminate", "taskcompletion")), default="requeue")}
)
_USER = {
    "password": Field(Forgotten()),
    "sshPublicKey": Field(Forgotten()),
    "expiryTime": Field(Moment()),
}
USER_CREATE = Record(
    {
        "name": Field(
            Text(
                shortest=1,
                longest=64,
                pattern=re.compile(r"[^\s/\\\"\[\]:;|=,+*?<>@]+"),
                reason="The name of a user is expected",
            ),
            required=True,
        ),
        "isAdmin": Field(Flag(), default=False),
        **_USER,
    }
)
USER_REPLACE = Record(_USER)
LOGS = Record(
    {
        "containerUrl": Field(
            Text(
                longest=8192,
                pattern=re.compile(r"https?://[^\s/]+/[^\s]+", re.I),
                reason="The URL of a container is expected",
            ),
            required=True,
        ),
        "startTime": Field(Moment(), required=True),
        "endTime": Field(Moment()),
        "identityReference": Field(Missing("Managed identities are not available")),
    }
)
