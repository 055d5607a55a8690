"""Changes of values that the service never returns: only the mark's keyed digest can tell them."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from reconciler.diff import FieldChange
from reconciler.model.desired import SPECS, Task, Wanted
from reconciler.model.field import ChangeKind
from reconciler.model.groups import secrets_of
from reconciler.model.secret import EVERY, MOST_PRINTS, key_id, known_prints, secret_print
from reconciler.model.table import MASK, change_kind
from reconciler.model.task import TaskSpec
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


def unknown(wanted: Wanted, mark: Mark | None) -> frozenset[str]:
    """Prints of the secrets of declared tasks that no task was added with; none where nobody can tell."""
    known = known_prints(mark.passwords, wanted.digest_key) if mark is not None and mark.passwords else None
    declared = known_prints(wanted.tasks_signature, wanted.digest_key) if known is not None else None
    return declared - known if known is not None and declared is not None else frozenset()


def unseen_of(task: Task, wanted: Wanted, unknown: Collection[str]) -> tuple[FieldChange, ...]:
    """A change for each value of *task* that the service never returns, when it was added with other ones."""
    secrets = secrets_of(task) if unknown else {}
    if secret_print(wanted.digest_key, secrets) not in unknown:
        return ()
    return tuple(FieldChange(path, MASK, CHANGED, change_kind(TaskSpec, path), implicit=False) for path in secrets)


def knowing(mark: Mark, wanted: Wanted, tasks: Iterable[Task]) -> Mark:
    """The mark that knows the secrets of *tasks*, too, which are about to be added."""
    others = unknown(wanted, mark)
    added = others & {secret_print(wanted.digest_key, secrets_of(task)) for task in tasks} if others else others
    if not added:
        return mark
    prints = (known_prints(mark.passwords, wanted.digest_key) or frozenset()) | added
    text = EVERY if len(prints) > MOST_PRINTS else "".join(sorted(prints))
    return replace(mark, passwords=f"{key_id(wanted.digest_key)}:{text}")


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
