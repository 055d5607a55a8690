"""`reconciler logs`: what tasks wrote, and files of nodes.

job/NAME prints the standard output of its tasks; --task preparation|release that of each node's run;
'node/POOL/*:shared/FILE' prints a file of every node of a pool.
"""

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.options import add_output, add_target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from reconciler.azure import Account
    from reconciler.observed import LiveJob

STREAMS: Final = ("stdout.txt", "stderr.txt")
JOB: Final = re.compile(r"job/([A-Za-z0-9_:-]+)")
NODE: Final = re.compile(r"node/([A-Za-z0-9_-]+)/([^/:]+):(.+)")


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "logs",
        help="print output of tasks and files of nodes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("address", metavar="ADDR", help="job/NAME, or node/POOL/NODE:PATH (* for every node)")
    parser.add_argument("--node", metavar="ID", help="only what ran on this node; the beginning of its id is enough")
    parser.add_argument("--task", metavar="ID", help="one task, or preparation or release of each node")
    parser.add_argument(
        "--file",
        metavar="NAME",
        help="one file of the task directory (default: stdout.txt, and stderr.txt if it is not empty)",
    )
    add_target(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Find the files, print each under its name."""
    import asyncio

    from reconciler.cli.stack import target_of
    from reconciler.errors import UsageError

    job, node = JOB.fullmatch(arguments.address), NODE.fullmatch(arguments.address)
    if not job and not node:
        found = f"found {arguments.address!r}{_meant(arguments.address)}"
        raise UsageError(f"expected job/NAME or node/POOL/NODE:PATH, {found}")
    if node and (arguments.task or arguments.node or arguments.file):
        raise UsageError("--task, --node and --file go with job/NAME")
    target = target_of(arguments)
    print(f"Target: {target}", file=sys.stderr)
    return asyncio.run(_logs(arguments, job, node, target))


def _meant(address: str) -> str:
    from reconciler.api.addresses import near_address

    kind, _, name = address.partition("/")
    if kind == "pool" and name and "/" not in name:
        return f" (files of its nodes: 'node/{name}/*:PATH')"
    if kind == "jobschedule":
        return " (logs are those of its jobs: see 'reconciler status' for their names)"
    return near_address(address)


async def _logs(
    arguments: argparse.Namespace, job: "re.Match[str] | None", node: "re.Match[str] | None", target: Any
) -> int:
    from reconciler.api.target import account

    async with account(target) as there:
        if node is not None:
            return await _node_files(there, *node.groups())
        assert job is not None
        return await _job_files(there, job.group(1), arguments)


async def _node_files(there: "Account", pool: str, wanted: str, path: str) -> int:
    from reconciler.api.addresses import missing, some
    from reconciler.errors import NotThere
    from reconciler.model.desired import Key, Kind
    from reconciler.observed import short

    observed = await there.observe()
    key = Key.of(Kind.POOL, pool)
    live = observed.pools.get(key)
    if live is None:
        raise missing(observed, key, pool)
    known = [node.id for node in await there.nodes(live)]
    nodes = [node for node in known if wanted == "*" or node.startswith(wanted)]
    if not known:
        raise NotThere(f"pool/{live.name} has no nodes")
    if not nodes:
        raise NotThere(f"pool/{live.name} has no node {wanted}: it has {some(map(short, known))}")
    return await _print_each([(f"{path} on {node}", there.node_file(live.name, node, path)) for node in nodes])


async def _job_files(there: "Account", name: str, arguments: argparse.Namespace) -> int:
    from reconciler.api.addresses import missing, nearest
    from reconciler.errors import NotThere
    from reconciler.model.desired import Key, Kind

    observed = await there.observe()
    key = Key.of(Kind.JOB, name)
    job = observed.jobs.get(key)
    if job is None:
        raise missing(observed, key, name)
    names = (arguments.file,) if arguments.file else STREAMS
    if arguments.task in ("preparation", "release"):
        return await _run_files(there, job, arguments.task, names, arguments.node)
    tasks = (await there.tasks(job)).values()
    chosen = [
        task
        for task in tasks
        if task.node
        and (arguments.task is None or task.id == arguments.task.lower())
        and task.node.startswith(arguments.node or "")
    ]
    if not chosen:
        which = f"task {arguments.task}" if arguments.task else "task"
        near = nearest(arguments.task or "", [task.name for task in tasks if task.node])
        meant = f" (did you mean '{near}'?)" if near and near.lower() != arguments.task.lower() else ""
        raise NotThere(
            f"{job.address} has no {which} that ran{f' on {arguments.node}' if arguments.node else ''}{meant}"
        )
    found = [
        (f"task {task.name} on {task.node}: {name}", there.task_file(job.name, task.name, name))
        for task in sorted(chosen, key=lambda task: task.id)
        for name in names
    ]
    return await _print_each(found)


async def _run_files(there: "Account", job: "LiveJob", kind: str, names: tuple[str, ...], node: str | None) -> int:
    """Preparation and release tasks are no tasks of the job's list: their files are read through the node."""
    from reconciler.errors import NotThere

    found = []
    for run in await there.node_runs(job):
        part = run.preparation if kind == "preparation" else run.release
        if part is not None and run.node.startswith(node or ""):
            folder = part.directory.replace("\\", "/")
            found += [
                (f"{kind} on {run.node}: {name}", there.node_file(run.pool, run.node, f"{folder}/{name}"))
                for name in names
            ]
    if not found:
        raise NotThere(f"{job.address}: {kind} ran on no node{f' {node}' if node else ''}")
    return await _print_each(found)


async def _print_each(files: "list[tuple[str, AsyncIterator[bytes]]]") -> int:
    """Every file under its name, piece by piece. One that cannot be read is said on stderr, and the exit code is 1."""
    from reconciler.errors import BatchError

    code, printed = 0, False
    for title, pieces in files:
        last = b""
        try:
            async for piece in pieces:
                if not last:
                    _print_title(title, after=printed)
                    printed = True
                sys.stdout.buffer.write(piece)
                last = piece[-1:]
        except BatchError as error:
            print(f"error: {error}", file=sys.stderr)
            code = 1
            continue
        if not last and not title.endswith(STREAMS[1]):  # an empty file is something to know, but for stderr
            _print_title(title, after=printed)
            printed = True
        sys.stdout.buffer.write(b"" if last in (b"", b"\n") else b"\n")
        sys.stdout.buffer.flush()
    return code


def _print_title(title: str, *, after: bool) -> None:
    print(("\n" if after else "") + f"==> {title} <==", flush=True)
