"""What must not be written into a manifest, as a reference to where a person keeps it.

The service returns some secrets in clear (signatures in URLs) and others not at all (passwords, keys): either way the
manifest names an environment variable, and a note says which value it has to hold.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.model.field import Spec
from reconciler.model.table import Json, missing_secrets, without_secrets

_MASK: Final = "\0"


@dataclass(frozen=True, slots=True)
class Notes:
    """What a person has to set, of one object."""

    owner: str
    lines: list[str]


def referenced(
    model: type[Spec], body: Mapping[str, Json], owner: str, where: str
) -> tuple[dict[str, Json], list[str]]:
    """*body* with `{secretRef: {env: NAME}}` where a secret stood, or is not returned and must stand; a note for each.

    *owner* begins the names, so that those of two objects differ.
    """
    notes = Notes(owner, [])
    found: dict[str, Json] = _hidden(without_secrets(model, body, mask=_MASK), body, where, notes)
    for path in missing_secrets(model, found):
        name = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in path)
        _put(found, path, _reference(f"{where}{name}", "the service does not return it", notes))
    return found, notes.lines


def _hidden(masked: Json, body: Json, where: str, notes: Notes) -> Json:
    """*body* with a reference wherever *masked* differs from it."""
    if isinstance(body, dict):
        return {name: _hidden(masked[name], value, f"{where}.{name}", notes) for name, value in body.items()}
    if isinstance(body, list) and isinstance(masked, list):
        pairs = enumerate(zip(masked, body, strict=True))
        return [_hidden(hidden, value, f"{where}[{n}]", notes) for n, (hidden, value) in pairs]
    return body if masked == body else _reference(where, "it is a secret", notes)


def _put(body: Any, path: tuple[str, ...], value: Json) -> None:
    for part in path[:-1]:
        body = body[int(part)] if part.isdecimal() else body[part]
    body[path[-1]] = value


def _reference(where: str, why: str, notes: Notes) -> Json:
    name = re.sub(r"[^A-Za-z0-9]+", "_", f"{notes.owner}.{where.removeprefix('spec.')}").strip("_").upper()
    notes.lines.append(f"{where} is not written ({why}): set {name}")
    return {"secretRef": {"env": name}}
