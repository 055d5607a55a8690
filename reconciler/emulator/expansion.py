"""Resources as requests ask to see them: with statistics if they expand them. Used by the `ops_*` modules."""

from __future__ import annotations

from reconciler.emulator import statistics, views
from reconciler.emulator.records import Job, Pool, Schedule, Task
from reconciler.emulator.wire import Api, Json, Request, wants_statistics


def show(api: Api, request: Request, item: Pool | Job | Schedule | Task) -> Json:
    """What GET shows of *item*, before $select."""
    shown = _plain(api, request, item)
    if wants_statistics(request):
        shown["stats"] = statistics.of(api.w, item, shown["url"])
    return shown


def _plain(api: Api, request: Request, item: Pool | Job | Schedule | Task) -> Json:
    match item:
        case Pool():
            return views.pool(api.w, item, request.base)
        case Job():
            return views.job(api.w, item, request.base)
        case Schedule():
            return views.schedule(item, request.base)
        case Task():
            return views.task(api.w, item, request.base)
