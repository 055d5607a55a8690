"""Spans of passes and their requests."""

import builtins
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reconciler.controller.state import Mode, PassEnd, PassRecord, StackStatus
from reconciler.errors import UsageError
from reconciler.ports import Revision
from reconciler.telemetry.traces import MOST_REQUESTS, Traces, traces


def status(*ends: PassEnd) -> StackStatus:
    records = tuple(
        PassRecord(number, f"2026-01-01T00:0{number}:00+00:00", 2.5, end, Revision("abc"), acted=("job/j: created",))
        for number, end in enumerate(ends, 1)
    )
    return StackStatus("s", "somewhere", Mode.AUTO, Revision("abc"), Revision("abc"), passes=records)


def test_a_pass_is_a_span_with_its_requests() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    told = Traces(provider)
    told.request("s", "GET", 200, 0.5)
    told.request("s", "POST", 409, 0.1)
    told.passed(status(PassEnd.SYNCED))
    told.passed(status(PassEnd.SYNCED))
    for _ in range(MOST_REQUESTS + 3):
        told.request("s", "GET", 200, 0.1)
    told.passed(status(PassEnd.SYNCED, PassEnd.FAILED))
    told.close()

    spans = exporter.get_finished_spans()
    first, second = [span for span in spans if span.name == "reconcile"]
    assert first.attributes is not None and second.attributes is not None
    assert first.attributes["reconciler.result"] == "Synced"
    assert first.end_time is not None and first.start_time is not None
    assert first.end_time - first.start_time == 2_500_000_000
    assert [event.attributes for event in first.events] == [{"what": "job/j: created"}]
    requests = [span for span in spans if span.parent is not None and span.parent.span_id == first.context.span_id]
    assert [(span.name, span.status.is_ok) for span in requests] == [("batch GET", True), ("batch POST", False)]
    assert not second.status.is_ok
    assert second.attributes["reconciler.requests_left_out"] == 3


def test_without_an_endpoint_there_are_none() -> None:
    assert traces({}) is None


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT is set.*reconciler\[otel\]"):
        traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"})
