"""What `reconciler verify` does: a death around every change of apply, of a replacement of each job and schedule and
of destroy; two or three processes and somebody in the portal, by seeds; and that under every reading of what no source
settles about the end of a job."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.emulator.switches import Switches
from reconciler.errors import ReconcilerError
from reconciler.model.desired import Desired, Kind
from reconciler.verify import crashes, states
from reconciler.verify.process import Order
from reconciler.verify.seeds import Verdict, play

READINGS: Final[tuple[tuple[str, Switches], ...]] = (
    ("as the emulator suggests", Switches()),
    ("delete_while_terminating=cut", Switches(delete_while_terminating="cut")),
    ("delete_while_terminating=again", Switches(delete_while_terminating="again")),
    ("release_on_leaving_nodes=finish", Switches(release_on_leaving_nodes="finish")),
    ("release_on_leaving_nodes=run", Switches(release_on_leaving_nodes="run")),
    ("terminating_waits_for_lost_nodes=false", Switches(terminating_waits_for_lost_nodes=False)),
    ("release_after_unfinished_preparation=true", Switches(release_after_unfinished_preparation=True)),
    ("preparation_survives_disable=false", Switches(preparation_survives_disable=False)),
)
"""Switches of the emulator that concern how a job ends, one at a time beside the suggested ones."""


class NotSimulatedError(ReconcilerError):
    """The simulated account does not take these manifests, so nothing can be said about them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One run: what was done, under which reading, and what became of it."""

    road: str
    reading: str
    verdict: Verdict

    def __str__(self) -> str:
        """The counter-example, for people."""
        return f"{self.road}, {self.reading}: {self.verdict}"


def examine(desired: Desired, seeds: Sequence[int]) -> Iterator[Finding]:
    """Every run, as it is made. Raises NotSimulatedError when the first of them is refused."""
    before = states.small(desired)
    after = states.successor(before)
    # A changed schedule takes its changes as it is; it is made anew on request alone.
    anew = frozenset(key for key in before.objects if key.kind is Kind.JOB_SCHEDULE)
    roads = {
        "apply": [Order(before)],
        "replace": [Order(before, work=True), Order(after, replace=anew)],
        "destroy": [Order(before, work=True), Order(before, destroys=True)],
    }
    for name, orders in roads.items():
        if refused := crashes.undisturbed(orders).refused:
            raise NotSimulatedError(f"the simulated account does not go through {name}: {'; '.join(refused)}")
        yield from (
            Finding(name, READINGS[0][0], verdict) for verdict in crashes.explore(orders, reads=False, same=False)
        )
    for reading, switches in READINGS[1:]:
        for verdict in crashes.explore(roads["destroy"], reads=False, same=False, switches=switches):
            yield Finding("destroy", reading, verdict)
    yield from (_played(before, after, seed) for seed in seeds)


def replay(desired: Desired, seed: int) -> Finding:
    """One of the runs of several processes, again."""
    before = states.small(desired)
    return _played(before, states.successor(before), seed)


def _played(before: Desired, after: Desired, seed: int) -> Finding:
    reading, switches = READINGS[seed % len(READINGS)]
    return Finding("several processes", reading, play(seed, [before, after], switches=switches))
