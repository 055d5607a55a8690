"""`reconciler apply`: make the account equal to the manifests, or run a plan that was saved."""

import argparse
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.options import (
    add_decisions,
    add_execution,
    add_output,
    add_paths,
    add_selection,
    add_store,
    add_target,
    digest_of_plan,
)

if TYPE_CHECKING:
    from reconciler.api.planned import Planned
    from reconciler.model.desired import Desired
    from reconciler.saved import Saved

DECIDED: Final = (
    *("no_prune", "replace", "allow_release_loss", "allow_release_failure", "allow_task_loss", "dangerous_force"),
    *("allow_new_run", "check_tasks", "target", "exclude", "var_file"),
)
"""Flags whose answer a saved plan holds."""


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("apply", help="make the account equal to the manifests", description=__doc__)
    add_paths(parser, more=", or one plan that `plan --out` wrote")
    parser.add_argument(
        "--digest",
        metavar="HEX",
        type=digest_of_plan,
        help="run only the plan with this digest, as `plan` showed it; asks no question",
    )
    parser.add_argument("--refresh-only", action="store_true", help=argparse.SUPPRESS)
    add_selection(parser)
    add_decisions(parser)
    add_execution(parser)
    add_target(parser)
    add_store(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load; then each stack by itself."""
    from reconciler.api.saving import read_saved
    from reconciler.cli.stack import each, load_manifests, the_only
    from reconciler.errors import UsageError

    if arguments.refresh_only:
        raise UsageError(
            "apply has no --refresh-only: there is no state to bring up to date. `plan --refresh-only` shows what was "
            "changed in the account, `apply` takes it back, and `import` writes manifests of what is there"
        )
    if (saved := read_saved(arguments.paths)) is not None:
        return _apply_saved(arguments, saved)
    stacks = load_manifests(arguments, lint=True)
    for given, what in (
        (arguments.replace, "--replace"),
        (arguments.dangerous_force, "--dangerous-force"),
        (arguments.target, "--target"),
        (arguments.exclude, "--exclude"),
        (arguments.digest, "--digest"),
    ):
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

    arguments.auto_approve = arguments.auto_approve or arguments.digest is not None  # who names it has approved it
    target = target_of(arguments, desired.stack)
    opening(arguments, target, which)
    options = options_of(arguments)
    asyncio.run(check_free(target, options.store, desired.stack))
    planned = asyncio.run(plan(desired, target, options))
    show_plan(arguments, planned)
    planned.check()
    question = "\nApply these changes? Only 'yes' is accepted: "
    if planned.plan.has_changes and not arguments.auto_approve and not ask(question):
        print("Nothing was changed.")
        return 1
    return report(arguments, planned, asyncio.run(converge(arguments, planned)))


def _apply_saved(arguments: argparse.Namespace, saved: "Saved") -> int:
    """What is left of a saved plan: no question, and nothing that it does not show."""
    import asyncio

    from reconciler.api.keeping import check_free
    from reconciler.api.planned import plan_saved
    from reconciler.api.saving import load_again
    from reconciler.cli.running import converge, opening, report
    from reconciler.cli.stack import options_of, target_of, variables_of
    from reconciler.errors import UsageError

    for name in DECIDED:
        if getattr(arguments, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} is decided when a plan is made: make another plan with it, or without")
    arguments.auto_approve = True
    desired = load_again(saved, variables_of(arguments))
    target = target_of(arguments, desired.stack)
    opening(arguments, target)
    options = options_of(arguments)
    asyncio.run(check_free(target, options.store, desired.stack))
    planned = asyncio.run(plan_saved(saved, desired, target, options))
    _show_left(arguments, saved, planned)
    return report(arguments, planned, asyncio.run(converge(arguments, planned)))


def _show_left(arguments: argparse.Namespace, saved: "Saved", planned: "Planned") -> None:
    from reconciler.cli.running import show_plan
    from reconciler.lifecycle.steps import Done

    if arguments.format == "json":
        show_plan(arguments, planned)
        return
    print(f"Saved plan {saved.digest}, made at {saved.at}. What the account needs now:\n")
    show_plan(arguments, planned)
    if any(not guard.stops and guard.override.startswith("--") for guard in planned.guards):
        print("\nConsents are part of a plan: make another one with them (reconciler plan ... --out FILE).")
    settled = all(isinstance(entry.step, Done) for entry in planned.plan.entries.values()) and not planned.plan.unread
    if settled and not planned.stale and any(approval.verbs for approval in saved.approved.values()):
        print("\nAlready applied: nothing of this plan is left to do.")
