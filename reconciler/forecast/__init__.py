"""What carrying out a plan does besides its actions: tasks lost, releases that run or do not, files erased, how long it
may take, what is left of the quotas. Pure: computed from the plan and from what was read of the account.

It decides nothing. A plan is made without it, and what was not read for it is "not known", never guessed.
"""

from collections.abc import Mapping
from dataclasses import replace

from reconciler.forecast.losses import Losses, with_reasons
from reconciler.forecast.nodes import Nodes
from reconciler.forecast.quotas import uses
from reconciler.forecast.terms import (
    FileLoss,
    Forecast,
    LongestWait,
    ObjectForecast,
    Place,
    QuotaUse,
    Release,
    TaskLoss,
)
from reconciler.forecast.waits import Waits
from reconciler.lifecycle.steps import Wait
from reconciler.model.desired import Key
from reconciler.observed import Observed
from reconciler.planning import Entry, Plan

__all__ = [
    "FileLoss",
    "Forecast",
    "LongestWait",
    "ObjectForecast",
    "Place",
    "QuotaUse",
    "Release",
    "TaskLoss",
    "make_forecast",
]


def make_forecast(plan: Plan, observed: Observed, unread: Mapping[Key, str], limits: Mapping[str, int]) -> Forecast:
    """Of *plan*, by what *observed* knows more than the plan was made of. *unread* says of
    which objects something could not be read, and why; *limits* are the account's quotas by the names of
    `reconciler.model.desired.QUOTAS`."""
    losses = Losses(plan, observed, Nodes(observed))
    touched = [entry for entry in plan.entries.values() if _moves(entry)]
    found = {entry.key: with_reasons(losses.of(entry), entry, unread) for entry in touched}
    found = {key: ObjectForecast() for key in plan.entries} | found
    waits = Waits(plan, found)
    objects = {entry.key: replace(found[entry.key], wait=waits.of(entry.key) or None) for entry in touched}
    return Forecast(objects, tuple(uses(plan, observed, limits)))


def _moves(entry: Entry) -> bool:
    return bool(entry.actions) or isinstance(entry.step, Wait)
