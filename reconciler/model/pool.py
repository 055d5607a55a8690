"""Pools: the machines."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from reconciler.model.field import SERVICE_CHOSEN, ChangeKind, Compare, Spec, wire
from reconciler.model.task import AUTO_USER, NOT_YET, EnvironmentSetting, MetadataItem, ResourceFile, UserIdentity
from reconciler.model.types import CommandLine, DisplayName, NodeCount, ResizeTimeout, RetryCount


class ImageReference(Spec):
    """The operating system image: a marketplace one, or one of your own."""

    publisher: str | None = wire("Marketplace publisher.", compare=Compare.FOLDED)
    offer: str | None = wire("Marketplace offer.", compare=Compare.FOLDED)
    sku: str | None = wire("Marketplace SKU.", compare=Compare.FOLDED)
    version: str | None = wire("Marketplace version; the service takes the latest.", default=SERVICE_CHOSEN)
    virtualMachineImageId: str | None = wire("ARM id of an image in a compute gallery.", compare=Compare.FOLDED)
    sharedGalleryImageId: str | None = wire("Id of an image in a shared gallery.", compare=Compare.FOLDED)
    communityGalleryImageId: str | None = wire("Id of an image in a community gallery.", compare=Compare.FOLDED)

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        market = [n for n in ("publisher", "offer", "sku") if getattr(self, n)]
        own = [
            n for n in ("virtualMachineImageId", "sharedGalleryImageId", "communityGalleryImageId") if getattr(self, n)
        ]
        if not ((len(market) == 3 and not own) or (not market and len(own) == 1)):
            raise PydanticCustomError(
                "expected",
                "expected publisher, offer and sku, or one image id, found {found}",
                {"found": ", ".join(market + own) or "neither"},
            )
        return self


class VirtualMachineConfiguration(Spec):
    """What runs on the machines."""

    imageReference: ImageReference = wire("The image.", required=True)
    nodeAgentSKUId: str = wire("The node agent; it must fit the image.", required=True, compare=Compare.FOLDED)
    licenseType: str | None = wire("On-premises licence to use, for Windows images.", compare=Compare.FOLDED)

    unsupported: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "containerConfiguration",
            "dataDisks",
            "diskEncryptionConfiguration",
            "extensions",
            "nodePlacementConfiguration",
            "osDisk",
            "securityProfile",
            "serviceArtifactReference",
            "windowsConfiguration",
        ),
        NOT_YET,
    )


class NetworkConfiguration(Spec):
    """The network of the nodes."""

    subnetId: str | None = wire("ARM id of a subnet.", compare=Compare.FOLDED)
    dynamicVNetAssignmentScope: Literal["none", "job"] | None = wire(
        "Scope of dynamic network assignment.", default="none", compare=Compare.FOLDED
    )
    enableAcceleratedNetworking: bool | None = wire("Whether nodes use accelerated networking.", default=False)

    unsupported: ClassVar[dict[str, str]] = dict.fromkeys(
        ("endpointConfiguration", "publicIPAddressConfiguration"), NOT_YET
    )


class TaskSchedulingPolicy(Spec):
    """How tasks are spread over nodes."""

    nodeFillType: Literal["spread", "pack"] = wire(
        "Spread tasks over nodes, or fill one node first.", required=True, default="spread", compare=Compare.FOLDED
    )
    jobDefaultOrder: Literal["none", "creationtime"] | None = wire(
        "Order of jobs of equal priority.", default="none", compare=Compare.FOLDED
    )


class StartTask(Spec):
    """Runs on a node when it joins the pool, restarts or is reimaged."""

    commandLine: CommandLine = wire("What to run. No shell is added.", required=True)
    resourceFiles: list[ResourceFile] | None = wire("Files to download first.")
    environmentSettings: list[EnvironmentSetting] | None = wire("Variables of the process.", keyed_by="name")
    userIdentity: UserIdentity | None = wire("The user it runs as.", default=AUTO_USER)
    maxTaskRetryCount: RetryCount | None = wire("Retries after a failed attempt; -1 without limit.", default=0)
    waitForSuccess: bool | None = wire("Whether the node takes tasks only after its success.", default=True)

    unsupported: ClassVar[dict[str, str]] = {"containerSettings": NOT_YET}


class PoolSpec(Spec):
    """A set of nodes of one size and image."""

    displayName: DisplayName | None = wire("For people.", change=ChangeKind.WHEN_EMPTY)
    vmSize: str = wire(
        "Size of the virtual machines, such as Standard_D2s_v3.",
        required=True,
        change=ChangeKind.WHEN_EMPTY,
        compare=Compare.FOLDED,
        min_length=1,
    )
    virtualMachineConfiguration: VirtualMachineConfiguration = wire(
        "Image and node agent.", required=True, change=ChangeKind.WHEN_EMPTY
    )
    resizeTimeout: ResizeTimeout | None = wire(
        "How long one resize may take; 5 minutes at least.",
        default="PT15M",
        change=ChangeKind.RESIZE,
        compare=Compare.DURATION,
    )
    targetDedicatedNodes: NodeCount | None = wire("Dedicated nodes to have.", default=0, change=ChangeKind.RESIZE)
    targetLowPriorityNodes: NodeCount | None = wire("Spot nodes to have.", default=0, change=ChangeKind.RESIZE)
    enableInterNodeCommunication: bool | None = wire(
        "Whether nodes may talk to each other directly.", default=False, change=ChangeKind.WHEN_EMPTY
    )
    networkConfiguration: NetworkConfiguration | None = wire("The nodes' network.", change=ChangeKind.WHEN_EMPTY)
    startTask: StartTask | None = wire(
        "Runs on each node when it joins. A change reaches nodes that are there already after their next restart.",
        change=ChangeKind.LIVE,
    )
    taskSlotsPerNode: int | None = wire(
        "Tasks that may run at once on a node.", default=1, change=ChangeKind.WHEN_EMPTY, ge=1, le=256
    )
    taskSchedulingPolicy: TaskSchedulingPolicy | None = wire(
        "How tasks are spread over nodes.", default={}, change=ChangeKind.WHEN_EMPTY
    )
    metadata: list[MetadataItem] | None = wire("Names and values of your own.", change=ChangeKind.LIVE, keyed_by="name")

    unsupported: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "applicationPackageReferences",
            "autoScaleEvaluationInterval",
            "autoScaleFormula",
            "enableAutoScale",
            "mountConfiguration",
            "upgradePolicy",
            "userAccounts",
        ),
        NOT_YET,
    )
    read_only: ClassVar[frozenset[str]] = frozenset(
        {
            "allocationState",
            "allocationStateTransitionTime",
            "autoScaleRun",
            "creationTime",
            "currentDedicatedNodes",
            "currentLowPriorityNodes",
            "eTag",
            "identity",
            "lastModified",
            "resizeErrors",
            "state",
            "stateTransitionTime",
            "stats",
            "url",
        }
    )
