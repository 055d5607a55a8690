"""What happens during a run, as values: the lines of `apply --format json`, and what `reconciler.events` yields."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from reconciler.errors import BatchError
from reconciler.executor import Pass, Result
from reconciler.ledger import Evidence
from reconciler.lifecycle.steps import Verb, Wait
from reconciler.model.desired import Key
from reconciler.receipt import Receipt
from reconciler.status import Outcome, Progress, outcome


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. *code* is stable: Acted, Waiting, Tasks, Preparation, Release, Receipt, TakenOver,
    Retried, GaveUp, Ended. *object* is an address, empty where it concerns no single one; *at* is ISO 8601 UTC; *facts*
    are what programs want to know, by code."""

    code: str
    object: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    def content(self) -> dict[str, Any]:
        """As one JSON line says it."""
        return {"at": self.at, "code": self.code, "object": self.object, "message": self.message, **self.facts}

    @classmethod
    def end(cls, result: Result) -> Self:
        """How a run ended."""
        verbs: dict[str, int] = {}
        for done in result.outcomes:
            verbs[done.action.verb] = verbs.get(done.action.verb, 0) + 1
        facts = {
            "end": result.end,
            "stopped": result.stopped,
            "done": verbs,
            "failed": {str(key): why for key, why in result.failures.items()},
            "waiting": list(result.waiting),
            "blocked": {entry.address: str(entry.blocked) for entry in result.last.plan.blocked},
            "stuck": dict(result.stuck),
        }
        return cls("Ended", "", str(result.end), facts)


class Telling:
    """Events of a run, told one by one; what has not changed since the last look is told once."""

    def __init__(self, tell: Callable[[Happening], None]) -> None:
        self._tell = tell
        self._told: dict[tuple[str, str], str] = {}

    def passed(self, this: Pass) -> None:
        """What is waited for, how far tasks are, what each node did."""
        for entry in this.plan.entries.values():
            if isinstance(entry.step, Wait):
                facts: dict[str, Any] = {"until": entry.step.until, "bound": entry.step.bound}
                self._once(Happening("Waiting", entry.address, str(entry.step), facts))
        for job in this.progress:
            self._once(_tasks(job))
        for live in this.observed.jobs.values():
            for run in live.nodes or () if live.key in this.plan.entries else ():
                for code, part in (("Preparation", run.preparation), ("Release", run.release)):
                    if part is not None:
                        kind = code.lower()
                        facts = {"node": run.node, "state": part.state, "exit_code": part.exit_code}
                        text = f"{kind} on {run.node}: {outcome(run, kind)}"
                        self._once(Happening(code, live.address, text, facts), run.node)

    def receipt(self, address: str, verb: Verb, receipt: Receipt, evidence: Evidence | None) -> None:
        """The results that the delete erases."""
        nodes = [asdict(run) for run in receipt.nodes]
        files = {"receipt": evidence.receipt, "logs": evidence.logs} if evidence is not None else {}
        self._tell(Happening("Receipt", address, f"receipt before {verb}", {"nodes": nodes, **files}))

    def taken_over(self, key: Key, born: str) -> None:
        """An id that has become somebody else's."""
        said = f"somebody else created it anew ({born}); that one is left alone"
        self._once(Happening("TakenOver", str(key), said, {"born": born}))

    def acted(self, outcome: Outcome) -> None:
        """One action that was accepted."""
        action = outcome.action
        facts = {"verb": action.verb, "reason": action.reason, "tasks": action.count, "nodes": list(action.nodes)}
        self._tell(Happening("Acted", outcome.address, str(action), facts, outcome.at))

    def retried(self, address: str, error: BatchError, seconds: float) -> None:
        """A request that will be tried again."""
        facts = {"error": str(error), "seconds": seconds}
        self._tell(Happening("Retried", address, f"{error}; trying again in {seconds:g} s", facts))

    def gave_up(self, address: str, why: str) -> None:
        """An object that this run leaves as it is."""
        self._tell(Happening("GaveUp", address, why))

    def _once(self, happening: Happening, part: str = "") -> None:
        subject = (happening.code, happening.object + part)
        if self._told.get(subject) != happening.message:
            self._told[subject] = happening.message
            self._tell(happening)


def _tasks(job: Progress) -> Happening:
    facts = {"done": job.done, "failed": job.failed, "running": job.running, "total": job.total}
    return Happening("Tasks", job.address, f"tasks {job.done} of {job.total} done", facts)
