"""Tasks, and what every kind of task shares. Sources: REST reference 8.6 and 8.9."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, model_validator

from reconciler.model.containers import TaskContainerSettings
from reconciler.model.field import SERVICE_CHOSEN, ChangeKind, Compare, Inherited, Spec, refusal, wire
from reconciler.model.files import OutputFile, ResourceFiles
from reconciler.model.packages import ApplicationPackageReference
from reconciler.model.settings import EnvironmentSetting
from reconciler.model.types import (
    BatchId,
    CommandLine,
    DisplayName,
    Duration,
    ExitCode,
    InstanceCount,
    Name,
    RetryCount,
    SlotCount,
    TaskNumber,
    once,
)
from reconciler.model.users import AUTO_USER, UserIdentity

GONE: Final = "gone from the REST API since 2025-06-01"
"""Of properties that older bodies have (certificates, resource tags, communication mode, task tokens)."""
DEPENDENCIES_LIMIT: Final = 64_000
"""Characters of a task's ids of dependencies together (REST reference 8.6; TaskDependencyListTooLong above)."""
NOT_YET = "not supported by this version"


def _short_enough(ids: Sequence[str] | None) -> Sequence[str] | None:
    length = sum(map(len, ids or ()))
    if length > DEPENDENCIES_LIMIT:
        raise refusal(f"expected at most {DEPENDENCIES_LIMIT:,} characters of ids, found {length:,}: use taskIdRanges")
    return ids


class PreparationConstraints(Spec):
    """Limits of a job preparation task. It does not inherit the job's retry count (recorded)."""

    maxWallClockTime: Duration | None = wire("Longest run of one attempt. None: no limit.", compare=Compare.DURATION)
    retentionTime: Duration | None = wire(
        "How long the task directory is kept, from the end of the job.", default="P7D", compare=Compare.DURATION
    )
    maxTaskRetryCount: RetryCount | None = wire("Retries after a failed attempt; -1 without limit.", default=0)


class TaskConstraints(Spec):
    """Limits of a task."""

    maxWallClockTime: Duration | None = wire("Longest run of one attempt. None: no limit.", compare=Compare.DURATION)
    retentionTime: Duration | None = wire(
        "How long the task directory is kept after the task ended.", default="P7D", compare=Compare.DURATION
    )
    maxTaskRetryCount: RetryCount | None = wire(
        "Retries after a failed attempt; -1 without limit. A task takes its job's value when it is added.",
        default=Inherited("constraints.maxTaskRetryCount"),
    )


class AffinityInfo(Spec):
    """A node to prefer. A hint only: the task goes elsewhere when the node is busy or gone."""

    affinityId: Name = wire("Affinity id of a node, or of a task that ran before.", required=True)


class MultiInstanceSettings(Spec):
    """Runs the task on several nodes at once. The pool needs inter-node communication."""

    numberOfInstances: InstanceCount | None = wire("Nodes it takes.", default=1)
    coordinationCommandLine: CommandLine = wire(
        "Runs on every node before the main command runs on one of them.", required=True
    )
    commonResourceFiles: ResourceFiles = wire("Files to download on every node, into the task's root directory.")


class TaskIdRange(Spec):
    """Tasks whose ids are whole numbers, plainly written (`9`, not `09`)."""

    start: TaskNumber = wire("The first.", required=True)
    end: TaskNumber = wire("The last; it counts as well.", required=True)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start > self.end:
            raise refusal(f"expected start of at most end ({self.end}), found {self.start}")
        return self


class TaskDependencies(Spec):
    """Tasks that must succeed first. The job needs `usesTaskDependencies`."""

    taskIds: Annotated[list[BatchId] | None, AfterValidator(_short_enough)] = wire(
        "Ids of tasks, at most 64,000 characters together.", compare=Compare.FOLDED
    )
    taskIdRanges: list[TaskIdRange] | None = wire("Ranges of numbered tasks.")


class ExitOptions(Spec):
    """What an end of the task means to its job and to the tasks that depend on it."""

    jobAction: Literal["none", "disable", "terminate"] | None = wire(
        "What happens to the job, when its `onTaskFailure` asks for it. None given: `none` after exit code 0, else "
        "`terminate`.",
        default=SERVICE_CHOSEN,
        compare=Compare.FOLDED,
    )
    dependencyAction: Literal["satisfy", "block"] | None = wire(
        "Whether tasks that depend on it may start. None given: `satisfy` after exit code 0, else `block`.",
        default=SERVICE_CHOSEN,
        compare=Compare.FOLDED,
    )


class ExitCodeMapping(Spec):
    """What one exit code means."""

    code: ExitCode = wire("The exit code.", required=True)
    exitOptions: ExitOptions = wire("What it means.", required=True)


class ExitCodeRangeMapping(Spec):
    """What a range of exit codes means."""

    start: ExitCode = wire("The first exit code.", required=True)
    end: ExitCode = wire("The last one; it counts as well.", required=True)
    exitOptions: ExitOptions = wire("What they mean.", required=True)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start > self.end:
            raise refusal(f"expected start of at most end ({self.end}), found {self.start}")
        return self


class ExitConditions(Spec):
    """What the ways to end mean. An exit code counts before an upload error, and that before the rest."""

    exitCodes: Annotated[list[ExitCodeMapping] | None, once("code")] = wire("Single exit codes.", keyed_by="code")
    exitCodeRanges: list[ExitCodeRangeMapping] | None = wire("Ranges of exit codes.")
    preProcessingError: ExitOptions | None = wire("The task could not be started.")
    fileUploadError: ExitOptions | None = wire("Output files could not be uploaded.")
    default: ExitOptions | None = wire("Everything else but exit code 0.")


class TaskSpec(Spec):
    """A task of a job. After creation only its constraints can change."""

    id: BatchId = wire(
        "Unique in the job, whatever the letter case.", required=True, change=ChangeKind.FIXED, compare=Compare.FOLDED
    )
    displayName: DisplayName | None = wire(
        "For people; need not be unique.", change=ChangeKind.NEXT_INCARNATION, compare=Compare.LABEL
    )
    commandLine: CommandLine = wire(
        "What to run. No shell is added: start one for pipes, variables or redirection (/bin/sh -c '...').",
        required=True,
        change=ChangeKind.FIXED,
    )
    containerSettings: TaskContainerSettings | None = wire(
        "The container it runs in; needed and allowed only on a pool for containers.", change=ChangeKind.FIXED
    )
    resourceFiles: ResourceFiles = wire("Files to download first.", change=ChangeKind.FIXED)
    outputFiles: list[OutputFile] | None = wire("Files to upload afterwards.", change=ChangeKind.FIXED)
    environmentSettings: list[EnvironmentSetting] | None = wire(
        "Variables of the process; they win over the job's.", change=ChangeKind.FIXED, keyed_by="name"
    )
    affinityInfo: AffinityInfo | None = wire("A node to prefer.", change=ChangeKind.FIXED)
    constraints: TaskConstraints | None = wire("Limits of the task.", default={}, change=ChangeKind.LIVE)
    requiredSlots: SlotCount | None = wire("Slots it takes on a node.", default=1, change=ChangeKind.FIXED)
    userIdentity: UserIdentity | None = wire("The user it runs as.", default=AUTO_USER, change=ChangeKind.FIXED)
    multiInstanceSettings: MultiInstanceSettings | None = wire("Runs it on several nodes.", change=ChangeKind.FIXED)
    dependsOn: TaskDependencies | None = wire("Tasks that must succeed first.", change=ChangeKind.FIXED)
    exitConditions: ExitConditions | None = wire("What its ways to end mean.", change=ChangeKind.FIXED)
    applicationPackageReferences: list[ApplicationPackageReference] | None = wire(
        "Packages to put on the node first.", change=ChangeKind.FIXED
    )

    unsupported: ClassVar[Mapping[str, str]] = {"authenticationTokenSettings": GONE}
    read_only = frozenset(
        {
            "creationTime",
            "eTag",
            "executionInfo",
            "lastModified",
            "nodeInfo",
            "previousState",
            "previousStateTransitionTime",
            "state",
            "stateTransitionTime",
            "stats",
            "url",
        }
    )

    @model_validator(mode="after")
    def _one_slot_on_each_node(self) -> Self:
        if self.multiInstanceSettings is not None and self.requiredSlots not in (None, 1):
            raise refusal(f"expected requiredSlots: 1 beside multiInstanceSettings, found {self.requiredSlots}")
        return self
