"""What a pass over a large account costs when nothing changed, as a ratio: pages that are the same to the last byte are
not read again.

    python tests/benchmarks/controller_reread.py [JOBS]

Prints the requests of a look and the ratio of its time to that of one without the memory of the pages, both measured in
the same run on the simulated account; and how long a whole pass with its plan takes beside it.
"""

import asyncio
import statistics
import sys
import time
from typing import Any

from reconciler.azure import connect
from reconciler.lifecycle.steps import Context
from reconciler.model.desired import Desired, Stack
from reconciler.planning import make_plan
from reconciler.verify import clock
from reconciler.verify.account import ENDPOINT
from reconciler.verify.process import KEY
from reconciler.verify.seeds import Stage
from reconciler.verify.wire import Answer, Request, Wire

ROUNDS = 5


def show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def compare(jobs: int) -> None:
    """Look at the same account with and without the memory."""
    stage = Stage("bench")
    stage.story.tell = lambda *_, **__: None  # type: ignore[method-assign]
    image = {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts"}
    machine = {"imageReference": image, "nodeAgentSKUId": "batch.node.ubuntu 22.04"}
    pool: dict[str, Any] = {"id": "p", "vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": machine}
    stage.account.by_hand("POST", "/pools", {**pool, "targetDedicatedNodes": 0})
    metadata = [{"name": "reconciler", "value": "v1;stack=bench"}]
    for number in range(jobs):
        body = {"id": f"job-{number:06}", "poolInfo": {"poolId": "p"}, "metadata": metadata}
        assert stage.account.by_hand("POST", "/jobs", body) < 300
    answers: dict[str, Answer] = {}
    sent = 0

    async def exchange(request: Request, patience: float) -> Answer:
        # The emulator's own work is not what is measured: it answers each request once.
        nonlocal sent
        sent += 1
        where = f"{request.method} {request.path}?{request.query}"
        if where not in answers:
            answers[where] = stage.account.serve("bench", request)
        return answers[where]

    seconds: dict[bool, list[float]] = {False: [], True: []}
    requests = 0
    for remembers in (False, True):
        async with connect(
            ENDPOINT, "simulated", KEY, use_proxies=False, transport=Wire(exchange), remembers=remembers
        ) as there:
            observed = await there.observe()
            for _ in range(ROUNDS):
                before, began = sent, time.perf_counter()
                observed = await there.observe()
                seconds[remembers].append(time.perf_counter() - began)
                requests = sent - before
    began = time.perf_counter()
    make_plan(Desired(Stack("bench", prunes=False), {}), observed, Context("bench", prunes=False))
    planned = time.perf_counter() - began
    plain, again = (statistics.median(seconds[remembers]) for remembers in (False, True))
    show(f"{len(observed.jobs)} jobs, {requests} requests a look")
    show(
        f"a look whose pages did not change: {again / plain:.2f} of one that reads them ({again:.3f} s, {plain:.3f} s)"
    )
    show(f"the plan beside it: {planned:.3f} s")
    stage.account.close()
    await asyncio.sleep(0)


if __name__ == "__main__":
    clock.run(compare(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
