"""What can be wrong with a formula, told with the place. Raised by the parser and the evaluator.

The form "Line 1, Col 1: ..." and the texts "Undefined symbol: x" and "Insufficient data from data set: ..." are the
service's (R20n:fail_to_evaluate_invalid_autoscale_formula, DR); the other texts are the emulator's own in that form.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the formula, both from 1."""

    line: int
    column: int


class FormulaError(Exception):
    """A formula that cannot be evaluated."""

    code = "AutoScalingFormulaEvaluationError"
    message = "The specified auto-scaling formula has evaluation error"

    def __init__(self, place: Place, text: str) -> None:
        self.place = place
        super().__init__(f"Line {place.line}, Col {place.column}: {text}")


class FormulaSyntaxError(FormulaError):
    """A formula that is not of the language: found before anything is evaluated."""

    code = "AutoScalingFormulaSyntaxError"
    message = "The specified auto-scaling formula has a syntax error."


class FormulaTooLongError(FormulaSyntaxError):
    """More characters or statements than the service takes (D, NET)."""


class InsufficientSamplesError(FormulaError):
    """GetSample asked for more samples than there are (DR)."""

    code = "InsufficientSampleData"
    message = "Autoscale evaluation failed due to insufficient sample data"


class OperandError(Exception):
    """A wrong operand or argument; whoever knows the place turns it into a FormulaError."""
