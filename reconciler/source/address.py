"""What people write after `--git`, `--branch` and `--path`, taken apart and checked. Nothing is contacted here.

A password in a URL is taken out of it: git is given the rest, so that no command line, message or file shows it.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from reconciler.errors import UsageError

SCHEMES: Final = {
    "https": "https",
    "http": "http:https",  # a server may send its visitors to the encrypted door, never back
    "ssh": "ssh",
    "git": "git",
    "file": "file",
}
"""The kinds of address, and what git may speak for each (GIT_ALLOW_PROTOCOL): a server cannot lead it elsewhere."""

_SHORT_SSH: Final = re.compile(r"(?:(?P<user>[^@:/\s]+)@)?(?P<host>[^@:/\s]+):(?P<path>[^:].*)")
_HELPER: Final = re.compile(r"[A-Za-z0-9+.-]+::")


@dataclass(frozen=True, slots=True)
class Address:
    """A repository. *url* is safe to show and to put on a command line; *user* and *password* are what it held."""

    url: str
    scheme: str
    name: str
    host: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether it names this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host in ("localhost", "")

    @property
    def is_readable_on_the_way(self) -> bool:
        """Whether others could read, and change, what is fetched: no encryption and another machine."""
        return self.scheme in ("http", "git") and not self.is_loopback

    @property
    def door(self) -> str:
        """Scheme, host and port: where a password for this repository may be sent."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def parse(text: str) -> Address:
    """The address of a repository, as git users write it. Raises UsageError."""
    if not text or text.startswith("-") or re.search(r"[\x00-\x20\x7f]", text):
        raise UsageError(
            "--git: expected the URL of a repository, found one that is empty, or has spaces or controls "
            "(a folder called `work tree`: write file:///work%20tree)"
        )
    if "://" in text:
        return _of_url(text)
    if _HELPER.match(text):
        raise UsageError(f"--git: expected https, ssh or file, found the transport {text.partition('::')[0]!r}")
    short = _SHORT_SSH.fullmatch(text)
    if short:
        _no_option(short["host"])
        user = short["user"] or ""
        return Address(text, "ssh", _name(short["path"]), short["host"], user)
    return _of_folder(Path(text).absolute())


def _of_url(text: str) -> Address:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError("--git: expected the URL of a repository, found a host or port that is none") from None
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise UsageError(f"--git: expected https, ssh or file, found the scheme {parts.scheme!r}")
    if parts.query or parts.fragment:
        raise UsageError(f"--git: expected no query and no fragment in the URL of a repository ({scheme}://{host}/...)")
    if scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise UsageError(f"--git: expected a file on this machine (file:///...), found the host {host!r}")
        return _of_folder(Path(unquote(parts.path)))
    if not host:
        raise UsageError(f"--git: expected a host in the {scheme} URL, found none")
    _no_option(host)
    return _of_server(parts, scheme, host, port)


def _of_server(parts: SplitResult, scheme: str, host: str, port: int | None) -> Address:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if re.search(r"[\x00-\x1f\x7f]", user + password):
        raise UsageError("--git: expected no control characters in the user or password of the URL")
    if password and scheme not in ("https", "http"):
        raise UsageError(f"--git: {scheme} takes no password; ssh takes a key (--git-ssh-key)")
    place = f"[{host}]" if ":" in host else host
    if port is not None:
        place += f":{port}"
    if scheme == "ssh" and user:  # part of the address, and no secret: git@
        _no_option(user)
        place = f"{quote(user)}@{place}"
    return Address(f"{scheme}://{place}{parts.path}", scheme, _name(parts.path), host, user, password)


def _of_folder(folder: Path) -> Address:
    if not folder.is_absolute():
        raise UsageError("--git: expected an absolute path after file://")
    return Address(folder.as_uri(), "file", _name(str(folder)))


def _no_option(text: str) -> None:
    if text.startswith("-"):  # ssh would take it for an option
        raise UsageError("--git: expected a host or user, found one that begins with a dash")


def _name(path: str) -> str:
    """What people call the repository: it names the folder of the manifests, and so a stack that has no name."""
    parts = [part for part in unquote(path).split("/") if part not in ("", ".git")]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", parts[-1].removesuffix(".git") if parts else "")
    return name.strip(".-") or "repository"


def branch_name(text: str) -> str:
    """A branch, with or without `refs/heads/`. Raises UsageError for what Git would not take for one."""
    name = text.removeprefix("refs/heads/")
    bad = (
        not name
        or name.startswith(("-", "/", "."))
        or name.endswith(("/", ".", ".lock"))
        or re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|/\.|@\{", name)
    )
    if bad:
        raise UsageError(f"--branch: expected the name of a branch, found {text!r}")
    return name


def inner_path(text: str) -> str:
    """A folder or file in a repository: parts joined by slashes, "" for all of it. Raises UsageError."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or "\0" in text:
        raise UsageError(f"--path: expected a folder or file inside the repository, found {text!r}")
    return "/".join(parts)
