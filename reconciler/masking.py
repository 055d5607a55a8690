"""Secrets never leave: they are masked wherever a value is shown.

Called by whatever shows an object, and for the digest of a plan, which people see too. Three rules, each on top of the
one before: what the field table calls a secret, what the manifest gives by reference to a secret, and what looks like a
signature or a key inside any text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from reconciler.diff import FieldChange
from reconciler.model.desired import SPECS, Key, Wanted
from reconciler.model.field import Spec
from reconciler.model.secrecy import without_keys
from reconciler.model.table import MASK, Normal, Path, without_secrets

_SETTINGS: Final = frozenset({"environmentSettings", "commonEnvironmentSettings"})


class Masked(Protocol):
    """An object of which something is to be shown."""

    @property
    def key(self) -> Key:
        """Which one."""

    @property
    def wanted(self) -> Wanted | None:
        """Its manifest, which says what in it is a secret."""


def masked(value: Any) -> Any:
    """The value with every secret-looking part replaced; lists and mappings all the way down."""
    if isinstance(value, str):
        return without_keys(value)
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Mask:
    """What may be shown of one object.

    *secret* are the places that its manifest gives by reference, *written* is what its manifest says. The value of a
    live environment setting is shown only where the manifest writes one in plain: once the line is gone, nobody knows
    any more whether it was a secret.
    """

    model: type[Spec]
    secret: frozenset[Path]
    written: Normal

    @classmethod
    def of(cls, entry: Masked) -> "Mask":
        wanted = entry.wanted
        paths, written = (wanted.secret_paths, wanted.written) if wanted else (frozenset[Path](), {})
        return cls(SPECS[entry.key.kind], paths, written)

    def wanted(self, value: Any, path: Path = ()) -> Any:
        """A value of the manifest, at *path* of the normalised object."""
        return masked(self._covered(without_secrets(self.model, value, path), path, live=False))

    def live(self, value: Any, path: Path = ()) -> Any:
        """A value of the account."""
        return masked(self._covered(without_secrets(self.model, value, path), path, live=True))

    def both(self, change: FieldChange) -> tuple[Any, Any]:
        """The two sides of a change."""
        return self.live(change.old, change.path), self.wanted(change.new, change.path)

    def _covered(self, value: Any, path: Path, *, live: bool) -> Any:
        if value is not None and self._is_hidden(path, live=live):
            return MASK
        if isinstance(value, Mapping):
            return {key: self._covered(item, (*path, str(key)), live=live) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._covered(item, (*path, str(index)), live=live) for index, item in enumerate(value)]
        return value

    def _is_hidden(self, path: Path, *, live: bool) -> bool:
        if path in self.secret or any(path[:length] in self.secret for length in range(1, len(path))):
            return True
        is_setting = len(path) >= 3 and path[-1] == "value" and path[-3] in _SETTINGS
        return live and is_setting and not self._writes(path)

    def _writes(self, path: Path) -> bool:
        value: Any = self.written
        for part in path:
            if not isinstance(value, Mapping) or part not in value:
                return False
            value = value[part]
        return True
