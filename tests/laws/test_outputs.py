"""No secret of a manifest, or of the account, is in anything that shows a plan: text, JSON, Markdown, graphs."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.forecast import make_forecast
from reconciler.graph import of_manifests, of_plan
from reconciler.guards import guards_of
from reconciler.lifecycle.steps import Consents, Context
from reconciler.model.desired import SPECS, Desired, Key, Kind, Source, Stack, Task, Wanted
from reconciler.model.document import JobLifecycle, PoolLifecycle, ScheduleLifecycle
from reconciler.model.table import normalise, write_only
from reconciler.model.task import TaskSpec
from reconciler.observed import Guard, Live, LiveJob, LivePool, LiveSchedule, Mark, Observed, TaskCounts
from reconciler.planning import make_plan
from reconciler.render.graph import FORMATS
from reconciler.render.guards import guards_text
from reconciler.render.json import dump, plan_json
from reconciler.render.markdown import plan_markdown
from reconciler.render.text import plan_text


def _strategies() -> Any:
    spec = importlib.util.spec_from_file_location("manifests", Path(__file__).with_name("manifests.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


manifests = _strategies()
LIFECYCLES: dict[Kind, Any] = {
    Kind.POOL: PoolLifecycle,
    Kind.JOB: JobLifecycle,
    Kind.JOB_SCHEDULE: ScheduleLifecycle,
}
LIVE: dict[Kind, Any] = {Kind.POOL: LivePool, Kind.JOB: LiveJob, Kind.JOB_SCHEDULE: LiveSchedule}
SETTINGS = ("environmentSettings", "commonEnvironmentSettings")


def with_secrets(value: Any, secret: str) -> Any:
    """The body with every environment setting a secret, as references make them."""
    if isinstance(value, list):
        return [with_secrets(item, secret) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: with_secrets(item, secret) for name, item in value.items()}
    for name in SETTINGS:
        if found.get(name):
            found[name] = [{**item, "value": secret} for item in found[name]]
    return found


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where these are in the normalised object."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from places(item, (*path, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from places(item, (*path, str(index)))
    elif len(path) > 2 and path[-3] in SETTINGS and path[-1] == "value":
        yield path


def declared(kind: Kind, body: Any, task: Any) -> Wanted:
    model = SPECS[kind]
    spec = normalise(model, body)
    hidden = frozenset(places(spec))
    tasks = {"t": Task("t", normalise(TaskSpec, task), task)} if kind is Kind.JOB else {}
    written = normalise(model, body, fill=False)
    secrets = dict.fromkeys(write_only(model, body), manifests.SECRET)
    return Wanted(
        Key.of(kind, "it"),
        "it",
        spec,
        written,
        body,
        LIFECYCLES[kind](),
        Source("m.yaml", 1, 1),
        tasks,
        secrets=secrets,
        signature="k:new",
        secret_paths=hidden,
    )


def there(kind: Kind, body: Any, stack: str | None) -> Live:
    mark = Mark(stack, secrets="k:old") if stack else None
    facts: dict[str, Any] = {"counts": TaskCounts(running=1), "nodes": ()} if kind is Kind.JOB else {}
    live: Live = LIVE[kind](
        Key.of(kind, "it"), "it", "active", Guard("0x1", "t0"), mark, normalise(SPECS[kind], body), **facts
    )
    return live


@pytest.mark.parametrize("kind", list(Kind))
@given(data=st.data())
@settings(
    deadline=None,
    max_examples=12,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
def test_no_secret_is_in_anything_that_shows_a_plan(kind: Kind, data: st.DataObject) -> None:
    new, old = f"{manifests.SECRET}-new", f"{manifests.SECRET}-old"
    body = data.draw(manifests.specs(SPECS[kind]))
    wanted = declared(kind, with_secrets(body, new), with_secrets(data.draw(manifests.specs(TaskSpec)), new))
    case = data.draw(st.sampled_from(["create", "change", "replace", "remove", "foreign"]))
    before = data.draw(manifests.edits(SPECS[kind], body)).body
    live = there(kind, with_secrets(before, old), None if case == "foreign" else "s") if case != "create" else None
    desired = Desired(Stack("s", prunes=True), {} if case == "remove" else {wanted.key: wanted})
    found: dict[Kind, dict[Key, Any]] = {each: {} for each in Kind}
    if live is not None:
        found[kind][live.key] = live
    pools, jobs, schedules = found.values()
    observed = Observed(pools, jobs, "2026-01-02T00:00:00Z", {}, schedules)
    consents = Consents(
        replace=frozenset({(wanted.key, "t0")} if case == "replace" else ()), task_loss=frozenset({wanted.key})
    )
    plan = make_plan(desired, observed, Context("s", consents=consents))
    forecast = make_forecast(plan, observed.with_children(), {}, {})
    guards = guards_of(plan, desired)
    shown = {
        "text": plan_text(plan, forecast=forecast, width=80),
        "json": dump(plan_json(plan, "here", forecast, guards)),
        "guards": guards_text(guards),
        "markdown": plan_markdown(plan, "here", forecast, guards_text(guards)),
        **{f"graph {name}": draw(graph) for name, draw in FORMATS.items() for graph in (of_plan(plan),)},
        **{f"graph of manifests {name}": draw(of_manifests(desired)) for name, draw in FORMATS.items()},
    }
    assert [name for name, text in shown.items() if manifests.SECRET in text] == []
