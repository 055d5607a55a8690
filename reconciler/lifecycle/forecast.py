"""What every kind of object looks like after an action that all of them know."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from reconciler.lifecycle.steps import Action, Verb
from reconciler.model.desired import Wanted
from reconciler.observed import Live

L = TypeVar("L", bound=Live)


def after(wanted: Wanted | None, live: L, action: Action, states: Mapping[Verb, str]) -> L:
    """The object after *action*: in the state that its kind enters by it, or with what was written."""
    match action.verb:
        case verb if verb in states:
            return replace(live, state=states[verb])
        case Verb.ADOPT | Verb.ORPHAN:
            return replace(live, mark=action.mark)
        case Verb.UPDATE | Verb.REPLACE_PROPERTIES | Verb.CONFIRM_TASKS:
            assert wanted is not None
            written = {field.top: wanted.spec.get(field.top) for field in action.changes}
            return replace(live, spec=with_values(live, written), mark=action.mark or live.mark)
    raise AssertionError(f"a {live.key.kind} knows no {action.verb}")


def with_values(live: Live, changed: Mapping[str, Any]) -> dict[str, Any]:
    """What the object holds, with *changed*; None takes a value away."""
    return {name: value for name, value in {**live.spec, **changed}.items() if value is not None}
