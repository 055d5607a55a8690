"""How fast the status page is with many jobs. Not a test: nothing here is collected.

    python tests/benchmarks/status_page.py [JOBS]

A stack of JOBS jobs (10,000) on four pools, most of them as their manifests say, every tenth changed, every hundredth
with failed tasks, is planned for real and put on a board. Each figure is one line, `NAME VALUE UNIT`: the index, which
is built once for each pass, then each page over HTTP as the median of many requests, and the same for a handler that
answers with as many bytes and does nothing else (`floor`).
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from aiohttp import ClientSession, web

from reconciler.controller.state import Event, Mode, PassEnd, PassRecord, StackStatus
from reconciler.lifecycle.steps import Context
from reconciler.manifest import load
from reconciler.model.desired import Desired
from reconciler.observed import Guard, Live, LiveJob, LivePool, Mark, NodeRun, Observed, Run, TaskCounts
from reconciler.planning import make_plan
from reconciler.ports import Revision
from reconciler.web import Address, application, serve
from reconciler.web.index import Index

POOL = """\
apiVersion: reconciler/v1
kind: Pool
metadata: {name: pool-%d}
spec:
  vmSize: Standard_D2s_v3
  virtualMachineConfiguration:
    imageReference: {publisher: canonical, offer: 0001-com-ubuntu-server-jammy, sku: 22_04-lts}
    nodeAgentSKUId: batch.node.ubuntu 22.04
  targetDedicatedNodes: 20
"""
JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: job-%05d}
spec:
  poolInfo: {poolId: pool-%d}
  priority: 5
  jobPreparationTask: {commandLine: prepare}
  jobReleaseTask: {commandLine: release}
tasks: [{id: t, commandLine: work}]
"""
PAGES = {
    "overview": "/",
    "stack": "/stacks/big",
    "objects": "/stacks/big/objects",
    "last_page": "/stacks/big/objects?page=100",
    "search": "/stacks/big/objects?q=job-09&sync=OutOfSync",
    "job": "/stacks/big/objects/job/job-00100",
    "pool": "/stacks/big/objects/pool/pool-0",
    "plan": "/stacks/big/plan",
    "events": "/events",
    "json": "/api/v1/status",
}


class Board:
    """A board on which nothing moves."""

    def __init__(self, status: StackStatus) -> None:
        self.statuses = {status.stack: status}
        self.events = tuple(
            Event(number, status.observed_at, "big", "Created", f"job/job-{number:05}", "created")
            for number in range(1000)
        )

    async def changed(self, after: int) -> int:
        return await asyncio.Future()


def declared(jobs: int) -> Desired:
    with tempfile.TemporaryDirectory() as folder:
        documents = [POOL % number for number in range(4)] + [JOB % (number, number % 4) for number in range(jobs)]
        Path(folder, "stack.yaml").write_text("apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: big}\n")
        Path(folder, "all.yaml").write_text("---\n".join(documents))
        return load([folder], variables={}, environment={})


def observed(desired: Desired) -> Observed:
    """What is there: like the manifests, but for some."""
    found: dict[str, dict[object, Live]] = {"pool": {}, "job": {}}
    done, failed = Run("completed", 0, "success", retries=0), Run("completed", 3, "failure", retries=2)
    for number, (key, wanted) in enumerate(desired.objects.items()):
        guard = Guard("0x1", "2026-01-01T00:00:00Z")
        mark = Mark("big", wanted.digest, wanted.tasks_digest if wanted.tasks else "")
        if key.kind == "pool":
            found["pool"][key] = LivePool(
                key, wanted.name, "active", guard, mark, wanted.spec, nodes={"idle": 20}, current=20
            )
            continue
        bad = number % 100 == 0
        job = LiveJob(key, wanted.name, "active", guard, mark, wanted.spec)
        nodes = tuple(
            NodeRun(f"tvm-{node}", "pool-0", done, failed if bad and not node else None) for node in range(20)
        )
        job = replace(job, counts=TaskCounts(0, 0, 1 - bad, bad), nodes=nodes if bad else None)
        if number % 10 == 3:
            job = replace(job, spec={**wanted.spec, "priority": 0})
        found["job"][key] = job
    return Observed(found["pool"], found["job"], "2026-01-01T00:00:00Z")  # type: ignore[arg-type]


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def timed(request: Callable[[], Awaitable[int]], rounds: int) -> tuple[float, int]:
    """Median milliseconds of a request, and the bytes that came."""
    times, size = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        size = await request()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), size


async def measure(jobs: int) -> None:
    desired = declared(jobs)
    seen = observed(desired)
    began = time.perf_counter()
    made = make_plan(desired, seen, Context("big"))
    tell(f"plan {(time.perf_counter() - began) * 1000:.0f} ms")
    last = PassRecord(1, seen.at, 1.0, PassEnd.OUT_OF_SYNC, Revision("abc"))
    status = StackStatus(
        "big", "https://big.example", Mode.AUTO, Revision("abc"), Revision("abc"), plan=made, observed=seen,
        observed_at=seen.at, passes=(last,), awaiting=made.digest,
    )  # fmt: skip
    began = time.perf_counter()
    index = Index(status)
    tell(f"index {(time.perf_counter() - began) * 1000:.0f} ms")
    began = time.perf_counter()
    _ = index.summary, index.digest, index.changed, index.blocked, index.waiting, index.notes, index.tasks
    tell(f"index_rest {(time.perf_counter() - began) * 1000:.0f} ms")
    runner, address = await serve(application(Board(status), object()), Address("127.0.0.1", 0))  # type: ignore[arg-type]
    body = [b""]
    bare = web.Application()

    async def floor(_: web.Request) -> web.Response:
        return web.Response(body=body[0], content_type="text/html")

    bare.router.add_get("/", floor)
    bare_runner, bare_address = await serve(bare, Address("127.0.0.1", 0))
    async with ClientSession() as client:

        async def get(url: str) -> int:
            async with client.get(url) as answer:
                assert answer.status == 200, url
                return len(await answer.read())

        tell(f"first_page {(await timed(lambda: get(f'http://{address}/'), 1))[0]:.1f} ms")
        for name, path in PAGES.items():
            milliseconds, size = await timed(lambda path=path: get(f"http://{address}{path}"), 31)  # type: ignore[misc]
            body[0] = b"x" * size
            least, _ = await timed(lambda: get(f"http://{bare_address}/"), 31)
            tell(f"{name} {milliseconds:.1f} ms ({size / 1024:.0f} KiB, floor {least:.1f} ms)")
    await runner.cleanup()
    await bare_runner.cleanup()


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
