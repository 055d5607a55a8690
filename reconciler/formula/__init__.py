"""Autoscale formulas, read offline: is a formula right, and how few nodes may it ask for?

Lint and the decisions about pools call this. Nothing is evaluated: the service alone knows the samples. The language:
D:batch-automatic-scaling (https://learn.microsoft.com/azure/batch/batch-automatic-scaling).
"""

from reconciler.formula.checker import DEDICATED, LOW_PRIORITY, Checker
from reconciler.formula.problem import Problem

__all__ = ["Problem", "check", "least_targets"]


def check(text: str) -> tuple[Problem, ...]:
    """Every mistake of a formula in the order of the text; none: the service will take it."""
    return tuple(Checker(text).problems)


def least_targets(text: str) -> tuple[int | None, int | None]:
    """The least numbers of dedicated and of low-priority nodes that the formula may set, as far as constants tell.

    None: it leaves that target as it is. Of a formula with problems nothing can be said: zero and zero.
    """
    checker = Checker(text)
    if checker.problems:
        return 0, 0
    return checker.least(DEDICATED), checker.least(LOW_PRIORITY)
