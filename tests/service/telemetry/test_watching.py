"""A watched app: what becomes of a request in figures, spans, headers and logs."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import Histogram
from prometheus_client.parser import text_string_to_metric_families

from shoptalk.core.records import Recognition, Word
from shoptalk.service import problems
from shoptalk.service.account import Account, account_of
from shoptalk.service.problems import Problem
from shoptalk.service.telemetry.spans import Spans
from shoptalk.service.telemetry.watching import Telemetry, Watching, keep_messages_out

CANARY = "canary-words"


class Watched:
    """An app with a few routes, and all that is told of its requests."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.telemetry = Telemetry(["tiny"], Spans(provider))
        self.accounts: list[Account] = []
        app = FastAPI()
        problems.install(app)
        app.add_middleware(Watching, telemetry=self.telemetry, on_end=self.accounts.append, root_path="/speech")
        self.add_routes(app)
        self.client = TestClient(app)

    def add_routes(self, app: FastAPI) -> None:
        @app.post("/v1/audio/transcriptions")
        async def transcribe(request: Request, model: str = "tiny") -> str:
            account = account_of(request)
            with self.telemetry.stage(account, "recognise", audio_s=2.0):
                words = [Word(word=CANARY, start_s=0, end_s=1, confidence=c) for c in (0.1, 0.9)]
            account.recognised(model, 2.0, Recognition(text=CANARY, words=tuple(words), gaps=((1, 2),)))
            return "done"

        @app.get("/v1/models/{model}")
        async def model(model: str) -> str:
            raise Problem(404, "unknown", code="model_not_found")

        @app.post("/v1/audio/failing")
        async def failing(request: Request) -> None:
            with self.telemetry.stage(account_of(request), "recognise"):
                raise RuntimeError(CANARY)

        @app.get("/v1/torn")
        async def torn() -> StreamingResponse:
            async def pieces() -> AsyncIterator[bytes]:
                yield b"begun"
                raise RuntimeError(CANARY)

            return StreamingResponse(pieces())

    def figures(self) -> dict[tuple[str, ...], float]:
        """Samples by their name and the values of their labels."""
        families = text_string_to_metric_families(self.telemetry.metrics.text().decode())
        return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


def test_a_request_is_counted_by_model_status_and_route() -> None:
    watched = Watched()
    assert watched.client.post("/v1/audio/transcriptions").status_code == 200
    figures = watched.figures()
    assert figures["shoptalk_requests_total", "tiny", "/v1/audio/transcriptions", "200"] == 1
    assert figures["shoptalk_audio_seconds_total", "tiny"] == 2
    assert figures["shoptalk_words_total", "tiny"] == 2
    assert figures["shoptalk_unsure_words_total", "tiny"] == 1
    assert figures["shoptalk_gaps_total", "tiny"] == 1
    assert figures["shoptalk_request_seconds_count", "tiny"] == 1
    assert figures["shoptalk_first_byte_seconds_count", "tiny"] == 1
    assert figures["shoptalk_stage_seconds_count", "tiny", "recognise"] == 1
    assert figures["shoptalk_requests_in_progress",] == 0


def test_what_is_refused_at_once_does_not_count_as_fast() -> None:
    metrics = Watched().telemetry.metrics
    route = "/v1/audio/transcriptions"
    recognised = {"upload": 0.1, "recognise": 0.5}
    accounts = [
        (Account(model="tiny", route=route, status=200, seconds=1, first_byte_s=1, stages=recognised), True),
        (Account(model="tiny", route=route, status=504, seconds=1, first_byte_s=1, stages=recognised), True),
        (Account(model="tiny", route=route, status=429, seconds=1, first_byte_s=1, stages=recognised), False),
        (Account(model="tiny", route=route, status=503, seconds=1, first_byte_s=1, stages=recognised), False),
        (Account(model="tiny", route=route, status=400, seconds=1, first_byte_s=1, stages={"upload": 0.1}), False),
        (Account(route="/v1/audio/translations", status=404, seconds=1, first_byte_s=1), False),
    ]
    for account, counts in accounts:
        model = metrics.model_label(account.model)
        before = _counted(metrics.request_s, model), _counted(metrics.first_byte_s, model)
        metrics.ended(account)
        after = _counted(metrics.request_s, model), _counted(metrics.first_byte_s, model)
        assert after == (before[0] + counts, before[1] + counts), account


def _counted(histogram: Histogram, model: str) -> float:
    [metric] = histogram.collect()
    return sum(s.value for s in metric.samples if s.name.endswith("_count") and s.labels["model"] == model)


def test_what_clients_may_write_freely_is_no_label() -> None:
    watched = Watched()
    for number in range(50):
        watched.client.post(f"/v1/audio/transcriptions?model={CANARY}{number}")
        watched.client.get(f"/v1/models/{CANARY}{number}")
        watched.client.get(f"/{CANARY}{number}")
        watched.client.request(f"{CANARY}{number}".upper(), "/v1/torn")
    requests = [labels for labels in watched.figures() if labels[0] == "shoptalk_requests_total"]
    assert sorted(labels[1:] for labels in requests) == [
        ("other", "/v1/audio/transcriptions", "200"),
        ("other", "/v1/models/{model}", "404"),
        ("other", "/v1/torn", "405"),
        ("other", "other", "404"),
    ]
    assert CANARY not in watched.telemetry.metrics.text().decode().lower()
    assert CANARY not in str([span.to_json() for span in watched.exporter.get_finished_spans()]).lower()
    assert CANARY not in str(watched.accounts).lower()


def test_errors_are_counted_by_code() -> None:
    watched = Watched()
    watched.client.get("/v1/models/x")
    watched.client.post("/v1/audio/failing")
    watched.client.get("/nowhere")
    errors = {labels[1:]: value for labels, value in watched.figures().items() if labels[0] == "shoptalk_errors_total"}
    assert errors == {
        ("model_not_found", "/v1/models/{model}"): 1,
        ("internal_error", "/v1/audio/failing"): 1,
        ("unknown_url", "other"): 1,
    }


def test_an_unexpected_error_is_500_and_its_message_goes_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    with caplog.at_level(logging.DEBUG):
        failed = watched.client.post("/v1/audio/failing")
    assert failed.status_code == 500
    assert failed.json()["error"]["code"] == "internal_error"
    assert "RuntimeError at " in caplog.text
    assert "test_watching.py" in caplog.text
    assert CANARY not in caplog.text + failed.text
    span = watched.spans()["recognise"]
    assert dict(span.attributes or {})["error.type"] == "RuntimeError"
    assert not span.events
    assert watched.figures()["shoptalk_requests_in_progress",] == 0


def test_an_answer_that_breaks_off_is_logged_without_the_message(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    watched.client.get("/v1/torn")
    assert CANARY not in caplog.text
    assert watched.accounts[0].code == "internal_error"


@pytest.mark.parametrize(
    ("given", "is_kept"), [("abc-1.2_X", True), ("", False), ("two words", False), ("x" * 129, False), ("ä", False)]
)
def test_every_answer_has_a_request_id(given: str, is_kept: bool) -> None:
    watched = Watched()
    answer = watched.client.get("/nowhere", headers={"x-request-id": given.encode()} if given else {})
    assert (answer.headers["x-request-id"] == given) is is_kept
    assert watched.accounts[0].request_id == answer.headers["x-request-id"]


def test_the_spans_of_a_request_go_on_the_clients_trace() -> None:
    watched = Watched()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {
        "traceparent": f"00-{trace_id}-b7ad6b7169203331-01",
        "tracestate": f"vendor={CANARY}",
        "baggage": f"key={CANARY}",
    }
    watched.client.post("/v1/audio/transcriptions", headers=headers)
    spans = watched.spans()
    request, stage = spans["POST /v1/audio/transcriptions"], spans["recognise"]
    assert request.context and stage.parent
    assert f"{request.context.trace_id:032x}" == trace_id
    assert stage.parent.span_id == request.context.span_id
    assert (
        dict(request.attributes or {}).items()
        >= {
            "http.response.status_code": 200,
            "shoptalk.model": "tiny",
            "shoptalk.audio_s": 2.0,
        }.items()
    )
    assert CANARY not in request.to_json() + stage.to_json()
    assert watched.accounts[0].trace_id == trace_id


def test_health_is_not_counted() -> None:
    watched = Watched()
    watched.client.get("/health/live")
    watched.client.get("/speech/health/live")
    assert not watched.accounts


def test_errors_that_nobody_awaits_are_logged_by_class_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError(CANARY)

    async def leave_alone() -> None:
        keep_messages_out(asyncio.get_running_loop())
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        del task
        await asyncio.sleep(0)

    asyncio.run(leave_alone())
    assert "RuntimeError at " in caplog.text
    assert CANARY not in caplog.text
