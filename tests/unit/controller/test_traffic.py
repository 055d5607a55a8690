"""One bucket for all requests of an account, and what the service asks to wait for."""

import asyncio
from dataclasses import dataclass

import pytest

from reconciler.controller.traffic import Gate, Traffic
from reconciler.errors import LockLost, Transient
from reconciler.verify import clock
from reconciler.verify.clock import VirtualClock


def test_requests_beyond_the_burst_come_one_after_the_other() -> None:
    async def work() -> list[float]:
        traffic = Traffic(VirtualClock(), rate=10, burst=5)
        passed: list[float] = []

        async def one() -> None:
            await traffic.admit()
            passed.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(one() for _ in range(8)))
        return passed

    assert clock.run(work()) == pytest.approx([0, 0, 0, 0, 0, 0.1, 0.2, 0.3])


def test_who_is_told_to_come_back_later_speaks_for_all() -> None:
    async def work() -> float:
        traffic = Traffic(VirtualClock())
        traffic.answered(429, 3.0)
        await traffic.admit()
        return asyncio.get_running_loop().time()

    assert clock.run(work()) == pytest.approx(3.0)


def test_a_long_wait_is_given_back_to_the_sender() -> None:
    async def work() -> None:
        traffic = Traffic(VirtualClock())
        traffic.answered(503, 40.0)
        with pytest.raises(Transient, match="left alone for 40 s more") as caught:
            await traffic.admit()
        assert caught.value.retry_after == pytest.approx(40.0)
        await asyncio.sleep(36)
        await traffic.admit()

    clock.run(work())


def test_an_answer_that_asks_for_nothing_holds_nobody_up() -> None:
    async def work() -> float:
        traffic = Traffic(VirtualClock())
        traffic.answered(500, 20.0)
        return traffic.held

    assert clock.run(work()) == 0


@dataclass
class Lease:
    lost: bool = False

    def check(self) -> None:
        if self.lost:
            raise LockLost("gone")


def test_without_the_lease_reads_pass_and_writes_do_not() -> None:
    async def work() -> None:
        lease = Lease(lost=True)
        gate = Gate(Traffic(VirtualClock()), lease.check)
        await gate.admit(writes=False)
        with pytest.raises(LockLost):
            await gate.admit(writes=True)

    clock.run(work())


def test_the_lease_is_looked_at_after_the_wait_for_the_bucket() -> None:
    async def work() -> None:
        lease = Lease()
        gate = Gate(Traffic(VirtualClock(), rate=1, burst=1), lease.check)
        await gate.admit(writes=True)
        asyncio.get_running_loop().call_later(0.5, setattr, lease, "lost", True)
        with pytest.raises(LockLost):
            await gate.admit(writes=True)

    clock.run(work())
