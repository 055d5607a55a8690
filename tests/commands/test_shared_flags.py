"""Flags that many commands have mean the same in each of them."""

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler import __version__
from reconciler.cli.main import main
from reconciler.emulator import Simulation
from tests.commands.conftest import JOB, POOL, called

VARIABLE = "spec:\n  variables:\n    nodes: {type: integer, required: true}\n"


@pytest.fixture
def varied(desk: Any) -> Any:
    """The pool has as many nodes as a variable says that has no default."""
    stack = (desk.folder / "stack.yaml").read_text("utf-8")
    desk.write(stack=stack + VARIABLE, pool=POOL.replace("Nodes: 1", "Nodes: ${var.nodes}"))
    Path("nodes.yml").write_text("nodes: 2\n", "utf-8")
    desk.simulation.request("POST", "/pools", {**BARE, "id": "p"})
    return desk


BARE: dict[str, Any] = {
    "vmSize": "standard_d2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (("validate", "manifests"), ("validate", "--var", "--var-file")),
        (("plan", "manifests"), ("plan", "--var", "--var-file")),
        (("apply", "manifests", "--auto-approve", "--detailed-exitcode"), ("apply", "--var", "--var-file")),
        (("destroy", "manifests", "--auto-approve"), ("destroy", "--var", "--var-file")),
        (("status", "manifests"), ("status", "--var", "--var-file")),
        (("graph", "manifests"), ("graph", "--var", "--var-file")),
        (("explain", "pool/p", "manifests"), ("explain", "--var", "--var-file")),
        (("adopt", "pool/p", "--manifests", "manifests", "--auto-approve"), ("adopt", "--var", "--var-file")),
        (("verify", "manifests/stack.yaml", "--seeds", "0"), ("verify", "--var", "--var-file")),
        (("history", "manifests"), ("history", "--var", "--var-file")),
        (("lock", "list", "manifests"), ("lock", "list", "--var", "--var-file")),
        (("lock", "break", "s", "manifests"), ("lock", "break", "--var", "--var-file")),
        (("run", "manifests", "--once"), ("run", "--var", "--var-file")),
        (("approve", "abc", "manifests"), ("approve", "--var", "--var-file")),
        (("suspend", "manifests", "--reason", "x"), ("suspend", "--var", "--var-file")),
        (("resume", "manifests"), ("resume", "--var", "--var-file")),
    ],
)
def test_a_variable_is_given_by_itself_or_in_a_file(
    varied: Any, command: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    without = varied.run(*command)
    assert without.code == 64
    assert "nodes" in without.err
    for flag, value in zip(flags[-2:], ("nodes=2", "nodes.yml"), strict=True):
        given = varied.run(*command, flag, value)
        nothing = "nobody holds the lock s" in given.err or "is not suspended" in given.err
        assert given.code in (0, 4) or nothing, given.err  # 4: the pool is nobody's
        assert "${var.nodes}" not in given.out


ASK_THE_STORE = {"history", "lock", "approve", "suspend", "resume"}


@pytest.mark.parametrize(
    "command",
    [
        ("plan", "manifests", "--endpoint", "--account"),
        ("apply", "manifests", "--auto-approve", "--no-wait", "--endpoint", "--account"),
        ("destroy", "manifests", "--auto-approve", "--endpoint", "--account"),
        ("status", "--endpoint", "--account"),
        ("explain", "pool/p", "manifests", "--endpoint", "--account"),
        ("graph", "manifests", "--plan", "--endpoint", "--account"),
        ("logs", "job/none", "--endpoint", "--account"),
        ("import", "pool/p", "--endpoint", "--account"),
        ("adopt", "pool/q", "--manifests", "manifests", "--auto-approve", "--endpoint", "--account"),
        ("orphan", "pool/p", "--auto-approve", "--endpoint", "--account"),
        ("snapshot", "--endpoint", "--account"),
        ("history", "--endpoint", "--account"),
        ("lock", "list", "--endpoint", "--account"),
        ("lock", "break", "s", "--endpoint", "--account"),
        ("approve", "abc", "manifests", "--endpoint", "--account"),
        ("suspend", "manifests", "--reason", "x", "--endpoint", "--account"),
        ("resume", "manifests", "--endpoint", "--account"),
    ],
)
def test_the_account_on_the_command_line_is_the_one_that_is_asked(
    desk: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    desk.write(pool=POOL, job=JOB)
    desk.apply()
    desk.write(other=POOL.replace("{name: p}", "{name: q}"))
    desk.simulation.request("POST", "/pools", {**BARE, "id": "q"})
    with Simulation(account="elsewhere", seconds_per_request=0.5) as other:
        monkeypatch.setenv("AZURE_BATCH_ENDPOINT", other.endpoint)
        monkeypatch.setenv("AZURE_BATCH_ACCOUNT", other.account)
        values = {"--endpoint": desk.simulation.endpoint, "--account": desk.simulation.account}
        before = len(desk.simulation.requests())
        line = [part for word in command for part in (word, *([values[word]] if word in values else ()))]
        ran = called(*line)
        assert f"Target: {desk.simulation.endpoint} (account {desk.simulation.account})" in ran.out + ran.err
        assert len(desk.simulation.requests()) > before or command[0] in ASK_THE_STORE
        assert other.requests() == []
        assert {row["status"] for row in desk.simulation.requests()[before:]}.isdisjoint({401, 403})


WRONG = [
    ("init", "manifests", "--debug"),
    ("validate", "none", "--debug"),
    ("plan", "none", "--debug"),
    ("apply", "none", "--debug"),
    ("destroy", "none", "--debug"),
    ("status", "job/none", "--debug"),
    ("logs", "job/none", "--debug"),
    ("import", "job/none", "--debug"),
    ("adopt", "job/none", "--manifests", "manifests", "--debug"),
    ("orphan", "jib/none", "--debug"),
    ("snapshot", "--out", "none/x.json", "--debug"),
    ("verify", "none", "--debug"),
    ("explain", "none", "--debug"),
    ("graph", "none", "--debug"),
    ("history", "none", "--debug"),
    ("lock", "list", "none", "--debug"),
    ("lock", "break", "s", "--debug"),
    ("approve", "soon", "manifests", "--debug"),
    ("suspend", "none", "--reason", "x", "--debug"),
    ("resume", "manifests", "--debug"),
    ("emulator", "start", "--state", "a-file", "--debug"),
    ("emulator", "stop", "--state", "a-file", "--debug"),
    ("emulator", "status", "--state", "a-file", "--debug"),
    ("emulator", "reset", "--state", "a-file", "--debug"),
]


@pytest.mark.parametrize("command", WRONG, ids=" ".join)
def test_a_traceback_is_shown_only_to_who_asks_for_it(desk: Any, command: tuple[str, ...]) -> None:
    Path("a-file").write_text("", "utf-8")
    asked, plain = desk.run(*command), desk.run(*command[:-1])
    assert asked.code == plain.code != 0
    assert asked.err.startswith("Traceback (most recent call last):\n") or "\nTraceback (most recent" in asked.err
    assert "Traceback" not in plain.err
    assert asked.err.endswith(plain.err[plain.err.index("error") :])


def test_where_nothing_goes_wrong_debug_says_nothing_more(desk: Any) -> None:
    assert desk.run("emulator", "switches", "--debug") == desk.run("emulator", "switches")


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        (("adopt", "pool/p", "--manifests", "manifests", "--auto-approve", "--store", "kept"), "pool/p: adopted"),
        (("orphan", "pool/q", "--auto-approve", "--store", "kept"), "pool/q"),
        (("destroy", "manifests", "--auto-approve", "--store", "kept"), "Done. "),
        (("lock", "list", "--store", "kept"), "Nobody holds a lock in "),
        (("lock", "break", "s", "--store", "kept"), "nobody holds the lock s"),
        (("approve", "abc", "manifests", "--store", "kept"), "Approved abc for stack 's'"),
        (
            ("suspend", "manifests", "--reason", "x", "--store", "kept"),
            "Suspended stack 's': a controller heeds it",
        ),
        (("resume", "manifests", "--store", "kept"), "stack 's' is not suspended"),
    ],
)
def test_what_we_keep_is_kept_where_the_command_line_says(desk: Any, command: tuple[str, ...], shows: str) -> None:
    desk.write(other=POOL.replace("{name: p}", "{name: q}"))
    desk.apply("--store", "kept")
    desk.write(pool=POOL)
    desk.simulation.request("POST", "/pools", {**BARE, "id": "p"})
    ran = desk.run(*command)
    assert shows in ran.out + ran.err, ran.out + ran.err
    assert not Path("state/reconciler/stacks").exists()
    assert [path.name for path in Path("kept").rglob("journal*")], "the run before is there"


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(*command: str) -> str:
    """What a command prints on a terminal."""
    out, before = Terminal(), sys.stdout
    sys.stdout = out
    try:
        main(command)
    finally:
        sys.stdout = before
    return out.getvalue()


@pytest.mark.parametrize(
    "command",
    [
        ("init", "new", "--no-color"),
        ("validate", "manifests", "--no-color"),
        ("plan", "manifests", "--no-color"),
        ("apply", "manifests", "--auto-approve", "--no-wait", "--no-color"),
        ("destroy", "manifests", "--auto-approve", "--no-color"),
        ("status", "manifests", "--no-color"),
        ("logs", "job/none", "--no-color"),
        ("import", "pool/p", "--no-color"),
        ("adopt", "pool/p", "--manifests", "manifests", "--auto-approve", "--no-color"),
        ("orphan", "pool/p", "--auto-approve", "--no-color"),
        ("snapshot", "--no-color"),
        ("verify", "manifests/stack.yaml", "--seeds", "0", "--no-color"),
        ("explain", "pool/p", "manifests", "--no-color"),
        ("graph", "manifests", "--no-color"),
        ("history", "--no-color"),
        ("lock", "list", "--no-color"),
        ("lock", "break", "s", "--no-color"),
        ("approve", "abc", "manifests", "--no-color"),
        ("suspend", "manifests", "--reason", "x", "--no-color"),
        ("resume", "manifests", "--no-color"),
        ("emulator", "start", "--state", "a-file", "--no-color"),
        ("emulator", "stop", "--state", "a-file", "--no-color"),
        ("emulator", "status", "--state", "a-file", "--no-color"),
        ("emulator", "reset", "--state", "a-file", "--no-color"),
        ("emulator", "switches", "--no-color"),
    ],
    ids=" ".join,
)
def test_no_colour_reaches_a_terminal_that_is_to_have_none(
    desk: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    Path("a-file").write_text("", "utf-8")
    desk.write(pool=POOL)
    desk.apply()
    desk.write(pool=POOL.replace("Nodes: 1", "Nodes: 2"))
    assert COLOUR.findall(shown(*command)) == []


COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-9]|4[0-9]|9[0-7])m")


@pytest.mark.parametrize("command", [("plan", "manifests"), ("apply", "manifests", "--auto-approve", "--no-wait")])
def test_a_terminal_has_colours_otherwise(desk: Any, command: tuple[str, ...]) -> None:
    desk.write(pool=POOL)
    assert COLOUR.findall(shown(*command))


def test_who_gives_no_command_is_told_which_there_are_and_where_to_begin(desk: Any) -> None:
    ran = desk.run()
    assert (ran.code, ran.out) == (64, "")
    assert ran.err == desk.run("--help").out
    assert "Begin with `reconciler init`." in ran.err


def test_the_version(desk: Any) -> None:
    assert desk.run("--version").out == f"reconciler {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [("emulator", "status", "--state", "nowhere"), ("emulator", "stop", "--state", "nowhere")],
)
def test_an_emulator_that_is_not_there(desk: Any, command: tuple[str, ...]) -> None:
    said = {"status": (1, "The emulator is not running.\n"), "stop": (0, "It was not running.\n")}
    ran = desk.run(*command)
    assert (ran.code, ran.out) == said[command[1]]
    assert not Path("nowhere").exists()
