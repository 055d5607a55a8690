"""What the pages say, over HTTP, of plans made on a simulated account."""

import re
from dataclasses import replace

import pytest

from reconciler.controller.state import PassEnd
from reconciler.errors import BatchError, NotThere
from reconciler.ports import Revision
from tests.web.conftest import SECRET, Visit
from tests.web.stage import JOB, POOL, Stage

PAGES = (
    "/",
    "/events",
    "/stacks/demo",
    "/stacks/demo/objects",
    "/stacks/demo/objects/job/nightly",
    "/stacks/demo/objects/job/nightly/tasks",
    "/stacks/demo/objects/job/gone",
    "/stacks/demo/objects/job/weekly",
    "/stacks/demo/objects/job/etl:job-1",
    "/stacks/demo/objects/pool/cpu",
    "/stacks/demo/objects/jobschedule/etl",
    "/stacks/demo/plan",
    "/stacks/demo/passes",
    "/stacks/demo/events",
)


async def test_the_overview_counts_objects_of_each_stack_by_sync_and_by_health(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        words = (await visitor.get("/")).words
    assert "demo … Last pass: AwaitingApproval" in words
    assert "A plan waits for approval : Plan: 1 to add, 0 to change, 0 to terminate, 0 to delete." in words
    assert "2 blocked : a person must act." in words
    assert "Sync = 3 Synced ≠ 1 OutOfSync ! 2 Blocked" in words
    assert "Health ✓ 4 Healthy ↻ 1 Progressing ✗ 1 Degraded ? 1 Missing" in words
    assert "prod = Last pass: Synced" in words
    assert "Leader replica-2@host-b" in words
    assert "Revision 4f2c9a1e0b7d Render at 4K by Ada" in words


async def test_a_stack_shows_its_tree_with_sync_and_health_apart(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        words = (await visitor.get("/stacks/demo")).words
    tree = words[words.index("Tree") :]
    assert "pool/cpu = Sync: Synced ✓ Health: Healthy" in tree
    assert re.search(r"job/nightly ! Sync: Blocked ↻ Health: Progressing active \d of 8 tasks succeeded", tree)
    assert "job/weekly ≠ Sync: OutOfSync ? Health: Missing absent" in tree
    assert "job/daily = Sync: Synced ✓ Health: Healthy ‖ Suspended" in tree
    assert tree.index("jobschedule/etl") < tree.index("job/etl:job-1")
    assert "Mode approve" in words and "Window Mon-Fri 06:00-18:00 Europe/Berlin, open now" in words


async def test_what_is_blocked_names_the_exact_consent(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        stack, one = await visitor.get("/stacks/demo"), await visitor.get("/stacks/demo/objects/job/nightly")
    for page in (stack, one):
        assert "<code>--allow-task-loss job/nightly</code>" in page.text
    assert "<code>--allow-release-failure job/gone</code>" in stack.text


async def test_a_guard_is_shown_in_full(stage: Stage, visit: Visit) -> None:
    stage.write()
    await stage.look(end=PassEnd.GUARDED, error="12 of 30 owned objects would be removed; --allow-deletes 12 allows it")
    async with visit(stage) as visitor:
        for page in ("/", "/stacks/demo", "/stacks/demo/plan"):
            assert "12 of 30 owned objects would be removed; --allow-deletes 12" in (await visitor.get(page)).words


async def test_a_revision_that_cannot_be_used_is_named_beside_the_one_in_force(stage: Stage, visit: Visit) -> None:
    stage.write()
    offered = Revision("ffff0000aaaa", "Break everything", "Eve")
    await stage.look(end=PassEnd.INVALID, error="pool.yaml:7:3: spec.vmSize: expected a size", offered=offered)
    async with visit(stage) as visitor:
        words = (await visitor.get("/stacks/demo")).words
    assert "Revision ffff0000aaaa Break everything is not in force: the last good one, 4f2c9a1e0b7d" in words
    assert "pool.yaml:7:3: spec.vmSize: expected a size" in words


async def test_a_job_shows_preparation_and_release_of_every_node(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        page = await visitor.get("/stacks/demo/objects/job/gone")
    words = page.words
    grid = words[words.index("Preparation and release") : words.index("Timeline")]
    assert grid.count("✓ succeeded exit code 0 , no retry") + grid.count("✓ succeeded exit code 0") >= 3
    assert grid.count("✗ failed exit code 3") == 1
    assert "FailureExitCode: The task exited with an exit code representing a failure" in grid
    assert re.search(r"2026-01-01 00:\d\d:\d\d , \d", grid)
    assert re.search(r'/log\?task=release&amp;node=tvm[^&"]+&amp;file=stdout.txt', page.text)
    assert "Kept of it receipt gone@1.json" in words
    assert "ReleaseFailed" in words


async def test_of_a_job_that_ends_each_node_says_what_its_release_waits_for(stage: Stage, visit: Visit) -> None:
    stage.simulation.script(command="clean-up", seconds=600)
    stage.write(cpu=POOL % ("cpu", 2), j=JOB % ("j", "cpu", 2))
    await stage.apply()
    stage.write(j=None)
    assert stage.simulation.request("POST", "/jobs/j/terminate", {}).status == 202
    stage.simulation.advance(seconds=30)
    await stage.look()
    async with visit(stage) as visitor:
        page = await visitor.get("/stacks/demo/objects/job/j")
    grid = page.words[page.words.index("Preparation and release") : page.words.index("Timeline")]
    assert re.search(r"in cpu ✓ succeeded .*? ↻ running .*? began \d\d:\d\d:\d\dZ, ends by \d\d:\d\d:\d\dZ", grid)
    assert "wait for release on" in page.words and "up to 15 min" in page.words
    assert 'class="span release open"' in page.text


async def test_the_timeline_has_a_lane_for_each_node_with_what_ran_there(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        page = await visitor.get("/stacks/demo/objects/job/gone")
    svg = page.text[page.text.index('class="timeline"') :].partition("</svg>")[0]
    titles = re.findall(r"<title>([^<]*)</title>", svg)
    assert svg.count('class="lane"') == 2
    assert sum(title.startswith("preparation: 2026-01-01 ") for title in titles) == 2
    assert sum(title.startswith("release: ") and title.endswith(", failed") for title in titles) == 1
    assert sum(title.startswith("task frame-1: ") and title.endswith(", failed") for title in titles) == 1
    assert sum(title.startswith("start: ") for title in titles) == 2


async def test_a_difference_shows_both_sides_and_no_secret(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        page = await visitor.get("/stacks/demo/objects/job/nightly")
    words = page.words
    assert "priority 0 10" in words
    assert "DB_PASSWORD" in words and "(secret)" in words


async def test_no_page_shows_a_secret(busy: Stage, visit: Visit) -> None:
    busy.board.event("demo", "Failed", "job/nightly", f"https://a.blob.core.windows.net/c?sig={SECRET} was refused")
    async with visit(busy) as visitor:
        for path in (*PAGES, "/api/v1/status"):
            page = await visitor.get(path)
            assert page.code == 200
            assert SECRET not in page.text, path


async def test_an_object_that_is_gone_still_shows_what_is_known_of_it(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        old = await visitor.get("/stacks/demo/objects/job/old")
        never = await visitor.get("/stacks/demo/objects/job/never")
    assert (old.code, "receipt old@1.json" in old.words, "not there any more" in old.words) == (200, True, True)
    assert (never.code, "nothing at job/never" in never.words) == (404, True)


async def test_a_job_that_a_pass_had_no_reason_to_look_at_is_read_when_its_page_is_shown(
    stage: Stage, visit: Visit
) -> None:
    stage.simulation.script(command="render", exit_code=3)
    stage.write(cpu=POOL % ("cpu", 1), j=JOB % ("j", "cpu", 1))
    await stage.apply()
    status = await stage.look()
    assert status.observed is not None
    bare = {key: replace(job, nodes=None, counts=None, tasks=None) for key, job in status.observed.jobs.items()}
    stage.board.publish(replace(status, observed=replace(status.observed, jobs=bare)))
    async with visit(stage) as visitor:
        words = (await visitor.get("/stacks/demo/objects/job/j")).words
        tasks = (await visitor.get("/stacks/demo/objects/job/j/tasks")).words
    assert "job/j = Sync: Synced ✗ Health: Degraded" in words  # the pass had taken it for healthy
    assert "task frame-1 failed (exit code 3)" in words
    assert "✓ succeeded exit code 0" in words and "✗ 1 failed" in words
    assert (
        "frame-1 ✗ failed FailureExitCode: The task exited with an exit code representing a failure 3 2026-01" in tasks
    )


async def test_what_cannot_be_read_closely_is_shown_as_the_last_pass_saw_it(busy: Stage, visit: Visit) -> None:
    async def details(*_: object) -> None:
        raise BatchError("read job/gone", "the server is busy", status=503, code="ServerBusy")

    busy.details = details  # type: ignore[method-assign, assignment]
    async with visit(busy) as visitor:
        words = (await visitor.get("/stacks/demo/objects/job/gone")).words
    assert "It could not be read just now, so this is what the last pass saw: read job/gone: 503 ServerBusy" in words
    assert "✗ failed exit code 3" in words


async def test_tasks_are_filtered_by_state_and_name(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        failed = (await visitor.get("/stacks/demo/objects/job/gone/tasks?state=failed")).words
        named = (await visitor.get("/stacks/demo/objects/job/nightly/tasks?q=FRAME-3")).words
        unknown = await visitor.get("/stacks/demo/objects/job/gone/tasks?state=lost")
    assert "1 task." in failed and "frame-1" in failed and "frame-2" not in failed
    assert "1 task." in named and "frame-3" in named
    assert (unknown.code, "expected state to be one of active" in unknown.words) == (400, True)


async def test_declared_tasks_are_paged_where_nobody_listed_them(stage: Stage, visit: Visit) -> None:
    stage.write(cpu=POOL % ("cpu", 0), j=JOB % ("j", "cpu", 20_000))
    await stage.look()
    async with visit(stage) as visitor:
        last = (await visitor.get("/stacks/demo/objects/job/j/tasks?page=200")).words
        found = (await visitor.get("/stacks/demo/objects/job/j/tasks?q=19999")).words
    assert "20,000 tasks declared." in last
    assert "19,901 to 20,000 of 20,000 (page 200 of 200)" in last and "frame-20000" in last
    assert "1 task declared." in found


async def test_objects_are_searched_filtered_and_paged_with_the_urgent_ones_first(stage: Stage, visit: Visit) -> None:
    jobs = "---\n".join(JOB % (f"job-{number:03}", "cpu", 1) for number in range(150))
    stage.write(cpu=POOL % ("cpu", 0), jobs=jobs)
    await stage.look()
    async with visit(stage) as visitor:
        first, second = await visitor.get("/stacks/demo/objects"), await visitor.get("/stacks/demo/objects?page=2")
        one = await visitor.get("/stacks/demo/objects?q=job-077")
        pools = await visitor.get("/stacks/demo/objects?kind=pool&sync=OutOfSync&health=Missing")
        on_pool = await visitor.get("/stacks/demo/objects?pool=CPU&page=2")
        beyond = await visitor.get("/stacks/demo/objects?page=99")
        odd = [
            (await visitor.get(f"/stacks/demo/objects?{query}")).code for query in ("page=x", "sync=Lost", "kind=node")
        ]
    assert "1 to 100 of 151 (page 1 of 2)" in first.words
    for page in (second, beyond):
        assert "101 to 151 of 151 (page 2 of 2)" in page.words
    assert re.findall(r"objects/job/(job-\d+)", one.text) == ["job-077"]
    assert "1 of 151 objects" in pools.words and "pool/cpu" in pools.words
    assert "101 to 150 of 150" in on_pool.words
    assert 'href="?pool=CPU&amp;page=1"' in on_pool.text
    assert odd == [400, 400, 400]


async def test_a_log_is_plain_text_cut_at_its_end_and_without_keys(busy: Stage, visit: Visit) -> None:
    busy.desk.logs = {
        ("preparation", "stdout.txt"): b"?sig=y"
        + b"y" * 40_000
        + b"\n"
        + b"x" * 60_000
        + f"\n<script>alert(1)</script> ?sig={SECRET} \x1b[31m".encode()
    }
    async with visit(busy) as visitor:
        log = await visitor.get("/stacks/demo/objects/job/gone/log?task=preparation&node=n1")
        other = await visitor.get("/stacks/demo/objects/job/gone/log?task=preparation&file=../../etc/passwd")
        none = await visitor.get("/stacks/demo/objects/job/gone/log")
        busy.desk.refusal = NotThere("there is no node n2")
        gone = await visitor.get("/stacks/demo/objects/job/gone/log?task=release&node=n2")
        busy.desk.refusal = BatchError("read a file", "it is too busy", status=503, code="ServerBusy")
        away = await visitor.get("/stacks/demo/objects/job/gone/log?task=release&node=n1")
    assert log.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert log.headers["X-Content-Type-Options"] == "nosniff"
    assert "y" not in log.text and len(log.text) <= 64 * 1024
    assert log.text.endswith("<script>alert(1)</script> ?sig=(secret) \N{REPLACEMENT CHARACTER}[31m")
    assert busy.desk.asked == [("log", "demo", "job/gone", "n1", "preparation", "stdout.txt")]
    assert (other.code, none.code, gone.code, away.code) == (400, 400, 404, 502)
    assert "there is no node n2" in gone.words and "it is too busy" in away.words


async def test_the_plan_is_approved_by_the_digest_that_was_shown(busy: Stage, visit: Visit) -> None:
    digest = busy.board.statuses["demo"].awaiting
    async with visit(busy) as visitor:
        page = await visitor.get("/stacks/demo/plan")
        answer = await visitor.send("/stacks/demo/plan", "/stacks/demo/approve", digest=page.field("digest"), who="ada")
        after = await visitor.get(answer.headers["Location"])
    assert f"Digest {digest}" in page.words and "create -> add 3 tasks" in page.words
    assert busy.desk.asked == [("approve", "demo", digest, "ada (page)")]
    assert answer.code == 303
    assert "Approved." in after.words and "waits for approval" not in after.words


async def test_a_plan_that_was_overtaken_is_not_approved(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        answer = await visitor.send("/stacks/demo/plan", "/stacks/demo/approve", digest="0" * 16)
        busy.board.publish(replace(busy.board.statuses["demo"], awaiting="1234"))
        page = await visitor.get("/stacks/demo/plan")
    assert (answer.code, "another plan waits by now" in answer.words) == (409, True)
    assert "is not the newest one below" in page.words and "Approve this plan" not in page.words


async def test_an_object_and_a_stack_are_suspended_and_resumed(busy: Stage, visit: Visit) -> None:
    place = "/stacks/demo/objects/job/nightly"
    async with visit(busy) as visitor:
        answer = await visitor.send(
            place, "/stacks/demo/suspend", address="job/nightly", reason="leave it", until="2030-01-31T06:00"
        )
        shown = await visitor.get(answer.headers["Location"])
        await visitor.send(place, "/stacks/demo/resume", address="job/nightly")
        await visitor.send("/stacks/demo", "/stacks/demo/suspend", address="", reason="holiday", until="")
        stack = await visitor.get("/stacks/demo?said=suspended")
        bad = await visitor.send(place, "/stacks/demo/suspend", address="", reason="x", until="soon")
        none = await visitor.send(place, "/stacks/demo/suspend", address="", reason="")
    assert busy.desk.asked == [
        ("suspend", "demo", "job/nightly", "leave it", "2030-01-31T06:00:00Z", "page"),
        ("resume", "demo", "job/nightly", "page"),
        ("suspend", "demo", "", "holiday", "", "page"),
    ]
    assert "job/nightly is suspended until 2030-01-31 06:00:00 : leave it" in shown.words
    assert "The stack is suspended until somebody resumes it: holiday" in stack.words
    assert (bad.code, none.code, "reason is missing" in none.words) == (400, 400, True)


async def test_a_pass_is_asked_for(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        answer = await visitor.send("/stacks/demo", "/stacks/demo/reconcile")
    assert (answer.code, answer.headers["Location"]) == (303, "/stacks/demo?said=reconcile")
    assert busy.desk.asked == [("reconcile", "demo", "page")]


async def test_passes_are_listed_with_what_they_did(stage: Stage, visit: Visit) -> None:
    stage.write()
    await stage.look()
    await stage.look(end=PassEnd.FAILED, acted=("job/a: create",), failed=("job/b: 409 JobExists",))
    async with visit(stage) as visitor:
        words = (await visitor.get("/stacks/demo/passes")).words
    assert "2 2026-01-01" in words and words.index("✗ Failed") < words.index("= Synced")
    assert "1 done, 1 refused ✗ Refused: job/b: 409 JobExists job/a: create" in words


async def test_events_are_searched(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        every, some = await visitor.get("/events"), await visitor.get("/events?q=release")
        own = await visitor.get("/stacks/prod/events")
    assert every.words.index("DriftReverted") < every.words.index("ReleaseFailed") < every.words.index("Created")
    assert "ReleaseFailed" in some.words and "DriftReverted" not in some.words
    assert "DriftReverted" in own.words and "Created" not in own.words


async def test_an_event_of_no_stack_names_none(stage: Stage, visit: Visit) -> None:
    stage.write()
    stage.board.event("", "Started", "", "ann@host")
    async with visit(stage) as visitor:
        page = await visitor.get("/events")
    assert "Started ann@host" in page.words
    assert 'href="/stacks/"' not in page.text


@pytest.mark.parametrize(
    "path",
    ["/stacks/none", "/stacks/demo/objects/node/x", "/stacks/none/plan", "/nowhere", "/stacks/demo/objects/pool/x"],
)
async def test_what_is_not_there_is_a_page_that_says_so(path: str, busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        page = await visitor.get(path)
    assert page.code == 404 and '<a href="/">Overview</a>' in page.text


async def test_a_controller_before_its_first_pass_has_pages(stage: Stage, visit: Visit) -> None:
    stage.write()
    status = await stage.look()
    stage.board.publish(replace(status, plan=None, observed=None, observed_at="", passes=(), next_pass_at=""))
    async with visit(stage) as visitor:
        for path in ("/", "/stacks/demo", "/stacks/demo/objects", "/stacks/demo/plan", "/stacks/demo/passes"):
            assert (await visitor.get(path)).code == 200
