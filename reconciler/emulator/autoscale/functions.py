"""The predefined functions (D). A list argument is any mix of doubles and vectors, taken as one vector."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence

from reconciler.emulator.autoscale.faults import OperandError
from reconciler.emulator.autoscale.values import Timestamp, Value, Vec, type_name
from reconciler.emulator.times import parse_http_date, parse_iso

_W3C = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<clock>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d{1,7}))?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_RFC_1123 = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|UTC|[+-]\d{4})", re.ASCII
)


def _some(items: Vec) -> Vec:
    if not items:
        raise OperandError("The vector is empty")
    return items


def _std(items: Vec) -> float:
    """Sample standard deviation: of fewer than two values there is none."""
    if len(items) < 2:
        raise OperandError("At least two values are expected")
    if not all(math.isfinite(item) for item in items):
        return math.nan
    try:
        return statistics.stdev(items)
    except OverflowError:
        return math.inf


def _norm(items: Vec) -> float:
    return math.hypot(*items)


_OF_LIST: dict[str, Callable[[Vec], float]] = {
    "avg": lambda items: sum(_some(items)) / len(items),
    "len": lambda items: float(len(items)),
    "max": lambda items: max(_some(items)),
    "min": lambda items: min(_some(items)),
    "norm": _norm,
    "range": lambda items: max(_some(items)) - min(items),
    "std": _std,
    "sum": lambda items: float(sum(items)),
}


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    def of(item: float) -> float:
        if item > 0:
            return function(item)
        return -math.inf if item == 0 else math.nan

    return of


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda item: float(function(item)) if math.isfinite(item) else item


# lg, ln and log are in D. No source at hand shows ceil, floor and round: that they exist, work on each component and
# that round goes away from zero at halves is INFERRED.
_OF_EACH: dict[str, Callable[[float], float]] = {
    "lg": _logarithm(math.log2),
    "ln": _logarithm(math.log),
    "log": _logarithm(math.log10),
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "round": _whole(lambda item: int(math.copysign(math.floor(abs(item) + 0.5), item))),
}
NAMES = frozenset({*_OF_LIST, *_OF_EACH, "percentile", "rand", "stop", "time", "val", "vec"})


def flatten(arguments: Sequence[Value]) -> Vec:
    """One vector of all arguments."""
    items: list[float] = []
    for argument in arguments:
        match argument:
            case float():
                items.append(argument)
            case tuple():
                items.extend(argument)
            case _:
                raise OperandError(f"A double or doubleVec is expected, not a {type_name(argument)}")
    return tuple(items)


def call(name: str, arguments: Sequence[Value], now: int, random: Callable[[], float]) -> Value:
    """The value of `name(arguments)` for any name of NAMES but stop. OperandError for wrong arguments."""
    if name in _OF_LIST:
        return _OF_LIST[name](flatten(arguments))
    if name in _OF_EACH:
        return _each(_OF_EACH[name], arguments)
    match name, arguments:
        case "vec", _:
            return flatten(arguments)
        case "rand", []:
            return random()
        case "time", [] | [""]:
            return Timestamp(now)
        case "time", [str() as text]:
            return Timestamp(_read_time(text))
        case "percentile", [tuple() as items, float() as percent]:
            return _percentile(items, percent)
        case "val", [tuple() as items, float() as index]:
            return _value_at(items, index)
    raise OperandError(f"{name} does not take ({', '.join(map(type_name, arguments))})")


def _each(function: Callable[[float], float], arguments: Sequence[Value]) -> Value:
    """A single double gives a double, everything else a vector (D)."""
    match arguments:
        case [float() as item]:
            return function(item)
    return tuple(function(item) for item in flatten(arguments))


def _percentile(items: Vec, percent: float) -> float:
    """The element at that percentage of the sorted vector, nearest rank (INFERRED from "element")."""
    if not 0 <= percent <= 100:
        raise OperandError("A percentage between 0 and 100 is expected")
    ordered = sorted(_some(items))
    return ordered[max(math.ceil(percent / 100 * len(ordered)) - 1, 0)]


def _value_at(items: Vec, index: float) -> float:
    if not 0 <= index < len(items):
        raise OperandError(f"The vector has {len(items)} elements, none at {index:g}")
    return items[int(index)]


def _read_time(text: str) -> int:
    """W3C-DTF or RFC 1123 (D). More than seven fraction digits are not read (G:nextflow#3866); no zone means UTC."""
    try:
        if _RFC_1123.fullmatch(text):
            return parse_http_date(text)
        match = _W3C.fullmatch(text)
        if match is None:
            raise ValueError("neither W3C-DTF nor RFC 1123")
        day = f"{match['year']}-{match['month'] or '01'}-{match['day'] or '01'}"
        whole = parse_iso(f"{day}T{match['clock'] or '00:00'}{match['zone'] or 'Z'}")
    except ValueError as error:
        raise OperandError(f"The time cannot be read: {text[:60]}") from error
    return whole + int((match["fraction"] or "0").ljust(7, "0"))
