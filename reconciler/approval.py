"""What a person agreed to for one object: the road that a plan showed, for the incarnation that was there.

The executor asks before each action whether a fresh road is covered; a saved plan writes approvals down.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from reconciler.lifecycle.steps import HARMLESS, NODE_VERBS, Verb
from reconciler.model.digest import print_of
from reconciler.observed import Live
from reconciler.planning import Entry

_BY_NAME: Final = frozenset({Verb.UPDATE_TASKS, Verb.DELETE_TASKS, Verb.REACTIVATE_TASKS})
"""What is done to tasks that are there: of those that are added the manifest says all."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person agreed to for one object: what is left of its road, for which incarnation, with which effects.

    *born* None: it was not there, or we created it since; the incarnation seen next is ours. *effects* are properties
    with a print of their new value, and tasks by verb and folded id. *blocked*: a person was to act first. *nonce*
    begins that of every object which the plan creates, where the plan outlives the process: an incarnation with it is
    taken for the plan's own, and no other.
    """

    verbs: tuple[Verb, ...]
    born: str | None
    effects: frozenset[tuple[str, str]] = frozenset()
    shrinks: bool = False
    on_nodes: frozenset[Verb] = frozenset()
    blocked: bool = False
    nonce: str = ""

    @classmethod
    def of(cls, entry: Entry, key: bytes = b"") -> Self:
        """The approval of all that an entry shows; prints of values are made with *key*."""
        return cls(
            _approved_order(entry),
            entry.live.guard.born if entry.live else None,
            effects_of(entry, key),
            entry.shrinks,
            _on_nodes(entry),
            entry.blocked is not None,
        )

    def left_for(self, live: Live | None) -> tuple[Verb, ...] | None:
        """What is left of the road for the incarnation that is there. None: it is another one than was approved."""
        if live is None or live.guard.born == self.born:
            return self.verbs
        if not self.nonce:
            return self.verbs if self.born is None else None
        if live.mark is None or not live.mark.nonce.startswith(self.nonce):
            return None
        # The plan created it: what came before that was for the one before.
        return self.verbs[self.verbs.index(Verb.CREATE) + 1 :] if Verb.CREATE in self.verbs else self.verbs

    def covers(self, entry: Entry, key: bytes = b"") -> bool:
        """Whether a fresh road of the object asks for nothing else: fewer effects are fine, others are not."""
        left = self.left_for(entry.live)
        if left is None:
            return False
        if entry.shrinks and not self.shrinks:  # the same target can be more nodes than there were, or fewer
            return False
        if not frozenset(entry.verbs) & NODE_VERBS - HARMLESS <= self.on_nodes:
            return False
        rest = iter(left)
        return all(verb in rest for verb in _in_order(entry)) and effects_of(entry, key) <= self.effects

    def seen(self, live: Live | None) -> Self:
        """The approval once the incarnation that is there was taken for the one it is about."""
        if live is None:
            # Gone: the incarnation that was shown has ended, and what a lost create may leave is ours.
            return replace(self, born=None)
        left = self.left_for(live)
        return self if left is None else replace(self, verbs=left, born=live.guard.born)

    def after(self, verb: Verb) -> Self:
        """What is left once *verb* was carried out."""
        left = self.verbs[self.verbs.index(verb) + 1 :] if verb in self.verbs else self.verbs
        return replace(self, verbs=left, born=None if verb is Verb.CREATE else self.born)

    def content(self) -> dict[str, Any]:
        """As JSON, without the nonce, which a plan says once; what says nothing is left out."""
        whole = {
            "incarnation": self.born,
            "verbs": list(self.verbs),
            "effects": sorted(map(list, self.effects)),
            "shrinks": self.shrinks,
            "on_nodes": sorted(self.on_nodes),
            "blocked": self.blocked,
        }
        return {name: value for name, value in whole.items() if value or name == "incarnation"}

    @classmethod
    def parse(cls, content: Any, nonce: str) -> Self:
        """What `content` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        return cls(
            tuple(map(Verb, content.get("verbs", ()))),
            content["incarnation"],
            frozenset((str(name), str(print_)) for name, print_ in content.get("effects", ())),
            bool(content.get("shrinks")),
            frozenset(map(Verb, content.get("on_nodes", ()))),
            bool(content.get("blocked")),
            nonce,
        )


def road_of(verbs: Sequence[Verb]) -> str:
    """`terminate -> delete`; `nothing more` without any."""
    return " -> ".join(verbs) or "nothing more"


def effects_of(entry: Entry, key: bytes = b"") -> frozenset[tuple[str, str]]:
    """The properties that an entry changes, with a print of the new value, and the tasks that it touches."""
    changes = {(change.name, print_of(change.new, key)) for change in entry.changes}
    named = {
        (str(action.verb), name.lower())
        for action in entry.actions
        if action.verb in _BY_NAME
        for name in (*(task.name for task in action.tasks), *action.names)
    }
    return frozenset(changes | named)


def _in_order(entry: Entry) -> tuple[Verb, ...]:
    """The verbs whose order and number were approved. What is only written down needs no approval."""
    return tuple(verb for verb in entry.verbs if verb not in NODE_VERBS and verb is not Verb.WRITE_RECEIPT)


def _approved_order(entry: Entry) -> tuple[Verb, ...]:
    """Nodes that were to be taken by name may be left to the service: no job can lose a release any more by then."""
    first = entry.verbs.index(Verb.REMOVE_NODES) if Verb.REMOVE_NODES in entry.verbs else None
    verbs = (Verb.RESIZE if at == first else verb for at, verb in enumerate(entry.verbs))
    return tuple(verb for verb in verbs if verb not in NODE_VERBS and verb is not Verb.WRITE_RECEIPT)


def _on_nodes(entry: Entry) -> frozenset[Verb]:
    """What is done to single nodes; in how many turns depends on them. Nodes that were to be left to the service may
    be taken by name: a job has come that could lose a release."""
    by_name = {Verb.REMOVE_NODES} if entry.shrinks and Verb.RESIZE in entry.verbs else set()
    return frozenset(entry.verbs) & NODE_VERBS | by_name
