"""`reconciler verify`: explore what interleavings, faults and deaths do to these manifests, on a simulated account."""

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.options import add_output, add_paths
from reconciler.lifecycle.wording import counted

if TYPE_CHECKING:
    from reconciler.model.desired import Desired

LONGEST: Final = 8
"""Sentences that are shown of a list."""


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "verify", help="explore crashes and interleavings of these manifests, offline", description=__doc__
    )
    add_paths(parser)
    parser.add_argument(
        "--seeds", metavar="N", type=_count, default=40, help="runs of several processes, faults and people (40)"
    )
    parser.add_argument("--seed", metavar="N", type=_count, help="this run of several processes alone, with its story")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load; then each stack by itself."""
    from reconciler.cli.stack import each, load_manifests, the_only

    stacks = load_manifests(arguments, lint=True)
    if arguments.seed is not None:
        the_only(stacks, "--seed")
    return each(stacks, lambda desired, which: _verify(arguments, desired, which))


def _verify(arguments: argparse.Namespace, desired: "Desired", which: str) -> int:
    import logging

    from reconciler.verify.exploration import READINGS, examine, replay

    logging.getLogger("azure").addHandler(logging.NullHandler())  # its warnings are about faults that are asked for
    if which:
        print(which.removeprefix(", "))
    if arguments.seed is not None:
        found = replay(desired, arguments.seed)
        print(found)
        return 1 if found.verdict.broken else 0
    runs: dict[str, int] = {}
    states: set[int] = set()
    told: dict[str, None] = {}
    releases = 0
    try:
        for found in examine(desired, range(arguments.seeds)):
            runs[found.road] = runs.get(found.road, 0) + 1
            states |= found.verdict.states
            releases += found.verdict.releases
            if found.verdict.broken:
                print(f"A promise was broken.\n\n{found}")
                return 1
            told |= dict.fromkeys(found.verdict.told)
            _show(runs)
    except KeyboardInterrupt:
        _show({})
        print(f"{counted(sum(runs.values()), 'run', 'was')} made, and no promise was broken; that is not all of them.")
        raise
    _show({})
    for road, count in runs.items():
        print(f"{road}: {counted(count, 'run')}")
    if told:
        print("\nWhat nobody can know before a request is sent, or what needs a person after a crash:")
    for sentence in sorted(told)[:LONGEST]:
        print(f"  {sentence}")
    if len(told) > LONGEST:
        print(f"  and {len(told) - LONGEST} more")
    ran = counted(releases, "release") if releases else "no release task ran in any of them"
    print(f"\nNo second release reachable; {ran}, {len(states)} states, {len(READINGS)} readings of how a job ends.")
    return 0


def _show(runs: dict[str, int]) -> None:
    """The count while it goes on, on a terminal."""
    if not sys.stderr.isatty():
        return
    text = counted(sum(runs.values()), "run") if runs else ""
    print(f"\r{text:<20}", end="" if runs else "\r", file=sys.stderr, flush=True)


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}")
    return int(text)
