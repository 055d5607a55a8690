"""Operations on files of nodes and tasks: request in, answer out. Headers follow R26:files and R20:files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from reconciler.emulator import conditions, files, jobs, machines, pools, tasks
from reconciler.emulator.errors import refuse
from reconciler.emulator.runs import task_directory
from reconciler.emulator.times import http_date
from reconciler.emulator.wire import Answer, Api, Request, listing


def _root(api: Api, request: Request) -> tuple[Path, str]:
    """The directory the request's file names are relative to, and the URL that stands for it."""
    if "nodeId" in request.values:
        pool = pools.find(api.w, request.values["poolId"])
        node = machines.find(api.w, pool, request.values["nodeId"])
        return api.nodes.root(pool.id, node.id), f"{request.base}/pools/{pool.id}/nodes/{node.id}/files"
    job = jobs.find(api.w, request.values["jobId"])
    task = tasks.find(api.w, job, request.values["taskId"])
    if task.cleaned:
        raise refuse("TaskFilesCleanedup")
    if task.node is None or task.node not in api.w.nodes or task.pool is None or task.node_id is None:
        raise refuse("TaskFilesUnavailable")
    root = api.nodes.root(task.pool, task.node_id) / task_directory(job, task.id)
    if not files.is_directory(root):
        raise refuse("TaskFilesUnavailable")
    return root, f"{request.base}/jobs/{job.id}/tasks/{task.id}/files"


def list_all(api: Api, request: Request) -> Answer:
    root, url = _root(api, request)
    entries = files.walk(root, recursive=request.flag("recursive"))
    items = [(entry.name, lambda entry=entry: files.describe(entry, f"{url}/{quote(entry.name)}")) for entry in entries]
    return listing(request, "files", "files", items)


def _find(api: Api, request: Request) -> tuple[files.Entry, dict[str, str]]:
    root, url = _root(api, request)
    entry = files.find(root, request.values["filePath"])
    conditions.check(request.headers, None, entry.modified, read=request.method in ("GET", "HEAD"))
    headers = {  # no ocp-creation-time: Windows only (M:BatchFileProperties)
        "Content-Type": entry.content_type,
        "Last-Modified": http_date(entry.modified),
        "ocp-batch-file-isdirectory": str(entry.is_directory),
        "ocp-batch-file-url": quote(f"{url}/{entry.name}", safe=""),
        "ocp-batch-file-mode": entry.mode,
    }
    return entry, headers


def get(api: Api, request: Request) -> Answer:
    """A ranged read is answered 200 (X: the SDK raises on 206)."""
    entry, headers = _find(api, request)
    if entry.is_directory:
        raise refuse("FileNotFound")
    offset, length = files.read_range(request.headers.get("ocp-range"), entry.status.st_size)
    return Answer(200, headers=headers, file=(files.open_inside(entry), offset, length))


def head(api: Api, request: Request) -> Answer:
    entry, headers = _find(api, request)
    return Answer(200, headers=headers, length=0 if entry.is_directory else entry.status.st_size)


def delete(api: Api, request: Request) -> Answer:
    root, _ = _root(api, request)
    entry = files.find(root, request.values["filePath"])
    files.delete(entry, recursive=request.flag("recursive"), refusal=api.w.switches.directory_delete_code)
    return Answer(200)
