"""What the service counts for Prometheus; nothing that was spoken is among it.

Every label has few values: routes and models that the service does not have count as ``other``, and the key of a caller
is no label.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shoptalk.core import review
from shoptalk.core.errors import BindingError
from shoptalk.service.account import OTHER, Account
from shoptalk.service.model.messages import BatchFigures, StreamFigures

CONTENT_TYPE = CONTENT_TYPE_LATEST
RECOGNISE = "recognise"
"""The stage in which a model has a request."""
TURNED_AWAY = frozenset({429, 503})
"""Statuses of requests that found no place, or no model that answers."""
_LATENCY_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_STAGE_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_BATCH = (1, 2, 4, 8, 16, 32, 64)
_REAL_TIME_FACTORS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_AUDIO_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 1200.0, 3600.0, 10800.0)


class AccessReport(Protocol):
    """What access tells of its files."""

    @property
    def audit_is_failing(self) -> bool: ...
    @property
    def audit_lost(self) -> int: ...
    @property
    def keys_are_broken(self) -> bool: ...


class JobsReport(Protocol):
    """Counts of jobs."""

    @property
    def jobs(self) -> Mapping[str, int]: ...
    @property
    def files(self) -> Mapping[str, int]: ...
    @property
    def audio_s(self) -> float: ...
    @property
    def oldest_waiting_s(self) -> float: ...
    @property
    def events_waiting(self) -> int: ...


class ModelReport(Protocol):
    """How a model is doing when the figures are asked for."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def start_s(self) -> float | None: ...
    @property
    def start_parts_s(self) -> Mapping[str, float]: ...
    @property
    def requests(self) -> int: ...
    @property
    def streams(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def swaps(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def golden_wer(self) -> float | None: ...


class ShadowReport(Protocol):
    """How a challenger compares with the champion, when the figures are asked for."""

    @property
    def champion(self) -> str: ...
    @property
    def challenger(self) -> str: ...
    @property
    def compared(self) -> int: ...
    @property
    def same(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def words(self) -> int: ...
    @property
    def words_differing(self) -> int: ...
    @property
    def terms(self) -> int: ...
    @property
    def terms_differing(self) -> int: ...


_OF_A_SHADOW = {
    "compared": "Recordings that champion and challenger both transcribed",
    "same": "Of these, with the same words",
    "dropped": "Recordings that the challenger did not get, because others waited",
    "failed": "Recordings that the challenger did not transcribe",
    "words": "Words of the champion's texts",
    "words_differing": "Words in which the challenger's texts differ",
    "terms": "Mentions of the lexicon in the champion's texts",
    "terms_differing": "Mentions that only one of the two texts has",
}


class Metrics:
    """The figures of one app, in a registry of their own."""

    def __init__(self, models: Sequence[str] = ()) -> None:
        """`models` are the names that may be labels."""
        self.registry = registry = CollectorRegistry()
        self.models = tuple(models)
        by_model = ["model"]
        self.requests = Counter(
            "shoptalk_requests",
            "Requests by HTTP status, model and route",
            ["status", "model", "route"],
            registry=registry,
        )
        self.errors = Counter(
            "shoptalk_errors", "Answers with an error by its code", ["code", "route"], registry=registry
        )
        self.request_s = Histogram(
            "shoptalk_request_seconds",
            "Requests that a model had, from the first byte to the answer",
            by_model,
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.first_byte_s = Histogram(
            "shoptalk_first_byte_seconds",
            "Requests that a model had, from the first byte to the answer's first byte",
            by_model,
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.stage_s = Histogram(
            "shoptalk_stage_seconds",
            "Stages of transcription requests: upload, decode, recognise, the queue within it, answer",
            ["stage", "model"],
            buckets=_STAGE_S,
            registry=registry,
        )
        self.queue_s = Histogram(
            "shoptalk_queue_seconds",
            "How long windows wait for their batch",
            by_model,
            buckets=_STAGE_S,
            registry=registry,
        )
        self.batch_s = Histogram(
            "shoptalk_batch_seconds", "Recognition of one batch", by_model, buckets=_LATENCY_S, registry=registry
        )
        self.batch_size = Histogram(
            "shoptalk_batch_size", "Windows in a batch", by_model, buckets=_BATCH, registry=registry
        )
        self.real_time_factor = Histogram(
            "shoptalk_real_time_factor",
            "Seconds that a batch takes for a second of its audio",
            by_model,
            buckets=_REAL_TIME_FACTORS,
            registry=registry,
        )
        self.stream_delay_s = Histogram(
            "shoptalk_stream_delay_seconds",
            "From a stream's samples, as soon as they suffice for further words, to these words",
            by_model,
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.stream_batch_size = Histogram(
            "shoptalk_stream_batch_size", "Streams computed together", by_model, buckets=_BATCH, registry=registry
        )
        self.stream_busy_s = Counter(
            "shoptalk_stream_busy_seconds", "Time that the model computed for streams", by_model, registry=registry
        )
        self.stream_audio_s = Counter(
            "shoptalk_stream_audio_seconds", "Audio that streams brought", by_model, registry=registry
        )
        self.recording_s = Histogram(
            "shoptalk_recording_seconds",
            "Length of the recordings that were recognised",
            by_model,
            buckets=_AUDIO_S,
            registry=registry,
        )
        self.audio_s = Counter("shoptalk_audio_seconds", "Audio that was recognised", by_model, registry=registry)
        self.words = Counter("shoptalk_words", "Words that were recognised", by_model, registry=registry)
        self.unsure_words = Counter(
            "shoptalk_unsure_words",
            f"Recognised words of a confidence below {review.CONFIDENCE}",
            by_model,
            registry=registry,
        )
        self.gaps = Counter("shoptalk_gaps", "Stretches of speech that gave no words", by_model, registry=registry)
        self.corrections = Counter(
            "shoptalk_corrections",
            "Corrections that were taken, and whether training may use them",
            ["model", "consent"],
            registry=registry,
        )
        self.corrected_words = Counter(
            "shoptalk_corrected_words",
            "Words that corrections changed, added or removed; of shoptalk_words it is the drift",
            by_model,
            registry=registry,
        )
        self.queue_depth = Gauge("shoptalk_queue_depth", "Windows that wait for the model", by_model, registry=registry)
        self.in_progress = Gauge("shoptalk_requests_in_progress", "Transcription requests under way", registry=registry)
        self.live_sessions = Gauge("shoptalk_live_sessions", "WebSockets that are open", registry=registry)
        self.items = Counter(
            "shoptalk_live_items",
            "Stretches of live audio that were transcribed, by HTTP status and model",
            ["status", "model"],
            registry=registry,
        )
        self.final_words_s = Histogram(
            "shoptalk_live_final_seconds",
            "From the end of a stretch of live audio to its last word",
            by_model,
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.audit_lost = Gauge(
            "shoptalk_audit_lost_lines", "Lines of the audit log that were lost since the start", registry=registry
        )
        self.audit_failing = Gauge(
            "shoptalk_audit_failing", "1 while the audit log cannot be written", registry=registry
        )
        self.job_files = Counter(
            "shoptalk_job_files_ended", "Files of jobs this server was at, by outcome", ["outcome"], registry=registry
        )
        self.job_news = Counter(
            "shoptalk_job_news", "Webhooks this server sent, by what came of them", ["outcome"], registry=registry
        )
        self.keys_broken = Gauge(
            "shoptalk_keys_file_broken", "1 while the file of API keys cannot be read", registry=registry
        )

    def model_label(self, name: str) -> str:
        """The name, or ``other`` for a model that the service does not have."""
        return name if name in self.models else OTHER

    def ended(self, account: Account) -> None:
        """A request was answered."""
        model = self.model_label(account.model)
        self.requests.labels(str(account.status), model, account.route).inc()
        if account.code:
            self.errors.labels(account.code, account.route).inc()
        if not is_transcription(account.route):
            return
        for stage, seconds in account.stages.items():
            self.stage_s.labels(stage, model).observe(seconds)
        if RECOGNISE not in account.stages or account.status in TURNED_AWAY:
            return  # what is refused at once would make the service look fast
        self.request_s.labels(model).observe(account.seconds)
        if account.first_byte_s is not None:
            self.first_byte_s.labels(model).observe(account.first_byte_s)
        self._recording_ended(account, model)

    def job_file_ended(self, account: Account, outcome: str) -> None:
        """A file of a job was done with: ``succeeded``, ``failed``, or to be tried ``again``."""
        self.job_files.labels(outcome).inc()
        self._recording_ended(account, self.model_label(account.model))

    def _recording_ended(self, account: Account, model: str) -> None:
        if account.audio_s:
            self.recording_s.labels(model).observe(account.audio_s)
            self._recognised(account, model)

    def item_ended(self, account: Account, delay_s: float | None) -> None:
        """A stretch of live audio has its words, or has none; `delay_s` is how long they took after its end."""
        model = self.model_label(account.model)
        self.items.labels(str(account.status), model).inc()
        if account.code:
            self.errors.labels(account.code, account.route).inc()
        if delay_s is not None and account.status == 200:
            self.final_words_s.labels(model).observe(delay_s)
        self._recognised(account, model)

    def _recognised(self, account: Account, model: str) -> None:
        self.audio_s.labels(model).inc(account.audio_s)
        self.words.labels(model).inc(account.words)
        self.unsure_words.labels(model).inc(account.unsure_words)
        self.gaps.labels(model).inc(account.gaps)

    def batches_of(self, model: str) -> Callable[[BatchFigures | StreamFigures], None]:
        """What a worker of this model calls with the figures of each batch, and of streams that were fed."""
        label = self.model_label(model)

        def observe(figures: BatchFigures | StreamFigures) -> None:
            if isinstance(figures, StreamFigures):
                self._streams_were_fed(label, figures)
                return
            self.queue_depth.labels(label).set(figures.waiting)
            self.batch_s.labels(label).observe(figures.seconds)
            self.batch_size.labels(label).observe(figures.windows)
            for waited_s in figures.waited_s:
                self.queue_s.labels(label).observe(waited_s)
            if figures.audio_s:
                self.real_time_factor.labels(label).observe(figures.seconds / figures.audio_s)

        return observe

    def _streams_were_fed(self, label: str, figures: StreamFigures) -> None:
        self.stream_batch_size.labels(label).observe(figures.streams)
        self.stream_busy_s.labels(label).inc(figures.seconds)
        self.stream_audio_s.labels(label).inc(figures.audio_s)
        for delay_s in figures.delays_s:
            self.stream_delay_s.labels(label).observe(delay_s)

    def watch_models(self, report: Callable[[], Iterable[ModelReport]]) -> None:
        """Ask for a report of all models whenever the figures are read."""
        self.registry.register(_Reports(report))

    def watch_access(self, access: AccessReport) -> None:
        """Ask for the state of the audit log and of the file of keys whenever the figures are read."""
        self.audit_failing.set_function(lambda: float(access.audit_is_failing))
        self.audit_lost.set_function(lambda: float(access.audit_lost))
        self.keys_broken.set_function(lambda: float(access.keys_are_broken))

    def watch_shadow(self, report: Callable[[], ShadowReport | None]) -> None:
        """Ask for the challenger's report whenever the figures are read; there are none without a challenger."""
        self.registry.register(_Shadow(report))

    def watch_jobs(self, report: Callable[[], JobsReport]) -> None:
        """Ask for the counts of jobs whenever the figures are read; they are those of the whole database."""
        self.registry.register(_Jobs(report))

    def text(self) -> bytes:
        """All figures in Prometheus' form, of content type `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[None]:
        """The figures at ``/metrics`` of a port of their own; `BindingError` if it cannot be had."""
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise BindingError(f"{host}:{port}: {error.strerror}; take another for serve.metrics_port") from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def is_transcription(route: str) -> bool:
    """Whether a route, or a path behind some prefix, takes recordings."""
    return "/v1/audio/" in route


class _Reports(Collector):
    """Figures that are not counted but asked for."""

    def __init__(self, report: Callable[[], Iterable[ModelReport]]) -> None:
        self._report = report

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked before the models are there."""
        return ()

    def collect(self) -> Iterator[Metric]:
        requests = GaugeMetricFamily("shoptalk_model_requests", "Requests that the model has", labels=["model"])
        streams = GaugeMetricFamily("shoptalk_model_streams", "Live streams that are open", labels=["model"])
        refused = CounterMetricFamily("shoptalk_model_refused", "Requests refused as too many", labels=["model"])
        swaps = CounterMetricFamily("shoptalk_model_swaps", "Times that its weights were swapped", labels=["model"])
        restarts = CounterMetricFamily(
            "shoptalk_worker_restarts", "Worker processes that took the place of one that died", labels=["model"]
        )
        golden = GaugeMetricFamily(
            "shoptalk_model_golden_wer", "Word error rate of the last golden transcript", labels=["model"]
        )
        states = GaugeMetricFamily("shoptalk_model_state", "1 for the state it is in", labels=["model", "state"])
        ready = GaugeMetricFamily("shoptalk_model_ready", "1 while the model answers", labels=["model"])
        load_s = GaugeMetricFamily(
            "shoptalk_model_load_seconds", "Time the last start of the model took", labels=["model"]
        )
        load_parts_s = GaugeMetricFamily(
            "shoptalk_model_load_part_seconds",
            "Parts of the last start of the model",
            labels=["model", "part"],
        )
        for model in self._report():
            for part, seconds in model.start_parts_s.items():
                load_parts_s.add_metric([model.name, part], seconds)
            states.add_metric([model.name, str(model.state)], 1)
            ready.add_metric([model.name], model.state == "ready")
            if model.start_s is not None:
                load_s.add_metric([model.name], model.start_s)
            requests.add_metric([model.name], model.requests)
            streams.add_metric([model.name], model.streams)
            refused.add_metric([model.name], model.refused)
            swaps.add_metric([model.name], model.swaps)
            restarts.add_metric([model.name], model.restarts)
            if model.golden_wer is not None:
                golden.add_metric([model.name], model.golden_wer)
        yield from (requests, streams, refused, swaps, restarts, golden, states, ready, load_s, load_parts_s)


class _Shadow(Collector):
    """What the comparison with a challenger counts; a swap of either model begins anew."""

    def __init__(self, report: Callable[[], ShadowReport | None]) -> None:
        self._report = report

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked before the models are there."""
        return ()

    def collect(self) -> Iterator[Metric]:
        report = self._report()
        if report is None:
            return
        for key, meaning in _OF_A_SHADOW.items():
            family = CounterMetricFamily(f"shoptalk_shadow_{key}", meaning, labels=["champion", "challenger"])
            family.add_metric([report.champion, report.challenger], getattr(report, key))
            yield family


class _Jobs(Collector):
    """Jobs and their files in the database."""

    def __init__(self, report: Callable[[], JobsReport]) -> None:
        self._report = report

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked before the jobs are there."""
        return ()

    def collect(self) -> Iterator[Metric]:
        report = self._report()
        jobs = GaugeMetricFamily("shoptalk_jobs", "Jobs in the database", labels=["status"])
        for status, count in report.jobs.items():
            jobs.add_metric([status], count)
        files = GaugeMetricFamily("shoptalk_job_files", "Files of jobs in the database", labels=["status"])
        for status, count in report.files.items():
            files.add_metric([status], count)
        yield from (jobs, files)
        yield GaugeMetricFamily("shoptalk_jobs_audio_seconds", "Audio of these jobs that is done", report.audio_s)
        waited = "How long the file of a job has waited that waits longest"
        yield GaugeMetricFamily("shoptalk_jobs_oldest_waiting_seconds", waited, report.oldest_waiting_s)
        yield GaugeMetricFamily("shoptalk_jobs_news_waiting", "Webhooks that are not taken yet", report.events_waiting)
