"""The newest status of each stack and the last events: what is shown, and told to those who listen."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from reconciler.controller.events import Code, Observer
from reconciler.controller.state import Event, StackStatus
from reconciler.ports import Clock

EVENTS: Final = 1_000
"""Events that are remembered; older ones are in the lines that were written."""


class Bulletin:
    """The Board of a controller."""

    def __init__(self, clock: Clock, observers: Sequence[Observer] = (), events: int = EVENTS) -> None:
        self._clock = clock
        self._observers = tuple(observers)
        self._statuses: dict[str, StackStatus] = {}
        self._events: deque[Event] = deque(maxlen=events)
        self._number = 0
        self._told = 0
        self._news = asyncio.Event()

    @property
    def statuses(self) -> Mapping[str, StackStatus]:
        """By stack name."""
        return MappingProxyType(dict(sorted(self._statuses.items())))

    @property
    def events(self) -> tuple[Event, ...]:
        """The newest ones, oldest first."""
        return tuple(self._events)

    async def changed(self, after: int) -> int:
        """Wait until a status or event is newer than *after*; the number to wait for next."""
        while self._number <= after:
            await self._news.wait()
        return self._number

    def publish(self, status: StackStatus) -> None:
        """Show a new status of a stack in the place of its last one."""
        self._statuses[status.stack] = status
        self._announce(lambda one: one.passed(status))

    def tell(
        self,
        stack: str,
        code: Code,
        message: str,
        *,
        address: str = "",
        warning: bool = False,
        revision: str = "",
        **fields: str,
    ) -> None:
        """Something happened."""
        self._told += 1
        event = Event(self._told, self._clock.utc(), stack, code, address, message, warning, revision, fields)
        self._events.append(event)
        self._announce(lambda one: one.event(event))

    def request(self, stack: str, method: str, status: int, seconds: float) -> None:
        """A request was answered, or (*status* 0) was not."""
        self._each(lambda one: one.request(stack, method, status, seconds))

    def _announce(self, say: Callable[[Observer], None]) -> None:
        self._number += 1
        news, self._news = self._news, asyncio.Event()
        news.set()
        self._each(say)

    def _each(self, say: Callable[[Observer], None]) -> None:
        for one in self._observers:
            try:
                say(one)
            except Exception as error:  # noqa: BLE001 - a full disk under a log must not keep a stack from its manifests
                sys.stderr.write(f"{type(one).__name__} failed: {type(error).__name__}: {error}\n")
