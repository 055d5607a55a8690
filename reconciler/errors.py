"""What can go wrong, as one tree. Every layer raises these and nothing of its own.

ReconcilerError
├── UsageError        the command line is wrong; nothing was sent (exit 64)
├── ManifestErrors    the manifests are wrong: every finding of every file at once; nothing was sent (exit 64)
├── UnsafePlan        the plan is sound but needs consent: which limit, by how much, how to allow it
├── StalePlan         what was approved is not what would be done any more: plan again
├── TargetError       no account could be reached or chosen
├── StoreError        what we keep for ourselves cannot be read or written
├── SourceError       the manifests cannot be fetched: the last good revision stays in force
├── Locked            somebody else holds the lock: who, since when, until when (exit 5)
├── LockLost          we held the lock and no longer do: nothing more may be sent
├── NotThere          the account holds nothing at the address that was asked for
└── BatchError        the service said no
    ├── Transient     the same request may work later (timeout, 408, 429, 5xx)
    ├── Moved         the object changed under us (412, most 409): look again, never resend
    ├── Missing       404: success for a delete, otherwise look again
    ├── Denied        401, 403, quota: a person must act
    └── Rejected      our request is wrong: not repeated until the manifest or the object changes
"""

from dataclasses import dataclass


class ReconcilerError(Exception):
    """Anything this package says on purpose. Its text is for people."""


class UsageError(ReconcilerError):
    """The command line asks for something that does not exist or does not fit together."""


class TargetError(ReconcilerError):
    """The account could not be chosen or reached."""


class StoreError(ReconcilerError):
    """The ledger cannot be read or written. What cannot be read is never taken for empty."""


class SourceError(ReconcilerError):
    """The source of the manifests cannot be fetched, or holds what must not be used. What was fetched before stays.

    *commit* is the revision that must not be used; empty where none could be read, and a later try may go well.
    """

    def __init__(self, message: str, *, commit: str = "") -> None:
        self.commit = commit
        super().__init__(message)


class Locked(ReconcilerError):
    """Somebody else holds the lock of the stack. The text says who, since when, and how it is broken.

    *name* is the lock's; *owner* and *purpose* say who holds it for what, *acquired* and *until* from when to when (ISO
    8601 UTC, by the store's clock); each empty where it is not known.
    """

    def __init__(
        self, text: str, *, name: str = "", owner: str = "", purpose: str = "", acquired: str = "", until: str = ""
    ) -> None:
        self.name = name
        self.owner = owner
        self.purpose = purpose
        self.acquired = acquired
        self.until = until
        super().__init__(text)


class LockLost(ReconcilerError):
    """The lock that we held has expired, or was broken or taken: nothing more may be sent under it."""


class NotThere(ReconcilerError):
    """There is no such object, node or task."""


class UnsafePlan(ReconcilerError):
    """A guard stopped a sound plan. The text names the rule, the numbers and the flag that consents."""


class StalePlan(ReconcilerError):
    """What was approved (a saved plan, a digest) is not what would be done now. Nothing was sent."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake in a manifest. Lines and columns count from 1; 0 means the file as a whole."""

    path: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class ManifestErrors(ReconcilerError):
    """Every finding of every file, once, in the order a reader meets them. Lines that several objects share (the
    defaults of a Stack) are looked at for each of them."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = tuple(sorted(set(findings)))
        super().__init__("\n".join(map(str, self.findings)))


class BatchError(ReconcilerError):
    """The service refused a request, or did not answer.

    *what* says what was tried on what; *code* is the service's own error code (or the kind of transport failure);
    *request_id* finds the request in the service's logs.
    """

    def __init__(
        self, what: str, message: str, *, status: int | None = None, code: str = "", request_id: str = ""
    ) -> None:
        self.what = what
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        came_back = " ".join(str(part) for part in (status, code) if part)
        tail = f" (request {request_id})" if request_id else ""
        super().__init__(f"{what}: {came_back + ': ' if came_back else ''}{message}{tail}")


class Transient(BatchError):
    """The same request may work later. *retry_after* is in seconds where the service named a time."""

    retry_after: float | None = None


class Moved(BatchError):
    """The object is no longer the one we looked at."""


class Missing(BatchError):
    """There is nothing at that address."""


class Denied(BatchError):
    """Credentials, permissions or quota: a person must act."""


class Rejected(BatchError):
    """The request itself is wrong."""
