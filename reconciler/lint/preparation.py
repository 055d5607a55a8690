"""Preparation and start tasks that cannot run a second time, where the command line shows it.

A preparation task runs again before the next task when its node rebooted after a success, unless
`rerunOnNodeRebootAfterSuccess` is false, and a start task on every restart (REST reference, "JobPreparationTask",
"StartTask"). What the last run left on the node is still there. Only the scripts of POSIX shells are read, and only
commands that nothing in the script guards: a test before, `||` beside, or the removal of the same path.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from reconciler.lint.commands import script_of, shell_of
from reconciler.lint.finding import Finding, Part
from reconciler.lint.parts import is_windows, jobs, pools
from reconciler.model.desired import Desired

_TESTS: Final = frozenset({"[", "[[", "test", "grep", "id", "getent", "mountpoint"})
_OPENING: Final = {"if": True, "while": True, "until": True, "case": True, "for": False}
"""What opens a block, and whether the block runs on a condition."""
_CLOSING: Final = {"fi": ("if",), "done": ("while", "until", "for"), "esac": ("case",), "}": ("{",)}
_LEADING: Final = frozenset({"then", "do", "else", "elif", "!", "exec", "time", "command", "env", "nohup"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_COMMENT: Final = re.compile(r"(?:(?<=\s)|^)#[^\n'\"]*$", re.MULTILINE)
_OPERATOR: Final = re.compile(r"&&|\|\||;;|[();|&\n]")
_SINK: Final = re.compile(r"/dev/(?:null|stdout|stderr)|&?[0-9]")
_ACCOUNTS: Final = {
    "useradd": "id -u NAME >/dev/null 2>&1 || useradd ...",
    "adduser": "id -u NAME >/dev/null 2>&1 || adduser ...",
    "groupadd": "groupadd -f",
    "addgroup": "getent group NAME >/dev/null || addgroup ...",
}


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command of a script. *writes* are the files it makes anew, *appends* those it goes on writing."""

    words: tuple[str, ...]
    writes: tuple[str, ...]
    appends: tuple[str, ...]
    guarded: bool

    @property
    def name(self) -> str:
        return self.words[0].rsplit("/", 1)[-1] if self.words else ""

    @property
    def arguments(self) -> list[str]:
        return [word for word in self.words[1:] if not word.startswith("-")]

    def has(self, letter: str, *long: str) -> bool:
        """Whether it carries a flag, written short (also among others) or long."""
        short = re.compile(rf"-[A-Za-z]*{letter}[A-Za-z]*")
        return any(short.fullmatch(word) or word.partition("=")[0] in long for word in self.words[1:])


def check(desired: Desired) -> Iterator[Finding]:
    """Warnings for each command that would fail, or do its work twice."""
    for pool in pools(desired):
        start = pool.part("startTask")
        if start is not None and not is_windows(pool):
            yield from _task(start, "a start task")
    for job in jobs(desired):
        task = job.part.part("jobPreparationTask")
        if task is not None and task.get("rerunOnNodeRebootAfterSuccess") is not False and not is_windows(job.pool):
            yield from _task(task, "a preparation")


def _task(task: Part, what: str) -> Iterator[Finding]:
    text = task.get("commandLine")
    downloads = tuple(map(_download, task.items("resourceFiles")))
    for found, remedy in hazards(text, downloads) if isinstance(text, str) else ():
        message = f"expected {what} that can run again on a node, found {found}: {remedy}"
        yield task.warning(message, "commandLine")


def _download(file: Part) -> str:
    """Where a resource file is put at every run: a path, or a folder with a slash at the end ("" is the whole working
    directory) for the blobs of a container."""
    path = str(file.get("filePath") or "")
    return path if file.get("httpUrl") else f"{path.rstrip('/')}/" if path else ""


def hazards(command_line: str, downloads: Iterable[str] = ()) -> list[tuple[str, str]]:
    """What in the command line is not safe to run again, each with the remedy. No arguments that may be secret.

    *downloads* are the paths of the resource files, which the service puts there again at every run.
    """
    script = script_of(command_line)
    if script is None:
        if shell_of(command_line):
            return []
        script = " ".join(command_line.splitlines())
    try:
        commands = list(_commands(script))
    except ValueError:  # quotes that do not end: the shell would refuse it as well, or reads it otherwise than we do
        return []
    found: list[tuple[str, str]] = []
    past = _Past(tuple(downloads))
    for command in commands:
        if any("mktemp" in word for word in command.words):
            return found  # from here on in a fresh directory, as likely as not
        if not command.guarded:
            found += [hazard for hazard in _hazards(command, past) if hazard not in found]
        past.named.update(command.arguments)
        past.named.update(argument.rsplit("/", 1)[-1] for argument in command.arguments)
        past.fresh.update(command.writes, command.arguments if command.name == "rm" else ())
    return found


@dataclass
class _Past:
    """Paths that earlier commands *named*, and those that they removed or wrote anew."""

    downloads: tuple[str, ...] = ()
    named: set[str] = field(default_factory=set)
    fresh: set[str] = field(default_factory=set)

    def has_made(self, path: str) -> bool:
        """Whether *path* may be there again: an earlier command named it, or it is downloaded."""
        relative = path.removeprefix("./")
        return path in self.named or any(
            relative == one or (one.endswith("/") and relative.startswith(one)) or (not one and path[:1] not in "/$~")
            for one in self.downloads
        )

    def is_fresh(self, path: str) -> bool:
        """Whether *path* is new at every run, as far as the script shows. A command's output may be any path."""
        if path.endswith("$") or "$(" in path or "`" in path:
            return True
        return any(path == one or path.startswith(f"{one.rstrip('/')}/") for one in self.fresh)


def _hazards(command: Command, past: _Past) -> Iterator[tuple[str, str]]:
    arguments = command.arguments
    target = arguments[-1] if arguments else ""
    stale = [path for path in arguments if not past.is_fresh(path)]
    for path in command.appends:
        if not past.is_fresh(path):
            yield f"'>> {_shown(path)}'", "it appends again at every run, write with '>' or test first"
    match command.name:
        case "tee" if command.has("a", "--append") and stale:
            yield "'tee -a'", "it appends again at every run, leave out -a or test first"
        case "mkdir" if stale and not command.has("p", "--parents"):
            yield f"'mkdir {_shown(stale[0])}'", "it fails where the directory exists, write mkdir -p"
        case "mkfifo" if stale:
            yield f"'mkfifo {_shown(stale[0])}'", "it fails where the pipe exists, write test -p PATH || mkfifo PATH"
        case ("useradd" | "adduser" | "groupadd" | "addgroup") as name if not (
            name == "groupadd" and command.has("f", "--force")
        ):
            yield f"'{name} {_shown(target)}'", f"it fails where the name exists, write {_ACCOUNTS[name]}"
        case "ln" if command.has("s", "--symbolic") and not command.has("f", "--force") and target in stale:
            yield f"'ln -s ... {_shown(target)}'", "it fails where the link exists, write ln -sfn"
        case "mv" if len(arguments) > 1 and not any(map(past.has_made, arguments[:-1])):
            yield f"'mv {_shown(arguments[0])}'", "its source is gone at the second run, copy it or test first"
        case "git" if "clone" in arguments:
            yield from _clone(arguments[arguments.index("clone") + 1 :], past)
        case name if name.startswith("mkfs"):
            yield f"'{name}'", "it erases the data at every run, ask blkid first"


def _clone(arguments: list[str], past: _Past) -> Iterator[tuple[str, str]]:
    """The repository is what looks like one: the values of flags stand among the arguments."""
    at = next((at for at, word in enumerate(arguments) if re.search(r"[:/]|\.git$", word)), None)
    if at is None:
        return
    repository = arguments[at].rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
    folder = arguments[at + 1] if at + 1 < len(arguments) else repository
    if not past.is_fresh(folder):
        yield "'git clone'", f"it fails where {_shown(folder)} exists, test for {_shown(folder)}/.git first"


def _shown(word: str) -> str:
    """A path or name; anything that could hold a token is cut."""
    return "..." if "://" in word or "=" in word else word[:40]


@dataclass
class _Reader:
    """The state of reading a script word by word."""

    words: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    appends: list[str] = field(default_factory=list)
    blocks: list[tuple[str, bool]] = field(default_factory=list)
    """What is open, and whether it runs on a condition."""
    tested: bool = False
    """A test stands before, joined by `&&`."""
    fallback: bool = False
    """`||` stands before: runs where something else failed."""

    def end(self, operator: str) -> Command | None:
        """The command that *operator* ends, if there is one."""
        self._keywords()
        if operator == "(":
            self.blocks.append(("(", self.tested or self.fallback))
        command = None
        if self.words or self.writes or self.appends:
            guarded = self.tested or self.fallback or operator == "||" or any(guard for _, guard in self.blocks)
            command = Command(tuple(self.words), tuple(self.writes), tuple(self.appends), guarded)
        if operator == ")" and self.blocks and self.blocks[-1][0] == "(":
            self.blocks.pop()
        if command is not None or operator not in ("(", "\n"):
            joined = operator in ("&&", "|")
            self.tested = joined and (self.tested or (command is not None and command.name in _TESTS))
            self.fallback = operator == "||" or (joined and self.fallback)
        self.words, self.writes, self.appends = [], [], []
        return command

    def _keywords(self) -> None:
        """Take the words off that stand before the command itself."""
        words = self.words
        while words and (
            words[0] in _LEADING
            or words[0] in _OPENING
            or words[0] in _CLOSING
            or words[0] in ("{", "sudo")
            or _ASSIGNMENT.fullmatch(words[0])
        ):
            word = words.pop(0)
            if word in _OPENING:
                self.blocks.append((word, _OPENING[word] or self.tested or self.fallback))
            elif word == "{":
                self.blocks.append((word, self.tested or self.fallback))
            elif self.blocks and self.blocks[-1][0] in _CLOSING.get(word, ()):
                self.blocks.pop()
            while word == "sudo" and words and words[0].startswith("-"):
                del words[: 2 if words[0] in ("-u", "-g") else 1]


def _commands(script: str) -> Iterator[Command]:
    """The simple commands in the order they are written. Here-documents hide what follows: reading ends there."""
    lexer = shlex.shlex(_COMMENT.sub("", script), posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    reader = _Reader()
    tokens = iter(lexer)
    for token in tokens:
        if token.startswith("<<"):
            return
        if token.strip("();<>|&\n"):
            reader.words.append(token)
        elif "<" in token or ">" in token:
            path = next(tokens, "")
            if reader.words and reader.words[-1] in ("0", "1", "2"):
                reader.words.pop()  # the number of a stream
            if ">" in token and not _SINK.fullmatch(path):
                (reader.appends if ">>" in token else reader.writes).append(path)
        else:
            for operator in _OPERATOR.findall(token):
                if (command := reader.end(operator)) is not None:
                    yield command
    if (command := reader.end(";")) is not None:
        yield command
