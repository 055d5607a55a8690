"""The predefined functions: what they take and what they give (D:batch-automatic-scaling, "Functions").

A list is any mix of doubles and doubleVecs, taken as one doubleVec. `ceil`, `floor` and `round` stand on newer
editions of the page only.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Final

from reconciler.formula.values import Double, DoubleVec, Single, String, Timestamp, type_name


class WrongArgumentsError(Exception):
    """The text says what was expected and found."""


@dataclass(frozen=True, slots=True)
class List:
    """The numbers that a function over a list is given. *sure* leaves out vectors that may be empty."""

    all: tuple[Double | DoubleVec, ...]

    @property
    def sure(self) -> tuple[Double | DoubleVec, ...]:
        return tuple(item for item in self.all if isinstance(item, Double) or item.least > 0)

    @property
    def least(self) -> float:
        return sum(1 if isinstance(item, Double) else item.least for item in self.all)

    @property
    def most(self) -> float:
        return sum(1 if isinstance(item, Double) else item.most for item in self.all)

    @property
    def low(self) -> float:
        return min((item.low for item in self.all), default=-math.inf)

    @property
    def high(self) -> float:
        return max((item.high for item in self.all), default=math.inf)

    @property
    def vector(self) -> DoubleVec:
        return DoubleVec(self.low, self.high, self.least, self.most)


def _max(items: List) -> Double:
    """At least the greatest of the lower bounds of what is surely there."""
    return Double(max((item.low for item in items.sure), default=items.low), items.high)


def _min(items: List) -> Double:
    return Double(items.low, min((item.high for item in items.sure), default=items.high))


def _sum(items: List) -> Double:
    low = high = 0.0
    for item in items.all:
        least, most = (1.0, 1.0) if isinstance(item, Double) else (item.least, item.most)
        low += _product(item.low, least if item.low >= 0 else most)
        high += _product(item.high, most if item.high >= 0 else least)
    return Double() if math.isnan(low) or math.isnan(high) else Double(low, high)


def _product(value: float, count: float) -> float:
    return 0.0 if value == 0 or count == 0 else value * count


def _spread(items: List) -> Double:
    return Double(0, math.inf)


_OF_LIST: Final[Mapping[str, tuple[int, Callable[[List], Double]]]] = {
    "avg": (1, lambda items: Double(items.low, items.high)),
    "len": (0, lambda items: Double(items.least, items.most)),
    "max": (1, _max),
    "min": (1, _min),
    "norm": (0, _spread),
    "range": (1, _spread),
    "std": (2, _spread),
    "sum": (0, _sum),
}
"""Functions that give a double for a list, and how many numbers they need at least."""


def _logarithm(function: Callable[[float], float]) -> Callable[[float, float], tuple[float, float]]:
    def bounds(low: float, high: float) -> tuple[float, float]:
        if low <= 0:
            return -math.inf, math.inf
        return function(low), function(high) if math.isfinite(high) else high

    return bounds


def _whole(function: Callable[[float], int]) -> Callable[[float, float], tuple[float, float]]:
    def rounded(number: float) -> float:
        return float(function(number)) if math.isfinite(number) else number

    return lambda low, high: (rounded(low), rounded(high))


_OF_EACH: Final[Mapping[str, Callable[[float, float], tuple[float, float]]]] = {
    "lg": _logarithm(math.log2),
    "ln": _logarithm(math.log),
    "log": _logarithm(math.log10),
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "round": lambda low, high: (_whole(math.floor)(low, low)[0], _whole(math.ceil)(high, high)[0]),
}
"""Functions of each number: a double for one double, a doubleVec for anything else. Which way `round` goes at halves is
not documented, so its bounds allow both."""

NAMES: Final = frozenset({*_OF_LIST, *_OF_EACH, "percentile", "rand", "stop", "time", "val", "vec"})


def call(name: str, arguments: Sequence[Single]) -> Single:
    """What `name(arguments)` gives, for any of NAMES but stop. Raises WrongArgumentsError."""
    if name in _OF_LIST:
        needed, function = _OF_LIST[name]
        items = _list(name, arguments)
        if items.most < needed:
            raise WrongArgumentsError(f"expected at least {needed} number{'s' * (needed > 1)} for {name}, found fewer")
        return function(items)
    if name in _OF_EACH:
        return _each(name, arguments)
    match name, arguments:
        case "vec", _:
            return _list(name, arguments).vector
        case "rand", []:
            return Double(0, 1)
        case "time", []:
            return Timestamp()
        case "time", [String() as text]:
            for written in sorted(text.texts):
                if not _is_time(written):
                    expected = "a time such as 2026-01-31T08:00:00Z (W3C-DTF or RFC 1123)"
                    raise WrongArgumentsError(f"expected {expected}, found {written[:60]!r}")
            return Timestamp()
        case (("percentile" | "val"), [DoubleVec() as of, Double()]):
            return Double(of.low, of.high)
    raise WrongArgumentsError(f"expected {_SIGNATURES[name]}, found {_signature(name, arguments)}")


_SIGNATURES: Final[Mapping[str, str]] = {
    "rand": "rand()",
    "stop": "stop()",
    "time": "time() or time(string)",
    "percentile": "percentile(doubleVec, double)",
    "val": "val(doubleVec, double)",
}


def refuse_stop(arguments: Sequence[Single]) -> WrongArgumentsError:
    return WrongArgumentsError(f"expected {_SIGNATURES['stop']}, found {_signature('stop', arguments)}")


def _signature(name: str, arguments: Sequence[Single]) -> str:
    return f"{name}({', '.join(map(type_name, arguments))})"


def _list(name: str, arguments: Sequence[Single]) -> List:
    items: list[Double | DoubleVec] = []
    for argument in arguments:
        if not isinstance(argument, Double | DoubleVec):
            expected = "numbers" if name == "[" else f"numbers for {name}"
            raise WrongArgumentsError(f"expected {expected} (double or doubleVec), found {type_name(argument)}")
        items.append(argument)
    return List(tuple(items))


def vector(items: Sequence[Single]) -> DoubleVec:
    """`[items]`."""
    return _list("[", items).vector


def _each(name: str, arguments: Sequence[Single]) -> Single:
    items = _list(name, arguments)
    low, high = _OF_EACH[name](items.low, items.high)
    one = len(arguments) == 1 and isinstance(arguments[0], Double)
    return Double(low, high) if one else DoubleVec(low, high, items.least, items.most)


_W3C: Final = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.[0-9]{1,7})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_RFC_1123: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}) "
    r"(?:GMT|UTC|[+-][0-9]{4})"
)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _is_time(text: str) -> bool:
    """Whether the service can read it; "" is the present time. More than seven digits of a fraction are refused
    (G:nextflow-io/nextflow#3866)."""
    if text == "":
        return True
    try:
        if written := _RFC_1123.fullmatch(text):
            day, month, year, clock = written[1].split()
            date(int(year), _MONTHS.index(month) + 1, int(day))
            time.fromisoformat(clock)
            return True
        if written := _W3C.fullmatch(text):
            date(int(written[1]), int(written[2] or 1), int(written[3] or 1))
            time.fromisoformat(written[4] or "00:00")
            return True
    except ValueError:
        return False
    return False
