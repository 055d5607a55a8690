"""How fast the emulator is, as ratios to floors measured in the same run. Not a test: nothing here is collected.

    python tests/benchmarks/emulator_speed.py [list] [create] [collections] [processes] [simulated] [--scale 1.0]

Each figure is one line, `NAME VALUE UNIT`. A floor is the same work with everything left out that can be: for requests
a bare asyncio protocol that sends the same bytes to the same client, for `/bin/true` a process that is started and
waited for, for simulated tasks a heap of events. Both sides run in turn, in rounds; the median of the rounds counts,
since absolute figures mean little on a machine that others use too.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import heapq
import hmac
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reconciler.emulator import Emulator

VERSION = "api-version=2025-06-01"
VM = {
    "vmSize": "Standard_D2_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}
ROUNDS = 3


def job_body(number: int, prefix: str = "job") -> dict[str, Any]:
    """About as large as jobs of real manifests are: 1.3 KB."""
    return {
        "id": f"{prefix}-{number:06d}",
        "displayName": f"Nightly build number {number}",
        "priority": number % 1000,
        "poolInfo": {"poolId": "nowhere"},
        "constraints": {"maxTaskRetryCount": 3, "maxWallClockTime": "P1D"},
        "jobPreparationTask": {"commandLine": "/bin/sh -c 'mkdir -p $AZ_BATCH_NODE_SHARED_DIR/data'", "id": "prepare"},
        "jobReleaseTask": {"commandLine": "/bin/sh -c 'rm -rf $AZ_BATCH_NODE_SHARED_DIR/data'", "id": "release"},
        "commonEnvironmentSettings": [{"name": f"SETTING_{n}", "value": f"value {n} of {number}"} for n in range(6)],
        "metadata": [{"name": f"key-{n}", "value": f"text {n} of {number}"} for n in range(4)],
    }


class Client:
    """One keep-alive connection that signs what it sends."""

    def __init__(self, endpoint: str, account: str, key: str) -> None:
        address = urlsplit(endpoint)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=600)
        self._account, self._key = account, base64.b64decode(key)

    def __call__(self, method: str, path: str, body: bytes = b"", query: str = VERSION) -> bytes:
        headers = {"ocp-date": formatdate(usegmt=True)}
        if body:
            headers["content-type"] = "application/json; odata=minimalmetadata"
        lines = [
            method,
            "",
            "",
            str(len(body)) if body or method == "POST" else "",
            "",
            headers.get("content-type", ""),
        ]
        lines += [""] * 6 + [f"ocp-date:{headers['ocp-date']}", f"/{self._account}{path}"]
        lines += [part.replace("=", ":", 1) for part in sorted(query.split("&"))]
        digest = hmac.new(self._key, "\n".join(lines).encode(), hashlib.sha256).digest()
        headers["authorization"] = f"SharedKey {self._account}:{base64.b64encode(digest).decode()}"
        self._connection.request(method, f"{path}?{query}", body or None, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content


# --- the floor: a bare protocol


class _Bare(asyncio.Protocol):
    """Answers a GET with the bytes of a page, a POST with a small answer after decoding its body."""

    pages: tuple[bytes, ...] = ()
    sent: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.waiting = bytearray()

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.waiting[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.waiting) < end + 4 + length:
                return
            body = bytes(self.waiting[end + 4 : end + 4 + length])
            del self.waiting[: end + 4 + length]
            self.transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"post"):
            json.loads(body)
            shown, status = (self.sent, b"200 OK") if b"addtaskcollection" in head else (b"", b"201 Created")
        else:
            shown, status = self.pages[int(head.split(b"page=", 1)[1].split(b" ", 1)[0])], b"200 OK"
        return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(shown)) + shown


def serve_floor(folder: Path) -> None:
    _Bare.pages = tuple(path.read_bytes() for path in sorted(folder.glob("page-*")))
    _Bare.sent = (folder / "sent").read_bytes() if (folder / "sent").exists() else b""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Bare, "127.0.0.1", 0)
        sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()

    asyncio.run(serve())


class Floor:
    """The bare protocol in a process of its own, with the pages and the answer it is to give."""

    def __init__(self, pages: list[bytes], sent: bytes = b"") -> None:
        self._folder = tempfile.TemporaryDirectory()
        for number, page in enumerate(pages):
            Path(self._folder.name, f"page-{number:03d}").write_bytes(page)
        Path(self._folder.name, "sent").write_bytes(sent)

    def __enter__(self) -> str:
        command = [sys.executable, __file__, "--floor", self._folder.name]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return (self._child.stdout or sys.stdin).readline().strip()

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._folder.cleanup()


# --- the figures


def figure(name: str, value: float, unit: str) -> None:
    sys.stdout.write(f"{name} {value:.3g} {unit}\n")
    sys.stdout.flush()


def in_turn(name: str, ours: Callable[[], None], floor: Callable[[], None], count: int) -> None:
    """Both sides in turn; wall time per piece of work and the ratio of the rounds."""
    times = [(_seconds(ours), _seconds(floor)) for _ in range(ROUNDS)]
    figure(f"{name}.emulator", statistics.median(a for a, _ in times) / count * 1e6, "us each")
    figure(f"{name}.floor", statistics.median(b for _, b in times) / count * 1e6, "us each")
    figure(f"{name}.ratio", statistics.median(a / b for a, b in times), "times the floor")


def _seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def bench_list(emulator: Emulator, scale: float) -> None:
    count = int(10_000 * scale)
    client = Client(emulator.endpoint, emulator.account, emulator.key)
    for number in range(count):
        client("POST", "/jobs", json.dumps(job_body(number)).encode())

    def read() -> list[bytes]:
        pages, query = [], VERSION
        while query:
            pages.append(client("GET", "/jobs", query=query))
            query = urlsplit(json.loads(pages[-1]).get("odata.nextLink", "")).query
        return pages

    pages = read()
    with Floor(pages) as endpoint:
        bare = Client(endpoint, "local", "")

        def read_floor() -> None:
            for number in range(len(pages)):
                json.loads(bare("GET", "/jobs", query=f"page={number}"))

        in_turn("list", lambda: void(read()), read_floor, count)


def void(_: object) -> None:
    """The value is not needed."""


def bench_create(emulator: Emulator, scale: float) -> None:
    count, rounds = int(1000 * scale), iter(range(ROUNDS))
    client = Client(emulator.endpoint, emulator.account, emulator.key)
    with Floor([]) as endpoint:
        bare = Client(endpoint, "local", "")

        def create(to: Client, prefix: str) -> None:
            for number in range(count):
                to("POST", "/jobs", json.dumps(job_body(number, prefix)).encode())

        in_turn("create", lambda: create(client, f"create{next(rounds)}"), lambda: create(bare, "floor"), count)


def bench_collections(emulator: Emulator, scale: float) -> None:
    count, rounds = int(20_000 * scale), iter(range(ROUNDS))
    client = Client(emulator.endpoint, emulator.account, emulator.key)

    def body(first: int) -> bytes:
        tasks = [{"id": f"t-{first + n:06d}", "commandLine": f"/bin/echo {first + n}"} for n in range(100)]
        return json.dumps({"value": tasks}).encode()

    client("POST", "/jobs", json.dumps({"id": "sample", "poolInfo": {"poolId": "nowhere"}}).encode())
    sent = client("POST", "/jobs/sample/addtaskcollection", body(0))
    with Floor([], sent) as endpoint:
        bare = Client(endpoint, "local", "")

        def add(to: Client, job: str) -> None:
            for first in range(0, count, 100):
                json.loads(to("POST", f"/jobs/{job}/addtaskcollection", body(first)))

        def ours() -> None:
            job = f"collections{next(rounds)}"
            client("POST", "/jobs", json.dumps({"id": job, "poolInfo": {"poolId": "nowhere"}}).encode())
            add(client, job)

        in_turn("collections", ours, lambda: add(bare, "floor"), count)


def bench_processes(emulator: Emulator, scale: float) -> None:
    count = int(2000 * scale)
    client = Client(emulator.endpoint, emulator.account, emulator.key)
    pool = {"id": "processes", **VM, "targetDedicatedNodes": 2, "taskSlotsPerNode": 4}
    client("POST", "/pools", json.dumps(pool).encode())
    client("POST", "/jobs", json.dumps({"id": "processes", "poolInfo": {"poolId": "processes"}}).encode())
    while b'"idle"' not in client("GET", "/pools/processes/nodes"):
        time.sleep(0.05)
    begin = time.perf_counter()
    for first in range(0, count, 100):
        tasks = [{"id": f"t{first + n}", "commandLine": "/bin/true"} for n in range(min(100, count - first))]
        client("POST", "/jobs/processes/addtaskcollection", json.dumps({"value": tasks}).encode())
    while json.loads(client("GET", "/jobs/processes/taskcounts"))["taskCounts"]["completed"] < count:
        time.sleep(0.1)
    took = time.perf_counter() - begin
    floor = _seconds(lambda: _processes(count))
    figure("processes.emulator", count / took, "tasks/s")
    figure("processes.floor", count / floor, "processes/s")
    figure("processes.ratio", took / floor, "times the floor")


def _processes(count: int) -> None:
    """Two at a time, as two nodes would."""
    for _ in range(count // 2):
        pair = [subprocess.Popen(["/bin/true"]) for _ in range(2)]
        for one in pair:
            one.wait()


def bench_simulated(scale: float) -> None:
    from reconciler.emulator import Simulation

    count = int(100_000 * scale)
    begin = time.process_time()
    with Simulation() as batch:
        batch.script(seconds=(60.0, 3600.0))
        batch.request("POST", "/pools", {"id": "p", **VM, "targetDedicatedNodes": 1000})
        batch.request("POST", "/jobs", {"id": "j", "poolInfo": {"poolId": "p"}})
        for first in range(0, count, 100):
            tasks = [{"id": f"t{first + n}", "commandLine": "work"} for n in range(100)]
            batch.request("POST", "/jobs/j/addtaskcollection", {"value": tasks})
        added = time.process_time()
        batch.run_until_idle()
        counts = batch.get("/jobs/j/taskcounts")["taskCounts"]
        if counts["succeeded"] != count:
            raise SystemExit(f"not all tasks are done: {counts}")
    ended = time.process_time()
    floor = _events(count)
    figure("simulated.add", added - begin, "s of CPU")
    figure("simulated.run", ended - added, "s of CPU")
    figure("simulated.total", ended - begin, "s of CPU")
    figure("simulated.ratio", (ended - begin) / floor, "times a heap of events")


def _events(count: int) -> float:
    """Seconds of CPU to take as many tasks, as plain objects, through a heap of two events each."""
    begin = time.process_time()
    heap: list[tuple[int, int, dict[str, Any]]] = []
    for number in range(count):
        heapq.heappush(heap, (number * 7919 % 3600, number, json.loads('{"id": "t", "commandLine": "work"}')))
    for number in range(count):
        at, _, task = heapq.heappop(heap)
        heapq.heappush(heap, (at + 3600 + number, number, task | {"state": "running"}))
    while heap:
        at, _, task = heapq.heappop(heap)
        task |= {"state": "completed", "at": at}
    return time.process_time() - begin


SERVED = {"list": bench_list, "create": bench_create, "collections": bench_collections, "processes": bench_processes}


def main() -> None:
    parser = argparse.ArgumentParser(description="Figures of the emulator's speed, as ratios to floors.")
    parser.add_argument("names", nargs="*", help=f"some of {', '.join([*SERVED, 'simulated'])}; default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual amounts")
    parser.add_argument("--floor", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.floor is not None:
        return serve_floor(arguments.floor)
    for name in arguments.names or [*SERVED, "simulated"]:
        if name == "simulated":
            bench_simulated(arguments.scale)
            continue
        with tempfile.TemporaryDirectory() as state, Emulator(state=Path(state)) as emulator:
            SERVED[name](emulator, arguments.scale)
    return None


if __name__ == "__main__":
    main()
