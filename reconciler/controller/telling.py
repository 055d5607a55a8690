"""From what a run says and what a pass finds to events: each thing once, when it begins and when it is over."""

from collections.abc import Mapping

from reconciler.controller.board import Bulletin
from reconciler.controller.events import CODES, Code
from reconciler.controller.state import PassEnd
from reconciler.errors import BatchError
from reconciler.executor import Pass
from reconciler.ledger import Evidence
from reconciler.lifecycle.steps import Verb
from reconciler.lifecycle.wording import counted
from reconciler.model.desired import Key
from reconciler.planning import Plan
from reconciler.ports import Revision
from reconciler.receipt import Receipt
from reconciler.status import Outcome, outcome

TROUBLES = {
    PassEnd.INVALID: Code.MANIFESTS_INVALID,
    PassEnd.SOURCE_ERROR: Code.SOURCE_UNAVAILABLE,
    PassEnd.ACCOUNT_ERROR: Code.ACCOUNT_UNAVAILABLE,
    PassEnd.STORE_ERROR: Code.STORE_UNAVAILABLE,
    PassEnd.BROKEN: Code.PASS_BROKE,
}


class Teller:
    """The Events of the runs of one stack, and the teller of what its passes find."""

    def __init__(self, stack: str, bulletin: Bulletin) -> None:
        self._stack = stack
        self._bulletin = bulletin
        self._plan: Plan | None = None
        self._known: dict[str, str] = {}
        self._parts: dict[str, Mapping[str, str]] = {}
        self.revision = Revision("")
        self.acted_lines: list[str] = []

    def say(self, code: Code, message: str, address: str = "", *, warning: bool = False, **fields: str) -> None:
        """One event."""
        self._bulletin.tell(
            self._stack,
            code,
            message,
            address=address,
            warning=warning,
            revision=self.revision.id,
            **fields,
        )

    # What a run says

    def passed(self, this: Pass) -> None:
        """What was seen before it acts, to tell drift from change."""
        self._plan = this.plan

    def acted(self, outcome: Outcome) -> None:
        """An action was accepted."""
        action = outcome.action
        entry = self._plan.entries.get(outcome.key) if self._plan is not None else None
        reverts = entry is not None and entry.drift and bool(action.changes)
        code = Code.DRIFT_REVERTED if reverts else CODES[action.verb]
        self.acted_lines.append(f"{outcome.address}: {action}")
        facts = {"verb": str(action.verb)}
        if action.changes:  # by name alone: values may be secret
            facts["changed"] = ", ".join(row.name for row in action.changes)
        self.say(code, f"{action} ({action.reason})", outcome.address, warning=False, **facts)

    def receipt(self, address: str, verb: Verb, receipt: Receipt, evidence: Evidence | None) -> None:
        """What the nodes of a job did, before the job is deleted or because it is held."""
        if verb is Verb.DELETE:
            where = f"; {evidence}" if evidence is not None else ""
            self.say(Code.RECEIPT_WRITTEN, f"what {counted(len(receipt.nodes), 'node')} did{where}", address)
        for run in receipt.nodes:
            for kind, part in (("release", run.release), ("preparation", run.preparation)):
                if part is not None and part.failed:
                    code = Code.RELEASE_FAILED if kind == "release" else Code.PREPARATION_FAILED
                    said = f"{kind} on node {run.node}: {outcome(run, kind)}"
                    self.say(code, said, address, warning=True, node=run.node)

    def taken_over(self, key: Key, born: str) -> None:
        """An id belongs to somebody else's object by now."""
        self.once(
            f"taken/{key}", Code.TAKEN_OVER, f"somebody else created it anew ({born}); it is left alone", str(key)
        )

    def retried(self, address: str, error: BatchError, seconds: float) -> None:
        """A request is tried again."""
        self.say(Code.RETRIED, f"{error}; again in {seconds:.0f} s", address, warning=True)

    def gave_up(self, address: str, why: str) -> None:
        """An object is left alone for a while."""
        self.say(Code.REFUSED, why, address, warning=True)

    # What a pass finds

    def once(self, what: str, code: Code, message: str, address: str = "", *, warning: bool = True) -> None:
        """An event, unless the last one about *what* said the same."""
        if self._known.get(what) != message:
            self._known[what] = message
            self.say(code, message, address, warning=warning)

    def over(self, what: str) -> bool:
        """*what* is no more; whether it was told."""
        return self._known.pop(what, None) is not None

    def each(self, code: Code, found: Mapping[str, str], *, warning: bool = True) -> None:
        """An event for each address that is new among *found*, or that something else is said of."""
        before = self._parts.get(code, {})
        for address, message in found.items():
            if before.get(address) != message:
                self.say(code, message, address, warning=warning)
        self._parts[code] = dict(found)

    def trouble(self, end: PassEnd, message: str) -> None:
        """What keeps passes from going well: told when it begins; of manifests also when it is another. Which of
        several requests meets an account that is away first is chance."""
        if end in (PassEnd.INVALID, PassEnd.SOURCE_ERROR) or f"trouble/{end}" not in self._known:
            self.once(f"trouble/{end}", TROUBLES[end], message)

    def recovered(self, *ends: PassEnd) -> None:
        """What no longer does."""
        for end in ends:
            if self.over(f"trouble/{end}"):
                self.say(Code.RECOVERED, f"{TROUBLES[end]} is over")
