"""`reconciler emulator`: the local Azure Batch that commands use when no account is configured."""

import argparse
import dataclasses
import ipaddress
import json
import os
import socket
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.cli.options import add_output

if TYPE_CHECKING:
    from reconciler.emulator.control import Running


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("emulator", help="the local Azure Batch", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("start", "start it, unless it runs"),
        ("stop", "end it and every process it runs"),
        ("status", "where it is; exit 1 when it does not run"),
        (
            "reset",
            "stop it and forget every pool and job, and what is kept of them: ledgers, journals, receipts, logs",
        ),
        ("switches", "what no source says of the service, and the readings to choose from"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        if name != "switches":
            action.add_argument("--state", metavar="DIR", help="its state (default: below the user's state directory)")
        if name == "start":
            action.add_argument(
                "--port", metavar="N", type=_port, default=0, help="port to listen on (default: the last one, or any)"
            )
            action.add_argument(
                "--host",
                metavar="ADDRESS",
                type=_address,
                default="127.0.0.1",
                help="address to listen on (default: 127.0.0.1). With any other but loopback, whoever reaches it and "
                "has the account's key runs commands on this machine",
            )
            action.add_argument("--tls", action="store_true", help="serve https, with a certificate of its own")
            action.add_argument(
                "--switch",
                metavar="NAME=VALUE",
                action="append",
                default=[],
                help="choose a reading (see: reconciler emulator switches); may be repeated",
            )
            action.add_argument(
                "--chaos",
                metavar="SEED",
                type=int,
                help="let requests fail and come late, as this number draws it: 429, 503, connections reset before "
                "and after the effect, latency",
            )
        if name in ("start", "status", "switches"):
            action.add_argument("--format", choices=("text", "json"), default="text")
        add_output(action)
        action.set_defaults(run=run)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, found {text!r}")
    return int(text)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected an IP address, found {text!r}") from error


def run(arguments: argparse.Namespace) -> int:
    """Start, stop, ask, forget."""
    from reconciler.api.target import emulator_directory
    from reconciler.cli.texts import check_folder
    from reconciler.emulator import control
    from reconciler.errors import TargetError

    if arguments.action == "switches":
        return _list_switches(arguments.format)
    state = Path(arguments.state) if arguments.state else emulator_directory(os.environ)
    check_folder("--state", state)
    try:
        match arguments.action:
            case "start":
                return _show(_start(state, arguments), arguments.format)
            case "stop":
                print("Stopped." if control.stop(state) else "It was not running.")
            case "reset":
                _reset(state)
            case _:
                return _show(control.status(state), arguments.format)
    except control.EmulatorError as error:
        raise TargetError(str(error)) from error
    return 0


def _reset(state: Path) -> None:
    """A ledger would keep runs from being repeated that the fresh account knows nothing of."""
    from reconciler.emulator import control
    from reconciler.store import forget_account, state_directory

    endpoint = control.reset(state)
    print("Stopped, and its pools and jobs forgotten.")
    if endpoint is None:
        return
    if _is_taken(endpoint):  # another emulator, whose ledgers these are by now
        print(f"Ledgers and receipts are kept: something else listens at {endpoint} now.")
        return
    for spelling in dict.fromkeys((endpoint, endpoint.replace("127.0.0.1", "localhost"))):
        for folder in forget_account(state_directory(os.environ), spelling):
            print(f"Forgotten with it: ledger, journal, receipts and logs of stack {folder.name} ({folder}).")


def _is_taken(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1).close()
    except OSError:
        return False
    return True


def _start(state: Path, arguments: argparse.Namespace) -> "Running":
    from reconciler.emulator import control, switch_list
    from reconciler.errors import UsageError

    try:
        chosen = switch_list.split(arguments.switch)
    except switch_list.BadSwitch as error:
        raise UsageError(str(error)) from error
    if warning := control.warning(arguments.host):
        print(f"warning: {warning}", file=sys.stderr)
    options = control.Options(arguments.port, arguments.tls, chosen, arguments.chaos, arguments.host)
    return control.start(state, options)


def _list_switches(format_: str) -> int:
    from reconciler.emulator import switch_list

    switches = switch_list.describe()
    if format_ == "json":
        print(json.dumps([dataclasses.asdict(switch) for switch in switches], indent=2))
        return 0
    for switch in switches:
        readings = ", ".join(switch.readings)
        print(f"{switch.name}={switch.default}\n  readings: {readings}")
        print(textwrap.indent(textwrap.fill(switch.meaning, 100), "  "))
    return 0


def _show(running: "Running | None", format_: str) -> int:
    if running is None:
        print("{}" if format_ == "json" else "The emulator is not running.")
        return 1
    facts = {
        "endpoint": running.endpoint,
        "account": running.account,
        "key": running.key,
        "state": str(running.state),
        "pid": running.pid,
        "tenant": running.tenant,
        "ca": str(running.ca) if running.ca else None,
        "switches": dict(running.switches),
        "host": running.host,
        "chaos": running.chaos,
    }
    if format_ == "json":
        print(json.dumps(facts, indent=2))
    else:
        print(
            f"export AZURE_BATCH_ENDPOINT={running.endpoint}\n"
            f"export AZURE_BATCH_ACCOUNT={running.account}\n"
            f"export AZURE_BATCH_ACCESS_KEY={running.key}\n"
            f"# process {running.pid}, state in {running.state}"
        )
        if running.ca:
            print(f"export REQUESTS_CA_BUNDLE={running.ca}\nexport SSL_CERT_FILE={running.ca}")
        for name, value in running.switches.items():
            print(f"# switch {name}={value}")
        if running.chaos is not None:
            print(f"# chaos by seed {running.chaos}: requests fail and come late")
    return 0
