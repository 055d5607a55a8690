"""Autoscale of pools: switched on and off, evaluated on request and by time, and the samples that formulas read.

Called by the operations and, whenever a pool is looked at, by the engine. The language is in `autoscale`.
Rules: O:enable_pool_auto_scale, D:batch-automatic-scaling, R18:scale_pools, R20:scale_pools.

Samples are taken of pools with autoscale on only, so a history begins when it is switched on. Tasks and nodes are
counted, $WallClockSeconds is the time the nodes have existed. $CPUPercent, $MemoryBytes, $DiskReadBytes and
$DiskWriteBytes are measured where the driver has meters; simulated commands use nothing, so there $CPUPercent is the
share of task slots in use. Of what is not measured ($DiskBytes, $DiskReadOps, $DiskWriteOps, $NetworkInBytes,
$NetworkOutBytes, else also memory and disk) there are no samples, and formulas meet the documented lack of data.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from reconciler.emulator import autoscale, pools, vm_sizes
from reconciler.emulator.errors import refuse
from reconciler.emulator.records import Json, Pool, Sample, Task
from reconciler.emulator.scaling_bodies import (
    DEFAULT_INTERVAL,
    POOL_ENABLE_AUTOSCALE,
    POOL_EVALUATE_AUTOSCALE,
    check_formula,
)
from reconciler.emulator.schema import read_body
from reconciler.emulator.times import SECOND, iso, parse_span
from reconciler.emulator.world import World

_PERIOD = 30 * SECOND  # between samples (D)
_GAP = 30 * SECOND  # between two requests to enable autoscale on a pool (DE)
_MEGABYTE = 1 << 20  # D: the average number of megabytes, in spite of the variable's name
_USABLE = ("idle", "running")


# --- requests


def enable(w: World, pool: Pool, body: object) -> None:
    """Switch autoscale on, or change formula or interval; evaluated at once (R24c:pools_and_nodes)."""
    new = read_body(POOL_ENABLE_AUTOSCALE, body)
    pools.check_alive(pool)
    was_on = pool.spec["enableAutoScale"]
    if not new or (not was_on and "autoScaleFormula" not in new):
        raise refuse("MissingRequiredProperty", ("PropertyName", "autoScaleFormula"))
    check_formula(new.get("autoScaleFormula", ""))
    if pool.autoscale_enabled and w.now < pool.autoscale_enabled + _GAP:
        raise refuse("TooManyEnableAutoScaleRequests")
    if pools.is_resizing(w, pool):
        raise refuse("PoolBeingResized")
    if not was_on:
        new.setdefault("autoScaleEvaluationInterval", DEFAULT_INTERVAL)
    pool.spec.update(new, enableAutoScale=True)
    pool.autoscale_enabled = w.now
    if "autoScaleEvaluationInterval" in new:
        pool.autoscale_next = w.now + parse_span(pool.spec["autoScaleEvaluationInterval"])
    w.stamp(pool)
    _run(w, pool)
    w.touch("pools", pool.key)


def disable(w: World, pool: Pool) -> None:
    """The targets stay (D); a resize under way is stopped (R18:scale_pools)."""
    pools.check_alive(pool)
    _check_on(w, pool)
    pool.spec["enableAutoScale"] = False
    for name in ("autoScaleFormula", "autoScaleEvaluationInterval"):
        pool.spec.pop(name, None)
    pool.autoscale_run, pool.sampled = None, 0
    for sample in list(w.samples_of_pool[pool.key].values()):
        w.remove(sample)
    if w.switches.disable_autoscale_changes_etag:
        w.stamp(pool)
    w.save(pool)
    if w.switches.disable_autoscale_stops_resize and pool.allocation_state == "resizing" and pools.is_resizing(w, pool):
        pools.stop_resize(w, pool)


def evaluate(w: World, pool: Pool, body: object) -> Json:
    """The run of a formula that is not applied. A bad formula is no refusal, but told in the run (R20n)."""
    formula = read_body(POOL_EVALUATE_AUTOSCALE, body)["autoScaleFormula"]
    pools.check_alive(pool)
    _check_on(w, pool)
    return _show(w, _evaluate(w, pool, formula))


def _check_on(w: World, pool: Pool) -> None:
    if not pool.spec["enableAutoScale"]:
        raise refuse(w.switches.autoscale_off_code, ("Reason", "Autoscale is not enabled on the pool"))


# --- by time


def settle(w: World, pool: Pool) -> None:
    """Take the sample and make the evaluation whose time has come."""
    if pool.state != "active" or not pool.spec["enableAutoScale"]:
        return
    if w.now >= pool.sampled + _PERIOD:
        _take_sample(w, pool)
    if w.now >= pool.autoscale_next and pool.allocation_state != "stopping":
        interval = parse_span(pool.spec["autoScaleEvaluationInterval"])
        pool.autoscale_next = w.now + interval - (w.now - pool.autoscale_next) % interval
        _run(w, pool)
    w.wake(pool.sampled + _PERIOD, "pools", pool.key)
    w.wake(max(pool.autoscale_next, w.now + 1), "pools", pool.key)


def _take_sample(w: World, pool: Pool) -> None:
    pool.sampled = w.now
    w.save(pool)
    kept = w.samples_of_pool[pool.key]
    values = {name: float(value) for name, value in _count(w, pool).items()} | _read_meters(w, pool)
    w.add(Sample(pool.key, w.now, [values.get(name) for name in autoscale.METRICS]))
    while len(kept) > w.limits.samples_per_pool:
        w.remove(next(iter(kept.values())))


def _run(w: World, pool: Pool) -> None:
    """Evaluate the pool's formula and aim at what it answers: after an error that is where the targets are (D)."""
    outcome = _evaluate(w, pool, pool.spec["autoScaleFormula"])
    pool.autoscale_run = _show(w, outcome)
    w.save(pool)
    pools.aim(w, pool, outcome.dedicated, outcome.low_priority, outcome.option)


# --- evaluation


def _evaluate(w: World, pool: Pool, formula: str) -> autoscale.Outcome:
    inputs = autoscale.Inputs(
        now=w.now,
        dedicated=pool.target_dedicated,
        low_priority=pool.target_low_priority,
        metrics=_Readings(w, pool),
        random=random.Random(f"{pool.key}/{w.now}").random,
        period=_PERIOD,
        rounding=w.switches.autoscale_rounding,
    )
    try:
        return autoscale.evaluate(autoscale.parse(formula), inputs)
    except autoscale.FormulaSyntaxError as error:
        return autoscale.Outcome(inputs.dedicated, inputs.low_priority, "requeue", error=error)


def _show(w: World, outcome: autoscale.Outcome) -> Json:
    run: Json = {"timestamp": iso(w.now), "results": outcome.results}
    error = outcome.error
    if error is not None:
        code, message = error.code, error.message
        if isinstance(error, autoscale.FormulaSyntaxError):
            code = w.switches.evaluate_syntax_error_code
            message = autoscale.FormulaError.message if code == autoscale.FormulaError.code else message
        run["error"] = {"code": code, "message": message, "values": [{"name": "Message", "value": str(error)}]}
    return run


class _Readings(Mapping[str, autoscale.Metric]):
    """What formulas can read, computed when they do. A sample can be read some time after it was taken."""

    def __init__(self, w: World, pool: Pool) -> None:
        self._now: dict[str, float] | None = None
        self._w, self._pool = w, pool

    def __getitem__(self, name: str) -> autoscale.Metric:
        index = _INDEX[name]
        if self._now is None:
            self._now = _count(self._w, self._pool)
        readable = self._w.now - self._w.timings.sample_delay
        taken = self._w.samples_of_pool[self._pool.key].values()
        measured = [(one.number, value) for one in taken if (value := one.values[index]) is not None]
        current = self._now[name] if name in self._now else next((value for _, value in reversed(measured)), None)
        return autoscale.Metric(current, [(at, value) for at, value in measured if at <= readable])

    def __iter__(self) -> Iterator[str]:
        return iter(_INDEX)

    def __len__(self) -> int:
        return len(_INDEX)


_INDEX = {name: index for index, name in enumerate(autoscale.METRICS)}


def _read_meters(w: World, pool: Pool) -> dict[str, float]:
    """Averages of the nodes, or amounts, since the last sample. Without one before there is nothing to compare with."""
    meters = w.meters(pool.id)
    if meters is None:
        return {}
    before = w.last_meters.get(pool.key)
    w.last_meters[pool.key] = w.now, meters
    usable = sum(node.state in _USABLE for node in w.nodes_of_pool[pool.key].values())
    values = {"$MemoryBytes": meters.memory / _MEGABYTE / usable if usable else 0.0}
    if before is None or before[0] >= w.now:
        return values
    cores = usable * (vm_sizes.cores(pool.spec["vmSize"]) or 1)
    seconds = max(meters.cpu_seconds - before[1].cpu_seconds, 0) * SECOND / (w.now - before[0])
    return values | {
        "$CPUPercent": min(100 * seconds / cores, 100.0) if cores else 0.0,
        "$DiskReadBytes": float(max(meters.disk_read - before[1].disk_read, 0)),
        "$DiskWriteBytes": float(max(meters.disk_written - before[1].disk_written, 0)),
    }


def _count(w: World, pool: Pool) -> dict[str, float]:
    """The values now of the metrics that need no meters."""
    nodes = list(w.nodes_of_pool[pool.key].values())
    usable = [node for node in nodes if node.state in _USABLE]
    slots = pool.spec["taskSlotsPerNode"]
    used = sum(min(w.slots_used(node), slots) for node in usable)
    dedicated, low_priority = pools.current_counts(w, pool)
    values: dict[str, float] = {
        "$WallClockSeconds": sum(w.now - node.allocated for node in nodes) / SECOND,
        "$SampleNodeCount": len(usable),
        "$CurrentDedicatedNodes": dedicated,
        "$CurrentLowPriorityNodes": low_priority,
        "$PreemptedNodeCount": sum(node.state == "preempted" for node in nodes),
        "$TaskSlotsPerNode": slots,
        "$UsableNodeCount": len(usable),
        **_count_tasks(w, pool),
    }
    if w.meters(pool.id) is None:
        values["$CPUPercent"] = 100 * used / (slots * len(usable)) if usable else 0
    return {name: float(value) for name, value in values.items()}


def _count_tasks(w: World, pool: Pool) -> dict[str, int]:
    """Tasks by what they do: those being prepared count as running (INFERRED), those that wait for others not (D)."""
    keys = [job.key for job in w.jobs_of_pool(pool.key)]
    active = sum(_instances(task) for key in keys for task in w.waiting[key].values())
    running = sum(len(w.busy[key]) for key in keys)
    ended = [task for key in keys for task in w.tasks_of_job[key].values() if task.state == "completed"]
    succeeded = sum(task.execution is not None and task.execution.succeeded for task in ended)
    return {
        "$ActiveTasks": active,
        "$RunningTasks": running,
        "$PendingTasks": active + running,
        "$SucceededTasks": succeeded,
        "$FailedTasks": len(ended) - succeeded,
    }


def _instances(task: Task) -> int:
    """A multi-instance task counts as often as it has instances (D)."""
    instances: int = task.spec.get("multiInstanceSettings", {}).get("numberOfInstances", 1)
    return instances
