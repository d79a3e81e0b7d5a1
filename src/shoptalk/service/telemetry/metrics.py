"""What the service counts; nothing that was spoken is among it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_BATCH = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "shoptalk_requests", "Transcription requests by HTTP status", ["status"], registry=self.registry
        )
        self.request_s = Histogram(
            "shoptalk_request_seconds", "From the first byte to the answer", buckets=_LATENCY_S, registry=self.registry
        )
        self.batch_s = Histogram(
            "shoptalk_batch_seconds", "Recognition of one batch", buckets=_LATENCY_S, registry=self.registry
        )
        self.batch_size = Histogram(
            "shoptalk_batch_size", "Recordings in a batch", buckets=_BATCH, registry=self.registry
        )
        self.audio_s = Counter("shoptalk_audio_seconds", "Audio that was recognised", registry=self.registry)
        self.queue_depth = Gauge("shoptalk_queue_depth", "Recordings that wait for the model", registry=self.registry)
        self.admitted = Gauge("shoptalk_requests_in_progress", "Admitted requests", registry=self.registry)
        self.model_ready = Gauge("shoptalk_model_ready", "1 while the model answers", registry=self.registry)
        self.model_load_s = Gauge("shoptalk_model_load_seconds", "Time the warm-up took", registry=self.registry)
