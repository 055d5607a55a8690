"""What was consented to, by flags and by annotations, at the time of a look."""

from dataclasses import replace

from reconciler.lifecycle.steps import Context
from reconciler.model.consent import REPLACE
from reconciler.model.desired import Desired, Key, Kind
from reconciler.observed import Observed


def in_force(desired: Desired, observed: Observed, context: Context) -> Context:
    """The context at the time of a look: with the consents of annotations that have not ended by then."""
    given = context.consents
    named: dict[str, set[Key]] = {}
    replaced = set(given.replace)
    for consent in desired.consents:
        if not consent.address or not consent.counts_at(observed.at):
            continue
        key = _key(consent.address)
        if consent.flag == REPLACE:
            replaced.add((key, consent.born))
        else:
            named.setdefault(consent.flag, set()).add(key)
    if not desired.stack.guards.asks_for_tasks:
        named.setdefault("allow-task-loss", set()).update(observed.jobs, observed.pools)
    if not named and len(replaced) == len(given.replace):
        return replace(context, now=observed.at)
    consents = replace(
        given,
        release_loss=_with(given.release_loss, named.get("allow-release-loss")),
        release_failure=_with(given.release_failure, named.get("allow-release-failure")),
        task_loss=_with(given.task_loss, named.get("allow-task-loss")),
        new_run=_with(given.new_run, named.get("allow-new-run")),
        replace=frozenset(replaced),
    )
    return replace(context, now=observed.at, consents=consents)


def _with(flags: frozenset[Key], annotated: set[Key] | None) -> frozenset[Key]:
    return flags | annotated if annotated else flags


def _key(address: str) -> Key:
    kind, _, name = address.partition("/")
    return Key.of(Kind(kind), name)
