"""A request and an answer as the operations see them: values, no sockets. Between `server` and the `ops_*` modules."""

from __future__ import annotations

import json
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

from reconciler.emulator import conditions, odata, versions
from reconciler.emulator.engine import Engine
from reconciler.emulator.errors import ServiceError, bad_query, refuse
from reconciler.emulator.ports import Nodes
from reconciler.emulator.times import http_date, iso
from reconciler.emulator.views import etag
from reconciler.emulator.world import World

Json = dict[str, Any]
JSON_TYPE = "application/json;odata=minimalmetadata"  # no blank on the wire (R20, R24c)
PAGE = 1000
OLDEST_WITHOUT_LEGACY = "2025"


@dataclass(frozen=True, slots=True)
class Request:
    """One Batch request after authentication. Header names are in lower case; *base* is the scheme, host and port."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str
    raw_query: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    """What stands for the placeholders of the route, decoded."""

    @property
    def legacy(self) -> bool:
        """Whether the api-version still has the properties that 2025-06-01 removed."""
        return self.query["api-version"] < OLDEST_WITHOUT_LEGACY

    def json(self) -> object:
        """The body; None if it is empty. 400 InvalidRequestBody if it is not JSON."""
        if not self.body.strip():
            return None
        try:
            return versions.read(json.loads(self.body, parse_constant=_no_constant), self.query["api-version"])
        except (ValueError, RecursionError) as error:
            raise refuse("InvalidRequestBody", ("Reason", "The body is not valid JSON")) from error

    def flag(self, name: str) -> bool:
        """A true or false query parameter."""
        text = self.query.get(name, "false")
        if text.lower() not in ("true", "false"):
            raise bad_query(name, text, "true or false is expected")
        return text.lower() == "true"


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers beyond those every answer has, and a body: JSON, a part of a file, or none."""

    status: int
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    file: tuple[IO[bytes], int, int] | None = None
    """An open file, the offset and the number of bytes to send."""
    length: int | None = None
    """Content-Length of an answer to HEAD."""
    reason: str | None = None
    slow: float = 0.0
    """Seconds over which the body is sent."""


@dataclass(frozen=True, slots=True)
class Api:
    """What the operations work with, inside the transaction of one request."""

    engine: Engine
    nodes: Nodes
    w: World


Handler = Callable[[Api, Request], Answer]


def version_headers(modified: int) -> dict[str, str]:
    return {"ETag": etag(modified), "Last-Modified": http_date(modified)}


def check_conditions(request: Request, modified: int) -> None:
    """412, or NotModified for a read, if the conditional headers do not allow this version."""
    read = request.method in ("GET", "HEAD")
    conditions.check(request.headers, etag(modified), modified, read=read)


def written(request: Request, status: int, modified: int | None = None) -> Answer:
    """The answer to a write: DataServiceId is the request's URL, and the new version if the resource has one (R26)."""
    headers = {"DataServiceId": request.base + request.path}
    return Answer(status, headers=headers | (version_headers(modified) if modified else {}))


def single(request: Request, kind: str, item: Json, modified: int | None = None) -> Answer:
    """One resource, cut down by $select and marked with its metadata."""
    names = odata.parse_select(request.query.get("$select"), SELECTABLE[kind])
    wants_statistics(request)
    body = {"odata.metadata": f"{request.base}/$metadata#{kind}/@Element"} | odata.select(item, names)
    return Answer(200, body, version_headers(modified) if modified else {})


def wants_statistics(request: Request) -> bool:
    """Whether stats are to be expanded, the only thing that can be (D:batch-efficient-list-queries)."""
    text = request.query.get("$expand", "").strip()
    if text not in ("", "stats"):
        raise bad_query("$expand", text, "Only stats can be expanded")
    return bool(text)


@dataclass(frozen=True, slots=True)
class Ordered:
    """What a list shows: keys in order, and the item of a key. Nothing is made of what is not on the page."""

    keys: list[str]
    show: Callable[[str], Json]

    @classmethod
    def sort(cls, items: Iterable[tuple[str, Callable[[], Json]]]) -> Ordered:
        shows = dict(items)
        return cls(sorted(shows), lambda key: shows[key]())

    def after(self, key: str | None) -> Iterator[str]:
        """The keys behind that one, whether it is there or not; None: all."""
        return islice(self.keys, 0 if key is None else bisect_right(self.keys, key), None)


def listing(
    request: Request,
    metadata: str,
    fields: str,
    items: Ordered | Iterable[tuple[str, Callable[[], Json]]],
    *,
    most: int = PAGE,
) -> Answer:
    """A page of a list in order of keys, filtered and cut down; odata.nextLink if there is more (R20:create_pools)."""
    size = _page_size(request, most)
    names = odata.parse_select(request.query.get("$select"), SELECTABLE.get(fields, ()))
    wants_statistics(request)
    test = odata.compile_filter(request.query.get("$filter"), odata.FIELDS[fields])
    after = odata.read_token(request.query["$skiptoken"]) if "$skiptoken" in request.query else None
    page: list[tuple[str, Json]] = []
    body: Json = {"odata.metadata": f"{request.base}/$metadata#{metadata}", "value": []}
    ordered = items if isinstance(items, Ordered) else Ordered.sort(items)
    for key in ordered.after(after):
        shown = ordered.show(key)
        if test is None or test(shown):
            if len(page) == size:
                body["odata.nextLink"] = _next_link(request, page[-1][0])
                break
            page.append((key, shown))
    body["value"] = [odata.select(shown, names) for _, shown in page]
    return Answer(200, body)


def _page_size(request: Request, most: int) -> int:
    text = request.query.get("maxresults", str(most))
    try:
        number = int(text)
    except ValueError as error:
        raise bad_query("maxresults", text, "An integer is expected") from error
    if number < 1:
        raise bad_query("maxresults", text, "MaxResults cannot be less than 1")  # R20n
    if number > most:
        raise bad_query("maxresults", text, f"MaxResults cannot be greater than {most}")
    return number


def _next_link(request: Request, last: str) -> str:
    """Absolute, with the query repeated as it was sent (R20:create_pools)."""
    kept = [
        part for part in request.raw_query.split("&") if not part.lower().startswith(("$skiptoken=", "%24skiptoken="))
    ]
    return f"{request.base}{request.path}?{'&'.join([*kept, '$skiptoken=' + odata.make_token(last)])}"


def error_answer(error: ServiceError, base: str, now: int, request_id: str) -> Answer:
    """The service's error body (R26:exception_policy); the reason phrase repeats the message (R20, R24c)."""
    body: Json = {
        "odata.metadata": f"{base}/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element",
        "code": error.code,
        "message": {"lang": "en-US", "value": f"{error.message}\nRequestId:{request_id}\nTime:{iso(now)}"},
    }
    if error.values:
        body["values"] = [{"key": key, "value": value} for key, value in error.values]
    return Answer(error.status, body, reason=error.message)


def new_request_id() -> str:
    return str(uuid.uuid4())


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = _names("id displayName url eTag lastModified creationTime state stateTransitionTime stats")
_BEFORE = _names("previousState previousStateTransitionTime")
# Property names of M:BatchPool and so on, for $select.
SELECTABLE: dict[str, frozenset[str]] = {
    "pools": _COMMON
    | _names(
        "allocationState allocationStateTransitionTime vmSize virtualMachineConfiguration resizeTimeout resizeErrors "
        "currentDedicatedNodes currentLowPriorityNodes targetDedicatedNodes targetLowPriorityNodes enableAutoScale "
        "autoScaleFormula autoScaleEvaluationInterval autoScaleRun enableInterNodeCommunication networkConfiguration "
        "startTask applicationPackageReferences taskSlotsPerNode taskSchedulingPolicy userAccounts metadata "
        "mountConfiguration identity upgradePolicy certificateReferences targetNodeCommunicationMode "
        "currentNodeCommunicationMode resourceTags applicationLicenses"
    ),
    "jobs": _COMMON
    | _BEFORE
    | _names(
        "usesTaskDependencies priority allowTaskPreemption maxParallelTasks constraints jobManagerTask "
        "jobPreparationTask jobReleaseTask commonEnvironmentSettings poolInfo onAllTasksComplete onTaskFailure "
        "networkConfiguration metadata executionInfo"
    ),
    "jobschedules": _COMMON | _BEFORE | _names("schedule jobSpecification executionInfo metadata"),
    "tasks": _COMMON
    | _BEFORE
    | _names(
        "exitConditions commandLine containerSettings resourceFiles outputFiles environmentSettings affinityInfo "
        "constraints requiredSlots userIdentity executionInfo nodeInfo multiInstanceSettings dependsOn "
        "applicationPackageReferences authenticationTokenSettings"
    ),
    "nodes": _names(
        "id url state schedulingState stateTransitionTime lastBootTime allocationTime ipAddress ipv6Address affinityId "
        "vmSize totalTasksRun runningTasksCount runningTaskSlotsCount totalTasksSucceeded recentTasks startTask "
        "startTaskInfo errors isDedicated endpointConfiguration nodeAgentInfo virtualMachineInfo "
        "certificateReferences"
    ),
    "extensions": _names("provisioningState vmExtension instanceView"),
    "subtasks": _names(
        "id nodeInfo startTime endTime exitCode containerInfo failureInfo state stateTransitionTime previousState "
        "previousStateTransitionTime result"
    ),
    "attendances": _names("poolId nodeId nodeUrl jobPreparationTaskExecutionInfo jobReleaseTaskExecutionInfo"),
}
SELECTABLE["scheduledjobs"] = SELECTABLE["jobs"]
