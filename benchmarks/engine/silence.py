"""Words that are invented where nobody speaks, and true words that are lost with them, without and with a VAD.

    python benchmarks/engine/silence.py [results/silence.json] [--model MODEL] [--utterances 60]

Sounds without speech: digital silence, tones, white and pink noise at several levels, chords, and the noise recordings
of split `test` at several levels. Speech: sentences of the base's test set as they are, at low levels, and under the
noises at several SNRs. Each is recognised by `Engine` without a VAD, and with one that drops words without speech. The
third column of speech has the share of words that the VAD took away though they were right. `boosted` is the same
without speech with the phrase "the" at weight 4. `cpu_s` is the processor time of recognition with the VAD, and
`vad_cpu_s` that of choosing what it listens to, listening and deciding in it. `graph_vad_cpu_s` is the same with the
VAD's graph read to the end by ONNX Runtime; `graph_same_words` tells whether it keeps the same words. Times are the
least of three runs.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from shoptalk.core import device, runtime
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.effects import add_noise
from shoptalk.core.examples import read_manifest
from shoptalk.core.models import store
from shoptalk.core.protocols import IsEnough, Options, Phrase
from shoptalk.core.recordings import load
from shoptalk.core.records import Example, Samples
from shoptalk.engine.invented import speech_only
from shoptalk.engine.recognizer import Engine, VadUse
from shoptalk.integrations import onnx, vad_silero
from shoptalk.scoring.wer import align, count_words, total
from shoptalk.testsets.conditions import noise_recordings
from shoptalk.testsets.wordless import Kinds, at_level, sounds_without_speech

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
TEST = ROOT / "assets/general/test.jsonl"
NOISE = ROOT / "assets/noise/manifest.jsonl"
SPEECH_LEVELS_DB = (-20, -30, -40, -50)
SNRS_DB = (10, 5, 0)
BOOST = Options(phrases=(Phrase("the", 4.0),))

T = TypeVar("T")


class GraphVad:
    """The VAD as its graph: ONNX Runtime reads frame after frame, side by side, and to the end."""

    frame_s = vad_silero.FRAME_S

    def __init__(self) -> None:
        self._session = onnx.session(store.path("silero-vad"), threads=1)

    def speech(self, samples_T: Samples) -> list[tuple[float, float]]:
        raise NotImplementedError("gaps are not filled here")

    def probabilities_of_each(
        self, audio: Sequence[Samples], is_enough: IsEnough | None = None
    ) -> list[npt.NDArray[np.float32]]:
        framed = [vad_silero.framed(samples_T) for samples_T in audio]
        by_length = sorted(range(len(audio)), key=lambda place: -len(framed[place]))
        speech_of_each = [np.zeros(len(frames_NT), np.float32) for frames_NT in framed]
        state_2BH = np.zeros((2, len(audio), vad_silero.STATE), np.float32)
        for step in range(max(map(len, framed), default=0)):
            places = [place for place in by_length if len(framed[place]) > step]
            frames_BT = np.stack([framed[place][step] for place in places])
            inputs = {"input": frames_BT, "state": state_2BH[:, : len(places)], "sr": np.array(SAMPLE_RATE_HZ)}
            speech_B1, state_2BH = self._session.run(None, inputs)
            for place, speech in zip(places, speech_B1[:, 0], strict=True):
                speech_of_each[place][step] = speech
        return speech_of_each


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/silence.json"))
    parser.add_argument("--model", type=Path, default=BASE)
    parser.add_argument("--utterances", type=int, default=60)
    arguments = parser.parse_args()
    runtime.start(threads=1)
    rng = np.random.default_rng(7)
    wordless = sounds_without_speech(rng, noise_recordings(NOISE))
    spoken = chosen_speech(arguments.utterances, rng)
    result: dict[str, Any] = {
        "command": f"python benchmarks/engine/silence.py --utterances {arguments.utterances}",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "model": arguments.model.name,
        "minutes_without_speech": round(sum(_minutes(clips) for clips in wordless.values()), 1),
    }
    for name, beam in (("greedy", 1), ("beam of 4", 4)):
        result[name] = measure(arguments.model, beam, wordless, spoken, rng)
        print(name, json.dumps(result[name], indent=1), flush=True)
    arguments.target.write_text(json.dumps(result, indent=1) + "\n")


def measure(
    model: Path, beam: int, wordless: Kinds, spoken: Sequence[tuple[str, Samples]], rng: np.random.Generator
) -> dict[str, Any]:
    """Invented words a minute, and word errors of speech, each without and with the VAD."""
    vad = vad_silero.load()
    without = Engine(model, beam=beam)
    checked = Engine(model, beam=beam, vad=VadUse(vad, fill_gaps=False))
    invented = {}
    for kind, clips in wordless.items():
        invented[kind] = {
            "before": _invented(without, clips, Options()),
            "after": _invented(checked, clips, Options()),
            "boosted_after": _invented(checked, clips, BOOST),
        }
    speech = {}
    for condition, recordings in conditions(spoken, rng):
        speech[condition] = _errors(without, checked, [text for text, _ in spoken], recordings)
    return {"invented_words_per_minute": invented, "speech": speech}


def chosen_speech(utterances: int, rng: np.random.Generator) -> list[tuple[str, Samples]]:
    """Texts and samples of so many sentences of each source of the test set, at least a second long."""
    by_source: dict[str, list[Example]] = {}
    for row in read_manifest(TEST):
        if row.duration_s >= 1:
            by_source.setdefault(row.source, []).append(row)
    spoken: list[tuple[str, Samples]] = []
    for rows in by_source.values():
        for place in rng.permutation(len(rows))[:utterances]:
            spoken.append((rows[place].text, load(rows[place])))
    return spoken


def conditions(spoken: Sequence[tuple[str, Samples]], rng: np.random.Generator) -> Iterator[tuple[str, list[Samples]]]:
    """The speech as it is, at levels, and under noise."""
    yield "as it is", [samples_T for _, samples_T in spoken]
    for level_db in SPEECH_LEVELS_DB:
        yield f"{level_db} dB", [at_level(samples_T.astype(np.float64), level_db) for _, samples_T in spoken]
    noises = [noise_T for _, noise_T in noise_recordings(NOISE)]
    for snr_db in SNRS_DB:
        noisy = []
        for _, samples_T in spoken:
            noise_T = noises[int(rng.integers(len(noises)))]
            noisy.append(add_noise(samples_T, np.roll(noise_T, int(rng.integers(noise_T.size))), snr_db=snr_db))
        yield f"SNR {snr_db} dB", noisy


def _invented(engine: Engine, clips: Sequence[Samples], options: Options) -> float:
    recognitions = engine.recognize(clips, [options] * len(clips))
    return round(sum(len(recognition.words) for recognition in recognitions) / _minutes(clips), 2)


def _minutes(clips: Sequence[Samples]) -> float:
    return sum(clip_T.size for clip_T in clips) / SAMPLE_RATE_HZ / 60


def _errors(without: Engine, checked: Engine, texts: Sequence[str], recordings: Sequence[Samples]) -> dict[str, Any]:
    recognitions = without.recognize(recordings)
    before = [recognition.text for recognition in recognitions]
    after = [recognition.text for recognition in checked.recognize(recordings)]
    right_before, right_after = _right(texts, before), _right(texts, after)
    graph = GraphVad()
    vad = checked.speech_vad
    kept, vad_cpu_s = _timed(lambda: speech_only(recordings, recognitions, vad))
    kept_by_graph, graph_vad_cpu_s = _timed(lambda: speech_only(recordings, recognitions, graph))
    _, without_cpu_s = _timed(lambda: without.recognize(recordings))
    return {
        "wer_before": _wer(texts, before),
        "wer_after": _wer(texts, after),
        "right_words_before": right_before,
        "right_words_lost": right_before - right_after,
        "cpu_s": round(without_cpu_s + vad_cpu_s, 3),
        "vad_cpu_s": round(vad_cpu_s, 3),
        "graph_vad_cpu_s": round(graph_vad_cpu_s, 3),
        "graph_same_words": kept == kept_by_graph,
    }


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and the least processor time of three runs in seconds."""
    times_s = []
    for _ in range(3):
        began = time.process_time()
        result = work()
        times_s.append(time.process_time() - began)
    return result, min(times_s)


def _wer(texts: Sequence[str], hypotheses: Sequence[str]) -> float:
    """In percent."""
    return round(100 * total(count_words(text, other) for text, other in zip(texts, hypotheses, strict=True)).rate, 2)


def _right(texts: Sequence[str], hypotheses: Sequence[str]) -> int:
    counts = [align(text, other).counts for text, other in zip(texts, hypotheses, strict=True)]
    return sum(count.reference - count.substitutions - count.deletions for count in counts)


if __name__ == "__main__":
    main()
