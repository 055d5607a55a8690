"""The network below the SDK's pipeline, in this process: requests go to a simulated account, by way of their fate.

The one module beside `reconciler.azure` that knows the SDK: a transport is the SDK's own place for another network.
Every failure is raised as the class that the SDK's aiohttp transport raises for it, because what the SDK tries again
depends on that: a broken connection is a ServiceRequestError whether or not the request was carried out, silence is a
ServiceResponseTimeoutError (azure-core, `AioHttpTransport.send`).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseTimeoutError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.utils import case_insensitive_dict

READ_TIMEOUT: Final = 60.0


class Broken(Exception):  # noqa: N818 - it reads as what it is
    """The connection broke before an answer was there."""


class Silence(Exception):  # noqa: N818
    """No answer came in time."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request on its way. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Exchange = Callable[[Request, float], Awaitable[Answer]]
"""Takes a request and for how many seconds its answer is waited for; raises Broken or Silence."""


class Wire(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """A transport of the SDK that hands every request to *exchange*."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def send(self, request: HttpRequest, **config: Any) -> AsyncHttpResponse:
        """One request, one answer."""
        path, _, query = request.url.partition("://")[2].partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        content = request.content or b""
        assert isinstance(content, bytes), "bodies are bytes by the time they are sent"
        sent = Request(request.method, path[path.index("/") :], query, headers, content)
        try:
            answer = await self._exchange(sent, config.get("read_timeout", READ_TIMEOUT))
        except Broken as error:
            raise ServiceRequestError("the connection was reset", error=error) from error
        except Silence as error:
            raise ServiceResponseTimeoutError("timed out", error=error) from error
        return _Response(request, answer)

    async def open(self) -> None:
        """Nothing has to be opened."""

    async def close(self) -> None:
        """Nothing has to be closed."""

    async def sleep(self, duration: float) -> None:
        """Between two tries of the SDK's."""
        await asyncio.sleep(duration)

    async def __aenter__(self) -> "Wire":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        return None


class _Response(AsyncHttpResponse):
    """An answer whose body is there already."""

    def __init__(self, request: HttpRequest, answer: Answer) -> None:
        self._request, self._answer = request, answer
        self._headers = case_insensitive_dict(answer.headers)
        self._encoding: str | None = "utf-8"

    @property
    def request(self) -> HttpRequest:
        return self._request

    @property
    def status_code(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> MutableMapping[str, str]:
        return self._headers

    @property
    def reason(self) -> str:
        return str(self._answer.status)

    @property
    def content_type(self) -> str | None:
        return self._headers.get("content-type")

    @property
    def is_closed(self) -> bool:
        return True

    @property
    def is_stream_consumed(self) -> bool:
        return True

    @property
    def encoding(self) -> str | None:
        return self._encoding

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        self._encoding = value

    @property
    def url(self) -> str:
        return self._request.url

    @property
    def content(self) -> bytes:
        return self._answer.content

    def text(self, encoding: str | None = None) -> str:
        return self._answer.content.decode(encoding or self._encoding or "utf-8")

    def json(self) -> Any:
        return json.loads(self._answer.content)

    def raise_for_status(self) -> None:
        if self._answer.status >= 400:
            raise HttpResponseError(response=self)

    async def read(self) -> bytes:
        return self._answer.content

    async def iter_raw(self, **_kwargs: Any) -> AsyncIterator[bytes]:
        yield self._answer.content

    async def iter_bytes(self, **_kwargs: Any) -> AsyncIterator[bytes]:
        yield self._answer.content

    async def close(self) -> None:
        return None

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        return None
