"""Whether texts depend on what is recognised beside them, and what int8's scale for each row costs; writes JSON.

    python benchmarks/engine/batch_invariance.py [results/batch_invariance.json]

`texts`: how many of 64 recordings get another text, or other words, times or confidences, alone than in a batch, in
each precision. "int8, one scale" is how int8 was until one activation scale for the whole batch was replaced by one for
each row. `wer`: word errors of both on the base's test sets beside float32. `speed`: the encoder's CPU time with one
scale divided by that with a scale for each row, in turns on one thread; above 1 the rows are faster.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import accuracy
import numpy as np
import torch

from shoptalk.core import device, runtime
from shoptalk.core.examples import read_manifest
from shoptalk.core.recordings import load
from shoptalk.core.records import Example, Samples
from shoptalk.engine.int8 import LEVELS, SMALLEST
from shoptalk.engine.recognizer import Engine

RECORDINGS = 64
ROUNDS = 9
LOADS = ((1, 10), (16, 10), (1, 30), (4, 30))


class OneScaleLinear(torch.nn.Module):
    """A linear layer in 8 bits with one activation scale for all rows, as the engine had it."""

    def __init__(self, layer: torch.nn.Linear):
        super().__init__()
        weight_OI = layer.weight.detach()
        scale_O = weight_OI.abs().amax(dim=1).clamp(min=SMALLEST) / LEVELS
        zero_O = torch.zeros(len(scale_O), dtype=torch.long)
        quantized_OI = torch.quantize_per_channel(weight_OI, scale_O, zero_O, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(quantized_OI, layer.bias)
        self.outputs = len(scale_O)
        self.reduce_range = device.int8_activation_bits(device.processor()) < 8

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out_NO = torch.ops.quantized.linear_dynamic(x.flatten(0, -2), self.packed, self.reduce_range)
        return out_NO.view(*x.shape[:-1], self.outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/batch_invariance.json"))
    arguments = parser.parse_args()
    started = runtime.start(threads=1)
    rows = read_manifest(accuracy.TEST)
    engines = open_engines(started)
    result = {
        "command": "python benchmarks/engine/batch_invariance.py",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "model": accuracy.BASE.name,
        "texts": {name: changed(engine, rows) for name, engine in engines.items()},
        "speed": speed(engines, rows),
        "wer": errors(engines, rows),
    }
    arguments.target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def open_engines(started: runtime.Runtime) -> dict[str, Engine]:
    engines = {name: Engine(accuracy.BASE, precision=name, runtime=started) for name in ("fp32", "bf16", "int8")}
    one_scale = Engine(accuracy.BASE, runtime=started)
    with torch.inference_mode():
        for parent in list(one_scale.encoder.modules()):
            for name, layer in list(parent.named_children()):
                if isinstance(layer, torch.nn.Linear) and name != "position":
                    setattr(parent, name, OneScaleLinear(layer))
    return {**engines, "int8, one scale": one_scale}


def changed(engine: Engine, rows: Sequence[Example]) -> dict[str, int | float]:
    """Recordings whose texts or words differ, and the encoder's largest difference as a share of its largest value."""
    spoken = [load(row) for row in rows[:RECORDINGS]]
    together = engine.recognize(spoken)
    alone = [engine.recognize([samples_T])[0] for samples_T in spoken]
    encoded_BTD, frames_B = engine.encode(spoken[:16])
    differences = []
    for own_TD, frames, samples_T in zip(encoded_BTD, frames_B.tolist(), spoken, strict=False):
        alone_1TD, _ = engine.encode([samples_T])
        differences.append(float((own_TD[:frames] - alone_1TD[0]).abs().max() / alone_1TD.abs().max()))
    pairs = list(zip(alone, together, strict=True))
    return {
        "recordings": len(spoken),
        "texts_changed": sum(one.text != other.text for one, other in pairs),
        "words_times_or_confidences_changed": sum(one.words != other.words for one, other in pairs),
        "largest_difference_of_frames": max(differences),
    }


def speed(engines: dict[str, Engine], rows: Sequence[Example]) -> dict[str, dict[str, float]]:
    """By load: the median of paired ratios, and seconds of audio encoded in a second of CPU."""
    joined_T = np.concatenate([load(row) for row in rows[:200]])
    figures = {}
    for clips, seconds in LOADS:
        size = seconds * 16_000
        spoken = list(np.resize(joined_T, clips * size).reshape(clips, size))
        times: dict[str, list[float]] = {name: [] for name in engines if name != "bf16"}
        for _ in range(1 + ROUNDS):
            for name, own in times.items():
                own.append(encode_s(engines[name], spoken))
        ratios = [before / now for before, now in zip(times["int8, one scale"][1:], times["int8"][1:], strict=True)]
        rates = {name: round(clips * seconds / statistics.median(own[1:]), 1) for name, own in times.items()}
        figures[f"{clips} x {seconds} s"] = {"ratio": round(statistics.median(ratios), 3), **rates}
    return figures


def encode_s(engine: Engine, spoken: Sequence[Samples]) -> float:
    begun = time.thread_time()
    engine.encode(spoken)
    return time.thread_time() - begun


def errors(engines: dict[str, Engine], rows: Sequence[Example]) -> dict[str, Any]:
    """Word error rates by set and precision, and what each differs from float32, as `accuracy` computes them."""
    figures = {}
    for name in ("voices", "real"):
        part = [row for row in rows if (row.source == "synthetic") == (name == "voices")]
        spoken = [load(row) for row in part]
        references = [row.text for row in part]
        counts = {}
        for precision in ("fp32", "int8, one scale", "int8"):
            texts = [recognition.text for recognition in engines[precision].recognize(spoken)]
            counts[precision] = accuracy._counts(references, texts)
        clusters = [row.speaker if name == "real" else row.id for row in part]
        figures[name] = accuracy._compared(counts, clusters, against="fp32")
    return figures


if __name__ == "__main__":
    main()
