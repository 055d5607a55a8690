"""Users: the one a command runs as, those that a pool makes on its nodes, and managed identities.

Sources: REST reference 8.3, 8.6 and 8.11; the service never returns passwords and private keys.
"""

from typing import Any, Final, Literal

from reconciler.model.field import SERVICE_CHOSEN, Compare, OneOf, Paired, Spec, wire
from reconciler.model.types import Name, Secret, UserNumber

AUTO_USER: Final[dict[str, Any]] = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}
"""What the service takes when a task names no user (recorded for every kind of task)."""
Elevation = Literal["nonadmin", "admin"]


class AutoUserSpecification(Spec):
    """A user that the service makes on the node."""

    scope: Literal["pool", "task"] | None = wire(
        "One user for the pool, or one for each task.", default="pool", compare=Compare.FOLDED
    )
    elevationLevel: Elevation | None = wire(
        "Whether it may administer the node.", default="nonadmin", compare=Compare.FOLDED
    )


class UserIdentity(OneOf):
    """The user a command runs as: a named one of the pool, or an automatic one."""

    one_of = ("username", "autoUser")

    username: Name | None = wire("Name of a user account of the pool.")
    autoUser: AutoUserSpecification | None = wire("An automatic user.")


class NodeIdentityReference(Spec):
    """A managed identity of the pool, used instead of a key or a signature."""

    resourceId: Name = wire("ARM id of a user-assigned identity.", required=True, compare=Compare.FOLDED)


class LinuxUserConfiguration(Paired):
    """A user account on Linux nodes."""

    pair = ("uid", "gid")

    uid: UserNumber | None = wire("Number of the user; with `gid` or not at all.", default=SERVICE_CHOSEN)
    gid: UserNumber | None = wire("Number of its group; with `uid` or not at all.", default=SERVICE_CHOSEN)
    sshPrivateKey: Secret | None = wire(
        "Private key without a passphrase, for SSH between the nodes of a pool with inter-node communication.",
        write_only=True,
        secret=True,
    )


class WindowsUserConfiguration(Spec):
    """A user account on Windows nodes."""

    loginMode: Literal["batch", "interactive"] | None = wire("How it logs in.", default="batch", compare=Compare.FOLDED)


class UserAccount(Spec):
    """A user account made on every node of the pool."""

    name: str = wire("Its name.", required=True, min_length=1, max_length=20)
    password: Secret = wire("Its password.", required=True, write_only=True, secret=True)
    elevationLevel: Elevation | None = wire(
        "Whether it may administer the node.", default="nonadmin", compare=Compare.FOLDED
    )
    linuxUserConfiguration: LinuxUserConfiguration | None = wire(
        "Settings on Linux nodes; nothing on Windows.", default=SERVICE_CHOSEN
    )
    windowsUserConfiguration: WindowsUserConfiguration | None = wire(
        "Settings on Windows nodes; the service adds them there (recorded).", default=SERVICE_CHOSEN
    )
