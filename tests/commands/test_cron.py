"""The crontab line of the README: short runs, one after another, that finish what takes longer than any of them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest
from commands.conftest import POOL, Desk, Ran

from reconciler.api.clock import WallClock
from reconciler.emulator import Outcome
from reconciler.emulator.ports import Launch

FLAGS = ("--auto-approve", "--max-duration", "4m", "--detailed-exitcode")
JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec:
  poolInfo: {poolId: p}
  jobPreparationTask: {commandLine: prepare}
  jobReleaseTask: {commandLine: release}
tasks:
- {id: t1, commandLine: sleep 30}
- {id: t2, commandLine: sleep 30}
- {id: t3, commandLine: sleep 30}
"""


class Crontab:
    """`*/5 * * * * reconciler apply ...` on the clock of the simulation, for the commands of a desk too."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk = desk
        self.simulation = desk.simulation
        self.releases: Counter[str] = Counter()
        self.overlapping: list[Ran] = []
        self._overlaps = False
        self.simulation.on_run(self._release)
        monkeypatch.setattr(WallClock, "now", lambda _: self.simulation.now.timestamp())
        monkeypatch.setattr(WallClock, "utc", lambda _: self.simulation.now.isoformat(timespec="milliseconds"))

        async def sleep(_: WallClock, seconds: float) -> None:
            self.simulation.advance(seconds)
            if self._overlaps:
                self._overlaps = False
                self.overlapping.append(self._beside())

        monkeypatch.setattr(WallClock, "sleep", sleep)

    def _release(self, launch: Launch) -> Outcome | None:
        """Releases take almost as long as the service lets them."""
        if launch.command_line != "release":
            return None
        self.releases[launch.node] += 1
        return Outcome(seconds=895)

    def _beside(self) -> Ran:
        """The same line, in a process of its own."""
        command = [sys.executable, "-m", "reconciler", "apply", str(self.desk.folder), *FLAGS]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return Ran(done.returncode, done.stdout, done.stderr)

    def next_run(self, *, overlapped: bool = False) -> Ran:
        """Wait for the next time of the line, and run it; where it is to be *overlapped*, cron starts another one in
        the middle of it."""
        self._overlaps = overlapped
        now = self.simulation.now
        due = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0) + timedelta(minutes=5)
        self.simulation.advance((due - now).total_seconds())
        return self.desk.run("apply", str(self.desk.folder), *FLAGS)


@pytest.fixture
def crontab(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Crontab:
    return Crontab(desk, monkeypatch)


def test_runs_of_four_minutes_finish_a_release_of_fifteen(crontab: Crontab) -> None:
    desk, simulation = crontab.desk, crontab.simulation
    desk.write(pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 3"), job=JOB)
    while (first := crontab.next_run()).code == 3:
        pass
    assert first.code == 0, first.out
    assert simulation.get("/jobs/j")["state"] == "active"

    desk.write(job=None)
    ran = [crontab.next_run(overlapped=number == 1) for number in range(5)]
    assert [one.code for one in ran] == [3, 3, 3, 0, 0], [one.out for one in ran]
    for one in ran[:3]:
        assert "In progress: out of time; job/j: wait for release" in one.out
    assert "Done. 1 deleted." in ran[3].out
    assert ran[4].out.endswith("No changes. The account matches the manifests.\n")
    assert [one.code for one in crontab.overlapping] == [5], crontab.overlapping
    assert "error: 's' is locked: " in crontab.overlapping[0].err
    assert sorted(crontab.releases.values()) == [1, 1, 1]
    assert simulation.request("GET", "/jobs/j").status == 404
