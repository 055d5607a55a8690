"""`reconciler plan`: what apply would do. Reads the account, writes nothing."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_output, add_paths, add_store, add_target

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
    add_store(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load, look, decide, show: stack by stack."""
    from reconciler.cli.stack import each, load_manifests, the_only

    stacks = load_manifests(arguments, lint=True)
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

    from reconciler.api.planned import plan
    from reconciler.cli.show import painter
    from reconciler.cli.stack import load_snapshot, options_of, target_of
    from reconciler.render.guards import guards_text
    from reconciler.render.json import plan_json
    from reconciler.render.text import plan_text

    snapshot = load_snapshot(arguments) if arguments.live is not None else None
    target = snapshot or target_of(arguments, desired.stack)
    print(f"Target: {target}{which}", file=sys.stderr if arguments.format == "json" else sys.stdout)
    planned = asyncio.run(plan(desired, target, options_of(arguments)))
    made = planned.plan
    if arguments.format == "json":
        print(plan_json(made, str(target), planned.guards))
    else:
        paint = painter(arguments)
        print("\n" + plan_text(made, paint))
        if guarded := guards_text(planned.guards, planned.notices, paint):
            print(f"\n{guarded}")
    differs = made.has_changes or made.blocked or made.unread or planned.refusal is not None
    return 2 if arguments.detailed_exitcode and differs else 0
