"""`reconciler init` writes a stack that works as it is, and overwrites nothing."""

import re
from pathlib import Path
from typing import Any

import pytest

from reconciler import schema
from tests.commands.conftest import called

FILES = ["job.yaml", "pool.yaml", "stack.yaml"]


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.yaml"))


def test_the_stack_is_valid_applies_and_is_what_the_account_then_has(desk: Any) -> None:
    done = desk.run("init", "my work")
    assert done.code == 0
    assert done.out.startswith("Stack 'my-work', in my work:\n")
    assert "reconciler apply 'my work'" in done.out
    assert written(Path("my work")) == FILES
    valid = desk.run("validate", "my work", "--strict")
    assert (valid.code, valid.err) == (0, ""), valid.err
    assert valid.out == "Valid: stack 'my-work', 1 pool, 1 job, 2 tasks.\n"
    assert desk.run("apply", "my work", "--auto-approve").code == 0
    assert [pool["id"] for pool in desk.simulation.get("/pools")["value"]] == ["my-work"]
    tasks = desk.simulation.get("/jobs/my-work/tasks")["value"]
    assert sorted((task["id"], task["state"]) for task in tasks) == [("task-1", "completed"), ("task-2", "completed")]
    assert desk.run("plan", "my work").out.endswith("No changes. The account matches the manifests.\n")


def test_the_commands_it_names_are_commands_that_work(desk: Any) -> None:
    lines = desk.run("init", "a").out.partition("Next:\n")[2].splitlines()
    commands = [re.split(r" {2,}", line.strip())[0].removeprefix("reconciler ").split() for line in lines]
    assert [command[0] for command in commands] == ["validate", "plan", "apply", "status", "explain", "destroy"]
    for command in commands:
        flags = ("--auto-approve",) if command[0] in ("apply", "destroy") else ()
        assert desk.run(*command, *flags).code == 0, command
    assert desk.simulation.get("/jobs")["value"] == []


def test_without_a_folder_the_name_is_that_of_the_one_it_was_called_in(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("night-shift").mkdir()
    monkeypatch.chdir("night-shift")
    assert desk.run("init").out.startswith("Stack 'night-shift', in manifests:\n")
    assert written(Path("manifests")) == FILES


def test_a_name_that_is_given_is_the_name_of_all_three(desk: Any) -> None:
    assert desk.run("init", "a", "--name", "solver").code == 0
    text = "".join(path.read_text("utf-8") for path in Path("a").glob("*.yaml"))
    assert text.count("  name: solver\n") == 3
    assert "@" not in text


def test_editors_find_the_schemas_beside_the_manifests(desk: Any) -> None:
    assert desk.run("init", "a").code == 0
    documents = schema.documents()
    for path in Path("a").glob("*.yaml"):
        first = path.read_text("utf-8").splitlines()[0]
        named = first.removeprefix("# yaml-language-server: $schema=")
        assert (Path("a") / named).read_text("utf-8") == documents[f"{path.stem}.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("init",), "init: expected a folder without manifests, found manifests/stack.yaml; nothing was written"),
        (("init", "manifests/stack.yaml"), "init: expected a folder, found a file: manifests/stack.yaml"),
        (
            ("init", "a", "--name", "a b"),
            "init --name: expected 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_', found",
        ),
        (("init", "..."), "init: the folder's name '...' makes no name for a stack: give --name NAME"),
    ],
)
def test_it_refuses_and_writes_nothing(desk: Any, arguments: tuple[str, ...], said: str) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    refused = called(*arguments)
    assert (refused.code, refused.out) == (64, "")
    assert said in refused.err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_folder_that_cannot_be_read_is_not_taken_for_empty(desk: Any) -> None:
    Path("a").mkdir()
    Path("a/away.yaml").symlink_to("/etc/hostname")
    refused = desk.run("init", "a")
    assert refused.code == 64
    assert "expected a link that stays inside" in refused.err
    assert written(Path("a")) == ["away.yaml"]
