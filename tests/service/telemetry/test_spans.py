"""Spans as the environment asks for them, up to a real receiver of OTLP."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shoptalk.core.errors import TelemetryError
from shoptalk.service.telemetry.spans import open_spans, trace_id


class Receiver:
    """Takes OTLP over HTTP and keeps what came."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_spans_reach_the_endpoint_of_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    spans = open_spans()
    with spans.request({}) as span, spans.stage("decode", {"shoptalk.audio_s": 1.5}):
        assert len(trace_id(span)) == 32
    spans.close()
    path, body = receiver.bodies[0]
    message = ExportTraceServiceRequest.FromString(body)
    (resource_spans,) = message.resource_spans
    assert path == "/v1/traces"
    assert {span.name for span in resource_spans.scope_spans[0].spans} == {"request", "decode"}
    named = {entry.key: entry.value.string_value for entry in resource_spans.resource.attributes}
    assert named["service.name"] == "shoptalk"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_endpoint_no_span_is_made(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    spans = open_spans()
    with spans.request({}) as span, spans.stage("decode", {}):
        assert not span.is_recording()
        assert trace_id(span) == ""
    spans.close()


@pytest.mark.parametrize(
    "variables",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_what_is_not_there_is_named(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TelemetryError, match=next(iter(variables.values()))):
        open_spans()
