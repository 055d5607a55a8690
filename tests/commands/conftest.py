"""Commands in this process, on the simulated emulator over HTTP: time goes on with every request."""

import asyncio
import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.api.clock import WallClock
from reconciler.cli.main import main
from reconciler.emulator import Simulation

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\n"
POOL = """\
apiVersion: reconciler/v1
kind: Pool
metadata: {name: p}
spec:
  vmSize: Standard_D2s_v3
  virtualMachineConfiguration:
    imageReference: {publisher: canonical, offer: 0001-com-ubuntu-server-jammy, sku: 22_04-lts}
    nodeAgentSKUId: batch.node.ubuntu 22.04
  targetDedicatedNodes: 1
"""
JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec: {poolInfo: {poolId: p}}
tasks:
- {id: t1, commandLine: /bin/true}
"""


@dataclass
class Ran:
    """What a command printed and answered."""

    code: int
    out: str
    err: str


def called(*arguments: str) -> Ran:
    """One command to its end."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


@dataclass
class Desk:
    """A folder of manifests, a simulated account, and the command line pointed at it."""

    folder: Path
    simulation: Simulation

    def write(self, **files: str | None) -> None:
        """Manifests by name; None removes one."""
        for name, text in files.items():
            path = self.folder / f"{name}.yaml"
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(text, "utf-8")

    def run(self, *arguments: str) -> Ran:
        return called(*arguments)

    def apply(self, *flags: str) -> Ran:
        ran = self.run("apply", str(self.folder), "--auto-approve", "--no-wait", *flags)
        assert ran.code == 0, ran.out + ran.err
        return ran


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Stack `s` with nothing in it, nothing applied yet."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(WallClock, "sleep", lambda _self, _seconds: asyncio.sleep(0))
    with Simulation(seconds_per_request=0.5) as simulation:
        for name, value in (
            ("HOME", str(tmp_path)),
            ("XDG_STATE_HOME", str(tmp_path / "state")),
            ("AZURE_BATCH_ENDPOINT", simulation.endpoint),
            ("AZURE_BATCH_ACCOUNT", simulation.account),
            ("AZURE_BATCH_ACCESS_KEY", simulation.key),
        ):
            monkeypatch.setenv(name, value)
        made = Desk(folder, simulation)
        made.write(stack=STACK)
        yield made
