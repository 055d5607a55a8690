"""Answers onto the wire: bodies, files, empty answers framed as the service frames them. Used by `server`."""

from __future__ import annotations

import asyncio

from aiohttp import web

from reconciler.emulator.encoding import to_wire
from reconciler.emulator.wire import JSON_TYPE, Answer

_CHUNK = 1 << 18
_PIECES = 8  # of a body that is sent slowly


async def send(raw: web.Request, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    """The response to a request, begun if it is a file or slow."""
    if answer.file is not None:
        return await _send_file(raw, answer, headers)
    if answer.length is not None:
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = answer.length
        await response.prepare(raw)
        return response
    whole = _plain(answer, headers, head=raw.method == "HEAD")
    return await _send_slowly(raw, whole, answer.slow) if answer.slow else whole


class _Empty(web.Response):
    """A response without a body, in no or in one chunk."""


async def drop_content_type(request: web.Request, response: web.StreamResponse) -> None:
    """An empty answer has no content type (R26); aiohttp would add one because it cannot know the length."""
    if isinstance(response, _Empty) and response.chunked:
        del response.headers["Content-Type"]


def _plain(answer: Answer, headers: dict[str, str], *, head: bool) -> web.Response:
    if answer.body is not None and not head:
        shown = to_wire(answer.body)
        response = web.Response(status=answer.status, body=shown, headers={"Content-Type": JSON_TYPE, **headers})
    else:
        response = _Empty(status=answer.status, headers=headers)
    if answer.reason is not None:
        response.set_status(answer.status, " ".join(answer.reason.split()))
    elif answer.status not in (204, 304) and not head:
        response.enable_chunked_encoding()  # as the service frames its answers (R26)
    return response


async def _send_slowly(raw: web.Request, whole: web.Response, seconds: float) -> web.StreamResponse:
    """The same answer in pieces, the last of them when the *seconds* are over."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    response = web.StreamResponse(status=whole.status, reason=whole.reason, headers=whole.headers)
    await response.prepare(raw)
    size = max(-(-len(body) // _PIECES), 1)
    for begin in range(0, len(body), size):
        await asyncio.sleep(seconds / _PIECES)
        await response.write(body[begin : begin + size])
    return response


async def _send_file(raw: web.Request, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    """As many bytes as the file had when it was found, or fewer if it shrinks meanwhile."""
    if answer.file is None:
        raise AssertionError("no file to send")
    file, offset, length = answer.file
    response = web.StreamResponse(status=answer.status, headers=headers)
    with file:
        file.seek(offset)
        await response.prepare(raw)
        while length > 0 and (chunk := file.read(min(_CHUNK, length))):
            length -= len(chunk)
            await response.write(chunk)
    return response
