"""What the emulator remembers: pools, usage, nodes, jobs, tasks, a job's attendance at a node, and runs of commands.

Plain data that turns into JSON and back; `world` holds them, `store` keeps them, the other modules change them.
Times are ticks. Keys are ids folded to lower case, because ids are unique without regard to case (M).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

Json = dict[str, Any]


def fold(identifier: str) -> str:
    return identifier.lower()


@dataclass(slots=True)
class Execution:
    """One command of the service's on a node, with its retries: the most recent start, and the end if over."""

    start: int
    """0 if it never started."""
    state: str = "running"
    end: int | None = None
    exit_code: int | None = None
    failure: Json | None = None
    retry_count: int = 0
    last_retry: int | None = None
    result: str | None = None
    run: str | None = None
    """The run now in progress; None once ended, or while waiting for a retry or for the node to come back."""
    earlier: int = 0
    """Ticks that earlier tries of a task took."""
    upload_failed: bool = False
    """An output file of the task could not be uploaded."""
    not_started: bool = False
    """The command could not be started: a pre-processing error."""

    @property
    def succeeded(self) -> bool:
        return self.result == "success"


@dataclass(slots=True)
class Pool:
    table: ClassVar[str] = "pools"
    id: str
    spec: Json
    created: int
    modified: int
    state_time: int
    allocation_time: int
    state: str = "active"
    allocation_state: str = "resizing"
    target_dedicated: int = 0
    target_low_priority: int = 0
    resize_timeout: str = "PT15M"
    resize_started: int = 0
    deallocation: str = "requeue"
    removing: list[str] = field(default_factory=list)
    """Keys of the nodes a removenodes request named, until they are gone."""
    resize_errors: list[Json] = field(default_factory=list)
    nodes_made: int = 0
    autoscale_run: Json | None = None
    """The last evaluation of its formula, as GET shows it."""
    autoscale_next: int = 0
    """When the formula is next evaluated by itself."""
    autoscale_enabled: int = 0
    """When autoscale was last enabled by request."""
    sampled: int = 0
    """When the last sample for formulas was taken."""

    @property
    def key(self) -> str:
        return fold(self.id)


@dataclass(slots=True)
class Sample:
    """What formulas can read of a pool, at one moment; *number* is the time, *values* are in the order of METRICS."""

    table: ClassVar[str] = "samples"
    pool: str
    number: int
    values: list[float | None]
    """None for what could not be measured."""

    @property
    def key(self) -> str:
        return f"{self.pool}/{self.number}"


@dataclass(slots=True)
class Usage:
    """What the nodes of a pool have used within one interval; *begin* is when it begins."""

    table: ClassVar[str] = "usages"
    pool: str
    pool_id: str
    vm_size: str
    begin: int
    node_ticks: int = 0

    @property
    def key(self) -> str:
        return f"{self.begin:020d}/{self.pool}/{self.vm_size}"

    @property
    def number(self) -> int:
        """Older ones first."""
        return self.begin


@dataclass(slots=True)
class Node:
    table: ClassVar[str] = "nodes"
    id: str
    pool: str
    dedicated: bool
    allocated: int
    state_time: int
    number: int
    state: str = "creating"
    scheduling: str = "enabled"
    booted: int | None = None
    boots: int = 0
    packages: list[Json] = field(default_factory=list)
    """Application packages of the pool when the node was booted."""
    installing: str | None = None
    """The run that puts them there, while it goes on."""
    errors: list[Json] = field(default_factory=list)
    start_task: Json | None = None
    start: Execution | None = None
    intent: str | None = None
    """What waits for the node's tasks to end: reboot, reimage, deallocate or leave."""
    awaits_retention: bool = False
    """The intent waits for the retention time of the tasks' directories, too."""
    returns: int | None = None
    """When a node that something befell starts again; None: never."""
    counted_from: int | None = None
    """Since when the node has been there to be paid for; None while it is not."""
    tasks_run: int = 0
    tasks_succeeded: int = 0
    recent: list[list[str]] = field(default_factory=list)
    users: Json = field(default_factory=dict)
    """Accounts made on the node by folded name: name, isAdmin, when they expire."""

    @property
    def key(self) -> str:
        return f"{self.pool}/{fold(self.id)}"


@dataclass(slots=True)
class Job:
    table: ClassVar[str] = "jobs"
    id: str
    spec: Json
    created: int
    modified: int
    state_time: int
    started: int
    state: str = "active"
    previous_state: str | None = None
    previous_time: int | None = None
    ended: int | None = None
    terminate_reason: str | None = None
    forced: bool = False
    tasks_made: int = 0
    satisfied: list[str] = field(default_factory=list)
    """Ids of deleted tasks on whose success others still rely."""
    schedule: str | None = None
    """Key of the schedule that made it."""
    pool: str | None = None
    """Id of the automatic pool it runs on."""
    scheduling_error: Json | None = None

    @property
    def key(self) -> str:
        return fold(self.id)

    @property
    def pool_id(self) -> str:
        """Of the pool it runs on, automatic or not; empty if an automatic one could not be made."""
        return self.pool or self.spec["poolInfo"].get("poolId", "")


@dataclass(slots=True)
class Schedule:
    table: ClassVar[str] = "schedules"
    id: str
    spec: Json
    created: int
    modified: int
    state_time: int
    state: str = "active"
    previous_state: str | None = None
    previous_time: int | None = None
    ended: int | None = None
    planned: int | None = None
    """The occasion for which the latest job was made."""
    next_run: int | None = None
    """The occasion that is open or comes next."""
    recent: str | None = None
    """Id of the latest job."""
    jobs_made: int = 0
    pool: str | None = None
    """Id of the automatic pool its jobs share."""

    @property
    def key(self) -> str:
        return fold(self.id)


@dataclass(slots=True)
class Subtask:
    """A multi-instance task's part on one node: the coordination command. The first one is that of the primary."""

    node: str
    pool_id: str
    node_id: str
    state_time: int
    execution: Execution
    state: str = "preparing"
    previous_state: str | None = None
    previous_time: int | None = None


@dataclass(slots=True)
class Task:
    table: ClassVar[str] = "tasks"
    id: str
    job: str
    number: int
    spec: Json
    created: int
    modified: int
    state_time: int
    state: str = "active"
    previous_state: str | None = None
    previous_time: int | None = None
    execution: Execution | None = None
    retry_count: int = 0
    last_retry: int | None = None
    requeue_count: int = 0
    last_requeue: int | None = None
    placed: bool = False
    """True once it was given to a node or ended: from then on nodeInfo is shown, if empty (R17:tasks)."""
    pool: str | None = None
    node: str | None = None
    node_id: str | None = None
    ran_on: list[str] = field(default_factory=list)
    """Keys of the nodes that hold, or held, a directory of this task."""
    cleaned: bool = False
    """Its directories were removed because the retention time is over."""
    manager: bool = False
    exclusive: bool = False
    subtasks: list[Subtask] = field(default_factory=list)
    """Of a multi-instance task that has been given to its nodes."""

    @property
    def key(self) -> str:
        return f"{self.job}/{fold(self.id)}"


@dataclass(slots=True)
class Attendance:
    """A job's stay on one node: its preparation there, whether its tasks ran there, and its release."""

    table: ClassVar[str] = "attendances"
    job: str
    node: str
    pool_id: str
    node_id: str
    preparation: Execution | None = None
    release: Execution | None = None
    prepared: bool = False
    """Preparation need not run again before the next task here."""
    barred: bool = False
    """Preparation failed with waitForSuccess: no task of the job runs here until the node is reimaged (M)."""
    interrupted: bool = False
    """The preparation was ended because the job was, or was disabled."""
    tasks_ran: bool = False
    cleaned: list[str] = field(default_factory=list)
    """Directories already removed because their retention time is over."""

    @property
    def key(self) -> str:
        return f"{self.job}/{self.node}"


@dataclass(slots=True)
class Run:
    """One start of one process on a node."""

    table: ClassVar[str] = "runs"
    id: str
    kind: str
    node: str
    subject: str
    """Key of what it runs for: a node (start), an attendance (preparation, release) or a task (task)."""
    instance: int = 0
    """Of a coordination command: which of the task's subtasks it belongs to."""
    deadline: int | None = None
    launch: Json = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.id


Entity = Pool | Sample | Usage | Node | Job | Schedule | Task | Attendance | Run
_KINDS: tuple[type[Any], ...] = (
    *(Pool, Sample, Usage, Node, Job, Schedule, Task, Attendance, Run),
    Execution,
)
_NAMES = {kind: tuple(one.name for one in fields(kind)) for kind in _KINDS}
_EXECUTIONS = ("start", "execution", "preparation", "release")


def to_json(entity: Entity) -> Json:
    """All fields by name; nested executions likewise."""
    return {name: _plain(getattr(entity, name)) for name in _NAMES[type(entity)]}


def _plain(value: Any) -> Any:
    if isinstance(value, Execution):
        return {name: getattr(value, name) for name in _NAMES[Execution]}
    if isinstance(value, list) and value and isinstance(value[0], Subtask):
        return [asdict(one) for one in value]
    return value


def from_json(kind: type[Entity], data: Json) -> Entity:
    """The entity `to_json` described; fields that a newer version added keep their defaults."""
    nested: Json = {key: Execution(**data[key]) for key in _EXECUTIONS if isinstance(data.get(key), dict)}
    if data.get("subtasks"):
        nested["subtasks"] = [_subtask(one) for one in data["subtasks"]]
    return kind(**{**data, **nested})


def _subtask(data: Json) -> Subtask:
    return Subtask(**{**data, "execution": Execution(**data["execution"])})
