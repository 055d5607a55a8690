"""What a task's end means to its job and to the tasks that depend on it (M:ExitConditions, M:ExitOptions)."""

from __future__ import annotations

from reconciler.emulator.records import Execution, Job, Json, Task

_NAMED = ("preProcessingError", "fileUploadError", "default")


def all_options(conditions: Json) -> list[Json]:
    """Every exitOptions object a task's exitConditions hold."""
    entries = [*conditions.get("exitCodes", []), *conditions.get("exitCodeRanges", [])]
    return [entry["exitOptions"] for entry in entries] + [conditions[key] for key in _NAMED if key in conditions]


def matching_option(conditions: Json, execution: Execution) -> Json:
    """A named code wins over a range, both over a file upload error, all over the default (M:ExitConditions)."""
    code = execution.exit_code
    options: list[Json] = [entry["exitOptions"] for entry in conditions.get("exitCodes", []) if entry["code"] == code]
    if code is not None:
        ranges = conditions.get("exitCodeRanges", [])
        options += [entry["exitOptions"] for entry in ranges if entry["start"] <= code <= entry["end"]]
    names = {"preProcessingError": execution.not_started, "fileUploadError": execution.upload_failed}
    names["default"] = not execution.succeeded
    options += [conditions[name] for name, applies in names.items() if applies and name in conditions]
    return options[0] if options else {}


def job_action(job: Job, task: Task) -> str:
    """What a completed task asks of its job: none, disable or terminate.

    Only with onTaskFailure=performexitoptionsjobaction. Without a matching condition: none for exit 0, else terminate
    (M:ExitOptions.jobAction).
    """
    execution = task.execution
    if job.spec["onTaskFailure"] == "noaction" or execution is None:
        return "none"
    option = matching_option(task.spec.get("exitConditions", {}), execution)
    return str(option.get("jobAction", "none" if execution.succeeded else "terminate"))


def satisfies(task: Task) -> bool:
    """Whether tasks that depend on this one may run: by default only after exit 0 (D:batch-task-dependencies)."""
    execution = task.execution
    if task.state != "completed" or execution is None:
        return False
    option = matching_option(task.spec.get("exitConditions", {}), execution)
    return str(option.get("dependencyAction", "satisfy" if execution.succeeded else "block")) == "satisfy"
