"""Every operation the SDK can ask for is routed, takes what the SDK may send, and is known by the SDK's own name."""

from __future__ import annotations

import datetime
import inspect
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.batch._operations import _operations as sdk

from reconciler.emulator.routes import ROUTES, find

BUILDERS = [name for name in dir(sdk) if name.startswith("build_batch_")]
SOMETHING = {
    "bool": True,
    "int": 1,
    "datetime": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    "list": ["id"],
}


def request_of(builder: str) -> Any:
    """The request with every parameter given that the SDK knows for the operation."""
    build = getattr(sdk, builder)
    given = {}
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD and name != "match_condition":
            kind = str(parameter.annotation).lower()
            given[name] = next((value for word, value in SOMETHING.items() if word in kind), "x")
    try:
        return build(**given)
    except KeyError:  # an operation with a body wants its type as well
        return build(**given, content_type="application/json")


@pytest.mark.documented("O: the request builders of the SDK")
@pytest.mark.parametrize("builder", BUILDERS)
def test_an_operation_of_the_sdk_has_its_route(builder):
    request = request_of(builder)
    address = urlsplit(request.url)
    route, _ = find(request.method, address.path)
    assert route.handler is not None
    assert route.name == re.sub("^build_batch_|_request$|_internal", "", builder)
    sent = set(parse_qs(address.query)) - {"api-version", "timeOut"}
    assert set(route.query) - {"$skiptoken"} == sent


@pytest.mark.documented("O: the request builders of the SDK")
def test_there_is_no_route_that_no_operation_needs():
    needed = {re.sub("^build_batch_|_request$|_internal", "", builder) for builder in BUILDERS}
    assert len(BUILDERS) == 72
    assert {route.name for route in ROUTES} == needed


@pytest.mark.documented("O: the request builders of the SDK; DE: UnsupportedQueryParameter")
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/jobs/j/tasks/t/files", "$select=name"),
        ("/pools/p/nodes/n/files", "$expand=stats"),
        ("/jobs/j/jobpreparationandreleasetaskstatus", "$expand=stats"),
        ("/pools/p/nodes", "$expand=stats"),
        ("/jobs/j", "force=true"),
        ("/jobs", "recursive=true"),
    ],
)
def test_a_parameter_of_another_operation_is_refused_by_name(raw, path, query):
    answer = raw("GET", path, query=f"api-version=2025-06-01&{query}")
    assert (answer.status, answer.code) == (400, "UnsupportedQueryParameter")
    assert answer.values == {"QueryParameterName": query.partition("=")[0]}
