"""What the contract tests share: one emulator, the real SDK, a raw signed client, waiting. And the rule about marks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import importlib.util
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential

from reconciler.emulator import Emulator, routes
from reconciler.emulator.errors import ServiceError

SIGNED = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"),
    *("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)


def _load(name: str) -> Any:
    """A module beside this one, by path: tests are not a package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ledger_module, openapi_document = _load("ledger"), _load("openapi_document")
EVIDENCE = set(ledger_module.EVIDENCE)
DOCUMENT = openapi_document.Document() if openapi_document.FOLDER.is_dir() else None
sdk_models = _load("sdk_models")
MODELS = sdk_models.Models()
LEDGER = ledger_module.Ledger()
ACCOUNT = os.environ.get("RECONCILER_CONTRACT_ENDPOINT", "")
"""A real account to ask instead of the emulator: its nodes cost money while the suite runs."""
PATIENCE = float(os.environ.get("RECONCILER_CONTRACT_PATIENCE", "60" if ACCOUNT else "1"))
"""How many times longer every wait may last: real nodes take minutes to start."""
VIOLATIONS: list[str] = []


def check_answer(method: str, url: str, status: int, content_type: str, body: Callable[[], bytes]) -> None:
    """Note an answer, and what its body has that the SDK's models or the OpenAPI document do not allow."""
    address = urlsplit(url)
    operation = _operation(method, address.path)
    has_json = method != "HEAD" and content_type.startswith("application/json;odata")
    shown = json.loads(body()) if has_json else {}
    if operation is not None:
        LEDGER.answer(operation, status, shown.get("code", ""))
    if not has_json or "api-version=2025-06-01" not in address.query or operation is None:
        return
    VIOLATIONS.extend(MODELS.violations(operation, status, shown, selected="select=" in address.query))
    LEDGER.states(MODELS.states)
    if DOCUMENT is not None:
        VIOLATIONS.extend(DOCUMENT.violations(method, address.path, status, shown))


def _operation(method: str, path: str) -> str | None:
    try:
        return str(routes.find(method, path)[0].name)
    except ServiceError:
        return None


@pytest.fixture(autouse=True)
def answers_fit_the_models_and_the_document(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every answer the test received is as the SDK's models and the published OpenAPI document say."""
    VIOLATIONS.clear()
    [mark] = [mark.name for mark in request.node.iter_markers() if mark.name in EVIDENCE]
    LEDGER.begin(request.node.nodeid, "" if request.node.path.name == "test_fuzz.py" else mark)
    yield
    found = sorted(set(VIOLATIONS))
    VIOLATIONS.clear()
    assert not found, "\n".join(found)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("RECONCILER_WRITE_VERIFIED"):
        ledger_module.TABLE.write_text(LEDGER.table())


@pytest.fixture(scope="session")
def ledger() -> Any:
    """What was called and answered so far, for the table of `ledger`."""
    return LEDGER


@pytest.fixture(scope="session")
def verified() -> Callable[[str], list[list[str]]]:
    """The rows of a table in VERIFIED.md, by its heading."""
    return lambda heading: ledger_module.rows(ledger_module.TABLE.read_text(), heading)


@pytest.fixture(scope="session")
def all_states() -> list[tuple[str, str]]:
    return ledger_module.all_states()


@pytest.fixture
def models() -> Any:
    """The check against the SDK's models, with nothing checked yet."""
    return sdk_models.Models()


@pytest.fixture(scope="session")
def openapi() -> Any:
    """The OpenAPI document, and how often its operations were checked."""
    if DOCUMENT is None:
        pytest.skip("needs ../shared: clone the project with shared/ beside it")
    return DOCUMENT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every contract test says with exactly one mark what it rests on. A real account is asked only what holds for
    one: no choices of the emulator, and nothing that needs a hand inside it."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            marks = [mark.name for mark in item.iter_markers() if mark.name in EVIDENCE]
            if len(marks) != 1:
                raise pytest.UsageError(f"{item.nodeid}: exactly one of {sorted(EVIDENCE)} is needed, found {marks}")
            fixtures = set(getattr(item, "fixturenames", ()))
            asked = fixtures & {"client", "raw"} and "diary" not in fixtures  # a diary is a file of this machine
            if ACCOUNT and (marks == ["emulator_only"] or not asked or item.path.name in INSIDE):
                item.add_marker(pytest.mark.skip(reason="holds for the emulator only"))


INSIDE = frozenset({"test_replays.py", "test_fuzz.py", "test_verified.py", "test_durability.py", "test_faults.py"})
"""Tests that send recorded ids and keys, or break what they ask."""


@dataclass(frozen=True)
class RealAccount:
    """What the tests need of an account, from the environment. All else of the emulator is not to be had there."""

    endpoint: str
    account: str
    key: str

    def __getattr__(self, name: str) -> Any:
        pytest.skip(f"needs the emulator itself ({name})")


def _real_account() -> RealAccount:
    names = ("RECONCILER_CONTRACT_ACCOUNT", "RECONCILER_CONTRACT_KEY")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise pytest.UsageError(f"RECONCILER_CONTRACT_ENDPOINT needs {' and '.join(missing)} beside it")
    return RealAccount(ACCOUNT.rstrip("/"), *(os.environ[name] for name in names))


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["code"])

    @property
    def values(self) -> dict[str, str]:
        return {entry["key"]: entry["value"] for entry in self.json.get("values", [])}


class RawClient:
    """Requests the SDK cannot make, signed by an implementation of their own."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: str | None = "api-version=2025-06-01",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        key: str | None = None,
        account: str | None = None,
        sign: bool = True,
        send_length: bool = True,
        signed_length: str | None = None,
    ) -> Answer:
        if content is None:
            content = b"" if body is None else json.dumps(body).encode()
        sent = {"ocp-date": formatdate(usegmt=True), **(headers or {})}
        if content:
            sent.setdefault("content-type", "application/json; odata=minimalmetadata")
        if send_length and (content or method not in ("GET", "HEAD")):
            sent["content-length"] = str(len(content))
        sent = {name: value for name, value in sent.items() if value}
        if sign:
            sent["authorization"] = self._sign(method, path, query or "", sent, key, account, signed_length)
        address = urlsplit(self.emulator.endpoint)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = kind(address.hostname or "", address.port, timeout=60)
        try:
            connection.putrequest(method, f"{path}?{query}" if query else path, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(content or None)
            answer = connection.getresponse()
            shown = {name.lower(): value for name, value in answer.getheaders()}
            content = answer.read()
            kind = shown.get("content-type", "")
            check_answer(method, f"{path}?{query}", answer.status, kind, lambda: content)
            return Answer(answer.status, answer.reason, shown, content)
        finally:
            connection.close()

    def _sign(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        key: str | None,
        account: str | None,
        signed_length: str | None,
    ) -> str:
        lower = {name.lower(): value for name, value in headers.items()}
        if signed_length is not None:
            lower["content-length"] = signed_length
        account = account or self.emulator.account
        lines = [method, *(lower.get(name, "") for name in SIGNED)]
        lines += [f"{name}:{lower[name]}" for name in sorted(lower) if name.startswith("ocp-")]
        lines.append(f"/{account}{path}")
        lines += [f"{name}:{values[0]}" for name, values in sorted(parse_qs(query).items())]
        digest = hmac.new(base64.b64decode(key or self.emulator.key), "\n".join(lines).encode(), hashlib.sha256)
        return f"SharedKey {account}:{base64.b64encode(digest.digest()).decode()}"


def make_client(emulator: Emulator) -> BatchClient:
    credential = AzureNamedKeyCredential(emulator.account, emulator.key)
    return BatchClient(endpoint=emulator.endpoint, credential=credential, raw_response_hook=_check_sdk_answer)


def _check_sdk_answer(response: Any) -> None:
    answer = response.http_response
    kind = answer.headers.get("content-type", "")
    check_answer(answer.request.method, answer.request.url, answer.status_code, kind, answer.body)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator | RealAccount]:
    if ACCOUNT:
        yield _real_account()
        return
    with Emulator(state=tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(scope="session")
def client(emulator: Emulator) -> Iterator[BatchClient]:
    with make_client(emulator) as made:
        yield made


@pytest.fixture(scope="session")
def raw(emulator: Emulator) -> RawClient:
    return RawClient(emulator)


@pytest.fixture(scope="session")
def raw_for() -> Callable[[Emulator], RawClient]:
    return RawClient


@pytest.fixture(scope="session")
def client_for() -> Callable[[Emulator], BatchClient]:
    return make_client


@pytest.fixture(scope="session")
def new_id() -> Callable[..., str]:
    numbers = itertools.count(1)
    run = f"-{os.getpid()}-{int(time.time())}" if ACCOUNT else ""  # a real account may hold what an earlier run left
    return lambda prefix="x": f"{prefix}{run}-{next(numbers)}"


class Gate:
    """Commands that go on when the test says so: what is seen meanwhile does not depend on how busy the machine is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wait = f"while ! test -e {path}; do sleep 0.02; done"
        self.command = f"/bin/sh -c '{self.wait}'"

    def open(self) -> None:
        self.path.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Wait until a question is answered with something true, and return that."""

    def wait(question: Callable[[], Any], seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds * PATIENCE
        while not (answer := question()):
            assert time.monotonic() < deadline, f"still {answer!r} after {seconds * PATIENCE} s"
            time.sleep(2 if ACCOUNT else 0.02)
        return answer

    return wait


VM = {
    "vmSize": "Standard_D2_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}


@pytest.fixture
def make_pool(
    client: BatchClient, new_id: Callable[..., str], until: Callable[..., Any]
) -> Iterator[Callable[..., str]]:
    """Create a pool and wait for its nodes; it is deleted after the test."""
    made = []

    def make(nodes: int = 0, *, wait: bool = True, **settings: Any) -> str:
        pool_id = new_id("pool")
        client.create_pool({"id": pool_id, **VM, "targetDedicatedNodes": nodes, **settings})
        made.append(pool_id)
        if wait:
            ready = {"idle", "running", "starttaskfailed"}
            until(
                lambda: (
                    client.get_pool(pool_id).allocation_state == "steady"
                    and all(node.state in ready for node in client.list_nodes(pool_id))
                )
            )
        return pool_id

    yield make
    for pool in client.list_pools():
        if pool.id in made and pool.state != "deleting":
            client._delete_pool_internal(pool.id)


@pytest.fixture
def make_job(client: BatchClient, new_id: Callable[..., str]) -> Iterator[Callable[..., str]]:
    """Create a job; it is deleted after the test if it still exists."""
    made = []

    def make(pool_id: str, **settings: Any) -> str:
        job_id = new_id("job")
        client.create_job({"id": job_id, "poolInfo": {"poolId": pool_id}, **settings})
        made.append(job_id)
        return job_id

    yield make
    for job in client.list_jobs():
        if job.id in made and job.state != "deleting":
            client._delete_job_internal(job.id, force=True)


@pytest.fixture(scope="session")
def vm() -> dict[str, Any]:
    return VM


@pytest.fixture(scope="module")
def shared_pool(client: BatchClient, new_id: Callable[..., str], until: Callable[..., Any]) -> Iterator[str]:
    """A pool of two nodes with four slots each, for tests that only need somewhere to run."""
    pool_id = new_id("shared")
    client.create_pool({"id": pool_id, **VM, "targetDedicatedNodes": 2, "taskSlotsPerNode": 4})
    until(lambda: [node.state for node in client.list_nodes(pool_id)] == ["idle", "idle"])
    yield pool_id
    client._delete_pool_internal(pool_id)


@pytest.fixture
def state_of(client: BatchClient) -> Callable[[str], str | None]:
    """The state of a job, None once it is gone."""

    def state(job_id: str) -> str | None:
        return next((job.state for job in client.list_jobs() if job.id == job_id), None)

    return state


@pytest.fixture
def finished(client: BatchClient, until: Callable[..., Any]) -> Callable[..., Any]:
    """Wait until a task has completed, and return it."""

    def wait(job_id: str, task_id: str, seconds: float = 60.0) -> Any:
        until(lambda: client.get_task(job_id, task_id).state == "completed", seconds)
        return client.get_task(job_id, task_id)

    return wait
