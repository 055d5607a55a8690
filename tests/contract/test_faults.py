"""Scripted faults and the request log, as tests of clients use them."""

from __future__ import annotations

import contextlib
import http.client
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ServiceResponseError

from reconciler.emulator import Emulator, EmulatorError


@pytest.fixture(autouse=True)
def no_faults_left(emulator):
    yield
    emulator.faults([])


@pytest.mark.emulator_only
def test_a_status_before_the_effect_leaves_nothing_and_after_it_the_effect_is_there(raw, emulator, new_id):
    for kind, exists in (("status", False), ("status-after", True)):
        job_id = new_id("job")
        emulator.faults([{"kind": kind, "method": "POST", "path": "^/jobs$", "status": 503, "retryAfter": 7}])
        answer = raw("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "p"}})
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "ServerBusy", "7")
        assert (raw("GET", f"/jobs/{job_id}").status == 200) == exists


@pytest.mark.emulator_only
def test_a_reset_before_the_effect_leaves_nothing_and_after_it_the_effect_is_there(raw, emulator, new_id):
    for kind, exists in (("reset", False), ("reset-after", True)):
        job_id = new_id("job")
        emulator.faults([{"kind": kind, "method": "POST", "path": "^/jobs$"}])
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            raw("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "p"}})
        assert (raw("GET", f"/jobs/{job_id}").status == 200) == exists


@pytest.mark.emulator_only
def test_rules_hit_in_order_as_often_as_they_say_and_only_what_they_name(raw, emulator):
    emulator.faults(
        [
            {"kind": "status", "path": "/jobs", "status": 500, "skip": 1, "times": 2},
            {"kind": "status", "path": "/jobs", "status": 429, "code": "TooManyRequests"},
        ]
    )
    statuses = [raw("GET", "/jobs").status for _ in range(5)]
    assert statuses == [429, 500, 500, 200, 200]
    assert raw("GET", "/pools").status == 200


@pytest.mark.emulator_only
def test_a_delay_holds_up_one_request_and_not_the_others(raw, emulator):
    before = emulator.requests()[-1]["n"]
    emulator.faults([{"kind": "delay", "path": "^/pools$", "seconds": 3}])
    with ThreadPoolExecutor(1) as aside:
        held = aside.submit(raw, "GET", "/pools")
        assert raw("GET", "/jobs").status == 200
        assert not held.done()
        assert held.result().status == 200
    assert raw("GET", "/pools").status == 200
    entries = emulator.requests(since=before)
    assert [(entry["path"], entry["fault"]) for entry in entries] == [
        ("/jobs", None),
        ("/pools", "delay"),
        ("/pools", None),
    ]


@pytest.mark.documented("AC: the client retries a read after 503")
def test_the_sdk_gets_through_a_short_outage_and_the_log_shows_its_tries(client, emulator, make_job):
    job_id = make_job("nowhere")
    before = emulator.requests()[-1]["n"]
    emulator.faults([{"kind": "status", "method": "GET", "path": f"/jobs/{job_id}", "status": 503, "retryAfter": 0}])
    assert client.get_job(job_id).id == job_id
    entries = emulator.requests(since=before)
    assert [(entry["method"], entry["path"], entry["status"]) for entry in entries] == [
        ("GET", f"/jobs/{job_id}", 503),
        ("GET", f"/jobs/{job_id}", 200),
    ]


@pytest.mark.emulator_only
def test_a_wrong_rule_is_refused(emulator):
    wrong = [
        *({}, [{"kind": "magic"}], [{"kind": "status", "path": "("}], [{"kind": "status", "when": "later"}]),
        *([{"kind": "reset", "status": 503}], [{"kind": "chaos", "rate": 2}], [{"kind": "delay", "seconds": -1}]),
        *([{"kind": "delay", "latency": {"median": 1}}], [{"kind": "run", "run": "dinner"}]),
    ]
    for rules in wrong:
        with pytest.raises(Exception, match="faults"):
            emulator.faults(rules)


@pytest.mark.documented("AC: a POST is retried after 503 and meets its own success")
def test_a_create_whose_answer_was_lost_meets_its_own_job(client, emulator, new_id):
    job_id = new_id("job")
    emulator.faults([{"kind": "status-after", "method": "POST", "path": "^/jobs$", "status": 503, "retryAfter": 0}])
    with pytest.raises(HttpResponseError) as refused:
        client.create_job({"id": job_id, "poolInfo": {"poolId": "p"}})
    assert refused.value.error.code == "JobExists"


@pytest.mark.emulator_only
def test_a_slow_body_arrives_whole(raw, emulator, make_job):
    job_id = make_job("nowhere")
    emulator.faults([{"kind": "slow-body", "path": f"/jobs/{job_id}$", "seconds": 0.4}])
    assert raw("GET", f"/jobs/{job_id}").json["id"] == job_id
    assert emulator.requests()[-1]["fault"] == "slow-body"


@pytest.mark.emulator_only
def test_a_stale_list_shows_the_account_as_it_was_some_changes_ago(raw, emulator, new_id):
    emulator.faults([{"kind": "stale", "path": "^/jobs$", "changes": 1, "skip": 1}])
    first, second = new_id("job"), new_id("job")
    for job_id in (first, second):
        assert raw("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "p"}}).status == 201

    def listed():
        return {job["id"] for job in raw("GET", "/jobs").json["value"]} & {first, second}

    assert listed() == {first, second}
    assert listed() == {first}
    assert listed() == {first, second}


@pytest.mark.documented("D:batch-get-resource-counts: counts are eventually consistent")
def test_counts_of_tasks_can_lag_behind_the_tasks(raw, emulator, make_job):
    job_id = make_job("nowhere")
    emulator.faults([{"kind": "stale", "path": "/taskcounts$", "seconds": 3600}])
    assert raw("POST", f"/jobs/{job_id}/tasks", {"id": "t", "commandLine": "true"}).status == 201
    counts = [raw("GET", f"/jobs/{job_id}/taskcounts").json["taskCounts"]["active"] for _ in range(2)]
    assert counts == [0, 1]


def _pattern(raw, emulator, requests, **settings):
    """What becomes of each of that many requests; the job is made anew for each seed."""
    emulator.chaos(7, path="^/pools$", late=0, retryAfter=0, **settings)
    before = emulator.requests()[-1]["n"] if emulator.requests() else 0
    for _ in range(requests):
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            raw("GET", "/pools")
    return [(entry["status"], entry["fault"]) for entry in emulator.requests(since=before)]


@pytest.mark.emulator_only
def test_chaos_does_the_same_to_the_same_requests_again(raw, emulator):
    first = _pattern(raw, emulator, 60, rate=0.5)
    assert first == _pattern(raw, emulator, 60, rate=0.5)
    assert {status for status, _ in first} == {0, 200, 429, 503}
    assert {"reset", "reset-after"} <= {fault for _, fault in first}
    assert _pattern(raw, emulator, 20, rate=0) == [(200, None)] * 20


@pytest.mark.emulator_only
def test_chaos_can_be_on_from_the_start(tmp_path, raw_for):
    with Emulator(state=tmp_path, chaos=7) as emulator:
        raw = raw_for(emulator)
        seen = []
        for _ in range(40):
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                seen.append(raw("GET", "/pools").status)
        assert any(status in (429, 503) for status in seen)


def _create_stubbornly(client, name):
    for _ in range(50):
        try:
            return client.create_job({"id": name, "poolInfo": {"poolId": "nowhere"}})
        except ServiceResponseError:
            continue  # a reset connection; a POST is not repeated by the client
        except ResourceExistsError as error:
            assert error.error.code == "JobExists"  # only its answer was lost
            return None
    raise AssertionError("fifty resets in a row")


@pytest.mark.documented("AC: the client repeats what failed on the way")
def test_the_sdk_gets_its_jobs_through_chaos(client, emulator, new_id):
    emulator.chaos(3, rate=0.3, retryAfter=0, latency={"low": 0.0, "high": 0.005})
    names = [new_id("job") for _ in range(10)]
    for name in names:
        _create_stubbornly(client, name)
    assert {job.id for job in client.list_jobs()} >= set(names)
    emulator.faults([])


@pytest.mark.documented("E:BatchNodeState: unusable; M: requeued by the service, uncounted")
def test_a_lost_node_gives_its_task_back_and_may_return(client, emulator, make_pool, make_job, until):
    pool_id = make_pool(1)
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": "sleep 60"})
    until(lambda: client.get_task(job_id, "t").state == "running")
    (node,) = client.list_nodes(pool_id)
    emulator.lose_node(pool_id, node.id, seconds=3)
    assert client.get_node(pool_id, node.id).state == "unusable"
    task = client.get_task(job_id, "t")
    assert (task.state, task.execution_info.requeue_count) == ("active", 0)
    until(lambda: client.get_task(job_id, "t").state == "running")


@pytest.mark.documented("G:Azure/Batch#52: a preempted spot node comes back under its id with an empty disk")
def test_a_preempted_node_comes_back_under_its_id_with_an_empty_disk(
    client, emulator, raw, make_pool, make_job, finished, until
):
    pool_id = make_pool(0, targetLowPriorityNodes=1)
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sh -c 'touch $AZ_BATCH_NODE_SHARED_DIR/kept'"})
    finished(job_id, "t")
    (node,) = client.list_nodes(pool_id)
    path = f"/pools/{pool_id}/nodes/{node.id}/files/shared/kept"
    assert raw("HEAD", path).status == 200
    emulator.preempt_node(pool_id, node.id, seconds=3)
    assert client.get_node(pool_id, node.id).state == "preempted"
    assert client.get_pool(pool_id).current_low_priority_nodes == 1
    until(lambda: client.get_node(pool_id, node.id).state == "idle")
    assert raw("HEAD", path).status == 404


@pytest.mark.emulator_only
def test_a_dedicated_node_is_not_preempted_and_a_missing_one_not_lost(emulator, client, make_pool):
    pool_id = make_pool(1)
    (node,) = client.list_nodes(pool_id)
    with pytest.raises(EmulatorError, match="Only spot"):
        emulator.preempt_node(pool_id, node.id)
    with pytest.raises(EmulatorError, match="node"):
        emulator.lose_node(pool_id, "nobody")


@pytest.mark.documented("E:BatchNodeState.starttaskfailed")
def test_a_start_task_fails_where_a_rule_says_so(client, emulator, make_pool, until):
    emulator.faults([{"kind": "run", "run": "start", "exitCode": 3}])
    start_task = {"commandLine": "/bin/true", "waitForSuccess": True, "maxTaskRetryCount": 0}
    pool_id = make_pool(2, startTask=start_task)
    nodes = list(client.list_nodes(pool_id))
    assert sorted(node.state for node in nodes) == ["idle", "starttaskfailed"]
    assert sorted(node.start_task_info.exit_code for node in nodes) == [0, 3]


@pytest.mark.emulator_only
def test_an_account_can_be_cleared(tmp_path, raw_for, vm):
    with Emulator(state=tmp_path) as emulator:
        raw = raw_for(emulator)
        assert raw("POST", "/pools", {"id": "p", **vm}).status == 201
        assert raw("POST", "/jobs", {"id": "j", "poolInfo": {"poolId": "p"}}).status == 201
        assert raw("POST", "/jobs/j/tasks", {"id": "t", "commandLine": "true"}).status == 201
        emulator.clear()
        assert raw("GET", "/jobs").json["value"] == raw("GET", "/pools").json["value"] == []
        assert raw("POST", "/pools", {"id": "p", **vm}).status == 201


@pytest.mark.emulator_only
@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "storm"},
        {"kind": []},
        {"kind": "reset", "surprise": 1},
        {"kind": "reset", "path": "("},
        {"kind": "reset", "times": -1},
        {"kind": "reset", "times": float("inf")},
        {"kind": "reset", "times": "twice"},
        {"kind": "reset", "skip": -1},
        {"kind": "stale", "changes": 1.5},
        {"kind": "delay", "seconds": -1},
        {"kind": "delay", "seconds": float("nan")},
        {"kind": "delay", "latency": {"low": 2, "high": 1}},
        {"kind": "status", "status": 99},
        {"kind": "status", "status": float("inf")},
        {"kind": "chaos", "rate": 2},
        {"kind": "quota", "pools": -1},
        {"kind": "quota", "tasks": 1},
        {"kind": "run", "run": "lunch"},
    ],
)
def test_a_wrong_rule_is_refused_and_those_in_force_stay(raw, emulator, rule):
    emulator.faults([{"kind": "status", "path": "^/pools$", "status": 503}])
    with pytest.raises(EmulatorError, match="faults"):
        emulator.faults([rule])
    assert [raw("GET", "/pools").status for _ in range(2)] == [503, 200]


@pytest.mark.emulator_only
def test_the_log_of_requests_is_asked_by_number(emulator):
    with pytest.raises(EmulatorError, match="since is the number of a request"):
        emulator.requests("9" * 6000)


@pytest.mark.documented("DE, D:batch-quota-limit: PoolQuotaReached, ActiveJobAndScheduleQuotaReached")
def test_quotas_are_lowered_and_given_back(raw, emulator, make_pool, make_job, vm, new_id):
    make_pool()
    job_id = make_job("nowhere")
    have = {path: len(raw("GET", path).json["value"]) for path in ("/pools", "/jobs", "/jobschedules")}
    pool, job = {"id": new_id("pool"), **vm}, {"id": new_id("job"), "poolInfo": {"poolId": "nowhere"}}
    schedule = {"id": new_id("schedule"), "schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "nowhere"}}}
    active = sum(
        entry["state"] != "completed" for path in ("/jobs", "/jobschedules") for entry in raw("GET", path).json["value"]
    )
    emulator.faults([{"kind": "quota", "pools": have["/pools"], "activeJobsAndSchedules": active}])
    for path, body, code in (
        ("/pools", pool, "PoolQuotaReached"),
        ("/jobs", job, "ActiveJobAndScheduleQuotaReached"),
        ("/jobschedules", schedule, "ActiveJobAndScheduleQuotaReached"),
    ):
        answer = raw("POST", path, body)
        assert (path, answer.status, answer.code) == (path, 409, code)
    assert {path: len(raw("GET", path).json["value"]) for path in have} == have
    assert raw("GET", f"/jobs/{job_id}").status == 200
    emulator.faults([])
    for path, body in (("/pools", pool), ("/jobs", job)):
        assert raw("POST", path, body).status == 201
        assert raw("DELETE", f"{path}/{body['id']}").status == 202
