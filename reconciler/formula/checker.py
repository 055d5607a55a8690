"""Statements to problems and bounds: one walk that follows types and, as far as constants tell, numbers.

The language as documented (D:batch-automatic-scaling), with what that page leaves open read strictly only where the
service's own samples allow it. A side of a ternary that cannot be taken is checked for its types and left out of the
bounds.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from functools import partial
from itertools import product
from typing import Final

from reconciler.formula import functions
from reconciler.formula.functions import WrongArgumentsError
from reconciler.formula.lexer import Token, TokenKind
from reconciler.formula.problem import Problem, near, quoted
from reconciler.formula.syntax import (
    Binary,
    Call,
    Choice,
    Expression,
    Literal,
    Member,
    Name,
    Statement,
    Unary,
    Vector,
    parse,
)
from reconciler.formula.values import (
    COUNT,
    EITHER,
    FALSE,
    TRUE,
    UNKNOWN,
    Double,
    DoubleVec,
    Single,
    String,
    TimeInterval,
    Timestamp,
    Value,
    binary,
    describe,
    join,
    type_name,
    unary,
)

DEDICATED: Final = "$TargetDedicatedNodes"
LOW_PRIORITY: Final = "$TargetLowPriorityNodes"
_OPTION: Final = "$NodeDeallocationOption"
_ALIASES: Final[Mapping[str, str]] = {"$TargetDedicated": DEDICATED, "$TargetLowPriority": LOW_PRIORITY}
"""Older names. Where both are set, the full one counts, whatever the order."""
_TARGETS: Final = frozenset({DEDICATED, LOW_PRIORITY, *_ALIASES})
_OPTIONS: Final = ("requeue", "terminate", "taskcompletion", "retaineddata")
_METRICS: Final = frozenset(
    {
        *("$CPUPercent", "$WallClockSeconds", "$MemoryBytes", "$DiskBytes", "$DiskReadBytes", "$DiskWriteBytes"),
        *("$DiskReadOps", "$DiskWriteOps", "$NetworkInBytes", "$NetworkOutBytes", "$SampleNodeCount"),
        *("$ActiveTasks", "$RunningTasks", "$PendingTasks", "$SucceededTasks", "$FailedTasks", "$TaskSlotsPerNode"),
        *("$CurrentDedicatedNodes", "$CurrentLowPriorityNodes", "$PreemptedNodeCount", "$UsableNodeCount"),
        *("$CurrentDedicated", "$CurrentLowPriority"),  # older names, still in formulas in use (DR)
    }
)
"""Read-only variables. None is ever negative."""
_UNITS: Final = ("Zero", "100ns", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "Day", "Week", "Year")
_CONSTANTS: Final[Mapping[str, Single]] = {
    **{f"TimeInterval_{unit}": TimeInterval() for unit in _UNITS},
    **{option: String(frozenset({option})) for option in _OPTIONS},
}
_MEMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "year": (1, 9999),
    "month": (1, 12),
    "day": (1, 31),
    "weekday": (0, 7),  # Monday is 1; which end of the week Sunday is, is not documented
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
_METHODS: Final[Mapping[str, str]] = {
    "GetSample": "(double), (time), (time, double), (time, time) or (time, time, double), "
    "a time being a timestamp or timeinterval",
    "GetSamplePercent": "(time) or (time, time), a time being a timestamp or timeinterval",
    "GetSamplePeriod": "()",
    "Count": "()",
    "HistoryBeginTime": "()",
}
MOST_NODES: Final = 2**31 - 1
"""Targets are 32-bit numbers on the wire."""


class _Reach(IntEnum):
    """Whether evaluation comes by a place."""

    NEVER = 0
    MAYBE = 1
    SURELY = 2


class Checker:
    """Reads and checks a formula at once; afterwards *problems* and `least` tell."""

    def __init__(self, text: str) -> None:
        statements, self.problems = parse(text)
        self._reach = _Reach.SURELY
        self._variables: dict[str, Value] = {}
        self._written: dict[str, Value] = {}
        self._ends: list[dict[str, Value]] = []
        for statement in statements:
            self._execute(statement)
        if self._reach is not _Reach.NEVER:
            self._ends.append(self._written)
        self.problems.sort()

    def least(self, target: str) -> int | None:
        """The least number of nodes that evaluation may leave in *target*; None where it never sets it."""
        lows: list[float] = []
        for written in self._ends:
            value = _set_to(written, target)
            if value is not None:
                lows += [single.low if isinstance(single, Double) else 0 for single in value] or [0]
        return math.floor(min(max(0, min(lows)), MOST_NODES)) if lows else None

    def _refuse(self, at: Token, message: str) -> Value:
        self.problems.append(Problem(at.line, at.column, message))
        return UNKNOWN

    def _execute(self, statement: Statement) -> None:
        value = self._value(statement.value)
        target = statement.target
        if target is None:
            return
        name = target.text
        if name in _METRICS or name in _CONSTANTS:
            kind = "read-only" if name in _METRICS else "a constant"
            self._refuse(target, f"expected a variable that can be set, found {name}, which is {kind}")
        elif name in _TARGETS:
            self._written[name] = self._target(target, value)
        elif name == _OPTION:
            self._written[name] = self._option(target, value)
        else:
            self._variables[name] = value

    def _target(self, target: Token, value: Value) -> Value:
        for single in value:
            if not isinstance(single, Double):
                hint = " (avg, max, min or sum make a double of it)" if isinstance(single, DoubleVec) else ""
                return self._refuse(target, f"expected a double for {target.text}, found {describe(value)}{hint}")
            if single.high <= -1 or single.low > MOST_NODES:
                found = f"{single.high if single.high <= -1 else single.low:g}"
                return self._refuse(target, f"expected a number of nodes for {target.text}, found {found}")
        return value

    def _option(self, target: Token, value: Value) -> Value:
        expected = f"expected {', '.join(_OPTIONS[:-1])} or {_OPTIONS[-1]} for {_OPTION}"
        for single in value:
            if not isinstance(single, String):
                return self._refuse(target, f"{expected}, found {describe(value)}")
            for text in sorted(single.texts.difference(_OPTIONS)):
                return self._refuse(target, f"{expected}, found {quoted(text)}{near(text, _OPTIONS)}")
        return value

    def _value(self, expression: Expression) -> Value:
        match expression:
            case Literal(at):
                return (_literal(at),)
            case Name(at):
                return self._named(at)
            case Vector(at, items):
                return self._each(at, [self._value(item) for item in items], lambda *given: functions.vector(given))
            case Call():
                return self._call(expression)
            case Member():
                return self._member(expression)
            case Unary(at, of):
                return self._each(at, [self._value(of)], partial(_unary, at.text))
            case Binary():
                return self._binary(expression)
            case Choice():
                return self._choice(expression)

    def _each(self, at: Token, operands: list[Value], compute: Callable[..., Single]) -> Value:
        """What *compute* gives for every combination of the possible types. The first that it refuses is a problem."""
        try:
            return join([(compute(*singles),) for singles in product(*operands)])
        except WrongArgumentsError as wrong:
            return self._refuse(at, str(wrong))

    @contextmanager
    def _within(self, reach: _Reach) -> Iterator[None]:
        """Where evaluation comes by at most so surely; a `stop()` met inside counts outside too."""
        before = self._reach
        self._reach = min(before, reach)
        yield
        stopped = reach is _Reach.SURELY and self._reach is _Reach.NEVER
        self._reach = _Reach.NEVER if stopped else before

    def _named(self, at: Token) -> Value:
        name = at.text
        if name in self._variables:
            return self._variables[name]
        if name in _CONSTANTS:
            return (_CONSTANTS[name],)
        if name in _METRICS:
            return (COUNT,)
        if name in _TARGETS:
            value = _set_to(self._written, _ALIASES.get(name, name))
            return (COUNT,) if value is None else value
        if name == _OPTION:
            return self._written.get(name, (_CONSTANTS["requeue"],))
        if name in functions.NAMES:
            return self._refuse(at, f"expected a value, found the function {name} (call it: {name}(...))")
        if name.startswith("$"):
            known = {*_METRICS, *_TARGETS, _OPTION, *self._variables}
            hint = near(name, known)
        else:
            hint = near(name, {*_CONSTANTS, *self._variables, *_METRICS, *_TARGETS, _OPTION})
        return self._refuse(at, f"expected a variable that was set before, found {quoted(name)}{hint}")

    def _call(self, call: Call) -> Value:
        name = call.at.text
        arguments = [self._value(argument) for argument in call.arguments]
        if name not in functions.NAMES:
            hint = near(name, functions.NAMES)
            if name in _METHODS:
                hint = f" (a method: $Variable.{name}{_METHODS[name]})"
            return self._refuse(call.at, f"expected a function, found {quoted(name)}{hint}")
        if name != "stop":
            return self._each(call.at, arguments, lambda *given: functions.call(name, given))
        if arguments:
            return self._refuse(call.at, "expected stop(), found stop with arguments")
        if self._reach is not _Reach.NEVER:
            self._ends.append(dict(self._written))
        if self._reach is _Reach.SURELY:
            self._reach = _Reach.NEVER
        return UNKNOWN

    def _member(self, member: Member) -> Value:
        at, name = member.at, member.at.text
        if member.arguments is None:
            return self._each(at, [self._value(member.of)], partial(_property, name))
        arguments = [self._value(argument) for argument in member.arguments]
        of = member.of.at.text if isinstance(member.of, Name) else ""
        if of not in _METRICS or of in self._variables:
            found = of or describe(self._value(member.of)) or "a value"
            expected = f"expected a read-only service variable such as $PendingTasks before .{name}()"
            return self._refuse(at, f"{expected}, found {found}")
        if name not in _METHODS:
            return self._refuse(
                at, f"expected {', '.join(_METHODS)} after {of}, found {quoted(name)}{near(name, _METHODS)}"
            )
        return self._each(at, arguments, lambda *given: _sampled(name, given))

    def _binary(self, expression: Binary) -> Value:
        """A chain of operators leans to the left and may be long: walked without recursion."""
        chain: list[Binary] = []
        first: Expression = expression
        while isinstance(first, Binary):
            chain.append(first)
            first = first.left
        value = self._value(first)
        for link in reversed(chain):
            sign = link.at.text
            if sign in ("&&", "||"):
                value = self._logic(link.at, value, link.right)
            else:
                right = self._value(link.right)
                value = self._each(link.at, [value, right], partial(_operation, sign))
        return value

    def _logic(self, at: Token, left: Value, expression: Expression) -> Value:
        """The right side is evaluated only where the left one does not decide."""
        known = _truth(left)
        decides = at.text == "||"
        reach = _Reach.MAYBE if known is None else _Reach.NEVER if known is decides else _Reach.SURELY
        with self._within(reach):
            right = self._value(expression)
        self._each(at, [left, right], partial(_both_doubles, at.text))
        sides = (known, _truth(right))
        if decides in sides:
            return (TRUE if decides else FALSE,)
        return (EITHER,) if None in sides else (FALSE if decides else TRUE,)

    def _choice(self, choice: Choice) -> Value:
        test = self._value(choice.test)
        self._each(choice.at, [test], _tested)
        known = _truth(test)
        sides = []
        for side, taken in ((choice.yes, True), (choice.no, False)):
            reach = _Reach.MAYBE if known is None else _Reach.SURELY if known is taken else _Reach.NEVER
            with self._within(reach):
                value = self._value(side)
            if reach is not _Reach.NEVER:
                sides.append(value)
        return join(sides)


def _set_to(written: Mapping[str, Value], target: str) -> Value | None:
    """What was assigned to *target* or, failing that, to its older name."""
    older = next(alias for alias, full in _ALIASES.items() if full == target)
    return written.get(target, written.get(older))


def _literal(at: Token) -> Single:
    if at.kind is TokenKind.STRING:
        return String(frozenset({at.text[1:-1]}))
    number = float(at.text)
    return Double(number, number)


def _unary(sign: str, single: Single) -> Single:
    found = unary(sign, single)
    if found is None:
        raise WrongArgumentsError(f"expected an operand that {sign!r} takes, found {type_name(single)}")
    return found


def _operation(sign: str, left: Single, right: Single) -> Single:
    found = binary(sign, left, right)
    if found is not None:
        return found
    hint = ""
    if sign == "-" and isinstance(left, Timestamp) and isinstance(right, TimeInterval):
        hint = " (write timestamp + -timeinterval)"
    elif isinstance(left, Double) and isinstance(right, DoubleVec):
        hint = " (the doubleVec comes first)"
    elif isinstance(left, DoubleVec) or isinstance(right, DoubleVec):
        hint = " (avg, max, min or sum make a double of a doubleVec)"
    raise WrongArgumentsError(
        f"expected operands that {sign!r} takes, found {type_name(left)} {sign} {type_name(right)}{hint}"
    )


def _both_doubles(sign: str, left: Single, right: Single) -> Single:
    if not (isinstance(left, Double) and isinstance(right, Double)):
        raise WrongArgumentsError(f"expected double {sign} double, found {type_name(left)} {sign} {type_name(right)}")
    return EITHER


def _tested(single: Single) -> Single:
    if not isinstance(single, Double):
        raise WrongArgumentsError(f"expected a double before '?', found {type_name(single)}")
    return EITHER


def _truth(value: Value) -> bool | None:
    match value:
        case (Double() as double,):
            return double.truth
    return None


def _property(name: str, single: Single) -> Single:
    if not isinstance(single, Timestamp):
        hint = " (a method is called: add parentheses)" if name in _METHODS else ""
        raise WrongArgumentsError(f"expected a timestamp before .{name}, found {type_name(single)}{hint}")
    if name not in _MEMBERS:
        known = ", ".join(_MEMBERS)
        hint = near(name, _MEMBERS)
        raise WrongArgumentsError(f"expected a member of timestamp ({known}), found {quoted(name)}{hint}")
    low, high = _MEMBERS[name]
    return Double(low, high)


def _sampled(name: str, given: tuple[Single, ...]) -> Single:
    """A method of a read-only variable (D:batch-automatic-scaling, "Obtain sample data"). `GetSamplePercent` is
    documented as a doubleVec and compared with a double in every sample, so it is a double."""
    shape = "".join("t" if isinstance(single, Timestamp | TimeInterval) else type_name(single)[0] for single in given)
    match name, shape:
        case "GetSample", "d" if isinstance(given[0], Double):
            return DoubleVec(0, math.inf, 0, max(0, given[0].high))
        case "GetSample", ("t" | "td" | "tt" | "ttd") if not isinstance(given[-1], DoubleVec):
            return DoubleVec(0, math.inf)
        case "GetSamplePercent", "t" | "tt":
            return Double(0, 100)
        case "GetSamplePeriod", "":
            return TimeInterval()
        case "Count", "":
            return COUNT
        case "HistoryBeginTime", "":
            return Timestamp()
    found = ", ".join(map(type_name, given))
    raise WrongArgumentsError(f"expected {name}{_METHODS[name]}, found {name}({found})")
