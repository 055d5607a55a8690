"""Scripted faults and the request log, as tests of clients use them."""

from __future__ import annotations

import http.client
import time

import pytest
from azure.core.exceptions import HttpResponseError


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
    emulator.faults([{"kind": "delay", "path": "/pools", "seconds": 0.5}])
    begin = time.monotonic()
    assert raw("GET", "/pools").status == 200
    assert time.monotonic() - begin >= 0.5
    begin = time.monotonic()
    assert raw("GET", "/pools").status == 200
    assert time.monotonic() - begin < 0.4


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
    for rules in ({}, [{"kind": "magic"}], [{"kind": "status", "path": "("}], [{"kind": "status", "when": "later"}]):
        with pytest.raises(Exception, match="faults"):
            emulator.faults(rules)


@pytest.mark.documented("AC: a POST is retried after 503 and meets its own success")
def test_a_create_whose_answer_was_lost_meets_its_own_job(client, emulator, new_id):
    job_id = new_id("job")
    emulator.faults([{"kind": "status-after", "method": "POST", "path": "^/jobs$", "status": 503, "retryAfter": 0}])
    with pytest.raises(HttpResponseError) as refused:
        client.create_job({"id": job_id, "poolInfo": {"poolId": "p"}})
    assert refused.value.error.code == "JobExists"
