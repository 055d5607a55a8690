"""The service's refusals as our errors.

Classified by the service's own code first: with an ETag sent the SDK raises one exception class for every refusal, and
a bare 409 may be a taken id, a finished job or a pool being resized.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import orjson
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.rest import AsyncHttpResponse

from reconciler.azure import identity
from reconciler.errors import BatchError, Denied, Missing, Moved, Rejected, Transient

DENIED: Final = frozenset(
    {
        "AccountIsDisabled",
        "ActiveJobAndScheduleQuotaReached",
        "AuthenticationFailed",
        "Forbidden",
        "InsufficientAccountPermissions",
        "InvalidAuthenticationInfo",
        "PoolQuotaReached",
    }
)
MISSING: Final = frozenset(
    {"FileNotFound", "JobNotFound", "JobScheduleNotFound", "NodeNotFound", "PoolNotFound", "TaskNotFound"}
)
REJECTED_CONFLICTS: Final = frozenset(
    {
        "InvalidApplicationPackageReferences",
        "JobPreparationTaskNotSpecified",
        "JobPreparationTaskOrReleaseTaskNotSpecified",
        "JobScheduleWithSameIdExists",
        "JobWithSameIdExists",
        "OperationNotValidOnNode",
        "OperationNotValidOnPool",
        "TaskFilesCleanedup",
        "TaskFilesUnavailable",
        "TaskIdSameAsJobPreparationTask",
        "TaskIdSameAsJobReleaseTask",
    }
)
"""409s that looking again does not cure; every other one means that the object is in another state than we saw."""
SECONDS_TO_WAIT: Final = {"TooManyEnableAutoScaleRequests": 10.0}
"""Refusals that time alone cures, whatever their status. Autoscale of a pool is enabled once in 30 seconds at most
(REST reference, "Enable Pool Auto Scale")."""
UNTOLD: Final = frozenset({"PropertyValue", "AuthenticationErrorDetail"})
"""Details of a refusal that repeat what was sent: a value that may be secret, a signature."""


@contextmanager
def translated(what: str, endpoint: str) -> Iterator[None]:
    """The SDK's exceptions as ours, once and here."""
    try:
        yield
    except HttpResponseError as error:
        if isinstance(error, ClientAuthenticationError) and error.response is None:  # no token was found to send
            raise Denied(what, identity.no_token(error.message, os.environ)) from error
        raise _refusal(what, error) from error
    except AzureError as error:
        if "CERTIFICATE_VERIFY_FAILED" in error.message:
            trust = "name the file of its authority in SSL_CERT_FILE, if you trust it"
            raise Denied(
                what, f"the certificate of {endpoint} is signed by nobody who is known here: {trust}"
            ) from error
        raise Transient(what, f"no answer from {endpoint}: {_first_line(error.message)}") from error


@contextmanager
def understanding(what: str) -> Iterator[None]:
    """An answer of another shape comes from something that is no Batch account."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"the answer is not that of a Batch account ({type(error).__name__}: {error}); check the endpoint"
        raise Rejected(what, message) from error


def _refusal(what: str, error: HttpResponseError) -> BatchError:
    """The service's answer as one of our errors, by its code first: a bare 409 may mean many things."""
    status = error.status_code or 0
    response = cast(AsyncHttpResponse | None, error.response)
    headers = response.headers if response is not None else {}
    body = _error_body(response)
    code = str(body.get("code", ""))
    message = _message(body) or _first_line(error.reason or error.message)
    scheme = response.request.headers.get("Authorization", "").partition(" ")[0] if response is not None else ""
    if code == "AuthenticationFailed":
        message = f"{identity.refused(scheme, _details(body))} ({message})"
    elif status == 403 and scheme.lower() == "bearer" and code != "AccountIsDisabled":
        message = f"{message}; {identity.ROLES}"
    request_id = headers.get("request-id", "")
    kind = kind_of(status, code)
    refusal = kind(what, message, status=status, code=code, request_id=request_id)
    if isinstance(refusal, Transient):
        asked = seconds_of(headers.get("Retry-After"))
        refusal.retry_after = SECONDS_TO_WAIT.get(code) if asked is None else asked
    return refusal


def kind_of(status: int, code: str) -> type[BatchError]:
    if code in DENIED or status in (401, 403):
        return Denied
    if code in MISSING or status == 404:
        return Missing
    if code in SECONDS_TO_WAIT:
        return Transient
    if status in (408, 429) or status >= 500:
        return Rejected if status == 501 else Transient
    if status == 412 or (status == 409 and code not in REJECTED_CONFLICTS):
        return Moved
    return Rejected


def _error_body(response: AsyncHttpResponse | None) -> dict[str, Any]:
    if response is None:
        return {}
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _message(body: Mapping[str, Any]) -> str:
    """The first line of the service's text and its details, cut: an answer may hold what nobody should print."""
    message = body.get("message")
    text = _first_line(str(message.get("value", ""))) if isinstance(message, dict) else ""
    details = [
        f"{item.get('key')}: {_first_line(str(item.get('value')))}"
        for item in body.get("values") or ()
        if isinstance(item, dict) and item.get("key") not in UNTOLD
    ]
    return " ".join([text, f"({'; '.join(details)})" if details else ""]).strip()


def _details(body: Mapping[str, Any]) -> Iterator[str]:
    """Every detail of a refusal; to be looked at, and not shown."""
    return (str(item.get("value")) for item in body.get("values") or () if isinstance(item, dict))


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no text"
    return line if len(line) <= 300 else line[:297] + "..."


def seconds_of(text: str | None) -> float | None:
    """Retry-After in its two forms: a number of seconds, or a date (RFC 9110)."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def check_added(what: str, row: Mapping[str, Any]) -> None:
    """A collection is answered 200 whatever became of its tasks. `TaskExists` is not a failure: the next look reads
    the task and compares it."""
    error = row.get("error")
    if not error or error.get("code") == "TaskExists":
        return
    message = error.get("message")
    text = _first_line(str(message.get("value", ""))) if isinstance(message, dict) else "refused"
    kind = Transient if str(row.get("status", "")).lower() == "servererror" else Rejected
    raise kind(f"{what}: task {row.get('taskId')}", text, code=str(error.get("code", "")))
