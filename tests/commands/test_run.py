"""`reconciler run --once`, `approve`, `suspend` and `resume` as people type them."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.controller.fleet import Shard
from tests.commands.conftest import POOL, STACK, Desk


@pytest.fixture
def folder(desk: Desk) -> Path:
    desk.write(stack=STACK, pool=POOL)
    return desk.folder


def commit(folder: Path, branch: str) -> None:
    for command in (("init", "-q", "-b", branch), ("add", "."), ("commit", "-qm", "all")):
        subprocess.run(
            ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.com", *command], check=True, cwd=folder
        )


@pytest.fixture
def once(desk: Desk, folder: Path) -> Any:
    """One pass; its exit code, the codes of its events, and what it said."""

    def run(*flags: str) -> tuple[int, list[str], str]:
        ran = desk.run("run", str(folder), "--once", *flags)
        return ran.code, [json.loads(line)["code"] for line in ran.out.splitlines()], ran.err

    return run


def test_one_pass_makes_what_is_declared_and_the_next_finds_nothing_to_do(once: Any) -> None:
    code, codes, _ = once()
    assert (code, "Created" in codes) == (0, True) or code == 3
    code, codes, said = once()
    assert (code, codes) == (0, ["Started", "Leading", "Synced", "Following", "Stopped"])
    assert said == "stack 's': Synced\n"


def test_a_plan_is_approved_on_the_command_line(once: Any, desk: Desk, folder: Path) -> None:
    code, codes, _ = once("--mode", "approve")
    assert (code, "Created" in codes) == (4, False)
    digest = next(event for event in _events(once, "--mode", "approve") if event["code"] == "PlanAwaitsApproval")
    assert desk.run("approve", digest["message"].partition(":")[0], str(folder)).code == 0
    _, codes, _ = once("--mode", "approve")
    assert {"PlanApproved", "Created", "ApprovalUsedUp"} <= set(codes)


def _events(once: Any, *flags: str) -> list[dict[str, Any]]:
    file = Path("events.jsonl")
    file.unlink(missing_ok=True)
    once(*flags, "--events", str(file))
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_suspended_object_is_left_alone(once: Any, desk: Desk, folder: Path) -> None:
    flags = ("--object", "pool/p", "--reason", "quota", "--until", "2099-01-01T00:00Z")
    said = desk.run("suspend", str(folder), *flags).out
    heeded = "a controller heeds it from its next pass on."
    assert said.endswith(f"Suspended pool/p of stack 's' until 2099-01-01T00:00:00+00:00: {heeded}\n")
    typo = desk.run("suspend", str(folder), "--object", "pool/q", "--reason", "quota").out
    assert typo.endswith("\nNo manifest declares pool/q (did you mean pool/p?).\n")
    assert desk.run("resume", str(folder), "--object", "pool/q").code == 0
    code, codes, _ = once()
    assert (code, "Created" in codes) == (4, False)
    assert desk.run("resume", str(folder), "--object", "pool/p").code == 0
    assert "Created" in once()[1]
    again = desk.run("resume", str(folder))
    assert (again.code, again.err) == (64, "error: stack 's' is not suspended\n")


def test_a_suspended_stack_is_not_locked(once: Any, desk: Desk, folder: Path) -> None:
    assert desk.run("suspend", str(folder), "--reason", "by hand").code == 0
    code, codes, _ = once()
    assert (code, "Created" in codes) == (4, False)
    desk.apply()
    assert desk.run("resume", str(folder)).code == 0
    assert once()[0] == 0


def test_detect_only_changes_nothing(once: Any) -> None:
    code, codes, _ = once("--mode", "detect-only")
    assert (code, "Created" in codes, "OutOfSync" in codes) == (4, False, True)


def test_broken_manifests_are_told_with_their_place(once: Any, folder: Path) -> None:
    (folder / "stack.yaml").write_text(STACK + "spec: {limit: 3}\n")
    code, codes, said = once()
    assert (code, codes) == (64, ["Started", "InvalidManifests", "Stopped"])
    assert "stack.yaml:4:8: spec.limit" in said


@pytest.mark.parametrize(
    "command, flag, said",
    [("run", "--git-max-files", "2 files, and at most 1 are"), ("run", "--git-max-size", "more than 1.0 MiB")],
)
def test_a_commit_that_is_too_large_is_told_with_the_flag_that_lets_it_in(
    desk: Desk, folder: Path, command: str, flag: str, said: str
) -> None:
    (folder / "noise.bin").write_bytes(random.Random(1).randbytes(3 << 20))
    (folder / "pool.yaml").unlink()
    commit(folder, "main")
    ran = desk.run(command, "--git", str(folder), "--once", flag, "1")
    assert (ran.code, flag in ran.err, said in ran.err) == (64, True, True), ran.err
    assert desk.run(command, "--git", str(folder), "--once", flag, "100").code in (0, 3)


def test_a_branch_of_a_repository_with_everything_said_on_the_command_line(desk: Desk, folder: Path) -> None:
    Path("repository/manifests").mkdir(parents=True)
    (folder / "pool.yaml").write_text(POOL.replace("Nodes: 1", "Nodes: ${var.nodes}"))
    (folder / "stack.yaml").write_text(f"{STACK}spec:\n  variables:\n    nodes: {{type: integer, required: true}}\n")
    for file in folder.iterdir():
        file.rename(Path("repository/manifests", file.name))
    Path("nodes.yml").write_text("nodes: 2\n")
    commit(Path("repository"), "work")
    simulation = desk.simulation
    run = ("run", "--git", "repository", "--branch", "work", "--path", "manifests", "--once", "--var-file", "nodes.yml")
    account = ("run", "--endpoint", simulation.endpoint, "--account", simulation.account, "--store", "kept")
    pace = ("run", "--parallelism", "1", "--max-requests", "20", "--events", "told.jsonl", "--debug", "--no-color")
    ran = desk.run(*run, *account[1:], *pace[1:])
    assert ran.code in (0, 3), ran.err
    assert simulation.request("GET", "/pools/p").body["targetDedicatedNodes"] == 2
    assert ran.out == ""
    assert "Created" in [json.loads(line)["code"] for line in Path("told.jsonl").read_text("utf-8").splitlines()]
    assert list(Path("kept").rglob("journal*"))
    unsigned = desk.run(*run, "--git-verify", "nodes.yml")
    assert unsigned.code == 64
    assert "nodes.yml" in unsigned.err


def test_another_part_of_the_stacks_is_none_of_ours(once: Any) -> None:
    mine = next(number for number in (1, 2, 3) if Shard(number, 3).has("s"))
    other = mine % 3 + 1
    assert once("--shard", f"{other}/3")[0] == 64
    assert once("--shard", f"{mine}/3")[0] in (0, 3)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["run"], "give the PATH of a folder, or a repository with --git URL"),
        (["run", "m", "--git", "https://example.com/r.git"], "give the PATH of a folder, or a repository"),
        (["run", "m", "--branch", "work", "--path", "x"], "--branch, --path: these have a meaning with --git only"),
        (["run", "m", "--http-host", "x.example.com"], "--http-host: these have a meaning with --http only"),
        (["run", "m", "--once", "--http", "127.0.0.1:0"], "--once shows no page"),
        (["run", "--git", "/r", "--git-ssh-key", "k", "--git-known-hosts", "h"], "go with an ssh URL, not with file"),
        (["run", "--git", "/r", "--git-user", "ann", "--git-token-file", "t"], "goes with an https URL"),
        (["run", "--git", "https://h/r", "--git-token-env", "T", "--git-token-file", "t"], "not both"),
        (["run", "m", "--mode", "detect-only", "--revert-drift"], "auto reverts, detect-only never does"),
        (["run", "m", "--revert-drift"], "--revert-drift has a meaning with --mode approve only"),
        (["run", "m", "--http", "0.0.0.0:0"], "can be reached from other machines"),
        (["run", "m", "--http", "here"], "expected an address such as 127.0.0.1:8080"),
        (["run", "m", "--notify", "pigeon=env:X"], "--notify: expected one of"),
        (["run", "--git", "http://example.com/r.git"], "is not encrypted"),
        (["run", "m", "--var", "x"], "--var expects NAME=VALUE"),
        (["run", "m", "--http", "127.0.0.1:0", "--http-token-file", "/nowhere/t"], "/nowhere/t cannot be read"),
        (["run", "m", "--http", "127.0.0.1:0", "--webhook-secret-file", __file__], "has a meaning with --git only"),
        (["approve", "soon", "m"], "expected the digest of a plan"),
        (["suspend", "m", "--reason", "x", "--until", "2001-01-01"], "the end of a suspension has to come"),
        (["suspend", "m", "--reason", "x", "--object", "job"], "expected an address"),
    ],
)
def test_a_wrong_command_line_is_told(desk: Desk, folder: Path, arguments: list[str], said: str) -> None:
    ran = desk.run(*(str(folder) if word == "m" else word for word in arguments))
    assert ran.code == 64
    assert said in ran.err


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b"])
def test_a_shard_is_one_of_its_number(desk: Desk, text: str) -> None:
    ran = desk.run("run", "m", "--shard", text)
    assert ran.code == 64
    assert "expected I/N with I from 1 to N" in ran.err


def test_a_token_that_is_no_text_is_told(desk: Desk, folder: Path) -> None:
    Path("token").write_bytes(b"\xff\xfe\x00")
    ran = desk.run("run", str(folder), "--http", "127.0.0.1:0", "--http-token-file", "token")
    assert (ran.code, ran.err) == (64, "error: token cannot be read: it is no text\n")
