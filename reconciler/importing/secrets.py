"""What must not be written into a manifest, as a reference to where a person keeps it.

The service returns some secrets in clear (signatures in URLs, values of environment settings) and others not at all
(passwords, keys): either way the manifest names an environment variable, and a note says which value it has to hold.
Nothing says of a live environment setting whether its value is a secret, but the mark, where the manifest gave it by
reference, and its name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from reconciler.model.field import Spec
from reconciler.model.secrecy import is_telling, without_keys
from reconciler.model.table import Json, missing_secrets, without_secrets

_MASK: Final = "\0"
_SETTINGS: Final = ("environmentSettings", "commonEnvironmentSettings")


class Composed(str):
    """A text in which `${env.NAME}` stands for its secret parts: to be written as it is."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str, put: Callable[[str], str]) -> Self | str:
        """*text* with what *put* makes of each part that looks like a secret; itself where none does."""
        if without_keys(text) == text:
            return text
        return cls(without_keys(escaped(text), lambda found: "${env." + put(found) + "}"))


_VARIABLE: Final = re.compile(r"\$\$\{|\$\{(?=var\.|env\.)")


def escaped(text: str) -> str:
    """*text* with what would be taken for a variable (`${var.x}`) written so that it is not."""
    return _VARIABLE.sub(r"$\g<0>", text)


@dataclass
class Keeping:
    """The secrets of one object: the variables that are to hold them, and what to tell of each.

    *owner* begins their names, so that those of two objects differ. *hides* answers whether the manifest of the object
    gave the environment setting of a name by reference.
    """

    owner: str
    hides: Callable[[str], bool] = field(default=lambda name: False)
    _names: dict[str, str] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)
    _again: dict[str, int] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """One for each variable."""
        return [f"{note}{self._places(name)}" for name, note in self._notes.items()]

    def _places(self, name: str) -> str:
        more = self._again.get(name, 0)
        return f" (it stands in {more:,} more place{'s' if more > 1 else ''})" if more else ""

    def variable(self, hint: str, what: str, value: str | None = None) -> str:
        """The name of the variable for a secret. The same *value* has the same one wherever it stands."""
        if value is not None and value in self._names:
            name = self._names[value]
            self._again[name] = self._again.get(name, 0) + 1
            return name
        stem = re.sub(r"[^A-Za-z0-9]+", "_", f"{self.owner}.{hint}").strip("_").upper()
        name, number = stem, 1
        while name in self._notes:
            number += 1
            name = f"{stem}_{number}"
        self._notes[name] = f"{what}: set {name}"
        if value is not None:
            self._names[value] = name
        return name


def referenced(model: type[Spec], body: Mapping[str, Json], where: str, keeping: Keeping) -> dict[str, Json]:
    """*body* with a reference where a secret stood, or is not returned and must stand."""
    masked = without_secrets(model, body, mask=_MASK)
    found: dict[str, Json] = _hidden(masked, body, where, keeping)
    for path in missing_secrets(model, found):
        name = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in path)
        place = f"{where}{name}"
        _put(found, path, _reference(keeping.variable(_hint(place), f"{place} is not written (not returned)")))
    return found


def _hidden(masked: Json, body: Json, where: str, keeping: Keeping) -> Json:
    """*body* with a reference wherever *masked* differs from it, and for settings that hold secrets."""
    if isinstance(body, dict):
        return {
            name: _settings(value, f"{where}.{name}", keeping)
            if name in _SETTINGS and isinstance(value, list)
            else _hidden(masked[name], value, f"{where}.{name}", keeping)
            for name, value in body.items()
        }
    if isinstance(body, list) and isinstance(masked, list):
        pairs = enumerate(zip(masked, body, strict=True))
        return [_hidden(hidden, value, f"{where}[{n}]", keeping) for n, (hidden, value) in pairs]
    if masked != body:
        value = body if isinstance(body, str) else None
        return _reference(keeping.variable(_hint(where), f"{where} is not written (it is a secret)", value))
    return _text(body, where, keeping)


def _text(value: Json, where: str, keeping: Keeping) -> Json:
    if not isinstance(value, str):
        return value
    what = f"a part of {where} is not written (it looks like a secret)"
    return Composed.of(value, lambda part: keeping.variable(_hint(where), what, part))


def _settings(settings: list[Json], where: str, keeping: Keeping) -> list[Json]:
    return [_setting(setting, f"{where}[{number}].value", keeping) for number, setting in enumerate(settings)]


def _setting(setting: Json, where: str, keeping: Keeping) -> Json:
    value = setting.get("value") if isinstance(setting, dict) else None
    if not isinstance(value, str) or not value:
        return setting
    name = str(setting.get("name", ""))
    if keeping.hides(name):
        why = "its manifest has a reference to a secret there"
    elif is_telling(name):
        why = f"the name {name} looks like that of a secret"
    elif without_keys(value) != value:
        why = "it looks like a secret"
    else:
        return setting
    return {**setting, "value": _reference(keeping.variable(name, f"{where} is not written ({why})", value))}


def _hint(where: str) -> str:
    return where.removeprefix("spec.")


def _put(body: Any, path: tuple[str, ...], value: Json) -> None:
    for part in path[:-1]:
        body = body[int(part)] if part.isdecimal() else body[part]
    body[path[-1]] = value


def _reference(name: str) -> Json:
    return {"secretRef": {"env": name}}
