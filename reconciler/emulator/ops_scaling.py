"""Operations of autoscale, and the list of usage metrics: request in, answer out."""

from __future__ import annotations

from reconciler.emulator import pools, scaling
from reconciler.emulator.errors import bad_query
from reconciler.emulator.times import parse_iso
from reconciler.emulator.wire import Answer, Api, Request, check_conditions, listing, written

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
    """Always empty, as in every recording: core hours are not accounted here."""
    for name in ("startTime", "endtime"):
        text = request.query.get(name)
        try:
            parse_iso(text or "2000-01-01")
        except ValueError as error:
            raise bad_query(name, text or "", "A time is expected") from error
    return listing(request, "poolusagemetrics", "poolusagemetrics", [])
