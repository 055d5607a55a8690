"""`reconciler apply`: make the account equal to the manifests."""

import argparse
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_execution, add_output, add_paths, add_store, add_target

if TYPE_CHECKING:
    from reconciler.model.desired import Desired


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("apply", help="make the account equal to the manifests", description=__doc__)
    add_paths(parser)
    add_decisions(parser)
    add_execution(parser)
    add_target(parser)
    add_store(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load; then each stack by itself."""
    from reconciler.cli.stack import each, load_manifests, the_only

    stacks = load_manifests(arguments, lint=True)
    for given, what in ((arguments.replace, "--replace"), (arguments.dangerous_force, "--dangerous-force")):
        if given:
            the_only(stacks, what)
    detailed = arguments.detailed_exitcode
    return each(stacks, lambda desired, which: _apply(arguments, desired, which), detailed=detailed)


def _apply(arguments: argparse.Namespace, desired: "Desired", which: str) -> int:
    """Plan, ask, run. The question is asked between two event loops, so that Ctrl-C ends it as anywhere."""
    import asyncio

    from reconciler.api.keeping import check_free
    from reconciler.api.planned import plan
    from reconciler.cli.running import ask, converge, opening, report, show_plan
    from reconciler.cli.stack import options_of, target_of
    from reconciler.errors import UnsafePlan

    target = target_of(arguments, desired.stack)
    opening(arguments, target, which)
    options = options_of(arguments)
    asyncio.run(check_free(target, options.store, desired.stack))
    planned = asyncio.run(plan(desired, target, options))
    show_plan(arguments, planned)
    if planned.refusal is not None:
        raise UnsafePlan(planned.refusal)
    question = "\nApply these changes? Only 'yes' is accepted: "
    if planned.plan.has_changes and not arguments.auto_approve and not ask(question):
        print("Nothing was changed.")
        return 1
    return report(arguments, planned, asyncio.run(converge(arguments, planned)))
