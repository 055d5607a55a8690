"""Secrets by reference, and the keyed digest that tells whether values changed which the service never returns."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from reconciler.model.field import Spec
from reconciler.model.table import Path

PRINT: Final = 6
MOST_PRINTS: Final = 16
EVERY: Final = "*"
_KEY: Final = b"reconciler secret digest key v1"
_KEY_ID: Final = b"reconciler secret digest key id v1"


class SecretSource(Spec):
    """Where a secret is: exactly one of these."""

    env: str | None = Field(default=None, min_length=1, description="An environment variable of the reconciler.")
    file: str | None = Field(
        default=None,
        min_length=1,
        description="A file in UTF-8; one line end at its end is left out. A relative path begins at the folder of the "
        "manifest.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise PydanticCustomError("expected", "expected exactly one of env and file")
        return self


class SecretReference(Spec):
    """Stands where a secret is expected: a password, key, signature or URL, or the value of an environment setting.

    The value is read when the manifests are loaded and shown nowhere.
    """

    secretRef: SecretSource = Field(description=SecretSource.__doc__)


def derived_key(secret: bytes) -> bytes:
    """The key of digests, from the Stack's `digestKey` or else from the account's key: neither is used as it is."""
    return hmac.digest(secret, _KEY, "sha256")


def key_id(key: bytes) -> str:
    """Names a derived key without telling anything about it."""
    return hashlib.sha256(hmac.digest(key, _KEY_ID, "sha256")).digest()[:4].hex()


def secret_digest(key: bytes, secrets: Mapping[Path, Any]) -> str:
    """Of values by path, under a derived key: nobody without the key can try out values. Empty without secrets."""
    if not secrets:
        return ""
    pairs = sorted((list(path), value) for path, value in secrets.items())
    text = json.dumps(pairs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.digest(key, text.encode("ascii"), "sha256").hex()[:16]


def signed(key: bytes, secrets: Mapping[Path, Any]) -> str:
    """What a mark remembers of *secrets*: `KEYID:DIGEST`; empty without secrets."""
    digest = secret_digest(key, secrets)
    return f"{key_id(key)}:{digest}" if digest else ""


def signed_each(key: bytes, several: Iterable[Mapping[Path, Any]]) -> str:
    """What a mark remembers of the secrets of tasks: `KEYID:` and a print for each different set of values, or
    `KEYID:*` where these are too many; empty without secrets."""
    prints = {secret_print(key, secrets) for secrets in several if secrets}
    if not prints:
        return ""
    return f"{key_id(key)}:{EVERY if len(prints) > MOST_PRINTS else ''.join(sorted(prints))}"


def secret_print(key: bytes, secrets: Mapping[Path, Any]) -> str:
    """A few characters by which a mark knows the secrets of a task again; empty without secrets."""
    return secret_digest(key, secrets)[:PRINT]


def known_prints(remembered: str, key: bytes) -> frozenset[str] | None:
    """The prints that a mark remembers. None: nobody can tell, for there are none, too many, or of another key."""
    id_, _, prints = remembered.partition(":")
    if id_ != key_id(key) or not prints or prints == EVERY:
        return None
    return frozenset(prints[at : at + PRINT] for at in range(0, len(prints), PRINT))


def is_changed(remembered: str, key: bytes, secrets: Mapping[Path, Any]) -> bool | None:
    """Whether *secrets* differ from what a mark remembers. None: another key was used then, so nobody can tell."""
    id_, _, digest = remembered.partition(":")
    if remembered and id_ != key_id(key):
        return None
    return not hmac.compare_digest(digest, secret_digest(key, secrets))
