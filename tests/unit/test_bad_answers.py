"""Something else than a Batch account at the endpoint, and what changed between the look and the request."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.azure import connect
from reconciler.azure.recorded import Recorded
from reconciler.azure.refusals import check_added
from reconciler.emulator import Simulation
from reconciler.errors import Moved, Rejected, Transient
from reconciler.lifecycle.steps import Action, Verb
from reconciler.model.desired import Key, Kind
from reconciler.observed import Guard
from reconciler.ports import TaskFile

KEY = "c2VjcmV0"


@pytest.fixture
def elsewhere() -> Iterator[Any]:
    """A web server that gives every request the same answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        body = b"{}"

        def do_GET(self) -> None:
            self.send_response(200)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(Handler.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(Handler.body)

        do_HEAD = do_GET  # noqa: N815  as http.server names it

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    Handler.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield Handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "the answer is not JSON; is this the endpoint of a Batch account?"),
        (b"[]", "the answer is not a JSON object"),
        (b"{}", "the answer is not a list of a Batch account; check the endpoint"),
        (b'{"value": [{}]}', "the answer is not that of a Batch account (KeyError: 'poolId'); check the endpoint"),
    ],
)
async def test_what_is_no_batch_account_is_said_to_be_none(elsewhere: Any, body: bytes, said: str) -> None:
    elsewhere.body = body
    async with connect(elsewhere.url, "a", KEY, use_proxies=False) as account:
        with pytest.raises(Rejected) as refused:
            await account.observe()
    assert said in str(refused.value)


async def test_a_file_of_unknown_length_is_not_read(elsewhere: Any) -> None:
    async with connect(elsewhere.url, "a", KEY, use_proxies=False) as account:
        with pytest.raises(Rejected, match="the answer does not say how long the file is"):
            await account.excerpt(TaskFile("j", "t", "stdout.txt"), 10, 10)


async def test_nobody_at_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.azure.account._Retry.sleep", lambda *_: _nothing())
    async with connect("http://127.0.0.1:9", "a", KEY, use_proxies=False) as account:
        with pytest.raises(Transient, match=r"no answer from http://127\.0\.0\.1:9: "):
            await account.answer("pools", "p")


async def _nothing() -> None:
    return None


@pytest.mark.parametrize(
    ("key", "verb", "said"),
    [
        (Key.of(Kind.POOL, "p"), Verb.REPLACE_PROPERTIES, "it changed since it was looked at"),
        (Key.of(Kind.JOB, "j"), Verb.ADD_TASKS, "it was created anew since it was looked at"),
    ],
)
async def test_another_object_of_the_same_name_is_left_alone(key: Key, verb: Verb, said: str) -> None:
    stale = Guard("0x1", "2020-01-01T00:00:00Z")
    body = {
        "id": "p",
        "vmSize": "x",
        "virtualMachineConfiguration": {
            "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
            "nodeAgentSKUId": "batch.node.ubuntu 22.04",
        },
    }
    with Simulation() as batch:
        assert batch.request("POST", "/pools", body).status == 201
        assert batch.request("POST", "/jobs", {"id": "j", "poolInfo": {"poolId": "p"}}).status == 201
        async with connect(batch.endpoint, batch.account, batch.key, use_proxies=False) as account:
            with pytest.raises(Moved, match=said):
                await account.send(
                    Key.of(Kind.POOL, "p"), "p", Action(verb, "", stale, {"nodeList": ["n"]}, nodes=("n",))
                )


async def test_a_snapshot_is_no_account_that_can_be_asked() -> None:
    there = Recorded({"endpoint": "https://x", "at": "2030-01-01T00:00:00Z", "answers": {}})
    with pytest.raises(Rejected, match="the snapshot does not hold it"):
        await there.answer("pools", "p")
    with pytest.raises(Rejected, match="a snapshot takes no requests but reads"):
        await there._json("POST", "/pools/p/evaluateautoscale", "evaluate")
    with pytest.raises(Rejected, match="a snapshot cannot be asked anything new"):
        await there.excerpt(TaskFile("j", "t", "stdout.txt"), 10, 10)


@pytest.mark.parametrize(
    ("row", "kind", "said"),
    [
        (
            {"status": "clienterror", "taskId": "t", "error": {"code": "X", "message": {"value": "no room\nfor it"}}},
            Rejected,
            "add: task t: X: no room",
        ),
        ({"status": "ServerError", "taskId": "t", "error": {"code": "Y"}}, Transient, "add: task t: Y: refused"),
    ],
)
def test_a_task_of_a_collection_that_was_refused(row: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as refused:
        check_added("add", row)
    assert said in str(refused.value)
