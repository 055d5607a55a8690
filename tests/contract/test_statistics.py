"""$expand=stats on pools, schedules, jobs and tasks."""

from __future__ import annotations

import pytest

ALL = "api-version=2025-06-01&$expand=stats"


@pytest.mark.documented("M:BatchJobStatistics")
def test_a_job_and_its_tasks_count_what_ran(client, raw, make_job, shared_pool, finished):
    job_id = make_job(shared_pool)
    client.create_task(job_id, {"id": "good", "commandLine": "sleep 0.2"})
    client.create_task(job_id, {"id": "bad", "commandLine": "false", "constraints": {"maxTaskRetryCount": 2}})
    for task_id in ("good", "bad"):
        finished(job_id, task_id)
    stats = client.get_job(job_id, expand=["stats"]).job_statistics
    assert (stats.succeeded_tasks_count, stats.failed_tasks_count, stats.task_retries_count) == (1, 1, 2)
    assert stats.wall_clock_time.total_seconds() > 0.1  # the nodes' clock may start a little after the command
    assert stats.last_update_time >= stats.start_time
    task = client.get_task(job_id, "good", expand=["stats"]).task_statistics
    assert task.wall_clock_time.total_seconds() > 0.1
    assert task.url.endswith(f"/jobs/{job_id}/tasks/good/stats")
    wire = raw("GET", f"/jobs/{job_id}", query=ALL).json["stats"]
    assert (wire["numFailedTasks"], wire["readIOps"], wire["userCPUTime"]) == ("1", "0", "PT0S")


@pytest.mark.documented("D:batch-efficient-list-queries")
def test_statistics_come_only_when_asked_for_in_lists_too(client, raw, make_job):
    job_id = make_job("nowhere")
    query = f"{ALL}&$filter=id%20eq%20'{job_id}'"
    assert "stats" in raw("GET", "/jobs", query=query).json["value"][0]
    assert "stats" not in raw("GET", f"/jobs/{job_id}").json
    assert raw("GET", f"/jobs/{job_id}", query="api-version=2025-06-01&$expand=tasks").status == 400


@pytest.mark.recorded("sdk2026-update_pools")
def test_a_selection_without_stats_leaves_them_out(raw, make_pool):
    pool_id = make_pool(wait=False)
    shown = raw("GET", f"/pools/{pool_id}", query=f"{ALL}&$select=id,state").json
    assert shown.keys() == {"odata.metadata", "id", "state"}
    shown = raw("GET", f"/pools/{pool_id}", query=f"{ALL}&$select=id,stats").json
    assert shown["stats"].keys() == {"url", "startTime", "lastUpdateTime"}


@pytest.mark.documented("M:BatchJobScheduleStatistics")
def test_a_schedule_adds_up_its_jobs(client, new_id, shared_pool, finished):
    schedule_id = new_id("counted")
    specification = {"poolInfo": {"poolId": shared_pool}}
    client.create_job_schedule({"id": schedule_id, "schedule": {}, "jobSpecification": specification})
    client.create_task(f"{schedule_id}:job-1", {"id": "t", "commandLine": "true"})
    finished(f"{schedule_id}:job-1", "t")
    stats = client.get_job_schedule(schedule_id, expand=["stats"]).job_schedule_statistics
    assert (stats.succeeded_tasks_count, stats.failed_tasks_count) == (1, 0)
    client._delete_job_schedule_internal(schedule_id, force=True)


@pytest.mark.documented("Azure updates: lifetime statistics of jobs and pools are retired since 30 April 2023")
@pytest.mark.parametrize("path", ["/lifetimejobstats", "/lifetimepoolstats"])
@pytest.mark.parametrize("version", ["2025-06-01", "2020-09-01.12.0"])
def test_statistics_of_the_accounts_lifetime_are_refused_by_name(raw, path, version):
    answer = raw("GET", path, query=f"api-version={version}")
    assert (answer.status, answer.code, answer.values["Reason"]) == (501, "NotImplemented", f"GET {path}")
