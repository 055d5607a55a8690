"""`python -m reconciler.emulator --state DIR`: run one local account in the foreground until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from dataclasses import replace
from pathlib import Path

from reconciler.emulator import control, switch_list
from reconciler.emulator.server import Server, Settings
from reconciler.emulator.switches import Switches


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m reconciler.emulator", description="A local Azure Batch account.")
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps the account")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: the one used before, or any)")
    parser.add_argument("--host", default=control.HOST, help="address to listen on (default: %(default)s)")
    parser.add_argument("--idle-exit", type=float, default=None, help="end after so many seconds without work")
    parser.add_argument("--tls", action="store_true", help="serve https, with a certificate of its own")
    parser.add_argument("--switch", action="append", default=[], metavar="NAME=VALUE", help="a reading (repeatable)")
    parser.add_argument("--chaos", type=int, metavar="SEED", help="let requests fail and come late, drawn by this seed")
    arguments = parser.parse_args()
    try:
        switches, warning = switch_list.parse(arguments.switch), control.warning(arguments.host)
    except (switch_list.BadSwitch, ValueError) as error:
        parser.error(str(error))
    if warning:
        sys.stderr.write(f"warning: {warning}\n")
    gc.set_threshold(100_000, 50, 50)  # what an account holds stays for long: looking through it often is in vain
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    state: Path = arguments.state.resolve()
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "server.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"an emulator already runs on {state}\n")
            return 1
        return _serve(state, arguments, switches)


def _serve(state: Path, arguments: argparse.Namespace, switches: Switches) -> int:
    known = control.read_account(state)
    try:
        sock = _bind(arguments.host, arguments.port, known.port)
    except OSError as error:
        sys.stderr.write(f"port {arguments.port} cannot be used: {error}\n")
        return 1
    tls, ca = _certificate(state / "tls", arguments.host) if arguments.tls else (None, None)
    settings = Settings(
        state,
        known.account,
        known.key,
        sock.getsockname()[1],
        idle_exit=arguments.idle_exit,
        tenant=known.tenant,
        tls=tls,
        switches=switches,
        chaos=arguments.chaos,
        host=arguments.host,
    )
    known = replace(
        known,
        port=settings.port,
        pid=os.getpid(),
        ca=ca,
        switches=switch_list.changed(switches),
        host=settings.host,
        chaos=settings.chaos,
    )
    asyncio.run(_run(settings, sock, known))
    control.write_account(state, replace(known, pid=None))
    return 0


def _certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, str]:
    from reconciler.emulator import tls

    return tls.prepare(folder, host), str(folder / tls.CA)


def _bind(host: str, port: int, before: int) -> socket.socket:
    """The port asked for; else the one used before if it is free, so that clients find the account again; else any."""
    for candidate in [port] if port else [before, 0]:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, candidate))
        except OSError:
            sock.close()
            if candidate in (port, 0):
                raise
        else:
            return sock
    raise OSError("no port is free")


async def _run(settings: Settings, sock: socket.socket, known: control.Known) -> None:
    server, listening = Server(settings), asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, server.end)
    serving = asyncio.create_task(server.run(listening, sock))
    told = asyncio.create_task(listening.wait())
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    if listening.is_set():
        control.write_account(settings.state, known)
        sys.stdout.write(f"{known.endpoint}\n" + (f"certificate to trust: {known.ca}\n" if known.ca else ""))
        sys.stdout.flush()
    told.cancel()
    await serving


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without waiting for downloads of resource files that nobody needs any more
