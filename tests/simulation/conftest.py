"""States of two stacks for the simulation: a small one, whose runs are quick, and a large one with everything in it."""

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
def stacks() -> Mapping[str, tuple[Desired, Desired]]:
    """The state before and after a change that replaces what can be replaced, by the size of the stack."""
    return {size: (load(HERE / size / "before"), load(HERE / size / "after")) for size in ("small", "large")}


@pytest.fixture(scope="session")
def quickstart() -> Desired:
    return load(ROOT / "manifests/quickstart")


@pytest.fixture(scope="session")
def only() -> int | None:
    """The one seed that is asked for, to see its story."""
    text = os.environ.get("RECONCILER_SEED")
    return None if text is None else int(text)
