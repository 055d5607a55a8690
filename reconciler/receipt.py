"""What is left of a job once it is deleted: what its nodes did, and which logs were kept."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from reconciler.model.desired import Key
from reconciler.observed import LiveJob, NodeRun

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Log:
    """A file that was to be captured. *path* is its place among the logs; *size* what it had on the node and *kept*
    what is left of it, in bytes; *missing* says why it could not be read, empty when it was."""

    path: str
    size: int = 0
    kept: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an incarnation of a job did on its nodes, written down before the job is deleted. Times are ISO 8601 UTC.

    *left_out* counts failed tasks whose logs were not asked for, beyond those of the first ones. *note* says what of
    the evidence could not be found out.
    """

    stack: str
    key: Key
    name: str
    born: str
    ended: str
    terminate_reason: str
    pool: str
    nodes: tuple[NodeRun, ...]
    capture: str
    logs: tuple[Log, ...] = ()
    left_out: int = 0
    note: str = ""

    @classmethod
    def of(cls, job: LiveJob, nodes: tuple[NodeRun, ...], capture: str, stack: str) -> "Receipt":
        """The receipt of a job, before any log was captured."""
        pool = job.pool.id if job.pool is not None else ""
        return cls(stack, job.key, job.name, job.guard.born, job.ended, job.terminate_reason, pool, nodes, capture)

    @property
    def missing(self) -> tuple[Log, ...]:
        return tuple(log for log in self.logs if log.missing)

    def content(self) -> dict[str, Any]:
        """As it is written to a file."""
        facts = {name: value for name, value in asdict(self).items() if name not in ("key", "name", "left_out")}
        return {
            "format_version": FORMAT,
            "kind": "ReleaseReceipt",
            "job": self.name,
            **facts,
            "tasks_left_out": self.left_out,
        }
