"""Notifications: what people want to be told of, posted to a webhook, a Slack channel or a Teams channel.

Where they go is a secret (whoever has a Slack URL may write there), so a destination is named by an environment
variable or a file, is read once, and appears in no message. Sending never holds the controller up: what cannot be sent
in time is dropped, counted, and told with the next one.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from azure.core import AsyncPipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import AsyncRetryPolicy, HeadersPolicy
from azure.core.rest import HttpRequest

from reconciler.controller.state import Event, StackStatus
from reconciler.errors import UsageError
from reconciler.ports import Clock

SHAPES: Final = ("webhook", "slack", "teams")
ALWAYS: Final = frozenset({"PlanAwaitsApproval", "Recovered", "Leading"})
"""Codes that people are told of although nothing is wrong."""
BURST: Final = 10
PER_SECOND: Final = 1 / 30
"""Notifications that may go out at once, and how many more each second: a broken pool must not fill a channel."""
AGAIN: Final = 3600.0
"""Seconds for which the same code of the same object is told once."""
LONGEST_QUEUE: Final = 100
TIMEOUT: Final = 10.0
LONGEST_TEXT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Destination:
    """Where notifications go, and in which shape. *name* is how people gave it; the URL is secret."""

    shape: str
    name: str
    url: str

    def __repr__(self) -> str:
        return f"Destination({self.shape}, {self.name})"


def destination(text: str, environment: Mapping[str, str]) -> Destination:
    """Of `slack=env:NAME`, `teams=file:PATH`, `webhook=env:NAME`. Raises UsageError."""
    shape, _, where = text.partition("=")
    how, _, name = where.partition(":")
    if shape not in SHAPES or how not in ("env", "file") or not name:
        raise UsageError(f"--notify: expected one of {', '.join(SHAPES)}, then =env:NAME or =file:PATH, found {text!r}")
    if how == "env":
        url = environment.get(name, "")
    else:
        try:
            url = Path(name).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise UsageError(f"--notify {text}: the file cannot be read: {why}") from None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"--notify {text}: expected the URL to post to, found {'none' if not url else 'something else'}"
        )
    return Destination(shape, text, url)


class Notices:
    """An Observer that posts warnings, and what people wait for, to one destination."""

    def __init__(self, to: Destination, clock: Clock) -> None:
        self._to = to
        self._clock = clock
        self._queue: deque[tuple[Event, int]] = deque()
        self._waiting = asyncio.Event()
        self._tokens = float(BURST)
        self._filled_at = clock.now()
        self._told: dict[tuple[str, str, str], float] = {}
        self._dropped = 0

    def passed(self, status: StackStatus) -> None:
        """What changed is told by events."""

    def request(self, stack: str, method: str, status: int, seconds: float) -> None:
        """Nobody wants to be told of these."""

    def event(self, event: Event) -> None:
        """Queue what people want to know, within the limits."""
        if not event.warning and event.code not in ALWAYS:
            return
        now = self._clock.now()
        self._told = {key: at for key, at in self._told.items() if now - at < AGAIN}
        subject = (event.stack, event.code, event.address)
        if subject in self._told:
            return
        self._tokens = min(float(BURST), self._tokens + (now - self._filled_at) * PER_SECOND)
        self._filled_at = now
        if self._tokens < 1 or len(self._queue) >= LONGEST_QUEUE:
            self._dropped += 1
            return
        self._tokens -= 1
        self._told[subject] = now
        self._queue.append((event, self._dropped))
        self._dropped = 0
        self._waiting.set()

    async def send(self) -> None:
        """Post what is queued, one after the other, until cancelled. What the other side refuses is told on the
        standard error stream, without the URL."""
        retries = AsyncRetryPolicy(retry_total=3, retry_backoff_factor=0.8)
        policies = [HeadersPolicy({"User-Agent": "reconciler"}), retries]
        client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(base_url=self._to.url, policies=policies)
        async with client:
            while True:
                await self._waiting.wait()
                while self._queue:
                    await self._post(client, *self._queue.popleft())
                self._waiting.clear()

    async def _post(self, client: "AsyncPipelineClient[Any, Any]", event: Event, dropped: int) -> None:
        request = HttpRequest("POST", self._to.url, json=SHAPERS[self._to.shape](event, dropped))
        try:
            answer = await client.send_request(request, connection_timeout=TIMEOUT, read_timeout=TIMEOUT)
            if answer.status_code < 400:
                return
            why = f"it answered {answer.status_code}"
        except AzureError as error:
            why = type(error).__name__  # its text has the URL
        sys.stderr.write(f"{self._to.name}: the notification of {event.code} was not taken: {why}\n")


def _headline(event: Event) -> str:
    place = f"{event.stack}: {event.address}" if event.address else event.stack
    return f"{event.code} - {place}"


def _text(event: Event, dropped: int) -> str:
    more = f" ({dropped} more were left out)" if dropped else ""
    text = event.message if len(event.message) <= LONGEST_TEXT else event.message[: LONGEST_TEXT - 3] + "..."
    return text + more


def webhook(event: Event, dropped: int) -> dict[str, Any]:
    """The event as it is."""
    return {"format_version": "1.0", "kind": "Event", **asdict(event), "left_out": dropped}


def slack(event: Event, dropped: int) -> dict[str, Any]:
    """Source: Slack API documentation, "Incoming webhooks" and "Block Kit"; plain_text, so that nothing in it is taken
    for a mention or a link."""
    sign = ":warning: " if event.warning else ""
    body = {"type": "section", "text": {"type": "plain_text", "text": _text(event, dropped), "emoji": False}}
    head = {"type": "header", "text": {"type": "plain_text", "text": (sign + _headline(event))[:150]}}
    context = {"type": "context", "elements": [{"type": "plain_text", "text": _when(event)}]}
    return {"text": _plain(_headline(event)), "blocks": [head, body, context]}


def _plain(text: str) -> str:
    """The fallback text is markup: its three control characters are escaped (Slack, "Formatting text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def teams(event: Event, dropped: int) -> dict[str, Any]:
    """An Adaptive Card in a message, as workflows take it. Source: Microsoft Teams documentation, "Create incoming
    webhooks with Workflows"; RichTextBlock, which knows no markup."""
    colour = "Attention" if event.warning else "Good"

    def line(text: str, **style: Any) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}

    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            line(_headline(event), weight="Bolder", size="Medium", color=colour),
            line(_text(event, dropped)),
            line(_when(event), isSubtle=True, size="Small"),
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _when(event: Event) -> str:
    return f"{event.at}, revision {event.revision[:12]}" if event.revision else event.at


SHAPERS: Final = {"webhook": webhook, "slack": slack, "teams": teams}
