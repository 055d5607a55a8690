"""`reconciler plan`: what apply would do. Reads the account, writes nothing."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_output, add_paths, add_target

if TYPE_CHECKING:
    from reconciler.model.desired import Desired


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("plan", help="show what apply would do", description=__doc__)
    add_paths(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="2 when there are changes, or something is blocked"
    )
    parser.add_argument(
        "--live", metavar="FILE", help="plan against a snapshot instead of the account; secrets are not compared"
    )
    add_decisions(parser)
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load, look, decide, show: stack by stack."""
    from reconciler.cli.stack import each, load_checked, the_only

    stacks = load_checked(arguments)
    for given, what in (
        (arguments.format == "json", "--format json"),
        (arguments.live is not None, "--live"),
        (arguments.replace, "--replace"),
        (arguments.dangerous_force, "--dangerous-force"),
    ):
        if given:
            the_only(stacks, what)
    return each(stacks, lambda desired, which: _plan(arguments, desired, which))


def _plan(arguments: argparse.Namespace, desired: "Desired", which: str) -> int:
    import asyncio

    from reconciler.cli.apply import plan_of
    from reconciler.cli.show import painter
    from reconciler.cli.stack import choose_target, load_snapshot, signed_by
    from reconciler.plan import too_much
    from reconciler.render.json import plan_json
    from reconciler.render.text import plan_text

    snapshot = load_snapshot(arguments) if arguments.live is not None else None
    target = snapshot or choose_target(arguments, desired.stack)
    desired = signed_by(target, desired)
    print(f"Target: {target}{which}", file=sys.stderr if arguments.format == "json" else sys.stdout)
    plan, _ = asyncio.run(plan_of(arguments, desired, target))
    if arguments.format == "json":
        print(plan_json(plan, str(target)))
    else:
        print("\n" + plan_text(plan, painter(arguments)))
        if refusal := too_much(plan, desired, desired.stack.max_deletes):
            print(f"\nApply would stop here: {refusal}.")
    return 2 if arguments.detailed_exitcode and (plan.has_changes or plan.blocked or plan.unread) else 0
