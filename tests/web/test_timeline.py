"""Where bars begin and end: lanes of nodes, tasks by the thousand, passes, counts."""

from itertools import pairwise

from reconciler.controller.state import PassEnd, PassRecord
from reconciler.observed import Guard, LiveNode, LiveTask, NodeRun, Run, TaskCounts
from reconciler.ports import Revision
from reconciler.web.timeline import LABEL, WIDTH, bar, job_timeline, pass_strip, task_bar


def at(second: int) -> str:
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def ran(began: int, ended: int | None, code: int = 0) -> Run:
    return Run("running" if ended is None else "completed", code, started=at(began), ended=at(ended) if ended else "")


def task(name: str, node: str, began: int, ended: int | None, *, failed: bool = False) -> LiveTask:
    state = "running" if ended is None else "completed"
    end = at(ended) if ended is not None else ""
    return LiveTask(name, state, Guard("", ""), {}, node, failed=failed, ended=end, started=at(began))


def test_a_lane_has_start_task_preparation_tasks_and_release_in_their_order() -> None:
    host = LiveNode("n", "idle", start=ran(0, 10))
    runs = (NodeRun("n", "p", ran(10, 20), ran(90, 100, 1)),)
    made = job_timeline(runs, [task("t", "n", 20, 80)], {"n": host}, at(120))
    assert made is not None
    (lane,) = made.lanes
    spans = sorted(lane.spans, key=lambda span: span.x)
    assert [span.kind for span in spans] == ["start", "preparation", "task", "release"]
    assert [span.failed for span in spans] == [False, False, False, True]
    assert spans[0].x == LABEL and round(spans[-1].x + spans[-1].width) == WIDTH - 8
    assert spans[2].width > 5 * spans[1].width
    assert spans[3].title == "release: 2026-01-01 00:01:30, 10 s, failed"
    assert made.ticks[0].text == "00:00:00"


def test_what_still_runs_goes_on_until_the_account_was_looked_at() -> None:
    runs = (NodeRun("n", "p", ran(0, 10), ran(50, None)),)
    made = job_timeline(runs, [], {}, at(100))
    assert made is not None
    release = made.lanes[0].spans[-1]
    assert release.running and round(release.x + release.width) == WIDTH - 8
    assert release.title == "release: 2026-01-01 00:00:50, 50 s, still running"


def test_a_start_task_of_days_ago_does_not_push_the_job_to_the_edge() -> None:
    host = LiveNode("n", "idle", start=ran(0, 10))
    made = job_timeline((NodeRun("n", "p", ran(80_000, 80_010), None),), [], {"n": host}, at(80_020))
    assert made is not None
    assert [span.kind for span in made.lanes[0].spans] == ["preparation"]


def test_nothing_is_drawn_where_nothing_ran() -> None:
    assert job_timeline((), [task("t", "", 0, None)], {}, at(1)) is None
    assert (
        job_timeline((NodeRun("n", "p", None, None),), [], {"n": LiveNode("n", "idle", start=ran(0, 1))}, at(9)) is None
    )


def test_ten_thousand_tasks_of_a_node_cost_no_more_bars_than_there_are_pixels() -> None:
    tasks = [task(f"t{number}", "n", number, number + 1, failed=number == 5_000) for number in range(10_000)]
    made = job_timeline((), tasks, {}, at(10_001))
    assert made is not None
    spans = made.lanes[0].spans
    assert len(spans) < 250
    assert sum(span.failed for span in spans) == 1  # a failure is not merged away
    assert any(span.title.startswith("1") and "tasks, the first task t" in span.title for span in spans)
    assert all(one.x <= other.x for one, other in pairwise(spans))


def test_a_pass_is_the_taller_the_longer_it_took() -> None:
    passes = [
        PassRecord(number, at(number), seconds, end, Revision(""))
        for number, (seconds, end) in enumerate(((1.0, PassEnd.SYNCED), (4.0, PassEnd.FAILED)))
    ]
    short, long = pass_strip(passes)
    assert short.height < long.height
    assert (short.glyph, short.colour, long.glyph, long.colour) == ("=", "good", "✗", "bad")
    assert long.title == "pass 1, 2026-01-01 00:00:01, 4 s: Failed"
    assert pass_strip([]) == ()
    assert len(pass_strip(passes * 100)) == 60


def test_a_bar_shows_every_part_that_is_there() -> None:
    parts = bar([("Synced", 9_999), ("Blocked", 1), ("OutOfSync", 0)])
    assert [(part.word, part.count) for part in parts] == [("Synced", 9_999), ("Blocked", 1)]
    assert parts[1].width > 1 and round(sum(part.width for part in parts)) == 100
    assert bar([]) == ()
    assert task_bar(None) is None
    counted = task_bar(TaskCounts(1, 2, 3, 4)) or ()
    assert [part.word for part in counted] == ["succeeded", "failed", "running", "active"]
