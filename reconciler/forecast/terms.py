"""What a forecast says, as values. None stands for "not known": it was not read, or nobody can tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.model.desired import Key

Count: TypeAlias = int | None


@dataclass(frozen=True, slots=True)
class TaskLoss:
    """Tasks that are cut off while they run, and those that never run. *restarts*: the job goes on, or its successor
    has the same tasks, so that these run from their beginning after all; *finished* ones run again then."""

    running: Count
    waiting: Count = 0
    restarts: bool = False
    finished: Count = 0

    def __bool__(self) -> bool:
        return any(count != 0 for count in (self.running, self.waiting, self.finished))


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and why its release is not certain."""

    node: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """Where the release task of a job runs, where that is uncertain, and where it does not. *is_known* False: nobody
    read which nodes owe it. *at_most*: of the uncertain ones, no more than so many lose it."""

    job: str
    runs: tuple[Place, ...] = ()
    uncertain: tuple[Place, ...] = ()
    lost: tuple[Place, ...] = ()
    is_known: bool = True
    at_most: Count = None

    @property
    def is_certain(self) -> bool:
        return self.is_known and not self.uncertain


@dataclass(frozen=True, slots=True)
class FileLoss:
    """What is erased: directories of *tasks*; those of preparation and release on *nodes*; everything on *whole* nodes.
    *kept* says in words what is fetched before."""

    tasks: Count = 0
    nodes: Count = 0
    whole: Count = 0
    kept: str = ""

    def __bool__(self) -> bool:
        return any(count != 0 for count in (self.tasks, self.nodes, self.whole))


@dataclass(frozen=True, slots=True)
class LongestWait:
    """How long an object and those before it wait at most, as far as limits are documented; *unlimited* names what has
    none."""

    seconds: int = 0
    unlimited: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.seconds or self.unlimited)


@dataclass(frozen=True, slots=True)
class ObjectForecast:
    """What carrying out the road of one object does besides. *children* are the jobs of a schedule that go with it;
    *unread* says why something is not known."""

    tasks: TaskLoss | None = None
    releases: tuple[Release, ...] = ()
    files: FileLoss | None = None
    children: tuple[str, ...] = ()
    wait: LongestWait | None = None
    unread: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tasks or self.releases or self.files or self.children or self.wait or self.unread)


NOTHING = ObjectForecast()


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """How much of a quota is used now, and when the plan was carried out."""

    name: str
    limit: int
    before: Count
    after: Count
    note: str = ""

    @property
    def is_over(self) -> bool:
        return self.after is not None and self.after > self.limit


@dataclass(frozen=True)
class Forecast:
    """Of every object that the plan touches; and of the quotas that are known."""

    objects: Mapping[Key, ObjectForecast] = field(default_factory=dict)
    quotas: tuple[QuotaUse, ...] = ()

    def of(self, key: Key) -> ObjectForecast:
        return self.objects.get(key, NOTHING)
