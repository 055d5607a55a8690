"""Another program, run to its end or ended: with a limit on its time and on what it may say.

Not by asyncio's own processes: a loop that shuts down while one of those is being started waits for it for ever (its
task is called off before the pipes are there), and one whose output is not read to its end never counts as ended.
"""

import asyncio
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

_CHATTER: Final = 64 * 1024
"""Bytes kept of what is said on stderr: the last ones."""

_LISTENERS: Final = ThreadPoolExecutor(64, "git")
"""Apart from the threads of everybody else, which slow servers would use up. As many programs run at a time."""


_GRACE: Final = 5.0
"""Seconds that pipes stay open at most when all we can end has ended: a daemon may have got hold of them."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ran. *output* is None where it was more than was to be taken."""

    code: int
    output: bytes | None
    said: bytes


async def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    seconds: float,
    most: int,
    reading: BinaryIO | int = subprocess.DEVNULL,
    writing: BinaryIO | int = subprocess.PIPE,
) -> Ended:
    """Run a program; it and what it started have ended when this returns or raises. Raises FileNotFoundError where
    it is not installed, TimeoutError."""
    process = subprocess.Popen(  # noqa: ASYNC220 - it takes as long as asyncio's takes
        command,
        stdin=reading,
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=dict(environment),
        start_new_session=True,  # what it starts ends with it, and a Ctrl-C is ours to handle
    )
    listening = asyncio.get_running_loop().run_in_executor(_LISTENERS, _listen, process, most)
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(listening)
    finally:
        _end(process)  # then its pipes end, and so does who listens
        await asyncio.wait([listening], timeout=_GRACE)


def _listen(process: "subprocess.Popen[bytes]", most: int) -> Ended:
    output, said = bytearray(), bytearray()
    with process, selectors.DefaultSelector() as pipes:
        for pipe, kept in ((process.stdout, output), (process.stderr, said)):
            if pipe:
                pipes.register(pipe, selectors.EVENT_READ, kept)
        while pipes.get_map():
            for key, _ in pipes.select():
                part = os.read(key.fd, 1 << 16)
                if not part:
                    pipes.unregister(key.fileobj)
                key.data.extend(part)
            del said[:-_CHATTER]
            if len(output) > most:
                _end(process)
                return Ended(process.wait(), None, bytes(said))
        return Ended(process.wait(), bytes(output), bytes(said))


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
