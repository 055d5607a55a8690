"""What apply and destroy share: questions, signals, the run itself, and the last account of it."""

import argparse
import asyncio
import os
import signal
import sys
import time
from datetime import UTC, datetime

from reconciler.azure import Account
from reconciler.cli.show import Progressing
from reconciler.cli.stack import Target
from reconciler.errors import UsageError
from reconciler.executor import End, Result, Run, Settings
from reconciler.lifecycle.steps import Context, Verb
from reconciler.model.desired import Desired
from reconciler.plan import Plan
from reconciler.render.text import NO_CHANGES
from reconciler.status import problems, progress
from reconciler.store import FolderJournal, state_directory

IN_PROGRESS, BLOCKED, PARTLY_FAILED = 3, 4, 6
COUNTED = {
    Verb.CREATE: "created",
    Verb.UPDATE: "updated",
    Verb.REPLACE_PROPERTIES: "updated",
    Verb.RESIZE: "resized",
    Verb.ENABLE: "enabled",
    Verb.ADD_TASKS: "tasks added",
    Verb.UPDATE_TASKS: "tasks updated",
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


def ask(question: str) -> str:
    """The answer of a person, without blanks. Raises UsageError where nobody can answer."""
    try:
        return input(question).strip()
    except EOFError:
        print()
        raise UsageError("there is nobody to ask: run it with --auto-approve") from None


async def converge(
    arguments: argparse.Namespace, there: Account, desired: Desired, context: Context, plan: Plan, target: Target
) -> Result:
    """Run an approved plan to its end. The first SIGINT or SIGTERM ends it cleanly, the second at once."""
    settings = Settings(arguments.parallelism, arguments.max_duration, work=not arguments.no_wait)
    journal = FolderJournal(state_directory(os.environ), target.endpoint, desired.stack.name)
    approved = {key: entry.verbs for key, entry in plan.entries.items()}
    if plan.has_changes:
        print()
    with Progressing(arguments) as shown:
        run = Run(there, there, WallClock(), journal, shown, desired, context, settings, approved)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, run, loop)
        try:
            return await run.converge()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _stop(run: Run, loop: asyncio.AbstractEventLoop) -> None:
    """Stop before the next request; requests in flight end. Asked again, the default handlers come back."""
    run.stop.set()
    print("\nStopping: requests in flight are finished first. Again to stop at once.", file=sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)


def report(arguments: argparse.Namespace, desired: Desired, result: Result) -> int:
    """Say how it ended; the exit code of the command."""
    found = problems(desired, result.last.observed)
    for line in found:
        print(f"! {line}")
    match result.end:
        case End.FAILED:
            for key, text in result.failures.items():
                entry = result.last.plan.entries.get(key)
                print(f"! {entry.address if entry else key}: {text}")
            print(f"\nFailed: {len(result.failures)} of {len(result.last.plan.entries)} objects. {_counts(result)}")
            return _code(arguments, PARTLY_FAILED)
        case End.IN_PROGRESS:
            interrupted = "interrupted; " if not result.waiting else ""
            print(f"\nIn progress: {interrupted}{'; '.join(result.waiting) or 'run the same command again to go on'}")
            if arguments.detailed_exitcode:
                return IN_PROGRESS
            return 0 if arguments.max_duration is not None and result.waiting else 1
        case End.BLOCKED:
            for entry in result.last.plan.blocked:
                print(f"! {entry.address}: blocked: {entry.blocked}")
            for entry in result.last.plan.entries.values():
                before = result.last.plan.waits_for(entry.key)
                if entry.actions and before:
                    print(f"! {entry.address}: waits for {', '.join(other.address for other in before)}")
            for job in result.last.progress:
                if not job.is_over:
                    print(
                        f"! {job.address}: tasks {job.done} of {job.total} done, and none can run: "
                        "its preparation failed on every node"
                    )
            print(f"\nBlocked: a person must act. {_counts(result)}")
            return _code(arguments, BLOCKED)
        case End.SETTLED:
            return _settled(arguments, desired, result, found)


def _settled(arguments: argparse.Namespace, desired: Desired, result: Result, found: tuple[str, ...]) -> int:
    if found:
        print(f"\nThe account matches the manifests, but not all is well ({len(found)} above). {_counts(result)}")
        return _code(arguments, PARTLY_FAILED)
    running = [job for job in progress(desired, result.last.observed) if not job.is_over]
    if running:
        print(f"\nIn progress: {'; '.join(f'{job.address}: tasks {job.done} of {job.total} done' for job in running)}")
        return IN_PROGRESS if arguments.detailed_exitcode else 0
    if result.outcomes:
        left = (
            "The account matches the manifests."
            if desired.objects
            else f"Nothing of stack '{desired.stack.name}' is left."
        )
        print(f"\nDone. {_counts(result)} {left}")
    elif result.last.plan.has_changes:
        print(f"\n{NO_CHANGES}")
    return 0


def _code(arguments: argparse.Namespace, detailed: int) -> int:
    return detailed if arguments.detailed_exitcode else 1


def _counts(result: Result) -> str:
    """`2 created, 8 tasks added, 1 deleted.`"""
    counts: dict[str, int] = {}
    for outcome in result.outcomes:
        verb = outcome.action.verb
        if outcome.error is None and verb in COUNTED:
            counts[COUNTED[verb]] = counts.get(COUNTED[verb], 0) + max(1, len(outcome.action.tasks))
    done = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{done}." if done else "Nothing was changed."
