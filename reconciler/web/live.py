"""Live updates: a stream that says when something is new. The page's script then fetches the page again; what it shows
is rendered in one place."""

import asyncio
from typing import Final

from aiohttp import web

from reconciler.web.site import SITE

PACE: Final = 0.5
"""Seconds between two messages: what changes in between comes with the next one."""
ALIVE: Final = 15.0
"""Seconds after which a silent stream says that it is there, so that proxies keep it open."""
MOST: Final = 100
"""Streams of one server."""
STREAMS: Final = web.AppKey("streams", set)


async def live(request: web.Request) -> web.StreamResponse:
    """A server-sent event for every change, until the browser or the server goes."""
    streams = request.app[STREAMS]
    if len(streams) >= MOST:
        raise web.HTTPServiceUnavailable(text=f"{MOST} pages are being updated already.", headers={"Retry-After": "60"})
    task = asyncio.current_task()
    assert task is not None
    streams.add(task)
    try:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        await _write_changes(request, response)
        return response
    finally:
        streams.discard(task)


async def _write_changes(request: web.Request, response: web.StreamResponse) -> None:
    board = request.app[SITE].board
    seen = 0
    news = asyncio.ensure_future(board.changed(seen))
    try:
        await response.write(b"retry: 3000\n\n")
        while True:
            done, _ = await asyncio.wait({news}, timeout=ALIVE)
            if not done:
                await response.write(b": alive\n\n")
                continue
            seen = news.result()
            await response.write(f"event: changed\nid: {seen}\ndata: {seen}\n\n".encode())
            await asyncio.sleep(PACE)
            news = asyncio.ensure_future(board.changed(seen))
    except ConnectionResetError:
        return  # the browser went away
    finally:
        news.cancel()


async def end_streams(app: web.Application) -> None:
    """When the server stops, so that it need not wait for browsers."""
    streams = app[STREAMS]
    for task in tuple(streams):
        task.cancel()
