"""How long the objects of a plan wait at most: along the road, and for those that come first."""

from collections.abc import Mapping

from reconciler.forecast.terms import LongestWait, ObjectForecast
from reconciler.lifecycle import release
from reconciler.lifecycle.steps import Action, Verb, Wait
from reconciler.model.desired import Key
from reconciler.observed import LiveJob
from reconciler.planning import Entry, Plan


class Waits:
    """The longest waits of one plan. Those of an object are a sum, those of the objects before it a maximum."""

    def __init__(self, plan: Plan, losses: Mapping[Key, ObjectForecast]) -> None:
        self._plan = plan
        self._losses = losses
        self._known: dict[Key, LongestWait] = {}

    def of(self, key: Key) -> LongestWait:
        """Of one object and what it waits for."""
        if key not in self._known:
            self._known[key] = LongestWait()  # objects that wait for each other would go round for ever
            self._known[key] = self._of(self._plan.entries[key])
        return self._known[key]

    def _of(self, entry: Entry) -> LongestWait:
        seconds, unlimited = self._own(entry)
        before = [other.key for other in self._plan.waits_for(entry.key)]
        for step in entry.road:
            if isinstance(step, Wait):
                before += [key for key in sorted(step.on) if key in self._plan.entries and key not in before]
        first = 0
        for key in before:
            other = self._plan.entries[key]
            if other.blocked is not None:
                unlimited.append(f"{other.address}, which is blocked")
                continue
            wait = self.of(key)
            first = max(first, wait.seconds)
            if wait.unlimited:
                unlimited.append(other.address)
        return LongestWait(first + seconds, tuple(dict.fromkeys(unlimited)))

    def _own(self, entry: Entry) -> tuple[int, list[str]]:
        seconds, unlimited = 0, list[str]()
        ends = isinstance(entry.live, LiveJob) and entry.live.state == "terminating"
        for step in entry.road:
            match step:
                case Action():
                    ends = step.verb is Verb.TERMINATE
                case Wait() if ends and isinstance(entry.live, LiveJob) and entry.live.releases:
                    ends = False
                    seconds += release.limit(entry.live)
                    unlimited += self._uncertain(entry)
                case Wait() if any(key in self._plan.entries for key in step.on):
                    pass  # the wait of those objects says it
                case Wait(seconds=None):
                    unlimited.append(step.until)
                case Wait():
                    seconds += step.seconds or 0
        return seconds, unlimited

    def _uncertain(self, entry: Entry) -> list[str]:
        found = self._losses[entry.key].releases
        if any(not one.is_known for one in found):
            return ["release on nodes that are not known"]
        count = sum(len(one.uncertain) + len(one.lost) for one in found)
        return [f"release on {count} node{'s' if count > 1 else ''} where it is uncertain"] if count else []
