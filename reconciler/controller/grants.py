"""What the controller was allowed to do, remembered in the store until it is done.

A plan that a person approved, or that began in a change window, takes several passes; the process may die between any
two, and another replica go on. So the approved road of each object is written down before its first request, and what
is seen later is compared with it by the rule of saved plans: the same incarnation and nothing but a rest of the road,
or an incarnation that the road itself creates and nothing but what comes after; anything else needs a new decision.

Values of changes are not written down, they may be secrets: the digest of the manifest stands for them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.approval import Approval, effects_of
from reconciler.errors import StoreError
from reconciler.lifecycle.steps import Done, Verb
from reconciler.model.desired import Key, Kind, Wanted
from reconciler.observed import LivePool
from reconciler.planning import Entry, Plan

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Grant:
    """What was allowed for one object. *changes* are names of fields, and of tasks with what is done to them;
    *manifest* is the digest of what they come from. *begun*: a request was about to be sent for it."""

    verbs: tuple[Verb, ...]
    born: str | None
    changes: frozenset[str]
    shrinks: bool
    on_nodes: frozenset[Verb]
    manifest: str
    begun: bool = False

    @classmethod
    def of(cls, entry: Entry) -> "Grant":
        approval = Approval.of(entry)
        return cls(
            approval.verbs, approval.born, _names(entry), approval.shrinks, approval.on_nodes, _manifest(entry.wanted)
        )

    def covers(self, entry: Entry, stack: str) -> bool:
        """Whether a fresh road of the object is a rest of this one."""
        if not entry.actions or _manifest(entry.wanted) != self.manifest:
            return False
        if not _names(entry) <= self.changes:
            return False
        verbs, born = self.verbs, self.born
        live = entry.live
        if live is not None and live.guard.born != born and Verb.CREATE in verbs:
            # Not the one that was seen: it counts as the successor when it is ours, and only for what comes after.
            if live.mark is None or live.mark.stack != stack:
                return False
            verbs, born = verbs[verbs.index(Verb.CREATE) + 1 :], None
        return Approval(verbs, born, effects_of(entry), self.shrinks, self.on_nodes).covers(entry)

    def is_under_way(self, entry: Entry, stack: str) -> bool:
        """Whether its road was begun and is not at its end: what a closing window does not stop. A job that was asked
        to end is deleted and, where it is replaced, created anew with its tasks; nodes that were taken off scheduling
        are put back."""
        if not self.begun or not self.covers(entry, stack):
            return False
        aside = isinstance(entry.live, LivePool) and entry.live.mark is not None and bool(entry.live.mark.aside)
        return aside or Approval.of(entry).verbs != self.verbs

    def content(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "verbs": list(self.verbs),
            "born": self.born,
            "changes": sorted(self.changes),
            "shrinks": self.shrinks,
            "onNodes": sorted(self.on_nodes),
            "manifest": self.manifest,
            "begun": self.begun,
        }

    @classmethod
    def from_content(cls, raw: Mapping[str, Any]) -> "Grant":
        """Read it back. Raises ValueError, KeyError and TypeError for what was not written by `content`."""
        return cls(
            tuple(map(Verb, raw["verbs"])),
            raw["born"],
            frozenset(raw["changes"]),
            bool(raw["shrinks"]),
            frozenset(map(Verb, raw["onNodes"])),
            str(raw["manifest"]),
            bool(raw["begun"]),
        )


@dataclass(frozen=True)
class Grants:
    """What is allowed and not done yet, by object. *digest* is that of the approved plan, empty where a window allowed
    it; *who* approved it."""

    roads: Mapping[Key, Grant]
    digest: str = ""
    who: str = ""

    @classmethod
    def of(cls, entries: Iterable[Entry], digest: str = "", who: str = "") -> "Grants":
        return cls({entry.key: Grant.of(entry) for entry in entries if entry.actions}, digest, who)

    def covers(self, entry: Entry, plan: Plan) -> bool:
        """Whether the next steps of an object were allowed; jobs of a schedule go with it."""
        grant = self.roads.get(entry.key)
        if grant is not None:
            return grant.covers(entry, plan.stack)
        parent = self.roads.get(entry.parent) if entry.parent is not None else None
        return parent is not None and Verb.DELETE in parent.verbs

    def is_under_way(self, entry: Entry, plan: Plan) -> bool:
        """Whether an object is in the middle of its road; jobs of a schedule that goes are in the middle of its."""
        grant = self.roads.get(entry.key)
        if grant is not None:
            return grant.is_under_way(entry, plan.stack)
        parent = self.roads.get(entry.parent) if entry.parent is not None else None
        return parent is not None and parent.begun and Verb.DELETE in parent.verbs

    def begin(self, entries: Iterable[Entry], stack: str) -> "Grants":
        """With these objects begun; the same when they were already."""
        roads = dict(self.roads)
        for entry in entries:
            grant = roads.get(entry.key)
            if grant is None or not grant.covers(entry, stack):
                grant = Grant.of(entry)
            roads[entry.key] = replace(grant, begun=True)
        return self if roads == self.roads else replace(self, roads=roads)

    def left(self, plan: Plan) -> "Grants":
        """Without the objects that are at the end of their roads. One that is another by now is kept: it may be a stale
        answer, and what was allowed for it allows nothing else."""
        unread = plan.unread.keys()
        roads = {key: grant for key, grant in self.roads.items() if key.kind in unread or _goes_on(plan, key)}
        return self if roads.keys() == self.roads.keys() else replace(self, roads=roads)

    def content(self) -> dict[str, Any]:
        """As plain values."""
        roads = [{"kind": key.kind, "id": key.id, **grant.content()} for key, grant in sorted(self.roads.items())]
        return {"format_version": FORMAT, "digest": self.digest, "who": self.who, "roads": roads}

    @classmethod
    def from_content(cls, raw: Mapping[str, Any]) -> "Grants":
        """Read it back. Raises StoreError for what is not one: what cannot be read is never taken for empty."""
        try:
            if raw["format_version"] != FORMAT:
                raise ValueError(f"it is of format {raw['format_version']}, and this version reads {FORMAT}")
            roads = {Key(Kind(one["kind"]), str(one["id"])): Grant.from_content(one) for one in raw["roads"]}
            return cls(roads, str(raw["digest"]), str(raw["who"]))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"read what the controller was allowed to do: {error!r}") from error


def _names(entry: Entry) -> frozenset[str]:
    """The fields that an entry changes, and the tasks that it touches by name."""
    fields = {change.name for change in entry.changes}
    return frozenset(name if name in fields else f"{name} {value}" for name, value in effects_of(entry))


def _goes_on(plan: Plan, key: Key) -> bool:
    entry = plan.entries.get(key)
    return entry is not None and not isinstance(entry.step, Done)


def _manifest(wanted: Wanted | None) -> str:
    if wanted is None:
        return ""
    return f"{wanted.stated.digest}.{wanted.tasks_digest}.{wanted.signature}.{wanted.tasks_signature}"
