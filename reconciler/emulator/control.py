"""Starting and stopping a local account from another process. Standard library only: it costs nothing to import.

Used by the command line and by tests. The account lives in a folder; its name, key and last address are in
`emulator.json` there, readable by the owner only.
"""

from __future__ import annotations

import base64
import fcntl
import getpass
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_ACCOUNT = "local"
IDLE_EXIT = 1800.0  # seconds; of an emulator started by `start`
HOST = "127.0.0.1"
_STOP_PATIENCE = 20.0
_KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"),
    *(
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ),
)
_PACKAGES = Path(__file__).resolve().parents[2]


class EmulatorError(Exception):
    """The emulator did not come up, or what was asked of it cannot be; the message says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """An emulator that answers."""

    endpoint: str
    account: str
    key: str
    pid: int
    state: Path
    tenant: str = ""
    """The tenant a bearer token has to be for."""
    ca: Path | None = None
    """With TLS: the certificate to trust."""
    switches: Mapping[str, str] = field(default_factory=dict)
    """The switches that are not at their default."""
    host: str = HOST
    """The address it listens on."""
    chaos: int | None = None
    """Seed of the mixture of faults it was started with."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an emulator is to be started. What is left at its default is not asked for: any will do."""

    port: int = 0
    """0: the port used before if it is free, or any."""
    tls: bool = False
    switches: Mapping[str, str] = field(default_factory=dict)
    """By name (see `switch_list`)."""
    chaos: int | None = None
    """Seed of a mixture of faults that is in force from the start."""
    host: str = HOST
    """The address to listen on. Beyond loopback, who has the key runs commands on this machine from elsewhere."""

    def arguments(self) -> list[str]:
        """Those of `python -m reconciler.emulator`."""
        chosen = [text for name, value in self.switches.items() for text in ("--switch", f"{name}={value}")]
        chaos = [] if self.chaos is None else [f"--chaos={self.chaos}"]
        return [f"--port={self.port}", f"--host={self.host}", *(["--tls"] if self.tls else []), *chaos, *chosen]

    def refused_by(self, running: Running) -> list[str]:
        """What is asked for and not so in the emulator that runs, as `option: what runs, not what is asked for`."""
        from reconciler.emulator import switch_list

        port = urlsplit(running.endpoint).port
        have, want = switch_list.readings(running.switches), switch_list.readings(self.switches)
        questions = (
            ("port", self.port, self.port in (0, port), port),
            ("host", self.host, self.host in (HOST, running.host), running.host),
            ("TLS", "on", not self.tls or running.ca is not None, "off"),
            (
                "chaos",
                self.chaos,
                self.chaos in (None, running.chaos),
                "off" if running.chaos is None else running.chaos,
            ),
            *((f"switch {name}", want[name], want[name] == have[name], have[name]) for name in self.switches),
        )
        return [f"{name}: {found}, not {asked}" for name, asked, is_so, found in questions if not is_so]


@dataclass(frozen=True, slots=True)
class Known:
    """What `emulator.json` says: the account, the port last used (0: none yet), the process if it runs."""

    account: str
    key: str
    port: int = 0
    pid: int | None = None
    tenant: str = ""
    ca: str | None = None
    switches: Mapping[str, str] = field(default_factory=dict)
    host: str = HOST
    chaos: int | None = None

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.ca else 'http'}://{url_host(self.host)}:{self.port}"


def url_host(host: str) -> str:
    """How this machine reaches an emulator that listens on *host*, as it stands in a URL."""
    address = ip_address(host)
    if address.is_unspecified:
        return HOST if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"


def warning(host: str) -> str | None:
    """What listening on that address means; None if nobody else can reach it."""
    if ip_address(host).is_loopback:
        return None
    return (
        f"listening on {host}, beyond this machine: whoever reaches the port and has the account's key or a token "
        f"for its tenant runs commands here as {getpass.getuser()}; there is no sandbox"
    )


def start(state: Path, options: Options | None = None, *, timeout: float = 20.0) -> Running:
    """The emulator of *state*, started detached unless it runs already. Two callers at once get the same one.

    *timeout* in seconds. Raises EmulatorError with the tail of its log if it does not come up, or with what differs if
    one runs that is not as *options* ask.
    """
    options = options or Options()
    _check(options)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(state / "start.lock"):
        running = status(state)
        if running is None:
            return _start(state.resolve(), options, timeout)
        if differences := options.refused_by(running):
            raise EmulatorError(
                f"an emulator runs on {state} already, at {running.endpoint} (process {running.pid}), with "
                f"{'; '.join(differences)}. Stop it first (reconciler emulator stop), or use another state directory"
            )
        return running


def _check(options: Options) -> None:
    from reconciler.emulator import switch_list

    try:
        switch_list.parse(options.switches)
        ip_address(options.host)
    except (switch_list.BadSwitch, ValueError) as error:
        raise EmulatorError(str(error)) from error


def _start(state: Path, options: Options, timeout: float) -> Running:
    log = state / "emulator.log"
    log.touch(mode=0o600)
    begin = log.stat().st_size
    pid = _spawn(state, options, log)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        running = status(state)
        if running is not None:
            return running
        if not _is_alive(pid):
            break
        time.sleep(0.02)
    raise EmulatorError(f"the emulator did not start on {state}:\n{_tail(log, begin)}")


def _spawn(state: Path, options: Options, log: Path) -> int:
    """Through a shell that ends at once, so that the emulator is nobody's child and outlives its starter."""
    command = [*command_line(state, options), "--idle-exit", f"{IDLE_EXIT:g}"]
    with log.open("ab") as out:
        done = subprocess.run(
            ["/bin/sh", "-c", 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!', "sh", str(log), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=out,
            start_new_session=True,
            env=environment(),
            check=True,
        )
    return int(done.stdout)


def command_line(state: Path, options: Options) -> list[str]:
    return [sys.executable, "-m", "reconciler.emulator", "--state", str(state), *options.arguments()]


def environment() -> dict[str, str]:
    """For the emulator's process: what a program needs, none of the caller's secrets."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"PYTHONPATH": str(_PACKAGES)}


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-20:]) or "(the log is empty)"


def status(state: Path) -> Running | None:
    """The emulator of *state* if it runs and answers, else None."""
    known = _read(state)
    if known is None or known.pid is None or not known.port:
        return None
    ca = Path(known.ca) if known.ca else None
    if _health(known.endpoint, ca) != {"account": known.account, "pid": known.pid}:
        return None
    return Running(
        known.endpoint,
        known.account,
        known.key,
        known.pid,
        state,
        known.tenant,
        ca,
        known.switches,
        known.host,
        known.chaos,
    )


def connect(endpoint: str, ca: Path | None, timeout: float) -> http.client.HTTPConnection:
    """A connection to the emulator on this machine, over TLS if it has a certificate."""
    address = urlsplit(endpoint)
    host, port = address.hostname or HOST, address.port
    if ca is None:
        return http.client.HTTPConnection(host, port, timeout=timeout)
    import ssl

    return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context(cafile=str(ca)))


def _health(endpoint: str, ca: Path | None) -> object:
    try:
        connection = connect(endpoint, ca, 2.0)
    except OSError:
        return None
    try:
        connection.request("GET", "/$emulator/health")
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def stop(state: Path) -> bool:
    """End all task processes and the server; True if it ran. What was queued runs again after the next start."""
    running = status(state)
    known = _read(state)
    if running is not None:
        _end_process(running.pid)
    elif (state / "nodes").is_dir():
        from reconciler.emulator.nodes import ProcessNodes

        ProcessNodes(state).stop()  # tasks of an emulator that was killed
    if known is not None:
        write_account(state, replace(known, pid=None))
    return running is not None


def _end_process(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_PATIENCE
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    if _is_alive(pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    from reconciler.emulator.processes import birth

    return birth(pid) is not None


def reset(state: Path) -> str | None:
    """Stop, and forget pools, jobs and nodes. The account keeps its name and key. Where it served last; None where it
    never did."""
    stop(state)
    known = _read(state)
    for path in state.glob("account.sqlite*"):
        path.unlink()
    for folder in ("nodes", "trash"):
        shutil.rmtree(state / folder, ignore_errors=True)
    return known.endpoint if known is not None and known.port else None


# --- emulator.json


def read_account(state: Path) -> Known:
    """The account of *state*, made with a random key on first use."""
    known = _read(state)
    if known is None:
        known = Known(DEFAULT_ACCOUNT, base64.b64encode(secrets.token_bytes(64)).decode())
    if not known.tenant:
        known = replace(known, tenant=str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)))
        write_account(state, known)
    return known


def _read(state: Path) -> Known | None:
    try:
        values = json.loads((state / "emulator.json").read_text())
        later = {name: values[name] for name in ("tenant", "ca", "switches", "host", "chaos") if name in values}
        return Known(values["account"], values["key"], values["port"], values["pid"], **later)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_account(state: Path, known: Known) -> None:
    """Whole or not at all, readable by the owner only."""
    part = state / f"emulator.json.{os.getpid()}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(known) | {"endpoint": known.endpoint}, file)
    part.replace(state / "emulator.json")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
