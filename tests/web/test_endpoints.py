"""What programs are told: health, readiness, metrics, webhooks, status as JSON, and live updates."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from reconciler.web import endpoints, live
from tests.web.conftest import Visit
from tests.web.stage import Stage


async def test_probes_are_answered_by_whether_the_controller_is_ready(stage: Stage, visit: Visit) -> None:
    ready = False
    async with visit(stage, ready=lambda: ready, token="a token of enough letters") as visitor:
        health, before = await visitor.get("/healthz"), await visitor.get("/readyz")
        ready = True
        after = await visitor.get("/readyz")
    assert (health.code, before.code, before.text, after.code) == (200, 503, "not ready\n", 200)


async def test_metrics_are_what_the_callable_says(stage: Stage, visit: Visit) -> None:
    async with visit(stage, metrics=lambda: b"reconciler_up 1\n") as visitor:
        answer = await visitor.get("/metrics")
    assert (answer.text, answer.headers["Content-Type"]) == (
        "reconciler_up 1\n",
        "text/plain; version=0.0.4; charset=utf-8",
    )
    async with visit(stage) as visitor:
        assert (await visitor.get("/metrics")).code == 404
        assert (await visitor.post("/webhook", b"{}")).code == 404


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_webhook_goes_with_headers_and_body_to_who_checks_its_signature(
    is_async: bool, stage: Stage, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MOST_WEBHOOK", 50_000)
    taken = []

    def take(headers: Mapping[str, str], body: bytes) -> int:
        taken.append((headers["x-hub-signature-256"], body))
        return 202

    async def take_later(headers: Mapping[str, str], body: bytes) -> int:
        return take(headers, body)

    hook = take_later if is_async else take
    async with visit(stage, webhook=hook, token="a token of enough letters") as visitor:
        headers = {"X-Hub-Signature-256": "sha256=1", "Host": "hooks.example", "Content-Type": "application/json"}
        answer = await visitor.post("/webhook", b"{}" * 20_000, **headers)
        huge = await visitor.post("/webhook", b"x" * 60_000, **headers)
    assert (answer.code, huge.code) == (202, 413)
    assert taken == [("sha256=1", b"{}" * 20_000)]


async def test_every_status_is_there_as_json(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        every = json.loads((await visitor.get("/api/v1/status")).text)
        one = json.loads((await visitor.get("/api/v1/status?stack=prod")).text)
        none = await visitor.get("/api/v1/status?stack=none")
    demo, prod = every["stacks"]
    assert (every["format_version"], demo["stack"], prod["stack"]) == ("1.0", "demo", "prod")
    assert one["stacks"] == [prod]
    assert none.code == 404
    assert demo["sync"] == {"Synced": 3, "OutOfSync": 1, "Blocked": 2}
    assert demo["awaiting"] == demo["digest"] == busy.board.statuses["demo"].awaiting
    assert demo["suspensions"][0]["address"] == "job/daily"
    objects = {one["address"]: one for one in demo["objects"]}
    assert objects["job/gone"]["health"] == "Degraded"
    assert objects["job/gone"]["tasks"] == {"active": 0, "running": 0, "succeeded": 1, "failed": 1}
    assert (prod["leader"], prod["holder"]) == (False, "replica-2@host-b")


async def _next(answer: object) -> str:
    """The next event of a stream."""
    async with asyncio.timeout(60):
        while True:
            line = (await answer.content.readline()).decode().strip()  # type: ignore[attr-defined]
            if line.startswith("data: "):
                return line.removeprefix("data: ")


async def test_a_stream_says_when_something_is_new(busy: Stage, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PACE", 0.0)
    async with visit(busy) as visitor, visitor.client.get("/live") as answer:
        assert answer.content_type == "text/event-stream"
        assert await _next(answer) == str(busy.board.number)
        busy.board.event("demo", "Created", "job/x", "created")
        assert await _next(answer) == str(busy.board.number)


async def test_a_silent_stream_shows_that_it_is_alive(
    busy: Stage, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "ALIVE", 0.01)
    monkeypatch.setattr(live, "PACE", 0.0)
    async with visit(busy) as visitor, visitor.client.get("/live") as answer:
        await _next(answer)
        async with asyncio.timeout(60):
            while (await answer.content.readline()).decode() != ": alive\n":
                pass


async def test_streams_are_bounded_and_end_with_the_server(
    busy: Stage, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST", 2)
    async with visit(busy) as visitor:
        one, two = await visitor.client.get("/live"), await visitor.client.get("/live")
        async with visitor.client.get("/live") as three:
            assert (three.status, three.headers["Retry-After"]) == (503, "60")
        async with asyncio.timeout(60):
            await visitor.client.server.close()  # does not wait for browsers
        one.close()
        two.close()
