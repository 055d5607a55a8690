"""Bodies of requests on jobs and tasks as tables: property, kind, default, limits. Sources as in `fields`.

A property that would change what runs and is not implemented is refused by name.
One exception: a userIdentity is checked, given its defaults and shown, but every command runs as the user who started
the emulator, because a process without privileges cannot take another identity. All tasks thus share one account, which
is what scope `pool` asks for; scope `task`, elevation and accounts by name do not separate tasks here.
"""

from __future__ import annotations

from typing import Any

from reconciler.emulator.auto_pool_bodies import AUTO_POOL
from reconciler.emulator.errors import bad_property, refuse
from reconciler.emulator.fields import (
    COMMAND,
    ENVIRONMENT,
    FILES,
    ID,
    METADATA,
    NAME,
    NO_CONTAINERS,
    OUTPUT_FILES,
    PACKAGES,
    RETRIES,
    USER,
    check_id,
)
from reconciler.emulator.schema import (
    ABSENT,
    Choice,
    Field,
    Flag,
    Listing,
    Missing,
    Number,
    Record,
    Span,
    Text,
)
from reconciler.emulator.times import MAX_SPAN, MINUTE, render_span

NO_LIMIT = render_span(MAX_SPAN)
WEEK = "P7D"


def _check_pool_info(name: str, value: dict[str, Any]) -> None:
    if len(value) > 1:
        raise bad_property(name, "poolId and autoPoolSpecification", "Only one of the two may be given")
    if not value:
        raise refuse("MissingRequiredProperty", ("PropertyName", "poolId"))


def _check_conditions(name: str, value: dict[str, Any]) -> None:
    for entry in value.get("exitCodeRanges", []):
        if entry["start"] > entry["end"]:
            raise bad_property("exitCodeRanges", entry["start"], "start must not be greater than end")


def _check_ranges(name: str, items: list[Any]) -> None:
    for entry in items:
        if entry["start"] > entry["end"]:
            raise bad_property(name, entry["start"], "start must not be greater than end")


def _check_task(name: str, value: dict[str, Any]) -> None:
    if "multiInstanceSettings" in value and value["requiredSlots"] != 1:
        raise bad_property("requiredSlots", value["requiredSlots"], "A multi-instance task has one slot on each node")


def _task_constraints(retries: object) -> Record:
    return Record(
        {
            "maxWallClockTime": Field(Span(), default=NO_LIMIT),
            "retentionTime": Field(Span(), default=WEEK),
            "maxTaskRetryCount": Field(RETRIES, default=retries),
        }
    )


TASK_CONSTRAINTS = _task_constraints(ABSENT)  # a task takes the job's retry count when it is added (R24c, DR)
ACTION = Choice(("none", "disable", "terminate"))
EXIT_OPTIONS = Record(
    {
        "jobAction": Field(ACTION),
        "dependencyAction": Field(Choice(("satisfy", "block"))),
    }
)
EXIT_CONDITIONS = Record(
    {
        "exitCodes": Field(
            Listing(
                Record(
                    {"code": Field(Number(), required=True), "exitOptions": Field(EXIT_OPTIONS, required=True)},
                )
            )
        ),
        "exitCodeRanges": Field(
            Listing(
                Record(
                    {
                        "start": Field(Number(), required=True),
                        "end": Field(Number(), required=True),
                        "exitOptions": Field(EXIT_OPTIONS, required=True),
                    }
                )
            )
        ),
        "preProcessingError": Field(EXIT_OPTIONS),
        "fileUploadError": Field(EXIT_OPTIONS),
        "default": Field(EXIT_OPTIONS),
    },
    check=_check_conditions,
)
MULTI_INSTANCE = Record(
    {
        "numberOfInstances": Field(Number(1), default=1),
        "coordinationCommandLine": COMMAND,
        "commonResourceFiles": FILES,
    }
)
DEPENDENCIES = Record(
    {
        "taskIds": Field(Listing(Text(shortest=1, longest=64))),
        "taskIdRanges": Field(
            Listing(
                Record({"start": Field(Number(), required=True), "end": Field(Number(), required=True)}),
                check=_check_ranges,
            )
        ),
    }
)
TASK_CREATE = Record(
    {
        "id": ID,
        "displayName": NAME,
        "exitConditions": Field(EXIT_CONDITIONS),
        "commandLine": COMMAND,
        "containerSettings": NO_CONTAINERS,
        "resourceFiles": FILES,
        "outputFiles": OUTPUT_FILES,
        "environmentSettings": ENVIRONMENT,
        "affinityInfo": Field(Record({"affinityId": Field(Text(), required=True)})),
        "constraints": Field(TASK_CONSTRAINTS, default={}),
        "requiredSlots": Field(Number(1, 256), default=1),
        "userIdentity": USER,
        "multiInstanceSettings": Field(MULTI_INSTANCE),
        "dependsOn": Field(DEPENDENCIES),
        "applicationPackageReferences": PACKAGES,
        "authenticationTokenSettings": Field(Missing("Authentication tokens are not available"), legacy=True),
    },
    check=_check_task,
)
TASK_UPDATE = Record({"constraints": Field(TASK_CONSTRAINTS, default={})})

JOB_CONSTRAINTS = Record(
    {
        "maxWallClockTime": Field(Span(), default=NO_LIMIT),
        "maxTaskRetryCount": Field(RETRIES, default=0),
    }
)
PREPARATION = Record(
    {
        "id": Field(ID.kind, default="jobpreparation"),
        "commandLine": COMMAND,
        "containerSettings": NO_CONTAINERS,
        "resourceFiles": FILES,
        "environmentSettings": ENVIRONMENT,
        "constraints": Field(_task_constraints(0), default={}),  # not the job's retry count (R26:jobs)
        "userIdentity": USER,
        "waitForSuccess": Field(Flag(), default=True),
        "rerunOnNodeRebootAfterSuccess": Field(Flag(), default=True),
    }
)
RELEASE = Record(
    {
        "id": Field(ID.kind, default="jobrelease"),
        "commandLine": COMMAND,
        "containerSettings": NO_CONTAINERS,
        "resourceFiles": FILES,
        "environmentSettings": ENVIRONMENT,
        "maxWallClockTime": Field(Span(most=15 * MINUTE), default="PT15M"),
        "retentionTime": Field(Span(), default=WEEK),
        "userIdentity": USER,
    }
)
MANAGER = Record(
    {
        "id": ID,
        "displayName": NAME,
        "commandLine": COMMAND,
        "containerSettings": NO_CONTAINERS,
        "resourceFiles": FILES,
        "outputFiles": OUTPUT_FILES,
        "environmentSettings": ENVIRONMENT,
        "constraints": Field(TASK_CONSTRAINTS, default={}),
        "requiredSlots": Field(Number(1, 256), default=1),
        "killJobOnCompletion": Field(Flag(), default=True),
        "userIdentity": USER,
        "runExclusive": Field(Flag(), default=True),
        "applicationPackageReferences": PACKAGES,
        "allowLowPriorityNode": Field(Flag(), default=True),
        "authenticationTokenSettings": Field(Missing("Authentication tokens are not available"), legacy=True),
    }
)
POOL_INFO = Record(
    {
        "poolId": Field(Text(shortest=1, check=check_id)),
        "autoPoolSpecification": Field(AUTO_POOL),
    },
    check=_check_pool_info,
)
ALL_TASKS = Choice(("noaction", "terminatejob"))
JOB_NETWORK = Record(
    {
        "subnetId": Field(Text(shortest=1), required=True),
        "skipWithdrawFromVNet": Field(Flag(), default=False),
    }
)


def _job_changeable(defaults: bool) -> dict[str, Field]:
    def default(value: object) -> object:
        return value if defaults else ABSENT

    return {
        "priority": Field(Number(-1000, 1000), default=default(0)),
        "allowTaskPreemption": Field(Flag(), default=default(False)),
        "maxParallelTasks": Field(Number(-1, but=frozenset({0})), default=default(-1)),
        "constraints": Field(JOB_CONSTRAINTS, default=default({})),
        "poolInfo": Field(POOL_INFO, required=defaults),
        "onAllTasksComplete": Field(ALL_TASKS, default=default("noaction")),
        "metadata": METADATA,
    }


def _check_job(name: str, value: dict[str, Any]) -> None:
    ids = [
        value[key]["id"].lower() for key in ("jobManagerTask", "jobPreparationTask", "jobReleaseTask") if key in value
    ]
    if len(set(ids)) < len(ids):
        raise bad_property("id", ids[-1], "Manager, preparation and release task need different ids")


JOB_CREATE = Record(
    {
        "id": ID,
        "displayName": NAME,
        "usesTaskDependencies": Field(Flag(), default=False),
        **_job_changeable(defaults=True),
        "jobManagerTask": Field(MANAGER),
        "jobPreparationTask": Field(PREPARATION),
        "jobReleaseTask": Field(RELEASE),
        "commonEnvironmentSettings": ENVIRONMENT,
        "onTaskFailure": Field(Choice(("noaction", "performexitoptionsjobaction")), default="noaction"),
        "networkConfiguration": Field(JOB_NETWORK),
    },
    check=_check_job,
)
JOB_UPDATE = Record({**_job_changeable(defaults=False), "networkConfiguration": Field(JOB_NETWORK)})
JOB_REPLACE = Record({**_job_changeable(defaults=True), "networkConfiguration": Field(JOB_NETWORK)})
JOB_DISABLE = Record({"disableTasks": Field(Choice(("requeue", "terminate", "wait")), required=True)})
JOB_TERMINATE = Record({"terminateReason": Field(Text(), default="UserTerminate")})
