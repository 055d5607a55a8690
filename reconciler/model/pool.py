"""Pools: the machines. Sources: REST reference 8.1 (how fields change), 8.2 (what "empty" means), 8.8 and 9."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import model_validator

from reconciler.model.containers import TaskContainerSettings
from reconciler.model.field import ChangeKind, Compare, Spec, refusal, wire
from reconciler.model.files import ResourceFiles
from reconciler.model.machines import VirtualMachineConfiguration
from reconciler.model.mounts import MountConfiguration
from reconciler.model.network import NetworkConfiguration
from reconciler.model.packages import ApplicationPackageReference
from reconciler.model.settings import EnvironmentSetting, MetadataItem
from reconciler.model.task import GONE
from reconciler.model.types import (
    CommandLine,
    DisplayName,
    EvaluationInterval,
    Formula,
    NodeCount,
    ResizeTimeout,
    RetryCount,
    SlotCount,
    at_most,
)
from reconciler.model.upgrades import UpgradePolicy
from reconciler.model.users import AUTO_USER, UserAccount, UserIdentity

FIXED_SIZE = ("enableAutoScale", False)
AUTOSCALED = ("enableAutoScale", True)


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
    containerSettings: TaskContainerSettings | None = wire(
        "The container it runs in. Only on a pool for containers, and not needed there."
    )
    resourceFiles: ResourceFiles = wire("Files to download first.")
    environmentSettings: list[EnvironmentSetting] | None = wire("Variables of the process.", keyed_by="name")
    userIdentity: UserIdentity | None = wire("The user it runs as.", default=AUTO_USER)
    maxTaskRetryCount: RetryCount | None = wire("Retries after a failed attempt; -1 without limit.", default=0)
    waitForSuccess: bool | None = wire("Whether the node takes tasks only after its success.", default=True)


class PoolSpecification(Spec):
    """A set of nodes of one size and image."""

    displayName: DisplayName | None = wire("For people.", change=ChangeKind.WHEN_EMPTY, compare=Compare.LABEL)
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
        "How long one resize may take; 5 minutes at least. Not with autoscale.",
        default="PT15M",
        change=ChangeKind.RESIZE,
        compare=Compare.DURATION,
        when=FIXED_SIZE,
    )
    targetDedicatedNodes: NodeCount | None = wire(
        "Dedicated nodes to have. Not with autoscale.", default=0, change=ChangeKind.RESIZE, when=FIXED_SIZE
    )
    targetLowPriorityNodes: NodeCount | None = wire(
        "Spot nodes to have. Not with autoscale.", default=0, change=ChangeKind.RESIZE, when=FIXED_SIZE
    )
    enableAutoScale: bool | None = wire(
        "Whether a formula decides how many nodes there are.", default=False, change=ChangeKind.AUTOSCALE
    )
    autoScaleFormula: Formula | None = wire(
        "The formula, at most 8 KB. Needed with autoscale.", change=ChangeKind.AUTOSCALE, when=AUTOSCALED
    )
    autoScaleEvaluationInterval: EvaluationInterval | None = wire(
        "Time between two evaluations of the formula, 5 minutes to 168 hours.",
        default="PT15M",
        change=ChangeKind.AUTOSCALE,
        compare=Compare.DURATION,
        when=AUTOSCALED,
    )
    enableInterNodeCommunication: bool | None = wire(
        "Whether nodes may talk to each other directly. Makes for smaller pools.",
        default=False,
        change=ChangeKind.WHEN_EMPTY,
    )
    networkConfiguration: NetworkConfiguration | None = wire("The nodes' network.", change=ChangeKind.WHEN_EMPTY)
    startTask: StartTask | None = wire(
        "Runs on each node when it joins. A change reaches nodes that are there already after their next restart.",
        change=ChangeKind.LIVE,
    )
    applicationPackageReferences: Annotated[
        list[ApplicationPackageReference] | None, at_most(10, "packages in a pool")
    ] = wire(
        "Packages put on each node, at most 10. A change reaches nodes that are there already after their next "
        "restart.",
        change=ChangeKind.LIVE,
    )
    taskSlotsPerNode: SlotCount | None = wire(
        "Tasks that may run at once on a node, at most 256 and 4 for each core.",
        default=1,
        change=ChangeKind.WHEN_EMPTY,
    )
    taskSchedulingPolicy: TaskSchedulingPolicy | None = wire(
        "How tasks are spread over nodes.", default={}, change=ChangeKind.WHEN_EMPTY
    )
    userAccounts: list[UserAccount] | None = wire(
        "User accounts made on each node.", change=ChangeKind.WHEN_EMPTY, keyed_by="name"
    )
    mountConfiguration: Annotated[list[MountConfiguration] | None, at_most(10, "mounts on a node")] = wire(
        "File systems mounted on each node, at most 10.", change=ChangeKind.WHEN_EMPTY
    )
    upgradePolicy: UpgradePolicy | None = wire("How nodes are upgraded.", change=ChangeKind.WHEN_EMPTY)
    metadata: list[MetadataItem] | None = wire("Names and values of your own.", change=ChangeKind.LIVE, keyed_by="name")

    unsupported: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "applicationLicenses",
            "certificateReferences",
            "cloudServiceConfiguration",
            "currentNodeCommunicationMode",
            "resourceTags",
            "targetNodeCommunicationMode",
        ),
        GONE,
    )

    @model_validator(mode="after")
    def _one_way_to_size(self) -> Self:
        """Either targets, or autoscale with a formula (REST reference 8.1)."""
        if self.enableAutoScale:
            unfit = [n for n in ("resizeTimeout", "targetDedicatedNodes", "targetLowPriorityNodes") if self._has(n)]
            if unfit:
                raise refusal(f"expected no {unfit[0]} beside enableAutoScale: the formula decides")
            if self.autoScaleFormula is None:
                raise refusal("expected autoScaleFormula beside enableAutoScale, found none")
        else:
            unfit = [n for n in ("autoScaleFormula", "autoScaleEvaluationInterval") if self._has(n)]
            if unfit:
                raise refusal(f"expected enableAutoScale: true beside {unfit[0]}, found none")
        return self

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None

    @model_validator(mode="after")
    def _parts_that_fit(self) -> Self:
        """Parts of a pool that need one another (SDK docstrings of the two upgrade policies and of container tasks)."""
        machine = self.virtualMachineConfiguration
        if self.startTask and self.startTask.containerSettings and machine.containerConfiguration is None:
            raise refusal(
                "expected virtualMachineConfiguration.containerConfiguration beside startTask.containerSettings"
            )
        if self.upgradePolicy is None:
            return self
        rolling, automatic = self.upgradePolicy.rollingUpgradePolicy, self.upgradePolicy.automaticOSUpgradePolicy
        placement = machine.nodePlacementConfiguration
        zonal = placement is not None and placement.policy == "zonal"
        if rolling and rolling.enableCrossZoneUpgrade is not None and not zonal:
            raise refusal("expected nodePlacementConfiguration.policy: zonal beside enableCrossZoneUpgrade")
        updates = machine.windowsConfiguration is not None and machine.windowsConfiguration.enableAutomaticUpdates
        if automatic and automatic.enableAutomaticOSUpgrade and updates:
            raise refusal("expected windowsConfiguration.enableAutomaticUpdates: false beside enableAutomaticOSUpgrade")
        return self


class PoolSpec(PoolSpecification):
    """A set of nodes of one size and image."""

    read_only = frozenset(
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
