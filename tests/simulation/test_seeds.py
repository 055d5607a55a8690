"""The real executor, lifecycle and SDK client on a virtual clock, against the simulated emulator: two or three
processes and somebody in the portal, interleaved by a seed, with requests and answers that are lost, late or doubled
and processes that are killed. `RECONCILER_SEED=N pytest tests/simulation -s` plays one seed and prints its story.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.emulator.switches import Switches
from reconciler.model.desired import Desired
from reconciler.verify.seeds import Verdict, play

Stacks = Mapping[str, tuple[Desired, ...]]
NIGHTLY, BLOCK = 10_000, 100
ROOT = Path(__file__).parents[2]
ALL_OPERATIONS = Switches(reimage_is_accepted=True)
"""Whether today's service reimages nodes is not known; where it does not, there is nothing to break."""


def played(stacks: Stacks, seeds: range) -> list[Verdict]:
    return [_play(seed, stacks) for seed in seeds]


def _play(seed: int, stacks: Stacks) -> Verdict:
    """One run in five has everything in it, and one is about nodes."""
    which = {0: "large", 2: "nodes"}.get(seed % 5, "small")
    return play(seed, stacks[which], switches=ALL_OPERATIONS if which == "nodes" else None)


def holds(verdicts: list[Verdict]) -> None:
    """Every promise was kept; the story of the first run in which one was not."""
    broken = [verdict for verdict in verdicts if verdict.broken]
    assert not broken, f"{len(broken)} of {len(verdicts)} runs, the first:\n{broken[0]}"


@pytest.mark.parametrize("first", range(0, 240, 24))
def test_no_interleaving_breaks_a_promise(stacks: Stacks, only: int | None, first: int) -> None:
    seeds = range(first, first + 24) if only is None else range(only, only + 1)
    verdicts = played(stacks, seeds)
    if only is not None:
        sys.stdout.write(f"{verdicts[0]}\n")
    holds(verdicts)


@pytest.mark.parametrize("seed", [5347, 9477])
def test_a_run_that_once_waited_for_ever_ends(stacks: Stacks, seed: int) -> None:
    holds(played(stacks, range(seed, seed + 1)))


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, NIGHTLY, BLOCK))
def test_no_interleaving_of_many_breaks_a_promise(stacks: Stacks, first: int) -> None:
    holds(played(stacks, range(first, first + BLOCK)))


def test_a_seed_is_the_same_run_in_another_process(stacks: Stacks) -> None:
    """Also where sets are in another order: the hash seed of strings is another one there."""
    program = (
        "from pathlib import Path\n"
        "from reconciler.manifest import load_all\n"
        "from reconciler.verify.seeds import play\n"
        "states = [load_all([f'tests/simulation/large/{name}'], variables={}, environment={})[0] "
        "for name in ('before', 'after')]\n"
        "print(*(play(seed, states).story for seed in (5, 6)), sep='')\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = "".join(str(play(seed, stacks["large"]).story) for seed in (5, 6))
    assert other.stdout.strip() == here.strip()
