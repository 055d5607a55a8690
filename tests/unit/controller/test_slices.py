"""A slice of a run: what is ready is done, what has to wait is left, and what failed is tried again later and later."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from reconciler.errors import BatchError, LockLost, Rejected, Transient
from reconciler.executor import Approvals, End, Patience, Result, Run, Settings, approve
from reconciler.ledger import Ledger
from reconciler.lifecycle.steps import Action, Context
from reconciler.model.desired import Desired, Key
from reconciler.observed import LiveJob, Observed, TaskCounts
from reconciler.verify import clock
from reconciler.verify.clock import VirtualClock


@dataclass
class Account:
    """Shows one snapshot for ever, and refuses what it is told to."""

    seen: Observed
    refusal: BatchError | LockLost | None = None
    sent: list[str] = field(default_factory=list)

    async def observe(self) -> Observed:
        return self.seen.with_children()

    async def task_counts(self, job: LiveJob) -> TaskCounts:
        return TaskCounts(succeeded=1)

    async def node_runs(self, job: LiveJob) -> tuple[()]:
        return ()

    async def send(self, key: Key, name: str, action: Action) -> None:
        self.sent.append(f"{action.verb} {key}")
        if self.refusal is not None:
            raise self.refusal


class Paper:
    """Journal, store and events."""

    async def write(self, event: str, /, **facts: Any) -> None: ...

    async def ledger(self) -> Ledger:
        return Ledger()

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def passing(
    account: Account,
    desired: Desired,
    context: Context,
    patience: Patience,
    permit: Callable[[], None] = lambda: None,
) -> Any:
    async def slice_() -> Result:
        paper: Any = Paper()
        run = Run(
            account,  # type: ignore[arg-type]
            account,
            VirtualClock(),
            paper,
            paper,
            paper,
            desired,
            context,
            Settings(work=False),
            Approvals({}),
            permit=permit,
            patience=patience,
        )
        first = await run.begin()
        run.approved = approve(first.plan)
        return await run.slice(first, 60)

    return slice_()


def tries(account: Account, desired: Desired, context: Context, seconds: int) -> list[int]:
    """The seconds at which a request was sent, of one look a second."""

    async def work() -> list[int]:
        patience = Patience(VirtualClock(), Paper(), lasting=True)  # type: ignore[arg-type]
        sent = []
        for second in range(seconds):
            before = len(account.sent)
            await passing(account, desired, context, patience)
            if len(account.sent) > before:
                sent.append(second)
            await asyncio.sleep(second + 1 - asyncio.get_running_loop().time())
        return sent

    return clock.run(work())


def test_a_slice_does_what_is_ready_and_leaves_what_waits(world: Any) -> None:
    job = world.job()
    account = Account(world.observed(world.live_job(job, "terminating")))

    async def work() -> Result:
        return await passing(account, world.desired(), world.context, Patience(VirtualClock(), Paper(), lasting=True))  # type: ignore[no-any-return,arg-type]

    result = clock.run(work())
    assert (result.end, account.sent) == (End.IN_PROGRESS, [])
    assert result.waiting[0].startswith("job/j: wait for")


def test_what_is_rejected_is_tried_again_later_and_later(world: Any) -> None:
    account = Account(world.observed(), Rejected("create", "no"))
    assert tries(account, world.desired(world.job()), world.context, 120) == [0, 15, 45, 105]


def test_what_fails_for_a_while_is_tried_again_soon(world: Any) -> None:
    account = Account(world.observed(), Transient("create", "busy"))
    assert tries(account, world.desired(world.job()), world.context, 40) == [0, 1, 3, 7, 15, 31]


def test_a_changed_manifest_is_tried_at_once(world: Any) -> None:
    account = Account(world.observed(), Rejected("create", "no"))
    patience = Patience(VirtualClock(), Paper(), lasting=True)  # type: ignore[arg-type]

    async def work() -> None:
        await passing(account, world.desired(world.job()), world.context, patience)
        await passing(account, world.desired(world.job()), world.context, patience)
        await passing(account, world.desired(world.job(priority=3)), world.context, patience)

    clock.run(work())
    assert len(account.sent) == 2


def test_a_lost_lock_ends_the_slice_with_all_that_it_had_begun(world: Any) -> None:
    account = Account(world.observed(), LockLost("gone"))
    patience = Patience(VirtualClock(), Paper(), lasting=True)  # type: ignore[arg-type]

    def permit() -> None:
        if account.sent:
            raise LockLost("gone")

    async def work() -> None:
        with pytest.raises(LockLost):
            desired = world.desired(world.pool("p"), world.pool("q"))
            await passing(account, desired, world.context, patience, permit)
        assert (account.sent, patience.failures, patience.pauses()) == (["create pool/p"], {}, {})

    clock.run(work())


def test_what_is_approved_of_the_first_look_alone_is_done(world: Any) -> None:
    """A slice does not take up what somebody does meanwhile."""
    account = Account(world.observed())
    patience = Patience(VirtualClock(), Paper(), lasting=True)  # type: ignore[arg-type]

    async def work() -> Result:
        return await passing(account, world.desired(world.pool("p")), world.context, patience)  # type: ignore[no-any-return]

    result = clock.run(work())
    # The account shows the pool to be absent still: the create is not sent a second time within the slice.
    assert account.sent == ["create pool/p"]
    assert not result.failures
