"""What is made of requests that say they come from a Git server."""

import hashlib
import hmac
import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import UsageError
from reconciler.source.webhook import LARGEST, Ignored, Push, Refused, Webhook

SECRET = "It's a Secret to Everybody"
NOW = 1_767_225_600.0
COMMIT = "a" * 40
HOOK = Webhook(SECRET, "main")
PUSH = json.dumps({"ref": "refs/heads/main", "before": "b" * 40, "after": COMMIT, "repository": {"name": "r"}}).encode()


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github(body: bytes, event: str = "push", **more: str) -> dict[str, str]:
    return {"X-Hub-Signature-256": signed(body), "X-GitHub-Event": event, "Content-Type": "application/json", **more}


def stamped(body: bytes, at: float = NOW, stamp: str = "") -> dict[str, str]:
    stamp = stamp or str(int(at))
    return {"X-Reconciler-Timestamp": stamp, "X-Reconciler-Signature": signed(stamp.encode() + b"." + body)}


def azure(password: str = SECRET) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"hook:{password}".encode()).decode()}


def pushed(*names: str, commit: str = COMMIT) -> bytes:
    updates = [{"name": name, "oldObjectId": "b" * 40, "newObjectId": commit} for name in names]
    return json.dumps({"eventType": "git.push", "resource": {"refUpdates": updates}}).encode()


def test_githubs_own_example_of_a_signature() -> None:
    """GitHub's documentation, "Validating webhook deliveries": the secret and payload above give this signature."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    answer = HOOK.receive({"X-Hub-Signature-256": signature, "X-GitHub-Event": "ping"}, b"Hello, World!", NOW)
    assert answer == Ignored("the event 'ping', not a push")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (github(PUSH), PUSH),
        ({name.lower(): value for name, value in github(PUSH).items()}, PUSH),
        ({"X-Gitlab-Token": SECRET, "X-Gitlab-Event": "Push Hook"}, PUSH),
        (stamped(PUSH), PUSH),
        (stamped(PUSH, NOW - 300), PUSH),
        (stamped(PUSH, NOW + 300), PUSH),
        (azure(), pushed("refs/heads/other", "refs/heads/main")),
    ],
)
def test_a_push_to_our_branch_is_told_with_its_commit(headers: dict[str, str], body: bytes) -> None:
    assert HOOK.receive(headers, body, NOW) == Push(COMMIT)


def test_a_form_is_understood_as_github_sends_it() -> None:
    body = urlencode({"payload": PUSH.decode()}).encode()
    headers = github(body, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert HOOK.receive(headers, body, NOW) == Push(COMMIT)
    assert HOOK.receive(headers | {"X-Hub-Signature-256": signed(b"x")}, b"x", NOW) == Refused(
        400, "expected a form with a payload"
    )


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"why": "because"}'])
def test_whoever_knows_the_secret_may_just_knock(body: bytes) -> None:
    assert HOOK.receive(stamped(body), body, NOW) == Push()


@pytest.mark.parametrize("after", ["0" * 40, "HEAD", "../..", 7, None])
def test_what_is_no_commit_is_not_passed_on(after: Any) -> None:
    body = json.dumps({"ref": "refs/heads/main", "after": after}).encode()
    assert HOOK.receive(github(body), body, NOW) == Push("")


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        (github(b"{}", "issues"), b"{}", "the event 'issues', not a push"),
        ({"X-Gitlab-Token": SECRET, "X-Gitlab-Event": "Tag Push Hook"}, PUSH, "the event 'Tag Push Hook', not a push"),
        (azure(), b'{"eventType": "build.complete"}', "not the event git.push"),
        (azure(), pushed("refs/heads/other"), "a push to other branches"),
        *(
            (github(body), body, f"a push to '{ref}'")
            for ref in ("refs/heads/other", "refs/tags/main", "refs/heads/x/main", "main")
            for body in (json.dumps({"ref": ref, "after": COMMIT}).encode(),)
        ),
    ],
)
def test_what_does_not_concern_us_is_answered_kindly(headers: dict[str, str], body: bytes, reason: str) -> None:
    assert HOOK.receive(headers, body, NOW) == Ignored(reason, 200)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, PUSH, 401),
        (github(PUSH), PUSH + b" ", 401),
        (github(PUSH) | {"X-Hub-Signature-256": signed(PUSH, "other")}, PUSH, 401),
        (github(PUSH) | {"X-Hub-Signature-256": "sha256="}, PUSH, 401),
        (github(PUSH) | {"X-Hub-Signature-256": "sha1=" + "0" * 40}, PUSH, 401),
        (github(PUSH) | {"X-Hub-Signature-256": "wrong", "X-Gitlab-Token": SECRET}, PUSH, 401),
        ({"X-Gitlab-Token": "", "X-Gitlab-Event": "Push Hook"}, PUSH, 401),
        ({"X-Gitlab-Token": SECRET.lower(), "X-Gitlab-Event": "Push Hook"}, PUSH, 401),
        (stamped(PUSH, NOW - 301), PUSH, 401),
        (stamped(PUSH, NOW + 301), PUSH, 401),
        (stamped(PUSH) | {"X-Reconciler-Timestamp": str(int(NOW) + 1)}, PUSH, 401),
        (stamped(PUSH, stamp="soon"), PUSH, 400),
        (stamped(PUSH, stamp="9" * 99), PUSH, 400),
        ({"X-Reconciler-Signature": signed(b"." + PUSH)}, PUSH, 400),
        (azure("other"), pushed("refs/heads/main"), 401),
        ({"Authorization": "Basic ###"}, PUSH, 401),
        ({"Authorization": "Basic /w=="}, PUSH, 401),
        ({"Authorization": f"Bearer {SECRET}"}, PUSH, 401),
        (azure(), b'{"eventType": "git.push"}', 400),
        (azure(), b'{"eventType": "git.push", "resource": {"refUpdates": [1]}}', 400),
        (github(b"not json"), b"not json", 400),
        (github(b"\xff"), b"\xff", 400),
        (github(b"[" * 100_000), b"[" * 100_000, 400),
        (github(b"9" * 10_000), b"9" * 10_000, 400),
        (github(b"[]"), b"[]", 400),
        (github(b"{}"), b"{}", 400),
        (github(b'{"ref": 7}'), b'{"ref": 7}', 400),
        ({}, b"x" * (LARGEST + 1), 413),
    ],
)
def test_bad_requests_are_refused(headers: dict[str, str], body: bytes, status: int) -> None:
    answer = HOOK.receive(headers, body, NOW)
    assert isinstance(answer, Refused)
    assert answer.status == status
    assert SECRET not in answer.reason


NAMES = [
    "x-hub-signature-256",
    "x-github-event",
    "x-reconciler-signature",
    "x-reconciler-timestamp",
    "x-gitlab-token",
    "authorization",
]


@given(st.dictionaries(st.sampled_from(NAMES), st.text(st.characters())), st.binary())
def test_no_request_raises_anything(headers: dict[str, str], body: bytes) -> None:
    assert isinstance(HOOK.receive(headers, body, NOW), Refused)


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["eventType", "resource", "refUpdates", "ref", "after", "name"]), inner)
        ),
    )
)
def test_no_body_of_who_knows_the_secret_raises_anything(told: object) -> None:
    body = json.dumps(told).encode()
    for headers in (github(body), stamped(body), azure(), {"X-Gitlab-Token": SECRET, "X-Gitlab-Event": "Push Hook"}):
        assert HOOK.receive(headers, body, NOW).status in (200, 202, 400)


def test_a_webhook_without_a_secret_cannot_be_made() -> None:
    with pytest.raises(UsageError, match="anybody could call it"):
        Webhook("", "main")
    assert SECRET not in repr(HOOK)
