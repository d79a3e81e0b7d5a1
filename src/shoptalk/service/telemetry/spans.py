"""Spans for OpenTelemetry: one for each request, with one for each of its stages in it; none without an endpoint.

The standard variables OTEL_* say where spans go, by OTLP over HTTP. A client's `traceparent` is taken over, so that its
trace goes on here. Its `tracestate` and `baggage` are not: they are free text. No exception is recorded, because its
message may quote what was spoken.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import NoOpTracerProvider, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shoptalk import __version__
from shoptalk.core import config
from shoptalk.core.errors import TelemetryError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACEPARENT = "traceparent"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Spans:
    """Makes spans; without a provider it makes none, at the cost of a call."""

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        self._tracer: Tracer = (provider or NoOpTracerProvider()).get_tracer("shoptalk", __version__)

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[Span]:
        """The span of a request, a child of the one that its `traceparent` names; spans within are its children."""
        own = {TRACEPARENT: headers[TRACEPARENT]} if TRACEPARENT in headers else {}
        parent = TraceContextTextMapPropagator().extract(own)
        with self._tracer.start_as_current_span(
            "request", parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span

    @contextmanager
    def stage(self, name: str, attributes: Mapping[str, str | int | float]) -> Iterator[Span]:
        """The span of a stage of the current request; it is marked as failed by an error that leaves the block."""
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def begun(self, name: str) -> Span:
        """The span of a stage that someone else ends; it is told only once it was ended."""
        return self._tracer.start_span(name)

    def close(self) -> None:
        """Export what is left."""
        if self._provider is not None:
            self._provider.shutdown()


def trace_id(span: Span) -> str:
    """The trace that a span belongs to, as 32 hex digits; empty where no spans are made and no client named one."""
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def end_request(span: Span, status: int, attributes: Mapping[str, str | int | float], name: str) -> None:
    """Give a request's span its name and what is known in the end; a status from 500 on marks it as failed."""
    span.update_name(name)
    span.set_attributes({"http.response.status_code": status, **attributes})
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def open_spans() -> Spans:
    """Spans as the environment asks for them; `TelemetryError` for an exporter or a protocol that is not there."""
    exporter = config.environment("OTEL_TRACES_EXPORTER", "otlp").strip().lower()
    endpoint = next((value for name in _ENDPOINTS if (value := config.environment(name))), "")
    is_disabled = config.environment("OTEL_SDK_DISABLED").strip().lower() == "true"
    if is_disabled or exporter == "none" or not endpoint:
        return Spans()
    if exporter != "otlp":
        raise TelemetryError(f"OTEL_TRACES_EXPORTER={exporter}: only otlp and none are there")
    protocol = next((value for name in _PROTOCOLS if (value := config.environment(name))), "http/protobuf")
    if protocol.strip().lower() != "http/protobuf":
        raise TelemetryError(
            f"the OTLP protocol {protocol!r} is not there; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        )
    return Spans(_provider())


def _provider() -> "TracerProvider":
    """Spans go to the endpoint in batches, from a thread of their own."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    is_named = config.environment("OTEL_SERVICE_NAME") or SERVICE_NAME in config.environment("OTEL_RESOURCE_ATTRIBUTES")
    resource = Resource.create({} if is_named else {SERVICE_NAME: "shoptalk"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
