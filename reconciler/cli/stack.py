"""From the flags of a command to what the library takes."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import Locked, ReconcilerError, UnsafePlan, UsageError

if TYPE_CHECKING:
    from reconciler.api.options import Options
    from reconciler.api.target import Snapshot, Target
    from reconciler.model.desired import Desired, Stack
    from reconciler.saved import Sources

BLOCKED, LOCKED = 4, 5
"""Exit codes for --detailed-exitcode: a person must act; somebody else changes the stack, and nothing was sent."""
WORST = (64, 1, 6, 5, 4, 3, 2, 0)
"""Exit codes, the worst first."""


def options_of(arguments: argparse.Namespace) -> "Options":
    """What the flags of plan, apply and destroy say; those that a command does not have are as by default."""
    from dataclasses import fields

    from reconciler.api.options import Options

    given: dict[str, Any] = {name.name: getattr(arguments, name.name, name.default) for name in fields(Options)}
    given["prune"] = not getattr(arguments, "no_prune", False)
    given["wait"] = not getattr(arguments, "no_wait", False)
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return Options(**{**given, **lists})


def target_of(arguments: argparse.Namespace, stack: "Stack | None" = None) -> "Target":
    """The account that the flags, the Stack or the environment name."""
    from reconciler.api.target import choose_target

    return choose_target(stack, endpoint=arguments.endpoint, account=arguments.account)


def load_snapshot(arguments: argparse.Namespace) -> "Snapshot":
    """The snapshot that --live names. Raises UsageError for a file that cannot be read, TargetError for one that holds
    something else."""
    from reconciler.api.target import Snapshot
    from reconciler.azure.recorded import check
    from reconciler.cli.texts import read_text

    for given, name in ((arguments.endpoint, "--endpoint"), (arguments.account, "--account")):
        if given:
            raise UsageError(f"{name} has no meaning beside --live: the snapshot says which account it is of")
    text = read_text("--live", arguments.live, f"make one: reconciler snapshot --out {arguments.live}")
    return Snapshot(check(text, arguments.live), arguments.live)


def load_manifests(arguments: argparse.Namespace, *, lint: bool = False) -> "tuple[Desired, ...]":
    """The desired state of each stack that the command line names; with *lint* only where all of it could work."""
    from reconciler.api.loading import load

    return load(arguments.paths, variables=variables_of(arguments), lint=lint)


def sources_of(arguments: argparse.Namespace) -> "Sources":
    """Where the manifests of a command are, for a plan that is to be applied later."""
    from reconciler.saved import Sources

    names = tuple(sorted({item.partition("=")[0] for item in arguments.var}))
    return Sources(str(Path.cwd()), tuple(arguments.paths), tuple(arguments.var_file), names)


def the_only(stacks: "tuple[Desired, ...]", what: str) -> "Desired":
    """The one stack there is. Raises UsageError where *what* has a meaning for one only."""
    if len(stacks) > 1:
        names = ", ".join(desired.stack.name for desired in stacks)
        raise UsageError(f"{what} is for one stack at a time, and these are several ({names}): give the folder of one")
    return stacks[0]


def code_of(error: ReconcilerError, *, detailed: bool) -> int:
    """The exit code for a command that an error ended."""
    if not detailed:
        return 1
    return LOCKED if isinstance(error, Locked) else BLOCKED if isinstance(error, UnsafePlan) else 1


def each(stacks: "tuple[Desired, ...]", work: "Callable[[Desired, str], int]", *, detailed: bool = False) -> int:
    """Do the work for each stack, whatever becomes of the others; the worst exit code. The work gets what to say behind
    the target: which stack it is, where there are several."""
    if len(stacks) == 1:
        return work(stacks[0], "")
    codes = []
    for number, desired in enumerate(stacks):
        if number:
            print()
        try:
            codes.append(work(desired, f", stack '{desired.stack.name}'"))
        except ReconcilerError as error:
            sys.stdout.flush()
            print(f"error: stack '{desired.stack.name}': {error}", file=sys.stderr, flush=True)
            codes.append(code_of(error, detailed=detailed))
    return min(codes, key=WORST.index)


def variables_of(arguments: argparse.Namespace) -> dict[str, str]:
    """--var and --var-file. Raises UsageError."""
    values: dict[str, str] = {}
    for path in arguments.var_file:
        values |= _var_file(Path(path))
    for item in arguments.var:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--var expects NAME=VALUE, found {item!r}")
        values[name] = value
    return values


def _var_file(path: Path) -> dict[str, str]:
    """A mapping in YAML, its numbers and booleans as they are written."""
    from reconciler.manifest import read_variables

    return read_variables(str(path))
