"""Who is let in, and what is refused: token, sessions, forged forms, rebound names, headers, limits."""

import pytest
from aiohttp.test_utils import make_mocked_request

from reconciler.errors import UsageError
from reconciler.web import address_of, application, serve
from reconciler.web.guard import SESSION, Address, Guard
from tests.web.conftest import Visit
from tests.web.stage import Stage

TOKEN = "correct horse battery staple"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        (":8080", Address("127.0.0.1", 8080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:80", Address("::1", 80)),
        ("127.9.9.9:1", Address("127.9.9.9", 1)),
    ],
)
def test_loopback_addresses_need_no_token(text: str, address: Address) -> None:
    assert address_of(text, token=None) == address


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::]:8080", "10.0.0.4:80", "page.example:80"])
def test_an_address_that_others_reach_needs_a_token(text: str) -> None:
    with pytest.raises(UsageError, match="can be reached from other machines"):
        address_of(text, token=None)
    assert str(address_of(text, token=TOKEN)) == text


@pytest.mark.parametrize("text", ["8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected an address such as 127\.0\.0\.1:8080"):
        address_of(text, token=None)


def test_a_short_token_is_refused(stage: Stage) -> None:
    with pytest.raises(UsageError, match="the page's token has 7 characters: it needs 16 at least"):
        application(stage.board, stage.desk, token="hunter2")


async def test_an_address_that_is_taken_is_an_error_for_people(stage: Stage) -> None:
    runner, address = await serve(stage.application(), Address("127.0.0.1", 0))
    try:
        with pytest.raises(UsageError, match=f"cannot serve the page on 127.0.0.1:{address.port}: "):
            await serve(stage.application(), address)
    finally:
        await runner.cleanup()


async def test_without_the_token_nothing_is_shown(busy: Stage, visit: Visit) -> None:
    async with visit(busy, token=TOKEN, metrics=lambda: "up 1\n") as visitor:
        page = await visitor.get("/stacks/demo?x=1")
        closed = [await visitor.get(path) for path in ("/metrics", "/api/v1/status", "/live")]
        form = await visitor.post("/stacks/demo/reconcile", {})
        wrong = await visitor.get("/api/v1/status", Authorization="Bearer correct horse battery stapl")
        right = await visitor.get("/api/v1/status", Authorization=f"Bearer {TOKEN}")
        measured = await visitor.get("/metrics", Authorization=f"bearer {TOKEN}")
    assert (page.code, page.headers["Location"]) == (303, "/login?next=/stacks/demo?x%3D1")
    assert [one.code for one in (*closed, form, wrong)] == [401] * 5
    assert (right.code, measured.code, measured.text) == (200, 200, "up 1\n")
    assert busy.desk.asked == []


async def test_who_knows_the_token_signs_in_and_out(busy: Stage, visit: Visit) -> None:
    async with visit(busy, token=TOKEN) as visitor:
        wrong = await visitor.send("/login", "/login", token="a guess that is wrong", next="/")
        still = await visitor.get("/")
        right = await visitor.send("/login?next=/stacks/demo", "/login", token=TOKEN, next="/stacks/demo")
        page = await visitor.get("/stacks/demo")
        asked = await visitor.send("/stacks/demo", "/stacks/demo/reconcile")
        out = await visitor.send("/stacks/demo", "/logout")
        after = await visitor.get("/stacks/demo")
    assert (wrong.code, "That is not the token." in wrong.words, still.code) == (403, True, 303)
    assert (right.code, right.headers["Location"]) == (303, "/stacks/demo")
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and TOKEN not in cookie
    assert (page.code, asked.code, out.code, after.code) == (200, 303, 303, 303)
    assert len(busy.desk.asked) == 1


async def test_a_session_ends_and_cannot_be_made_up(busy: Stage, visit: Visit) -> None:
    async with visit(busy, token=TOKEN) as visitor:
        right = await visitor.send("/login", "/login", token=TOKEN, next="/")
        session = right.headers["Set-Cookie"].split("=", 1)[1].split(";")[0]
        end, _, rest = session.partition(".")
        visitor.client.session.cookie_jar.clear()
        cookies = (session, f"{int(end) + 1}.{rest}", f"{session}0", "", "x", f"{end}..", "9" * 30)
        answers = [(await visitor.get("/", Cookie=f"{SESSION}={cookie}")).code for cookie in cookies]
    assert answers == [200, *[303] * 6]


def test_a_session_lasts_twelve_hours_and_is_good_at_every_replica() -> None:
    guard, replica, other = Guard(TOKEN, ()), Guard(TOKEN, ()), Guard(f"{TOKEN}!", ())
    request = make_mocked_request("GET", "/", headers={"Cookie": f"{SESSION}={guard.session(1000)}"})
    hours = 3600
    assert [guard.admits(request, 1000 + 12 * hours + late) for late in (-1, 0)] == [True, False]
    assert [one.admits(request, 1000) for one in (replica, other)] == [True, False]
    assert guard.form_token("v", "s") == replica.form_token("v", "s") != other.form_token("v", "s")
    assert Guard(None, ()).form_token("v", "s") != Guard(None, ()).form_token("v", "s")


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\tx", ""]
)
async def test_signing_in_leads_to_pages_of_this_site_only(place: str, busy: Stage, visit: Visit) -> None:
    async with visit(busy, token=TOKEN) as visitor:
        answer = await visitor.send("/login", "/login", token=TOKEN, next=place)
    assert (answer.code, answer.headers["Location"]) == (303, "/")


FORMS = ("approve", "suspend", "resume", "reconcile")


@pytest.mark.parametrize("form", FORMS)
async def test_a_form_without_its_own_token_is_refused(form: str, busy: Stage, visit: Visit) -> None:
    fields = {"digest": busy.board.statuses["demo"].awaiting, "reason": "x"}
    fields = {name: fields[name] for name in {"approve": ["digest"], "suspend": ["reason"]}.get(form, [])}
    async with visit(busy) as visitor, visit(busy) as other:
        foreign = (await other.get("/stacks/demo")).field("form_token")
        await visitor.get("/stacks/demo")
        answers = [
            await visitor.post(f"/stacks/demo/{form}", fields),
            await visitor.post(f"/stacks/demo/{form}", {**fields, "form_token": ""}),
            await visitor.post(f"/stacks/demo/{form}", {**fields, "form_token": "0" * 64}),
            await visitor.post(f"/stacks/demo/{form}", {**fields, "form_token": foreign}),
        ]
    assert [answer.code for answer in answers] == [403] * 4
    assert busy.desk.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
async def test_a_form_that_another_site_sends_is_refused_whatever_it_holds(
    headers: dict[str, str], busy: Stage, visit: Visit
) -> None:
    async with visit(busy) as visitor:
        token = (await visitor.get("/stacks/demo")).field("form_token")
        answer = await visitor.post("/stacks/demo/reconcile", {"form_token": token}, **headers)
    assert (answer.code, "comes from another site's page" in answer.words) == (403, True)
    assert busy.desk.asked == []


async def test_forms_of_our_own_pages_pass_the_checks_of_browsers(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        token = (await visitor.get("/stacks/demo")).field("form_token")
        origin = f"http://127.0.0.1:{visitor.client.port}"
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        answer = await visitor.post("/stacks/demo/reconcile", {"form_token": token}, **headers)
    assert answer.code == 303


async def test_a_program_with_the_token_needs_no_form(busy: Stage, visit: Visit) -> None:
    async with visit(busy, token=TOKEN) as visitor:
        answer = await visitor.post("/stacks/demo/reconcile", {}, Authorization=f"Bearer {TOKEN}")
        odd = await visitor.client.post(
            "/stacks/demo/reconcile", json={}, headers={"Authorization": f"Bearer {TOKEN}"}, allow_redirects=False
        )
    assert answer.code == 303
    assert odd.status == 415


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("10.1.2.3:9", 200),  # an address cannot have been rebound
        ("Page.Example:443", 200),
        ("evil.example", 421),
        ("evil.example:80@localhost", 421),
        ("localhost.evil.example", 421),
        ("", 421),
    ],
)
async def test_the_page_answers_to_its_own_names_only(host: str, code: int, busy: Stage, visit: Visit) -> None:
    async with visit(busy, allowed_hosts=["page.example"]) as visitor:
        answer = await visitor.get("/", Host=host)
        probe = await visitor.get("/healthz", Host=host)
    assert (answer.code, probe.code) == (code, 200)
    assert ("demo" in answer.text) is (code == 200)


@pytest.mark.parametrize(
    "path", ["/", "/live", "/healthz", "/api/v1/status", "/static/style.css", "/nowhere", "/login"]
)
async def test_every_answer_carries_the_headers_that_keep_others_out(path: str, busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor, visitor.client.get(path, allow_redirects=False) as answer:
        headers = answer.headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Server"] == "reconciler"
        assert ("no-store" in headers["Cache-Control"]) is not path.startswith("/static")


async def test_fields_are_bounded(busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor:
        page = "/stacks/demo"
        long = await visitor.send(page, f"{page}/suspend", address="", reason="x" * 501)
        odd = await visitor.send(page, f"{page}/suspend", address="", reason="x", admin="1")
        huge = await visitor.send(page, f"{page}/suspend", address="", reason="x" * 50_000)
        query = await visitor.get(f"{page}/objects?q={'x' * 5000}")
        number = await visitor.get(f"{page}/objects?page={'9' * 400}")
    assert (long.code, "reason has 501 characters, and may have 500" in long.words) == (400, True)
    assert (odd.code, huge.code, query.code, number.code) == (400, 413, 200, 400)
    assert busy.desk.asked == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_nothing_else_is_answered(method: str, busy: Stage, visit: Visit) -> None:
    async with visit(busy) as visitor, visitor.client.request(method, "/stacks/demo") as answer:
        assert answer.status == 405
