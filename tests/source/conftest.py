"""Real repositories, and real servers for them on loopback: git daemon, git http-backend and sshd."""

import asyncio
import os
import shutil
import socket
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from reconciler.source.git import GitSource

GIT = shutil.which("git")
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
    },
}
LINK, MODULE = "120000", "160000"

pytestmark = pytest.mark.skipif(GIT is None, reason="needs git: apt-get install git")


class Repository:
    """A bare repository. Each commit replaces the whole tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = folder.as_uri()
        self.clock = 1_767_225_600  # 2026-01-01T00:00:00Z; a commit each hour
        self.git("init", "-q", "--bare", "--template=", "-b", "main", str(folder), at=False)

    def git(self, *arguments: str, input: bytes = b"", at: bool = True, **environment: str) -> str:  # noqa: A002
        place = (f"--git-dir={self.folder}",) if at else ()
        command = ["git", "-c", "safe.directory=*", *place, *arguments]
        done = subprocess.run(command, input=input, env=ENVIRONMENT | environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(
        self,
        files: Mapping[str | bytes, str | bytes | tuple[str, str]],
        subject: str = "change",
        *,
        branch: str = "main",
        parent: str | None = "",
        author: str = "Ada",
    ) -> str:
        """A commit on a branch: *files* by name, a pair is mode and content. *parent* None begins a new history."""
        self.clock += 3600
        known = self.git("for-each-ref", "--format=%(refname)", f"refs/heads/{branch}")
        lines: list[bytes] = [f"reset refs/heads/{branch}\n".encode()] if parent is None else []
        said = subject.encode()
        lines.append(f"commit refs/heads/{branch}\ncommitter {author} <ada@example.com> {self.clock} +0000\n".encode())
        lines.append(b"data %d\n%s\n" % (len(said), said))
        if parent or (parent == "" and known):
            lines.append(f"from {parent or f'refs/heads/{branch}^0'}\n".encode())
        lines.append(b"deleteall\n")
        for name, value in files.items():
            mode, content = value if isinstance(value, tuple) else ("100644", value)
            path = name if isinstance(name, bytes) else name.encode()
            quoted = b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
            if mode == MODULE:
                lines.append(f"M {mode} {content!s} ".encode() + quoted + b"\n")
                continue
            raw = content if isinstance(content, bytes) else content.encode()
            lines.append(f"M {mode} inline ".encode() + quoted + b"\ndata %d\n%s\n" % (len(raw), raw))
        self.git("fast-import", "--quiet", "--force", input=b"".join(lines))
        return self.git("rev-parse", f"refs/heads/{branch}")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "manifests.git")


Maker = Callable[..., GitSource]


@pytest.fixture
async def source(repository: Repository, tmp_path: Path) -> AsyncIterator[Maker]:
    """Makes sources of `main` of the repository, as of one process each; closed at the end."""
    made: list[GitSource] = []

    def make(
        url: str = "", branch: str = "main", path: str = "", environment: Mapping[str, str] | None = None, **more: Any
    ) -> GitSource:
        given = {"PATH": os.environ["PATH"], **(environment or {})}
        made.append(GitSource(url or repository.url, branch, path, tmp_path / "state", given, **more))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@asynccontextmanager
async def inetd(command: Sequence[str], cwd: Path) -> AsyncIterator[int]:
    """A port where each connection is a process of its own that talks on stdin and stdout, as inetd does it."""
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    processes: list[asyncio.subprocess.Process] = []

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listening)
            connection.setblocking(True)
            with connection:
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=connection, stdout=connection, stderr=subprocess.DEVNULL, cwd=cwd, env=ENVIRONMENT
                )
            processes.append(process)

    accepting = asyncio.create_task(accept())
    try:
        yield listening.getsockname()[1]
    finally:
        accepting.cancel()
        await asyncio.wait([accepting])
        listening.close()
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


class Web:
    """git http-backend behind a server that asks for a password, where one is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password: tuple[str, str] | None = None
        self.requests: list[str] = []
        self.seen: list[tuple[str, str]] = []
        self.url = ""
        self.stuck = asyncio.Event()
        self.hangs = False
        self.redirect = ""
        self.drips = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        if self.hangs:
            await self.stuck.wait()
        if self.redirect:
            raise web.HTTPFound(self.redirect + request.path_qs)
        given = request.headers.get("Authorization", "")
        if given:
            user, _, password = b64decode(given.removeprefix("Basic ")).decode().partition(":")
            self.seen.append((user, password))
        if self.password and (not self.seen or not given or self.seen[-1] != self.password):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        whole = await self._backend(request)
        if not self.drips or b"PACK" not in (whole.body or b""):
            return whole
        part = web.StreamResponse(headers={"Content-Type": whole.content_type})
        await part.prepare(request)
        await part.write(whole.body[:-1000])
        await self.stuck.wait()
        return part

    async def _backend(self, request: web.Request) -> web.Response:
        environment = ENVIRONMENT | {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        process = await asyncio.create_subprocess_exec(
            "git", "-c", "safe.directory=*", "http-backend",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        output, _ = await process.communicate(await request.content.read())
        head, _, body = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=body)


@pytest.fixture
async def http(repository: Repository) -> AsyncIterator[Callable[[], Awaitable[Web]]]:
    async with AsyncExitStack() as running:

        async def start() -> Web:
            served = Web(repository.folder.parent)
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", served.answer)
            runner = web.AppRunner(application, auto_decompress=False)
            await runner.setup()
            running.push_async_callback(runner.cleanup)
            running.callback(served.stuck.set)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            served.url = f"http://127.0.0.1:{port}/{repository.folder.name}"
            return served

        yield start
