"""The text of a formula as tokens with their places. Called by `syntax`.

Comments are `//` to the end of the line and `/* */`; both forms stand in the documented samples
(D:batch-automatic-scaling). A character that begins no token is a problem and is skipped, so that what follows is
checked as well.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.formula.problem import Problem, quoted


class TokenKind(StrEnum):
    """What a token is."""

    NUMBER = "number"
    STRING = "string"
    NAME = "name"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """*text* as written. *first*: nothing but blanks and comments before it on its line."""

    kind: TokenKind
    text: str
    line: int
    column: int
    first: bool

    def is_sign(self, *texts: str) -> bool:
        return self.kind is TokenKind.SIGN and self.text in texts

    def __str__(self) -> str:
        return "the end of the formula" if self.kind is TokenKind.END else quoted(self.text)


_SKIPPED: Final = re.compile(r"(?:[ \t\r\n\f\v]|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_NUMBER: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_STRING: Final = re.compile(r'"[^"\n]*"')
_NAME: Final = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_]*")
_SIGN: Final = re.compile(r"&&|\|\||[<>=!]=|/(?!\*)|[-+*<>!?:;,.()\[\]=]")
_KINDS: Final = (
    (TokenKind.NUMBER, _NUMBER),
    (TokenKind.STRING, _STRING),
    (TokenKind.NAME, _NAME),
    (TokenKind.SIGN, _SIGN),
)
_MEANT: Final[Mapping[str, str]] = {
    "&": "'&&'",
    "|": "'||'",
    "#": "'//' before a comment",
    "'": "a string in double quotes",
    "%": "an operator of the language: there is no remainder",
    "^": "an operator of the language: there is no power",
    "{": "'(' or '['",
    "}": "')' or ']'",
    "$": "a name after '$'",
}


def scan(text: str) -> tuple[list[Token], list[Problem]]:
    """All tokens, the last one of kind END, and what could not be read."""
    tokens: list[Token] = []
    problems: list[Problem] = []
    position, line, begin, first = 0, 1, 0, True
    while position < len(text):
        skipped = _SKIPPED.match(text, position)
        if skipped:
            if "\n" in skipped[0]:
                line += skipped[0].count("\n")
                begin = text.rindex("\n", position, skipped.end()) + 1
                first = True
            position = skipped.end()
            continue
        column = position - begin + 1
        for kind, pattern in _KINDS:
            if match := pattern.match(text, position):
                tokens.append(Token(kind, match[0], line, column, first))
                position, first = match.end(), False
                break
        else:
            message, position = _unreadable(text, position)
            problems.append(Problem(line, column, message))
    tokens.append(Token(TokenKind.END, "", line, position - begin + 1, True))
    return tokens, problems


def _unreadable(text: str, position: int) -> tuple[str, int]:
    """What is wrong at *position*, and where to go on."""
    if text.startswith("/*", position):
        return "expected '*/' after the comment, found the end of the formula", len(text)
    if text[position] == '"':
        end = text.find("\n", position)
        return "expected '\"' at the end of the string, found the end of the line", len(text) if end < 0 else end
    found = text[position]
    return f"expected {_MEANT.get(found, 'a character of the language')}, found {quoted(found)}", position + 1
