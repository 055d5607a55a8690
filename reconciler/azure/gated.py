"""A gate that every request passes on its way out: the last place before the network, after all tries again."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from reconciler.azure.refusals import seconds_of

READS = frozenset({"GET", "HEAD"})
EVALUATE = "/evaluateautoscale"
"""A POST that changes nothing (REST reference, "Evaluate Pool Auto Scale")."""


class Gate(Protocol):
    """Whoever decides when a request may be sent."""

    async def admit(self, *, writes: bool) -> None:
        """Wait until a request may be sent, or raise what keeps it from being sent at all."""

    def answered(self, method: str, status: int, retry_after: float | None, seconds: float) -> None:
        """A request was answered so many seconds after it was sent; *status* 0: it was not."""


class Gated(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """A transport of the SDK behind a gate."""

    def __init__(self, transport: AsyncHttpTransport[HttpRequest, AsyncHttpResponse], gate: Gate) -> None:
        self._transport = transport
        self._gate = gate

    async def send(self, request: HttpRequest, **config: Any) -> AsyncHttpResponse:
        """One request, once the gate lets it pass."""
        path = request.url.partition("?")[0]
        await self._gate.admit(writes=request.method not in READS and not path.endswith(EVALUATE))
        loop = asyncio.get_running_loop()
        began = loop.time()
        status, headers = 0, dict[str, str]()
        try:
            response = await self._transport.send(request, **config)
            status, headers = response.status_code, _plain(response.headers)
            return response
        finally:
            self._gate.answered(request.method, status, seconds_of(headers.get("retry-after")), loop.time() - began)

    async def open(self) -> None:
        """Open the network."""
        await self._transport.open()

    async def close(self) -> None:
        """Close it."""
        await self._transport.close()

    async def sleep(self, duration: float) -> None:
        """Between two tries of the SDK's."""
        await self._transport.sleep(duration)

    async def __aenter__(self) -> "Gated":
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
