"""From arguments to the manifests, the target account and the context of decisions."""

import argparse
import os
import sys
from collections.abc import AsyncIterator, Callable, Container, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.cli.addresses import key_of
from reconciler.errors import ReconcilerError, TargetError, UsageError
from reconciler.lifecycle.steps import Consents, Context, Wait
from reconciler.model.desired import Desired, Key, Kind, Stack
from reconciler.observed import LiveJob, Observed
from reconciler.store import FolderStore, state_directory

if TYPE_CHECKING:
    from reconciler.azure import Account
    from reconciler.errors import Finding
    from reconciler.plan import Plan

WORST = (64, 1, 6, 5, 4, 3, 2, 0)
"""Exit codes, the worst first."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True)
class Target:
    """The account a command talks to. *key* None: a token of `DefaultAzureCredential`."""

    endpoint: str
    account: str | None
    key: str | None
    local: bool

    def __str__(self) -> str:
        name = f" (account {self.account})" if self.account else ""
        return f"local emulator at {self.endpoint}{name}" if self.local else f"{self.endpoint}{name}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot in the place of an account."""

    content: Mapping[str, Any]
    file: str

    def __str__(self) -> str:
        return f"snapshot {self.file} of {self.content['endpoint']}, taken {self.content['at']}"


def load_snapshot(arguments: argparse.Namespace) -> Snapshot:
    """The snapshot that --live names. Raises UsageError for a file that cannot be read, TargetError for one that holds
    something else."""
    from reconciler.azure.recorded import check
    from reconciler.cli.texts import read_text

    for given, name in ((arguments.endpoint, "--endpoint"), (arguments.account, "--account")):
        if given:
            raise UsageError(f"{name} has no meaning beside --live: the snapshot says which account it is of")
    text = read_text("--live", arguments.live, f"make one: reconciler snapshot --out {arguments.live}")
    return Snapshot(check(text, arguments.live), arguments.live)


def load_manifests(arguments: argparse.Namespace) -> tuple[Desired, ...]:
    """The desired state of each stack that the command line names."""
    from reconciler.manifest import load_all

    return load_all(arguments.paths, variables=_variables(arguments), environment=os.environ)


def load_checked(arguments: argparse.Namespace) -> tuple[Desired, ...]:
    """The same, with the mistakes that lint finds among those of the manifests. Its warnings are for `validate`: a
    plan is read for what will happen."""
    from reconciler.cli.linting import check_stacks

    stacks, findings = load_readable(arguments)
    check_stacks(stacks, findings)
    return stacks


def load_readable(arguments: argparse.Namespace) -> "tuple[tuple[Desired, ...], list[Finding]]":
    """What of them could be read, and the mistakes."""
    from reconciler.manifest import load_some

    return load_some(arguments.paths, variables=_variables(arguments), environment=os.environ)


def the_only(stacks: tuple[Desired, ...], what: str) -> Desired:
    """The one stack there is. Raises UsageError where *what* has a meaning for one only."""
    if len(stacks) > 1:
        names = ", ".join(desired.stack.name for desired in stacks)
        raise UsageError(f"{what} is for one stack at a time, and these are several ({names}): give the folder of one")
    return stacks[0]


def each(stacks: tuple[Desired, ...], work: Callable[[Desired, str], int]) -> int:
    """Do the work for each stack, whatever becomes of the others; the worst exit code. The work gets what to say behind
    the target: which stack it is, where there are several."""
    if len(stacks) == 1:
        return work(stacks[0], "")
    codes = []
    for number, desired in enumerate(stacks):
        if number:
            print()
        try:
            codes.append(work(desired, f", stack '{desired.stack.name}'"))
        except ReconcilerError as error:
            sys.stdout.flush()
            print(f"error: stack '{desired.stack.name}': {error}", file=sys.stderr, flush=True)
            codes.append(1)
    return min(codes, key=WORST.index)


def signed_by(target: "Target | Snapshot", desired: Desired) -> Desired:
    """The desired state with the digests of its secrets, under the Stack's key or one made of the account's. Without
    either, changes of values that the service never returns are not seen."""
    from reconciler.model.secret import derived_key, signed

    given = desired.stack.digest_key or (target.key if isinstance(target, Target) else None)
    if given is None:
        return desired
    key = derived_key(given.encode())
    objects = {
        name: replace(wanted, signature=signed(key, wanted.secrets), digest_key=key)
        for name, wanted in desired.objects.items()
    }
    return replace(desired, objects=objects)


def _variables(arguments: argparse.Namespace) -> dict[str, str]:
    values: dict[str, str] = {}
    for path in arguments.var_file:
        values |= _var_file(Path(path))
    for item in arguments.var:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--var expects NAME=VALUE, found {item!r}")
        values[name] = value
    return values


def _var_file(path: Path) -> dict[str, str]:
    """A mapping in YAML, its numbers and booleans as they are written."""
    from reconciler.manifest import read_variables

    return read_variables(str(path))


def choose_target(arguments: argparse.Namespace, stack: Stack | None = None) -> Target:
    """The account: flags, then the Stack's, then the environment; without any of them the local emulator.

    Raises TargetError when the Stack and the environment name different accounts: which one is meant cannot be guessed.
    """
    environment = os.environ
    declared = stack.endpoint if stack else None
    from_environment = environment.get("AZURE_BATCH_ENDPOINT") or None
    if not arguments.endpoint and declared and from_environment and not _same(declared, from_environment):
        raise TargetError(
            f"the Stack names {declared} and AZURE_BATCH_ENDPOINT names {from_environment}: say which with --endpoint"
        )
    endpoint = arguments.endpoint or declared or from_environment
    if endpoint is None:
        for given, name in (
            (arguments.account, "--account"),
            (environment.get("AZURE_BATCH_ACCOUNT"), "AZURE_BATCH_ACCOUNT"),
            (environment.get("AZURE_BATCH_ACCESS_KEY"), "AZURE_BATCH_ACCESS_KEY"),
        ):
            if given:
                raise TargetError(f"{name} is given without an endpoint: --endpoint or AZURE_BATCH_ENDPOINT")
        return _emulator(environment)
    # The Stack's key opens the Stack's account, and goes to no other that the command line names.
    own_key = stack.account_key if stack and declared and _same(endpoint, declared) else None
    return _account(endpoint, arguments.account or (stack.account if stack else None), own_key, environment)


def _same(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def _account(endpoint: str, account: str | None, own_key: str | None, environment: Mapping[str, str]) -> Target:
    if "://" not in endpoint:
        endpoint = f"https://{endpoint}"  # `az batch account show` prints the endpoint without a scheme
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        usable = False
    if not usable:
        raise TargetError(f"expected an endpoint such as https://NAME.REGION.batch.azure.com, found {endpoint!r}")
    if parts.username or parts.password or parts.query:
        raise TargetError("expected an endpoint without user, password and query; keys go into AZURE_BATCH_ACCESS_KEY")
    hostname = parts.hostname or ""
    key = own_key or environment.get("AZURE_BATCH_ACCESS_KEY") or None
    account = account or environment.get("AZURE_BATCH_ACCOUNT") or None
    if account is None and hostname.endswith(".batch.azure.com"):
        account = hostname.partition(".")[0]
    if key is None and parts.scheme == "http":
        raise TargetError(f"{endpoint}: a token is sent over https only; give a key in AZURE_BATCH_ACCESS_KEY")
    return Target(endpoint.rstrip("/"), account, key, local=False)


def _emulator(environment: Mapping[str, str]) -> Target:
    from reconciler.emulator import control

    try:
        running = control.start(emulator_directory(environment))
    except control.EmulatorError as error:
        raise TargetError(f"the local emulator could not be started: {error}") from error
    return Target(running.endpoint, running.account, running.key, local=True)


def emulator_directory(environment: Mapping[str, str]) -> Path:
    """Where the embedded emulator keeps its state."""
    return state_directory(environment) / "emulator"


@asynccontextmanager
async def account(target: Target | Snapshot) -> "AsyncIterator[Account]":
    """The account behind a target."""
    import logging

    if isinstance(target, Snapshot):
        from reconciler.azure.recorded import Recorded

        yield Recorded(target.content)
        return

    from reconciler.azure import connect

    logging.getLogger("azure").addHandler(logging.NullHandler())  # its warnings come back as our errors

    proxies = any(os.environ.get(name) for name in PROXIES) and not target.local
    async with connect(target.endpoint, target.account, target.key, use_proxies=proxies) as there:
        yield there


def context_of(arguments: argparse.Namespace, stack: Stack) -> Context:
    """Whose objects are kept and what a person agreed to. `--replace` is bound to incarnations by `bind_replace`."""
    consents = Consents(
        release_loss=frozenset(_job_key(text) for text in arguments.allow_release_loss),
        release_failure=frozenset(_job_key(text) for text in arguments.allow_release_failure),
        task_loss=frozenset(key_of(text) for text in arguments.allow_task_loss),
        new_run=frozenset(_job_key(text) for text in getattr(arguments, "allow_new_run", ())),
    )
    prunes = stack.prunes and not getattr(arguments, "no_prune", False)
    return Context(stack.name, prunes, consents=consents, check_tasks=getattr(arguments, "check_tasks", False))


def store_of(target: Target | Snapshot, stack: Stack) -> FolderStore:
    """Where the runs of a stack are remembered."""
    endpoint = str(target.content["endpoint"]) if isinstance(target, Snapshot) else target.endpoint
    return FolderStore(state_directory(os.environ), endpoint, stack.name)


def bind_replace(
    arguments: argparse.Namespace, context: Context, observed: Observed, declared: Container[Key | None]
) -> Context:
    """The context with `--replace` bound to the objects that exist now, so that it is spent once they are new."""
    found = set()
    for text in arguments.replace:
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


def bind_force(arguments: argparse.Namespace, context: Context, observed: Observed) -> Context:
    """The context with `--dangerous-force` bound to the incarnations that are there now."""
    force, stuck = set(), set()
    for text in arguments.dangerous_force:
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


def check_forced(arguments: argparse.Namespace, plan: "Plan") -> None:
    """Refuse a `--dangerous-force` that nothing would come of: it is never kept for later."""
    for text in arguments.dangerous_force:
        entry = plan.entries.get(key_of(text))
        if entry is not None and any(action.force for action in entry.actions):
            continue
        why = f"now it is: {entry.step}" if entry is not None and isinstance(entry.step, Wait) else "it stays as it is"
        raise UsageError(f"--dangerous-force {text}: the plan neither terminates nor deletes it; {why}")


def _job_key(text: str) -> Key:
    key = key_of(text)
    if key.kind is not Kind.JOB:
        raise UsageError(f"expected an address such as job/NAME, found {text!r}")
    return key
