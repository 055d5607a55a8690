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
        self._turn = asyncio.Lock()
        self._fetched: float | None = None
        self._read = 0.0
        self._version: Hashable = None
        self.manifests: Manifests | None = None
        self.revision = NOWHERE
        self.offered = NOWHERE
        self.problem = ""
        self.trouble: PassEnd | None = None

    def expire(self) -> None:
        """Fetch at the next question."""
        self._fetched = None

    def reload(self) -> None:
        """Fetch and read all of it at the next question."""
        self._fetched, self._version = None, None

    async def refresh(self) -> None:
        """Fetch and read what is new. What goes wrong is in `problem`."""
        async with self._turn:  # stacks ask at the same time, and one fetch is for all of them
            now = self._clock.now()
            if self._fetched is not None and now - self._fetched < self._fresh:
                return
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
            self._fetched = self._clock.now()

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
        if version != self._version or now - self._read >= self._reread or self.trouble is PassEnd.INVALID:
            self.manifests = await self._loader.load(checkout)
            self.revision, self._version, self._read = checkout.revision, version, now
        self.problem, self.trouble = "", None


def _findings(errors: ManifestErrors) -> str:
    lines = [str(finding) for finding in errors.findings]
    more = [f"and {len(lines) - SHOWN} more; reconciler validate shows all"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])
