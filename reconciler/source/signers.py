"""Who may sign a revision: keys in a file or folder, and whether a commit carries a signature of one of them.

Lines of SSH's allowed signers (`ssh-keygen(1)`, ALLOWED SIGNERS: `who key-type key`), or public keys of OpenPGP where
gpg is installed; in a folder both. Only the newest commit is looked at: who signs it vouches for what it builds on.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.errors import SourceError
from reconciler.source import process
from reconciler.source.program import Git, plain, reason

_ARMOUR: Final = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_KEY_TYPE: Final = re.compile(r"(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+")
_LARGEST: Final = 4 * 1024 * 1024
_SECONDS: Final = 60.0

_GOOD: Final = "G"
_UNSIGNED: Final = "N"
_WHY: Final[Mapping[str, str]] = {
    "N": "is not signed",
    "B": "carries a bad signature: it was changed after it was signed",
    "U": "is signed with the key {key}, which is not in {path}",
    "E": "is signed with a key that cannot be checked: it is not in {path}, or of a kind that is unknown here",
    "X": "carries a signature that has expired, of {key}",
    "Y": "is signed with the key {key}, which has expired",
    "R": "is signed with the key {key}, which was revoked",
}
"""What Git answers for `%G?` (git-log(1), PRETTY FORMATS), in words."""


@dataclass(frozen=True, slots=True)
class Signers:
    """Keys as they were read. *path* is where from."""

    path: str
    lines: bytes = b""
    keys: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def digest(self) -> str:
        """Changes whenever somebody is added or taken away."""
        return hashlib.sha256(b"\0".join((self.lines, *self.keys))).hexdigest()


def read(path: str) -> Signers:
    """The signers in a file, or in all files of a folder. Raises SourceError where there are none."""
    lines, keys = [], []
    try:
        place = Path(path)
        files = sorted(file for file in place.iterdir() if file.is_file()) if place.is_dir() else [place]
        for file in files:
            if file.name.startswith(".") and file is not place:
                continue
            with file.open("rb") as stream:
                content = stream.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise SourceError(f"--git-verify: {file}: more than {_LARGEST >> 20} MiB")
            if _ARMOUR in content or file.suffix in (".gpg", ".pgp", ".asc"):
                keys.append(content)
            else:
                lines.append(_checked(str(file), content))
    except OSError as error:
        raise SourceError(f"--git-verify: {error.filename or path}: {error.strerror}") from error
    if not (b"".join(lines).strip() or keys):
        raise SourceError(f"--git-verify: {path} names no key: no revision could be trusted")
    return Signers(path, b"\n".join(lines), tuple(keys))


def _checked(name: str, content: bytes) -> bytes:
    """The lines of a file of allowed signers, without comments."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise SourceError(f"--git-verify: {name}: neither UTF-8 text nor a public key of OpenPGP") from None
    kept = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if _KEY_TYPE.fullmatch(words[0]) or not any(map(_KEY_TYPE.fullmatch, words[1:])):
            raise SourceError(f"--git-verify: {name}:{number}: expected `WHO KEY-TYPE KEY`, found {plain(line, 40)!r}")
        kept.append(line)
    return "\n".join(kept).encode()


async def check(git: Git, repository: Path, commit: str, signers: Signers, workshop: Path) -> str:
    """Who signed a commit. Raises SourceError, with the reason, where it is nobody that may. *workshop* is a folder of
    ours for the keys."""
    allowed, keyring = workshop / "allowed_signers", workshop / "gnupg"
    allowed.write_bytes(signers.lines + b"\n")
    if signers.keys:
        await _import(signers, keyring, git.environment)
    settings = [("gpg.ssh.allowedSignersFile", str(allowed)), ("gpg.minTrustLevel", "fully")]
    if not signers.keys:  # nothing to check an OpenPGP signature with, and none of the user's keys are meant
        settings.append(("gpg.openpgp.program", "/bin/false"))
    answer = await git.ask(
        f"--git-dir={repository}",
        "log",
        "-1",
        "--no-show-signature",
        "--format=%G?%x00%GS%x00%GF%x00%GK",
        commit,
        settings=settings,
        keyring=keyring,
    )
    verdict, signer, print_, key = (plain(part) for part in answer.decode("utf-8", "replace").split("\0"))
    if verdict == _UNSIGNED and await _has_signature(git, repository, commit):
        verdict = "E"  # Git says so of a signature whose program is not there, too
    if verdict != _GOOD:
        why = _WHY.get(verdict, "is signed in a way that is not known here ({verdict})")
        text = why.format(key=print_ or key or "no name", path=signers.path, verdict=verdict)
        raise SourceError(f"commit {commit[:12]} {text}", commit=commit)
    return signer


async def _has_signature(git: Git, repository: Path, commit: str) -> bool:
    head, _, _ = (await git.ask(f"--git-dir={repository}", "cat-file", "commit", commit)).partition(b"\n\n")
    return b"\ngpgsig" in head


async def _import(signers: Signers, keyring: Path, environment: Mapping[str, str]) -> None:
    names = await asyncio.to_thread(_prepare, signers, keyring)
    mine = {"PATH": environment.get("PATH", os.defpath), "GNUPGHOME": str(keyring), "LC_ALL": "C"}
    for name in names:
        command = ("gpg", "--batch", "--status-fd=1", "--import", name)
        try:
            ended = await process.run(command, mine, keyring, seconds=_SECONDS, most=_LARGEST)
        except FileNotFoundError as error:
            raise SourceError(
                f"--git-verify: {signers.path} holds a key of OpenPGP, and gpg is not installed"
            ) from error
        except TimeoutError:
            raise SourceError(
                f"--git-verify: gpg does not read {signers.path}: no end after {_SECONDS:g} seconds"
            ) from None
        # it exits with 2 for want of a daemon, which only secret keys need
        if b"[GNUPG:] IMPORT_OK " not in (ended.output or b""):
            raise SourceError(f"--git-verify: gpg does not read {signers.path}: {reason(ended.said)}")


def _prepare(signers: Signers, keyring: Path) -> list[str]:
    """Make a keyring without keys; the names of the files that hold them."""
    keyring.mkdir(mode=0o700)
    # Whoever is in the folder is trusted; a web of trust has nothing to add. No daemon is left behind.
    (keyring / "gpg.conf").write_text("trust-model always\nno-autostart\nno-auto-key-retrieve\nno-auto-key-locate\n")
    names = [f"{number}.key" for number in range(len(signers.keys))]
    for name, key in zip(names, signers.keys, strict=True):
        (keyring / name).write_bytes(key)
    return names
