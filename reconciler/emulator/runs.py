"""Starting commands on nodes: environment, directories, deadlines. Used for all four sorts of task.

Environment and directories follow D:batch-compute-node-environment-variables and D:files-and-directories.
"""

from __future__ import annotations

from dataclasses import fields

from reconciler.emulator import instances
from reconciler.emulator.ports import Launch
from reconciler.emulator.records import Job, Json, Node, Run, Task, fold
from reconciler.emulator.times import MAX_SPAN, parse_span
from reconciler.emulator.world import World

_RESERVED_DISK_BYTES = "1000000000"
_LAUNCH = tuple(one.name for one in fields(Launch))
FAR = 100 * 365 * 86_400 * 10_000_000  # a limit beyond this is none


def task_directory(job: Job, task_id: str) -> str:
    """Relative to the node's root; the same text is shown as taskRootDirectory (R20:files, R22)."""
    return f"{job_directory(job)}/{task_id}"


def job_directory(job: Job) -> str:
    """A job counts as the first of its own; jobs of a schedule lie side by side (D:files-and-directories)."""
    item, _, name = job.id.partition(":")
    return f"workitems/{item}/{name or 'job-1'}"


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
    """The task's own command; the time limit counts from the start of the try, coordination included."""
    spec = task.spec if not task.subtasks else {**task.spec, "follows": True}
    run_id = _begin_try(w, "task", job, node, task, spec)
    if task.subtasks and task.execution is not None:
        w.runs[run_id].deadline = deadline(task.execution.start, spec["constraints"]["maxWallClockTime"])
    return run_id


def begin_coordination(w: World, job: Job, node: Node, task: Task, number: int) -> str:
    """The coordination command of a multi-instance task on one of its nodes."""
    settings = task.spec["multiInstanceSettings"]
    own = {"commandLine": settings["coordinationCommandLine"], "common": settings.get("commonResourceFiles", ())}
    kept = ("environmentSettings", "applicationPackageReferences", "constraints")
    spec = own | {key: task.spec[key] for key in kept if key in task.spec}
    run_id = _begin_try(w, "coordination", job, node, task, spec)
    w.runs[run_id].instance = number
    return run_id


def _begin_try(w: World, kind: str, job: Job, node: Node, task: Task, spec: Json) -> str:
    directory = task_directory(job, task.id)
    variables = _job_variables(w, job, node, spec, task.id) | instances.variables(w, task, node)
    paths = _preparation_paths(job) | instances.paths(task, directory)
    limits = spec["constraints"]
    again = limits["maxTaskRetryCount"] == -1 or task.retry_count < limits["maxTaskRetryCount"]
    spec = {**spec, "may_be_retried": again and not w.switches.upload_after_each_try}
    return _begin(w, kind, node, task.key, spec, directory, variables, paths, limits["maxWallClockTime"])


def begin_installation(w: World, node: Node) -> str:
    """Put the pool's application packages on the node, before its start task (D:batch-application-packages)."""
    spec = {"commandLine": "", "installs_only": True}
    return _begin(w, "packages", node, node.key, spec, "volatile/packages", {}, {}, None)


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
        common_files=tuple(spec.get("common", ())),
        packages=_packages(w, node, spec),
        outputs=tuple(spec.get("outputFiles", ())),
        may_be_retried=spec.get("may_be_retried", False),
        keeps_names=w.switches.upload_names_keep_fixed_part,
        installs_only=spec.get("installs_only", False),
        follows=spec.get("follows", False),
    )
    until = deadline(w.now, limit)
    run = Run(launch.run, kind, node.key, subject, deadline=until, launch=_as_json(launch))
    w.start(run, launch)
    return run.id


def _as_json(launch: Launch) -> Json:
    """Its fields by name; nothing is copied, for nobody changes them."""
    return {name: getattr(launch, name) for name in _LAUNCH}


def relaunch(run: Run) -> Launch:
    """The launch of a run that was already stored when the emulator ended."""
    stored: Json = {name: tuple(item) if isinstance(item, list) else item for name, item in run.launch.items()}
    return Launch(**stored)


def _packages(w: World, node: Node, spec: Json) -> tuple[Json, ...]:
    """Those of the node, which every task there sees, and the task's own (D:batch-application-packages)."""
    if not node.packages and "applicationPackageReferences" not in spec:
        return ()
    own = w.packages.resolve(spec, lower_case=w.switches.package_variables_are_lower_case)
    return tuple({one["variable"]: one for one in [*node.packages, *own]}.values())


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
