"""File systems mounted on every node of a pool, at most 10 (page virtual-file-mount).

Keys, signatures and passwords are never returned (recorded for blob account keys, inferred for the others, REST
reference 8.11).
"""

from reconciler.model.field import OneOf, Spec, wire
from reconciler.model.types import MountPath, Name, Secret
from reconciler.model.users import NodeIdentityReference


class AzureBlobFileSystemConfiguration(OneOf):
    """A blob container mounted through blobfuse."""

    one_of = ("accountKey", "sasKey", "identityReference")

    accountName: Name = wire("The storage account.", required=True)
    containerName: Name = wire("The container.", required=True)
    accountKey: Secret | None = wire("Key of the account.", write_only=True, secret=True)
    sasKey: Secret | None = wire("Shared access signature.", write_only=True, secret=True)
    identityReference: NodeIdentityReference | None = wire("Identity that reads and writes.")
    blobfuseOptions: str | None = wire("More options of the mount command.")
    relativeMountPath: MountPath = wire("Where, below the node's mounts directory.", required=True)


class NfsMountConfiguration(Spec):
    """A directory mounted through NFS."""

    source: Name = wire("URI of the file system.", required=True)
    relativeMountPath: MountPath = wire("Where, below the node's mounts directory.", required=True)
    mountOptions: str | None = wire("More options of the mount command.")


class CifsMountConfiguration(Spec):
    """A share mounted through CIFS (SMB)."""

    username: Name = wire("User to log in as.", required=True)
    password: Secret = wire("Password of the user.", required=True, write_only=True, secret=True)
    source: Name = wire("URI of the share.", required=True)
    relativeMountPath: MountPath = wire("Where, below the node's mounts directory.", required=True)
    mountOptions: str | None = wire("More options of the mount command.")


class AzureFileShareConfiguration(Spec):
    """A share of Azure Files."""

    accountName: Name = wire("The storage account.", required=True)
    accountKey: Secret = wire("Key of the account.", required=True, write_only=True, secret=True)
    azureFileUrl: Name = wire("URL of the share, https://ACCOUNT.file.core.windows.net/SHARE.", required=True)
    relativeMountPath: MountPath = wire("Where, below the node's mounts directory.", required=True)
    mountOptions: str | None = wire("More options of the mount command.")


class MountConfiguration(OneOf):
    """One file system, of one kind."""

    one_of = (
        "azureBlobFileSystemConfiguration",
        "nfsMountConfiguration",
        "cifsMountConfiguration",
        "azureFileShareConfiguration",
    )

    azureBlobFileSystemConfiguration: AzureBlobFileSystemConfiguration | None = wire("A blob container.")
    nfsMountConfiguration: NfsMountConfiguration | None = wire("An NFS file system.")
    cifsMountConfiguration: CifsMountConfiguration | None = wire("A CIFS share.")
    azureFileShareConfiguration: AzureFileShareConfiguration | None = wire("A share of Azure Files.")
