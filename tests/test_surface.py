"""The field table knows what the installed SDK knows: every property that a create takes, and nothing else.

Walks the SDK's models of api-version 2025-06-01 from the four roots. A property may be missing from the table only
where the table itself says why: read-only, or unsupported with its reason. The id of a pool, job or job schedule is
`metadata.name` of its manifest.
"""

import datetime
import enum
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_origin

import pytest
from azure.batch import models
from azure.batch.models import _models

from reconciler.model.field import ChangeKind, Compare, Spec
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import Field, change_kind, table
from reconciler.model.task import TaskSpec

NAMED_BY_METADATA = (PoolSpec, JobSpec, JobScheduleSpec)
ROOTS: list[tuple[type[Spec], Any, Any]] = [
    (PoolSpec, models.BatchPoolCreateOptions, models.BatchPool),
    (JobSpec, models.BatchJobCreateOptions, models.BatchJob),
    (JobScheduleSpec, models.BatchJobScheduleCreateOptions, models.BatchJobSchedule),
    (TaskSpec, models.BatchTaskCreateOptions, models.BatchTask),
]
UPDATES = [
    (PoolSpec, models.BatchPoolUpdateOptions),
    (PoolSpec, models.BatchPoolReplaceOptions),
    (JobSpec, models.BatchJobUpdateOptions),
    (JobScheduleSpec, models.BatchJobScheduleUpdateOptions),
]


class Property(NamedTuple):
    """A property of an SDK model. *below* is the model it holds, itself or in a list."""

    name: str
    required: bool
    read_only: bool
    type: Any
    is_list: bool

    @property
    def below(self) -> Any:
        is_model = isinstance(self.type, type) and issubclass(self.type, _models._Model)
        return self.type if is_model else None

    @property
    def values(self) -> set[str] | None:
        is_enum = isinstance(self.type, type) and issubclass(self.type, enum.Enum)
        return {member.value for member in self.type} if is_enum else None


def properties(model: Any) -> dict[str, Property]:
    """The properties of an SDK model by wire name."""
    model({})  # the SDK fills its own tables at the first use
    hints = typing.get_type_hints(model, {**vars(_models), "_models": models})
    found = {}
    for attribute, field in model._attr_to_rest_field.items():
        shape, optional, is_list = unwrapped(hints[attribute])
        visibility = field._visibility or []
        found[field._rest_name] = Property(field._rest_name, not optional, visibility == ["read"], shape, is_list)
    return found


def unwrapped(hint: Any) -> tuple[Any, bool, bool]:
    """The type of a value, whether it may be absent, whether there are many."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        arms = [arm for arm in get_args(hint) if arm is not type(None)]
        enums = [arm for arm in arms if isinstance(arm, type) and issubclass(arm, enum.Enum)]
        shape, _, is_list = unwrapped(enums[0] if enums else arms[0])
        return shape, type(None) in get_args(hint), is_list
    if get_origin(hint) is list:
        return unwrapped(get_args(hint)[0])[0], False, True
    return hint, False, False


class Pair(NamedTuple):
    """The two sides at one place; None where a side does not know it."""

    path: str
    spec: type[Spec]
    ours: Field | None
    theirs: Property | None


def walk(spec: type[Spec], model: Any, path: str) -> Iterator[Pair]:
    """Every property of the manifest type, of the SDK's model, or of both, at all depths."""
    ours, theirs = table(spec), properties(model)
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        if name == "id" and spec in NAMED_BY_METADATA:
            continue
        pair = Pair(f"{path}.{name}", spec, ours.get(name), theirs.get(name))
        yield pair
        if pair.ours and pair.ours.below and pair.theirs and pair.theirs.below:
            yield from walk(pair.ours.below, pair.theirs.below, pair.path)


def all_pairs() -> list[Pair]:
    return [pair for spec, create, _ in ROOTS for pair in walk(spec, create, spec.__name__)]


def test_the_walk_reaches_every_type_and_field_of_the_create_models() -> None:
    reached = {(model, name) for _, model, _ in ROOTS for name in properties(model)}
    seen = [model for _, model, _ in ROOTS]
    for model in seen:
        for each in properties(model).values():
            reached.add((model, each.name))
            if each.below and each.below not in seen:
                seen.append(each.below)
    assert len(seen) >= 77
    assert len(reached) >= 343
    walked = {pair.path.rsplit(".", 1)[-1] for pair in all_pairs()} | {"id"}
    assert {name for _, name in reached} <= walked


def test_every_property_that_a_create_takes_is_in_the_table() -> None:
    missing = [pair.path for pair in all_pairs() if pair.ours is None and not excused(pair)]
    assert missing == []


def excused(pair: Pair) -> bool:
    assert pair.theirs is not None
    name = pair.theirs.name
    return pair.theirs.read_only and name in pair.spec.read_only


def test_the_table_knows_nothing_that_the_sdk_does_not() -> None:
    assert [pair.path for pair in all_pairs() if pair.theirs is None] == []


@pytest.mark.parametrize(("spec", "create", "read"), ROOTS, ids=lambda value: value.__name__)
def test_what_a_read_returns_is_in_the_table_or_read_only(spec: type[Spec], create: Any, read: Any) -> None:
    returned = [pair for pair in walk(spec, read, "") if pair.theirs and pair.ours is None]
    assert [pair.path for pair in returned if pair.theirs.name not in pair.spec.read_only] == []
    assert {pair.theirs.name for pair in returned if pair.spec is spec} == spec.read_only
    assert spec.read_only.isdisjoint(properties(create))


@pytest.mark.parametrize(("spec", "update"), UPDATES, ids=lambda value: value.__name__)
def test_what_an_update_takes_is_in_the_table(spec: type[Spec], update: Any) -> None:
    unknown = [
        pair.path
        for pair in walk(spec, update, "")
        if pair.theirs is not None and pair.ours is None and not excused(pair)
    ]
    assert unknown == []


def test_both_sides_agree_on_what_must_be_there() -> None:
    """What the SDK requires is required here; the other way round, the documentation is stricter than the types."""
    pairs = [pair for pair in all_pairs() if pair.ours and pair.theirs]
    assert [pair.path for pair in pairs if pair.theirs.required and not pair.ours.required] == []
    stricter = {pair.path.split(".")[-1] for pair in pairs if pair.ours.required and not pair.theirs.required}
    assert stricter == {
        "virtualMachineConfiguration",  # "must be specified" (REST reference 8.1)
        "container",  # the only destination of output files
        "resourceId",  # an identity without its id names nothing
    }


def test_both_sides_agree_on_types() -> None:
    for pair in all_pairs():
        if not (pair.ours and pair.theirs):
            continue
        ours, theirs = pair.ours, pair.theirs
        assert ours.is_list == theirs.is_list, pair.path
        assert (ours.below is None) == (theirs.below is None), pair.path
        assert set(ours.choices) == (theirs.values or set()), pair.path
        expected = {datetime.timedelta: Compare.DURATION, datetime.datetime: Compare.MOMENT}.get(theirs.type)
        assert (ours.compare if ours.compare in (Compare.DURATION, Compare.MOMENT) else None) == expected, pair.path
        if theirs.values:
            assert ours.compare is Compare.FOLDED, f"{pair.path}: the service rewrites the letter case of enums"


def kinds(spec: type[Spec], *wanted: ChangeKind) -> set[str]:
    return {name for name in table(spec) if change_kind(spec, [name]) in wanted}


def names(model: Any, *, without: str = "") -> set[str]:
    return set(properties(model)) - {without}


def test_every_field_of_a_pool_changes_through_the_operation_that_takes_it() -> None:
    assert kinds(PoolSpec, ChangeKind.LIVE) == names(models.BatchPoolReplaceOptions)
    assert kinds(PoolSpec, ChangeKind.LIVE, ChangeKind.WHEN_EMPTY) == names(models.BatchPoolUpdateOptions)
    assert kinds(PoolSpec, ChangeKind.RESIZE) == names(models.BatchPoolResizeOptions, without="nodeDeallocationOption")
    assert kinds(PoolSpec, ChangeKind.AUTOSCALE) == names(models.BatchPoolEnableAutoScaleOptions) | {"enableAutoScale"}
    assert kinds(PoolSpec, ChangeKind.FIXED) == set()


def test_every_field_of_a_job_changes_through_the_operation_that_takes_it() -> None:
    changeable = kinds(JobSpec, ChangeKind.LIVE, ChangeKind.WHEN_DISABLED, ChangeKind.ONE_WAY)
    assert changeable == names(models.BatchJobUpdateOptions)
    assert kinds(JobSpec, ChangeKind.NEXT_INCARNATION) == {"displayName"}
    auto = ("poolInfo", "autoPoolSpecification")
    assert change_kind(JobSpec, [*auto, "keepAlive"]) is ChangeKind.WHEN_DISABLED
    assert change_kind(JobSpec, [*auto, "poolLifetimeOption"]) is ChangeKind.FIXED
    assert change_kind(JobSpec, [*auto, "pool", "targetDedicatedNodes"]) is ChangeKind.FIXED
    assert change_kind(JobSpec, auto) is ChangeKind.FIXED


def test_every_field_of_a_schedule_changes_through_the_operation_that_takes_it() -> None:
    changeable = kinds(JobScheduleSpec, ChangeKind.LIVE, ChangeKind.NEXT_RUN)
    assert changeable == names(models.BatchJobScheduleUpdateOptions)
    for path in (["priority"], ["jobReleaseTask", "commandLine"], ["poolInfo", "poolId"], ["displayName"]):
        assert change_kind(JobScheduleSpec, ["jobSpecification", *path]) is ChangeKind.NEXT_RUN


def test_a_task_changes_only_its_constraints() -> None:
    writable = {each.name for each in properties(models.BatchTask).values() if not each.read_only}
    assert kinds(TaskSpec, ChangeKind.LIVE) == writable == {"constraints"}
