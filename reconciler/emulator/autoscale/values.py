"""The types of the language and their operators, exactly those of the documented table (D); nothing else is allowed.

double is a float and follows IEEE 754 (1/0 is infinite; INFERRED, no source says), doubleVec a tuple of floats, string
a str. Times are ticks of 100 ns, as everywhere in the emulator.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.emulator.autoscale.faults import OperandError
from reconciler.emulator.times import DAY, SECOND, iso, render_span

_LAST = 3_155_378_975_999_999_999  # 9999-12-31T23:59:59.9999999Z
_LONGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    ticks: int

    def __post_init__(self) -> None:
        if not 0 <= self.ticks <= _LAST:
            raise OperandError("The timestamp is out of range")


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    ticks: int

    def __post_init__(self) -> None:
        if abs(self.ticks) > _LONGEST:
            raise OperandError("The timeinterval is out of range")


Vec = tuple[float, ...]
Value = float | str | Vec | Timestamp | Interval
_NAMES: dict[type, str] = {
    float: "double",
    str: "string",
    tuple: "doubleVec",
    Timestamp: "timestamp",
    Interval: "timeinterval",
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
    "!=": operator.ne,
}


def type_name(value: Value) -> str:
    return _NAMES[type(value)]


def divide(left: float, right: float) -> float:
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
}


def scaled(span: Interval, factor: float) -> Interval:
    if not math.isfinite(factor) or abs(factor) * abs(span.ticks) > _LONGEST:
        raise OperandError("The timeinterval is out of range")
    return Interval(round(span.ticks * factor))


def combine(sign: str, left: Value, right: Value) -> Value:
    """The value of `left sign right`; OperandError for types the table does not have."""
    if sign in _COMPARISONS:
        return _compare(sign, left, right)
    match left, right:
        case float(), float():
            return _ARITHMETIC[sign](left, right)
        case tuple(), float():
            return tuple(_ARITHMETIC[sign](item, right) for item in left)
        case tuple(), tuple():
            if len(left) != len(right):
                raise OperandError(f"The vectors have different lengths: {len(left)} and {len(right)}")
            return tuple(_ARITHMETIC[sign](one, other) for one, other in zip(left, right, strict=True))
    timed = _combine_times(sign, left, right)
    if timed is None:
        raise OperandError(f"Operator {sign} is not defined for {type_name(left)} and {type_name(right)}")
    return timed


def _combine_times(sign: str, left: Value, right: Value) -> Value | None:
    match left, sign, right:
        case float(), "*", Interval():
            return scaled(right, left)
        case Interval(), "*", float():
            return scaled(left, right)
        case Interval(), "/", float():
            return scaled(left, divide(1.0, right))
        case Interval(), "+", Interval():
            return Interval(left.ticks + right.ticks)
        case Interval(), "-", Interval():
            return Interval(left.ticks - right.ticks)
        case Interval(), "+", Timestamp():
            return Timestamp(left.ticks + right.ticks)
        case Timestamp(), "+", Interval():
            return Timestamp(left.ticks + right.ticks)
        case Timestamp(), "-", Timestamp():
            return Interval(left.ticks - right.ticks)
    return None


def _compare(sign: str, left: Value, right: Value) -> float:
    if type(left) is not type(right) or isinstance(left, tuple):
        raise OperandError(f"Operator {sign} is not defined for {type_name(left)} and {type_name(right)}")
    return float(_COMPARISONS[sign](left, right))


def negate(sign: str, value: Value) -> Value:
    """The value of `-value` or `!value`."""
    match sign, value:
        case "-", float():
            return -value
        case "-", Interval():
            return Interval(-value.ticks)
        case "!", float():
            return float(value == 0)
    raise OperandError(f"Operator {sign} is not defined for {type_name(value)}")


def truth(value: Value) -> bool:
    """Nonzero is true (D)."""
    if not isinstance(value, float):
        raise OperandError(f"A double is expected, not a {type_name(value)}")
    return value != 0


def member(value: Value, name: str) -> float:
    """The members of a timestamp, in UTC; weekday is 1 for Monday (D), 0 for Sunday (INFERRED)."""
    if not isinstance(value, Timestamp):
        raise OperandError(f"A {type_name(value)} has no member {name}")
    day, clock = iso(value.ticks)[:19].split("T")
    names = dict(zip(("year", "month", "day"), day.split("-"), strict=True))
    names |= dict(zip(("hour", "minute", "second"), clock.split(":"), strict=True))
    if name == "weekday":
        return float((value.ticks // DAY + 1) % 7)
    if name not in names:
        raise OperandError(f"A timestamp has no member {name}")
    return float(names[name])


def render(value: Value) -> str:
    """As results show it: six significant digits (`$samples=96.6667`), times with milliseconds (D)."""
    match value:
        case float():
            return f"{value + 0.0:.6g}"
        case tuple():
            return "[" + ",".join(render(item) for item in value) + "]"
        case Timestamp():
            whole = iso(value.ticks // SECOND * SECOND).removesuffix("Z")
            return f"{whole}.{value.ticks % SECOND // 10_000:03d}Z"
        case Interval():
            return ("-" if value.ticks < 0 else "") + render_span(abs(value.ticks))
    return value
