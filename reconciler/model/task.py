"""Tasks, and the parts that every kind of task shares."""

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from reconciler.model.field import ChangeKind, Compare, Inherited, Spec, wire
from reconciler.model.types import (
    BatchId,
    CommandLine,
    DisplayName,
    Duration,
    FileMode,
    RelativePath,
    RetryCount,
    SlotCount,
)

NOT_YET = "not supported by this version"

AUTO_USER: dict[str, Any] = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}
"""What the service takes when a task names no user (recorded for every kind of task)."""


class EnvironmentSetting(Spec):
    """A variable in the environment of a task's process."""

    name: str = wire("Name of the variable.", required=True, min_length=1)
    value: str | None = wire("Its value. The service returns it in clear to everyone who may read the account.")


class MetadataItem(Spec):
    """A name and a value that the service keeps with the object and does not read."""

    name: str = wire(
        "Name of the item. `reconciler` is taken: it holds the ownership mark.", required=True, min_length=1
    )
    value: str = wire("Its value.", required=True)

    @model_validator(mode="after")
    def _mark_is_ours(self) -> Self:
        if self.name.lower() == "reconciler":
            raise PydanticCustomError("expected", "expected another name: 'reconciler' holds the ownership mark")
        return self


class ResourceFile(Spec):
    """A file, or the blobs of a container, put into the working directory before the command starts."""

    httpUrl: str | None = wire("URL of one file, http or https. Needs `filePath`.")
    storageContainerUrl: str | None = wire("URL of a blob container; all its blobs are downloaded.")
    autoStorageContainerName: str | None = wire("A container of the account's own storage account.")
    blobPrefix: str | None = wire("Only blobs whose names begin so. Not with `httpUrl`.")
    filePath: RelativePath | None = wire("Where to put it, relative to the working directory.")
    fileMode: FileMode | None = wire("Octal file mode on Linux nodes.", default="0770")

    unsupported: ClassVar[dict[str, str]] = {"identityReference": NOT_YET}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [n for n in ("httpUrl", "storageContainerUrl", "autoStorageContainerName") if getattr(self, n)]
        if len(given) != 1:
            raise PydanticCustomError(
                "expected",
                "expected exactly one of httpUrl, storageContainerUrl, autoStorageContainerName, found {found}",
                {"found": ", ".join(given) or "none"},
            )
        if self.httpUrl and not self.filePath:
            raise PydanticCustomError("expected", "expected filePath beside httpUrl, found none")
        if self.httpUrl and self.blobPrefix:
            raise PydanticCustomError(
                "expected", "expected no blobPrefix beside httpUrl: it selects blobs of a container"
            )
        return self


class AutoUser(Spec):
    """A user that the service makes on the node."""

    scope: Literal["pool", "task"] | None = wire("One user for the pool, or one for each task.", default="pool")
    elevationLevel: Literal["nonadmin", "admin"] | None = wire(
        "Whether it may administer the node.", default="nonadmin"
    )


class UserIdentity(Spec):
    """The user a command runs as: a named one of the pool, or an automatic one."""

    username: str | None = wire("Name of a user account of the pool.")
    autoUser: AutoUser | None = wire("An automatic user.")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.username is None) == (self.autoUser is None):
            raise PydanticCustomError("expected", "expected exactly one of username and autoUser")
        return self


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


class TaskSpec(Spec):
    """A task of a job. After creation only its constraints can change."""

    id: BatchId = wire(
        "Unique in the job, whatever the letter case.", required=True, change=ChangeKind.FIXED, compare=Compare.FOLDED
    )
    displayName: DisplayName | None = wire("For people; need not be unique.", change=ChangeKind.NEXT_INCARNATION)
    commandLine: CommandLine = wire(
        "What to run. No shell is added: start one for pipes, variables or redirection (/bin/sh -c '...').",
        required=True,
        change=ChangeKind.FIXED,
    )
    resourceFiles: list[ResourceFile] | None = wire("Files to download first.", change=ChangeKind.FIXED)
    environmentSettings: list[EnvironmentSetting] | None = wire(
        "Variables of the process; they win over the job's.", change=ChangeKind.FIXED, keyed_by="name"
    )
    constraints: TaskConstraints | None = wire("Limits of the task.", default={}, change=ChangeKind.LIVE)
    requiredSlots: SlotCount | None = wire("Slots it takes on a node.", default=1, change=ChangeKind.FIXED)
    userIdentity: UserIdentity | None = wire("The user it runs as.", default=AUTO_USER, change=ChangeKind.FIXED)

    unsupported: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "affinityInfo",
            "applicationPackageReferences",
            "containerSettings",
            "dependsOn",
            "exitConditions",
            "multiInstanceSettings",
            "outputFiles",
        ),
        NOT_YET,
    )
    read_only: ClassVar[frozenset[str]] = frozenset(
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
