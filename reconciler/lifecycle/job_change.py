"""What differs between a manifest and its live job, and what that takes: a successor, a move, or a change in place."""

from reconciler.diff import Change, FieldChange, diff
from reconciler.lifecycle.policies import of_job
from reconciler.lifecycle.replacement import for_change, on_request
from reconciler.lifecycle.secrets import unseen
from reconciler.lifecycle.steps import Blocked, Context
from reconciler.lifecycle.wording import placed, unsaid, verb_for
from reconciler.model.desired import Wanted
from reconciler.model.field import ChangeKind
from reconciler.model.job import JobSpec
from reconciler.observed import UNFINISHED, LiveJob


def job_diff(wanted: Wanted, job: LiveJob) -> Change:
    """What differs between a manifest and its live job."""
    return Change((*diff(JobSpec, wanted.spec, job.spec, written=wanted.written).fields, *unseen(wanted, job)))


def replacement(wanted: Wanted, job: LiveJob, change: Change, context: Context) -> str | Blocked | None:
    """Why the job must be ended and created anew: a reason, a refusal that says what is in the way, or None."""
    if asked := on_request(wanted, job, context):
        return asked
    fixed = change.of(ChangeKind.FIXED) + tuple(f for f in change.of(ChangeKind.ONE_WAY) if f.new == "noaction")
    fixed += tuple(row for row in change.fields if _is_another_auto_pool(row) and row not in fixed)
    if not fixed or (job.state == "completed" and of_job(wanted).runPolicy == "Once"):
        return None
    names = sorted({field.top for field in fixed})
    verb = verb_for(len(fixed), "is")
    if all(field.implicit for field in fixed):
        they = "it" if len(names) == 1 else "they"
        return Blocked(
            f"{unsaid(names)}; {they} {verb_for(len(names), 'is')} fixed after creation", f"--replace {wanted.address}"
        )
    return for_change(wanted, f"{placed(fixed)} {verb} fixed after creation")


def makes_way(wanted: Wanted, job: LiveJob, context: Context) -> bool:
    """Whether an unfinished job is to be replaced for a change of its manifest: its tasks have to be counted."""
    if job.state not in UNFINISHED or of_job(wanted).state == "Completed":
        return False
    return isinstance(replacement(wanted, job, job_diff(wanted, job), context), str)


def moved(change: Change) -> tuple[FieldChange, ...]:
    """What differs in where the job runs and can be changed while it is disabled."""
    rows = [row for row in change.fields if row.top == "poolInfo"]
    return tuple(rows) if not any(_is_another_auto_pool(row) for row in rows) else ()


def _is_another_auto_pool(row: FieldChange) -> bool:
    """An auto pool that is there takes no change but keepAlive (reference, 7 and 8.4)."""
    return row.path[:2] == ("poolInfo", "autoPoolSpecification") and row.path[2:] != ("keepAlive",)


def leaves_its_pool(wanted: Wanted, job: LiveJob) -> bool:
    """Whether the manifest moves an unfinished job to another pool."""
    return job.state in UNFINISHED and any(row.name == "poolInfo.poolId" for row in moved(job_diff(wanted, job)))
