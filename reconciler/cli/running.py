"""What apply and destroy share: questions, signals, the run itself, and the last account of it."""

import argparse
import asyncio
import getpass
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

from reconciler.cli.show import Progressing, singular
from reconciler.cli.stack import Target, account, store_of
from reconciler.errors import BatchError, ReconcilerError
from reconciler.executor import End, Result, Run, Settings, approve, read_results
from reconciler.lifecycle.steps import Context, Verb
from reconciler.model.desired import Desired
from reconciler.model.document import JobLifecycle
from reconciler.plan import Plan
from reconciler.status import problems, progress
from reconciler.store import FolderJournal, state_directory

IN_PROGRESS, BLOCKED, PARTLY_FAILED = 3, 4, 6
COUNTED = {
    Verb.CREATE: "created",
    Verb.UPDATE: "updated",
    Verb.REPLACE_PROPERTIES: "updated",
    Verb.RESIZE: "resized",
    Verb.ENABLE_AUTOSCALE: "autoscale enabled",
    Verb.DISABLE_AUTOSCALE: "autoscale disabled",
    Verb.REMOVE_NODES: "nodes removed",
    Verb.REBOOT_NODES: "nodes restarted",
    Verb.REIMAGE_NODES: "nodes reimaged",
    Verb.ENABLE: "enabled",
    Verb.DISABLE: "disabled",
    Verb.ADD_TASKS: "tasks added",
    Verb.UPDATE_TASKS: "tasks updated",
    Verb.DELETE_TASKS: "tasks deleted",
    Verb.REACTIVATE_TASKS: "tasks reactivated",
    Verb.ADOPT: "adopted",
    Verb.ORPHAN: "orphaned",
    Verb.FORGET: "forgotten",
    Verb.TERMINATE: "terminated",
    Verb.DELETE: "deleted",
}


class WallClock:
    """The Clock of the world."""

    def now(self) -> float:
        """Seconds of a monotonic clock."""
        return time.monotonic()

    def utc(self) -> str:
        """ISO 8601 UTC."""
        return datetime.now(UTC).isoformat(timespec="milliseconds")

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


def ask(question: str) -> bool:
    """Whether a person agrees. Raises ReconcilerError where nobody can answer."""
    try:
        answer = input(question).strip()
    except EOFError:
        print()
        raise ReconcilerError("there is nobody to ask, so nothing was changed: run it with --auto-approve") from None
    if answer not in ("yes", "no"):
        print(f"{answer!r} is not 'yes'.")
    return answer == "yes"


async def converge(
    arguments: argparse.Namespace, target: Target, desired: Desired, context: Context, plan: Plan
) -> Result:
    """Run an approved plan to its end. The first SIGINT or SIGTERM ends it cleanly, the second at once."""
    settings = Settings(arguments.parallelism, arguments.max_duration, work=not arguments.no_wait)
    declared = desired.objects.values()
    journal = FolderJournal(state_directory(os.environ), target.endpoint, desired.stack.name)
    if plan.has_changes:
        journal.write("run", command=arguments.command, digest=plan.digest)  # better now than after the first request
        for key, born in sorted(context.consents.force):
            who = f"{getpass.getuser()}@{socket.gethostname()}"
            asked = f"{arguments.command} --dangerous-force {key}"
            journal.write("dangerous-force", object=str(key), born=born, who=who, command=asked)
        print()
    store = store_of(target, desired.stack)
    if any(isinstance(wanted.lifecycle, JobLifecycle) and wanted.lifecycle.ttlAfterCompletion for wanted in declared):
        await store.prepare()  # marks name it from the first create on
    async with account(target) as there:
        with Progressing(arguments) as shown:
            run = Run(there, there, WallClock(), journal, store, shown, desired, context, settings, approve(plan))
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, _stop, run)
            try:
                result = await run.converge()
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(number)
                    if run.stop.is_set():  # a second signal may come while the last lines are written
                        signal.signal(number, _end_at_once)
        try:
            observed = await read_results(there, result.last.observed, result.worked)
        except BatchError as error:
            print(f"! the results of the tasks could not be read: {error}", file=sys.stderr)
            observed = result.last.observed
    return replace(result, last=replace(result.last, observed=observed))


def _stop(run: Run) -> None:
    """Stop before the next request; requests in flight end. Asked again, stop at once: the next run goes on from what
    it finds."""
    if run.stop.is_set():
        _end_at_once()
    run.stop.set()
    print("\nStopping: requests in flight are finished first. Again to stop at once.", file=sys.stderr)


def _end_at_once(*_: object) -> None:
    print("Interrupted.", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)


def report(arguments: argparse.Namespace, desired: Desired, result: Result) -> int:
    """Say how it ended; the exit code of the command."""
    found = problems(desired, result.last.observed)
    plan = result.last.plan
    for line in found:
        print(f"! {line}")
    match result.end:
        case End.FAILED:
            for key, text in result.failures.items():
                print(f"! {plan.entries[key].address if key in plan.entries else key}: {text}")
            print(f"\nFailed: {len(result.failures)} of {len(plan.entries)} objects. {_counts(result)}")
            return _code(arguments, PARTLY_FAILED)
        case End.IN_PROGRESS:
            waiting = "; ".join(result.waiting) or "requests were left"
            print(f"\nIn progress: {result.stopped}; {waiting}. Run the same command again to go on.")
            return _in_progress(arguments, clean=result.stopped == "out of time")
        case End.BLOCKED:
            for kind, why in plan.unread.items():
                print(f"! the account's {kind}s could not be listed: {why}")
            if result.outcomes or result.stuck:  # otherwise the plan said it just above
                _say_blocked(result)
            print(f"\nBlocked: a person must act. {_counts(result)}")
            return _code(arguments, BLOCKED)
        case End.SETTLED:
            return _settled(arguments, desired, result, found)


def _say_blocked(result: Result) -> None:
    plan = result.last.plan
    for entry in plan.entries.values():
        before = ", ".join(other.address for other in plan.waits_for(entry.key))
        if entry.blocked is not None:
            print(f"! {entry.address}: blocked: {entry.blocked}")
        elif entry.actions and before:
            print(f"! {entry.address}: waits for {before}")
    for job in result.last.progress:
        if job.address in result.stuck:
            print(
                f"! {job.address}: tasks {job.done} of {job.total} done, and none can run: {result.stuck[job.address]}"
            )


def _settled(arguments: argparse.Namespace, desired: Desired, result: Result, found: tuple[str, ...]) -> int:
    if found:
        print(f"\nThe account matches the manifests, but not all is well ({len(found)} above). {_counts(result)}")
        return _code(arguments, PARTLY_FAILED)
    running = [job for job in progress(desired, result.last.observed, result.worked) if not job.is_over]
    if running:
        print(f"\nIn progress: {'; '.join(f'{job.address}: tasks {job.done} of {job.total} done' for job in running)}")
        return _in_progress(arguments, clean=True)
    if result.outcomes:
        print(f"\nDone. {_counts(result)} {_end_state(desired, result)}")
    return 0


def _end_state(desired: Desired, result: Result) -> str:
    if desired.objects:
        return "The account matches the manifests."
    left = [entry.address for entry in result.last.plan.entries.values()]
    return f"Kept: {', '.join(left)}." if left else f"Nothing of stack '{desired.stack.name}' is left."


def _in_progress(arguments: argparse.Namespace, *, clean: bool) -> int:
    if arguments.detailed_exitcode:
        return IN_PROGRESS
    return 0 if clean else 1


def _code(arguments: argparse.Namespace, detailed: int) -> int:
    return detailed if arguments.detailed_exitcode else 1


def _counts(result: Result) -> str:
    """`2 created, 8 tasks added, 1 deleted.`"""
    counts: dict[str, int] = {}
    for outcome in result.outcomes:
        verb = outcome.action.verb
        if outcome.error is None and verb in COUNTED:
            size = max(1, outcome.action.count, len(outcome.action.nodes))
            counts[COUNTED[verb]] = counts.get(COUNTED[verb], 0) + size
    done = ", ".join(f"{count} {singular(word) if count == 1 else word}" for word, count in counts.items())
    return f"{done}." if done else "Nothing was changed."
