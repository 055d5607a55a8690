"""The process driver: nodes are directories on this machine, commands are real process groups on the wall clock.

The engine calls it through `ports.NodeDriver`. Each command runs under `supervisor.sh`, which outlives the emulator, so
that after a restart live commands are taken over and ended ones read; what is known of a run is in its control
directory, `<task directory>/.control/<run>`, which the file operations do not show.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Container, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.emulator import packages, uploads
from reconciler.emulator.ports import Ended, Launch, Meters
from reconciler.emulator.processes import (
    Bell,
    has_meters,
    is_alive,
    kill_group,
    kill_marked,
    measure,
    reap,
)
from reconciler.emulator.records import fold
from reconciler.emulator.staging import StagingError, fetch_all
from reconciler.emulator.switches import Limits
from reconciler.emulator.times import from_unix_ns
from reconciler.emulator.uploads import UploadError

CONTROL = ".control"
FOLDERS = ("shared", "startup", "volatile", "applications", "fsmounts", "workitems")
_SUPERVISOR = Path(__file__).with_name("supervisor.sh")
_KILLED = 128 + signal.SIGKILL  # of a command that ended its whole group, or that ran the machine out of memory
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CLAIM_GRACE = 5.0  # seconds a supervisor may need from making its pid file to writing it


@dataclass(slots=True)
class _Live:
    """A run under way: fetching its files, or under a supervisor that is our child or was taken over."""

    launch: Launch
    directory: Path
    control: Path
    staging: Future[dict[str, str]] | None = None
    installed: dict[str, str] = field(default_factory=dict)
    """Variables for the directories of application packages."""
    child: subprocess.Popen[bytes] | None = None
    upload: Future[None] | None = None
    exit: tuple[int, int] | None = None
    """Exit code and time of the command, while its output files are uploaded."""
    killed: bool = False
    taken: bool = False
    """Its supervisor has been seen at work since the emulator was started."""


class ProcessNodes:
    """Nodes below one directory of this machine."""

    runs_commands = True

    def __init__(self, state: Path, limits: Limits | None = None) -> None:
        self._nodes = state.resolve() / "nodes"
        self._trash = state.resolve() / "trash"
        self._limits = limits or Limits()
        self._live: dict[str, _Live] = {}
        self._ended: list[Ended] = []
        self._markers: set[str] = set()
        self._last_event = 0.0
        self._bell = Bell()
        self._used: dict[str, Meters] = {}
        """What ended commands have used, by pool."""
        self._shelf = state.resolve() / packages.FOLDER
        self._fetchers = ThreadPoolExecutor(4, "fetch")
        self._uploaders = ThreadPoolExecutor(4, "upload")
        self._cleaner = ThreadPoolExecutor(1, "clean")
        self._trash.mkdir(parents=True, exist_ok=True)
        self._cleaner.submit(self._empty_trash)

    def root(self, pool: str, node: str) -> Path:
        """The node's root directory."""
        return self._nodes / pool / node

    # --- nodes

    def make_node(self, pool: str, node: str) -> None:
        for folder in FOLDERS:
            (self.root(pool, node) / folder).mkdir(parents=True, exist_ok=True)

    def stop_node(self, pool: str, node: str) -> None:
        for run, live in list(self._live.items()):
            if (live.launch.pool, live.launch.node) == (pool, node):
                self.kill(run)
        self._markers.add(f"AZ_BATCH_NODE_ROOT_DIR={self.root(pool, node)}")
        self._sweep()

    def drop_node(self, pool: str, node: str) -> None:
        self.stop_node(pool, node)
        self._discard(self.root(pool, node))
        with suppress(OSError):
            self.root(pool, node).parent.rmdir()

    def remove(self, pool: str, node: str, directory: str) -> None:
        path = self.root(pool, node) / directory
        self._markers.add(f"AZ_BATCH_TASK_DIR={path}")
        self._sweep()
        self._discard(path)
        if directory.count("/") == 2:  # a job's: the folder around it goes with the last of a schedule's jobs
            with suppress(OSError):
                path.parent.rmdir()

    def end_leftovers(self, pool: str, node: str, directory: str) -> None:
        self._markers.add(f"AZ_BATCH_TASK_DIR={self.root(pool, node) / directory}")

    def clean_up(self, nodes: Container[tuple[str, str]], jobs: Container[str], runs: Container[str]) -> None:
        """Finish what a killed emulator had decided but not yet done: nodes, jobs and runs it no longer knows go."""
        for control in [*self._nodes.glob(f"*/*/startup/{CONTROL}/*"), *self._nodes.glob(f"*/*/*/*/*/*/{CONTROL}/*")]:
            pid, born = _read_pid(control)
            if control.name not in runs and pid is not None and _read_exit(control) is None:
                kill_group(pid, born)
                self._markers.add(f"AZ_BATCH_TASK_DIR={control.parent.parent}")
        for root in self._nodes.glob("*/*"):
            if (root.parent.name, root.name) not in nodes:
                self.drop_node(root.parent.name, root.name)
                continue
            for job in root.glob("workitems/*/*"):
                directory = str(job.relative_to(root))
                if directory not in jobs:
                    self.remove(root.parent.name, root.name, directory)
        self._sweep()

    def _discard(self, path: Path) -> None:
        """Gone from sight at once; the deletion itself may take its time."""
        if not path.is_dir():
            return
        grave = self._trash / uuid.uuid4().hex
        with suppress(PermissionError):
            path.chmod(0o700)
        path.rename(grave)
        self._cleaner.submit(_delete_tree, grave)

    def _empty_trash(self) -> None:
        for grave in self._trash.iterdir():
            _delete_tree(grave)

    # --- runs

    def start(self, launch: Launch) -> None:
        self._sweep()
        self._last_event = time.monotonic()
        directory = self.root(launch.pool, launch.node) / launch.directory
        live = _Live(launch, directory, directory / CONTROL / launch.run)
        try:
            (directory / "wd").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._fail(live, "ResourceDirectoryCreateFailed", str(error))
            return
        self._live[launch.run] = live
        if (live.control / "pid").exists():
            return  # started before a restart of the emulator: taken over
        if launch.files or launch.common_files or launch.packages:
            live.staging = self._fetchers.submit(self._stage, launch, directory)
        else:
            self._spawn(live)

    def _stage(self, launch: Launch, directory: Path) -> dict[str, str]:
        """Packages and files, in a thread; the variables that say where the packages are."""
        root, limit = self.root(launch.pool, launch.node), self._limits.resource_file_bytes
        found = {one["variable"]: str(packages.install(self._shelf, root, dict(one))) for one in launch.packages}
        fetch_all(launch.common_files, directory, limit)
        fetch_all(launch.files, directory / "wd", limit)
        return found

    def _spawn(self, live: _Live) -> None:
        """Start the supervisor. Command lines are split as exec wants them; no shell is implied (M:BatchTask)."""
        environment = self._environment(live)
        if live.launch.installs_only:
            del self._live[live.launch.run]
            self._ended.append(Ended(live.launch.run, from_unix_ns(time.time_ns()), exit_code=0))
            return None
        try:
            arguments = shlex.split(live.launch.command_line)
        except ValueError as error:
            return self._fail(live, "CommandLaunchFailed", str(error))
        program = _find_program(arguments, live.directory / "wd", environment["PATH"])
        if program is None:
            return self._fail(live, "CommandProgramNotFound", "No such file or directory")
        try:
            mode = "wb" if _make_control(live.control) and not live.launch.follows else "ab"
            with (live.directory / "stdout.txt").open(mode) as out, (live.directory / "stderr.txt").open(mode) as err:
                live.child = subprocess.Popen(
                    ["/bin/sh", str(_SUPERVISOR), str(live.control), program, *arguments[1:]],
                    cwd=live.directory / "wd",
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
        except OSError as error:
            return self._fail(live, "CommandLaunchFailed", str(error))
        self._bell.watch(live.child.pid)
        return None

    def _environment(self, live: _Live) -> dict[str, str]:
        """Only what the service documents, and what any program needs; nothing of the emulator's own."""
        root = self.root(live.launch.pool, live.launch.node)
        own = {
            "PATH": os.environ.get("PATH", _DEFAULT_PATH),
            "HOME": str(live.directory / "wd"),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }
        paths = {name: str(root / relative) for name, relative in live.launch.paths.items()}
        return own | live.installed | dict(live.launch.variables) | paths

    def _fail(self, live: _Live, code: str, detail: str) -> None:
        """The command could not be started; its output files exist, empty (R20:files)."""
        self._live.pop(live.launch.run, None)
        with suppress(OSError):
            (live.directory / "stdout.txt").touch()
            (live.directory / "stderr.txt").touch()
        self._ended.append(Ended(live.launch.run, from_unix_ns(time.time_ns()), problem=code, detail=detail))

    def kill(self, run: str) -> None:
        live = self._live.pop(run, None)
        if live is None:
            return
        live.killed = True
        if live.staging is not None:
            live.staging.cancel()
        pid, born = _read_pid(live.control)
        if live.child is not None:
            pid, born = live.child.pid, ""
        if pid is not None and (live.child is None or live.child.poll() is None):
            kill_group(pid, born)
        if live.child is not None:
            live.child.wait()
        if pid is not None:
            self._bell.forget(pid)
        self._markers.add(f"AZ_BATCH_TASK_DIR={live.directory}")

    def _sweep(self) -> None:
        """End what killed runs and stopped nodes have left outside their process groups."""
        markers, self._markers = self._markers, set()
        if markers:
            kill_marked(markers)

    def poll(self, now: int) -> list[Ended]:
        self._sweep()
        for live in list(self._live.values()):
            if live.staging is not None:
                self._check_staging(live)
            elif live.upload is not None:
                self._check_upload(live)
            else:
                self._check_process(live)
        ended, self._ended = self._ended, []
        if ended:
            self._last_event = time.monotonic()
        return ended

    def next_due(self) -> int | None:
        return None

    def measure(self, pool: str) -> Meters | None:
        """Of the machine's own accounts. What a command has put into a session of its own is not found."""
        if not has_meters():
            return None
        leaders = set()
        for live in self._live.values():
            if fold(live.launch.pool) == fold(pool) and live.staging is None and live.upload is None:
                leaders.add(live.child.pid if live.child is not None else _read_pid(live.control)[0])
        return self._used.get(fold(pool), Meters()) + measure({pid for pid in leaders if pid is not None})

    def is_running(self) -> bool:
        """Whether anything is under way whose end only `poll` can tell."""
        return bool(self._live or self._ended or self._markers)

    def bell(self) -> int | None:
        """Readable while the supervisor of a run has ended and `poll` has not been called since."""
        return self._bell.descriptor

    def is_lively(self) -> bool:
        """Whether a run was started or has ended within the last second, so that more may happen soon."""
        return time.monotonic() - self._last_event < 1.0

    def _check_staging(self, live: _Live) -> None:
        if live.staging is None or not live.staging.done():
            return
        failure = live.staging.exception()
        live.installed = {} if failure else live.staging.result()
        live.staging = None
        if isinstance(failure, StagingError):
            self._fail(live, failure.code, failure.detail)
        elif failure is not None:
            raise failure
        else:
            self._spawn(live)

    def _check_process(self, live: _Live) -> None:
        """Tell the end, if it has come: of a child, or of a supervisor started before a restart."""
        if live.child is not None:
            used = reap(live.child)
            if used is None:
                return
            self._used[fold(live.launch.pool)] = self._used.get(fold(live.launch.pool), Meters()) + used
        pid, born = _read_pid(live.control)
        ended = _read_exit(live.control)
        if live.child is not None:
            self._bell.forget(live.child.pid)
            live.taken = pid == live.child.pid
            live.child = None
        if ended is None and _may_live(live.control, pid, born):
            if pid is not None:
                live.taken = True
                self._bell.watch(pid)
            return
        if pid is not None:
            self._bell.forget(pid)
        ended = ended or _read_exit(live.control)  # it may have been written since
        if ended is None and live.taken:
            ended = _KILLED, from_unix_ns(time.time_ns())
        if ended is None:
            self._lose(live)
        else:
            self._report(live, *ended)

    def _lose(self, live: _Live) -> None:
        """While no emulator was there to see, the machine was restarted, or somebody has ended the run."""
        del self._live[live.launch.run]
        self._markers.add(f"AZ_BATCH_TASK_DIR={live.directory}")
        self._ended.append(Ended(live.launch.run, from_unix_ns(time.time_ns())))

    def _report(self, live: _Live, code: int, at: int) -> None:
        """Ended; over only when its output files are uploaded."""
        launch = live.launch
        due = [one for one in launch.outputs if uploads.is_due(one, code, may_be_retried=launch.may_be_retried)]
        if due:
            live.exit = code, at
            live.upload = self._uploaders.submit(self._upload, live, due)
        else:
            del self._live[launch.run]
            self._ended.append(Ended(launch.run, at, exit_code=code))

    def _upload(self, live: _Live, due: list[Mapping[str, Any]]) -> None:
        """In a thread. Done once: a mark says so, in case the emulator is killed before it has noted the end."""
        mark = live.control / "uploaded"
        if not mark.exists():
            environment, keeps = self._environment(live), live.launch.keeps_names
            uploads.upload_all(due, live.directory, environment, lambda: live.killed, keeps_names=keeps)
            mark.touch()

    def _check_upload(self, live: _Live) -> None:
        """The task is over when its output files are uploaded, or could not be (D:batch-task-output-files)."""
        if live.upload is None or live.exit is None or not live.upload.done():
            return
        failure, (code, at) = live.upload.exception(), live.exit
        del self._live[live.launch.run]
        if failure is None:
            self._ended.append(Ended(live.launch.run, max(at, from_unix_ns(time.time_ns())), exit_code=code))
            return
        known = failure if isinstance(failure, UploadError) else UploadError("FileUploadMiscError", str(failure))
        if not isinstance(failure, UploadError | OSError):
            raise failure
        now = from_unix_ns(time.time_ns())
        ended = Ended(live.launch.run, now, exit_code=code, detail=known.detail, upload_problem=known.code)
        self._ended.append(ended)

    def stop(self) -> None:
        """End everything that runs on any node."""
        for run in list(self._live):
            self.kill(run)
        for pool in self._nodes.glob("*/*"):
            self._markers.add(f"AZ_BATCH_NODE_ROOT_DIR={pool}")
        self._sweep()


def _make_control(control: Path) -> bool:
    """Make the directory; False if it was there, so that a supervisor of this run may have begun to write output."""
    try:
        control.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def _may_live(control: Path, pid: int | None, born: str) -> bool:
    if pid is not None:
        return is_alive(pid, born)
    with suppress(OSError):
        return time.time() - (control / "pid").stat().st_mtime < _CLAIM_GRACE
    return False


def _read_pid(control: Path) -> tuple[int | None, str]:
    try:
        pid, _, born = _read_line(control / "pid").partition(" ")
        return int(pid), born
    except (OSError, ValueError):
        return None, ""


def _read_exit(control: Path) -> tuple[int, int] | None:
    """Exit code and time, if the supervisor has written them."""
    file = control / "exit"
    try:
        return int(_read_line(file)), from_unix_ns(file.stat().st_mtime_ns)
    except (OSError, ValueError):
        return None


def _read_line(file: Path) -> str:
    """A line of the supervisor's; ValueError while it is not written to its end."""
    text = file.read_text()
    if not text.endswith("\n"):
        raise ValueError(f"{file} is not whole")
    return text.strip()


def _find_program(arguments: list[str], directory: Path, path: str) -> str | None:
    if not arguments or not arguments[0]:
        return None
    if "/" in arguments[0]:
        return shutil.which(str(directory / arguments[0]))
    return shutil.which(arguments[0], path=path)


def _delete_tree(path: Path) -> None:
    """Also if the task took its own rights away; what cannot be removed stays in the trash for the next start."""
    for folder, names, _ in os.walk(path):
        for name in names:
            with suppress(OSError):
                child = Path(folder, name)
                if not child.is_symlink():
                    child.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
