"""A process is killed at every point in turn, and a fresh one goes on: the account ends as if nobody had died, and
release ran as often."""

from collections.abc import Iterable, Mapping

import pytest

from reconciler.model.desired import Desired
from reconciler.verify.crashes import explore, undisturbed
from reconciler.verify.process import Order
from reconciler.verify.seeds import Verdict

Stacks = Mapping[str, tuple[Desired, Desired]]


def holds(verdicts: Iterable[Verdict]) -> int:
    """The number of runs, in all of which every promise was kept."""
    found = list(verdicts)
    for verdict in found:
        assert not verdict.broken, str(verdict)
    return len(found)


def roads(stacks: Stacks, quickstart: Desired) -> dict[str, list[Order]]:
    before, after = stacks["large"]
    return {
        "quickstart": [Order(quickstart)],
        "destroy": [Order(quickstart, work=True), Order(quickstart, destroys=True)],
        "replace everything": [Order(before, work=True), Order(after)],
    }


@pytest.mark.parametrize("name, runs", [("quickstart", 9), ("destroy", 7), ("replace everything", 19)])
def test_death_around_every_change_leaves_nothing_behind(
    stacks: Stacks, quickstart: Desired, name: str, runs: int
) -> None:
    assert holds(explore(roads(stacks, quickstart)[name], reads=False)) == runs


def test_a_saved_plan_is_applied_to_its_end_whenever_its_process_dies(stacks: Stacks, quickstart: Desired) -> None:
    """And no other plan is needed for it: every incarnation that it made is known for its own."""
    orders = roads(stacks, quickstart)["replace everything"]
    assert holds(explore(orders, reads=False, saves=True)) == 19


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["quickstart", "destroy", "replace everything"])
def test_death_around_every_request_leaves_nothing_behind(stacks: Stacks, quickstart: Desired, name: str) -> None:
    orders = roads(stacks, quickstart)[name]
    orders = [*orders[:-1], Order(orders[-1].desired, orders[-1].destroys, work=True)]
    assert holds(explore(orders)) > 40


def test_each_prepared_node_is_released_once(stacks: Stacks, quickstart: Desired) -> None:
    """What the comparisons above compare with."""
    found = {name: undisturbed(orders).releases for name, orders in roads(stacks, quickstart).items()}
    assert found == {
        "quickstart": (),
        "destroy": (("prep-and-release", 1), ("prep-and-release", 1)),
        "replace everything": (("every:job-1", 1), ("leaving", 1), ("main", 1), ("main", 1)),
    }
