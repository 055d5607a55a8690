"""Which account is meant, and the way to it."""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from reconciler.errors import TargetError
from reconciler.model.desired import Desired, Stack
from reconciler.store import state_directory

if TYPE_CHECKING:
    from reconciler.azure import Account
    from reconciler.azure.gated import Gate

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True)
class Target:
    """The account a command talks to. *key* None: a token of `DefaultAzureCredential`."""

    endpoint: str
    account: str | None
    key: str | None = field(repr=False)
    local: bool

    def __str__(self) -> str:
        name = f" (account {self.account})" if self.account else ""
        return f"local emulator at {self.endpoint}{name}" if self.local else f"{self.endpoint}{name}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot in the place of an account."""

    content: Mapping[str, Any]
    file: str

    def __str__(self) -> str:
        return f"snapshot {self.file} of {self.content['endpoint']}, taken {self.content['at']}"


def signed_by(target: "Target | Snapshot", desired: Desired) -> Desired:
    """The desired state with the digests of its secrets, under the Stack's key or one made of the account's. Without
    either, changes of values that the service never returns are not seen."""
    from reconciler.model.secret import derived_key, signed

    given = desired.stack.digest_key or (target.key if isinstance(target, Target) else None)
    if given is None:
        return desired
    key = derived_key(given.encode())
    objects = {
        name: replace(wanted, signature=signed(key, wanted.secrets), digest_key=key)
        for name, wanted in desired.objects.items()
    }
    return replace(desired, objects=objects)


def choose_target(
    stack: Stack | None = None,
    *,
    endpoint: str | None = None,
    account: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Target:
    """The account: what is given here, then the Stack's, then the environment; without any of them the local emulator,
    which is started where none runs.

    Raises TargetError when the Stack and the environment name different accounts: which one is meant cannot be guessed.
    """
    declared = stack.endpoint if stack else None
    from_environment = environment.get("AZURE_BATCH_ENDPOINT") or None
    if not endpoint and declared and from_environment and not _same(declared, from_environment):
        raise TargetError(
            f"the Stack names {declared} and AZURE_BATCH_ENDPOINT names {from_environment}: say which with --endpoint"
        )
    chosen = endpoint or declared or from_environment
    if chosen is None:
        for given, name in (
            (account, "--account"),
            (environment.get("AZURE_BATCH_ACCOUNT"), "AZURE_BATCH_ACCOUNT"),
            (environment.get("AZURE_BATCH_ACCESS_KEY"), "AZURE_BATCH_ACCESS_KEY"),
        ):
            if given:
                raise TargetError(f"{name} is given without an endpoint: --endpoint or AZURE_BATCH_ENDPOINT")
        return _emulator(environment)
    # The Stack's key opens the Stack's account, and goes to no other that the command line names.
    own_key = stack.account_key if stack and declared and _same(chosen, declared) else None
    return _account(chosen, account or (stack.account if stack else None), own_key, environment)


def _same(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def _account(endpoint: str, account: str | None, own_key: str | None, environment: Mapping[str, str]) -> Target:
    if "://" not in endpoint:
        endpoint = f"https://{endpoint}"  # `az batch account show` prints the endpoint without a scheme
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        usable = False
    if not usable:
        raise TargetError(f"expected an endpoint such as https://NAME.REGION.batch.azure.com, found {endpoint!r}")
    if parts.username or parts.password or parts.query:
        raise TargetError("expected an endpoint without user, password and query; keys go into AZURE_BATCH_ACCESS_KEY")
    hostname = parts.hostname or ""
    key = own_key or environment.get("AZURE_BATCH_ACCESS_KEY") or None
    account = account or environment.get("AZURE_BATCH_ACCOUNT") or None
    if account is None and hostname.endswith(".batch.azure.com"):
        account = hostname.partition(".")[0]
    if key is None and parts.scheme == "http":
        raise TargetError(f"{endpoint}: a token is sent over https only; give a key in AZURE_BATCH_ACCESS_KEY")
    return Target(endpoint.rstrip("/"), account, key, local=False)


def _emulator(environment: Mapping[str, str]) -> Target:
    from reconciler.emulator import control

    try:
        running = control.start(emulator_directory(environment))
    except control.EmulatorError as error:
        raise TargetError(f"the local emulator could not be started: {error}") from error
    return Target(running.endpoint, running.account, running.key, local=True)


def emulator_directory(environment: Mapping[str, str]) -> Path:
    """Where the embedded emulator keeps its state."""
    return state_directory(environment) / "emulator"


@asynccontextmanager
async def account(
    target: Target | Snapshot,
    permit: Callable[[], None] | None = None,
    nonces: str = "",
    *,
    gate: "Gate | None" = None,
    remembers: bool = False,
) -> "AsyncIterator[Account]":
    """The account behind a target. *permit* is asked before each request that may change it, *gate* before each one;
    *nonces* is what those of objects that are created begin with. *remembers*: for who looks again and again."""
    import logging

    if isinstance(target, Snapshot):
        from reconciler.azure.recorded import Recorded

        yield Recorded(target.content)
        return

    from reconciler.azure import connect

    logging.getLogger("azure").addHandler(logging.NullHandler())  # its warnings come back as our errors

    proxies = any(os.environ.get(name) for name in PROXIES) and not target.local
    nonce = (lambda: nonces + secrets.token_hex(4)) if nonces else None
    async with connect(
        target.endpoint,
        target.account,
        target.key,
        use_proxies=proxies,
        permit=permit,
        nonce=nonce,
        gate=gate,
        remembers=remembers,
    ) as there:
        yield there
