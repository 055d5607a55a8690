"""What holds for every request: signatures, versions, conditions, queries, limits, headers, refusals."""

from __future__ import annotations

import base64
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from urllib.parse import urlsplit

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

from reconciler.emulator import Emulator
from reconciler.emulator.routes import ROUTES

OTHER_KEY = base64.b64encode(b"x" * 64).decode()


@pytest.mark.documented("P:BatchSharedKeyAuthPolicy; DE: AuthenticationFailed")
@pytest.mark.parametrize(
    "spoiled",
    [
        {"key": OTHER_KEY},
        {"account": "somebody"},
        {"sign": False},
        {"headers": {"ocp-date": formatdate(time.time() - 20 * 60, usegmt=True)}},
        {"headers": {"ocp-date": "yesterday"}},
        {"headers": {"ocp-date": ""}},
        {"signed_length": "7"},
    ],
)
def test_a_request_that_is_not_signed_right_is_refused_without_effect(raw, new_id, spoiled):
    job_id = new_id("job")
    answer = raw("POST", "/jobs", {"id": job_id, "poolInfo": {"poolId": "p"}}, **spoiled)
    assert (answer.status, answer.code) == (403, "AuthenticationFailed")
    assert answer.reason.startswith("Server failed to authenticate the request.")
    assert answer.values["AuthenticationErrorDetail"]
    assert raw("GET", f"/jobs/{job_id}").status == 404


@pytest.mark.emulator_only
@pytest.mark.parametrize(("minutes", "status"), [(-14, 200), (14, 200), (-16, 403), (16, 403)])
@pytest.mark.parametrize("header", ["ocp-date", "date"])
def test_a_clock_may_be_off_by_a_quarter_of_an_hour(raw, header, minutes, status):
    when = formatdate(time.time() + minutes * 60, usegmt=True)
    assert raw("GET", "/jobs", headers={"ocp-date": "", header: when}).status == status


@pytest.mark.emulator_only
def test_how_far_a_clock_may_be_off_is_a_switch_of_seconds(tmp_path, raw_for):
    with Emulator(state=tmp_path, switches={"clock_skew": "60"}) as emulator:
        for seconds, status in ((30, 200), (120, 403)):
            when = formatdate(time.time() - seconds, usegmt=True)
            assert raw_for(emulator)("GET", "/jobs", headers={"ocp-date": when}).status == status


@pytest.mark.documented("X: bearer tokens are not for plain http")
def test_other_ways_to_sign_in_are_refused(raw):
    answer = raw("GET", "/jobs", sign=False, headers={"authorization": "Bearer abc"})
    assert (answer.status, answer.code) == (403, "AuthenticationFailed")
    assert raw("GET", "/jobs", sign=False, headers={"authorization": "SharedKey local:%%%"}).status in (400, 403)


@pytest.mark.documented("X: spellings of released clients")
def test_every_spelling_in_use_is_accepted(raw, make_job):
    job_id = make_job("nowhere")
    for task in ("python", "javascript", "none"):
        assert raw("POST", f"/jobs/{job_id}/tasks", {"id": task, "commandLine": "true"}).status == 201
    path = f"/jobs/{job_id}/tasks"
    assert raw("DELETE", f"{path}/python", signed_length="0").status == 200
    assert raw("DELETE", f"{path}/javascript", send_length=False, signed_length="").status == 200
    assert raw("DELETE", f"{path}/none", send_length=False, signed_length="0").status == 200
    dated = {"ocp-date": "", "date": formatdate(usegmt=True)}
    assert raw("GET", path, headers=dated).status == 200
    assert raw("GET", path, headers={"content-type": "application/json"}).status == 200
    for query in (
        "api-version=2025-06-01&timeOut=30",
        "timeout=30&api-version=2024-02-01.19.0",
        "api-version=2025-06-01&%24filter=id%20eq%20%27a%27&$select=id%2Cstate",
    ):
        assert raw("GET", path, query=query).status == 200


@pytest.mark.documented("X: api-versions of released clients")
@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("api-version=2020-09-01.12.0", 200, None),
        ("api-version=2024-07-01.20.0", 200, None),
        ("api-version=2025-06-01", 200, None),
        ("api-version=2031-01-01", 200, None),
        ("api-version=2016-07-01.3.1", 400, "UnsupportedRequestVersion"),
        ("api-version=latest", 400, "UnsupportedRequestVersion"),
        (None, 400, "MissingRequiredQueryParameter"),
        ("api-version=2025-06-01&surprise=1", 400, "UnsupportedQueryParameter"),
        ("api-version=2025-06-01&timeOut=soon", 400, "InvalidQueryParameterValue"),
    ],
)
def test_versions_and_query_parameters_are_checked(raw, query, status, code):
    answer = raw("GET", "/jobs", query=query)
    assert answer.status == status
    assert code is None or answer.code == code


@pytest.mark.recorded("py2020b-jobs")
def test_answers_carry_the_services_headers(raw, make_job, emulator):
    job_id = make_job("nowhere")
    headers = {"client-request-id": "11111111-2222-3333-4444-555555555555"}
    read = raw("GET", f"/jobs/{job_id}", headers=headers)
    assert read.headers["content-type"] == "application/json;odata=minimalmetadata"
    assert read.headers["dataserviceversion"] == "3.0"
    assert read.headers["server"] == "Microsoft-HTTPAPI/2.0"
    assert len(read.headers["request-id"]) == 36
    assert {"etag", "last-modified", "date"} <= set(read.headers)
    assert "client-request-id" not in read.headers
    echoed = raw("GET", f"/jobs/{job_id}", headers={**headers, "return-client-request-id": "true"})
    assert echoed.headers["client-request-id"] == headers["client-request-id"]
    written = raw("PATCH", f"/jobs/{job_id}", {"priority": 3})
    assert written.body == b""
    assert written.headers["dataserviceid"] == f"{emulator.endpoint}/jobs/{job_id}"
    assert written.headers["transfer-encoding"] == "chunked"
    assert "content-type" not in written.headers
    listed = raw("GET", "/jobs")
    assert listed.json["odata.metadata"] == f"{emulator.endpoint}/$metadata#jobs"
    assert "etag" not in listed.headers


@pytest.mark.documented('DR "Specifying Conditional Headers"')
def test_conditions_on_reads_and_writes(raw, make_job):
    path = f"/jobs/{make_job('nowhere')}"
    etag = raw("GET", path).headers["etag"]
    modified = raw("GET", path).headers["last-modified"]
    old, other = "Mon, 01 Jan 2001 00:00:00 GMT", "0x8D0000000000000"
    for headers, read, write in (
        ({"if-match": etag}, 200, 200),
        ({"if-match": f'"{etag}"'}, 200, 200),
        ({"if-match": "*"}, 200, 200),
        ({"if-match": f'"{other}"'}, 412, 412),
        ({"if-none-match": etag}, 304, 412),
        ({"if-none-match": "*"}, 304, 412),
        ({"if-none-match": other}, 200, 200),
        ({"if-modified-since": modified}, 304, 412),
        ({"if-modified-since": old}, 200, 200),
        ({"if-unmodified-since": modified}, 200, 200),
        ({"if-unmodified-since": old}, 412, 412),
        ({"if-match": etag, "if-unmodified-since": old}, 200, 200),
        ({"if-none-match": other, "if-modified-since": modified}, 200, 200),
        ({"if-match": etag, "if-none-match": other}, 400, 400),
        ({"if-unmodified-since": "never"}, 400, 400),
    ):
        answer = raw("GET", path, headers=headers)
        assert (headers, answer.status) == (headers, read)
        assert answer.body == b"" if read == 304 else answer.body
        if write != 200:
            assert (headers, raw("PATCH", path, {"priority": 9}, headers=headers).status) == (headers, write)
    assert raw("GET", path).headers["etag"] == etag
    refused = raw("PATCH", path, {"priority": 9}, headers={"if-match": other})
    assert refused.code == "ConditionNotMet"
    assert refused.reason == "The condition specified using HTTP conditional header(s) is not met."
    assert raw("PATCH", path, {"priority": 9}, headers={"if-match": f'"{etag}"'}).status == 200
    assert raw("DELETE", path, headers={"if-match": f'"{etag}"'}).status == 412


@pytest.mark.documented('DR "Specifying Conditional Headers"')
@pytest.mark.parametrize("kind", ["pools", "jobs", "jobschedules"])
def test_of_writers_that_saw_the_same_version_one_succeeds(raw, vm, new_id, kind):
    parts = {
        "pools": vm,
        "jobs": {"poolInfo": {"poolId": "nowhere"}},
        "jobschedules": {
            "schedule": {"doNotRunUntil": "2099-01-01T00:00:00Z"},
            "jobSpecification": {"poolInfo": {"poolId": "nowhere"}},
        },
    }
    name = new_id(kind)
    assert raw("POST", f"/{kind}", {"id": name, **parts[kind]}).status == 201
    etag = raw("GET", f"/{kind}/{name}").headers["etag"]

    def write(number):
        body = {"metadata": [{"name": "writer", "value": str(number)}]}
        return raw("PATCH", f"/{kind}/{name}", body, headers={"if-match": f'"{etag}"'}).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(write, range(16)))
    assert sorted(statuses) == [200] + [412] * 15
    winner = str(statuses.index(200))
    assert raw("GET", f"/{kind}/{name}").json["metadata"] == [{"name": "writer", "value": winner}]
    assert raw("DELETE", f"/{kind}/{name}").status == 202


@pytest.mark.documented("M: ids are unique without regard to case and kept as given")
def test_ids_are_found_in_any_case_and_shown_as_given(raw, vm, new_id, emulator):
    schedule = {
        "schedule": {"doNotRunUntil": "2099-01-01T00:00:00Z"},
        "jobSpecification": {"poolInfo": {"poolId": "nowhere"}},
    }
    bodies = {
        "/pools": (vm, "PoolExists"),
        "/jobs": ({"poolInfo": {"poolId": "nowhere"}}, "JobExists"),
        "/jobschedules": (schedule, "JobScheduleExists"),
    }
    made = []
    for path, (body, code) in bodies.items():
        name = new_id("MiXed")
        made.append(f"{path}/{name}")
        assert raw("POST", path, {"id": name, **body}).status == 201
        assert raw("POST", path, {"id": name.lower(), **body}).code == code
        for other in (name.upper(), name.lower()):
            shown = raw("GET", f"{path.upper()}/{other}").json
            assert (shown["id"], shown["url"]) == (name, f"{emulator.endpoint}{path}/{name}")
            assert raw("PATCH", f"{path}/{other}", {"metadata": []}).status == 200
        listed = raw("GET", path, query=f"api-version=2025-06-01&$filter=id%20eq%20'{name.lower()}'").json["value"]
        assert [entry["id"] for entry in listed] == [name]
    tasks = f"{made[1]}/tasks"
    assert raw("POST", tasks.upper().replace("/JOBS", "/jobs"), {"id": "Task", "commandLine": "true"}).status == 201
    assert raw("POST", tasks, {"id": "TASK", "commandLine": "true"}).code == "TaskExists"
    [result] = raw("POST", f"{made[1]}/addtaskcollection", {"value": [{"id": "tAsK", "commandLine": "true"}]}).json[
        "value"
    ]
    assert result["error"]["code"] == "TaskExists"
    assert raw("GET", f"{tasks}/task").json["id"] == "Task"
    assert raw("DELETE", f"{tasks}/TASK").status == 200
    for path in made:
        assert raw("DELETE", path.upper()).status == 202


@pytest.mark.openapi
@pytest.mark.parametrize(
    ("text", "status"), [("1", 200), ("30", 200), ("31", 200), ("3600", 200), ("-1", 400), ("1.5", 400), ("", 400)]
)
def test_a_timeout_is_a_number_of_seconds_and_one_beyond_the_longest_means_the_longest(raw, text, status):
    for name in ("timeOut", "timeout"):
        assert raw("GET", "/jobs", query=f"api-version=2025-06-01&{name}={text}").status == status


@pytest.mark.documented("X: what the SDK makes of conditions")
def test_the_sdk_sees_a_change_by_its_etag(client, make_job):
    job_id = make_job("nowhere")
    etag = client.get_job(job_id)["eTag"]
    client.update_job(job_id, {"priority": 1}, etag=etag, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        client.update_job(job_id, {"priority": 2}, etag=etag, match_condition=MatchConditions.IfNotModified)
    assert client.get_job(job_id).priority == 1


@pytest.mark.documented("X: pool_exists raises for a missing pool")
def test_head_of_a_pool(client, make_pool, raw):
    pool_id = make_pool()
    assert client.pool_exists(pool_id) is True
    with pytest.raises(ResourceNotFoundError):
        client.pool_exists("nowhere")
    assert raw("HEAD", f"/pools/{pool_id}").headers["etag"] == raw("GET", f"/pools/{pool_id}").headers["etag"]
    assert raw("HEAD", "/pools/nowhere").status == 404


@pytest.mark.documented("DF, D:batch-efficient-list-queries")
def test_lists_are_filtered_selected_and_paged(client, make_job, raw):
    job_id = make_job("nowhere")
    client.create_tasks(job_id, [{"id": f"task-{n:02}", "commandLine": "true"} for n in range(25)])
    client.terminate_task(job_id, "task-03")
    total = []
    for filter_, expected in (
        ("state eq 'completed'", ["task-03"]),
        ("state ne 'Active'", ["task-03"]),
        ("startswith(id,'TASK-1')", [f"task-1{n}" for n in range(10)]),
        ("id ge 'task-23' or (id lt 'task-02' and state eq 'active')", ["task-00", "task-01", "task-23", "task-24"]),
        ("executionInfo/result eq 'failure'", ["task-03"]),
        ("creationTime lt DateTime'2011-05-08T08:49:37Z'", []),
        ("creationTime gt DateTime'Sun, 08 May 2011 08:49:37 GMT' and id eq 'task-24'", ["task-24"]),
        ("executionInfo/exitCode lt 0", []),
    ):
        found = [task.id for task in client.list_tasks(job_id, filter=filter_)]
        assert (filter_, found) == (filter_, expected)
        total += found
    pages = list(client.list_tasks(job_id, max_results=10, select=["id", "state"]).by_page())
    sizes = [[set(task.as_dict()) for task in page] for page in pages]
    assert [len(page) for page in sizes] == [10, 10, 5]
    assert all(names == {"id", "state"} for page in sizes for names in page)
    page = raw("GET", f"/jobs/{job_id}/tasks", query="api-version=2025-06-01&maxresults=7&$select=id,%20state").json
    assert page["odata.nextLink"].startswith("http://127.0.0.1:")
    assert "maxresults=7&$select=id,%20state&$skiptoken=WATV2:" in page["odata.nextLink"]


@pytest.mark.documented("DF: a wrong property or operator gives 400")
@pytest.mark.parametrize(
    "query",
    [
        "$filter=nothing%20eq%20'a'",
        "$filter=id%20like%20'a'",
        "$filter=state%20gt%20'a'",
        "$filter=id%20eq%20a",
        "$filter=id%20eq%20'a'%20and",
        "$filter=(id%20eq%20'a'",
        "$filter=creationTime%20gt%20'2020'",
        "$filter=creationTime%20gt%20DateTime'nonsense'",
        "$filter=" + "(" * 5000,
        "$filter=%01",
        "$select=id,nothing",
        "$expand=everything",
        "maxresults=-5",
        "maxresults=0",
        "maxresults=1001",
        "maxresults=ten",
        "$skiptoken=nonsense!",
    ],
)
def test_a_wrong_list_query_is_refused(raw, query):
    answer = raw("GET", "/jobs", query=f"api-version=2025-06-01&{query}")
    assert (answer.status, answer.code) == (400, "InvalidQueryParameterValue")
    if query == "maxresults=-5":
        assert answer.values == {
            "QueryParameterName": "maxresults",
            "QueryParameterValue": "-5",
            "Reason": "MaxResults cannot be less than 1",
        }


@pytest.mark.documented("G:BatchExplorer#1286")
def test_a_body_over_one_mebibyte_is_refused(raw, make_job):
    job_id = make_job("nowhere")
    answer = raw("POST", f"/jobs/{job_id}/tasks", {"id": "t", "commandLine": "x" * 1_048_576})
    assert (answer.status, answer.code, answer.values) == (413, "RequestBodyTooLarge", {"MaxLimit": "1048576"})


@pytest.mark.emulator_only
@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b"[]",
        b'"text"',
        b"null",
        b'{"id": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"id":' * 50_000,
        b'{"id": "\\ud800", "poolInfo": {"poolId": "p"}}',
        b'{"id": "a\\u0000", "poolInfo": {"poolId": "p"}}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b'{"id": "a", "poolInfo": {"poolId": "p"}, "priority": 1e400}',
        b'{"id": "a", "poolInfo": {"poolId": "p"}, "priority": 1.5}',
        b'{"id": "a", "poolInfo": {"poolId": ["p"]}}',
        b'{"id": {"a": 1}, "poolInfo": "p"}',
        b'{"id": "a", "poolInfo": {"poolId": "p"}, "metadata": [null]}',
        b'{"id": "a", "poolInfo": {"poolId": "p"}, "metadata": [{"name": "\\udfff", "value": "v"}]}',
        b'{"id": "a", "poolInfo": {"poolId": "p"}, "\\ud800": 1}',
        b'{"id": "a", "poolInfo": {"poolId": "p"}, "displayName": "\\ud800"}',
    ],
)
def test_an_odd_body_gets_a_refusal_not_a_crash(raw, content):
    answer = raw("POST", "/jobs", content=content)
    assert answer.status == 400
    assert answer.code in {
        "InvalidRequestBody",
        "InvalidPropertyValue",
        "UnsupportedProperty",
        "MissingRequiredProperty",
    }


@pytest.mark.emulator_only
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 501),
        ("GET", "/nothing/at/all", 501),
        ("PUT", "/pools/x", 405),
        ("PATCH", "/jobs/j/tasks/t", 405),
        ("PUT", "/jobschedules", 405),
        ("GET", "/pools/%ff%fe", 404),
        ("GET", "/pools/" + "x" * 5000, 404),
        ("GET", "/jobs/..%2F..", 404),
        ("GET", "//jobs", 501),
    ],
)
def test_odd_and_unknown_routes(raw, method, path, status):
    answer = raw(method, path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json;odata=minimalmetadata"


@pytest.mark.emulator_only
def test_every_operation_of_the_service_is_available():
    assert [route.name for route in ROUTES if route.handler is None] == []


@pytest.mark.documented("X: annotations in bodies; integers given as strings; null")
def test_bodies_as_released_clients_write_them_are_taken(raw, new_id):
    job_id = new_id("job")
    body = {
        "odata.metadata": "https://x/$metadata#jobs/@Element",
        "id": job_id,
        "displayName": None,
        "priority": "17",
        "poolInfo": {"poolId": "nowhere", "autoPoolSpecification": None},
        "constraints": {"maxTaskRetryCount": "-1"},
        "metadata": None,
    }
    assert raw("POST", "/jobs", body).status == 201
    shown = raw("GET", f"/jobs/{job_id}").json
    assert (shown["priority"], shown["constraints"]["maxTaskRetryCount"]) == (17, -1)
    assert not {"displayName", "metadata"} & set(shown)


@pytest.mark.recorded("cli2024-pool_cmd")
def test_properties_that_2025_removed_are_known_to_older_versions_only(raw, vm, new_id):
    old = {"certificateReferences": [], "targetNodeCommunicationMode": "default"}
    for version, status in (("2024-02-01.19.0", 201), ("2025-06-01", 400)):
        answer = raw("POST", "/pools", {"id": new_id("pool"), **vm, **old}, query=f"api-version={version}")
        assert (version, answer.status) == (version, status)


@pytest.mark.openapi
def test_what_2025_removed_is_shown_to_older_versions_only(raw, vm, new_id):
    older = "api-version=2024-07-01.20.0"
    pool = {**vm, "targetNodeCommunicationMode": "classic", "resourceTags": {"a": "b"}}
    auto = {"autoPoolSpecification": {"poolLifetimeOption": "job", "pool": {**pool, "targetDedicatedNodes": 0}}}
    pool_id, job_id, schedule_id = new_id("pool"), new_id("job"), new_id("schedule")
    made = (
        ("/pools", {"id": pool_id, **pool}),
        ("/jobs", {"id": job_id, "poolInfo": auto}),
        (
            "/jobschedules",
            {
                "id": schedule_id,
                "schedule": {"doNotRunUntil": "2099-01-01T00:00:00Z"},
                "jobSpecification": {"poolInfo": auto},
            },
        ),
    )
    for path, body in made:
        assert raw("POST", path, body, query=older).status == 201
        shown = f"{path}/{body['id']}"
        for address, query in (
            (shown, ""),
            (path, f"&$filter=id%20eq%20'{body['id']}'"),
        ):
            assert b'"targetNodeCommunicationMode":"classic"' in raw("GET", address, query=older + query).body
            now = raw("GET", address, query=f"api-version=2025-06-01{query}").body
            assert body["id"].encode() in now
            assert b"CommunicationMode" not in now
            assert b"resourceTags" not in now
        assert raw("DELETE", shown).status == 202


@pytest.mark.documented("X: the Python client asks for a chunk of work over one connection")
def test_one_connection_serves_many_requests_and_broken_ones_end_it_quietly(emulator):
    address = urlsplit(emulator.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(b"GET /$emulator/health HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 2:
            chunk = connection.recv(65536)
            assert chunk, answers
            answers += chunk
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in connection.recv(65536).split(b"\r\n")[0]
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(b"GET /$emulator/health HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n")
        assert b" 400 " in connection.recv(65536).split(b"\r\n")[0]


@pytest.mark.emulator_only
def test_control_routes_need_the_key_and_health_does_not(emulator):
    address = urlsplit(emulator.endpoint)

    def ask(path, key=b""):
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            header = b"X-Emulator-Key: " + key + b"\r\n" if key else b""
            connection.sendall(
                b"GET /$emulator/" + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n"
            )
            text = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = text.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    status, health = ask(b"health")
    assert (status, health["account"], set(health)) == (200, emulator.account, {"account", "pid"})
    assert ask(b"requests")[0] == 403
    assert ask(b"requests", b"wrong")[0] == 403
    assert ask(b"requests", emulator.key.encode())[0] == 200
