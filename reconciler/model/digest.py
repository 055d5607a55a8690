"""Short digests of JSON values."""

import hashlib
import json


def digest(value: object) -> str:
    """A short digest of a JSON value that does not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
