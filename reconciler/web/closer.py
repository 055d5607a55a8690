"""Objects looked at closely when a page of one is shown: at most so often, so many at once, and never for longer."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from reconciler.controller.state import StackStatus
from reconciler.errors import ReconcilerError
from reconciler.model.desired import Key
from reconciler.observed import Observed

Details: TypeAlias = Callable[[StackStatus, Key], Awaitable[Observed]]
"""Reads one object afresh; raises ReconcilerError. See `reconciler.controller.details`."""

FRESH: Final = 5.0
"""Seconds for which a look serves every viewer, so that a page that refreshes itself costs the account little."""
LONGEST: Final = 10.0
MOST_KEPT: Final = 32
MOST_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Look:
    """A snapshot in which one object was read closely; *error* says why it was not, and the snapshot is the pass's."""

    observed: Observed | None
    error: str = ""


@dataclass
class Closer:
    """The looks of one server."""

    details: Details | None
    _kept: "OrderedDict[tuple[str, Key], tuple[float, asyncio.Task[Look]]]" = field(default_factory=OrderedDict)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def look(self, status: StackStatus, key: Key) -> Look:
        """The newest look at an object that is not older than a few seconds."""
        if self.details is None or status.observed is None or status.observed.get(key) is None:
            return Look(status.observed)
        place = (status.stack, key)
        began, task = self._kept.get(place, (0.0, None))
        if task is None or (task.done() and time.monotonic() - began > FRESH):
            task = asyncio.ensure_future(self._read(self.details, status, key))
            self._kept[place] = (time.monotonic(), task)
            self._kept.move_to_end(place)
            self._forget_old()
        return await asyncio.shield(task)

    def _forget_old(self) -> None:
        """Let go of the oldest looks that nobody waits for."""
        done = [place for place, (_, task) in self._kept.items() if task.done()]
        for place in done[: max(len(self._kept) - MOST_KEPT, 0)]:
            del self._kept[place]

    async def close(self) -> None:
        """End what is under way."""
        for _, task in self._kept.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self._kept.values()), return_exceptions=True)

    async def _read(self, details: Details, status: StackStatus, key: Key) -> Look:
        try:
            async with self._gate, asyncio.timeout(LONGEST):
                return Look(await details(status, key))
        except TimeoutError:
            return Look(status.observed, f"the account did not answer within {LONGEST:.0f} seconds")
        except ReconcilerError as error:
            return Look(status.observed, str(error))
