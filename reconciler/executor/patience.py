"""How long a run puts up with trouble: requests that fail for a while, objects that changed, quotas that are full."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.errors import BatchError, Transient
from reconciler.executor.result import Events
from reconciler.lifecycle.steps import Action, Done, Verb
from reconciler.model.desired import Key
from reconciler.planning import Entry, Plan
from reconciler.ports import Clock

FIRST_POLL: Final = 0.3
LONGEST_POLL: Final = 5.0
PATIENCE: Final = 15.0
"""Seconds for which an object may meet a world that moved, or stray from the approved road (lists may be stale)."""
TRIES: Final = 6
LONGEST_BACK_OFF: Final = 60.0
LONGEST_RETRY_AFTER: Final = 300.0
FIRST_RESPITE: Final = 15.0
LONGEST_RESPITE: Final = 900.0
"""Seconds after which a controller tries an object again that it gave up: at first, and at most."""


@dataclass
class _Trouble:
    """What one object has met so far in this run. *since* is when its present trouble began, None without one;
    *given_up* how often it was for the same request; *seen* tells what was asked for from anything
    else."""

    tries: int = 0
    since: float | None = None
    verb: Verb | None = None
    not_before: float = 0.0
    failure: str | None = None
    given_up: int = 0
    seen: tuple[object, ...] = ()


class Patience:
    """The troubles of each object of a run; with *lasting* over all the runs of a controller.

    A run gives an object up for good. A controller tries it again, after a time that doubles, or as soon as its
    manifest, its step or the object itself is another.
    """

    def __init__(self, clock: Clock, events: Events, *, lasting: bool = False) -> None:
        self._clock = clock
        self._events = events
        self._lasting = lasting
        self._troubles: dict[Key, _Trouble] = {}

    @property
    def failures(self) -> Mapping[Key, str]:
        """Objects that were given up, and why."""
        found = ((key, trouble.failure) for key, trouble in self._troubles.items())
        return {key: failure for key, failure in found if failure is not None}

    def pauses(self) -> Mapping[Key, tuple[float, str]]:
        """Objects that are left alone for now: for how many seconds more, and why where it is known."""
        now = self._clock.now()
        found = self._troubles.items()
        return {key: (one.not_before - now, one.failure or "") for key, one in found if one.not_before > now}

    def has_ended(self, key: Key) -> bool:
        """Whether the object was given up."""
        trouble = self._troubles.get(key)
        if trouble is None or trouble.failure is None:
            return False
        return not self._lasting or trouble.not_before > self._clock.now()

    def is_tried_again(self, key: Key) -> bool:
        """Whether a request for the object has failed and is to be tried again."""
        return key in self._troubles and self._troubles[key].not_before > 0

    def allows(self, key: Key) -> bool:
        """Whether a request may be sent for the object now."""
        trouble = self._troubles.get(key)
        return not self.has_ended(key) and (trouble is None or trouble.not_before <= self._clock.now())

    def look_at(self, plan: Plan) -> None:
        """Patience is with one request: an object that has come further, or waits, starts anew."""
        for key, trouble in self._troubles.items():
            step = plan.entries[key].step if key in plan.entries else None
            verb = step.verb if isinstance(step, Action) else None
            if verb is not trouble.verb:
                trouble.since, trouble.verb = None, verb
        if self._lasting:
            self._forgive(plan)

    def _forgive(self, plan: Plan) -> None:
        """What was refused is asked for again at once when it is another request, or of another object."""
        for key in list(self._troubles):
            entry = plan.entries.get(key)
            if entry is None or isinstance(entry.step, Done):
                del self._troubles[key]
                continue
            trouble, seen = self._troubles[key], _asked(entry)
            if trouble.failure is not None and trouble.seen not in ((), seen):
                self._troubles[key] = trouble = _Trouble(verb=trouble.verb)
            trouble.seen = seen

    def accepted(self, key: Key) -> None:
        """A request was accepted: the object has no trouble now."""
        trouble = self._of(key)
        trouble.tries, trouble.since = 0, None
        if self._lasting:
            trouble.failure, trouble.not_before = None, 0.0

    def rest(self, key: Key, seconds: float) -> None:
        """Leave the object alone for so long."""
        self._of(key).not_before = self._clock.now() + seconds

    def back_off(self, key: Key, address: str, error: BatchError) -> bool:
        """Try again later; whether there is a try left."""
        trouble = self._of(key)
        if trouble.tries + 1 >= TRIES:
            return False
        trouble.tries += 1
        seconds = back_off(trouble.tries, error)
        self.rest(key, seconds)
        self._events.retried(address, error, seconds)
        return True

    def lose(self, key: Key, address: str, why: str) -> None:
        """Look again soon; give the object up when it has been like this for too long."""
        trouble = self._of(key)
        now = self._clock.now()
        trouble.since = now if trouble.since is None else trouble.since
        self.rest(key, min(max(FIRST_POLL, (now - trouble.since) / 2), LONGEST_POLL))
        if now - trouble.since >= PATIENCE:
            self.give_up(key, address, why)

    def give_up(self, key: Key, address: str, why: str) -> None:
        """Do nothing more for the object in this run; for a controller, for a while."""
        trouble = self._of(key)
        trouble.failure = why
        if self._lasting:
            trouble.given_up += 1
            trouble.tries, trouble.since = 0, None
            # Not by 2 to the power of any number: a float has an end, and a refusal may have none.
            self.rest(key, min(FIRST_RESPITE * 2.0 ** min(trouble.given_up - 1, 16), LONGEST_RESPITE))
        self._events.gave_up(address, why)

    def _of(self, key: Key) -> _Trouble:
        return self._troubles.setdefault(key, _Trouble())


def _asked(entry: Entry) -> tuple[object, ...]:
    """What tells one request for an object from another."""
    step = entry.step
    born = entry.live.guard.born if entry.live is not None else None
    digest = entry.wanted.digest if entry.wanted is not None else ""
    if not isinstance(step, Action):
        return (type(step), born, digest)
    # Not the ETag: each try of a change that does not take makes another one.
    return (step.verb, born, digest, tuple((row.name, str(row.old), str(row.new)) for row in step.changes))


def back_off(tries: int, error: BatchError) -> float:
    """Seconds until the next try: what the service asked for, else doubling from one second."""
    asked = error.retry_after if isinstance(error, Transient) else None
    return min(asked, LONGEST_RETRY_AFTER) if asked is not None else min(2.0 ** (tries - 1), LONGEST_BACK_OFF)
