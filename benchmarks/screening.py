"""Screening's thresholds: what they keep of good recordings, and what they reject of recordings made wrong on purpose.

Run: python benchmarks/screening.py [results/screening.json] [--folder FOLDER] [--recognizer moonshine]

One training sentence of each term of the shipped lexicon is spoken by Kokoro, in the drawn voice. Wrong are:

- `mispronounced`: the same sentence, half of the sounds of its term replaced by others, drawn
- `another term`: the recording held against the same sentence with another term, drawn
- `nearest term`: likewise with the term of the lexicon that sounds most alike
- `another sentence`: the recording held against the next sentence
- `cut`: the last 0.15 to 0.5 s of the speech are missing
- `babble`: four other recordings at once

Good means: as the lexicon says it is pronounced. Nobody has listened to these recordings.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shoptalk.core import device, files
from shoptalk.core.audio import SAMPLE_RATE_HZ, decode
from shoptalk.core.effects import at_level, babble
from shoptalk.core.recipe import OtherSection, ScreenSection, SpeechSection
from shoptalk.core.records import Samples, Term, Transcript
from shoptalk.core.terms import phonetic_distance
from shoptalk.corpus import screening
from shoptalk.corpus.pronunciation import pronunciations, spoken_form
from shoptalk.corpus.screening import Judge, Opinion
from shoptalk.corpus.speech import speak
from shoptalk.integrations import espeak, kokoro
from shoptalk.stages.processes import Processes
from shoptalk.stages.recognizers import open_recognizer

SEED = 7
SETTINGS = (
    "transcripts.live_carriers=0", "transcripts.train_per_term=1", "transcripts.dev_per_term=1",
    "transcripts.test_per_term=1", "transcripts.several=0", "transcripts.without=0", "transcripts.numbers=0",
    "transcripts.contrast_per_pair=0", "lexicon.untaught=0", "lexicon.only=[]",
)  # fmt: skip
VOWELS, CONSONANTS = "aeiouæɑɔəɛɪʊʌ", "bdfghjklmnprstvwzðŋɹʃʒθ"
MODELS = {"moonshine": "moonshine-tiny-en", "whisper": "whisper-base-ct2"}


class Case(NamedTuple):
    """A recording held against a text."""

    kind: str
    opinion: Opinion
    signal: tuple[str, ...]


class Clip(NamedTuple):
    """A transcript and its recording."""

    transcript: Transcript
    samples_T: Samples
    speed: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/screening.json"))
    parser.add_argument("--folder", type=Path, help="where recordings are kept; another run goes on there")
    parser.add_argument("--recognizer", choices=sorted(MODELS), default="moonshine")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        result = measured(given.folder or Path(temporary), given.recognizer)
    files.write_text(given.target, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps({key: result[key] for key in ("clips", "auc", "at_the_defaults")}, indent=1))


def measured(folder: Path, kind: str) -> dict[str, Any]:
    terms, transcripts = written(folder)
    good = spoken(folder, transcripts, pronunciations(terms, espeak.ipa))
    wrong = spoken(folder, [renamed(transcript) for transcript in transcripts], mispronounced(terms))
    other = OtherSection.model_validate({"kind": kind, "model": MODELS[kind]})
    cases = judged(terms, good, wrong, other)
    (folder / f"cases-{kind}.json").write_text(json.dumps([case._asdict() for case in cases]))
    return {
        "command": "python benchmarks/screening.py" + (f" --recognizer {kind}" if kind != "moonshine" else ""),
        "date": date.today().isoformat(),
        "commit": commit(),
        **device.machine(),
        "recognizer": other.model,
        "clips": len(good),
        **summary(cases),
        "signal": signal_figures(good),
    }


def written(folder: Path) -> tuple[list[Term], list[Transcript]]:
    """The terms, and one training sentence of each."""
    for stage in ("lexicon", "transcripts"):
        command = [sys.executable, "-m", "shoptalk.cli", stage, "--recipe", "recipes/demo.yaml", "--run", str(folder)]
        for setting in SETTINGS:
            command += ["--set", setting]
        subprocess.run(command, check=True)
    terms = list(files.read(folder / "10-lexicon.jsonl", Term))
    first: dict[str, Transcript] = {}
    for transcript in files.read(folder / "20-transcripts.jsonl", Transcript):
        if transcript.split == "train" and transcript.kind == "carrier":
            first.setdefault(transcript.term_ids[0], transcript)
    return terms, list(first.values())


def renamed(transcript: Transcript) -> Transcript:
    return transcript.model_copy(update={"id": f"{transcript.id}-mispronounced"})


def mispronounced(terms: Sequence[Term]) -> dict[str, tuple[str, ...]]:
    """Half of the sounds of each term replaced, vowels by vowels."""
    table = {}
    for term in terms:
        rng = np.random.default_rng([SEED, *term.id.encode()])
        ipa = term.ipa[0] if term.ipa else espeak.ipa(spoken_form(term))
        sounds = list(ipa)
        places = [place for place, sound in enumerate(sounds) if sound in VOWELS + CONSONANTS]
        for place in rng.choice(places, size=max(1, len(places) // 2), replace=False):
            own = VOWELS if sounds[place] in VOWELS else CONSONANTS
            sounds[place] = str(rng.choice([sound for sound in own if sound != sounds[place]]))
        table[spoken_form(term).casefold()] = ("".join(sounds),)
    return table


def spoken(folder: Path, transcripts: Sequence[Transcript], sounds: Mapping[str, Sequence[str]]) -> list[Clip]:
    kokoro.prepare()
    utterances = speak(
        transcripts,
        kokoro.load,
        SpeechSection(),
        folder=folder / "30-speech",
        seed=SEED,
        done=frozenset(),
        pronunciations=sounds,
        workers=Processes(),
    )
    clips = []
    for transcript, utterance in zip(transcripts, utterances, strict=True):
        clips.append(Clip(transcript, decode(folder / utterance.audio), utterance.speed))
    return clips


def judged(terms: Sequence[Term], good: Sequence[Clip], wrong: Sequence[Clip], other: OtherSection) -> list[Case]:
    recognizer, judge = open_recognizer(other, batch=16), Judge(terms)
    by_id = {term.id: term for term in terms}
    rng = np.random.default_rng(SEED)
    cut = [shortened(clip, rng) for clip in good]
    crowds = [crowd(good, place, rng) for place in range(0, len(good), 4)]
    cases: list[Case] = []
    recognized = texts(recognizer, good)

    def add(kind: str, clip: Clip, text: str, transcript: Transcript) -> None:
        opinion = judge.opinion(transcript.text, transcript.term_ids, text)
        signal = screening.of_signal(clip.samples_T, transcript.spoken, clip.speed)
        cases.append(Case(kind, opinion, signal))

    for place, (clip, text) in enumerate(zip(good, recognized, strict=True)):
        own = by_id[clip.transcript.term_ids[0]]
        others = [term for term in terms if phonetic_distance(term.text, own.text) > 0]
        nearest = min(others, key=lambda term: phonetic_distance(term.text, own.text))
        drawn = others[int(rng.integers(len(others)))]
        add("good", clip, text, clip.transcript)
        if own.text in clip.transcript.text:  # not where a sentence begins with it, or writes it otherwise
            add("another term", clip, text, with_term(clip.transcript, own, drawn))
            add("nearest term", clip, text, with_term(clip.transcript, own, nearest))
        add("another sentence", clip, text, good[(place + 1) % len(good)].transcript)
    for kind, clips in (("mispronounced", wrong), ("cut", cut), ("babble", crowds)):
        for clip, text in zip(clips, texts(recognizer, clips), strict=True):
            add(kind, clip, text, clip.transcript)
    return cases


def texts(recognizer: Any, clips: Sequence[Clip]) -> list[str]:
    return [recognition.text for recognition in recognizer.recognize([clip.samples_T for clip in clips])]


def with_term(transcript: Transcript, own: Term, other: Term) -> Transcript:
    """The sentence with another term, as a text only."""
    text = transcript.text.replace(own.text, other.text)
    return transcript.model_copy(update={"text": text, "term_ids": (other.id,)})


def shortened(clip: Clip, rng: np.random.Generator) -> Clip:
    quiet_T = np.abs(clip.samples_T) < 0.02 * np.abs(clip.samples_T).max()
    end = int(np.nonzero(~quiet_T)[0][-1]) - round(float(rng.uniform(0.15, 0.5)) * SAMPLE_RATE_HZ)
    return clip._replace(samples_T=clip.samples_T[:end])


def crowd(clips: Sequence[Clip], place: int, rng: np.random.Generator) -> Clip:
    others = [clips[(place + step) % len(clips)].samples_T for step in (3, 5, 7, 11)]
    starts = [float(start) for start in rng.uniform(0, 1, 4)]
    mixed_T = babble(others, size=clips[place].samples_T.size, starts=starts)
    return clips[place]._replace(samples_T=at_level(mixed_T, level_db=-26.0))


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    kinds = list(dict.fromkeys(case.kind for case in cases))
    config = ScreenSection()
    measures = {
        "term_distance": [case.opinion.term_distance for case in cases],
        "word_errors": [case.opinion.word_errors for case in cases],
    }
    good = np.array([case.kind == "good" for case in cases])
    roc: dict[str, Any] = {}
    auc: dict[str, Any] = {}
    for name, values in measures.items():
        scores = np.array(values)
        roc[name] = []
        for threshold in np.arange(0.0, 1.01, 0.05):
            row = {"at_most": round(float(threshold), 2)}
            for kind in kinds:
                own = scores[[case.kind == kind for case in cases]]
                row[kind] = round(float(np.mean(own <= threshold + 1e-9)), 3)
            roc[name].append(row)
        auc[name] = {kind: area(scores[good], scores[[case.kind == kind for case in cases]]) for kind in kinds[1:]}
    rejected: dict[str, Any] = {}
    for kind in kinds:
        own_cases = [case for case in cases if case.kind == kind]
        reasons = [(*case.signal, *screening.of_opinion(case.opinion, config)) for case in own_cases]
        rejected[kind] = {"recordings": len(own_cases), "rejected": round(np.mean([bool(own) for own in reasons]), 3)}
        for reason in ("length", "silent", "clipped", "rate", "cut", "words", "term"):
            part = float(np.mean([reason in own for own in reasons]))
            if part:
                rejected[kind][reason] = round(part, 3)
    exact = float(np.mean(np.array(measures["term_distance"])[good] == 0))
    return {"auc": auc, "terms_recognised_exactly": round(exact, 3), "at_the_defaults": rejected, "kept_at_most": roc}


def area(good: Any, bad: Any) -> float:
    """Probability that a wrong recording scores above a good one, ties counting half (area under the ROC curve)."""
    differences = bad[:, None] - good[None, :]
    return round(float(np.mean((differences > 0) + 0.5 * (differences == 0))), 3)


def signal_figures(good: Sequence[Clip]) -> dict[str, Any]:
    """Of good recordings: seconds of speech for each character at speed 1, and the power of the end, in dB."""
    rates = [screening.speech_s(clip.samples_T) * clip.speed / len(clip.transcript.spoken) for clip in good]
    ends = [screening.end_db(clip.samples_T) for clip in good]
    figures = {"seconds_per_character": rates, "end_db": ends}
    parts = (0, 0.01, 0.5, 0.99, 1)
    return {
        name: {str(part): round(float(np.quantile(values, part)), 4) for part in parts}
        for name, values in figures.items()
    }


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "uncommitted"


if __name__ == "__main__":
    main()
