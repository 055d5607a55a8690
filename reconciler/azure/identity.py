"""Signing in without a key: what to say when no token is found, or the service refuses the one that was.

`DefaultAzureCredential` tries one source after another and reports all of them, most of which nobody meant. What
matters to a person is the source that was meant to work, and what to do where there is none.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

WHAT_TO_DO: Final = (
    "give the account's key in AZURE_BATCH_ACCESS_KEY, sign in with `az login`, set AZURE_TENANT_ID, AZURE_CLIENT_ID "
    "and AZURE_CLIENT_SECRET, or run where there is a managed identity"
)
ROLES: Final = (
    "the identity may have no role on the account: 'Azure Batch Data Contributor' lets it apply, 'Azure Batch Reader' "
    "plan (Access control in the portal, or az role assignment create)"
)
"""Built-in roles (https://learn.microsoft.com/azure/batch/batch-role-based-access-control)."""
MEANT: Final[Mapping[str, tuple[str, ...]]] = {
    "EnvironmentCredential": ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"),
    "WorkloadIdentityCredential": ("AZURE_FEDERATED_TOKEN_FILE",),
    "ManagedIdentityCredential": ("IDENTITY_ENDPOINT", "MSI_ENDPOINT"),
}
"""Variables that say which source is meant; the others are whatever the machine happens to have."""
_ABSENT: Final = re.compile(
    r"unavailable|not found|could not be found|not installed|requires the|content type|no response", re.IGNORECASE
)
"""How a source says that it is none here (azure-identity 1.19 to 1.27)."""
_ATTEMPT: Final = re.compile(r"^\t(\w+): (.*)", re.MULTILINE)
_ENTRA: Final = re.compile(r"AADSTS\d+: [^.]*")
_SAID: Final = re.compile(r"""['"]message['"]: ['"]([^'"]+)""")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-.+/=]{40,}")
_REASONS: Final = (
    ("expired", "the token has expired: sign in again, and check the clock of this machine"),
    ("not valid yet", "the token is not valid yet: check the clock of this machine"),
    ("audience", "the token is for another service: Batch takes those for https://batch.core.windows.net/"),
    ("tenant", "the token is of another tenant than the account: sign in there (AZURE_TENANT_ID, az login --tenant)"),
    ("issuer", "the token is of another tenant than the account: sign in there (AZURE_TENANT_ID, az login --tenant)"),
)
_KEY_REASONS: Final = (
    (
        "sharedkey is not allowed",
        "the account takes no shared key: unset AZURE_BATCH_ACCESS_KEY and sign in with `az login`",
    ),
    ("date header", "the clock of this machine is wrong"),
)


def no_token(message: str, environment: Mapping[str, str]) -> str:
    """What to tell of a failed search for a token: the source that was meant to work and why it did not."""
    attempts: list[tuple[str, str]] = _ATTEMPT.findall(message)
    meant = [name for name, variables in MEANT.items() if any(environment.get(it) for it in variables)]
    failed = [it for it in attempts if it[0] in meant or not _ABSENT.search(it[1])]
    if not failed:
        return f"no credential was found: {WHAT_TO_DO}"
    name, why = next((it for it in failed if it[0] in meant), failed[-1])
    return f"{name} gave no token: {_short(why)}"


def refused(scheme: str, details: Iterable[str]) -> str:
    """Why the service takes a key or token, in words of our own: its details repeat what was sent. *scheme* is that of
    the Authorization header."""
    text = " ".join(details).lower()
    bearer = scheme.lower() == "bearer"
    for sign, reason in _REASONS if bearer else _KEY_REASONS:
        if sign in text:
            return reason
    return f"the {'token' if bearer else 'key'} does not fit this account"


def _short(why: str) -> str:
    """The service's own sentence, if there is one, without anything that may be a token."""
    entra, said = _ENTRA.search(why), _SAID.search(why)
    text = entra[0] if entra else said[1] if said else why
    text = _TOKEN.sub("(secret)", text.removeprefix("(None) ")).strip()
    return text if len(text) <= 200 else f"{text[:197]}..."
