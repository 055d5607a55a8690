"""`reconciler import`: objects of the account, or pasted JSON of some, as manifests.

From the account: addresses, or --all. From a file: a body of the REST API, what `az batch ... show` prints, an ARM
pool, or tasks, which become what stands under `tasks:`. What is left out or has to be filled in stands in comments
above each manifest. Importing changes nothing in the account; `reconciler adopt` makes what is there belong to the
stack.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.api.target import Target
    from reconciler.azure import Account
    from reconciler.importing import Imported
    from reconciler.model.desired import Kind


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "import",
        help="write manifests of what is there",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("addresses", metavar="ADDR", nargs="*", help="objects such as pool/NAME, job/NAME")
    parser.add_argument(
        "--all",
        action="store_true",
        help="every pool, job and schedule of the account, but for what the service made (auto pools, jobs of "
        "schedules), what is being deleted, and what has ended and is no stack's",
    )
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="JSON of objects instead of the account (-: stdin)"
    )
    parser.add_argument("--out", metavar="DIR", help="write files there instead of standard output")
    parser.add_argument(
        "--split", choices=("object", "kind"), default="object", help="with --out: a file for each object, or each kind"
    )
    parser.add_argument("--no-tasks", action="store_true", help="leave out the tasks of jobs")
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, make manifests, write them."""
    import asyncio

    from reconciler.cli.stack import target_of
    from reconciler.cli.texts import check_folder
    from reconciler.errors import UsageError

    ways = [bool(arguments.addresses), arguments.all, arguments.source is not None]
    if sum(ways) != 1:
        raise UsageError("expected one of: addresses such as pool/NAME, --all, --from FILE")
    if arguments.out is not None:
        check_folder("import --out", Path(arguments.out))
    if arguments.source is not None:
        value = _json_of(arguments.source)
        if _wrote_tasks(value, arguments.out):
            return 0
        made = _pasted(value)
    else:
        target = target_of(arguments)
        print(f"Target: {target}", file=sys.stderr)
        made = asyncio.run(_from_account(arguments, target))
    if not made:
        print("There is nothing to import.", file=sys.stderr)
        return 0
    made = [_with_what_is_missing(one) for one in made]
    if arguments.out is None:
        from reconciler.importing.text import documents

        print(documents(made), end="")
        return 0
    return _write(made, Path(arguments.out), by_kind=arguments.split == "kind")


def _json_of(name: str) -> Any:
    from reconciler.cli.texts import json_of, read_json

    hint = "give the output of 'az batch pool show', job show or task list, a body of the REST API, or - for stdin"
    if name == "-":
        return json_of("standard input", sys.stdin.read(), hint)
    return read_json("import --from", name, hint)


def _wrote_tasks(value: Any, out: str | None) -> bool:
    from reconciler.errors import UsageError
    from reconciler.importing import tasks_of
    from reconciler.importing.text import section

    tasks = tasks_of(value)
    if tasks is None:
        return False
    if out is not None:
        raise UsageError(
            "expected no --out for tasks: they stand in the manifest of their job, not in one of their own"
        )
    print(section(tasks), end="")
    return True


def _with_what_is_missing(made: "Imported") -> "Imported":
    """With a note for each thing that `validate` will find: a pasted body may lack what a manifest needs."""
    from dataclasses import replace

    from reconciler.importing.text import document
    from reconciler.manifest import mistakes

    # The tasks of an account were checked when they were added, and may be very many.
    bare = {name: value for name, value in made.document.items() if name != "tasks"}
    found = mistakes(document(replace(made, document=bare, notes=())))
    return replace(made, notes=(*(f"to do: {one.field}: {one.message}" for one in found), *made.notes))


def _pasted(value: Any) -> "list[Imported]":
    """Manifests; of a list, jobs that a schedule made are left out, as with --all."""
    from reconciler.importing import pasted, schedule_of, things

    found = things(value)
    if len(found) > 1:
        for thing in found:
            if schedule := schedule_of(thing):
                print(f"job/{thing['id']} is left out: jobschedule/{schedule} made it", file=sys.stderr)
        found = [thing for thing in found if schedule_of(thing) is None]
    return pasted(found)


async def _from_account(arguments: argparse.Namespace, target: "Target") -> "list[Imported]":
    from reconciler.api.addresses import key_of, missing
    from reconciler.api.target import account
    from reconciler.errors import Missing, UsageError
    from reconciler.importing import manifest_of
    from reconciler.importing.account import lifecycle_of
    from reconciler.model.desired import Kind

    async with account(target) as there:
        if arguments.all:
            found = await _everything(there)
        else:
            found = []
            for address in arguments.addresses:
                key, name = key_of(address), address.partition("/")[2]
                if key.kind is Kind.JOB and ":" in name:
                    made_by = name.partition(":")[0]
                    raise UsageError(f"{address} was made by a schedule: import jobschedule/{made_by} instead")
                try:
                    found.append((key.kind, await there.answer(f"{key.kind}s", name)))
                except Missing:
                    raise missing(await there.observe(), key, name) from None
        made = []
        for kind, raw in found:
            has_tasks = kind is Kind.JOB and not arguments.no_tasks
            tasks = await there.rows("jobs", raw["id"], "tasks") if has_tasks else []
            manager = (raw.get("jobManagerTask") or {}).get("id")
            own = [task for task in tasks if task["id"] != manager]
            made.append(manifest_of(kind, raw, own, lifecycle_of(kind, raw)))
        return made


async def _everything(there: "Account") -> "list[tuple[Kind, Mapping[str, Any]]]":
    """All that a manifest could declare; what is left out is said."""
    from reconciler.importing.account import choices
    from reconciler.model.desired import Kind

    found = []
    for choice in choices({kind: await there.rows(f"{kind}s") for kind in Kind}):
        if choice.left_out is None:
            found.append((choice.kind, choice.raw))
        else:
            print(f"{choice.address} is left out: {choice.left_out}", file=sys.stderr)
    return found


def _write(made: "list[Imported]", folder: Path, *, by_kind: bool) -> int:
    """Files, none of which may exist: a manifest that somebody wrote is never overwritten."""
    from reconciler.errors import UsageError
    from reconciler.importing.text import documents

    files: dict[Path, list[Imported]] = {}
    for one in made:
        name = f"{one.kind}s.yaml" if by_kind else f"{one.kind}-{one.name.lower()}.yaml"
        files.setdefault(folder / name, []).append(one)
    taken = [str(path) for path in files if path.exists()]
    if taken:
        raise UsageError(f"{taken[0]} exists already: give an empty folder, or move it away; nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    for path, documents_of in files.items():
        path.write_text(documents(documents_of), "utf-8")
        print(f"{path}: {', '.join(one.address for one in documents_of)}")
    return 0
