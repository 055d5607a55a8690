"""What GET shows of pools, nodes, jobs, tasks and the preparation and release status. Absent values are left out.

Field names are those of the SDK's models; which appear when was compared with R26, R24c, R20.
"""

from __future__ import annotations

from reconciler.emulator import pools
from reconciler.emulator.instances import address
from reconciler.emulator.records import Attendance, Execution, Job, Json, Node, Pool, Schedule, Task
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
        "autoScaleRun": item.autoscale_run,
    }
    return _present(own) | item.spec


def node(w: World, item: Node, base: str) -> Json:
    pool_item = w.pools[item.pool]
    url = f"{base}/pools/{pool_item.id}/nodes/{item.id}"
    running = [task for task in w.tasks_on_node[item.key].values() if task.state == "running"]
    return _present(
        {
            "id": item.id,
            "url": url,
            "state": item.state,
            "schedulingState": item.scheduling,
            "stateTransitionTime": iso(item.state_time),
            "lastBootTime": _time(item.booted),
            "allocationTime": iso(item.allocated),
            "ipAddress": address(item),
            "affinityId": f"TVM:{item.id}",
            "vmSize": pool_item.spec["vmSize"],
            "totalTasksRun": item.tasks_run,
            "totalTasksSucceeded": item.tasks_succeeded,
            "runningTasksCount": len(running),
            "runningTaskSlotsCount": sum(slots_of(task) for task in running),
            "recentTasks": _recent(w, item, base) or None,
            "errors": item.errors or None,
            "startTask": item.start_task,
            "startTaskInfo": _execution(item.start) if item.start else None,
            "isDedicated": item.dedicated,
            "endpointConfiguration": {"inboundEndpoints": [login_endpoint(item)]},
            "nodeAgentInfo": {"lastUpdateTime": iso(item.booted), "version": "1.0.0"} if item.booted else None,
            "virtualMachineInfo": _machine_info(pool_item),
        }
    )


def login_endpoint(item: Node) -> Json:
    """The entry every Linux node has for remote logins (R20:files). Nothing listens there."""
    return {
        "name": "SSHRule.0",
        "protocol": "tcp",
        "publicIPAddress": "127.0.0.1",
        "publicFQDN": "localhost",
        "frontendPort": 50000 + (item.number - 1) % 10000,
        "backendPort": 22,
    }


def _machine_info(item: Pool) -> Json:
    """A node shows the image in lower case (R22)."""
    image = item.spec["virtualMachineConfiguration"]["imageReference"]
    return {"imageReference": {key: value.lower() for key, value in image.items()}}


def _recent(w: World, item: Node, base: str) -> list[Json]:
    shown = []
    for _, key, *subtask in item.recent:
        if key in w.tasks:
            one = w.tasks[key]
            job_item = w.jobs[one.job]
            info: Json = {"jobId": job_item.id, "taskId": one.id, "taskState": one.state}
            if subtask:
                info["subtaskId"] = int(subtask[0])
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
        "poolId": item.pool_id or None,
        "schedulingError": item.scheduling_error,
        "terminateReason": item.terminate_reason,  # from terminating on (R26)
    }
    return _present(own) | item.spec | {"executionInfo": _present(execution)}


def schedule(item: Schedule, base: str) -> Json:
    own = {
        "id": item.id,
        "displayName": item.spec.get("displayName"),
        "url": f"{base}/jobschedules/{item.id}",
        "eTag": etag(item.modified),
        "lastModified": iso(item.modified),
        "creationTime": iso(item.created),
        "state": item.state,
        "stateTransitionTime": iso(item.state_time),
        "previousState": item.previous_state,
        "previousStateTransitionTime": _time(item.previous_time),
    }
    recent = {"url": f"{base}/jobs/{item.recent}", "id": item.recent}
    execution = {
        "nextRunTime": _time(item.next_run),
        "recentJob": recent if item.recent is not None else None,
        "endTime": _time(item.ended),
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
    return _place(item.pool or "", item.node_id or "", task_directory(job_item, item.id), base)


def _place(pool_id: str, node_id: str, directory: str, base: str) -> Json:
    url = f"{base}/pools/{pool_id}/nodes/{node_id}"
    return {
        "affinityId": f"TVM:{node_id}",
        "nodeUrl": url,
        "poolId": pool_id,
        "nodeId": node_id,
        "taskRootDirectory": directory,
        "taskRootDirectoryUrl": f"{url}/files/{directory}",
    }


def subtask(w: World, item: Task, number: int, base: str) -> Json:
    """A subtask of a multi-instance task (M:BatchSubtask)."""
    one = item.subtasks[number]
    execution = _execution(one.execution) if one.state == "completed" else {"startTime": _time(one.execution.start)}
    directory = task_directory(w.jobs[item.job], item.id)
    own = {
        "id": number,
        "nodeInfo": _place(one.pool_id, one.node_id, directory, base),
        "state": one.state,
        "stateTransitionTime": iso(one.state_time),
        "previousState": one.previous_state,
        "previousStateTransitionTime": _time(one.previous_time),
    }
    shown = ("startTime", "endTime", "exitCode", "failureInfo", "result")
    return _present(own | {name: execution.get(name) for name in shown})


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
