"""Every operation on a schedule in every state, and how its settings meet its jobs. Over HTTP, on simulated time."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from reconciler.emulator import Simulation
from reconciler.emulator.switches import Timings
from reconciler.emulator.times import MINUTE

RELEASED = {"jobPreparationTask": {"commandLine": "sleep 1"}, "jobReleaseTask": {"commandLine": "sleep 10m"}}
HOURLY = {"recurrenceInterval": "PT1H"}


@pytest.fixture
def batch(vm):
    """An account with a pool `p` of one node."""
    with Simulation(timings=Timings(terminate_schedule=MINUTE, delete_schedule=MINUTE)) as batch:
        assert batch.request("POST", "/pools", {"id": "p", **vm, "targetDedicatedNodes": 1}).status == 201
        batch.advance(1)
        yield batch


@pytest.fixture
def ask(batch, raw_for):
    return raw_for(batch)


@pytest.fixture
def make(ask):
    def create(schedule=HOURLY, schedule_id="s", **specification):
        body = {"id": schedule_id, "schedule": schedule, "jobSpecification": {"poolInfo": {"poolId": "p"}}}
        body["jobSpecification"].update(specification)
        assert ask("POST", "/jobschedules", body).status == 201

    return create


@pytest.fixture
def jobs(ask):
    """The jobs of the schedule `s`, oldest first."""

    def listed():
        value = ask("GET", "/jobschedules/s/jobs").json["value"]
        return sorted(value, key=lambda job: int(job["id"].partition("-")[2]))

    return listed


def seconds(stats):
    """The wall clock time of statistics that last some minutes."""
    minutes, rest = re.fullmatch(r"PT(\d+)M(?:([\d.]+)S)?", stats["wallClockTime"]).groups()
    return int(minutes) * 60 + float(rest or 0)


STATES = ("active", "disabled", "terminating", "completed", "deleting")
STEPS = {
    "active": [],
    "disabled": [("POST", "/jobschedules/s/disable", 204, 0)],
    "terminating": [("POST", "/jobschedules/s/terminate", 202, 1)],
    "completed": [("POST", "/jobschedules/s/terminate", 202, 100)],
    "deleting": [("DELETE", "/jobschedules/s", 202, 1)],
}
EXISTS, TERMINATED, DONE, DELETED = (
    f"JobSchedule{name}" for name in ("Exists", "BeingTerminated", "Completed", "BeingDeleted")
)
SPECIFICATION = {"poolInfo": {"poolId": "other"}}
REQUESTS = {  # request, then a status, or the code of a 409, in the order of STATES
    "create": (
        ("POST", "/jobschedules", {"id": "S", "schedule": HOURLY, "jobSpecification": SPECIFICATION}),
        (EXISTS, EXISTS, TERMINATED, DONE, DELETED),
    ),
    "get": (("GET", "/jobschedules/s", None), (200,) * 5),
    "exists": (("HEAD", "/jobschedules/s", None), (200,) * 5),
    "list jobs": (("GET", "/jobschedules/s/jobs", None), (200,) * 5),
    "patch": (("PATCH", "/jobschedules/s", {"schedule": HOURLY}), (200, 200, TERMINATED, DONE, DELETED)),
    "put": (("PUT", "/jobschedules/s", {"jobSpecification": SPECIFICATION}), (200, 200, TERMINATED, DONE, DELETED)),
    "disable": (("POST", "/jobschedules/s/disable", None), (204, 204, TERMINATED, DONE, DELETED)),
    "enable": (("POST", "/jobschedules/s/enable", None), (204, 204, TERMINATED, DONE, DELETED)),
    "terminate": (("POST", "/jobschedules/s/terminate", None), (202, 202, TERMINATED, DONE, DELETED)),
    "delete": (("DELETE", "/jobschedules/s", None), (202, 202, 202, 202, DELETED)),
}


@pytest.mark.documented("E:BatchJobScheduleState; DE for the codes; disable when disabled, enable when active INFERRED")
@pytest.mark.parametrize("number", range(len(STATES)), ids=STATES)
@pytest.mark.parametrize("operation", REQUESTS)
def test_each_operation_on_a_schedule_is_answered_by_its_state(batch, ask, make, operation, number):
    make()
    for method, path, status, seconds in STEPS[STATES[number]]:
        assert ask(method, path).status == status
        batch.advance(seconds)
    before = ask("GET", "/jobschedules/s").json
    assert before["state"] == STATES[number]
    request, answers = REQUESTS[operation]
    answer = ask(*request)
    assert (answer.code if answer.status == 409 else answer.status) == answers[number]
    if answer.status == 409:
        assert ask("GET", "/jobschedules/s").json == before


@pytest.mark.documented("M:BatchJobSchedule: changes of the specification reach jobs made later only")
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_the_next_job_follows_the_new_specification_and_the_present_one_does_not(batch, ask, make, jobs, method):
    make(priority=1, metadata=[{"name": "a", "value": "1"}], commonEnvironmentSettings=[{"name": "X", "value": "1"}])
    new = {"poolInfo": {"poolId": "p"}, "priority": 2, "displayName": "second", "onAllTasksComplete": "terminatejob"}
    body = {"jobSpecification": new, **({"schedule": HOURLY} if method == "PUT" else {})}
    assert ask(method, "/jobschedules/s", body).status == 200
    first = jobs()[0]
    assert (first["priority"], first["metadata"][0]["value"], "displayName" in first) == (1, "1", False)
    assert ask("POST", "/jobs/s:job-1/terminate").status == 202
    batch.advance(hours=1)
    _, second = jobs()
    assert (second["priority"], second["displayName"], second["onAllTasksComplete"]) == (2, "second", "terminatejob")
    assert "metadata" not in second
    assert "commonEnvironmentSettings" not in second
    assert ask("GET", "/jobschedules/s").json["executionInfo"]["recentJob"]["id"] == "s:job-2"


@pytest.mark.documented("M:BatchJobSpecification: preparation, release and manager go into each job")
def test_each_job_is_prepared_managed_and_released(batch, ask, make, jobs):
    make(**RELEASED, jobManagerTask={"id": "boss", "commandLine": "sleep 5m"})
    for number in (1, 2):
        batch.advance(minutes=10)
        assert ask("GET", f"/jobs/s:job-{number}").json["state"] == "terminating"
        batch.advance(minutes=50)
        [entry] = ask("GET", f"/jobs/s:job-{number}/jobpreparationandreleasetaskstatus").json["value"]
        assert entry["jobReleaseTaskExecutionInfo"]["result"] == "success"
    assert [job["executionInfo"].get("terminateReason") for job in jobs()] == ["JMComplete", "JMComplete", None]


@pytest.mark.documented("M:BatchJobScheduleConfiguration.startWindow: an occasion that cannot begin in it is lost")
@pytest.mark.parametrize(("window", "begins"), [("PT10M", None), ("PT30M", "2026-01-01T01:20")])
def test_a_window_decides_whether_a_late_job_begins(batch, ask, make, jobs, window, begins):
    make({**HOURLY, "startWindow": window})
    batch.advance(minutes=80)
    assert ask("POST", "/jobs/s:job-1/terminate").status == 202
    batch.advance(30)
    assert [job["creationTime"][:16] for job in jobs()[1:]] == ([begins] if begins else [])
    batch.advance(minutes=45)
    assert len(jobs()) == 2


@pytest.mark.documented("M:BatchJobScheduleConfiguration: doNotRunUntil, doNotRunAfter")
def test_a_schedule_runs_between_its_two_times_only_and_then_completes(batch, ask, make, jobs):
    make(
        {**HOURLY, "doNotRunUntil": "2026-01-01T06:00:00+01:00", "doNotRunAfter": "2026-01-01T06:30:00Z"},
        jobManagerTask={"id": "boss", "commandLine": "sleep 40m"},
    )
    assert ask("GET", "/jobschedules/s").json["executionInfo"] == {"nextRunTime": "2026-01-01T05:00:00Z"}
    batch.advance(hours=6, minutes=35)
    assert [job["creationTime"][:16] for job in jobs()] == ["2026-01-01T05:00", "2026-01-01T06:00"]
    assert ask("GET", "/jobschedules/s").json["state"] == "active"
    batch.advance(minutes=10)
    shown = ask("GET", "/jobschedules/s").json
    assert (shown["state"], shown["previousState"]) == ("completed", "active")
    assert "nextRunTime" not in shown["executionInfo"]
    end = datetime.fromisoformat(shown["executionInfo"]["endTime"])
    assert end > datetime.fromisoformat("2026-01-01T06:40:00Z")


@pytest.mark.documented("M:BatchJobScheduleConfiguration: PATCH of the schedule replaces it whole")
def test_new_times_take_the_place_of_the_old_ones(batch, ask, make, jobs):
    make(HOURLY, onAllTasksComplete="noaction")
    assert ask("POST", "/jobs/s:job-1/terminate").status == 202
    later = {"recurrenceInterval": "PT2H", "doNotRunUntil": "2026-01-01T05:00:00Z"}
    assert ask("PATCH", "/jobschedules/s", {"schedule": later}).status == 200
    batch.advance(hours=4, minutes=59)
    assert len(jobs()) == 1
    batch.advance(minutes=2)
    assert [job["creationTime"][:16] for job in jobs()] == ["2026-01-01T00:00", "2026-01-01T05:00"]
    assert ask("PATCH", "/jobschedules/s", {"schedule": {"doNotRunAfter": "2026-01-01T05:30:00Z"}}).status == 200
    assert ask("POST", "/jobs/s:job-2/terminate").status == 202
    batch.advance(minutes=2)
    assert ask("GET", "/jobschedules/s").json["state"] == "completed"
    assert len(jobs()) == 2


@pytest.mark.documented("E:BatchJobScheduleState.disabled, O: enable")
def test_a_schedule_disabled_over_its_occasions_goes_on_with_the_next_when_enabled(batch, ask, make, jobs):
    make({**HOURLY, "startWindow": "PT5M"}, onAllTasksComplete="noaction")
    assert ask("POST", "/jobs/s:job-1/terminate").status == 202
    assert ask("POST", "/jobschedules/s/disable").status == 204
    batch.advance(hours=2, minutes=30)
    assert len(jobs()) == 1
    assert ask("POST", "/jobschedules/s/enable").status == 204
    batch.advance(minutes=29)
    assert len(jobs()) == 1
    batch.advance(minutes=2)
    assert [job["creationTime"][:16] for job in jobs()] == ["2026-01-01T00:00", "2026-01-01T03:00"]


@pytest.mark.documented("O:_terminate_job_schedule_internal, O:_delete_job_schedule_internal; force: a switch")
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("operation", ["terminate", "delete"])
def test_the_end_of_a_schedule_waits_for_release_unless_forced(batch, ask, make, operation, force):
    make(**RELEASED)
    assert ask("POST", "/jobs/s:job-1/tasks", {"id": "t", "commandLine": "true"}).status == 201
    batch.advance(10)
    query = "api-version=2025-06-01" + ("&force=true" if force else "")
    path = "/jobschedules/s" + ("/terminate" if operation == "terminate" else "")
    assert ask("POST" if operation == "terminate" else "DELETE", path, query=query).status == 202
    batch.advance(minutes=2)
    ended = {"terminate": "completed", "delete": None}[operation]
    waiting = {"terminate": "terminating", "delete": "deleting"}[operation]
    assert ask("GET", "/jobschedules/s").json.get("state") == (ended if force else waiting)
    batch.advance(minutes=15)
    assert ask("GET", "/jobschedules/s").json.get("state") == ended


@pytest.mark.documented("M:BatchJobScheduleStatistics: all jobs together")
def test_the_statistics_of_a_schedule_are_those_of_its_jobs(batch, ask, make):
    make(onAllTasksComplete="noaction")
    for number in (1, 2):
        path = f"/jobs/s:job-{number}"
        assert ask("POST", f"{path}/tasks", {"id": "good", "commandLine": "sleep 60"}).status == 201
        bad = {"id": "bad", "commandLine": "sleep 30; exit 1", "constraints": {"maxTaskRetryCount": 2}}
        assert ask("POST", f"{path}/tasks", bad).status == 201
        batch.advance(minutes=30)
        assert ask("POST", f"{path}/terminate").status == 202
        batch.advance(minutes=31)
    one = ask("GET", "/jobs/s:job-1", query="api-version=2025-06-01&$expand=stats").json["stats"]
    all_of_it = ask("GET", "/jobschedules/s", query="api-version=2025-06-01&$expand=stats").json["stats"]
    names = ("numSucceededTasks", "numFailedTasks", "numTaskRetries")
    assert [one[name] for name in names] == ["1", "1", "2"]
    assert [all_of_it[name] for name in names] == ["2", "2", "4"]
    assert [round(seconds(stats)) for stats in (one, all_of_it)] == [150, 300]  # all tries


def pools(ask):
    return {pool["id"]: pool["state"] for pool in ask("GET", "/pools").json["value"] if pool["id"] != "p"}


@pytest.mark.documented("E:BatchPoolLifetimeOption; M:BatchAutoPoolSpecification.keepAlive; deletion after completion")
@pytest.mark.parametrize("operation", ["terminate", "delete", "end"])
@pytest.mark.parametrize(
    ("lifetime", "keep", "made", "left"),
    [("jobschedule", False, 1, 0), ("jobschedule", True, 1, 1), ("job", False, 2, 0), ("job", True, 2, 2)],
)
def test_automatic_pools_go_with_what_they_live_for_unless_kept(
    batch, ask, make, vm, operation, lifetime, keep, made, left
):
    auto = {"poolLifetimeOption": lifetime, "keepAlive": keep, "pool": {**vm, "targetDedicatedNodes": 1}}
    schedule = {**HOURLY, "doNotRunAfter": "2026-01-01T01:30:00Z"}
    make(schedule, poolInfo={"autoPoolSpecification": auto}, onAllTasksComplete="noaction", **RELEASED)
    seen = set()
    for number in (1, 2):
        assert ask("POST", f"/jobs/s:job-{number}/tasks", {"id": "t", "commandLine": "true"}).status == 201
        batch.advance(minutes=5)
        assert ask("GET", f"/jobs/s:job-{number}/tasks/t").json["state"] == "completed"
        seen |= pools(ask).keys()
        if number == 1:
            assert ask("POST", "/jobs/s:job-1/terminate").status == 202
            batch.advance(minutes=5)
            assert set(pools(ask).values()) == {"active"}, "its release still runs"
            batch.advance(minutes=50)
    assert len(seen) == made
    if operation == "end":
        assert ask("POST", "/jobs/s:job-2/terminate").status == 202
        batch.advance(minutes=30)
    else:
        path = {"terminate": "/jobschedules/s/terminate", "delete": "/jobschedules/s"}[operation]
        assert ask("POST" if operation == "terminate" else "DELETE", path).status == 202
    batch.advance(minutes=5)
    in_release = operation != "end"
    assert len(pools(ask)) == (left or 1 if in_release else left)
    batch.advance(minutes=30)
    state = ask("GET", "/jobschedules/s").json.get("state")
    assert (state, len(pools(ask))) == (None if operation == "delete" else "completed", left)


@pytest.mark.documented("M:BatchJobUpdateOptions.poolInfo: keepAlive, for pools that live as long as the job")
def test_keeping_a_pool_alive_can_be_decided_while_the_job_runs(batch, ask, vm):
    for job_id, keep in (("kept", True), ("not-kept", False)):
        auto = {"poolLifetimeOption": "job", "keepAlive": not keep, "pool": {**vm, "targetDedicatedNodes": 1}}
        assert ask("POST", "/jobs", {"id": job_id, "poolInfo": {"autoPoolSpecification": auto}}).status == 201
        auto["keepAlive"] = keep
        assert ask("PATCH", f"/jobs/{job_id}", {"poolInfo": {"autoPoolSpecification": auto}}).status == 200
        assert ask("POST", f"/jobs/{job_id}/terminate").status == 202
    batch.advance(minutes=1)
    assert list(pools(ask)) == [ask("GET", "/jobs/kept").json["executionInfo"]["poolId"]]
