"""The four answers, and what they may depend on besides the object itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from reconciler.diff import FieldChange
from reconciler.ledger import Entry, Ledger
from reconciler.lifecycle.wording import counted
from reconciler.model.desired import Key, Task
from reconciler.observed import Debt, Guard, Live, Mark, NodeRun, Tenant


class Verb(StrEnum):
    """One request to the service (tasks: one for each chunk or task; nodes: one for each, but for removing them).
    `forget` and `write-receipt` send none: one erases a run from our own ledger, the other writes down what a job that
    is held would lose."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE_PROPERTIES = "replace-properties"
    RESIZE = "resize"
    STOP_RESIZE = "stop-resize"
    ENABLE_AUTOSCALE = "enable-autoscale"
    DISABLE_AUTOSCALE = "disable-autoscale"
    CHOOSE_NODES = "choose-nodes"
    DISABLE_SCHEDULING = "disable-scheduling"
    ENABLE_SCHEDULING = "enable-scheduling"
    REMOVE_NODES = "remove-nodes"
    REBOOT_NODES = "reboot-nodes"
    REIMAGE_NODES = "reimage-nodes"
    ENABLE = "enable"
    DISABLE = "disable"
    ADD_TASKS = "add-tasks"
    UPDATE_TASKS = "update-tasks"
    DELETE_TASKS = "delete-tasks"
    REACTIVATE_TASKS = "reactivate-tasks"
    CONFIRM_TASKS = "confirm-tasks"
    ADOPT = "adopt"
    ORPHAN = "orphan"
    FORGET = "forget"
    WRITE_RECEIPT = "write-receipt"
    TERMINATE = "terminate"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do now.

    *body* is the request in wire form. With *mark* the writer puts it beside the metadata of the body; an empty
    nonce in it is the writer's to fill. *receipt* and *run* are what has to be written down before the request is
    sent; with *capture* (Never, OnFailure, Always) the receipt as a file, with the logs that it asks for; empty: that
    was done before. *guards* stand beside *tasks* where these exist already, and beside the *names* of tasks that no
    manifest need have. *nodes* are ids. *force*: the service is not to wait for nodes. *hint* says what to do when the
    service refuses. *call* is the id under which this attempt stands in the service's logs, given when it is sent.
    """

    verb: Verb
    reason: str
    guard: Guard | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    mark: Mark | None = None
    tasks: Sequence[Task] = ()
    changes: tuple[FieldChange, ...] = ()
    receipt: tuple[NodeRun, ...] | None = None
    guards: tuple[Guard, ...] = ()
    nodes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    run: Entry | None = None
    capture: str = ""
    force: bool = False
    hint: str = ""
    call: str = ""

    @property
    def count(self) -> int:
        """Tasks that it touches."""
        return len(self.tasks) or len(self.names)

    def __str__(self) -> str:
        if self.force:
            return f"{self.verb} with force"
        if self.nodes:
            return node_words(self.verb, len(self.nodes))
        if self.count:
            return f"{self.verb.removesuffix('-tasks')} {counted(self.count, 'task')}"
        if self.verb is Verb.CHOOSE_NODES or (self.verb is Verb.UPDATE and not self.changes):
            return "update its mark"
        return "forget its run" if self.verb is Verb.FORGET else self.verb.replace("-", " ")


NODE_VERBS: Final = frozenset(
    {
        Verb.CHOOSE_NODES,
        Verb.DISABLE_SCHEDULING,
        Verb.ENABLE_SCHEDULING,
        Verb.REMOVE_NODES,
        Verb.REBOOT_NODES,
        Verb.REIMAGE_NODES,
    }
)
"""Steps of a shrink or a rollout, which goes by turns: how many it takes depends on what the nodes do meanwhile."""
HARMLESS: Final = frozenset({Verb.CHOOSE_NODES, Verb.DISABLE_SCHEDULING, Verb.ENABLE_SCHEDULING})
"""Those of them that take nothing away, and can be taken back."""


def node_words(verb: Verb, count: int) -> str:
    """`remove 2 nodes`, `disable scheduling on 1 node`."""
    nodes = counted(count, "node")
    if verb in (Verb.DISABLE_SCHEDULING, Verb.ENABLE_SCHEDULING):
        return f"{verb.replace('-', ' ')} on {nodes}"
    return f"{verb.removesuffix('-nodes')} {nodes}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until the service is done with something. *bound* says how long at most, where that is known, and
    *seconds* the same as a number; *on* names the objects on whose end it depends."""

    until: str
    bound: str = ""
    on: frozenset[Key] = field(default=frozenset(), compare=False)
    seconds: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"wait for {self.until}" + (f", {self.bound}" if self.bound else "")


@dataclass(frozen=True, slots=True)
class Done:
    """As desired."""

    reason: str


class Rule(StrEnum):
    """What an effect is kept from happening by, until a person has said so. The first two are of a whole plan."""

    DELETES = "deletes"
    EMPTY_SOURCE = "empty-source"
    PARTIAL_LISTING = "partial-listing"
    FOREIGN_OWNER = "foreign-owner"
    PREVENT_DESTROY = "prevent-destroy"
    REPLACEMENT = "replacement"
    RELEASE_LOSS = "release-loss"
    RELEASE_FAILURE = "release-failure"
    TASK_LOSS = "task-loss"
    LEDGER_MISSING = "ledger-missing"


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person must act; *consent* is the flag that allows it, where one does. *rule*: the guard that says so; None
    where there is nothing to consent to, and the manifest or the account has to change."""

    reason: str
    consent: str = ""
    rule: Rule | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.reason + (f" (allow it with {self.consent})" if self.consent else "")


Step: TypeAlias = Action | Wait | Done | Blocked


@dataclass(frozen=True, slots=True)
class Policy:
    """What must hold when an object goes: *keep* it (preventDestroy), *hold* it after a failed release, or *orphan*
    it (deletionPolicy: Orphan); *capture* says which logs are fetched first (captureLogs)."""

    keep: bool = False
    hold: bool = True
    orphan: bool = False
    capture: str = "OnFailure"


@dataclass(frozen=True, slots=True)
class Consents:
    """What a person agreed to by name. *replace*, *force* and *stuck* name incarnations, so that they are spent once
    the object is new; *stuck* has those of *force* that were ending already when they were named."""

    replace: frozenset[tuple[Key, str]] = frozenset()
    release_loss: frozenset[Key] = frozenset()
    release_failure: frozenset[Key] = frozenset()
    task_loss: frozenset[Key] = frozenset()
    new_run: frozenset[Key] = frozenset()
    force: frozenset[tuple[Key, str]] = frozenset()
    stuck: frozenset[tuple[Key, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Context:
    """Whose objects we keep, and what may be removed: all of ours that no manifest names, or only *removing*.

    *removal* is the reason that a plan gives for it. *policies* are those of manifests that are there although their
    objects go (destroy); for other objects the mark remembers them. *now* is when the account was looked at, ISO 8601
    UTC. *adopting* and *orphaning* name objects that are to get, or to lose, our mark. *ledger* has the runs that are
    over and gone, and *run* the one of the object at hand; *stores* are those that marks of ours name beside the one
    in use. *due*: times to live that are over by then count; empty, by now. *check_tasks*: compare the tasks of jobs
    whose tasks were confirmed. *restores*: people answered for every run that a missing ledger would know, so marks
    take the name of the store in use. *only*: the objects that the plan is about, with the jobs of schedules among
    them; None: all. *revision* is the commit that the manifests are of, empty where none is known.
    """

    stack: str
    prunes: bool = True
    removing: frozenset[Key] = frozenset()
    consents: Consents = Consents()
    debts: tuple[Debt, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    removal: str = "no longer in the manifests"
    now: str = ""
    policies: Mapping[Key, Policy] = field(default_factory=dict)
    adopting: frozenset[Key] = frozenset()
    orphaning: frozenset[Key] = frozenset()
    ledger: Ledger = field(default_factory=Ledger)
    run: Entry | None = None
    stores: frozenset[str] = frozenset()
    check_tasks: bool = False
    due: str = ""
    restores: bool = False
    only: frozenset[Key] | None = None
    revision: str = ""

    def owns(self, live: Live) -> bool:
        return live.mark is not None and live.mark.stack == self.stack

    def is_about(self, key: Key, parent: Key | None = None) -> bool:
        """Whether the plan is about an object; *parent* is the schedule that it belongs to."""
        return self.only is None or key in self.only or parent in self.only

    def removes(self, key: Key) -> bool:
        return self.prunes or key in self.removing

    def forces(self, live: Live) -> bool:
        """Whether a person said that the service is not to wait for nodes when this very incarnation ends."""
        return (live.key, live.guard.born) in self.consents.force

    def is_stuck(self, live: Live) -> bool:
        """Whether a person gave up waiting for the end of this very incarnation."""
        return (live.key, live.guard.born) in self.consents.stuck

    def policy(self, live: Live) -> Policy:
        """What the manifest says, or said when the object was last written."""
        if live.key in self.policies:
            return self.policies[live.key]
        mark = live.mark or Mark("")
        return Policy(mark.keep, mark.hold, mark.orphan, mark.capture)
