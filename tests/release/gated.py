"""Scores with figures of one's own choosing, for the gate."""

from collections.abc import Mapping
from typing import Any

from shoptalk.core.scores import (
    Calibration,
    Change,
    Rate,
    Scores,
    SetScores,
    Significance,
    Silence,
    Slice,
    TermScores,
)

NOTHING = Significance(p=None, detectable=None, clusters_for_1_point=None, utterances_for_1_point=None)


def rate(value: float | None, spread: float | None = 0.01) -> Rate:
    if value is None or spread is None:
        return Rate(value=value, low=None, high=None, count=0)
    return Rate(value=value, low=value - spread, high=value + spread, count=round(value * 1_000), of=1_000)


def change(before: float | None, after: float | None, spread: float | None = 0.01, *, rising: bool = False) -> Change:
    """The interval of the difference reaches `spread` to both sides; None: there is none."""
    difference = None if before is None or after is None else after - before
    verdict = "unclear"
    if difference is not None and spread is not None and abs(difference) > spread:
        verdict = "better" if (difference > 0) == rising else "worse"
    return Change.model_validate(
        {"before": rate(before), "after": rate(after, spread), "difference": rate(difference, spread),
         "verdict": verdict}
    )  # fmt: skip


def term_scores(before: float, after: float, spread: float | None = 0.01) -> TermScores:
    """`before`, `after`: parts of the terms that were missed."""
    heard = change(1 - before, 1 - after, spread, rising=True)
    return TermScores(error=change(before, after, spread), recall=heard, precision=heard, f1=heard,
                      false_insertions=change(0.2, 0.2, 0.1))  # fmt: skip


def set_scores(**changed: Any) -> SetScores:
    same = change(0.1, 0.1)
    names = ("wer", "cer", "sentence_error", "case", "punctuation", "numbers", "invented_numbers", "false_insertions")
    return SetScores(
        **{"utterances": 40, "clusters": 20, "words": 400, "minutes": 3.0, **dict.fromkeys(names, same),
           "significance": NOTHING, **changed}
    )  # fmt: skip


def group(by: str, name: str, before: float, after: float, spread: float | None = 0.01, where: str = "taught") -> Slice:
    terms = term_scores(before, after, spread)
    return Slice.model_validate({"by": by, "name": name, "set": where, "count": 5, "wer": None, "terms": terms})


def scores(sets: Mapping[str, SetScores] | None = None, **changed: Any) -> Scores:
    """A good tune, but for what is `changed`."""
    usual = {"taught": set_scores(terms=term_scores(0.6, 0.2, 0.05)), "general": set_scores(wer=change(0.1, 0.105))}
    groups = (group("category", "drug", 0.6, 0.2), group("category", "lab", 0.5, 0.2))
    return Scores(
        **{"sets": {**usual, **(sets or {})}, "terms": (), "slices": groups, "speed_after": 12.0, "examples": (),
           "unfound": (), "confidence": 0.95, "bootstrap": 200, "seed": 7, **changed}
    )  # fmt: skip


def silence(per_minute: float, spread: float = 0.3) -> Silence:
    return Silence(minutes=2.0, words=change(per_minute, per_minute, spread), made_up=())


def calibration(ece: float) -> Calibration:
    return Calibration(temperature=1.3, words=900, raw_ece=2 * ece, ece=ece, auroc=0.8, term_auroc=None, bins=())
