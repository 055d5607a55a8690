"""Application packages: archives of the account that the service unpacks on nodes."""

from reconciler.model.field import SERVICE_CHOSEN, Compare, Spec, wire
from reconciler.model.types import Name


class ApplicationPackageReference(Spec):
    """A package to put on a node."""

    applicationId: Name = wire(
        "Id of the application. For a new pool the documentation asks for the ARM id; plain ids were taken (recorded).",
        required=True,
        compare=Compare.FOLDED,
    )
    version: Name | None = wire("Its version. None: the application's default version.", default=SERVICE_CHOSEN)
