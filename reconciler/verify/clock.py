"""An event loop whose time jumps to what is due next: hours of waiting cost nothing, and no two runs differ."""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

T = TypeVar("T")
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The moment at which every run begins."""
RESOLUTION: Final = 1e-6


class StandstillError(Exception):
    """Everybody waits, and nothing is due: without help from outside this lasts for ever."""


class _Jump(selectors.BaseSelector):
    """Waiting for files ends at once; the time that would have been waited has passed."""

    def __init__(self) -> None:
        self.now = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Remember a file, so that it can be taken off again."""
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a file."""
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """No file is ever ready."""
        if timeout is None:
            raise StandstillError
        self.now += max(0.0, timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """The files that are remembered."""
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio on a time of its own, in seconds since START."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._clock_resolution = RESOLUTION

    def time(self) -> float:
        """Seconds since START."""
        return self._jump.now


class VirtualClock:
    """The Clock of a process in a VirtualLoop."""

    def now(self) -> float:
        """Seconds since START."""
        return asyncio.get_running_loop().time()

    def utc(self) -> str:
        """ISO 8601 UTC."""
        return moment(self.now()).isoformat(timespec="milliseconds")

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


def moment(seconds: float) -> datetime:
    """The time of day, so many seconds after START."""
    return START + timedelta(seconds=seconds)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a new loop. Raises StandstillError."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
