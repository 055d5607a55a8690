"""The pages in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from chromium import PATIENCE, launched, opened
from playwright.sync_api import Browser, Page, expect

from reconciler.controller.state import PassEnd
from reconciler.model.desired import Key, Kind
from reconciler.web import Address, serve
from tests.web import axe
from tests.web.stage import Stage
from tests.web.test_escaping import ATTRIBUTE, EVIL, POISONED, poison
from tests.web.test_guard import TOKEN
from tests.web.test_pages import PAGES

WITH_JAVASCRIPT_AND_WITHOUT = pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])


class Served:
    """Pages of a stage, served from a thread of their own, so that a browser can be driven beside it."""

    def __init__(self, make: Callable[[], web.Application], host: str = "127.0.0.1") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner, address = self._run(self._serve(make, host))
        self.url = f"http://{address}"

    @staticmethod
    async def _serve(make: Callable[[], web.Application], host: str) -> tuple[web.AppRunner, Address]:
        return await serve(make(), Address(host, 0))

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def do(self, what: Callable[[], object]) -> None:
        """Change the board where the pages are served."""
        done: Future[None] = Future()
        self._loop.call_soon_threadsafe(lambda: (what(), done.set_result(None)))
        done.result(60)

    def close(self) -> None:
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


@contextmanager
def served(stage: Stage, **options: Any) -> Iterator[Served]:
    made = Served(lambda: stage.application(**options))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def overflow(page: Page) -> int:
    """Pixels by which a page is wider than its window."""
    return int(page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth"))


def test_pages_fit_a_phone_and_a_desk_and_break_no_rule_of_their_own(busy: Stage, browser: Browser) -> None:
    with served(busy) as site, opened(browser) as (_, page, wrong):
        for width, path in ((375, "/"), (375, "/stacks/demo/plan"), (1280, "/stacks/demo/objects/job/gone")):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(site.url + path)
            assert overflow(page) == 0, f"{path} at {width} px"
        assert wrong == []


def test_where_the_last_passes_do_not_fit_the_newest_are_seen(busy: Stage, browser: Browser) -> None:
    async def look() -> None:
        for _ in range(60):
            await busy.look()

    with served(busy) as site, opened(browser) as (_, page, _wrong):
        site._run(look())
        page.set_viewport_size({"width": 375, "height": 800})
        page.goto(site.url + "/stacks/demo")
        seen = "document.querySelector('.strip g:last-of-type rect').getBoundingClientRect().right <= innerWidth"
        assert page.evaluate(seen)


def checked(busy: Stage, browser: Browser, scheme: str, width: int, paths: tuple[str, ...]) -> None:
    """axe finds nothing on these pages, and they fit."""
    source = axe.script()
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    with served(busy) as site, opened(browser, **options) as (_, page, _wrong):
        told = []
        for path in paths:
            page.goto(site.url + path)
            assert overflow(page) == 0, path
            page.evaluate(source)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(done => done.violations)")
            told += [(path, one["id"], [node["html"][:160] for node in one["nodes"]][:5]) for one in found]
        assert told == []


@pytest.mark.parametrize(
    ("scheme", "path"), [("light", "/stacks/demo/objects/job/gone"), ("dark", "/stacks/demo")], ids=["light", "dark"]
)
def test_nobody_is_kept_out(scheme: str, path: str, busy: Stage, browser: Browser) -> None:
    checked(busy, browser, scheme, 1280, (path,))


@pytest.mark.slow
@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out_of_any_page_and_each_fits(scheme: str, width: int, busy: Stage, browser: Browser) -> None:
    checked(busy, browser, scheme, width, (*PAGES, "/nowhere", "/stacks/demo/objects?q=nothing+like+it"))


def test_a_plan_is_read_and_approved_with_the_keyboard_alone(busy: Stage, browser: Browser) -> None:
    digest = busy.board.statuses["demo"].awaiting
    with served(busy) as site, opened(browser) as (_, page, _wrong):

        def tab_to(words: str) -> None:
            for _ in range(60):
                page.keyboard.press("Tab")
                at = page.evaluate(
                    "(() => { const at = document.activeElement; const look = getComputedStyle(at);"
                    " return [(at.innerText || at.name).trim(), look.outlineStyle, parseFloat(look.outlineWidth)]; })()"
                )
                assert at[1] == "solid" and at[2] >= 2, f"no focus to be seen on {at[0]!r}"
                if at[0] == words:
                    return
            raise AssertionError(f"{words} is not reached")

        page.goto(f"{site.url}/stacks/demo")
        tab_to("Skip to content")
        page.keyboard.press("Enter")
        tab_to("Read the plan and decide")
        page.keyboard.press("Enter")
        page.wait_for_url("**/plan")
        tab_to("who")
        page.keyboard.type("ada")
        tab_to("Approve this plan")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Approved. The plan runs with the next pass.")).to_be_visible(timeout=PATIENCE)
    assert busy.desk.asked == [("approve", "demo", digest, "ada (page)")]


@WITH_JAVASCRIPT_AND_WITHOUT
def test_people_sign_in_look_and_ask_with_and_without_script(javascript: bool, busy: Stage, browser: Browser) -> None:
    options = {"java_script_enabled": javascript}
    with served(busy, token=TOKEN) as site, opened(browser, **options) as (_, page, wrong):
        page.goto(f"{site.url}/stacks/demo/objects")
        page.get_by_label("Token of this controller").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Search").fill("gone")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="job/gone").click()
        assert page.locator(".grid tbody tr").count() == 2
        assert page.locator("svg.timeline .span").count() >= 6
        page.get_by_text("Suspend job/gone").click()
        page.get_by_label("Reason").fill("I look into it")
        page.get_by_role("button", name="Suspend", exact=True).click()
        page.get_by_text("job/gone is suspended until somebody resumes it").wait_for()
        page.get_by_role("button", name="Resume job/gone").click()
        page.get_by_text("Resumed.").wait_for()
        assert page.get_by_role("button", name="Pause updates").count() == javascript
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("You have signed out.").wait_for()
        page.goto(f"{site.url}/stacks/demo")
        assert page.url.startswith(f"{site.url}/login")
        assert wrong == []
    assert [what[0] for what in busy.desk.asked] == ["suspend", "resume"]


def test_what_happens_is_seen_without_a_reload_and_disturbs_nobody(busy: Stage, browser: Browser) -> None:
    status = busy.board.statuses["demo"]
    with served(busy) as site, opened(browser) as (_, page, wrong):
        page.goto(f"{site.url}/stacks/demo")
        page.locator("#live[data-state=on]").wait_for()
        page.evaluate("window.here = true")
        page.locator("#branch-1 > summary").click()  # closed, and the keyboard is on it
        page.get_by_text("Suspend the stack").click()
        page.get_by_label("Reason").fill("half a senten")
        passes = (*status.passes, replace(status.passes[-1], number=99, end=PassEnd.FAILED, error="quota reached"))
        site.do(lambda: busy.board.publish(replace(status, passes=passes)))
        page.locator("#head-state").get_by_text("Failed").wait_for()
        page.locator("#alerts").get_by_text("quota reached").wait_for()
        expect(page.locator("#announcer")).to_have_text("demo: Failed; prod: Synced", timeout=PATIENCE)
        assert page.get_by_label("Reason").input_value() == "half a senten"
        assert page.locator("#branch-1").get_attribute("open") is None
        page.locator("#tree-body a").first.focus()
        before = page.evaluate("document.activeElement.href")
        site.do(lambda: busy.board.publish(replace(status, passes=passes, problems=("one more",))))
        page.locator("#alerts").get_by_text("one more").wait_for()
        assert page.evaluate("document.activeElement.href") == before
        page.get_by_role("button", name="Pause updates").click()
        site.do(lambda: busy.board.event("demo", "Unseen", "", "x"))
        page.get_by_role("button", name="Resume updates").click()
        page.get_by_text("Unseen").wait_for()
        assert page.evaluate("window.here")
        assert wrong == []


def test_a_plan_that_is_overtaken_while_it_is_read_is_not_swapped_for_another(busy: Stage, browser: Browser) -> None:
    status = busy.board.statuses["demo"]
    with served(busy) as site, opened(browser) as (_, page, _wrong):
        page.goto(f"{site.url}/stacks/demo/plan")
        page.locator("#live[data-state=on]").wait_for()
        site.do(lambda: busy.board.publish(replace(status, awaiting="0123456789abcdef")))
        page.get_by_text("This has changed since the page was loaded.").wait_for()
        assert page.locator("[name=digest]").input_value() == status.awaiting
        page.get_by_role("button", name="Approve this plan").click()
        page.get_by_text("another plan waits by now: 0123456789abcdef").wait_for()
    assert busy.board.statuses["demo"].awaiting == "0123456789abcdef"


def test_an_object_that_comes_is_seen_on_the_page_that_missed_it(busy: Stage, browser: Browser) -> None:
    with served(busy) as site, opened(browser) as (_, page, _wrong):
        page.goto(f"{site.url}/stacks/demo/objects/job/tomorrow")
        page.get_by_role("heading", name="Not Found").wait_for()
        site.do(lambda: busy.board.event("demo", "Created", "job/tomorrow", "created"))
        page.get_by_role("heading", name="job/tomorrow").wait_for()


def test_what_is_said_of_an_object_goes_and_comes_with_it(busy: Stage, browser: Browser) -> None:
    """A job that is deleted is not shown as running for as long as somebody leaves the page open."""
    status = busy.board.statuses["demo"]
    assert status.observed is not None
    key = Key.of(Kind.JOB, "gone")
    without = replace(status.observed, jobs={one: job for one, job in status.observed.jobs.items() if one != key})
    with served(busy) as site, opened(browser) as (_, page, wrong):
        page.goto(f"{site.url}/stacks/demo/objects/job/gone")
        page.locator("#live[data-state=on]").wait_for()
        page.evaluate("window.here = true")
        assert page.locator(".grid tbody tr").count() >= 2
        site.do(lambda: busy.board.publish(replace(status, observed=without)))
        expect(page.locator("#facts-body")).to_contain_text("absent", timeout=PATIENCE)
        expect(page.locator(".grid tbody tr, svg.timeline, #tasks-body")).to_have_count(0, timeout=PATIENCE)
        site.do(lambda: busy.board.publish(status))
        page.locator("svg.timeline .span").first.wait_for()
        assert page.locator(".grid tbody tr").count() >= 2
        assert page.evaluate("window.here")
        assert wrong == []


def test_nothing_of_others_runs_or_is_loaded_or_makes_a_page_wider(busy: Stage, browser: Browser) -> None:
    poison(busy, EVIL + ATTRIBUTE + "averylongword" * 20)
    with served(busy) as site, opened(browser, viewport={"width": 375, "height": 800}) as (_, page, wrong):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for path in POISONED:
            page.goto(site.url + path)
            assert page.locator("img, [onfocus], [onerror], [autofocus], script:not([src])").count() == 0, path
            assert overflow(page) == 0, path
        assert wrong == []
        assert all(url.startswith(site.url) for url in asked)


def test_a_page_of_another_site_cannot_send_our_forms(busy: Stage, browser: Browser) -> None:
    """Neither from another origin nor, with SameSite=Strict, in the name of somebody who is signed in."""
    digest = busy.board.statuses["demo"].awaiting

    def evil(target: str) -> web.Application:
        async def attack(_: web.Request) -> web.Response:
            form = (
                f"<form method=post action='{target}/stacks/demo/approve'><input name=digest value='{digest}'></form>"
            )
            return web.Response(text=f"{form}<script>document.forms[0].submit()</script>", content_type="text/html")

        app = web.Application()
        app.router.add_get("/", attack)
        return app

    with served(busy) as site, opened(browser) as (_, page, _wrong):
        page.goto(f"{site.url}/stacks/demo")
        other = Served(lambda: evil(site.url))
        try:
            page.goto(other.url)
            page.get_by_text("This request comes from another site's page. Nothing was done.").wait_for()
        finally:
            other.close()
    assert busy.desk.asked == []


@pytest.mark.slow
def test_motion_is_still_for_who_asks_for_it(busy: Stage, browser: Browser) -> None:
    with served(busy) as site:
        for preference, names in (("reduce", "none"), ("no-preference", "pulse")):
            with opened(browser, reduced_motion=preference) as (_, page, _wrong):
                page.route("**/live", lambda _: None)  # never answered: it stays at connecting
                page.goto(site.url)
                page.locator("#live[data-state=wait]").wait_for()
                assert page.evaluate("getComputedStyle(document.querySelector('.dot')).animationName") == names
