"""The word error rate of every way in which the engine can hear, on the base's test sets, and how it differs from
float32 (and float32 from NeMo), with paired bootstrap intervals; writes JSON.

    python benchmarks/engine/accuracy.py [results/engine-accuracy.json]

`voices`: sentences in four voices that the base never heard. `real`: people that it never heard. `joined`: the voices'
sentences joined to recordings of a minute and a half, heard in windows, in one pass with local attention, and as
streams; held against the same sentences heard alone.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from shoptalk.core import device
from shoptalk.core.examples import read_manifest
from shoptalk.core.recordings import load
from shoptalk.core.records import Example, Samples
from shoptalk.engine.recognizer import Engine
from shoptalk.scoring import bootstrap
from shoptalk.scoring.wer import count_words

BASE = Path("models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo")
TEST = Path("assets/general/test.jsonl")
JOINED_S = 90.0
REACH = 128
"""Frames of local attention to each side: ten seconds."""

Hears = Callable[[Sequence[Samples]], Sequence[str]]
Counts = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/engine-accuracy.json"))
    arguments = parser.parse_args()
    result = {
        "command": "python benchmarks/engine/accuracy.py",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "model": BASE.name,
        **measure(read_manifest(TEST)),
    }
    arguments.target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measure(rows: Sequence[Example]) -> dict[str, Any]:
    """Rates and differences by set and way."""
    sets = {
        "voices": [row for row in rows if row.source == "synthetic"],
        "real": [row for row in rows if row.source != "synthetic"],
    }
    engine = Engine(BASE)
    precisions: dict[str, Hears] = {
        "nemo": _nemo(),
        "fp32": _texts(engine),
        "bf16": _texts(Engine(BASE, precision="bf16")),
        "int8": _texts(Engine(BASE, precision="int8")),
        "beam of 4": _texts(Engine(BASE, beam=4)),
    }
    found: dict[str, Any] = {}
    for name, part in sets.items():
        spoken = [load(row) for row in part]
        references = [row.text for row in part]
        counts = {way: _counts(references, hears(spoken)) for way, hears in precisions.items()}
        clusters = [row.speaker if name == "real" else row.id for row in part]
        found[name] = _compared(counts, clusters, against="fp32")
        print(name, {way: one["wer"] for way, one in found[name].items()}, flush=True)
    found["joined"] = _joined(engine, sets["voices"])
    return found


def _joined(engine: Engine, rows: Sequence[Example]) -> dict[str, Any]:
    """Long recordings of one voice each, against their sentences heard alone."""
    alone, spoken, references = [], [], []
    for part in _recordings(rows):
        sentences = [load(row) for row in part]
        alone.append(" ".join(one.text for one in engine.recognize(sentences)))
        spoken.append(np.concatenate(sentences))
        references.append(" ".join(row.text for row in part))
    local = Engine(BASE, reach=REACH)
    ways = {"windows": _texts(engine), "local_attention": _texts(local), "streaming": _stream(engine)}
    heard = {"alone": alone, **{name: hears(spoken) for name, hears in ways.items()}}
    counts = {way: _counts(references, texts) for way, texts in heard.items()}
    compared = _compared(counts, [str(number) for number in range(len(spoken))], against="alone")
    return {"recordings": len(spoken), "seconds": round(sum(one.size for one in spoken) / 16_000, 1), **compared}


def _recordings(rows: Sequence[Example]) -> list[list[Example]]:
    found: list[list[Example]] = []
    for _, same in groupby(sorted(rows, key=lambda row: row.speaker), key=lambda row: row.speaker):
        part: list[Example] = []
        for row in same:
            part.append(row)
            if sum(one.duration_s for one in part) >= JOINED_S:
                found.append(part)
                part = []
        found += [part] if part else []
    return found


def _compared(counts: Mapping[str, Counts], clusters: Sequence[str], *, against: str) -> dict[str, Any]:
    draws = bootstrap.draw(clusters, draws=2_000, confidence=0.95, seed=7)
    found = {}
    for way, one in counts.items():
        _, rate, difference = bootstrap.paired(counts[against], one, draws)
        found[way] = {"wer": _points(rate), f"minus_{against}": _points(difference)}
    return found


def _points(interval: bootstrap.Interval) -> list[float | None]:
    """Value, low and high in percent."""
    return [None if one is None else round(100 * one, 2) for one in (interval.value, interval.low, interval.high)]


def _counts(references: Sequence[str], heard: Sequence[str]) -> Counts:
    counts = [count_words(reference, one) for reference, one in zip(references, heard, strict=True)]
    return np.array([float(one.errors) for one in counts]), np.array([float(one.reference) for one in counts])


def _texts(engine: Engine) -> Hears:
    return lambda spoken: [one.text for one in engine.recognize(spoken)]


def _nemo() -> Hears:
    from shoptalk.integrations import nemo

    recognizer = nemo.NemoRecognizer(nemo.restore(BASE), batch=16)
    return lambda spoken: [one.text for one in recognizer.recognize(spoken)]


def _stream(engine: Engine) -> Hears:
    from shoptalk.core.protocols import Feed
    from shoptalk.engine.streaming import Streamer, StreamSetting

    streamer = Streamer(engine, StreamSetting())

    def said(samples_S: Samples) -> str:
        [partial] = streamer.feed([Feed(streamer.open(), samples_S, True)])
        return " ".join(word.word for word in partial.final)

    return lambda spoken: [said(one) for one in spoken]


if __name__ == "__main__":
    main()
