"""`reconciler plan`: what apply would do. Reads the account, writes nothing."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_output, add_paths, add_target

if TYPE_CHECKING:
    from reconciler.cli.stack import Target
    from reconciler.model.desired import Desired


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("plan", help="show what apply would do", description=__doc__)
    add_paths(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--detailed-exitcode", action="store_true", help="2 when there are changes")
    add_decisions(parser)
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load, look, decide, show."""
    from reconciler.cli.stack import choose_target, load_manifests

    desired = load_manifests(arguments)
    target = choose_target(arguments, desired.stack)
    print(f"Target: {target}", file=sys.stderr if arguments.format == "json" else sys.stdout)
    return asyncio.run(_plan(arguments, desired, target))


async def _plan(arguments: argparse.Namespace, desired: "Desired", target: "Target") -> int:
    from reconciler.cli.show import painter
    from reconciler.cli.stack import account, bind_replace, context_of
    from reconciler.executor import look
    from reconciler.plan import make_plan
    from reconciler.render.json import plan_json
    from reconciler.render.text import plan_text

    async with account(target) as there:
        context = context_of(arguments, desired.stack)
        observed = await look(there, desired, context, watch=False)
        if arguments.replace:
            context = bind_replace(arguments, context, observed)
            observed = await look(there, desired, context, watch=False)
    plan = make_plan(desired, observed, context)
    if arguments.format == "json":
        print(plan_json(plan, str(target)))
    else:
        print("\n" + plan_text(plan, painter(arguments)))
    return 2 if arguments.detailed_exitcode and plan.has_changes else 0
