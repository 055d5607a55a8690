"""The virtual machines of a pool: image, disks, containers, extensions, security.

Sources: REST reference 8.3 and 9. Everything here changes only while the pool is empty, as part of
`virtualMachineConfiguration`. Letter case does not count: images and ids come back rewritten.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from reconciler.model.containers import ContainerConfiguration
from reconciler.model.disks import DataDisk, DiskEncryptionConfiguration, OsDisk
from reconciler.model.field import SERVICE_CHOSEN, Compare, Spec, listed, refusal, wire
from reconciler.model.types import Name, once


class ImageReference(Spec):
    """The operating system image: a marketplace one, or one of your own."""

    publisher: str | None = wire("Marketplace publisher.", compare=Compare.FOLDED)
    offer: str | None = wire("Marketplace offer.", compare=Compare.FOLDED)
    sku: str | None = wire("Marketplace SKU.", compare=Compare.FOLDED)
    version: str | None = wire("Marketplace version; the service takes the latest.", default=SERVICE_CHOSEN)
    virtualMachineImageId: str | None = wire("ARM id of an image in a compute gallery.", compare=Compare.FOLDED)
    sharedGalleryImageId: str | None = wire("Id of an image in a shared gallery.", compare=Compare.FOLDED)
    communityGalleryImageId: str | None = wire("Id of an image in a community gallery.", compare=Compare.FOLDED)

    read_only = frozenset({"exactVersion"})

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        market = [n for n in ("publisher", "offer", "sku") if getattr(self, n)]
        own = [
            n for n in ("virtualMachineImageId", "sharedGalleryImageId", "communityGalleryImageId") if getattr(self, n)
        ]
        if not ((len(market) == 3 and not own) or (not market and len(own) == 1)):
            raise refusal(
                "expected publisher, offer and sku, or one image id, found {found}",
                found=", ".join(market + own) or "neither",
            )
        if own and self.version is not None:
            raise refusal(f"expected no version beside {own[0]}: the id may end in one")
        return self


class WindowsConfiguration(Spec):
    """Settings of Windows machines."""

    enableAutomaticUpdates: bool | None = wire("Whether updates install themselves.", default=True)


class NodePlacementConfiguration(Spec):
    """Where in the region machines are."""

    policy: Literal["regional", "zonal"] | None = wire(
        "Anywhere, or spread over the zones.", default="regional", compare=Compare.FOLDED
    )


class VMExtension(Spec):
    """A program of a publisher that is installed on every machine."""

    name: Name = wire("Its name in the pool.", required=True)
    publisher: Name = wire("Who publishes it.", required=True, compare=Compare.FOLDED)
    type: Name = wire("Its type.", required=True, compare=Compare.FOLDED)
    typeHandlerVersion: str | None = wire("Version of its handler.", default=SERVICE_CHOSEN)
    autoUpgradeMinorVersion: bool | None = wire(
        "Whether a newer minor version is taken when the machine is made.", default=SERVICE_CHOSEN
    )
    enableAutomaticUpgrade: bool | None = wire(
        "Whether newer versions are taken by themselves.", default=SERVICE_CHOSEN
    )
    settings: dict[str, Any] | None = wire("Its settings, open to everyone who may read the account.")
    protectedSettings: dict[str, Any] | None = wire("Its secret settings.", write_only=True, secret=True)
    provisionAfterExtensions: list[str] | None = wire("Names of extensions that are installed before it.")


class HostEndpointSettings(Spec):
    """Who on the machine may talk to an endpoint of its host."""

    inVMAccessControlProfileReferenceId: Name | None = wire(
        "ARM id of the version of an access control profile.", compare=Compare.FOLDED
    )
    mode: Literal["Audit", "Enforce"] | None = wire("Whether breaches are noted or stopped.", compare=Compare.FOLDED)


class ProxyAgentSettings(Spec):
    """Guards the metadata endpoints of the machine (Metadata Security Protocol)."""

    enabled: bool | None = wire("Whether it does.", default=False)
    imds: HostEndpointSettings | None = wire("The instance metadata service.")
    wireServer: HostEndpointSettings | None = wire("The wire server.")


class UefiSettings(Spec):
    """Firmware of the machine."""

    secureBootEnabled: bool | None = wire("Whether only signed code starts it.", default=SERVICE_CHOSEN)
    vTpmEnabled: bool | None = wire("Whether it has a virtual TPM.", default=SERVICE_CHOSEN)


class SecurityProfile(Spec):
    """Security of the machine."""

    encryptionAtHost: bool | None = wire("Whether the host encrypts all disks.", default=False)
    proxyAgentSettings: ProxyAgentSettings | None = wire("Guards the metadata endpoints.")
    securityType: Literal["trustedLaunch", "confidentialvm"] | None = wire(
        "Kind of protected machine.", default=SERVICE_CHOSEN, compare=Compare.FOLDED
    )
    uefiSettings: UefiSettings | None = wire("Firmware; needs `securityType`.", default=SERVICE_CHOSEN)

    @model_validator(mode="after")
    def _type_for_firmware(self) -> Self:
        if self.uefiSettings is not None and self.securityType is None:
            raise refusal("expected securityType beside uefiSettings, found none")
        return self


class ServiceArtifactReference(Spec):
    """Keeps all machines on one version of an image that is asked for as the latest."""

    id: Name = wire("ARM id of the service artifact's profile.", required=True, compare=Compare.FOLDED)


class VirtualMachineConfiguration(Spec):
    """What runs on the machines."""

    imageReference: ImageReference = wire("The image.", required=True)
    nodeAgentSKUId: Name = wire("The node agent; it must fit the image.", required=True, compare=Compare.FOLDED)
    windowsConfiguration: WindowsConfiguration | None = wire(
        "Settings of Windows machines; not with a Linux image.", default=SERVICE_CHOSEN
    )
    dataDisks: Annotated[list[DataDisk] | None, once("lun")] = wire("Empty disks for each node.", keyed_by="lun")
    licenseType: str | None = wire("On-premises licence to use, for Windows images.", compare=Compare.FOLDED)
    containerConfiguration: ContainerConfiguration | None = wire(
        "Sets nodes up for containers; every ordinary task then needs one."
    )
    diskEncryptionConfiguration: DiskEncryptionConfiguration | None = wire("Encryption of the disks.")
    nodePlacementConfiguration: NodePlacementConfiguration | None = wire("Where machines are.", default={})
    extensions: list[VMExtension] | None = wire("Programs installed on every machine.", keyed_by="name")
    osDisk: OsDisk | None = wire("The operating system disk.", default=SERVICE_CHOSEN)
    securityProfile: SecurityProfile | None = wire("Security of the machines.", default=SERVICE_CHOSEN)
    serviceArtifactReference: ServiceArtifactReference | None = wire("Keeps machines on one version of the image.")

    @model_validator(mode="after")
    def _parts_that_fit(self) -> Self:
        windows = [name for name in ("windowsConfiguration", "licenseType") if getattr(self, name) is not None]
        if windows and "windows" not in self.nodeAgentSKUId.lower():
            raise refusal(f"expected a Windows node agent beside {listed(windows, 'and')}, found {self.nodeAgentSKUId}")
        if self._encrypts_guest_state() and not self._is_confidential():
            raise refusal("expected securityProfile.securityType: confidentialvm beside securityEncryptionType")
        return self

    def _is_confidential(self) -> bool:
        return self.securityProfile is not None and self.securityProfile.securityType == "confidentialvm"

    def _encrypts_guest_state(self) -> bool:
        disks = [self.osDisk, *(self.dataDisks or ())]
        managed = [disk.managedDisk for disk in disks if disk is not None and disk.managedDisk is not None]
        return any(disk.securityProfile and disk.securityProfile.securityEncryptionType for disk in managed)
