"""Where a store may be, what opens it, and what is said when it does not open."""

import asyncio
import base64
import builtins
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import DefaultAzureCredential
from azurite import Azurite
from store.conftest import ENDPOINT

from reconciler.errors import StoreError, UsageError
from reconciler.model.desired import Key, Kind
from reconciler.store import Location, location_of, open_store

KEY = base64.b64encode(b"k" * 32).decode()
URL = "https://kept.blob.core.windows.net/states"


async def ledger(url: str, **environment: str) -> None:
    async with open_store(location_of(url, environment), ENDPOINT, environment) as store:
        await store.records("s").ledger()


def test_without_a_choice_it_is_the_users_own_folder() -> None:
    assert location_of(None, {"HOME": "/home/u"}) == Location(Path("/home/u/.local/state/reconciler/stacks"))
    assert location_of(None, {"XDG_STATE_HOME": "/s", "HOME": "/home/u"}) == Location(Path("/s/reconciler/stacks"))
    assert location_of("kept", {}) == Location(Path.cwd() / "kept")
    assert location_of(f"{URL}/", {}) == Location(url=URL)
    assert [location_of(text, {}).is_local for text in ("kept", URL)] == [True, False]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "expected a folder or a URL, found an empty text"),
        ("~/kept", "expected a path as it is, found '~/kept'"),
        (
            "s3://bucket/x",
            "expected a folder or https://ACCOUNT.blob.core.windows.net/CONTAINER, found a URL with s3://",
        ),
        ("https://", "found a URL with https://"),
        ("https://a:0/c", "found a URL with https://"),
        ("https://a:b@kept/c", "expected a URL without user, password, query and fragment"),
        (f"{URL}?sv=1&sig=abc", "a signature goes into AZURE_STORAGE_SAS_TOKEN"),
    ],
)
def test_what_is_no_place_for_a_store_is_refused_without_showing_a_secret(given: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^--store: ") as found:
        location_of(given, {})
    assert said in str(found.value)
    assert "sig=" not in str(found.value)


@pytest.mark.parametrize(
    ("url", "environment", "said"),
    [
        ("https://kept.blob.core.windows.net", {}, "found no container in"),
        ("https://kept.blob.core.windows.net/Up", {}, " with the name of a container (3 to 63 of a-z, 0-9 and single"),
        ("https://kept.blob.core.windows.net/No_Such", {}, "found 'No_Such'"),
        ("http://kept.example/states", {}, "a token is sent over https only"),
        (URL, {"AZURE_STORAGE_KEY": "§§§"}, "AZURE_STORAGE_KEY: expected the account key in base64"),
        (
            "http://kept.example/states",
            {"AZURE_STORAGE_KEY": KEY, "AZURE_STORAGE_ACCOUNT": "other"},
            "AZURE_STORAGE_ACCOUNT is other: its key or signature was not used",
        ),
        (
            "http://kept.example/states",
            {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=other;AccountKey={KEY}"},
            "AZURE_STORAGE_CONNECTION_STRING is of another account and was not used",
        ),
    ],
)
async def test_what_cannot_open_a_container_is_refused(url: str, environment: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as found:
        await ledger(url, **environment)
    assert said in str(found.value)
    assert KEY not in str(found.value)


@pytest.fixture
def container(azurite: Azurite, request: pytest.FixtureRequest) -> str:
    name = f"l{abs(hash(request.node.name)) % 10**12}"
    azurite.make_container(name)
    return f"{azurite.base}/{name}"


async def test_whatever_az_takes_from_the_environment_opens_a_container(azurite: Azurite, container: str) -> None:
    base = f"AccountName={azurite.account};AccountKey={azurite.key}"
    signature = azurite.url("x", "rwdlac").partition("?")[2]
    for environment in (
        {"AZURE_STORAGE_KEY": azurite.key},
        {"AZURE_STORAGE_KEY": azurite.key, "AZURE_STORAGE_ACCOUNT": azurite.account},
        {"AZURE_STORAGE_SAS_TOKEN": signature},
        {"AZURE_STORAGE_SAS_TOKEN": f"?{signature}"},
        {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{base}"},
        {"AZURE_STORAGE_CONNECTION_STRING": f"{base};BlobEndpoint={azurite.base}/"},
        {"AZURE_STORAGE_CONNECTION_STRING": f"BlobEndpoint={azurite.base};SharedAccessSignature={signature}"},
    ):
        await ledger(container, **environment)


async def test_a_container_that_is_not_there_is_never_taken_for_an_empty_one(azurite: Azurite) -> None:
    environment = {"AZURE_STORAGE_KEY": azurite.key}
    async with open_store(location_of(f"{azurite.base}/nowhere", {}), ENDPOINT, environment) as store:
        there = store.records("s")
        for work in (
            there.ledger,
            there.prepare,
            store.stacks,
            lambda: store.journal("s").write("run"),
            lambda: store.events("s"),
            lambda: store.lock.acquire("s", "o", "apply", 15),
            lambda: store.lock.holding("s"),
            store.lock.holdings,
            lambda: store.lock.break_("s"),
            lambda: there.receipt(Key.of(Kind.JOB, "j"), "never"),
        ):
            with pytest.raises(StoreError, match="az storage container create --name nowhere --account-name store"):
                await work()


async def test_a_key_that_does_not_fit_is_said_and_not_shown(container: str) -> None:
    with pytest.raises(StoreError, match="the key, signature or token does not open it") as found:
        await ledger(container, AZURE_STORAGE_KEY=KEY)
    assert KEY not in str(found.value)


async def test_a_token_that_nobody_gives_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def get_token(self: object, *scopes: str, **rest: object) -> None:
        raise ClientAuthenticationError(message="DefaultAzureCredential failed to retrieve a token\nand so on")

    monkeypatch.setattr(DefaultAzureCredential, "get_token", get_token)
    with pytest.raises(StoreError, match=r"no credential was accepted: DefaultAzureCredential failed .* not used$"):
        await ledger(URL, AZURE_STORAGE_KEY=KEY, AZURE_STORAGE_ACCOUNT="other")


async def test_a_storage_service_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _seconds: sleep(0))
    with pytest.raises(StoreError, match=r"read the ledger in http://127.0.0.1:9/store/states.*: no answer from"):
        await ledger("http://127.0.0.1:9/store/states", AZURE_STORAGE_KEY=KEY)


async def test_without_the_package_of_the_storage_service_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("azure.storage"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "reconciler.store.blob", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StoreError, match=r"pip install 'reconciler\[blob\]'"):
        await ledger(URL, AZURE_STORAGE_KEY=KEY)
    monkeypatch.undo()
    importlib.import_module("reconciler.store.blob")


async def test_a_lease_of_a_blob_has_bounds(azurite: Azurite, container: str) -> None:
    environment = {"AZURE_STORAGE_KEY": azurite.key}
    async with open_store(location_of(container, {}), ENDPOINT, environment) as store:
        for seconds in (14, 61, 20.5):
            with pytest.raises(ValueError, match="15 to 60 whole seconds"):
                await store.lock.acquire("s", "o", "apply", seconds)
