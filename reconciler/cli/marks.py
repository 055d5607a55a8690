"""`reconciler adopt` and `reconciler orphan`: whose an object is.

Adopting marks objects that exist and belong to no stack as the stack's own; orphaning takes a stack's mark off and
leaves the objects as they are. Both change the mark and nothing else, show what they would do first, and ask.
"""

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_target, add_variables

if TYPE_CHECKING:
    from reconciler.api.target import Target
    from reconciler.lifecycle.steps import Action
    from reconciler.model.desired import Desired, Key
    from reconciler.observed import Live
    from reconciler.planning import Entry


def add(commands: Any) -> None:
    """Register both commands."""
    adopting = commands.add_parser(
        "adopt",
        help="make objects that are there belong to the stack",
        description="Marks objects that exist and belong to no stack as the stack's own. What differs from their "
        "manifests is for `apply` to change, afterwards.",
    )
    adopting.add_argument("addresses", metavar="ADDR", nargs="+", help="objects such as pool/NAME, job/NAME")
    adopting.add_argument(
        "--manifests",
        metavar="PATH",
        action="append",
        required=True,
        help="manifests of the stack, which declare the objects",
    )
    add_variables(adopting)
    adopting.set_defaults(run=adopt)
    orphaning = commands.add_parser(
        "orphan",
        help="take the mark off objects and leave them as they are",
        description="Takes the mark of its stack off each object. Take its manifest away first: `apply` would stop "
        "before an object that is there and nobody's.",
    )
    orphaning.add_argument("addresses", metavar="ADDR", nargs="+", help="objects such as pool/NAME, job/NAME")
    orphaning.set_defaults(run=orphan)
    for parser in (adopting, orphaning):
        parser.add_argument("--auto-approve", action="store_true", help="ask no question")
        add_target(parser)
        add_output(parser)


def adopt(arguments: argparse.Namespace) -> int:
    """Mark the objects, each as its manifest says."""
    from reconciler.api.addresses import key_of
    from reconciler.cli.stack import load_manifests, target_of, the_only
    from reconciler.errors import UsageError

    arguments.paths = arguments.manifests
    desired = the_only(load_manifests(arguments, lint=True), "adopt")
    keys = [key_of(address) for address in arguments.addresses]
    for key, address in zip(keys, arguments.addresses, strict=True):
        if key not in desired.objects:
            raise UsageError(
                f"no manifest declares {address}: write one (reconciler import {address}), so that it is not removed "
                "by the next apply"
            )
    target = target_of(arguments, desired.stack)
    print(f"Target: {target}\n")
    return asyncio.run(_adopt(arguments, desired, keys, target))


async def _adopt(arguments: argparse.Namespace, desired: "Desired", keys: "list[Key]", target: "Target") -> int:
    from reconciler.api.target import account
    from reconciler.executor import look
    from reconciler.lifecycle.steps import Action, Blocked, Context, Verb
    from reconciler.planning import make_plan
    from reconciler.render.text import road_text

    context = Context(desired.stack.name, prunes=False, adopting=frozenset(keys))
    async with account(target) as there:
        observed = await look(there, desired, context, watch=False)
        plan = make_plan(desired, observed, context)
        steps: list[tuple[Entry, Action]] = []
        refused = False
        for key in keys:
            entry = plan.entries[key]
            match entry.step:
                case Action(verb=Verb.ADOPT) as step:
                    steps.append((entry, step))
                    print(f"  ~ {entry.address}: adopt into stack '{desired.stack.name}'  ({_source(entry)})")
                    if len(entry.actions) > 1:
                        print(f"      afterwards apply would: {road_text(entry.road[1:])}")
                    for change in entry.changes:
                        print(f"        {change.name} differs")
                case Blocked(reason=reason):
                    refused = True
                    print(f"  ! {entry.address}: {reason}")
                case _:
                    said = "there is no such object" if entry.live is None else "it belongs to the stack already"
                    refused = refused or entry.live is None
                    print(f"  {'!' if entry.live is None else ' '} {entry.address}: {said}")
        return await _carry_out(arguments, there, target, desired.stack.name, steps, "adopted", refused=refused)


def _source(entry: "Entry") -> str:
    return str(entry.wanted.source) if entry.wanted is not None else ""


def orphan(arguments: argparse.Namespace) -> int:
    """Take the marks off."""
    from reconciler.api.addresses import key_of
    from reconciler.cli.stack import target_of

    keys = [key_of(address) for address in arguments.addresses]
    target = target_of(arguments)
    print(f"Target: {target}\n")
    return asyncio.run(_orphan(arguments, keys, target))


async def _orphan(arguments: argparse.Namespace, keys: "list[Key]", target: "Target") -> int:
    from reconciler.api.addresses import listed, missing
    from reconciler.api.target import account
    from reconciler.lifecycle.ownership import orphan as step_of
    from reconciler.lifecycle.steps import Action
    from reconciler.model.desired import Kind
    from reconciler.observed import LiveJob

    async with account(target) as there:
        observed = await there.observe()
        for kind in Kind:
            if any(key.kind is kind for key in keys):
                listed(observed, kind)
        steps: list[tuple[Live, Action]] = []
        refused = False
        stacks = set()
        for key, address in zip(keys, arguments.addresses, strict=True):
            live = observed.get(key)
            if live is None or live.mark is None:
                refused = True
                absent = missing(observed, key, address.partition("/")[2])
                print(f"  ! {address}: {absent if live is None else 'it belongs to no stack'}")
                continue
            if isinstance(live, LiveJob) and live.schedule is not None:
                refused = True
                print(f"  ! {live.address}: it belongs to {live.schedule}, whatever its mark; orphan that")
                continue
            step = step_of(live, "asked for by orphan")
            if isinstance(step, Action):
                stacks.add(live.mark.stack)
                steps.append((live, step))
                print(f"  ~ {live.address}: take off the mark of stack '{live.mark.stack}'; nothing else changes")
            else:
                refused = True
                print(f"  ! {step.reason}")
        name = stacks.pop() if len(stacks) == 1 else "default"
        return await _carry_out(arguments, there, target, name, steps, "orphaned", refused=refused)


async def _carry_out(
    arguments: argparse.Namespace,
    there: Any,
    target: "Target",
    stack: str,
    steps: "list[tuple[Any, Action]]",
    done: str,
    *,
    refused: bool,
) -> int:
    """Ask, send, write down. One that is refused leaves the others alone, and is told before anything is sent."""
    import os

    from reconciler.cli.running import ask
    from reconciler.store import FolderJournal, state_directory

    if refused or not steps:
        print("\nNothing was changed.")
        return 1 if refused else 0
    if not arguments.auto_approve and not ask(f"\nChange {len(steps)} marks? Only 'yes' is accepted: "):
        print("Nothing was changed.")
        return 1
    journal = FolderJournal(state_directory(os.environ), target.endpoint, stack)
    for thing, action in steps:
        live = getattr(thing, "live", thing)
        await there.send(live.key, live.name, action)
        journal.write("action", object=live.address, verb=action.verb, reason=action.reason, error=None)
        print(f"{live.address}: {done}")
    return 0
