"""Checks of single pools and jobs, and of jobs against the pool they run on where that is declared here."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from reconciler import formula
from reconciler.lint.finding import Finding, Part
from reconciler.lint.parts import Job, jobs, pools
from reconciler.lint.quotas import least_nodes
from reconciler.lint.sizes import cores
from reconciler.model.desired import Desired, Key, Kind

_MOST_SLOTS: Final = 256
_MOST_TALKING: Final = 100
"""Nodes in a pool with inter-node communication (D:batch-quota-limit)."""
_MOST_ITEMS: Final = {"applicationPackageReferences": 10, "mountConfiguration": 10}
"""D:batch-quota-limit, D:virtual-file-mount."""


def check(desired: Desired, *, whole: bool) -> Iterator[Finding]:
    """Ids, then pools, then jobs. Not *whole*: what is absent may be there, and could not be read."""
    if whole:  # else the manifests were told of it
        yield from _twins(desired)
    for pool in pools(desired):
        yield from _formula(pool)
        yield from _sizes(pool)
        if (start := pool.part("startTask")) is not None:
            yield from _on_pool(start, pool)
    for job in jobs(desired):
        if whole:
            yield from _pool_of(desired, job)
        if job.pool is not None:
            for task in (*job.own_tasks, *job.tasks):
                yield from _on_pool(task, job.pool)
                yield from _slots(task, job.pool)


def _formula(pool: Part) -> Iterator[Finding]:
    text = pool.get("autoScaleFormula")
    if not isinstance(text, str):
        return
    problems = formula.check(text)
    for problem in problems:
        yield pool.error(f"the formula's {problem}", "autoScaleFormula")
    if not problems and formula.least_targets(text) == (None, None):
        message = "expected a formula that sets $TargetDedicatedNodes or $TargetLowPriorityNodes, found neither"
        yield pool.warning(message, "autoScaleFormula")


def _sizes(pool: Part) -> Iterator[Finding]:
    """Limits that the field alone does not tell."""
    slots, size = pool.number("taskSlotsPerNode", 1), pool.get("vmSize")
    of_size = cores(size)
    if of_size is not None and slots > min(4 * of_size, _MOST_SLOTS):
        message = f"expected at most {min(4 * of_size, _MOST_SLOTS)} (four times the {of_size} cores of {size})"
        yield pool.error(f"{message}, found {slots}", "taskSlotsPerNode")
    if pool.get("enableInterNodeCommunication") is True and sum(least_nodes(pool)) > _MOST_TALKING:
        message = (
            f"expected at most {_MOST_TALKING} nodes where they talk to each other, found {sum(least_nodes(pool))}"
        )
        yield pool.error(message, "enableInterNodeCommunication")
    for name, most in _MOST_ITEMS.items():
        items = pool.get(name)
        if isinstance(items, list) and len(items) > most:
            yield pool.error(f"expected at most {most} items, found {len(items)}", name)


def _pool_of(desired: Desired, job: Job) -> Iterator[Finding]:
    """A pool that nobody declares here may be somebody else's; the job would wait for it without an end."""
    pool_id = job.part.get("poolInfo", "poolId")
    if job.pool is not None or not isinstance(pool_id, str):
        return
    names = {wanted.key.id: wanted.name for wanted in desired.objects.values() if wanted.key.kind is Kind.POOL}
    near = get_close_matches(pool_id.lower(), names, n=1)
    meant = f" (did you mean {names[near[0]]!r}?)" if near else ""
    if desired.stack.refuses_other_pools:
        rule = "expected a pool that this stack declares (spec.undeclaredPools: Refuse)"
        yield job.part.error(f"{rule}, found {pool_id!r}{meant}", "poolInfo", "poolId")
    else:
        message = f"pool {pool_id!r} is not declared here{meant}: its tasks wait until somebody makes it"
        yield job.part.hint(message, "poolInfo", "poolId")


def _twins(desired: Desired) -> Iterator[Finding]:
    """Jobs and schedules share one space of ids (REST reference, section on ids)."""
    for key, wanted in desired.objects.items():
        other = desired.objects.get(Key(Kind.JOB, key.id))
        if key.kind is Kind.JOB_SCHEDULE and other is not None:
            message = f"expected an id that no job has, found that of {other.address} at {other.source}"
            yield Part(wanted, wanted.address, {}, ()).error(message, "metadata", "name")


def _on_pool(task: Part, pool: Part) -> Iterator[Finding]:
    """What a task of any kind needs of its pool."""
    if task.get("containerSettings") and pool.get("virtualMachineConfiguration", "containerConfiguration") is None:
        message = f"expected a pool with containerConfiguration, found {_named(pool, task)} without"
        yield task.error(message, "containerSettings")
    user = task.get("userIdentity", "username")
    if isinstance(user, str):
        names = [account.get("name") for account in pool.items("userAccounts")]
        if user not in names:
            known = ", ".join(map(str, names)) or "none"
            message = f"expected a user account of {_named(pool, task)} ({known}), found {user!r}"
            yield task.error(message, "userIdentity", "username")
    if task.get("multiInstanceSettings") and pool.get("enableInterNodeCommunication") is not True:
        message = f"expected a pool with enableInterNodeCommunication, found {_named(pool, task)} without"
        yield task.error(message, "multiInstanceSettings")


def _slots(task: Part, pool: Part) -> Iterator[Finding]:
    """A task that needs more slots than a node has never leaves `active` (D:batch-parallel-node-tasks)."""
    needed, slots = task.number("requiredSlots", 1), pool.number("taskSlotsPerNode", 1)
    if needed > slots:
        message = f"expected at most {slots}, the taskSlotsPerNode of {_named(pool, task)}, found {needed}"
        yield task.error(message, "requiredSlots")


def _named(pool: Part, task: Part) -> str:
    if pool.path != ("spec",):
        return "the auto pool"
    return "this one" if pool.address == task.address else pool.address
