"""The manifests of a user as states that a simulation can go through in no time: small, and with a successor."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.model.desired import SPECS, Desired, Key, Kind, Task, Wanted
from reconciler.model.document import JobLifecycle
from reconciler.model.table import normalise

TASKS: Final = 20
"""Tasks of a job that stand for all of them; what is done to one chunk is done to each."""
NODES: Final = 3
"""Nodes of a kind that stand for all of a pool."""
TARGETS: Final = ("targetDedicatedNodes", "targetLowPriorityNodes")
CHANGED: Final = {"name": "RECONCILER_VERIFY", "value": "changed"}


def small(desired: Desired) -> Desired:
    """The state with few nodes and tasks. Times to live are left out: they would end jobs in the middle of a run."""
    return replace(desired, objects={key: _small(wanted) for key, wanted in desired.objects.items()})


def _small(wanted: Wanted) -> Wanted:
    if wanted.key.kind is Kind.POOL:
        fewer = {name: min(int(str(wanted.body[name])), NODES) for name in TARGETS if wanted.body.get(name)}
        return _with_body(wanted, {**wanted.body, **fewer})
    if wanted.key.kind is not Kind.JOB:
        return wanted
    assert isinstance(wanted.lifecycle, JobLifecycle)
    return replace(
        wanted,
        tasks=_few(wanted.tasks),
        lifecycle=wanted.lifecycle.model_copy(update={"ttlAfterCompletion": None}),
    )


def _few(tasks: Mapping[str, Task]) -> Mapping[str, Task]:
    """The first tasks; of many none that depend on others, which may be among those left out."""
    if len(tasks) <= TASKS:
        return tasks
    independent = (task for task in tasks.values() if not task.body.get("dependsOn"))
    return {task.id: task for task, _ in zip(independent, range(TASKS), strict=False)}


def successor(desired: Desired) -> Desired:
    """The state after a change of every job that only a new incarnation can have."""
    objects = {key: _changed(wanted) if key.kind is Kind.JOB else wanted for key, wanted in desired.objects.items()}
    return replace(desired, objects=objects)


def _changed(wanted: Wanted) -> Wanted:
    settings: Any = wanted.body.get("commonEnvironmentSettings") or ()
    return _with_body(wanted, {**wanted.body, "commonEnvironmentSettings": [*settings, CHANGED]})


def _with_body(wanted: Wanted, body: Mapping[str, object]) -> Wanted:
    model, raw = SPECS[wanted.key.kind], dict[str, Any](body)
    return replace(wanted, body=body, spec=normalise(model, raw), written=normalise(model, raw, fill=False))


def neighbours(desired: Desired) -> tuple[str, ...]:
    """Ids of the pools that jobs and schedules name and no manifest declares."""
    specs = [wanted.spec.get("jobSpecification", wanted.spec) for wanted in desired.objects.values()]
    named = {pool for spec in specs if (pool := (spec.get("poolInfo") or {}).get("poolId"))}
    return tuple(sorted(name for name in named if Key.of(Kind.POOL, name) not in desired.objects))
