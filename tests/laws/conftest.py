"""What the laws of apply share: a simulated account, and the command line pointed at it, in this process."""

import asyncio
import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.api.clock import WallClock
from reconciler.cli.main import main
from reconciler.emulator import Simulation

Body = dict[str, Any]
KINDS = {"pool": "Pool", "job": "Job", "jobschedule": "JobSchedule"}
API = {"apiVersion": "reconciler/v1"}


@dataclass
class Stack:
    """A folder of manifests with a stack of its own, and the account."""

    folder: Path
    simulation: Simulation | None = None

    def write(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """All of the stack's objects, each in a file of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("*.yaml"):
            old.unlink()
        own = {**API, "kind": "Stack", "metadata": {"name": self.folder.name}}
        for document in (own, *documents):
            name = f"{document['kind']}-{document['metadata']['name']}.yaml"
            (self.folder / name).write_text(yaml.safe_dump(dict(document), allow_unicode=True), "utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of one command."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
        return code, out.getvalue(), err.getvalue()

    def plan(self, *flags: str) -> dict[str, Body]:
        """What the plan says of each object, by address."""
        _, out, err = self.run("plan", str(self.folder), "--format", "json", *flags)
        assert out, err
        return {change["address"]: change for change in json.loads(out)["resource_changes"]}

    def apply(self, *flags: str) -> tuple[int, str]:
        """Exit code, and all that was printed."""
        arguments = ("--auto-approve", "--no-wait", "--detailed-exitcode", "--allow-deletes", "10000")
        code, out, err = self.run("apply", str(self.folder), *arguments, *flags)
        assert code != 64, err
        return code, out + err


def road(change: Mapping[str, Any]) -> tuple[str, ...]:
    """The verbs of a plan, without what is waited for in between, and without our own note that all is written."""
    silent = ("done", "update its mark")
    return tuple(step for step in change["road"] if not step.startswith("wait for ") and step not in silent)


def point(patch: pytest.MonkeyPatch, account: Any, home: Path) -> None:
    """Have commands use *account*, an emulator or a simulation, and keep nothing beyond the test."""
    for name, value in (
        ("HOME", str(home)),
        ("XDG_STATE_HOME", str(home)),
        ("AZURE_BATCH_ENDPOINT", account.endpoint),
        ("AZURE_BATCH_ACCOUNT", account.account),
        ("AZURE_BATCH_ACCESS_KEY", account.key),
    ):
        patch.setenv(name, value)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


@pytest.fixture(scope="module")
def simulation(home: Path) -> Iterator[Simulation]:
    """An account with the applications `one` (versions 1 and 2) and `two` (1). Time goes on with every request."""
    packages = home / "applications"
    for package in ("one/1", "one/2", "two/1"):
        (packages / package).mkdir(parents=True)
    with (
        Simulation(seconds_per_request=2.0, applications=packages) as simulation,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(WallClock, "sleep", lambda _self, _seconds: asyncio.sleep(0))
        point(patch, simulation, home)
        yield simulation
