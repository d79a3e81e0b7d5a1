"""A review's measure: how many wrong words it shows, how many right ones, and whether what it offers is right.

    python benchmarks/review.py RUN [results/review.json]

RUN is a run folder with test sets and a bundle. Its tuned model transcribes the test sets as the service does, with
other readings. For each threshold of the confidence: the share of wrong words that are shown, and of right ones. For
each distance: what sounds like a high-risk term, and whether that term was said there. The lexicon is the run's, and
for false alarms the whole clinical one.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from shoptalk.core import device, files, review
from shoptalk.core.examples import read_manifest
from shoptalk.core.protocols import Options
from shoptalk.core.recipe import EngineSection
from shoptalk.core.recordings import load
from shoptalk.core.records import Recognition, Term, Word
from shoptalk.core.sets import TESTS
from shoptalk.core.terms import index_of, mentions
from shoptalk.core.text import words as words_of
from shoptalk.corpus import lexicon
from shoptalk.scoring.calibration import spans
from shoptalk.scoring.wer import align
from shoptalk.stages.publishing import commit
from shoptalk.stages.recognizers import open_engine

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DISTANCES = (0.2, 0.25, 0.3, 0.35, 0.4)
LEXICON = Path("lexicons/clinical.yaml")


class Judged(NamedTuple):
    """An utterance of a test: what was recognised, and which words are right."""

    reference: str
    recognition: Recognition
    is_right: tuple[bool | None, ...]
    """Of each word; None where nothing of it counts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/review.json"))
    arguments = parser.parse_args()
    terms = list(files.read(arguments.run / "10-lexicon.jsonl", Term))
    utterances = list(judged(arguments.run))
    result = {
        "command": "python benchmarks/review.py RUN",
        "run": arguments.run.name,
        "date": f"{date.today()}",
        "commit": commit(),
        "machine": device.machine(),
        "utterances": len(utterances),
        "words": sum(flag is not None for utterance in utterances for flag in utterance.is_right),
        "wrong_words": sum(flag is False for utterance in utterances for flag in utterance.is_right),
        "default": {"confidence": review.CONFIDENCE, "distance": review.NEAR},
        "confidence": {f"{threshold:g}": by_confidence(utterances, threshold) for threshold in THRESHOLDS},
        "terms": {
            "run": by_distance(utterances, terms),
            "clinical": by_distance(utterances, lexicon.load([LEXICON])),
        },
        "offered": offered(utterances, terms),
    }
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def judged(run: Path) -> Iterator[Judged]:
    """Every utterance of the test sets, recognised as the service does it."""
    engine = open_engine(run / "80-bundle", EngineSection(), batch=16)
    for name in TESTS:
        examples = read_manifest(run / f"50-dataset/test-{name}.jsonl")
        options = [Options(alternatives=review.READINGS)] * len(examples)
        recognitions = engine.recognize([load(example) for example in examples], options)
        for example, recognition in zip(examples, recognitions, strict=True):
            yield Judged(example.text, recognition, tuple(rightness(example.text, recognition)))


def rightness(reference: str, recognition: Recognition) -> Iterator[bool | None]:
    """Whether each word is found in the reference, by the alignment of the normalised texts."""
    alignment = align(reference, recognition.text)
    correct: set[int] = set()
    for kind, _, _, low, high in alignment.chunks:
        if kind == "equal":
            correct.update(range(low, high))
    for span in spans(recognition.words, alignment.heard):
        yield correct.issuperset(span) if span else None


def by_confidence(utterances: Sequence[Judged], threshold: float) -> dict[str, float]:
    """What a threshold alone shows, as shares."""
    shown = {True: 0, False: 0}
    total = {True: 0, False: 0}
    for utterance in utterances:
        for word, flag in zip(utterance.recognition.words, utterance.is_right, strict=True):
            if flag is not None and word.confidence is not None:
                total[flag] += 1
                shown[flag] += word.confidence < threshold
    return {
        "wrong_shown": round(shown[False] / total[False], 4),
        "right_shown": round(shown[True] / total[True], 4),
        "shown_that_are_wrong": round(shown[False] / max(1, sum(shown.values())), 4),
    }


def by_distance(utterances: Sequence[Judged], terms: Sequence[Term]) -> dict[str, Any]:
    """Places that sound like a high-risk term within some distance, of all confidences."""
    watch = review.Watch.of(terms)
    risky = [term for term in watch.terms if term.risk == "high"]
    high = index_of(risky)
    results: dict[str, Any] = {"high_risk_terms": len(risky)}
    said = sum(len(mentions(high, words_of(utterance.reference))) for utterance in utterances)
    found = sum(len(mentions(high, words_of(utterance.recognition.text))) for utterance in utterances)
    results |= {"said": said, "recognised": found}
    before = review.NEAR
    for distance in DISTANCES:
        review.NEAR = distance
        results[f"{distance:g}"] = near_terms(utterances, watch)
    review.NEAR = before
    return results


def near_terms(utterances: Sequence[Judged], watch: review.Watch) -> dict[str, int]:
    """Places that sound like a high-risk term: how many, with a wrong word, and with the term said in the sentence."""
    counts = {"places": 0, "with_wrong_words": 0, "where_the_term_was_said": 0}
    for utterance in utterances:
        said = f" {' '.join(words_of(utterance.reference))} "
        for place in review.places(utterance.recognition, watch, below=0.0):
            if "sounds_like_high_risk_term" not in place.reasons:
                continue
            names = [candidate.text for candidate in place.candidates if candidate.risk == "high"]
            counts["places"] += 1
            counts["with_wrong_words"] += has_wrong_word(utterance, place)
            counts["where_the_term_was_said"] += any(f" {' '.join(words_of(name))} " in said for name in names)
    return counts


def has_wrong_word(utterance: Judged, place: review.Place) -> bool:
    return any(flag is False for _, flag in inside(utterance, place))


def inside(utterance: Judged, place: review.Place) -> list[tuple[Word, bool | None]]:
    """The words of a place and whether they are right."""
    pairs = zip(utterance.recognition.words, utterance.is_right, strict=True)
    return [(word, flag) for word, flag in pairs if place.start_s <= word.start_s < place.end_s]


def offered(utterances: Sequence[Judged], terms: Sequence[Term]) -> dict[str, int]:
    """Of the places with wrong words that a review shows by its defaults: how often an alternative mends the place."""
    watch = review.Watch.of(terms)
    counts = {"places": 0, "with_wrong_words": 0, "mended_by_a_reading": 0, "mended_by_a_term": 0}
    for utterance in utterances:
        for place in review.places(utterance.recognition, watch):
            counts["places"] += 1
            if not has_wrong_word(utterance, place):
                continue
            counts["with_wrong_words"] += 1
            for source in ("reading", "term"):
                texts = [candidate.text for candidate in place.candidates if candidate.source == source]
                counts[f"mended_by_a_{source}"] += any(mends(utterance, place, text) for text in texts)
    return counts


def mends(utterance: Judged, place: review.Place, text: str) -> bool:
    """Whether the sentence has fewer errors with this text in the place."""
    kept_before = [word.word for word in utterance.recognition.words if word.start_s < place.start_s]
    kept_behind = [word.word for word in utterance.recognition.words if word.start_s >= place.end_s]
    mended = " ".join([*kept_before, text, *kept_behind])
    return errors(utterance.reference, mended) < errors(utterance.reference, utterance.recognition.text)


def errors(reference: str, hypothesis: str) -> int:
    total = 0
    for kind, start, end, low, high in align(reference, hypothesis).chunks:
        if kind != "equal":
            total += max(end - start, high - low)
    return total


if __name__ == "__main__":
    main()
