"""`reconciler destroy`: end the jobs of a stack, let their release tasks run, remove the pools."""

import argparse
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import (
    add_decisions,
    add_execution,
    add_output,
    add_paths,
    add_selection,
    add_store,
    add_target,
)

if TYPE_CHECKING:
    from reconciler.model.desired import Desired, Key
    from reconciler.planning import Entry, Plan


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("destroy", help="remove everything of a stack", description=__doc__)
    add_paths(parser)
    add_selection(parser)
    add_decisions(parser, prune=False)
    add_execution(parser, deletes=False)
    add_target(parser)
    add_store(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load; then each stack by itself."""
    from reconciler.cli.stack import each, load_manifests, the_only

    stacks = load_manifests(arguments)
    for given, what in (
        (arguments.dangerous_force, "--dangerous-force"),
        (arguments.target, "--target"),
        (arguments.exclude, "--exclude"),
    ):
        if given:
            the_only(stacks, what)
    detailed = arguments.detailed_exitcode
    return each(stacks, lambda declared, which: _destroy(arguments, declared, which), detailed=detailed)


def _destroy(arguments: argparse.Namespace, declared: "Desired", which: str) -> int:
    """Plan, ask for each object, run."""
    import asyncio

    from reconciler.api.keeping import check_free
    from reconciler.api.planned import plan_removal
    from reconciler.cli.running import converge, opening, report, show_plan
    from reconciler.cli.stack import options_of, target_of

    target = target_of(arguments, declared.stack)
    opening(arguments, target, which)
    options = options_of(arguments)
    asyncio.run(check_free(target, options.store, declared.stack))
    planned = asyncio.run(plan_removal(declared, target, options))
    for key, wanted in declared.objects.items():
        live = planned.observed.get(key)
        if live is not None and not planned.context.owns(live):
            owner = f"stack '{live.mark.stack}'" if live.mark else "no stack"
            print(f"{wanted.address} is left alone: it belongs to {owner}.")
    if not planned.plan.entries and not planned.plan.unread:
        print(f"Nothing of stack '{declared.stack.name}' is there.")
        return 0
    show_plan(arguments, planned)
    if planned.plan.has_changes and not arguments.auto_approve:
        agreed = _agreed(planned.plan)
        if not agreed:
            print("Nothing was changed.")
            return 1
        planned = planned.only(agreed)
    return report(arguments, planned, asyncio.run(converge(arguments, planned)))


def _agreed(plan: "Plan") -> "frozenset[Key]":
    """Ask for each object, jobs before their pools; jobs of a schedule go with it. What must wait for something that is
    kept is kept, too."""
    from reconciler.cli.running import ask
    from reconciler.model.desired import Kind

    agreed: set[Key] = set()
    print()
    entries = [entry for entry in plan.entries.values() if entry.actions]
    for entry in sorted(entries, key=lambda entry: (entry.key.kind is Kind.POOL, entry.parent is not None, entry.key)):
        kept = [other.address for other in plan.waits_for(entry.key) if other.key not in agreed]
        if entry.parent is not None:
            agreed |= {entry.key} if entry.parent in agreed else set()
        elif kept:
            print(f"{entry.address} is kept: {', '.join(kept)} still needs it.")
        elif ask(f"{_doing(entry)} {entry.address}? Only 'yes' is accepted: "):
            agreed.add(entry.key)
    return frozenset(agreed)


def _doing(entry: "Entry") -> str:
    from reconciler.lifecycle.steps import Verb

    if Verb.DELETE in entry.verbs:
        return "Delete"
    return "Leave to others" if Verb.ORPHAN in entry.verbs else "Forget the run of"
