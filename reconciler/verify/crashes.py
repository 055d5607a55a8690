"""Every point at which a process can die, one after the other.

Between two requests a process changes nothing but its journal and its store, which outlive it. So what can be left
behind is told by two deaths for each request: before it is sent, and (where it changes something) after it was carried
out and before its answer is there. The first covers everything since the request before it.
"""

import asyncio
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson

from reconciler.azure.answers import mark_of
from reconciler.emulator.switches import Switches
from reconciler.observed import MARK
from reconciler.verify import clock
from reconciler.verify.network import UNDISTURBED, Fate, Sender
from reconciler.verify.outsider import Outsider
from reconciler.verify.process import Order
from reconciler.verify.seeds import Stage, Verdict, Wrap
from reconciler.verify.states import neighbours
from reconciler.verify.story import READS
from reconciler.verify.wire import Request

SETTLED: Final = 60.0
"""Seconds after which all that was begun has ended."""
_AUTOMATIC: Final = re.compile(r"_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""The end of the id of a pool that the service made for a job; it differs each time."""
When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Point:
    """Before or after the request of this number (from 0) of the process."""

    number: int
    when: When

    def __str__(self) -> str:
        return f"{self.when} request {self.number + 1}"


@dataclass(frozen=True)
class Ending:
    """How a run ended: the verdict, what the account is like, and on how many nodes release ran how often."""

    verdict: Verdict
    account: Mapping[str, str]
    releases: tuple[tuple[str, int], ...]
    requests: tuple[str, ...]
    """Methods of the requests of the process that was to be killed."""
    refused: tuple[str, ...] = ()
    """What that process was refused, or why it broke off."""
    blocked: tuple[str, ...] = ()
    """What needs a person in the end."""


def points(ending: Ending, *, reads: bool = True) -> Iterator[Point]:
    """All points of a run that was not disturbed; without *reads* those around changes alone."""
    for number, method in enumerate(ending.requests):
        changes = method not in READS
        if changes or reads:
            yield Point(number, "before")
        if changes:
            yield Point(number, "after")


def undisturbed(orders: Sequence[Order], *, switches: Switches | None = None, saves: bool = False) -> Ending:
    """The run in which nobody dies: one order after the other. With *saves* the last one is a plan that is saved, and
    then applied."""
    return clock.run(_walk(orders, None, switches, None, "nobody dies", saves))


def killed(
    orders: Sequence[Order],
    at: Point,
    *,
    switches: Switches | None = None,
    wrap: Wrap | None = None,
    saves: bool = False,
) -> Ending:
    """The same run, but the process of the last order is killed once, and the order is then given anew."""
    return clock.run(_walk(orders, at, switches, wrap, f"{orders[-1]} is killed {at}", saves))


async def _walk(
    orders: Sequence[Order], at: Point | None, switches: Switches | None, wrap: Wrap | None, name: str, saves: bool
) -> Ending:
    sent: list[str] = []

    def fates(sender: Sender, request: Request) -> Fate:
        if sender.name != "victim":
            return UNDISTURBED
        sent.append(request.method)
        return Fate(dies=at.when) if at is not None and sender.sent == at.number else UNDISTURBED

    stage = Stage(orders[0].desired.stack.name, fates, switches, wrap)
    Outsider(stage.account, stage.story, random.Random(0)).lend(neighbours(orders[0].desired))
    for number, order in enumerate(orders[:-1]):
        await stage.process(f"{order}-{number + 1}", order)
        await asyncio.sleep(SETTLED)
    last = await stage.save(orders[-1]) if saves else orders[-1]
    victim = await stage.process("victim", last)
    refused = tuple(victim.result.failures.values()) if victim.result else (str(victim.error),) if victim.error else ()
    # A replacement that is asked for again is another one: what the first has left behind is taken up without it.
    blocked = await stage.converge(replace(last, replace=frozenset()))
    await asyncio.sleep(SETTLED)
    stage.account.catch_up()
    releases = tuple(sorted((incarnation[0], len(boots)) for (incarnation, _), boots in stage.witness.releases.items()))
    account = portrait(stage)
    return Ending(stage.verdict(name), account, releases, tuple(sent), refused, blocked)


def compare(ending: Ending, plain: Ending) -> Verdict:
    """The verdict on a run, with what differs from the one that was not disturbed."""
    old = ending.verdict
    broken = [*ending.verdict.broken, *differences(ending.account, plain.account)]
    mine, others = _of_declared(ending.releases), _of_declared(plain.releases)
    if mine != others:
        broken.append(f"release ran {mine}, and {others} undisturbed")
    return replace(old, broken=tuple(broken))


def _of_declared(releases: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    return [(job, runs) for job, runs in releases if ":" not in job]


def explore(
    orders: Sequence[Order],
    *,
    reads: bool = True,
    same: bool = True,
    switches: Switches | None = None,
    wrap: Wrap | None = None,
    saves: bool = False,
) -> Iterator[Verdict]:
    """The verdict on every point of the last order's process, the run without a death first.

    *same*: each run has to end as the first did. Jobs that end by themselves can end before all was done for them, and
    then what is left differs with the moment of the death.
    """
    plain = undisturbed(orders, switches=switches, saves=saves)
    yield plain.verdict
    for point in points(plain, reads=reads):
        ending = killed(orders, point, switches=switches, wrap=wrap, saves=saves)
        yield compare(ending, plain) if same else _with_blocked(ending, plain)


def _with_blocked(ending: Ending, plain: Ending) -> Verdict:
    """The verdict, and what a person is asked for that was not needed when nobody died."""
    old = ending.verdict
    return replace(old, told=(*old.told, *(line for line in ending.blocked if line not in plain.blocked)))


def portrait(stage: Stage) -> dict[str, str]:
    """The account without what differs between any two runs: times, ETags, ids of nodes, nonces."""
    world = stage.account.simulation.world
    objects: dict[str, list[Any]] = {}
    objects |= {f"pool/{key}": [_plain(pool.spec), pool.target_dedicated] for key, pool in world.pools.items()}
    objects |= {f"job/{key}": [_plain(job.spec), job.state, job.schedule] for key, job in world.jobs.items()}
    objects |= {f"jobschedule/{key}": [_plain(one.spec), one.state] for key, one in world.schedules.items()}
    objects |= {f"task/{key}": [task.spec, task.state] for key, task in world.tasks.items()}
    for pool, nodes in world.nodes_of_pool.items():
        objects[f"nodes/{pool}"] = [len(nodes), sorted({node.scheduling for node in nodes.values()})]
    # How many jobs a schedule has made depends on how long a run takes; ids with a colon are theirs alone.
    objects = {name: facts for name, facts in objects.items() if ":" not in name}
    return {
        _AUTOMATIC.sub("_AUTOMATIC", name): orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode()
        for name, facts in objects.items()
    }


def _plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A body with a mark that has no nonce."""
    mark = mark_of(spec)
    if mark is None:
        return dict(spec)
    others = [item for item in spec["metadata"] if item["name"] != MARK]
    return {**spec, "metadata": [*others, [mark.stack, mark.spec, mark.tasks, mark.keep, mark.hold, mark.orphan]]}


def differences(mine: Mapping[str, str], plain: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(mine.keys() | plain.keys()):
        found, expected = mine.get(name, "not there"), plain.get(name, "not there")
        if found != expected:
            yield f"{name} is another in the end: {found}, undisturbed {expected}"
