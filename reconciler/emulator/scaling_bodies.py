"""Bodies of the autoscale operations, and the check of a formula. Used by `scaling` and by the table of pools.

O:enable_pool_auto_scale, M:BatchPoolCreateOptions; the codes are those of DE.
"""

from __future__ import annotations

from reconciler.emulator import autoscale
from reconciler.emulator.errors import refuse
from reconciler.emulator.schema import Field, Record, Span, Text
from reconciler.emulator.times import HOUR, MINUTE

DEFAULT_INTERVAL = "PT15M"


def _check_length(name: str, value: str) -> None:
    if len(value) > autoscale.MAX_LENGTH:
        reason = f"The formula is longer than {autoscale.MAX_LENGTH} characters"
        raise refuse("AutoScalingFormulaTooLong", ("PropertyName", name), ("Reason", reason))


def check_formula(text: str) -> None:
    """400 for a formula that cannot be parsed; what only evaluation shows is told in autoScaleRun (DE, M)."""
    try:
        autoscale.parse(text)
    except autoscale.FormulaSyntaxError as error:
        raise refuse(error.code, ("PropertyName", "autoScaleFormula"), ("Reason", str(error))) from error


FORMULA = Text(shortest=1, check=_check_length)
INTERVAL = Field(Span(least=5 * MINUTE, most=168 * HOUR))
POOL_ENABLE_AUTOSCALE = Record({"autoScaleFormula": Field(FORMULA), "autoScaleEvaluationInterval": INTERVAL})
POOL_EVALUATE_AUTOSCALE = Record({"autoScaleFormula": Field(FORMULA, required=True)})
