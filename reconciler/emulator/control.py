"""Starting and stopping a local account from another process. Standard library only: it costs nothing to import.

Used by the command line and by tests. The account lives in a folder; its name, key and last address are in
`emulator.json` there, readable by the owner only.
"""

from __future__ import annotations

import base64
import fcntl
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
from pathlib import Path

DEFAULT_ACCOUNT = "local"
IDLE_EXIT = 1800.0  # seconds; of an emulator started by `start`
_HOST = "127.0.0.1"
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
    """The emulator did not come up; the message ends with the last lines of its log."""


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

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.ca else 'http'}://{_HOST}:{self.port}"


def start(
    state: Path, *, port: int = 0, timeout: float = 20.0, tls: bool = False, switches: Mapping[str, str] | None = None
) -> Running:
    """The emulator of *state*, started detached unless it runs already. Two callers at once get the same one.

    *timeout* in seconds. *switches* by name (see `switch_list`). Raises EmulatorError with the tail of its log if it
    does not come up, or if one runs that was started without TLS or with other switches than are asked for here.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(state / "start.lock"):
        running = status(state)
        if running is None:
            return _start(state.resolve(), options(port, tls=tls, switches=switches), timeout)
        if tls and running.ca is None:
            raise EmulatorError("the emulator runs without TLS: stop it first")
        if any(running.switches.get(name) != value for name, value in (switches or {}).items()):
            raise EmulatorError("the emulator runs with other switches: stop it first")
        return running


def options(port: int = 0, *, tls: bool = False, switches: Mapping[str, str] | None = None) -> list[str]:
    """Arguments for `python -m reconciler.emulator`."""
    chosen = [text for name, value in (switches or {}).items() for text in ("--switch", f"{name}={value}")]
    return ["--port", str(port), *(["--tls"] if tls else []), *chosen]


def _start(state: Path, arguments: list[str], timeout: float) -> Running:
    log = state / "emulator.log"
    log.touch(mode=0o600)
    begin = log.stat().st_size
    pid = _spawn(state, arguments, log)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        running = status(state)
        if running is not None:
            return running
        if not _is_alive(pid):
            break
        time.sleep(0.02)
    raise EmulatorError(f"the emulator did not start on {state}:\n{_tail(log, begin)}")


def _spawn(state: Path, arguments: list[str], log: Path) -> int:
    """Through a shell that ends at once, so that the emulator is nobody's child and outlives its starter."""
    command = [*command_line(state), *arguments, "--idle-exit", f"{IDLE_EXIT:g}"]
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


def command_line(state: Path, port: int = 0) -> list[str]:
    return [sys.executable, "-m", "reconciler.emulator", "--state", str(state), "--port", str(port)]


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
    if _health(known.port, ca) != {"account": known.account, "pid": known.pid}:
        return None
    return Running(known.endpoint, known.account, known.key, known.pid, state, known.tenant, ca, known.switches)


def connect(port: int, ca: Path | None, timeout: float) -> http.client.HTTPConnection:
    """A connection to the emulator on this machine, over TLS if it has a certificate."""
    if ca is None:
        return http.client.HTTPConnection(_HOST, port, timeout=timeout)
    import ssl

    return http.client.HTTPSConnection(_HOST, port, timeout=timeout, context=ssl.create_default_context(cafile=str(ca)))


def _health(port: int, ca: Path | None) -> object:
    try:
        connection = connect(port, ca, 2.0)
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


def reset(state: Path) -> None:
    """Stop, and forget pools, jobs and nodes. The account keeps its name and key."""
    stop(state)
    for path in state.glob("account.sqlite*"):
        path.unlink()
    for folder in ("nodes", "trash"):
        shutil.rmtree(state / folder, ignore_errors=True)


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
        later = {name: values[name] for name in ("tenant", "ca", "switches") if name in values}
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
