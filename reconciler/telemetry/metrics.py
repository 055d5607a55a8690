"""Metrics in the Prometheus format, named after the conventions of Kubernetes controllers.

What is counted (passes, requests, releases) grows as it is told; what is (objects, queues, quotas) is read from the
last status of each stack when somebody scrapes. Label values are stack names, kinds, states and codes: never object
names, of which there may be ten thousand.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from reconciler import __version__
from reconciler.controller.state import Event, PassEnd, StackStatus
from reconciler.lifecycle.steps import Action, Wait
from reconciler.model.desired import Key, Kind
from reconciler.observed import UNFINISHED, NodeRun, Observed
from reconciler.status import health, sync

FAILURES: Final = frozenset(
    {
        PassEnd.FAILED,
        PassEnd.INVALID,
        PassEnd.SOURCE_ERROR,
        PassEnd.ACCOUNT_ERROR,
        PassEnd.STORE_ERROR,
        PassEnd.BROKEN,
    }
)
"""Ends of a pass that count as errors; waiting for the service or for a person is none."""
THROTTLED: Final = frozenset({429, 503})
"""How the service asks for fewer requests (REST reference, "Batch service error codes": TooManyRequests,
ServerBusy)."""
_PASS_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_REQUEST_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_RELEASE_SECONDS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_Seen = tuple[Key, str, str]


class Metrics:
    """An Observer that counts, and a page of text for whoever scrapes."""

    def __init__(self, statuses: Callable[[], Mapping[str, StackStatus]]) -> None:
        self.registry = CollectorRegistry()
        self._passes = self._counter("reconciler_reconcile", "Passes by how they ended.", "stack", "result")
        self._errors = self._counter("reconciler_reconcile_errors", "Passes that ended with an error.", "stack")
        self._seconds = self._histogram(
            "reconciler_reconcile_time_seconds", "How long passes took.", _PASS_SECONDS, "stack"
        )
        self._events = self._counter("reconciler_events", "Events by reason code.", "stack", "code")
        self._requests = self._counter(
            "reconciler_api_requests", "Requests to the Batch service; code 0: no answer.", "stack", "method", "code"
        )
        self._request_seconds = self._histogram(
            "reconciler_api_request_duration_seconds", "How long answers took.", _REQUEST_SECONDS, "stack", "method"
        )
        self._throttled = self._counter(
            "reconciler_api_throttled", "Answers that asked for fewer requests (429, 503).", "stack"
        )
        self._releases = self._counter(
            "reconciler_release_results", "Release tasks that ended, by result.", "stack", "result"
        )
        self._release_seconds = self._histogram(
            "reconciler_release_duration_seconds", "How long release tasks ran.", _RELEASE_SECONDS, "stack"
        )
        self._last_pass: dict[str, int] = {}
        self._ended: dict[str, frozenset[_Seen]] = {}
        self.registry.register(_Standing(statuses))

    def text(self) -> str:
        """What a scrape answers, in the text exposition format."""
        return generate_latest(self.registry).decode()

    def passed(self, status: StackStatus) -> None:
        """Count a pass once, however often its status is published, and the releases that ended since."""
        if status.passes and status.passes[-1].number != self._last_pass.get(status.stack):
            last = status.passes[-1]
            self._last_pass[status.stack] = last.number
            self._passes.labels(status.stack, last.end).inc()
            self._seconds.labels(status.stack).observe(last.seconds)
            if last.end in FAILURES:
                self._errors.labels(status.stack).inc()
        if status.observed is not None:
            self._count_releases(status.stack, status.observed)

    def event(self, event: Event) -> None:
        """Count an event."""
        self._events.labels(event.stack, event.code).inc()

    def request(self, stack: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(stack, method, status).inc()
        self._request_seconds.labels(stack, method).observe(seconds)
        if status in THROTTLED:
            self._throttled.labels(stack).inc()

    def _count_releases(self, stack: str, observed: Observed) -> None:
        """Each node's release once, as long as its job is there. What had ended before the first look of this process
        is not counted: another process did."""
        first = stack not in self._ended
        before = self._ended.get(stack, frozenset())
        now = set()
        for job in observed.jobs.values():
            if job.nodes is None:  # not read this time: what is known of it stays
                now |= {seen for seen in before if seen[:2] == (job.key, job.guard.born)}
                continue
            for run in job.nodes:
                if run.release is None or not run.release.is_over:
                    continue
                seen = (job.key, job.guard.born, run.node)
                now.add(seen)
                if seen not in before and not first:
                    self._count_release(stack, run)
        self._ended[stack] = frozenset(now)

    def _count_release(self, stack: str, run: NodeRun) -> None:
        assert run.release is not None
        self._releases.labels(stack, "failure" if run.release.failed else "success").inc()
        if run.release.started and run.release.ended:
            seconds = (_time(run.release.ended) - _time(run.release.started)).total_seconds()
            self._release_seconds.labels(stack).observe(max(0.0, seconds))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


class _Standing(Collector):
    """What is now, of every stack."""

    def __init__(self, statuses: Callable[[], Mapping[str, StackStatus]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        """Every gauge with the values of all stacks."""
        gauges = _Gauges()
        for status in self._statuses().values():
            _stand(gauges, status)
        yield from gauges.families()
        yield InfoMetricFamily("reconciler_build", "The version that runs.", value={"version": __version__})


class _Gauges:
    """Gauges that fill up while the statuses are gone through."""

    def __init__(self) -> None:
        self._families: dict[str, GaugeMetricFamily] = {}

    def add(self, name: str, text: str, value: float, **labels: str) -> None:
        """One sample."""
        if name not in self._families:
            self._families[name] = GaugeMetricFamily(name, text, labels=list(labels))
        self._families[name].add_metric(list(labels.values()), value)

    def families(self) -> Iterator[GaugeMetricFamily]:
        yield from self._families.values()


def _stand(gauges: _Gauges, status: StackStatus) -> None:
    """The gauges of one stack."""
    stack = status.stack
    gauges.add("reconciler_leader", "Whether this process acts for the stack.", status.leader, stack=stack)
    gauges.add(
        "reconciler_suspended",
        "Suspensions in force: of the stack, and of single objects.",
        len(status.suspensions),
        stack=stack,
    )
    gauges.add("reconciler_awaiting_approval", "Whether a plan waits for a person.", bool(status.awaiting), stack=stack)
    gauges.add(
        "reconciler_revision_info",
        "The revision in force (value 1), and whether it is the newest.",
        1,
        stack=stack,
        revision=status.revision.id,
        newest="yes" if status.revision.id == status.offered.id else "no",
    )
    if good := next((one for one in reversed(status.passes) if one.end not in FAILURES), None):
        gauges.add(
            "reconciler_last_good_pass_timestamp_seconds",
            "When the last pass without an error began (of those that are remembered).",
            _time(good.began).timestamp(),
            stack=stack,
        )
    if status.plan is None or status.observed is None:
        return
    drift = 0
    counts: Tally[tuple[str, str, str]] = Tally()
    queue: Tally[str] = Tally(ready=0, waiting=0, blocked=0, backed_off=len(status.not_before))
    for entry in status.plan.entries.values():
        live = status.observed.get(entry.key)
        counts[(entry.key.kind, sync(entry), health(live)[0])] += 1
        drift += entry.drift and bool(entry.actions)
        if entry.blocked is not None:
            queue["blocked"] += 1
        elif entry.address not in status.not_before and isinstance(entry.step, Action | Wait):
            queue["ready" if isinstance(entry.step, Action) else "waiting"] += 1
    for (kind, synced, healthy), count in counts.items():
        gauges.add(
            "reconciler_objects",
            "Objects by kind, sync and health.",
            count,
            stack=stack,
            kind=kind,
            sync=synced,
            health=healthy,
        )
    gauges.add("reconciler_drift_objects", "Objects that were changed behind our back.", drift, stack=stack)
    for state, count in queue.items():
        gauges.add(
            "reconciler_queue_depth", "Objects with something left to do, by state.", count, stack=stack, state=state
        )
    waits = _release_waits(status)
    gauges.add("reconciler_release_waiting_jobs", "Jobs whose release is under way.", len(waits), stack=stack)
    gauges.add(
        "reconciler_release_wait_seconds",
        "How long the longest release that is under way has been waited for.",
        max(waits, default=0.0),
        stack=stack,
    )
    for name, used in _used(status.observed).items():
        most = status.quotas.get(name)
        if most:
            gauges.add(
                "reconciler_quota_ratio",
                "What is used of the quotas that the Stack's limits name, of the whole account.",
                used / most,
                stack=stack,
                quota=name,
            )


def _release_waits(status: StackStatus) -> list[float]:
    """For each job of ours that is terminating: seconds since its first release began; 0 where none has begun."""
    assert status.observed is not None
    assert status.plan is not None
    found = []
    for job in status.observed.jobs.values():
        if job.key not in status.plan.entries or job.state != "terminating":
            continue
        began = [run.release.started for run in job.nodes or () if run.release is not None and run.release.started]
        now = _time(status.observed_at) if status.observed_at else datetime.now(UTC)
        found.append(max((now - _time(min(began))).total_seconds(), 0.0) if began else 0.0)
    return found


def _used(observed: Observed) -> dict[str, int]:
    """What counts in the account's quotas, as far as it was listed. Completed jobs do not count (Batch documentation,
    "Batch service quotas and limits")."""
    used = {}
    if Kind.POOL not in observed.unread:
        used["pools"] = len(observed.pools)
    if not {Kind.JOB, Kind.JOB_SCHEDULE} & observed.unread.keys():
        things = (*observed.jobs.values(), *observed.schedules.values())
        used["activeJobsAndSchedules"] = sum(_is_active(thing.state) for thing in things)
    return used


def _is_active(state: str) -> bool:
    return state in UNFINISHED or state == "terminating"


def _time(text: str) -> datetime:
    """An ISO 8601 time as UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
