"""`reconciler adopt` and `reconciler orphan`: whose an object is.

Adopting marks objects that exist and belong to no stack as the stack's own; orphaning takes a stack's mark off and
leaves the objects as they are. Both change the mark and nothing else, show what they would do first, and ask.
"""

import argparse
import asyncio
import sys
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_store, add_target, add_variables

if TYPE_CHECKING:
    from reconciler.api.target import Target
    from reconciler.azure import Account
    from reconciler.lifecycle.steps import Action
    from reconciler.model.desired import Desired, Key, Retention, Stack
    from reconciler.observed import Live
    from reconciler.planning import Entry
    from reconciler.store import Store


@dataclass(frozen=True, slots=True)
class _Step:
    """The change of one object's mark."""

    stack: str
    live: "Live"
    action: "Action"

    @classmethod
    def of(cls, stack: str, live: "Live", action: "Action") -> "_Step":
        return cls(stack, live, replace(action, call=str(uuid.uuid4())))


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
        add_store(parser)
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
        steps: list[_Step] = []
        refused = False
        for key in keys:
            entry = plan.entries[key]
            match entry.step:
                case Action(verb=Verb.ADOPT) as step if entry.live is not None:
                    steps.append(_Step.of(desired.stack.name, entry.live, step))
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
        return await _carry_out(arguments, there, target, steps, desired.stack, refused=refused)


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
        steps: list[_Step] = []
        refused = False
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
                steps.append(_Step.of(live.mark.stack, live, step))
                print(f"  ~ {live.address}: take off the mark of stack '{live.mark.stack}'; nothing else changes")
            else:
                refused = True
                print(f"  ! {step.reason}")
        return await _carry_out(arguments, there, target, steps, None, refused=refused)


async def _carry_out(
    arguments: argparse.Namespace,
    there: "Account",
    target: "Target",
    steps: "list[_Step]",
    declared: "Stack | None",
    *,
    refused: bool,
) -> int:
    """Ask, send, write down. One that is refused leaves the others alone, and is told before anything is sent."""
    from reconciler.api.keeping import store_of
    from reconciler.cli.running import ask

    if refused or not steps:
        print("\nNothing was changed.")
        return 1 if refused else 0
    if not arguments.auto_approve and not ask(f"\nChange {len(steps)} marks? Only 'yes' is accepted: "):
        print("Nothing was changed.")
        return 1
    async with store_of(target, arguments.store, declared) as store:
        for stack in sorted({step.stack for step in steps}):
            retention = declared.retention if declared is not None else None
            mine = [step for step in steps if step.stack == stack]
            await _mark(arguments.command, there, store, stack, retention, target, mine)
    return 0


async def _mark(
    command: str,
    there: "Account",
    store: "Store",
    stack: str,
    retention: "Retention | None",
    target: "Target",
    steps: "list[_Step]",
) -> None:
    """Change the marks of one stack's objects, under its lock."""
    import secrets

    from reconciler.api.keeping import holding
    from reconciler.errors import BatchError
    from reconciler.store import this_owner

    async with holding(store, stack, command, _complain, _complain) as lock:
        journal = store.journal(stack, retention, run=secrets.token_hex(4))
        await journal.write("run", command=command, who=this_owner(), target=str(target), digest="")
        for step in steps:
            lock.check()
            said = None
            try:
                await there.send(step.live.key, step.live.name, step.action)
            except BatchError as error:
                said = str(error)
                raise
            finally:
                verb, reason, call = step.action.verb, step.action.reason, step.action.call
                address = step.live.address
                await journal.write("action", object=address, verb=verb, reason=reason, request=call, error=said)
            print(f"{address}: {command}ed")
        await journal.write("end", end="settled", stopped="", failed=[])


def _complain(why: str) -> None:
    print(f"! {why}", file=sys.stderr)
