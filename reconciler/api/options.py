"""What people ask for, as one value: the flags of the commands, by the same names."""

from dataclasses import dataclass, replace
from typing import Any, Final, Self

from reconciler.api.addresses import key_of
from reconciler.errors import UsageError
from reconciler.lifecycle.steps import Consents, Context
from reconciler.model.desired import Key, Kind, Stack


@dataclass(frozen=True, slots=True)
class Options:
    """How to plan and how to run. Objects are named by address (`job/nightly`).

    *prune*: remove what is ours and no manifest names. *check_tasks*: compare the tasks of every declared job.
    *replace* and *dangerous_force* are bound to the incarnations that a plan finds. *allow_deletes*: how many objects
    may be removed; None: what the Stack's limits and the guards say. *parallelism*: requests at once. *wait*: until
    declared tasks have ended. *max_duration*: seconds, None without an end. *store*: a URL or a folder, which wins over
    the Stack's. *target*: these objects alone, and what they need; *exclude*: all but these, and what needs them.
    *max_actions*: how many steps of roads one run may take. *digest*: of the only plan that may run.
    """

    prune: bool = True
    check_tasks: bool = False
    replace: tuple[str, ...] = ()
    allow_release_loss: tuple[str, ...] = ()
    allow_release_failure: tuple[str, ...] = ()
    allow_task_loss: tuple[str, ...] = ()
    allow_new_run: tuple[str, ...] = ()
    dangerous_force: tuple[str, ...] = ()
    allow_deletes: int | None = None
    parallelism: int = 10
    wait: bool = True
    max_duration: float | None = None
    store: str | None = None
    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_actions: int | None = None
    digest: str | None = None

    def but(self, **changes: Any) -> Self:
        """The same with some of them changed."""
        return replace(self, **changes)

    def context(self, stack: Stack) -> Context:
        """Whose objects are kept and what a person agreed to; without what has to be bound to incarnations. Raises
        UsageError for what is no address."""
        consents = Consents(
            release_loss=frozenset(map(_job_key, self.allow_release_loss)),
            release_failure=frozenset(map(_job_key, self.allow_release_failure)),
            task_loss=frozenset(map(key_of, self.allow_task_loss)),
            new_run=frozenset(map(_job_key, self.allow_new_run)),
        )
        return Context(stack.name, stack.prunes and self.prune, consents=consents, check_tasks=self.check_tasks)


DEFAULTS: Final = Options()


def _job_key(text: str) -> Key:
    key = key_of(text)
    if key.kind is not Kind.JOB:
        raise UsageError(f"expected an address such as job/NAME, found {text!r}")
    return key
