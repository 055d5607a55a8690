"""The rules behind the answers, for a person who asks why: one for each verb, each state that is waited for, and each
consent. Nothing here decides: the answer is there already, and this says on which rule of ours, or of the service, it
rests.

Sources name the page of the Azure Batch documentation, or the operation or type of its REST reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.lifecycle.steps import Action, Blocked, Done, Step, Verb, Wait
from reconciler.model.desired import Kind
from reconciler.observed import Live, LiveJob


@dataclass(frozen=True, slots=True)
class Rule:
    """What always holds, and where it is documented; *source* is empty where the rule is our own."""

    text: str
    source: str = ""


_PREPARATION_PAGE: Final = "Job preparation and job release tasks on Batch compute nodes (batch-job-prep-release)"
_RESIZE: Final = 'REST reference, "Pool - Resize Pool"'
_TERMINATE: Final = 'REST reference, "Jobs - Terminate Job"'
_NODE: Final = 'REST reference, "Nodes"'

_ENDING: Final = Rule(
    "A job is ended by terminate, then waits until all release tasks have ended, and is deleted only then: so release "
    "runs once on each node that was prepared.",
    f"{_TERMINATE}; {_PREPARATION_PAGE}",
)
_LOSS: Final = Rule(
    "A node that ran a job's preparation and not yet its release is not taken away, whoever owns the job: the release "
    "would be lost with it.",
    _PREPARATION_PAGE,
)
_TASKS: Final = Rule(
    "Tasks that exist are changed only as far as the service changes them in place; what else differs is left, unless "
    "lifecycle.tasks says Replace, Exact or ReactivateFailed.",
    'REST reference, "Tasks - Replace Task"',
)
_SHRINK: Final = Rule(
    "Nodes that are to go are chosen by name, taken off scheduling, looked at again, and only then removed or "
    "restarted.",
    _NODE,
)
_OWNED: Final = Rule("An object belongs to the stack whose name its mark has; others are never touched.")

BY_VERB: Final[Mapping[Verb, Rule]] = {
    Verb.CREATE: Rule("What is declared and not there is created: a pool first, then what runs on it."),
    Verb.UPDATE: Rule(
        "A field that can be changed in place is changed so, as a whole top-level property: a nested object replaces "
        "the stored one.",
        'REST reference, "Jobs - Update Job", "Pool - Update Pool"',
    ),
    Verb.REPLACE_PROPERTIES: Rule(
        "A pool's start task, packages and metadata are set together; nodes that are there keep the old start task and "
        "packages until they restart.",
        'REST reference, "Pool - Replace Pool Properties"',
    ),
    Verb.RESIZE: Rule("The number of nodes is changed by a resize; the service chooses which nodes go.", _RESIZE),
    Verb.STOP_RESIZE: Rule(
        "A pool that is being resized takes no other resize: the pending one is stopped first.",
        'REST reference, "Pool - Stop Pool Resize"',
    ),
    Verb.ENABLE_AUTOSCALE: Rule(
        "Autoscale is switched on, or given another formula, on a pool that is not being resized.",
        'REST reference, "Pool - Enable Pool Auto Scale"',
    ),
    Verb.DISABLE_AUTOSCALE: Rule(
        "A pool with autoscale takes no node counts: autoscale is switched off first.",
        'REST reference, "Pool - Disable Pool Auto Scale"',
    ),
    Verb.CHOOSE_NODES: _SHRINK,
    Verb.DISABLE_SCHEDULING: _SHRINK,
    Verb.ENABLE_SCHEDULING: Rule("A node that stays after all is put back on scheduling.", _NODE),
    Verb.REMOVE_NODES: _SHRINK,
    Verb.REBOOT_NODES: Rule(
        "A changed start task reaches a node when it restarts; lifecycle.nodeRollout asks for that.", _NODE
    ),
    Verb.REIMAGE_NODES: Rule(
        "A changed start task or package reaches a node when it is reimaged; lifecycle.nodeRollout asks for that.",
        _NODE,
    ),
    Verb.ENABLE: Rule("A disabled job or schedule is enabled when its manifest says Active.", 'REST reference, "Jobs"'),
    Verb.DISABLE: Rule(
        "A job is disabled when its manifest says so or before it moves to another pool; a schedule, before it goes.",
        'REST reference, "Jobs - Disable Job"',
    ),
    Verb.ADD_TASKS: Rule(
        "Declared tasks that the job lacks are added, by id.", 'REST reference, "Tasks - Create Task Collection"'
    ),
    Verb.UPDATE_TASKS: _TASKS,
    Verb.DELETE_TASKS: _TASKS,
    Verb.REACTIVATE_TASKS: Rule(
        "lifecycle.tasks: ReactivateFailed runs failed tasks again, once for each change of the manifest.",
        'REST reference, "Tasks - Reactivate Task"',
    ),
    Verb.CONFIRM_TASKS: Rule(
        "Once all declared tasks are in, the mark says so: the tasks of a job that did not change are not listed again."
    ),
    Verb.ADOPT: _OWNED,
    Verb.ORPHAN: _OWNED,
    Verb.FORGET: Rule("A run that is over is remembered for as long as a manifest declares the job."),
    Verb.WRITE_RECEIPT: Rule(
        "What release and preparation did is written down before a delete erases it, or while the job is held."
    ),
    Verb.TERMINATE: _ENDING,
    Verb.DELETE: Rule(
        "What carries our mark and no manifest names, or is to be replaced, is deleted: a job only when it is "
        "completed, a pool only when no job needs it or is owed a release.",
        _PREPARATION_PAGE,
    ),
}
BY_CONSENT: Final[Mapping[str, Rule]] = {
    "--allow-release-loss": _LOSS,
    "--allow-release-failure": Rule(
        "A job whose release failed is kept (lifecycle.onReleaseFailure: Hold): what the release left behind is on the "
        "nodes."
    ),
    "--allow-task-loss": Rule("Tasks that run are not cut off for a change."),
    "--allow-new-run": Rule(
        "A job that ran to its end does not run again; whether it did is in the ledger of another store, which is not "
        "at hand."
    ),
    "--replace": Rule(
        "Where only a replacement would bring a change, and it is not plainly meant (a field that needs an empty pool, "
        "a line that is absent, a job that is finished), somebody has to ask for it by name."
    ),
    "--dangerous-force": _ENDING,
}
FINISHED: Final = Rule("A job that ran to its end satisfies its manifest: finished work is not repeated.")
_WAITS: Final[Mapping[tuple[Kind, str], Rule]] = {
    (Kind.JOB, "terminating"): _ENDING,
    (Kind.JOB, "deleting"): Rule(
        "A job that is being deleted keeps its id until the service has forgotten it.",
        'REST reference, "Jobs - Delete Job"',
    ),
    (Kind.JOB, "disabling"): Rule(
        "A job is disabled once its running tasks have ended.", 'REST reference, "Jobs - Disable Job"'
    ),
    (Kind.JOB_SCHEDULE, "terminating"): Rule(
        "A schedule ends after the job that it made.", 'REST reference, "Job Schedules - Terminate Job Schedule"'
    ),
    (Kind.JOB_SCHEDULE, "deleting"): Rule(
        "A schedule that is being deleted keeps its id until the service has forgotten it.",
        'REST reference, "Job Schedules - Delete Job Schedule"',
    ),
    (Kind.POOL, "deleting"): Rule(
        "A pool that is being deleted keeps its id until its nodes are gone.", 'REST reference, "Pool - Delete Pool"'
    ),
}
_RESIZING: Final = Rule("A pool that is being resized takes no other resize.", _RESIZE)


def rule_of(step: Step, live: Live | None) -> Rule | None:
    """The rule that *step* rests on; None where its reason says all there is to say."""
    match step:
        case Action(verb=verb):
            return BY_VERB[verb]
        case Blocked(consent=consent):
            return BY_CONSENT.get(consent.partition(" ")[0])
        case Wait(on=others) if others and live is not None and live.key.kind is Kind.POOL:
            return _LOSS
        case Wait() if live is not None:
            resizing = getattr(live, "allocation", "steady") != "steady"
            return _WAITS.get((live.key.kind, live.state)) or (_RESIZING if resizing else None)
        case Done() if isinstance(live, LiveJob) and live.state == "completed":
            return FINISHED
    return None
