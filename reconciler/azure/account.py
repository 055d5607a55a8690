"""One Batch account: BatchReader and BatchWriter."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import orjson
from azure.batch.aio import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncRetryPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from reconciler.azure.answers import (
    evaluation_of,
    job_of,
    mark_of,
    node_counts_of,
    node_of,
    node_run_of,
    pool_of,
    rows_of,
    schedule_of,
    task_of,
    time_of,
)
from reconciler.azure.gated import Gate, Gated
from reconciler.azure.refusals import check_added, translated, understanding
from reconciler.errors import BatchError, LockLost, Missing, Moved, Rejected, TargetError, Transient
from reconciler.lifecycle.steps import Action, Verb
from reconciler.model.desired import Key, Kind, Task
from reconciler.observed import (
    MARK,
    Excerpt,
    Guard,
    LiveJob,
    LiveNode,
    LivePool,
    LiveSchedule,
    LiveTask,
    Mark,
    NodeFile,
    NodeRun,
    Observed,
    TaskCounts,
    TaskFile,
    short,
)

API_VERSION: Final = "2025-06-01"
JSON_TYPE: Final = "application/json; odata=minimalmetadata"
CHUNK: Final = 100
"""Tasks in one collection, the service's maximum (REST reference, "Add Task Collection")."""
LONGEST_SLEEP: Final = 5
"""Seconds that a retry may sleep inside of a request."""
NODE_FIELDS: Final = "id,state,stateTransitionTime,schedulingState,isDedicated,lastBootTime,runningTasksCount"
EXISTS: Final = frozenset({"PoolExists", "JobExists", "JobScheduleExists"})
T = TypeVar("T")
AT_ONCE: Final = 8
"""Requests of one action at once (chunks of tasks); how many actions run at once is the executor's business."""


class _ReadErrorBodies(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Reads the body of a refusal, so that the service's error code survives streaming."""

    async def on_response(
        self,
        request: PipelineRequest[HttpRequest],
        response: PipelineResponse[HttpRequest, AsyncHttpResponse],
    ) -> None:
        if response.http_response.status_code >= 300:
            await response.http_response.read()


class _AskFirst(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Sends nothing that may change the account unless it is permitted at that moment."""

    def __init__(self, permit: Callable[[], None]) -> None:
        self._permit = permit

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        """Also called for what the SDK sends again."""
        asks = urlsplit(request.http_request.url).path.endswith("/evaluateautoscale")
        if request.http_request.method not in ("GET", "HEAD") and not asks:
            self._permit()


class Account:
    """One Batch account: BatchReader and BatchWriter. *nonce* makes the words by which a create of ours is known.

    Two of us, a person in the portal and other tools may write at the same time. What keeps a request from reaching
    another object than the one that was looked at (REST reference, the conditions of each operation):

    | request                                                           | protected by                                |
    |-------------------------------------------------------------------|---------------------------------------------|
    | PATCH of pools, jobs and schedules (update, mark, confirm, choose)| If-Match                                    |
    | enable, disable, terminate, delete of jobs and schedules          | If-Match                                    |
    | pools: delete, resize, stop of it, autoscale on, remove nodes     | If-Match                                    |
    | PUT, delete and reactivate of tasks                               | If-Match                                    |
    | create                                                            | a taken id is refused; our own has the nonce|
    | add tasks                                                         | a fresh look at creationTime; TaskExists    |
    | pools: properties, autoscale off                                  | a fresh look at ETag and creationTime       |
    | nodes: scheduling, restart, reimage                               | a fresh look at these of their pool         |

    An ETag is of one incarnation, but does not change when a job enters `completed`, `disabled` or `deleting`: those
    states are never left but for the last, or by a request of somebody that changes the ETag. Where a fresh look is all
    there is, a window remains between its answer and the request: milliseconds, in which another tool's change is
    overwritten (properties), or tasks reach a job that somebody created anew in just that time.
    """

    _call: str = ""
    """The action of which a request is part: all of them stand under one id in the service's logs."""
    _pages: "dict[str, list[_Page]] | None" = None
    """The pages of the last look, for those who look again and again."""

    def __init__(
        self,
        client: BatchClient,
        endpoint: str,
        nonce: Callable[[], str] | None = None,
        *,
        remembers: bool = False,
    ) -> None:
        self._client = client
        self.endpoint = endpoint
        self._nonce = nonce or (lambda: secrets.token_hex(8))
        self._date: str | None = None
        self._pages = {} if remembers else None

    # Reading

    async def observe(self) -> Observed:
        """Pools, node counts, jobs and job schedules of the whole account."""
        pools, counts, jobs, schedules = await asyncio.gather(
            self._attempt(self._list("/pools", "list the pools")),
            self._attempt(self._list("/nodecounts", "count the nodes")),
            self._attempt(self._objects("/jobs", "list the jobs", job_of)),
            self._attempt(self._objects("/jobschedules", "list the job schedules", schedule_of)),
        )
        if isinstance(pools, BatchError) and isinstance(jobs, BatchError):
            raise pools
        unread: dict[Kind, str] = {}
        live_pools: dict[Key, LivePool] = {}
        live_jobs: dict[Key, LiveJob] = {}
        live_schedules: dict[Key, LiveSchedule] = {}
        with understanding("read the account"):
            if isinstance(pools, BatchError):
                unread[Kind.POOL] = str(pools)
            else:
                by_pool = (
                    None if isinstance(counts, BatchError) else {c["poolId"].lower(): node_counts_of(c) for c in counts}
                )
                live_pools = {pool.key: pool for pool in (pool_of(raw, by_pool) for raw in pools)}
            if isinstance(jobs, BatchError):
                unread[Kind.JOB] = str(jobs)
            else:
                live_jobs = {job.key: job for job in jobs}
            if isinstance(schedules, BatchError):
                unread[Kind.JOB_SCHEDULE] = str(schedules)
            else:
                live_schedules = {there.key: there for there in schedules}
        return Observed(live_pools, live_jobs, self._now(), unread, live_schedules).with_children()

    def _now(self) -> str:
        return time_of(self._date, datetime.now(UTC)).isoformat(timespec="milliseconds")

    async def tasks(self, job: LiveJob) -> Mapping[str, LiveTask]:
        """The tasks of a job by folded id."""
        path = f"/jobs/{_quote(job.name)}/tasks"
        rows = await self._list(path, f"list the tasks of {job.address}")
        return {task.id: task for task in map(task_of, rows)}

    async def task_ids(self, job: LiveJob) -> frozenset[str]:
        """The folded ids of the tasks of a job."""
        path = f"/jobs/{_quote(job.name)}/tasks"
        rows = await self._list(path, f"list the tasks of {job.address}", {"$select": "id"})
        return frozenset(row["id"].lower() for row in rows)

    async def node_runs(self, job: LiveJob) -> tuple[NodeRun, ...]:
        """Preparation and release per node; empty for a job that has neither (the service then answers 409)."""
        if not job.prepares and not job.releases:
            return ()
        path = f"/jobs/{_quote(job.name)}/jobpreparationandreleasetaskstatus"
        rows = await self._list(path, f"read preparation and release of {job.address}")
        return tuple(sorted(map(node_run_of, rows), key=lambda run: run.node))

    async def task_counts(self, job: LiveJob) -> TaskCounts:
        """How many tasks are in which state."""
        body = await self._json("GET", f"/jobs/{_quote(job.name)}/taskcounts", f"count the tasks of {job.address}")
        counts = body["taskCounts"]
        return TaskCounts(counts["active"], counts["running"], counts["succeeded"], counts["failed"])

    async def nodes(self, pool: LivePool) -> tuple[LiveNode, ...]:
        """The nodes that are in a pool now."""
        path = f"/pools/{_quote(pool.name)}/nodes"
        fields = f"{NODE_FIELDS},startTaskInfo"
        rows = await self._list(path, f"list the nodes of {pool.address}", {"$select": fields})
        return tuple(sorted(map(node_of, rows), key=lambda node: node.id))

    async def rows(self, *path: str, select: str = "") -> list[dict[str, Any]]:
        """The rows of a list as the service returns them: `rows("jobs", "j", "tasks")`."""
        where = path_of(*path)
        return await self._list(where, f"list {where}", {"$select": select} if select else None)

    async def answer(self, *path: str) -> dict[str, Any]:
        """One object as the service returns it."""
        where = path_of(*path)
        return await self._json("GET", where, f"read {where}")

    async def evaluate(self, pool: LivePool, formula: str) -> str:
        """What the service makes of a formula on a pool that scales now, in words; nothing is changed."""
        path = f"/pools/{_quote(pool.name)}/evaluateautoscale"
        what = f"evaluate the autoscale formula of {pool.address}"
        return evaluation_of(await self._json("POST", path, what, body={"autoScaleFormula": formula}))

    def node_file(self, pool: str, node: str, path: str) -> AsyncIterator[bytes]:
        """Content of a file of a node, piece by piece."""
        return self._pieces(*_place(NodeFile(pool, node, path)))

    def task_file(self, job: str, task: str, path: str) -> AsyncIterator[bytes]:
        """Content of a file of a task, piece by piece."""
        return self._pieces(*_place(TaskFile(job, task, path)))

    async def excerpt(self, file: NodeFile | TaskFile, head: int, tail: int) -> Excerpt:
        """A file, whole where *head* and *tail* hold it. Its size is asked for first: a range beyond the end of a file
        is refused (REST reference, InvalidRange), and an empty one has no first byte."""
        path, what = _place(file)
        response = await self._send(self._request("HEAD", path, None, None, None), what)
        try:
            size = int(response.headers.get("Content-Length", ""))
        except ValueError:
            raise Rejected(what, "the answer does not say how long the file is", status=response.status_code) from None
        if size == 0:
            return Excerpt(0, b"")
        if size <= head + tail:
            return Excerpt(size, await self._part(path, what, 0, size))
        return Excerpt(
            size,
            await self._part(path, what, 0, head) if head else b"",
            await self._part(path, what, size - tail, size) if tail else b"",
        )

    async def _part(self, path: str, what: str, first: int, end: int) -> bytes:
        """Bytes of a file from *first* to before *end*. What was written beyond since is not in them."""
        pieces = self._pieces(path, what, {"ocp-range": f"bytes={first}-{end - 1}"})
        return b"".join([piece async for piece in pieces])

    # Writing

    async def send(self, key: Key, name: str, action: Action) -> None:
        """Carry out one action. Returning means the service accepted it."""
        naming = copy(self)
        naming._call = action.call
        await naming._carry_out(key, name, action)

    async def _carry_out(self, key: Key, name: str, action: Action) -> None:
        what = f"{action.verb} {key.kind}/{name}"
        path = f"/{key.kind}s/{_quote(name)}"
        match action.verb:
            case Verb.CREATE:
                await self._create(f"/{key.kind}s", path, what, action)
            case Verb.UPDATE | Verb.CONFIRM_TASKS | Verb.ADOPT | Verb.ORPHAN:
                await self._write("PATCH", path, what, _marked(action), action.guard)
            case Verb.REPLACE_PROPERTIES:
                await self._replace_properties(path, what, action)
            case Verb.RESIZE | Verb.ENABLE | Verb.DISABLE | Verb.TERMINATE:
                body = dict(action.body) or None
                await self._write("POST", f"{path}/{action.verb}", what, body, action.guard, force=action.force)
            case Verb.REMOVE_NODES:
                await self._check_quiet(path, what, action.nodes)
                await self._write("POST", f"{path}/removenodes", what, dict(action.body), action.guard)
            case Verb.STOP_RESIZE | Verb.ENABLE_AUTOSCALE:
                body = dict(action.body) or None
                await self._write("POST", f"{path}/{action.verb.replace('-', '')}", what, body, action.guard)
            case Verb.DISABLE_AUTOSCALE:
                await self._check_unchanged(path, what, action.guard)
                await self._write("POST", f"{path}/disableautoscale", what, None, None)
            case Verb.CHOOSE_NODES:
                await self._check_put_back(path, what, action.mark)
                await self._write("PATCH", path, what, _marked(action), action.guard)
            case Verb.DISABLE_SCHEDULING | Verb.ENABLE_SCHEDULING:
                await self._check_unchanged(path, what, action.guard)
                await self._each_node(path, action, action.verb.replace("-", ""))
            case Verb.REBOOT_NODES | Verb.REIMAGE_NODES:
                await self._check_unchanged(path, what, action.guard)
                await self._check_quiet(path, what, action.nodes)
                await self._restart(path, action)
            case Verb.DELETE:
                if key.kind is Kind.JOB_SCHEDULE and not action.force:
                    await self._check_childless(path, what)
                await self._write("DELETE", path, what, None, action.guard, force=action.force)
            case Verb.ADD_TASKS:
                await self._check_born(path, what, action.guard)
                await self._add_tasks(path, what, action.tasks)
            case Verb.UPDATE_TASKS:
                pairs = zip(action.tasks, action.guards, strict=True)
                await _all(self._update_task(path, name, task, guard) for task, guard in pairs)
            case Verb.DELETE_TASKS | Verb.REACTIVATE_TASKS:
                named = zip(action.names, action.guards, strict=True)
                await _all(self._on_task(action.verb, path, name, task, guard) for task, guard in named)
            case Verb.FORGET | Verb.WRITE_RECEIPT:
                raise AssertionError("what is forgotten or written down is not in the account")

    async def _create(self, collection: str, path: str, what: str, action: Action) -> None:
        assert action.mark is not None
        mark = replace(action.mark, nonce=self._nonce())
        try:
            await self._write("POST", collection, what, _marked(replace(action, mark=mark)), None)
        except Moved as error:
            # The answer of our own create can be lost; the SDK then retries and meets its own success.
            if error.code not in EXISTS or not await self._is_marked(path, what, mark):
                raise

    async def _is_marked(self, path: str, what: str, mark: Mark) -> bool:
        there = mark_of(await self._json("GET", path, what))
        return there is not None and there.nonce == mark.nonce

    async def _check_unchanged(self, path: str, what: str, guard: Guard | None) -> None:
        """For operations that take no condition (REST reference 2.2): a fresh look just before."""
        there = await self._json("GET", path, what)
        if guard is None or there["eTag"] != guard.etag or there["creationTime"] != guard.born:
            raise Moved(what, "it changed since it was looked at", code="ConditionNotMet")

    async def _check_born(self, path: str, what: str, guard: Guard | None) -> None:
        """The same, for what may change meanwhile as long as it is the same object."""
        there = await self._json("GET", path, what)
        if guard is None or there["creationTime"] != guard.born:
            raise Moved(what, "it was created anew since it was looked at", code="ConditionNotMet")

    async def _check_childless(self, path: str, what: str) -> None:
        """The lists of a snapshot are of different moments, and a schedule takes its jobs with it: one that it made
        before it was disabled may be missing there. The guard keeps it disabled from here on."""
        if rows := await self._list(f"{path}/jobs", f"{what}: list its jobs", {"$select": "id"}):
            raise Moved(what, f"it still has {rows[0]['id']}", code="ConditionNotMet")

    async def _check_quiet(self, path: str, what: str, nodes: Collection[str]) -> None:
        """The pool's ETag does not tell when somebody puts a node back on scheduling (recorded), and a task may have
        prepared it since."""
        rows = await self._list(f"{path}/nodes", f"{what}: list its nodes", {"$select": NODE_FIELDS})
        if woken := [node.id for node in map(node_of, rows) if node.id in nodes and not node.is_quiet]:
            raise Moved(what, f"{short(woken[0])} takes tasks again since it was looked at", code="ConditionNotMet")

    async def _check_put_back(self, path: str, what: str, mark: Mark | None) -> None:
        """The mark lets go of a node only while it is on scheduling: another run may have taken it off since, and
        nobody would put it back."""
        before = mark_of(await self._json("GET", path, what))
        if before is None or mark is None or not before.aside - mark.aside:
            return
        rows = await self._list(f"{path}/nodes", f"{what}: list its nodes", {"$select": NODE_FIELDS})
        left = [node for node in map(node_of, rows) if node.print in before.aside - mark.aside and node.is_off]
        if left:
            raise Moved(what, f"{short(left[0].id)} was taken off scheduling meanwhile", code="ConditionNotMet")

    async def _each_node(self, path: str, action: Action, operation: str) -> None:
        body = dict(action.body) or None
        await _all(
            self._write("POST", f"{path}/nodes/{_quote(node)}/{operation}", f"{operation} node {node}", body, None)
            for node in action.nodes
        )

    async def _restart(self, path: str, action: Action) -> None:
        """Nodes that the service refuses to restart are put back at once: the refusal is final, and they would stay off
        scheduling for good."""
        try:
            await self._each_node(path, action, action.verb.removesuffix("-nodes"))
        except Rejected:
            await self._each_node(path, replace(action, body={}), "enablescheduling")
            raise

    async def _replace_properties(self, path: str, what: str, action: Action) -> None:
        await self._check_unchanged(path, what, action.guard)
        await self._write("POST", f"{path}/updateproperties", what, _marked(action), None)

    async def _on_task(self, verb: Verb, path: str, job: str, task: str, guard: Guard) -> None:
        where = f"{path}/tasks/{_quote(task)}"
        if verb is Verb.REACTIVATE_TASKS:
            await self._write("POST", f"{where}/reactivate", f"reactivate task/{job}/{task}", None, guard)
            return
        try:
            await self._write("DELETE", where, f"delete task/{job}/{task}", None, guard)
        except Missing as missing:
            if missing.code != "TaskNotFound":  # gone already is what was asked for
                raise

    async def _add_tasks(self, path: str, what: str, tasks: Sequence[Task]) -> None:
        chunks = (tasks[start : start + CHUNK] for start in range(0, len(tasks), CHUNK))
        await _all(self._add_chunk(path, what, chunk) for chunk in chunks)

    async def _add_chunk(self, path: str, what: str, tasks: Sequence[Task]) -> None:
        body = {"value": [task.body for task in tasks]}
        try:
            answer = await self._json("POST", f"{path}/addtaskcollection", what, body=body)
        except Rejected as error:
            if error.code != "RequestBodyTooLarge" or len(tasks) == 1:
                raise
            half = len(tasks) // 2
            await self._add_chunk(path, what, tasks[:half])
            await self._add_chunk(path, what, tasks[half:])
            return
        for row in answer["value"]:
            check_added(what, row)

    async def _update_task(self, path: str, job: str, task: Task, guard: Guard) -> None:
        # Whole and with defaults written out: what a PUT leaves out is reset (recorded).
        constraints = dict(task.spec.get("constraints") or {})
        where = f"{path}/tasks/{_quote(task.name)}"
        await self._write("PUT", where, f"update task/{job}/{task.name}", {"constraints": constraints}, guard)

    # Requests

    async def _attempt(self, rows: Awaitable[T]) -> T | BatchError:
        """The rows, or why the service refuses them. What may work later is raised: it says nothing about the list."""
        try:
            return await rows
        except Transient:
            raise
        except BatchError as error:
            return error

    async def _objects(self, path: str, what: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
        """Every row of a list as *read* makes it; of a page that is the same to the last byte, what it made before."""
        before = self._pages.get(path, []) if self._pages is not None else []
        pages: list[_Page] = []
        request: HttpRequest | None = self._request("GET", path, None, None, None)
        while request is not None:
            body, status = await self._body(request, what)
            digest = blake2b(body, digest_size=16).digest() if self._pages is not None else b""
            page = before[len(pages)] if len(pages) < len(before) else None
            if page is None or page.digest != digest:
                decoded = _object_in(body, what, status)
                with understanding("read the account"):
                    page = _Page(digest, decoded.get("odata.nextLink"), [read(row) for row in rows_of(decoded, what)])
            pages.append(page)
            link = page.link
            request = HttpRequest("GET", link, headers={"Accept": "application/json"}) if link else None
        if self._pages is not None:
            self._pages[path] = pages
        return [thing for page in pages for thing in page.things]

    async def _list(self, path: str, what: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Every row of a list, page by page."""
        page = await self._json("GET", path, what, query=query)
        rows = rows_of(page, what)
        while link := page.get("odata.nextLink"):
            page = await self._decoded(HttpRequest("GET", link, headers={"Accept": "application/json"}), what)
            rows += rows_of(page, what)
        return rows

    async def _json(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return await self._decoded(self._request(method, path, query, body, None), what)

    async def _decoded(self, request: HttpRequest, what: str) -> dict[str, Any]:
        body, status = await self._body(request, what)
        return _object_in(body, what, status)

    async def _body(self, request: HttpRequest, what: str) -> tuple[bytes, int]:
        response = await self._send(request, what)
        with translated(what, self.endpoint):
            return await response.read(), response.status_code

    async def _pieces(self, path: str, what: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[bytes]:
        request = self._request("GET", path, None, None, None)
        request.headers.update({"Accept": "application/octet-stream", **(headers or {})})
        response = await self._send(request, what)
        with translated(what, self.endpoint):
            async for piece in response.iter_bytes():
                yield piece

    async def _write(
        self,
        method: str,
        path: str,
        what: str,
        body: Mapping[str, Any] | None,
        guard: Guard | None,
        *,
        force: bool = False,
    ) -> None:
        query = {"force": "true"} if force else None
        response = await self._send(self._request(method, path, query, body, guard), what)
        with translated(what, self.endpoint):
            await response.read()

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        guard: Guard | None,
    ) -> HttpRequest:
        headers = {"Accept": "application/json"}
        if self._call:
            headers["client-request-id"] = self._call
        if guard is not None:
            headers["If-Match"] = f'"{guard.etag}"'
        content = None
        if body is not None:
            headers["Content-Type"] = JSON_TYPE
            content = orjson.dumps(body)
        params = {"api-version": API_VERSION, **(query or {})}
        return HttpRequest(method, self.endpoint + path, params=params, headers=headers, content=content)

    async def _send(self, request: HttpRequest, what: str) -> AsyncHttpResponse:
        with translated(what, self.endpoint):
            response = await self._client.send_request(request, stream=True)
        self._date = response.headers.get("Date")
        return response


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of a list as it was read. *digest* is of its bytes; *link* leads to the next one."""

    digest: bytes
    link: str | None
    things: list[Any]


def _object_in(body: bytes, what: str, status: int) -> dict[str, Any]:
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = "the answer is not JSON; is this the endpoint of a Batch account?"
        raise Rejected(what, message, status=status) from error
    if not isinstance(decoded, dict):
        raise Rejected(what, "the answer is not a JSON object", status=status)
    return decoded


@asynccontextmanager
async def connect(
    endpoint: str,
    account: str | None,
    key: str | None,
    *,
    use_proxies: bool,
    transport: AsyncHttpTransport[HttpRequest, AsyncHttpResponse] | None = None,
    nonce: Callable[[], str] | None = None,
    gate: Gate | None = None,
    remembers: bool = False,
    permit: Callable[[], None] | None = None,
) -> AsyncIterator[Account]:
    """An account, by shared key or, without one, by whatever `DefaultAzureCredential` finds.

    *use_proxies*: look for proxy settings in the environment; it costs half of every request, so it is asked for
    only where such variables are set. *transport* takes the place of the network, and *nonce* that of chance, where
    every run has to be the same. *permit* is asked before everything that may change the account goes out, each try of
    it: what it raises is raised instead. *gate* is asked before each request, tries again included. *remembers*: pages
    of lists that have not changed since the last look are not read again, as is worth it for who looks again and again.
    """
    network = transport or AioHttpTransport(use_env_settings=use_proxies)
    policies: dict[str, Any] = {
        "per_retry_policies": [_ReadErrorBodies(), *([_AskFirst(permit)] if permit is not None else [])],
        "retry_policy": _Retry(retry_total=4, retry_backoff_factor=0.4, retry_backoff_max=LONGEST_SLEEP),
        "connection_timeout": 10,
        "read_timeout": 60,
        "transport": network if gate is None else Gated(network, gate),
    }
    endpoint = endpoint.rstrip("/")
    if key is not None:
        if not account:
            raise TargetError("a shared key needs the account's name: --account or AZURE_BATCH_ACCOUNT")
        try:
            base64.b64decode(key, validate=True)  # the SDK would find out in the middle of a request
        except ValueError:
            raise TargetError("the account key is not valid base64; copy it again from the account's keys") from None
        async with BatchClient(endpoint, AzureNamedKeyCredential(account, key), **policies) as client:
            yield Account(client, endpoint, nonce, remembers=remembers)
        return
    from azure.identity.aio import DefaultAzureCredential

    async with DefaultAzureCredential() as token, BatchClient(endpoint, token, **policies) as client:
        yield Account(client, endpoint, nonce, remembers=remembers)


class _Retry(AsyncRetryPolicy[HttpRequest, AsyncHttpResponse]):
    """The SDK's retries, but a long Retry-After is ours to wait for: the run can be stopped there, and says so."""

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        """Whether the SDK tries this request again."""
        asked = self.get_retry_after(response)
        return (asked is None or asked <= LONGEST_SLEEP) and bool(super().is_retry(settings, response))


async def _all(requests: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Several requests of one action, a few at once. All are tried; the first refusal is raised when all have ended."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: Coroutine[Any, Any, None]) -> BatchError | LockLost | None:
        async with gate:
            try:
                await request
            except (BatchError, LockLost) as error:
                return error
            return None

    refused = [error for error in await asyncio.gather(*map(one, requests)) if error is not None]
    if refused:
        raise refused[0]


def _marked(action: Action) -> dict[str, Any]:
    body = dict(action.body)
    if action.mark is not None:
        body["metadata"] = [*(body.get("metadata") or ()), {"name": MARK, "value": str(action.mark)}]
    return body


def _place(file: NodeFile | TaskFile) -> tuple[str, str]:
    """The path of a file, and what reading it is called."""
    match file:
        case NodeFile(pool, node, path):
            return f"/pools/{_quote(pool)}/nodes/{_quote(node)}/files/{_quote(path)}", f"read {path} on node {node}"
        case TaskFile(job, task, path):
            return f"/jobs/{_quote(job)}/tasks/{_quote(task)}/files/{_quote(path)}", f"read {path} of task/{job}/{task}"


def path_of(*parts: str) -> str:
    """`/jobs/j/tasks` for ("jobs", "j", "tasks"), each part quoted."""
    return "".join(f"/{_quote(part)}" for part in parts)


def _quote(part: str) -> str:
    # The transport sends a colon as it is whatever is asked for, and the signature has to cover what is sent.
    return quote(part, safe=":")
