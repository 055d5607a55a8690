"""JSON out, fast: for answers and the store. What orjson does not take goes the slower way of the standard library."""

from __future__ import annotations

import json
from typing import Any

import orjson


def to_wire(body: Any) -> bytes:
    """UTF-8. orjson takes neither lone surrogates, which are replaced, nor numbers beyond 64 bits."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def to_text(row: Any) -> str:
    """Text that `json.loads` turns into the same value again, whatever is in it."""
    try:
        return orjson.dumps(row).decode()
    except TypeError:
        return json.dumps(row, separators=(",", ":"))
