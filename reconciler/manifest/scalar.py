"""What an unquoted scalar means."""

import re
from collections.abc import Mapping
from typing import Any, Final

_SPELLED: Final[Mapping[Any, str]] = {True: "yes true on", False: "no false off", None: "null"}
_WORDS: Final[Mapping[str, Any]] = {"": None, "~": None} | {
    spelling: value
    for value, words in _SPELLED.items()
    for word in words.split()
    for spelling in (word, word.capitalize(), word.upper())
}
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0b(?P<binary>[01_]+)|0x(?P<hex>[0-9a-fA-F_]+)|0(?P<octal>[0-7_]+)|(?P<decimal>0|[1-9][0-9_]*))"
)
_BASES: Final = {"binary": 2, "hex": 16, "octal": 8, "decimal": 10}
_FLOAT: Final = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|\.(?:inf|Inf|INF))"
    r"|\.(?:nan|NaN|NAN)"
)
_LONGEST_NUMBER: Final = 100
"""Characters. A longer row of digits is text: no field takes such a number, and arithmetic on it is slow."""


def plain(text: str) -> Any:
    """What an unquoted scalar means: YAML 1.1 as PyYAML reads it, but dates and clock times (1:30) stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "-+.0123456789":
        return _number(text)
    return text


def _number(text: str) -> Any:
    if len(text) > _LONGEST_NUMBER:
        return text
    if match := _INTEGER.fullmatch(text):
        base = str(match.lastgroup)
        digits = match[base].replace("_", "")
        return int(match["sign"] + digits, _BASES[base]) if digits else text
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
