"""What GET shows of pools, nodes, jobs, tasks and the preparation and release status. Absent values are left out.

Field names are those of the SDK's models; which appear when was compared with R26, R24c, R20.
"""

from __future__ import annotations

from reconciler.emulator import pools
from reconciler.emulator.records import Attendance, Execution, Job, Json, Node, Pool, Task
from reconciler.emulator.runs import task_directory
from reconciler.emulator.times import iso
from reconciler.emulator.world import World, slots_of


def etag(modified: int) -> str:
    """The tick count of the last change in hex (INFERRED from R26)."""
    return f"0x{modified:X}"


def _present(values: Json) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _time(ticks: int | None) -> str | None:
    return iso(ticks) if ticks else None


def pool(w: World, item: Pool, base: str) -> Json:
    dedicated, low_priority = pools.current_counts(w, item)
    own = {
        "id": item.id,
        "displayName": item.spec.get("displayName"),
        "url": f"{base}/pools/{item.id}",
        "eTag": etag(item.modified),
        "lastModified": iso(item.modified),
        "creationTime": iso(item.created),
        "state": item.state,
        "stateTransitionTime": iso(item.state_time),
        "allocationState": item.allocation_state,
        "allocationStateTransitionTime": iso(item.allocation_time),
        "vmSize": item.spec["vmSize"],
        "resizeTimeout": item.resize_timeout,
        "currentDedicatedNodes": dedicated,
        "targetDedicatedNodes": item.target_dedicated,
        "currentLowPriorityNodes": low_priority,
        "targetLowPriorityNodes": item.target_low_priority,
        "resizeErrors": item.resize_errors or None,
    }
    return _present(own) | item.spec


def node(w: World, item: Node, base: str) -> Json:
    pool_item = w.pools[item.pool]
    url = f"{base}/pools/{pool_item.id}/nodes/{item.id}"
    running = [task for task in w.tasks_on_node[item.key].values() if task.state == "running"]
    number = item.number
    return _present(
        {
            "id": item.id,
            "url": url,
            "state": item.state,
            "schedulingState": item.scheduling,
            "stateTransitionTime": iso(item.state_time),
            "lastBootTime": _time(item.booted),
            "allocationTime": iso(item.allocated),
            "ipAddress": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "affinityId": f"TVM:{item.id}",
            "vmSize": pool_item.spec["vmSize"],
            "totalTasksRun": item.tasks_run,
            "totalTasksSucceeded": item.tasks_succeeded,
            "runningTasksCount": len(running),
            "runningTaskSlotsCount": sum(slots_of(task) for task in running),
            "recentTasks": _recent(w, item, base) or None,
            "startTask": item.start_task,
            "startTaskInfo": _execution(item.start) if item.start else None,
            "isDedicated": item.dedicated,
            "nodeAgentInfo": {"lastUpdateTime": iso(item.booted), "version": "1.0.0"} if item.booted else None,
            "virtualMachineInfo": _machine_info(pool_item),
        }
    )


def _machine_info(item: Pool) -> Json:
    """A node shows the image in lower case (R22)."""
    image = item.spec["virtualMachineConfiguration"]["imageReference"]
    return {"imageReference": {key: value.lower() for key, value in image.items()}}


def _recent(w: World, item: Node, base: str) -> list[Json]:
    shown = []
    for _, key in item.recent:
        if key in w.tasks:
            one = w.tasks[key]
            job_item = w.jobs[one.job]
            info = {"jobId": job_item.id, "taskId": one.id, "taskState": one.state}
            url = {"taskUrl": f"{base}/jobs/{job_item.id}/tasks/{one.id}"}
            shown.append(url | info | {"executionInfo": _task_execution(one)})
    return shown


def job(w: World, item: Job, base: str) -> Json:
    own = {
        "id": item.id,
        "displayName": item.spec.get("displayName"),
        "url": f"{base}/jobs/{item.id}",
        "eTag": etag(item.modified),
        "lastModified": iso(item.modified),
        "creationTime": iso(item.created),
        "state": item.state,
        "stateTransitionTime": iso(item.state_time),
        "previousState": item.previous_state,
        "previousStateTransitionTime": _time(item.previous_time),
    }
    execution = {
        "startTime": iso(item.started),
        "endTime": _time(item.ended),
        "poolId": item.spec["poolInfo"]["poolId"],
        "terminateReason": item.terminate_reason,  # from terminating on (R26)
    }
    return _present(own) | item.spec | {"executionInfo": _present(execution)}


def task(w: World, item: Task, base: str) -> Json:
    job_item = w.jobs[item.job]
    own = {
        "id": item.id,
        "displayName": item.spec.get("displayName"),
        "url": f"{base}/jobs/{job_item.id}/tasks/{item.id}",
        "eTag": etag(item.modified),
        "creationTime": iso(item.created),
        "lastModified": iso(item.modified),
        "state": item.state,
        "stateTransitionTime": iso(item.state_time),
        "previousState": item.previous_state,
        "previousStateTransitionTime": _time(item.previous_time),
    }
    shown = _present(own) | item.spec | {"executionInfo": _task_execution(item)}
    return shown | {"nodeInfo": _node_info(job_item, item, base)} if item.placed else shown


def _node_info(job_item: Job, item: Task, base: str) -> Json:
    if item.node is None:
        return {}
    url = f"{base}/pools/{item.pool}/nodes/{item.node_id}"
    directory = task_directory(job_item, item.id)
    return {
        "affinityId": f"TVM:{item.node_id}",
        "nodeUrl": url,
        "poolId": item.pool,
        "nodeId": item.node_id,
        "taskRootDirectory": directory,
        "taskRootDirectoryUrl": f"{url}/files/{directory}",
    }


def _task_execution(item: Task) -> Json:
    shown = {} if item.execution is None else _execution(item.execution)
    shown.pop("state", None)
    own = {
        "retryCount": item.retry_count,
        "lastRetryTime": _time(item.last_retry),
        "requeueCount": item.requeue_count,
        "lastRequeueTime": _time(item.last_requeue),
    }
    return shown | _present(own)


def _execution(item: Execution) -> Json:
    return _present(
        {
            "state": item.state,
            "startTime": _time(item.start),
            "endTime": _time(item.end),
            "exitCode": item.exit_code,
            "failureInfo": item.failure,
            "result": item.result,
            "retryCount": item.retry_count,
            "lastRetryTime": _time(item.last_retry),
        }
    )


def attendance(w: World, item: Attendance, base: str) -> Json:
    """An entry of the preparation and release status list; release shows no retry count (M)."""
    job_item = w.jobs[item.job]
    url = f"{base}/pools/{item.pool_id}/nodes/{item.node_id}"
    entry: Json = {"poolId": item.pool_id, "nodeId": item.node_id, "nodeUrl": url}
    for name, spec, execution in (
        ("jobPreparationTaskExecutionInfo", "jobPreparationTask", item.preparation),
        ("jobReleaseTaskExecutionInfo", "jobReleaseTask", item.release),
    ):
        if execution is None:
            continue
        directory = task_directory(job_item, job_item.spec[spec]["id"])
        root = {"taskRootDirectory": directory, "taskRootDirectoryUrl": f"{url}/files/{directory}"}
        entry[name] = _execution(execution) | root
    entry.get("jobReleaseTaskExecutionInfo", {}).pop("retryCount", None)
    return entry
