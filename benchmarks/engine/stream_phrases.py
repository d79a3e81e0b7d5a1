"""Phrases in streams beside phrases offline: terms found and invented, word error rates, and what they cost.

    python benchmarks/engine/stream_phrases.py RUN [results/stream_phrases.json]

RUN is a run folder with test sets and a tuned model; its lexicon's terms and their variants are the phrases. The
recordings of each test set are joined to streams of `JOINED`, so that words meet chunk borders. Offline gets the same
audio. Streams are fed together, eight at a time, in pieces of 80 ms. Counts are terms found, and terms invented in all
sets. The constants of boosting were chosen on these very sets for offline, not for streams.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from shoptalk.core import device, files
from shoptalk.core.examples import read_manifest
from shoptalk.core.protocols import PLAIN, Feed, Options, Phrase
from shoptalk.core.recipe import EngineSection
from shoptalk.core.recordings import load
from shoptalk.core.records import Samples, Term
from shoptalk.core.text import words
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.streaming import Streamer
from shoptalk.scoring import wer
from shoptalk.scoring.term_scores import tabulate
from shoptalk.stages.recognizers import open_both

JOINED = 4
TOGETHER = 8
PIECE = 1_280
WEIGHTS = (1.0, 2.0)


class Joined(NamedTuple):
    """Some recordings of a test set, one after the other."""

    set: str
    text: str
    samples_S: Samples


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/stream_phrases.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    terms = list(files.read(arguments.run / "10-lexicon.jsonl", Term))
    texts = sorted({text for term in terms for text in (term.text, *term.variants)})
    options = {"none": PLAIN}
    options |= {f"weight {weight:g}": Options(tuple(Phrase(text, weight) for text in texts)) for weight in WEIGHTS}
    engine, streamer = open_both(arguments.run / "60-train/tuned.nemo", EngineSection(), batch=TOGETHER)
    recordings = list(read(arguments.run))
    figures: dict[str, Any] = {}
    for name, own in options.items():
        offline, offline_s = timed(lambda own=own: offline_texts(engine, recordings, own))
        streamed, streamed_s = timed(lambda own=own: stream_texts(streamer, recordings, own))
        for way, said, seconds in (("offline", offline, offline_s), ("streams", streamed, streamed_s)):
            figures[f"{way}, phrases: {name}"] = {**scored(terms, recordings, said), "cpu_s": round(seconds, 1)}
    result = {
        "command": "python benchmarks/engine/stream_phrases.py RUN",
        "run": arguments.run.name,
        "date": f"{date.today()}",
        "machine": device.machine(),
        "phrases": len(texts),
        "audio_s": round(sum(recording.samples_S.size for recording in recordings) / 16_000),
        "figures": figures,
    }
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def read(run: Path) -> Iterator[Joined]:
    for path in sorted((run / "50-dataset").glob("test-*.jsonl")):
        rows = read_manifest(path)
        for start in range(0, len(rows), JOINED):
            own = rows[start : start + JOINED]
            samples_S = np.concatenate([load(row) for row in own])
            yield Joined(path.stem.removeprefix("test-"), " ".join(row.text for row in own), samples_S)


def timed(work: Any) -> tuple[list[str], float]:
    """What the work gives, and the processor time it took."""
    begin_s = time.process_time()
    texts: list[str] = work()
    return texts, time.process_time() - begin_s


def offline_texts(engine: Engine, recordings: Sequence[Joined], options: Options) -> list[str]:
    texts: list[str] = []
    for start in range(0, len(recordings), TOGETHER):
        audio = [recording.samples_S for recording in recordings[start : start + TOGETHER]]
        texts += [recognition.text for recognition in engine.recognize(audio, [options] * len(audio))]
    return texts


def stream_texts(streamer: Streamer, recordings: Sequence[Joined], options: Options) -> list[str]:
    texts: list[str] = []
    for start in range(0, len(recordings), TOGETHER):
        audio = [recording.samples_S for recording in recordings[start : start + TOGETHER]]
        streams = [streamer.open(options) for _ in audio]
        said: list[list[str]] = [[] for _ in audio]
        for at in range(0, max(samples_S.size for samples_S in audio), PIECE):
            running = [number for number, samples_S in enumerate(audio) if at < samples_S.size]
            feeds = [
                Feed(streams[number], audio[number][at : at + PIECE], at + PIECE >= audio[number].size)
                for number in running
            ]
            for number, partial in zip(running, streamer.feed(feeds), strict=True):
                said[number] += [word.word for word in partial.final]
        texts += [" ".join(own) for own in said]
    return texts


def scored(terms: Sequence[Term], recordings: Sequence[Joined], texts: Sequence[str]) -> dict[str, Any]:
    """Terms of each set that were spoken and found, its word error rate, and terms that nobody spoke."""
    figures: dict[str, Any] = {}
    inserted = 0
    for name in sorted({recording.set for recording in recordings}):
        pairs = [(own.text, text) for own, text in zip(recordings, texts, strict=True) if own.set == name]
        table = tabulate(terms, pairs)
        spoken, recognised, found = (int(n.sum()) for n in (table.reference_K, table.heard_K, table.found_K))
        inserted += recognised - found
        counts = wer.count_all((words(reference), words(text)) for reference, text in pairs)
        errors = int(counts[:, :3].sum()) / int(counts[:, 3].sum())
        figures[name] = {"terms": spoken, "found": found, "wer": round(errors, 4)}
    return {**figures, "invented": inserted}


if __name__ == "__main__":
    main()
