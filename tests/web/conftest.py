"""Stages: an empty one for each test, and one that much has happened on, made once."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer

from reconciler.api.clock import WallClock
from reconciler.api.options import DEFAULTS
from reconciler.controller.state import Mode, PassEnd, Suspension
from reconciler.emulator import Simulation
from tests.web.stage import JOB, POOL, REVISION, Bulletin, Desk, Stage

SECRET = "swordfish-4711"
SCHEDULE = """\
apiVersion: reconciler/v1
kind: JobSchedule
metadata: {name: etl}
spec:
  schedule: {recurrenceInterval: PT1H}
  jobSpecification: {poolInfo: {poolId: cpu}, jobManagerTask: {id: m, commandLine: etl}}
"""
CHANGED = """\
  priority: 10
  commonEnvironmentSettings:
  - {name: DB_PASSWORD, value: {secretRef: {env: DB_PASSWORD}}}
  - {name: FILES, value: 'https://a.blob.core.windows.net/c?sig=swordfish-4711'}
"""


@contextmanager
def _at_home(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody whose files are in *folder*, and no waiting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WallClock, "sleep", lambda _self, _seconds: asyncio.sleep(0))
        for name, value in (("HOME", folder), ("XDG_STATE_HOME", folder / "state"), ("DB_PASSWORD", SECRET)):
            patch.setenv(name, str(value))
        yield dict(os.environ)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Nothing declared, nothing applied."""
    with _at_home(tmp_path) as environment, Simulation(seconds_per_request=0.5) as simulation:
        yield Stage(tmp_path, simulation, environment)


@pytest.fixture(scope="session")
def _history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    with Simulation(seconds_per_request=0.5) as simulation:
        with _at_home(folder) as environment:
            made = Stage(folder, simulation, environment)
            asyncio.run(_happen(made))
        yield made


@pytest.fixture
def busy(_history: Stage) -> Stage:
    """Stack `demo`: `nightly` is to change and is blocked, the release of `gone` failed on a node, `weekly` is new,
    `etl` made a job, `daily` is suspended; a plan waits for approval. Stack `prod` is synced. The board is the test's
    own, the account is not to be changed."""
    made = Stage(_history.folder, _history.simulation, _history.environment)
    made.board = Bulletin(dict(_history.board.statuses), list(_history.board.happened))
    made.desk = Desk(made.board, logs=_history.desk.logs)
    return made


async def _happen(stage: Stage) -> None:
    simulation = stage.simulation
    simulation.script(command="render", seconds=200)
    simulation.script(command="fetch-data", seconds=5)
    simulation.script(command="clean-up", job="gone", exit_code=3, times=1)
    simulation.script(task="frame-1", job="gone", exit_code=2)
    simulation.script(task="frame-2", job="gone", seconds=10)
    stage.write(
        cpu=POOL % ("cpu", 4),
        nightly=JOB % ("nightly", "cpu", 8),
        daily=JOB % ("daily", "cpu", 2),
        gone=JOB % ("gone", "cpu", 2),
        etl=SCHEDULE,
    )
    await stage.apply(options=DEFAULTS.but(wait=False))
    simulation.advance(minutes=3)
    stage.write(gone=None)
    await stage.apply(options=DEFAULTS.but(wait=False))
    stage.write(
        nightly=(JOB % ("nightly", "cpu", 8)).replace("spec:\n", f"spec:\n{CHANGED}"), new=JOB % ("weekly", "cpu", 3)
    )
    await stage.look()
    suspended = Suspension(
        "job/daily", "failures are looked into", "ada", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    )
    status = await stage.look(
        mode=Mode.APPROVE,
        end=PassEnd.AWAITING_APPROVAL,
        suspensions=(suspended,),
        window="Mon-Fri 06:00-18:00 Europe/Berlin, open now",
        problems=(f"job/nightly: https://a.blob.core.windows.net/c?sig={SECRET} was refused",),
        not_before={"job/weekly": ("2026-01-01T00:10:00Z", "429 TooManyRequests")},
        receipts={"job/gone": ("receipt gone@1.json",), "job/old": ("receipt old@1.json",)},
    )
    assert status.plan is not None
    stage.board.publish(replace(status, awaiting=status.plan.digest))
    stage.write("prod", pool=POOL % ("small", 0))
    await stage.apply("prod")
    await stage.look("prod", leader=False, holder="replica-2@host-b")
    stage.board.event(
        "demo", "Created", "job/nightly", "created with 8 tasks", revision=REVISION.id, fields={"tasks": "8"}
    )
    stage.board.event("demo", "ReleaseFailed", "job/gone", "release failed on one node (exit code 3)", warning=True)
    stage.board.event("prod", "DriftReverted", "pool/small", "targetDedicatedNodes: 1 -> 0")
    stage.desk.logs = {("preparation", "stdout.txt"): b"fetched 12 files\n"}


@dataclass(frozen=True)
class Answer:
    """What came back. *words* is the text of a page without its tags."""

    code: int
    text: str
    headers: Any

    @property
    def words(self) -> str:
        text = re.sub(r"<(script|style|title)\b.*?</\1>", " ", self.text, flags=re.S)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())

    def field(self, name: str) -> str:
        """The value of the first hidden field of that name."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found, f"no field {name}"
        return unescape(found[1])


class Visitor:
    """A browser without JavaScript, as far as HTTP goes."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client

    async def get(self, path: str, **headers: str) -> Answer:
        async with self.client.get(path, headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, await answer.text(), answer.headers)

    async def post(self, path: str, data: Any = None, **headers: str) -> Answer:
        async with self.client.post(path, data=data, headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, await answer.text(), answer.headers)

    async def send(self, page: str, path: str, **fields: str) -> Answer:
        """A form as the page shows it."""
        token = (await self.get(page)).field("form_token")
        return await self.post(path, {"form_token": token, **fields})


Visit = Callable[..., AbstractAsyncContextManager[Visitor]]


@pytest.fixture
def visit() -> Visit:
    """Opens a stage's page for a visitor: `async with visit(stage, token=...) as visitor`."""

    @asynccontextmanager
    async def opened(stage: Stage, **options: Any) -> AsyncIterator[Visitor]:
        jar = CookieJar(unsafe=True)  # cookies of an address, too
        async with TestClient(TestServer(stage.application(**options)), cookie_jar=jar) as client:
            yield Visitor(client)

    return opened
