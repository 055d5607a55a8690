"""Command lines: which shell runs them, and what they ask for that only a shell can do.

The service starts the program itself: no expansion, no pipes, no redirection, unless the command line starts a shell
(REST reference, "commandLine"). How it splits quotes is not documented; read here by the rules of a POSIX shell.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Final

from reconciler.lint.finding import Finding, Part
from reconciler.lint.parts import Job, is_windows, jobs, pools
from reconciler.model.desired import Desired

_POSIX: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
_OTHERS: Final = frozenset({"cmd", "powershell", "pwsh"})
_WRAPPERS: Final = 6
"""Words before the shell that are looked at: `sudo -E env A=b timeout 60 sh -c ...`."""
_OPERATORS: Final = (
    (re.compile(r"&&"), "&&"),
    (re.compile(r"(?<=\s)\|\||\|\|(?=\s)"), "||"),
    (re.compile(r"(?<=\s)\|(?!\|)|(?<!\|)\|(?=\s)"), "|"),
    (re.compile(r"(?<!\S)[0-9&]?>>"), ">>"),
    (re.compile(r"(?<!\S)[0-9&]?>(?!>)"), ">"),
    (re.compile(r"(?<!\S)<"), "<"),
    (re.compile(r";(?=\s)"), ";"),
)
_QUOTED: Final = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\.", re.DOTALL)
_EXPANSIONS: Final = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|\$\(|`")
_WINDOWS_VARIABLE: Final = re.compile(r"%[A-Za-z_][A-Za-z0-9_]*%")
_BUILTINS: Final = frozenset({"cd", "export", "source", ".", "set", "umask", "ulimit", "alias", "eval", "if", "for"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


def check(desired: Desired) -> Iterator[Finding]:
    """Command lines that need a shell and start none."""
    for pool in pools(desired):
        start = pool.part("startTask")
        if start is not None:
            yield from _command(start, "commandLine", windows=is_windows(pool))
    for job in jobs(desired):
        for task in (*job.own_tasks, *job.tasks):
            yield from _of_task(job, task)


def _of_task(job: Job, task: Part) -> Iterator[Finding]:
    windows = is_windows(job.pool)
    yield from _command(task, "commandLine", windows=windows)
    several = task.part("multiInstanceSettings")
    if several is not None and not task.get("containerSettings"):
        yield from _command(several, "coordinationCommandLine", windows=windows)


def _command(task: Part, name: str, *, windows: bool) -> Iterator[Finding]:
    text = task.get(name)
    if not isinstance(text, str) or task.get("containerSettings"):  # an image may bring a shell as its entry point
        return
    found = needs_shell(text, windows=windows)
    if found is not None:
        shell = 'cmd /c "..."' if windows else "/bin/sh -c '...'"
        message = f"expected a program and its arguments, found {found}: no shell is started, write {shell}"
        yield task.warning(message, name)


def needs_shell(text: str, *, windows: bool = False) -> str | None:
    """What in the command line only a shell does, None where all is well or a shell is started."""
    operator, other = _operator(text), _expansion(text, windows=windows)
    if operator is None and other is None:  # most commands of a large job end here, before their words are split
        return None
    shell = shell_of(text)
    if shell in _OTHERS or (shell and operator is None):
        return None
    return f"{operator} outside the quotes of its script" if shell else operator or other


def _operator(text: str) -> str | None:
    """The first operator of a shell outside quotes."""
    bare = _QUOTED.sub("''", text)
    return next((shown for pattern, shown in _OPERATORS if pattern.search(bare)), None)


def _expansion(text: str, *, windows: bool) -> str | None:
    """What a shell would replace, or do itself."""
    first = text.split(maxsplit=1)[:1]
    if first and (first[0] in _BUILTINS or _ASSIGNMENT.fullmatch(first[0])):
        name, equals, _ = first[0].partition("=")
        return f"{name}{equals} in front"
    open_to_it = _QUOTED.sub(_in_double_quotes, text)
    found = _EXPANSIONS.search(open_to_it) or (_WINDOWS_VARIABLE.search(open_to_it) if windows else None)
    return found[0] if found else None


def _in_double_quotes(match: re.Match[str]) -> str:
    return _ESCAPED.sub("", match[0]) if match[0].startswith('"') else ""


def words_of(text: str) -> list[str]:
    """The words of a command line; split at blanks where its quotes do not end."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def shell_of(text: str) -> str | None:
    """Name of the shell that the command line starts on a script, None where it starts none."""
    found = _shell(words_of(text))
    return found[0] if found else None


def script_of(text: str) -> str | None:
    """The script that the command line hands to a POSIX shell."""
    found = _shell(words_of(text))
    return found[1] if found and found[0] in _POSIX else None


def _shell(words: list[str]) -> tuple[str, str] | None:
    for index, word in enumerate(words[:_WRAPPERS]):
        name = re.split(r"[/\\]", word)[-1].lower().removesuffix(".exe")
        rest = words[index + 1 :]
        if name in ("powershell", "pwsh") or (name == "cmd" and any(one.lower().startswith("/c") for one in rest)):
            return name, ""
        if name in _POSIX:
            for at, flag in enumerate(rest):
                if re.fullmatch(r"-[a-zA-Z]*c", flag):
                    return name, rest[at + 1] if at + 1 < len(rest) else ""
                if not flag.startswith(("-", "+")):
                    break
    return None
