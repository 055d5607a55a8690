"""`reconciler status`: sync and health of each object; job/NAME shows preparation and release of every node."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_store, add_target, add_variables

if TYPE_CHECKING:
    from reconciler.api.target import Target
    from reconciler.azure import Account
    from reconciler.ledger import Evidence
    from reconciler.model.desired import Desired, Key
    from reconciler.observed import Debt, LiveJob, LivePool, Observed


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("status", help="show sync and health", description=__doc__)
    parser.add_argument("paths", metavar="PATH|ADDR", nargs="*", help="manifests, or one address such as job/NAME")
    add_variables(parser)
    add_target(parser)
    add_store(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """One address, the objects of manifests, or everything that carries a mark."""
    import asyncio

    from reconciler.api.target import signed_by
    from reconciler.cli.stack import each, load_manifests, target_of
    from reconciler.errors import UsageError

    addresses = [text for text in arguments.paths if is_address(text)]
    if addresses and len(arguments.paths) > 1:
        raise UsageError("expected one address such as job/NAME, or manifests")

    def show(desired: "Desired | None", which: str) -> int:
        target = target_of(arguments, desired.stack if desired else None)
        desired = signed_by(target, desired) if desired else None
        print(f"Target: {target}{which}\n")
        return asyncio.run(_status(desired, addresses[0] if addresses else None, target, arguments.store))

    return each(load_manifests(arguments), show) if arguments.paths and not addresses else show(None, "")


def is_address(text: str) -> bool:
    """Whether this is an address and no path. Raises UsageError for what is neither, but looks like one of them."""
    from reconciler.api.addresses import KINDS, near_address
    from reconciler.errors import UsageError
    from reconciler.model.desired import Kind

    kind, slash, name = text.partition("/")
    if Path(text).exists() or not slash or not name or "/" in name:
        return False
    if kind in set(Kind):
        return True
    if kind in ("", ".", "..") or Path(kind).exists():
        return False
    found = f"found {text!r}: no file, and {kind!r} is no kind{near_address(text)}"
    raise UsageError(f"expected manifests, or an address ({KINDS}), {found}")


async def _status(desired: "Desired | None", address: str | None, target: "Target", given: str | None) -> int:
    from reconciler.api.target import account

    async with account(target) as there:
        if address is not None:
            kind, name = address.split("/", 1)
            if kind == "job":
                return await _job(there, name, target, given)
            return await (_pool if kind == "pool" else _schedule)(there, name)
        return await (_manifests(there, desired, target, given) if desired is not None else _marked(there))


async def _manifests(there: "Account", desired: "Desired", target: "Target", given: str | None) -> int:
    from dataclasses import replace

    from reconciler.api.keeping import store_of
    from reconciler.executor import look, read_results
    from reconciler.lifecycle.steps import Context, Done
    from reconciler.planning import make_plan
    from reconciler.status import health, sync

    context = Context(desired.stack.name, desired.stack.prunes)
    observed = await look(there, desired, context, watch=False)
    async with store_of(target, given, desired.stack) as store:
        context = replace(context, ledger=await store.records(desired.stack.name).ledger())
    observed = await read_results(there, observed, frozenset(desired.objects) & observed.jobs.keys())
    plan = make_plan(desired, observed, context)
    rows, found = [], []
    for entry in plan.entries.values():
        live = observed.get(entry.key)
        state, problems = health(live)
        if live is None and isinstance(entry.step, Done):  # a run that ended and was removed: nothing is missing
            rows.append((entry.address, sync(entry), "-", entry.step.reason))
        else:
            rows.append((entry.address, sync(entry), state, detail(live)))
        found += [f"! {entry.address}: {text}" for text in problems]
        if entry.blocked is not None:
            found.append(f"! {entry.address}: blocked: {entry.blocked}")
        found += [f"{entry.address}: {note}" for note in entry.notes]
    print(table(("OBJECT", "SYNC", "HEALTH", "STATE"), rows))
    print("\n".join(["", *found]) if found else "", end="\n" if found else "")
    return 0


async def _marked(there: "Account") -> int:
    """Everything in the account that any stack owns."""
    from reconciler.executor import read_results
    from reconciler.status import health

    observed = await there.observe()
    for kind, why in observed.unread.items():
        print(f"! the account's {kind}s could not be listed: {why}")
    marked = frozenset(key for key, job in observed.jobs.items() if job.mark is not None and job.state != "deleting")
    observed = await read_results(there, observed, marked)
    things = [*observed.pools.values(), *observed.schedules.values(), *observed.jobs.values()]
    rows = [(live.address, live.mark.stack, health(live)[0], detail(live)) for live in things if live.mark]
    others = sum(live.mark is None for live in things)
    print(table(("OBJECT", "STACK", "HEALTH", "STATE"), rows) if rows else "No stack owns anything here.")
    if others:
        print(f"\n{others} other object{'s carry' if others > 1 else ' carries'} no mark.")
    return 0


def detail(live: object) -> str:
    """What the account holds, in a line."""
    from reconciler.observed import LiveJob, LivePool, LiveSchedule

    match live:
        case LivePool() as pool:
            nodes = ", ".join(f"{count} {state}" for state, count in sorted((pool.nodes or {}).items()))
            return (
                f"{pool.state}, {pool.allocation}; nodes: {nodes or ('none' if pool.nodes is not None else 'unknown')}"
            )
        case LiveJob() as job:
            counts = job.counts
            tasks = ""
            if counts is not None:
                tasks = f"; tasks: {counts.active} active, {counts.running} running, {counts.succeeded} succeeded"
                tasks += f", {counts.failed} failed"
            return job.state + tasks
        case LiveSchedule() as schedule:
            made = f"; jobs: {', '.join(f'{job.name} {job.state}' for job in schedule.children[-3:])}"
            due = f"; next {schedule.next_run}" if schedule.next_run and schedule.state == "active" else ""
            return schedule.state + due + (made if schedule.children else "")
    return "absent"


async def _pool(there: "Account", name: str) -> int:
    from reconciler.api.addresses import missing
    from reconciler.model.desired import Key, Kind

    observed = await there.observe()
    key = Key.of(Kind.POOL, name)
    pool = observed.pools.get(key)
    if pool is None:
        raise missing(observed, key, name)
    print(f"{pool.address}: {detail(pool)}")
    for text in pool.resize_errors:
        print(f"! resize: {text}")
    if Kind.JOB in observed.unread:
        print(f"! the account's jobs could not be listed ({observed.unread[Kind.JOB]}): what nodes owe is not known")
    nodes = await there.nodes(pool)
    if nodes:
        debts = await _debts(there, observed, pool)
        owed = [", ".join(f"job/{debt.name}" for debt in debts if node.id in debt.nodes) for node in nodes]
        rows = [(node.id, node.state, jobs) for node, jobs in zip(nodes, owed, strict=True)]
        print("\n" + table(("NODE", "STATE", "OWES RELEASE TO" if any(owed) else ""), rows))
    return 0


async def _debts(there: "Account", observed: "Observed", pool: "LivePool") -> "tuple[Debt, ...]":
    """Releases that the nodes of a pool owe, to jobs of whichever stack or of none."""
    from reconciler.executor.snapshot import read_details
    from reconciler.observed import debts_on
    from reconciler.reading import Reading

    jobs = (job for job in observed.jobs.values() if job.pool == pool.key)
    releasing = frozenset(job.key for job in jobs if job.releases and job.state != "completed")
    observed = await read_details(there, observed, Reading(runs=releasing))
    return debts_on(pool, observed.jobs)


async def _schedule(there: "Account", name: str) -> int:
    from reconciler.api.addresses import listed, missing
    from reconciler.model.desired import Key, Kind

    observed = await there.observe()
    listed(observed, Kind.JOB)
    key = Key.of(Kind.JOB_SCHEDULE, name)
    schedule = observed.schedules.get(key)
    if schedule is None:
        raise missing(observed, key, name)
    print(f"{schedule.address}: {detail(schedule)}")
    if schedule.children:
        rows = [(job.name, job.state, job.ended or "-") for job in schedule.children]
        print("\n" + table(("JOB", "STATE", "ENDED"), rows))
    return 0


async def _job(there: "Account", name: str, target: "Target", given: str | None) -> int:
    from dataclasses import replace

    from reconciler.api.addresses import listed, missing
    from reconciler.errors import NotThere
    from reconciler.lifecycle.release import pending, stuck
    from reconciler.model.desired import Key, Kind
    from reconciler.status import node_problems, outcome, task_problems

    observed = await there.observe()
    key = Key.of(Kind.JOB, name)
    job, kept = observed.jobs.get(key), await _receipts(target, given, key)
    if job is None:
        if kept:
            listed(observed, Kind.JOB)
            raise NotThere(f"there is no job/{name}; it left {', '.join(map(str, kept.values()))}")
        raise missing(observed, key, name)
    runs, counts = await there.node_runs(job), await there.task_counts(job)
    job = replace(job, nodes=runs, counts=counts, tasks=await there.tasks(job) if counts.failed else {})
    job = await _with_hosts(there, observed, job)
    ended = f" ({job.terminate_reason})" if job.terminate_reason else ""
    print(f"{job.address}: {detail(job)}{ended}")
    if job.scheduling_error:
        print(f"! {job.scheduling_error}")
    if runs:
        waits = {one.node: one.why for one in pending(job)} if job.state == "terminating" else {}
        rows = [
            (run.node, outcome(run, "preparation"), outcome(run, "release"), waits.get(run.node, "")) for run in runs
        ]
        print("\n" + table(("NODE", "PREPARATION", "RELEASE", "WAITS FOR" if waits else ""), rows))
    elif job.prepares:
        print("\nNo node has run its preparation task.")
    found = [*node_problems(job), *task_problems(job), *stuck(job)]
    if found:
        print("\n" + "\n".join(f"! {text}" for text in found))
    if evidence := kept.get(job.guard.born):
        print(f"\nKept of it: {evidence}")
    return 0


async def _with_hosts(there: "Account", observed: "Observed", job: "LiveJob") -> "LiveJob":
    """The job with the state of the nodes that its end may wait for."""
    from dataclasses import replace

    from reconciler.executor.snapshot import read_details
    from reconciler.reading import Reading, hosts_of

    observed = replace(observed, jobs={**observed.jobs, job.key: job})
    return (await read_details(there, observed, Reading(hosts=frozenset(hosts_of(job))))).jobs[job.key]


async def _receipts(target: "Target", given: str | None, key: "Key") -> "Mapping[str, Evidence]":
    """What is left of each incarnation of a job, by creation time, whichever stack it was of."""
    from reconciler.api.keeping import store_of

    found: dict[str, Evidence] = {}
    async with store_of(target, given) as store:
        for stack in await store.stacks():
            ledger = await store.records(stack).ledger()
            found |= {born: evidence for (job, born), evidence in ledger.receipts.items() if job == key}
    return dict(sorted(found.items()))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their content, as kubectl prints them."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
