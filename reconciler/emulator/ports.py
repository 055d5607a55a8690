"""How the engine meets the world: nodes that run commands, and a place that keeps state.

The engine decides; a driver acts. The process driver (`nodes`) uses real process groups and the wall clock; another one
may simulate on a virtual clock.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a command on a node. Paths are relative to the node's root directory."""

    run: str
    pool: str
    node: str
    directory: str
    """The task directory; the working directory is `wd` in it."""
    command_line: str
    variables: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    """Environment variables whose value is a path on the node."""
    files: tuple[Mapping[str, Any], ...] = ()
    """Resource files to fetch before the start, in the service's shape."""
    common_files: tuple[Mapping[str, Any], ...] = ()
    """Likewise, but for the task directory instead of the working directory."""
    packages: tuple[Mapping[str, Any], ...] = ()
    """Application packages to install before the start: id, version, and the variable for the directory."""
    outputs: tuple[Mapping[str, Any], ...] = ()
    """Output files to upload after the end, in the service's shape."""
    may_be_retried: bool = False
    """Another try follows a non-zero exit, so outputs of failures are not to be uploaded yet."""
    keeps_names: bool = False
    """Names of uploaded blobs begin with the folders before the first wildcard of the pattern."""
    installs_only: bool = False
    """Only the packages are to be put in place; there is no command."""
    follows: bool = False
    """A command ran in the directory before as part of the same try: its output is kept."""


@dataclass(frozen=True, slots=True)
class Meters:
    """What commands use: processor time and bytes on disks since the driver was made, and memory at the moment."""

    cpu_seconds: float = 0.0
    memory: int = 0
    disk_read: int = 0
    disk_written: int = 0

    def __add__(self, other: Meters) -> Meters:
        return Meters(
            self.cpu_seconds + other.cpu_seconds,
            self.memory + other.memory,
            self.disk_read + other.disk_read,
            self.disk_written + other.disk_written,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a run: an exit code, or a problem before the start, or neither when it was lost."""

    run: str
    at: int
    exit_code: int | None = None
    problem: str | None = None
    """A failure code of the service's, such as CommandProgramNotFound."""
    detail: str = ""
    upload_problem: str | None = None
    """A failure code of the service's if an output file could not be uploaded; *detail* is about that then."""


class NodeDriver(Protocol):
    """The nodes' side. Calls return at once; what ends later is told by `poll`."""

    @property
    def runs_commands(self) -> bool:
        """Whether commands are run. Where none is, the account also takes what this machine could not do for them."""

    def make_node(self, pool: str, node: str) -> None:
        """Bring up the directories of a node; again after a reboot."""

    def drop_node(self, pool: str, node: str) -> None:
        """End whatever runs on the node and remove its directories."""

    def stop_node(self, pool: str, node: str) -> None:
        """End whatever runs on the node, background processes included, as a reboot does."""

    def clean_up(self, nodes: Container[tuple[str, str]], jobs: Container[str], runs: Container[str]) -> None:
        """After a restart: remove and end all that belongs to other nodes (pool, node id), jobs (directories), runs."""

    def start(self, launch: Launch) -> None:
        """Start a command. A launch already started before a restart of the emulator is taken over, not repeated."""

    def kill(self, run: str) -> None:
        """End a run with everything it started. Its processes are gone when this returns; no `Ended` follows."""

    def remove(self, pool: str, node: str, directory: str) -> None:
        """Remove a task directory, and end what still runs from it."""

    def end_leftovers(self, pool: str, node: str, directory: str) -> None:
        """End what commands have left running in the background of a task directory."""

    def measure(self, pool: str) -> Meters | None:
        """What all commands on nodes of the pool have used; None if the driver has no meters."""

    def poll(self, now: int) -> Iterable[Ended]:
        """The runs that have ended since the last call."""

    def next_due(self) -> int | None:
        """When `poll` will have news, if the driver can know; a driver of real processes cannot."""


class Nodes(NodeDriver, Protocol):
    """A driver with what a server needs beside the engine: files to show, when to look again, an end."""

    def root(self, pool: str, node: str) -> Path:
        """The directory of this machine that holds the node's files."""

    def is_running(self) -> bool:
        """Whether anything is under way whose end only `poll` can tell."""

    def is_lively(self) -> bool:
        """Whether more may happen soon, so that it is worth while to poll often."""

    def bell(self) -> int | None:
        """A descriptor that can be read from while `poll` has news; None if only asking again and again can tell."""

    def stop(self) -> None:
        """End everything that runs on any node."""


class Store(Protocol):
    """Where state survives. A change is kept once `save` has returned."""

    @property
    def keeps(self) -> bool:
        """Whether it wants to be told of changes at all."""

    def load(self) -> tuple[dict[str, dict[str, dict[str, Any]]], int]:
        """All rows by table and key, and the last serial number given out."""

    def save(self, changes: Mapping[tuple[str, str], dict[str, Any] | None], serial: int) -> None:
        """Write rows (None removes one) in one transaction."""

    def close(self) -> None:
        """Nothing more will be saved."""
