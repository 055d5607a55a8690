"""Memory and time of task groups: how a job of many tasks is loaded, planned and compared.

    python tests/benchmarks/group_memory.py [TASKS]

Prints, for one template and for the same tasks listed one by one: what is kept after loading, the peak while loading
and while planning the job's creation, and seconds. A group keeps ids only; listed tasks keep a body and a normalised
spec each (fewer of them are measured, and scaled up).
"""

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from reconciler.lifecycle.steps import Context
from reconciler.manifest import load
from reconciler.model.desired import Desired
from reconciler.observed import Observed
from reconciler.planning import make_plan

T = TypeVar("T")

JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec: {poolInfo: {poolId: p}, usesTaskDependencies: true}
"""
TASK = 'commandLine: "/bin/sh -c true %s", environmentSettings: [{name: FRAME, value: "%s"}]'


def main() -> None:
    """Both ways, one line each."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    listed = min(tasks, 5_000)
    item = "${item.n}"
    group = f"- name: g\n  parameters: {{n: {{range: {{last: {tasks}}}}}}}\n"
    group += f"  template: {{id: '{item}', {TASK % (item, item)}}}\n"
    row("group", tasks, tasks, f"{JOB}taskGroups:\n{group}mergeTask: {{id: merge, commandLine: x}}\n")
    lines = "".join(f"- {{id: '{n}', {TASK % (n, n)}}}\n" for n in range(1, listed + 1))
    row("listed", tasks, listed, f"{JOB}tasks:\n{lines}")


def row(title: str, tasks: int, measured: int, text: str) -> None:
    """Load and plan *text*, and print what it cost, scaled from the *measured* tasks to all."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "job.yaml").write_text(text, "utf-8")
        paths = [folder + "/job.yaml"]
        _, seconds = timed(lambda: load(paths, variables={}, environment={}))
        desired, kept, peak = traced(lambda: load(paths, variables={}, environment={}))
    plan, plan_seconds = timed(lambda: planned(desired))
    assert plan == 1
    _, _, plan_peak = traced(lambda: planned(desired))
    scale = tasks / measured
    figures = f"kept {kept * scale / 1e6:8.1f} MB, peak {peak * scale / 1e6:8.1f} MB"
    figures += f", plan peak {plan_peak * scale / 1e6:8.1f} MB"
    seconds, plan_seconds = seconds * scale, plan_seconds * scale
    print(f"{title:7} {tasks:>9,} tasks: {figures}, load {seconds:6.2f} s, plan {plan_seconds:6.2f} s")  # noqa: T201


def planned(desired: Desired) -> int:
    """How many entries the plan has."""
    return len(make_plan(desired, Observed({}, {}, "2030-01-01T00:00:00Z"), Context("s")).entries)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result, and how long it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def traced(work: Callable[[], T]) -> tuple[T, int, int]:
    """The result, the bytes it keeps, and the most that were used on the way."""
    tracemalloc.start()
    result = work()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return result, kept, peak


if __name__ == "__main__":
    main()
