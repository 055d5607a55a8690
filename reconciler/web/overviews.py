"""All stacks, and one: what needs a person first, then the tree and what happened lately."""

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from reconciler.controller.state import PassEnd, StackStatus
from reconciler.model.desired import Key, Kind
from reconciler.status import Health, Sync
from reconciler.web.index import Index, Row
from reconciler.web.site import SITE, Site
from reconciler.web.timeline import bar, pass_strip, task_bar

SHOWN_IN_TREE: Final = 15
"""Jobs of a pool that the tree shows; a link leads to the others."""
POOLS_IN_TREE: Final = 50
FEW: Final = 8
TROUBLE: Final = frozenset(
    {
        *(PassEnd.BLOCKED, PassEnd.GUARDED, PassEnd.FAILED, PassEnd.INVALID),
        *(PassEnd.SOURCE_ERROR, PassEnd.ACCOUNT_ERROR, PassEnd.STORE_ERROR, PassEnd.BROKEN),
    }
)


async def overview(request: web.Request) -> web.Response:
    """Every stack with its counts."""
    site = request.app[SITE]
    cards = [_card(site, status) for _, status in sorted(site.board.statuses.items())]
    recent = tuple(reversed(site.board.events[-FEW:]))
    return site.page(request, "overview.html", "Overview", cards=cards, events=recent)


def _card(site: Site, status: StackStatus) -> dict[str, Any]:
    """What an overview says of one stack."""
    index = site.index(status)
    last = status.passes[-1] if status.passes else None
    return {
        "status": status,
        "index": index,
        "last": last,
        "syncs": bar((word, index.syncs[word]) for word in Sync),
        "healths": bar((word, index.healths[word]) for word in Health),
        "tasks": task_bar(index.tasks),
        "beats": pass_strip(status.passes),
        "in_trouble": last is not None and (last.end in TROUBLE or bool(last.error)),
        "whole": next((one for one in status.suspensions if not one.address), None),
    }


@dataclass(frozen=True, slots=True)
class Branch:
    """A pool of the tree with what runs on it. *row* is None for a pool that is not ours."""

    name: str
    row: Row | None
    twigs: tuple[tuple[Row, tuple[Row, ...]], ...]
    total: int


def _branches(index: Index) -> tuple[list[Branch], int]:
    """The tree of a stack: its pools with their jobs and schedules, then what runs elsewhere; and how many more."""
    pools: list[Key | None] = [row.key for row in index.rows if row.key.kind is Kind.POOL]
    pools += [key for key in index.on_pool if key not in set(pools)]
    found = []
    for key in pools[:POOLS_IN_TREE]:
        row = index.by_key.get(key) if key is not None else None
        here = index.on_pool.get(key, [])
        twigs = tuple((one, tuple(index.of_schedule.get(one.key, [])[:SHOWN_IN_TREE])) for one in here[:SHOWN_IN_TREE])
        name = row.name if row is not None else key.id if key is not None else ""
        found.append(Branch(name, row, twigs, len(here)))
    return found, max(len(pools) - POOLS_IN_TREE, 0)


async def stack(request: web.Request) -> web.Response:
    """One stack: what needs a person, the tree, and what happened lately."""
    site = request.app[SITE]
    status = site.status(request)
    index = site.index(status)
    branches, more = _branches(index)
    recent = [event for event in site.board.events if event.stack == status.stack]
    return site.page(
        request,
        "stack.html",
        status.stack,
        **_card(site, status),
        branches=branches,
        more_pools=more,
        events=tuple(reversed(recent[-FEW:])),
        passes=tuple(reversed(status.passes[-FEW:])),
        few=FEW,
    )
