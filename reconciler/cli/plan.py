"""`reconciler plan`: what apply would do. Reads the account, writes nothing there."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_output, add_paths, add_selection, add_store, add_target

if TYPE_CHECKING:
    from reconciler.api.planned import Planned
    from reconciler.model.desired import Desired
    from reconciler.planning import Plan


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("plan", help="show what apply would do", description=__doc__)
    add_paths(parser)
    parser.add_argument(
        "--format",
        choices=("text", "json", "markdown"),
        default="text",
        help="json for programs, markdown for a comment on a pull request",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write the plan to a file, for `apply FILE` to run that and nothing else"
    )
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="2 when there are changes, or something is blocked"
    )
    parser.add_argument(
        "--expect-no-changes", action="store_true", help="1 when there are changes, or something is blocked"
    )
    parser.add_argument(
        "--refresh-only",
        action="store_true",
        help="show only what was changed in the account since it was last applied",
    )
    parser.add_argument(
        "--live", metavar="FILE", help="plan against a snapshot instead of the account; secrets are not compared"
    )
    add_selection(parser)
    add_decisions(parser)
    add_target(parser)
    add_store(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load, look, decide, show: stack by stack."""
    from pathlib import Path

    from reconciler.cli.stack import each, load_manifests, the_only
    from reconciler.cli.texts import check_place
    from reconciler.errors import UsageError

    if arguments.expect_no_changes and arguments.detailed_exitcode:
        raise UsageError("--expect-no-changes makes changes an error, --detailed-exitcode does not: give one of them")
    if arguments.out is not None:
        if arguments.refresh_only:
            raise UsageError("--refresh-only only shows what has changed: there is nothing to save with --out")
        check_place("plan --out", Path(arguments.out))
    stacks = load_manifests(arguments, lint=True)
    for given, what in (
        (arguments.format == "json", "--format json"),
        (arguments.out is not None, "--out"),
        (arguments.live is not None, "--live"),
        (arguments.replace, "--replace"),
        (arguments.dangerous_force, "--dangerous-force"),
        (arguments.target, "--target"),
        (arguments.exclude, "--exclude"),
    ):
        if given:
            the_only(stacks, what)
    return each(stacks, lambda desired, which: _plan(arguments, desired, which, len(stacks)))


def _plan(arguments: argparse.Namespace, desired: "Desired", which: str, stacks: int) -> int:
    import asyncio
    from pathlib import Path

    from reconciler.api.planned import plan
    from reconciler.api.saving import save_plan
    from reconciler.cli.stack import load_snapshot, options_of, sources_of, target_of
    from reconciler.errors import ReconcilerError
    from reconciler.render.text import summary
    from reconciler.selection import drifted

    snapshot = load_snapshot(arguments) if arguments.live is not None else None
    target = snapshot or target_of(arguments, desired.stack)
    print(f"Target: {target}{which}", file=sys.stdout if arguments.format == "text" else sys.stderr)
    planned = asyncio.run(plan(desired, target, options_of(arguments)))
    made = drifted(planned.plan) if arguments.refresh_only else planned.plan
    if arguments.out is not None:
        save_plan(planned, sources_of(arguments), Path(arguments.out))
    _show(arguments, planned, made, stacks)
    stopped = planned.refusal is not None and not arguments.refresh_only
    differs = bool(made.has_changes or made.blocked or made.unread or stopped)
    if differs and arguments.expect_no_changes:
        raise ReconcilerError(f"no changes were expected. {summary(made)}")
    return 2 if arguments.detailed_exitcode and differs else 0


def _show(arguments: argparse.Namespace, planned: "Planned", made: "Plan", stacks: int) -> None:
    from reconciler.api.saving import document
    from reconciler.cli.show import columns, painter
    from reconciler.cli.stack import sources_of
    from reconciler.render.guards import guards_text
    from reconciler.render.json import dump, plan_json
    from reconciler.render.markdown import GITHUB, plan_markdown
    from reconciler.render.text import drift_text, plan_text

    if arguments.format == "json":
        seen = {"refused": "it was made with --refresh-only, and changes nothing"}
        if arguments.refresh_only:
            print(dump(plan_json(made, str(planned.target), guards=planned.guards, apply=seen)))
        else:
            print(document(planned, sources_of(arguments)))
        return
    if arguments.format == "markdown":
        said = "\n".join(f"Selection: {line}." for line in planned.selected)
        guarded = guards_text(planned.guards, planned.notices)
        told = "\n\n".join(part for part in (said, guarded) if part)
        # Several stacks share a comment.
        print(plan_markdown(made, str(planned.target), planned.forecast, told, GITHUB // stacks - 1), end="")
        return
    paint = painter(arguments)
    if arguments.refresh_only:
        print("\n" + drift_text(made, paint))
        return
    print("\n" + plan_text(made, paint, planned.forecast, columns()))
    for line in planned.selected:
        print(f"Selection: {line}.")
    if guarded := guards_text(planned.guards, planned.notices, paint):
        print(f"\n{guarded}")
    if arguments.out is not None:
        print(f"\nSaved: {arguments.out} (digest {planned.digest}). Run it with: reconciler apply {arguments.out}")
    elif made.has_changes:
        print(f"\nDigest: {planned.digest}")
