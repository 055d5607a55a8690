"""Flags that several commands share. Imports nothing heavy: `--help` has to be quick."""

import argparse
import re
from typing import Final

PATHS_HELP: Final = "manifest files and folders, or - for standard input"


def add_paths(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Manifests and their variables."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help=PATHS_HELP + more)
    add_variables(parser)


def add_variables(parser: argparse.ArgumentParser) -> None:
    """--var and --var-file."""
    parser.add_argument(
        "--var", metavar="NAME=VALUE", action="append", default=[], help="value of a variable of the manifests"
    )
    parser.add_argument(
        "--var-file", metavar="FILE", action="append", default=[], help="YAML file of variables; --var wins over it"
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """Which account."""
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="endpoint of the Batch account (AZURE_BATCH_ENDPOINT); default: local emulator",
    )
    parser.add_argument("--account", metavar="NAME", help="name of the Batch account (AZURE_BATCH_ACCOUNT)")


def add_store(parser: argparse.ArgumentParser) -> None:
    """Where what is kept of stacks is."""
    parser.add_argument(
        "--store",
        metavar="URL|DIR",
        help="where ledger, receipts, journal and lock are kept: https://ACCOUNT.blob.core.windows.net/CONTAINER or a "
        "folder; default: what the Stack says, else a folder of the user's",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """How things are shown."""
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--no-color", action="store_true", help="no colours (also: NO_COLOR)")


def add_decisions(parser: argparse.ArgumentParser, *, prune: bool = True) -> None:
    """Consents that change what a plan may contain."""
    if prune:
        parser.add_argument(
            "--no-prune", action="store_true", help="keep objects of this stack that no manifest names any more"
        )
        parser.add_argument(
            "--replace",
            metavar="ADDR",
            action="append",
            default=[],
            help="remove this object as if its manifest were gone, and create it anew",
        )
    parser.add_argument(
        "--allow-release-loss",
        metavar="ADDR",
        action="append",
        default=[],
        help="nodes may be taken away although this job's release has not run on them",
    )
    parser.add_argument(
        "--allow-release-failure",
        metavar="ADDR",
        action="append",
        default=[],
        help="delete this completed job although its release task failed",
    )
    parser.add_argument(
        "--allow-task-loss",
        metavar="ADDR",
        action="append",
        default=[],
        help="tasks that run on this pool or in this job may be cut off for a change",
    )
    parser.add_argument(
        "--dangerous-force",
        metavar="ADDR",
        action="append",
        default=[],
        help="have the service end this job or job schedule without waiting for its nodes (force=true); releases that "
        "have not run may be lost",
    )
    if prune:
        parser.add_argument(
            "--allow-new-run",
            metavar="ADDR",
            action="append",
            default=[],
            help="create this job although the ledger that would know whether it already ran is missing",
        )
        parser.add_argument(
            "--check-tasks",
            action="store_true",
            help="list and compare the tasks of every declared job, also of those that did not change",
        )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """--target and --exclude."""
    parser.add_argument(
        "--target",
        metavar="ADDR",
        action="append",
        default=[],
        help="only this object, and what it needs (its pool; what has to go before it)",
    )
    parser.add_argument(
        "--exclude",
        metavar="ADDR",
        action="append",
        default=[],
        help="all but this object, and what needs it (the jobs of a pool)",
    )


def add_execution(parser: argparse.ArgumentParser, *, deletes: bool = True) -> None:
    """How a run behaves."""
    parser.add_argument("--auto-approve", action="store_true", help="ask no question")
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: what happens as JSON lines, the plan first; asks no question, so it needs --auto-approve",
    )
    parser.add_argument("--parallelism", metavar="N", type=positive, default=10, help="requests at once (10)")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the declared tasks to end")
    parser.add_argument(
        "--max-duration",
        metavar="TIME",
        type=duration,
        help="stop cleanly after this long (90s, 4m, 1h); run again to go on",
    )
    parser.add_argument(
        "--max-actions",
        metavar="N",
        type=positive,
        help="stop cleanly before one more action (a step of a road) than this; run again to go on",
    )
    if deletes:
        parser.add_argument(
            "--allow-deletes", metavar="N", type=_count, help="objects that may be removed without a guard"
        )
    parser.add_argument(
        "--detailed-exitcode",
        action="store_true",
        help="3 in progress, 4 blocked, 5 locked, 6 partly failed instead of 1",
    )


def digest_of_plan(text: str) -> str:
    """The whole digest of a plan."""
    if not re.fullmatch("[0-9a-fA-F]{16}", text):
        raise argparse.ArgumentTypeError(f"expected the 16 characters of a plan's digest, found {text!r}")
    return text.lower()


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}")
    return int(text)


def positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def duration(text: str) -> float:
    """Seconds of 90s, 4m, 1h."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 4m or 1h, found {text!r}")
    return float(int(number) * units[unit])
