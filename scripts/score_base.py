"""Score a base on everything it has not heard: results/base.json, with bootstrap intervals.

    python scripts/score_base.py models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo --size tiny

Test sentences in four unheard voices, the same by another engine (after `scripts/other_engine.py`, else null), real
speech of unheard speakers and characters; all but the other engine's also under noise that was kept from training, at
20, 10 and 5 dB, and through a telephone. `_beam` is the engine with a beam of 4. Words invented in silence, tones and
noise are counted without a VAD, and with it as `with_vad`. Word starts are held against the times at which Kokoro says
the words.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from shoptalk.core import device, effects, files
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.examples import read_manifest
from shoptalk.core.models import store
from shoptalk.core.protocols import Recognizer
from shoptalk.core.recordings import load
from shoptalk.core.records import Samples
from shoptalk.engine.recognizer import Engine, VadUse
from shoptalk.integrations import nemo, vad_silero
from shoptalk.integrations.kokoro import BeforeVocoder, load_published
from shoptalk.scoring import bootstrap
from shoptalk.scoring.wer import count_words
from shoptalk.scoring.word_times import matched
from shoptalk.testsets.conditions import noise_recordings, under_noise
from shoptalk.testsets.wordless import sounds_without_speech

RESULTS = Path("results/base.json")
TEST = Path("assets/general/test.jsonl")
NOISE = Path("assets/noise/manifest.jsonl")
OTHER_ENGINE = Path(".local/base/other-engine.jsonl")
REAL = {"real_native": "fotaq", "real_learners": "speechocean762"}
SNR_DB = (20, 10, 5)
TIMED_SENTENCES = 40
BEAM = 4
DRAWS, CONFIDENCE, SEED = 2_000, 0.95, 7

Effect = Callable[[str, Samples], Samples]
"""(id, samples) → samples as they are heard."""


class Test(NamedTuple):
    """A test set: ids with their texts and samples, and what the bootstrap draws together."""

    ids: Sequence[str]
    texts: Sequence[str]
    samples: Sequence[Samples]
    clusters: Sequence[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--size", required=True, choices=("tiny", "small"))
    arguments = parser.parse_args()
    publish_scores(arguments.size, arguments.model, {})


def publish_scores(size: str, path: Path, more: dict[str, Any]) -> dict[str, Any]:
    """Score a base, write that and `more` about it into `RESULTS`, print and return it."""
    model = nemo.restore(path)
    recognizer = Engine(path)  # greedy, it agrees with NeMo in every word
    held = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"tiny": None, "small": None}
    scores = {
        **(held[size] or {}),
        "parameters": sum(p.numel() for p in model.parameters()),
        **_word_errors(recognizer),
        **_by_beam(path),
        "invented_words_per_minute": _invented(path),
        "word_start_error_ms": _word_starts(recognizer),
        **more,
        "command": f"python scripts/score_base.py {path} --size {size}",
        "date": f"{date.today()}",
        "machine": device.machine(),
    }
    files.write_text(RESULTS, json.dumps({**held, size: scores}, indent=1) + "\n")
    for key, one in scores.items():
        if key.startswith("wer_") and one:
            print(f"{key:32} {100 * one['value']:5.1f} % [{100 * one['low']:.1f}, {100 * one['high']:.1f}]")
    print(f"{'word_start_error_ms':32} {scores['word_start_error_ms']}")
    return scores


def _word_errors(recognizer: Recognizer) -> dict[str, Any]:
    voices = _test(TEST, "synthetic")
    real = {group: _test(TEST, source) for group, source in REAL.items()}
    every = _joined(real.values())
    score = partial(_score, recognizer)
    found = {"wer_unheard_voices": score(voices), "wer_other_engine": None, "wer_real": score(every)}
    if OTHER_ENGINE.is_file():
        found["wer_other_engine"] = score(_test(OTHER_ENGINE))
    found |= {f"wer_{group}": score(part) for group, part in real.items()}
    noise = noise_recordings(NOISE)
    conditions: dict[str, Effect] = {
        f"noise_{snr_db}db": partial(under_noise, noise=noise, snr_db=snr_db, seed=SEED) for snr_db in SNR_DB
    }
    conditions["telephone"] = lambda _, samples_T: effects.telephone(samples_T)
    for name, effect in conditions.items():
        found |= {f"wer_{name}": score(voices, effect), f"wer_real_{name}": score(every, effect)}
    return found


def _by_beam(path: Path) -> dict[str, Any]:
    """Word errors of what is unheard, by the engine with a beam."""
    engine = Engine(path, beam=BEAM)
    real = _joined(_test(TEST, source) for source in REAL.values())
    return {
        "wer_unheard_voices_beam": _score(engine, _test(TEST, "synthetic")),
        "wer_real_beam": _score(engine, real),
    }


def _invented(path: Path) -> dict[str, Any]:
    """Words a minute where nobody speaks, without a VAD and with one."""
    kinds = sounds_without_speech(np.random.default_rng(SEED), noise_recordings(NOISE))
    clips = [clip_T for of_kind in kinds.values() for clip_T in of_kind]
    minutes = sum(clip_T.size for clip_T in clips) / SAMPLE_RATE_HZ / 60
    vad = VadUse(vad_silero.load(), fill_gaps=False)
    counts = {}
    for name, engine in (("value", Engine(path)), ("with_vad", Engine(path, vad=vad))):
        words = sum(len(recognition.words) for recognition in engine.recognize(clips))
        counts[name] = round(words / minutes, 2)
    return {**counts, "minutes": round(minutes, 1)}


def _joined(tests: Iterable[Test]) -> Test:
    return Test(*(list(chain.from_iterable(columns)) for columns in zip(*tests, strict=True)))


def _test(path: Path, source: str = "") -> Test:
    """The lines of a manifest, of one source if one is named.

    A sentence of a synthesiser is its own cluster: so few voices are too few to draw from.
    """
    rows = [row for row in read_manifest(path) if not source or row.source == source]
    clusters = [row.speaker if source in REAL.values() else row.id for row in rows]
    samples = [load(row) for row in rows]
    return Test([row.id for row in rows], [row.text for row in rows], samples, clusters)


def _score(recognizer: Recognizer, test: Test, effect: Effect = lambda _, samples_T: samples_T) -> dict[str, Any]:
    heard = recognizer.recognize([effect(*pair) for pair in zip(test.ids, test.samples, strict=True)])
    counts = [count_words(reference, one.text) for reference, one in zip(test.texts, heard, strict=True)]
    rate = (np.array([one.errors for one in counts]), np.array([one.reference for one in counts]))
    draws = bootstrap.draw(test.clusters, draws=DRAWS, confidence=CONFIDENCE, seed=SEED)
    interval, _, _ = bootstrap.paired(rate, rate, draws)
    return {
        "value": interval.value, "low": interval.low, "high": interval.high,
        "words": int(rate[1].sum()), "utterances": len(counts),
    }  # fmt: skip


def _word_starts(recognizer: Recognizer) -> dict[str, Any]:
    """How far the starts of rightly heard words are from where Kokoro says them, in ms; test sentences spoken anew."""
    rows = [row for row in read_manifest(TEST) if row.source == "synthetic"][:TIMED_SENTENCES]
    before, whole = BeforeVocoder(store.path("kokoro-voices")), load_published()
    said = [before.of(row.text, voice=row.speaker, speed=1.0).words for row in rows]
    spoken = [whole.speak_untrimmed(row.text, voice=row.speaker, speed=1.0, pronunciations={}) for row in rows]
    late_ms = [1000 * (there.start_s - here.start_s)
               for words, heard in zip(said, recognizer.recognize(spoken), strict=True)
               for here, there in matched(words, heard.words)]  # fmt: skip
    draws = np.random.default_rng(SEED).choice(np.abs(late_ms), (DRAWS, len(late_ms)))
    low, high = np.quantile(np.median(draws, axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {
        "value": round(median(map(abs, late_ms)), 1), "low": round(float(low), 1), "high": round(float(high), 1),
        "median_late_ms": round(median(late_ms), 1), "words": len(late_ms), "sentences": len(rows),
    }  # fmt: skip


if __name__ == "__main__":
    main()
