"""What a job that is deleted, or held for its failed release, would take with it: its receipt, and logs of its tasks.

Everything here has a bound: how much of a file is kept, how much of a job, for how many failed tasks, and how long it
may take. A file that cannot be read (the node is gone or does not answer, the file was cleaned up) is named in the
receipt with the reason, and said; it does not stop the delete, since no later attempt has a better chance: files do not
come back, and retention takes more of them every day. What was read and cannot be stored does stop it.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from reconciler.errors import BatchError, Transient
from reconciler.ledger import Evidence
from reconciler.observed import LiveJob, LiveTask, NodeFile, TaskFile
from reconciler.ports import BatchReader, Clock, StateStore
from reconciler.receipt import Log, Receipt

FILES: Final = ("stdout.txt", "stderr.txt")
HEAD: Final = 256 * 1024
TAIL: Final = 768 * 1024
"""Bytes that are kept of a file's beginning and end. A log says at its beginning what was started, and at its end why
it failed."""
MOST_OF_A_JOB: Final = 64 * 1024 * 1024
MOST_TASKS: Final = 100
AT_ONCE: Final = 8
LONGEST: Final = 120.0
"""Seconds after which no further file of a job is asked for."""
LONGEST_FILE: Final = 60.0
TRIES: Final = 3
PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Source:
    """A file, and its place among the logs."""

    file: NodeFile | TaskFile
    path: str


@dataclass(slots=True)
class Search:
    """The way to the evidence of one job."""

    reader: BatchReader
    store: StateStore
    clock: Clock
    job: LiveJob
    _room: int = MOST_OF_A_JOB
    _deadline: float = 0.0

    async def secure(self, receipt: Receipt) -> tuple[Receipt, Evidence]:
        """Keep the logs that the receipt's policy asks for, then the receipt: once it is there, all of them are.

        Raises StoreError when something that was read cannot be kept.
        """
        self._deadline = self.clock.now() + LONGEST
        if receipt.capture != "Never":
            failed, note = await self._failed_tasks()
            first = sorted(failed, key=lambda task: (task.ended, task.id))[:MOST_TASKS]
            # What comes last may be left out.
            sources = [*_of_nodes(receipt, failed=True), *_of_tasks(self.job, first)]
            if receipt.capture == "Always":
                sources += _of_nodes(receipt, failed=False)
            logs = await self._all(sources)
            receipt = replace(receipt, logs=logs, left_out=len(failed) - len(first), note=note)
        return receipt, await self.store.keep_receipt(receipt)

    async def _failed_tasks(self) -> tuple[list[LiveTask], str]:
        """Tasks that failed on a node; why they could not be found out."""
        for attempt in range(1, TRIES + 1):
            try:
                counts = self.job.counts or await self.reader.task_counts(self.job)
                tasks = await self.reader.tasks(self.job) if counts.failed else {}
            except BatchError as error:
                if not isinstance(error, Transient) or attempt == TRIES:
                    return [], f"its failed tasks are not known: {error}"
                await self.clock.sleep(PAUSE)
            else:
                return [task for task in tasks.values() if task.failed and task.node], ""
        raise AssertionError("the last try returns")

    async def _all(self, sources: list[_Source]) -> tuple[Log, ...]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(source: _Source) -> Log:
            async with gate:
                return await self._fetch(source)

        return tuple(await asyncio.gather(*map(one, sources)))

    async def _fetch(self, source: _Source) -> Log:
        """One file into the store, or why it is not there."""
        if self._room <= 0:
            return Log(source.path, missing=f"left out: {MOST_OF_A_JOB // 2**20} MiB of the job's logs are kept")
        for attempt in range(1, TRIES + 1):
            if self.clock.now() >= self._deadline:
                return Log(source.path, missing=f"left out: the logs took longer than {LONGEST:g} s")
            try:
                async with asyncio.timeout(LONGEST_FILE):
                    excerpt = await self.reader.excerpt(source.file, HEAD, TAIL)
                break
            except TimeoutError:
                return Log(source.path, missing=f"no answer in {LONGEST_FILE:g} s")
            except Transient as error:
                if attempt == TRIES:
                    return Log(source.path, missing=str(error))
                await self.clock.sleep(PAUSE)
            except BatchError as error:
                return Log(source.path, missing=str(error))
        content = excerpt.head
        if excerpt.left_out > 0:
            content += f"\n[... {excerpt.left_out} bytes are left out here ...]\n".encode()
        content += excerpt.tail
        self._room -= len(content)
        await self.store.keep_log(self.job.key, self.job.guard.born, source.path, content)
        return Log(source.path, excerpt.size, len(excerpt.head) + len(excerpt.tail))


def _of_nodes(receipt: Receipt, *, failed: bool) -> Iterator[_Source]:
    """Release before preparation, of runs that have failed, or have not."""
    for kind in ("release", "preparation"):
        for run in receipt.nodes:
            part = run.release if kind == "release" else run.preparation
            if part is None or part.failed is not failed or not part.directory:
                continue
            folder = part.directory.replace("\\", "/").rstrip("/")
            for name in FILES:
                yield _Source(NodeFile(run.pool, run.node, f"{folder}/{name}"), f"{run.node}/{kind}/{name}")


def _of_tasks(job: LiveJob, tasks: list[LiveTask]) -> Iterator[_Source]:
    for task in tasks:
        for name in FILES:
            yield _Source(TaskFile(job.name, task.name, name), f"tasks/{task.name}/{name}")
