"""`reconciler run`: the controller. Follows a folder or a branch, heals drift, and can be watched."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_store, add_target, add_variables, duration, positive

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Mapping
    from contextlib import AsyncExitStack

    from reconciler.controller.board import Bulletin
    from reconciler.controller.fleet import Controller
    from reconciler.controller.state import StackStatus
    from reconciler.model.desired import Key
    from reconciler.observed import Observed
    from reconciler.ports import Source
    from reconciler.web import Address

SECONDS = 60.0
TOKEN, SECRET = "RECONCILER_HTTP_TOKEN", "RECONCILER_WEBHOOK_SECRET"
ONCE = {
    "Synced": 0,
    "InProgress": 3,
    "AwaitingApproval": 4,
    "OutOfSync": 4,
    "Blocked": 4,
    "Guarded": 4,
    "InvalidManifests": 64,
}
"""Exit codes of --once by how the pass ended; any other end is 1, and 5 where another process leads."""

NEEDS: dict[str, dict[str, tuple[str, object]]] = {
    "--git": {
        "--branch": ("branch", "main"),
        "--path": ("inner", "."),
        "--git-ssh-key": ("git_ssh_key", ""),
        "--git-known-hosts": ("git_known_hosts", ""),
        "--git-token-file": ("git_token_file", ""),
        "--git-token-env": ("git_token_env", ""),
        "--git-user": ("git_user", ""),
        "--git-verify": ("git_verify", ""),
        "--git-max-size": ("git_max_size", 256),
        "--git-max-files": ("git_max_files", 50_000),
    },
    "--http": {
        "--http-token-file": ("http_token_file", None),
        "--http-host": ("http_host", []),
        "--webhook-secret-file": ("webhook_secret_file", None),
    },
}
"""Flags that would be without effect unless another one is given: each with its attribute and its default."""


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "run",
        help="keep the account equal to a folder or a Git branch, for ever",
        description=__doc__,
        epilog="SIGTERM ends it after the requests in flight, and gives its lock back; a second one ends it at once. "
        "SIGHUP reads manifests, variables, secrets and credentials anew.",
    )
    parser.add_argument("path", metavar="PATH", nargs="?", help="folder or file of manifests")
    _add_git(parser)
    parser.add_argument(
        "--interval", metavar="TIME", type=duration, default=SECONDS, help="time between passes (90s, 4m, 1h; 1m)"
    )
    parser.add_argument(
        "--mode",
        choices=("auto", "approve", "detect-only"),
        default="auto",
        help="do what the plan says; wait until its digest is approved (page, `reconciler approve`, or a line in "
        ".reconciler/approvals of the source); or only tell (auto)",
    )
    parser.add_argument(
        "--revert-drift", action="store_true", help="with --mode approve: changes made behind our back need no approval"
    )
    parser.add_argument("--once", action="store_true", help="one pass; 3 in progress, 4 waits for a person, 5 locked")
    parser.add_argument(
        "--shard", metavar="I/N", type=_shard, default=(1, 1), help="only the I-th of N parts of the stacks"
    )
    parser.add_argument(
        "--parallelism", metavar="N", type=positive, default=10, help="requests of a stack at once (10)"
    )
    parser.add_argument(
        "--max-requests", metavar="N", type=positive, default=50, help="requests a second to an account (50)"
    )
    parser.add_argument(
        "--events", metavar="FILE", default="-", help="where events go, one line of JSON each (-: standard output)"
    )
    parser.add_argument(
        "--notify",
        metavar="SHAPE=WHERE",
        action="append",
        default=[],
        help="post warnings to a URL: slack, teams or webhook, then =env:NAME or =file:PATH, which holds it",
    )
    _add_page(parser)
    add_variables(parser)
    add_target(parser)
    add_store(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def _add_git(parser: argparse.ArgumentParser) -> None:
    git = parser.add_argument_group("a Git branch")
    git.add_argument("--git", metavar="URL", help="repository: https, ssh, or a path")
    git.add_argument("--branch", metavar="NAME", default="main", help="branch to follow (main)")
    git.add_argument("--path", metavar="PATH", dest="inner", default=".", help="folder in the repository (.)")
    git.add_argument("--git-ssh-key", metavar="FILE", default="", help="private key for ssh")
    git.add_argument("--git-known-hosts", metavar="FILE", default="", help="host keys of the server, for ssh")
    git.add_argument("--git-token-file", metavar="FILE", default="", help="token for https, read before each fetch")
    git.add_argument("--git-token-env", metavar="NAME", default="", help="variable that holds a token for https")
    git.add_argument("--git-user", metavar="NAME", default="", help="user name that goes with the token")
    git.add_argument(
        "--git-verify", metavar="PATH", default="", help="only commits signed by keys in this file or folder"
    )
    git.add_argument(
        "--git-max-size",
        metavar="MIB",
        type=positive,
        default=256,
        help="MiB that a commit may hold (256)",
    )
    git.add_argument(
        "--git-max-files", metavar="N", type=positive, default=50_000, help="files that a commit may hold (50000)"
    )


def _add_page(parser: argparse.ArgumentParser) -> None:
    page = parser.add_argument_group("page, health and metrics")
    page.add_argument("--http", metavar="ADDR:PORT", help="where to serve them, 127.0.0.1:8080")
    page.add_argument("--http-token-file", metavar="FILE", help=f"token that lets people in (default: {TOKEN})")
    page.add_argument(
        "--http-host", metavar="NAME", action="append", default=[], help="name by which browsers reach the page"
    )
    page.add_argument("--webhook-secret-file", metavar="FILE", help=f"secret of pushes to /webhook (default: {SECRET})")


def run(arguments: argparse.Namespace) -> int:
    """Put the parts together, then follow until a signal."""
    import asyncio

    from reconciler.errors import UsageError

    for needs, options in NEEDS.items():
        idle = [flag for flag, (name, default) in options.items() if getattr(arguments, name) != default]
        if idle and getattr(arguments, needs.removeprefix("--")) is None:
            raise UsageError(f"{', '.join(idle)}: these have a meaning with {needs} only")
    if arguments.once and arguments.http is not None:
        raise UsageError("--once shows no page: leave --http out")
    if (arguments.path is None) == (arguments.git is None):
        raise UsageError("give the PATH of a folder, or a repository with --git URL, and not both")
    if arguments.revert_drift and arguments.mode != "approve":
        raise UsageError("--revert-drift has a meaning with --mode approve only: auto reverts, detect-only never does")
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    import os
    import sys
    from contextlib import AsyncExitStack

    from reconciler.cli.stack import variables_of
    from reconciler.controller.board import Bulletin
    from reconciler.controller.events import Lines, Observer
    from reconciler.controller.feed import Feed
    from reconciler.controller.fleet import Controller, Shard
    from reconciler.controller.loading import Reading
    from reconciler.controller.loop import Conduct
    from reconciler.controller.sites import Sites
    from reconciler.controller.state import Mode
    from reconciler.store import MachineClock, this_owner
    from reconciler.telemetry.metrics import Metrics
    from reconciler.telemetry.notices import Notices, destination
    from reconciler.telemetry.traces import traces

    clock = MachineClock()
    source = _source(arguments)
    variables_of(arguments)  # a wrong --var is told now
    notices = [Notices(destination(text, os.environ), clock) for text in arguments.notify]
    spans = traces(os.environ)
    metrics = Metrics(lambda: bulletin.statuses)
    observers: list[Observer] = [
        Lines(_writer(arguments.events)),
        metrics,
        *notices,
        *([spans] if spans is not None else []),
    ]
    bulletin = Bulletin(clock, observers)
    interval = arguments.interval
    # Soon after a pass comes the next while something is under way: not each of them asks the Git server.
    feed = Feed(
        source,
        Reading(lambda: variables_of(arguments)),
        clock,
        fresh=interval / 2 if arguments.git is not None else 0.0,
    )
    controller = Controller(
        feed,
        Sites(clock, arguments.endpoint, arguments.account, arguments.store, float(arguments.max_requests)),
        bulletin,
        clock,
        Conduct(Mode(arguments.mode), arguments.revert_drift, interval, parallelism=arguments.parallelism),
        owner=this_owner(),
        shard=Shard(*arguments.shard),
    )
    async with AsyncExitStack() as exits:
        exits.push_async_callback(source.close)
        if spans is not None:
            exits.callback(spans.close)
        if arguments.once:
            await controller.once()
            return _code(feed.problem, bulletin.statuses)
        said = f"Following {arguments.git or arguments.path}, mode {arguments.mode}, every {interval:g} s"
        if arguments.http is not None:
            said += f", page http://{await _serve(arguments, bulletin, controller, metrics.text, exits)}/"
        print(said, file=sys.stderr, flush=True)
        for one in notices:
            exits.push_async_callback(_ended, _begun(one.send()))
        _on_signals(controller, exits)
        await controller.run()
    return 0


def _source(arguments: argparse.Namespace) -> "Source":
    """Where manifests come from. Raises UsageError."""
    import os

    from reconciler.source.folder import FolderSource
    from reconciler.source.git import GitSource
    from reconciler.source.program import Access
    from reconciler.source.tree import Limits
    from reconciler.store import state_directory

    if arguments.git is None:
        return FolderSource(arguments.path)
    access = Access(
        arguments.git_ssh_key,
        arguments.git_known_hosts,
        arguments.git_token_file,
        arguments.git_token_env,
        arguments.git_user,
    )
    state = state_directory(os.environ)
    return GitSource(
        arguments.git,
        arguments.branch,
        arguments.inner,
        state,
        os.environ,
        access=access,
        verify=arguments.git_verify,
        limits=Limits(arguments.git_max_size << 20, arguments.git_max_files),
    )


async def _serve(
    arguments: argparse.Namespace,
    bulletin: "Bulletin",
    controller: "Controller",
    metrics: "Callable[[], str]",
    exits: "AsyncExitStack",
) -> "Address":
    """Begin to serve the page; it ends with *exits*. Raises UsageError."""
    import os
    import time

    from reconciler.controller.details import look_closely
    from reconciler.errors import UsageError
    from reconciler.source.webhook import Push, Refused, Webhook
    from reconciler.web import address_of, application, serve

    token = _secret(arguments.http_token_file, os.environ.get(TOKEN))
    secret = _secret(arguments.webhook_secret_file, os.environ.get(SECRET))
    if secret and arguments.git is None:
        raise UsageError("a webhook tells of pushes to a branch: it has a meaning with --git only")
    webhook = Webhook(secret, arguments.branch) if secret else None

    def pushed(headers: "Mapping[str, str]", body: bytes) -> int:
        assert webhook is not None
        meant = webhook.receive(headers, body, time.time())
        if isinstance(meant, Refused):
            print(f"webhook refused: {meant.reason}", file=sys.stderr, flush=True)
        elif isinstance(meant, Push):
            controller.fetch_now()
        return meant.status

    async def details(status: "StackStatus", key: "Key") -> "Observed":
        assert status.observed is not None
        return await look_closely(controller.loops[status.stack].account, status.observed, key)

    app = application(
        bulletin,
        controller,
        token=token,
        allowed_hosts=arguments.http_host,
        metrics=metrics,
        webhook=pushed if webhook is not None else None,
        ready=lambda: controller.ready,
        details=details,
    )
    runner, address = await serve(app, address_of(arguments.http, token=token))
    exits.push_async_callback(runner.cleanup)
    return address


def _secret(file: str | None, value: str | None) -> str | None:
    """What a file holds, else the variable. Raises UsageError."""
    from pathlib import Path

    from reconciler.errors import UsageError

    if file is None:
        return value or None
    try:
        text = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    if not text:
        raise UsageError(f"{file} is empty")
    return text


def _writer(file: str) -> "Callable[[str], object]":
    """Appends to a file, which may be moved away at any time; or to standard output."""
    from pathlib import Path

    def append(line: str) -> None:
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(line)

    def show(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    return show if file == "-" else append


def _on_signals(controller: "Controller", exits: "AsyncExitStack") -> None:
    """The first SIGINT or SIGTERM ends it cleanly, the second at once; SIGHUP reads everything anew."""
    import asyncio
    import os
    import signal

    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            print("Interrupted.", file=sys.stderr, flush=True)
            os._exit(1)
        stopping = True
        print("Stopping: requests in flight are finished first. Again to stop at once.", file=sys.stderr, flush=True)
        controller.stop()

    def reload() -> None:
        task = loop.create_task(controller.reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number, work in ((signal.SIGINT, stop), (signal.SIGTERM, stop), (signal.SIGHUP, reload)):
        loop.add_signal_handler(number, work)
        exits.callback(loop.remove_signal_handler, number)


def _begun(work: "Coroutine[Any, Any, None]") -> "asyncio.Task[None]":
    import asyncio

    return asyncio.ensure_future(work)


async def _ended(task: "asyncio.Task[None]") -> None:
    import asyncio

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _code(problem: str, statuses: "Mapping[str, StackStatus]") -> int:
    """How one pass over all stacks ended, the worst of them."""
    from reconciler.cli.stack import WORST

    if not statuses:
        print(f"error: {problem or 'the source holds no stack'}", file=sys.stderr)
        return 64
    codes = []
    for name, status in statuses.items():
        code = ONCE.get(str(status.end), 1) if status.leader or status.suspensions else 5
        print(f"stack '{name}': {status.end}", *status.problems, sep="\n  ", file=sys.stderr)
        codes.append(code)
    return min(codes, key=WORST.index)


def _shard(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not slash or not number.isdigit() or not of.isdigit() or not 1 <= int(number) <= int(of):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, found {text!r}")
    return int(number), int(of)
