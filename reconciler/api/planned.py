"""The plan of a command: look at the account, bind what people asked for to what is there, decide."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from reconciler.api.addresses import key_of, nearest
from reconciler.api.keeping import store_of
from reconciler.api.options import DEFAULTS, Options
from reconciler.api.target import Snapshot, Target, account, signed_by
from reconciler.errors import StalePlan, UnsafePlan, UsageError
from reconciler.executor import Approvals, approve, look, look_ahead
from reconciler.forecast import Forecast, make_forecast
from reconciler.guards import Guard, guards_of, notices, refusal
from reconciler.lifecycle.steps import Context, Wait
from reconciler.model.desired import Desired, Key, Kind
from reconciler.observed import LiveJob, Observed
from reconciler.planning import Plan, make_plan, policy_of
from reconciler.saved import Saved
from reconciler.selection import select


@dataclass(frozen=True)
class Planned:
    """A plan and all that it was made from: what apply runs, and what is shown.

    *desired* is what the account is to become (nothing, for a removal), *declared* what the manifests say. *context*
    holds the consents, bound to incarnations. *selected*: what came in, or went, with what was selected. *saved*: the
    plan that was approved, where *plan* is only what is left of it. *forecast* says what carrying it out takes away; it
    decides nothing.
    """

    desired: Desired
    declared: Desired
    target: Target | Snapshot
    options: Options
    plan: Plan
    context: Context
    observed: Observed
    selected: tuple[str, ...] = ()
    saved: Saved | None = None
    forecast: Forecast = field(default_factory=Forecast)

    @property
    def digest(self) -> str:
        """Of what people approve."""
        return self.plan.digest if self.saved is None else self.saved.digest

    @property
    def approved(self) -> Approvals:
        """The approval of what this plan shows, or of what the saved one did."""
        if self.saved is None:
            return approve(self.plan)
        return Approvals(self.saved.approved, self.saved.key_for(self.desired))

    @property
    def stale(self) -> Mapping[Key, str]:
        """What is left alone since it is not what the saved plan approved, by object, and why."""
        if self.saved is None:
            return {}
        approved = self.approved
        return {**approved.strays(self.plan), **approved.given_away(self.plan, self.observed, self.context)}

    @property
    def part(self) -> Desired:
        """The desired objects that it is about."""
        objects = {key: wanted for key, wanted in self.desired.objects.items() if self.context.is_about(key)}
        return replace(self.desired, objects=objects)

    @property
    def refusal(self) -> str | None:
        """Why this plan must not run without consent; None when nothing is in the way. `destroy` is its own consent."""
        return refusal(self.guards)

    @property
    def guards(self) -> tuple[Guard, ...]:
        """What stops the plan, and what keeps single objects as they are."""
        found = guards_of(self.plan, self.desired, allow_deletes=self.options.allow_deletes)
        return tuple(guard for guard in found if not (self.is_removal and guard.stops))

    @property
    def notices(self) -> tuple[str, ...]:
        """What should be known besides: consents that have ended, objects of other stacks."""
        return notices(self.plan, self.desired)

    def check(self) -> None:
        """Raise StalePlan for another plan than was approved, UnsafePlan for one that needs consent. Where nothing is
        left to do, what was approved is done, or no longer needed."""
        asks = self.plan.has_changes or self.saved is not None
        if asks and self.options.digest is not None and self.options.digest.lower() != self.digest:
            approved = f"the plan with digest {self.options.digest} was approved, and this one is {self.digest}"
            raise StalePlan(f"{approved}: nothing was sent")
        if self.refusal is not None:
            raise UnsafePlan(self.refusal)

    @property
    def is_removal(self) -> bool:
        return self.desired is not self.declared

    def only(self, agreed: frozenset[Key]) -> Self:
        """The same plan for these objects alone."""
        context = replace(self.context, prunes=False, removing=agreed)
        return replace(self, context=context, plan=make_plan(self.desired, self.observed, context))


async def plan(
    declared: Desired, target: Target | Snapshot, options: Options = DEFAULTS, *, forecast: bool = True
) -> Planned:
    """What makes the account equal to the manifests of one stack. Reads, and writes nothing. Without *forecast* nothing
    is read but what the plan depends on.

    Raises BatchError, TargetError and StoreError for what cannot be read, and UsageError for options that name nothing.
    """
    desired = signed_by(target, declared)
    if isinstance(target, Snapshot):
        from reconciler.azure.recorded import concealed

        desired = concealed(desired)
    context = options.context(desired.stack)
    observed, context = await _look(desired, target, options, context)
    made, context, selected = _selected(options, desired, observed, context)
    _check_forced(options, made)
    # A job whose time is over while the plan is carried out is for the next one: nobody has seen that it goes.
    context = replace(context, due=observed.at)
    planned = Planned(desired, desired, target, options, made, context, observed, selected)
    return await _ahead(planned) if forecast else planned


async def plan_removal(declared: Desired, target: Target, options: Options = DEFAULTS) -> Planned:
    """What removes everything of a stack; a source that does not say it is complete removes what it names and nothing
    else. What the manifests say of keeping counts, whether it was applied or not. Raises as `plan` does."""
    nothing = replace(declared, objects={})
    context = replace(
        options.context(declared.stack),
        removing=frozenset(declared.objects),
        removal="destroy",
        policies={key: policy_of(wanted) for key, wanted in declared.objects.items()},
    )
    observed, context = await _look(nothing, target, options, context)
    made, context, selected = _selected(options, nothing, observed, context)
    _check_forced(options, made)
    return await _ahead(Planned(nothing, declared, target, options, made, context, observed, selected))


async def plan_saved(saved: Saved, declared: Desired, target: Target, options: Options = DEFAULTS) -> Planned:
    """What is left of a saved plan, with the manifests as they are now; of *options* only what says how to run counts.

    Raises StalePlan where the manifests, the stack or the account are not those of the plan, and what `plan` raises.
    """
    if (target.endpoint.lower(), target.account) != (saved.endpoint.lower(), saved.account):
        its = f"{saved.endpoint}{f' (account {saved.account})' if saved.account else ''}"
        raise StalePlan(f"the plan is for {its}, and this is {target}")
    if declared.stack.name != saved.stack:
        raise StalePlan(f"the plan is for stack '{saved.stack}', and the manifests are stack '{declared.stack.name}'")
    desired = signed_by(target, declared)
    if differences := list(saved.differences(desired)):
        raise StalePlan("the manifests are not those that the plan was made of:\n  " + "\n  ".join(differences))
    context = replace(saved.context, prunes=saved.context.prunes and desired.stack.prunes)
    observed, context = await _look(desired, target, options.but(replace=(), dangerous_force=()), context)
    made = make_plan(desired, observed, context)
    return await _ahead(Planned(desired, desired, target, options, made, context, observed, saved=saved))


def _selected(
    options: Options, desired: Desired, observed: Observed, context: Context
) -> tuple[Plan, Context, tuple[str, ...]]:
    """The plan of what --target and --exclude leave, the context that keeps to it, and what came in or went with it."""
    whole = make_plan(desired, observed, context)
    if not options.target and not options.exclude:
        return whole, context, ()
    chosen = select(whole, _named("--target", options.target, whole), _named("--exclude", options.exclude, whole))
    if options.target and not chosen.keys:
        raise UsageError(f"--exclude {' '.join(options.exclude)} leaves nothing of what --target names")
    context = replace(context, only=chosen.keys)
    return make_plan(desired, observed, context), context, chosen.told


def _named(flag: str, addresses: Iterable[str], plan: Plan) -> list[Key]:
    """The objects of a plan at these addresses. Raises UsageError where one names none."""
    found = []
    for text in addresses:
        key = key_of(text)
        if key not in plan.entries:
            near = nearest(text, [entry.address for entry in plan.entries.values()])
            hint = f" (did you mean '{near}'?)" if near else ""
            raise UsageError(f"{flag} {text}: stack '{plan.stack}' neither declares nor has such an object{hint}")
        found.append(key)
    return found


async def _ahead(planned: Planned) -> Planned:
    """The plan with what carrying it out takes away."""
    async with account(planned.target) as there:
        seen, unread = await look_ahead(there, planned.plan, planned.observed)
    return replace(planned, forecast=make_forecast(planned.plan, seen, unread, planned.desired.stack.quotas))


async def _look(
    desired: Desired, target: Target | Snapshot, options: Options, context: Context
) -> tuple[Observed, Context]:
    """The account, and the context with all that is bound to what was seen."""
    async with account(target) as there:
        observed = await look(there, desired, context, watch=False)
        async with store_of(target, options.store, desired.stack) as store:
            context = replace(context, ledger=await store.records(desired.stack.name).ledger())
        if options.replace or options.dangerous_force:
            context = _bind_replace(options, context, observed, desired.objects)
            context = _bind_force(options, context, observed)
            observed = await look(there, desired, context, watch=False)
    return observed, context


def _bind_replace(options: Options, context: Context, observed: Observed, declared: Container[Key | None]) -> Context:
    """The context with `--replace` bound to the objects that exist now, so that it is spent once they are new."""
    found = set()
    for text in options.replace:
        key = key_of(text)
        live, run = observed.get(key), context.ledger.entries.get(key)
        if live is None and run is not None:
            found.add((key, run.born))  # it ran and was removed: the consent is for a new run
            continue
        if live is None or not context.owns(live):
            raise UsageError(f"--replace {text}: stack '{context.stack}' has no such object in the account")
        if key not in declared:
            parent = live.schedule if isinstance(live, LiveJob) else None
            why = f"it goes with {parent}" if parent in declared else "no manifest declares it"
            raise UsageError(f"--replace {text}: {why}, so nothing would be created in its place")
        found.add((key, live.guard.born))
    return replace(context, consents=replace(context.consents, replace=frozenset(found)))


def _bind_force(options: Options, context: Context, observed: Observed) -> Context:
    """The context with `--dangerous-force` bound to the incarnations that are there now."""
    force, stuck = set(), set()
    for text in options.dangerous_force:
        key = key_of(text)
        if key.kind is Kind.POOL:
            raise UsageError(f"--dangerous-force {text}: only the end of a job or a job schedule can be forced")
        live = observed.get(key)
        if live is None or not context.owns(live):
            raise UsageError(f"--dangerous-force {text}: stack '{context.stack}' has no such object in the account")
        force.add((key, live.guard.born))
        stuck |= {(key, live.guard.born)} if live.state == "terminating" else set()
    consents = replace(context.consents, force=frozenset(force), stuck=frozenset(stuck))
    return replace(context, consents=consents)


def _check_forced(options: Options, plan: Plan) -> None:
    """Refuse a `--dangerous-force` that nothing would come of: it is never kept for later."""
    for text in options.dangerous_force:
        entry = plan.entries.get(key_of(text))
        if entry is not None and any(action.force for action in entry.actions):
            continue
        why = f"now it is: {entry.step}" if entry is not None and isinstance(entry.step, Wait) else "it stays as it is"
        raise UsageError(f"--dangerous-force {text}: the plan neither terminates nor deletes it; {why}")
