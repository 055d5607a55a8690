"""A stage for each test: nothing declared, nothing applied."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.api.clock import WallClock
from reconciler.emulator import Simulation
from tests.web.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(WallClock, "sleep", lambda _self, _seconds: asyncio.sleep(0))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Simulation(seconds_per_request=0.5) as simulation:
        yield Stage(tmp_path, simulation, os.environ)
