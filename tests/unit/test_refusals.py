"""What the service's refusals mean for us: by code first, then by status."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from azure.core.exceptions import ServiceRequestError

from reconciler.azure import identity
from reconciler.azure.refusals import kind_of, seconds_of, translated
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


ATTEMPTS = """DefaultAzureCredential failed to retrieve a token from the included credentials.
Attempted credentials:
\tEnvironmentCredential: EnvironmentCredential authentication unavailable. Variables are not fully configured.
Visit https://aka.ms/azsdk/python/identity/environmentcredential/troubleshoot to troubleshoot this issue.
\tManagedIdentityCredential: %s
\tAzureCliCredential: %s
To mitigate this issue, please refer to the troubleshooting guidelines."""
NOT_THERE = ('Unexpected content type "text/plain"', "Azure CLI not found on path")


@pytest.mark.parametrize(
    ("attempts", "environment", "said"),
    [
        (NOT_THERE, {}, f"no credential was found: {identity.WHAT_TO_DO}"),
        (
            (NOT_THERE[0], "Please run 'az login' to set up an account"),
            {},
            "AzureCliCredential gave no token: Please run 'az login' to set up an account",
        ),
        (
            ("ManagedIdentityCredential authentication unavailable.", "Please run 'az login' to set up an account"),
            {"IDENTITY_ENDPOINT": "http://127.0.0.1:9"},
            "ManagedIdentityCredential gave no token: ManagedIdentityCredential authentication unavailable.",
        ),
        (
            (
                "Unexpected response \"{'access_token': 'eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.eyJhdWQiOiJ4In0.c2ln'}\"",
                NOT_THERE[1],
            ),
            {"IDENTITY_ENDPOINT": "http://h"},
            "ManagedIdentityCredential gave no token: Unexpected response \"{'access_token': '(secret)'}\"",
        ),
    ],
)
def test_of_all_sources_of_a_token_the_one_that_was_meant_is_told(
    attempts: tuple[str, str], environment: dict[str, str], said: str
) -> None:
    assert identity.no_token(ATTEMPTS % attempts, environment) == said


@pytest.mark.parametrize(
    ("scheme", "detail", "said"),
    [
        (
            "Bearer",
            "The token has expired",
            "the token has expired: sign in again, and check the clock of this machine",
        ),
        (
            "Bearer",
            "The token's audience 'x' is not https://batch.core.windows.net/",
            "the token is for another service: Batch takes those for https://batch.core.windows.net/",
        ),
        (
            "Bearer",
            "The token is not for the tenant of the Batch account",
            "the token is of another tenant than the account: sign in there (AZURE_TENANT_ID, az login --tenant)",
        ),
        ("Bearer", "", "the token does not fit this account"),
        ("SharedKey", "The token has expired", "the key does not fit this account"),
        (
            "SharedKey",
            "The specified type of authentication SharedKey is not allowed when external resources are linked",
            "the account takes no shared key: unset AZURE_BATCH_ACCESS_KEY and sign in with `az login`",
        ),
    ],
)
def test_a_refused_key_or_token_is_told_with_what_to_do(scheme: str, detail: str, said: str) -> None:
    assert identity.refused(scheme, [detail]) == said


def test_an_unknown_certificate_is_for_a_person_and_a_broken_line_is_not() -> None:
    why = "Cannot connect to host h:443 ssl:True [SSLCertVerificationError: (1, '[SSL: CERTIFICATE_VERIFY_FAILED] x')]"
    with pytest.raises(Denied, match=r"https://h .* SSL_CERT_FILE"), translated("list the pools", "https://h"):
        raise ServiceRequestError(why)
    with pytest.raises(Transient, match="no answer from https://h: Cannot"), translated("list the pools", "https://h"):
        raise ServiceRequestError("Cannot connect to host h:443")
