"""Two replicas of the controller, and the leader loses its leadership at every request in turn: it is killed, or it is
stopped for much longer than its lease and wakes. The other brings to its end what was begun; nothing is done twice, and
who wakes late sends nothing, but for one request that was past every check: that one is void, or the one that the new
leader would send."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from reconciler.controller.loop import Conduct
from reconciler.controller.state import PassEnd
from reconciler.model.desired import Desired
from reconciler.verify import clock
from reconciler.verify.crashes import differences, portrait
from reconciler.verify.network import UNDISTURBED, Fate
from reconciler.verify.replica import Replica, Repository
from reconciler.verify.seeds import Stage
from reconciler.verify.story import READS

Stacks = Mapping[str, tuple[Desired, ...]]
Loss = Literal["killed before", "killed after", "stopped past the check", "stopped in flight"]
WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
VOID = ("-> 409", "-> 412", "addtaskcollection -> 200")
"""How a request is answered that comes too late; tasks are refused one by one."""
AWAY = 120.0
"""Seconds for which a stopped leader is away: four leases."""


@dataclass
class Played:
    """What came of a run. *requests* are those of the first leader, *late* what it sent after it woke, with answers."""

    account: Mapping[str, str]
    releases: list[tuple[str, int]]
    requests: list[tuple[str, str]]
    late: list[str]
    story: str


def play(before: Desired, after: Desired, at: int | None = None, loss: Loss = "killed before") -> Played:
    return clock.run(_play(before, after, at, loss))


async def _play(before: Desired, after: Desired, at: int | None, loss: Loss) -> Played:
    requests: list[tuple[str, str]] = []
    woke: list[float] = []
    stopped = False

    def fates(sender: Any, request: Any) -> Fate:
        if sender.name != "one" or sender.sent != at or stopped:
            return UNDISTURBED
        if loss == "stopped in flight":
            lose()
        return Fate(dies=loss.removeprefix("killed ")) if loss.startswith("killed") else UNDISTURBED  # type: ignore[arg-type]

    def sends(replica: Replica, request: Any) -> None:
        requests.append((request.method, request.path))
        if len(requests) - 1 == at and loss == "stopped past the check":
            lose()

    def lose() -> None:
        nonlocal stopped
        stopped = True
        one.halt()
        asyncio.get_running_loop().call_later(AWAY, wake)

    def wake() -> None:
        woke.append(stage.account.seconds)
        one.go_on()

    stage = Stage(before.stack.name, fates)
    repository = Repository()
    repository.commit(before)

    def replica(name: str) -> Replica:
        return Replica(name, repository, stage.network, stage.disk, stage.story, Conduct(interval=20.0))

    one, two = replica("one"), replica("two")
    one.on_send = sends
    one.start()
    await asyncio.sleep(0.001)  # it leads
    two.start()
    await settled(two, stage)
    await asyncio.sleep(AWAY)
    repository.commit(after)
    await asyncio.sleep(40.0)
    await settled(two, stage)
    await asyncio.sleep(2 * AWAY)
    for each in (one, two):
        each.go_on()
        await each.end()
        assert each.error is None, each.error
    assert not stage.witness.broken, f"{at} {loss}: {stage.witness.broken}\n{stage.story}"
    lines = [line for line in stage.story.lines if woke and line.who == "one" and line.at >= woke[0]]
    late = [line.text for line in lines if line.text.split(" ")[0] in WRITES]
    releases = sorted((job[0], len(boots)) for (job, _), boots in stage.witness.releases.items())
    stage.account.catch_up()
    found = Played(portrait(stage), releases, requests, late, str(stage.story))
    stage.account.close()
    return found


async def settled(replica: Replica, stage: Stage) -> None:
    """Wait until a replica sees nothing left to do."""
    for _ in range(2000):
        statuses = replica.bulletin.statuses.values()
        if statuses and all(status.end is PassEnd.SYNCED for status in statuses):
            return
        await asyncio.sleep(0.5)
    shown = [(one.passes[-1], one.problems, one.held, one.holder) for one in replica.bulletin.statuses.values()]
    raise AssertionError(f"it does not settle: {shown}\n{stage.story}")


@pytest.fixture(scope="module")
def plain(stacks: Stacks) -> Played:
    return play(*stacks["small"])


def points(plain: Played, *, reads: Literal["all", "before", "none"]) -> list[int]:
    """The numbers of the requests at which leadership is lost: those that change something, with those that come just
    before one, or all."""
    writes = {number for number, (method, _) in enumerate(plain.requests) if method not in READS}
    match reads:
        case "all":
            return list(range(len(plain.requests)))
        case "before":
            return sorted(writes | {number - 1 for number in writes if number})
        case "none":
            return sorted(writes)


def check(stacks: Stacks, plain: Played, loss: Loss, *, reads: Literal["all", "before", "none"]) -> int:
    """The number of runs, each of which ended like the one in which nothing happened."""
    numbers = points(plain, reads=reads)
    for number in numbers:
        found = play(*stacks["small"], number, loss)
        wrong = list(differences(found.account, plain.account))
        assert not wrong, f"{loss}, request {number}: {wrong}\n{found.story}"
        assert found.releases == plain.releases, f"{loss}, request {number}:\n{found.story}"
        past = loss == "stopped past the check" and plain.requests[number][0] not in READS
        assert len(found.late) == past, f"{loss}, request {number}: {found.late}\n{found.story}"
        assert all(any(answer in text for answer in VOID) for text in found.late), found.late
    return len(numbers)


LOSSES: tuple[Loss, ...] = ("killed before", "killed after", "stopped past the check", "stopped in flight")


@pytest.mark.parametrize("loss", LOSSES[:3])
def test_leadership_lost_at_every_change_leaves_nothing_undone_or_done_twice(
    stacks: Stacks, plain: Played, loss: Loss
) -> None:
    assert check(stacks, plain, loss, reads="before" if loss == "stopped past the check" else "none") > 10


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_leadership_lost_at_any_request_leaves_nothing_undone_or_done_twice(
    stacks: Stacks, plain: Played, loss: Loss
) -> None:
    """`pytest -m slow tests/simulation/test_failover.py`"""
    assert check(stacks, plain, loss, reads="all") > 100


def test_each_node_is_released_once(plain: Played) -> None:
    """What the runs above are compared with."""
    assert plain.releases == [("main", 1), ("main", 1)]
