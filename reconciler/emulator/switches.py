"""What no source decides, as named choices, and how long things take here. Read by the engine and the wire.

Each default is the reading the project suggests; another reading can be tried by constructing other `Switches`.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.emulator.times import MINUTE, SECOND


@dataclass(frozen=True, slots=True)
class Switches:
    """Readings of behaviours that neither documents nor recordings settle."""

    clock_skew: int = 15 * MINUTE
    """How far the date of a signed request may be from now, in ticks (the storage service's rule)."""
    non_empty_pool_code: str = "OperationNotValidOnPool"
    """Answer (409) to a change that needs an empty pool; empty means current and target node counts are both 0."""
    steady_stopresize_code: str = "OperationNotValidOnPool"
    """Answer (409) to stopresize on a pool that is steady."""
    create_over_terminating_job_code: str = "JobBeingTerminated"
    """Answer (409) to the creation of a job whose id belongs to a terminating one; JobExists is the other reading."""
    enable_active_job_code: str = "OperationInvalidForCurrentState"
    """Answer (409) to enable on a job that is not disabled."""
    own_pool_in_patch_is_accepted: bool = True
    """Whether PATCH of an active job may name the pool the job has anyway."""
    release_without_preparation_code: str = "MissingRequiredProperty"
    """Answer to a job with a release task and no preparation task; names jobPreparationTask."""
    status_list_without_tasks_code: str = "JobPreparationTaskOrReleaseTaskNotSpecified"
    """Answer (409) of the status list for a job with neither task (recorded in 2020; documents name another)."""
    reimage_code: str = "OperationNotValidOnNode"
    """Answer (409) to reimage (recorded in 2018 to 2020 for pools of virtual machines)."""
    preparation_survives_disable: bool = True
    """Whether a preparation that is running when its job is disabled may end by itself."""
    release_after_unfinished_preparation: bool = False
    """Whether release runs on a node whose preparation was still running (and is ended) when the job ended."""
    terminating_waits_for_lost_nodes: bool = True
    """Whether a job waits for release on a node that cannot run tasks, until the pool drops the node."""
    force_skips_release: bool = True
    """Whether force=true on terminate or delete ends the job without waiting for release tasks."""
    empty_job_completes: bool = False
    """Whether onAllTasksComplete=terminatejob ends a job to which no task was ever added."""
    directory_delete_code: str = "OperationInvalidForCurrentState"
    """Answer (409) to the deletion of a directory that is not empty without recursive=true."""
    replace_completed_task_code: str = "TaskCompleted"
    """Answer (409) to PUT on a completed task."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long transitions take here, in ticks. On the real service most take seconds to minutes."""

    allocate: int = SECOND // 10
    """A resize request until its nodes exist or start to leave (R20: two seconds with no nodes at all)."""
    create_node: int = SECOND // 20
    start_node: int = SECOND // 10
    reboot_node: int = SECOND // 5
    leave_pool: int = SECOND // 10
    delete_pool: int = 3 * SECOND // 10
    """Least time a pool is shown as deleting (R26: about five seconds)."""
    delete_job: int = 3 * SECOND // 10
    """Least time a job is shown as deleting (R26: 16 seconds)."""
    terminate_job: int = SECOND // 10
    """Least time a job is shown as terminating (R24p: 0.6 seconds)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes the emulator refuses to exceed."""

    body_bytes: int = 1_048_576
    """G:BatchExplorer#1286: 413 with MaxLimit 1048576."""
    nodes_per_account: int = 10_000
    tasks_per_collection: int = 100
    remembered_requests: int = 20_000
    recent_tasks: int = 10
    resource_file_bytes: int = 1 << 30
