"""Commands in processes of their own that need not load Python and the SDK anew: two thirds of what a command costs.

A server process that has loaded what commands load forks one child for each. What a process is started with (arguments,
environment, folder, the three streams) is the child's alone; the tests of the main job start fresh interpreters.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

LOADED = ["reconciler.cli.main", "reconciler.cli.apply", "reconciler.cli.importing", "reconciler.azure"]
_context = multiprocessing.get_context("forkserver")


def run(
    arguments: tuple[str, ...], *, stdin: str, environment: dict[str, str], folder: Path, streams: Path, timeout: float
) -> tuple[int, str, str]:
    """One command to its end: exit code, standard output, standard error. *streams* is a folder for these.

    Raises subprocess.TimeoutExpired after *timeout* seconds.
    """
    _context.set_forkserver_preload(LOADED)
    streams.mkdir(exist_ok=True)
    (streams / "in").write_text(stdin, "utf-8")
    child = _context.Process(target=_command, args=(arguments, json.dumps(environment), str(folder), str(streams)))
    child.start()
    child.join(timeout)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise subprocess.TimeoutExpired(list(arguments), timeout, *(_text(streams / name) for name in ("out", "err")))
    code = child.exitcode
    child.close()
    return code, _text(streams / "out"), _text(streams / "err")


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def _command(arguments: tuple[str, ...], environment: str, folder: str, streams: str) -> None:
    os.environ.clear()
    os.environ.update(json.loads(environment))
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it
    for number, (name, flags) in enumerate((("in", os.O_RDONLY), ("out", _WRITE), ("err", _WRITE))):
        opened = os.open(f"{streams}/{name}", flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  they live as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["reconciler", *arguments]
    from reconciler.cli.main import main

    sys.exit(main(arguments))


_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
