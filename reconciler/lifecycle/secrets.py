"""Changes of values that the service never returns: only the mark's keyed digest can tell them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from reconciler.diff import FieldChange
from reconciler.model.desired import SPECS, Wanted
from reconciler.model.field import ChangeKind
from reconciler.model.table import MASK, change_kind
from reconciler.observed import Live, Mark

CHANGED: Final = f"{MASK}, changed"


def unseen(wanted: Wanted, live: Live) -> tuple[FieldChange, ...]:
    """A change for each such value of the manifest, when the mark remembers other ones.

    A digest under another key, or none, says nothing: nobody can tell then, and nothing is changed for it.
    """
    remembered = live.mark.secrets if live.mark is not None else ""
    known, _, before = remembered.partition(":")
    key, _, now = wanted.signature.partition(":")
    if not remembered or known != key or before == now:
        return ()
    model = SPECS[wanted.key.kind]
    return tuple(
        FieldChange(path, MASK, CHANGED, change_kind(model, path), implicit=False) for path in sorted(wanted.secrets)
    )


def remembered(mark: Mark, wanted: Wanted, sent: Collection[str]) -> Mark:
    """The mark beside an update of the properties *sent*: it tells of the secrets when all of them are among these."""
    if wanted.secrets and {path[0] for path in wanted.secrets} <= set(sent):
        return replace(mark, secrets=wanted.signature)
    return mark


def is_drift(wanted: Wanted, mark: Mark | None, fields: Collection[FieldChange]) -> bool:
    """Whether the object was changed behind our back: the manifest is the one it was last written from."""
    same = mark is not None and mark.spec == wanted.digest
    waits = {ChangeKind.NEXT_INCARNATION} | ({ChangeKind.ONE_WAY} if mark is not None and mark.later else set())
    differing = [field for field in fields if field.kind not in waits]
    return same and bool(differing) and not any(field.new == CHANGED for field in differing)


def why(wanted: Wanted, mark: Mark, fields: Collection[FieldChange], after: Mark) -> str:
    """The reason of an update that makes *after* of *mark*, in words."""
    if not fields:
        return "policy changed" if after.policy != mark.policy else "the mark is of an earlier manifest"
    if is_drift(wanted, mark, fields):
        return "drift"
    secret = all(field.new == CHANGED for field in fields)
    return "a secret changed in the manifest" if secret else "changed in the manifest"
