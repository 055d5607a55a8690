"""Parse, run, and turn what happened into an exit code.

0 done or no changes; 1 error; 64 the manifests or the command line are wrong. With --detailed-exitcode also: plan 2
changes; apply and destroy 3 in progress and safe to run again, 4 blocked, 5 locked, 6 partly failed.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

from reconciler import __version__

EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 64
COMMANDS: Final = (
    "init",
    "validate",
    "plan",
    "apply",
    "destroy",
    "run",
    "asking",
    "status",
    "logs",
    "importing",
    "marks",
    "history",
    "lock",
    "snapshot",
    "graph",
    "verify",
    "explain",
    "emulator",
)
"""Modules, one for each command."""


class Parser(argparse.ArgumentParser):
    """argparse with the exit code of this tool for a wrong command line, and no flags by their beginnings."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """Every command with its flags."""
    parser = Parser(
        prog="reconciler",
        description="Keeps an Azure Batch account equal to a folder of YAML manifests.",
        epilog="Begin with `reconciler init`. `reconciler COMMAND --help` says what a command does and takes. Where no "
        "account is configured, commands use a local emulator, which they start.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"reconciler.cli.{name}").add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is the answer."""
    _prepare_streams()
    parser = build_parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    arguments = parser.parse_args(argv)
    from reconciler.errors import ManifestErrors, ReconcilerError, UsageError

    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`). What only shows has shown enough; what acts was cut short.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR if arguments.command in ("apply", "destroy") else 0
    except ManifestErrors as errors:
        count = len(errors.findings)
        sent = "; nothing was sent" if arguments.command in ("plan", "apply", "destroy") else ""
        return _say(arguments, f"{errors}\n{count} error{'s' if count > 1 else ''} in the manifests{sent}.", EXIT_USAGE)
    except UsageError as error:
        return _say(arguments, f"error: {error}", EXIT_USAGE)
    except ReconcilerError as error:
        from reconciler.cli.stack import code_of

        detailed = getattr(arguments, "detailed_exitcode", False)
        return _say(arguments, f"error: {error}", code_of(error, detailed=detailed))
    except OSError as error:
        text = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        return _say(arguments, f"error: {text}", EXIT_ERROR)
    except KeyboardInterrupt:
        return _say(arguments, "Interrupted.", EXIT_ERROR)


def _prepare_streams() -> None:
    """Output may be closed (`>&-`), or of a terminal that cannot show every character: neither is a reason to fail."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  it lives as long as the process
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _say(arguments: argparse.Namespace, text: str, code: int) -> int:
    """An error for people; with --debug the traceback comes first."""
    if getattr(arguments, "debug", False):
        import traceback

        traceback.print_exc()
    print(text, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
