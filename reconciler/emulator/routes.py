"""Which operation a method and a path mean, what query it takes, and the way of a request to it and back.

The table holds every operation of api-version 2025-06-01 (O); those that are not available answer 501 with their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote

from reconciler.emulator import (
    ops_applications,
    ops_files,
    ops_jobs,
    ops_nodes,
    ops_pools,
    ops_scaling,
    ops_schedules,
    versions,
)
from reconciler.emulator.engine import Engine
from reconciler.emulator.errors import ServiceError, bad_query, refuse
from reconciler.emulator.ports import Nodes
from reconciler.emulator.wire import Answer, Api, Handler, Request
from reconciler.emulator.world import World

_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(\.\d+\.\d+)?", re.ASCII)
_ALWAYS = frozenset({"api-version", "timeOut", "timeout"})
_PAGE = ("maxresults", "$skiptoken")
_ENTRIES = (*_PAGE, "$filter", "$select")
_USAGE = (*_PAGE, "$filter", "startTime", "endtime")
_LIST = (*_PAGE, "$filter", "$select", "$expand")
_FILES = (*_PAGE, "$filter", "recursive")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: its name in the SDK, method, path pattern, handler (None: not available), query parameters."""

    name: str
    method: str
    pattern: str
    handler: Handler | None = None
    query: tuple[str, ...] = ()

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The values of the placeholders if the path fits. A file path takes all that follows."""
        own = self.pattern.strip("/").split("/")
        if own[-1] == "{filePath}" and len(segments) > len(own):
            segments = [*segments[: len(own) - 1], "/".join(segments[len(own) - 1 :])]
        if len(own) != len(segments):
            return None
        values = {}
        for want, have in zip(own, segments, strict=True):
            if want.startswith("{"):
                values[want[1:-1]] = have
            elif want.lower() != have.lower():
                return None
        return values if all(values.values()) else None


def _file_routes(kind: str, prefix: str) -> list[Route]:
    return [
        Route(f"list_{kind}_files", "GET", f"{prefix}/files", ops_files.list_all, _FILES),
        Route(f"download_{kind}_file", "GET", f"{prefix}/files/{{filePath}}", ops_files.get),
        Route(f"get_{kind}_file_properties", "HEAD", f"{prefix}/files/{{filePath}}", ops_files.head),
        Route(f"delete_{kind}_file", "DELETE", f"{prefix}/files/{{filePath}}", ops_files.delete, ("recursive",)),
    ]


_POOL, _NODE = "/pools/{poolId}", "/pools/{poolId}/nodes/{nodeId}"
_JOB, _TASK = "/jobs/{jobId}", "/jobs/{jobId}/tasks/{taskId}"
_SCHEDULE = "/jobschedules/{jobScheduleId}"
_STATUS = f"{_JOB}/jobpreparationandreleasetaskstatus"
ROUTES: tuple[Route, ...] = (
    Route("create_pool", "POST", "/pools", ops_pools.create),
    Route("list_pools", "GET", "/pools", ops_pools.list_all, _LIST),
    Route("get_pool", "GET", _POOL, ops_pools.get, ("$select", "$expand")),
    Route("pool_exists", "HEAD", _POOL, ops_pools.exists),
    Route("update_pool", "PATCH", _POOL, ops_pools.patch),
    Route("replace_pool_properties", "POST", f"{_POOL}/updateproperties", ops_pools.replace_properties),
    Route("delete_pool", "DELETE", _POOL, ops_pools.delete),
    Route("resize_pool", "POST", f"{_POOL}/resize", ops_pools.resize),
    Route("stop_pool_resize", "POST", f"{_POOL}/stopresize", ops_pools.stop_resize),
    Route("remove_nodes", "POST", f"{_POOL}/removenodes", ops_pools.remove_nodes),
    Route("enable_pool_auto_scale", "POST", f"{_POOL}/enableautoscale", ops_scaling.enable),
    Route("disable_pool_auto_scale", "POST", f"{_POOL}/disableautoscale", ops_scaling.disable),
    Route("evaluate_pool_auto_scale", "POST", f"{_POOL}/evaluateautoscale", ops_scaling.evaluate),
    Route("list_pool_usage_metrics", "GET", "/poolusagemetrics", ops_scaling.usage_metrics, _USAGE),
    Route("list_pool_node_counts", "GET", "/nodecounts", ops_pools.node_counts, (*_PAGE, "$filter")),
    Route("list_supported_images", "GET", "/supportedimages", ops_pools.supported_images, (*_PAGE, "$filter")),
    Route("list_nodes", "GET", f"{_POOL}/nodes", ops_nodes.list_all, _ENTRIES),
    Route("get_node", "GET", _NODE, ops_nodes.get, ("$select",)),
    Route("reboot_node", "POST", f"{_NODE}/reboot", ops_nodes.reboot),
    Route("reimage_node", "POST", f"{_NODE}/reimage", ops_nodes.reimage),
    Route("deallocate_node", "POST", f"{_NODE}/deallocate", ops_nodes.deallocate),
    Route("start_node", "POST", f"{_NODE}/start", ops_nodes.start),
    Route("disable_node_scheduling", "POST", f"{_NODE}/disablescheduling", ops_nodes.disable_scheduling),
    Route("enable_node_scheduling", "POST", f"{_NODE}/enablescheduling", ops_nodes.enable_scheduling),
    Route("create_node_user", "POST", f"{_NODE}/users", ops_nodes.create_user),
    Route("replace_node_user", "PUT", f"{_NODE}/users/{{userName}}", ops_nodes.replace_user),
    Route("delete_node_user", "DELETE", f"{_NODE}/users/{{userName}}", ops_nodes.delete_user),
    Route("get_node_remote_login_settings", "GET", f"{_NODE}/remoteloginsettings", ops_nodes.remote_login_settings),
    Route("upload_node_logs", "POST", f"{_NODE}/uploadbatchservicelogs", ops_nodes.upload_logs),
    Route("list_node_extensions", "GET", f"{_NODE}/extensions", ops_nodes.list_extensions, (*_PAGE, "$select")),
    Route("get_node_extension", "GET", f"{_NODE}/extensions/{{extensionName}}", ops_nodes.get_extension, ("$select",)),
    *_file_routes("node", _NODE),
    Route("create_job", "POST", "/jobs", ops_jobs.create),
    Route("list_jobs", "GET", "/jobs", ops_jobs.list_all, _LIST),
    Route("get_job", "GET", _JOB, ops_jobs.get, ("$select", "$expand")),
    Route("update_job", "PATCH", _JOB, ops_jobs.patch),
    Route("replace_job", "PUT", _JOB, ops_jobs.put),
    Route("delete_job", "DELETE", _JOB, ops_jobs.delete, ("force",)),
    Route("disable_job", "POST", f"{_JOB}/disable", ops_jobs.disable),
    Route("enable_job", "POST", f"{_JOB}/enable", ops_jobs.enable),
    Route("terminate_job", "POST", f"{_JOB}/terminate", ops_jobs.terminate, ("force",)),
    Route("list_job_preparation_and_release_task_status", "GET", _STATUS, ops_jobs.attendances, _ENTRIES),
    Route("get_job_task_counts", "GET", f"{_JOB}/taskcounts", ops_jobs.task_counts),
    Route("create_task", "POST", f"{_JOB}/tasks", ops_jobs.add_task),
    Route("list_tasks", "GET", f"{_JOB}/tasks", ops_jobs.list_tasks, _LIST),
    Route("create_task_collection", "POST", f"{_JOB}/addtaskcollection", ops_jobs.add_tasks),
    Route("get_task", "GET", _TASK, ops_jobs.get_task, ("$select", "$expand")),
    Route("replace_task", "PUT", _TASK, ops_jobs.put_task),
    Route("delete_task", "DELETE", _TASK, ops_jobs.delete_task),
    Route("terminate_task", "POST", f"{_TASK}/terminate", ops_jobs.terminate_task),
    Route("reactivate_task", "POST", f"{_TASK}/reactivate", ops_jobs.reactivate_task),
    Route("list_subtasks", "GET", f"{_TASK}/subtasksinfo", ops_jobs.list_subtasks, ("$select",)),
    *_file_routes("task", _TASK),
    Route("create_job_schedule", "POST", "/jobschedules", ops_schedules.create),
    Route("list_job_schedules", "GET", "/jobschedules", ops_schedules.list_all, _LIST),
    Route("get_job_schedule", "GET", _SCHEDULE, ops_schedules.get, ("$select", "$expand")),
    Route("job_schedule_exists", "HEAD", _SCHEDULE, ops_schedules.exists),
    Route("update_job_schedule", "PATCH", _SCHEDULE, ops_schedules.patch),
    Route("replace_job_schedule", "PUT", _SCHEDULE, ops_schedules.put),
    Route("delete_job_schedule", "DELETE", _SCHEDULE, ops_schedules.delete, ("force",)),
    Route("disable_job_schedule", "POST", f"{_SCHEDULE}/disable", ops_schedules.disable),
    Route("enable_job_schedule", "POST", f"{_SCHEDULE}/enable", ops_schedules.enable),
    Route("terminate_job_schedule", "POST", f"{_SCHEDULE}/terminate", ops_schedules.terminate, ("force",)),
    Route("list_jobs_from_schedule", "GET", f"{_SCHEDULE}/jobs", ops_schedules.list_jobs, _LIST),
    Route("list_applications", "GET", "/applications", ops_applications.list_all, _PAGE),
    Route("get_application", "GET", "/applications/{applicationId}", ops_applications.get),
)


def _group() -> dict[tuple[str, int], list[Route]]:
    groups: dict[tuple[str, int], list[Route]] = {}
    for route in ROUTES:
        parts = route.pattern.strip("/").split("/")
        groups.setdefault((parts[0].lower(), len(parts)), []).append(route)
    return groups


_GROUPS = _group()
_DEEPEST = max(length for _, length in _GROUPS)


def _near(segments: list[str]) -> Iterable[Route]:
    """The routes that may fit, by first segment and depth; a path deeper than any names a file, if anything."""
    if len(segments) >= _DEEPEST or "files" in (one.lower() for one in segments):
        return ROUTES
    return _GROUPS.get((segments[0].lower(), len(segments)), ())


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request; 405 if the path takes other methods only, 501 if there is no such path."""
    segments = [unquote(part) for part in path.removeprefix("/").split("/")]
    other = False
    for route in _near(segments):
        values = route.match(segments)
        if values is not None:
            if route.method == method:
                return route, values
            other = True
    raise refuse("UnsupportedHttpVerb" if other else "NotImplemented", ("Reason", f"{method} {path[:200]}"))


def read_query(raw: str) -> dict[str, str]:
    """Decoded names and values; the first value of a name counts, as in signing."""
    query: dict[str, str] = {}
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=100, errors="strict")
    except (ValueError, UnicodeDecodeError) as error:
        raise refuse("InvalidUri", ("Reason", "The query cannot be read")) from error
    for name, value in pairs:
        query.setdefault(name, value)
    return query


def check_version(query: dict[str, str]) -> None:
    text = query.get("api-version")
    if not text:
        raise refuse("MissingRequiredQueryParameter", ("QueryParameterName", "api-version"))
    match = _VERSION.fullmatch(text)
    if match is None or match[1] < versions.OLDEST:
        raise refuse("UnsupportedRequestVersion", ("QueryParameterValue", text[:100]))


def handle(engine: Engine, nodes: Nodes, request: Request, now: int, past: World | None = None) -> Answer:
    """Carry out one authenticated request; a read from the *past* if one is given."""
    route, values = find(request.method, request.path)
    check_version(dict(request.query))
    if route.handler is None:
        raise ServiceError(501, "NotImplemented", f"{route.name} is not available in this emulator.")
    for name in request.query:
        if name not in _ALWAYS and name not in route.query:
            raise refuse("UnsupportedQueryParameter", ("QueryParameterName", name[:200]))
    _check_timeout(request)
    if past is not None:
        answer = route.handler(Api(engine, nodes, past), replace(request, values=values))
    else:
        with engine.transaction(now) as w:
            answer = route.handler(Api(engine, nodes, w), replace(request, values=values))
    return replace(answer, body=versions.shown(answer.body, request.query["api-version"]))


def _check_timeout(request: Request) -> None:
    """timeOut today, timeout from older clients (O, R24c). Nothing here takes that long."""
    for name in ("timeOut", "timeout"):
        text = request.query.get(name)
        if text is not None and not re.fullmatch(r"\d{1,6}", text, re.ASCII):
            raise bad_query(name, text, "A number of seconds is expected")
