"""`reconciler snapshot`: the account as one secret-free JSON document, for `plan --live FILE`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_target

if TYPE_CHECKING:
    from reconciler.api.target import Target


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("snapshot", help="save what is there, for plan --live", description=__doc__)
    parser.add_argument("--out", metavar="FILE", help="write there instead of standard output")
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read everything a plan may ask for."""
    import asyncio

    from reconciler.cli.stack import target_of
    from reconciler.cli.texts import check_place

    if arguments.out is not None:
        check_place("snapshot --out", Path(arguments.out))
    target = target_of(arguments)
    print(f"Target: {target}", file=sys.stderr)
    text = json.dumps(asyncio.run(_take(target)), indent=1, ensure_ascii=False) + "\n"
    if arguments.out is None:
        print(text, end="")
    else:
        Path(arguments.out).write_text(text, "utf-8")
        print(f"{arguments.out} written.", file=sys.stderr)
    return 0


async def _take(target: "Target") -> dict[str, Any]:
    from reconciler.api.target import account
    from reconciler.azure.recorded import take

    async with account(target) as there:
        return await take(there)
