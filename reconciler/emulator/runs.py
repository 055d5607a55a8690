"""Starting commands on nodes: environment, directories, deadlines. Used for all four sorts of task.

Environment and directories follow D:batch-compute-node-environment-variables and D:files-and-directories.
"""

from __future__ import annotations

from dataclasses import asdict

from reconciler.emulator.ports import Launch
from reconciler.emulator.records import Job, Json, Node, Run, Task, fold
from reconciler.emulator.times import MAX_SPAN, parse_span
from reconciler.emulator.world import World

_RESERVED_DISK_BYTES = "1000000000"
FAR = 100 * 365 * 86_400 * 10_000_000  # a limit beyond this is none


def task_directory(job: Job, task_id: str) -> str:
    """Relative to the node's root; the same text is shown as taskRootDirectory (R20:files, R22)."""
    return f"workitems/{job.id}/job-1/{task_id}"


def job_directory(job: Job) -> str:
    return f"workitems/{job.id}"


def begin_start(w: World, node: Node, spec: Json) -> str:
    return _begin(w, "start", node, node.key, spec, "startup", _variables(w, node, spec), {}, None)


def begin_preparation(w: World, job: Job, node: Node, attendance: str) -> str:
    spec = job.spec["jobPreparationTask"]
    variables = _job_variables(w, job, node, spec, spec["id"])
    limit = spec["constraints"]["maxWallClockTime"]
    return _begin(w, "preparation", node, attendance, spec, task_directory(job, spec["id"]), variables, {}, limit)


def begin_release(w: World, job: Job, node: Node, attendance: str) -> str:
    spec = job.spec["jobReleaseTask"]
    variables = _job_variables(w, job, node, spec, spec["id"])
    directory = task_directory(job, spec["id"])
    limit = spec["maxWallClockTime"]
    return _begin(w, "release", node, attendance, spec, directory, variables, _preparation_paths(job), limit)


def begin_task(w: World, job: Job, node: Node, task: Task) -> str:
    variables = _job_variables(w, job, node, task.spec, task.id)
    directory = task_directory(job, task.id)
    limit = task.spec["constraints"]["maxWallClockTime"]
    return _begin(w, "task", node, task.key, task.spec, directory, variables, _preparation_paths(job), limit)


def deadline(start: int, limit: str | None) -> int | None:
    """When a command that started at *start* must have ended; None without a limit."""
    span = MAX_SPAN if limit is None else parse_span(limit)
    return start + span if span < FAR else None


def _begin(
    w: World,
    kind: str,
    node: Node,
    subject: str,
    spec: Json,
    directory: str,
    variables: Json,
    paths: Json,
    limit: str | None,
) -> str:
    launch = Launch(
        run=f"{w.next_serial():08d}",
        pool=w.pools[node.pool].id,
        node=node.id,
        directory=directory,
        command_line=spec["commandLine"],
        variables=variables,
        paths=_node_paths(directory) | paths,
        files=tuple(spec.get("resourceFiles", ())),
    )
    run = Run(launch.run, kind, node.key, subject, deadline(w.now, limit), asdict(launch))
    w.start(run, launch)
    return run.id


def relaunch(run: Run) -> Launch:
    """The launch of a run that was already stored when the emulator ended."""
    return Launch(**{**run.launch, "files": tuple(run.launch["files"])})


def _node_paths(directory: str) -> Json:
    return {
        "AZ_BATCH_NODE_ROOT_DIR": "",
        "AZ_BATCH_NODE_SHARED_DIR": "shared",
        "AZ_BATCH_NODE_STARTUP_DIR": "startup",
        "AZ_BATCH_NODE_MOUNTS_DIR": "fsmounts",
        "AZ_BATCH_TASK_DIR": directory,
        "AZ_BATCH_TASK_WORKING_DIR": f"{directory}/wd",
    }


def _preparation_paths(job: Job) -> Json:
    if "jobPreparationTask" not in job.spec:
        return {}
    directory = task_directory(job, job.spec["jobPreparationTask"]["id"])
    return {"AZ_BATCH_JOB_PREP_DIR": directory, "AZ_BATCH_JOB_PREP_WORKING_DIR": f"{directory}/wd"}


def _variables(w: World, node: Node, spec: Json) -> Json:
    return {
        "AZ_BATCH_ACCOUNT_NAME": w.account.name,
        "AZ_BATCH_ACCOUNT_URL": w.account.url,
        "AZ_BATCH_POOL_ID": w.pools[fold(node.pool)].id,
        "AZ_BATCH_NODE_ID": node.id,
        "AZ_BATCH_NODE_IS_DEDICATED": "true" if node.dedicated else "false",
        "AZ_BATCH_TASK_RESERVED_EPHEMERAL_DISK_SPACE_BYTES": _RESERVED_DISK_BYTES,
        **_settings(spec.get("environmentSettings", [])),
    }


def _job_variables(w: World, job: Job, node: Node, spec: Json, task_id: str) -> Json:
    """A task's own setting wins over the job's common one (M:BatchJob.commonEnvironmentSettings)."""
    common = _settings(job.spec.get("commonEnvironmentSettings", []))
    return {
        "AZ_BATCH_JOB_ID": job.id,
        "AZ_BATCH_TASK_ID": task_id,
        **common,
        **_variables(w, node, spec),
    }


def _settings(settings: list[Json]) -> Json:
    return {entry["name"]: entry.get("value", "") for entry in settings}
