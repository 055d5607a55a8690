"""Operations of autoscale, and the list of usage metrics: request in, answer out."""

from __future__ import annotations

import re

from reconciler.emulator import pools, scaling, usage
from reconciler.emulator.errors import bad_query
from reconciler.emulator.times import iso, parse_iso
from reconciler.emulator.wire import Answer, Api, Request, check_conditions, listing, written

_TIME = re.compile(r"\b(?:startTime|endTime)\b", re.IGNORECASE)
_RUN = "Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun"


def enable(api: Api, request: Request) -> Answer:
    pool = pools.find(api.w, request.values["poolId"])
    check_conditions(request, pool.modified)
    scaling.enable(api.w, pool, request.json())
    return written(request, 200, pool.modified)


def disable(api: Api, request: Request) -> Answer:
    """Takes no conditions (O) and tells the version all the same (R18, R20, R24c)."""
    pool = pools.find(api.w, request.values["poolId"])
    scaling.disable(api.w, pool)
    return written(request, 200, pool.modified)


def evaluate(api: Api, request: Request) -> Answer:
    pool = pools.find(api.w, request.values["poolId"])
    run = scaling.evaluate(api.w, pool, request.json())
    body = {"odata.metadata": f"{request.base}/$metadata#{_RUN}"} | run
    return Answer(200, body, written(request, 200).headers)


def usage_metrics(api: Api, request: Request) -> Answer:
    """Without any bound in the query or the filter the last interval alone (O:list_pool_usage_metrics)."""
    now = api.w.now
    begin, end = usage.last_interval(now)
    bounded = _TIME.search(request.query.get("$filter", "")) is not None
    begin = _moment(request, "startTime", now - usage.DELAY - usage.INTERVAL, 0 if bounded else begin)
    end = _moment(request, "endtime", now - usage.DELAY, end)
    if end < begin:
        raise bad_query("endtime", request.query.get("endtime", iso(end)), "The end is before the start")
    items = [(key, lambda entry=entry: entry) for key, entry in usage.entries(api.w, begin, end)]
    return listing(request, "poolusagemetrics", "poolusagemetrics", items)


def _moment(request: Request, name: str, latest: int, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        moment = parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise bad_query(name, text, "A time is expected") from error
    if moment > latest:
        raise bad_query(name, text, f"Metrics are not there yet: the latest time possible is {iso(latest)}")
    return moment
