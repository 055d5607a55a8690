"""What a person agreed to: the roads of a plan. A fresh look that asks for more stops the object."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.lifecycle.steps import HARMLESS, NODE_VERBS, Context, Verb
from reconciler.model.desired import Key
from reconciler.observed import Observed
from reconciler.planning import Entry, Plan


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person agreed to for one object: what is left of its road, for which incarnation, with which changes.

    *born* None: it was not there, or we created it since; the incarnation seen next is ours. *blocked*: a person was to
    act first.
    """

    verbs: tuple[Verb, ...]
    born: str | None
    changes: frozenset[tuple[str, str]]
    shrinks: bool
    on_nodes: frozenset[Verb] = frozenset()
    blocked: bool = False

    @classmethod
    def of(cls, entry: Entry) -> "Approval":
        born = entry.live.guard.born if entry.live else None
        blocked = entry.blocked is not None
        return cls(_approved_order(entry), born, _effects(entry), entry.shrinks, _on_nodes(entry), blocked)

    def covers(self, entry: Entry) -> bool:
        """Whether a fresh road of the object asks for nothing else: fewer effects are fine, others are not."""
        same = self.born is None or entry.live is None or entry.live.guard.born == self.born
        rest = iter(self.verbs)
        if entry.shrinks and not self.shrinks:  # the same target can be more nodes than there were, or fewer
            return False
        if not frozenset(entry.verbs) & NODE_VERBS - HARMLESS <= self.on_nodes:
            return False
        return same and all(verb in rest for verb in _in_order(entry)) and _effects(entry) <= self.changes

    def after(self, verb: Verb) -> "Approval":
        """What is left once *verb* was carried out."""
        left = self.verbs[self.verbs.index(verb) + 1 :] if verb in self.verbs else self.verbs
        return replace(self, verbs=left, born=None if verb is Verb.CREATE else self.born)


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


def _effects(entry: Entry) -> frozenset[tuple[str, str]]:
    return frozenset((change.name, str(change.new)) for change in entry.changes)


class Approvals:
    """The approval of each object of a plan, and what is left of it as the run goes on."""

    def __init__(self, approved: dict[Key, Approval]) -> None:
        self._approved = approved

    def of(self, entry: Entry) -> Approval | None:
        """The approval of an object. Jobs that a schedule made since the plan was approved go with it: its removal
        names all of them."""
        if entry.key not in self._approved and entry.parent is not None and entry.live is not None:
            schedule = self._approved.get(entry.parent)
            if schedule is not None and Verb.DELETE in schedule.verbs:
                self._approved[entry.key] = Approval.of(entry)
        return self._approved.get(entry.key)

    def covers(self, entry: Entry) -> bool:
        """Whether a fresh road of the object was approved; an incarnation that may be ours is taken for it."""
        approval = self.of(entry)
        if approval is not None and entry.live is None:
            # Gone: the incarnation that was shown has ended, and what a lost create may leave is ours.
            approval = self._approved[entry.key] = replace(approval, born=None)
        if approval is None or not approval.covers(entry):
            return False
        if approval.born is None and entry.live is not None:
            self._approved[entry.key] = replace(approval, born=entry.live.guard.born)
        return True

    def taken_over(self, observed: Observed, context: Context) -> Mapping[Key, str]:
        """Ids of objects that were to end, and that somebody else has given to objects of their own; with when."""
        found = {}
        for key, approval in self._approved.items():
            live = observed.get(key)
            if live is None or approval.born in (None, live.guard.born) or context.owns(live):
                continue
            found[key] = live.guard.born
        return found

    def done(self, key: Key, verb: Verb) -> None:
        """*verb* was carried out on the object."""
        self._approved[key] = self._approved[key].after(verb)


def approve(plan: Plan) -> Approvals:
    """The approval of everything that a plan shows."""
    return Approvals({key: Approval.of(entry) for key, entry in plan.entries.items()})
