"""`reconciler destroy`: end the jobs of a stack, let their release tasks run, remove the pools."""

import argparse
import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_execution, add_output, add_paths, add_target

if TYPE_CHECKING:
    from reconciler.cli.stack import Target
    from reconciler.model.desired import Desired
    from reconciler.plan import Plan


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("destroy", help="remove everything of a stack", description=__doc__)
    add_paths(parser)
    add_decisions(parser, prune=False)
    add_execution(parser)
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load, plan, ask for each object, run."""
    from reconciler.cli.stack import choose_target, load_manifests

    desired = load_manifests(arguments)
    target = choose_target(arguments, desired.stack)
    print(f"Target: {target}\n")
    return asyncio.run(_destroy(arguments, desired, target))


async def _destroy(arguments: argparse.Namespace, declared: "Desired", target: "Target") -> int:
    from reconciler.cli.running import converge, report
    from reconciler.cli.show import painter
    from reconciler.cli.stack import account, context_of
    from reconciler.executor import look
    from reconciler.plan import make_plan
    from reconciler.render.text import plan_text

    nothing = replace(declared, objects={})
    async with account(target) as there:
        # A source that does not say it is complete removes what it names and nothing else.
        context = replace(
            context_of(arguments, declared.stack), removing=frozenset(declared.objects), removal="destroy"
        )
        observed = await look(there, nothing, context, watch=False)
        plan = make_plan(nothing, observed, context)
        print(plan_text(plan, painter(arguments)), flush=True)
        if plan.has_changes and not arguments.auto_approve:
            context = replace(context, prunes=False, removing=_agreed(plan))
            if not context.removing:
                print("Nothing was changed.")
                return 1
            plan = make_plan(nothing, observed, context)
        result = await converge(arguments, there, nothing, context, plan, target)
        return report(arguments, nothing, result)


def _agreed(plan: "Plan") -> frozenset[Any]:
    """Ask for each object, jobs before their pools. What must wait for something that is kept is kept, too."""
    from reconciler.cli.running import ask
    from reconciler.model.desired import Kind

    agreed: set[Any] = set()
    print()
    entries = [entry for entry in plan.entries.values() if entry.actions]
    for entry in sorted(entries, key=lambda entry: (entry.key.kind is Kind.POOL, entry.key)):
        kept = [other.address for other in plan.waits_for(entry.key) if other.key not in agreed]
        if kept:
            print(f"{entry.address} is kept: {', '.join(kept)} still needs it.")
        elif ask(f"Delete {entry.address}? Only 'yes' is accepted: ") == "yes":
            agreed.add(entry.key)
    return frozenset(agreed)
