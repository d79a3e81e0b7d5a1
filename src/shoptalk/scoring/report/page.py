"""The report as one self-contained HTML page that a clinician can read: no scripts, nothing loaded, texts escaped."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from shoptalk.core import audio, pages
from shoptalk.core.records import Samples
from shoptalk.core.scores import Rate, Scores, Slice
from shoptalk.scoring.report import charts
from shoptalk.scoring.report.tables import (
    Headline,
    beside,
    figure,
    headlines,
    interval,
    set_changes,
    worst_first,
)
from shoptalk.scoring.wer import align

_PARTS = {
    "category": "Kinds of terms",
    "tier": "Where the pronunciation came from",
    "known": "Known to the base from its training texts",
    "voice": "Voices",
    "accent": "Accents",
    "context": "Contexts and sources",
}


@dataclass(frozen=True)
class Piece:
    """A run of words in a comparison: equal, or what was said (`reference`) and what was heard."""

    equal: bool
    reference: str
    heard: str


def pieces(reference: str, heard: str) -> list[Piece]:
    """The words of two texts, as they are counted, in runs that agree and runs that do not."""
    alignment = align(reference, heard)
    runs: list[Piece] = []
    for kind, start, end, heard_start, heard_end in alignment.chunks:
        equal = kind == "equal"
        said, got = " ".join(alignment.reference[start:end]), " ".join(alignment.heard[heard_start:heard_end])
        if runs and not equal and not runs[-1].equal:
            last = runs.pop()
            said, got = f"{last.reference} {said}".strip(), f"{last.heard} {got}".strip()
        runs.append(Piece(equal, said, got))
    return runs


def shown(scores: Scores) -> list[str]:
    """Ids of the utterances whose recordings the page has: its examples, and one missed sentence of each term."""
    missed = [row.missed.id for row in scores.terms if row.missed]
    return list(dict.fromkeys([one.id for one in scores.examples] + missed))


def data_url(samples_T: Samples) -> str:
    """A recording as it stands in the page."""
    return "data:audio/ogg;base64," + base64.b64encode(audio.opus(samples_T)).decode()


def html(
    scores: Scores,
    *,
    title: str = "What the recogniser learned",
    sounds: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page. `sounds` maps ids of utterances to data URLs; `facts` are shown at the end, e.g. the base model."""
    page: str = pages.environment(__package__, figure=figure, interval=interval).get_template("report.html.j2").render(
        title=title,
        scores=scores,
        headlines=headlines(scores),
        beside=beside(scores),
        tables=[
            ("Trained terms, worst first", worst_first(scores, taught=True)),
            ("Held-out terms (control)", worst_first(scores, taught=False)),
        ],
        parts=_parts(scores),
        curves=_curves(scores),
        reliability=_reliability(scores),
        set_changes=set_changes,
        sounds=sounds or {},
        pieces=pieces,
        place=partial(_place, scores),
        facts=facts or {},
        confidence=f"{100 * scores.confidence:g} %",
    )  # fmt: skip
    return page


def _parts(scores: Scores) -> list[tuple[str, list[Slice]]]:
    """The slices of each kind, but for the curve over SNR; the set that was taught first."""
    return [
        (heading, rows) for by, heading in _PARTS.items() if (rows := [row for row in scores.slices if row.by == by])
    ]


def _curves(scores: Scores) -> list[tuple[str, str]]:
    """Titles and charts of word errors and missed terms over SNR, noisiest first."""
    rows = [row for row in scores.slices if row.by == "snr"]
    if not rows:
        return []
    labels = [row.name for row in rows]
    found = []
    for title, changes in (
        ("Word errors under noise", [row.wer for row in rows]),
        ("Trained terms missed under noise", [row.terms.error if row.terms else None for row in rows]),
    ):
        known = [one for one in changes if one is not None]
        if len(known) == len(labels):
            series = [charts.Series(side, f"key-{side}", _side(known, side)) for side in ("before", "after")]
            found.append((title, charts.curve(labels, series, title=title)))
    return found


def _side(changes: Sequence[Any], side: str) -> list[Rate]:
    return [getattr(one, side) for one in changes]


def _reliability(scores: Scores) -> str | None:
    if not scores.calibration:
        return None
    return charts.reliability(scores.calibration.bins, title="Words right against their confidence")


def _place(scores: Scores, line: Headline, value: float | None) -> str:
    """Where a value lies on the scale of its headline, in percent of the width; percentages share one scale."""
    sharing = [one.change for one in headlines(scores) if one.percent == line.percent]
    ends = [rate.high or rate.value or 0.0 for change in sharing for rate in (change.before, change.after)]
    top = max(ends) or 1.0
    return f"{100 * min(max((value or 0.0) / top, 0.0), 1.0):.2f}"
