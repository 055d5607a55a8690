"""Tokens to statements. Operators bind as in C; a chain of one level is kept flat, so that its length costs no depth.

Statements are separated by `;`. A line end also ends a statement if what follows cannot continue it: in the documented
examples (D) the last statement has no `;`, and expressions go over several lines.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.emulator.autoscale.faults import FormulaSyntaxError, FormulaTooLongError, Place
from reconciler.emulator.autoscale.lexer import Token, tokens

MAX_LENGTH = 8192  # characters (NET); D says 8 KB
MAX_STATEMENTS = 100  # D
_DEPTH = 40  # the emulator's own bound
_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class String:
    value: str


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Vector:
    items: tuple[Expression, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Call:
    """A function; *place* is that of the opening parenthesis, which the service names in its messages (DR)."""

    name: Name
    arguments: tuple[Expression, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Member:
    """`x.hour`, or with *arguments* `$CPUPercent.GetSample(...)`; *place* as in Call."""

    of: Expression
    name: str
    arguments: tuple[Expression, ...] | None
    place: Place


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    of: Expression
    place: Place


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined from left to right by operators of one level."""

    first: Expression
    rest: tuple[tuple[str, Place, Expression], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    test: Expression
    yes: Expression
    no: Expression
    place: Place


Expression = Number | String | Name | Vector | Call | Member | Unary | Chain | Choice


@dataclass(frozen=True, slots=True)
class Statement:
    """An assignment, or an expression evaluated for nothing but its errors (R20n)."""

    target: Name | None
    value: Expression


def parse(text: str) -> tuple[Statement, ...]:
    """The statements of a formula; FormulaSyntaxError if it is none or beyond the service's limits."""
    if len(text) > MAX_LENGTH:
        raise FormulaTooLongError(Place(1, 1), f"The formula is longer than {MAX_LENGTH} characters")
    return _Parser(tokens(text)).formula()


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._position = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._next
        self._position += 1
        return token

    def _sees(self, *texts: str) -> bool:
        return self._next.kind == "operator" and self._next.text in texts

    def _expect(self, text: str) -> Token:
        if not self._sees(text):
            raise self._unexpected(f"'{text}' is expected")
        return self._take()

    def _unexpected(self, wish: str) -> FormulaSyntaxError:
        token = self._next
        shown = "the end of the formula" if token.kind == "end" else f"'{token.text[:40]}'"
        return FormulaSyntaxError(token.place, f"Syntax error at {shown}: {wish}")

    def formula(self) -> tuple[Statement, ...]:
        statements: list[Statement] = []
        while True:
            while self._sees(";"):
                self._take()
            if self._next.kind == "end":
                return tuple(statements)
            if len(statements) == MAX_STATEMENTS:
                raise FormulaTooLongError(self._next.place, f"The formula has more than {MAX_STATEMENTS} statements")
            statements.append(self._statement())
            if not self._sees(";") and not self._next.fresh:
                raise self._unexpected("the end of the statement is expected")

    def _statement(self) -> Statement:
        following = self._tokens[self._position + 1] if self._next.kind == "name" else None
        if following is None or following.text != "=" or following.kind != "operator":
            return Statement(None, self._expression())
        token = self._take()
        self._take()
        return Statement(Name(token.text, token.place), self._expression())

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > _DEPTH:
            raise FormulaSyntaxError(self._next.place, "The formula is nested too deeply")
        test = self._binary(0)
        if self._sees("?"):
            place = self._take().place
            yes = self._expression()
            self._expect(":")
            test = Choice(test, yes, self._expression(), place)
        self._depth -= 1
        return test

    def _binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        first = self._binary(level + 1)
        rest = []
        while self._sees(*_LEVELS[level]):
            operator = self._take()
            rest.append((operator.text, operator.place, self._binary(level + 1)))
        return Chain(first, tuple(rest)) if rest else first

    def _unary(self) -> Expression:
        if not self._sees("-", "!"):
            return self._postfix()
        operator = self._take()
        self._depth += 1
        if self._depth > _DEPTH:
            raise FormulaSyntaxError(operator.place, "The formula is nested too deeply")
        of = self._unary()
        self._depth -= 1
        return Unary(operator.text, of, operator.place)

    def _postfix(self) -> Expression:
        value = self._primary()
        entered = self._depth
        while self._sees("."):
            place = self._take().place
            self._depth += 1
            if self._depth > _DEPTH:
                raise FormulaSyntaxError(place, "The formula is nested too deeply")
            if self._next.kind != "name":
                raise self._unexpected("the name of a member is expected")
            name = self._take()
            if self._sees("("):
                place = self._next.place
                value = Member(value, name.text, self._arguments(")"), place)
            else:
                value = Member(value, name.text, None, name.place)
        self._depth = entered
        return value

    def _primary(self) -> Expression:
        token = self._next
        match token.kind, token.text:
            case "number", text:
                self._take()
                return Number(float(text))
            case "string", text:
                self._take()
                return String(text[1:-1])
            case "name", text:
                self._take()
                name = Name(text, token.place)
                if not self._sees("("):
                    return name
                place = self._next.place
                return Call(name, self._arguments(")"), place)
            case "operator", "(":
                self._take()
                value = self._expression()
                self._expect(")")
                return value
            case "operator", "[":
                return Vector(self._arguments("]"), token.place)
        raise self._unexpected("a value is expected")

    def _arguments(self, end: str) -> tuple[Expression, ...]:
        self._take()
        items: list[Expression] = []
        while not self._sees(end):
            if items:
                self._expect(",")
            items.append(self._expression())
        self._take()
        return tuple(items)
