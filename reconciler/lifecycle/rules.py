"""The rules behind the answers, for a person who asks why: one for each verb, each state that is waited for, and each
guard. Nothing here decides: the answer is there already, and this says on which rule of ours, or of the service, it
rests.

Sources name the page of the Azure Batch documentation, or the operation or type of its REST reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.lifecycle.steps import Action, Blocked, Done, Rule, Step, Verb, Wait
from reconciler.model.desired import Kind
from reconciler.observed import Live, LiveJob


@dataclass(frozen=True, slots=True)
class Basis:
    """What always holds, and where it is documented; *source* is empty where the rule is our own."""

    text: str
    source: str = ""


_PREPARATION_PAGE: Final = "Job preparation and job release tasks on Batch compute nodes (batch-job-prep-release)"
_RESIZE: Final = 'REST reference, "Pool - Resize Pool"'
_TERMINATE: Final = 'REST reference, "Jobs - Terminate Job"'
_NODE: Final = 'REST reference, "Nodes"'

_ENDING: Final = Basis(
    "A job is ended by terminate, then waits until all release tasks have ended, and is deleted only then: so release "
    "runs once on each node that was prepared.",
    f"{_TERMINATE}; {_PREPARATION_PAGE}",
)
_LOSS: Final = Basis(
    "A node that ran a job's preparation and not yet its release is not taken away, whoever owns the job: the release "
    "would be lost with it.",
    _PREPARATION_PAGE,
)
_TASKS: Final = Basis(
    "Tasks that exist are changed only as far as the service changes them in place; what else differs is left, unless "
    "lifecycle.tasks says Replace, Exact or ReactivateFailed.",
    'REST reference, "Tasks - Replace Task"',
)
_SHRINK: Final = Basis(
    "Nodes that are to go are chosen by name, taken off scheduling, looked at again, and only then removed or "
    "restarted.",
    _NODE,
)
_OWNED: Final = Basis("An object belongs to the stack whose name its mark has; others are never touched.")

BY_VERB: Final[Mapping[Verb, Basis]] = {
    Verb.CREATE: Basis("What is declared and not there is created: a pool first, then what runs on it."),
    Verb.UPDATE: Basis(
        "A field that can be changed in place is changed so, as a whole top-level property: a nested object replaces "
        "the stored one.",
        'REST reference, "Jobs - Update Job", "Pool - Update Pool"',
    ),
    Verb.REPLACE_PROPERTIES: Basis(
        "A pool's start task, packages and metadata are set together; nodes that are there keep the old start task and "
        "packages until they restart.",
        'REST reference, "Pool - Replace Pool Properties"',
    ),
    Verb.RESIZE: Basis("The number of nodes is changed by a resize; the service chooses which nodes go.", _RESIZE),
    Verb.STOP_RESIZE: Basis(
        "A pool that is being resized takes no other resize: the pending one is stopped first.",
        'REST reference, "Pool - Stop Pool Resize"',
    ),
    Verb.ENABLE_AUTOSCALE: Basis(
        "Autoscale is switched on, or given another formula, on a pool that is not being resized.",
        'REST reference, "Pool - Enable Pool Auto Scale"',
    ),
    Verb.DISABLE_AUTOSCALE: Basis(
        "A pool with autoscale takes no node counts: autoscale is switched off first.",
        'REST reference, "Pool - Disable Pool Auto Scale"',
    ),
    Verb.CHOOSE_NODES: _SHRINK,
    Verb.DISABLE_SCHEDULING: _SHRINK,
    Verb.ENABLE_SCHEDULING: Basis("A node that stays after all is put back on scheduling.", _NODE),
    Verb.REMOVE_NODES: _SHRINK,
    Verb.REBOOT_NODES: Basis(
        "A changed start task reaches a node when it restarts; lifecycle.nodeRollout asks for that.", _NODE
    ),
    Verb.REIMAGE_NODES: Basis(
        "A changed start task or package reaches a node when it is reimaged; lifecycle.nodeRollout asks for that.",
        _NODE,
    ),
    Verb.ENABLE: Basis(
        "A disabled job or schedule is enabled when its manifest says Active.", 'REST reference, "Jobs"'
    ),
    Verb.DISABLE: Basis(
        "A job is disabled when its manifest says so or before it moves to another pool; a schedule, before it goes.",
        'REST reference, "Jobs - Disable Job"',
    ),
    Verb.ADD_TASKS: Basis(
        "Declared tasks that the job lacks are added, by id.", 'REST reference, "Tasks - Create Task Collection"'
    ),
    Verb.UPDATE_TASKS: _TASKS,
    Verb.DELETE_TASKS: _TASKS,
    Verb.REACTIVATE_TASKS: Basis(
        "lifecycle.tasks: ReactivateFailed runs failed tasks again, once for each change of the manifest.",
        'REST reference, "Tasks - Reactivate Task"',
    ),
    Verb.CONFIRM_TASKS: Basis(
        "Once all declared tasks are in, the mark says so: the tasks of a job that did not change are not listed again."
    ),
    Verb.ADOPT: _OWNED,
    Verb.ORPHAN: _OWNED,
    Verb.FORGET: Basis("A run that is over is remembered for as long as a manifest declares the job."),
    Verb.WRITE_RECEIPT: Basis(
        "What release and preparation did is written down before a delete erases it, or while the job is held."
    ),
    Verb.TERMINATE: _ENDING,
    Verb.DELETE: Basis(
        "What carries our mark and no manifest names, or is to be replaced, is deleted: a job only when it is "
        "completed, a pool only when no job needs it or is owed a release.",
        _PREPARATION_PAGE,
    ),
}
BY_GUARD: Final[Mapping[Rule, Basis]] = {
    Rule.DELETES: Basis("One run removes few of the objects that a stack has, unless somebody says how many."),
    Rule.EMPTY_SOURCE: Basis("Manifests that hold no object at all are taken for lost, not for a wish."),
    Rule.PARTIAL_LISTING: Basis("What could not be listed is never taken for absent."),
    Rule.FOREIGN_OWNER: _OWNED,
    Rule.PREVENT_DESTROY: Basis(
        "What lifecycle.preventDestroy keeps is neither deleted nor replaced; the rest goes on."
    ),
    Rule.REPLACEMENT: Basis(
        "Where only a replacement would bring a change, and it is not plainly meant (a field that needs an empty pool, "
        "a line that is absent, a job that is finished), somebody has to ask for it by name."
    ),
    Rule.RELEASE_LOSS: _LOSS,
    Rule.RELEASE_FAILURE: Basis(
        "A job whose release failed is kept (lifecycle.onReleaseFailure: Hold): what the release left behind is on the "
        "nodes."
    ),
    Rule.TASK_LOSS: Basis("Tasks that run are not cut off for a change."),
    Rule.LEDGER_MISSING: Basis(
        "A job that ran to its end does not run again; whether it did is in the ledger of another store, which is not "
        "at hand."
    ),
}
FINISHED: Final = Basis("A job that ran to its end satisfies its manifest: finished work is not repeated.")
_WAITS: Final[Mapping[tuple[Kind, str], Basis]] = {
    (Kind.JOB, "terminating"): _ENDING,
    (Kind.JOB, "deleting"): Basis(
        "A job that is being deleted keeps its id until the service has forgotten it.",
        'REST reference, "Jobs - Delete Job"',
    ),
    (Kind.JOB, "disabling"): Basis(
        "A job is disabled once its running tasks have ended.", 'REST reference, "Jobs - Disable Job"'
    ),
    (Kind.JOB_SCHEDULE, "terminating"): Basis(
        "A schedule ends after the job that it made.", 'REST reference, "Job Schedules - Terminate Job Schedule"'
    ),
    (Kind.JOB_SCHEDULE, "deleting"): Basis(
        "A schedule that is being deleted keeps its id until the service has forgotten it.",
        'REST reference, "Job Schedules - Delete Job Schedule"',
    ),
    (Kind.POOL, "deleting"): Basis(
        "A pool that is being deleted keeps its id until its nodes are gone.", 'REST reference, "Pool - Delete Pool"'
    ),
}
_RESIZING: Final = Basis("A pool that is being resized takes no other resize.", _RESIZE)


def basis_of(step: Step, live: Live | None) -> Basis | None:
    """The rule that *step* rests on; None where its reason says all there is to say."""
    match step:
        case Action(verb=verb):
            return BY_VERB[verb]
        case Blocked(rule=rule):
            return BY_GUARD[rule] if rule is not None else None
        case Wait(on=others) if others and live is not None and live.key.kind is Kind.POOL:
            return _LOSS
        case Wait() if live is not None:
            resizing = getattr(live, "allocation", "steady") != "steady"
            return _WAITS.get((live.key.kind, live.state)) or (_RESIZING if resizing else None)
        case Done() if isinstance(live, LiveJob) and live.state == "completed":
            return FINISHED
    return None
