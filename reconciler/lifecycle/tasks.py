"""The tasks of a job: added, compared, and as far as `lifecycle.tasks` allows changed, deleted, run again.

Tasks are ours by being named in a job of ours. They are added in any number, so nothing here is made for each declared
task unless it differs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

from reconciler.diff import Change, FieldChange, diff
from reconciler.lifecycle.policies import of_job
from reconciler.lifecycle.secrets import unknown, unseen_of
from reconciler.lifecycle.steps import Action, Blocked, Context, Rule, Step, Verb, Wait
from reconciler.lifecycle.wording import SHOWN, counted, few, verb_for
from reconciler.model import moment
from reconciler.model.desired import Task, Wanted, digest
from reconciler.model.field import ChangeKind
from reconciler.model.table import normalise
from reconciler.model.task import TaskSpec
from reconciler.observed import LiveJob, LiveTask

DISABLED_HINT = (
    "a disabled job may take no tasks: apply it once with lifecycle.state: Active, and disable it when they are in"
)


@dataclass(frozen=True)
class Declared(Sequence[Task]):
    """Some of the declared tasks of a job, made when they are looked at: there may be a hundred thousand."""

    tasks: Mapping[str, Task]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> Task: ...

    @overload
    def __getitem__(self, at: slice) -> "Declared": ...

    def __getitem__(self, at: int | slice) -> "Task | Declared":
        return Declared(self.tasks, self.ids[at]) if isinstance(at, slice) else self.tasks[self.ids[at]]

    def __iter__(self) -> Iterator[Task]:
        return (self.tasks[id_] for id_ in self.ids)


def are_in(wanted: Wanted, job: LiveJob) -> bool:
    """Whether the mark says that all declared tasks were confirmed."""
    return job.mark is not None and job.mark.tasks == wanted.tasks_digest


def are_settled(wanted: Wanted, job: LiveJob, context: Context) -> bool:
    """Whether the mark alone says that nothing is to be done for the tasks. It knows nothing of tasks that others
    added, so `Exact` looks every time."""
    looks = context.check_tasks or looks_for_others(wanted) or unknown(wanted, job.mark)
    return are_in(wanted, job) and not looks and not retries(wanted, job)


def looks_for_others(wanted: Wanted) -> bool:
    """Whether tasks that are not declared matter."""
    return of_job(wanted).tasks == "Exact"


def are_listed_by_id(wanted: Wanted, job: LiveJob) -> bool:
    """Whether ids are enough for now: this manifest's tasks were being added, and some may be missing. Their content is
    compared once all are in."""
    filling = job.mark is not None and not job.mark.tasks and job.mark.spec == wanted.digest
    filling = filling and not unknown(wanted, job.mark)
    return filling and (job.ids is None or any(id_ not in job.ids for id_ in wanted.tasks))


def retry_digest(wanted: Wanted) -> str:
    """Of all that a manifest says: failed tasks are reactivated once for each."""
    return digest([wanted.digest, wanted.tasks_digest])


def retries(wanted: Wanted, job: LiveJob) -> bool:
    """Whether failed tasks are to be reactivated for this manifest, and the mark does not say that they were."""
    asked = of_job(wanted).tasks == "ReactivateFailed"
    return asked and bool(wanted.tasks) and job.mark is not None and job.mark.retried != retry_digest(wanted)


def missing(wanted: Wanted, job: LiveJob) -> Declared:
    """Declared tasks that the job does not have, as far as its tasks were listed."""
    if job.tasks is None and job.ids is None and not job.as_declared:
        return Declared(wanted.tasks, ())
    listed, ids = job.tasks or {}, (job.ids or frozenset()) | job.as_declared
    absent = tuple(id_ for id_ in wanted.tasks if id_ not in listed and id_ not in ids)
    return Declared(wanted.tasks, absent)


def next_step(wanted: Wanted, job: LiveJob, context: Context) -> Step | None:
    """The one thing to do now for the tasks of an unfinished job; None when all are as declared."""
    exact = looks_for_others(wanted)
    if not wanted.tasks and not exact:
        return None
    if job.tasks is None and job.ids is None:
        return Wait("its tasks to be listed")
    # Tasks with another secret come first: once tasks are added with it, the mark does not tell them apart any more.
    if (absent := missing(wanted, job)) and not _have_other_secrets(wanted, job):
        hint = DISABLED_HINT if job.state == "disabled" else ""
        reason = f"{len(absent)} of {counted(len(wanted.tasks), 'task')} {verb_for(len(absent), 'is')} not there"
        return Action(Verb.ADD_TASKS, reason, job.guard, tasks=absent, hint=hint)
    if job.tasks is None:
        return Wait("its tasks to be compared")
    if step := _changed(wanted, job, job.tasks, context):
        return step
    return _extra(wanted, job, job.tasks, context) if exact else None


def _have_other_secrets(wanted: Wanted, job: LiveJob) -> bool:
    """Whether a task that is there was added with other secrets than it has in the manifest."""
    others = unknown(wanted, job.mark)
    there = (wanted.tasks[id_] for id_ in job.tasks or () if id_ in wanted.tasks and id_ not in job.as_declared)
    return bool(others) and any(unseen_of(task, wanted, others) for task in there)


def _changed(wanted: Wanted, job: LiveJob, there: Mapping[str, LiveTask], context: Context) -> Step | None:
    differing = differing_tasks(wanted, job)
    # The constraints of a completed task no longer matter, and the service refuses to change them (UNKNOWN 17).
    stale = [task for task, change in differing if change.of(ChangeKind.LIVE) and not there[task.id].is_over]
    if stale:
        guards = tuple(there[task.id].guard for task in stale)
        return Action(Verb.UPDATE_TASKS, "constraints differ", tasks=tuple(stale), guards=guards)
    fixed = [(task, change.of(ChangeKind.FIXED)) for task, change in differing if change.of(ChangeKind.FIXED)]
    if not fixed:
        return None
    if of_job(wanted).tasks not in ("Replace", "Exact"):
        return Blocked(
            f"{counted(len(fixed), 'task', 'exists')} with other fixed fields ({_shown(fixed)}); a task cannot be "
            "changed after it was added: give it another id, or allow it with lifecycle.tasks: Replace",
            f"--replace {wanted.address}",
        )
    unspoken = [(task, fields) for task, fields in fixed if all(field.implicit for field in fields)]
    if unspoken:
        differ = f"{counted(len(unspoken), 'task', 'differs')} and no line of the manifest speaks of it"
        return Blocked(f"{differ} ({_shown(unspoken)})", f"--replace {wanted.address}")
    if _would_end(job, there, {task.id for task, _ in fixed}):
        return Blocked(
            f"{counted(len(fixed), 'task')} would be deleted, changed ({_shown(fixed)}), and without them the job ends "
            "before they are added anew (onAllTasksComplete: terminatejob)",
            f"--replace {wanted.address}",
        )
    return _delete(wanted, job, [there[task.id] for task, _ in fixed], f"changed ({_shown(fixed)})", context)


def _would_end(job: LiveJob, there: Mapping[str, LiveTask], going: set[str]) -> bool:
    """Whether the service ends the job when these tasks are deleted: all others are over then (REST reference,
    OnAllBatchTasksComplete)."""
    left = (task for id_, task in there.items() if id_ not in going)
    return job.spec.get("onAllTasksComplete") == "terminatejob" and all(task.is_over for task in left)


def _shown(fixed: list[tuple[Task, tuple[FieldChange, ...]]]) -> str:
    text = "; ".join(f"{task.name}: {', '.join(field.name for field in fields)}" for task, fields in fixed[:SHOWN])
    return text + (f" and {len(fixed) - SHOWN} more" if len(fixed) > SHOWN else "")


def _extra(wanted: Wanted, job: LiveJob, there: Mapping[str, LiveTask], context: Context) -> Step | None:
    gone = [task for id_, task in there.items() if id_ not in wanted.tasks]
    names = few([task.name for task in gone])
    return _delete(wanted, job, gone, f"not declared ({names})", context) if gone else None


def _delete(wanted: Wanted, job: LiveJob, tasks: list[LiveTask], reason: str, context: Context) -> Action | Blocked:
    """Deleting a task kills it where it runs, which needs a consent by name."""
    running = [task.name for task in tasks if task.runs]
    if running and job.key not in context.consents.task_loss:
        run = f"{few(running)} {verb_for(len(running), 'runs')}"
        deleted = f"{counted(len(tasks), 'task')} would be deleted, {reason}, and {run}"
        return Blocked(deleted, f"--allow-task-loss {wanted.address}", Rule.TASK_LOSS)
    names_and_guards = [(task.name, task.guard) for task in tasks]
    return Action(
        Verb.DELETE_TASKS,
        f"{counted(len(tasks), 'task', 'goes')}: {reason}",
        names=tuple(name for name, _ in names_and_guards),
        guards=tuple(guard for _, guard in names_and_guards),
    )


def failed(wanted: Wanted, job: LiveJob, until: str = "") -> tuple[LiveTask, ...]:
    """Declared tasks that failed; with *until*, those that had ended by then."""
    there = job.tasks or {}
    return tuple(
        task
        for id_, task in there.items()
        if task.failed and id_ in wanted.tasks and (not until or end_of(task) <= moment.order(until))
    )


def end_of(task: LiveTask) -> tuple[str, str]:
    """When a completed task ended, in order; one that never ran may have no end, and comes first."""
    return moment.order(task.ended) if task.ended else ("", "")


def reactivate(tasks: tuple[LiveTask, ...]) -> Action:
    """Let failed tasks run again."""
    return Action(
        Verb.REACTIVATE_TASKS,
        "failed, and the manifest changed since",
        names=tuple(task.name for task in tasks),
        guards=tuple(task.guard for task in tasks),
    )


def differing_tasks(wanted: Wanted, job: LiveJob) -> tuple[tuple[Task, Change], ...]:
    """Declared tasks that exist with other content."""
    found = []
    others = unknown(wanted, job.mark)
    for id_, there in (job.tasks or {}).items():
        if id_ not in wanted.tasks or id_ in job.as_declared:
            continue
        task = wanted.tasks[id_]
        if task.spec == there.spec and not others:
            continue
        change = diff(TaskSpec, task.spec, there.spec, written=normalise(TaskSpec, task.body, fill=False))
        change = Change((*change.fields, *unseen_of(task, wanted, others)))
        if change:
            found.append((task, change))
    return tuple(found)


def named_otherwise(wanted: Wanted, job: LiveJob) -> tuple[str, ...]:
    """Declared tasks that go on under another display name than the manifest's, as far as the tasks were listed."""
    differing = differing_tasks(wanted, job)
    waiting = ((task, change) for task, change in differing if not change.of(ChangeKind.FIXED))
    return tuple(task.name for task, change in waiting if change.of(ChangeKind.NEXT_INCARNATION))


def predict(job: LiveJob, action: Action) -> LiveJob:
    """The job after *action* on its tasks."""
    match action.verb:
        case Verb.ADD_TASKS | Verb.UPDATE_TASKS:
            tasks = action.tasks
            touched = frozenset(tasks.ids if isinstance(tasks, Declared) else (task.id for task in tasks))
            tasks_then = {} if job.tasks is None and not job.ids else job.tasks
            return replace(job, tasks=tasks_then, as_declared=job.as_declared | touched)
        case Verb.DELETE_TASKS:
            gone = {name.lower() for name in action.names}
            left = {id_: task for id_, task in (job.tasks or {}).items() if id_ not in gone}
            ids = None if job.ids is None else job.ids - gone
            return replace(job, tasks=left, ids=ids, as_declared=job.as_declared - gone)
        case Verb.REACTIVATE_TASKS:
            again = {name.lower() for name in action.names}
            tasks_now = {
                id_: replace(task, state="active", failed=False, ended="") if id_ in again else task
                for id_, task in (job.tasks or {}).items()
            }
            return replace(job, tasks=tasks_now)
    raise AssertionError(f"tasks know no {action.verb}")


def outwait(job: LiveJob) -> LiveJob:
    """The job once its tasks were listed and compared: as far as a forecast knows, they are as declared."""
    if job.tasks is not None:
        return job
    return replace(job, tasks={}, as_declared=job.as_declared | (job.ids or frozenset()))
