"""Who leads, by a lease that two replicas ask for."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from reconciler.controller.lease import Leadership
from reconciler.errors import LockLost, StoreError
from reconciler.ports import Holding
from reconciler.verify import clock
from reconciler.verify.clock import VirtualClock
from reconciler.verify.memory import Disk, DiskLock


@dataclass
class Bench:
    """Two replicas on one disk; the lock of the first can be put out of reach."""

    disk: Disk = field(default_factory=Disk)
    away: bool = False
    told: list[str] = field(default_factory=list)

    def lead(self, name: str, seconds: float = 30.0) -> Leadership:
        async def turn() -> None:
            if self.away and name == "one":
                raise StoreError("the store does not answer")

        def changed(leads: bool, why: str, given_back: bool) -> None:
            self.told.append(f"{name} {'leads' if leads else 'follows'}")

        lock = DiskLock(self.disk, VirtualClock(), turn)
        return Leadership(lock, "s", name, VirtualClock(), changed, seconds)


def played(work: Callable[[Bench], object]) -> Bench:
    bench = Bench()
    clock.run(work(bench))  # type: ignore[arg-type]
    return bench


def test_one_leads_and_the_other_takes_over_when_the_lease_is_given_back() -> None:
    async def work(bench: Bench) -> None:
        one, two = bench.lead("one"), bench.lead("two")
        await one.attend()
        await two.attend()
        assert (one.leads, two.leads) == (True, False)
        assert "one" in two.holder
        await one.give_up()
        await two.attend()
        assert (one.leads, two.leads) == (False, True)

    assert played(work).told == ["one leads", "one follows", "two leads"]


def test_a_lease_that_is_renewed_lasts() -> None:
    async def work(bench: Bench) -> None:
        one, two = bench.lead("one"), bench.lead("two")
        keeper = asyncio.ensure_future(one.keep())
        await asyncio.sleep(1)
        for _ in range(20):
            await two.attend()
            one.check()
            await asyncio.sleep(7)
        keeper.cancel()

    assert played(work).told == ["one leads"]


def test_who_cannot_renew_stops_before_anybody_else_can_lead() -> None:
    async def work(bench: Bench) -> None:
        one, two = bench.lead("one"), bench.lead("two")
        keepers = [asyncio.ensure_future(each.keep()) for each in (one, two)]
        await asyncio.sleep(12)
        bench.away = True
        for _ in range(300):
            await asyncio.sleep(0.2)
            assert not (one.leads and two.leads)
        assert two.leads
        assert one.trouble == "the store does not answer"
        bench.away = False
        await asyncio.sleep(30)
        assert not one.leads
        for keeper in keepers:
            keeper.cancel()

    assert played(work).told == ["one leads", "one follows", "two leads"]


def test_who_slept_longer_than_its_lease_knows_by_itself_when_it_wakes() -> None:
    async def work(bench: Bench) -> None:
        one = bench.lead("one")
        await one.attend()
        one.check()
        await asyncio.sleep(25.1)
        with pytest.raises(LockLost, match="this replica does not lead any more; nothing was sent"):
            one.check()

    played(work)


def test_a_slow_answer_takes_its_time_off_the_lease() -> None:
    """What counts is when it was asked: the store may have begun to count then."""

    async def work(bench: Bench) -> None:
        one = bench.lead("one")

        class Slow(DiskLock):
            async def acquire(self, name: str, owner: str, purpose: str, seconds: float) -> Holding:
                holding = await super().acquire(name, owner, purpose, seconds)
                await asyncio.sleep(8)
                return holding

        async def turn() -> None: ...

        one._lock = Slow(bench.disk, VirtualClock(), turn)
        await one.attend()
        await asyncio.sleep(16.9)
        one.check()
        await asyncio.sleep(0.2)
        with pytest.raises(LockLost):
            one.check()

    played(work)


def test_an_answer_to_a_renewal_does_not_bring_back_what_was_given_back() -> None:
    async def work(bench: Bench) -> None:
        one, two = bench.lead("one"), bench.lead("two")
        await one.attend()

        class Slow(DiskLock):
            async def renew(self, holding: Holding) -> Holding:
                renewed = await super().renew(holding)
                await asyncio.sleep(5)
                return renewed

        async def turn() -> None: ...

        one._lock = Slow(bench.disk, VirtualClock(), turn)
        renewing = asyncio.ensure_future(one.attend())
        await asyncio.sleep(1)
        await one.give_up()
        await renewing
        await two.attend()
        assert (one.leads, two.leads) == (False, True)

    played(work)


def test_what_was_decided_in_one_term_is_not_begun_in_the_next() -> None:
    async def work(bench: Bench) -> None:
        one, two = bench.lead("one"), bench.lead("two")
        await one.attend()
        check = one.of_this_term()
        await asyncio.sleep(10)
        await one.attend()
        check()  # renewed: the same term
        bench.away = True
        await asyncio.sleep(40)
        await two.attend()
        assert two.leads
        await two.give_up()
        bench.away = False
        await one.attend()
        await one.attend()
        assert one.leads
        with pytest.raises(LockLost, match="the lease was lost and taken anew since the last look"):
            check()
        one.of_this_term()()

    played(work)
