"""The tasks of a job, and what they wrote."""

from itertools import islice
from typing import Final

from aiohttp import web

from reconciler.errors import BatchError, ReconcilerError
from reconciler.model.secrecy import without_keys
from reconciler.observed import LiveJob, LiveTask, short
from reconciler.web.index import counts_of
from reconciler.web.shown import between
from reconciler.web.site import SITE, Pager, asked, key_of, link_query
from reconciler.web.timeline import task_bar

MOST_LOG: Final = 64 * 1024
LOGS: Final = ("stdout.txt", "stderr.txt")


async def tasks(request: web.Request) -> web.Response:
    """The tasks of a job, a hundred a page: as they are, or only as declared where nobody listed them."""
    site = request.app[SITE]
    status = site.status(request)
    index = site.index(status)
    key, _ = key_of(request, "job")
    entry = index.plan.entries.get(key) if index.plan is not None else None
    look = await site.closer.look(status, key)
    live = look.observed.get(key) if look.observed is not None else None
    if key not in index.by_key:
        raise web.HTTPNotFound(text=f"Stack {status.stack} has no {key}.")
    declared = entry.wanted.tasks if entry is not None and entry.wanted is not None else {}
    listed = live.tasks if isinstance(live, LiveJob) else None
    text, state = asked(request, "q").lower(), asked(request, "state")
    query = {"q": text, "state": state}
    if state and state not in _TASK_STATES:
        raise web.HTTPBadRequest(text=f"expected state to be one of {', '.join(_TASK_STATES)}, found {state[:50]!r}")
    if listed is not None:
        chosen = [task for id_, task in listed.items() if text in id_ and _is_in(task, state)]
        pager = Pager.of(request, len(chosen))
        names: list[str] = []
    else:
        chosen = []
        matching = [id_ for id_ in declared if text in id_] if text else declared
        pager = Pager.of(request, len(matching))
        names = [declared[id_].name for id_ in islice(matching, pager.first, pager.last)]
    return site.page(
        request,
        "tasks.html",
        f"Tasks of {index.by_key[key].address}",
        status=status,
        row=index.by_key[key],
        look_error=look.error,
        listed=listed is not None,
        tasks=[(task, between(task.started, task.ended)) for task in chosen[pager.first : pager.last]],
        names=names,
        pager=pager,
        query=query,
        more=link_query(query),
        states=_TASK_STATES,
        short=short,
        declared=len(declared),
        missing=sum(id_ not in listed for id_ in declared) if listed is not None else 0,
        task_bar=task_bar(counts_of(live)),
    )


_TASK_STATES: Final = ("active", "running", "succeeded", "failed")


def _is_in(task: LiveTask, state: str) -> bool:
    match state:
        case "succeeded":
            return task.is_over and not task.failed
        case "failed":
            return task.failed
        case "running":
            return task.runs
        case "active":
            return not task.is_over and not task.runs
    return True


async def log(request: web.Request) -> web.Response:
    """The end of a file of a task, as plain text."""
    site = request.app[SITE]
    status = site.status(request)
    _, address = key_of(request, "job")
    task, node, file = asked(request, "task"), asked(request, "node"), asked(request, "file") or LOGS[0]
    if file not in LOGS:
        raise web.HTTPBadRequest(text=f"expected file to be {' or '.join(LOGS)}, found {file[:50]!r}")
    if not task:
        raise web.HTTPBadRequest(text="expected task to be preparation, release or the id of a task")
    try:
        content = await site.desk.log(status.stack, address, node, task, file)
    except BatchError as error:
        raise web.HTTPBadGateway(text=f"{error}") from error
    except ReconcilerError as error:
        raise web.HTTPNotFound(text=f"{error}") from error
    text = content[-MOST_LOG:].decode("utf-8", "replace")
    if len(content) >= MOST_LOG:  # the rest of a line that was cut might be the rest of a key
        text = text.partition("\n")[2]
    return web.Response(text=without_keys(_printable(text)), content_type="text/plain", charset="utf-8")


def _printable(text: str) -> str:
    """Without what would steer a terminal that the log is piped to."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for letter in text.replace("\r\n", "\n")
    )
