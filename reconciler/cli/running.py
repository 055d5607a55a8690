"""What apply and destroy share: questions, signals, the run itself, and the last account of it."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

from reconciler.api.applying import apply
from reconciler.api.happenings import Happening, Telling
from reconciler.api.planned import Planned
from reconciler.api.target import Snapshot, Target
from reconciler.cli.show import Progressing, columns, painter, singular
from reconciler.cli.stack import BLOCKED
from reconciler.errors import ReconcilerError, UsageError
from reconciler.executor import End, Result
from reconciler.lifecycle.steps import Action, Verb
from reconciler.model.desired import Desired
from reconciler.render.guards import guards_text
from reconciler.render.json import plan_json
from reconciler.render.text import plan_text, summary
from reconciler.status import problems, progress

IN_PROGRESS, PARTLY_FAILED = 3, 6
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


def opening(arguments: argparse.Namespace, target: Target | Snapshot, which: str = "") -> None:
    """The first line of a command that contacts an account: on standard error where the output is for programs."""
    machine = arguments.format != "text"
    if machine and not arguments.auto_approve:
        raise UsageError("--format json asks no question: say --auto-approve beside it")
    end = "\n" if machine else "\n\n"
    print(f"Target: {target}{which}", end=end, file=sys.stderr if machine else sys.stdout, flush=True)


def show_plan(arguments: argparse.Namespace, planned: Planned) -> None:
    """The whole plan, before anything is asked or stopped."""
    if arguments.format == "json":
        document = plan_json(planned.plan, str(planned.target), planned.forecast, planned.guards)
        print(json.dumps(Happening("Planned", "", summary(planned.plan), {"plan": document}).content()), flush=True)
    else:
        paint = painter(arguments)
        print(plan_text(planned.plan, paint, planned.forecast, columns()), flush=True)
        for line in planned.selected:
            print(f"Selection: {line}.", flush=True)
        if guarded := guards_text(planned.guards, planned.notices, paint):
            print(f"\n{guarded}", flush=True)


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


async def converge(arguments: argparse.Namespace, planned: Planned) -> Result:
    """Run an approved plan to its end. The first SIGINT or SIGTERM ends it cleanly, the second at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    lines = arguments.format == "json"
    if planned.plan.has_changes and not lines:
        print()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, stop)
    try:
        with nullcontext(Telling(_say_line)) if lines else Progressing(arguments) as shown:
            result = await apply(planned, shown, stop=stop, command=arguments.command)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            if stop.is_set():  # a second signal may come while the last lines are written
                signal.signal(number, _end_at_once)
    if result.unseen:
        print(f"! the results of the tasks could not be read: {result.unseen}", file=sys.stderr)
    for remark in result.remarks:
        print(f"! {remark}", file=sys.stderr)
    return result


def _say_line(happening: Happening) -> None:
    print(json.dumps(happening.content()), flush=True)


def _stop(stop: asyncio.Event) -> None:
    """Stop before the next request; requests in flight end. Asked again, stop at once: the next run goes on from what
    it finds."""
    if stop.is_set():
        _end_at_once()
    stop.set()
    print("\nStopping: requests in flight are finished first. Again to stop at once.", file=sys.stderr)


def _end_at_once(*_: object) -> None:
    print("Interrupted.", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)


@dataclass(frozen=True, slots=True)
class Account:
    """The last account of a run: what to look at, one line each, and how it ended. *code* is the exit code with
    --detailed-exitcode; *clean*: it is 0 without."""

    found: list[str]
    last: str
    code: int
    clean: bool = False


def report(arguments: argparse.Namespace, planned: Planned, result: Result) -> int:
    """Say how it ended; the exit code of the command."""
    told = _account(planned.part, result)
    if arguments.format == "json":
        ended = Happening.end(result)
        facts = {"problems": [line.removeprefix("! ") for line in told.found], **ended.facts}
        print(json.dumps(replace(ended, message=told.last or str(result.end), facts=facts).content()))
    else:
        for line in told.found:
            print(line)
        if told.last:
            print(f"\n{told.last}")
    if arguments.detailed_exitcode or told.code == 0:
        return told.code
    return 0 if told.clean else 1


def _account(desired: Desired, result: Result) -> Account:
    found = [f"! {line}" for line in problems(desired, result.last.observed)]
    plan = result.last.plan
    match result.end:
        case End.FAILED:
            for key, text in result.failures.items():
                found.append(f"! {plan.entries[key].address if key in plan.entries else key}: {text}")
            found += _skipped(result)
            last = f"Failed: {len(result.failures)} of {len(plan.entries)} objects. {_counts(result)}"
            return Account(found, last, PARTLY_FAILED)
        case End.IN_PROGRESS:
            waiting = "; ".join(result.waiting) or "requests were left"
            last = f"In progress: {result.stopped}; {waiting}. Run the same command again to go on."
            return Account(found, last, IN_PROGRESS, clean=result.stopped in ("out of time", "out of actions"))
        case End.BLOCKED:
            found += [f"! the account's {kind}s could not be listed: {why}" for kind, why in plan.unread.items()]
            if result.outcomes or result.stuck:  # otherwise the plan said it just above
                found += _blocked_lines(result)
            return Account(found, f"Blocked: a person must act. {_counts(result)}", BLOCKED)
        case End.SETTLED:
            return _settled(desired, result, found)


def _skipped(result: Result) -> Iterator[str]:
    """What was not tried, since something it depends on was not done."""
    plan = result.last.plan
    for entry in plan.entries.values():
        before = ", ".join(other.address for other in plan.waits_for(entry.key))
        if entry.key not in result.failures and isinstance(entry.step, Action) and before:
            yield f"! {entry.address}: skipped: {before} has to come first"


def _blocked_lines(result: Result) -> Iterator[str]:
    plan = result.last.plan
    for entry in plan.entries.values():
        before = ", ".join(other.address for other in plan.waits_for(entry.key))
        if entry.blocked is not None:
            yield f"! {entry.address}: blocked: {entry.blocked}"
        elif entry.actions and before:
            yield f"! {entry.address}: waits for {before}"
    for job in result.last.progress:
        if job.address in result.stuck:
            why = result.stuck[job.address]
            yield f"! {job.address}: tasks {job.done} of {job.total} done, and none can run: {why}"


def _settled(desired: Desired, result: Result, found: list[str]) -> Account:
    if found:
        last = f"The account matches the manifests, but not all is well ({len(found)} above). {_counts(result)}"
        return Account(found, last, PARTLY_FAILED)
    running = [job for job in progress(desired, result.last.observed, result.worked) if not job.is_over]
    if running:
        last = f"In progress: {'; '.join(f'{job.address}: tasks {job.done} of {job.total} done' for job in running)}"
        return Account(found, last, IN_PROGRESS, clean=True)
    return Account(found, f"Done. {_counts(result)} {_end_state(desired, result)}" if result.outcomes else "", 0)


def _end_state(desired: Desired, result: Result) -> str:
    if result.last.plan.partial:
        return "What was selected matches the manifests."
    if desired.objects:
        return "The account matches the manifests."
    left = [entry.address for entry in result.last.plan.entries.values()]
    return f"Kept: {', '.join(left)}." if left else f"Nothing of stack '{desired.stack.name}' is left."


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
