"""Fixtures for tests of one's own programs and manifests. Switched on with this line in a `conftest.py`:

    pytest_plugins = ["reconciler.emulator.pytest_plugin"]

`batch_emulator` is an account whose tasks are real processes on the wall clock, one server for the whole test run,
with its pools, jobs and faults cleared after each test. `batch_simulation` is an account in the test's own process
whose nodes and time are simulated, a new one for each test:

    def test_a_nightly_run_ends_before_the_morning(batch_simulation):
        batch_simulation.script(command="train", seconds=5 * 3600)
        submit_nightly_run(batch_simulation.endpoint, batch_simulation.account, batch_simulation.key)
        batch_simulation.advance(hours=6)
        assert batch_simulation.get("/jobs/nightly")["state"] == "completed"
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.emulator import Emulator, Simulation


@pytest.fixture(scope="session")
def _batch_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
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
    with Simulation() as simulation:
        yield simulation
