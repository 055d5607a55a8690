"""Traces, where somebody collects them: a span for each pass, and one for each request of it.

Optional: it takes `pip install 'reconciler[otel]'` and the variables that every OpenTelemetry program reads
(OTEL_EXPORTER_OTLP_ENDPOINT and others); without an endpoint there are none.
"""

from collections.abc import Mapping
from datetime import datetime
from time import time_ns
from typing import TYPE_CHECKING, Any

from reconciler import __version__
from reconciler.controller.state import Event, PassRecord, StackStatus
from reconciler.errors import UsageError
from reconciler.telemetry.metrics import FAILURES

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
MOST_REQUESTS = 200
"""Request spans that are kept for one pass; the others are counted in an attribute."""


def traces(environment: Mapping[str, str]) -> "Traces | None":
    """The Observer that exports traces; None where no endpoint is named. Raises UsageError where one is, and the
    packages are missing."""
    if not any(environment.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        given = next(name for name in ENDPOINTS if environment.get(name))
        raise UsageError(f"{given} is set, and traces need more packages: pip install 'reconciler[otel]'") from error
    about = Resource.create({"service.name": "reconciler", "service.version": __version__})
    provider = TracerProvider(resource=about)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider)


class Traces:
    """An Observer that makes spans of what it was told."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("reconciler", __version__)
        self._requests: dict[str, list[tuple[str, int, int, int]]] = {}
        self._left_out: dict[str, int] = {}
        self._last_pass: dict[str, int] = {}

    def event(self, event: Event) -> None:
        """Events have a stream of their own."""

    def request(self, stack: str, method: str, status: int, seconds: float) -> None:
        """Remember it for the span of its pass."""
        kept = self._requests.setdefault(stack, [])
        if len(kept) >= MOST_REQUESTS:
            self._left_out[stack] = self._left_out.get(stack, 0) + 1
            return
        end = time_ns()
        kept.append((method, status, end - int(seconds * 1e9), end))

    def passed(self, status: StackStatus) -> None:
        """The span of a pass that has ended, once."""
        if not status.passes or status.passes[-1].number == self._last_pass.get(status.stack):
            return
        last = status.passes[-1]
        self._last_pass[status.stack] = last.number
        self._span(status.stack, last)

    def _span(self, stack: str, record: PassRecord) -> None:
        from opentelemetry import trace

        began = int(datetime.fromisoformat(record.began).timestamp() * 1e9)
        about: dict[str, Any] = {
            "reconciler.stack": stack,
            "reconciler.pass": record.number,
            "reconciler.result": str(record.end),
            "reconciler.revision": record.revision.id,
            "reconciler.summary": record.summary,
            "reconciler.requests_left_out": self._left_out.pop(stack, 0),
        }
        span = self._tracer.start_span("reconcile", start_time=began, attributes=about)
        for line in record.acted:
            span.add_event("acted", {"what": line})
        if record.end in FAILURES:
            span.set_status(trace.StatusCode.ERROR, str(record.end))
        within = trace.set_span_in_context(span)
        for method, code, start, end in self._requests.pop(stack, []):
            facts: dict[str, Any] = {"http.request.method": method, "http.response.status_code": code}
            child = self._tracer.start_span(
                f"batch {method}", within, kind=trace.SpanKind.CLIENT, start_time=start, attributes=facts
            )
            if code == 0 or code >= 400:
                child.set_status(trace.StatusCode.ERROR)
            child.end(end)
        span.end(began + int(record.seconds * 1e9))

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()
