"""Lists: which properties can be filtered on and how, and pages of a list that changes meanwhile."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest

VERSION = "api-version=2025-06-01"
ALL, SAME, EQUAL, NONE = {"eq", "ne", "ge", "gt", "le", "lt"}, {"eq", "ne"}, {"eq"}, set()
TEXT, TIME, NUMBER, FLAG = "'a'", "DateTime'2026-01-01T00:00:00Z'", "1", "true"
STARTS = "startswith"
ENTRIES = {
    f"{part}/{name}": rule
    for part in ("jobPreparationTaskExecutionInfo", "jobReleaseTaskExecutionInfo")
    for name, rule in {
        "state": (EQUAL, TEXT),
        "startTime": (ALL, TIME),
        "endTime": (ALL, TIME),
        "exitCode": (ALL, NUMBER),
        "result": (SAME, TEXT),
    }.items()
}
TIMES = dict.fromkeys(("stateTransitionTime", "creationTime", "lastModified"), (ALL, TIME))
JOBS = {
    "state": (SAME, TEXT),
    "executionInfo/startTime": (ALL, TIME),
    "executionInfo/endTime": (ALL, TIME),
    "executionInfo/poolId": (ALL | {STARTS}, TEXT),
    **TIMES,
}
# As the service's page on filters has it, list by list.
DOCUMENTED = {
    "/pools": {
        "id": (ALL | {STARTS}, TEXT),
        "state": (SAME, TEXT),
        "allocationState": (EQUAL, TEXT),
        "allocationStateTransitionTime": (ALL, TIME),
        "enableAutoScale": (SAME, FLAG),
        "vmSize": (SAME, TEXT),
        "enableInterNodeCommunication": (SAME, FLAG),
        **TIMES,
    },
    "/jobs": {"id": (ALL | {STARTS}, TEXT), **JOBS},
    "/jobschedules/{schedule}/jobs": JOBS,
    "/jobschedules": {
        "id": (ALL | {STARTS}, TEXT),
        "state": (SAME, TEXT),
        "executionInfo/endTime": (ALL, TIME),
        "schedule/doNotRunUntil": (ALL, TIME),
        "schedule/doNotRunAfter": (ALL, TIME),
        **TIMES,
    },
    "/jobs/{job}/tasks": {
        "id": (ALL | {STARTS}, TEXT),
        "state": (SAME, TEXT),
        "lastModifiedTime": (ALL, TIME),
        "executionInfo/startTime": (ALL, TIME),
        "executionInfo/endTime": (ALL, TIME),
        "executionInfo/exitCode": (ALL, NUMBER),
        "executionInfo/result": (SAME, TEXT),
        "stateTransitionTime": (ALL, TIME),
        "creationTime": (ALL, TIME),
    },
    "/jobs/{job}/jobpreparationandreleasetaskstatus": {"poolId": (SAME, TEXT), "nodeId": (SAME, TEXT), **ENTRIES},
    "/pools/{pool}/nodes": {
        "state": (SAME, TEXT),
        "stateTransitionTime": (ALL, TIME),
        "lastBootTime": (ALL, TIME),
        "allocationTime": (ALL, TIME),
        "startTaskInfo/state": (EQUAL, TEXT),
        "startTaskInfo/result": (SAME, TEXT),
        "startTaskInfo/exitCode": (ALL, NUMBER),
        "startTaskInfo/startTime": (ALL, TIME),
        "startTaskInfo/endTime": (ALL, TIME),
    },
    "/nodecounts": {"poolId": (EQUAL, TEXT)},
    "/supportedimages": {
        "osType": (SAME, TEXT),
        "verificationType": (SAME, TEXT),
        "nodeAgentSKUId": (SAME, TEXT),
    },
}


@pytest.fixture
def place(raw, make_pool, make_job, new_id):
    """A path with its placeholders filled: a pool, a job and a schedule that are there."""
    schedule_id, pool_id = new_id("schedule"), make_pool()
    job_id = make_job(pool_id, jobPreparationTask={"commandLine": "true"})
    body = {
        "id": schedule_id,
        "schedule": {"doNotRunUntil": "2099-01-01T00:00:00Z"},
        "jobSpecification": {"poolInfo": {"poolId": pool_id}},
    }
    assert raw("POST", "/jobschedules", body).status == 201
    yield lambda path: path.format(schedule=schedule_id, pool=pool_id, job=job_id)
    assert raw("DELETE", f"/jobschedules/{schedule_id}").status == 202


@pytest.mark.documented("DF")
@pytest.mark.parametrize("path", DOCUMENTED)
def test_what_the_page_allows_is_taken_and_what_it_does_not_is_refused(raw, place, path):
    def status(condition: str) -> int:
        answer = raw("GET", place(path), query=f"{VERSION}&$filter={quote(condition)}")
        assert answer.status == 200 or answer.code == "InvalidQueryParameterValue"
        return answer.status

    literals = {TEXT, TIME, NUMBER, FLAG}
    for name, (operators, literal) in DOCUMENTED[path].items():
        found = {operator for operator in ALL if status(f"{name} {operator} {literal}") == 200}
        found |= {STARTS} if status(f"startswith({name},{literal})") == 200 else NONE
        assert (name, found) == (name, operators)
        operator = min(operators - {STARTS})
        assert {other for other in literals if status(f"{name} {operator} {other}") == 200} == {literal}
        assert status(f"{name.upper()} {operator} {literal}") == 400
    for name in {"id", "url", "state", "displayName", "eTag", "executionInfo"} - DOCUMENTED[path].keys():
        assert (name, status(f"{name} eq 'a'")) == (name, 400)


@pytest.mark.documented(
    "D:batch-efficient-list-queries; R20:create_pools: the next link stands for a place, not a count"
)
def test_pages_go_on_where_they_were_while_entries_come_and_go(raw, make_job):
    path = f"/jobs/{make_job('nowhere')}/tasks"

    def add(name: str) -> None:
        assert raw("POST", path, {"id": name, "commandLine": "true"}).status == 201

    for number in range(20):
        add(f"t{number:02}0")
    page = raw("GET", path, query=f"{VERSION}&maxresults=5&$select=id").json
    seen = [entry["id"] for entry in page["value"]]
    assert seen == ["t000", "t010", "t020", "t030", "t040"]
    # the entry the link was made from, one before it, one behind it; new ones before and behind
    for name in ("t040", "t000", "t060"):
        assert raw("DELETE", f"{path}/{name}").status == 200
    for name in ("t005", "t045", "t075", "t999"):
        add(name)
    while link := page.get("odata.nextLink"):
        address = urlsplit(link)
        page = raw("GET", address.path, query=address.query).json
        assert all(set(entry) == {"id"} for entry in page["value"])
        seen += [entry["id"] for entry in page["value"]]
    expected = [f"t{number:02}0" for number in range(20) if number != 6]
    assert seen == sorted([*expected, "t045", "t075", "t999"])


@pytest.mark.documented("D:batch-efficient-list-queries")
def test_pages_of_a_filter_hold_what_matches_and_the_last_has_no_link(raw, make_job):
    path = f"/jobs/{make_job('nowhere')}/tasks"
    for number in range(12):
        assert raw("POST", path, {"id": f"{'ab'[number % 2]}{number:02}", "commandLine": "true"}).status == 201
    query, sizes = f"{VERSION}&maxresults=3&$filter={quote(chr(39).join(('startswith(id,', 'a', ')')))}", []
    while query:
        page = raw("GET", path, query=query).json
        sizes.append([entry["id"] for entry in page["value"]])
        query = urlsplit(page.get("odata.nextLink", "")).query
    assert sizes == [["a00", "a02", "a04"], ["a06", "a08", "a10"]]
