"""The `git` program, run so that nothing of the user's set-up, of the repository or of the server decides what it does.

It gets an environment of its own, with a home that holds one configuration file. It never asks, runs no hook, follows
no submodule, and speaks the one protocol of the address. Secrets reach it through the environment alone.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from reconciler.errors import SourceError, UsageError
from reconciler.source import process
from reconciler.source.address import SCHEMES, Address

_PASSED_ON: Final = (
    "PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "TMPDIR",
    *(name for proxy in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (proxy, proxy.upper())),
)
"""What is taken over from the user: where programs, keys and certificates are, and the way out of the network."""

_CONFIGURATION: Final = """\
[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tsymlinks = false
[credential]
\thelper =
[protocol]
\tversion = 2
[fetch]
\trecurseSubmodules = false
\tunpackLimit = 1
[gc]
\tauto = 0
[maintenance]
\tauto = false
[i18n]
\tlogOutputEncoding = UTF-8
[gpg "x509"]
\tprogram = /bin/false
"""
# unpackLimit: objects go to the disk as they come, where their size is watched, and not into memory.
# safe.directory: what is opened is our own folder, which may be on a volume with other owners, and the repository at a
# file URL, which was named on purpose.

_HELPER: Final = (
    '!f() { test "$1" = get && '
    'printf "username=%s\\npassword=%s\\n" "$RECONCILER_GIT_USER" "$RECONCILER_GIT_PASSWORD"; }; f'
)
"""A credential helper. git asks it for the one host it is set for, also after a redirect, and only when challenged."""


@dataclass(frozen=True, slots=True)
class Access:
    """With what a repository is opened. A token comes from a file, read again each time, or from a variable of the
    environment; *user* goes with it. A server that wants more than a token wants what the URL says."""

    ssh_key: str = ""
    known_hosts: str = ""
    token_file: str = ""
    token_variable: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Git:
    """git for one address. *home* is a folder of ours, *environment* that of this process, *timeout* seconds for each
    command. Raises UsageError where *access* does not fit the address."""

    address: Address
    access: Access
    home: Path
    environment: Mapping[str, str] = field(repr=False)
    timeout: float

    def __post_init__(self) -> None:
        given, scheme = self.access, self.address.scheme
        has_token = bool(given.token_file or given.token_variable)
        if given.token_file and given.token_variable:
            raise UsageError("give a token for Git in a file or in a variable of the environment, not both")
        if has_token and scheme not in ("https", "http"):
            raise UsageError(f"a token for Git goes with an https URL, not with {scheme}")
        if has_token and self.address.password:
            raise UsageError("the URL of the repository holds a password, and a token is given: leave one out")
        if (given.ssh_key or given.known_hosts) and scheme != "ssh":
            raise UsageError(f"--git-ssh-key and --git-known-hosts go with an ssh URL, not with {scheme}")
        if (has_token or self.address.password) and self.address.is_readable_on_the_way:
            raise UsageError(f"a password would cross the network unencrypted to {self.address.host}: use https")

    def settle(self) -> None:
        """Write the configuration. Raises OSError."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.home / ".gitconfig"
        if not path.exists() or path.read_text("utf-8") != _CONFIGURATION:
            fresh = self.home / f".gitconfig.{os.getpid()}"
            fresh.write_text(_CONFIGURATION, "utf-8")
            fresh.rename(path)

    async def ask(
        self,
        *arguments: str,
        most: int = 1 << 20,
        settings: Sequence[tuple[str, str]] = (),
        keyring: Path = Path("/nonexistent"),
    ) -> bytes:
        """What a command that stays on this machine prints, at most *most* bytes. *keyring* is where gpg looks."""
        return await self._run(arguments, self._environment(settings) | {"GNUPGHOME": str(keyring)}, most)

    async def pour(self, *arguments: str, reading: BinaryIO, writing: BinaryIO) -> None:
        """Let a command that stays on this machine read one file and write another."""
        await self._run(arguments, self._environment(()), 0, reading=reading, writing=writing)

    async def call(self, *arguments: str, most: int = 1 << 20) -> bytes:
        """What a command that talks to the server prints."""
        settings, secrets = self._credentials()
        return await self._run(arguments, self._environment(settings) | secrets, most, tuple(secrets.values()))

    async def _run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        most: int,
        secrets: Sequence[str] = (),
        reading: BinaryIO | int = subprocess.DEVNULL,
        writing: BinaryIO | int = subprocess.PIPE,
    ) -> bytes:
        what = f"{self.address.url}: git {next(word for word in arguments if not word.startswith('-'))}"
        command = ("git", *arguments)
        try:
            ended = await process.run(
                command, environment, self.home, seconds=self.timeout, most=most, reading=reading, writing=writing
            )
        except FileNotFoundError as error:
            raise SourceError("the program git is not installed, or not in PATH") from error
        except TimeoutError:
            raise SourceError(f"{what}: no end after {self.timeout:g} seconds") from None
        if ended.output is None:
            raise TooMuch(f"{what}: an answer of more than {most:,} bytes")
        if ended.code:
            raise GitError(f"{what}: {reason(ended.said, secrets) or f'exit {ended.code}'}", ended.code)
        return ended.output

    def _environment(self, settings: Sequence[tuple[str, str]]) -> dict[str, str]:
        mine = {
            "HOME": str(self.home),
            "LC_ALL": "C",
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": SCHEMES[self.address.scheme],
            "GIT_SSH_COMMAND": self._ssh(),
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        for number, (key, value) in enumerate(settings):
            mine |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return {name: self.environment[name] for name in _PASSED_ON if name in self.environment} | mine

    def _ssh(self) -> str:
        """The command git runs through a shell: a GIT_SSH_COMMAND of the user's is kept, and told not to ask."""
        words = ["-oBatchMode=yes", "-oControlMaster=no", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=30"]
        if self.access.ssh_key:
            words += ["-i", str(Path(self.access.ssh_key).absolute()), "-oIdentitiesOnly=yes"]
        if self.access.known_hosts:
            # ssh splits the value at spaces itself, unless quoted
            words.append(f'-oUserKnownHostsFile="{Path(self.access.known_hosts).absolute()}"')
        return f"{self.environment.get('GIT_SSH_COMMAND') or 'ssh'} {shlex.join(words)}"

    def _credentials(self) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
        """Settings, and the variables that they name: the secrets."""
        if self.address.scheme not in ("https", "http"):
            return (), {}
        user, password = self.access.user or self.address.user, self._token() or self.address.password
        if not (user or password):
            return (), {}
        secrets = {"RECONCILER_GIT_USER": user or "git", "RECONCILER_GIT_PASSWORD": password}
        return ((f"credential.{self.address.door}.helper", _HELPER),), secrets

    def _token(self) -> str:
        if self.access.token_variable:
            where, token = (
                f"the variable {self.access.token_variable}",
                self.environment.get(self.access.token_variable, ""),
            )
        elif self.access.token_file:
            where = self.access.token_file
            try:
                token = Path(where).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                raise SourceError(f"the token for {self.address.url}: {where}: {why}") from None
        else:
            return ""
        token = token.strip()
        if not token or re.search(r"[\x00-\x20\x7f]", token):
            raise SourceError(f"the token for {self.address.url}: {where} is empty, or holds more than one word")
        return token


class GitError(SourceError):
    """git said no. *code* is what it exited with."""

    def __init__(self, message: str, code: int) -> None:
        self.code = code
        super().__init__(message)


class TooMuch(SourceError):  # noqa: N818 - as the errors of the domain are named
    """More came than we take."""


def reason(heard: bytes, secrets: Sequence[str] = ()) -> str:
    """What git said, in one short line that any terminal can print, without secrets."""
    text = heard.decode("utf-8", "replace")
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(://)[^/@\s]+@", r"\1", text)
    lines = [plain(line) for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("hint:", "warning:"))]
    ends = [number for number, line in enumerate(lines, 1) if line.startswith(("fatal: ", "error: "))]
    told = lines[: ends[-1]][-3:] if ends else lines[-3:]  # advice may follow, the same for everybody
    return plain("; ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in told), 300)


def plain(text: str, most: int = 200) -> str:
    """*text* in one line without control characters, cut to *most* characters."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", " ", text).split())
    return line if len(line) <= most else line[: most - 3] + "..."
