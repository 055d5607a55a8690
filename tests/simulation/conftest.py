"""States of the stacks for the simulation: a small one, whose runs are quick, a large one with everything in it, and
one about single nodes."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.manifest import load_all
from reconciler.model.desired import Desired

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def load(folder: Path) -> Desired:
    [desired] = load_all([str(folder)], variables={}, environment={})
    return desired


@pytest.fixture(scope="session")
def stacks() -> Mapping[str, tuple[Desired, ...]]:
    """The state before and after a change that replaces what can be replaced, by the size of the stack; and those of a
    pool that loses nodes and has them restarted or reimaged."""
    names = {"small": ("before", "after"), "large": ("before", "after"), "nodes": ("before", "restarted", "reimaged")}
    return {stack: tuple(load(HERE / stack / name) for name in states) for stack, states in names.items()}


@pytest.fixture(scope="session")
def quickstart() -> Desired:
    return load(ROOT / "manifests/quickstart")


@pytest.fixture(scope="session")
def only() -> int | None:
    """The one seed that is asked for, to see its story."""
    text = os.environ.get("RECONCILER_SEED")
    return None if text is None else int(text)
