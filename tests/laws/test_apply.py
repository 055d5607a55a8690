"""Laws of apply, for every body that the models allow and every kind of object, tasks included.

What was applied plans empty, also after a restart of the emulator, and what is there imports to a manifest that plans
empty too. A change of one property gives exactly the verbs that its kind of change documents, and nothing is left to
do once it was applied. Through the command line and the real SDK over HTTP, on the simulated account, which takes every
property there is; the restart is that of an emulator that keeps its state on disk.

Many objects make one stack, so that each command is run once for all of them. More of them:

    RECONCILER_EXAMPLES=1000 pytest -m slow tests/laws/test_apply.py
"""

import copy
import importlib.util
import itertools
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from reconciler.diff import diff
from reconciler.emulator import Emulator, Simulation
from reconciler.model import duration
from reconciler.model.desired import SPECS
from reconciler.model.field import ChangeKind, Spec
from reconciler.model.table import change_kind, normalise, table, without_choices, write_only
from reconciler.model.task import TaskSpec
from tests.laws.conftest import API, KINDS, Body, Stack, point, road

MODELS: Mapping[str, type[Spec]] = {**{str(kind): model for kind, model in SPECS.items()}, "task": TaskSpec}
WHERE = {"pool": "pools", "job": "jobs", "jobschedule": "jobschedules", "task": "jobs"}
MANY = int(os.environ.get("RECONCILER_EXAMPLES", "400"))
A_DAY = 24 * 60 * 60 * duration.TICKS_PER_SECOND
SIZE = (
    *("enableAutoScale", "autoScaleFormula", "autoScaleEvaluationInterval"),
    *("resizeTimeout", "targetDedicatedNodes", "targetLowPriorityNodes"),
)
"""Properties of a pool that say together how many nodes it has: they change as one."""
REFUSED = frozenset(
    {
        "autoStorageContainerName",
        "containerConfiguration",
        "containerSettings",
        "identityReference",
        "mountConfiguration",
    }
)
"""What nodes that run commands refuse by name."""
_NUMBERS = itertools.count(1)
every_kind = pytest.mark.parametrize("kind", list(MODELS))
few_and_many = pytest.mark.parametrize("count", [20, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"])


def _strategies() -> Any:
    spec = importlib.util.spec_from_file_location("manifests", Path(__file__).with_name("manifests.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


manifests = _strategies()


def refused(model: type[Spec], at: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted paths of what an emulator with processes refuses, in *model* and below."""
    for name, entry in table(model).items():
        if name in REFUSED:
            yield ".".join((*at, name))
        elif entry.below is not None:
            yield from refused(entry.below, (*at, name))


# Bodies that the service takes: of an image that it knows, with few nodes, naming what is there.


def bodies(kind: str, without: Sequence[str] = ()) -> st.SearchStrategy[Body]:
    return manifests.specs(MODELS[kind], without=without).map(lambda body: _known(SMALL[kind](body)))  # type: ignore[no-any-return]


def _known(value: Any) -> Any:
    """Application packages that are there, and headers that can be sent."""
    if isinstance(value, list):
        return [_known(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {name: _known(part) for name, part in value.items()}
    if "applicationId" in value:
        two = len(value["applicationId"]) % 2
        return {"applicationId": "two" if two else "one", "version": "1" if two or "version" not in value else "2"}
    if "uploadHeaders" in value:
        headers = value["uploadHeaders"]
        value["uploadHeaders"] = [{"name": f"x-{at}", "value": str(len(str(one)))} for at, one in enumerate(headers)]
    return value


def _pool(body: Mapping[str, Any]) -> Body:
    machine = {
        **body["virtualMachineConfiguration"],
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    }
    for name in ("windowsConfiguration", "licenseType"):
        machine.pop(name, None)
    pool = {**body, "vmSize": "Standard_D64s_v3", "virtualMachineConfiguration": machine}
    for name in ("targetDedicatedNodes", "targetLowPriorityNodes"):
        if name in pool:
            pool[name] = pool[name] % 3
    if "autoScaleFormula" in pool:
        pool["autoScaleFormula"] = f"$TargetDedicatedNodes = {len(pool['autoScaleFormula']) % 3};"
    return pool


def _job(body: Mapping[str, Any]) -> Body:
    """That is not over by the time it is looked at."""
    job = dict(body)
    limit = job.get("constraints", {}).get("maxWallClockTime")
    if limit is not None and duration.ticks(limit) < A_DAY:
        job["constraints"] = {**job["constraints"], "maxWallClockTime": "P30D"}
    automatic = job["poolInfo"].get("autoPoolSpecification")
    if automatic is None:
        return job
    if "pool" not in automatic:  # the model allows it, and nobody knows what the service would make
        return {**job, "poolInfo": {"poolId": "elsewhere"}}
    pool = {name: value for name, value in _pool(automatic["pool"]).items() if name not in SIZE}
    return {**job, "poolInfo": {"autoPoolSpecification": {**automatic, "pool": pool}}}


def _schedule(body: Mapping[str, Any]) -> Body:
    return {**body, "jobSpecification": _job(body["jobSpecification"])}


def _task(body: Mapping[str, Any]) -> Body:
    task = {**body, "id": "t"}
    if "dependsOn" in task:
        needed = task["dependsOn"]
        ids = ["first", "second"][: len(needed.get("taskIds", ()))]
        ranges = [{"start": 1, "end": 1 + len(needed) % 2}][: len(needed.get("taskIdRanges", ()))]
        task["dependsOn"] = {"taskIds": ids or ["first"], **({"taskIdRanges": ranges} if ranges else {})}
    return task


SMALL: Mapping[str, Callable[[Mapping[str, Any]], Body]] = {
    "pool": _pool,
    "job": _job,
    "jobschedule": _schedule,
    "task": _task,
}


@dataclass
class Case:
    """An object, and what is to become of it by a change of the property at *path*."""

    kind: str
    body: Body
    after: Body
    path: tuple[str, ...] = ()
    lifecycle: Body = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"x{next(_NUMBERS)}")

    @property
    def address(self) -> str:
        return f"{'job' if self.kind == 'task' else self.kind}/{self.name}"

    def manifest(self, body: Body) -> Body:
        if self.kind != "task":
            head = {**API, "kind": KINDS[self.kind], "metadata": {"name": self.name}}
            return {**head, "spec": body, "lifecycle": self.lifecycle}
        spec = {
            "poolInfo": {"poolId": "nowhere"},
            "usesTaskDependencies": True,
            "onTaskFailure": "performexitoptionsjobaction",
        }
        others = [{"id": id_, "commandLine": "true"} for id_ in ("first", "second", "1", "2")]
        head = {**API, "kind": "Job", "metadata": {"name": self.name}}
        return {**head, "spec": spec, "tasks": [body, *others], "lifecycle": self.lifecycle}

    def live(self, simulation: Simulation) -> Body:
        found: Body = simulation.get(f"/{WHERE[self.kind]}/{self.name}" + ("/tasks/t" if self.kind == "task" else ""))
        found["metadata"] = [item for item in found.get("metadata", ()) if item["name"] != "reconciler"]
        return found


LIFECYCLES: Mapping[str, st.SearchStrategy[Body]] = {
    "pool": st.sampled_from([{}, {"rollout": "ScaleToZero"}, {"rollout": "Replace"}]),
    "job": st.just({}),
    "jobschedule": st.just({}),
    "task": st.sampled_from([{"tasks": "AddOnly"}, {"tasks": "Replace"}, {"tasks": "Exact"}]),
}


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case | None:
    """An object and the change of one of its properties at any depth, within lists as a whole; None where the change
    breaks a rule between properties."""
    model = MODELS[kind]
    body, other = draw(bodies(kind)), draw(bodies(kind))
    path, here, there = [draw(st.sampled_from([name for name in table(model) if name != "id"]))], body, other
    while (below := table(model)[path[-1]].below) and not table(model)[path[-1]].is_list:
        if not isinstance(here.get(path[-1]), dict) or not isinstance(there.get(path[-1]), dict) or draw(st.booleans()):
            break
        here, there, model = here[path[-1]], there[path[-1]], below
        path.append(draw(st.sampled_from(list(table(model)))))
    after = copy.deepcopy(body)
    part = after
    for name in path[:-1]:
        part = part[name]
    for name in SIZE if path[-1] in SIZE and kind == "pool" and len(path) == 1 else path[-1:]:
        part.pop(name, None)
        if name in there:
            part[name] = there[name]
    try:
        MODELS[kind].model_validate(after)
    except ValidationError:
        return None
    return Case(kind, body, after, tuple(path), draw(LIFECYCLES[kind]))


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """So many examples. They are different each time; a test that fails prints what it fails for."""
    found: list[Any] = []

    @seed(random.SystemRandom().getrandbits(64))
    @settings(
        deadline=None,
        max_examples=count,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return [example for example in found if example is not None]


def valid(stack: Stack, some: Sequence[Case]) -> list[Case]:
    """Those that lint has nothing against, before and after: it knows rules between objects, which bodies do not."""
    for bodies_of in (lambda case: case.body, lambda case: case.after):
        stack.write([case.manifest(bodies_of(case)) for case in some])
        _, out, err = stack.run("validate", str(stack.folder))
        errors = [line for line in (out + err).splitlines() if not line.startswith(("warning:", "hint:"))]
        wrong = set(re.findall(r"-(x\d+)\.yaml", "\n".join(errors)))
        some = [case for case in some if case.name not in wrong]
        assert some, f"nothing valid was drawn: {out}{err}"
    return list(some)


def varied(some: Sequence[Case], count: int) -> list[Case]:
    """So many of them: of each top-level property in turn, and what is no change at all last."""
    turns: dict[str, list[Case]] = {}
    for case in sorted(some, key=lambda case: case.body == case.after):
        turns.setdefault(case.path[0], []).append(case)
    in_turn = [case for turn in itertools.zip_longest(*turns.values()) for case in turn if case is not None]
    return in_turn[:count]


def is_done(code: int, text: str) -> bool:
    """Whether every request was accepted. Nodes and tasks that fail (6) are no difference from the manifests."""
    return code in (0, 3, 4) or (code == 6 and "Failed:" not in text)


def shown(case: Case) -> str:
    return yaml.safe_dump_all([case.manifest(case.body), case.manifest(case.after)], allow_unicode=True)


def plans_empty(stack: Stack, some: Sequence[Case], *flags: str) -> None:
    planned = stack.plan(*flags)
    for case in some:
        assert road(planned[case.address]) == (), f"{planned[case.address]}\n{shown(case)}"
        assert planned[case.address]["change"]["actions"] == ["no-op"]


def import_all(stack: Stack, some: Sequence[Case]) -> list[tuple[Case, Body]]:
    """The manifests that `import` makes of live objects; those left out need a secret that nobody can read."""
    code, out, err = stack.run("import", *(case.address for case in some))
    assert code == 0, err
    by_name = {document["metadata"]["name"]: document for document in yaml.safe_load_all(out)}
    texts = {name: str(document) for name, document in by_name.items()}
    unread = {name for name, text in texts.items() if "secretRef" in text or "${env." in text}
    return [(case, by_name[case.name]) for case in some if case.name not in unread]


@few_and_many
@every_kind
def test_what_was_applied_plans_empty_and_imports_to_what_plans_empty(
    home: Path, simulation: Simulation, kind: str, count: int
) -> None:
    stack = Stack(home / f"{kind}{next(_NUMBERS)}", simulation)
    some = valid(stack, [Case(kind, body, body) for body in drawn(bodies(kind), count)])
    stack.write([case.manifest(case.body) for case in some])
    code, text = stack.apply()
    assert is_done(code, text), text
    plans_empty(stack, some)
    plans_empty(stack, some, "--check-tasks")
    imported = import_all(stack, some)
    assert imported
    stack.write([{**document, "lifecycle": case.lifecycle} for case, document in imported])
    plans_empty(stack, [case for case, _ in imported])
    plans_empty(stack, [case for case, _ in imported], "--check-tasks")


def test_what_an_import_leaves_out_of_tasks_because_it_goes_without_saying_is_no_change(
    home: Path, simulation: Simulation
) -> None:
    """A retry count that the task would have inherited, and what an exit code means anyway."""
    body = {
        "id": "t",
        "commandLine": "true",
        "constraints": {"maxTaskRetryCount": 0, "retentionTime": "PT0M"},
        "exitConditions": {"default": {"jobAction": "terminate"}},
    }
    case = Case("task", body, body, lifecycle={"tasks": "AddOnly"})
    stack = Stack(home / f"unsaid{next(_NUMBERS)}", simulation)
    stack.write([case.manifest(body)])
    assert is_done(*stack.apply())
    [(_, imported)] = import_all(stack, [case])
    task = next(item for item in imported["tasks"] if item["id"] == "t")
    assert task["constraints"] == {"retentionTime": "PT0S"}
    stack.write([imported])
    plans_empty(stack, [case], "--check-tasks")
    task["constraints"]["maxTaskRetryCount"] = 3
    stack.write([imported])
    assert road(stack.plan()[case.address]) == ("update 1 task", "confirm tasks")


@few_and_many
def test_after_a_restart_of_the_emulator_the_plan_is_empty(home: Path, tmp_path: Path, count: int) -> None:
    """All kinds together; without nodes, so that nothing runs meanwhile."""
    with Emulator(state=tmp_path / "emulator") as emulator, pytest.MonkeyPatch.context() as patch:
        packages = emulator.state / "applications"
        for package in ("one/1", "one/2", "two/1"):
            (packages / package).mkdir(parents=True)
        point(patch, emulator, home)
        stack = Stack(tmp_path / f"kept{next(_NUMBERS)}")
        some = []
        for kind in MODELS:
            without = (*refused(MODELS[kind]), *(SIZE if kind == "pool" else ()))
            some += [Case(kind, body, body) for body in drawn(bodies(kind, without), max(5, count // 4))]
        some = valid(stack, some)
        stack.write([case.manifest(case.body) for case in some])
        code, text = stack.apply()
        assert is_done(code, text), text
        plans_empty(stack, some, "--check-tasks")
        emulator.restart()
        plans_empty(stack, some)
        plans_empty(stack, some, "--check-tasks")
        emulator.kill()
        emulator.start()
        plans_empty(stack, some, "--check-tasks")


# What each kind of change takes, said once more: of the fields that differ, by kind of change and whether a line of the
# manifest asks for it.


@dataclass(frozen=True)
class Difference:
    path: tuple[str, ...]
    kind: ChangeKind
    implicit: bool


def differences(case: Case, live: Body) -> list[Difference]:
    """What the change of the manifest asks for, of what is there; values that are never given back by their change."""
    model = MODELS[case.kind]
    wanted, there = normalise(model, case.after), normalise(model, live)
    rows = diff(model, wanted, there, written=normalise(model, case.after, fill=False)).fields
    found = [Difference(row.path, row.kind, row.implicit) for row in rows]
    now = write_only(model, case.after)
    if case.kind != "task" and now != write_only(model, case.body):
        found += [Difference(path, change_kind(model, path), False) for path in now]
    return found


BLOCKED = ("blocked",)


def expected(case: Case, live: Body) -> tuple[str, ...]:
    """The verbs of the plan."""
    differs = differences(case, live)
    return {"pool": _of_pool, "job": _of_job, "jobschedule": _of_schedule, "task": _of_task}[case.kind](
        case, live, differs
    )


def _of(differs: Sequence[Difference], *kinds: ChangeKind) -> list[Difference]:
    return [one for one in differs if one.kind in kinds]


def _is_stuck(case: Case, differs: Sequence[Difference], clearable: Sequence[str] = ()) -> bool:
    """Whether a property is to be cleared that a PATCH cannot clear: only a list is, where a line says so."""
    model = MODELS[case.kind]
    kept = normalise(model, case.after)
    gone = {one.path[0] for one in differs} - {*kept, *clearable}
    lists = {name for name, entry in table(model).items() if entry.is_list}
    written = case.after if case.kind == "pool" else dict.fromkeys(lists)
    return any(name not in lists or name not in written for name in gone)


def _of_pool(case: Case, live: Body, differs: Sequence[Difference]) -> tuple[str, ...]:
    nodes = live["currentDedicatedNodes"] + live["currentLowPriorityNodes"]
    scales, autoscales = live["enableAutoScale"], case.after.get("enableAutoScale", False)
    goal = [case.after.get(name, 0) for name in ("targetDedicatedNodes", "targetLowPriorityNodes")]
    there = [live["targetDedicatedNodes"], live["targetLowPriorityNodes"]]
    clearable = ("startTask", "applicationPackageReferences", "metadata")
    empty, free = _of(differs, ChangeKind.WHEN_EMPTY), _of(differs, ChangeKind.WHEN_EMPTY, ChangeKind.LIVE)
    rollout = case.lifecycle.get("rollout", "WaitUntilEmpty")
    if empty and (nodes or any(there)):
        if all(one.implicit for one in empty) or _is_stuck(case, empty, clearable) or rollout == "WaitUntilEmpty":
            return BLOCKED
        if rollout == "Replace":
            return ("delete", "create")
        back = ("enable autoscale",) if autoscales else ("resize",)
        return (*(("disable autoscale",) if scales else ()), "resize", "update", *back)
    if free:
        if _is_stuck(case, free, clearable):
            return BLOCKED
        removed = any(one.path == ("startTask",) for one in free) and "startTask" not in case.after
        return ("replace properties",) if removed else ("update",)
    if _of(differs, ChangeKind.AUTOSCALE):
        if autoscales:
            return ("enable autoscale",)
        if not {"enableAutoScale", "targetDedicatedNodes", "targetLowPriorityNodes"} & case.after.keys():
            return BLOCKED
        fixed = ("resize",) if goal != there or _timeout(case.after) != _timeout(live) else ()
        return BLOCKED if _takes_unsaid(case, there) else ("disable autoscale", *fixed)
    if _of(differs, ChangeKind.RESIZE) and not autoscales:
        return BLOCKED if _takes_unsaid(case, there) else ("resize",)
    return ()


def _takes_unsaid(case: Case, there: Sequence[int]) -> bool:
    """Whether a target of which no line speaks would take nodes away."""
    pairs = zip(("targetDedicatedNodes", "targetLowPriorityNodes"), there, strict=True)
    return any(before > 0 and name not in case.after for name, before in pairs)


def _timeout(body: Body) -> str:
    return duration.canonical(body.get("resizeTimeout", "PT15M"))


def _of_job(case: Case, live: Body, differs: Sequence[Difference]) -> tuple[str, ...]:
    auto = [one for one in differs if one.path[:2] == ("poolInfo", "autoPoolSpecification")]
    fixed = _of(differs, ChangeKind.FIXED) + [one for one in auto if one.path[2:] != ("keepAlive",)]
    if live["onAllTasksComplete"] == "terminatejob":
        fixed += _of(differs, ChangeKind.ONE_WAY)
    if fixed:
        if all(one.implicit for one in fixed):
            return BLOCKED
        return ("delete", "create") if live["state"] == "completed" else ("terminate", "delete", "create")
    if live["state"] == "completed":
        return ()
    if any(one.path[0] == "poolInfo" for one in differs):
        return ("disable", "update", "enable")
    if one_way_or_live := _of(differs, ChangeKind.LIVE, ChangeKind.ONE_WAY):
        return BLOCKED if _is_stuck(case, one_way_or_live) else ("update",)
    return ()


def _of_schedule(case: Case, live: Body, differs: Sequence[Difference]) -> tuple[str, ...]:
    return ("update",) if _of(differs, ChangeKind.LIVE, ChangeKind.NEXT_RUN) else ()


def _of_task(case: Case, live: Body, differs: Sequence[Difference]) -> tuple[str, ...]:
    changed = normalise(TaskSpec, case.body) != normalise(TaskSpec, case.after)
    plain = (without_choices(TaskSpec, normalise(TaskSpec, body)) for body in (case.body, case.after))
    confirmed = ("confirm tasks",) if changed and (_of(differs, ChangeKind.LIVE) or next(plain) != next(plain)) else ()
    if _of(differs, ChangeKind.LIVE) and changed:
        return ("update 1 task", *confirmed)
    if (fixed := _of(differs, ChangeKind.FIXED)) and changed:
        if case.lifecycle["tasks"] == "AddOnly" or all(one.implicit for one in fixed):
            return BLOCKED
        return ("delete 1 task", "add 1 task", *confirmed)
    return confirmed


@few_and_many
@every_kind
def test_a_changed_property_takes_the_verbs_of_its_kind_of_change_and_nothing_is_left(
    home: Path, simulation: Simulation, kind: str, count: int
) -> None:
    stack = Stack(home / f"{kind}{next(_NUMBERS)}", simulation)
    some = valid(stack, varied(drawn(cases(kind), 2 * count), count))
    stack.write([case.manifest(case.body) for case in some])
    code, text = stack.apply()
    assert is_done(code, text), text
    if kind == "pool":
        simulation.advance(minutes=30)  # their nodes are there
    before = {case.name: case.live(simulation) for case in some}
    some = [case for case in some if kind != "jobschedule" or before[case.name]["state"] == "active"]
    stack.write([case.manifest(case.after) for case in some])
    planned = stack.plan()
    for case in some:
        about = f"{'.'.join(case.path)}\n{planned[case.address]}\n{shown(case)}"
        assert road(planned[case.address]) == expected(case, before[case.name]), about
    code, text = stack.apply()
    assert is_done(code, text), text
    if kind == "pool":
        simulation.advance(minutes=30)
    blocked = [case for case in some if "blocked" in expected(case, before[case.name])]
    plans_empty(stack, [case for case in some if case not in blocked])
    again = stack.plan()
    for case in some:
        is_new = case.live(simulation)["creationTime"] != before[case.name]["creationTime"]
        assert is_new == bool({"create", "add 1 task"} & {*road(planned[case.address])}), shown(case)
        if case in blocked:
            assert "blocked" in road(again[case.address]), shown(case)
