"""One action: what it would erase is written down, then the request is sent, then what became of it."""

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from reconciler.errors import BatchError, LockLost, Missing, Rejected, StoreError, Transient
from reconciler.executor.evidence import Search
from reconciler.executor.result import Events
from reconciler.lifecycle.steps import Action, Verb
from reconciler.observed import LiveJob
from reconciler.planning import Entry
from reconciler.ports import BatchReader, BatchWriter, Clock, Journal, StateStore
from reconciler.receipt import Receipt
from reconciler.status import Outcome


@dataclass(frozen=True, slots=True)
class Execution:
    """What it takes to carry out the actions of a run. *permit* raises LockLost when nothing more may be done."""

    reader: BatchReader
    writer: BatchWriter
    clock: Clock
    journal: Journal
    store: StateStore
    events: Events
    stack: str
    permit: Callable[[], None]

    async def carry_out(self, entry: Entry, action: Action) -> Outcome:
        """Carry out one action; every failure is in the outcome."""
        error: BatchError | None = None
        call = str(uuid.uuid4())
        try:
            self.permit()
            await self._write_down(entry, action)
            if action.verb is Verb.FORGET:
                await self.store.forget(entry.key)
            elif action.verb is not Verb.WRITE_RECEIPT:
                name = entry.live.name if entry.live else _name(entry)
                await self.writer.send(entry.key, name, replace(action, call=call))
        except Missing as missing:
            error = None if action.verb is Verb.DELETE else missing
        except BatchError as refused:
            error = refused
        except LockLost as lost:
            error = Transient(f"{action.verb} {entry.address}", f"not sent: {lost}")
        except StoreError as broken:
            error = Rejected(f"write down what becomes of {entry.address}", str(broken))
        said = str(error) if error else None
        try:
            force = {"force": True} if action.force else {}
            verb, reason = action.verb, action.reason
            await self.journal.write(
                "action", object=entry.address, verb=verb, **force, reason=reason, request=call, error=said
            )
        except StoreError as broken:
            error = error or Rejected(
                f"{action.verb} {entry.address} was done, but not written to the journal", str(broken)
            )
        return Outcome(entry.key, entry.address, action, error, self.clock.utc())

    async def _write_down(self, entry: Entry, action: Action) -> None:
        """What the request would erase is on the disk before it is sent."""
        if action.run is not None:
            await self.store.record(action.run)
        if action.receipt is None or not isinstance(entry.live, LiveJob):
            return
        receipt = Receipt.of(entry.live, action.receipt, action.capture, self.stack)
        evidence = None
        if action.capture:
            receipt, evidence = await Search(self.reader, self.store, self.clock, entry.live).secure(receipt)
            nodes = [asdict(run) for run in action.receipt]
            born, file = receipt.born, evidence.receipt
            await self.journal.write("release-receipt", object=entry.address, born=born, nodes=nodes, file=file)
        self.events.receipt(entry.address, action.verb, receipt, evidence)


def _name(entry: Entry) -> str:
    assert entry.wanted is not None
    return entry.wanted.name
