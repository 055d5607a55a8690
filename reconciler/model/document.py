"""The documents a manifest file may hold: Pool, Job, JobSchedule, Stack."""

from typing import ClassVar, Literal

from pydantic import Field

from reconciler.model.field import Spec
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.task import NOT_YET, TaskSpec
from reconciler.model.types import BatchId

API_VERSION = "reconciler/v1"


class Metadata(Spec):
    """Who the object is."""

    name: BatchId = Field(description="The Batch id. Unique in the account, whatever the letter case.")
    annotations: dict[str, str] | None = Field(default=None, description="Notes for people and tools; never sent.")


class Lifecycle(Spec):
    """Policy of the reconciler; never sent to the service."""

    preventDestroy: bool = Field(default=False, description="Never delete or replace it; say so instead.")

    unsupported: ClassVar[dict[str, str]] = dict.fromkeys(("deletionPolicy", "ignoreChanges"), NOT_YET)


class PoolLifecycle(Lifecycle):
    """Policy for a pool."""

    rollout: Literal["WaitUntilEmpty", "ScaleToZero", "Replace"] = Field(
        default="WaitUntilEmpty",
        description="How a field is changed that can change only while the pool has no nodes. `WaitUntilEmpty`: not "
        "before it has none; `ScaleToZero`: take its nodes away, change it, bring them back; `Replace`: delete the "
        "pool and create it anew.",
    )
    nodeRollout: Literal["None", "RebootIdle", "ReimageIdle"] = Field(
        default="None",
        description="How a changed start task or application package reaches nodes that are there already. `None`: "
        "when they next restart; `RebootIdle` and `ReimageIdle`: each is taken off scheduling, emptied and restarted "
        "or reimaged, a fifth of the nodes at a time.",
    )


class JobLifecycle(Lifecycle):
    """Policy for a job."""

    state: Literal["Active", "Completed"] = Field(
        default="Active",
        description="`Completed`: terminate it, let its release tasks run, and keep it to be looked at.",
    )
    replace: Literal["Auto", "Never"] = Field(
        default="Auto", description="Whether a change of a fixed field may end the job and create it anew."
    )
    onReleaseFailure: Literal["Hold", "Delete"] = Field(
        default="Hold",
        description="Whether a completed job whose release task failed is kept: the evidence is on the nodes.",
    )

    unsupported: ClassVar[dict[str, str]] = Lifecycle.unsupported | dict.fromkeys(
        ("captureLogs", "runPolicy", "tasks", "ttlAfterCompletion"), NOT_YET
    )


class History(Spec):
    """How many ended jobs of a schedule are kept; older ones are deleted, with their receipts written down."""

    success: int = Field(default=3, ge=0, description="Jobs that ended without a failed task.")
    failure: int = Field(default=1, ge=0, description="Jobs that ended with a failed task.")


class ScheduleLifecycle(Lifecycle):
    """Policy for a job schedule and the jobs it makes."""

    state: Literal["Active", "Disabled", "Completed"] = Field(
        default="Active",
        description="`Disabled`: make no new jobs; one that runs goes on. `Completed`: end the schedule and its job, "
        "let release tasks run, and keep both to be looked at.",
    )
    replace: Literal["Auto", "Never"] = Field(
        default="Auto", description="Whether a completed schedule may be removed and created anew for new runs."
    )
    onReleaseFailure: Literal["Hold", "Delete"] = Field(
        default="Hold", description="Whether its completed jobs whose release task failed are kept."
    )
    history: History = Field(default_factory=History, description=History.__doc__)


class PoolManifest(Spec):
    """A pool."""

    apiVersion: Literal["reconciler/v1"] = Field(description="Version of the manifest format.")
    kind: Literal["Pool"]
    metadata: Metadata
    spec: PoolSpec
    lifecycle: PoolLifecycle = Field(default_factory=PoolLifecycle, description=PoolLifecycle.__doc__)


class JobManifest(Spec):
    """A job and its tasks."""

    apiVersion: Literal["reconciler/v1"] = Field(description="Version of the manifest format.")
    kind: Literal["Job"]
    metadata: Metadata
    spec: JobSpec
    tasks: list[TaskSpec] = Field(
        default_factory=list, description="The tasks, by id. Tasks of other ids are left alone."
    )
    lifecycle: JobLifecycle = Field(default_factory=JobLifecycle, description=JobLifecycle.__doc__)

    unsupported: ClassVar[dict[str, str]] = dict.fromkeys(("mergeTask", "taskGroups"), NOT_YET)


class JobScheduleManifest(Spec):
    """A job schedule."""

    apiVersion: Literal["reconciler/v1"] = Field(description="Version of the manifest format.")
    kind: Literal["JobSchedule"]
    metadata: Metadata
    spec: JobScheduleSpec
    lifecycle: ScheduleLifecycle = Field(default_factory=ScheduleLifecycle, description=ScheduleLifecycle.__doc__)


class Account(Spec):
    """The Batch account this stack belongs to."""

    endpoint: str = Field(description="URL of the account, https://NAME.REGION.batch.azure.com.")
    name: str | None = Field(default=None, description="Name of the account; needed with a shared key.")


class Limits(Spec):
    """How much one apply may take away without being asked."""

    deletes: int | None = Field(default=None, ge=0, description="Objects one apply may remove without --allow-deletes.")


class Variable(Spec):
    """A variable of the manifests, written ${var.NAME}."""

    default: str | None = Field(default=None, description="Its value when none is given; without it one must be given.")
    description: str | None = Field(default=None, description="What it is for.")


class StackSpec(Spec):
    """What the objects of a folder have in common."""

    account: Account | None = Field(default=None, description="The account to talk to.")
    variables: dict[str, Variable] = Field(default_factory=dict, description="Variables that the manifests may use.")
    limits: Limits = Field(default_factory=Limits, description=Limits.__doc__)

    unsupported: ClassVar[dict[str, str]] = dict.fromkeys(("defaults", "digestKey", "guards", "store"), NOT_YET)


class StackManifest(Spec):
    """The ownership set: every object of the folder carries its name in a mark. At most one to a folder."""

    apiVersion: Literal["reconciler/v1"] = Field(description="Version of the manifest format.")
    kind: Literal["Stack"]
    metadata: Metadata
    spec: StackSpec = Field(default_factory=StackSpec, description=StackSpec.__doc__)


MANIFESTS: dict[str, type[Spec]] = {
    "Pool": PoolManifest,
    "Job": JobManifest,
    "JobSchedule": JobScheduleManifest,
    "Stack": StackManifest,
}
