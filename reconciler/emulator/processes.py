"""Process groups of this machine: whether one is alive, ending it, ending whatever a node or task has left behind.

Also being told when one ends. Used by `nodes`. A process belongs to a node or task if its environment says so, which
also finds processes that have left their group or session. Without /proc only the group is ended.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from reconciler.emulator.ports import Meters

_PROC = Path("/proc")
_TICKS_PER_SECOND, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512  # bytes, whatever the disk's own blocks are (getrusage)
_PATIENCE = 2.0  # seconds for killed processes to go


class Bell:
    """Rings when one of the watched processes has ended, so that nobody has to look again and again.

    Where the system has no descriptors for processes there is nothing to wait for, and *descriptor* is None.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") and hasattr(os, "pidfd_open") else None
        self._watched: dict[int, int] = {}

    @property
    def descriptor(self) -> int | None:
        return None if self._epoll is None else self._epoll.fileno()

    def watch(self, pid: int) -> None:
        if self._epoll is None or pid in self._watched:
            return
        with suppress(OSError):  # gone already, or no descriptor is left: then it is noticed a little later
            descriptor = os.pidfd_open(pid)
            self._watched[pid] = descriptor
            self._epoll.register(descriptor, select.EPOLLIN)

    def forget(self, pid: int) -> None:
        descriptor = self._watched.pop(pid, None)
        if descriptor is not None:
            os.close(descriptor)


def birth(pid: int) -> str | None:
    """Start time of a live process, as the supervisor writes it; None if there is none. Without /proc an empty text."""
    if not _PROC.joinpath("self/stat").exists():
        with suppress(OSError):
            os.kill(pid, 0)
            return ""
        return None
    with suppress(OSError, IndexError):
        fields = _PROC.joinpath(str(pid), "stat").read_text().rpartition(") ")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return None


def is_alive(pid: int, born: str) -> bool:
    found = birth(pid)
    return found is not None and (not born or not found or found == born)


def has_meters() -> bool:
    return _PROC.joinpath("self/stat").exists()


def measure(sessions: Container[int]) -> Meters:
    """What the processes of those sessions use, and have used, those included that they have waited for."""
    total = Meters()
    for pid in _pids():
        with suppress(OSError, IndexError, ValueError):
            fields = _PROC.joinpath(str(pid), "stat").read_text().rpartition(") ")[2].split()
            if int(fields[3]) in sessions and fields[0] not in "ZX":
                io = dict(line.split(": ") for line in _PROC.joinpath(str(pid), "io").read_text().splitlines())
                total += Meters(
                    cpu_seconds=sum(map(int, fields[11:15])) / _TICKS_PER_SECOND,
                    memory=int(fields[21]) * _PAGE,
                    disk_read=int(io["read_bytes"]),
                    disk_written=int(io["write_bytes"]),
                )
    return total


def reap(child: subprocess.Popen[bytes]) -> Meters | None:
    """What an ended child has used, with all it has waited for; None while it lives."""
    pid, status, used = os.wait4(child.pid, os.WNOHANG)
    if pid == 0:
        return None
    child.returncode = os.waitstatus_to_exitcode(status)
    return Meters(
        cpu_seconds=used.ru_utime + used.ru_stime,
        disk_read=used.ru_inblock * _BLOCK,
        disk_written=used.ru_oublock * _BLOCK,
    )


def kill_group(pid: int, born: str) -> None:
    """End a supervisor's whole group, but only if the pid still means the process that was born then."""
    if not is_alive(pid, born):
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + _PATIENCE
    while is_alive(pid, born) and time.monotonic() < deadline:
        _reap(pid)
        time.sleep(0.001)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def kill_marked(markers: set[str]) -> None:
    """End every process whose environment holds one of the NAME=path markers or a path below, until none is left."""
    wanted = [b"\0" + os.fsencode(marker) + end for marker in sorted(markers) for end in (b"\0", b"/")]
    deadline = time.monotonic() + _PATIENCE
    while wanted and time.monotonic() < deadline:
        found = [pid for pid in _pids() if _is_marked(pid, wanted)]
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _pids() -> list[int]:
    with suppress(OSError):
        return [int(name) for name in os.listdir(_PROC) if name.isdigit() and int(name) != os.getpid()]  # noqa: PTH208
    return []


def _is_marked(pid: int, wanted: list[bytes]) -> bool:
    try:
        environment = b"\0" + _PROC.joinpath(str(pid), "environ").read_bytes() + b"\0"
    except OSError:
        return False
    return any(marker in environment for marker in wanted) and birth(pid) is not None
