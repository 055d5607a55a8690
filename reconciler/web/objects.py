"""The objects of a stack: a list to search, and one object with all that is known of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from aiohttp import web

from reconciler.controller.state import Event
from reconciler.lifecycle.release import pending
from reconciler.lifecycle.steps import Step, Wait
from reconciler.model.desired import SPECS, Key, Kind
from reconciler.observed import LiveJob, LiveNode, LivePool, LiveSchedule, NodeRun, Observed, Run, short
from reconciler.planning import Entry
from reconciler.render.mask import Mask
from reconciler.render.text import step_text
from reconciler.status import Health, Sync, health
from reconciler.web.differences import difference_of
from reconciler.web.index import counts_of, state_of
from reconciler.web.shown import between
from reconciler.web.site import SITE, Pager, asked, key_of, link_query, one_of
from reconciler.web.timeline import job_timeline, task_bar


async def objects(request: web.Request) -> web.Response:
    """Objects of a stack, searched and filtered, a hundred a page."""
    site = request.app[SITE]
    status = site.status(request)
    index = site.index(status)
    text, pool = asked(request, "q"), asked(request, "pool")
    kind, in_sync, doing = (
        one_of(request, "kind", Kind),
        one_of(request, "sync", Sync),
        one_of(request, "health", Health),
    )
    found = index.find(text, kind=kind, in_sync=in_sync, doing=doing, pool=Key.of(Kind.POOL, pool) if pool else None)
    pager = Pager.of(request, len(found))
    query = {"q": text, "kind": kind or "", "sync": in_sync or "", "health": doing or "", "pool": pool}
    return site.page(
        request,
        "objects.html",
        f"Objects of {status.stack}",
        status=status,
        rows=[(row, task_bar(row.counts)) for row in found[pager.first : pager.last]],
        pager=pager,
        query=query,
        more=link_query(query),
        kinds=tuple(Kind),
        syncs=tuple(Sync),
        healths=tuple(Health),
        all=len(index.rows),
    )


@dataclass(frozen=True, slots=True)
class NodeLine:
    """A node in the grid of a job. *waits*: why its release has not ended, where that is known."""

    run: NodeRun
    short: str
    preparation: str
    release: str
    owes: bool
    waits: str
    stuck: bool


async def one_object(request: web.Request) -> web.Response:
    """One object: what is and what should be, why, and what it did on its nodes."""
    site = request.app[SITE]
    status = site.status(request)
    index = site.index(status)
    key, address = key_of(request)
    row = index.by_key.get(key)
    entry = index.plan.entries.get(key) if index.plan is not None else None
    happened = [event for event in site.board.events if event.stack == status.stack and _is_about(event, key)]
    receipts = next((kept for name, kept in status.receipts.items() if name.lower() == str(key)), ())
    if row is None and not happened and not receipts:
        raise web.HTTPNotFound(text=f"Stack {status.stack} has nothing at {address[:100]}, and nothing is known of it.")
    look = await site.closer.look(status, key)
    live = look.observed.get(key) if look.observed is not None else None
    doing: dict[str, Any] = {"nodes": None, "timeline": None, "members": None, "children": None, "counts": None}
    pager = Pager.of(request, 0)
    match live:
        case LiveJob() as job:
            pager = Pager.of(request, len(job.nodes or ()))
            doing |= _job(job, pager, look.observed, status.observed_at)
        case LivePool() as pool:
            pager = Pager.of(request, len(pool.members or ()))
            doing |= {"members": _members(pool, pager)}
        case LiveSchedule() as schedule:
            fresh = {job.key: job for job in schedule.children}
            made = index.of_schedule.get(key, [])
            pager = Pager.of(request, len(made))
            doing |= {
                "children": [(one, task_bar(counts_of(fresh.get(one.key)))) for one in made[pager.first : pager.last]]
            }
    if row is not None and live is not None:  # what was read closely may say more than the last pass knew
        row = replace(row, health=health(live)[0], problems=health(live)[1])
    after = index.plan.waits_for(key) if index.plan is not None and entry is not None else ()
    return site.page(
        request,
        "object.html",
        row.address if row is not None else address,
        status=status,
        row=row,
        address=row.address if row is not None else address,
        key=key,
        live=live,
        state=state_of(live),
        look_error=look.error,
        difference=difference_of(entry, after) if entry is not None else None,
        road=[_step_words(step) for step in entry.road] if entry is not None else [],
        blocked=entry.blocked if entry is not None else None,
        wanted_text=_json(Mask.of(entry).wanted(entry.wanted.written)) if entry is not None and entry.wanted else "",
        live_text=_json(_mask(entry, key).live(live.spec)) if live is not None else "",
        declared_tasks=len(entry.wanted.tasks) if entry is not None and entry.wanted is not None else 0,
        suspensions=[one for one in status.suspensions if one.address.lower() == str(key)],
        events=tuple(reversed(happened[-50:])),
        receipts=receipts,
        on_pool=len(index.on_pool.get(key, ())),
        pager=pager,
        more="",
        short=short,
        **doing,
    )


def _is_about(event: Event, key: Key) -> bool:
    return event.address.lower() == str(key)


def _step_words(step: Step) -> str:
    reason = "" if isinstance(step, Wait) else step.reason
    return f"{step_text(step)}: {reason}" if reason else step_text(step)


def _mask(entry: Entry | None, key: Key) -> Mask:
    """What may be shown of a live object; of one that no manifest names, nothing that could be a secret."""
    return Mask.of(entry) if entry is not None else Mask(SPECS[key.kind], frozenset(), {})


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def _job(job: LiveJob, pager: Pager, observed: Observed | None, at: str) -> dict[str, Any]:
    waits = {one.node: one for one in pending(job)} if job.state == "terminating" else {}
    owing = {run.node for run in job.owing()} if job.releases else set()
    runs = (job.nodes or ())[pager.first : pager.last]
    lines = [
        NodeLine(
            run,
            short(run.node),
            _took(run.preparation),
            _took(run.release),
            run.node in owing,
            waits[run.node].why if run.node in waits else "",
            run.node in waits and waits[run.node].stuck,
        )
        for run in runs
    ]
    shown = {run.node for run in runs}
    on_page = [task for task in (job.tasks or {}).values() if not job.nodes or task.node in shown]
    hosts = _hosts(runs, observed)
    counts = counts_of(job)
    return {
        "nodes": lines if job.nodes is not None else None,
        "timeline": job_timeline(runs, on_page, hosts, at),
        "counts": counts,
        "task_bar": task_bar(counts),
    }


def _took(run: Run | None) -> str:
    return between(run.started, run.ended) if run is not None and run.is_over else ""


def _hosts(runs: Iterable[NodeRun], observed: Observed | None) -> dict[str, LiveNode | None]:
    pools = observed.pools.values() if observed is not None else ()
    there = {node.id: node for pool in pools for node in pool.members or ()}
    return {run.node: there.get(run.node) for run in runs}


def _members(pool: LivePool, pager: Pager) -> list[tuple[LiveNode, str]] | None:
    if pool.members is None:
        return None
    return [(node, _took(node.start)) for node in pool.members[pager.first : pager.last]]
