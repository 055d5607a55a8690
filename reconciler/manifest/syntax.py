"""What libyaml and PyYAML say about broken YAML, and what a person can do about it."""

import re
from typing import Final

import yaml
from yaml.reader import ReaderError

from reconciler.errors import Finding
from reconciler.manifest.files import File
from reconciler.manifest.words import quoted

_NOT_TEXT: Final = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SYNTAX: Final[tuple[tuple[str, str], ...]] = (
    ("mapping values are not allowed", "expected one 'key: value' to a line: quote text that has ': ', or indent"),
    ("sequence entries are not allowed", "expected the first '- ' of a list on a line of its own"),
    ("could not find expected ':'", "expected 'key: value': a ':' is missing, or the indentation is wrong"),
    ("did not find expected key", "expected a key at the same column as the ones before it: the indentation is wrong"),
    ("expected '-' indicator", "expected another '- ' at this column: the indentation is wrong"),
    ("expected <block end>", "expected a line at the same column as the ones before it: the indentation is wrong"),
    ("',' or ']'", "expected ',' or ']': a '[' is not closed"),
    ("',' or '}'", "expected ',' or '}': a '{' is not closed"),
    ("unexpected end of stream", "expected a closing quote, found the end of the file"),
    ("unexpected document", "expected a closing quote, found the end of the document"),
    ("unknown escape character", "expected an escape that YAML knows after '\\': single quotes keep it as it is"),
    ("undefined alias", "expected an anchor (&name) before its alias (*name)"),
    ("second occurrence", "expected each anchor (&name) once in a document, found it again"),
    ("undefined tag handle", "expected no tag ('!...'): quote text that begins with '!'"),
    ("expected <document start>", "expected '---' before another document"),
)  # fmt: skip
"""A part of their message, and ours. libyaml and the pure loader word some of them differently."""


def explain_syntax(file: File, error: yaml.YAMLError) -> Finding:
    if isinstance(error, ReaderError):
        match = _NOT_TEXT.search(file.text)
        start = match.start() if match else 0
        before = file.text[:start]
        found = f"found the control character U+{ord(file.text[start]):04X}"
        line, column = before.count("\n") + 1, start - before.rfind("\n")
        return Finding(file.path, line, column, "", f"expected text, {found}")
    problem = str(getattr(error, "problem", None) or getattr(error, "context", None) or "")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return Finding(file.path, 0, 0, "", f"expected YAML, but {problem}")
    lines = file.text.split("\n")
    here = lines[mark.line] if mark.line < len(lines) else ""
    return Finding(file.path, mark.line + 1, mark.column + 1, "", _plainly(problem, here, mark.column))


def _plainly(problem: str, line: str, column: int) -> str:
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation and column <= len(indentation):
        return "expected spaces, found a tab: YAML does not indent with tabs"
    if "cannot start any token" in problem:
        return f"expected a value, found {quoted(line[column : column + 1])}: text that begins with it needs quotes"
    for part, message in _SYNTAX:
        if part in problem:
            return message
    return f"expected YAML, but {problem}"
