"""`reconciler apply`: make the account equal to the manifests."""

import argparse
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_execution, add_output, add_paths, add_target

if TYPE_CHECKING:
    from reconciler.cli.stack import Snapshot, Target
    from reconciler.lifecycle.steps import Context
    from reconciler.model.desired import Desired
    from reconciler.plan import Plan


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
    """Load; then each stack by itself."""
    from reconciler.cli.stack import each, load_checked, the_only

    stacks = load_checked(arguments)
    for given, what in ((arguments.replace, "--replace"), (arguments.dangerous_force, "--dangerous-force")):
        if given:
            the_only(stacks, what)
    return each(stacks, lambda desired, which: _apply(arguments, desired, which))


def _apply(arguments: argparse.Namespace, desired: "Desired", which: str) -> int:
    """Plan, ask, run. The question is asked between two event loops, so that Ctrl-C ends it as anywhere."""
    import asyncio

    from reconciler.cli.running import ask, converge, report
    from reconciler.cli.show import painter
    from reconciler.cli.stack import choose_target, signed_by
    from reconciler.errors import UnsafePlan
    from reconciler.plan import too_much
    from reconciler.render.text import plan_text

    target = choose_target(arguments, desired.stack)
    desired = signed_by(target, desired)
    print(f"Target: {target}{which}\n")
    plan, context = asyncio.run(plan_of(arguments, desired, target))
    print(plan_text(plan, painter(arguments)), flush=True)
    refusal = too_much(plan, desired, arguments.allow_deletes)
    if refusal is not None:
        raise UnsafePlan(refusal)
    question = "\nApply these changes? Only 'yes' is accepted: "
    if plan.has_changes and not arguments.auto_approve and not ask(question):
        print("Nothing was changed.")
        return 1
    return report(arguments, desired, asyncio.run(converge(arguments, target, desired, context, plan)))


async def plan_of(
    arguments: argparse.Namespace, desired: "Desired", target: "Target | Snapshot"
) -> "tuple[Plan, Context]":
    """The plan of a command, and the context that it was made in."""
    from dataclasses import replace

    from reconciler.cli.stack import Snapshot, account, bind_force, bind_replace, check_forced, context_of, store_of
    from reconciler.executor import look
    from reconciler.plan import make_plan

    if isinstance(target, Snapshot):
        from reconciler.azure.recorded import concealed

        desired = concealed(desired)
    async with account(target) as there:
        context = context_of(arguments, desired.stack)
        observed = await look(there, desired, context, watch=False)
        context = replace(context, ledger=await store_of(target, desired.stack).ledger())
        if arguments.replace or arguments.dangerous_force:
            context = bind_replace(arguments, context, observed, desired.objects)
            context = bind_force(arguments, context, observed)
            observed = await look(there, desired, context, watch=False)
    # A job whose time is over while the plan is carried out is for the next one: nobody has seen that it goes.
    plan = make_plan(desired, observed, context)
    check_forced(arguments, plan)
    return plan, replace(context, due=observed.at)
