"""Branches behind real servers on loopback: git daemon, git http-backend with a password, sshd."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from source.conftest import Maker, Repository, Web, inetd

from reconciler.errors import SourceError
from reconciler.source import process
from reconciler.source.git import GitSource
from reconciler.source.program import Access
from reconciler.source.tree import Limits

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


async def refusal(source: GitSource) -> str:
    with pytest.raises(SourceError) as caught:
        await source.fetch()
    return str(caught.value)


async def follow(source: GitSource, repository: Repository) -> None:
    """Two commits, the second one seen as going on from the first."""
    for text in ("1", "2"):
        commit = repository.commit({"a.yaml": text})
        found = await source.fetch()
        assert (found.revision.id, found.revision.note) == (commit, "")
        assert Path(found.root, "a.yaml").read_text() == text


async def test_git_daemon(repository: Repository, source: Maker) -> None:
    command = ["git", "daemon", "--inetd", "--export-all", f"--base-path={repository.folder.parent}"]
    async with inetd(command, repository.folder.parent) as port:
        await follow(source(url=f"git://127.0.0.1:{port}/{repository.folder.name}"), repository)


async def test_http_is_asked_once_while_nothing_changes(
    repository: Repository, source: Maker, http: Callable[[], Awaitable[Web]]
) -> None:
    server = await http()
    follows = source(url=server.url)
    await follow(follows, repository)
    server.requests.clear()
    await follows.fetch()
    assert [request.partition("?")[0].rpartition("/")[2] for request in server.requests] == ["refs", "git-upload-pack"]


@pytest.mark.parametrize("place", ["file", "variable", "url", "user of the url"])
async def test_a_password_reaches_the_server_and_nothing_else(
    repository: Repository,
    source: Maker,
    http: Callable[[], Awaitable[Web]],
    tmp_path: Path,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = await http()
    secret = "p4ss%w'\"$(rd)"
    server.password = ("ada", secret) if place != "user of the url" else (secret, "")
    quoted = "p4ss%25w'%22%24(rd)"
    url, environment, access = server.url, {}, Access()
    match place:
        case "file":
            (tmp_path / "token").write_text(f"{secret}\n")
            access = Access(token_file=str(tmp_path / "token"), user="ada")
        case "variable":
            environment, access = {"TOKEN": secret}, Access(token_variable="TOKEN", user="ada")
        case "url":
            url = url.replace("://", f"://ada:{quoted}@")
        case "user of the url":
            url = url.replace("://", f"://{quoted}@")
    commands: list[tuple[str, ...]] = []
    run = process.run

    async def watched(command: tuple[str, ...], *more: Any, **named: Any) -> process.Ended:
        commands.append(command)
        return await run(command, *more, **named)

    monkeypatch.setattr(process, "run", watched)
    follows = source(url=url, environment=environment, access=access)
    await follow(follows, repository)
    assert commands
    assert not [command for command in commands if secret in " ".join(command) or quoted in " ".join(command)]
    stored = (path for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert not [path for path in stored if secret.encode() in path.read_bytes() or quoted.encode() in path.read_bytes()]
    server.password = ("ada", "another one")
    said = await refusal(follows)
    assert said.startswith(f"{server.url}: git ls-remote: ")
    assert secret not in said + repr(follows.address) + repr(access)
    assert quoted not in said + repr(follows.address)


async def test_a_token_is_read_anew_each_time(
    repository: Repository, source: Maker, http: Callable[[], Awaitable[Web]], tmp_path: Path
) -> None:
    server = await http()
    server.password = ("git", "new")
    repository.commit({"a.yaml": "1"})
    token = tmp_path / "token"
    follows = source(url=server.url, access=Access(token_file=str(token)))
    assert await refusal(follows) == f"the token for {server.url}: {token}: No such file or directory"
    token.write_text("")
    assert (await refusal(follows)).endswith(f"{token} is empty, or holds more than one word")
    token.write_text("old")
    assert "Authentication failed" in await refusal(follows)
    token.write_text("new")
    await follows.fetch()


async def test_without_a_password_nobody_is_asked_for_one(
    repository: Repository, source: Maker, http: Callable[[], Awaitable[Web]]
) -> None:
    server = await http()
    server.password = ("ada", "secret")
    repository.commit({"a.yaml": "1"})
    assert "terminal prompts disabled" in await refusal(source(url=server.url))


async def test_a_password_does_not_follow_a_redirect_to_another_server(
    repository: Repository, source: Maker, http: Callable[[], Awaitable[Web]]
) -> None:
    ours, theirs = await http(), await http()
    theirs.password = ("ada", "wants one")
    ours.redirect = theirs.url.rpartition("/")[0]
    repository.commit({"a.yaml": "1"})
    access = Access(token_variable="TOKEN")
    await refusal(source(url=ours.url, access=access, environment={"TOKEN": "secret"}))
    assert theirs.requests
    assert theirs.seen == []


async def test_a_server_that_does_not_answer_is_given_up(
    repository: Repository, source: Maker, http: Callable[[], Awaitable[Web]]
) -> None:
    server = await http()
    repository.commit({"a.yaml": "1"})
    follows = source(url=server.url, timeout=1.0)
    server.hangs = True
    assert await refusal(follows) == f"{server.url}: git ls-remote: no end after 1 seconds"


async def test_a_huge_download_is_stopped_on_its_way(
    repository: Repository, source: Maker, http: Callable[[], Awaitable[Web]]
) -> None:
    server = await http()
    server.drips = True  # all but the end of it, so that it goes on for ever
    repository.git("config", "core.compression", "0")
    repository.commit({"noise.bin": os.urandom(2 << 20)})
    said = await refusal(source(url=server.url, limits=Limits(bytes=1 << 20)))
    assert said.endswith(": more than 1.0 MiB to download (--git-max-size)")


async def test_a_server_that_is_gone_is_told_shortly_and_what_was_fetched_stays(
    repository: Repository, source: Maker, http: Callable[[], Awaitable[Web]]
) -> None:
    server = await http()
    repository.commit({"a.yaml": "1"})
    follows = source(url=server.url)
    found = await follows.fetch()
    server.redirect = "http://127.0.0.1:1"
    said = await refusal(follows)
    assert said.startswith(f"{server.url}: git ls-remote: ")
    assert len(said) < 400
    assert Path(found.path, "a.yaml").read_text() == "1"
    server.redirect = ""
    assert (await follows.fetch()).revision == found.revision


async def test_ssh_by_a_program_of_the_users_choice(repository: Repository, source: Maker, tmp_path: Path) -> None:
    """Not a server: the program runs what it is told, here. git and the protocol are real."""
    program, key = tmp_path / "ssh", tmp_path / "the key"
    program.write_text(f'#!/bin/sh\necho "$*" >>"{tmp_path}/calls"\nfor last; do :; done\neval "$last"\n')
    program.chmod(0o755)
    environment = {"GIT_SSH_COMMAND": shlex.quote(str(program))}
    access = Access(ssh_key=str(key), known_hosts=str(tmp_path / "known hosts"))
    await follow(
        source(url=f"git@host.example:{repository.folder}", environment=environment, access=access), repository
    )
    call = (tmp_path / "calls").read_text().splitlines()[0]
    for option in (
        "-oBatchMode=yes",
        "-oStrictHostKeyChecking=yes",
        f"-i {key} -oIdentitiesOnly=yes",
        f'-oUserKnownHostsFile="{tmp_path}/known hosts"',
        "git@host.example git-upload-pack",
    ):
        assert option in call


@pytest.mark.skipif(SSHD is None, reason="needs sshd: apt-get install openssh-server")
async def test_ssh(repository: Repository, source: Maker, tmp_path: Path) -> None:
    assert SSHD
    ours, hosts, theirs = tmp_path / "key of ours", tmp_path / "known hosts", tmp_path / "host_key"
    for key in (ours, theirs, tmp_path / "another"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "authorized").write_text(ours.with_suffix(".pub").read_text())
    (tmp_path / "sshd_config").write_text(
        f"HostKey {theirs}\nAuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nPermitRootLogin yes\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nAcceptEnv GIT_PROTOCOL\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks itself in; the service makes it at boot
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    async with inetd([SSHD, "-i", "-f", str(tmp_path / "sshd_config")], tmp_path) as port:
        url = f"ssh://{user}@127.0.0.1:{port}{repository.folder}"
        commit = repository.commit({"a.yaml": "1"})
        hosts.write_text("")
        stranger = source(url=url, access=Access(str(ours), str(hosts)))
        assert "Host key verification failed" in await refusal(stranger)
        kind, text, *_ = theirs.with_suffix(".pub").read_text().split()
        hosts.write_text(f"[127.0.0.1]:{port} {kind} {text}\n")
        assert (await stranger.fetch()).revision.id == commit
        assert "Permission denied" in await refusal(
            source(url=url, access=Access(str(tmp_path / "another"), str(hosts)))
        )
