"""Seconds of speech for each core-second of the corpus stages, against plain Kokoro in a loop; and 2 cores against 1.

Run: python benchmarks/corpus.py [results/corpus_speed.json] [--rounds 1] [--per-term 24] [--plain 60]

In each round, three programs take turns, so that a busy machine slows all alike:

- the corpus stages 30 to 50 (speech, augmentation, manifests) by the command line, on one core;
- the same on two cores;
- plain Kokoro: the published graph in ONNX Runtime with its default options, one sentence after the other, each written
  as FLAC. It speaks the first sentences of the same round, in the same voices.

The recordings of one core and of two must be the same bytes. A second of speech is one of stage 30's recordings, for
plain Kokoro that of the same sentence; augmented copies count for nothing. Core-seconds are CPU time of all processes,
from start to end; a process takes seconds to start, so small corpora show lower rates. The ratio of 2 cores to 1 is one
of wall time, and needs a machine that does nothing else.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from shoptalk.core import device, files
from shoptalk.core.audio import SAMPLE_RATE_HZ, flac
from shoptalk.core.records import Transcript, Utterance

PREPARING = ("lexicon", "transcripts")
STAGES = ("speech", "augment", "dataset")
OWN_SENTENCES = ("transcripts.live_carriers=0", "dataset.test_lists={}")
PROFILED = 24
"""Sentences whose parts are timed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/corpus_speed.json"))
    parser.add_argument("--recipe", type=Path, default=Path("recipes/demo.yaml"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--per-term", type=int, default=24, help="training sentences of each term that is trained")
    parser.add_argument("--plain", type=int, default=60, help="sentences of a round that plain Kokoro speaks")
    parser.add_argument("--speak-plainly", nargs=2, type=Path, metavar=("SPEECH", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.speak_plainly:
        speak_plainly(*given.speak_plainly, first=given.plain)
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = [*OWN_SENTENCES, f"transcripts.train_per_term={given.per_term}"]
        result = measured(Path(folder), given.recipe, settings, rounds=given.rounds, plain=given.plain)
    files.write_text(given.target, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measured(folder: Path, recipe: Path, settings: list[str], *, rounds: int, plain: int) -> dict[str, Any]:
    all_cores = sorted(os.sched_getaffinity(0))[:2]
    by_round = []
    for number in range(1, rounds + 1):
        runs = {}
        for cores in (all_cores[:1], all_cores):
            run = folder / f"round-{number}-cores-{len(cores)}"
            arguments = ["--recipe", str(recipe), "--run", str(run), "--set", f"seed={number}"]
            for setting in settings:
                arguments += ["--set", setting]
            for stage in PREPARING:
                shoptalk(stage, arguments, all_cores)
            spent = {stage: shoptalk(stage, arguments, cores) for stage in STAGES}
            runs[len(cores)] = {
                "speech_s": speech_s(run),
                "utterances": len(spoken(run)),
                "copies": copies(run),
                "stages": spent,
            }
            if len(cores) == 1:
                speech = run / "30-speech.jsonl"
                command = [sys.executable, __file__, "--plain", str(plain), "--speak-plainly", str(speech), str(folder)]
                wall_s, core_s = timed_run(command, all_cores)
                plainly = {"speech_s": speech_s(run, first=plain), "wall_s": wall_s, "core_s": core_s}
        by_round.append({"plain": plainly, "road": runs})
        if recordings(folder / f"round-{number}-cores-1") != recordings(run):
            raise SystemExit("the recordings of one core and of two are not the same")
        print(json.dumps(by_round[-1]), file=sys.stderr)
    return {
        "command": "python benchmarks/corpus.py " + " ".join(sys.argv[1:]),
        "date": date.today().isoformat(),
        "commit": commit(),
        **device.machine(),
        "load_average": os.getloadavg()[0],
        "graph": device.kokoro_graph(device.processor()),
        **summary(by_round),
        "parts_ms_per_speech_s": parts(folder / "round-1-cores-1"),
        "rounds": by_round,
    }


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of sums over all rounds."""
    plain = [measured["plain"] for measured in rounds]
    plain_rate = sum(run["speech_s"] for run in plain) / sum(run["core_s"] for run in plain)
    rates, walls, stage_s = {}, {}, dict.fromkeys(STAGES, 0.0)
    for cores in rounds[0]["road"]:
        runs = [measured["road"][cores] for measured in rounds]
        core_s = sum(stage["core_s"] for run in runs for stage in run["stages"].values())
        walls[cores] = sum(stage["wall_s"] for run in runs for stage in run["stages"].values())
        rates[cores] = sum(run["speech_s"] for run in runs) / core_s
    many = max(rates)
    for measured in rounds:
        for stage, spent in measured["road"][many]["stages"].items():
            stage_s[stage] += spent["core_s"]
    speech_total_s = sum(measured["road"][many]["speech_s"] for measured in rounds)
    return {
        "speed_ratio_to_plain": round(rates[many] / plain_rate, 2),
        "two_core_ratio": round(walls[min(walls)] / walls[many], 2),
        "speech_s_per_core_s": {
            "plain": round(plain_rate, 3),
            **{f"road, cores: {cores}": round(rate, 3) for cores, rate in rates.items()},
        },
        "speech_s_per_wall_s": {cores: round(speech_total_s / wall_s, 3) for cores, wall_s in walls.items()},
        "copies": rounds[0]["road"][many]["copies"],
        "core_s_per_speech_s": {stage: round(spent / speech_total_s, 4) for stage, spent in stage_s.items()},
    }


def shoptalk(stage: str, arguments: list[str], cores: list[int]) -> dict[str, float]:
    wall_s, core_s = timed_run([sys.executable, "-m", "shoptalk.cli", stage, *arguments], cores)
    return {"wall_s": wall_s, "core_s": core_s}


def timed_run(command: list[str], cores: list[int]) -> tuple[float, float]:
    """Wall and CPU seconds of a program on these cores, its children's included."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]
    done = subprocess.run(pinned, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    core_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(time.perf_counter() - started, 2), round(core_s, 2)


def spoken(run: Path) -> list[Utterance]:
    return list(files.read(run / "30-speech.jsonl", Utterance))


def recordings(run: Path) -> dict[str, str]:
    """The sha256 of every recording of stages 30 and 40, by its path in the run folder."""
    return {path.relative_to(run).as_posix(): files.file_digest(path) for path in sorted(run.rglob("*.flac"))}


def speech_s(run: Path, *, first: int | None = None) -> float:
    return round(sum(utterance.duration_s for utterance in spoken(run)[:first]), 2)


def copies(run: Path) -> int:
    """Augmented copies of each training recording."""
    recorded = [utterance.split for utterance in files.read(run / "40-augment.jsonl", Utterance)]
    training = sum(utterance.split == "train" for utterance in spoken(run))
    return round(recorded.count("train") / training) - 1


def speak_plainly(speech: Path, folder: Path, *, first: int) -> None:
    """What a user of the published model writes: phonemes, the graph, a file, sentence by sentence."""
    import onnxruntime
    import soundfile

    from shoptalk.core.models import store
    from shoptalk.integrations import kokoro
    from shoptalk.integrations.kokoro_phonemes import from_text

    spoken = files.read(speech.with_name("20-transcripts.jsonl"), Transcript)
    transcripts = {transcript.id: transcript for transcript in spoken}
    session = onnxruntime.InferenceSession(str(store.path("kokoro-82m-int8")), providers=["CPUExecutionProvider"])
    for number, utterance in enumerate(list(files.read(speech, Utterance))[:first]):
        sounds = from_text(transcripts[utterance.id].spoken, kokoro.accent_of(utterance.voice), {})
        style = kokoro.blend(store.path("kokoro-voices"), utterance.voice)
        (samples,) = session.run(None, kokoro._inputs(sounds, style, utterance.speed))
        soundfile.write(folder / f"plain-{number}.flac", np.asarray(samples).reshape(-1), kokoro.KOKORO_RATE_HZ)


def parts(run: Path) -> dict[str, float]:
    """CPU milliseconds for each second of speech that the steps of stage 30 take, in this process."""
    from shoptalk.integrations import kokoro
    from shoptalk.integrations import kokoro_phonemes as phonemes

    transcripts = {transcript.id: transcript for transcript in files.read(run / "20-transcripts.jsonl", Transcript)}
    tts = kokoro.load()
    spent: dict[str, float] = {}
    total_s = 0.0
    utterances = spoken(run)[: PROFILED + 1]
    for number, utterance in enumerate(utterances):
        if number == 1:  # the first sentence compiles and loads
            spent, total_s = {}, 0.0

        def clocked(name: str, work: Callable[..., Any], *arguments: Any, spent: dict[str, float] = spent) -> Any:
            started = time.process_time()
            made = work(*arguments)
            spent[name] = spent.get(name, 0.0) + time.process_time() - started
            return made

        spoken_text, accent = transcripts[utterance.id].spoken, kokoro.accent_of(utterance.voice)
        sounds = clocked("phonemes", phonemes.from_text, spoken_text, accent, {})
        clocked("word times, of dev and test alone", phonemes.word_spans, spoken_text, sounds, accent, {})
        style = clocked("voice", kokoro.blend, tts._voices, utterance.voice)
        inputs = kokoro._inputs(sounds, style, utterance.speed)
        outputs = clocked("graph", tts._session.run, None, inputs)
        samples_T = outputs[0].reshape(-1)
        if tts._vocoder:
            hidden_1CK, source_1T, _ = outputs
            samples_T = clocked("vocoder", tts._vocoder.sound, hidden_1CK[0], source_1T[0], kokoro._timbre(inputs))
        trimmed_T = kokoro.trim(samples_T)
        low_T = clocked("to 16 kHz", resampled, trimmed_T)
        clocked("FLAC", flac, low_T * np.float32(0.5))
        total_s += low_T.size / SAMPLE_RATE_HZ
    return {name: round(1000 * seconds / total_s, 2) for name, seconds in spent.items()}


def resampled(samples_T: np.ndarray) -> np.ndarray:
    from shoptalk.core.audio import resample
    from shoptalk.integrations.kokoro import KOKORO_RATE_HZ

    return resample(samples_T, from_hz=KOKORO_RATE_HZ, to_hz=SAMPLE_RATE_HZ)


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "uncommitted"


if __name__ == "__main__":
    main()
