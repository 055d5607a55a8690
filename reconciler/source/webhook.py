"""What a Git server says when somebody pushed: whether it is really that server, and whether our branch is meant.

Pure: who serves the endpoint gives the headers and the body, and answers with what comes back. A push only makes the
next look at the branch happen now. Nothing of its text is used for anything else, so that one sent twice does no harm.
"""

import hashlib
import hmac
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

from reconciler.errors import UsageError
from reconciler.source.address import branch_name

LARGEST: Final = 25 * 1024 * 1024
"""Bytes of a body: GitHub sends no more (its documentation, "Webhook events and payloads", payload cap)."""

WINDOW: Final = 300.0
"""Seconds that the clock of a sender may differ from ours; what is older was recorded and is played back."""

_HEX: Final = re.compile(r"sha256=([0-9a-fA-F]{64})")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NEVER: Final = re.compile(r"0+")


@dataclass(frozen=True, slots=True)
class Push:
    """Our branch moved. *commit* is where to, as the sender says: "" where it does not say, or the branch is gone."""

    commit: str = ""
    status: int = 202


@dataclass(frozen=True, slots=True)
class Ignored:
    """Somebody who may, telling what does not concern us."""

    reason: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class Refused:
    """Not from who may, or not to be understood. *status* is for the HTTP answer."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """Expects pushes to *branch* from those who know *secret*.

    GitHub signs the body (`X-Hub-Signature-256`), GitLab sends the secret (`X-Gitlab-Token`), Azure DevOps sends it as
    the password of basic authentication. Anybody else: `X-Reconciler-Timestamp`, seconds since 1970, and
    `X-Reconciler-Signature: sha256=` with the HMAC of the timestamp, a dot and the body; the body is empty, or JSON
    with `ref` and `after`.
    """

    secret: str = field(repr=False)
    branch: str

    def __post_init__(self) -> None:
        if not self.secret:
            raise UsageError("the webhook needs a secret that is not empty: anybody could call it")
        object.__setattr__(self, "branch", branch_name(self.branch))

    def receive(self, headers: Mapping[str, str], body: bytes, now: float) -> Push | Ignored | Refused:
        """What a request means. *headers* in any case; *now* in seconds since 1970. Raises nothing."""
        if len(body) > LARGEST:
            return Refused(413, f"more than {LARGEST >> 20} MiB")
        given = {name.lower(): value for name, value in headers.items()}
        if "x-hub-signature-256" in given:
            return self._signed(given["x-hub-signature-256"], body) or self._github(given, body)
        if "x-reconciler-signature" in given:
            return self._stamped(given, body, now) or self._told(body, required=False)
        if "x-gitlab-token" in given:
            return self._same(given["x-gitlab-token"]) or self._gitlab(given, body)
        if "authorization" in given:
            return self._password(given["authorization"]) or self._azure(body)
        return Refused(401, "no signature and no token")

    def _signed(self, signature: str, body: bytes) -> Refused | None:
        found = _HEX.fullmatch(signature.strip())
        expected = hmac.new(_bytes(self.secret), body, hashlib.sha256).digest()
        if found and hmac.compare_digest(bytes.fromhex(found[1]), expected):
            return None
        return Refused(401, "the signature is not that of the body")

    def _stamped(self, given: Mapping[str, str], body: bytes, now: float) -> Refused | None:
        stamp = given.get("x-reconciler-timestamp", "").strip()
        refused = self._signed(given["x-reconciler-signature"], _bytes(stamp) + b"." + body)
        if refused or not re.fullmatch(r"[0-9]{1,12}", stamp):
            return refused or Refused(400, "X-Reconciler-Timestamp: expected seconds since 1970")
        if abs(now - int(stamp)) > WINDOW:
            return Refused(401, f"the timestamp is more than {WINDOW:g} seconds from now")
        return None

    def _same(self, token: str) -> Refused | None:
        # Of equal length whatever comes, so that the time taken tells nothing.
        pair = (hashlib.sha256(_bytes(text)).digest() for text in (token, self.secret))
        return None if hmac.compare_digest(*pair) else Refused(401, "the token is not the right one")

    def _password(self, authorization: str) -> Refused | None:
        kind, _, encoded = authorization.strip().partition(" ")
        if kind.lower() != "basic":
            return Refused(401, "expected basic authentication")
        try:
            _, _, password = b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        except ValueError:
            return Refused(401, "no basic authentication that can be read")
        return self._same(password)

    def _github(self, given: Mapping[str, str], body: bytes) -> Push | Ignored | Refused:
        event = given.get("x-github-event", "")
        if event != "push":
            return Ignored(f"the event {event[:40]!r}, not a push")
        if given.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            try:
                body = parse_qs(body.decode("ascii"), max_num_fields=4)["payload"][0].encode("utf-8")
            except (ValueError, KeyError):
                return Refused(400, "expected a form with a payload")
        return self._told(body)

    def _gitlab(self, given: Mapping[str, str], body: bytes) -> Push | Ignored | Refused:
        event = given.get("x-gitlab-event", "")
        return self._told(body) if event == "Push Hook" else Ignored(f"the event {event[:40]!r}, not a push")

    def _azure(self, body: bytes) -> Push | Ignored | Refused:
        told = _object(body)
        if isinstance(told, Refused):
            return told
        if told.get("eventType") != "git.push":
            return Ignored("not the event git.push")
        resource = told.get("resource")
        updates = resource.get("refUpdates") if isinstance(resource, dict) else None
        if not isinstance(updates, list) or not all(isinstance(update, dict) for update in updates):
            return Refused(400, "expected the updates of refs in resource.refUpdates")
        moved = [update for update in updates if update.get("name") == f"refs/heads/{self.branch}"]
        return Push(_commit(moved[-1].get("newObjectId"))) if moved else Ignored("a push to other branches")

    def _told(self, body: bytes, *, required: bool = True) -> Push | Ignored | Refused:
        """A push as GitHub and GitLab tell it: `ref` moved to `after`."""
        if not body.strip() and not required:
            return Push()
        told = _object(body)
        if isinstance(told, Refused):
            return told
        ref = told.get("ref")
        if not isinstance(ref, str):
            return Push() if ref is None and not required else Refused(400, "expected the ref that was pushed, as text")
        if ref != f"refs/heads/{self.branch}":
            return Ignored(f"a push to {ref[:100]!r}")
        return Push(_commit(told.get("after")))


def _object(body: bytes) -> dict[str, Any] | Refused:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return Refused(400, "expected JSON")
    return told if isinstance(told, dict) else Refused(400, "expected a JSON object")


def _commit(value: object) -> str:
    """A commit as told, where it is one: a branch that was deleted is at 000..."""
    found = isinstance(value, str) and _COMMIT.fullmatch(value) and not _NEVER.fullmatch(value)
    return str(value) if found else ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
