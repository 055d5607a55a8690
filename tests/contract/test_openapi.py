"""The check of answers against the OpenAPI document, checked; and that it sees the operations."""

from __future__ import annotations

import pytest


@pytest.mark.openapi
@pytest.mark.parametrize(
    ("method", "path", "status", "body", "found"),
    [
        ("GET", "/pools/p", 200, {"id": "p", "state": "active"}, []),
        ("GET", "/pools/p", 200, {"surprise": 1}, ["has surprise, which is not documented"]),
        ("GET", "/pools/p", 200, {"id": 7}, ["body.id is not of the documented kind: 7"]),
        ("GET", "/pools/p", 200, {"state": "happy"}, ["body.state is not of the documented kind"]),
        ("GET", "/pools/p", 200, {"creationTime": "today"}, ["body.creationTime is not of the documented kind"]),
        ("GET", "/pools/p", 200, {"resourceTags": {}}, ["has resourceTags"]),
        ("GET", "/pools", 200, {"value": [{"displayName": None}]}, ["body.value[].displayName is null"]),
        ("GET", "/jobs/j", 404, {"code": "JobNotFound", "why": 1}, ["has why"]),
        ("PUT", "/pools/p", 200, {}, ["no such operation"]),
    ],
)
def test_the_check_sees_what_is_wrong(openapi, method, path, status, body, found):
    violations = openapi.violations(method, path, status, body)
    assert len(violations) == len(found)
    assert all(text in violation for text, violation in zip(found, violations, strict=True))


@pytest.mark.openapi
def test_one_answer_of_every_read_is_as_documented(openapi, raw, client, make_pool, make_job, finished):
    """The others are checked wherever a contract test receives them."""
    pool_id = make_pool(1, startTask={"commandLine": "/bin/true"}, metadata=[{"name": "a", "value": "b"}])
    [node] = client.list_nodes(pool_id)
    tasks = {"jobPreparationTask": {"commandLine": "/bin/true"}, "jobReleaseTask": {"commandLine": "/bin/true"}}
    job_id = make_job(pool_id, **tasks)
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/false"})
    finished(job_id, "t")
    where, job = f"/pools/{pool_id}/nodes/{node.id}", f"/jobs/{job_id}"
    paths = [
        *("/pools", f"/pools/{pool_id}", "/nodecounts", "/supportedimages", f"/pools/{pool_id}/nodes", where),
        *(f"{where}/files", f"{where}/extensions", f"{where}/remoteloginsettings", "/jobs", job),
        *(f"{job}/tasks", f"{job}/tasks/t", f"{job}/taskcounts", f"{job}/jobpreparationandreleasetaskstatus"),
        *(f"{job}/tasks/t/files", f"{job}/tasks/t/subtasksinfo", "/applications", "/jobschedules", "/poolusagemetrics"),
    ]
    before = openapi.checked.total()
    for path in paths:
        assert raw("GET", path).status == 200, path
    assert openapi.checked.total() == before + len(paths)
