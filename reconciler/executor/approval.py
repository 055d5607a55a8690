"""The approvals of a run, and what is left of them as it goes on. A fresh look that asks for more stops the object."""

from collections.abc import Mapping

from reconciler.approval import Approval, effects_of, road_of
from reconciler.lifecycle.steps import Context, Verb
from reconciler.lifecycle.wording import few
from reconciler.model.desired import Key
from reconciler.observed import LiveJob, Observed
from reconciler.planning import Entry, Plan


class Approvals:
    """The approval of each object of a plan, and what is left of it as the run goes on. Prints of values in them were
    made with *key*."""

    def __init__(self, approved: Mapping[Key, Approval], key: bytes = b"") -> None:
        self._approved = dict(approved)
        self._key = key

    def of(self, entry: Entry, parent: Entry | None = None) -> Approval | None:
        """The approval of an object. Jobs that a schedule made since the plan was approved go with it: its removal
        names all of them. *parent* is the entry of that schedule."""
        if entry.key not in self._approved and entry.parent is not None and entry.live is not None:
            schedule = self._approved.get(entry.parent)
            there = parent.live if parent is not None else None
            if schedule is not None and Verb.DELETE in schedule.verbs and schedule.left_for(there) is not None:
                self._approved[entry.key] = Approval.of(entry, self._key)
        return self._approved.get(entry.key)

    def covers(self, entry: Entry, parent: Entry | None = None) -> bool:
        """Whether a fresh road of the object was approved; an incarnation that may be ours is taken for it."""
        approval = self.of(entry, parent)
        if approval is not None and entry.live is None:
            approval = self._approved[entry.key] = approval.seen(None)
        if approval is None or not approval.covers(entry, self._key):
            return False
        if entry.live is not None:
            self._approved[entry.key] = approval.seen(entry.live)
        return True

    def strays(self, plan: Plan) -> dict[Key, str]:
        """What a plan asks for and nobody approved, by object, and why each is stopped. What is for the next plan, as
        for jobs of a schedule that ended meanwhile, is no stray."""
        seen = Approvals(self._approved, self._key)
        found = {}
        for key, entry in plan.entries.items():
            if not entry.actions or seen.is_for_later(entry):
                continue
            if not seen.covers(entry, plan.entries.get(entry.parent) if entry.parent else None):
                found[key] = self.stale(entry)
        return found

    def is_for_later(self, entry: Entry) -> bool:
        """Whether what came up is for the next plan, and nobody's mistake: a job of a schedule has ended, and the
        history has one too many; what kept an object is over."""
        approval = self.of(entry)
        return entry.parent is not None if approval is None else approval.blocked

    def stale(self, entry: Entry) -> str:
        """Why an object is stopped: what was approved for it, and what it needs now."""
        approval = self._approved.get(entry.key)
        approved = road_of(approval.verbs) if approval is not None else "nothing, for it was not in it"
        if approval is not None and entry.live is not None and approval.left_for(entry.live) is None:
            approved += f" ({f'the one created {approval.born}' if approval.born else 'none was there'})"
        now = f"{road_of(entry.verbs)}{f' (the one created {entry.live.guard.born})' if entry.live is not None else ''}"
        more = f" of {few(sorted(new))}" if approval is not None and (new := self._beyond(entry, approval)) else ""
        return (
            f"stale: it changed since the plan was approved: approved was {approved}, and now it needs {now}{more}; "
            "plan and apply again"
        )

    def given_away(self, plan: Plan, observed: Observed, context: Context) -> dict[Key, str]:
        """Objects that were to go, that are still there, and that are no longer ours, by key: a plan does not speak of
        them any more, and yet what was approved for them is not done."""
        found = {}
        for key, approval in self._approved.items():
            live = observed.get(key)
            if key in plan.entries or Verb.DELETE not in approval.verbs:
                continue
            if live is None or live.guard.born != approval.born or context.owns(live):
                continue
            if isinstance(live, LiveJob) and live.schedule is not None:  # the schedule is told
                continue
            owner = f"stack '{live.mark.stack}'" if live.mark is not None else "no stack"
            found[key] = f"stale: approved was {road_of(approval.verbs)}, and it belongs to {owner} by now; it stays"
        return found

    def _beyond(self, entry: Entry, approval: Approval) -> set[str]:
        return {name for name, _ in effects_of(entry, self._key) - approval.effects}

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
