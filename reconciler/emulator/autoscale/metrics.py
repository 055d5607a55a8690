"""The read-only variables with their samples, and the methods that give access to them. Called by `evaluator`.

A sample is taken every 30 seconds and can be read about a minute later (D); the caller passes those that can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.emulator.autoscale.faults import OperandError
from reconciler.emulator.autoscale.values import Interval, Timestamp, Value, type_name

# D; the last two are on newer pages only. The order is that of the stored samples: append, never reorder.
METRICS = (
    *("$CPUPercent", "$WallClockSeconds", "$MemoryBytes", "$DiskBytes", "$DiskReadBytes", "$DiskWriteBytes"),
    *("$DiskReadOps", "$DiskWriteOps", "$NetworkInBytes", "$NetworkOutBytes", "$SampleNodeCount", "$ActiveTasks"),
    *("$RunningTasks", "$PendingTasks", "$SucceededTasks", "$FailedTasks", "$CurrentDedicatedNodes"),
    *("$CurrentLowPriorityNodes", "$PreemptedNodeCount", "$TaskSlotsPerNode", "$UsableNodeCount"),
)
OLD_NAMES = {"$CurrentDedicated": "$CurrentDedicatedNodes", "$CurrentLowPriority": "$CurrentLowPriorityNodes"}  # DR


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of one variable: its value now, if any, and its readable samples by time, oldest first."""

    current: float | None
    samples: Sequence[tuple[int, float]] = ()


class TooFewError(Exception):
    """Fewer samples than wanted, both in percent."""

    def __init__(self, wanted: float, received: float) -> None:
        super().__init__()
        self.wanted = wanted
        self.received = received


def call(metric: Metric, name: str, arguments: Sequence[Value], now: int, period: int) -> Value:
    """The value of `$Metric.name(arguments)`; OperandError for a method or arguments there are not."""
    match name, arguments:
        case "GetSample", [float() as count]:
            return _latest(metric, count)
        case "GetSample", [_, *_] if len(arguments) <= 3:
            return _get_sample(metric, arguments, now, period)
        case "GetSamplePercent", [_] | [_, _]:
            _, percent = _window(metric, arguments, now, period)
            return percent
        case "GetSamplePeriod", []:
            return Interval(period)
        case "Count", []:
            return float(len(metric.samples))
        case "HistoryBeginTime", []:
            if not metric.samples:
                raise OperandError("There are no samples yet")
            return Timestamp(metric.samples[0][0])
    if name in ("GetSample", "GetSamplePercent", "GetSamplePeriod", "Count", "HistoryBeginTime"):
        raise OperandError(f"{name} does not take {len(arguments)} arguments")
    raise OperandError(f"Undefined method: {name}")


def _latest(metric: Metric, count: float) -> tuple[float, ...]:
    """The most recent samples, fewer if there are fewer: the documented `max(0, $X.GetSample(1))` relies on it."""
    if not count >= 0:
        raise OperandError("The number of samples must not be negative")
    number = int(min(count, len(metric.samples)))
    return tuple(value for _, value in metric.samples[len(metric.samples) - number :])


def _get_sample(metric: Metric, arguments: Sequence[Value], now: int, period: int) -> tuple[float, ...]:
    wanted, last = 0.0, arguments[-1]
    if len(arguments) > 1 and isinstance(last, float):
        wanted, arguments = last, arguments[:-1]
    found, received = _window(metric, arguments, now, period)
    if received < wanted:
        raise TooFewError(wanted, received)
    return found


def _window(metric: Metric, arguments: Sequence[Value], now: int, period: int) -> tuple[tuple[float, ...], float]:
    """The samples between two times, and how many of the possible ones they are, in percent.

    An interval looks back from now. The two may come in either order: D has the nearer one first, NET the farther.
    """
    if not 1 <= len(arguments) <= 2:
        raise OperandError("One or two times and a percentage are expected")
    times = [_moment(argument, now) for argument in arguments]
    begin, end = min(times), max(times) if len(times) == 2 else now
    found = tuple(value for at, value in metric.samples if begin < at <= end)
    possible = max((end - begin) // period, 0)
    if possible == 0:
        return found, 100.0 if found else 0.0
    return found, min(100.0 * len(found) / possible, 100.0)


def _moment(value: Value, now: int) -> int:
    match value:
        case Interval():
            return now - value.ticks
        case Timestamp():
            return value.ticks
    raise OperandError(f"A timestamp or timeinterval is expected, not a {type_name(value)}")
