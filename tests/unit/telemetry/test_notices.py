"""What people are told of, and what nobody is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from reconciler.controller.state import Event
from reconciler.errors import UsageError
from reconciler.telemetry.notices import BURST, Destination, Notices, destination, slack, teams, webhook

AT = "2026-01-01T00:00:00Z"
EVENT = Event(1, AT, "prod", "ReleaseFailed", "job/nightly", "exit code 1", True, "0123456789abcdef")


class Clock:
    time = 0.0

    def now(self) -> float:
        return self.time

    def utc(self) -> str:
        return ""

    async def sleep(self, seconds: float) -> None: ...


@dataclass
class Receiver:
    """A server that people get their notifications from."""

    url: str = ""
    got: list[Any] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.got.append(await request.json())
        self.arrived.set()
        return web.Response(status=status, headers={"Retry-After": "0"} if status in (429, 503) else None)

    async def received(self, count: int) -> list[Any]:
        async with asyncio.timeout(60):
            while len(self.got) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.got


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/secret-path", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/secret-path"
    yield made
    await runner.cleanup()


@contextlib.asynccontextmanager
async def sending(url: str, shape: str = "webhook") -> AsyncIterator[tuple[Notices, Clock]]:
    clock = Clock()
    notices = Notices(Destination(shape, f"{shape}=env:URL", url), clock)
    task = asyncio.create_task(notices.send())
    try:
        yield notices, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_warning_arrives_and_what_is_usual_does_not(receiver: Receiver) -> None:
    async with sending(receiver.url) as (notices, _):
        notices.event(replace(EVENT, code="Created", warning=False))
        notices.event(EVENT)
        notices.event(replace(EVENT, code="PlanAwaitsApproval", warning=False))
        got = await receiver.received(2)
    assert [one["code"] for one in got] == ["ReleaseFailed", "PlanAwaitsApproval"]
    assert got[0] == {"format_version": "1.0", "kind": "Event", **webhook(EVENT, 0)}


async def test_the_same_is_told_once_an_hour_and_a_flood_is_cut_and_counted(receiver: Receiver) -> None:
    async with sending(receiver.url) as (notices, clock):
        for _ in range(3):
            notices.event(EVENT)
        for number in range(BURST + 5):
            notices.event(replace(EVENT, address=f"job/j{number}"))
        assert len(await receiver.received(BURST)) == BURST
        clock.time = 3601
        notices.event(EVENT)
        got = await receiver.received(BURST + 1)
    assert [one["address"] for one in got][:2] == ["job/nightly", "job/j0"]
    assert (got[-1]["address"], got[-1]["left_out"]) == ("job/nightly", 6)


async def test_a_server_that_is_away_for_a_moment_is_tried_again(receiver: Receiver) -> None:
    receiver.answers = [503, 429]
    async with sending(receiver.url) as (notices, _):
        notices.event(EVENT)
        assert len(await receiver.received(1)) == 1


async def test_what_cannot_be_sent_is_told_without_the_url(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [404]
    async with sending(receiver.url) as (notices, _):
        notices.event(EVENT)
        notices.event(replace(EVENT, address="job/other"))
        await receiver.received(1)
    said = capsys.readouterr().err
    assert said == "webhook=env:URL: the notification of ReleaseFailed was not taken: it answered 404\n"


def test_a_destination_is_named_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("https://hooks.example/secret\n", "utf-8")
    found = destination(f"slack=file:{file}", {})
    assert found.url == "https://hooks.example/secret"
    assert "secret" not in repr(found)
    assert destination("teams=env:T", {"T": "https://teams.example/x"}).shape == "teams"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mail=env:X", "expected one of webhook, slack, teams"),
        ("slack=https://hooks.example/secret", "=env:NAME or =file:PATH"),
        ("slack=env:ABSENT", "expected the URL to post to, found none"),
        ("slack=env:WRONG", "expected the URL to post to, found something else"),
        ("slack=file:/absent/file", "the file cannot be read: No such file"),
    ],
)
def test_a_destination_that_is_none_is_refused(given: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        destination(given, {"WRONG": "not a url"})


def test_slack_takes_nothing_of_it_for_a_mention() -> None:
    body = slack(replace(EVENT, address="job/<!channel>", message="<!here> *bold*"), 2)
    assert body["text"] == "ReleaseFailed - prod: job/&lt;!channel&gt;"
    assert {block["text"]["type"] for block in body["blocks"] if "text" in block} == {"plain_text"}
    assert body["blocks"][1]["text"]["text"] == "<!here> *bold* (2 more were left out)"


def test_teams_gets_a_card_without_markup() -> None:
    card = teams(EVENT, 0)["attachments"][0]["content"]
    assert [line["inlines"][0]["text"] for line in card["body"]] == [
        "ReleaseFailed - prod: job/nightly",
        "exit code 1",
        "2026-01-01T00:00:00Z, revision 0123456789ab",
    ]


def test_a_long_message_is_cut() -> None:
    assert len(slack(replace(EVENT, message="x" * 5000), 0)["blocks"][1]["text"]["text"]) == 1000
