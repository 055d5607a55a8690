"""Running a plan: the journal, the store, the account and the executor put together."""

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

from reconciler.api.clock import WallClock
from reconciler.api.happenings import Happening, Telling
from reconciler.api.planned import Planned
from reconciler.api.target import Snapshot, account, journal_of, store_of
from reconciler.errors import BatchError, UsageError
from reconciler.executor import Events, Result, Run, Settings, read_results
from reconciler.model.document import JobLifecycle


async def apply(
    planned: Planned, events: Events | None = None, *, stop: asyncio.Event | None = None, command: str = "apply"
) -> Result:
    """Run a plan to its end, and do no more than it shows. Whoever wants to see what happens gives *events*; setting
    *stop* ends the run cleanly: requests in flight are finished, and a later run goes on.

    The result says how it ended (`Result.end`); what a request met is in it and not raised. Raises UnsafePlan where
    `Planned.refusal` says so, StalePlan where another digest was approved, BatchError when the account cannot be read,
    StoreError and OSError when it cannot be written down what is about to be done.
    """
    if isinstance(planned.target, Snapshot):
        raise UsageError("a plan against a snapshot cannot be applied: plan against the account")
    planned.check()
    options, desired, target, context = planned.options, planned.desired, planned.target, planned.context
    journal = journal_of(target, desired.stack)
    if planned.plan.has_changes:
        journal.write("run", command=command, digest=planned.digest)  # better now than after the first request
        for key, born in sorted(context.consents.force):
            who = f"{getpass.getuser()}@{socket.gethostname()}"
            asked = f"{command} --dangerous-force {key}"
            journal.write("dangerous-force", object=str(key), born=born, who=who, command=asked)
    store = store_of(target, desired.stack)
    declared = desired.objects.values()
    if any(isinstance(wanted.lifecycle, JobLifecycle) and wanted.lifecycle.ttlAfterCompletion for wanted in declared):
        await store.prepare()  # marks name it from the first create on
    settings = Settings(options.parallelism, options.max_duration, work=options.wait, max_actions=options.max_actions)
    approved = planned.approved
    async with account(target, planned.saved.nonce if planned.saved is not None else "") as there:
        run = Run(
            there,
            there,
            WallClock(),
            journal,
            store,
            events if events is not None else Telling(lambda _: None),
            desired,
            context,
            settings,
            approved,
            stop or asyncio.Event(),
            approved.strays(planned.plan) if planned.saved is not None else {},
        )
        result = await run.converge()
        try:
            observed = await read_results(there, result.last.observed, result.worked)
        except BatchError as error:
            return replace(result, unseen=str(error))
    return replace(result, last=replace(result.last, observed=observed))


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
