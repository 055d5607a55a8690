"""The service's answers as values in the model's terms."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from reconciler.errors import Rejected
from reconciler.model.desired import Key, Kind
from reconciler.model.field import Spec
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import normalise
from reconciler.model.task import TaskSpec
from reconciler.observed import (
    MARK,
    Failure,
    Guard,
    LiveJob,
    LiveNode,
    LivePool,
    LiveSchedule,
    LiveTask,
    Mark,
    NodeRun,
    Run,
)

CLOCKS_AGREE: Final = timedelta(seconds=5)


def time_of(date: str | None, ours: datetime) -> datetime:
    """The time of day at the service, by the `Date` of an answer. It has whole seconds only, so our own clock is taken
    where the two agree: times of the service (a node's start, a job's end) are compared with it."""
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return ours
    return ours if theirs.tzinfo is None or abs(theirs - ours) <= CLOCKS_AGREE else theirs


UNREADABLE: Final = "(of another version)"
"""Owner in place of one that cannot be read. No stack can have this name, so the object is never taken for ours, nor
for nobody's."""


def rows_of(page: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
    rows = page.get("value")
    if not isinstance(rows, list):
        raise Rejected(what, "the answer is not a list of a Batch account; check the endpoint")
    return rows


def _common(kind: Kind, model: type[Spec], raw: Mapping[str, Any]) -> dict[str, Any]:
    own = [item for item in raw.get("metadata") or () if item.get("name") != MARK]
    return {
        "key": Key.of(kind, raw["id"]),
        "name": raw["id"],
        "state": str(raw["state"]).lower(),
        "guard": Guard(raw["eTag"], raw["creationTime"]),
        "mark": mark_of(raw),
        "spec": normalise(model, {**raw, "metadata": own}),
    }


def mark_of(raw: Mapping[str, Any]) -> Mark | None:
    values = [item.get("value", "") for item in raw.get("metadata") or () if item.get("name") == MARK]
    return (Mark.parse(values[0]) or Mark(UNREADABLE)) if values else None


def pool_of(raw: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]] | None) -> LivePool:
    errors = (f"{error.get('code')}: {error.get('message')}" for error in raw.get("resizeErrors") or ())
    return LivePool(
        **_common(Kind.POOL, PoolSpec, raw),
        allocation=str(raw.get("allocationState", "steady")).lower(),
        nodes=None if counts is None else counts.get(raw["id"].lower(), {}),
        current=raw.get("currentDedicatedNodes", 0) + raw.get("currentLowPriorityNodes", 0),
        spot=raw.get("currentLowPriorityNodes", 0),
        resize_errors=tuple(errors),
    )


def node_counts_of(row: Mapping[str, Any]) -> dict[str, int]:
    """Nodes by lower-case state, dedicated and spot together; states without nodes are left out."""
    total: dict[str, int] = {}
    for part in ("dedicated", "lowPriority"):
        for state, count in (row.get(part) or {}).items():
            if state != "total" and count:
                total[state.lower()] = total.get(state.lower(), 0) + count
    return total


def job_of(raw: Mapping[str, Any]) -> LiveJob:
    info = raw.get("executionInfo") or {}
    failed = info.get("schedulingError") or {}
    return LiveJob(
        **_common(Kind.JOB, JobSpec, raw),
        terminate_reason=info.get("terminateReason", ""),
        scheduling_error=f"{failed.get('code')}: {failed.get('message')}" if failed else "",
        ended=info.get("endTime", ""),
    )


def schedule_of(raw: Mapping[str, Any]) -> LiveSchedule:
    info = raw.get("executionInfo") or {}
    return LiveSchedule(
        **_common(Kind.JOB_SCHEDULE, JobScheduleSpec, raw),
        next_run=info.get("nextRunTime", ""),
        ended=info.get("endTime", ""),
    )


def node_of(raw: Mapping[str, Any]) -> LiveNode:
    return LiveNode(
        id=raw["id"],
        state=str(raw["state"]).lower(),
        scheduling=str(raw.get("schedulingState", "enabled")).lower(),
        dedicated=bool(raw.get("isDedicated", True)),
        booted=raw.get("lastBootTime", ""),
        running=raw.get("runningTasksCount", 0),
        since=raw.get("stateTransitionTime", ""),
        start=_run(raw.get("startTaskInfo")),
    )


def evaluation_of(raw: Mapping[str, Any]) -> str:
    """The results of a formula or what is wrong with it. A bad formula is answered with 200 (recorded)."""
    error = raw.get("error")
    if not error:
        return str(raw.get("results", ""))
    details = [str(item.get("value")) for item in error.get("values") or ()]
    return f"{error.get('code')}: {'; '.join(details) or error.get('message')}"


def task_of(raw: Mapping[str, Any]) -> LiveTask:
    info = raw.get("executionInfo") or {}
    failure = info.get("failureInfo") or {}
    return LiveTask(
        name=raw["id"],
        state=str(raw["state"]).lower(),
        guard=Guard(raw["eTag"], raw["creationTime"]),
        spec=normalise(TaskSpec, raw),
        node=(raw.get("nodeInfo") or {}).get("nodeId", ""),
        exit_code=info.get("exitCode"),
        failed=str(info.get("result", "")).lower() == "failure",
        failure=f"{failure.get('code')}: {failure.get('message')}" if failure else "",
        ended=info.get("endTime", ""),
        started=info.get("startTime", ""),
    )


def node_run_of(raw: Mapping[str, Any]) -> NodeRun:
    return NodeRun(
        node=raw["nodeId"],
        pool=raw.get("poolId", ""),
        preparation=_run(raw.get("jobPreparationTaskExecutionInfo")),
        release=_run(raw.get("jobReleaseTaskExecutionInfo")),
    )


def _run(raw: Mapping[str, Any] | None) -> Run | None:
    if not raw:
        return None
    return Run(
        state=str(raw.get("state", "")).lower(),
        exit_code=raw.get("exitCode"),
        result=str(raw.get("result", "")).lower(),
        failure=_failure(raw.get("failureInfo")),
        retries=raw.get("retryCount"),
        started=raw.get("startTime", ""),
        ended=raw.get("endTime", ""),
        directory=raw.get("taskRootDirectory", ""),
    )


def _failure(raw: Mapping[str, Any] | None) -> Failure | None:
    if not raw:
        return None
    details = tuple((str(item.get("name")), str(item.get("value"))) for item in raw.get("details") or ())
    category, code, message = (str(raw.get(name) or "") for name in ("category", "code", "message"))
    return Failure(category, code, message, details)
