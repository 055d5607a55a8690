"""Whose an object is: what is never touched, what stays although no manifest names it, and the mark that says so."""

from dataclasses import replace
from typing import Any, Final

from reconciler.diff import diff
from reconciler.lifecycle.policies import policy_of
from reconciler.lifecycle.steps import Action, Blocked, Context, Done, Rule, Step, Verb
from reconciler.model.desired import SPECS, Kind, Wanted
from reconciler.model.table import to_wire
from reconciler.observed import Live, Mark, prints_of

KEPT: Final = "kept: lifecycle.preventDestroy (remove the line, then destroy it while its manifest is there)"

REVISION: Final = 12
"""Digits of a commit in a mark: enough to find it, and few of the little room there is."""
UNMARKABLE: Final = frozenset({"terminating", "completed", "deleting"})
"""States in which the service takes no changes: a mark can be neither set nor taken off (reference 5.1, 5.4)."""


def given(wanted: Wanted | None, live: Live | None, context: Context) -> Step | None:
    """The answer where ownership alone decides: objects of others, and those to be left to others."""
    if live is None:
        return None
    if not context.owns(live):
        return foreign(live, wanted, context)
    return orphan(live, "to be left to others") if live.key in context.orphaning else None


def stays(live: Live, context: Context) -> Step | None:
    """Why an object of ours that no manifest names is not removed; None when it goes."""
    if not context.removes(live.key):
        return Done("not in the manifests; this source does not prune")
    policy = context.policy(live)
    if policy.keep:
        return Done(KEPT)
    return orphan(live, context.removal) if policy.orphan else None


def marked(wanted: Wanted, context: Context, mark: Mark | None = None, *, complete: bool = True) -> Mark:
    """The mark that an object gets with its manifest: a new one, or *mark* with what has changed.

    Unless *complete*, something of the manifest is still to be written, and the mark stays one of the manifest before:
    a run that ends between the two leaves a change to be made, and not a difference that looks like drift.
    """
    policy = policy_of(wanted)
    base = mark or Mark(context.stack)
    secrets = wanted.signature if mark is None else base.secrets
    # The name that is there stays where another store is in use now: it says that a ledger is missing. Every kind
    # carries it, because the jobs that the ledger is about are removed.
    store = context.ledger.store_id if context.restores or not base.store else base.store
    changes = complete and (mark is None or base.spec != wanted.digest)
    return replace(
        base,
        spec=wanted.digest if complete else base.spec,
        revision=context.revision[:REVISION] if changes else base.revision,
        keep=policy.keep,
        hold=policy.hold,
        orphan=policy.orphan,
        capture=policy.capture,
        store=store,
        secrets=secrets,
        hidden=prints_of(wanted.hidden),
    )


def foreign(live: Live, wanted: Wanted | None, context: Context) -> Step:
    """The answer for an object that does not carry our mark: it is never touched, unless it is nobody's and to be
    adopted."""
    owner = f"owned by stack '{live.mark.stack}'" if live.mark else "not marked as any stack's"
    if wanted is None or live.key in context.orphaning:
        return Done(f"{owner}: left alone")
    if live.key not in context.adopting:
        adopt = "orphan it there and adopt it" if live.mark else "adopt it"
        return Blocked(
            f"{live.address} exists and is {owner}: remove it, {adopt}, or give the manifest another name",
            rule=Rule.FOREIGN_OWNER,
        )
    if live.mark is not None:
        return Blocked(f"{live.address} is {owner}: only an object of no stack can be adopted", rule=Rule.FOREIGN_OWNER)
    if live.state in UNMARKABLE:
        return Blocked(f"{live.address} is {live.state}, and a {live.state} {live.key.kind} cannot be marked")
    # Where something differs, without a digest: it was never written from this manifest, so that is a change, no drift.
    # What the service does not return was never written either.
    mark = replace(marked(wanted, context), secrets="")
    if diff(SPECS[Kind(live.key.kind)], wanted.spec, live.spec, written=wanted.written):
        mark = replace(mark, spec="")
    return Action(Verb.ADOPT, "to be adopted", live.guard, _own_metadata(live), mark)


def orphan(live: Live, reason: str) -> Action | Blocked:
    """Take our mark off an object and leave it as it is."""
    if live.state in UNMARKABLE:
        return Blocked(
            f"{live.address} is {live.state}, and the mark cannot be taken off a {live.state} {live.key.kind}: put its "
            "manifest back with lifecycle.deletionPolicy: Delete and destroy it, or remove it by hand"
        )
    return Action(Verb.ORPHAN, reason, live.guard, _own_metadata(live))


def _own_metadata(live: Live) -> dict[str, Any]:
    """The metadata of an object as a body, without our mark; empty is sent too, and clears it (recorded)."""
    own = {"metadata": live.spec["metadata"]} if live.spec.get("metadata") else {}
    return {"metadata": [], **to_wire(SPECS[Kind(live.key.kind)], own)}
