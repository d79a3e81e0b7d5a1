"""Streaming against offline on the same recordings: word error rate, latency and compute of some settings; writes JSON.

    python benchmarks/engine/streaming.py [results/streaming.json] [--each 2]

Utterances of one speaker are joined to recordings of 20 to 30 s, the first `--each` of every speaker of the general
test set. The tiny base hears them on one core, whole and as streams, of which eight are fed together, 80 ms at a time.
The intervals are those of 95 %, drawn by speakers. Features are normalised by the window, or for comparison by all that
was heard; the second half of the recordings may be louder by `later_db`. Latencies run from the end of a word, as the
model times it, until it is shown, and until it is final.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from shoptalk.core import device, files, text
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.examples import read_manifest
from shoptalk.core.protocols import Feed, Partial
from shoptalk.core.recordings import load
from shoptalk.core.records import Example, Samples, Word
from shoptalk.core.tokens import FRAME_S
from shoptalk.engine.features import STD_GUARD
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.streaming import Stream, Streamer, StreamSetting
from shoptalk.scoring import bootstrap, wer

ROOT = Path(__file__).parents[2]
TEST = ROOT / "assets/general/test.jsonl"
MODEL = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
SHORTEST_S, LONGEST_S = 20.0, 29.9
TOGETHER, SEED = 8, 7
PART = round(FRAME_S * SAMPLE_RATE_HZ)


class Run(NamedTuple):
    setting: StreamSetting
    normalised_by: str = "window"
    later_db: float = 0.0


RUNS = (
    Run(StreamSetting()),
    Run(StreamSetting(right_s=2.0)),
    Run(StreamSetting(chunk_s=2.0, right_s=2.0)),
    Run(StreamSetting(chunk_s=0.48, right_s=0.48)),
    Run(StreamSetting(left_s=4.96)),
    Run(StreamSetting(left_s=15.04)),
    Run(StreamSetting(first_s=0.0)),
    Run(StreamSetting(), "all heard"),
    Run(StreamSetting(), "window", -20.0),
    Run(StreamSetting(), "all heard", -20.0),
)


class Recording(NamedTuple):
    samples_S: Samples
    text: str
    speaker: str


class Shown(NamedTuple):
    """A final word with what of its stream had been heard when it was first shown, and when it became final."""

    word: Word
    first_s: float
    final_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/streaming.json"))
    parser.add_argument("--each", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engine = Engine(MODEL)
    recordings = {later_db: list(joined(arguments.each, later_db)) for later_db in {run.later_db for run in RUNS}}
    offline = {
        later_db: [engine.recognize([one.samples_S])[0].text for one in some] for later_db, some in recordings.items()
    }
    result = {
        "command": f"python benchmarks/engine/streaming.py --each {arguments.each}",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "model": MODEL.stem,
        "recordings": len(recordings[0.0]),
        "seconds": round(seconds(recordings[0.0])),
        "words": sum(len(text.words(one.text)) for one in recordings[0.0]),
        "offline_wer_by_later_db": {
            f"{db:g}": compared(recordings[db], said, said)["wer"] for db, said in offline.items()
        },
        "runs": [measured(engine, run, recordings[run.later_db], offline[run.later_db]) for run in RUNS],
    }
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def joined(each: int, later_db: float) -> Iterator[Recording]:
    """The first recordings of each speaker, from utterances as they follow on each other."""
    by_speaker: dict[str, list[Example]] = {}
    for row in read_manifest(TEST):
        by_speaker.setdefault(row.speaker, []).append(row)
    for speaker, rows in by_speaker.items():
        found, some = 0, []
        for row in rows:
            if sum(one.duration_s for one in (*some, row)) > LONGEST_S:
                some = []
            some.append(row)
            if sum(one.duration_s for one in some) > SHORTEST_S and found < each:
                samples_S = np.concatenate([load(one) for one in some])
                samples_S[samples_S.size // 2 :] *= 10 ** (later_db / 20)
                yield Recording(samples_S, " ".join(one.text for one in some), speaker)
                found, some = found + 1, []


def seconds(recordings: Sequence[Recording]) -> float:
    return sum(one.samples_S.size for one in recordings) / SAMPLE_RATE_HZ


def measured(engine: Engine, run: Run, recordings: Sequence[Recording], offline: Sequence[str]) -> dict[str, Any]:
    """One run: its rate and the difference to offline, its latency, its compute."""
    begin, heard = time.process_time(), []
    for start in range(0, len(recordings), TOGETHER):
        streamer = Streamer(engine, run.setting)
        if run.normalised_by == "all heard":
            streamer._features = ByAllHeard()  # type: ignore[method-assign]
        heard += streamed(streamer, recordings[start : start + TOGETHER])
    spent_s = time.process_time() - begin
    shown = [one for words in heard for one in words]
    return {
        **asdict(run.setting),
        "normalised_by": run.normalised_by,
        "later_db": run.later_db,
        **compared(recordings, offline, [" ".join(one.word.word for one in words) for words in heard]),
        "mean_wait_s": round(run.setting.chunk_s / 2 + run.setting.right_s, 2),
        "shown_after_s": spread([one.first_s - one.word.end_s for one in shown]),
        "final_after_s": spread([one.final_s - one.word.end_s for one in shown]),
        "times_real_time_a_core": round(seconds(recordings) / spent_s, 1),
    }


class ByAllHeard:
    """Normalises windows by the mean and deviation of all frames that their stream had so far."""

    def __init__(self) -> None:
        self.sums_2M: dict[Stream, torch.Tensor] = {}
        self.counts: dict[Stream, int] = {}

    def __call__(self, stream: Stream) -> torch.Tensor:
        fresh_TM = stream.logmel_TM[len(stream.logmel_TM) - stream.mel_frames + self.counts.get(stream, 0) :].double()
        fresh_2M = torch.stack((fresh_TM, fresh_TM.square())).sum(dim=1)
        self.sums_2M[stream] = self.sums_2M.get(stream, 0.0) + fresh_2M
        self.counts[stream] = stream.mel_frames
        mean_M, squares_M = self.sums_2M[stream] / stream.mel_frames
        deviation_M = (squares_M - mean_M.square()).clamp(min=0.0).sqrt()
        return ((stream.logmel_TM - mean_M) / (deviation_M + STD_GUARD)).float()


def streamed(streamer: Streamer, recordings: Sequence[Recording]) -> list[list[Shown]]:
    """The words of some recordings that are fed together, each until it ends."""
    streams = [streamer.open() for _ in recordings]
    finals: list[list[Shown]] = [[] for _ in recordings]
    first_s: list[dict[tuple[str, float], float]] = [{} for _ in recordings]
    for at in range(0, max(one.samples_S.size for one in recordings), PART):
        running = [number for number, one in enumerate(recordings) if at < one.samples_S.size]
        feeds = [
            Feed(streams[n], recordings[n].samples_S[at : at + PART], at + PART >= recordings[n].samples_S.size)
            for n in running
        ]
        for number, partial in zip(running, streamer.feed(feeds), strict=True):
            note(partial, streams[number].length_s, finals[number], first_s[number])
    return finals


def note(partial: Partial, heard_s: float, finals: list[Shown], first_s: dict[tuple[str, float], float]) -> None:
    for word in (*partial.final, *partial.tentative):
        first_s.setdefault((word.word, word.start_s), heard_s)
    finals += [Shown(word, first_s[word.word, word.start_s], heard_s) for word in partial.final]


def compared(recordings: Sequence[Recording], offline: Sequence[str], heard: Sequence[str]) -> dict[str, Any]:
    """The word error rate and its difference to offline, as fractions with their intervals."""
    said = [text.words(one.text) for one in recordings]
    offline_N4, heard_N4 = (wer.count_all(zip(said, map(text.words, one), strict=True)) for one in (offline, heard))
    draws = bootstrap.draw([one.speaker for one in recordings], draws=2_000, confidence=0.95, seed=SEED)
    before, after = ((one_N4[:, :3].sum(axis=1), one_N4[:, 3]) for one_N4 in (offline_N4, heard_N4))
    _, rate, difference = bootstrap.paired(before, after, draws)
    return {"wer": rounded(rate), "difference": rounded(difference)}


def rounded(interval: bootstrap.Interval) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in asdict(interval).items()}


def spread(seconds: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 2), "p90": round(float(np.quantile(seconds, 0.9)), 2)}


if __name__ == "__main__":
    main()
