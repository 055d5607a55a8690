"""Disks of a pool's nodes, and how they are encrypted.

What the service fills in where a line is absent depends on the image and the size of the machine, and its own sources
disagree (a data disk without `caching` came back as `none`, the documentation says `readwrite`; REST reference 8.3 and
9), so most of it counts as the service's choice.
"""

from typing import Literal, Self

from pydantic import model_validator

from reconciler.model.field import SERVICE_CHOSEN, Compare, Spec, refusal, wire
from reconciler.model.types import DiskSize, Name

Caching = Literal["none", "readonly", "readwrite"]


class DiskEncryptionSetParameters(Spec):
    """A set of disks under one key of yours."""

    id: Name | None = wire("ARM id of the disk encryption set.", compare=Compare.FOLDED)


class VmDiskSecurityProfile(Spec):
    """What is encrypted on the disk of a confidential machine."""

    securityEncryptionType: Literal["DiskWithVMGuestState", "NonPersistedTPM", "VMGuestStateOnly"] | None = wire(
        "The disk with the guest state, only the guest state, or no firmware state at all. Only on confidential "
        "machines.",
        compare=Compare.FOLDED,
    )


class ManagedDisk(Spec):
    """The managed disk behind a disk of a node."""

    diskEncryptionSet: DiskEncryptionSetParameters | None = wire(
        "Its encryption set. Only for accounts in user subscription mode."
    )
    storageAccountType: Literal["standard_lrs", "premium_lrs", "standardssd_lrs"] | None = wire(
        "Kind of storage.", default=SERVICE_CHOSEN, compare=Compare.FOLDED
    )
    securityProfile: VmDiskSecurityProfile | None = wire("Its encryption on confidential machines.")


class DataDisk(Spec):
    """An empty disk for each node. It goes with its node."""

    lun: int = wire("Its number; once in a pool.", required=True, ge=0, le=63)
    caching: Caching | None = wire("Its caching.", default=SERVICE_CHOSEN, compare=Compare.FOLDED)
    diskSizeGB: DiskSize = wire("Its size in gigabytes.", required=True)
    managedDisk: ManagedDisk | None = wire("The managed disk behind it.", default=SERVICE_CHOSEN)


class DiffDiskSettings(Spec):
    """An operating system disk that lives on the machine itself and is lost with it."""

    placement: Literal["cachedisk"] | None = wire("Where it lives.", compare=Compare.FOLDED)


class OsDisk(Spec):
    """The operating system disk."""

    ephemeralOSDiskSettings: DiffDiskSettings | None = wire(
        "Makes it ephemeral. The service returns an empty object without it (recorded).", default={}
    )
    caching: Caching | None = wire("Its caching.", default=SERVICE_CHOSEN, compare=Compare.FOLDED)
    diskSizeGB: DiskSize | None = wire("Its size in gigabytes. None: the image's.", default=SERVICE_CHOSEN)
    managedDisk: ManagedDisk | None = wire("The managed disk behind it.", default=SERVICE_CHOSEN)
    writeAcceleratorEnabled: bool | None = wire("Whether writes are accelerated.", default=False)


class PoolIdentityReference(Spec):
    """One of the pool's managed identities."""

    resourceId: Name | None = wire("ARM id of the identity.", compare=Compare.FOLDED)


class DiskCustomerManagedKey(Spec):
    """A key of yours that encrypts the operating system disk. Needs an identity of the pool."""

    identityReference: PoolIdentityReference | None = wire("Identity that reads the key.")
    keyUrl: Name | None = wire("URL of the key in a key vault, with its version.")
    rotationToLatestKeyVersionEnabled: bool | None = wire("Whether newer versions are taken up.", default=False)


class DiskEncryptionConfiguration(Spec):
    """Encryption of the nodes' disks."""

    customerManagedKey: DiskCustomerManagedKey | None = wire("A key of yours. Needs `osdisk` among the targets.")
    targets: list[Literal["osdisk", "temporarydisk"]] | None = wire("The disks to encrypt.", compare=Compare.FOLDED)

    @model_validator(mode="after")
    def _key_for_the_os_disk(self) -> Self:
        if self.customerManagedKey is not None and "osdisk" not in (self.targets or ()):
            raise refusal("expected osdisk among the targets beside customerManagedKey")
        return self
