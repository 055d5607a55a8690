"""Jobs, and the tasks that belong to a job as such: manager, preparation, release.

Sources: REST reference 7 (auto pools), 8.4 (how fields change), 8.5 and 8.9.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from reconciler.model.containers import TaskContainerSettings
from reconciler.model.field import ChangeKind, Compare, OneOf, Spec, refusal, wire
from reconciler.model.files import OutputFile, ResourceFiles
from reconciler.model.network import JobNetworkConfiguration
from reconciler.model.packages import ApplicationPackageReference
from reconciler.model.pool import PoolSpecification
from reconciler.model.settings import EnvironmentSetting, MetadataItem
from reconciler.model.task import GONE, PreparationConstraints, TaskConstraints
from reconciler.model.types import (
    BatchId,
    CommandLine,
    DisplayName,
    Duration,
    ParallelTasks,
    PoolPrefix,
    ReleaseTime,
    RetryCount,
    SlotCount,
)
from reconciler.model.users import AUTO_USER, UserIdentity


class JobConstraints(Spec):
    """Limits of a job and defaults for its tasks."""

    maxWallClockTime: Duration | None = wire(
        "The job is terminated this long after its creation. None: no limit.", compare=Compare.DURATION
    )
    maxTaskRetryCount: RetryCount | None = wire(
        "Retries of each task that names no number; reaches tasks added later only.", default=0
    )


class JobPreparationTask(Spec):
    """Runs on a node before the first task of the job there; nodes that get no task run none."""

    id: BatchId | None = wire("Its id; no task of the job may have the same.", default="jobpreparation")
    commandLine: CommandLine = wire(
        "What to run. No shell is added. It may run more than once on a node.", required=True
    )
    containerSettings: TaskContainerSettings | None = wire(
        "The container it runs in. Only on a pool for containers, and not needed there."
    )
    resourceFiles: ResourceFiles = wire("Files to download first.")
    environmentSettings: list[EnvironmentSetting] | None = wire("Variables of the process.", keyed_by="name")
    userIdentity: UserIdentity | None = wire("The user it runs as.", default=AUTO_USER)
    constraints: PreparationConstraints | None = wire("Its limits.", default={})
    waitForSuccess: bool | None = wire("Whether tasks wait for its success on the node.", default=True)
    rerunOnNodeRebootAfterSuccess: bool | None = wire(
        "Whether it runs again, before the next task, when the node rebooted after a success.", default=True
    )


class JobReleaseTask(Spec):
    """Runs once on each node that ran the preparation task, when the job ends. Never retried by the service."""

    id: BatchId | None = wire("Its id; no task of the job may have the same.", default="jobrelease")
    commandLine: CommandLine = wire("What to run. No shell is added. Keep it idempotent.", required=True)
    containerSettings: TaskContainerSettings | None = wire(
        "The container it runs in. Only on a pool for containers, and not needed there."
    )
    resourceFiles: ResourceFiles = wire("Files to download first.")
    environmentSettings: list[EnvironmentSetting] | None = wire("Variables of the process.", keyed_by="name")
    userIdentity: UserIdentity | None = wire("The user it runs as.", default=AUTO_USER)
    maxWallClockTime: ReleaseTime | None = wire(
        "Longest run; at most 15 minutes.", default="PT15M", compare=Compare.DURATION
    )
    retentionTime: Duration | None = wire(
        "How long its directory is kept after it ended.", default="P7D", compare=Compare.DURATION
    )


class JobManagerTask(Spec):
    """A task that starts first and usually adds the others."""

    id: BatchId = wire("Its id.", required=True)
    displayName: DisplayName | None = wire("For people.", compare=Compare.LABEL)
    commandLine: CommandLine = wire("What to run. No shell is added.", required=True)
    containerSettings: TaskContainerSettings | None = wire(
        "The container it runs in; needed and allowed only on a pool for containers."
    )
    resourceFiles: ResourceFiles = wire("Files to download first.")
    outputFiles: list[OutputFile] | None = wire("Files to upload afterwards.")
    environmentSettings: list[EnvironmentSetting] | None = wire("Variables of the process.", keyed_by="name")
    constraints: TaskConstraints | None = wire("Its limits.", default={})
    requiredSlots: SlotCount | None = wire("Slots it takes on a node.", default=1)
    userIdentity: UserIdentity | None = wire("The user it runs as.", default=AUTO_USER)
    killJobOnCompletion: bool | None = wire("Whether its end ends the job.", default=True)
    runExclusive: bool | None = wire("Whether it has its node for itself.", default=True)
    allowLowPriorityNode: bool | None = wire("Whether it may run on a spot node.", default=True)
    applicationPackageReferences: list[ApplicationPackageReference] | None = wire("Packages to put on the node first.")

    unsupported: ClassVar[Mapping[str, str]] = {"authenticationTokenSettings": GONE}


class AutoPoolSpecification(Spec):
    """A pool that the service makes for the job, or for the jobs of a schedule, and removes afterwards."""

    autoPoolIdPrefix: PoolPrefix | None = wire("Begins the pool's id; at most 20 characters.", change=ChangeKind.FIXED)
    poolLifetimeOption: Literal["job", "jobschedule"] = wire(
        "One pool for each job, or one for all jobs of a schedule.",
        required=True,
        change=ChangeKind.FIXED,
        compare=Compare.FOLDED,
    )
    keepAlive: bool | None = wire(
        "Whether the pool outlives the job. The one thing that can be changed later, for a lifetime of `job`.",
        default=False,
        change=ChangeKind.WHEN_DISABLED,
    )
    pool: PoolSpecification | None = wire("The pool.", change=ChangeKind.FIXED, sealed=True)


class PoolInfo(OneOf):
    """Where the job runs."""

    one_of = ("poolId", "autoPoolSpecification")

    poolId: BatchId | None = wire("Id of the pool. It need not exist yet: tasks wait.", compare=Compare.FOLDED)
    autoPoolSpecification: AutoPoolSpecification | None = wire(
        "A pool made for the job by the service.", change=ChangeKind.FIXED
    )


class JobProperties(Spec):
    """What a job and the jobs of a schedule have in common."""

    displayName: DisplayName | None = wire(
        "For people; fixed at creation.", change=ChangeKind.NEXT_INCARNATION, compare=Compare.LABEL
    )
    priority: int | None = wire("Order of jobs in a pool.", default=0, change=ChangeKind.LIVE, ge=-1000, le=1000)
    maxParallelTasks: ParallelTasks | None = wire(
        "Tasks at once over the whole job; -1 without limit.", default=-1, change=ChangeKind.LIVE
    )
    allowTaskPreemption: bool | None = wire(
        "Whether jobs of higher priority may push its tasks aside.", default=False, change=ChangeKind.LIVE
    )
    constraints: JobConstraints | None = wire("Limits of the job.", default={}, change=ChangeKind.LIVE)
    poolInfo: PoolInfo = wire("Where it runs.", required=True, change=ChangeKind.WHEN_DISABLED)
    jobManagerTask: JobManagerTask | None = wire("A task that starts first.", change=ChangeKind.FIXED)
    jobPreparationTask: JobPreparationTask | None = wire(
        "Runs on each node before the job's first task there.", change=ChangeKind.FIXED
    )
    jobReleaseTask: JobReleaseTask | None = wire(
        "Runs on each prepared node when the job ends. Needs a preparation task.", change=ChangeKind.FIXED
    )
    commonEnvironmentSettings: list[EnvironmentSetting] | None = wire(
        "Variables of every process of the job.", change=ChangeKind.FIXED, keyed_by="name"
    )
    usesTaskDependencies: bool | None = wire(
        "Whether tasks may depend on others.", default=False, change=ChangeKind.FIXED
    )
    onAllTasksComplete: Literal["noaction", "terminatejob"] | None = wire(
        "What happens when every task has ended. `terminatejob` is set after all declared tasks are in; never back.",
        default="noaction",
        change=ChangeKind.ONE_WAY,
        compare=Compare.FOLDED,
    )
    onTaskFailure: Literal["noaction", "performexitoptionsjobaction"] | None = wire(
        "Whether a failed task acts on the job.", default="noaction", change=ChangeKind.FIXED, compare=Compare.FOLDED
    )
    networkConfiguration: JobNetworkConfiguration | None = wire(
        "A network that nodes join for the job's tasks.", change=ChangeKind.LIVE
    )
    metadata: list[MetadataItem] | None = wire("Names and values of your own.", change=ChangeKind.LIVE, keyed_by="name")


class JobSpec(JobProperties):
    """A job: a set of tasks on a pool, with what runs before the first and after the last on each node."""

    read_only = frozenset(
        {
            "creationTime",
            "eTag",
            "executionInfo",
            "lastModified",
            "previousState",
            "previousStateTransitionTime",
            "state",
            "stateTransitionTime",
            "stats",
            "url",
        }
    )

    @model_validator(mode="after")
    def _no_schedule_to_outlive(self) -> Self:
        auto = self.poolInfo.autoPoolSpecification
        if auto is not None and auto.poolLifetimeOption == "jobschedule":
            raise refusal("expected poolLifetimeOption: job, found jobschedule: the job has no schedule")
        return self
