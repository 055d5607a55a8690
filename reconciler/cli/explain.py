"""`reconciler explain`: what a field means, or why an object is at this step, wait or block.

FIELD is a path in a manifest: pool.spec.vmSize, job.lifecycle, job.spec.jobReleaseTask.commandLine. It is explained
offline. ADDR is an address such as job/nightly, followed by the manifests that plan and apply get; the account is read,
and nothing is written.
"""

import argparse
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.options import add_decisions, add_output, add_target, add_variables

if TYPE_CHECKING:
    from reconciler.api.options import Options
    from reconciler.api.planned import Planned
    from reconciler.errors import NotThere
    from reconciler.model.desired import Desired, Key
    from reconciler.planning import Entry, Plan
    from reconciler.render.explain import Allowed

DEEPEST: Final = 12
"""Levels of a recursive listing; no path of the table is longer."""

OF_FIELDS: Final = frozenset({"command", "run", "what", "format", "recursive", "debug", "no_color"})
"""Arguments that a field takes; the others are for an object of the account."""


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "explain",
        help="say what a field means, or why an object is at its step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", metavar="FIELD|ADDR", help="a field such as pool.spec.vmSize, or job/NAME")
    parser.add_argument("paths", metavar="PATH", nargs="*", default=[], help="the manifests, after an address")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--recursive", action="store_true", help="list the fields of all depths below FIELD")
    parser.add_argument(
        "--live", metavar="FILE", help="explain against a snapshot instead of the account; secrets are not compared"
    )
    add_variables(parser)
    add_decisions(parser)
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """A field offline; an address in the account."""
    return _object(arguments) if "/" in arguments.what else _field(arguments)


def _field(arguments: argparse.Namespace) -> int:
    from reconciler.cli.show import painter
    from reconciler.errors import UsageError
    from reconciler.model.reference import explain
    from reconciler.render.explain import field_json, field_text

    if arguments.paths:
        raise UsageError(
            f"explain: expected nothing after the field {arguments.what!r}, found {' '.join(arguments.paths)} "
            "(manifests follow an address such as job/NAME)"
        )
    for name, value in vars(arguments).items():
        if value and name not in OF_FIELDS:
            raise UsageError(f"--{name.replace('_', '-')} goes with an address and its manifests, not with a field")
    field = explain(arguments.what, depth=DEEPEST if arguments.recursive else 1)
    print(field_json(field) if arguments.format == "json" else field_text(field, painter(arguments)))
    return 0


def _object(arguments: argparse.Namespace) -> int:
    import asyncio
    import sys

    from reconciler.api.addresses import key_of
    from reconciler.api.planned import plan
    from reconciler.cli.show import painter
    from reconciler.cli.stack import load_manifests, load_snapshot, options_of, target_of
    from reconciler.cli.status import detail
    from reconciler.errors import UsageError
    from reconciler.render.explain import object_json, object_text

    key = key_of(arguments.what)
    if not arguments.paths:
        raise UsageError(
            f"explain {arguments.what}: expected the manifests that declare it, as for plan, found none: "
            f"reconciler explain {arguments.what} PATH"
        )
    if arguments.recursive:
        raise UsageError("--recursive lists fields: it has no meaning beside an address")
    declared = _stack_of(key, load_manifests(arguments, lint=True))
    snapshot = load_snapshot(arguments) if arguments.live is not None else None
    target = snapshot or target_of(arguments, declared.stack)
    print(f"Target: {target}", file=sys.stderr if arguments.format == "json" else sys.stdout)
    planned = asyncio.run(plan(declared, target, options_of(arguments)))
    entry = planned.plan.entries.get(key)
    if entry is None:
        raise _absent(arguments, planned.plan, key)
    allowed = _allowed(planned, declared, entry)
    guards = [guard for guard in planned.guards if entry.address in guard.addresses]
    if arguments.format == "json":
        print(object_json(planned.plan, entry, str(target), guards, allowed))
    else:
        print("\n" + object_text(planned.plan, entry, detail(entry.live), guards, allowed, painter(arguments)))
    return 0


def _stack_of(key: "Key", stacks: "tuple[Desired, ...]") -> "Desired":
    """The stack that declares the object, or the only one."""
    from reconciler.errors import UsageError

    declaring = [desired for desired in stacks if key in desired.objects]
    if len(declaring) == 1 or len(stacks) == 1:
        return (declaring or stacks)[0]
    names = ", ".join(f"'{desired.stack.name}'" for desired in declaring or stacks)
    those = "more than one of them declares" if declaring else "none of them declares"
    raise UsageError(f"explain: {those} {key} of the stacks {names}: give the folder of one")


def _absent(arguments: argparse.Namespace, plan: "Plan", key: "Key") -> "NotThere":
    """The error for an object that the plan does not speak of."""
    from reconciler.api.addresses import nearest, some
    from reconciler.errors import NotThere

    others = [entry.address for entry in plan.entries.values()]
    near = nearest(str(key), others)
    hint = f" (did you mean {near!r}?)" if near else f": it has {some(others)}" if others else ": it has nothing"
    return NotThere(f"{arguments.what} is no object of stack '{plan.stack}', declared or marked{hint}")


def _allowed(planned: "Planned", declared: "Desired", entry: "Entry") -> "Allowed | None":
    """What the plan would be with the consents that a block names, and those that it then names; None where nothing is
    blocked, or no consent helps."""
    import asyncio
    import shlex

    from reconciler.api.planned import plan
    from reconciler.render.explain import Allowed

    given: list[str] = []
    there: Entry | None = entry
    options = planned.options
    while there is not None and there.blocked is not None:
        asked = shlex.split(there.blocked.consent)
        if not asked or set(asked) <= set(given):
            break
        given += asked
        options = _consenting(options, asked)
        there = asyncio.run(plan(declared, planned.target, options)).plan.entries.get(entry.key)
    return Allowed(shlex.join(given), there) if given and there is not None else None


def _consenting(options: "Options", flags: list[str]) -> "Options":
    """The options with the consents of these flags."""
    parser = argparse.ArgumentParser(add_help=False)
    add_decisions(parser)
    given = vars(parser.parse_args(flags))
    return options.but(
        **{name: (*getattr(options, name), *value) for name, value in given.items() if isinstance(value, list)}
    )
