"""Automatic pools: made for a job or for a schedule's jobs, deleted when that ends. Called by `jobs` and `schedules`.

E:BatchPoolLifetimeOption, M:BatchAutoPoolSpecification; ids as in R24c:job_list_cmd.
"""

from __future__ import annotations

import copy
import hashlib
import uuid

from reconciler.emulator import pools
from reconciler.emulator.errors import ServiceError, bad_property, refuse
from reconciler.emulator.records import Job, Json, Schedule, fold
from reconciler.emulator.world import World

_FIXED = "Only keepAlive of an automatic pool can be changed, and only if its lifetime is that of the job"
# NET: JobSchedulingErrorCodes, by the refusal the creation of such a pool meets.
_ERRORS = {
    "PoolQuotaReached": (
        "AutoPoolCreationFailedWithQuotaReached",
        "The automatic pool could not be created: the account's quota of pools is reached",
    ),
    "InvalidApplicationPackageReferences": (
        "InvalidApplicationPackageReferencesInAutoPool",
        "The automatic pool could not be created: application package references are not valid",
    ),
    "AutoScalingFormulaSyntaxError": (
        "InvalidAutoScaleFormulaInAutoPool",
        "The automatic pool could not be created: its autoscale formula is not valid",
    ),
}


def check_new(pool_info: Json, *, scheduled: bool) -> None:
    """Refuse a specification from which no pool can be made, or whose lifetime does not fit (M)."""
    auto = pool_info.get("autoPoolSpecification")
    if auto is None:
        return
    if "pool" not in auto:
        raise refuse("MissingRequiredProperty", ("PropertyName", "pool"))
    if auto["poolLifetimeOption"] == "jobschedule" and not scheduled:
        reason = "The lifetime jobschedule is for job schedules only"
        raise bad_property("poolLifetimeOption", "jobschedule", reason)


def provide(w: World, job: Job, schedule: Schedule | None) -> None:
    """Make the pool *job* asks for, or write into it why that failed. A schedule's pool is made with its first job."""
    try:
        if schedule is not None:  # what its specification refers to may have gone since it was given
            w.packages.check(job.spec.get("jobManagerTask", {}))
        auto = job.spec["poolInfo"].get("autoPoolSpecification")
        if auto is not None:
            job.pool = _pool_for(w, job, schedule, auto)
    except ServiceError as error:
        job.scheduling_error = _explain(error)


def _pool_for(w: World, job: Job, schedule: Schedule | None, auto: Json) -> str:
    shared = schedule if auto["poolLifetimeOption"] == "jobschedule" else None
    if shared is not None and shared.pool is not None and _is_alive(w, shared.pool):
        return shared.pool
    pool = pools.make(w, _new_id(job, auto), copy.deepcopy(auto["pool"]))
    if shared is not None:
        shared.pool = pool.id
    return pool.id


def _is_alive(w: World, pool_id: str | None) -> bool:
    pool = w.pools.get(fold(pool_id)) if pool_id is not None else None
    return pool is not None and pool.state == "active"


def _new_id(job: Job, auto: Json) -> str:
    """The prefix and a GUID in upper case (R24c:job_list_cmd, R26)."""
    digest = hashlib.sha256(f"{job.key}/{job.created}/{job.modified}".encode()).digest()
    guid = str(uuid.UUID(bytes=digest[:16], version=4)).upper()
    prefix = auto.get("autoPoolIdPrefix")
    return f"{prefix}_{guid}" if prefix else guid


def _explain(error: ServiceError) -> Json:
    code, message = _ERRORS.get(error.code, (error.code, error.message))
    shown: Json = {"category": "UserError", "code": code, "message": message}
    if error.values:
        shown["details"] = [{"name": name, "value": value} for name, value in error.values]
    return shown


def updated(job: Job, new: Json) -> Json:
    """The poolInfo of *job* after an update to *new*: of an automatic pool only keepAlive may differ (M, DR)."""
    old = job.spec["poolInfo"]
    was, wanted = old.get("autoPoolSpecification"), new.get("autoPoolSpecification")
    if was is None and wanted is None:
        return new
    if was is None or wanted is None:
        raise refuse("OperationInvalidForCurrentState", ("Reason", _FIXED))
    merged: Json = {**was, **wanted}
    changed = {name for name in merged if merged[name] != was.get(name)}
    if changed - {"keepAlive"} or (changed and was["poolLifetimeOption"] != "job"):
        raise refuse("OperationInvalidForCurrentState", ("Reason", _FIXED))
    return {"autoPoolSpecification": merged}


def job_ended(w: World, job: Job) -> None:
    """The pool made for this job alone goes, after its release tasks, unless it is to be kept alive."""
    auto = job.spec["poolInfo"].get("autoPoolSpecification", {})
    if auto.get("poolLifetimeOption") == "job":
        _drop(w, job.pool, auto)


def schedule_ended(w: World, schedule: Schedule) -> None:
    """The pool of the schedule's jobs goes; keepAlive counts as the specification has it now (INFERRED)."""
    auto = schedule.spec["jobSpecification"]["poolInfo"].get("autoPoolSpecification", {})
    _drop(w, schedule.pool, auto)


def _drop(w: World, pool_id: str | None, auto: Json) -> None:
    if pool_id is not None and not auto.get("keepAlive") and _is_alive(w, pool_id):
        pools.delete(w, w.pools[fold(pool_id)])
