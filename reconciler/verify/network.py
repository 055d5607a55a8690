"""What lies between the processes and the account: every message has a fate of its own.

A request may be lost before it is carried out, or its answer after; it may be carried out long after its sender gave
it up, or twice; and its sender may be killed before it is sent, or before the answer is there. What is on its way
arrives whatever becomes of the sender.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from urllib.parse import unquote

import orjson

from reconciler.verify.account import Account
from reconciler.verify.story import READS, Story
from reconciler.verify.wire import Answer, Broken, Request, Silence

LATENCY: Final = 0.005
"""Seconds that a message takes on an undisturbed network."""
AGAIN: Final = 0.02
"""Seconds after which a request that is carried out twice is carried out again."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request.

    *out* and *back* are seconds on the way. *lost*: the request, or its answer, never arrives; with *silent* its sender
    waits until the time is over, otherwise the connection breaks. *twice*: it is carried out twice, as behind a proxy
    that tries again. *status*: the sender gets this refusal; it was carried out all the same if *late*. *dies*: its
    sender is killed before it is sent, or after it was carried out.
    """

    out: float = LATENCY
    back: float = LATENCY
    lost: Literal["", "request", "answer"] = ""
    silent: bool = False
    twice: bool = False
    status: int = 0
    late: bool = False
    dies: Literal["", "before", "after"] = ""

    def __str__(self) -> str:
        how = " without a word" if self.silent else ", connection reset"
        parts = {
            "killed before it is sent": self.dies == "before",
            f"request lost{how}": self.lost == "request",
            f"{self.status}, not carried out": bool(self.status) and not self.late,
            f"{self.status}, though carried out": bool(self.status) and self.late,
            "carried out twice": self.twice,
            f"answer lost{how}": self.lost == "answer",
            f"{self.out:.3g} s on the way": self.out > 1.0,
            f"answer {self.back:.3g} s on the way": self.back > 1.0,
            "killed before the answer": self.dies == "after",
        }
        return ", ".join(text for text, there in parts.items() if there)


UNDISTURBED: Final = Fate()
_CODES: Final = {
    403: "AuthorizationPermissionMismatch",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServerBusy",
}


class Sender(Protocol):
    """A process, as the network sees it. *sent* counts its requests."""

    name: str
    alive: bool
    sent: int

    def kill(self) -> None:
        """End it at once."""


Fates = Callable[[Sender, Request], Fate]


class Network:
    """The way of all processes to the account. *most* requests may be sent in all: a run that needs more never ends."""

    def __init__(self, account: Account, story: Story, fates: Fates, most: int = 20_000) -> None:
        self._account, self._story, self.fates, self._left = account, story, fates, most

    async def exchange(self, sender: Sender, request: Request, patience: float) -> Answer:
        """Send a request and wait for its answer, for *patience* seconds. Raises Broken and Silence."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        if not sender.alive:
            return await answered  # which never comes
        self._left -= 1
        if self._left < 0:
            raise AssertionError("it does not come to an end: too many requests")
        fate = self.fates(sender, request)
        sender.sent += 1
        if fate.dies == "before":
            self._tell(sender, request, str(fate))
            sender.kill()
            return await answered
        if fate.lost == "request" or (fate.status and not fate.late):
            self._tell(sender, request, str(fate))
            if fate.status:
                loop.call_later(fate.out + fate.back, _answer, sender, answered, _refusal(fate.status))
            elif not fate.silent:
                loop.call_later(fate.out, _fail, sender, answered, Broken())
        else:
            loop.call_later(fate.out, self._arrive, sender, request, fate, answered)
        if fate.silent or fate.out + fate.back >= patience:
            loop.call_later(patience, _fail, sender, answered, Silence())
        return await answered

    def _arrive(self, sender: Sender, request: Request, fate: Fate, answered: asyncio.Future[Answer]) -> None:
        loop = asyncio.get_running_loop()
        answer = self._account.serve(sender.name, request)
        said = str(fate)
        self._tell(sender, request, f"{_said(answer)}{f' ({said})' if said else ''}", plain=not said)
        if fate.twice:
            loop.call_later(AGAIN, self._repeat, sender, request)
        if fate.dies == "after":
            sender.kill()
        elif fate.lost == "answer":
            if not fate.silent:
                loop.call_later(fate.back, _fail, sender, answered, Broken())
        else:
            loop.call_later(fate.back, _answer, sender, answered, _refusal(fate.status) if fate.status else answer)

    def _repeat(self, sender: Sender, request: Request) -> None:
        answer = self._account.serve(sender.name, request)
        self._tell(sender, request, f"{_said(answer)} (the second time)")

    def _tell(self, sender: Sender, request: Request, what: str, *, plain: bool = False) -> None:
        text = f"{request.method} {unquote(request.path)} -> {what}"
        self._story.tell(self._account.seconds, sender.name, text, read=plain and request.method in READS)


def _answer(sender: Sender, answered: asyncio.Future[Answer], answer: Answer) -> None:
    if sender.alive and not answered.done():
        answered.set_result(answer)


def _fail(sender: Sender, answered: asyncio.Future[Answer], error: Exception) -> None:
    if sender.alive and not answered.done():
        answered.set_exception(error)


def _refusal(status: int) -> Answer:
    code = _CODES.get(status, "InternalError")
    body = f'{{"code":"{code}","message":{{"lang":"en-US","value":"a fault was asked for"}}}}'
    headers = {"Content-Type": "application/json"} | ({"Retry-After": "1"} if status == 429 else {})
    return Answer(status, body.encode(), headers)


def _said(answer: Answer) -> str:
    """Status, and the code of a refusal."""
    if answer.status < 400:
        return str(answer.status)
    return f"{answer.status} {orjson.loads(answer.content)['code'] if answer.content else ''}".strip()
