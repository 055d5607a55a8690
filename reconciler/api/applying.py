"""Running a plan: the journal, the store, the account and the executor put together."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

from reconciler.api.clock import WallClock
from reconciler.api.happenings import Happening, Telling
from reconciler.api.keeping import holding, store_of
from reconciler.api.planned import Planned
from reconciler.api.target import Snapshot, account
from reconciler.errors import BatchError, ReconcilerError, StoreError, UsageError
from reconciler.executor import Events, Result, Run, Settings, read_results
from reconciler.model.desired import Kind
from reconciler.model.document import JobLifecycle
from reconciler.ports import Journal
from reconciler.store import Store, this_owner, this_person


async def apply(
    planned: Planned,
    events: Events | None = None,
    *,
    stop: asyncio.Event | None = None,
    command: str = "apply",
    revision: str = "",
) -> Result:
    """Run a plan to its end, and do no more than it shows. Whoever wants to see what happens gives *events*; setting
    *stop* ends the run cleanly: requests in flight are finished, and a later run goes on. *revision* is the commit that
    the manifests are of, for the journal.

    The lock of the stack is held meanwhile, unless the plan changes nothing; a run that can no longer be sure of it
    ends by itself. The result says how it ended (`Result.end`); what a request met is in it and not raised. Raises
    UnsafePlan where `Planned.refusal` says so, StalePlan where another digest was approved, Locked where another
    process changes the stack, BatchError when the account cannot be read, StoreError when it cannot be written down
    what is about to be done.
    """
    if isinstance(planned.target, Snapshot):
        raise UsageError("a plan against a snapshot cannot be applied: plan against the account")
    planned.check()
    planned = replace(planned, context=replace(planned.context, revision=revision))
    told = events if events is not None else Telling(lambda _: None)
    stack, stop = planned.desired.stack, stop or asyncio.Event()
    remarks: list[str] = []
    async with store_of(planned.target, planned.options.store, stack) as store:
        if not planned.plan.has_changes:
            return await _run(planned, told, stop, store, store.journal(stack.name))
        lost: list[str] = []

        def stop_for(why: str) -> None:
            lost.append(why)
            stop.set()

        async with holding(store, stack.name, command, stop_for, remarks.append) as lock:
            journal = store.journal(stack.name, stack.retention, run=secrets.token_hex(4))
            # Better now than after the first request.
            facts = {"revision": revision} if revision else {}
            await journal.write(
                "run",
                command=command,
                who=this_owner(),
                target=str(planned.target),
                digest=planned.digest,
                **facts,
            )
            for consent in _consents(planned):
                await journal.write("consent", **consent, who=this_person(), command=command)
            try:
                result = await _run(planned, told, stop, store, journal, lock.check)
            except ReconcilerError as error:
                await journal.write("end", end="error", stopped=str(error), failed=[])
                raise
            if lost and result.stopped:
                result = replace(result, stopped=lost[0])
            await journal.write("end", end=result.end, stopped=result.stopped, failed=sorted(map(str, result.failures)))
            remarks += await _pruned(store, planned, result)
    return replace(result, remarks=tuple(remarks))


async def _run(
    planned: Planned,
    told: Events,
    stop: asyncio.Event,
    store: Store,
    journal: Journal,
    permit: Callable[[], None] = lambda: None,
) -> Result:
    options, desired = planned.options, planned.desired
    records = store.records(desired.stack.name, desired.stack.retention)
    declared = desired.objects.values()
    if any(isinstance(wanted.lifecycle, JobLifecycle) and wanted.lifecycle.ttlAfterCompletion for wanted in declared):
        await records.prepare()  # marks name it from the first create on
    settings = Settings(options.parallelism, options.max_duration, work=options.wait, max_actions=options.max_actions)
    async with account(planned.target, permit, planned.saved.nonce if planned.saved is not None else "") as there:
        run = Run(
            there,
            there,
            WallClock(),
            journal,
            records,
            told,
            desired,
            planned.context,
            settings,
            planned.approved,
            stop,
            permit,
            planned.stale,
        )
        result = await run.converge()
        try:
            observed = await read_results(there, result.last.observed, result.worked)
        except BatchError as error:
            return replace(result, unseen=str(error))
    return replace(result, last=replace(result.last, observed=observed))


def _consents(planned: Planned) -> Iterator[dict[str, Any]]:
    """What people agreed to beside the plan, by flag."""
    given = planned.context.consents  # those of a saved plan, too
    for flag, keys in (
        ("--allow-release-loss", given.release_loss),
        ("--allow-release-failure", given.release_failure),
        ("--allow-task-loss", given.task_loss),
        ("--allow-new-run", given.new_run),
    ):
        for key in sorted(keys):
            yield {"flag": flag, "object": str(key)}
    for flag, bound in (("--replace", given.replace), ("--dangerous-force", given.force)):
        for key, born in sorted(bound):
            yield {"flag": flag, "object": str(key), "born": born}
    if planned.options.allow_deletes is not None:
        yield {"flag": "--allow-deletes", "value": planned.options.allow_deletes}
    for written in planned.desired.consents:
        if written.counts_at(planned.plan.at):
            place = {"source": str(written.source), "until": written.until}
            yield {"flag": str(written), **({"object": written.address} if written.address else {}), **place}


async def _pruned(store: Store, planned: Planned, result: Result) -> list[str]:
    """Keep receipts and logs within their bounds, if the run wrote some; why that could not be done. What belongs to
    jobs that are there is told by a list of them."""
    observed = result.last.observed
    if Kind.JOB in observed.unread or not any(outcome.action.capture for outcome in result.outcomes):
        return []
    stack = planned.desired.stack
    try:
        await store.records(stack.name, stack.retention).prune(
            {(job.key, job.guard.born) for job in observed.jobs.values()}
        )
    except StoreError as error:
        return [str(error)]
    return []


async def events(planned: Planned, *, stop: asyncio.Event | None = None) -> AsyncIterator[Happening]:
    """Run a plan, and yield what happens as it happens; the last one (`code` is `Ended`) says how it ended."""
    queue: asyncio.Queue[Happening | None] = asyncio.Queue()

    async def run() -> Result:
        try:
            return await apply(planned, Telling(queue.put_nowait), stop=stop)
        finally:
            queue.put_nowait(None)

    running = asyncio.create_task(run())
    try:
        while (happening := await queue.get()) is not None:
            yield happening
        yield Happening.end(await running)
    finally:
        # Whoever stops listening stops the run; it goes on the next time from what it finds.
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
