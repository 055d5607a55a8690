"""The service's error codes, their status and text, and the one exception the engine raises.

Codes and messages are the service's own (DE; those marked rec were also recorded), because clients match on them.
"""

from __future__ import annotations

from collections.abc import Iterable


class ServiceError(Exception):
    """A refusal in the service's terms: HTTP status, code, first line of the message, detail pairs."""

    def __init__(self, status: int, code: str, message: str, values: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.values = tuple(values)


CATALOGUE: dict[str, tuple[int, str]] = {
    "ConditionNotMet": (412, "The condition specified using HTTP conditional header(s) is not met."),  # rec
    "MissingRequiredProperty": (400, "A required property was not specified in the request body."),
    "MissingRequiredHeader": (400, "A required HTTP header was not specified."),
    "MissingRequiredQueryParameter": (400, "A required query parameter was not specified for this request."),
    "UnsupportedProperty": (400, "One of the properties specified in the request body is not supported."),
    "UnsupportedQueryParameter": (400, "One of the query parameters specified in the request URI is not supported."),
    "UnsupportedRequestVersion": (400, "The specified api version string is invalid."),
    "InvalidHeaderValue": (400, "The value provided for one of the HTTP headers was not in the correct format."),
    "InvalidPropertyValue": (400, "The value provided for one of the properties in the request body is invalid."),
    "InvalidQueryParameterValue": (
        400,
        "Value for one of the query parameters specified in the request URI is invalid.",
    ),
    "OutOfRangeQueryParameterValue": (
        400,
        "A query parameter specified in the request URI is outside the permissible range.",
    ),
    "InvalidRequestBody": (400, "The specified Request Body is not syntactically valid."),
    "InvalidUri": (400, "The requested URI does not represent any resource on the server."),
    "InvalidAuthenticationInfo": (400, "The authentication information was not provided in the correct format."),
    "EmptyMetadataKey": (400, "The key for one of the metadata key-value pairs is empty."),
    "MultipleConditionHeadersNotSupported": (400, "Multiple condition headers are not supported."),
    "TaskDependenciesNotSpecifiedOnJob": (
        400,
        "The job must be created with task dependencies enabled to support this operation.",
    ),
    "TaskDependencyListTooLong": (400, "The list of tasks the specified task depends on is too long."),
    "AutoScalingFormulaSyntaxError": (400, "The specified auto-scaling formula has a syntax error."),
    "AutoScalingFormulaTooLong": (400, "The specified auto-scaling formula exceeds lengths limit."),
    "AuthenticationFailed": (
        403,
        "Server failed to authenticate the request. "
        "Make sure the value of Authorization header is formed correctly including the signature.",
    ),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "PoolNotFound": (404, "The specified pool does not exist."),  # rec
    "NodeUserNotFound": (404, "The specified node user does not exist."),
    "NodeNotFound": (404, "The specified node does not exist."),
    "JobNotFound": (404, "The specified job does not exist."),  # rec
    "JobScheduleNotFound": (404, "The specified job schedule does not exist."),  # rec
    "TaskNotFound": (404, "The specified task does not exist."),
    "FileNotFound": (404, "The specified file does not exist."),
    "ApplicationNotFound": (404, "The specified application does not exist."),
    "UnsupportedHttpVerb": (405, "The resource doesn't support the specified HTTP verb."),
    "RequestBodyTooLarge": (413, "The request body is too large and exceeds the maximum permissible limit."),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "PoolExists": (409, "The specified pool already exists."),  # rec
    "PoolBeingDeleted": (409, "The specified pool has been marked for deletion and is being reclaimed."),  # rec
    "PoolBeingResized": (409, "The specified pool is being resized."),
    "OperationNotValidOnPool": (409, "The specified operation is not valid on the pool."),
    "PoolQuotaReached": (409, "The account has reached its quota of pools."),
    "JobExists": (409, "The specified job already exists."),  # rec
    "JobBeingDeleted": (409, "The specified job has been marked for deletion and is being garbage collected."),
    "JobBeingTerminated": (409, "The specified job is being terminated."),
    "JobCompleted": (409, "The specified job is already in a completed state."),
    "JobDisabled": (409, "The specified job is disabled."),
    "JobNotActive": (409, "The specified job is not active."),
    "JobScheduleExists": (409, "The specified job schedule already exists."),
    "JobScheduleBeingDeleted": (
        409,
        "The specified job schedule has been marked for deletion and is being garbage collected.",
    ),
    "JobScheduleBeingTerminated": (409, "The specified job schedule is being terminated."),
    "JobScheduleCompleted": (409, "The specified job schedule is already in a completed state."),
    "JobScheduleDisabled": (409, "The specified job schedule is disabled."),
    "JobWithSameIdExists": (409, "The specified job schedule has an id that is the same as that of a job."),
    "JobScheduleWithSameIdExists": (409, "The specified job has an id that is the same as that of a job schedule."),
    "ActiveJobAndScheduleQuotaReached": (409, "The account has reached its quota of active jobs and job schedules."),
    "JobPreparationTaskOrReleaseTaskNotSpecified": (  # rec 2020
        409,
        "The specified job does not have either job preparation task or job release task.",
    ),
    "JobPreparationTaskNotSpecified": (409, "The specified job does not have a job preparation task."),
    "TaskExists": (409, "The specified task already exists."),
    "TaskCompleted": (409, "The specified task is already in a completed state."),
    "TaskNotCompleted": (409, "The specified task is not in a completed state."),
    "TaskSucceeded": (409, "The specified task has completed successfully."),
    "TaskFilesUnavailable": (409, "The specified task did not run, or its files are no longer available."),
    "TaskFilesCleanedup": (409, "The specified task's files have been cleaned up."),
    "TaskIdSameAsJobPreparationTask": (
        409,
        "The specified task's id is the same as that of the job's Job Preparation task.",
    ),
    "TaskIdSameAsJobReleaseTask": (409, "The specified task's id is the same as that of the job's Job Release task."),
    "NodeBeingCreated": (409, "The specified node is being created."),
    "NodeBeingStarted": (409, "The specified node is being started."),
    "NodeBeingReimaged": (409, "The specified node is being reimaged."),
    "NodeUserExists": (409, "The specified node user already exists."),
    "NodeBeingRebooted": (409, "The specified node is being rebooted."),
    "NodeStateUnusable": (409, "The specified node is unusable."),
    "NodeAlreadyInTargetSchedulingState": (409, "The specified node is already in the target scheduling state."),
    "OperationNotValidOnNode": (409, "The specified operation is not valid on the node."),  # rec
    "InvalidApplicationPackageReferences": (  # rec
        409,
        "One or more of the specified application package references are invalid.",
    ),
    "OperationInvalidForCurrentState": (409, "The specified operation is not valid for the current state."),
    "TooManyEnableAutoScaleRequests": (503, "Too many Enable Pool AutoScale requests are issued on the pool."),
    "NotImplemented": (501, "This emulator does not implement the requested operation."),
}


def refuse(code: str, *values: tuple[str, str]) -> ServiceError:
    """The refusal *code* stands for, with detail pairs; raise what it returns."""
    status, message = CATALOGUE[code]
    return ServiceError(status, code, message, values)


def bad_property(name: str, value: object, reason: str) -> ServiceError:
    """400 InvalidPropertyValue with the three details the service gives (R24c:pool_cmd)."""
    shown = value if isinstance(value, str) else repr(value)
    return refuse("InvalidPropertyValue", ("PropertyName", name), ("PropertyValue", shown[:200]), ("Reason", reason))


def bad_query(name: str, value: str, reason: str) -> ServiceError:
    """400 InvalidQueryParameterValue (R20n:fail_to_list_pools_with_invalid_max)."""
    details = (("QueryParameterName", name), ("QueryParameterValue", value[:200]), ("Reason", reason))
    return refuse("InvalidQueryParameterValue", *details)


def not_here(name: str, what: str) -> ServiceError:
    """501 naming a property the emulator would otherwise have to ignore, which would change behaviour silently."""
    return refuse("NotImplemented", ("PropertyName", name), ("Reason", what))
