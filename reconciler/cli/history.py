"""`reconciler history`: what was done to a stack, by whom, and what people consented to."""

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import PATHS_HELP, add_output, add_store, add_target, add_variables

if TYPE_CHECKING:
    from reconciler.api.target import Target
    from reconciler.model.desired import Stack

Row = dict[str, Any]


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("history", help="show what was done, and who asked for it", description=__doc__)
    parser.add_argument(
        "paths", metavar="PATH|ADDR", nargs="*", help=f"{PATHS_HELP}: of these stacks; job/NAME: of that object"
    )
    parser.add_argument("--since", metavar="TIME", type=_since, help="from then on: 90m, 12h, 7d, or 2026-11-22T08:00Z")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="text or json")
    add_variables(parser)
    add_target(parser)
    add_store(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The stacks of manifests, or all that the store knows of the account."""
    import sys

    from reconciler.cli.stack import each, load_manifests, target_of
    from reconciler.cli.status import is_address
    from reconciler.errors import UsageError

    addresses = [text for text in arguments.paths if is_address(text)]
    if addresses and len(arguments.paths) > 1:
        raise UsageError("expected one address such as job/NAME, or manifests")
    machine = arguments.format == "json"

    def show(stack: "Stack | None", which: str) -> int:
        target = target_of(arguments, stack)
        print(f"Target: {target}{which}", end="\n" if machine else "\n\n", file=sys.stderr if machine else sys.stdout)
        return asyncio.run(_history(arguments, target, stack, addresses[0] if addresses else ""))

    if not arguments.paths or addresses:
        return show(None, "")
    return each(load_manifests(arguments), lambda desired, which: show(desired.stack, which))


async def _history(arguments: argparse.Namespace, target: "Target", stack: "Stack | None", address: str) -> int:
    import json

    from reconciler.api.keeping import store_of

    rows: list[Row] = []
    async with store_of(target, arguments.store, stack) as store:
        for name in [stack.name] if stack is not None else await store.stacks():
            rows += ({**row, "stack": name} for row in await store.events(name))
    rows = sorted(_chosen(rows, address, arguments.since or ""), key=lambda row: str(row.get("at", "")))
    if arguments.format == "json":
        place = str(store.location)
        print(json.dumps({"format_version": 1, "kind": "History", "store": place, "events": rows}, indent=2))
    elif rows:
        for row in rows:
            print(_line(row))
    else:
        print(f"Nothing is written down in {store.location}.")
    return 0


def _chosen(rows: list[Row], address: str, since: str) -> list[Row]:
    """What concerns an object, with the runs in which it was touched; from a moment on."""
    if address:
        about = [row for row in rows if str(row.get("object", "")).lower() == address.lower()]
        runs = {(row["stack"], row.get("run")) for row in about}
        rows = [
            row
            for row in rows
            if row in about or (row["event"] in ("run", "end") and (row["stack"], row.get("run")) in runs)
        ]
    return [row for row in rows if str(row.get("at", "")) >= since]


def _line(row: Row) -> str:
    """One event in one line: when, in which stack and run, what."""
    where = f"{row['stack']} {row['run']}" if "run" in row else row["stack"]
    return f"{str(row.get('at', ''))[:19]}Z  {where}  {_text(row)}"


def _text(row: Row) -> str:
    thing = row.get("object", "")
    match row.get("event"):
        case "run":
            revision = f", revision {row['revision']}" if row.get("revision") else ""
            plan = f", plan {row['digest'][:12]}" if row.get("digest") else ""
            return f"{row['command']} by {row['who']}{plan}{revision}"
        case "consent":
            if row.get("source"):
                return f"consent of {row['source']}: {row['flag']} until {row['until']}"
            return f"{row['who']} consented: {row['flag']} {thing or row.get('value', '')}"
        case "action":
            force = " with force" if row.get("force") else ""
            failed = f"  ! {row['error']}" if row.get("error") else ""
            return f"{thing}: {row['verb']}{force} ({row['reason']}){failed}"
        case "release-receipt":
            nodes = f"{len(row['nodes'])} node{'' if len(row['nodes']) == 1 else 's'}"
            return f"{thing}: receipt of {nodes} in {row['file']}"
        case "end":
            failed = f", failed: {', '.join(row['failed'])}" if row.get("failed") else ""
            stopped = f" ({row['stopped']})" if row.get("stopped") else ""
            return f"ended: {row['end']}{stopped}{failed}"
        case "lock-broken":
            return f"{row['who']} broke the lock {row['lock']} of {row['held']}"
        case event:
            return f"{event}: {row.get('text', '')}"


def _since(text: str) -> str:
    """The moment that --since names, as the journal writes it."""
    from datetime import UTC, datetime, timedelta

    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if text[:-1].isdigit() and text[-1:] in units:
            moment = datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        expected = "expected a time such as 90m, 12h, 7d or 2026-11-22T08:00Z"
        raise argparse.ArgumentTypeError(f"{expected}, found {text!r}") from None
    return moment.isoformat(timespec="milliseconds")
