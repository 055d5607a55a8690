"""Names and texts of others are shown as text, wherever they come from."""

from dataclasses import replace

import pytest

from reconciler.controller.state import Event, PassEnd, PassRecord, StackStatus, Suspension
from reconciler.diff import Change, FieldChange
from reconciler.errors import UsageError
from reconciler.lifecycle.steps import Blocked
from reconciler.model.field import ChangeKind
from reconciler.observed import Failure, NodeRun, Run
from reconciler.ports import Revision
from tests.web.conftest import Visit
from tests.web.stage import Bulletin, Stage

EVIL = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>"
ATTRIBUTE = "\" autofocus onfocus=alert(3) x='"


def poisoned(status: StackStatus, evil: str) -> StackStatus:
    """A status with *evil* in every text that comes from elsewhere: the account, manifests, Git, people."""
    assert status.plan is not None and status.observed is not None
    revision = Revision(evil, evil, evil, evil)
    entries = {}
    for key, entry in status.plan.entries.items():
        row = FieldChange(("priority", evil), evil, evil, ChangeKind.FIXED, False)
        entries[key] = replace(entry, difference=Change((row,)), notes=(evil,))
        if entry.blocked is not None:
            entries[key] = replace(entries[key], road=(Blocked(evil, evil),))
    jobs = {}
    for key, job in status.observed.jobs.items():
        run = Run("completed", 1, "failure", Failure(evil, evil, evil), 1, evil, evil, evil)
        tasks = {
            id_: replace(task, name=evil, node=evil, failure=evil, failed=True)
            for id_, task in (job.tasks or {}).items()
        }
        jobs[key] = replace(
            job,
            nodes=(NodeRun(evil, evil, run, run),),
            tasks=tasks,
            scheduling_error=evil,
            terminate_reason=evil,
            ended=evil,
            spec={**job.spec, evil: evil},
        )
    pools = {key: replace(pool, resize_errors=(evil,), evaluated=evil) for key, pool in status.observed.pools.items()}
    last = PassRecord(1, evil, 1.0, PassEnd.GUARDED, revision, evil, evil, (evil,), (evil,), evil)
    return replace(
        status,
        target=evil,
        revision=revision,
        offered=replace(revision, id=f"{evil}2"),
        holder=evil,
        plan=replace(status.plan, entries=entries),
        observed=replace(status.observed, jobs=jobs, pools=pools),
        observed_at=evil,
        awaiting=evil,
        suspensions=(Suspension("job/daily", evil, evil, evil, evil), Suspension("", evil, evil, evil, evil)),
        window=evil,
        passes=(last,),
        problems=(evil,),
        not_before={entry.address: (evil, evil) for entry in entries.values()},
        receipts={"job/gone": (evil,)},
        held={entry.address: evil for entry in entries.values()},
        next_pass_at=evil,
    )


def poison(stage: Stage, evil: str) -> None:
    """The board of *stage* with *evil* everywhere."""
    stage.board = Bulletin({"demo": poisoned(stage.board.statuses["demo"], evil), evil: stage.board.statuses["prod"]})
    stage.board.happened = [Event(1, evil, evil, evil, f"job/{evil}", evil, True, evil, {evil: evil})]
    stage.board.happened += [Event(2, evil, "demo", evil, "job/gone", evil, False, evil, {evil: evil})]
    stage.desk.board = stage.board
    stage.desk.refusal = UsageError(evil)
    stage.details = _as_it_is  # type: ignore[method-assign, assignment]


async def _as_it_is(status: StackStatus, _: object) -> object:
    return status.observed


POISONED = (
    "/",
    "/events",
    "/stacks/demo",
    "/stacks/demo/objects",
    "/stacks/demo/objects/job/nightly",
    "/stacks/demo/objects/job/gone",
    "/stacks/demo/objects/job/gone/tasks",
    "/stacks/demo/objects/pool/cpu",
    "/stacks/demo/objects/jobschedule/etl",
    "/stacks/demo/plan",
    "/stacks/demo/passes",
    "/stacks/demo/events",
)


@pytest.mark.parametrize("evil", [EVIL, ATTRIBUTE], ids=["tags", "attributes"])
async def test_text_of_others_stays_text(evil: str, busy: Stage, visit: Visit) -> None:
    poison(busy, evil)
    async with visit(busy) as visitor:
        pages = [await visitor.get(path) for path in POISONED]
    for page in pages:
        assert page.code == 200
        assert "&lt;img src=x" in page.text or "&#34; autofocus" in page.text
        assert "<img" not in page.text and "<script>" not in page.text
        assert '" autofocus' not in page.text


async def test_text_of_a_request_stays_text(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        pages = [
            await visitor.client.get(path, params=query)
            for path, query in (
                ("/stacks/demo/objects", {"q": EVIL}),
                ("/stacks/demo/objects", {"pool": EVIL}),
                ("/stacks/demo/objects", {"sync": EVIL}),
                ("/stacks/demo/objects", {"page": EVIL}),
                ("/stacks/demo/objects/job/gone/tasks", {"q": EVIL}),
                ("/events", {"q": EVIL}),
                ("/", {"said": EVIL}),
                ("/stacks/demo/objects/job/gone/log", {"task": "release", "file": EVIL}),
                (f"/stacks/{EVIL.replace('/', '')}", {}),
                (f"/stacks/demo/objects/job/{EVIL.replace('/', '')}", {}),
            )
        ]
        busy.desk.refusal = UsageError(EVIL)
        refused = await visitor.send("/stacks/demo", "/stacks/demo/reconcile")
        texts = [await page.text() for page in pages]
    for text in (*texts, refused.text):
        assert "<img" not in text and "<script>alert" not in text
    assert refused.code == 409 and "&lt;img" in refused.text
