"""`reconciler destroy`: end the jobs of a stack, let their release tasks run, remove the pools."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_decisions, add_execution, add_output, add_paths, add_target

if TYPE_CHECKING:
    from reconciler.cli.stack import Target
    from reconciler.lifecycle.steps import Context
    from reconciler.model.desired import Desired, Key
    from reconciler.observed import Observed
    from reconciler.plan import Entry, Plan


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("destroy", help="remove everything of a stack", description=__doc__)
    add_paths(parser)
    add_decisions(parser, prune=False)
    add_execution(parser, deletes=False)
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load; then each stack by itself."""
    from reconciler.cli.stack import each, load_manifests, the_only

    stacks = load_manifests(arguments)
    if arguments.dangerous_force:
        the_only(stacks, "--dangerous-force")
    return each(stacks, lambda declared, which: _destroy(arguments, declared, which))


def _destroy(arguments: argparse.Namespace, declared: "Desired", which: str) -> int:
    """Plan, ask for each object, run."""
    import asyncio

    from reconciler.cli.running import converge, report
    from reconciler.cli.show import painter
    from reconciler.cli.stack import check_forced, choose_target
    from reconciler.plan import make_plan
    from reconciler.render.text import plan_text

    target = choose_target(arguments, declared.stack)
    print(f"Target: {target}{which}\n")
    nothing = replace(declared, objects={})
    context = _context(arguments, declared)
    observed, context = asyncio.run(_look(arguments, target, nothing, context))
    plan = make_plan(nothing, observed, context)
    check_forced(arguments, plan)
    for key, wanted in declared.objects.items():
        live = observed.get(key)
        if live is not None and not context.owns(live):
            owner = f"stack '{live.mark.stack}'" if live.mark else "no stack"
            print(f"{wanted.address} is left alone: it belongs to {owner}.")
    if not plan.entries and not plan.unread:
        print(f"Nothing of stack '{declared.stack.name}' is there.")
        return 0
    print(plan_text(plan, painter(arguments)), flush=True)
    if plan.has_changes and not arguments.auto_approve:
        context = replace(context, prunes=False, removing=_agreed(plan))
        if not context.removing:
            print("Nothing was changed.")
            return 1
        plan = make_plan(nothing, observed, context)
    return report(arguments, nothing, asyncio.run(converge(arguments, target, nothing, context, plan)))


def _context(arguments: argparse.Namespace, declared: "Desired") -> "Context":
    """Everything of the stack goes; a source that does not say it is complete removes what it names and nothing else.
    What the manifests say of keeping counts, whether it was applied or not."""
    from reconciler.cli.stack import context_of
    from reconciler.plan import policy_of

    return replace(
        context_of(arguments, declared.stack),
        removing=frozenset(declared.objects),
        removal="destroy",
        policies={key: policy_of(wanted) for key, wanted in declared.objects.items()},
    )


async def _look(
    arguments: argparse.Namespace, target: "Target", nothing: "Desired", context: "Context"
) -> "tuple[Observed, Context]":
    from reconciler.cli.stack import account, bind_force, store_of
    from reconciler.executor import look

    async with account(target) as there:
        observed = await look(there, nothing, context, watch=False)
        if arguments.dangerous_force:
            context = bind_force(arguments, context, observed)
            observed = await look(there, nothing, context, watch=False)
    return observed, replace(context, ledger=await store_of(target, nothing.stack).ledger())


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
