"""`reconciler approve`, `suspend` and `resume`: what people tell a controller, by way of the store of the stack."""

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import PATHS_HELP, add_output, add_store, add_target, add_variables

if TYPE_CHECKING:
    from reconciler.controller.notebook import Notebook
    from reconciler.model.desired import Desired


def add(commands: Any) -> None:
    """Register the commands."""
    approve = commands.add_parser(
        "approve",
        help="let a controller run the plan with this digest",
        description="Lets a controller in the mode `approve` run the plan with this digest, once. A plan that is "
        "another by then waits for its own.",
    )
    approve.add_argument(
        "digest", metavar="DIGEST", help="as the page, the event PlanAwaitsApproval or `plan` shows it"
    )
    suspend = commands.add_parser(
        "suspend",
        help="have a controller leave a stack or an object alone",
        description="Has the controller leave a stack, or with --object one of its objects, alone. A suspended stack "
        "is not locked: `apply` can be used.",
    )
    suspend.add_argument("--reason", metavar="TEXT", required=True, help="why, for whoever wonders")
    suspend.add_argument("--until", metavar="TIME", default="", help="when it ends by itself, 2026-01-31T18:00Z")
    resume = commands.add_parser("resume", help="take a suspension back", description="Takes a suspension back.")
    for parser in (suspend, resume):
        parser.add_argument("--object", metavar="ADDR", default="", dest="address", help="this object alone")
    for parser in (approve, suspend, resume):
        parser.add_argument("paths", metavar="PATH", nargs="+", help=f"{PATHS_HELP} of the stack")
        add_variables(parser)
        add_target(parser)
        add_store(parser)
        add_output(parser)
        parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write it into the store of the stack; the controller reads it at its next pass."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    from reconciler.api.keeping import store_of
    from reconciler.cli.stack import load_manifests, target_of, the_only
    from reconciler.controller.notebook import Notebook
    from reconciler.store.notes import ShelfNotes

    desired = the_only(load_manifests(arguments), arguments.command)
    stack = desired.stack
    target = target_of(arguments, stack)
    print(f"Target: {target}\n")
    async with store_of(target, arguments.store, stack) as store:
        notebook = Notebook(ShelfNotes(store.shelf.below(stack.name)))
        print(await _say(arguments, notebook, desired))
    return 0


async def _say(arguments: argparse.Namespace, notebook: "Notebook", desired: "Desired") -> str:
    """What was written down. Raises UsageError."""
    from reconciler.api.addresses import key_of, nearest
    from reconciler.controller.fleet import moment
    from reconciler.controller.notebook import ApprovalNote
    from reconciler.controller.state import Suspension
    from reconciler.errors import UsageError
    from reconciler.store import MachineClock, this_person

    stack = desired.stack.name
    now, who = MachineClock().utc(), this_person()
    if arguments.command == "approve":
        digest = arguments.digest.strip().lower()
        if not digest or not set(digest) <= set("0123456789abcdef"):
            raise UsageError(f"expected the digest of a plan, found {arguments.digest!r}")
        await notebook.approve(ApprovalNote(digest, who, now))
        return f"Approved {digest} for stack '{stack}': a controller runs that plan at its next pass."
    what = f"{arguments.address} of stack '{stack}'" if arguments.address else f"stack '{stack}'"
    if arguments.address:
        key_of(arguments.address)
    if arguments.command == "suspend":
        until = moment(arguments.until, now) if arguments.until else ""
        await notebook.suspend(Suspension(arguments.address, arguments.reason, who, now, until))
        done = f"Suspended {what}{f' until {until}' if until else ''}: a controller heeds it from its next pass on."
        if not arguments.address or key_of(arguments.address) in desired.objects:
            return done
        # What is about to be removed is in no manifest, and may well be suspended.
        near = nearest(arguments.address, [wanted.address for wanted in desired.objects.values()])
        return f"{done}\nNo manifest declares {arguments.address}{f' (did you mean {near}?)' if near else ''}."
    said = await notebook.read()
    if not any(one.address.lower() == arguments.address.lower() for one in said.suspensions):
        raise UsageError(f"{what} is not suspended")
    await notebook.resume(arguments.address)
    return f"Resumed {what}."
