"""Short digests of JSON values."""

import hashlib
import hmac
import json
from typing import Final

PLAIN: Final = 8
"""So many characters of the digest of a manifest, or of its tasks, say nothing of what the service may choose."""


def digest(value: object) -> str:
    """A short digest of a JSON value that does not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def digest_of(plain: object, whole: object) -> str:
    """A digest that begins with that of *plain*: *whole* without what the service may choose."""
    return digest(plain)[:PLAIN] + digest(whole)[PLAIN:]


def print_of(value: object, key: bytes) -> str:
    """A few characters by which a value is known again; with a key nobody without it can try out values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode("ascii")
    return (hmac.digest(key, text, "sha256") if key else hashlib.sha256(text).digest()).hex()[:16]
