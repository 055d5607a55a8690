"""Preparation before the first task of a job on a node, release when the job ends: counted by what the tasks wrote."""

from __future__ import annotations

import pytest


@pytest.fixture
def diary(tmp_path):
    """A file that tasks append lines to, and the lines read back."""

    class Diary:
        path = tmp_path / "diary.txt"

        def line(self, word, after="true"):
            return f"/bin/sh -c 'echo {word} $AZ_BATCH_NODE_ID >> {self.path}; {after}'"

        def lines(self, word):
            text = self.path.read_text() if self.path.exists() else ""
            return sorted(line.split()[1] for line in text.splitlines() if line.startswith(f"{word} "))

    return Diary()


@pytest.fixture
def end(client, until, state_of):
    def terminate(job_id):
        client.begin_terminate_job(job_id, options={"terminateReason": "done"}, polling_interval=0)
        until(lambda: state_of(job_id) == "completed")

    return terminate


def nodes_of(client, pool_id):
    return sorted(node.id for node in client.list_nodes(pool_id))


@pytest.mark.documented("SEED; M:BatchJobPreparationTask, M:BatchJobReleaseTask")
def test_each_runs_once_on_every_node_that_got_a_task_and_nowhere_else(
    client, make_pool, make_job, diary, end, until, raw
):
    pool_id = make_pool(3, taskSlotsPerNode=1)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": diary.line("prepare")},
        jobReleaseTask={"commandLine": diary.line("release")},
    )
    client.create_tasks(job_id, [{"id": f"t{n}", "commandLine": diary.line("task", "sleep 0.2")} for n in range(2)])
    until(lambda: client.get_job_task_counts(job_id).task_counts.completed == 2)
    used = sorted(set(diary.lines("task")))
    assert len(used) == 2
    assert diary.lines("prepare") == used
    assert diary.lines("release") == []
    end(job_id)
    assert diary.lines("release") == used
    raw("DELETE", f"/jobs/{job_id}")
    until(lambda: raw("GET", f"/jobs/{job_id}").status == 404)
    assert diary.lines("release") == used


@pytest.mark.documented("M:BatchJobReleaseTask: delete of an active job runs it")
def test_deleting_an_active_job_runs_release_first(client, make_pool, make_job, diary, gate, until, state_of):
    pool_id = make_pool(1)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": "true"},
        jobReleaseTask={"commandLine": diary.line("release", gate.wait)},
    )
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sleep 60"})
    until(lambda: client.get_task(job_id, "t").state == "running")
    client.begin_delete_job(job_id, polling_interval=0)
    until(lambda: diary.lines("release"))
    assert state_of(job_id) == "deleting"
    gate.open()
    until(lambda: state_of(job_id) is None)
    assert diary.lines("release") == nodes_of(client, pool_id)


@pytest.mark.recorded("ps2024-job_auto_failure")
def test_a_job_deleted_while_terminating_finishes_its_release_once(
    client, make_pool, make_job, diary, gate, until, state_of
):
    pool_id = make_pool(1)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": "true"},
        jobReleaseTask={"commandLine": diary.line("release", f"{gate.wait}; echo finished x >> {diary.path}")},
    )
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    until(lambda: client.get_task(job_id, "t").state == "completed")
    client.begin_terminate_job(job_id, options={"terminateReason": "x"}, polling_interval=0)
    client.begin_delete_job(job_id, polling_interval=0)
    gate.open()
    until(lambda: state_of(job_id) is None)
    assert len(diary.lines("release")) == len(diary.lines("finished")) == 1


@pytest.mark.documented("M:BatchJobPreparationTask; E:BatchTaskState.preparing")
def test_a_task_waits_as_preparing_and_the_environment_shows_the_directory(
    client, make_pool, make_job, gate, until, finished
):
    pool_id = make_pool(1)
    prepare = f"/bin/sh -c '{gate.wait}; echo ok > made'"
    job_id = make_job(pool_id, jobPreparationTask={"id": "prep", "commandLine": prepare})
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sh -c 'cat $AZ_BATCH_JOB_PREP_WORKING_DIR/made'"})
    until(lambda: client.get_task(job_id, "t").state == "preparing")
    assert client.get_job_task_counts(job_id).task_counts.running == 1
    status = list(client.list_job_preparation_and_release_task_status(job_id))
    assert status[0].job_preparation_task_execution_info.state == "running"
    gate.open()
    task = finished(job_id, "t")
    assert (task.execution_info.exit_code, task.previous_state) == (0, "running")
    assert b"".join(client.download_task_file(job_id, "t", "stdout.txt")) == b"ok\n"
    node = task.node_info.node_id
    assert client.get_node_file_properties(pool_id, node, f"workitems/{job_id}/job-1/prep/wd/made").content_length == 3


@pytest.mark.documented("M:BatchJobPreparationTask: no task of the job on a node where it failed")
def test_a_failed_preparation_sends_the_task_elsewhere_and_bars_the_node(
    client, make_pool, make_job, diary, until, end, finished
):
    pool_id = make_pool(2)
    bad, good = nodes_of(client, pool_id)
    command = f"/bin/sh -c 'echo prepare $AZ_BATCH_NODE_ID >> {diary.path}; test $AZ_BATCH_NODE_ID = {good}'"
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": command, "constraints": {"maxTaskRetryCount": 1}},
        jobReleaseTask={"commandLine": diary.line("release")},
    )
    client.create_tasks(job_id, [{"id": f"t{n}", "commandLine": diary.line("task")} for n in range(4)])
    for n in range(4):
        assert finished(job_id, f"t{n}").node_info.node_id == good
    assert diary.lines("prepare") == sorted([bad, bad, good])
    entries = {entry.node_id: entry for entry in client.list_job_preparation_and_release_task_status(job_id)}
    failed = entries[bad].job_preparation_task_execution_info
    assert (failed.state, failed.result, failed.exit_code, failed.retry_count) == ("completed", "failure", 1, 1)
    assert failed.failure_info.code == "FailureExitCode"
    end(job_id)
    assert diary.lines("release") == [good]


@pytest.mark.documented("M:BatchJobPreparationTask.waitForSuccess")
def test_without_waiting_for_success_tasks_run_beside_and_after_a_failing_preparation(
    client, make_pool, make_job, diary, until, finished, end
):
    pool_id = make_pool(1)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": diary.line("prepare", "sleep 0.2; exit 1"), "waitForSuccess": False},
        jobReleaseTask={"commandLine": diary.line("release")},
    )
    for name in ("first", "second"):
        client.create_task(job_id, {"id": name, "commandLine": "true"})
        assert finished(job_id, name).execution_info.exit_code == 0
    until(
        lambda: (
            next(
                iter(client.list_job_preparation_and_release_task_status(job_id))
            ).job_preparation_task_execution_info.state
            == "completed"
        )
    )
    assert len(diary.lines("prepare")) == 1
    end(job_id)
    assert len(diary.lines("release")) == 1


@pytest.mark.documented("M:BatchJobReleaseTask: a failed release is not retried and the job completes")
def test_a_failed_release_is_not_retried_and_the_job_still_completes(
    client, make_pool, make_job, diary, finished, end, raw
):
    pool_id = make_pool(1)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": "true"},
        jobReleaseTask={"commandLine": diary.line("release", "exit 9")},
    )
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    finished(job_id, "t")
    end(job_id)
    assert len(diary.lines("release")) == 1
    entry = raw("GET", f"/jobs/{job_id}/jobpreparationandreleasetaskstatus").json["value"][0]
    release = entry["jobReleaseTaskExecutionInfo"]
    assert (release["state"], release["exitCode"], release["result"]) == ("completed", 9, "failure")
    assert release["taskRootDirectory"] == f"workitems/{job_id}/job-1/jobrelease"
    assert "retryCount" not in release
    assert entry["jobPreparationTaskExecutionInfo"]["retryCount"] == 0
    assert "failureInfo" not in entry["jobPreparationTaskExecutionInfo"]


@pytest.mark.documented("M:BatchJobReleaseTask.maxWallClockTime")
def test_release_is_cut_off_at_its_time_limit(client, make_pool, make_job, finished, end, raw):
    pool_id = make_pool(1)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": "true"},
        jobReleaseTask={"commandLine": "/bin/sleep 60", "maxWallClockTime": "PT0.5S"},
    )
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    finished(job_id, "t")
    end(job_id)
    entry = raw("GET", f"/jobs/{job_id}/jobpreparationandreleasetaskstatus").json["value"][0]
    assert entry["jobReleaseTaskExecutionInfo"]["result"] == "failure"
    assert entry["jobReleaseTaskExecutionInfo"]["failureInfo"]["code"] == "TaskEnded"


@pytest.mark.documented("M:BatchJobPreparationTask.rerunOnNodeRebootAfterSuccess, DR")
@pytest.mark.parametrize(("rerun", "times"), [(True, 2), (False, 1)])
def test_after_a_reboot_preparation_runs_again_before_the_next_task_if_the_job_says_so(
    client, make_pool, make_job, diary, until, finished, end, rerun, times
):
    pool_id = make_pool(1)
    [node] = nodes_of(client, pool_id)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": diary.line("prepare"), "rerunOnNodeRebootAfterSuccess": rerun},
        jobReleaseTask={"commandLine": diary.line("release")},
    )
    client.create_task(job_id, {"id": "before", "commandLine": "true"})
    finished(job_id, "before")
    client.begin_reboot_node(pool_id, node, {"nodeRebootOption": "requeue"}, polling_interval=0)
    until(lambda: client.get_node(pool_id, node).state == "idle")
    assert len(diary.lines("prepare")) == 1
    client.create_task(job_id, {"id": "after", "commandLine": "true"})
    finished(job_id, "after")
    assert len(diary.lines("prepare")) == times
    assert len(list(client.list_job_preparation_and_release_task_status(job_id))) == 1
    end(job_id)
    assert len(diary.lines("release")) == 1


@pytest.mark.documented("O:list_job_preparation_and_release_task_status: nodes since removed are listed")
def test_a_node_that_left_stays_in_the_status_list_and_holds_up_nothing(
    client, make_pool, make_job, diary, until, finished, end
):
    pool_id = make_pool(1)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": "true"},
        jobReleaseTask={"commandLine": diary.line("release")},
    )
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    node = finished(job_id, "t").node_info.node_id
    client.begin_resize_pool(pool_id, {"targetDedicatedNodes": 0}, polling_interval=0)
    until(lambda: not nodes_of(client, pool_id))
    end(job_id)
    [entry] = client.list_job_preparation_and_release_task_status(job_id)
    assert (entry.node_id, entry.job_release_task_execution_info) == (node, None)
    assert diary.lines("release") == []


@pytest.mark.emulator_only
def test_a_preparation_still_running_at_the_end_of_the_job_is_ended_and_no_release_follows(
    client, make_pool, make_job, diary, until, end
):
    pool_id = make_pool(1)
    job_id = make_job(
        pool_id,
        jobPreparationTask={"commandLine": "/bin/sleep 60"},
        jobReleaseTask={"commandLine": diary.line("release")},
    )
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    until(lambda: client.get_task(job_id, "t").state == "preparing")
    end(job_id)
    assert diary.lines("release") == []
    assert client.get_task(job_id, "t").state == "completed"


@pytest.mark.emulator_only
def test_force_ends_a_job_without_waiting_for_release(client, make_pool, make_job, raw, finished, until, state_of):
    pool_id = make_pool(1)
    job_id = make_job(
        pool_id, jobPreparationTask={"commandLine": "true"}, jobReleaseTask={"commandLine": "/bin/sleep 60"}
    )
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    finished(job_id, "t")
    assert raw("POST", f"/jobs/{job_id}/terminate", query="api-version=2025-06-01&force=true").status == 202
    until(lambda: state_of(job_id) == "completed", 50)  # less than the release takes


@pytest.mark.recorded("py2020b-jobs")
def test_the_status_list_is_empty_before_a_task_ran(make_job, raw):
    job_id = make_job("nowhere", jobPreparationTask={"commandLine": "true"})
    answer = raw("GET", f"/jobs/{job_id}/jobpreparationandreleasetaskstatus")
    assert answer.json["odata.metadata"].endswith("#jobpreparationandreleasetaskstatuslist")
    assert answer.json["value"] == []
