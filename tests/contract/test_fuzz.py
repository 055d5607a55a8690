"""Requests made at random over every route, body property and query parameter: never a 500, always a proper answer.

Bodies follow the emulator's own tables with a share of nonsense, so that they get past the first check. The default run
is small; RECONCILER_FUZZ=5000 makes it as long as one likes.
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.emulator import (
    Emulator,
    job_bodies,
    node_bodies,
    pool_bodies,
    scaling_bodies,
    schedule_bodies,
    schema,
)
from reconciler.emulator.routes import ROUTES

EXAMPLES = int(os.environ.get("RECONCILER_FUZZ", "350"))
TABLES = {
    "create_pool": pool_bodies.POOL_CREATE,
    "update_pool": pool_bodies.POOL_UPDATE,
    "replace_pool_properties": pool_bodies.POOL_REPLACE,
    "resize_pool": pool_bodies.POOL_RESIZE,
    "remove_nodes": pool_bodies.NODE_REMOVE,
    "enable_pool_auto_scale": scaling_bodies.POOL_ENABLE_AUTOSCALE,
    "evaluate_pool_auto_scale": scaling_bodies.POOL_EVALUATE_AUTOSCALE,
    "reboot_node": node_bodies.NODE_REBOOT,
    "reimage_node": node_bodies.NODE_REIMAGE,
    "deallocate_node": node_bodies.NODE_DEALLOCATE,
    "disable_node_scheduling": node_bodies.NODE_DISABLE,
    "create_node_user": node_bodies.USER_CREATE,
    "replace_node_user": node_bodies.USER_REPLACE,
    "upload_node_logs": node_bodies.LOGS,
    "create_job": job_bodies.JOB_CREATE,
    "update_job": job_bodies.JOB_UPDATE,
    "replace_job": job_bodies.JOB_REPLACE,
    "disable_job": job_bodies.JOB_DISABLE,
    "terminate_job": job_bodies.JOB_TERMINATE,
    "create_task": job_bodies.TASK_CREATE,
    "replace_task": job_bodies.TASK_UPDATE,
    "create_job_schedule": schedule_bodies.SCHEDULE_CREATE,
    "update_job_schedule": schedule_bodies.SCHEDULE_UPDATE,
    "replace_job_schedule": schedule_bodies.SCHEDULE_REPLACE,
}
IDS = ["a", "B", "b-1", "j", "p", "t", "a:job-1", "ä", "..", "%00", "x" * 65, " "]
WORDS = st.sampled_from(
    [
        *("", "a", "B", "j", "p", "t", "/bin/true", "'", '"', "\\", "é", "\x00", "\ud800", "9" * 400, "x" * 2000),
        *("PT5M", "P1D", "PT0S", "-PT1S", "P", "P99999999999D", "2030-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        *("true", "5", "http://127.0.0.1:9/c", "http://127.0.0.1:9/c?sig=x", "*.txt", "../x", "/etc/passwd", "0644"),
        *("$TargetDedicatedNodes=1;", "$x=1/0;", "a=(((", "$TargetDedicatedNodes=$ActiveTasks.GetSample(1);"),
        *("9999-12-31T23:59:59Z", "2030-01-01T00:00:00+23:59", "requeue", "terminate", "noaction"),
    ]
)
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, "2", 1.5, -(2**31), 2**31, 10**30, 1e300, True])
NONSENSE = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


def of(kind) -> st.SearchStrategy:
    """Values of that kind, mostly."""
    match kind:
        case schema.Record():
            required = {name: of(own.kind) for name, own in kind.fields.items() if own.required}
            optional = {name: of(own.kind) for name, own in kind.fields.items() if not own.required}
            few = st.lists(st.sampled_from(sorted(optional)), max_size=3, unique=True) if optional else st.just([])
            good = few.flatmap(lambda names: st.fixed_dictionaries({**required, **{n: optional[n] for n in names}}))
        case schema.Listing():
            good = st.lists(st.deferred(lambda: of(kind.item)), max_size=2)
        case schema.Choice():
            good = st.sampled_from(kind.options)
        case schema.Number():
            good = st.sampled_from([1, 2, "1", kind.least])
        case schema.Flag():
            good = st.booleans()
        case schema.Secret():
            good = of(kind.of)
        case schema.Span():
            good = st.sampled_from(["PT5M", "PT30M", "PT1H", "P1D"])
        case schema.Text():
            good = st.sampled_from(["a", "b-1", "j", "p", "/bin/true", "http://127.0.0.1:9/c"])
        case node_bodies.Moment():
            good = st.sampled_from(["2030-01-01T00:00:00Z", "2020-01-01T00:00:00.1234567+01:00"])
        case _:
            good = NONSENSE
    return st.integers(0, 19).flatmap(lambda n: NONSENSE if n == 0 else good)


FILTERS = ["id eq 'a'", "startswith(id,'a')", "state eq 'active' and (id ne 'b')", "creationTime gt DateTime'x'", "((("]
QUERIES = {
    "maxresults": ["1", "0", "-5", "x", "1000", "99999999999999999999"],
    "$filter": [*FILTERS, "id eq", "'" * 40, "(" * 900],
    "$select": ["id", "id, state", "", "nothing", ","],
    "$expand": ["stats", "x"],
    "$skiptoken": ["", "WATV2:", "x", "WATV2:YQ==:1$1", "\u00e9"],
    "timeOut": ["30", "-1", "soon"],
    "force": ["true", "maybe"],
    "recursive": ["true", "1"],
    "startTime": ["2020-01-01T00:00:00Z", "x"],
    "surprise": [""],
}
HEADERS = {
    "if-match": ["*", '"0x1"', "0x1", ""],
    "if-none-match": ["*", "x"],
    "if-modified-since": ["yesterday", "Thu, 01 Jan 2026 00:00:00 GMT"],
    "ocp-range": ["bytes=0-1", "bytes=5-", "bytes=9-1", "x"],
    "content-type": ["text/plain"],
}
VERSIONS = st.sampled_from(["2025-06-01"] * 8 + ["2024-02-01.19.0", "2019-08-01.10.0", "2017-09-01.6.0", "1", ""])


def some(options: dict[str, list[str]], most: int) -> st.SearchStrategy:
    chosen = st.lists(st.sampled_from(sorted(options)), max_size=most, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({n: st.sampled_from(options[n]) for n in names}))


def body_for(name: str) -> st.SearchStrategy:
    if name == "create_task_collection":
        tasks = st.lists(of(TABLES["create_task"]), max_size=3)
        return st.fixed_dictionaries({"value": tasks}) | NONSENSE
    return of(TABLES[name]) if name in TABLES else st.none() | NONSENSE


@st.composite
def requests(draw, nodes):
    route = draw(st.sampled_from(ROUTES))
    path = route.pattern
    for placeholder in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        names = nodes if placeholder == "nodeId" else ["startup/stdout.txt", "wd", *IDS]
        if placeholder in ("poolId", "jobId", "taskId", "jobScheduleId"):
            names = {"poolId": ["p"], "jobId": ["j"], "taskId": ["t"]}.get(placeholder, []) * 6 + IDS
        path = path.replace(f"{{{placeholder}}}", quote(draw(st.sampled_from(names)), safe=""))
    query = {"api-version": draw(VERSIONS), **draw(some(QUERIES, 2))}
    body = draw(body_for(route.name)) if route.method in ("POST", "PUT", "PATCH") else None
    return route.method, path, {name: text for name, text in query.items() if text}, draw(some(HEADERS, 1)), body


@pytest.fixture(scope="module")
def target(tmp_path_factory, client_for, raw_for, until, vm):
    """An emulator with a pool of one node, a job and a task, and what makes them anew."""
    with Emulator(state=tmp_path_factory.mktemp("fuzz")) as emulator, client_for(emulator) as client:
        client.create_pool({"id": "p", **vm, "targetDedicatedNodes": 1, "startTask": {"commandLine": "/bin/true"}})
        until(lambda: [node.state for node in client.list_nodes("p")] == ["idle"])
        client.create_job({"id": "j", "poolInfo": {"poolId": "p"}})
        client.create_task("j", {"id": "t", "commandLine": "/bin/true"})
        [node] = client.list_nodes("p")
        yield raw_for(emulator), emulator, [node.id, node.id, "none"]


@pytest.mark.openapi
def test_no_request_however_odd_is_answered_with_an_error_of_the_emulator(target):
    raw, emulator, nodes = target

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES <= 350,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(nodes))
    def send(request):
        method, path, query, headers, body = request
        answer = raw(method, path, body, query=urlencode(query, quote_via=quote), headers=headers)
        assert answer.status < 500 or answer.status == 501, (request, answer)
        if answer.status >= 400 and method != "HEAD":
            assert answer.json["code"], (request, answer)

    send()
    assert raw("GET", "/pools").status == 200
    assert "Traceback" not in (emulator.state / "emulator.log").read_text()
