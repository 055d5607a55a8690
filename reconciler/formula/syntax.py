"""Tokens to statements. Called by `checker`.

A statement that cannot be read is a problem and is left out; reading goes on with the next one, so that every
statement is checked in one run. Statements are separated by `;`. A line end separates them as well where what follows
cannot continue the statement: in the documented samples the last statement has no `;`, and expressions go over
several lines (D:batch-automatic-scaling). Operators bind as in C, which the samples rely on.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from reconciler.formula.lexer import Token, TokenKind, scan
from reconciler.formula.problem import Problem

MOST_CHARACTERS: Final = 8192
"""The service's limit (D:batch-automatic-scaling, "8 KB"; the .NET reference says characters)."""
MOST_STATEMENTS: Final = 100
"""The service's limit (D:batch-automatic-scaling)."""
_DEEPEST: Final = 100
"""Levels of nesting; the service's limit is not documented. Keeps a hostile text from exhausting the stack."""
_BINDING: Final = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!="), 3),
    **dict.fromkeys(("<", "<=", ">", ">="), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/"), 6),
}


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a string."""

    at: Token


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or a constant."""

    at: Token


@dataclass(frozen=True, slots=True)
class Vector:
    """`[1, 2, 3]`."""

    at: Token
    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Call:
    """`max(1, 2)`; *at* is the name of the function."""

    at: Token
    arguments: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Member:
    """`time().hour`, or with *arguments* `$CPUPercent.GetSample(1)`; *at* is the name of the member."""

    of: "Expression"
    at: Token
    arguments: "tuple[Expression, ...] | None"


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `!x`."""

    at: Token
    of: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """`x + y`; *at* is the operator."""

    left: "Expression"
    at: Token
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Choice:
    """`test ? yes : no`; *at* is the question mark."""

    test: "Expression"
    at: Token
    yes: "Expression"
    no: "Expression"


Expression: TypeAlias = Literal | Name | Vector | Call | Member | Unary | Binary | Choice


@dataclass(frozen=True, slots=True)
class Statement:
    """An assignment; without *target* an expression on its own, which the service accepts and evaluates (R20n)."""

    target: Token | None
    value: Expression


def parse(text: str) -> tuple[list[Statement], list[Problem]]:
    """The statements of a formula that can be read, and what is wrong with the others."""
    if len(text) > MOST_CHARACTERS:
        return [], [Problem(1, 1, f"expected at most {MOST_CHARACTERS:,} characters, found {len(text):,}")]
    tokens, problems = scan(text)
    parser = _Parser(tokens)
    statements = parser.formula()
    return statements, sorted(problems + parser.problems)


class _UnreadableError(Exception):
    """The statement cannot be read on."""


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.problems: list[Problem] = []
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._next
        self._position += 1
        return token

    def _refuse(self, expected: str) -> _UnreadableError:
        token = self._next
        self.problems.append(Problem(token.line, token.column, f"expected {expected}, found {token}"))
        return _UnreadableError()

    def _expect(self, text: str, after: str) -> None:
        if not self._next.is_sign(text):
            raise self._refuse(f"'{text}' {after}")
        self._take()

    def formula(self) -> list[Statement]:
        statements: list[Statement] = []
        count = 0
        while True:
            while self._next.is_sign(";"):
                self._take()
            token = self._next
            if token.kind is TokenKind.END:
                return statements
            count += 1
            if count == MOST_STATEMENTS + 1:
                message = f"expected at most {MOST_STATEMENTS} statements, found more"
                self.problems.append(Problem(token.line, token.column, message))
            try:
                statements.append(self._statement())
                if not self._next.is_sign(";") and not self._next.first:
                    raise self._refuse("';' or the end of the line after a statement")
            except _UnreadableError:
                self._depth = 0
                self._skip()

    def _skip(self) -> None:
        """To the end of the statement: a `;`, or a line that begins with an assignment."""
        while self._next.kind is not TokenKind.END and not self._next.is_sign(";"):
            self._take()
            if self._next.first and self._at_assignment():
                return

    def _at_assignment(self) -> bool:
        return self._next.kind is TokenKind.NAME and self._tokens[self._position + 1].is_sign("=")

    def _statement(self) -> Statement:
        if not self._at_assignment():
            return Statement(None, self._expression())
        target = self._take()
        self._take()
        return Statement(target, self._expression())

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refuse(f"at most {_DEEPEST} levels of nesting")

    def _expression(self) -> Expression:
        self._descend()
        value = self._operation(1)
        if self._next.is_sign("?"):
            question = self._take()
            yes = self._expression()
            self._expect(":", "between the two values of '?'")
            value = Choice(value, question, yes, self._expression())
        self._depth -= 1
        return value

    def _operation(self, least: int) -> Expression:
        """Operators that bind at least so tightly."""
        value = self._unary()
        while self._next.kind is TokenKind.SIGN and _BINDING.get(self._next.text, 0) >= least:
            operator = self._take()
            value = Binary(value, operator, self._operation(_BINDING[operator.text] + 1))
        return value

    def _unary(self) -> Expression:
        if not self._next.is_sign("-", "!"):
            return self._postfix()
        operator = self._take()
        self._descend()
        value = Unary(operator, self._unary())
        self._depth -= 1
        return value

    def _postfix(self) -> Expression:
        value = self._primary()
        depth = self._depth
        while self._next.is_sign("."):
            self._take()
            self._descend()
            if self._next.kind is not TokenKind.NAME:
                raise self._refuse("the name of a member after '.'")
            name = self._take()
            value = Member(value, name, self._list(")") if self._next.is_sign("(") else None)
        self._depth = depth
        if self._next.is_sign("[") and not self._next.first:
            raise self._refuse("no index in brackets (val(vector, index) gives an element)")
        return value

    def _primary(self) -> Expression:
        token = self._next
        if token.kind in (TokenKind.NUMBER, TokenKind.STRING):
            return Literal(self._take())
        if token.kind is TokenKind.NAME:
            self._take()
            return Call(token, self._list(")")) if self._next.is_sign("(") else Name(token)
        if token.is_sign("("):
            self._take()
            value = self._expression()
            self._expect(")", "at the end of the parentheses")
            return value
        if token.is_sign("["):
            return Vector(token, self._list("]"))
        raise self._refuse("'==' to compare, or a statement of its own to assign" if token.is_sign("=") else "a value")

    def _list(self, end: str) -> tuple[Expression, ...]:
        self._take()
        items: list[Expression] = []
        while not self._next.is_sign(end):
            if items:
                self._expect(",", f"or '{end}' in the list")
            items.append(self._expression())
        self._take()
        return tuple(items)
