"""Memory of the controller over ten thousand passes, on the simulated account and a virtual clock.

    python tests/benchmarks/controller_memory.py [PASSES]

Prints the memory that Python holds after each tenth of the passes, and the growth from the first to the last in bytes
a pass. Every tenth pass has something to do: somebody changes a job, which is drift, and is reverted.
"""

import asyncio
import gc
import sys
import tracemalloc
from pathlib import Path

from reconciler.controller.loop import Conduct
from reconciler.manifest import load_all
from reconciler.verify import clock
from reconciler.verify.replica import Replica, Repository
from reconciler.verify.seeds import Stage

STACK = Path(__file__).parents[1] / "simulation/small/before"
INTERVAL = 60.0
NOT_OURS = [tracemalloc.Filter(False, f"*/reconciler/{name}/*") for name in ("emulator", "verify")]
"""The emulator remembers how it wrote times down, in a cache that has a bound but is large."""
WARM = 0.4
"""The part of the passes after which the rings of events and passes are full."""


def show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def watch(passes: int) -> None:
    """Follow one stack, and print what is held."""
    [desired] = load_all([str(STACK)], variables={}, environment={})
    stage = Stage(desired.stack.name)
    stage.network._left = passes * 100  # what the network of a test gives up at is no limit here
    stage.story.tell = lambda *_, **__: None  # type: ignore[method-assign]
    repository = Repository()
    repository.commit(desired)
    replica = Replica("one", repository, stage.network, stage.disk, stage.story, Conduct(interval=INTERVAL), events=100)
    replica.start()
    held = []
    for part in range(10):
        for _ in range(passes // 100):
            await asyncio.sleep(INTERVAL * 10)
            stage.account.by_hand("PATCH", "/jobs/main", {"priority": 7})
            # What the simulation itself remembers of each request is not the controller's.
            stage.disk.events.clear()
            stage.witness.states.clear()
        gc.collect()
        now = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(NOT_OURS).traces)
        held.append(now)
        number = replica.controller.loops[desired.stack.name].last
        show(f"{part + 1:2} of 10: pass {number.number if number else 0:6}, {now / 1024:9.0f} KiB")
    first = int(10 * WARM) - 1
    show(f"growth after the first {WARM:.0%}: {(held[-1] - held[first]) / (passes * (1 - WARM)):.1f} bytes a pass")
    await replica.end()
    stage.account.close()


if __name__ == "__main__":
    tracemalloc.start()
    clock.run(watch(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
