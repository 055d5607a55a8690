"""Job schedules over hours and days of virtual time."""

from __future__ import annotations

import dataclasses

import pytest

from reconciler.emulator import jobs, pools, schedules, statistics, views
from reconciler.emulator.engine import Engine
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.store import SqliteStore
from reconciler.emulator.switches import Limits
from reconciler.emulator.times import HOUR, MINUTE, SECOND, iso, parse_span
from reconciler.emulator.world import Account

POOL = {
    "vmSize": "a",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "p", "offer": "o", "sku": "s"},
        "nodeAgentSKUId": "x",
    },
}


@pytest.fixture
def schedule(account):
    """Create a schedule with these settings; `job` holds those of its job specification."""

    def make(schedule_id="s", *, job=None, **settings):
        specification = {"poolInfo": {"poolId": "p"}, **(job or {})}
        return account.do(
            schedules.create, {"id": schedule_id, "schedule": settings, "jobSpecification": specification}
        )

    return make


@pytest.fixture
def made(account):
    """Minutes after the beginning at which the jobs of a schedule were made."""
    begin = account.clock.time

    def minutes(item):
        return [(job.created - begin) // MINUTE for job in schedules.jobs_of(account.w, item)]

    return minutes


def end_job(account, item):
    account.do(lambda w: jobs.terminate(w, schedules.jobs_of(w, item)[-1], "test"))


def auto(lifetime="job", **settings):
    return {"poolInfo": {"autoPoolSpecification": {"poolLifetimeOption": lifetime, "pool": POOL} | settings}}


def test_the_first_job_comes_at_once_and_the_next_one_interval_later(account, schedule, made):
    item = schedule(recurrenceInterval="PT1H")
    assert [job.id for job in schedules.jobs_of(account.w, item)] == ["s:job-1"]
    assert item.next_run == item.created + HOUR
    end_job(account, item)
    account.pass_time(3600)
    assert made(item) == [0, 60]
    end_job(account, item)
    account.pass_time(3600)
    assert made(item) == [0, 60, 120]
    assert item.recent == "s:job-3"


def test_a_schedule_waits_until_it_may_run(account, schedule, made):
    item = schedule(doNotRunUntil="2026-01-01T02:00:00Z", recurrenceInterval="PT1H")
    assert (made(item), iso(item.next_run)) == ([], "2026-01-01T02:00:00Z")
    assert views.schedule(item, "")["executionInfo"] == {"nextRunTime": "2026-01-01T02:00:00Z"}
    account.pass_time(2 * 3600)
    assert made(item) == [120]


def test_while_a_job_is_active_no_second_one_begins_and_the_waiting_occasion_is_taken_at_its_end(
    account, schedule, made
):
    item = schedule(recurrenceInterval="PT1H")
    account.pass_time(90 * 60)
    assert made(item) == [0]
    end_job(account, item)
    account.pass_time(1)
    assert made(item) == [0, 90]
    assert item.next_run == item.created + 2 * HOUR


def test_the_next_run_is_the_occasion_that_is_open_while_a_job_is_active(account, schedule):
    item = schedule(recurrenceInterval="PT1H", startWindow="PT3H")
    account.pass_time(150 * 60)
    assert item.next_run == item.created + 2 * HOUR


def test_an_active_schedule_keeps_the_emulator_up(account, schedule):
    item = schedule(doNotRunUntil="2027-01-01T00:00:00Z")
    assert account.engine.is_busy()
    account.do(schedules.disable, item)
    assert not account.engine.is_busy()


def test_an_occasion_is_lost_when_its_window_is_over(account, schedule, made):
    item = schedule(recurrenceInterval="PT1H", startWindow="PT10M")
    account.pass_time(75 * 60)
    end_job(account, item)
    account.pass_time(1)
    assert made(item) == [0]
    assert item.next_run == item.created + 2 * HOUR
    account.pass_time(3600)
    assert made(item) == [0, 120]


def test_a_window_longer_than_the_interval_carries_nothing_into_the_next_one(account, schedule, made):
    item = schedule(recurrenceInterval="PT1H", startWindow="PT5H")
    account.pass_time(150 * 60)
    end_job(account, item)
    account.pass_time(1)
    assert made(item) == [0, 150]
    end_job(account, item)
    account.pass_time(1)
    assert made(item) == [0, 150], "the occasion an hour before was lost, not kept"


def test_a_schedule_without_recurrence_makes_one_job_and_completes_with_it(account, schedule, made):
    item = schedule()
    assert (made(item), item.next_run, item.state) == ([0], None, "active")
    account.pass_time(3600)
    assert item.state == "active"
    end_job(account, item)
    account.pass_time(1)
    assert (made(item), item.state) == ([0], "completed")
    assert item.ended is not None


def test_a_schedule_ends_after_its_last_time_once_no_job_is_active(account, schedule, made):
    item = schedule(recurrenceInterval="PT1H", doNotRunAfter="2026-01-01T01:30:00Z")
    end_job(account, item)
    account.pass_time(2 * 3600)
    assert (made(item), item.next_run, item.state) == ([0, 60], None, "active")
    end_job(account, item)
    account.pass_time(1)
    assert item.state == "completed"


def test_an_open_occasion_is_not_taken_after_the_last_time(account, schedule, made):
    item = schedule(recurrenceInterval="PT1H", doNotRunAfter="2026-01-01T01:30:00Z")
    account.pass_time(100 * 60)
    end_job(account, item)
    account.pass_time(1)
    assert (made(item), item.state) == ([0], "completed")


def test_a_schedule_that_is_too_late_from_the_start_makes_no_job(account, schedule, made):
    item = schedule(doNotRunAfter="2025-01-01T00:00:00Z")
    account.pass_time(1)
    assert (made(item), item.state) == ([], "completed")


def test_a_disabled_schedule_makes_no_job_until_it_is_enabled(account, schedule, made):
    item = schedule(recurrenceInterval="PT1H", startWindow="PT30M")
    end_job(account, item)
    account.do(schedules.disable, item)
    account.pass_time(100 * 60)
    assert made(item) == [0]
    account.do(schedules.enable, item)
    account.pass_time(1)
    assert made(item) == [0], "the window of the first missed occasion is over"
    account.pass_time(20 * 60)
    assert made(item) == [0, 120]


def test_disabling_lets_the_active_job_go_on(account, schedule):
    item = schedule(recurrenceInterval="PT1H")
    account.do(schedules.disable, item)
    account.pass_time(60)
    assert [job.state for job in schedules.jobs_of(account.w, item)] == ["active"]


def test_a_new_interval_counts_from_the_latest_occasion(account, schedule, made):
    item = schedule(recurrenceInterval="P1D")
    end_job(account, item)
    account.pass_time(60)
    account.do(schedules.update, item, {"schedule": {"recurrenceInterval": "PT2H"}})
    assert item.next_run == item.created + 2 * HOUR
    assert item.spec["schedule"] == {"recurrenceInterval": "PT2H"}


def test_a_job_keeps_the_specification_it_began_with(account, schedule):
    item = schedule(recurrenceInterval="PT1H", job={"priority": 5})
    account.do(schedules.update, item, {"jobSpecification": {"poolInfo": {"poolId": "p"}, "priority": 9}})
    end_job(account, item)
    account.pass_time(3600)
    assert [job.spec["priority"] for job in schedules.jobs_of(account.w, item)] == [5, 9]


def test_an_interval_beyond_all_time_is_no_next_run(account, schedule):
    item = schedule(recurrenceInterval="P10675199DT2H48M5.4775807S")
    end_job(account, item)
    account.pass_time(1)
    assert (item.next_run, item.state) == (None, "active")


def test_terminating_a_schedule_waits_for_the_release_of_its_job(account, schedule):
    account.pool(nodes=1)
    account.pass_time(5)
    release = {"jobPreparationTask": {"commandLine": "1 0"}, "jobReleaseTask": {"commandLine": "600 0"}}
    item = schedule(recurrenceInterval="PT1H", job=release)
    job = schedules.jobs_of(account.w, item)[0]
    account.task(job)
    account.pass_time(10)
    account.do(schedules.terminate, item)
    account.pass_time(300)
    assert (item.state, job.state, job.terminate_reason) == ("terminating", "terminating", "TerminateWorkitem")
    account.pass_time(301)
    assert (item.state, job.state) == ("completed", "completed")


def test_the_reason_of_the_terminated_job_is_a_switch(new_account):
    account = new_account(terminated_schedule_reason="TerminateJobSchedule")
    body = {"id": "s", "schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "p"}}}
    item = account.do(schedules.create, body)
    account.do(schedules.terminate, item)
    assert schedules.jobs_of(account.w, item)[0].terminate_reason == "TerminateJobSchedule"


def test_deleting_a_schedule_runs_release_and_takes_all_jobs_and_directories_along(account, schedule):
    account.pool(nodes=1)
    account.pass_time(5)
    release = {"jobPreparationTask": {"commandLine": "1 0"}, "jobReleaseTask": {"commandLine": "60 0"}}
    item = schedule(recurrenceInterval="PT1H", job=release)
    account.task(schedules.jobs_of(account.w, item)[0])
    account.pass_time(10)
    end_job(account, item)
    account.pass_time(3600)
    second = schedules.jobs_of(account.w, item)[1]
    account.task(second)
    account.pass_time(10)
    account.do(schedules.delete, item)
    account.pass_time(30)
    assert [(item.state, list(account.w.jobs)) for item in account.w.schedules.values()] == [("deleting", ["s:job-2"])]
    account.pass_time(31)
    assert (account.w.schedules, account.w.jobs) == ({}, {})
    assert len(account.driver.words("jobrelease")) == 2
    assert {directory for _, directory in account.driver.removed} == {"workitems/s/job-1", "workitems/s/job-2"}


def test_deleting_one_job_leaves_the_schedule_and_its_numbering(account, schedule):
    item = schedule(recurrenceInterval="PT1H")
    account.do(jobs.delete, schedules.jobs_of(account.w, item)[0])
    account.pass_time(3600)
    assert (item.state, list(account.w.jobs)) == ("active", ["s:job-2"])


def test_a_schedule_tries_again_when_the_quota_left_no_room(account, schedule, made):
    account.w.limits = dataclasses.replace(Limits(), active_jobs_and_schedules=2)
    other = account.job("other")
    item = schedule(recurrenceInterval="PT1H")
    account.pass_time(60)
    assert made(item) == []
    with pytest.raises(ServiceError, match="ActiveJobAndScheduleQuotaReached"):
        account.job("third")
    account.do(jobs.terminate, other, "test")
    account.pass_time(60)
    assert made(item) == [1]


def test_the_pool_of_a_job_goes_after_its_release(account):
    job = account.do(
        jobs.create,
        {
            "id": "j",
            "jobPreparationTask": {"commandLine": "1 0"},
            "jobReleaseTask": {"commandLine": "600 0"},
            **auto(pool={**POOL, "targetDedicatedNodes": 1}),
        },
    )
    account.pass_time(5)
    account.task(job)
    account.pass_time(5)
    account.do(jobs.terminate, job, "test")
    account.pass_time(300)
    assert [pool.state for pool in account.w.pools.values()] == ["active"]
    account.pass_time(310)
    assert (job.state, account.w.pools) == ("completed", {})


@pytest.mark.parametrize(("lifetime", "pools_made"), [("job", 2), ("jobschedule", 1)])
def test_jobs_of_a_schedule_get_a_pool_each_or_share_one(account, schedule, lifetime, pools_made):
    item = schedule(recurrenceInterval="PT1H", job=auto(lifetime))
    end_job(account, item)
    account.pass_time(3600)
    names = [job.pool for job in schedules.jobs_of(account.w, item)]
    assert len(set(names)) == pools_made
    assert [pool.id for pool in account.w.pools.values()] == names[1:]
    account.do(schedules.terminate, item)
    account.pass_time(5)
    assert account.w.pools == {}


def test_a_shared_pool_that_was_deleted_is_made_anew(account, schedule):
    item = schedule(recurrenceInterval="PT1H", job=auto("jobschedule"))
    first = item.pool
    account.do(lambda w: pools.delete(w, w.pools[first.lower()]))
    end_job(account, item)
    account.pass_time(3600)
    assert item.pool != first
    assert list(account.w.pools) == [item.pool.lower()]


def test_a_schedule_goes_on_after_a_job_that_got_no_pool(account, schedule):
    account.w.limits = dataclasses.replace(Limits(), pools_per_account=0)
    item = schedule(recurrenceInterval="PT1H", job=auto())
    job = schedules.jobs_of(account.w, item)[0]
    shown = views.job(account.w, job, "")
    error = {
        "category": "UserError",
        "code": "AutoPoolCreationFailedWithQuotaReached",
        "message": "The automatic pool could not be created: the account's quota of pools is reached",
    }
    assert (shown["state"], shown["previousState"]) == ("completed", "active")
    assert shown["executionInfo"] == {
        "startTime": iso(job.started),
        "endTime": iso(job.ended),
        "schedulingError": error,
    }
    account.w.limits = Limits()
    account.pass_time(3600)
    assert [one.state for one in schedules.jobs_of(account.w, item)] == ["completed", "active"]


def test_the_id_of_an_automatic_pool_is_the_prefix_and_a_guid_in_capitals(account):
    job = account.do(jobs.create, {"id": "j", **auto(autoPoolIdPrefix="Pre")})
    prefix, _, guid = job.pool.partition("_")
    assert prefix == "Pre"
    assert guid == guid.upper()
    assert [len(part) for part in guid.split("-")] == [8, 4, 4, 4, 12]
    assert job.pool != account.do(jobs.create, {"id": "k", **auto(autoPoolIdPrefix="Pre")}).pool


def test_only_keep_alive_may_change(account):
    job = account.do(jobs.create, {"id": "j", **auto()})
    account.do(jobs.update, job, auto(keepAlive=True))
    account.do(jobs.disable, job, {"disableTasks": "requeue"})
    for other in (auto(autoPoolIdPrefix="x"), {"poolInfo": {"poolId": "p"}}):
        with pytest.raises(ServiceError, match="409"):
            account.do(jobs.update, job, other)
    account.do(jobs.terminate, job, "test")
    account.pass_time(5)
    assert [pool.id for pool in account.w.pools.values()] == [job.pool]


def test_a_schedule_survives_a_restart_and_takes_the_occasion_that_is_open(account, tmp_path, schedule, made):
    store = SqliteStore(tmp_path / "account.sqlite")
    first = Engine(Account("local", "http://x/"), account.driver, store)
    begin = account.clock.time
    first.resume(begin)
    body = {"id": "s", "schedule": {"recurrenceInterval": "PT1H"}, "jobSpecification": {"poolInfo": {"poolId": "p"}}}
    with first.transaction(begin) as w:
        item = schedules.create(w, body)
    with first.transaction(begin) as w:
        jobs.terminate(w, schedules.jobs_of(w, item)[0], "test")
    first.tick(begin + MINUTE)
    second = Engine(Account("local", "http://x/"), account.driver, store)
    second.resume(begin + 1000 * HOUR + 5 * MINUTE)
    again = second.world.schedules["s"]
    assert made_by(second, again, begin) == [0, 60_005]
    assert (again.next_run, again.jobs_made) == (item.created + 1001 * HOUR, 2)
    store.close()


def made_by(engine, item, begin):
    return [(job.created - begin) // MINUTE for job in schedules.jobs_of(engine.world, item)]


def test_statistics_add_up_tries_and_waiting(account):
    account.pool(nodes=1)
    account.pass_time(5)
    job = account.job()
    first = account.task(job, "a", "10 1", constraints={"maxTaskRetryCount": 1})
    account.task(job, "b", "5 0")
    account.pass_time(22)
    shown = statistics.of(account.w, job, "http://x/jobs/j")
    assert [round(parse_span(shown[name]) / SECOND) for name in ("wallClockTime", "waitTime")] == [22, 30]
    assert (shown["numSucceededTasks"], shown["numFailedTasks"], shown["numTaskRetries"]) == ("0", "1", "1")
    assert round(parse_span(statistics.of(account.w, first, "")["waitTime"]) / SECOND) == 10
