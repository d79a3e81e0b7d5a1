"""The figures that documents quote, with everything needed to judge them: command, date, commit and machine."""

from collections.abc import Mapping
from typing import Any

from shoptalk.core.errors import ScoringError
from shoptalk.core.scores import Change, Other, Rate, Scores
from shoptalk.core.sets import GENERAL, TAUGHT, UNTAUGHT


def publish(
    scores: Scores, *, command: str, seconds: float, machine: Mapping[str, object], commit: str, date: str
) -> dict[str, Any]:
    """The summary for ``results/NAME.json``: the `figures` and how they were made."""
    return {
        **figures(scores),
        "seconds": round(seconds, 1),
        "command": command,
        "date": date,
        "commit": commit,
        "machine": dict(machine),
    }


def figures(scores: Scores) -> dict[str, Any]:
    """The headline figures of a run; rates are fractions with their intervals.

    `term_error` is that of the trained terms in their own test set. `ScoringError`: that set or the general one was
    not scored.
    """
    taught, general = scores.sets.get(TAUGHT), scores.sets.get(GENERAL)
    if taught is None or taught.terms is None or general is None:
        raise ScoringError("only a run that scored both the trained terms and the general set can be published")
    untaught = scores.sets.get(UNTAUGHT)
    control = untaught.terms.error if untaught and untaught.terms else None
    return {
        "term_error": _sides(taught.terms.error),
        "general_wer": _sides(general.wer),
        "difference": {
            "term_error": _rate(taught.terms.error.difference),
            "general_wer": _rate(general.wer.difference),
        },
        "untaught_term_error": _sides(control) if control else None,
        "false_insertions_per_1000_general_words": _sides(general.false_insertions),
        "others": {other.name: _other(other) for other in scores.others},
        "silence_words_per_minute": _sides(scores.silence.words) if scores.silence else None,
        "calibration_error": _round(scores.calibration.ece) if scores.calibration else None,
        "audio_seconds_per_second": scores.speed_after,
        "test_utterances": scores.utterances,
        "utterances": {name: test_set.utterances for name, test_set in scores.sets.items()},
        "general_words": general.words,
        "confidence": scores.confidence,
    }


def _other(other: Other) -> dict[str, Any]:
    taught, general = other.sets[TAUGHT], other.sets[GENERAL]
    term_error = taught.terms.error.before if taught.terms else None
    return {
        "term_error": _rate(term_error) if term_error else None,
        "general_wer": _rate(general.wer.before),
        "audio_seconds_per_second": other.speed,
    }


def _sides(change: Change) -> dict[str, dict[str, float | None]]:
    return {"before": _rate(change.before), "after": _rate(change.after)}


def _rate(rate: Rate) -> dict[str, float | None]:
    return {"value": _round(rate.value), "low": _round(rate.low), "high": _round(rate.high)}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
