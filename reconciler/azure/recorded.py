"""A snapshot of an account: the answers to everything a plan may ask, in one secret-free document.

`take` asks the questions and writes down the answers by path; `Recorded` is an account that answers from them, so that
what reads an account cannot tell the difference. It takes no writes.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from azure.core.rest import AsyncHttpResponse, HttpRequest

from reconciler.azure.account import NODE_FIELDS, Account, path_of
from reconciler.azure.refusals import understanding
from reconciler.errors import Missing, Rejected, TargetError
from reconciler.model.desired import SPECS, Desired, Task, Wanted
from reconciler.model.field import Spec
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.secrecy import without_keys
from reconciler.model.table import MASK, Json, without_secrets
from reconciler.model.task import TaskSpec

T = TypeVar("T")
KIND: Final = "Snapshot"
FORMAT_VERSION: Final = "1.0"
AT_ONCE: Final = 32
_LISTS: Final[Mapping[str, type[Spec] | None]] = {
    "pools": PoolSpec,
    "nodecounts": None,
    "jobs": JobSpec,
    "jobschedules": JobScheduleSpec,
}


async def take(account: Account) -> dict[str, Json]:
    """The snapshot of an account: lists, and for each job and pool what a decision may need. Raises BatchError where a
    list is refused: half a snapshot would show objects as absent."""
    answers: dict[str, Json] = {}
    for name, model in _LISTS.items():
        answers[path_of(name)] = [secret_free(model, row) for row in await account.rows(name)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def record(*path: str, model: type[Spec] | None = None, select: str = "") -> None:
        async with gate:
            try:
                rows = await account.rows(*path, select=select)
            except (Missing, Rejected):  # gone since it was listed
                return
        answers[path_of(*path)] = [secret_free(model, row) for row in rows]

    async def count(job: str) -> None:
        async with gate:
            try:
                answers[path_of("jobs", job, "taskcounts")] = await account.answer("jobs", job, "taskcounts")
            except Missing:
                return

    jobs = [row for row in answers["/jobs"] if row["state"] != "deleting"]
    work = [record("jobs", row["id"], "tasks", model=TaskSpec) for row in jobs]
    work += [count(row["id"]) for row in jobs]
    prepared = [row for row in jobs if row.get("jobPreparationTask")]
    work += [record("jobs", row["id"], "jobpreparationandreleasetaskstatus") for row in prepared]
    work += [record("pools", row["id"], "nodes", select=NODE_FIELDS) for row in answers["/pools"]]
    await asyncio.gather(*work)
    return {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "endpoint": account.endpoint,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "answers": dict(sorted(answers.items())),
    }


def secret_free(model: type[Spec] | None, row: Mapping[str, Json]) -> dict[str, Json]:
    """*row* without what may be secret: what the table says is, the values of environment variables, which the service
    returns in clear and nothing says what they hold, and what looks like a signature or a key in any text, such as a
    command line or the message of an error."""
    body = dict(without_secrets(model, row) if model is not None else row)
    return dict(_without_values(body))


def concealed(desired: Desired) -> Desired:
    """What the manifests ask for as a snapshot would hold it, so that the two can be compared."""
    return replace(desired, objects={key: _hidden(wanted) for key, wanted in desired.objects.items()})


def _hidden(wanted: Wanted) -> Wanted:
    # Digests stay those of what was written: they tell a change of the manifest from drift, and a new run from an old.
    spec = _conceal(SPECS[wanted.key.kind], wanted.spec)
    return replace(wanted, spec=spec, tasks=_HiddenTasks(wanted.tasks), origin=wanted)


@dataclass(frozen=True)
class _HiddenTasks(Mapping[str, Task]):
    """The declared tasks as a snapshot would hold them, made when they are looked at."""

    tasks: Mapping[str, Task]

    def __getitem__(self, id_: str) -> Task:
        task = self.tasks[id_]
        return Task(task.name, _conceal(TaskSpec, task.spec), task.body)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


def _conceal(model: type[Spec], normal: Mapping[str, Json]) -> dict[str, Json]:
    return dict(_without_values(without_secrets(model, normal)))


def _without_values(value: Json) -> Json:
    if isinstance(value, Mapping):
        found = {}
        for name, item in value.items():
            if name in ("environmentSettings", "commonEnvironmentSettings"):
                found[name] = _settings(item)
            else:
                found[name] = _without_values(item)
        return found
    if isinstance(value, list | tuple):
        return [_without_values(item) for item in value]
    return without_keys(value) if isinstance(value, str) else value


def _settings(value: Json) -> Json:
    if isinstance(value, Mapping):  # normalised: by name
        return {name: _without_value(item) for name, item in value.items()}
    return [_without_value(item) for item in value]


def _without_value(setting: Mapping[str, Json]) -> dict[str, Json]:
    return {name: (MASK if name == "value" else part) for name, part in setting.items()}


def check(text: str, name: str) -> Mapping[str, Json]:
    """The snapshot in *text*, read from the file *name*. Raises TargetError for anything else."""
    try:
        snapshot = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TargetError(f"{name} is not a snapshot: {error}") from None
    if (
        not isinstance(snapshot, dict)
        or snapshot.get("kind") != KIND
        or not isinstance(answers := snapshot.get("answers"), dict)
    ):
        raise TargetError(f"{name} is not a snapshot (made by `reconciler snapshot`)")
    if snapshot.get("format_version") != FORMAT_VERSION:
        version = snapshot.get("format_version")
        raise TargetError(f"{name} is a snapshot of format {version}; this version reads {FORMAT_VERSION}")
    if not isinstance(snapshot.get("endpoint"), str) or not isinstance(at := snapshot.get("at"), str):
        raise TargetError(f"{name} is not a whole snapshot: it does not say of which account, and when")
    if not _is_time(at):
        raise TargetError(f"{name} is not a whole snapshot: expected its time, found {at!r}")
    if absent := [path for path in map(path_of, _LISTS) if not isinstance(answers.get(path), list)]:
        raise TargetError(f"{name} is not a whole snapshot: it lacks the account's {', '.join(absent)}")
    return snapshot


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


class Recorded(Account):
    """An account that answers from a snapshot."""

    def __init__(self, snapshot: Mapping[str, Json]) -> None:
        self.endpoint = snapshot["endpoint"]
        self.at: str = snapshot["at"]
        self._answers: Mapping[str, Json] = snapshot["answers"]

    def _now(self) -> str:
        return self.at

    async def _list(self, path: str, what: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._recorded(path, what)
        return rows

    async def _objects(self, path: str, what: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
        rows: list[dict[str, Any]] = self._recorded(path, what)
        with understanding("read the account"):
            return [read(row) for row in rows]

    async def _json(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        if method != "GET":
            raise Rejected(what, "a snapshot takes no requests but reads")
        answer: dict[str, Any] = self._recorded(path, what)
        return answer

    def _recorded(self, path: str, what: str) -> Json:
        if path not in self._answers:
            raise Rejected(what, "the snapshot does not hold it")
        return self._answers[path]

    async def _send(self, request: HttpRequest, what: str) -> AsyncHttpResponse:
        raise Rejected(what, "a snapshot cannot be asked anything new")
