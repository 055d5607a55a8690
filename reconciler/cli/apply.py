"""`reconciler apply`: make the account equal to the manifests."""

import argparse
import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_execution, add_output, add_paths, add_target

if TYPE_CHECKING:
    from reconciler.cli.stack import Target
    from reconciler.model.desired import Desired


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("apply", help="make the account equal to the manifests", description=__doc__)
    add_paths(parser)
    add_decisions(parser)
    add_execution(parser)
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load, plan, ask, run."""
    from reconciler.cli.stack import choose_target, load_manifests

    desired = load_manifests(arguments)
    target = choose_target(arguments, desired.stack)
    print(f"Target: {target}\n")
    return asyncio.run(_apply(arguments, desired, target))


async def _apply(arguments: argparse.Namespace, desired: "Desired", target: "Target") -> int:
    from reconciler.cli.running import converge, report
    from reconciler.cli.show import painter
    from reconciler.cli.stack import account, bind_replace, context_of
    from reconciler.errors import UnsafePlan
    from reconciler.executor import look, read_results
    from reconciler.plan import make_plan, too_much
    from reconciler.render.text import plan_text

    async with account(target) as there:
        context = context_of(arguments, desired.stack)
        observed = await look(there, desired, context, watch=False)
        if arguments.replace:
            context = bind_replace(arguments, context, observed)
            observed = await look(there, desired, context, watch=False)
        plan = make_plan(desired, observed, context)
        print(plan_text(plan, painter(arguments)), flush=True)
        refusal = too_much(plan, desired, arguments.allow_deletes)
        if refusal is not None:
            raise UnsafePlan(refusal)
        if plan.has_changes and not arguments.auto_approve and not _agreed():
            print("Nothing was changed.")
            return 1
        result = await converge(arguments, there, desired, context, plan, target)
        last = result.last
        observed = await read_results(there, last.observed, result.worked)
        return report(arguments, desired, replace(result, last=replace(last, observed=observed)))


def _agreed() -> bool:
    from reconciler.cli.running import ask

    return ask("\nApply these changes? Only 'yes' is accepted: ") == "yes"
