"""What can be known of a value without evaluating: its type, and bounds as far as constants tell. Used by `checker`.

The operators are exactly those of the documented table (D:batch-automatic-scaling, "Operations").
"""

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Double:
    """A number from *low* to *high*, both possible."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def truth(self) -> bool | None:
        """Nonzero is true, zero is false; None where it may be either."""
        if self.low == self.high == 0:
            return False
        return True if self.low > 0 or self.high < 0 else None


@dataclass(frozen=True, slots=True)
class DoubleVec:
    """From *least* to *most* numbers, each from *low* to *high*."""

    low: float = -math.inf
    high: float = math.inf
    least: float = 0
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class String:
    """One of *texts*: strings come from literals alone."""

    texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A point in time."""


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """A length of time."""


Single: TypeAlias = Double | DoubleVec | String | Timestamp | TimeInterval
Value: TypeAlias = tuple[Single, ...]
"""The values possible, at most one of each type: several after a ternary whose sides differ in type. Empty where
nothing can be said, after a mistake: it causes no further ones."""

UNKNOWN: Final[Value] = ()
COUNT: Final = Double(0, math.inf)
TRUE: Final = Double(1, 1)
FALSE: Final = Double(0, 0)
EITHER: Final = Double(0, 1)
_NAMES: Final[Mapping[type, str]] = {
    Double: "double",
    DoubleVec: "doubleVec",
    String: "string",
    Timestamp: "timestamp",
    TimeInterval: "timeinterval",
}


def type_name(single: Single) -> str:
    """The documented name of the type."""
    return _NAMES[type(single)]


def describe(value: Value) -> str:
    """The types of *value*."""
    return " or ".join(type_name(single) for single in value)


def join(values: Iterable[Value]) -> Value:
    """One of *values*, it is not known which."""
    found: dict[type, Single] = {}
    for single in (single for value in values for single in value):
        other = found.get(type(single))
        found[type(single)] = single if other is None else _hull(other, single)
    return tuple(found[kind] for kind in sorted(found, key=_NAMES.__getitem__))


def _hull(one: Single, other: Single) -> Single:
    match one, other:
        case Double(), Double():
            return Double(min(one.low, other.low), max(one.high, other.high))
        case DoubleVec(), DoubleVec():
            low, high = min(one.low, other.low), max(one.high, other.high)
            return DoubleVec(low, high, min(one.least, other.least), max(one.most, other.most))
        case String(), String():
            return String(one.texts | other.texts)
    return one


_ARITHMETIC: Final = ("+", "-", "*", "/")
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TIMES: Final[Mapping[tuple[type, str, type], Single]] = {
    (Double, "*", TimeInterval): TimeInterval(),
    (TimeInterval, "*", Double): TimeInterval(),
    (TimeInterval, "/", Double): TimeInterval(),
    (TimeInterval, "+", TimeInterval): TimeInterval(),
    (TimeInterval, "-", TimeInterval): TimeInterval(),
    (TimeInterval, "+", Timestamp): Timestamp(),
    (Timestamp, "+", TimeInterval): Timestamp(),
    (Timestamp, "-", Timestamp): TimeInterval(),
}


def binary(sign: str, left: Single, right: Single) -> Single | None:
    """`left sign right` for any operator but && and ||; None where the table has no such operation."""
    if sign in _ARITHMETIC:
        match left, right:
            case Double(), Double():
                return Double(*_arithmetic(sign, left, right))
            case DoubleVec(), Double():
                return DoubleVec(*_arithmetic(sign, left, right), left.least, left.most)
            case DoubleVec(), DoubleVec():
                least, most = max(left.least, right.least), min(left.most, right.most)
                return DoubleVec(*_arithmetic(sign, left, right), least, max(least, most))
        return _TIMES.get((type(left), sign, type(right)))
    if type(left) is not type(right) or isinstance(left, DoubleVec):
        return None
    return _compare(sign, left, right) if isinstance(left, Double) and isinstance(right, Double) else EITHER


def _arithmetic(sign: str, one: Double | DoubleVec, other: Double | DoubleVec) -> tuple[float, float]:
    """Interval arithmetic; what may be infinite or undefined in between is unknown from there on."""
    unknown = (-math.inf, math.inf)
    if unknown in ((one.low, one.high), (other.low, other.high)):
        return unknown
    match sign:
        case "+":
            bounds = [one.low + other.low, one.high + other.high]
        case "-":
            bounds = [one.low - other.high, one.high - other.low]
        case "*":
            bounds = [_times(x, y) for x in (one.low, one.high) for y in (other.low, other.high)]
        case _:
            if other.low <= 0 <= other.high:
                return unknown
            bounds = [x / y for x in (one.low, one.high) for y in (other.low, other.high)]
    return unknown if any(map(math.isnan, bounds)) else (min(bounds), max(bounds))


def _times(x: float, y: float) -> float:
    return 0.0 if 0 in (x, y) else x * y


def _compare(sign: str, left: Double, right: Double) -> Double:
    if sign in _COMPARISONS:
        compare = _COMPARISONS[sign]
        results = {compare(left.low, right.high), compare(left.high, right.low)}
        return EITHER if len(results) == 2 else Double(*[float(results.pop())] * 2)
    if left.low == left.high == right.low == right.high:
        equal = TRUE
    else:
        equal = FALSE if left.high < right.low or right.high < left.low else EITHER
    return equal if sign == "==" else negation(equal)


def negation(double: Double) -> Double:
    """`!double`."""
    truth = double.truth
    return EITHER if truth is None else FALSE if truth else TRUE


def unary(sign: str, of: Single) -> Single | None:
    """`-x` or `!x`; None where the table has no such operation."""
    match sign, of:
        case "-", Double():
            return Double(-of.high, -of.low)
        case "-", TimeInterval():
            return of
        case "!", Double():
            return negation(of)
    return None
