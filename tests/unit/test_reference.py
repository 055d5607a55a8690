"""What people are told of a field is what the field table says; a path that is none is refused with the nearest."""

import pytest

from reconciler.errors import UsageError
from reconciler.model import reference
from reconciler.model.desired import SPECS, Kind
from reconciler.model.reference import explain
from reconciler.model.table import change_kind, table


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "pool.spec.vmSize",
            {"type": "text", "required": True, "change": "when_empty: in place, while the pool has no"},
        ),
        ("pool.spec.taskSlotsPerNode", {"default": "1", "limits": "1 to 256", "change": "when_empty"}),
        ("pool.spec.targetDedicatedNodes", {"limits": "only with enableAutoScale: false", "change": "resize"}),
        ("job.spec.jobReleaseTask.commandLine", {"meaning": "What to run.", "change": "fixed", "returned": "yes"}),
        ("job.spec.jobReleaseTask.maxWallClockTime", {"type": "duration", "default": '"PT15M"'}),
        ("job.spec.displayName", {"change": "next_incarnation: never by itself"}),
        ("job.spec.onTaskFailure", {"type": "noaction, performexitoptionsjobaction"}),
        ("job.lifecycle.state", {"default": '"Active"', "change": "", "returned": "never sent"}),
        ("job.tasks.commandLine", {"change": "fixed: another value makes another task"}),
        ("job.tasks.constraints.maxTaskRetryCount", {"default": "from", "change": "live"}),
        ("job.taskGroups.name", {"change": "", "returned": "never sent"}),
        ("job.taskGroups.template.commandLine", {"returned": "yes"}),
        ("job.metadata.name", {"change": "another name is another object", "returned": "yes"}),
        ("job.metadata.annotations", {"type": "mapping", "change": "", "returned": "never sent"}),
        ("jobschedule.spec.jobSpecification.priority", {"change": "next_run"}),
        ("jobschedule.spec.jobSpecification.jobReleaseTask.commandLine", {"change": "next_run"}),
        ("pool.spec.userAccounts.password", {"returned": "never; whether it changed is seen by a keyed digest"}),
        ("pool.spec.displayName", {"returned": "yes"}),
        ("stack.spec.variables", {"type": "mapping of names to Variable"}),
        ("stack.spec.variables.nodes", {"type": "Variable", "path": "stack.spec.variables.NAME"}),
        ("stack.spec.variables.nodes.default", {"path": "stack.spec.variables.NAME.default"}),
        ("job.spec.poolInfo", {"rule": "Exactly one of", "type": "PoolInfo"}),
        ("pool", {"type": "document", "about": ""}),
    ],
)
def test_a_field_in_words(path: str, told: dict[str, object]) -> None:
    found = explain(path)
    for name, value in told.items():
        says = getattr(found, name)
        assert says.startswith(value) or value in says if isinstance(value, str) and value else says == value, name


def test_letter_case_and_positions_do_not_matter_and_a_kind_may_be_left_out_where_one_is_meant() -> None:
    assert explain("Job.Spec.JOBReleaseTask") == explain("job.spec.jobReleaseTask")
    assert explain("job.tasks[3].commandLine") == explain("job.tasks.commandLine")
    assert explain("spec.vmSize") == explain("pool.spec.vmSize")
    assert explain("tasks[0].commandLine") == explain("job.tasks.commandLine")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("pool.spec.qq", "expected a field of pool.spec (displayName, vmSize, virtualMachineConfiguration, "),
        ("pool.spec.vmsise", "expected a field of pool.spec, found 'vmsise' (did you mean 'vmSize'?)"),
        ("pool.vmSize", "found 'vmSize' (did you mean 'pool.spec.vmSize'?)"),
        ("pool.vmSise", "found 'vmSise' (did you mean 'pool.spec.vmSize'?)"),
        ("vmSize", "found 'vmSize' (did you mean 'pool.spec.vmSize'?)"),
        ("poool.spec.vmSize", "did you mean 'pool.spec.vmSize'?"),
        ("pool.spec.vmSize.x", "expected nothing below pool.spec.vmSize, which is text, found 'x'"),
        ("spec.metadata", "expected a kind in front of 'spec.metadata': pool.spec.metadata, job.spec.metadata or "),
        ("pool.spec.resourceTags", "pool.spec.resourceTags cannot be written: "),
        ("job.spec.CreationTime", "job.spec.creationTime cannot be written: the service returns it, and takes none"),
        ("...", "expected a field such as pool.spec.vmSize, found '...'"),
        ("qqq", "expected a field that begins with pool, job, jobschedule or stack, such as pool.spec.vmSize"),
    ],
)
def test_what_is_no_field_is_refused_with_the_nearest(path: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        explain(path)
    assert said in str(refused.value)


def test_every_field_of_the_table_can_be_explained_and_what_it_takes_to_change_it_is_the_tables() -> None:
    paths = reference._every_path()
    assert len(paths) > 1000
    for path in paths:
        found = explain(path)
        assert found.path == path
        assert found.meaning or found.about or path.split(".")[1] in ("kind", "metadata", "spec"), path
        kind, top, *rest = path.split(".")
        if top == "spec" and rest and kind in set(Kind):
            here = change_kind(SPECS[Kind(kind)], _items(kind, rest))
            assert found.change.startswith(f"{here.value}: "), path


def _items(kind: str, rest: list[str]) -> list[str]:
    """The path with the position of an item wherever a list is passed through."""
    current, path = SPECS[Kind(kind)], []
    for name in rest:
        field = table(current)[name]
        path += [name, "0"] if field.is_list else [name]
        if field.below is not None:
            current = field.below
    return path


def test_a_listing_goes_as_deep_as_it_is_asked_to_and_no_type_holds_itself() -> None:
    one, two = explain("job.spec"), explain("job.spec", depth=2)
    assert {line.depth for line in one.fields} == {0}
    assert {line.depth for line in two.fields} == {0, 1}
    assert [line for line in two.fields if line.depth == 0] == list(one.fields)
    names = [line.name for line in explain("job.spec", depth=12).fields]
    assert {"imageReference", "publisher", "autoPoolSpecification"} <= set(names)
