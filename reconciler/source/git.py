"""A branch of a Git repository as a source of manifests: asked for its newest commit, fetched when that is a new one.

Each new commit is fetched by itself, shallow, into a repository that is thrown away: nothing grows, no garbage is left
to collect, and a crash leaves no lock of Git's behind. The price is that a commit is downloaded whole, not as the
difference to the one before; what a revision may hold has a limit anyway.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from reconciler.errors import SourceError, UsageError
from reconciler.ports import Checkout, Revision
from reconciler.source import address, signers, tree
from reconciler.source.checkouts import Checkouts, finished
from reconciler.source.program import Access, Git, GitError, TooMuch, plain
from reconciler.source.signers import Signers
from reconciler.source.tree import Limits, UnusableTree

_FETCHED: Final = "refs/heads/fetched"
_WATCH: Final = 0.1
_DAY: Final = 86_400
_OVERHEAD: Final = 64 * 1024
"""Bytes of what comes with the files: folders, and an index."""
_HISTORY: Final = 32 * 1024 * 1024
"""Bytes of history that are read to tell whether a branch was rewritten; commits alone are far smaller."""


class GitSource:
    """A Source that follows a branch. *verify* names a file or folder of those who may sign; "" asks for no signature.

    *state* is this user's state directory, *timeout* seconds for each command of git. Raises UsageError for a URL,
    branch, path or access that cannot be.
    """

    def __init__(
        self,
        url: str,
        branch: str,
        path: str,
        state: Path,
        environment: Mapping[str, str],
        *,
        access: Access = Access(),  # noqa: B008 - a value
        verify: str = "",
        limits: Limits = Limits(),  # noqa: B008 - a value
        timeout: float = 120.0,
    ) -> None:
        self.address = address.parse(url)
        self.branch = address.branch_name(branch)
        self.path = address.inner_path(path)
        if self.address.is_readable_on_the_way and not verify:
            raise UsageError(
                f"--git: {self.address.scheme} is not encrypted, so anyone between here and {self.address.host} could "
                "change the manifests: use https or ssh, or ask for signed commits (--git-verify)"
            )
        self._verify, self._limits, self._timeout = verify, limits, timeout
        which = "\n".join((self.address.url, self.branch, self.path))
        folder = state / "sources" / f"{self.address.name}-{hashlib.sha256(which.encode()).hexdigest()[:12]}"
        self._git = Git(self.address, access, folder, environment, timeout)
        self._checkouts = Checkouts(folder, self.address.name, self.path)
        self._refused: tuple[str, str, str] | None = None

    async def fetch(self) -> Checkout:
        """The newest commit, checked out. One short question to the server where it is known already."""
        try:
            self._git.settle()
            commit = await self._newest()
            trusted = await asyncio.to_thread(signers.read, self._verify) if self._verify else None
            conditions = self._conditions(trusted)
            if self._refused and self._refused[:2] == (commit, conditions):
                raise SourceError(self._refused[2], commit=commit)
            async with self._checkouts.changing(self._timeout * 4):
                found = await self._checkouts.find(commit, conditions)
                if found is None:
                    found = await self._bring(commit, conditions, trusted)
                return await self._settle_on(found)
        except SourceError as error:
            if error.commit:  # not downloaded again and again to be refused
                self._refused = (error.commit, conditions, str(error))
            raise
        except OSError as error:
            raise self._disk(error) from error

    async def _settle_on(self, found: Checkout) -> Checkout:
        """Make a commit the newest one; those that nobody needs go."""
        commit = found.revision.id
        before, note = self._checkouts.read("newest")
        if before != commit:
            note = await self._note(before, found.revision) if before else ""
        self._checkouts.use(commit)
        self._checkouts.write("newest", commit, note)
        await finished(self._checkouts.tidy)
        return replace(found, revision=replace(found.revision, note=note))

    async def keep(self, revision: Revision) -> None:
        """This commit is in force: it stays until another one is kept. Raises SourceError."""
        try:
            async with self._checkouts.changing(self._timeout):
                self._checkouts.use(revision.id)
                self._checkouts.write("kept", revision.id)
                await finished(self._checkouts.tidy)
        except OSError as error:
            raise self._disk(error) from error

    async def kept(self) -> Checkout | None:
        """The commit in force, also where the server cannot be reached; None where its files are not as they were, or
        it would not be found good any more (its signer was taken away)."""
        try:
            async with self._checkouts.changing(self._timeout):
                commit, _ = self._checkouts.read("kept")
                trusted = await asyncio.to_thread(signers.read, self._verify) if self._verify else None
                found = await self._checkouts.find(commit, self._conditions(trusted)) if commit else None
                if found:
                    self._checkouts.use(commit)
                return found
        except OSError as error:
            raise self._disk(error) from error

    async def close(self) -> None:
        """Other processes may remove what this one used."""
        self._checkouts.close()

    def _disk(self, error: OSError) -> SourceError:
        return SourceError(f"{self.address.url}: {error.filename or self._checkouts.folder}: {error.strerror}")

    def _conditions(self, trusted: Signers | None) -> str:
        """What a revision was judged by: another judgement needs another look at it."""
        facts = [tree.RULES, asdict(self._limits), trusted.digest if trusted else ""]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    async def _newest(self) -> str:
        """The commit the branch is at."""
        name = f"refs/heads/{self.branch}"
        try:
            answer = await self._git.call("ls-remote", "--exit-code", "--", self.address.url, name)
        except GitError as failed:
            if failed.code != 2:  # git-ls-remote(1), --exit-code: no matching ref
                raise
            raise await self._no_branch() from None
        refs = _refs(answer)
        if name not in refs:  # names are matched by their end
            raise await self._no_branch()
        return refs[name]

    async def _no_branch(self) -> SourceError:
        answer = await self._git.call("ls-remote", "--heads", "--", self.address.url, most=64 << 20)
        names = sorted(name.removeprefix("refs/heads/") for name in _refs(answer))
        if not names:
            return SourceError(f"{self.address.url}: the repository is empty: it has no branch at all")
        close = get_close_matches(self.branch, names, n=1) or [name for name in ("main", "master") if name in names]
        hint = f"; did you mean {plain(close[0])}?" if close else f"; it has {plain(', '.join(names))}"
        return SourceError(f"{self.address.url}: no branch {self.branch} (deleted, or never there){hint}")

    async def _bring(self, commit: str, conditions: str, trusted: Signers | None) -> Checkout:
        """Download what the branch is at (*commit*, or newer by now), judge it, and check it out."""
        with self._checkouts.incoming() as here:
            repository = here / "repository"
            try:
                await self._download(repository, commit, self._limits.bytes, "--depth=1")
            except TooMuch as error:
                raise SourceError(f"{self.branch} at {commit[:12]}: {error} (--git-max-size)", commit=commit) from error
            commit = (await self._ask(repository, "rev-parse", "--verify", f"{_FETCHED}^{{commit}}")).decode().strip()
            if trusted:
                await signers.check(self._git, repository, commit, trusted, here)
            try:
                listing = await self._write(repository, commit, here)
            except UnusableTree as error:
                raise SourceError(f"{self.branch} at {commit[:12]}: {error}", commit=commit) from error
            return self._checkouts.put(here, await self._revision(repository, commit), listing, conditions)

    async def _write(self, repository: Path, commit: str, here: Path) -> bytes:
        """Write the files of a commit, where they may be used; the listing of them."""
        most = 1024 + self._limits.files * 512
        try:
            listing = await self._ask(repository, "ls-tree", "-r", "-l", "-z", "--full-tree", commit, most=most)
        except TooMuch as error:
            raise UnusableTree(f"more than {self._limits.files:,} files are not fetched (--git-max-files)") from error
        items = tree.parse(listing)
        tree.judge(items, self.path, self._limits)
        with (here / "requests").open("w+b") as asked, (here / "contents").open("w+b") as contents:
            asked.write(tree.requests(items))
            asked.seek(0)
            await self._git.pour(f"--git-dir={repository}", "cat-file", "--batch", reading=asked, writing=contents)
            contents.seek(0)
            await finished(tree.write, items, contents, self._checkouts.files(here), self.path)
        return listing

    async def _revision(self, repository: Path, commit: str) -> Revision:
        answer = await self._ask(repository, "log", "-1", "--no-show-signature", "--format=%s%x00%an%x00%ct", commit)
        subject, author, seconds = answer.decode("utf-8", "replace").rstrip("\n").split("\0")
        return Revision(commit, plain(subject), plain(author), _time(seconds))

    async def _note(self, before: str, revision: Revision) -> str:
        """Whether what was fetched *before* is part of the history of a commit: else somebody rewrote the branch."""
        earlier = self._checkouts.describe(before)
        unknown = f"whether {self.branch} was rewritten since {before[:12]} could not be told"
        if not (revision.at and earlier and earlier.at):
            return unknown
        oldest = min(datetime.fromisoformat(at).timestamp() for at in (revision.at, earlier.at))
        with self._checkouts.incoming() as here:
            history = here / "history"
            try:
                since = f"--shallow-since={int(oldest) - _DAY}"
                await self._download(history, revision.id, _HISTORY, since, "--filter=tree:0")
                known = await self._ask(history, "rev-list", _FETCHED, most=_HISTORY)
            except (
                SourceError
            ):  # a server without that question, or a history too long: the commit is good all the same
                return unknown
        if before in known.decode("ascii").split():
            return ""
        return f"the history of {self.branch} was rewritten: {before[:12]}, fetched before, is no longer part of it"

    async def _download(self, repository: Path, commit: str, most: int, *options: str) -> None:
        """Fetch the branch into a new repository, for names like *commit*. Raises TooMuch when more than *most* bytes
        have come."""
        await self._git.ask("init", "--quiet", "--bare", "--template=", *_format(commit), str(repository))
        names = f"+refs/heads/{self.branch}:{_FETCHED}"
        command = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", *options)
        fetching = asyncio.create_task(
            self._git.call(f"--git-dir={repository}", *command, "--", self.address.url, names)
        )
        try:
            while not (await asyncio.wait([fetching], timeout=_WATCH))[0]:
                await self._limit(repository, most)
            fetching.result()
            await self._limit(repository, most)
        finally:
            fetching.cancel()
            await asyncio.wait([fetching])

    async def _limit(self, repository: Path, most: int) -> None:
        size = await asyncio.to_thread(_size, repository / "objects")
        if size > most + most // 8 + _OVERHEAD:
            raise TooMuch(f"more than {most / (1 << 20):,.1f} MiB to download")

    async def _ask(self, repository: Path, *arguments: str, most: int = 1 << 20) -> bytes:
        return await self._git.ask(f"--git-dir={repository}", *arguments, most=most)


def _refs(answer: bytes) -> dict[str, str]:
    """Names and commits of `git ls-remote`."""
    pairs = (line.split("\t", 1) for line in answer.decode("utf-8", "surrogateescape").splitlines())
    return {name: commit for commit, name in pairs}


def _format(commit: str) -> tuple[str, ...]:
    """A repository for names as long as this one."""
    return () if len(commit) == 40 else ("--object-format=sha256",)


def _time(seconds: str) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):  # the commit says so
        return ""


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # git renamed it
            continue
    return total
