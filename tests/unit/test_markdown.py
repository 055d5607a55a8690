"""Plans as Markdown: they fit a comment, and nothing in them leaves its place."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.forecast import make_forecast
from reconciler.model.desired import Kind
from reconciler.observed import LiveNode, TaskCounts
from reconciler.planning import make_plan
from reconciler.render.markdown import GITHUB, plan_markdown
from tests.unit.conftest import World

WORLD = World()


def markdown(wanted: tuple[Any, ...], live: tuple[Any, ...] = (), told: str = "", **more: Any) -> str:
    observed = WORLD.observed(*live, unread=more.pop("unread", None))
    plan = make_plan(WORLD.desired(*wanted), observed, WORLD.context)
    forecast = make_forecast(plan, observed.with_children(), {}, more.pop("quotas", {}))
    return plan_markdown(plan, "local emulator", forecast, told, **more)


def outside(text: str) -> str:
    """What stands outside of fences, as CommonMark reads them (spec 0.31, 4.5). Fails where one is not closed."""
    fence, kept = "", []
    for line in text.splitlines():
        opening = re.match(r"(`{3,})[^`]*$", line)
        if fence:
            fence = "" if re.fullmatch(r"`+", line) and len(line) >= len(fence) else fence
        elif opening:
            fence = opening[1]
        else:
            kept.append(line)
    assert fence == ""
    return "\n".join(kept)


def test_a_plan_is_its_summary_and_an_object_each_to_unfold() -> None:
    live = WORLD.live_job(WORLD.job(), counts=TaskCounts(running=2), nodes=(WORLD.ran("n1"),))
    pool = WORLD.live_pool(WORLD.pool(), members=(LiveNode("n1", "idle"), LiveNode("n2", "idle")))
    text = markdown((WORLD.pool(priority=None),), (live, pool), quotas={"pools": 5})
    assert text.startswith("### Plan: 0 to add, 0 to change, 1 to terminate, 1 to delete.\n\nStack <code>s</code>")
    assert "pools: 1 of 5" in text
    assert (
        """\
#### Changes

<details><summary><code>-</code> <code>job/j</code>: delete, 2 running tasks cut off</summary>

```diff
why:     no longer in the manifests
road:    terminate -> wait for release on 1 node (n1), up to 15 min -> delete -> wait for the
         service to forget it
tasks:   2 running tasks are cut off
release: runs on 1 node (n1)
"""
        in text
    )
    assert text.endswith("```\n\n</details>\n")


def test_drift_blocks_and_notes_have_their_own_headings() -> None:
    drifted = WORLD.live_job(WORLD.job(), spec={**WORLD.job().spec, "priority": 7})
    foreign = WORLD.live_pool(WORLD.pool(), stack="other")
    text = markdown((WORLD.job(displayName="two"), WORLD.pool()), (drifted, foreign), told="Apply would stop here: x.")
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles[1:] == ["#### Changed behind our back (drift)", "#### Blocked", "#### Notes"]
    assert "- priority: 7\n+ priority: 0" in text
    assert "```\nApply would stop here: x.\n```" in text


def test_what_does_not_fit_is_left_out_by_whole_objects_and_what_ends_is_kept_first() -> None:
    jobs = tuple(WORLD.job(f"new-{number:04}", displayName="x" * 120) for number in range(400))
    going = WORLD.live_job(WORLD.job("zz-goes"), counts=TaskCounts(), nodes=())
    text = markdown(jobs, (going,))
    assert GITHUB * 0.9 < len(text) <= GITHUB
    assert "<code>job/zz-goes</code>: delete" in text
    assert text.count("<details>") == text.count("</details>")
    said = r"\*\*(\d+) objects are left out here, since a comment has no more room\*\*: <code>job/new-"
    found = re.search(said, text)
    assert found is not None
    assert int(found[1]) + text.count("<details>") == 401
    outside(text)


def test_an_object_that_is_too_long_for_itself_is_left_out_and_the_others_are_there() -> None:
    long = WORLD.job("long", commonEnvironmentSettings=[{"name": f"S{n}", "value": "v" * 150} for n in range(600)])
    text = markdown((long, WORLD.job("short")))
    assert "<code>job/short</code>" in text
    assert "**1 object is left out here, since a comment has no more room**: <code>job/long</code>." in text


def test_a_long_remark_of_a_guard_is_cut_and_says_so() -> None:
    text = markdown((WORLD.job(),), told="\n".join("guard " + "x" * 100 for _ in range(1000)))
    assert len(text) <= GITHUB
    assert re.search(r"\.\.\. and \d+ more lines", text)
    assert "<code>job/j</code>" in text


HOSTILE = (
    "</details></summary><script>alert(1)</script> ``` \n```\n# heading\n@octocat #12 <img src=x onerror=y> "
    "````` ~~~ | [link](javascript:x) \u202e\x1b[31m \ud800"
)


def test_nothing_that_is_shown_leaves_its_place() -> None:
    wanted = WORLD.job(displayName=HOSTILE, jobReleaseTask={"commandLine": HOSTILE})
    text = markdown((wanted,), told=HOSTILE, unread={Kind.POOL: HOSTILE})
    assert not {"script", "octocat", "heading", "javascript", "img"} & set(re.findall(r"\w+", outside(text)))
    assert text.count("</details>") == 1 + text.count("</details></summary>")
    text.encode("utf-8")


@settings(max_examples=50)
@given(st.text(), st.integers(2_000, 6_000))
def test_whatever_manifests_hold_it_fits_and_is_closed(value: str, limit: int) -> None:
    jobs = tuple(WORLD.job(f"j{number}", displayName=value) for number in range(5))
    text = markdown(jobs, told=value, limit=limit)
    assert len(text.encode("utf-16-le")) // 2 <= limit
    rest = outside(text)
    assert rest.count("<details>") == rest.count("</details>")


@pytest.mark.parametrize("count", [0, 1])
def test_no_changes_is_one_line_and_who_was_asked(count: int) -> None:
    wanted = tuple(WORLD.job(f"j{number}") for number in range(count))
    text = markdown(wanted, tuple(WORLD.live_job(job) for job in wanted), quotas={"pools": 1})
    assert text.startswith("### No changes. The account matches the manifests.\n\nStack <code>s</code> on <code>local")
    assert "#### " not in text
    assert "Quotas" not in text
