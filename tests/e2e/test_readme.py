"""The README's snippets are run: its commands in their order, by a user who has nothing yet but this repository.

Outputs are compared up to ids, ports, times and how far a run had got when it was looked at. What cannot be run says so
in the README, in a comment before the block:

- `<!-- not run: REASON -->`: it is not.
- `<!-- slow: REASON -->`: only with `-m slow`.
- `<!-- first: COMMAND; COMMAND -->`: what a reader has done in between.
- `<!-- appended to: FILE -->`, `<!-- part of: KIND -->`: what a piece of YAML belongs to.
"""

import argparse
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e import forked

from reconciler.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
RUN = ("console", "sh", "yaml")
"""Languages of blocks that are run; one of any other is text."""
MOVES = (
    r"\S+: tasks \d+ of \d+ done(, \d+ running)?(, \d+ failed)?",
    r"\S+: (preparation|release) on NODE: (running|exit code 0)",
    r"\S+: wait for .*",
)
"""Lines about how far a run is: a faster or slower machine has fewer or more of them."""


@dataclass(frozen=True)
class Block:
    """A fenced block with the comments before it. *line* is that of its fence."""

    line: int
    language: str
    text: str
    comments: tuple[str, ...]

    def said(self, word: str) -> str | None:
        """What a comment `word: ...` says, or None without one."""
        found = (text.partition(":")[2].strip() for text in self.comments if text.startswith(f"{word}:"))
        return next(found, None)

    @property
    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command with the output that is shown of it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def blocks(text: str) -> Iterator[Block]:
    comments: list[str] = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if comment := re.fullmatch(r"<!-- (.*) -->", line):
            comments.append(comment[1])
        elif fence := re.fullmatch(r"```(\w*)", line):
            inside = []
            for _, below in lines:
                if below == "```":
                    break
                inside.append(below)
            yield Block(number, fence[1], "\n".join(inside) + "\n", tuple(comments))
            comments = []
        elif line:
            comments = []


README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = [block for block in blocks(README) if block.language in RUN]


@dataclass
class Reader:
    """Somebody who follows the README, in a home and a folder of their own."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "repository"

    def run(self, command: str, stdin: str = "") -> str:
        """What the terminal shows of a command that succeeds."""
        program, *arguments = shlex.split(command)
        if (program, *arguments[:1]) == ("git", "checkout"):
            shutil.copy(ROOT / arguments[1], self.folder / arguments[1])
            return ""
        assert program == "reconciler", f"the test runs no {program}"
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        streams = self.home / "streams"
        code, out, err = forked.run(
            tuple(arguments), stdin=stdin, environment=environment, folder=self.folder, streams=streams, timeout=120
        )
        assert code == 0, f"{command}: exit code {code}\n{out}{err}"
        return err + out


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    shutil.copytree(ROOT / "manifests", made.folder / "manifests")
    yield made
    made.run("reconciler emulator stop")


def test_the_commands_of_the_readme_print_what_it_shows(reader: Reader) -> None:
    follow(reader, [block for block in BLOCKS if block.said("not run") is None and block.said("slow") is None])


@pytest.mark.slow
def test_so_do_those_that_take_long(reader: Reader) -> None:
    follow(reader, [block for block in BLOCKS if block.said("slow") is not None])


def follow(reader: Reader, followed: list[Block]) -> None:
    """Do what the blocks say, one after the other."""
    for block in followed:
        for command in filter(None, (block.said("first") or "").split("; ")):
            reader.run(command)
        if block.language == "yaml":
            use(reader, block)
            continue
        for command, shown in block.commands:
            answers = "yes\n" * shown.count("is accepted: yes")
            printed = reader.run(command, answers)
            assert plain(printed, reader.home) == plain(shown, Path("/home/me")), f"README.md:{block.line}: {command}"


def use(reader: Reader, block: Block) -> None:
    """Put YAML where it belongs, and check it there."""
    if (name := block.said("appended to")) is not None:
        with (reader.folder / name).open("a", encoding="utf-8") as file:
            file.write(block.text)
        reader.run(f"reconciler validate {Path(name).parent}")
        return
    kind = block.said("part of")
    head = f"apiVersion: reconciler/v1\nkind: {kind}\nmetadata: {{name: snippet}}\n" if kind else ""
    (reader.home / "snippet.yaml").write_text(head + block.text, "utf-8")
    reader.run("reconciler validate ../snippet.yaml")


def plain(text: str, home: Path) -> list[str]:
    """The lines of an output without what differs each time; node by node, the order of what ran there is chance."""
    for pattern, word in (
        (re.escape(str(home)), "HOME"),
        (r"tvmps_[0-9a-f]+(_d)?", "NODE"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"(?<=ACCESS_KEY=).*", "KEY"),
        (r"(?<=# process )\d+", "PID"),
        (r"\d+(?= (releases|states),)", "N"),  # what an exploration met: a change of the emulator changes it
        (r"is accepted: (yes)?\n?", "is accepted:\n"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "TIME"),
    ):
        text = re.sub(pattern, word, text)
    lines = [line.rstrip() for line in text.splitlines()]
    lines = [re.sub(r"^(NODE) +", r"\1  ", line) for line in lines if not any(re.fullmatch(m, line) for m in MOVES)]
    on_nodes = sorted(line for line in lines if re.fullmatch(r" +task\d+|", line))
    return [*(line for line in lines if line and line not in on_nodes), *filter(None, on_nodes)]


def test_what_is_not_run_says_why() -> None:
    excused = [block for block in BLOCKS if block.said("not run") is not None or block.said("slow") is not None]
    reasons = {block.line: block.said("not run") or block.said("slow") for block in excused}
    assert all(reasons.values()), reasons
    assert len(reasons) < len(BLOCKS) / 2, f"most of the README is not run: {reasons}"


def test_every_command_is_in_the_list_of_commands() -> None:
    (listed,) = (block.text for block in blocks(README) if block.text.startswith("reconciler "))
    parser = build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    named = set(re.findall(r"^reconciler ([a-z-]+)", listed, re.MULTILINE))
    assert named == set(commands.choices)
