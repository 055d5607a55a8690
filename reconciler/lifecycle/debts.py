"""What the nodes of a pool owe to jobs, and what that means for taking them away (promise: the release is not lost)."""

from collections.abc import Iterable, Sequence

from reconciler.lifecycle.release import RELEASE_BOUND, RELEASE_SECONDS
from reconciler.lifecycle.steps import Blocked, Context, Rule, Wait
from reconciler.observed import Debt, LiveNode, short


def unpaid(context: Context) -> tuple[Debt, ...]:
    """Debts that nobody consented to lose."""
    return tuple(debt for debt in context.debts if debt.job not in context.consents.release_loss)


def ending(context: Context) -> Wait | None:
    """A release that is running, or will as soon as its job ends, is waited for."""
    debts = [debt for debt in unpaid(context) if debt.ending]
    jobs = frozenset(debt.job for debt in debts)
    return Wait(f"release: {named(debts)}", RELEASE_BOUND, jobs, RELEASE_SECONDS) if debts else None


def any_node(context: Context) -> Wait | Blocked | None:
    """Why not every node may be taken away now: releases that are owed by jobs meant to go on need a person."""
    staying = [debt for debt in unpaid(context) if not debt.ending]
    if staying:
        return Blocked(
            f"its nodes still owe a release: {named(staying)}; end the jobs first", consent(staying), Rule.RELEASE_LOSS
        )
    return ending(context)


def free_of_debt(nodes: Iterable[LiveNode], context: Context) -> list[LiveNode]:
    """Nodes that owe nothing. A debt of which it could not be read where it is may be anywhere."""
    debts = unpaid(context)
    if any(not debt.nodes for debt in debts):
        return []
    owing = {node for debt in debts for node in debt.nodes}
    return [node for node in nodes if node.id not in owing]


def may_arise(context: Context) -> bool:
    """Whether a job could make a node owe a release between our look and the service's choice of nodes."""
    agreed = context.consents.release_loss
    return any(tenant.releases and tenant.job not in agreed for tenant in context.tenants) or bool(unpaid(context))


def consent(debts: Sequence[Debt]) -> str:
    return " ".join(f"--allow-release-loss job/{debt.name}" for debt in debts)


def named(debts: Iterable[Debt]) -> str:
    return "; ".join(
        f"job/{debt.name} on {', '.join(map(short, debt.nodes)) or 'nodes that could not be read'}" for debt in debts
    )
