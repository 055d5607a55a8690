"""The command line as a user runs it: subprocesses against a real emulator process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from e2e import forked

from reconciler.emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
POOL = """\
apiVersion: reconciler/v1
kind: Pool
metadata: {name: p}
spec:
  vmSize: Standard_D2s_v3
  virtualMachineConfiguration:
    imageReference: {publisher: canonical, offer: 0001-com-ubuntu-server-jammy, sku: 22_04-lts}
    nodeAgentSKUId: batch.node.ubuntu 22.04
  targetDedicatedNodes: 2
"""
JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec:
  poolInfo: {poolId: p}
  jobPreparationTask:
    commandLine: /bin/sh -c 'echo "$AZ_BATCH_JOB_ID" >> "$AZ_BATCH_NODE_SHARED_DIR/prepared.txt"'
  jobReleaseTask:
    commandLine: /bin/sh -c 'echo "$AZ_BATCH_JOB_ID" >> "$AZ_BATCH_NODE_SHARED_DIR/released.txt"'
tasks:
- {id: t1, commandLine: /bin/sh -c 'sleep 0.2'}
- {id: t2, commandLine: /bin/sh -c 'sleep 0.2'}
- {id: t3, commandLine: /bin/true}
- {id: t4, commandLine: /bin/true}
"""
STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\n"


@dataclass
class Ran:
    """What a command printed and answered."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Bench:
    """A folder of manifests, an emulator, and the command line pointed at it."""

    folder: Path
    emulator: Emulator
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, **files: str | None) -> None:
        """Manifests by name; None removes one."""
        for name, text in files.items():
            path = self.folder / f"{name}.yaml"
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(text, "utf-8")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "reconciler", *arguments]

    def run(self, *arguments: str, stdin: str = "", timeout: float = 60, **environment: str) -> Ran:
        """One command to its end."""
        surroundings = {**self.environment, **environment}
        code, out, err = forked.run(
            arguments,
            stdin=stdin,
            environment=surroundings,
            folder=self.folder.parent,
            streams=self.folder.parent / "streams",
            timeout=timeout,
        )
        assert "Traceback" not in err, err
        return Ran(code, out, err)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """One command in the background."""
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder.parent,
        )

    def apply(self, *flags: str, **more: str) -> Ran:
        return self.run("apply", str(self.folder), "--auto-approve", *flags, **more)

    def shared(self, name: str) -> dict[str, list[str]]:
        """The lines of a file in the shared directory of each node that has it, by node id, as the tasks wrote it."""
        found = (self.emulator.state / "nodes").glob(f"*/*/shared/{name}")
        return {path.parent.parent.name: path.read_text("utf-8").split("\n")[:-1] for path in found}

    def writes(self, since: int = 0) -> list[str]:
        """`METHOD path` of every request that was not a read."""
        rows = self.emulator.requests(since)
        return [f"{row['method']} {row['path']}" for row in rows if row["method"] not in ("GET", "HEAD")]

    @property
    def last_request(self) -> int:
        return max((row["n"] for row in self.emulator.requests()), default=0)


def pointed_at(emulator: Emulator, home: Path) -> dict[str, str]:
    """An environment like a user's, with the emulator as the account."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AZURE_BATCH_ENDPOINT": emulator.endpoint,
        "AZURE_BATCH_ACCOUNT": emulator.account,
        "AZURE_BATCH_ACCESS_KEY": emulator.key,
    }


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Stack `s` with a pool of two nodes and a job of four tasks, nothing applied yet. A parameter, where a test gives
    one, holds switches of the emulator."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    with Emulator(state=tmp_path / "emulator", switches=getattr(request, "param", None)) as emulator:
        made = Bench(folder, emulator, pointed_at(emulator, tmp_path))
        made.write(stack=STACK, pool=POOL, job=JOB)
        yield made
