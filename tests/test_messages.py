"""Every message that refuses something, or blocks it, is shown by a test.

The sources are read, not run. A message is what is given to an error, a finding or a block where it is made; a test
shows it by a text of its own that holds a piece of it which no other message has. Words that a caller gives (`raise
UsageError(str(error))`) are a message of the caller.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reconciler import errors

ROOT = Path(__file__).resolve().parents[1]
PIECE = 12
"""Characters. Fewer say little; of more, texts with values between them have too few pieces."""
OURS = {name for name, it in vars(errors).items() if isinstance(it, type) and issubclass(it, errors.ReconcilerError)}
MAKERS = OURS | {
    *(
        "Blocked",
        "Guard",
        "_stop",
        "Finding",
        "Problem",
        "PydanticCustomError",
        "WrongArgumentsError",
        "ArgumentTypeError",
    ),
    *("refusal", "_refuse", "_refused", "_refusal", "_misspelt", "_UnknownError", "_UnreadableError", "_RefusedError"),
}
NOT_SHOWN = {
    " of them can be taken off scheduling": "a listed node that owes nothing can be, or starts up and is waited for",
    "expected YAML, but ": "libyaml gives every error a place; this is for one that has none",
}
"""Messages that no test can bring about, by their beginning, and why."""


@dataclass(frozen=True)
class Message:
    """What is said, in the texts between its values, and where it is made."""

    place: str
    texts: tuple[str, ...]

    @property
    def pieces(self) -> frozenset[str]:
        return frozenset(piece for text in self.texts for piece in pieces(text))


def pieces(text: str) -> Iterator[str]:
    return (text[start : start + PIECE] for start in range(len(text) - PIECE + 1))


def test_every_message_is_shown_by_a_test() -> None:
    found = [message for message in messages() if message.pieces]
    assert len(found) > 200
    common = Counter(piece for message in found for piece in message.pieces)
    shown = frozenset(piece for text in texts_of_tests() for piece in pieces(text))
    unseen = [
        f"{message.place}: {' ... '.join(message.texts)}"
        for message in found
        if (frozenset(piece for piece in message.pieces if common[piece] == 1) or message.pieces).isdisjoint(shown)
        and not message.texts[0].startswith(tuple(NOT_SHOWN))
    ]
    assert not unseen, "\n".join([f"{len(unseen)} of {len(found)} messages are in no test:", *unseen])


def test_what_is_excused_is_there() -> None:
    beginnings = {message.texts[0] for message in messages() if message.texts}
    assert set(NOT_SHOWN) <= beginnings


@cache
def messages() -> list[Message]:
    return [message for path in _sources() for message in _made_in(path)]


def _sources() -> Iterable[Path]:
    """All of the product but the emulator, which speaks for the service."""
    package = ROOT / "reconciler"
    return (path for path in sorted(package.rglob("*.py")) if package / "emulator" not in path.parents)


def _made_in(path: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in MAKERS:
            given = (*node.args, *(word.value for word in node.keywords if word.arg not in ("code", "status")))
            texts = tuple(part for argument in given for part in _constants(argument))
            yield Message(f"{path.relative_to(ROOT)}:{node.lineno}", texts)


def _constants(node: ast.AST) -> Iterator[str]:
    """Texts between the values of a message, in order; `{name}` stands for a value, too."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from filter(None, re.split(r"\{\w+\}", part.value))


def texts_of_tests() -> Iterator[str]:
    """Every text in the tests that is no docstring."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path == Path(__file__):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        yield from (
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken
        )
