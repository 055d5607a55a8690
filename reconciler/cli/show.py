"""What a run shows while it runs: a live view on a terminal, plain lines elsewhere."""

import argparse
import os
import shutil
import sys
import time
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from reconciler.errors import BatchError
from reconciler.executor import Pass
from reconciler.ledger import Evidence
from reconciler.lifecycle.steps import Verb, Wait
from reconciler.model.desired import Key
from reconciler.observed import short
from reconciler.receipt import Receipt
from reconciler.render.text import Paint, plain
from reconciler.status import Outcome, Progress, outcome, receipt_lines

_STYLES: Final = {"green": "32", "yellow": "33", "red": "31", "bold": "1", "dim": "2"}
SHOWN: Final = 5
PAST: Final = {
    Verb.CREATE: "created",
    Verb.UPDATE: "updated",
    Verb.REPLACE_PROPERTIES: "updated",
    Verb.RESIZE: "resize requested",
    Verb.STOP_RESIZE: "stop of the resize requested",
    Verb.ENABLE_AUTOSCALE: "autoscale enabled",
    Verb.DISABLE_AUTOSCALE: "autoscale disabled",
    Verb.CHOOSE_NODES: "nodes chosen",
    Verb.DISABLE_SCHEDULING: "taken off scheduling",
    Verb.ENABLE_SCHEDULING: "put back on scheduling",
    Verb.REMOVE_NODES: "removal requested",
    Verb.REBOOT_NODES: "reboot requested",
    Verb.REIMAGE_NODES: "reimage requested",
    Verb.ENABLE: "enable requested",
    Verb.DISABLE: "disable requested",
    Verb.ADD_TASKS: "tasks added",
    Verb.UPDATE_TASKS: "tasks updated",
    Verb.DELETE_TASKS: "tasks deleted",
    Verb.REACTIVATE_TASKS: "tasks reactivated",
    Verb.CONFIRM_TASKS: "tasks confirmed",
    Verb.ADOPT: "adopted",
    Verb.ORPHAN: "mark taken off",
    Verb.FORGET: "run forgotten",
    Verb.WRITE_RECEIPT: "receipt written",
    Verb.TERMINATE: "terminate requested",
    Verb.DELETE: "delete requested",
}


def singular(words: str) -> str:
    """`task added` of `tasks added`."""
    return words.replace("tasks", "task").replace("nodes", "node")


def colours(arguments: argparse.Namespace) -> bool:
    """Whether standard output takes colours: a terminal, and nobody said no (https://no-color.org)."""
    return sys.stdout.isatty() and not arguments.no_color and not os.environ.get("NO_COLOR")


def columns() -> int | None:
    """How wide the terminal is; None where standard output is none, so that lines stay whole for programs."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def painter(arguments: argparse.Namespace) -> Paint:
    """How this command colours its text."""

    def paint(text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"

    return paint if colours(arguments) else plain


class Progressing:
    """Events of a run as lines, each said once; on a terminal what is waited for stands below them and moves."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        coloured = colours(arguments)
        self._console = Console(no_color=not coloured, highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False) if sys.stdout.isatty() else None
        self._began = time.monotonic()
        self._said: dict[str, str] = {}
        self._seen_before = False

    def __enter__(self) -> "Progressing":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def passed(self, this: Pass) -> None:
        """Preparation of each node, then what is waited for and how far the tasks are."""
        self._node_runs(this)
        waits = [
            f"{entry.address}: {entry.step}" for entry in this.plan.entries.values() if isinstance(entry.step, Wait)
        ]
        if self._live is not None:
            lines = [f"  … {line}" for line in waits] + [f"  … {_bar(job)}" for job in this.progress]
            elapsed = f"  {time.monotonic() - self._began:.0f} s"
            self._live.update(Text("\n".join([*lines, elapsed]) if lines else "", style="dim"), refresh=True)
            return
        for line in waits:
            self._once(line.partition(":")[0], line)
        for job in this.progress:
            if not job.is_over or f"{job.address} tasks" in self._said:
                self._once(f"{job.address} tasks", _words(job))

    def receipt(self, address: str, verb: Verb, receipt: Receipt, evidence: Evidence | None) -> None:
        """The results that the delete erases."""
        before = "before it is deleted" if verb is Verb.DELETE else "while its nodes are there"
        self._say(f"{address}: receipt, {before}")
        for line in receipt_lines(receipt.nodes):
            self._say(f"    {line}")
        if evidence is not None and evidence.logs:
            kept = len(receipt.logs) - len(receipt.missing)
            self._say(f"    {kept} log{'s' if kept != 1 else ''} in {evidence.logs}")
        for log in receipt.missing[:SHOWN]:
            self._say(f"    {log.path}: {log.missing}", "yellow")
        if len(receipt.missing) > SHOWN:
            self._say(f"    {len(receipt.missing) - SHOWN} more logs could not be read: see the receipt", "yellow")
        if receipt.left_out:
            self._say(f"    the logs of {receipt.left_out} more failed tasks are left out", "yellow")
        if receipt.note:
            self._say(f"    {receipt.note}", "yellow")

    def taken_over(self, key: Key, born: str) -> None:
        """An id that has become somebody else's."""
        self._once(f"{key} of others", f"{key}: somebody else created it anew ({born}); that one is left alone")

    def acted(self, outcome: Outcome) -> None:
        """One action that was accepted."""
        nodes = len(outcome.action.nodes)
        count = f"{outcome.action.count} " if outcome.action.count else ""
        count = f"{nodes} node{'s' if nodes > 1 else ''}: " if nodes else count
        done = PAST[outcome.action.verb]
        self._say(f"{outcome.address}: {count}{singular(done) if outcome.action.count == 1 else done}")

    def retried(self, address: str, error: BatchError, seconds: float) -> None:
        """A request that will be tried again."""
        self._say(f"{address}: {error}; trying again in {seconds:g} s", "yellow")

    def gave_up(self, address: str, why: str) -> None:
        """An object that this run leaves as it is."""
        self._say(f"{address}: {why}", "red")

    def _node_runs(self, this: Pass) -> None:
        """Preparation and release per node, each change said once; what was over before we looked is no news."""
        for job in this.observed.jobs.values():
            if job.key not in this.plan.entries:
                continue
            for run in job.nodes or ():
                for kind, part in (("preparation", run.preparation), ("release", run.release)):
                    if part is None:
                        continue
                    line = f"{job.address}: {kind} on {short(run.node)}: {outcome(run, kind)}"
                    if part.is_over and not self._seen_before:
                        self._said[f"{job.address} {run.node} {kind}"] = line
                    self._once(f"{job.address} {run.node} {kind}", line)
        self._seen_before = True

    def _once(self, subject: str, line: str) -> None:
        """Say a line unless it is what was last said of its subject."""
        if self._said.get(subject) != line:
            self._said[subject] = line
            self._say(line)

    def _say(self, line: str, style: str = "") -> None:
        if self._live is None:
            print(line, flush=True)
        else:
            self._console.print(Text(line, style=style))


def _words(job: Progress) -> str:
    running = f", {job.running} running" if job.running else ""
    failed = f", {job.failed} failed" if job.failed else ""
    return f"{job.address}: tasks {job.done} of {job.total} done{running}{failed}"


def _bar(job: Progress) -> str:
    width = 24
    full = width * job.done // max(job.total, 1)
    return f"{_words(job)}  [{'#' * full}{'.' * (width - full)}]"
