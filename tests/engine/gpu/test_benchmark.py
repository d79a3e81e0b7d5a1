"""The benchmark's harness on a CPU: the clock is a fake, the model tiny."""

import argparse
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from benchmarks.engine import gpu
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

TINY = gpu.shape_of("tiny")


def fake_clock() -> Iterator[float]:
    yield from (0.5 * tick for tick in count())


def arguments(*words: str) -> argparse.Namespace:
    return gpu.parsed(["--device", "cpu", "--size", "tiny", *words])


def test_without_a_gpu_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="NoCudaDevice.*--device cpu --size tiny"):
        gpu.parsed([])


def test_its_defaults_are_the_full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = gpu.parsed(["results/engine_gpu.json"])
    assert (found.target, found.device, found.size, found.clip_s) == (
        Path("results/engine_gpu.json"),
        "cuda",
        "0.6b",
        10.0,
    )
    assert found.batches[0] == 1 and found.batches[-1] == 256 and found.paths == list(gpu.PATHS)


def test_paths_are_compared_and_failures_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks at the fake clock lies half a second, whatever is done."""

    def broken(*_: object) -> gpu.Hears:
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(gpu.PATHS, "triton", broken)
    asked = arguments("--paths", "plain", "looping", "graphs", "fp8", "triton", "--batches", "1", "2")
    asked.clips, asked.clip_s, asked.latencies = 4, 2.0, 2
    saved: list[list[str]] = []
    result = gpu.compare(
        asked, fake_clock().__next__, lambda: None, save=lambda result: saved.append(list(result["paths"]))
    )
    counts = [len(paths) for paths in saved]
    assert counts == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4], "what is there is not saved after each batch and path"
    assert result["absent"] == {"triton": "RuntimeError: no such kernel"}
    assert list(result["paths"]) == ["plain", "looping", "graphs", "fp8"]
    for found in result["paths"].values():
        assert found["tokens_per_clip"] == 7  # 25 frames, a token on every fourth
        assert found["inner"] == {1: 16.0, 2: 32.0} and found["outer"] == found["inner"]
        assert found["latency_ms"] == {"median": 500.0, "p95": 500.0}
        share = 16.0 / 2 * result["encoder_gflop_per_clip"] / result["matrix_tflops"] / 1e3
        assert found["share_of_peak"] == pytest.approx({1: share, 2: 2 * share}, rel=1e-2)
    shown = gpu.table(result).splitlines()
    assert shown[0] == "| path | latency, ms | batch 1 | batch 2 |"
    assert shown[2] == "| plain | 500.0 | 16.0 / 16.0 | 32.0 / 32.0 |"
    assert shown[-1] == "triton did not run: RuntimeError: no such kernel"


def test_a_batch_that_memory_does_not_suffice_for_is_left_out(tmp_path: Path) -> None:
    def hears(batches: Iterable[gpu.Batch]) -> Iterator[int]:
        for features_BTM, _ in batches:
            if len(features_BTM) > 1:
                raise torch.OutOfMemoryError("too much")
            yield 3

    front = gpu.Front(TINY, "cpu", tmp_path, clips=2, clip_s=0.5)
    found = gpu.measure(
        hears,
        front,
        batches=[1, 2],
        clips=4,
        clip_s=0.5,
        latencies=1,
        run_s=9.0,
        clock=fake_clock().__next__,
        wait=lambda: None,
    )
    assert found["inner"] == {1: 4.0, 2: None} and found["outer"] == {1: 4.0, 2: None}
    assert found["tokens_per_clip"] == 3


def test_the_operations_are_those_that_torch_counts() -> None:
    encoder, _ = gpu.encoders_of(TINY, "cpu")
    frames_B = torch.tensor([960])
    lengths_B = encoder.subsampling.frames(frames_B)
    with torch.inference_mode():
        features_BTM = torch.randn(1, 960, TINY.mels, dtype=torch.bfloat16)
        encoder.padded(features_BTM, frames_B, lengths_B)  # projects the positions
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            encoder.padded(features_BTM, frames_B, lengths_B)
    positions = 2 * TINY.layers * TINY.d_model * 120 * 119  # of which half fall away when the scores are shifted
    assert gpu.encoder_flops(TINY, 960) == pytest.approx(counter.get_total_flops() - positions, rel=0.02)
