"""The engine's paths on a GPU beside transformers and NeMo: throughput, latency, share of the card; writes JSON.

Run: python benchmarks/engine/gpu.py results/engine_gpu.json [--size 0.6b] [--batches 1 … 256]. All have random weights
of Parakeet TDT 0.6B v2's shape in bfloat16. The joint's biases make each say one token on every fourth frame, three a
second as in speech, so that all decode alike; there are no blanks, which cost transformers a step each and the engine
none. The inner clock runs from features on the card to tokens on the host, the outer one from WAV files on disk, read
and turned into features by the same code for all. `--device cpu --size tiny` shows that it works where there is no GPU.
"""

import argparse
import copy
import functools
import gc
import json
import math
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.device import cores
from shoptalk.core.tables import read_text
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.features import Features
from shoptalk.engine.gpu.fp8 import quantize
from shoptalk.engine.gpu.graphs import Pipeline
from shoptalk.engine.gpu.looping import Looping
from shoptalk.engine.gpu.transfer import to_host
from shoptalk.engine.greedy import decode
from shoptalk.engine.shape import LOG_GUARD, MAX_SYMBOLS, PREEMPHASIS, Shape
from shoptalk.engine.steps import Steps
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import Weights

Batch = tuple[torch.Tensor, torch.Tensor]
Hears = Callable[[Iterable[Batch]], Iterator[int]]
"""Batches of features (B, T, M) on the device and their frames (B,) → how many tokens each batch has, in turn."""

SIZES: dict[str, dict[str, int]] = {
    "0.6b": {
        "layers": 24, "d_model": 1024, "heads": 8, "channels": 256, "mels": 128, "predictor": 640,
        "predictor_layers": 2, "joint": 640, "vocabulary": 1024,
    },
    "tiny": {
        "layers": 2, "d_model": 64, "heads": 4, "channels": 16, "mels": 80, "predictor": 32,
        "predictor_layers": 1, "joint": 32, "vocabulary": 128,
    },
}  # fmt: skip
DURATIONS = (0, 1, 2, 3, 4)
TOKEN, SURE = 1, 100.0
CLIP_S = 10.0
CLIPS, LEAST_BATCHES, LATENCIES, WARM_UPS, FIRST = 1024, 4, 50, 3, 2
AHEAD = 4
"""Batches that are read before they are needed."""
READERS = 16
"""Threads that read a batch together, if there are so many cores: the first batch is waited for."""
PROFILED = 16
"""Kernels that a profile names."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PEAK_WIDTH = 8192
NO_GPU = (
    "gpu.py: NoCudaDevice: PyTorch sees no CUDA device here. Run it on a machine with one and with a CUDA build of "
    "torch, or try the harness with `--device cpu --size tiny`."
)


def shape_of(size: str) -> Shape:
    return Shape(
        n_fft=512, hop=160, preemphasis=PREEMPHASIS, log_guard=LOG_GUARD, kernel=9, scaled_input=False, reach=None,
        activation="relu", durations=DURATIONS, max_symbols=MAX_SYMBOLS, **SIZES[size],
    )  # type: ignore[arg-type]  # fmt: skip


def random_weights(shape: Shape, seed: int = 1, device: str = "cpu") -> Weights:
    """Tensors by NeMo's names; those of Parakeet v2, whose encoder has no biases outside norms and subsampling."""
    width, joint, gates, outputs = (
        shape.d_model,
        shape.joint,
        4 * shape.predictor,
        shape.vocabulary + 1 + len(DURATIONS),
    )
    front, decoder, channels = "encoder.pre_encode.", "decoder.prediction.", shape.channels
    sizes: dict[str, tuple[int, ...]] = {f"{decoder}embed.weight": (shape.vocabulary + 1, shape.predictor)}
    sizes |= {f"{front}conv.0.weight": (channels, 1, 3, 3), f"{front}conv.0.bias": (channels,)}
    for name, inputs, made in (
        (f"{front}out", channels * shape.mels // 8, width), ("joint.pred", shape.predictor, joint),
        ("joint.enc", width, joint), ("joint.joint_net.2", joint, outputs),
    ):  # fmt: skip
        sizes |= {f"{name}.weight": (made, inputs), f"{name}.bias": (made,)}
    for number in (2, 3, 5, 6):
        inputs, taps = (1, 3) if number in (2, 5) else (channels, 1)
        sizes |= {f"{front}conv.{number}.weight": (channels, inputs, taps, taps)}
        sizes |= {f"{front}conv.{number}.bias": (channels,)}
    for layer in range(shape.predictor_layers):
        for kind in ("ih", "hh"):
            sizes[f"{decoder}dec_rnn.lstm.weight_{kind}_l{layer}"] = (gates, shape.predictor)
            sizes[f"{decoder}dec_rnn.lstm.bias_{kind}_l{layer}"] = (gates,)
    for layer in range(shape.layers):
        sizes |= {f"encoder.layers.{layer}.{name}": size for name, size in layer_sizes(shape).items()}
    generator = torch.Generator(device).manual_seed(seed)
    tensors = {}
    for name, size in sizes.items():
        drawn = torch.randn(size, generator=generator, device=device).cpu() / max(1, np.prod(size[1:])) ** 0.5
        tensors[name] = drawn.abs() if name.endswith("running_var") else drawn
    settle_joint(tensors["joint.joint_net.2.bias"], shape.vocabulary)
    return Weights(Path("random"), tensors)


def layer_sizes(shape: Shape) -> dict[str, tuple[int, ...]]:
    width, heads = shape.d_model, shape.heads
    sizes: dict[str, tuple[int, ...]] = {f"self_attn.pos_bias_{one}": (heads, width // heads) for one in "uv"}
    sizes |= {f"self_attn.linear_{one}.weight": (width, width) for one in ("q", "k", "v", "pos", "out")}
    for name in ("feed_forward1", "feed_forward2"):
        sizes |= {f"{name}.linear1.weight": (4 * width, width), f"{name}.linear2.weight": (width, 4 * width)}
    for name in (
        "norm_feed_forward1",
        "norm_self_att",
        "norm_conv",
        "norm_feed_forward2",
        "norm_out",
        "conv.batch_norm",
    ):
        sizes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    sizes |= {f"conv.batch_norm.running_{one}": (width,) for one in ("mean", "var")}
    sizes |= {"conv.pointwise_conv1.weight": (2 * width, width, 1), "conv.pointwise_conv2.weight": (width, width, 1)}
    return sizes | {"conv.depthwise_conv.weight": (width, 1, shape.kernel)}


def settle_joint(bias_O: torch.Tensor, vocabulary: int, sure: float = SURE) -> None:
    """One token and the longest duration, always."""
    bias_O[TOKEN] += sure
    bias_O[vocabulary + 1 + DURATIONS.index(max(DURATIONS))] += sure


@functools.lru_cache(maxsize=1)
def drawn(shape: Shape, device: str) -> tuple[Encoder, Transducer]:
    with torch.inference_mode():
        weights = random_weights(shape, device=device)
        encoder = Encoder(shape, weights.below("encoder")).to(device, torch.bfloat16)
        return encoder, Transducer(shape, weights).to(device)


def encoders_of(shape: Shape, device: str) -> tuple[Encoder, Transducer]:
    """In bfloat16 and float32: decoding is a small part of the work, and choices between tokens are close."""
    return copy.deepcopy(drawn(shape, device))


def plain(shape: Shape, device: str) -> Hears:
    """The engine where no path is asked for: encoder launched kernel by kernel, decoding on the host."""
    encoder, transducer = encoders_of(shape, device)
    steps = Steps(transducer.to("cpu"))

    def hears(batches: Iterable[Batch]) -> Iterator[int]:
        for features_BTM, frames_B in batches:
            lengths_B = encoder.subsampling.frames(frames_B)
            encoded_BTD = encoder.padded(features_BTM, frames_B, lengths_B)
            yield sum(len(one.tokens) for one in decode(steps, to_host(encoded_BTD).float(), lengths_B))

    return hears


def looping(shape: Shape, device: str) -> Hears:
    """`plain`, decoding on the device."""
    encoder, transducer = encoders_of(shape, device)
    decoder = Looping(transducer)

    def hears(batches: Iterable[Batch]) -> Iterator[int]:
        for features_BTM, frames_B in batches:
            lengths_B = encoder.subsampling.frames(frames_B)
            encoded_BTD = encoder.padded(features_BTM, frames_B, lengths_B)
            yield sum(len(one.tokens) for one in decoder.decode(encoded_BTD.float(), lengths_B))

    return hears


def graphs(shape: Shape, device: str, *changes: Callable[[Encoder], None]) -> Hears:
    """`looping`, captured as CUDA graphs; a batch is decoded while the next is encoded."""
    encoder, transducer = encoders_of(shape, device)
    for change in changes:
        change(encoder)
    pipeline = Pipeline(encoder, Looping(transducer))

    def hears(batches: Iterable[Batch]) -> Iterator[int]:
        for found in pipeline.decode(batches):
            yield sum(len(one.tokens) for one in found)

    return hears


def triton(shape: Shape, device: str) -> Hears:
    """`graphs`, with the fused attention."""
    if device == "cpu":
        raise ModuleNotFoundError("the kernel runs on a GPU; its test runs it in an interpreter")
    from shoptalk.engine.gpu.attention import fuse

    return graphs(shape, device, fuse)


def to_8_bits(encoder: Encoder) -> None:
    """The feed-forward layers in 8-bit floats, their scales from noise."""
    norm, mels = encoder.layers[0].norm.weight, encoder.shape.mels
    generator = torch.Generator().manual_seed(2)
    features_BTM = torch.randn(1, round(CLIP_S * 100), mels, generator=generator).to(norm.device, norm.dtype)
    quantize(encoder, [(features_BTM, torch.tensor([features_BTM.shape[1]]))])


def fp8(shape: Shape, device: str) -> Hears:
    """`graphs`, the feed-forward layers in 8-bit floats."""
    return graphs(shape, device, to_8_bits)


def fused(shape: Shape, device: str, *changes: Callable[[Encoder], None]) -> Hears:
    """`graphs`, with all kernels: attention, subsampling, convolution and rounds."""
    if device == "cpu":
        raise ModuleNotFoundError("the kernels run on a GPU; their tests run them in an interpreter")
    from shoptalk.engine.gpu.layers import FusedEncoder
    from shoptalk.engine.gpu.rounds import FusedLooping

    encoder, transducer = encoders_of(shape, device)
    for change in changes:
        change(encoder)
    pipeline = Pipeline(encoder, FusedLooping(transducer), padded=FusedEncoder(encoder))

    def hears(batches: Iterable[Batch]) -> Iterator[int]:
        for found in pipeline.decode(batches):
            yield sum(len(row.tokens) for row in found)

    return hears


def fused_fp8(shape: Shape, device: str) -> Hears:
    """`fused`, the feed-forward layers in 8-bit floats."""
    return fused(shape, device, to_8_bits)


def parakeet_for_tdt(shape: Shape) -> Any:
    """transformers' model of a shape, with random weights in float32."""
    from transformers import ParakeetEncoderConfig, ParakeetForTDT, ParakeetTDTConfig

    encoder = ParakeetEncoderConfig(
        hidden_size=shape.d_model, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        intermediate_size=4 * shape.d_model, num_mel_bins=shape.mels, subsampling_conv_channels=shape.channels,
        attention_bias=False, convolution_bias=False, scale_input=False,
    )  # fmt: skip
    config = ParakeetTDTConfig(
        vocab_size=shape.vocabulary + 1, decoder_hidden_size=shape.predictor, num_decoder_layers=shape.predictor_layers,
        durations=list(DURATIONS), encoder_config=encoder, blank_token_id=shape.vocabulary,
        pad_token_id=shape.vocabulary,
    )  # fmt: skip
    return ParakeetForTDT(config)


def transformers(shape: Shape, device: str) -> Hears:
    """ParakeetForTDT."""
    model = parakeet_for_tdt(shape).eval().to(device, torch.bfloat16)
    with torch.inference_mode():
        settle_joint(model.joint.head.bias, shape.vocabulary)
    model.generation_config.decoder_start_token_id = shape.vocabulary

    def hears(batches: Iterable[Batch]) -> Iterator[int]:
        for features_BTM, frames_B in batches:
            mask_BT = torch.arange(features_BTM.shape[1], device=device) < frames_B.to(device)[:, None]
            found = model.generate(input_features=features_BTM, attention_mask=mask_BT.long())
            yield int((found.sequences.cpu()[:, 1:] != shape.vocabulary).sum())

    return hears


def model_section(shape: Shape) -> Any:
    """A shape as the recipe's section `model`."""
    from shoptalk.core.recipe import ModelSection

    return ModelSection(
        d_model=shape.d_model,
        layers=shape.layers,
        heads=shape.heads,
        subsampling_channels=shape.channels,
        mels=shape.mels,
        predictor=shape.predictor,
        joint=shape.joint,
        vocabulary=shape.vocabulary,
        durations=DURATIONS,
    )


def nemo(shape: Shape, device: str) -> Hears:
    """EncDecRNNTBPEModel with its label looping; its prediction network has one layer, as the bases' has."""
    from shoptalk.integrations import nemo
    from shoptalk.tuning.tokenizer import train_tokenizer

    texts = read_text(Path("models/shoptalk-base-en-tiny/training-text.txt.xz")).splitlines()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = train_tokenizer(texts, Path(folder) / "tokenizer", vocabulary=shape.vocabulary)
        model = nemo.build(model_section(shape), tokenizer, sigma=0.0, omega=0.0).eval().to(device)
    with torch.inference_mode():
        settle_joint(model.joint.joint_net[-1].bias, shape.vocabulary)

    def hears(batches: Iterable[Batch]) -> Iterator[int]:
        for features_BTM, frames_B in batches:
            with torch.autocast(device, dtype=torch.bfloat16):
                asked = {"processed_signal": features_BTM.mT.float(), "processed_signal_length": frames_B.to(device)}
                encoded, lengths = model(**asked)
            found = model.decoding.rnnt_decoder_predictions_tensor(encoded.float(), lengths, return_hypotheses=True)
            yield sum(len(one.y_sequence) for one in found)

    return hears


PATHS: dict[str, Callable[[Shape, str], Hears]] = {
    one.__name__: one for one in (plain, fused, fused_fp8, graphs, triton, fp8, looping, transformers, nemo)
}
"""Last what is not ours: a failed kernel costs the process its card, and so all that follows."""
FOREIGN = ("transformers", "nemo")
FAILURES = (ImportError, RuntimeError, TypeError, ValueError, AttributeError, KeyError)


def timed(
    hears: Hears, batches: Iterable[Batch], *, clock: Callable[[], float], wait: Callable[[], None]
) -> tuple[float, int]:
    """Seconds and tokens of one run over all batches."""
    wait()
    start = clock()
    tokens = sum(hears(batches))
    wait()
    return clock() - start, tokens


class Front:
    """What comes before all paths: WAV files, and features on the device."""

    def __init__(self, shape: Shape, device: str, folder: Path, clips: int, clip_s: float):
        generator, self.device = np.random.default_rng(1), device
        mel_points = torch.rand(1, shape.mels, shape.n_fft // 2 + 1, generator=torch.Generator().manual_seed(1))
        self.features = Features(shape, torch.hann_window(400, periodic=False), mel_points).to(device)
        noise = generator.normal(0, 0.1, (clips, round(clip_s * SAMPLE_RATE_HZ)))
        self.files = [folder / f"{number}.wav" for number in range(clips)]
        for file, samples_S in zip(self.files, noise, strict=True):
            soundfile.write(file, samples_S, SAMPLE_RATE_HZ)
        self.length = noise.shape[1]
        self.readers = min(READERS, cores())

    def read(self, files: Sequence[Path]) -> Batch:
        return self.features_of(self.samples(files))

    def features_of(self, signal_BS: torch.Tensor) -> Batch:
        samples_B = torch.full((len(signal_BS),), signal_BS.shape[1])
        if self.device != "cpu":
            signal_BS = signal_BS.to(self.device, non_blocking=True)
        features_BTM, frames_B = self.features(signal_BS, samples_B)
        return features_BTM.to(torch.bfloat16), frames_B

    def batches(self, batch: int, count: int) -> Iterator[Batch]:
        """Batches whose files are read by threads, `AHEAD` batches before they are asked for."""
        with ThreadPoolExecutor(self.readers) as pool:
            waiting: deque[tuple[torch.Tensor, list[Future[None]]]] = deque()
            for number in range(count):
                numbers = range(number * batch, (number + 1) * batch)
                waiting.append(self._reading([self.files[position % len(self.files)] for position in numbers], pool))
                if len(waiting) > AHEAD:
                    yield self._read(*waiting.popleft())
            while waiting:
                yield self._read(*waiting.popleft())

    def _reading(self, files: Sequence[Path], pool: ThreadPoolExecutor) -> tuple[torch.Tensor, list[Future[None]]]:
        """Memory for a batch, and what fills it."""
        signal_BS, part = self.memory(len(files)), -(-len(files) // self.readers)
        starts = range(0, len(files), part)
        return signal_BS, [
            pool.submit(fill, files[start : start + part], signal_BS[start : start + part]) for start in starts
        ]

    def _read(self, signal_BS: torch.Tensor, parts: Sequence[Future[None]]) -> Batch:
        for part in parts:
            part.result()
        return self.features_of(signal_BS)

    def memory(self, batch: int) -> torch.Tensor:
        """(B, S), unwritten, in memory that a GPU can fetch itself."""
        return torch.empty(batch, self.length, pin_memory=self.device != "cpu")

    def settle(self, batch: int) -> None:
        """Let the memory of all batches ahead be there, as it is in a process that goes on: to pin it takes long."""
        held = [self.memory(batch) for _ in range(AHEAD + 2)]
        held.clear()

    def samples(self, files: Sequence[Path]) -> torch.Tensor:
        """(B, S) of files of one length."""
        signal_BS = self.memory(len(files))
        fill(files, signal_BS)
        return signal_BS


def fill(files: Sequence[Path], signal_BS: torch.Tensor) -> None:
    for file, row_S in zip(files, signal_BS.numpy(), strict=True):
        soundfile.read(file, dtype="float32", out=row_S)


def measure(  # noqa: PLR0913
    hears: Hears, front: Front, *, batches: Sequence[int], clips: int, clip_s: float, latencies: int, run_s: float,
    clock: Callable[[], float], wait: Callable[[], None], note: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:  # fmt: skip
    """RTFx by both clocks at each batch size, and the latency of one clip; None where memory did not suffice.

    `note` gets what is found so far after each batch size.
    """
    began = clock()
    found: dict[str, Any] = {"inner": {}, "outer": {}, "tokens_per_clip": None, "latency_ms": None}
    one = front.read(front.files[:1])
    tried_s = [timed(hears, [one], clock=clock, wait=wait)[0] for _ in range(WARM_UPS)][-1]
    count = max(LEAST_BATCHES, int(min(latencies, run_s / tried_s)))
    runs = [timed(hears, [one], clock=clock, wait=wait)[0] for _ in range(count)]
    slow_s = sorted(runs)[round(0.95 * (len(runs) - 1))]
    found["latency_ms"] = {"median": round(1e3 * statistics.median(runs), 3), "p95": round(1e3 * slow_s, 3)}
    for batch in batches:
        try:
            ready = front.read(front.files[:batch])
            timed(hears, [ready] * FIRST, clock=clock, wait=wait)  # captures, and chooses kernels
            tried_s, _ = timed(hears, [ready] * FIRST, clock=clock, wait=wait)
            count = max(LEAST_BATCHES, int(min(clips // batch, run_s * FIRST / tried_s)))
            audio_s = count * batch * clip_s
            inner_s, tokens = timed(hears, [ready] * count, clock=clock, wait=wait)
            front.settle(batch)
            outer_s, _ = timed(hears, front.batches(batch, count), clock=clock, wait=wait)
        except torch.OutOfMemoryError:
            found["inner"][batch] = found["outer"][batch] = None
            continue
        found["tokens_per_clip"] = round(tokens / (count * batch), 2)
        found["inner"][batch], found["outer"][batch] = round(audio_s / inner_s, 1), round(audio_s / outer_s, 1)
        found["took_s"] = round(clock() - began, 1)
        note(found)
    return found


def encoder_flops(shape: Shape, mel_frames: int) -> float:
    """Of the products and convolutions that one recording needs; the relative positions are computed once for all."""
    frames, width, heard = mel_frames / 8, shape.d_model, mel_frames * shape.mels
    layer = 23 * width**2 + shape.kernel * width + 3 * frames * width
    subsampling = heard / 4 * 9 + (heard / 16 + heard / 64) * (9 + shape.channels)
    return 2 * (
        frames * (shape.layers * layer + shape.channels * shape.mels // 8 * width) + subsampling * shape.channels
    )


def matrix_peak(device: str, width: int, *, clock: Callable[[], float], wait: Callable[[], None]) -> float:
    """Operations a second of the best of ten large products in bfloat16."""
    left, right = (torch.randn(width, width, device=device).to(torch.bfloat16) for _ in range(2))
    taken = []
    for _ in range(10 + WARM_UPS):
        wait()
        start = clock()
        left @ right
        wait()
        taken.append(clock() - start)
    return 2 * width**3 / min(taken[WARM_UPS:])


def profile(hears: Hears, front: Front, batch: int, *, wait: Callable[[], None]) -> dict[str, Any]:
    """Milliseconds a batch of the kernels that cost most, by name."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    ready = [front.read(front.files[:batch])] * LEAST_BATCHES
    timed(hears, ready, clock=time.perf_counter, wait=wait)
    with profiler(activities=[ProfilerActivity.CUDA if front.device == "cuda" else ProfilerActivity.CPU]) as seen:
        taken_s, _ = timed(hears, ready, clock=time.perf_counter, wait=wait)
    costs: dict[str, list[float]] = {}
    for event in seen.events():
        took_us = event.device_time_total if front.device == "cuda" else event.self_cpu_time_total
        cost = costs.setdefault(event.name[:120], [0.0, 0])
        cost[0] += took_us / 1e3 / len(ready)
        cost[1] += 1 / len(ready)
    dearest = sorted(costs.items(), key=lambda item: -item[1][0])[:PROFILED]
    return {
        "batch": batch,
        "batch_ms": round(1e3 * taken_s / len(ready), 3),
        "kernels_ms": round(sum(ms for ms, _ in costs.values()), 3),
        "kernels": [{"name": name, "ms": round(ms, 3), "calls": round(calls)} for name, (ms, calls) in dearest],
    }


def compare(
    arguments: argparse.Namespace, clock: Callable[[], float], wait: Callable[[], None],
    save: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:  # fmt: skip
    """All paths in turn, each alone in memory; those that cannot run here are told with the reason. What is there is
    saved after each batch size."""
    shape, device = shape_of(arguments.size), arguments.device
    peak = matrix_peak(device, PEAK_WIDTH if device == "cuda" else 256, clock=clock, wait=wait)
    flops = encoder_flops(shape, round(arguments.clip_s * 100))
    paths, absent, profiles = {}, {}, {}
    figures = {"matrix_tflops": float(f"{peak / 1e12:.4g}"), "encoder_gflop_per_clip": float(f"{flops / 1e9:.4g}")}
    result = {**figures, "paths": paths, "absent": absent, "profiles": profiles}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        front = Front(shape, device, Path(folder), max(arguments.batches), arguments.clip_s)

        def note(name: str, found: dict[str, Any]) -> None:
            per_clip = flops / arguments.clip_s / peak
            shares = {batch: rate and round(rate * per_clip, 4) for batch, rate in found["inner"].items()}
            paths[name] = {**found, "share_of_peak": shares}
            save(result)

        def run(name: str) -> None:
            try:
                hears = PATHS[name](shape, device)
                found = measure(
                    hears, front, batches=arguments.batches, clips=arguments.clips, clip_s=arguments.clip_s,
                    latencies=arguments.latencies, run_s=arguments.run_s, clock=clock, wait=wait,
                    note=functools.partial(note, name),
                )  # fmt: skip
                note(name, found)
            except FAILURES as error:  # of code that is not ours, or new: the others are measured all the same
                absent[name] = f"{type(error).__name__}: {error}"
                save(result)

        def look_into(name: str) -> None:
            if name not in paths:
                return
            hears = PATHS[name](shape, device)
            profiles[name] = []
            for batch in sorted({min(arguments.batches), max(arguments.batches)}):
                profiles[name].append(profile(hears, front, batch, wait=wait))
                save(result)

        # profiles behind all our figures, since they take as long; before what may cost the process its card
        jobs = [(run, name) for name in arguments.paths if name not in FOREIGN]
        jobs += [(look_into, name) for name in arguments.profile]
        jobs += [(run, name) for name in arguments.paths if name in FOREIGN]
        for job, name in jobs:
            job(name)
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()
    return result


def table(result: dict[str, Any]) -> str:
    """RTFx of the inner and outer clock by path and batch, and latency."""
    batches = list(next(iter(result["paths"].values()))["inner"]) if result["paths"] else []
    lines = ["| path | latency, ms | " + " | ".join(f"batch {batch}" for batch in batches) + " |"]
    lines.append("|---|---" + "|---" * len(batches) + "|")
    for name, found in result["paths"].items():
        cells = [f"{found['inner'][batch]} / {found['outer'][batch]}" for batch in batches]
        lines.append(f"| {name} | {found['latency_ms']['median']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(f"{name} did not run: {reason}" for name, reason in result["absent"].items())])


def about(arguments: argparse.Namespace) -> dict[str, Any]:
    commit = ""
    if shutil.which("git"):  # a machine that only computes may have none
        told = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        commit = "" if told.returncode else told.stdout.strip()
    is_cuda = arguments.device == "cuda"
    return {
        "command": " ".join(["python benchmarks/engine/gpu.py", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "commit": commit or "uncommitted",
        "device": torch.cuda.get_device_name() if is_cuda else platform.processor() or platform.machine(),
        "cuda": torch.version.cuda,
        "torch": torch.__version__,
        "size": arguments.size,
        "clip_s": arguments.clip_s,
        "clips": arguments.clips,
    }


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", help="the JSON; without it the JSON is only printed")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=tuple(SIZES), default="0.6b")
    parser.add_argument("--paths", nargs="+", choices=tuple(PATHS), default=list(PATHS))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--clips", type=int, default=CLIPS, help="clips of a timed run, at least four batches")
    parser.add_argument("--clip-s", type=float, default=CLIP_S)
    parser.add_argument("--latencies", type=int, default=LATENCIES, help="runs of one clip")
    parser.add_argument(
        "--run-s", type=float, default=math.inf, help="a timed run takes no more, if four batches do not"
    )
    parser.add_argument("--profile", nargs="*", choices=tuple(PATHS), default=[], help="paths whose kernels are told")
    arguments = parser.parse_args(words)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(NO_GPU)
    return arguments


def main() -> None:
    arguments = parsed()
    wait = torch.cuda.synchronize if arguments.device == "cuda" else lambda: None
    head = about(arguments)

    def save(result: dict[str, Any]) -> None:
        if arguments.target:
            arguments.target.parent.mkdir(parents=True, exist_ok=True)
            arguments.target.write_text(json.dumps({**head, **result}, indent=2) + "\n")

    result = compare(arguments, time.perf_counter, wait, save)
    print(json.dumps({**head, **result}, indent=2), table(result), sep="\n")


if __name__ == "__main__":
    main()
