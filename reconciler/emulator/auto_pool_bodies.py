"""The specification of an automatic pool as a table. Used by `job_bodies` for jobs and for what schedules make of them.

The pool part is what a pool takes at its creation, without the id (M:BatchPoolSpecification).
"""

from __future__ import annotations

import re

from reconciler.emulator.errors import refuse
from reconciler.emulator.pool_bodies import POOL_CREATE
from reconciler.emulator.schema import Choice, Field, Flag, Record, Text

POOL_SPECIFICATION = Record(
    {name: field for name, field in POOL_CREATE.fields.items() if name != "id"}, check=POOL_CREATE.check
)
AUTO_POOL = Record(
    {
        "autoPoolIdPrefix": Field(
            Text(
                longest=20,
                pattern=re.compile(r"[A-Za-z0-9_-]*", re.ASCII),
                reason="Letters, digits, hyphens and underscores are expected",
            )
        ),
        "poolLifetimeOption": Field(Choice(("jobschedule", "job")), required=True),
        "keepAlive": Field(Flag(), default=False),
        "pool": Field(POOL_SPECIFICATION),
    }
)


def check_version(specification: object) -> None:
    """Refuse what 2025-06-01 removed from pools, also inside the specification of an automatic one."""
    pool: object = specification
    for name in ("poolInfo", "autoPoolSpecification", "pool"):
        pool = pool.get(name) if isinstance(pool, dict) else None
    for name in pool if isinstance(pool, dict) else ():
        if name in POOL_SPECIFICATION.fields and POOL_SPECIFICATION.fields[name].legacy:
            raise refuse("UnsupportedProperty", ("PropertyName", name))
