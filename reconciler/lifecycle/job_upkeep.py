"""What an unfinished job takes to stay as its manifest says: its state, its pool, what may change in place, its tasks.

A job that moves to another pool is disabled first; here, too, the live state alone says what comes next.

| died...                                | next pass sees              | and answers                              |
|----------------------------------------|-----------------------------|------------------------------------------|
| before disable was sent                | active, another pool        | disable                                  |
| while its running tasks finish         | disabling                   | wait                                     |
| before the pool was changed            | disabled, another pool      | update                                   |
| after that                             | disabled, as declared       | enable                                   |
"""

from dataclasses import replace
from typing import Any

from reconciler.diff import Change, FieldChange
from reconciler.lifecycle import tasks as task_life
from reconciler.lifecycle.job_change import moved
from reconciler.lifecycle.ownership import marked
from reconciler.lifecycle.policies import of_job
from reconciler.lifecycle.secrets import knowing, remembered, why
from reconciler.lifecycle.steps import Action, Blocked, Context, Done, Step, Verb, Wait
from reconciler.lifecycle.wording import counted, few
from reconciler.model.desired import PLAIN, Wanted
from reconciler.model.field import ChangeKind
from reconciler.model.job import JobSpec
from reconciler.model.table import table, whole
from reconciler.observed import LiveJob, Mark, short


def next_step(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> Step:
    """The one thing to do now for an unfinished job that goes on."""
    lifecycle = of_job(wanted)
    moving = moved(change)
    if moving and (stay := _release_lost(job, moving, context)):
        return stay
    if job.state == "enabling":
        return Wait("the service to finish enabling")
    if job.state == "disabling" and (moving or lifecycle.state == "Disabled"):
        return Wait("its running tasks to end")
    if job.state == "active" and (moving or lifecycle.state == "Disabled"):
        # Running tasks finish: a change of the manifest does not undo their work (reference, 5.4).
        body = {"disableTasks": "wait"}
        why = f"{moving[0].name} can change only while it is disabled" if moving else "lifecycle.state: Disabled"
        return Action(Verb.DISABLE, why, job.guard, body)
    if job.state in ("disabling", "disabled") and lifecycle.state == "Active" and not moving:
        return Action(Verb.ENABLE, "its manifest says that it runs", job.guard)
    return _update(wanted, job, change, context) or _tend_tasks(wanted, job, change, context)


def _release_lost(job: LiveJob, moving: tuple[FieldChange, ...], context: Context) -> Wait | Blocked | None:
    """Whether release still reaches the nodes of the old pool once the job has another is UNKNOWN, so a person has to
    agree while any of them is owed one."""
    leaves = any(row.name == "poolInfo.poolId" for row in moving)
    if not leaves or not job.releases or job.key in context.consents.release_loss:
        return None
    if job.nodes is None:
        return Wait("its preparation and release results to be read")
    owing = [short(run.node) for run in job.owing() if job.pool is not None and run.pool.lower() == job.pool.id]
    if not owing:
        return None
    return Blocked(
        f"it would leave its pool, whose nodes still owe its release ({few(owing)}), and nobody knows whether release "
        "reaches them then",
        f"--allow-release-loss {job.address}",
    )


def _update(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> Step | None:
    """A PATCH for what may change at any time: whole top-level values, since a nested object replaces the stored one
    whole (recorded). `onAllTasksComplete` waits until the tasks are in, poolInfo until the job is disabled."""
    assert job.mark is not None
    fields = change.of(ChangeKind.LIVE)
    fields += tuple(row for row in moved(change) if row not in fields)
    if task_life.are_in(wanted, job):
        fields += _one_way(wanted, change)
    cleared = sorted({row.top for row in fields if row.top not in wanted.spec and not table(JobSpec)[row.top].is_list})
    if cleared:
        return Blocked(f"{', '.join(cleared)} cannot be cleared on a live job: write the value that it is to have")
    mark = marked(wanted, context, job.mark, complete=change.is_covered_by(fields))
    if not fields and not mark.replaces(job.mark):
        return None
    body = _body(wanted, fields)
    mark = _as_set(remembered(mark, wanted, body), fields)
    return Action(Verb.UPDATE, why(wanted, job.mark, fields, mark), job.guard, body, mark, changes=fields)


def _one_way(wanted: Wanted, change: Change) -> tuple[FieldChange, ...]:
    """`onAllTasksComplete` ends a disabled job as well (reference, 7), so it is set once the job may run."""
    return change.of(ChangeKind.ONE_WAY) if of_job(wanted).state == "Active" else ()


def _as_set(mark: Mark, fields: tuple[FieldChange, ...]) -> Mark:
    """The mark beside an update of *fields*: what creation left out is not left out any more."""
    return replace(mark, later=mark.later and all(row.kind is not ChangeKind.ONE_WAY for row in fields))


def _body(wanted: Wanted, fields: tuple[FieldChange, ...]) -> dict[str, Any]:
    """The named properties, whole; and the metadata, because the mark travels with it."""
    return whole(JobSpec, wanted.body, wanted.spec, {field.top for field in fields} | {"metadata"})


def _tend_tasks(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> Step:
    assert job.mark is not None
    done = Done("disabled, as its manifest says" if job.state == "disabled" else "as its manifest says")
    if task_life.are_settled(wanted, job, context):
        return done
    if step := task_life.next_step(wanted, job, context):
        return _unconfirmed(wanted, job, context, step)
    retried = job.mark.retried
    if task_life.retries(wanted, job):
        if job.tasks is None:
            return Wait("its tasks to be listed")
        if step := _retry(wanted, job, context):
            return step
        retried = task_life.retry_digest(wanted)
    one_way = _one_way(wanted, change)
    mark = _as_set(marked(wanted, context, job.mark), one_way)
    mark = replace(mark, tasks=wanted.tasks_digest, retried=retried, passwords=wanted.tasks_signature)
    if not one_way and _is_alike(mark.tasks, job.mark.tasks) and retried == job.mark.retried:
        # A manifest that only names what the service chose, as an imported one does, is no reason to write.
        return done
    return Action(Verb.CONFIRM_TASKS, "all tasks are in", job.guard, _body(wanted, one_way), mark, changes=one_way)


def _is_alike(tasks: str, others: str) -> bool:
    """Whether two digests are of tasks that differ at most in what the service may choose."""
    return tasks[:PLAIN] == others[:PLAIN]


def _unconfirmed(wanted: Wanted, job: LiveJob, context: Context, step: Step) -> Step:
    """Before declared tasks are deleted, the mark no longer says that all are in: they are missed if we die then. So it
    is where only what the service may choose changed in them: they are confirmed again then. Before tasks are added
    with another secret, the mark knows it: they are not taken for changed ones if we die then."""
    assert job.mark is not None
    if isinstance(step, Action) and step.verb is Verb.ADD_TASKS:
        knows = knowing(job.mark, wanted, step.tasks)
        if knows != job.mark:
            mark = replace(marked(wanted, context, knows), tasks="")
            return Action(Verb.UPDATE, "tasks are to be added with another secret", job.guard, _body(wanted, ()), mark)
    if not isinstance(step, Action) or not _is_alike(wanted.tasks_digest, job.mark.tasks):
        return step
    takes = any(name.lower() in wanted.tasks for name in step.names)
    chooses = step.verb is Verb.UPDATE_TASKS and not task_life.are_in(wanted, job)
    if not takes and not chooses:
        return step
    mark = replace(marked(wanted, context, job.mark), tasks="")
    reason = "tasks are to be added anew" if takes else "tasks are to be changed"
    return Action(Verb.UPDATE, reason, job.guard, _body(wanted, ()), mark)


def _retry(wanted: Wanted, job: LiveJob, context: Context) -> Action | None:
    """Failed tasks run again once for each manifest.

    Before the first of them does, the mark says for which manifest, and when the last of them had ended by the
    service's clock: one that fails again ended later and is left, whatever dies in between. None once none is left.
    """
    assert job.mark is not None
    goal = task_life.retry_digest(wanted)
    known, _, until = job.mark.retried.partition("@")
    failed = task_life.failed(wanted, job, until if known == goal else "")
    if not failed:
        return None
    if known == goal:
        return task_life.reactivate(failed)
    retried = f"{goal}@{max(failed, key=task_life.end_of).ended}"
    mark = replace(marked(wanted, context, job.mark), retried=retried)
    reason = f"{counted(len(failed), 'failed task', 'is')} to run again"
    return Action(Verb.UPDATE, reason, job.guard, _body(wanted, ()), mark)
