"""What no source decides, as named choices, and how long things take here. Read by the engine and the wire.

Each default is the reading the project suggests; another reading can be tried by constructing other `Switches`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reconciler.emulator.times import MINUTE, SECOND


@dataclass(frozen=True, slots=True)
class Switches:
    """Readings of behaviours that neither documents nor recordings settle. Times are in ticks here, and given and
    listed in seconds everywhere else (`switch_list`)."""

    clock_skew: int = 15 * MINUTE
    """How far the date of a signed request may be from now (15 minutes is the storage service's rule)."""
    refused_token_status: Literal["403", "401"] = "403"
    """Status of the answer to a request without or with a refused bearer token; 401 comes with WWW-Authenticate."""
    non_empty_pool_code: str = "OperationNotValidOnPool"
    """Answer (409) to a change that needs an empty pool."""
    empty_pool_counts: Literal["current-and-target", "current", "target"] = "current-and-target"
    """Which node counts of a pool must be 0 for it to be empty."""
    steady_stopresize_code: str = "OperationNotValidOnPool"
    """Answer (409) to stopresize on a pool that is steady."""
    autoscale_on_code: str = "OperationNotValidOnPool"
    """Answer (409) to resize on a pool with autoscale."""
    autoscale_off_code: str = "OperationNotValidOnPool"
    """Answer (409) to disableautoscale and evaluateautoscale on a pool without autoscale."""
    disable_autoscale_changes_etag: bool = False
    """Whether disableautoscale gives the pool a new ETag (recorded so in one session of 2020, not in three others)."""
    disable_autoscale_stops_resize: bool = True
    """Whether disableautoscale stops the resize that is under way (recorded in 2018)."""
    evaluate_syntax_error_code: str = "AutoScalingFormulaEvaluationError"
    """Code inside the run that evaluateautoscale answers for a formula that cannot be parsed;
    AutoScalingFormulaSyntaxError is the other reading."""
    autoscale_rounding: str = "down"
    """What becomes of a target that is no whole number: down, nearest or up."""
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
    reimage_is_accepted: bool = False
    """Whether a node can be reimaged; else 409 OperationNotValidOnNode (recorded in 2018 for virtual machines)."""
    preparation_survives_disable: bool = True
    """Whether a preparation that is running when its job is disabled may end by itself."""
    release_after_unfinished_preparation: bool = False
    """Whether release runs on a node whose preparation was still running (and is ended) when the job ended."""
    terminating_waits_for_lost_nodes: bool = True
    """Whether a job waits for release on a node that cannot run tasks, until the pool drops the node."""
    delete_while_terminating: Literal["wait", "cut", "again"] = "wait"
    """What deleting a terminating job does to its release: lets it end, ends it at once, or runs it once more."""
    release_on_leaving_nodes: Literal["none", "finish", "run"] = "none"
    """Release on a node that leaves its pool: ended with the node; let end if it runs; or run where it is owed, even
    if the job goes on. With the last two the node leaves afterwards."""
    force_skips_release: bool = True
    """Whether force=true on terminate or delete ends the job without waiting for release tasks."""
    empty_job_completes: bool = False
    """Whether onAllTasksComplete=terminatejob ends a job to which no task was ever added."""
    directory_delete_code: str = "OperationInvalidForCurrentState"
    """Answer (409) to the deletion of a directory that is not empty without recursive=true."""
    terminated_schedule_reason: Literal["TerminateWorkitem", "TerminateJobSchedule"] = "TerminateWorkitem"
    """terminateReason of a job whose schedule was terminated: as recorded in 2024, or as documented."""
    create_over_schedule_tells_its_state: bool = True
    """Whether the answer (409) to the creation of a schedule whose id belongs to a terminating or completed one is
    JobScheduleBeingTerminated or JobScheduleCompleted, as with jobs; False: JobScheduleExists."""
    schedule_etag_follows_jobs: bool = False
    """Whether a schedule gets a new ETag when it makes a job (in 2020 the ETag after its first job was the old one)."""
    replace_completed_task_code: str = "TaskCompleted"
    """Answer (409) to PUT on a completed task."""
    dependencies_not_enabled_code: str = "UnsupportedProperty"
    """Answer (400) to a task with dependsOn in a job without usesTaskDependencies (reported in 2022 and 2025);
    documents name TaskDependenciesNotSpecifiedOnJob."""
    zero_padded_ids_count_in_ranges: bool = False
    """Whether task ids such as 007 belong to taskIdRanges; else only plainly written numbers do."""
    deleted_task_still_satisfies: bool = True
    """Whether tasks that depend on a task which succeeded and was then deleted can run."""
    upload_after_each_try: bool = False
    """Whether output files are uploaded after a failed try that is followed by a retry, too."""
    upload_error_hides_exit_code: bool = False
    """Whether failureInfo tells of a failed upload even if the task also exited with a failure code."""
    upload_names_keep_fixed_part: bool = False
    """Whether the name of a blob uploaded by a pattern begins with the folders before the first wildcard."""
    package_variables_are_lower_case: bool = False
    """Whether AZ_BATCH_APP_PACKAGE_ variables have ids in lower case (two pages of the documents disagree)."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long transitions take here, in ticks. On the real service most take seconds to minutes."""

    allocate: int = SECOND // 10
    """A resize request until its nodes exist or start to leave (R20: two seconds with no nodes at all)."""
    create_node: int = SECOND // 20
    start_node: int = SECOND // 10
    reboot_node: int = SECOND // 5
    reimage_node: int = SECOND // 5
    deallocate_node: int = SECOND // 5
    leave_pool: int = SECOND // 10
    sample_delay: int = MINUTE
    """From the taking of a sample until autoscale formulas can read it (D: about a minute)."""
    delete_pool: int = 3 * SECOND // 10
    """Least time a pool is shown as deleting (R26: about five seconds)."""
    enable_job: int = 0
    """Least time a job is shown as enabling (R26: active at once)."""
    delete_job: int = 3 * SECOND // 10
    """Least time a job is shown as deleting (R26: 16 seconds)."""
    terminate_job: int = SECOND // 10
    """Least time a job is shown as terminating (R24p: 0.6 seconds)."""
    terminate_schedule: int = SECOND // 20
    """Least time a schedule is shown as terminating (R26: 0.06 seconds)."""
    delete_schedule: int = 3 * SECOND // 10
    """Least time a schedule is shown as deleting."""
    retry_schedule: int = 10 * SECOND
    """Until a schedule tries again to make a job for which the account's quota left no room."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes the emulator refuses to exceed."""

    body_bytes: int = 1_048_576
    """G:BatchExplorer#1286: 413 with MaxLimit 1048576."""
    nodes_per_account: int = 10_000
    samples_per_pool: int = 2_880
    """For autoscale formulas: those of one day."""
    pools_per_account: int = 100_000
    active_jobs_and_schedules: int = 1_000_000
    tasks_per_collection: int = 100
    remembered_requests: int = 20_000
    recent_tasks: int = 10
    resource_file_bytes: int = 1 << 30
    dependency_characters: int = 64_000
