"""Runs of a job that are over: how long the completed job is kept, and what the ledger says once it is gone."""

from datetime import datetime, timedelta
from typing import Final

from reconciler import ledger
from reconciler.lifecycle.policies import of_job
from reconciler.lifecycle.steps import Action, Blocked, Context, Done, Rule, Step, Verb, Wait
from reconciler.model import duration
from reconciler.model.desired import Wanted, digest
from reconciler.model.field import ChangeKind
from reconciler.model.job import JobSpec
from reconciler.model.paths import without
from reconciler.model.table import table
from reconciler.observed import LiveJob

GONE: Final = "ran to its end and was removed after its TTL"


def run_digest(wanted: Wanted) -> str:
    """Of what takes a new run when it changes: the fixed fields, and an auto pool but for keepAlive."""
    spec = wanted.asked
    fixed = {
        name: spec[name] for name, field in table(JobSpec).items() if field.change is ChangeKind.FIXED and name in spec
    }
    pool = (spec.get("poolInfo") or {}).get("autoPoolSpecification")
    return digest([fixed, None if pool is None else without(pool, ("keepAlive",))])


def unwanted(context: Context) -> Step:
    """A job that is neither declared nor there."""
    if context.run is None:
        return Done("absent, as desired")
    if not context.removes(context.run.key):
        return Done("its run is over and remembered; this source does not prune")
    return Action(Verb.FORGET, context.removal)


def before_a_new_one(wanted: Wanted, context: Context) -> Step | None:
    """What the ledger says of a declared job that is not there; None when it may be created now."""
    lifecycle, run = of_job(wanted), context.run
    if run is None:
        return _ledger_missing(wanted, context)
    if (wanted.key, run.born) in context.consents.replace:
        return Action(Verb.FORGET, "asked for by --replace")
    if lifecycle.runPolicy == "Always":
        return Action(Verb.FORGET, "lifecycle.runPolicy: Always")
    if lifecycle.runPolicy == "Once":
        same = run.run_digest == run_digest(wanted)
        return Done(GONE + ("" if same else "; its manifest changed since (lifecycle.runPolicy: Once)"))
    if run.run_digest != run_digest(wanted):
        return Action(Verb.FORGET, "a fixed field changed: a new run")
    if run.tasks_digest != wanted.tasks_run_digest:
        return Blocked(f"it {GONE}, and its declared tasks are others by now", f"--replace {wanted.address}")
    return Done(GONE)


def asks_the_ledger(wanted: Wanted, context: Context) -> bool:
    """Whether only a ledger that is missing would know if this job, which is not there, ran to its end."""
    lifecycle = of_job(wanted)
    remembered = lifecycle.ttlAfterCompletion is not None and lifecycle.runPolicy != "Always"
    unknown = wanted.key not in context.ledger.entries and wanted.key not in context.consents.new_run
    return bool(context.stores) and remembered and unknown


def _ledger_missing(wanted: Wanted, context: Context) -> Blocked | None:
    if not asks_the_ledger(wanted, context):
        return None
    return Blocked(
        f"ledger missing: marks in the account name {_named(context)}, so whether this job ran to its end is not known",
        f"--allow-new-run {wanted.address}",
        Rule.LEDGER_MISSING,
    )


def _named(context: Context) -> str:
    ours = f"the store in use is {context.ledger.store_id}" if context.ledger.store_id else "the store in use is new"
    return f"store {', '.join(sorted(context.stores))}, and {ours}"


def may_expire(wanted: Wanted, job: LiveJob, context: Context) -> bool:
    """Whether the time to live of a completed job may be over, so that its results have to be read."""
    ttl = of_job(wanted).ttlAfterCompletion
    if ttl is None or job.state != "completed" or wanted.lifecycle.preventDestroy:
        return False
    return any(_is_over(limit, job, context) for limit in (ttl.success, ttl.failure) if limit is not None)


def _is_over(limit: str, job: LiveJob, context: Context) -> bool:
    by = context.due or context.now
    if not job.ended or not by or duration.is_unlimited(limit):
        return False
    kept = timedelta(microseconds=duration.ticks(limit) // 10)
    return datetime.fromisoformat(by) - datetime.fromisoformat(job.ended) >= kept


def expiry(wanted: Wanted, job: LiveJob, context: Context) -> str | Wait | Blocked | None:
    """Why a completed job is removed now: a reason, what has to be read or consented to first, or None."""
    ttl = of_job(wanted).ttlAfterCompletion
    if ttl is None or not may_expire(wanted, job, context):
        return None
    if job.counts is None or (job.prepares and job.nodes is None):
        return Wait("its results to be read")
    result = result_of(job)
    limit = ttl.success if result == "success" else ttl.failure
    if limit is None or not _is_over(limit, job, context):
        return None
    elsewhere = job.mark is not None and job.mark.store not in ("", context.ledger.store_id)
    if elsewhere and job.key not in context.consents.new_run:
        return Blocked(
            f"ledger missing: its mark names another store ({_named(context)}), which would not know that it was "
            "removed and might run it again",
            f"--allow-new-run {job.address}",
            Rule.LEDGER_MISSING,
        )
    return f"completed {job.ended}; ttlAfterCompletion.{result}: {limit} is over"


def result_of(job: LiveJob) -> ledger.Result:
    """How a completed job ended: by the service's scheduling error, its tasks, and its release tasks."""
    counts = job.counts
    left = counts is not None and bool(counts.failed or counts.active or counts.running)
    release = any(run.release is not None and run.release.failed for run in job.nodes or ())
    return "failure" if job.scheduling_error or left or release else "success"


def entry_of(wanted: Wanted, job: LiveJob, context: Context) -> ledger.Entry:
    """What is written down before a completed job is removed."""
    return ledger.Entry(
        context.stack,
        job.key,
        job.name,
        run_digest(wanted),
        wanted.tasks_run_digest,
        job.guard.born,
        job.ended,
        result_of(job),
    )
