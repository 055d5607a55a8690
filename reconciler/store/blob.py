"""A shelf in a container of Azure Blob Storage, and locks that are leases of blobs: for processes of many machines.

The only module that speaks to the storage service. Credentials are those that `az storage` takes from the environment,
else a token of `DefaultAzureCredential`; none is ever shown. The container has to be there: one that a typing mistake
made would be an empty ledger.
"""

import asyncio
import base64
import ipaddress
import logging
import re
import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from reconciler.errors import Locked, LockLost, StoreError, UsageError
from reconciler.ports import Holding
from reconciler.store.lock import locked
from reconciler.store.shelf import Item, part_of_name

try:
    from azure.core import MatchConditions
    from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
    from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import BlobClient, BlobLeaseClient, ContainerClient, ExponentialRetry
except ModuleNotFoundError as error:
    missing = "a store in Azure Blob Storage needs one more package: pip install 'reconciler[blob]'"
    raise StoreError(f"{missing} ({error})") from error

API_VERSION: Final = "2021-12-02"
"""Old enough for every cloud and for Azurite, which lags behind the package; nothing here needs a newer one."""
AT_ONCE: Final = 16
SHORTEST, LONGEST = 15, 60
"""Seconds that a lease can last (REST reference, "Lease Blob")."""
HELD: Final = ("leased", "breaking")


@asynccontextmanager
async def connect(url: str, prefix: str, environment: Mapping[str, str]) -> "AsyncIterator[tuple[BlobShelf, BlobLock]]":
    """Shelf and locks below *prefix* at a location. Nothing is asked of the service yet. Raises UsageError."""
    place = _Place.of(url)
    logging.getLogger("azure").addHandler(logging.NullHandler())  # its warnings come back as our errors
    credential, note = _credential(place, environment)
    async with AsyncExitStack() as open_things:
        if credential is None:
            from azure.identity.aio import DefaultAzureCredential

            credential = await open_things.enter_async_context(DefaultAzureCredential())
        client = ContainerClient(
            place.account_url,
            place.container,
            credential=credential,
            api_version=API_VERSION,
            retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3, random_jitter_range=1),
            connection_timeout=10,
            read_timeout=30,
        )
        container = _Container(await open_things.enter_async_context(client), place, note)
        root = "/".join(part for part in (place.prefix, prefix) if part)
        yield BlobShelf(container, root), BlobLock(container, f"{root}/.locks")


@dataclass(frozen=True, slots=True)
class _Place:
    """The parts of a location's URL."""

    account_url: str
    account: str
    container: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> "_Place":
        parts = urlsplit(url)
        base, path = f"{parts.scheme}://{parts.netloc}", [unquote(part) for part in parts.path.split("/") if part]
        account = (parts.hostname or "").partition(".")[0]
        if _is_local(parts.hostname or "") and path:  # Azurite has the account's name in the path
            account = path.pop(0)
            base = f"{base}/{account}"
        expected = "https://ACCOUNT.blob.core.windows.net/CONTAINER or .../CONTAINER/FOLDER"
        if not path:
            raise UsageError(f"store: expected {expected}, found no container in {url}")
        if not re.fullmatch(r"[a-z0-9](-?[a-z0-9]){2,62}", path[0]):
            rule = "3 to 63 of a-z, 0-9 and single '-'"
            raise UsageError(f"store: expected {expected} with the name of a container ({rule}), found {path[0]!r}")
        return cls(base, account, path[0], "/".join(map(part_of_name, path[1:])))

    def __str__(self) -> str:
        return f"{self.account_url}/{self.container}"


def _is_local(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def _credential(place: _Place, environment: Mapping[str, str]) -> tuple[Any, str]:
    """What opens the account, None for a token; and what was not used because it is another account's."""
    text = environment.get("AZURE_STORAGE_CONNECTION_STRING") or ""
    parts = dict(pair.split("=", 1) for pair in text.split(";") if "=" in pair)
    note = ""
    if parts:
        own = parts.get("BlobEndpoint", "").rstrip("/").lower() == place.account_url.lower()
        if own or parts.get("AccountName", "").lower() == place.account.lower():
            if key := parts.get("AccountKey"):
                return _key(place.account, key, "AZURE_STORAGE_CONNECTION_STRING"), ""
            if signature := parts.get("SharedAccessSignature"):
                return AzureSasCredential(signature.lstrip("?")), ""
        note = "AZURE_STORAGE_CONNECTION_STRING is of another account and was not used"
    named = environment.get("AZURE_STORAGE_ACCOUNT") or place.account
    key, signature = environment.get("AZURE_STORAGE_KEY"), environment.get("AZURE_STORAGE_SAS_TOKEN")
    if (key or signature) and named.lower() != place.account.lower():
        note = f"AZURE_STORAGE_ACCOUNT is {named}: its key or signature was not used"
    elif key:
        return _key(place.account, key, "AZURE_STORAGE_KEY"), ""
    elif signature:
        return AzureSasCredential(signature.lstrip("?")), ""
    if place.account_url.startswith("http:"):
        hint = f" ({note})" if note else ""
        raise UsageError(
            f"{place}: a token is sent over https only; give a key in AZURE_STORAGE_KEY, a signature in "
            f"AZURE_STORAGE_SAS_TOKEN, or AZURE_STORAGE_CONNECTION_STRING{hint}"
        )
    return None, note


def _key(account: str, key: str, name: str) -> AzureNamedKeyCredential:
    try:
        base64.b64decode(key, validate=True)
    except ValueError:
        raise UsageError(f"{name}: expected the account key in base64, found something else") from None
    return AzureNamedKeyCredential(account, key)


@dataclass(frozen=True, slots=True)
class _Container:
    """A container, and its refusals as ours."""

    client: ContainerClient
    place: _Place
    note: str

    def blob(self, name: str) -> BlobClient:
        return self.client.get_blob_client(name)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The SDK's exceptions as StoreError, with nothing of the request in it."""
        try:
            yield
        except HttpResponseError as error:
            if error.response is None:  # no token was found to send
                raise StoreError(f"no credential was accepted: {_first_line(error)}{self._hint}") from error
            code = _code(error) or str(error.status_code or "")
            raise StoreError(f"{self._answered(error)} ({code})") from error
        except AzureError as error:
            raise StoreError(f"no answer from {self.place.account_url}: {_first_line(error)}{self._hint}") from error

    @property
    def _hint(self) -> str:
        return f"; {self.note}" if self.note else ""

    def _answered(self, error: HttpResponseError) -> str:
        if _code(error) == "ContainerNotFound":
            name, account = self.place.container, self.place.account
            make = f"az storage container create --name {name} --account-name {account}"
            return f"there is no container {name} in the storage account {account}; make it: {make}"
        if error.status_code in (401, 403):
            who = "the key, signature or token does not open it, or lacks the role Storage Blob Data Contributor"
            return f"{self.place} refused the request: {who}{self._hint}"
        return f"{self.place} refused the request: {error.reason or 'no reason was given'}"


@dataclass(frozen=True, slots=True)
class BlobShelf:
    """A Shelf in a container: a blob for each thing, append blobs for what is appended to."""

    container: _Container
    root: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.container.place}/{self.root}"

    def below(self, folder: str) -> "BlobShelf":
        """The shelf in a folder of it."""
        return BlobShelf(self.container, f"{self.root}/{folder}")

    def where(self, name: str) -> str:
        """The URL of a thing, without a signature."""
        return f"{self.container.place}/{quote(self._path(name))}"

    async def items(self, folder: str) -> tuple[Item, ...]:
        """Everything below a folder."""
        start = f"{self._path(folder)}/"
        with self.container.translated():
            found = [
                Item(blob.name.removeprefix(f"{self.root}/"), blob.size, blob.last_modified.timestamp(), str(blob.etag))
                async for blob in self.container.client.list_blobs(name_starts_with=start)
            ]
        return tuple(sorted(found, key=lambda item: item.name))

    async def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders in a folder."""
        start = f"{self._path(folder)}/" if folder else f"{self.root}/"
        with self.container.translated():
            found = [
                thing.name.removeprefix(start).rstrip("/")
                async for thing in self.container.client.walk_blobs(name_starts_with=start, delimiter="/")
                if thing.name.endswith("/")
            ]
        return tuple(sorted(found))

    async def read(self, name: str) -> bytes | None:
        """A blob's content."""
        with self.container.translated():
            try:
                download = await self._blob(name).download_blob()
                return bytes(await download.readall())
            except ResourceNotFoundError as error:
                _unless_of_the_container(error)
                return None

    async def put(self, name: str, content: bytes) -> None:
        """Write a blob, in the place of any that has the name."""
        with self.container.translated():
            await self._blob(name).upload_blob(content, overwrite=True)

    async def put_first(self, name: str, content: bytes) -> bool:
        """Write a blob unless one has the name."""
        with self.container.translated():
            try:
                await self._blob(name).upload_blob(content, overwrite=False)
            except ResourceExistsError:
                return False
        return True

    async def append(self, name: str, content: bytes) -> int:
        """Add a block to an append blob. A block is written whole or not at all."""
        blob = self._blob(name)
        with self.container.translated():
            try:
                done = await blob.append_block(content)
            except ResourceNotFoundError as error:
                _unless_of_the_container(error)
                with suppress(ResourceExistsError):  # another process was first
                    await blob.create_append_blob(match_condition=MatchConditions.IfMissing)
                done = await blob.append_block(content)
        return int(str(done["blob_append_offset"])) + len(content)

    async def remove(self, names: Collection[str]) -> None:
        """Remove blobs."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                try:
                    await self._blob(name).delete_blob()
                except ResourceNotFoundError as error:
                    _unless_of_the_container(error)

        with self.container.translated():
            await asyncio.gather(*map(one, names))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _blob(self, name: str) -> BlobClient:
        return self.container.blob(self._path(name))


def _unless_of_the_container(error: HttpResponseError) -> None:
    """Only the thing may be missing."""
    if _code(error) == "ContainerNotFound":
        raise error


@dataclass(frozen=True, slots=True)
class BlobLock:
    """A Lock in a container: the lease of a blob excludes, its metadata says who.

    The service counts the time of a lease. A token is the id of the lease, which nobody else is told.
    """

    container: _Container
    root: str

    async def acquire(self, name: str, owner: str, purpose: str, seconds: float) -> Holding:
        """Take a lock that is free or has expired. *seconds* are whole ones from 15 to 60."""
        if not (SHORTEST <= seconds <= LONGEST and seconds == int(seconds)):
            raise ValueError(f"a lease of a blob lasts {SHORTEST} to {LONGEST} whole seconds, not {seconds:g}")
        with self._translated(f"take the lock {name}"):
            for _ in range(3):
                token = str(uuid.uuid4())
                try:
                    acquired = await self._lease(name, token, int(seconds))
                except ResourceNotFoundError as error:
                    _unless_of_the_container(error)
                    await self._make(name)
                    continue
                if acquired:
                    holding = Holding(name, owner, purpose, acquired, acquired, seconds, token)
                    return await self._sign(holding)
                found = await self._look(name)
                if found is not None and not found.expired:
                    raise locked(found)
        raise Locked(f"'{name}' is locked, by whom could not be found out; try again", name=name)

    async def _lease(self, name: str, token: str, seconds: int) -> str:
        """When the lease began, by the service's clock; empty where somebody else has it."""
        when: list[str] = []
        lease = BlobLeaseClient(self._blob(name), lease_id=token)
        try:
            await lease.acquire(lease_duration=seconds, raw_response_hook=lambda it: when.append(_date(it)))
        except HttpResponseError as error:
            if _code(error) in ("LeaseAlreadyPresent", "LeaseIsBreakingAndCannotBeAcquired"):
                return ""
            raise
        return when[-1]

    async def _make(self, name: str) -> None:
        with suppress(ResourceExistsError):  # another process was first
            await self._blob(name).upload_blob(b"", overwrite=False)

    async def _sign(self, holding: Holding) -> Holding:
        """Say on the blob who holds it; the holding as renewed now."""
        when: list[str] = []
        facts = {
            "owner": quote(holding.owner),
            "purpose": quote(holding.purpose),
            "acquired": quote(holding.acquired),
            "seconds": f"{holding.seconds:g}",
        }
        blob = self._blob(holding.name)
        await blob.set_blob_metadata(facts, lease=holding.token, raw_response_hook=lambda it: when.append(_date(it)))
        return replace(holding, renewed=when[-1])

    async def renew(self, holding: Holding) -> Holding:
        """Hold it for longer, also where its time is over and nobody took it since."""
        with self._translated(f"renew the lock {holding.name}"):
            try:
                await BlobLeaseClient(self._blob(holding.name), lease_id=holding.token).renew()
                return await self._sign(holding)
            except HttpResponseError as error:
                if error.status_code not in (404, 409, 412) or _code(error) == "ContainerNotFound":
                    raise
                found = await self._look(holding.name)
                if found is None or found.expired:
                    raise LockLost(f"the lock {holding.name} was broken") from error
                since = f" since {found.acquired}" if found.acquired else ""
                raise LockLost(f"the lock {holding.name} is held by {found.owner}{since}") from error

    async def release(self, holding: Holding) -> None:
        """Give it back."""
        with self._translated(f"give the lock {holding.name} back"):
            try:
                await BlobLeaseClient(self._blob(holding.name), lease_id=holding.token).release()
            except HttpResponseError as error:
                if error.status_code not in (404, 409, 412) or _code(error) == "ContainerNotFound":
                    raise

    async def holding(self, name: str) -> Holding | None:
        """Who holds a lock, or held it until its time was over."""
        with self._translated(f"read the lock {name}"):
            return await self._look(name)

    async def holdings(self) -> tuple[Holding, ...]:
        """Every lock that is held or has expired without being given back."""
        with self._translated("read the locks"):
            start = f"{self.root}/"
            names = [blob.name async for blob in self.container.client.list_blobs(name_starts_with=start)]
            found = await asyncio.gather(*(self._look(unquote(name.removeprefix(start))) for name in sorted(names)))
        return tuple(holding for holding in found if holding is not None)

    async def break_(self, name: str) -> Holding | None:
        """Take a lock from whoever holds it."""
        with self._translated(f"break the lock {name}"):
            found = await self._look(name)
            if found is None:
                return None
            try:
                await BlobLeaseClient(self._blob(name)).break_lease(lease_break_period=0)
            except HttpResponseError as error:
                if _code(error) != "LeaseNotPresentWithLeaseOperation":
                    raise
            return found

    async def _look(self, name: str) -> Holding | None:
        """Who holds a lock, or held it until its time was over."""
        try:
            there: BlobProperties = await self._blob(name).get_blob_properties()
        except ResourceNotFoundError as error:
            _unless_of_the_container(error)
            return None
        state = str(there.lease.state)
        if state not in (*HELD, "expired"):
            return None
        facts = {key: unquote(value) for key, value in (there.metadata or {}).items()}
        return Holding(
            name,
            facts.get("owner", ""),
            facts.get("purpose", ""),
            facts.get("acquired", ""),
            there.last_modified.astimezone(UTC).isoformat(timespec="milliseconds") if facts else "",
            float(facts.get("seconds", 0)),
            expired=state not in HELD,
        )

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            with self.container.translated():
                yield
        except StoreError as error:
            raise StoreError(f"{what}: {error}") from error

    def _blob(self, name: str) -> BlobClient:
        return self.container.blob(f"{self.root}/{part_of_name(name)}")


def _first_line(error: AzureError) -> str:
    return (str(error.message or type(error).__name__).splitlines() or [""])[0][:300]


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))


def _date(response: Any) -> str:
    """When the service answered, ISO 8601 UTC."""
    text = response.http_response.headers.get("Date")
    moment = parsedate_to_datetime(text) if text else datetime.now(UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
