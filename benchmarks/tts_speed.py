"""Kokoro on one thread, the published graph against the one that is chosen here: how fast, and how alike they sound.

Run: python benchmarks/tts_speed.py [results/tts.json] [--sentences 100]. The graphs take turns, sentence by sentence,
so that a busy machine slows both alike; CPU time is given beside wall time for the same reason. The texts are those of
the general test set, spoken in test voices and in a blend. Moonshine transcribes what both say; the interval of the
difference in its WER is a paired bootstrap over sentences.
"""

import argparse
import json
import os
import subprocess
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from shoptalk.core import device
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.examples import read_manifest
from shoptalk.core.models import store
from shoptalk.core.records import Samples
from shoptalk.integrations import kokoro
from shoptalk.integrations.asr_moonshine import MoonshineRecognizer
from shoptalk.scoring import bootstrap
from shoptalk.scoring.wer import count_words

TEST = Path("assets/general/test.jsonl")
VOICES = ("af_kore", "bm_lewis", "am_liam", "am_adam*0.4+af_bella*0.6")
PUBLISHED = "published"
FLOOR_DB = -60.0
"""Below the loudest, mel bins count as silence."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/tts.json"))
    parser.add_argument("--sentences", type=int, default=100)
    given = parser.parse_args()
    result = {
        "command": f"python benchmarks/tts_speed.py --sentences {given.sentences}",
        "date": date.today().isoformat(),
        "commit": commit(),
        **device.machine(),
        "load_average": os.getloadavg()[0],
        "onnxruntime": onnxruntime.__version__,
        "threads": 1,
        "graph": chosen(),
        **measured(given.sentences),
    }
    given.target.parent.mkdir(parents=True, exist_ok=True)
    given.target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def chosen() -> str:
    return device.kokoro_graph(device.processor())


def measured(sentences: int) -> dict[str, Any]:
    speakers = {PUBLISHED: kokoro.load_published(), chosen(): kokoro.load()}
    texts = [row.text for row in read_manifest(TEST)][:sentences]
    spent = {name: np.zeros(3) for name in speakers}  # wall, CPU, audio seconds
    said: dict[str, list[Samples]] = {name: [] for name in speakers}
    for speaker in speakers.values():
        speaker.speak("Warm up.", voice=VOICES[0], speed=1.0, pronunciations={})
    for number, text in enumerate(texts):
        for name, speaker in speakers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            voice = VOICES[number % len(VOICES)]
            samples_T = speaker.speak_untrimmed(text, voice=voice, speed=1.0, pronunciations={})
            spent[name] += time.perf_counter() - wall, time.process_time() - cpu, samples_T.size / SAMPLE_RATE_HZ
            said[name].append(samples_T)
    return {
        "real_time_factor": {
            name: {"wall": round(wall / audio_s, 3), "cpu": round(cpu / audio_s, 3), "audio_s": round(audio_s, 1)}
            for name, (wall, cpu, audio_s) in spent.items()
        },
        **alike(said[PUBLISHED], said[chosen()]),
        **recognised(texts, said),
    }


def alike(published: list[Samples], other: list[Samples]) -> dict[str, Any]:
    """Samples, log-mel bins and levels of the same sentences; all lengths must be equal."""
    pairs = list(zip(published, other, strict=True))
    correlations = [float(np.corrcoef(a_T, b_T)[0, 1]) for a_T, b_T in pairs]
    distances_db = [float(np.abs(log_mel_db(a_T) - log_mel_db(b_T)).mean()) for a_T, b_T in pairs]
    levels_db = [10 * float(np.log10(np.square(b_T).sum() / np.square(a_T).sum())) for a_T, b_T in pairs]
    return {
        "correlation_of_samples": quartiles(correlations, digits=4),
        "log_mel_distance_db": quartiles(distances_db, digits=3),
        "level_difference_db": quartiles(levels_db, digits=3),
    }


def log_mel_db(samples_T: Samples) -> np.ndarray:
    import librosa

    power = librosa.feature.melspectrogram(y=samples_T, sr=SAMPLE_RATE_HZ, n_fft=512, hop_length=160, n_mels=80)
    return 10 * np.log10(np.maximum(power, power.max() * 10 ** (FLOOR_DB / 10)))


def quartiles(values: list[float], *, digits: int) -> dict[str, float]:
    names = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")
    quantiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
    return {name: round(float(value), digits) for name, value in zip(names, quantiles, strict=True)}


def recognised(texts: list[str], said: dict[str, list[Samples]]) -> dict[str, Any]:
    """Moonshine's WER of what each graph says, and the interval of the difference."""
    moonshine = MoonshineRecognizer(store.path("moonshine-tiny-en"), threads=1)
    counts = {}
    for name, recordings in said.items():
        recognitions = moonshine.recognize(recordings)
        scored = [count_words(text, heard.text) for text, heard in zip(texts, recognitions, strict=True)]
        errors = np.array([scores.errors for scores in scored])
        counts[name] = errors, np.array([scores.reference for scores in scored])
    draws = bootstrap.draw([str(number) for number in range(len(texts))], draws=2000, confidence=0.95, seed=7)
    _, _, difference = bootstrap.paired(counts[PUBLISHED], counts[chosen()], draws)
    words = int(counts[PUBLISHED][1].sum())
    return {
        "words": words,
        "moonshine_wer": {name: round(float(errors.sum()) / words, 4) for name, (errors, _) in counts.items()},
        "moonshine_wer_difference": {
            "value": round(float(difference.value or 0.0), 4),
            "low": round(float(difference.low or 0.0), 4),
            "high": round(float(difference.high or 0.0), 4),
            "confidence": 0.95,
        },
    }


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "uncommitted"


if __name__ == "__main__":
    main()
