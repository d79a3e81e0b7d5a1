"""Figures that workers and models tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shoptalk.service.model.messages import BatchFigures, StreamFigures
from shoptalk.service.telemetry.metrics import CONTENT_TYPE, Metrics

BATCH = BatchFigures(4, audio_s=20.0, padded_s=24.0, seconds=0.5, waited_s=(0.1, 0.2, 0.0, 0.3), waiting=7)


@dataclass(frozen=True)
class Report:
    name: str
    state: str = "ready"
    requests: int = 3
    streams: int = 5
    refused: int = 2
    swaps: int = 1
    restarts: int = 4
    golden_wer: float | None = None
    start_s: float | None = 3.5
    start_parts_s: Mapping[str, float] = field(default_factory=lambda: {"opening": 2.5, "warm-up": 1.0})


@dataclass(frozen=True)
class Shadow:
    champion: str = "tiny"
    challenger: str = "big"
    compared: int = 9
    same: int = 8
    dropped: int = 7
    failed: int = 6
    words: int = 500
    words_differing: int = 4
    terms: int = 30
    terms_differing: int = 2


def figures(metrics: Metrics) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_batches_are_counted_by_model() -> None:
    metrics = Metrics(["tiny"])
    metrics.batches_of("tiny")(BATCH)
    metrics.batches_of("unknown")(replace(BATCH, audio_s=0.0))
    counted = figures(metrics)
    assert counted["shoptalk_batch_size_sum", "tiny"] == 4
    assert counted["shoptalk_queue_seconds_count", "tiny"] == 4
    assert counted["shoptalk_queue_depth", "tiny"] == 7
    assert counted["shoptalk_real_time_factor_sum", "tiny"] == 0.5 / 20
    assert counted["shoptalk_batch_size_sum", "other"] == 4
    assert ("shoptalk_real_time_factor_sum", "other") not in counted


def test_streams_that_were_fed_are_counted_by_model() -> None:
    metrics = Metrics(["tiny"])
    observe = metrics.batches_of("tiny")
    observe(StreamFigures(streams=3, audio_s=3.12, seconds=0.25, delays_s=(0.25, 0.3, 0.7)))
    observe(StreamFigures(streams=1, audio_s=1.04, seconds=0.125, delays_s=(0.125,)))
    counted = figures(metrics)
    assert counted["shoptalk_stream_audio_seconds_total", "tiny"] == pytest.approx(4.16)
    assert counted["shoptalk_stream_busy_seconds_total", "tiny"] == 0.375
    assert counted["shoptalk_stream_batch_size_sum", "tiny"] == 4
    assert counted["shoptalk_stream_delay_seconds_count", "tiny"] == 4
    assert counted["shoptalk_stream_delay_seconds_bucket", "0.25", "tiny"] == 2
    assert ("shoptalk_batch_size_sum", "tiny") not in counted


def test_models_are_asked_when_the_figures_are_read() -> None:
    metrics = Metrics(["tiny", "big"])
    reports = [Report("tiny", golden_wer=0.25)]
    metrics.watch_models(lambda: reports)
    reports.append(Report("big", state="wrong model"))
    counted = figures(metrics)
    assert counted["shoptalk_model_requests", "tiny"] == 3
    assert counted["shoptalk_model_streams", "tiny"] == 5
    assert counted["shoptalk_model_refused_total", "big"] == 2
    assert counted["shoptalk_model_swaps_total", "big"] == 1
    assert counted["shoptalk_worker_restarts_total", "tiny"] == 4
    assert counted["shoptalk_model_golden_wer", "tiny"] == 0.25
    assert ("shoptalk_model_golden_wer", "big") not in counted
    assert (counted["shoptalk_model_ready", "tiny"], counted["shoptalk_model_ready", "big"]) == (1, 0)
    assert counted["shoptalk_model_state", "big", "wrong model"] == 1
    assert counted["shoptalk_model_load_seconds", "tiny"] == 3.5
    assert counted["shoptalk_model_load_part_seconds", "tiny", "opening"] == 2.5


def test_a_challenger_is_asked_when_there_is_one() -> None:
    metrics = Metrics(["tiny", "big"])
    shadows: list[Shadow | None] = [None]
    metrics.watch_shadow(lambda: shadows[0])
    assert not any(name.startswith("shoptalk_shadow") for name, *_ in figures(metrics))
    shadows[0] = Shadow()
    counted = figures(metrics)
    assert counted["shoptalk_shadow_compared_total", "big", "tiny"] == 9
    assert counted["shoptalk_shadow_words_differing_total", "big", "tiny"] == 4
    assert counted["shoptalk_shadow_terms_differing_total", "big", "tiny"] == 2


def test_the_names_of_earlier_releases_are_there() -> None:
    metrics = Metrics(["tiny"])
    metrics.watch_models(lambda: [Report("tiny")])
    names = {family.name for family in text_string_to_metric_families(metrics.text().decode())}
    assert CONTENT_TYPE.startswith("text/plain")
    assert names >= {
        "shoptalk_requests",
        "shoptalk_request_seconds",
        "shoptalk_batch_seconds",
        "shoptalk_batch_size",
        "shoptalk_audio_seconds",
        "shoptalk_queue_depth",
        "shoptalk_requests_in_progress",
        "shoptalk_model_ready",
        "shoptalk_model_load_seconds",
    }
