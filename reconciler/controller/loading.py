"""From a checkout to the manifests in it: off the event loop, since ten thousand jobs take a while to read."""

import asyncio
import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from reconciler.api.loading import load
from reconciler.controller.feed import Manifests
from reconciler.errors import Finding, ManifestErrors
from reconciler.ports import Checkout

APPROVALS: Final = Path(".reconciler/approvals")
"""The file of a source in which plans are approved: one digest a line; what follows a `#` is for people."""
MOST: Final = 1_000
"""Lines of it that are read, the last ones."""


@dataclass(frozen=True)
class Reading:
    """How manifests are read: a Loader. *variables* are read again each time: they may come from files."""

    variables: Callable[[], Mapping[str, str]]
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    async def version(self, checkout: Checkout) -> Hashable:
        """A commit by its id; a folder by when its files were last written."""
        if checkout.revision.id:
            return checkout.revision.id
        return await asyncio.to_thread(lambda: tuple(_stamps(Path(checkout.path))))

    async def load(self, checkout: Checkout) -> Manifests:
        """All stacks of it. Raises ManifestErrors, with paths as the repository has them."""
        return await asyncio.to_thread(self._load, checkout)

    def _load(self, checkout: Checkout) -> Manifests:
        try:
            stacks = load([checkout.path], variables=self.variables(), environment=self.environment)
        except ManifestErrors as errors:
            raise ManifestErrors([_inside(checkout, finding) for finding in errors.findings]) from errors
        for desired in stacks:
            if checkout.revision.id and desired.stack.source is None:
                # The name would be that of a folder which is another one for each commit.
                text = "expected a Stack document, so that the stack has a name; found none"
                raise ManifestErrors([Finding(_shown(checkout, checkout.path), 0, 0, "", text)])
        return Manifests({desired.stack.name: desired for desired in stacks}, _approvals(checkout))


def _stamps(path: Path) -> Iterator[tuple[str, int, int, int]]:
    files = [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())
    for file in files:
        there = file.stat()
        yield str(file), there.st_ino, there.st_mtime_ns, there.st_size


def _approvals(checkout: Checkout) -> dict[str, str]:
    """Digests, with who says so."""
    place = Path(checkout.path)
    folder = Path(checkout.root) if checkout.root else place if place.is_dir() else place.parent
    try:
        lines = (folder / APPROVALS).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestErrors([Finding(_shown(checkout, str(folder / APPROVALS)), 0, 0, "", str(error))]) from error
    revision = checkout.revision
    who = f"{revision.author or 'somebody'} in {revision.id[:12]}" if revision.id else str(APPROVALS)
    digests = (line.partition("#")[0].strip() for line in lines[-MOST:])
    return {digest: who for digest in digests if digest}


def _inside(checkout: Checkout, finding: Finding) -> Finding:
    return replace(finding, path=_shown(checkout, finding.path))


def _shown(checkout: Checkout, path: str) -> str:
    """A path as the repository has it."""
    root = checkout.root.rstrip("/") + "/"
    return path.removeprefix(root) if checkout.root else path
