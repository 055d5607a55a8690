"""`reconciler graph`: what depends on what.

Of manifests, offline: jobs and schedules, and the pools that they run on. With --plan, of what the plan would do: also
the jobs of schedules, and what waits for what. `--format dot` is for Graphviz, `--format mermaid` for a Markdown page.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.options import add_output, add_paths, add_target

if TYPE_CHECKING:
    from reconciler.model.desired import Desired

FORMATS: Final = ("text", "dot", "mermaid", "json")


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "graph",
        help="show what depends on what",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(parser)
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--plan", action="store_true", help="of the plan: looks at the account")
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load; draw each stack."""
    from reconciler.cli.stack import each, load_manifests, the_only
    from reconciler.errors import UsageError

    if not arguments.plan:
        for given, name in ((arguments.endpoint, "--endpoint"), (arguments.account, "--account")):
            if given:
                raise UsageError(f"{name} has a meaning beside --plan only: manifests are read offline")
    stacks = load_manifests(arguments)
    if arguments.format != "text":
        the_only(stacks, f"--format {arguments.format}")
    return each(stacks, lambda desired, which: _graph(arguments, desired, which))


def _graph(arguments: argparse.Namespace, desired: "Desired", which: str) -> int:
    from reconciler.graph import of_manifests
    from reconciler.render.graph import FORMATS

    if arguments.plan:
        graph = _planned(arguments, desired, which)
    else:
        if which:
            print(which.removeprefix(", "))
        graph = of_manifests(desired)
    print(FORMATS[arguments.format](graph))
    return 0


def _planned(arguments: argparse.Namespace, desired: "Desired", which: str) -> Any:
    import asyncio

    from reconciler.api.planned import plan
    from reconciler.cli.stack import target_of
    from reconciler.graph import of_plan

    target = target_of(arguments, desired.stack)
    text = arguments.format == "text"
    print(f"Target: {target}{which}", end="\n\n" if text else "\n", file=sys.stdout if text else sys.stderr, flush=True)
    return of_plan(asyncio.run(plan(desired, target, forecast=False)).plan)
