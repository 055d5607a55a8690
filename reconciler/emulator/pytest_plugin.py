"""Fixtures for tests of one's own programs and manifests. pytest finds them wherever this package is installed.

`batch_emulator` is an account whose tasks are real processes on the wall clock, one server for the whole test run,
with its pools, jobs and faults cleared after each test. `batch_simulation` is an account in the test's own process
whose nodes and time are simulated, a new one for each test. The README has an example of each.

This module is loaded in every run of pytest, so it imports nothing but pytest until a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from reconciler.emulator import Emulator, Simulation


@pytest.fixture(scope="session")
def _batch_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    from reconciler.emulator import Emulator

    with Emulator(state=tmp_path_factory.mktemp("batch-emulator")) as emulator:
        yield emulator


@pytest.fixture
def batch_emulator(_batch_emulator: Emulator) -> Iterator[Emulator]:
    """A local Batch account that runs tasks as processes: `endpoint`, `account`, `key`, `faults`, `requests`."""
    yield _batch_emulator
    _batch_emulator.clear()


@pytest.fixture
def batch_simulation() -> Iterator[Simulation]:
    """A simulated Batch account: `request`, `advance`, `run_until_idle`, `script`, `endpoint`, `account`, `key`."""
    from reconciler.emulator import Simulation

    with Simulation() as simulation:
        yield simulation
