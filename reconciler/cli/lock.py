"""`reconciler lock`: who changes a stack at this moment, and how to take the lock from a process that is gone."""

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import PATHS_HELP, add_output, add_store, add_target, add_variables

if TYPE_CHECKING:
    from reconciler.api.target import Target
    from reconciler.model.desired import Stack
    from reconciler.ports import Holding
    from reconciler.store import Store


def add(commands: Any) -> None:
    """Register `lock list` and `lock break`."""
    parser = commands.add_parser("lock", help="show or break the locks of stacks", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="who holds which lock, since when, until when")
    listing.add_argument("--format", choices=("text", "json"), default="text", help="text or json")
    breaking = actions.add_parser(
        "break",
        help="take a lock from whoever holds it",
        description="Takes the lock of a stack from whoever holds it. A process that still runs notices when it next "
        "renews the lock, and stops; until then both may send. Locks of processes that died end by themselves.",
    )
    breaking.add_argument("stack", metavar="STACK", help="the stack, or whatever name `lock list` shows")
    breaking.add_argument("--auto-approve", action="store_true", help="ask no question")
    for each in (listing, breaking):
        each.add_argument("paths", metavar="PATH", nargs="*", help=f"{PATHS_HELP}: whose account and store are meant")
        add_variables(each)
        add_target(each)
        add_store(each)
        add_output(each)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List or break."""
    import sys

    from reconciler.cli.stack import load_manifests, target_of, the_only

    stack = the_only(load_manifests(arguments), "lock").stack if arguments.paths else None
    target = target_of(arguments, stack)
    machine = arguments.action == "list" and arguments.format == "json"
    print(f"Target: {target}", end="\n" if machine else "\n\n", file=sys.stderr if machine else sys.stdout)
    if arguments.action == "list":
        return asyncio.run(_list(arguments, target, stack))
    return _break(arguments, target, stack)


async def _list(arguments: argparse.Namespace, target: "Target", stack: "Stack | None") -> int:
    import json
    from dataclasses import asdict

    from reconciler.api.keeping import store_of
    from reconciler.cli.status import table
    from reconciler.store import until

    async with store_of(target, arguments.store, stack) as store:
        found = await store.lock.holdings()
    if arguments.format == "json":
        rows = [{**asdict(holding), "until": until(holding)} for holding in found]
        for row in rows:
            del row["token"]
        print(json.dumps({"format_version": 1, "kind": "Locks", "store": str(store.location), "locks": rows}, indent=2))
    elif found:
        lines = [
            (held.name, held.owner, held.purpose, held.acquired, "expired" if held.expired else until(held))
            for held in found
        ]
        print(f"{table(('LOCK', 'HOLDER', 'RUNS', 'SINCE', 'UNTIL'), lines)}\n\nThey are in {_place(store)}.")
    else:
        print(f"Nobody holds a lock in {_place(store)}.")
    return 0


def _place(store: "Store") -> str:
    """Where the locks are, and how far they reach."""
    reach = ", which excludes the processes of one machine only" if store.location.is_local else ""
    return f"{store.location}{reach}"


def _break(arguments: argparse.Namespace, target: "Target", stack: "Stack | None") -> int:
    """The question is asked between two event loops, so that Ctrl-C ends it as anywhere."""
    from reconciler.cli.running import ask
    from reconciler.errors import NotThere

    found = asyncio.run(_found(arguments, target, stack))
    if found is None:
        raise NotThere(f"nobody holds the lock {arguments.stack}")
    runs = f"runs {found.purpose} since {found.acquired}" if found.acquired else "runs something"
    print(f"{found.owner or 'Somebody'} {runs}{', and its time is over' if found.expired else ''}.")
    if not arguments.auto_approve and not ask("Break the lock? Only 'yes' is accepted: "):
        print("Nothing was changed.")
        return 1
    asyncio.run(_broken(arguments, target, stack))
    return 0


async def _found(arguments: argparse.Namespace, target: "Target", stack: "Stack | None") -> "Holding | None":
    from reconciler.api.keeping import store_of

    async with store_of(target, arguments.store, stack) as store:
        return await store.lock.holding(arguments.stack)


async def _broken(arguments: argparse.Namespace, target: "Target", stack: "Stack | None") -> None:
    from reconciler.api.keeping import store_of
    from reconciler.store import this_person

    async with store_of(target, arguments.store, stack) as store:
        broken = await store.lock.break_(arguments.stack)
        if broken is None:
            print("It was given back meanwhile.")
            return
        held = f"{broken.owner} {broken.purpose} {broken.acquired}"
        if arguments.stack in await store.stacks():
            journal = store.journal(arguments.stack, stack.retention if stack else None)
            await journal.write("lock-broken", lock=broken.name, held=held, who=this_person())
        print(f"The lock {broken.name} is free.")
