"""Logs that are captured before a job goes: which, how much of them, and what becomes of those that cannot be read."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reconciler.errors import BatchError, Missing, StoreError, Transient
from reconciler.executor import evidence
from reconciler.executor.evidence import Search
from reconciler.ledger import Evidence
from reconciler.model.desired import Key
from reconciler.observed import Excerpt, LiveJob, LiveTask, NodeFile, NodeRun, Run, TaskCounts, TaskFile
from reconciler.receipt import Receipt

WELL, BADLY = Run("completed", 0, "success", directory="job"), Run("completed", 3, "failure", directory="job")


def a_node(name: str, preparation: Run, release: Run | None) -> NodeRun:
    where = {"preparation": "job/prep", "release": "job\\rel"}
    return NodeRun(
        name,
        "p",
        replace(preparation, directory=where["preparation"]),
        release and replace(release, directory=where["release"]),
    )


@dataclass
class World:
    """An account whose files have these sizes, a store, and a clock."""

    sizes: Mapping[str, int | BatchError] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)
    time: float = 0.0
    slow: float = 0.0
    full: bool = False
    counts: TaskCounts | BatchError = field(default_factory=TaskCounts)

    async def task_counts(self, job: LiveJob) -> TaskCounts:
        if isinstance(self.counts, BatchError):
            raise self.counts
        return TaskCounts(failed=len(self.failed))

    async def tasks(self, job: LiveJob) -> Mapping[str, LiveTask]:
        made = [LiveTask(name, "completed", job.guard, {}, "n1", 1, failed=True) for name in self.failed]
        return {task.id: task for task in made}

    async def excerpt(self, file: NodeFile | TaskFile, head: int, tail: int) -> Excerpt:
        name = f"{file.node if isinstance(file, NodeFile) else file.task}:{file.path}"
        self.asked.append(name)
        self.time += self.slow
        size = self.sizes.get(name, 2)
        if isinstance(size, BatchError):
            raise size
        return Excerpt(size, b"h" * head, b"t" * tail) if size > head + tail else Excerpt(size, b"x" * size)

    async def keep_log(self, key: Key, born: str, path: str, content: bytes) -> None:
        if self.full:
            raise StoreError("the disk is full")
        self.logs[path] = content

    async def keep_receipt(self, receipt: Receipt) -> Evidence:
        self.receipts.append(receipt)
        return Evidence("r", "l")

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def secure(world: Any) -> Any:
    def run(there: World, capture: str, *nodes: NodeRun) -> Receipt:
        any_world: Any = there
        live = world.live_job(world.job(), "completed", nodes=nodes)
        search = Search(any_world, any_world, any_world, live)
        receipt, _ = asyncio.run(search.secure(Receipt.of(live, nodes, capture, "s")))
        assert there.receipts == [receipt]
        return receipt

    return run


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        ("Never", []),
        ("OnFailure", ["n2/release", "n3/preparation", "tasks/t1"]),
        (
            "Always",
            ["n2/release", "n3/preparation", "tasks/t1", "n1/release", "n1/preparation", "n2/preparation"],
        ),
    ],
)
def test_which_logs_are_captured(secure: Any, capture: str, expected: list[str]) -> None:
    there = World(failed=("t1",))
    nodes = a_node("n1", WELL, WELL), a_node("n2", WELL, BADLY), a_node("n3", BADLY, None)
    receipt = secure(there, capture, *nodes)
    paths = [f"{where}/{name}" for where in expected for name in evidence.FILES]
    assert [log.path for log in receipt.logs] == paths  # what failed comes first
    assert sorted(there.logs) == sorted(paths)
    assert receipt.missing == ()
    assert there.asked[:1] == (["n2:job/rel/stdout.txt"] if paths else [])


def test_a_long_file_keeps_its_beginning_and_its_end(secure: Any) -> None:
    whole = evidence.HEAD + evidence.TAIL
    there = World({"n1:job/rel/stdout.txt": whole + 5, "n1:job/rel/stderr.txt": whole})
    receipt = secure(there, "OnFailure", a_node("n1", WELL, BADLY))
    gap = b"\n[... 5 bytes are left out here ...]\n"
    assert there.logs["n1/release/stdout.txt"] == b"h" * evidence.HEAD + gap + b"t" * evidence.TAIL
    assert there.logs["n1/release/stderr.txt"] == b"x" * whole
    assert [(log.size, log.kept) for log in receipt.logs] == [(whole + 5, whole), (whole, whole)]


def test_what_cannot_be_read_is_named_and_tried_no_more_than_thrice(secure: Any) -> None:
    gone, away = Missing("read it", "the node is gone"), Transient("read it", "no answer")
    there = World({"n1:job/rel/stdout.txt": gone, "n1:job/rel/stderr.txt": away})
    receipt = secure(there, "OnFailure", a_node("n1", WELL, BADLY), a_node("n2", WELL, BADLY))
    assert [(log.path, "gone" in log.missing, "no answer" in log.missing) for log in receipt.missing] == [
        ("n1/release/stdout.txt", True, False),
        ("n1/release/stderr.txt", False, True),
    ]
    assert there.asked.count("n1:job/rel/stdout.txt") == 1
    assert there.asked.count("n1:job/rel/stderr.txt") == evidence.TRIES
    assert sorted(there.logs) == ["n2/release/stderr.txt", "n2/release/stdout.txt"]


def test_a_job_whose_tasks_cannot_be_counted_has_a_receipt_that_says_so(secure: Any) -> None:
    there = World(counts=Missing("count its tasks", "not found"))
    assert "its failed tasks are not known" in secure(there, "OnFailure").note


def test_what_is_kept_of_a_job_has_a_bound(secure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "AT_ONCE", 1)
    monkeypatch.setattr(evidence, "MOST_TASKS", 2)
    there = World(failed=("t1", "t2", "t3"), slow=evidence.LONGEST / 5)
    receipt = secure(there, "OnFailure", a_node("n1", WELL, BADLY))
    assert receipt.left_out == 1
    assert len(there.asked) == 5
    assert [log.missing for log in receipt.missing] == ["left out: the logs took longer than 120 s"]


def test_the_logs_of_a_job_have_room_for_so_much(secure: Any) -> None:
    nodes = [a_node(f"n{number:03}", WELL, BADLY) for number in range(100)]
    names = ("stdout.txt", "stderr.txt")
    there = World({f"{node.node}:job/rel/{name}": 2**20 for node in nodes for name in names})
    receipt = secure(there, "OnFailure", *nodes)
    kept = sum(len(content) for content in there.logs.values())
    assert evidence.MOST_OF_A_JOB <= kept < evidence.MOST_OF_A_JOB + evidence.AT_ONCE * 2**20
    assert {log.missing for log in receipt.missing} == {"left out: 64 MiB of the job's logs are kept"}


def test_what_was_read_and_cannot_be_kept_leaves_no_receipt(secure: Any) -> None:
    there = World(full=True)
    with pytest.raises(StoreError, match="full"):
        secure(there, "OnFailure", a_node("n1", WELL, BADLY))
    assert there.receipts == []
