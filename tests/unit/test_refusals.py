"""What the service's refusals mean for us: by code first, then by status."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from reconciler.azure.refusals import kind_of, seconds_of
from reconciler.errors import BatchError, Denied, Missing, Moved, Rejected, Transient


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidPropertyValue", Rejected),
        (401, "", Denied),
        (403, "AuthenticationFailed", Denied),
        (404, "JobNotFound", Missing),
        (404, "", Missing),
        (408, "", Transient),
        (409, "JobExists", Moved),
        (409, "JobCompleted", Moved),
        (409, "JobBeingTerminated", Moved),
        (409, "JobBeingDeleted", Moved),
        (409, "PoolBeingResized", Moved),
        (409, "ActiveJobAndScheduleQuotaReached", Denied),
        (409, "PoolQuotaReached", Denied),
        (409, "JobScheduleWithSameIdExists", Rejected),
        (409, "TaskIdSameAsJobReleaseTask", Rejected),
        (409, "OperationNotValidOnPool", Rejected),
        (412, "ConditionNotMet", Moved),
        (413, "RequestBodyTooLarge", Rejected),
        (429, "TooManyRequests", Transient),
        (500, "InternalError", Transient),
        (501, "NotImplemented", Rejected),
        (503, "ServerBusy", Transient),
        (503, "TooManyEnableAutoScaleRequests", Transient),
    ],
)
def test_a_refusal_is_of_one_kind(status: int, code: str, kind: type[BatchError]) -> None:
    assert kind_of(status, code) is kind


def test_retry_after_is_read_in_both_of_its_forms() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert seconds_of("7") == 7.0
    assert 80 < (seconds_of(soon) or 0) <= 90
    assert seconds_of(format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)) == 0.0
    assert [seconds_of(text) for text in (None, "", "soon")] == [None, None, None]
