"""failureInfo of commands, in the service's words where it was recorded. Used when a run has ended."""

from __future__ import annotations

from reconciler.emulator.ports import Ended
from reconciler.emulator.records import Execution, Json

_PROBLEMS = {
    "CommandProgramNotFound": "The specified command program is not found",  # R20:files
    "CommandLaunchFailed": "The specified command could not be started",
    "ResourceFileCreateFailed": "A resource file could not be created",
    "ResourceFileWriteFailed": "A resource file could not be written",
    "ResourceDirectoryCreateFailed": "The directory of a resource file could not be created",
    "BlobNotFound": "A resource file could not be found at its address",
    "BlobAccessDenied": "Access to a resource file was denied",
    "BlobDownloadTimedOut": "The download of a resource file took too long",
    "BlobDownloadMiscError": "A resource file could not be downloaded",
    "ResourceContainerNotFound": "One of the containers of resource files was not found",
    "ResourceContainerAccessDenied": "Access for one of the specified Azure Blob container(s) is denied",  # D
    "ResourceContainerListMiscError": "One of the containers of resource files could not be listed",
    "ApplicationPackageError": "An application package could not be installed",
    "FileUploadContainerNotFound": (  # D:batch-task-output-files
        "One of the specified Azure container(s) was not found while attempting to upload an output file"
    ),
    "FileUploadAccessDenied": "Access to the container of an output file was denied",
    "FileUploadTimedOut": "The upload of an output file took too long",
    "FileUploadMiscError": "A miscellaneous error was encountered while uploading one of the output files",  # G
}


def exit_code_failure() -> Json:
    """G: dump of a real task of June 2022."""
    return {
        "category": "UserError",
        "code": "FailureExitCode",
        "message": "The task exited with an exit code representing a failure",
        "details": [
            {"name": "Message", "value": "The task process exited with an unexpected exit code"},
            {"name": "AdditionalErrorCode", "value": "FailureExitCode"},
        ],
    }


def ended_by_user() -> Json:
    """R17:tasks."""
    return {"category": "UserError", "code": "TaskEnded", "message": "Task Was Ended by User Request"}


def time_limit_reached() -> Json:
    """D:error-handling gives category and code."""
    return {"category": "ServerError", "code": "TaskEnded", "message": "The task reached its time limit"}


def problem(code: str, detail: str) -> Json:
    """What kept a command from starting. The codes are NET's TaskFailureInformationCodes."""
    failure: Json = {"category": "UserError", "code": code, "message": _PROBLEMS.get(code, code)}
    if detail:
        failure["details"] = [{"name": "Message", "value": detail}]
    return failure


def close(execution: Execution, ended: Ended, *, upload_first: bool = False) -> None:
    """Write the end of a run into its execution: exit 0 with all files uploaded succeeds, all else fails."""
    execution.state = "completed"
    execution.run = None
    execution.end = max(ended.at, execution.start)
    execution.exit_code = ended.exit_code
    execution.upload_failed = ended.upload_problem is not None
    execution.not_started = ended.problem is not None
    execution.result = "success" if ended.exit_code == 0 and not execution.upload_failed else "failure"
    if ended.problem is not None:
        execution.failure = problem(ended.problem, ended.detail)
    elif ended.upload_problem is not None and (ended.exit_code == 0 or upload_first):
        execution.failure = problem(ended.upload_problem, ended.detail)
    elif ended.exit_code != 0:
        execution.failure = exit_code_failure()


def cut_short(execution: Execution, at: int, failure: Json) -> None:
    """End an execution that was stopped from outside; it has no exit code."""
    execution.state = "completed"
    execution.run = None
    execution.end = max(at, execution.start)
    execution.result = "failure"
    execution.failure = failure


def may_retry(ended: Ended, done: int, allowed: int) -> bool:
    """Only a non-zero exit is retried, not a command that could not be started, nor a failed upload (M)."""
    retriable = ended.exit_code not in (None, 0) and ended.upload_problem is None
    return retriable and (allowed == -1 or done < allowed)


def again(execution: Execution, now: int, run: str, *, counted: bool = True) -> None:
    """The next try of the same command; times are those of the most recent start (M:BatchTaskExecutionInfo).

    *counted*: after an exit code that is not 0; what the machine lost is no retry (M:BatchStartTaskInfo.retryCount).
    """
    if counted:
        execution.retry_count += 1
        execution.last_retry = now
    execution.start = now
    execution.run = run
