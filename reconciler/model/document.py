"""The documents a manifest file may hold: Pool, Job, JobSchedule, Stack."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from reconciler.model.field import Spec
from reconciler.model.job import JobSpec
from reconciler.model.location import problem_of
from reconciler.model.paths import path_in
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.task import TaskSpec
from reconciler.model.types import BatchId, Cron, Duration, TimeZone, WindowLength

API_VERSION = "reconciler/v1"


class Metadata(Spec):
    """Who the object is."""

    name: BatchId = Field(description="The Batch id. Unique in the account, whatever the letter case.")
    annotations: dict[str, str] | None = Field(
        default=None,
        description="Notes for people and tools; never sent. Those that begin with `reconciler/` consent to what a "
        'guard stops, until a time: `reconciler/allow-task-loss: "job/nightly until 2030-01-31T18:00:00Z"`. They have '
        "the names of the flags: `allow-deletes`, `allow-new-run`, `allow-release-failure`, `allow-release-loss`, "
        "`allow-task-loss`, `replace`. On the Stack they name objects, divided by commas; on an object they are about "
        "it. `allow-deletes` (Stack only) has a number, and `replace` the creation time behind the address "
        "(`job/nightly@2030-01-30T06:00:00Z`).",
    )


class Lifecycle(Spec):
    """Policy of the reconciler; never sent to the service."""

    preventDestroy: bool = Field(default=False, description="Never delete or replace it; say so instead.")
    deletionPolicy: Literal["Delete", "Orphan"] = Field(
        default="Delete",
        description="What happens when its manifest goes. `Orphan`: take our mark off and leave the object.",
    )
    ignoreChanges: list[str] = Field(
        default_factory=list,
        description="Paths such as `spec.priority` whose live value is kept, whatever the manifest says. They count "
        "when the object is created.",
    )


class PoolLifecycle(Lifecycle):
    """Policy for a pool."""

    ignoreChanges: list[Annotated[str, AfterValidator(path_in(PoolSpec))]] = Field(
        default_factory=list, description=Lifecycle.model_fields["ignoreChanges"].description
    )
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


class TimeToLive(Spec):
    """How long a completed job is kept. It is then removed, its receipt written down, and does not run again."""

    success: Duration | None = Field(default=None, description="After a run without any failure. None: for good.")
    failure: Duration | None = Field(
        default=None,
        description="After a run with a failed task, a failed release, or tasks that never ran. None: for good.",
    )


CaptureLogs: TypeAlias = Literal["Never", "OnFailure", "Always"]


class JobLifecycle(Lifecycle):
    """Policy for a job."""

    ignoreChanges: list[Annotated[str, AfterValidator(path_in(JobSpec))]] = Field(
        default_factory=list, description=Lifecycle.model_fields["ignoreChanges"].description
    )
    state: Literal["Active", "Disabled", "Completed"] = Field(
        default="Active",
        description="`Disabled`: running tasks finish, no further ones start. `Completed`: terminate it, let its "
        "release tasks run, and keep it to be looked at.",
    )
    replace: Literal["Auto", "WhenIdle", "Never"] = Field(
        default="Auto",
        description="Whether a change of a fixed field may end the job and create it anew; `WhenIdle`: once none of "
        "its tasks runs.",
    )
    tasks: Literal["AddOnly", "Replace", "Exact", "ReactivateFailed"] = Field(
        default="AddOnly",
        description="What a change of the declared tasks may do besides adding the missing ones. `Replace`: tasks "
        "that differ are deleted and added anew. `Exact`: so are they, and tasks that are not declared are deleted. "
        "`ReactivateFailed`: failed tasks run again, once for each change of the manifest.",
    )
    runPolicy: Literal["OnChange", "Once", "Always"] = Field(
        default="OnChange",
        description="When a job that ran to its end runs again: after a change of a fixed field, never, or whenever "
        "it was removed after its time to live.",
    )
    ttlAfterCompletion: TimeToLive | None = Field(default=None, description=TimeToLive.__doc__)
    onReleaseFailure: Literal["Hold", "Delete"] = Field(
        default="Hold",
        description="Whether a completed job whose release task failed is kept: the evidence is on the nodes.",
    )
    captureLogs: CaptureLogs = Field(
        default="OnFailure",
        description="Whose stdout.txt and stderr.txt are fetched before the job is deleted, or held for its failed "
        "release. `OnFailure`: of release, preparation and tasks that failed; `Always`: of release and preparation on "
        "every node, and of tasks that failed. At most 1 MiB of a file is kept (its first 256 KiB, its last 768 KiB).",
    )


class History(Spec):
    """How many ended jobs of a schedule are kept; older ones are deleted, with their receipts written down."""

    success: int = Field(default=3, ge=0, description="Jobs that ended without a failed task.")
    failure: int = Field(default=1, ge=0, description="Jobs that ended with a failed task.")


class ScheduleLifecycle(Lifecycle):
    """Policy for a job schedule and the jobs it makes."""

    ignoreChanges: list[Annotated[str, AfterValidator(path_in(JobScheduleSpec))]] = Field(
        default_factory=list, description=Lifecycle.model_fields["ignoreChanges"].description
    )
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
    captureLogs: CaptureLogs = Field(
        default="OnFailure",
        description="Whose output is fetched before one of its jobs is deleted, or held; as for a job.",
    )
    history: History = Field(default_factory=History, description=History.__doc__)


class PoolManifest(Spec):
    """A pool."""

    apiVersion: Literal["reconciler/v1"] = Field(description="Version of the manifest format.")
    kind: Literal["Pool"]
    metadata: Metadata
    spec: PoolSpec
    lifecycle: PoolLifecycle = Field(default_factory=PoolLifecycle, description=PoolLifecycle.__doc__)


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise PydanticCustomError("expected", "expected a text, a number, true or false")
    return value


Scalar = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]


class Range(Spec):
    """Whole numbers from *first* to *last*, both included."""

    first: int = Field(default=1, description="The first number.")
    last: int = Field(description="The last number; it is included when a step meets it.")
    step: int = Field(default=1, ge=1, description="From one number to the next.")
    width: int = Field(default=1, ge=1, le=20, description="Digits at least; shorter numbers begin with zeros.")

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.last < self.first:
            raise PydanticCustomError("expected", f"expected a last number that is not below the first ({self.first})")
        return self


class Parameter(Spec):
    """What a parameter of a task group runs over: exactly one of these."""

    values: list[Scalar] | None = Field(default=None, min_length=1, description="The values themselves: ${item.NAME}.")
    range: Range | None = Field(default=None, description="Whole numbers: ${item.NAME}.")
    files: str | None = Field(
        default=None,
        min_length=1,
        description="A pattern (*, ?, [a-z], ** for any folders) for files below the folder of the manifest, sorted by "
        "path: ${item.NAME} is the path from there, ${item.NAME.name} the last part of it, ${item.NAME.stem} that "
        "without its suffix.",
    )
    csv: str | None = Field(
        default=None,
        min_length=1,
        description="A CSV file below the folder of the manifest, in UTF-8, whose first row names the columns: "
        "${item.NAME.COLUMN}.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in ("values", "range", "files", "csv") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise PydanticCustomError(
                "expected", f"expected exactly one of values, range, files and csv, found {found}"
            )
        return self


class TaskGroup(Spec):
    """Tasks from one template: one for each combination of the parameters' values, the last parameter changing
    fastest.

    In the template `${item.NAME}` stands for the value of the parameter NAME, and `${item.NAME.id}` for the same
    with each character that an id cannot hold replaced by '-'. A reference alone and without quotes keeps the value's
    type (a number stays a number); `$${` is a literal `${`. The ids must come out different for each task.
    """

    name: BatchId = Field(description="Name of the group, for messages and overlays; never sent.")
    parameters: dict[str, Parameter] = Field(min_length=1, description="The parameters by name.")
    template: TaskSpec = Field(description="A task with ${item.NAME} in its id, and wherever else tasks differ.")


class MergeTask(TaskSpec):
    """A task that runs after all other declared tasks of the job.

    Its `dependsOn` is written for you: ranges where ids are plain numbers (7, not 007), else ids, which may have
    64,000 characters together. The job needs `usesTaskDependencies: true`.
    """


class JobManifest(Spec):
    """A job and its tasks."""

    apiVersion: Literal["reconciler/v1"] = Field(description="Version of the manifest format.")
    kind: Literal["Job"]
    metadata: Metadata
    spec: JobSpec
    tasks: list[TaskSpec] = Field(
        default_factory=list, description="The tasks, by id. Tasks of other ids are left alone."
    )
    taskGroups: list[TaskGroup] = Field(default_factory=list, description="Tasks that are made from templates.")
    mergeTask: MergeTask | None = Field(
        default=None, description="A task that runs after all other declared tasks; it depends on them by itself."
    )
    lifecycle: JobLifecycle = Field(default_factory=JobLifecycle, description=JobLifecycle.__doc__)


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
    key: str | None = Field(
        default=None,
        min_length=1,
        description="The account's shared key, by secretRef. Without it AZURE_BATCH_ACCESS_KEY is taken, and without "
        "that a token. Stacks in one folder with accounts of their own need one each.",
        json_schema_extra={"x-secret": True},
    )


class Limits(Spec):
    """How much one apply may take away without being asked, and the quotas that the manifests have to fit into."""

    deletes: int | None = Field(default=None, ge=0, description="Objects one apply may remove without --allow-deletes.")
    cores: int | None = Field(default=None, ge=0, description="Quota of the account: cores of dedicated nodes.")
    lowPriorityCores: int | None = Field(default=None, ge=0, description="Quota of the account: cores of spot nodes.")
    pools: int | None = Field(default=None, ge=0, description="Quota of the account: pools.")
    activeJobsAndSchedules: int | None = Field(
        default=None, ge=0, description="Quota of the account: active jobs and job schedules."
    )


class DeletionGuard(Spec):
    """How much of a stack one apply may remove without consent. Objects whose time to live is over, and jobs that go
    with their schedule, do not count."""

    share: int = Field(default=30, ge=0, le=100, description="It stops above this share of the stack, in percent,")
    count: int = Field(default=10, ge=1, description="if that is at least this many objects.")


class Guards(Spec):
    """What apply does not do without consent. Every stop names the flag that consents, and the annotation that does so
    from a commit. A number in `limits.deletes` takes the place of `deletes`."""

    deletes: DeletionGuard = Field(default_factory=DeletionGuard, description=DeletionGuard.__doc__)
    emptySource: Literal["Ask", "Allow"] = Field(
        default="Ask",
        description="When the manifests hold no object at all, and the stack has some. `Allow`: they go like any "
        "others; `deletes` counts them.",
    )
    taskLoss: Literal["Ask", "Allow"] = Field(
        default="Ask", description="When tasks that run would be cut off for a change of their job or pool."
    )

    unsupported: ClassVar[dict[str, str]] = {
        "releaseLoss": "no setting: nodes that owe a release are given up only by the name of the job "
        "(--allow-release-loss)",
        "releaseFailure": "no setting of the Stack: write lifecycle.onReleaseFailure: Delete in the job",
        "preventDestroy": "no setting of the Stack: it is a line of an object's lifecycle",
        "foreignOwner": "no setting: what is not ours is never touched (reconciler adopt)",
        "partialListing": "no setting: what could not be listed is not known",
    }


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise PydanticCustomError(
            "expected", "expected a regular expression, found {why}", {"why": str(error)}
        ) from None
    return text


class Variable(Spec):
    """A variable of the manifests, written ${var.NAME}."""

    default: str | None = Field(default=None, description="Its value when none is given; without it one must be given.")
    description: str | None = Field(default=None, description="What it is for.")
    required: bool = Field(default=False, description="Whether it must have a value even where nothing uses it.")
    type: Literal["string", "integer", "number", "boolean"] = Field(
        default="string", description="What its value must read as; a boolean is true or false."
    )
    enum: list[str] | None = Field(default=None, min_length=1, description="The values it may have.")
    pattern: Annotated[str, AfterValidator(_expression)] | None = Field(
        default=None, description="A regular expression (Python's) that its whole value must match."
    )


class Defaults(Spec):
    """What the spec of each object of a kind has where its own lines say nothing.

    An object is laid over the defaults as a document of an overlay over its base: mappings, and lists by key, merge;
    other lists and values replace; null takes a default away.
    """

    Pool: dict[str, Any] = Field(default_factory=dict, description="Lines of a pool's spec.")
    Job: dict[str, Any] = Field(default_factory=dict, description="Lines of a job's spec.")
    JobSchedule: dict[str, Any] = Field(default_factory=dict, description="Lines of a job schedule's spec.")


class ChangeWindow(Spec):
    """A time that comes again, in which the controller may begin to change the stack."""

    cron: Cron = Field(description="When it opens: a cron expression of five fields, as `0 22 * * 1-5`.")
    duration: WindowLength = Field(description="For how long it is open.")
    timeZone: TimeZone = Field(default="UTC", description="The time zone of the cron expression, by its IANA name.")


class Retention(Spec):
    """How much is kept of what has ended. What is beyond it goes, oldest first, when a run has written more; never what
    belongs to a job that is still there."""

    days: int = Field(default=365, ge=1, description="Days for which receipts, and the logs with them, are kept.")
    receipts: int = Field(default=10_000, ge=1, description="Receipts that are kept.")
    logsMegabytes: int = Field(default=1024, ge=1, description="MiB of captured logs; their receipts stay.")
    journalMegabytes: int = Field(default=64, ge=1, description="MiB of the journal.")


def _location(text: str) -> str:
    if problem := problem_of(text):
        raise PydanticCustomError("expected", "{why}", {"why": problem})
    return text


class Store(Spec):
    """Where the state of the stack is kept: ledger, receipts, logs, journal and lock."""

    location: Annotated[str, AfterValidator(_location)] | None = Field(
        default=None,
        description="`https://ACCOUNT.blob.core.windows.net/CONTAINER`, with or without a folder in it, which serves "
        "many machines; or a folder, relative to this file, for the processes of one machine. Without it: a folder of "
        "the user's. `--store` wins over it.",
    )
    retention: Retention = Field(default_factory=Retention, description=Retention.__doc__)


class StackSpec(Spec):
    """What the objects of a folder have in common."""

    bases: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Folders or files, relative to this one, over which the documents of this folder are laid: a "
        "document of the same kind and name merges (mappings, and lists by key; other lists replace; null takes a line "
        "away; `$patch: delete` takes a document or an item of such a list away), a Stack over the base's Stack, "
        "others are added.",
    )
    account: Account | None = Field(default=None, description="The account to talk to.")
    variables: dict[str, Variable] = Field(default_factory=dict, description="Variables that the manifests may use.")
    defaults: Defaults = Field(default_factory=Defaults, description="What objects of a kind have in common.")
    limits: Limits = Field(default_factory=Limits, description=Limits.__doc__)
    guards: Guards = Field(default_factory=Guards, description=Guards.__doc__)
    changeWindows: list[ChangeWindow] = Field(
        default_factory=list,
        description="When the controller may begin to change the stack; without any it always may. What was begun in a "
        "window is brought to its end. `apply` is a person's decision and asks for no window.",
    )
    digestKey: Annotated[str, Field(min_length=16)] | None = Field(
        default=None,
        description="A secret of 16 characters or more, by secretRef, under which digests of passwords and keys are "
        "taken, so that a change of them shows. Without it the account's key serves, and with no key none shows.",
        json_schema_extra={"x-secret": True},
    )

    store: Store = Field(default_factory=Store, description=Store.__doc__)
    undeclaredPools: Literal["Allow", "Refuse"] = Field(
        default="Allow",
        description="What to think of a job on a pool that no manifest of the stack declares. `Allow`: it is somebody "
        "else's, and `validate` mentions it; `Refuse`: a mistake.",
    )


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
