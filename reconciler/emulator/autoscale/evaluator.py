"""Statements and what is known of a pool to targets: the evaluation of a formula. Called by `scaling`.

Evaluation ends at the first error; then the targets stay as they were (D). Both sides of a ternary, and the right side
of && and ||, are evaluated only if needed (G:batch-shipyard#138 guards GetSample so).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.emulator.autoscale import functions, metrics, values
from reconciler.emulator.autoscale.faults import FormulaError, InsufficientSamplesError, OperandError, Place
from reconciler.emulator.autoscale.metrics import OLD_NAMES, Metric
from reconciler.emulator.autoscale.parser import (
    Call,
    Chain,
    Choice,
    Expression,
    Member,
    Name,
    Number,
    Statement,
    String,
    Unary,
    Vector,
)
from reconciler.emulator.autoscale.values import Interval, Value
from reconciler.emulator.times import DAY, HOUR, MINUTE, SECOND

OPTIONS = ("requeue", "terminate", "taskcompletion", "retaineddata")
_DEDICATED, _LOW_PRIORITY, _OPTION = "$TargetDedicatedNodes", "$TargetLowPriorityNodes", "$NodeDeallocationOption"
_ALIASES = {"$TargetDedicated": _DEDICATED, "$TargetLowPriority": _LOW_PRIORITY}
_CONSTANTS: dict[str, Value] = {
    "TimeInterval_Zero": Interval(0),
    "TimeInterval_100ns": Interval(1),
    "TimeInterval_Microsecond": Interval(10),
    "TimeInterval_Millisecond": Interval(SECOND // 1000),
    "TimeInterval_Second": Interval(SECOND),
    "TimeInterval_Minute": Interval(MINUTE),
    "TimeInterval_Hour": Interval(HOUR),
    "TimeInterval_Day": Interval(DAY),
    "TimeInterval_Week": Interval(7 * DAY),
    "TimeInterval_Year": Interval(365 * DAY),
    **{option: option for option in OPTIONS},
}
_STEPS = 200_000  # vector elements and operations in one evaluation; the emulator's own bound
_MOST_NODES = 2**31 - 1
_ROUNDING: dict[str, Callable[[float], int]] = {
    "down": math.floor,
    "up": math.ceil,
    "nearest": lambda number: math.floor(number + 0.5),
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a formula can see: the time, the pool's targets, the metrics by name (each of METRICS), chance."""

    now: int
    dedicated: int
    low_priority: int
    metrics: Mapping[str, Metric]
    random: Callable[[], float]
    period: int = 30 * SECOND
    rounding: str = "down"
    """What becomes of a target that is no whole number: down, nearest or up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The targets to aim at, every variable the formula set, and what ended the evaluation early, if anything did."""

    dedicated: int
    low_priority: int
    option: str
    variables: Mapping[str, Value] = field(default_factory=dict)
    error: FormulaError | None = None

    @property
    def results(self) -> str:
        """The three written variables, then the user's in order of their names (G:doAzureParallel#215)."""
        shown = [f"{_DEDICATED}={self.dedicated}", f"{_LOW_PRIORITY}={self.low_priority}", f"{_OPTION}={self.option}"]
        shown += [f"{name}={values.render(self.variables[name])}" for name in sorted(self.variables)]
        return ";".join(shown)


class _StoppedError(Exception):
    """stop() was called."""


def evaluate(statements: tuple[Statement, ...], inputs: Inputs) -> Outcome:
    """Run the statements. An error is told in the outcome, never raised."""
    run = _Run(inputs)
    try:
        for statement in statements:
            run.execute(statement)
    except _StoppedError:
        pass
    except FormulaError as fault:
        return Outcome(inputs.dedicated, inputs.low_priority, "requeue", run.variables, fault)
    return run.outcome()


class _Run:
    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._written: dict[str, Value] = {}
        self._steps = 0
        self.variables: dict[str, Value] = {}

    def outcome(self) -> Outcome:
        """A full name wins over its alias, whatever the order (D)."""
        targets = []
        for name, alias, present in (
            (_DEDICATED, "$TargetDedicated", self._inputs.dedicated),
            (_LOW_PRIORITY, "$TargetLowPriority", self._inputs.low_priority),
        ):
            wanted = self._written.get(name, self._written.get(alias, float(present)))
            targets.append(_ROUNDING[self._inputs.rounding](wanted) if isinstance(wanted, float) else present)
        return Outcome(targets[0], targets[1], str(self._written.get(_OPTION, "requeue")), self.variables)

    def execute(self, statement: Statement) -> None:
        value = self._value(statement.value)
        target = statement.target
        if target is None:
            return
        name = target.name
        if name in _CONSTANTS or name in self._inputs.metrics or name in OLD_NAMES:
            raise FormulaError(target.place, f"{name} cannot be assigned to")
        if name in (_DEDICATED, _LOW_PRIORITY) or name in _ALIASES:
            self._written[name] = _target(target, value)
        elif name == _OPTION:
            self._written[name] = _option(target, value)
        else:
            self.variables[name] = value

    def _value(self, expression: Expression) -> Value:
        """A value of the language; a metric that is used without a method means its value now."""
        match expression:
            case Number() | String():
                return expression.value
            case Name():
                return self._named(expression)
            case Vector():
                return self._guarded(
                    expression.place, lambda: functions.flatten(self._all(expression.place, expression.items))
                )
            case Call():
                return self._call(expression)
            case Member():
                return self._member(expression)
            case Unary():
                of = self._value(expression.of)
                return self._guarded(expression.place, lambda: values.negate(expression.operator, of))
            case Chain():
                return self._chain(expression)
            case Choice():
                test = self._truth(expression.place, expression.test)
                return self._value(expression.yes if test else expression.no)

    def _all(self, place: Place, expressions: tuple[Expression, ...]) -> list[Value]:
        found = []
        for expression in expressions:
            value = self._value(expression)
            self._spend(place, value)
            found.append(value)
        return found

    def _spend(self, place: Place, value: Value) -> None:
        self._steps += len(value) if isinstance(value, tuple) else 1
        if self._steps > _STEPS:
            raise FormulaError(place, f"The evaluation takes more than {_STEPS} steps")

    def _guarded(self, place: Place, compute: Callable[[], Value]) -> Value:
        try:
            value = compute()
        except OperandError as fault:
            raise FormulaError(place, str(fault)) from fault
        self._spend(place, value)
        return value

    def _truth(self, place: Place, expression: Expression) -> bool:
        value = self._value(expression)
        try:
            return values.truth(value)
        except OperandError as fault:
            raise FormulaError(place, str(fault)) from fault

    def _metric(self, name: str) -> Metric | None:
        return self._inputs.metrics.get(OLD_NAMES.get(name, name))

    def _named(self, name: Name) -> Value:
        if name.name in self.variables:
            return self.variables[name.name]
        if name.name in _CONSTANTS:
            return _CONSTANTS[name.name]
        full = _ALIASES.get(name.name, name.name)
        metric = self._metric(name.name)
        if metric is not None:
            if metric.current is None:
                raise InsufficientSamplesError(name.place, f"Insufficient data from data set: {name.name}")
            return metric.current
        alias = next((short for short, long in _ALIASES.items() if long == full), full)
        present = {_DEDICATED: float(self._inputs.dedicated), _LOW_PRIORITY: float(self._inputs.low_priority)}
        known: dict[str, Value] = {**present, _OPTION: "requeue"}
        if full not in known:
            raise FormulaError(name.place, f"Undefined symbol: {name.name}")
        return self._written.get(full, self._written.get(alias, known[full]))

    def _call(self, call: Call) -> Value:
        name = call.name.name
        if name not in functions.NAMES:
            raise FormulaError(call.name.place, f"Undefined symbol: {name}")
        arguments = self._all(call.place, call.arguments)
        if name == "stop" and not arguments:
            raise _StoppedError
        inputs = self._inputs
        return self._guarded(call.place, lambda: functions.call(name, arguments, inputs.now, inputs.random))

    def _member(self, member: Member) -> Value:
        name, arguments = member.name, member.arguments
        metric = self._metric(member.of.name) if isinstance(member.of, Name) else None
        if arguments is None:
            of = self._value(member.of)
            return self._guarded(member.place, lambda: values.member(of, name))
        if metric is None or not isinstance(member.of, Name):
            self._value(member.of)
            raise FormulaError(member.place, f"Undefined method: {name}")
        given = self._all(member.place, arguments)
        inputs = self._inputs
        try:
            return self._guarded(member.place, lambda: metrics.call(metric, name, given, inputs.now, inputs.period))
        except metrics.TooFewError as few:
            wanted = f"wanted {few.wanted:g}%, received {int(few.received)}%"
            raise InsufficientSamplesError(
                member.place, f"Insufficient data from data set: {member.of.name} {wanted}"
            ) from few

    def _chain(self, chain: Chain) -> Value:
        sign = chain.rest[0][0]
        if sign in ("&&", "||"):
            return self._logic(chain, stop_at=sign == "||")
        value = self._value(chain.first)
        for operator, place, expression in chain.rest:
            left, right = value, self._value(expression)
            value = self._guarded(place, lambda: values.combine(operator, left, right))  # noqa: B023
        return value

    def _logic(self, chain: Chain, *, stop_at: bool) -> float:
        place = chain.rest[0][1]
        if self._truth(place, chain.first) == stop_at:
            return float(stop_at)
        for _, at, expression in chain.rest:
            if self._truth(at, expression) == stop_at:
                return float(stop_at)
        return float(not stop_at)


def _target(target: Name, value: Value) -> float:
    if not isinstance(value, float):
        raise FormulaError(target.place, f"{target.name} is a double, not a {values.type_name(value)}")
    if not -1 < value < _MOST_NODES:
        raise FormulaError(target.place, f"{target.name} cannot be {values.render(value)}")
    return max(value, 0.0)


def _option(target: Name, value: Value) -> str:
    if not isinstance(value, str) or value not in OPTIONS:
        raise FormulaError(target.place, f"{target.name} is one of {', '.join(OPTIONS)}")
    return value
