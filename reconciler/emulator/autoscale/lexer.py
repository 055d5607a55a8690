"""The text of a formula as tokens with their places. Called by `parser`.

Blanks, line ends, `//` and `/* */` comments separate tokens (D). Lines and columns count from 1 (R20n,
G:batch-shipyard#138).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.emulator.autoscale.faults import FormulaSyntaxError, Place

_TOKEN = re.compile(
    r"(?P<blank>[ \t\r\f\v]+)|(?P<line>\n)|(?P<comment>//[^\n]*|/\*(?:.*?\*/)?)"
    r"|(?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r'|(?P<string>"[^"\n]*")|(?P<name>\$?[A-Za-z_][A-Za-z0-9_]*)'
    r"|(?P<operator>&&|\|\||[<>=!]=|[-+*/<>!?:;,.()\[\]=])",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """*kind* is number, string, name, operator or end; *text* as written; *fresh*: the first on its line."""

    kind: str
    text: str
    place: Place
    fresh: bool


def tokens(text: str) -> list[Token]:
    """All tokens, the last one of kind end. FormulaSyntaxError at the first character that cannot begin one."""
    found: list[Token] = []
    position, line, begin, fresh = 0, 1, 0, True
    while position < len(text):
        place = Place(line, position - begin + 1)
        match = _TOKEN.match(text, position)
        if match is None:
            raise FormulaSyntaxError(place, f"Unexpected character: {text[position]}")
        written = match[0]
        if match.lastgroup == "comment" and written == "/*":
            raise FormulaSyntaxError(place, "The comment does not end")
        if match.lastgroup in ("line", "comment") and "\n" in written:
            line += written.count("\n")
            begin = position + written.rindex("\n") + 1
            fresh = True
        elif match.lastgroup not in ("blank", "comment"):
            found.append(Token(str(match.lastgroup), written, place, fresh))
            fresh = False
        position = match.end()
    found.append(Token("end", "", Place(line, position - begin + 1), True))
    return found
