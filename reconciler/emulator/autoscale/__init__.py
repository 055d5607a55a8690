"""The language of autoscale formulas: text in, targets and variables out. Pure; used by `scaling` and the body tables.

`parse` reads a formula, `evaluate` runs it on what is known of a pool. Neither can run away: length, statements,
nesting, vector sizes and steps are bounded. Language: D:batch-automatic-scaling, and what it leaves open is said where
it is decided.
"""

from reconciler.emulator.autoscale.evaluator import Inputs, Outcome, evaluate
from reconciler.emulator.autoscale.faults import (
    FormulaError,
    FormulaSyntaxError,
    FormulaTooLongError,
    InsufficientSamplesError,
)
from reconciler.emulator.autoscale.metrics import METRICS, Metric
from reconciler.emulator.autoscale.parser import MAX_LENGTH, parse

__all__ = [
    "MAX_LENGTH",
    "METRICS",
    "FormulaError",
    "FormulaSyntaxError",
    "FormulaTooLongError",
    "Inputs",
    "InsufficientSamplesError",
    "Metric",
    "Outcome",
    "evaluate",
    "parse",
]
