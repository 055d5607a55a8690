"""What is to happen, and what did: the plan, the passes, the events."""

from aiohttp import web

from reconciler.web.differences import difference_of
from reconciler.web.site import PAGE, SITE, Pager, asked, link_query
from reconciler.web.timeline import pass_strip


async def plan(request: web.Request) -> web.Response:
    """What is to happen, object by object, and the form that lets it happen."""
    site = request.app[SITE]
    status = site.status(request)
    index = site.index(status)
    pager = Pager.of(request, len(index.changed))
    waits = index.plan.waits_for if index.plan is not None else lambda _: ()
    return site.page(
        request,
        "plan.html",
        f"Plan of {status.stack}",
        status=status,
        index=index,
        changes=[difference_of(entry, waits(entry.key)) for entry in index.changed[pager.first : pager.last]],
        blocked=index.blocked[:PAGE],
        waiting=index.waiting[:PAGE],
        notes=index.notes[:PAGE],
        unread=index.plan.unread if index.plan is not None else {},
        last=status.passes[-1] if status.passes else None,
        pager=pager,
        more="",
    )


async def passes(request: web.Request) -> web.Response:
    """The history of passes, newest first."""
    site = request.app[SITE]
    status = site.status(request)
    newest = tuple(reversed(status.passes))
    pager = Pager.of(request, len(newest))
    return site.page(
        request,
        "passes.html",
        f"Passes of {status.stack}",
        status=status,
        passes=newest[pager.first : pager.last],
        beats=pass_strip(status.passes),
        pager=pager,
        more="",
    )


async def events(request: web.Request) -> web.Response:
    """What happened, newest first; of one stack where the address names it."""
    site = request.app[SITE]
    status = site.status(request) if "stack" in request.match_info else None
    text = asked(request, "q").lower()
    found = [
        event
        for event in reversed(site.board.events)
        if (status is None or event.stack == status.stack)
        and (not text or text in f"{event.stack} {event.code} {event.address} {event.message}".lower())
    ]
    pager = Pager.of(request, len(found))
    query = {"q": text}
    return site.page(
        request,
        "events.html",
        f"Events of {status.stack}" if status is not None else "Events",
        status=status,
        events=found[pager.first : pager.last],
        pager=pager,
        query=query,
        more=link_query(query),
        names_stack=status is None,
    )
