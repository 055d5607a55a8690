"""Runs by chance, and by nothing else: the same seed is the same run, to the last request.

Two or three processes of one stack (apply of one of several states, destroy) and somebody in the portal, interleaved;
every request of theirs has a fate drawn by the seed, and processes are killed. Then the faults stop, and commands are
repeated until nothing is left to do.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from reconciler.azure import Account as BatchAccount
from reconciler.emulator.switches import Switches
from reconciler.executor import End
from reconciler.model.desired import Desired, Kind
from reconciler.verify import clock
from reconciler.verify.account import Account
from reconciler.verify.memory import Disk
from reconciler.verify.network import LATENCY, UNDISTURBED, Fate, Fates, Network, Sender
from reconciler.verify.outsider import Outsider
from reconciler.verify.process import PATIENCE, Order, Process
from reconciler.verify.states import neighbours
from reconciler.verify.story import Story
from reconciler.verify.wire import Request
from reconciler.verify.witness import Witness

SPAN: Final = 12.0
"""Seconds in which processes begin and people act."""
STORM: Final = 90.0
"""Seconds after which the faults stop."""
OUT_OF_TIME: Final = "out of time"
PASSES: Final = 8
"""Commands after the faults, by which nothing may be left to do."""
PAUSE: Final = 20.0
"""Seconds between them; who waits for something finds it done."""
RARE: Final = 7
"""Two seeds of so many also have releases that fail, and lists that the account's roles do not allow for a while."""
SECONDS: Final = 0.2
"""How long a command on a node takes of which nothing else is known."""
Wrap = Callable[[BatchAccount], Any]


@dataclass(frozen=True)
class Verdict:
    """What became of a run. *broken* promises, in sentences; *told*: what nobody could have known in time."""

    name: str
    broken: tuple[str, ...]
    told: tuple[str, ...]
    story: Story
    requests: int
    states: frozenset[int]
    releases: int = 0
    """Runs of release tasks: where there was none, nothing was shown about any."""

    def __str__(self) -> str:
        """The counter-example, for people."""
        return f"{self.name}\n{self.story}\n" + "\n".join(f"BROKEN: {sentence}" for sentence in self.broken)


@dataclass
class Stage:
    """One account, its network and its processes."""

    stack: str
    fates: Fates = lambda _sender, _request: UNDISTURBED
    switches: Switches | None = None
    wrap: Wrap | None = None
    seconds: float = SECONDS
    disk: Disk = field(default_factory=Disk)
    story: Story = field(default_factory=Story)
    witness: Witness = field(init=False)
    account: Account = field(init=False)
    network: Network = field(init=False)
    requests: int = 0

    def __post_init__(self) -> None:
        self.witness = Witness(self.stack, self.disk)
        self.account = Account(self.witness, self.switches, self.seconds)
        self.network = Network(self.account, self.story, self.fates)

    async def process(self, name: str, order: Order) -> Process:
        """One command, from its start to its end or its death."""
        process = Process(name, order, self.network, self.disk, self.story)
        if self.wrap is not None:
            process.wrap = self.wrap
        self.story.tell(self.account.seconds, name, f"begins: {order}")
        try:
            await process.start()
        except Exception as error:  # noqa: BLE001 - whatever escapes is what this is looking for
            self.witness.broken.append(f"{name} broke: {type(error).__name__}: {error}")
        self.requests += process.sent
        if process.result is not None and process.result.stopped == OUT_OF_TIME:
            waits = "; ".join(process.result.waiting)
            self.witness.broken.append(f"{name} waited for {PATIENCE:g} s, and nothing came of it: {waits}")
        return process

    async def save(self, order: Order) -> Order:
        """The same order as a plan that is made now, and approved for later."""
        return replace(order, saved=await Process("planner", order, self.network, self.disk, self.story).save())

    async def converge(self, order: Order) -> tuple[str, ...]:
        """Repeat a command until it has nothing more to do; nothing disturbs it any more. What then needs a person."""
        self.network.fates = lambda _sender, _request: UNDISTURBED
        ends: list[str] = []
        for number in range(1, PASSES + 1):
            result = (await self.process(f"pass-{number}", order)).result
            ends.append("error" if result is None else "acted" if result.outcomes else result.end)
            if result is not None and (ends[-1] == End.SETTLED or ends[-2:] == [End.BLOCKED, End.BLOCKED]):
                return tuple(f"{entry.address} is blocked: {entry.blocked}" for entry in result.last.plan.blocked)
            await asyncio.sleep(PAUSE)
        self.witness.broken.append(f"without faults, {PASSES} commands in a row come to no end: {', '.join(ends)}")
        return ()

    def verdict(self, name: str) -> Verdict:
        """What became of it."""
        self.account.close()
        seen = self.witness
        broken, told = tuple(dict.fromkeys(seen.broken)), tuple(dict.fromkeys(seen.told))
        return Verdict(name, broken, told, self.story, self.requests, frozenset(seen.states), seen.release_runs)


def play(
    seed: int, states: Sequence[Desired], *, switches: Switches | None = None, wrap: Wrap | None = None
) -> Verdict:
    """One run: the processes of *seed* apply some of *states*, or destroy them."""
    return clock.run(_play(seed, states, switches, wrap))


async def _play(seed: int, states: Sequence[Desired], switches: Switches | None, wrap: Wrap | None) -> Verdict:
    chance = random.Random(f"play/{seed}")
    storm = Storm(random.Random(f"storm/{seed}"))
    stage = Stage(states[0].stack.name, storm, switches, wrap)
    orders = [Order(state, work=chance.random() < 0.3) for state in states] + [Order(states[-1], destroys=True)]
    outsider = Outsider(stage.account, stage.story, random.Random(f"outsider/{seed}"))
    if seed % RARE in (1, 4):
        # Drawn apart, so that what other seeds play stays as it is.
        luck = random.Random(f"luck/{seed}")
        storm.evict, storm.evict_after = outsider.evict, luck.uniform(1.0, SPAN)
        storm.refuses = luck.choice([0.0, 0.1, 0.3])
        chance_of_failure = luck.choice([0.0, 0.3, 0.8])
        stage.witness.release_seconds = luck.choice([SECONDS, 6.0])
        stage.witness.fails = lambda: luck.random() < chance_of_failure
    outsider.jobs = sorted({wanted.name for state in states for wanted in state.objects.values() if _is_job(wanted)})
    outsider.pools = sorted({wanted.name for state in states for wanted in state.objects.values() if _is_pool(wanted)})
    storm.usurp = outsider.usurp
    outsider.settle_in()
    outsider.lend(neighbours(states[0]))
    foreign = outsider.belongings()

    async def process(number: int, order: Order, after: float) -> None:
        await asyncio.sleep(after)
        await stage.process(f"{order}-{number}", order)

    async def person(after: float) -> None:
        await asyncio.sleep(after)
        outsider.act()

    first = stage.process(f"{orders[0]}-1", orders[0])
    count = chance.choice([1, 1, 2])
    others = [process(number + 2, chance.choice(orders), chance.uniform(0, SPAN)) for number in range(count)]
    people = [person(chance.uniform(0.2, SPAN)) for _ in range(chance.choice([0, 0, 1, 2, 3]))]
    if storm.evict is not None:
        people.append(outsider.visit(storm.evict_after))
    await asyncio.gather(first, *others, *people)
    final = chance.choice(orders)
    await stage.converge(Order(final.desired, destroys=final.destroys))
    if outsider.belongings() != foreign:
        stage.witness.broken.append("a foreign object was changed")
    return stage.verdict(f"seed {seed}")


def _is_job(wanted: Any) -> bool:
    return bool(wanted.key.kind is Kind.JOB)


def _is_pool(wanted: Any) -> bool:
    return bool(wanted.key.kind is Kind.POOL)


def _ended(request: Request) -> str:
    """The job that a request is to end, or nothing."""
    parts = request.path.strip("/").split("/")
    ends = (request.method, len(parts)) in (("DELETE", 2), ("POST", 3)) and parts[-1] in (*parts[:2], "terminate")
    return unquote(parts[1]) if ends and parts[0] == "jobs" else ""


def _is_list(request: Request) -> bool:
    return request.method == "GET" and request.path.strip("/") in ("pools", "jobs", "jobschedules")


class Storm:
    """Fates by chance. How bad the weather is differs from seed to seed, and so does when a process dies."""

    def __init__(self, chance: random.Random) -> None:
        self.refuses = 0.0
        """How often a list is refused for want of permission: what is not listed is not known, and never absent."""
        self._luck = random.Random(f"storm/luck/{chance.getstate()[1][0]}")
        self.evict: Callable[[float], Coroutine[Any, Any, None]] | None = None
        self.evict_after = 0.0
        self.usurp: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self._chance = chance
        self._plots: list[asyncio.Task[None]] = []
        self._rate = chance.choice([0.0, 0.03, 0.1, 0.3])
        self._slow = chance.choice([1.0, 1.0, 10.0, 100.0])
        self._treason = chance.choice([0.0, 0.0, 0.4])
        self._deadly = chance.choice([0.0, 0.0, 0.02, 0.05])

    def __call__(self, sender: Sender, request: Request) -> Fate:
        """What becomes of this request."""
        chance = self._chance
        if asyncio.get_running_loop().time() > STORM:
            return UNDISTURBED
        out, back = (LATENCY * chance.uniform(1.0, self._slow) for _ in range(2))
        if self.refuses and _is_list(request) and self._luck.random() < self.refuses:
            return Fate(out, back, status=403)
        if chance.random() < self._deadly * (1.0 if request.method != "GET" else 0.2):
            return Fate(out, back, dies=chance.choice(["before", "after"]))
        job = _ended(request)
        if job and self.usurp is not None and chance.random() < self._treason:
            # Between our look and our request, or between our request and the next look, the id changes hands.
            self._plots.append(asyncio.ensure_future(self.usurp(job)))
            return chance.choice([Fate(1.5, back), Fate(out, back, lost="answer")])
        if self.evict is not None and request.path.endswith("/disablescheduling") and self._luck.random() < 0.5:
            # Before the node is restarted, a release begins on it.
            self._plots.append(asyncio.ensure_future(self.evict(self._luck.uniform(0.0, 1.5))))
        if chance.random() >= self._rate:
            return Fate(out, back)
        match chance.randrange(8):
            case 0:
                return Fate(out, back, lost="request", silent=chance.random() < 0.3)
            case 1 | 2:
                return Fate(out, back, lost="answer", silent=chance.random() < 0.3)
            case 3:
                return Fate(out, back, status=chance.choice([429, 500, 503]))
            case 4:
                return Fate(out, back, status=chance.choice([500, 503]), late=True)
            case 5:
                return Fate(out, back, twice=True)
            case 6:
                return Fate(out, chance.uniform(1.0, 70.0))
            case _:
                return Fate(chance.uniform(1.0, 70.0), back)
