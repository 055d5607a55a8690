"""Numbers of a controller: what is counted once, and what stands now."""

import json
import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from reconciler.controller.state import Event, Mode, PassEnd, PassRecord, StackStatus, Suspension
from reconciler.lifecycle.steps import Context
from reconciler.model.desired import Kind
from reconciler.observed import LiveJob, Run
from reconciler.planning import make_plan
from reconciler.ports import Revision
from reconciler.telemetry.metrics import Metrics

RELEASED = Run("completed", 0, "success", started="2026-01-01T00:00:00.1234567Z", ended="2026-01-01T00:00:20.1234567Z")
FAILED = replace(RELEASED, exit_code=1, result="failure")


@pytest.fixture
def shown() -> dict[str, StackStatus]:
    return {}


@pytest.fixture
def metrics(shown: dict[str, StackStatus]) -> Metrics:
    return Metrics(lambda: shown)


def record(number: int, end: PassEnd = PassEnd.SYNCED, seconds: float = 0.3) -> PassRecord:
    return PassRecord(number, "2026-01-01T00:00:00+00:00", seconds, end, Revision("abc"))


def status(world: Any, desired: Any, observed: Any, **facts: Any) -> StackStatus:
    plan = make_plan(desired, observed, Context("s"))
    made = StackStatus("s", "somewhere", Mode.AUTO, Revision("abc"), Revision("abc"), plan=plan, observed=observed)
    return replace(made, observed_at="2026-01-01T00:01:00Z", **facts)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_pass_counts_once_however_often_its_status_is_published(world: Any, metrics: Metrics) -> None:
    here = status(world, world.desired(), world.observed(), passes=(record(1),))
    for _ in range(3):
        metrics.passed(here)
    metrics.passed(replace(here, passes=(record(1), record(2, PassEnd.ACCOUNT_ERROR, 3))))
    assert value(metrics, "reconciler_reconcile_total", stack="s", result="Synced") == 1
    assert value(metrics, "reconciler_reconcile_total", stack="s", result="AccountUnavailable") == 1
    metrics.passed(replace(here, passes=(record(1), record(3, PassEnd.BROKEN, 0))))
    assert value(metrics, "reconciler_reconcile_errors_total", stack="s") == 2
    assert value(metrics, "reconciler_reconcile_time_seconds_sum", stack="s") == pytest.approx(3.3)


def test_requests_count_by_code_and_throttles_apart(metrics: Metrics) -> None:
    for code in (200, 200, 429, 503, 0):
        metrics.request("s", "GET", code, 0.02)
    assert value(metrics, "reconciler_api_requests_total", stack="s", method="GET", code="200") == 2
    assert value(metrics, "reconciler_api_requests_total", stack="s", method="GET", code="0") == 1
    assert value(metrics, "reconciler_api_throttled_total", stack="s") == 2
    assert value(metrics, "reconciler_api_request_duration_seconds_count", stack="s", method="GET") == 5


def test_each_release_counts_once_and_only_those_that_ended_here(world: Any, metrics: Metrics) -> None:
    def job(*runs: Any, **facts: Any) -> LiveJob:
        found: LiveJob = world.live_job(world.job(), "terminating", nodes=runs, **facts)
        return found

    def see(live: LiveJob) -> None:
        metrics.passed(status(world, world.desired(), world.observed(live)))

    old = replace(world.ran("n0"), release=RELEASED)
    running = world.ran("n1", release="running")
    see(job(old, running))
    see(job(old, replace(running, release=RELEASED)))
    see(job(old, replace(running, release=RELEASED), replace(world.ran("n2"), release=FAILED)))
    see(replace(job(), nodes=None))  # a pass that did not need to read them
    see(job(old, replace(running, release=RELEASED), replace(world.ran("n2"), release=FAILED)))
    assert value(metrics, "reconciler_release_results_total", stack="s", result="success") == 1
    assert value(metrics, "reconciler_release_results_total", stack="s", result="failure") == 1
    assert value(metrics, "reconciler_release_duration_seconds_sum", stack="s") == 40
    see(job(replace(running, release=RELEASED), born="later"))  # another incarnation
    assert value(metrics, "reconciler_release_results_total", stack="s", result="success") == 2


def test_objects_and_queues_are_as_the_last_status_says(
    world: Any, metrics: Metrics, shown: dict[str, StackStatus]
) -> None:
    pool, job, drifted = world.pool(), world.job(), world.job("d")
    leaving = world.live_job(
        world.job("gone"),
        "terminating",
        nodes=(replace(world.ran(), release=Run("running", started="2026-01-01T00:00:10Z")),),
    )
    live = world.observed(
        world.live_pool(pool),
        replace(world.live_job(drifted), spec={**drifted.spec, "priority": 7}),
        leaving,
        world.live_job(world.job("foreign"), stack=None),
    )
    shown["s"] = status(
        world,
        world.desired(pool, job, drifted),
        live,
        suspensions=(Suspension("job/d", "why", "me", "now"),),
        awaiting="abc",
        quotas={"pools": 4, "activeJobsAndSchedules": 6},
        passes=(record(1), record(2, PassEnd.FAILED)),
    )
    here = {"stack": "s"}
    assert value(metrics, "reconciler_objects", **here, kind="pool", sync="Synced", health="Healthy") == 1
    assert value(metrics, "reconciler_objects", **here, kind="job", sync="OutOfSync", health="Missing") == 1
    assert value(metrics, "reconciler_drift_objects", **here) == 1
    assert value(metrics, "reconciler_queue_depth", **here, state="ready") == 2
    assert value(metrics, "reconciler_queue_depth", **here, state="waiting") == 1
    assert value(metrics, "reconciler_release_waiting_jobs", **here) == 1
    assert value(metrics, "reconciler_release_wait_seconds", **here) == 50
    assert value(metrics, "reconciler_quota_ratio", **here, quota="pools") == 0.25
    assert value(metrics, "reconciler_quota_ratio", **here, quota="activeJobsAndSchedules") == 0.5
    assert value(metrics, "reconciler_leader", **here) == 1
    assert value(metrics, "reconciler_suspended", **here) == 1
    assert value(metrics, "reconciler_awaiting_approval", **here) == 1
    assert value(metrics, "reconciler_last_good_pass_timestamp_seconds", **here) == 1767225600
    assert value(metrics, "reconciler_revision_info", **here, revision="abc", newest="yes") == 1


def test_what_was_not_listed_is_no_number(world: Any, metrics: Metrics, shown: dict[str, StackStatus]) -> None:
    observed = world.observed(unread={Kind.JOB: "403"})
    shown["s"] = status(world, world.desired(), observed, quotas={"pools": 4, "activeJobsAndSchedules": 6})
    assert value(metrics, "reconciler_quota_ratio", stack="s", quota="pools") == 0
    assert value(metrics, "reconciler_quota_ratio", stack="s", quota="activeJobsAndSchedules") is None


def test_events_count_by_code(metrics: Metrics) -> None:
    metrics.event(Event(1, "now", "s", "Created", "job/j", "created"))
    assert value(metrics, "reconciler_events_total", stack="s", code="Created") == 1
    assert 'reconciler_events_total{code="Created",stack="s"} 1.0' in metrics.text()


def test_the_dashboard_names_metrics_that_exist(world: Any, metrics: Metrics, shown: dict[str, StackStatus]) -> None:
    """Every name in every query, with labels that the metric has."""
    test_objects_and_queues_are_as_the_last_status_says(world, metrics, shown)
    metrics.passed(shown["s"])
    metrics.request("s", "GET", 429, 0.1)
    metrics.event(Event(1, "now", "s", "Created", "job/j", "created"))
    there: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            there.setdefault(sample.name, set()).update(sample.labels)
    there |= {name: {"stack", "result"} for name in ("reconciler_release_results_total",)}
    there["reconciler_release_duration_seconds_bucket"] = {"stack", "le"}
    dashboard = json.loads(files("reconciler.deploy").joinpath("grafana.json").read_text("utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(queries) >= 15
    for query in queries:
        named = re.findall(r"(reconciler_\w+)(?:\{([^}]*)\})?", query)
        assert named, query
        for name, selectors in named:
            assert name in there, f"{name} in {query}"
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selectors)) <= there[name], query
        for labels in re.findall(r"by \(([^)]*)\)", query):
            wanted = {label.strip() for label in labels.split(",")}
            assert any(wanted <= there[name] for name, _ in named), query
    boxes = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(boxes)
