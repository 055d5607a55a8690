"""Azurite as the storage service: a real blob service on loopback, with leases that run out by its own clock.

It comes with npm and is installed once, into a folder of the user's cache; the first time takes about 20 seconds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

VERSION = "3.35.0"
_ACCOUNT = "store"
_SAS_VERSION = "2019-12-12"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "reconciler-tests" / f"azurite-{VERSION}"


def program() -> list[str]:
    """The command that starts Azurite's blob service; it is installed if it is not there yet."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs npm: install Node.js with npm, for example with apt-get install nodejs npm")
    script = _cache() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if not script.exists():
        _install(npm, _cache())
    return [node, str(script)]


def _install(npm: str, target: Path) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    command = [npm, "install", "--prefix", str(part), "--no-audit", "--no-fund", f"azurite@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        pytest.skip(f"needs azurite: npm install --prefix '{target}' azurite@{VERSION}")
    try:
        part.rename(target)
    except OSError:  # somebody else was faster
        shutil.rmtree(part, ignore_errors=True)


class Azurite:
    """A running storage account with an empty container or two."""

    def __init__(self, folder: Path) -> None:
        self._key = base64.b64encode(os.urandom(32)).decode()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(self._port), "--location", str(folder)]
        environment = {**os.environ, "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{self._key}"}
        self._child = subprocess.Popen(
            [*program(), *options, "--silent", "--disableTelemetry"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 90
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            assert self._child.poll() is None, "Azurite has ended"
            assert time.monotonic() < deadline, "Azurite does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait(10)

    def url(self, path: str, permissions: str = "rwlac") -> str:
        """The address of a container or blob with a signature that allows what the letters say."""
        expiry = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines = [_ACCOUNT, permissions, "b", "co", "", expiry, "", "", _SAS_VERSION, ""]
        digest = hmac.new(base64.b64decode(self._key), "\n".join(lines).encode(), hashlib.sha256).digest()
        query = {"sv": _SAS_VERSION, "ss": "b", "srt": "co", "sp": permissions, "se": expiry}
        signed = urlencode({**query, "sig": base64.b64encode(digest).decode()})
        return f"http://127.0.0.1:{self._port}/{_ACCOUNT}/{quote(path)}?{signed}"

    @property
    def account(self) -> str:
        return _ACCOUNT

    @property
    def key(self) -> str:
        return self._key

    @property
    def base(self) -> str:
        """The address of the account."""
        return f"http://127.0.0.1:{self._port}/{_ACCOUNT}"

    def make_container(self, name: str) -> None:
        self._call("PUT", self.url(name) + "&restype=container")

    def put(self, path: str, content: bytes) -> None:
        self._call("PUT", self.url(path), content, {"x-ms-blob-type": "BlockBlob"})

    def get(self, path: str) -> bytes | None:
        """The blob's content; None if there is none."""
        try:
            return self._call("GET", self.url(path))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            raise

    def _call(self, method: str, url: str, content: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        body = content if method == "PUT" else None
        request = urllib.request.Request(url, body, {"x-ms-version": _SAS_VERSION, **(headers or {})}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
