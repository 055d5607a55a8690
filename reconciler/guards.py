"""What stops a plan, or parts of it, until a person has consented: every guard as one value, told in one form.

Made from a finished plan, so that all of it can be shown before. The commands and the controller ask the same function.
A guard of the whole plan (`stops`) lets nothing run; one of objects leaves these as they are, and the rest goes on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from reconciler.lifecycle.ownership import KEPT
from reconciler.lifecycle.steps import Blocked, Done, Rule
from reconciler.lifecycle.wording import counted, few
from reconciler.model.consent import DELETES, PREFIX, REPLACE
from reconciler.model.desired import Desired, Kind
from reconciler.planning import Entry, Plan

CONSENT_LASTS: Final = timedelta(hours=24)
"""How long the consent lasts in the annotation that a guard proposes."""
LIMIT: Final = "spec.limits.deletes of the Stack"
SETTINGS: Final[Mapping[Rule, str]] = {
    Rule.EMPTY_SOURCE: "spec.guards.emptySource of the Stack: Ask",
    Rule.PARTIAL_LISTING: "none: what could not be listed is not known",
    Rule.FOREIGN_OWNER: "none: what is not ours is never touched",
    Rule.PREVENT_DESTROY: "lifecycle.preventDestroy of the object: true",
    Rule.REPLACEMENT: "lifecycle of the object: no line of it allows this",
    Rule.RELEASE_LOSS: "none: a release is lost only by the name of its job",
    Rule.RELEASE_FAILURE: "lifecycle.onReleaseFailure of the job: Hold",
    Rule.TASK_LOSS: "spec.guards.taskLoss of the Stack: Ask",
    Rule.LEDGER_MISSING: "the store: use the one that the marks name",
}
WITHOUT_STACK: Final = "none without a Stack: write one where nothing is meant to be"
OTHERWISE: Final[Mapping[Rule, str]] = {
    Rule.PARTIAL_LISTING: "nothing: run it again when the list can be read",
    Rule.PREVENT_DESTROY: "take the line out of its manifest",
}
"""What to do where no flag consents."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One rule at work.

    *numbers* say in words what would happen and what the limit is; *setting* names where the rule is set, and to what;
    *override* is what allows it, to be used as it stands, and *annotation* (with *on*, where it goes) the same as a
    line of a manifest, empty where there is none. *addresses* are the objects concerned. *stops*: nothing of the plan
    may run; else only these objects stay as they are.
    """

    rule: Rule
    numbers: str
    setting: str
    override: str
    addresses: tuple[str, ...]
    stops: bool = False
    annotation: str = ""
    on: str = ""


def guards_of(plan: Plan, desired: Desired, *, allow_deletes: int | None = None) -> tuple[Guard, ...]:
    """Every guard that is at work on a plan: those that stop it first. *allow_deletes* is what a person consented to
    on the command line."""
    return (*_of_the_plan(plan, desired, allow_deletes), *_unread(plan), *_of_objects(plan))


def refusal(guards: tuple[Guard, ...], *, in_source: bool = False) -> str | None:
    """Why nothing of the plan may run, in one line; None when it may. *in_source*: nobody is there to give a flag, and
    consent comes with the manifests."""
    lines = [
        f"{guard.numbers} ({guard.setting}); allow it with {_line_of(guard) if in_source else guard.override}"
        for guard in guards
        if guard.stops
    ]
    return "; ".join(lines) or None


def _line_of(guard: Guard) -> str:
    """The annotation. The end of the consent is left to be filled in: it would be another one at each look."""
    if not guard.annotation:
        return guard.override
    return f'{guard.annotation.partition(" until ")[0]} until TIME" among the annotations of {guard.on}'


def notices(plan: Plan, desired: Desired) -> tuple[str, ...]:
    """What should be known and needs no consent: consents that have ended, and objects of stacks that may have gone
    with their Stack: where several were loaded, those of others; where nothing is declared, of any. Whoever gives the
    folder of one stack knows that an account has more."""
    ended = [
        f"{consent.source}: {consent} ended {consent.until} and counts no longer: take the line out"
        for consent in desired.consents
        if not consent.counts_at(plan.at)
    ]
    others = [
        f"'{name}' ({counted(count, 'object')})" for name, count in plan.others.items() if name not in desired.beside
    ]
    if others and (desired.beside or not desired.objects):
        ended.append(
            f"The account also holds objects of {'stack' if len(others) == 1 else 'stacks'} {few(others)}, of which "
            "these manifests do not speak."
        )
    return tuple(ended)


# The whole plan


def _of_the_plan(plan: Plan, desired: Desired, allowed: int | None) -> Iterator[Guard]:
    acting = [entry for entry in plan.entries.values() if entry.actions and entry.parent is None and not entry.expires]
    going = [entry for entry in acting if entry.removes]
    stack = desired.stack
    if not desired.objects and stack.guards.asks_when_empty and (acting or stack.source is None):
        # Whatever is done for an empty source is done because it is empty: orphaning and forgetting count, too.
        if (_annotated(plan, desired) if allowed is None else allowed) < len(acting):
            stop = _stop(plan, Rule.EMPTY_SOURCE, _emptiness(plan, len(acting)), SETTINGS[Rule.EMPTY_SOURCE], acting)
            yield stop if stack.source is not None else replace(stop, setting=WITHOUT_STACK, annotation="", on="")
        return
    if allowed is None and len(going) <= _annotated(plan, desired):
        return
    limit = allowed if allowed is not None else stack.max_deletes
    share, least = stack.guards.share, stack.guards.count
    if limit is not None and len(going) > limit:
        setting = f"{LIMIT}: {limit}" if allowed is None else f"--{DELETES}: {limit}"
        numbers = f"{counted(len(going), 'object')} would be removed, and {limit} may be"
        yield _stop(plan, Rule.DELETES, numbers, setting, going)
    elif limit is None and len(going) >= least and 100 * len(going) > share * plan.owned:
        numbers = f"{len(going)} of {counted(plan.owned, 'owned object')} would be removed, more than {share} %"
        yield _stop(
            plan, Rule.DELETES, numbers, f"spec.guards.deletes of the Stack: {share} % and at least {least}", going
        )


def _annotated(plan: Plan, desired: Desired) -> int:
    """How many removals a commit consents to, beyond what needs no consent; -1 where none does."""
    return max((it.count for it in desired.consents if it.flag == DELETES and it.counts_at(plan.at)), default=-1)


def _emptiness(plan: Plan, going: int) -> str:
    if not going:
        return f"no manifest was found, not even a Stack, and the account has no object of a stack '{plan.stack}'"
    return f"the manifests hold no object at all, and {counted(going, 'object')} of stack '{plan.stack}' would go"


def _stop(plan: Plan, rule: Rule, numbers: str, setting: str, going: list[Entry]) -> Guard:
    count, addresses = len(going), tuple(entry.address for entry in going)
    annotation = _annotation(DELETES, str(count), plan)
    return Guard(rule, numbers, setting, f"--{DELETES} {count}", addresses, True, annotation, "the Stack")


# Single objects


def _unread(plan: Plan) -> Iterator[Guard]:
    rule = Rule.PARTIAL_LISTING
    blocked = tuple(entry.address for entry in plan.blocked if entry.blocked and entry.blocked.rule is rule)
    for kind, why in plan.unread.items():
        concerned = blocked if kind is Kind.JOB else tuple(it for it in blocked if it.startswith(f"{kind}/"))
        numbers = f"the account's {kind}s could not be listed: {why}"
        yield Guard(rule, numbers, SETTINGS[rule], OTHERWISE[rule], concerned)


def _of_objects(plan: Plan) -> Iterator[Guard]:
    for entry in plan.entries.values():
        blocked = entry.blocked
        if isinstance(entry.step, Done) and entry.step.reason == KEPT:
            rule = Rule.PREVENT_DESTROY
            numbers = f"{entry.address} is kept, and no manifest declares it"
            override = "put its manifest back without the line, apply, and take it away again"
            yield Guard(rule, numbers, SETTINGS[rule], override, (entry.address,))
        elif blocked is not None and (of := _rule(blocked)) not in (None, Rule.PARTIAL_LISTING):
            assert of is not None
            numbers = f"{entry.address}: {blocked.reason}"
            override = blocked.consent or OTHERWISE.get(of) or _adoption(entry)
            annotation = _as_annotation(entry, blocked.consent, plan)
            on = "the Stack" if annotation else ""
            yield Guard(of, numbers, SETTINGS[of], override, (entry.address,), False, annotation, on)


def _rule(blocked: Blocked) -> Rule | None:
    return Rule.REPLACEMENT if blocked.consent.startswith(f"--{REPLACE} ") else blocked.rule


def _adoption(entry: Entry) -> str:
    """How an object of others becomes ours."""
    adopt = f"reconciler adopt {entry.address} --manifests PATH"
    return f"reconciler orphan {entry.address} && {adopt}" if entry.live is not None and entry.live.mark else adopt


def _as_annotation(entry: Entry, consent: str, plan: Plan) -> str:
    """`--allow-release-loss job/a --allow-release-loss job/b` as one line of a manifest."""
    words = consent.split()
    flags, addresses = set(words[::2]), words[1::2]
    if len(flags) != 1:
        return ""
    flag = flags.pop().removeprefix("--")
    if flag == REPLACE:  # of an incarnation, so that its successor is not replaced in turn
        if entry.live is None:
            return ""
        addresses = [f"{address}@{entry.live.guard.born}" for address in addresses]
    return _annotation(flag, ", ".join(addresses), plan)


def _annotation(flag: str, what: str, plan: Plan) -> str:
    until = datetime.fromisoformat(plan.at) + CONSENT_LASTS
    return f'{PREFIX}{flag}: "{what} until {until.strftime("%Y-%m-%dT%H:%M:%SZ")}"'
