"""The manifests, for all stacks of a source: fetched and read once for all, the last good ones kept."""

import asyncio
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from reconciler.controller.state import PassEnd
from reconciler.errors import ManifestErrors, ReconcilerError, SourceError
from reconciler.model.desired import Desired
from reconciler.ports import Checkout, Clock, Revision, Source

NOWHERE: Final = Revision("")
SHOWN: Final = 20
"""Findings of a broken revision that are shown; `reconciler validate` shows all."""
LONGEST_WAIT: Final = 5.0
"""Seconds for which a pass waits for a source, where there are manifests to go on with."""


@dataclass(frozen=True)
class Manifests:
    """What a revision asks for. *approvals*: digests of plans that it approves, with who says so."""

    stacks: Mapping[str, Desired]
    approvals: Mapping[str, str] = field(default_factory=dict)


class Loader(Protocol):
    """How a checkout is read."""

    async def version(self, checkout: Checkout) -> Hashable:
        """What tells two contents apart without reading them."""

    async def load(self, checkout: Checkout) -> Manifests:
        """What is in it. Raises ReconcilerError, ManifestErrors with all findings."""


class Feed:
    """The newest good manifests, and what is wrong with newer ones.

    *revision* is the one in force, *offered* the newest. *problem* is for people, empty when all is well, and *trouble*
    says of which kind it is. A fetch is not repeated within *fresh* seconds, and what was read is read again after
    *reread* seconds at the latest: secrets it refers to may have changed.
    """

    def __init__(
        self, source: Source, loader: Loader, clock: Clock, *, fresh: float = 0.0, reread: float = 600.0
    ) -> None:
        self._source = source
        self._loader = loader
        self._clock = clock
        self._fresh = fresh
        self._reread = reread
        self._asking: asyncio.Task[None] | None = None
        self._asked = 0.0
        self._fetched: float | None = None
        self._expired = self._anew = False
        self._read = 0.0
        self._version: Hashable = None
        self.manifests: Manifests | None = None
        self.revision = NOWHERE
        self.offered = NOWHERE
        self.problem = ""
        self.trouble: PassEnd | None = None

    def expire(self) -> None:
        """Fetch at the next question, whatever one that is under way is answered."""
        self._fetched, self._expired = None, True

    def reload(self) -> None:
        """Fetch and read all of it at the next question."""
        self.expire()
        self._anew = True

    async def refresh(self) -> None:
        """Fetch and read what is new. What goes wrong is in `problem`. A source that does not answer is waited for
        only where there is nothing to go on with: the stacks have other things to do."""
        # Stacks ask at the same time, and one fetch is for all of them.
        if not await self._answered() or self._is_fresh:
            return
        if self._asking is None:
            self._asked = self._clock.now()
            self._asking = asyncio.ensure_future(self._fetch())
        await self._answered()

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    @property
    def _is_fresh(self) -> bool:
        return self._fetched is not None and self._clock.now() - self._fetched < self._fresh

    async def _answered(self) -> bool:
        """Whether no question is under way any more, after waiting for it as long as it is good for."""
        asking = self._asking
        if asking is None:
            return True
        left = None if self.manifests is None else max(0.0, self._asked + LONGEST_WAIT - self._clock.now())
        await asyncio.wait({asking}, timeout=left)
        if not asking.done():
            return False
        if self._asking is asking:
            self._asking = None
        asking.result()
        return True

    async def _fetch(self) -> None:
        now, self._expired = self._clock.now(), False
        try:
            checkout = await self._source.fetch()
            self.offered = checkout.revision
            await self._take(checkout, now)
            await self._source.keep(checkout.revision)
        except SourceError as error:
            self.problem, self.trouble = str(error), PassEnd.SOURCE_ERROR
            if error.commit:  # it is there, and must not be used
                self.offered, self.trouble = Revision(error.commit), PassEnd.INVALID
        except ManifestErrors as errors:
            self.problem, self.trouble = _findings(errors), PassEnd.INVALID
        except (ReconcilerError, OSError) as error:
            self.problem, self.trouble = str(error), PassEnd.INVALID
        if self.manifests is None:
            await self._recall(now)
        self._fetched = None if self._expired else self._clock.now()

    async def _recall(self, now: float) -> None:
        """What was in force when the last process ended: a source that is away, or broken since, takes nothing from
        it. The trouble stays."""
        trouble = self.problem, self.trouble
        try:
            checkout = await self._source.kept()
            if checkout is not None:
                await self._take(checkout, now)
        except (ReconcilerError, OSError):
            pass  # then there is nothing to go on with, and what is wrong with the newest one is told
        self.problem, self.trouble = trouble

    async def _take(self, checkout: Checkout, now: float) -> None:
        version = (checkout, await self._loader.version(checkout))
        due = now - self._read >= self._reread or self.trouble is PassEnd.INVALID
        if version != self._version or due or self._anew:
            self._anew = False
            self.manifests = await self._loader.load(checkout)
            self.revision, self._version, self._read = checkout.revision, version, now
        self.problem, self.trouble = "", None


def _findings(errors: ManifestErrors) -> str:
    lines = [str(finding) for finding in errors.findings]
    more = [f"and {len(lines) - SHOWN} more; reconciler validate shows all"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])
